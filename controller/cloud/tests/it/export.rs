//! Every operation, and what happens when Graph is slow, late, busy or silent.

use std::time::Duration;

use plumbline_engine::{
    entry::Class,
    operation::{Change, Member, Outcome},
    port::Target as _,
    reason::Reason,
    target::{TargetId, Value},
};
use plumbline_lab::tenant::{Config, Faults};
use serde_json::json;

use crate::fixture::{
    Leave, OWNER, World, add, anchor, create_group, create_user, id_of, is_done, mark, operation,
    values,
};

fn assert_all_done(outcomes: &[Outcome]) {
    let other: Vec<_> = outcomes
        .iter()
        .filter(|outcome| !is_done(outcome))
        .collect();
    assert!(other.is_empty(), "{other:?}");
}

#[tokio::test]
async fn everything_a_group_needs_goes_out_in_one_export() {
    let mut world = World::start(Config::default()).await;
    world.read().await;
    // In the wrong order on purpose: lanes decide.
    let mut operations: Vec<_> = (0..45).map(|n| add("staff", &format!("u{n}"))).collect();
    operations.push(add("all", "staff"));
    operations.push(operation(
        Class::User,
        "u1",
        Change::SetManager {
            manager: Some(anchor("u0")),
        },
    ));
    operations.push(create_group("staff"));
    operations.push(create_group("all"));
    operations.extend((0..45).map(|n| create_user(&format!("u{n}"))));
    let outcomes = world.export(operations).await;
    assert_all_done(&outcomes);
    let groups = world.tenant.groups();
    let members = |name: &str| {
        let group = groups
            .iter()
            .find(|group| group["displayName"] == name)
            .unwrap();
        group["members"].as_array().unwrap().len()
    };
    assert_eq!((members("staff"), members("all")), (45, 1));
    assert_eq!(world.user("u1")["manager"], world.user("u0")["id"]);
    assert_eq!(
        world.user("u1")[world.mark_property()],
        mark("u1").to_string()
    );
    assert_eq!(
        world.user("u1")["onPremisesImmutableId"],
        anchor("u1").immutable_id()
    );
    let adds = world
        .tenant
        .log()
        .iter()
        .filter(|one| {
            one.body
                .as_ref()
                .is_some_and(|body| body.get("members@odata.bind").is_some())
        })
        .count();
    assert_eq!(adds, 4, "45 members in 3 writes, one in another");
    world.assert_clean();
}

#[tokio::test]
async fn objects_are_changed_disabled_deleted_and_restored() {
    let mut world = World::start(Config::default()).await;
    world.read().await;
    let made = world
        .export(vec![
            create_user("ada"),
            create_user("bob"),
            create_group("staff"),
            add("staff", "ada"),
            add("staff", "bob"),
        ])
        .await;
    assert_all_done(&made);
    let update = Change::Update {
        changes: [
            ("city".to_owned(), Some(Value::Text("Köln".to_owned()))),
            ("division".to_owned(), Some(Value::Text("North".to_owned()))),
            ("costCenter".to_owned(), None),
            (
                "extensionAttribute1".to_owned(),
                Some(Value::Text("x".to_owned())),
            ),
        ]
        .into(),
    };
    let outcomes = world
        .export(vec![
            operation(Class::User, "ada", update),
            operation(
                Class::User,
                "ada",
                Change::SetManager {
                    manager: Some(anchor("bob")),
                },
            ),
            operation(
                Class::Group,
                "staff",
                Change::RemoveMember {
                    member: Member::Ours(anchor("bob")),
                },
            ),
        ])
        .await;
    assert_all_done(&outcomes);
    let ada = world.user("ada");
    assert_eq!(ada["city"], "Köln");
    assert_eq!(ada["employeeOrgData"]["division"], "North");
    assert_eq!(
        ada["onPremisesExtensionAttributes"]["extensionAttribute1"],
        "x"
    );
    assert_eq!(ada["manager"], world.user("bob")["id"]);
    assert_eq!(world.tenant.groups()[0]["members"], json!([ada["id"]]));

    let outcomes = world
        .export(vec![
            operation(Class::User, "ada", Change::SetManager { manager: None }),
            operation(Class::User, "bob", Change::Disable),
        ])
        .await;
    assert_all_done(&outcomes);
    assert_eq!(world.user("bob")["accountEnabled"], false);
    assert_eq!(
        world.tenant.revoked_sessions(),
        [id_of(&made[1]).to_string()]
    );
    assert!(world.user("ada")["manager"].is_null());

    world.read().await;
    let outcomes = world
        .export(vec![
            operation(Class::User, "bob", Change::Delete),
            operation(Class::Group, "staff", Change::Delete),
        ])
        .await;
    assert_all_done(&outcomes);
    assert_eq!(world.tenant.deleted().len(), 2);

    let read = world.read().await;
    assert_eq!(read.deleted.len(), 2);
    let mut restore = operation(
        Class::User,
        "bob",
        Change::Restore {
            mark: mark("bob"),
            changes: [("accountEnabled".to_owned(), Some(Value::Flag(true)))].into(),
        },
    );
    restore.target = Some(id_of(&made[1]));
    assert_all_done(&world.export(vec![restore]).await);
    assert_eq!(world.user("bob")["accountEnabled"], true);
    world.assert_clean();
}

#[tokio::test]
async fn an_object_without_our_mark_is_never_deleted_disabled_or_emptied() {
    let mut world = World::start(Config::default()).await;
    let eve = world.tenant.insert_user(json!({"userPrincipalName": "eve@corp.example.com", "displayName": "eve", "mailNickname": "eve",
        "accountEnabled": true, "onPremisesImmutableId": anchor("eve").immutable_id()})).unwrap();
    world.read().await;
    for change in [
        Change::Delete,
        Change::Disable,
        Change::RemoveMember {
            member: Member::Foreign(TargetId("x".into())),
        },
    ] {
        let mut operation = operation(Class::User, "eve", change);
        operation.target = Some(TargetId(eve.as_str().into()));
        let outcomes = world.export(vec![operation]).await;
        assert!(
            matches!(
                outcomes[0],
                Outcome::Refused {
                    reason: Reason::RefusedByTarget,
                    ..
                }
            ),
            "{outcomes:?}"
        );
    }
    assert!(world.tenant.log().iter().all(|request| !request.write));
}

#[tokio::test]
async fn a_name_that_is_taken_is_a_conflict_with_its_holder() {
    let mut world = World::start(Config::default()).await;
    world.tenant.insert_user(json!({"userPrincipalName": "ada@corp.example.com", "displayName": "Other", "mailNickname": "ada", "accountEnabled": true})).unwrap();
    world.read().await;
    let outcomes = world
        .export(vec![create_user("ada"), create_user("bob")])
        .await;
    let expected = Outcome::Conflict {
        attribute: Some("userPrincipalName".to_owned()),
        holder: Some("ada@corp.example.com".to_owned()),
    };
    assert_eq!(outcomes[0], expected);
    assert!(is_done(&outcomes[1]));
}

#[tokio::test]
async fn a_create_that_was_done_already_finds_its_object() {
    let mut world = World::start(Config::default()).await;
    world.read().await;
    let first = world
        .export(vec![create_user("ada"), create_group("staff")])
        .await;
    // As after a crash: the same operations by someone who does not know.
    let second = world
        .export(vec![create_user("ada"), create_group("staff")])
        .await;
    assert_eq!(first, second);
    assert_eq!(
        (world.tenant.users().len(), world.tenant.groups().len()),
        (1, 1)
    );
}

#[tokio::test]
async fn members_that_are_there_already_are_left_out_of_the_next_try() {
    let mut world = World::start(Config::default()).await;
    world.read().await;
    let mut operations: Vec<_> = (0..30).map(|n| create_user(&format!("u{n}"))).collect();
    operations.push(create_group("staff"));
    let made = world.export(operations).await;
    world
        .tenant
        .add_member(&id_of(&made[30]).0, &id_of(&made[3]).0)
        .unwrap();
    let outcomes = world
        .export((0..30).map(|n| add("staff", &format!("u{n}"))).collect())
        .await;
    assert_eq!(outcomes[3], Outcome::AlreadySo);
    assert_eq!(
        outcomes.iter().filter(|outcome| is_done(outcome)).count(),
        29
    );
    assert_eq!(
        world.tenant.groups()[0]["members"]
            .as_array()
            .unwrap()
            .len(),
        30
    );
}

#[tokio::test]
async fn one_bad_object_stops_no_other() {
    let mut world = World::start(Config::default()).await;
    world.read().await;
    let mut bad = create_user("bad");
    if let Change::Create { values: sent, .. } = &mut bad.change {
        sent.extend(values([("userPrincipalName", "bad@elsewhere.example")]));
    }
    let outcomes = world
        .export(vec![
            create_user("ada"),
            bad,
            create_group("staff"),
            add("staff", "bad"),
            add("staff", "ada"),
            add("staff", "nobody"),
        ])
        .await;
    assert!(
        matches!(
            &outcomes[1],
            Outcome::Refused {
                reason: Reason::AttributeInvalid,
                ..
            }
        ),
        "{outcomes:?}"
    );
    assert!(matches!(outcomes[3], Outcome::NotYet { .. }));
    assert!(matches!(outcomes[5], Outcome::NotYet { .. }));
    assert!(
        [0, 2, 4].iter().all(|at| is_done(&outcomes[*at])),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn late_replicas_lost_answers_and_a_busy_service_change_nothing_in_the_end() {
    let mut world = World::start(Config {
        seed: 11,
        ..Config::default()
    })
    .await;
    world
        .tenant
        .set_replication_delay(Duration::from_millis(500)..Duration::from_millis(1_500));
    world.tenant.set_faults(Faults {
        unavailable: 0.03,
        lost_answer: 0.15,
        concurrency_error: 0.03,
        ..Faults::default()
    });
    world.read().await;
    let mut operations: Vec<_> = (0..120).map(|n| create_user(&format!("u{n}"))).collect();
    operations.extend((0..8).map(|n| create_group(&format!("g{n}"))));
    operations.extend((0..8).flat_map(|group| {
        (0..30).map(move |n| add(&format!("g{group}"), &format!("u{}", n + group)))
    }));
    operations.extend((1..120).map(|n| {
        operation(
            Class::User,
            &format!("u{n}"),
            Change::SetManager {
                manager: Some(anchor("u0")),
            },
        )
    }));
    let outcomes = world.export(operations).await;
    let other: Vec<_> = outcomes
        .iter()
        .filter(|outcome| !is_done(outcome) && **outcome != Outcome::AlreadySo)
        .collect();
    assert!(other.is_empty(), "{other:?}");
    assert_eq!(
        (world.tenant.users().len(), world.tenant.groups().len()),
        (120, 8)
    );
    for group in world.tenant.groups() {
        assert_eq!(group["members"].as_array().unwrap().len(), 30);
    }
    let seen = world.tenant.seen();
    assert!(
        seen.lost_answers > 0 && seen.unavailable > 0 && seen.not_found_after_create > 0,
        "{seen:?}"
    );
    world.assert_clean();
}

#[tokio::test]
async fn members_of_a_fresh_group_are_added_once_it_is_visible() {
    let mut world = World::start(Config::default()).await;
    world.read().await;
    assert_all_done(&world.export(vec![create_user("ada")]).await);
    let lag = Duration::from_millis(500);
    let lags = lag..lag + Duration::from_millis(1);
    world.tenant.set_replication_delay(lags);
    let outcomes = world
        .export(vec![create_group("staff"), add("staff", "ada")])
        .await;
    assert_all_done(&outcomes);
    assert!(world.tenant.seen().link_on_fresh_object > 0);
    world.assert_clean();
}

#[tokio::test]
async fn a_group_whose_create_was_lost_is_waited_for_until_it_is_visible() {
    let mut world = World::start(Config::default()).await;
    world.read().await;
    let lag = Duration::from_millis(1_500);
    let lags = lag..lag + Duration::from_millis(1);
    world.tenant.set_replication_delay(lags);
    world.tenant.set_faults(Faults {
        lost_answer: 1.0,
        ..Faults::default()
    });
    let World { tenant, target, .. } = &mut world;
    let calm = async {
        while tenant.seen().lost_answers == 0 {
            tokio::task::yield_now().await;
        }
        tenant.set_faults(Faults::default());
    };
    let (leave, mut outcomes) = (Leave::default(), Vec::new());
    let mut report = |_, outcome| outcomes.push(outcome);
    let export = target.export(vec![create_group("staff")], &leave, &mut report);
    let (result, ()) = tokio::join!(export, calm);
    result.unwrap();
    assert_all_done(&outcomes);
    assert_eq!(world.tenant.groups().len(), 1);
    world.assert_clean();
}

#[tokio::test]
async fn a_withdrawn_permit_ends_the_export_and_what_was_not_sent_says_so() {
    let mut world = World::start(Config::default()).await;
    world.read().await;
    let leave = Leave::default();
    leave.withdraw();
    let outcomes = world
        .export_with(
            (0..50).map(|n| create_user(&format!("u{n}"))).collect(),
            &leave,
        )
        .await;
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::NotSent));
    assert!(world.tenant.log().iter().all(|request| !request.write));
}

#[tokio::test]
async fn an_adopted_object_gets_our_mark() {
    let mut world = World::start(Config::default()).await;
    let eve = world.tenant.insert_user(json!({"userPrincipalName": "eve@corp.example.com", "displayName": "eve", "mailNickname": "eve", "accountEnabled": true})).unwrap();
    world.read().await;
    let mut adopt = operation(
        Class::User,
        "eve",
        Change::Adopt {
            mark: mark("eve"),
            changes: [("city".to_owned(), Some(Value::Text("Rom".to_owned())))].into(),
        },
    );
    adopt.target = Some(TargetId(eve.into()));
    assert_all_done(&world.export(vec![adopt]).await);
    assert_eq!(
        world.user("eve")[world.mark_property()],
        format!("{OWNER}:{}", anchor("eve"))
    );
    assert_all_done(
        &world
            .export(vec![operation(Class::User, "eve", Change::Disable)])
            .await,
    );
}

fn company(people: usize, groups: usize) -> Vec<plumbline_engine::operation::Operation> {
    let mut operations: Vec<_> = (0..people).map(|n| create_user(&format!("u{n}"))).collect();
    operations.extend((0..groups).map(|n| create_group(&format!("g{n}"))));
    operations.extend((0..groups).flat_map(|group| {
        (0..30).map(move |n| add(&format!("g{group}"), &format!("u{}", (n + group) % people)))
    }));
    operations
}

#[tokio::test]
async fn an_export_killed_in_the_middle_converges_without_a_duplicate() {
    let mut world = World::start(Config::default()).await;
    world.read().await;
    let killed = tokio::sync::Notify::new();
    let leave = Leave::default();
    let mut reported = 0;
    let mut report = |_, _| {
        reported += 1;
        if reported == 150 {
            killed.notify_one();
        }
    };
    tokio::select! {
        result = world.target.export(company(200, 10), &leave, &mut report) => panic!("not killed: {result:?}"),
        () = killed.notified() => {}
    }
    // The next process knows nothing but what it reads.
    world.target = world.target.sibling();
    world.read().await;
    let outcomes = world.export(company(200, 10)).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| is_done(outcome) || *outcome == Outcome::AlreadySo),
        "{outcomes:?}"
    );
    assert_eq!(
        (world.tenant.users().len(), world.tenant.groups().len()),
        (200, 10)
    );
    for group in world.tenant.groups() {
        assert_eq!(group["members"].as_array().unwrap().len(), 30);
    }
    world.assert_clean();
}

#[tokio::test]
async fn a_permit_withdrawn_in_the_middle_starts_no_further_request() {
    let mut world = World::start(Config::default()).await;
    world.read().await;
    let leave = Leave::default();
    let mut outcomes = Vec::new();
    let result = world
        .target
        .export(company(400, 0), &leave, &mut |_, outcome| {
            outcomes.push(outcome);
            leave.withdraw();
        })
        .await;
    result.unwrap();
    assert_eq!(outcomes.len(), 400);
    let done = outcomes.iter().filter(|outcome| is_done(outcome)).count();
    let not_sent = outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::NotSent)
        .count();
    assert_eq!(done + not_sent, 400, "answers under way were waited for");
    assert!(done <= 80, "four batches may be under way: {done}");
    assert_eq!(world.tenant.users().len(), done);
}

#[tokio::test]
async fn a_permission_that_the_application_lacks_is_not_blamed_on_the_object() {
    let without = |name: &str| {
        let all = plumbline_lab::tenant::DEFAULT_PERMISSIONS.map(str::to_owned);
        all.into_iter().filter(|held| held != name).collect()
    };
    let cases = [
        ("User.ReadWrite.All", create_user("ada")),
        ("Group.ReadWrite.All", create_group("staff")),
    ];
    for (name, operation) in cases {
        let permissions = without(name);
        let mut world = World::start(Config {
            permissions,
            ..Config::default()
        })
        .await;
        world.read().await;
        let outcomes = world.export(vec![operation]).await;
        let Outcome::Refused { reason, message } = &outcomes[0] else {
            panic!("{outcomes:?}");
        };
        assert_eq!(*reason, Reason::PermissionMissing);
        assert!(message.contains(name), "{message}");
    }
    // With the permission it is the object: nobody but the right administrators may disable an administrator.
    let mut world = World::start(Config::default()).await;
    world.read().await;
    let id = id_of(&world.export(vec![create_user("ada")]).await[0]);
    world.tenant.assign_role(&id.0, "Global Administrator");
    let outcomes = world
        .export(vec![operation(Class::User, "ada", Change::Disable)])
        .await;
    assert!(
        matches!(
            &outcomes[0],
            Outcome::Refused {
                reason: Reason::Privileged,
                ..
            }
        ),
        "{outcomes:?}"
    );
}
