//! Figure F6: batches are full, the quota is used, and no write is refused twice.

use std::time::{Duration, Instant};

use plumbline_cloud::PaceLimit;
use plumbline_engine::operation::Outcome;
use plumbline_lab::tenant::{Config, Quota};

use plumbline_lab::tenant::Faults;

use crate::fixture::{World, add, create_group, create_user, is_done};

/// In real time, half a minute of it: what the quota gives comes by the clock of the lab tenant and of the adapter, over sockets.
#[tokio::test]
async fn an_initial_export_under_the_published_quota_fills_its_batches_and_keeps_the_pace() {
    let mut world = World::start_with_pace(Config::default(), PaceLimit::default()).await;
    world.read().await;
    world.tenant.clear_log();
    let mut operations: Vec<_> = (0..2_000).map(|n| create_user(&format!("u{n}"))).collect();
    operations.extend((0..200).map(|n| create_group(&format!("g{n}"))));
    operations.extend((0..200).flat_map(|group| {
        (0..50).map(move |n| add(&format!("g{group}"), &format!("u{}", n + group)))
    }));
    let outcomes = world.export(operations).await;
    assert!(outcomes.iter().all(is_done));
    // 2,000 users, 200 groups, 200 × 3 member writes.
    let writes = 2_000 + 200 + 600;
    let fewest: u64 = writes / 20;
    let batches = world.tenant.seen().batches;
    assert!(
        batches * 10 <= fewest * 11,
        "{batches} batches, {fewest} would do"
    );
    assert!(world.tenant.refused_twice().is_empty());
    assert_eq!(world.tenant.seen().throttled, 0);
    // When the burst has ended (the usage header tells), writes come at the pace of the quota: 20 a second.
    let log = world.tenant.log();
    let sent: Vec<Duration> = log
        .iter()
        .filter(|request| request.write)
        .map(|request| request.elapsed)
        .collect();
    let burst = 2_400;
    let steady = sent[sent.len() - 1].as_secs_f64() - sent[burst - 1].as_secs_f64();
    let permitted = steady * 20.0;
    let used = f64::from(u32::try_from(sent.len() - burst).unwrap());
    assert!(
        used >= 0.95 * permitted,
        "{used} of {permitted} in {steady} s"
    );
    world.assert_clean();
}

#[tokio::test]
async fn a_quota_smaller_than_we_believe_refuses_no_write_twice() {
    let quota = Quota {
        count: 100,
        window: Duration::from_secs(2),
    };
    let mut world = World::start_with_pace(
        Config {
            write_quota: quota,
            ..Config::default()
        },
        // Believes in a burst five times as large.
        PaceLimit {
            writes: 500,
            window: Duration::from_secs(10),
        },
    )
    .await;
    world.read().await;
    let outcomes = world
        .export((0..300).map(|n| create_user(&format!("u{n}"))).collect())
        .await;
    assert!(outcomes.iter().all(is_done), "{outcomes:?}");
    assert!(
        world.tenant.refused_twice().is_empty(),
        "{:?}",
        world.tenant.refused_twice()
    );
    let records = world.records.0.lock().unwrap();
    assert_eq!(
        records
            .iter()
            .filter(|record| record.path == "/users" && record.status == 201)
            .count(),
        300
    );
}

#[tokio::test]
async fn the_permitted_writes_are_used() {
    let quota = Quota {
        count: 200,
        window: Duration::from_secs(2),
    };
    let mut world = World::start(Config {
        write_quota: quota,
        ..Config::default()
    })
    .await;
    world.read().await;
    let started = Instant::now();
    let outcomes = world
        .export((0..600).map(|n| create_user(&format!("u{n}"))).collect())
        .await;
    let seconds = started.elapsed().as_secs_f64();
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Done { .. }))
    );
    // The burst that the usage header leaves (four fifths of the bucket), then the pace; 5 % may be lost.
    let permitted = 160.0 + 100.0 * seconds;
    assert!(600.0 >= 0.95 * permitted, "{seconds} s");
    assert!(world.tenant.refused_twice().is_empty());
}

#[tokio::test]
async fn late_replicas_and_a_small_quota_together_end_right() {
    let quota = Quota {
        count: 300,
        window: Duration::from_secs(3),
    };
    let limit = PaceLimit {
        writes: 600,
        window: Duration::from_secs(6),
    };
    let config = Config {
        write_quota: quota,
        ..Config::default()
    };
    let mut world = World::start_with_pace(config, limit).await;
    world
        .tenant
        .set_replication_delay(Duration::ZERO..Duration::from_secs(3));
    world.tenant.set_faults(Faults {
        unavailable: 0.02,
        lost_answer: 0.02,
        concurrency_error: 0.02,
        ..Faults::default()
    });
    world.read().await;
    let mut operations: Vec<_> = (0..300).map(|n| create_user(&format!("u{n}"))).collect();
    operations.extend((0..20).map(|n| create_group(&format!("g{n}"))));
    operations.extend((0..20).flat_map(|group| {
        (0..25).map(move |n| add(&format!("g{group}"), &format!("u{}", n + group)))
    }));
    let outcomes = world.export(operations).await;
    let other: Vec<_> = outcomes
        .iter()
        .filter(|outcome| !is_done(outcome) && **outcome != Outcome::AlreadySo)
        .collect();
    assert!(other.is_empty(), "{other:?}");
    assert_eq!(
        (world.tenant.users().len(), world.tenant.groups().len()),
        (300, 20)
    );
    for group in world.tenant.groups() {
        assert_eq!(group["members"].as_array().map(Vec::len), Some(25));
    }
    assert!(
        world.tenant.refused_twice().is_empty(),
        "{:?}",
        world.tenant.refused_twice()
    );
    world.assert_clean();
}
