//! Rules that people get wrong, one by one.

use plumbline_engine::{
    configuration::Adopt,
    entry::EntryKind,
    operation::{Change, Outcome},
    reason::Reason,
    target::{TargetObject, Value},
};

use crate::world::{World, anchor, changes, entry, ours, reasons};

#[test]
fn a_sign_in_name_in_an_unverified_domain_is_set_aside_before_any_write() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@elsewhere.test");
    let plan = world.plan(0);
    assert!(plan.operations.is_empty());
    assert_eq!(reasons(&plan), [Reason::DomainNotVerified]);
}

#[test]
fn of_two_with_one_name_who_holds_it_keeps_it() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test");
    world.person(2, "ADA@x.test");
    world.objects = vec![ours(1, "ada@x.test")];
    let plan = world.plan(0);
    assert!(plan.operations.is_empty(), "{:?}", plan.operations);
    assert_eq!(reasons(&plan), [Reason::DuplicateValue]);
    assert_eq!(plan.quarantine[0].anchor, Some(anchor(2)));
    assert!(
        plan.quarantine[0].message.contains("uid=u1"),
        "it names the other: {}",
        plan.quarantine[0].message
    );
}

#[test]
fn a_member_in_two_escapings_is_one_member() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test").dn = "uid=a\\,b,ou=Staff,dc=x".into();
    world.group(3, &["uid=a\\2Cb,OU=staff,DC=x", "uid=a\\,b,ou=Staff,dc=x"]);
    let plan = world.plan(0);
    let added = changes(&plan)
        .into_iter()
        .filter(|change| matches!(change, Change::AddMember { .. }))
        .count();
    assert_eq!(added, 1, "{:?}", plan.operations);
}

#[test]
fn a_returner_is_restored_from_the_deleted_items() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test");
    world.deleted = vec![ours(1, "ada@x.test")];
    let plan = world.plan(0);
    assert!(
        matches!(changes(&plan)[..], [Change::Restore { .. }]),
        "{:?}",
        plan.operations
    );
}

#[test]
fn twins_by_anchor_are_both_set_aside_and_their_object_is_left_alone() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test");
    world.person(1, "eve@x.test").dn = "uid=eve,ou=Staff,dc=x".into();
    world.objects = vec![ours(1, "ada@x.test")];
    let plan = world.plan(0);
    assert!(plan.operations.is_empty(), "{:?}", plan.operations);
    assert!(
        plan.quarantine
            .iter()
            .all(|object| object.reason == Reason::AnchorNotUnique)
            && !plan.quarantine.is_empty()
    );
}

#[test]
fn an_entry_without_an_anchor_never_stops_the_others() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test").anchor = None;
    world.person(2, "grace@x.test");
    let plan = world.plan(0);
    assert!(matches!(changes(&plan)[..], [Change::Create { .. }]));
    assert_eq!(reasons(&plan), [Reason::AnchorMissing]);
}

#[test]
fn who_is_still_read_and_out_of_scope_is_disabled_once() {
    let mut world = World::new(Adopt::Report);
    world.person(2, "grace@x.test");
    world.entries.push(entry(
        "uid=u1,ou=Elsewhere,dc=x",
        EntryKind::User,
        1,
        &[("mail", "ada@x.test"), ("cn", "Someone")],
    ));
    world.objects = vec![ours(1, "ada@x.test"), ours(2, "grace@x.test")];
    assert!(matches!(changes(&world.plan(0))[..], [Change::Disable]));
    world.objects[0]
        .attributes
        .insert("accountEnabled".into(), Value::Flag(false));
    let plan = world.plan(1);
    assert!(
        plan.operations.is_empty() && plan.quarantine.is_empty(),
        "{plan:?}"
    );
}

#[test]
fn an_unresolved_unit_holds_everybody_of_its_scope() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test");
    world.objects = vec![ours(1, "ada@x.test")];
    assert!(world.plan(0).faults.is_empty());
    world.entries.clear();
    let plan = world.plan(90);
    assert!(
        plan.operations.is_empty() && plan.holds.is_empty(),
        "{plan:?}"
    );
    assert_eq!(
        plan.faults
            .iter()
            .map(|fault| fault.reason)
            .collect::<Vec<_>>(),
        [Reason::ScopeUnresolved]
    );
}

#[test]
fn a_renamed_unit_is_followed_by_its_guid() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test");
    world.objects = vec![ours(1, "ada@x.test")];
    world.plan(0);
    for entry in &mut world.entries {
        entry.dn = entry.dn.replace("ou=Staff", "ou=People");
    }
    let plan = world.plan(1);
    assert!(
        plan.operations.is_empty() && plan.faults.is_empty(),
        "{plan:?}"
    );
    assert_eq!(world.engine.resolved("staff")[0].dn, "ou=People,dc=x");
}

#[test]
fn a_value_that_the_target_rewrote_is_not_sent_again() {
    let mut world = World::new(Adopt::Report);
    world
        .person(1, "ada@x.test")
        .attributes
        .add("l", vec![b"Ghent ".to_vec()]);
    world.objects = vec![ours(1, "ada@x.test")];
    let plan = world.plan(0);
    let sent = plan.operations.first().unwrap().clone();
    let held = [("city".to_owned(), Value::Text("Ghent".into()))].into();
    let now = jiff::Timestamp::from_second(1_700_000_001).unwrap();
    world
        .engine
        .record(&sent, &Outcome::Rewritten { values: held }, now);
    world.objects[0] = TargetObject {
        attributes: world.objects[0].attributes.clone(),
        ..world.objects[0].clone()
    };
    world.objects[0]
        .attributes
        .insert("city".into(), Value::Text("Ghent".into()));
    let plan = world.plan(30);
    assert!(plan.operations.is_empty(), "{:?}", plan.operations);
}

#[test]
fn an_entry_whose_name_cannot_be_read_is_set_aside_alone() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test").dn = "uid=u1,,ou=Staff,dc=x".into();
    world.person(2, "grace@x.test");
    let plan = world.plan(0);
    assert!(matches!(changes(&plan)[..], [Change::Create { .. }]));
    assert_eq!(reasons(&plan), [Reason::InvalidDN]);
}
