//! Who is taken over: only where it is said, only one, and never who is privileged, a guest, mastered elsewhere or another's.

use plumbline_engine::{
    configuration::Adopt,
    entry::Class,
    operation::Change,
    reason::Reason,
    target::{Mark, Standing, TargetObject, Value},
};

use crate::world::{World, anchor, changes, reasons, user};

fn candidates() -> Vec<(&'static str, Vec<TargetObject>)> {
    let soft = user("t1", "Ada@X.test");
    let hard = TargetObject {
        immutable_id: Some(anchor(1).immutable_id()),
        ..user("t2", "other@x.test")
    };
    let with = |standing| TargetObject {
        standing,
        ..soft.clone()
    };
    let other = Mark {
        owner: "another".into(),
        anchor: anchor(9),
    };
    vec![
        ("soft", vec![soft.clone()]),
        ("hard", vec![hard.clone()]),
        (
            "two",
            vec![
                hard.clone(),
                TargetObject {
                    id: soft.id.clone(),
                    ..hard
                },
            ],
        ),
        (
            "privileged",
            vec![with(Standing {
                privileged: true,
                ..Standing::default()
            })],
        ),
        (
            "guest",
            vec![with(Standing {
                guest: true,
                ..Standing::default()
            })],
        ),
        (
            "synced",
            vec![with(Standing {
                synced: true,
                ..Standing::default()
            })],
        ),
        (
            "another's",
            vec![TargetObject {
                mark: Some(other),
                ..soft
            }],
        ),
    ]
}

#[test]
fn report_creates_nothing_and_says_who_would_be_taken_over() {
    for (what, objects) in candidates() {
        let mut world = World::new(Adopt::Report);
        world.person(1, "ada@x.test");
        world.objects = objects;
        let plan = world.plan(0);
        assert!(plan.operations.is_empty(), "{what}: {:?}", plan.operations);
        let (reason, named) = match what {
            "soft" => (Reason::WouldAdopt, "user t1 matches by `userPrincipalName`"),
            "hard" => (Reason::WouldAdopt, "user t2 matches by immutable id"),
            "two" => (
                Reason::AmbiguousMatch,
                "user t1, user t2 match by immutable id",
            ),
            "another's" => (
                Reason::OwnedByOther,
                "user t1 matches by `userPrincipalName`",
            ),
            _ => (
                Reason::NotAdoptable,
                "user t1 matches by `userPrincipalName`",
            ),
        };
        let [listed] = &plan.quarantine[..] else {
            panic!("{what}: {:?}", plan.quarantine);
        };
        assert_eq!(listed.class, Class::User, "{what}");
        assert_eq!(listed.anchor, Some(anchor(1)), "{what}");
        assert_eq!(listed.dn, "uid=u1,ou=Staff,dc=x", "{what}");
        assert_eq!(listed.reason, reason, "{what}");
        assert!(
            listed.message.starts_with(named),
            "{what}: {}",
            listed.message
        );
    }
}

#[test]
fn adopt_takes_over_exactly_one_ordinary_object() {
    for (what, objects) in candidates() {
        let mut world = World::new(Adopt::Adopt);
        world.person(1, "ada@x.test");
        world.objects = objects;
        let plan = world.plan(0);
        let expected = match what {
            "soft" | "hard" => {
                assert!(
                    matches!(changes(&plan)[..], [Change::Adopt { .. }]),
                    "{what}: {:?}",
                    plan.operations
                );
                assert!(plan.quarantine.is_empty(), "{what}: {:?}", plan.quarantine);
                continue;
            }
            "two" => Reason::AmbiguousMatch,
            "another's" => Reason::OwnedByOther,
            _ => Reason::NotAdoptable,
        };
        assert!(plan.operations.is_empty(), "{what}: {:?}", plan.operations);
        assert_eq!(reasons(&plan), [expected], "{what}");
    }
}

#[test]
fn without_the_right_to_read_roles_nothing_is_adopted() {
    let mut world = World::new(Adopt::Adopt);
    world.person(1, "ada@x.test");
    world.objects = vec![user("t1", "ada@x.test")];
    world.roles_readable = false;
    let plan = world.plan(0);
    assert!(plan.operations.is_empty(), "{:?}", plan.operations);
    assert_eq!(plan.quarantine.len(), 1);
}

#[test]
fn somebody_new_whom_nobody_resembles_is_created() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test");
    world.objects = vec![user("t1", "grace@x.test")];
    let plan = world.plan(0);
    assert!(
        matches!(changes(&plan)[..], [Change::Create { .. }]),
        "{:?}",
        plan.operations
    );
}

#[test]
fn whom_the_source_has_locked_is_taken_over_enabled_and_then_disabled_under_the_guard() {
    let mut world = World::new(Adopt::Adopt);
    let locked = vec![b"000001010000Z".to_vec()];
    let ada = world.person(1, "ada@x.test");
    ada.attributes.add("pwdAccountLockedTime", locked);
    let mut enabled = user("t1", "ada@x.test");
    (enabled.attributes).insert("accountEnabled".to_owned(), Value::Flag(true));
    world.objects = vec![enabled];
    let plan = world.plan(0);
    let [
        Change::Adopt {
            mark,
            changes: sent,
        },
    ] = &changes(&plan)[..]
    else {
        panic!("{:?}", plan.operations);
    };
    assert!(!sent.contains_key("accountEnabled"), "{sent:?}");
    world.objects[0].mark = Some(mark.clone());
    let plan = world.plan(1);
    assert!(
        changes(&plan).contains(&&Change::Disable),
        "{:?}",
        plan.operations
    );
}
