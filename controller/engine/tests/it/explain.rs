//! What is told of an object that waits, was refused, left or was changed by others.

use plumbline_engine::{
    configuration::{Adopt, Include},
    dn::Written,
    drift::DriftPolicy,
    entry::{Class, EntryKind},
    explain::{AttributeState, Explanation, Leaving, Participation, Question},
    operation::{ChangeKind, Outcome},
    plan::Plan,
    reason::Reason,
    target::{TargetObject, Value, Values},
};

use crate::world::{World, anchor, configuration, ours, user};

fn told(world: &World, plan: &Plan, id: u8) -> Explanation {
    let question = Question::new(&anchor(id).immutable_id());
    let mut all = world.engine.explain(&question, plan);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.pop().unwrap()
}

fn state(explanation: &Explanation, name: &str) -> AttributeState {
    let mut all = explanation.attributes.iter();
    all.find(|one| one.name == name).unwrap().state
}

fn minutes(minutes: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_700_000_000 + minutes * 60).unwrap()
}

#[test]
fn a_refused_operation_is_told_with_the_answer_and_when_it_is_tried_again() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test");
    let plan = world.plan(0);
    let created = told(&world, &plan, 1);
    assert_eq!(created.operations, plan.operations);
    assert_eq!(
        state(&created, "displayName"),
        AttributeState::Planned(ChangeKind::Create)
    );
    let refused = Outcome::Refused {
        reason: Reason::QuotaExceeded,
        message: "the quota is used up".into(),
    };
    world
        .engine
        .record(&plan.operations[0], &refused, minutes(0));
    let plan = world.plan(0);
    let waits = told(&world, &plan, 1);
    assert!(waits.operations.is_empty());
    assert_eq!(state(&waits, "displayName"), AttributeState::Waits);
    let refusal = &waits.refusals[0];
    assert_eq!(
        (refusal.operation.as_str(), refusal.reason),
        ("create", Reason::QuotaExceeded)
    );
    assert_eq!((refusal.failures, refusal.until), (1, minutes(1)));
    assert_eq!(waits.quarantine.unwrap().reason, Reason::QuotaExceeded);
}

#[test]
fn values_that_the_target_made_others_of_and_those_that_others_changed_are_told_apart() {
    let mut world = World::new(Adopt::Report);
    let mut settings = configuration(Adopt::Report);
    settings.drift = DriftPolicy::Report;
    world.engine.configure(settings);
    let city = vec![b"Bonn".to_vec()];
    world.person(1, "ada@x.test").attributes.add("l", city);
    world.objects.push(ours(1, "ada@x.test"));
    let plan = world.plan(0);
    assert_eq!(
        state(&told(&world, &plan, 1), "city"),
        AttributeState::Planned(ChangeKind::Update)
    );
    let held = Value::Text("BONN".into());
    let values = Values::from([("city".to_owned(), held.clone())]);
    world.engine.record(
        &plan.operations[0],
        &Outcome::Rewritten { values },
        minutes(0),
    );
    world.objects[0]
        .attributes
        .insert("city".into(), held.clone());
    let plan = world.plan(20);
    let rewritten = told(&world, &plan, 1);
    assert_eq!(state(&rewritten, "city"), AttributeState::Rewritten);
    assert_eq!(state(&rewritten, "displayName"), AttributeState::InStep);
    world.objects[0]
        .attributes
        .insert("displayName".into(), Value::Text("Other".into()));
    let plan = world.plan(40);
    let drifted = told(&world, &plan, 1);
    assert_eq!(state(&drifted, "displayName"), AttributeState::Drifted);
    assert_eq!(drifted.drift.as_ref(), plan.drift.first());
}

#[test]
fn a_disable_that_is_under_way_and_an_anchor_that_changed_are_told() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test");
    world.person(2, "bob@x.test");
    world.objects = vec![ours(1, "ada@x.test"), ours(2, "bob@x.test")];
    world.plan(0);
    world.entries[1].dn = "uid=u1,ou=Elsewhere,dc=x".into();
    let plan = world.plan(1);
    let leaves = told(&world, &plan, 1);
    assert_eq!(leaves.participation, Participation::Out);
    assert_eq!(leaves.leaving, Some(Leaving::Leaves));
    assert!(!leaves.disabling);
    world.engine.sending(&plan.operations);
    assert!(told(&world, &plan, 1).disabling);
    world.objects[0]
        .attributes
        .insert("accountEnabled".into(), Value::Flag(false));
    world
        .engine
        .record(&plan.operations[0], &Outcome::Done { id: None }, minutes(1));
    let plan = world.plan(2);
    let left = told(&world, &plan, 1);
    assert!(!left.disabling && left.operations.is_empty());
    assert_eq!(left.leaving, Some(Leaving::Done));
    // Absent from the read: nothing proves it yet.
    world.entries.remove(2);
    let plan = world.plan(3);
    let absent = told(&world, &plan, 2);
    assert_eq!(
        (&absent.participation, &absent.entry),
        (&Participation::Absent, &None)
    );
    assert!(
        matches!(
            absent.leaving,
            Some(Leaving::Unproven { wake: Some(_), .. })
        ),
        "{absent:#?}"
    );
    assert_eq!(absent.absences[0].first_absent, Some(minutes(3)));
}

#[test]
fn whom_it_may_be_and_what_waits_for_an_exclusion_is_told() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test");
    world.objects = vec![user("t9", "ada@x.test")];
    let plan = world.plan(0);
    let waits = told(&world, &plan, 1);
    let reason = match &waits.participation {
        Participation::Aside { reason, .. } => *reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason, Reason::WouldAdopt);
    let ids: Vec<_> = waits
        .candidates
        .iter()
        .map(|object: &TargetObject| &*object.id.0)
        .collect();
    assert_eq!(ids, ["t9"]);
    let mut settings = configuration(Adopt::Never);
    let lost = Written::parse("ou=Lost,dc=x").unwrap();
    settings.scopes[0].exclude = vec![Include::OrganizationalUnit(lost)];
    world.engine.configure(settings);
    world.objects.clear();
    let plan = world.plan(1);
    let closed = told(&world, &plan, 1);
    assert!(closed.operations.is_empty());
    assert_eq!(closed.faults, plan.faults);
    assert_eq!(closed.faults[0].reason, Reason::ScopeUnresolved);
}

#[test]
fn who_is_named_as_member_and_manager_and_takes_no_part_is_told() {
    let mut world = World::new(Adopt::Report);
    world
        .person(1, "ada@x.test")
        .attributes
        .add("manager", vec![b"uid=u2,ou=Staff,dc=x".to_vec()]);
    world.person(2, "bob@x.test");
    let mut outsider = world.entries[2].clone();
    (outsider.dn, outsider.anchor) = ("uid=u5,ou=Elsewhere,dc=x".into(), Some(anchor(5)));
    world.entries.push(outsider);
    world.group(3, &["uid=u1,ou=Staff,dc=x", "uid=u5,ou=Elsewhere,dc=x"]);
    let plan = world.plan(0);
    let person = told(&world, &plan, 1);
    let manager = person.manager.unwrap();
    assert_eq!(manager.named[0].anchor, Some(anchor(2)));
    assert!(manager.named[0].takes_part);
    // The group gets him.
    assert_eq!(person.mentions.len(), 1);
    assert_eq!(person.mentions[0].anchor, anchor(3));
    let members = told(&world, &plan, 3).members.unwrap();
    assert_eq!((members.named, members.left_out_count), (2, 1));
    assert_eq!(members.left_out[0].anchor, Some(anchor(5)));
}

#[test]
fn what_the_target_cannot_hold_and_what_lies_among_the_deleted_items_is_told() {
    let mut world = World::new(Adopt::Report);
    let mut settings = configuration(Adopt::Report);
    settings.scopes[0].classes.insert(Class::Contact);
    world.engine.configure(settings);
    let contact = world.person(1, "partner@x.test");
    contact.kind = EntryKind::Contact;
    world.person(2, "bob@x.test");
    world.deleted = vec![ours(2, "bob@x.test")];
    let plan = world.plan(0);
    let contact = told(&world, &plan, 1);
    assert_eq!(contact.participation, Participation::Unsupported);
    assert!(contact.operations.is_empty() && contact.attributes.is_empty());
    let returner = told(&world, &plan, 2);
    let held = returner.target.as_ref().unwrap();
    assert!(held.ours && !held.live);
    assert_eq!(returner.operations[0].change.kind(), ChangeKind::Restore);
    assert_eq!(returner.leaving, None);
    // By his sign-in name, too.
    let named = world.engine.explain(&Question::new("Bob@x.test"), &plan);
    assert_eq!(named, [returner]);
}

#[test]
fn an_entry_of_another_connector_is_not_meant_where_one_is_named() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test");
    let plan = world.plan(0);
    let mut question = Question::new("uid=U1, ou=staff, dc=x");
    question.connector = Some("corp".into());
    question.scope = Some("another".into());
    let all = world.engine.explain(&question, &plan);
    assert_eq!((all.len(), all[0].scopes.len()), (1, 0));
    question.connector = Some("elsewhere".into());
    assert!(world.engine.explain(&question, &plan).is_empty());
}
