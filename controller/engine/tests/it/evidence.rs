//! Evidence, scopes, references, refusals and the guard, event by event over the public surface.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use plumbline_engine::{
    anchor::Anchor,
    configuration::{Adopt, ConnectorSettings, Deprovision, Include},
    dn::Written,
    engine::Engine,
    entry::{Entry, EntryKind, ServerType},
    memory::Memory,
    operation::{Change, Outcome},
    plan::{Digest, Plan},
    port::{Cause, Extent, Import, Observation, Sighting},
    reason::Reason,
    target::{TargetId, TargetObject, Value},
};

use crate::world::{World, anchor, changes, configuration, entry, ours, reasons};

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + minutes * 60).unwrap()
}

fn read(engine: &mut Engine, connector: &str, entries: &[Entry], minutes: i64, whole: bool) {
    let begin = Import::Begin {
        at: at(minutes),
        server_type: ServerType::OpenLdap,
        tombstones: false,
        extent: Extent::Complete(Cause::First),
    };
    engine.import(connector, begin);
    engine.import(connector, Import::Batch(entries.to_vec()));
    if whole {
        engine.import(connector, Import::End { cursor: None });
    }
}

fn look(engine: &mut Engine, objects: &[TargetObject], minutes: i64) -> (Plan, Option<Timestamp>) {
    for event in [
        Observation::Begin { complete: true },
        Observation::Domains(BTreeSet::from(["x.test".to_owned()])),
        Observation::RolesReadable(true),
        Observation::Batch(objects.to_vec()),
        Observation::Deleted(vec![]),
        Observation::End { cursor: None },
    ] {
        engine.observe(event, at(minutes));
    }
    engine.plan(at(minutes))
}

fn our_group(id: u8, members: &[&str]) -> TargetObject {
    let mut group = ours(id, "g");
    group.class = plumbline_engine::entry::Class::Group;
    group.immutable_id = None;
    group.attributes = [("displayName".to_owned(), Value::Text("Group".into()))].into();
    group.members = Some(members.iter().map(|id| TargetId((*id).into())).collect());
    group
}

fn faults(plan: &Plan) -> Vec<Reason> {
    plan.faults.iter().map(|fault| fault.reason).collect()
}

#[test]
fn a_changed_text_anchor_is_set_aside_with_and_without_memory() {
    for forget in [false, true] {
        let mut world = World::new(Adopt::Report);
        world.person(1, "ada@x.test").anchor = Some(Anchor::from_text("E1"));
        let mut object = ours(1, "ada@x.test");
        object.mark.as_mut().unwrap().anchor = Anchor::from_text("E1");
        object.immutable_id = Some("E1".into());
        world.objects = vec![object];
        let plan = world.plan(0);
        assert!(plan.operations.is_empty(), "{plan:?}");
        world.entries[1].anchor = Some(Anchor::from_text("E2"));
        if forget {
            world.engine = Engine::new(configuration(Adopt::Report), Memory::default());
        }
        for minutes in [1, 90, 180] {
            let plan = world.plan(minutes);
            assert!(
                plan.operations.is_empty() && plan.holds.is_empty(),
                "{forget} {minutes} {plan:?}"
            );
            assert!(
                reasons(&plan).contains(&Reason::AnchorChanged),
                "{forget} {minutes} {plan:?}"
            );
        }
    }
}

#[test]
fn a_changed_uuid_anchor_with_the_same_alternate_is_set_aside() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test").alternate = Some(anchor(50));
    world.objects = vec![ours(1, "ada@x.test")];
    assert!(world.plan(0).operations.is_empty());
    world.entries[1].anchor = Some(anchor(2));
    for minutes in [1, 90] {
        let plan = world.plan(minutes);
        assert!(plan.operations.is_empty(), "{plan:?}");
        assert_eq!(reasons(&plan), [Reason::AnchorChanged], "{plan:?}");
    }
}

#[test]
fn a_dn_that_names_another_unit_is_ambiguous() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test");
    world.objects = vec![ours(1, "ada@x.test")];
    world.plan(0);
    for entry in &mut world.entries {
        entry.dn = entry.dn.replace("ou=Staff", "ou=Old");
    }
    world.entries.push(entry(
        "ou=Staff,dc=x",
        EntryKind::Container,
        201,
        &[("ou", "Staff")],
    ));
    for minutes in [1, 90] {
        let plan = world.plan(minutes);
        assert_eq!(faults(&plan), [Reason::ScopeAmbiguous]);
        assert!(
            plan.operations.is_empty() && plan.holds.is_empty(),
            "{plan:?}"
        );
    }
}

#[test]
fn a_renamed_unit_is_followed_with_memory_of_the_status_only() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test");
    world.objects = vec![ours(1, "ada@x.test")];
    let mut memory = Memory::default();
    memory.resolve(
        "staff",
        &Written::parse("OU=staff, DC=X").unwrap(),
        anchor(200),
        "ou=Staff,dc=x",
    );
    world.engine = Engine::new(configuration(Adopt::Report), memory);
    for entry in &mut world.entries {
        entry.dn = entry.dn.replace("ou=Staff", "ou=People");
    }
    let plan = world.plan(0);
    assert!(
        plan.operations.is_empty() && plan.faults.is_empty(),
        "{plan:?}"
    );
    assert_eq!(world.engine.scope_counts("staff").users, 1);
}

/// His old object was deleted, and the new one bears its GUID as source anchor.
#[test]
fn who_came_back_is_not_buried_by_the_tombstone_of_his_old_object() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test").alternate = Some(anchor(101));
    world.person(2, "bob@x.test").alternate = Some(anchor(2));
    world.objects = vec![ours(1, "ada@x.test"), ours(2, "bob@x.test")];
    let mut read = |entries: &[Entry], graves: &[u8], minutes: i64| {
        let begin = Import::Begin {
            at: at(minutes),
            server_type: ServerType::ActiveDirectory,
            tombstones: true,
            extent: Extent::Complete(Cause::First),
        };
        world.engine.import("corp", begin);
        world.engine.import("corp", Import::Batch(entries.to_vec()));
        let graves = graves.iter().map(|id| anchor(*id)).collect();
        world.engine.import("corp", Import::Tombstones(graves));
        world.engine.import("corp", Import::End { cursor: None });
        look(&mut world.engine, &world.objects, minutes).0
    };
    let entries = world.entries.clone();
    let plan = read(&entries, &[1], 0);
    assert!(plan.operations.is_empty(), "{plan:?}");
    let plan = read(&entries[..1], &[1, 2], 1);
    assert_eq!(changes(&plan), [&Change::Disable], "{plan:?}");
    assert_eq!(plan.operations[0].anchor, anchor(2));
    assert_eq!(reasons(&plan), [Reason::AbsenceUnproven]);
    // Now both are proven to be gone, which is all there are: the guard holds them.
    let plan = read(&entries[..1], &[1, 2, 101], 2);
    assert_eq!(
        (reasons(&plan), plan.holds[0].count),
        (vec![], 2),
        "{plan:?}"
    );
}

fn two_scopes() -> plumbline_engine::configuration::Configuration {
    let mut two = configuration(Adopt::Report);
    let mut second = configuration(Adopt::Report).scopes.remove(0);
    second.name = "everything".into();
    second.include = vec![Include::Everything];
    two.scopes.push(second);
    two
}

#[test]
fn who_leaves_one_of_two_scopes_stays_by_the_other_and_is_one() {
    let mut world = World::new(Adopt::Report);
    world.engine = Engine::new(two_scopes(), Memory::default());
    world.person(1, "ada@x.test");
    let plan = world.plan(0);
    assert_eq!(changes(&plan).len(), 1);
    assert_eq!(plan.counts.users, 1);
    world.objects = vec![ours(1, "ada@x.test")];
    world.entries[1].dn = "uid=u1,ou=Elsewhere,dc=x".into();
    let plan = world.plan(1);
    assert!(
        plan.operations.is_empty() && plan.holds.is_empty(),
        "{plan:?}"
    );
    assert_eq!(world.engine.scope_counts("staff").users, 0);
    assert_eq!(world.engine.scope_counts("everything").users, 1);
}

fn two_connectors() -> plumbline_engine::configuration::Configuration {
    let mut two = configuration(Adopt::Report);
    two.connectors.push(ConnectorSettings {
        name: "other".into(),
        confirm_absence: Duration::from_secs(60),
    });
    let mut second = configuration(Adopt::Report).scopes.remove(0);
    second.name = "others".into();
    second.connector = "other".into();
    second.include = vec![Include::Everything];
    two.scopes.push(second);
    two
}

#[test]
fn members_of_an_unread_connector_stay_in_their_groups() {
    let mut world = World::new(Adopt::Report);
    world.engine = Engine::new(two_connectors(), Memory::default());
    world.person(1, "ada@x.test");
    world.group(3, &[]);
    let entries = world.entries.clone();
    let objects = vec![
        ours(1, "ada@x.test"),
        ours(9, "eve@x.test"),
        our_group(3, &["t1", "t9"]),
    ];
    // 9 is of the connector that was never read.
    read(&mut world.engine, "corp", &entries, 0, true);
    let (plan, _) = look(&mut world.engine, &objects, 0);
    assert!(!plan.operations.iter().any(|one| matches!(&one.change, Change::RemoveMember { member } if member.to_string() == anchor(9).to_string())), "{plan:?}");
    assert!(
        !plan
            .operations
            .iter()
            .any(|one| matches!(one.change, Change::Disable | Change::Delete)),
        "{plan:?}"
    );
    // Begun and cut.
    read(&mut world.engine, "other", &[], 1, false);
    let (plan, _) = look(&mut world.engine, &objects, 1);
    assert!(!plan.operations.iter().any(|one| matches!(&one.change, Change::RemoveMember { member } if member.to_string() == anchor(9).to_string())), "{plan:?}");
}

#[test]
fn a_member_in_quarantine_stays_in_his_group() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@elsewhere.test");
    world.person(2, "grace@x.test");
    world.group(3, &["uid=u2,ou=Staff,dc=x"]);
    world.objects = vec![
        ours(1, "ada@x.test"),
        ours(2, "grace@x.test"),
        our_group(3, &["t1", "t2"]),
    ];
    let plan = world.plan(0);
    assert_eq!(reasons(&plan), [Reason::DomainNotVerified]);
    assert!(
        plan.operations.is_empty() && plan.holds.is_empty(),
        "{plan:?}"
    );
}

#[test]
fn absence_wakes_the_plan_is_confirmed_by_a_search_and_the_leaver_is_called_by_name() {
    let mut world = World::new(Adopt::Report);
    world.person(1, "ada@x.test");
    world.person(2, "grace@x.test");
    let all = world.entries.clone();
    let left = vec![all[0].clone(), all[2].clone()];
    let objects = vec![ours(1, "ada@x.test"), ours(2, "grace@x.test")];
    let engine = &mut world.engine;
    read(engine, "corp", &all, 0, true);
    assert_eq!(look(engine, &objects, 0).1, None);
    read(engine, "corp", &left, 1, true);
    let (plan, wake) = look(engine, &objects, 1);
    assert!(plan.operations.is_empty());
    assert_eq!(reasons(&plan), [Reason::AbsenceUnproven]);
    assert_eq!(wake, Some(at(2)));
    assert!(engine.doubts("corp", at(1)).is_empty());
    read(engine, "corp", &left, 2, true);
    let (plan, _) = look(engine, &objects, 2);
    assert!(plan.operations.is_empty(), "without a search");
    assert_eq!(engine.doubts("corp", at(2)), [anchor(1)]);
    let sighting = Sighting {
        anchor: anchor(1),
        found: false,
    };
    engine.import(
        "corp",
        Import::Evidence {
            sighting,
            at: at(2),
        },
    );
    let (plan, _) = look(engine, &objects, 2);
    assert!(matches!(changes(&plan)[..], [Change::Disable]), "{plan:?}");
    assert_eq!(plan.name(&anchor(1)), Some("ada@x.test"));
}

#[test]
fn a_refused_write_backs_off_and_a_changed_one_goes_at_once() {
    let mut world = World::new(Adopt::Report);
    world
        .person(1, "ada@x.test")
        .attributes
        .add("l", vec![b"Ghent".to_vec()]);
    world.objects = vec![ours(1, "ada@x.test")];
    let mut minutes = 0;
    for delay in [1, 2, 4, 8, 16, 32, 60, 60] {
        let plan = world.plan(minutes);
        let sent = plan
            .operations
            .first()
            .unwrap_or_else(|| panic!("{minutes}: {plan:?}"))
            .clone();
        let refused = Outcome::Refused {
            reason: Reason::DuplicateValue,
            message: "no".into(),
        };
        world.engine.record(&sent, &refused, at(minutes));
        let entries = world.entries.clone();
        read(&mut world.engine, "corp", &entries, minutes, true);
        let (plan, wake) = look(&mut world.engine, &world.objects.clone(), minutes);
        assert!(plan.operations.is_empty() && plan.quarantine.len() == 1);
        assert_eq!(wake, Some(at(minutes + delay)));
        minutes += delay;
    }
    let sent = world.plan(minutes).operations[0].clone();
    let refused = Outcome::Refused {
        reason: Reason::DuplicateValue,
        message: "no".into(),
    };
    world.engine.record(&sent, &refused, at(minutes));
    assert!(world.plan(minutes).operations.is_empty());
    world.entries[1]
        .attributes
        .add("l", vec![b"Aalst".to_vec()]);
    assert_eq!(world.plan(minutes).operations.len(), 1);
}

#[test]
fn however_often_it_failed_it_waits_an_hour() {
    let mut world = World::new(Adopt::Report);
    world
        .person(1, "ada@x.test")
        .attributes
        .add("l", vec![b"Ghent".to_vec()]);
    world.objects = vec![ours(1, "ada@x.test")];
    let mut minutes = 0;
    for n in 1..70 {
        let plan = world.plan(minutes);
        let sent = plan.operations.first().unwrap().clone();
        let refused = Outcome::Refused {
            reason: Reason::DuplicateValue,
            message: "no".into(),
        };
        world.engine.record(&sent, &refused, at(minutes));
        let wake = world.engine.plan(at(minutes)).1.unwrap();
        let waited = wake.duration_since(at(minutes)).as_mins();
        if n > 6 {
            assert_eq!(waited, 60, "after failure {n}");
        }
        minutes += waited;
    }
}

/// Groups at the target, each with so many people of its own, whom the source names in none.
fn crowd(groups: &[(u8, u8)]) -> World {
    let mut world = World::new(Adopt::Report);
    let mut next = 20;
    for (group, members) in groups {
        let mut ids = Vec::new();
        for _ in 0..*members {
            let name = format!("p{next}@x.test");
            world.person(next, &name);
            world.objects.push(ours(next, &name));
            ids.push(format!("t{next}"));
            next += 1;
        }
        world.group(*group, &[]);
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        world.objects.push(our_group(*group, &ids));
    }
    world
}

fn keep_members(world: &mut World, group: u8, ids: std::ops::Range<u8>) {
    let entry = world
        .entries
        .iter_mut()
        .find(|one| one.anchor == Some(anchor(group)))
        .unwrap();
    entry.attributes.add(
        "member",
        ids.map(|id| format!("uid=u{id},ou=Staff,dc=x").into_bytes())
            .collect(),
    );
}

#[test]
fn small_groups_may_be_emptied_and_large_or_all_of_them_may_not() {
    // a small group emptied beside a kept one: flows
    for small in 2..=10 {
        let mut world = crowd(&[(3, small), (4, 5)]);
        keep_members(&mut world, 4, 20 + small..25 + small);
        let plan = world.plan(0);
        assert_eq!(
            plan.operations.len(),
            usize::from(small),
            "{small}: {plan:?}"
        );
        assert!(plan.holds.is_empty());
    }
    // eleven of eleven: held; the other small one flows
    let mut world = crowd(&[(3, 11), (4, 2), (5, 5)]);
    keep_members(&mut world, 5, 33..38);
    let plan = world.plan(0);
    assert_eq!(plan.operations.len(), 2, "{plan:?}");
    assert_eq!(plan.holds.len(), 1);
    assert_eq!(plan.holds[0].count, 11);
    // approval of the digest releases exactly it
    let mut approved = configuration(Adopt::Report);
    approved.guard.approved = [plan.holds[0].digest.clone()].into();
    world.engine.configure(approved);
    let plan = world.plan(1);
    assert_eq!(plan.operations.len(), 13);
    assert!(plan.holds.is_empty());
    // all memberships: held
    let mut world = crowd(&[(3, 2), (4, 3)]);
    let plan = world.plan(0);
    assert!(plan.operations.is_empty(), "{plan:?}");
    assert_eq!(plan.holds[0].count, 5);
}

#[test]
fn many_small_removals_are_held_together_by_the_limit_over_all_groups() {
    let mut world = crowd(&[(3, 7), (4, 7), (5, 5)]);
    keep_members(&mut world, 5, 34..39);
    let with_max = |max| {
        let mut limited = configuration(Adopt::Report);
        limited.guard.membership_removals.max = max;
        limited
    };
    for (max, held) in [(14, 0), (13, 14)] {
        world.engine.configure(with_max(max));
        let plan = world.plan(0);
        let count: usize = plan.holds.iter().map(|hold| hold.count).sum();
        assert_eq!(
            (count, plan.operations.len()),
            (held, 14 - held),
            "{plan:?}"
        );
    }
}

#[test]
fn a_hold_of_disables_withholds_its_class_only_and_its_digest_releases_it() {
    let mut world = World::new(Adopt::Report);
    for id in 1..=20 {
        world.person(id, &format!("p{id}@x.test"));
        world.objects.push(ours(id, &format!("p{id}@x.test")));
    }
    for entry in &mut world.entries[1..=7] {
        entry.dn = entry.dn.replace("ou=Staff", "ou=Out");
    }
    world.entries[8]
        .attributes
        .add("l", vec![b"Ghent".to_vec()]);
    world.person(30, "new@x.test");
    let plan = world.plan(0);
    assert_eq!(plan.operations.len(), 2, "{plan:?}");
    assert_eq!(plan.holds.len(), 1);
    assert_eq!(plan.holds[0].count, 7);
    assert_eq!(plan.name(&anchor(1)), Some("p1@x.test"));
    let digest = plan.holds[0].digest.clone();
    for (approved, flowing, held) in [(Digest::of(b"another"), 2, 1), (digest, 9, 0)] {
        let mut approving = configuration(Adopt::Report);
        approving.guard.approved = [approved].into();
        world.engine.configure(approving);
        let plan = world.plan(1);
        assert_eq!((plan.operations.len(), plan.holds.len()), (flowing, held));
    }
    // Its approval is of these seven, not of an eighth.
    world.entries[9].dn = world.entries[9].dn.replace("ou=Staff", "ou=Out");
    let plan = world.plan(2);
    assert_eq!(plan.holds[0].count, 8, "{plan:?}");
}

#[test]
fn a_leaver_is_deleted_where_deprovision_says_so() {
    let mut delete = configuration(Adopt::Report);
    delete.deprovision_user = Deprovision::Delete;
    let mut world = World::new(Adopt::Report);
    world.engine = Engine::new(delete, Memory::default());
    world.person(1, "ada@x.test");
    world.person(2, "grace@x.test");
    world.objects = vec![ours(1, "ada@x.test"), ours(2, "grace@x.test")];
    world.entries[1].dn = "uid=u1,ou=Out,dc=x".into();
    let plan = world.plan(0);
    assert!(matches!(changes(&plan)[..], [Change::Delete]), "{plan:?}");
}
