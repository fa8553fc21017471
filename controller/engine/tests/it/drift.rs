//! A difference that someone made at the target is put back or left, as the policy says; the source's changes flow in either case.

use plumbline_engine::{
    configuration::Adopt,
    drift::DriftPolicy,
    entry::{Attributes, Class},
    operation::ChangeKind,
    plan::Plan,
    record::Resumed,
    target::{TargetId, TargetObject, Value},
};

use crate::world::{World, anchor, configuration, ours};

/// Two people and a group with the first, in step with the target.
fn world(drift: DriftPolicy) -> World {
    let mut world = World::new(Adopt::Report);
    let mut settings = configuration(Adopt::Report);
    settings.drift = drift;
    world.engine.configure(settings);
    for (id, mail) in [(1, "ada@x.test"), (2, "bob@x.test")] {
        let city = vec![b"Bonn".to_vec()];
        world.person(id, mail).attributes.add("l", city);
        let mut object = ours(id, mail);
        object.attributes.insert("city".into(), text("Bonn"));
        world.objects.push(object);
    }
    world.group(3, &["uid=u1,ou=Staff,dc=x"]);
    let group = TargetObject {
        class: Class::Group,
        immutable_id: None,
        attributes: [("displayName".to_owned(), text("Group"))].into(),
        members: Some(vec![TargetId("t1".into())]),
        ..ours(3, "")
    };
    world.objects.push(group);
    let plan = world.plan(0);
    assert!(plan.is_empty() && plan.drift.is_empty(), "{plan:?}");
    world
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn drifted(plan: &Plan) -> Vec<(String, String)> {
    let drift = plan.drift.iter();
    drift
        .map(|it| {
            (
                it.anchor.to_string()[..2].to_owned(),
                it.attributes.join(","),
            )
        })
        .collect()
}

#[test]
fn what_someone_changed_is_put_back_or_only_told() {
    type Change = fn(&mut Vec<TargetObject>);
    let cases: [(&str, Change, (&str, &str), ChangeKind); 7] = [
        (
            "an attribute",
            |all| drop(all[0].attributes.insert("city".into(), text("Mainz"))),
            ("01", "city"),
            ChangeKind::Update,
        ),
        (
            "a cleared attribute",
            |all| drop(all[0].attributes.remove("city")),
            ("01", "city"),
            ChangeKind::Update,
        ),
        (
            "a disabled person",
            |all| {
                drop(
                    all[1]
                        .attributes
                        .insert("accountEnabled".into(), Value::Flag(false)),
                )
            },
            ("02", "accountEnabled"),
            ChangeKind::Update,
        ),
        (
            "a new manager",
            |all| all[0].manager = Some(TargetId("t2".into())),
            ("01", "manager"),
            ChangeKind::SetManager,
        ),
        (
            "a new member",
            |all| all[2].members = Some(vec![TargetId("t1".into()), TargetId("t2".into())]),
            ("03", "members"),
            ChangeKind::RemoveMember,
        ),
        (
            "a removed member",
            |all| all[2].members = Some(vec![]),
            ("03", "members"),
            ChangeKind::AddMember,
        ),
        (
            "a purged person",
            |all| drop(all.remove(1)),
            ("02", ""),
            ChangeKind::Create,
        ),
    ];
    for (what, change, (of, attributes), correction) in cases {
        let mut correcting = world(DriftPolicy::Correct);
        change(&mut correcting.objects);
        let plan = correcting.plan(1);
        // The target of these tests takes managers, which nothing maps here.
        if correction != ChangeKind::SetManager {
            let kinds: Vec<_> = plan.changes().into_keys().collect();
            assert_eq!(kinds, [correction], "{what}");
        }
        assert!(plan.drift.is_empty(), "{what}");

        let mut reporting = world(DriftPolicy::Report);
        change(&mut reporting.objects);
        for minute in [1, 2] {
            let plan = reporting.plan(minute);
            assert!(plan.is_empty(), "{what}: {:?}", plan.operations);
            let expected = vec![(of.to_owned(), attributes.to_owned())];
            if correction != ChangeKind::SetManager {
                assert_eq!(drifted(&plan), expected, "{what}");
                // Since the first time, not the last.
                assert_eq!(plan.drift[0].since.as_second(), 1_700_000_060, "{what}");
            }
        }
    }
}

#[test]
fn what_the_source_changes_flows_also_where_someone_else_wrote() {
    let mut world = world(DriftPolicy::Report);
    for object in &mut world.objects[..2] {
        object.attributes.insert("city".into(), text("Mainz"));
    }
    assert_eq!(world.plan(1).drift.len(), 2);
    world.entries[1]
        .attributes
        .add("street", vec![b"Elsewhere 1".to_vec()]);
    let mut moved = world.entries.remove(1);
    moved.attributes = moved
        .attributes
        .iter()
        .map(|(name, values)| {
            (
                name,
                if name == "l" {
                    vec![b"Kiel".to_vec()]
                } else {
                    values.to_vec()
                },
            )
        })
        .collect();
    world.entries.push(moved);
    let plan = world.plan(2);
    assert_eq!(plan.operations.len(), 1, "{:?}", plan.operations);
    assert_eq!(plan.operations[0].anchor, anchor(1));
    assert_eq!(drifted(&plan), [("02".to_owned(), "city".to_owned())]);
}

#[test]
fn what_was_changed_back_is_no_drift_and_the_next_change_is_one_of_its_own() {
    let mut world = world(DriftPolicy::Report);
    for (minute, city, count) in [(1, "Mainz", 1), (2, "Bonn", 0), (3, "Kiel", 1)] {
        world.objects[0]
            .attributes
            .insert("city".into(), text(city));
        let plan = world.plan(minute);
        assert_eq!(plan.drift.len(), count, "{city}");
        if count == 1 {
            assert_eq!(plan.drift[0].since.as_second(), 1_700_000_000 + minute * 60);
        }
    }
}

#[test]
fn a_difference_that_was_there_at_the_first_look_is_the_sources() {
    let mut world = World::new(Adopt::Report);
    let mut settings = configuration(Adopt::Report);
    settings.drift = DriftPolicy::Report;
    world.engine.configure(settings);
    world
        .person(1, "ada@x.test")
        .attributes
        .add("l", vec![b"Bonn".to_vec()]);
    world.objects = vec![ours(1, "ada@x.test")];
    let plan = world.plan(0);
    assert_eq!((plan.operations.len(), plan.drift.len()), (1, 0));
}

/// The city of the first person, in the directory or at the target.
fn move_to(world: &mut World, city: &str, at_target: bool) {
    if at_target {
        let attributes = &mut world.objects[0].attributes;
        attributes.insert("city".to_owned(), text(city));
        return;
    }
    let entry = &mut world.entries[1];
    let others = entry.attributes.iter().filter(|(name, _)| *name != "l");
    let mut attributes: Attributes = others
        .map(|(name, values)| (name, values.to_vec()))
        .collect();
    attributes.add("l", vec![city.as_bytes().to_vec()]);
    entry.attributes = attributes;
}

#[test]
fn what_was_being_sent_when_the_process_was_killed_is_no_drift() {
    let mut world = world(DriftPolicy::Report);
    move_to(&mut world, "Mainz", false);
    let plan = world.plan(20);
    assert_eq!(plan.operations.len(), 1);
    world.engine.sending(&plan.operations);
    let (mut resumed, memory) = (Resumed::default(), world.engine.memory().clone());
    let mut taken = Ok(());
    let given = world.engine.keep(&mut |key, bytes| {
        if let (Some(bytes), Ok(())) = (bytes, taken) {
            taken = resumed.take(key, bytes);
        }
    });
    assert_eq!((given, taken), (true, Ok(())));
    let mut settings = configuration(Adopt::Report);
    settings.drift = DriftPolicy::Report;
    world.engine = resumed.engine(settings, memory);
    // It had arrived, and nobody noted that.
    move_to(&mut world, "Mainz", true);
    assert!(world.plan(40).is_empty());
    // So a change of the source that brings the old value back is sent.
    move_to(&mut world, "Bonn", false);
    let plan = world.plan(60);
    assert_eq!(
        (plan.operations.len(), plan.drift.len()),
        (1, 0),
        "{plan:?}"
    );
}
