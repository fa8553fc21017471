//! Each feed against a real server that lives: 300 random operations with random disconnects, and at the end what a consumer
//! holds is what a fresh complete read brings. Listings are counted by their cause.

use std::{collections::BTreeMap, time::Duration};

use plumbline_directory::{Detect, FeedKind, Settings};
use plumbline_engine::port::Cause;

use crate::{
    company::Company,
    consumer::Consumer,
    follower::{Follower, live_through},
    server::Server,
};

const ATTRIBUTES: [&str; 5] = ["cn", "mail", "title", "member", "uid"];

async fn follow(server: &Server, seed: u64) -> BTreeMap<Cause, usize> {
    let company = Company::found(server, "corp", seed).await;
    let direct = Settings {
        base_dn: company.base.clone(),
        detect: Detect::Only(FeedKind::ContentSync),
        ..server.settings()
    };
    live_through(company, direct, &ATTRIBUTES).await
}

#[tokio::test]
async fn on_openldap_nothing_is_lost_and_nothing_listed_but_what_containers_hide() {
    let server = Server::openldap(&[("OL_REQUIRE_TLS", "no")]);
    let listed = follow(&server, 1).await;
    assert_eq!(listed, BTreeMap::new());
}

#[tokio::test]
async fn on_389_ds_nothing_is_lost_and_nothing_listed_but_what_containers_hide() {
    let server = Server::ds389(&[]);
    let listed = follow(&server, 2).await;
    assert_eq!(listed, BTreeMap::new());
}

#[tokio::test]
async fn by_timestamps_nothing_is_lost_once_everything_was_read_again() {
    let server = Server::openldap(&[("OL_REQUIRE_TLS", "no")]);
    let company = Company::found(&server, "polled", 3).await;
    let settings = Settings {
        base_dn: company.base.clone(),
        detect: Detect::Only(FeedKind::ModifyTimestamp),
        full_reads: Duration::from_secs(2),
        ..server.settings()
    };
    let mut follower = Follower::with(company, settings).await;
    for _ in 0..100 {
        follower.company.live().await;
        if follower.company.random.below(4) == 0 {
            follower.consumer.cycle(&mut follower.source).await.unwrap();
        }
    }
    // What came or changed is there at once; what went is, as soon as everything is read again.
    let base = follower.company.base.clone();
    let dn = follower.company.person("polled", &base).await;
    follower.consumer.cycle(&mut follower.source).await.unwrap();
    assert!(
        follower
            .consumer
            .entries
            .values()
            .any(|entry| entry.dn == dn)
    );
    let full = |consumer: &Consumer| consumer.listings.get(&Cause::NoFeed).copied();
    let before = full(&follower.consumer);
    while full(&follower.consumer) == before {
        follower.consumer.cycle(&mut follower.source).await.unwrap();
    }
    follower
        .consumer
        .assert_current(follower.settings.clone())
        .await;
    assert_eq!(follower.consumer.relisted().len(), 1, "by no other cause");
}
