//! What 389-ds does not tell, tells wrongly or tells too much, and that none of it is lost. One server for all that does not stop it.

use std::time::Duration;

use plumbline_directory::{DirectorySource, FeedKind, Settings};
use plumbline_engine::{
    anchor::Anchor,
    entry::{EntryKind, ServerType},
    port::{Cause, Cursor, Import, Source as _, Start},
};
use tokio::time::timeout;

use crate::{
    company::Company, consumer::Consumer, content_sync_openldap::replaced, follower::Follower,
    server::Server,
};

#[tokio::test]
async fn changes_arrive_by_themselves_and_differences_are_not_taken_for_everything() {
    let server = Server::ds389(&[]);
    let mut follower = Follower::begin(&server, "ds").await;
    let facts = follower.source.probe().await.unwrap();
    assert_eq!(facts.server_type, ServerType::DirectoryServer389);
    assert_eq!(facts.feed.kind, FeedKind::ContentSync);
    let base = follower.company.base.clone();
    let dn = follower.company.person("first", &base).await;
    follower.told().await;
    follower.company.delete(&dn).await;
    follower.told().await;
    assert_eq!(follower.consumer.brought, 1, "the deletion alone");
    // Its answer to a cookie says "what is not named is gone" (refreshDeletes FALSE) and names changes only.
    follower.upheaval().await;
    follower.assert_current(&[]).await;

    only_what_was_asked_for_is_handed_on(&mut follower).await;
    many_deletions_are_compared(&mut follower).await;
    positions_that_cannot_be_true(&mut follower).await;
    who_leaves_the_filter_leaves(&mut follower).await;

    // Restart, restore and import all show in the root DSE, and none is in the changelog.
    follower.consumer.listings.clear();
    let trimming = [
        ("DS_CHANGELOG_MAXAGE", "4s"),
        ("DS_CHANGELOG_TRIM", "1"),
        ("DS_SYNC_MAX", "1"),
    ];
    server.restart(&trimming);
    follower.company = Company::connect(&server, "ds", 8).await;
    follower
        .assert_current(&[(Cause::FeedInterrupted, 1)])
        .await;
    too_many_searches(&server, &mut follower).await;
    trimmed_records_are_noticed(&mut follower).await;
    a_changelog_of_something_else(&server, &mut follower).await;
}

/// An answer to a cookie carries every attribute that the account may read.
async fn only_what_was_asked_for_is_handed_on(follower: &mut Follower) {
    let dn = format!("uid=changed,{}", follower.company.base);
    follower.sleep();
    follower
        .company
        .modify(&dn, "roomNumber", &["secret"])
        .await;
    let mut brought = Vec::new();
    let cursor = follower.consumer.cursor.clone().unwrap();
    follower
        .source
        .read(
            &follower.consumer.request,
            Start::After(&cursor),
            &mut |event| {
                if let Import::Batch(entries) = event {
                    brought.extend(entries);
                }
            },
        )
        .await
        .unwrap();
    let [entry] = brought.as_slice() else {
        panic!("{brought:?}");
    };
    assert!(entry.dn.starts_with("uid=changed,") && entry.kind == EntryKind::User);
    assert!(matches!(entry.anchor, Some(Anchor::Uuid(_))));
    let names: Vec<&str> = entry.attributes.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["cn", "title", "uid"]);
}

/// Of 60 deletions the server's answer names 59.
async fn many_deletions_are_compared(follower: &mut Follower) {
    let base = follower.company.base.clone();
    let mut people = Vec::new();
    for number in 0..60 {
        people.push(follower.company.person(&format!("d{number}"), &base).await);
    }
    follower.consumer.catch_up(&mut follower.source).await;
    follower.sleep();
    for dn in people {
        follower.company.delete(&dn).await;
    }
    follower.assert_current(&[(Cause::ManyDeletions, 1)]).await;
}

async fn positions_that_cannot_be_true(follower: &mut Follower) {
    let good = follower.consumer.cursor.clone().unwrap().0;
    let number = good.len() - good.iter().rev().position(|byte| *byte == b'#').unwrap();
    let mut beyond = good.clone();
    beyond[number..].fill(b'9');
    let table = [
        // Beyond the changelog's end: its data were restored.
        (Cursor(beyond), Cause::WentBack),
        // For another account: the server itself refuses.
        (
            Cursor(replaced(&good, "#cn=reader", "#cn=raeder")),
            Cause::CursorRefused,
        ),
    ];
    for (cursor, cause) in table {
        follower.consumer.cursor = Some(cursor);
        follower.sleep();
        follower.consumer.listings.clear();
        follower.assert_current(&[(cause, 1)]).await;
    }
}

async fn who_leaves_the_filter_leaves(follower: &mut Follower) {
    let dn = format!("cn=device,{}", follower.company.base);
    let attributes = [
        ("objectClass", "device"),
        ("objectClass", "posixGroup"),
        ("cn", "device"),
        ("gidNumber", "7"),
    ];
    follower.company.add(&dn, &attributes).await;
    follower.told().await;
    let held = |consumer: &Consumer| consumer.entries.values().any(|entry| entry.dn == dn);
    assert!(held(&follower.consumer));
    follower
        .company
        .modify_all(&dn, &[("gidNumber", &[]), ("objectClass", &["device"])])
        .await;
    follower.told().await;
    follower.consumer.catch_up(&mut follower.source).await;
    assert!(!held(&follower.consumer));
}

/// The server takes one persistent search: the other source asks at its reads, says so, and loses nothing.
async fn too_many_searches(server: &Server, follower: &mut Follower) {
    let settings = Settings {
        base_dn: follower.company.base.clone(),
        ..server.settings()
    };
    let mut other = DirectorySource::new(settings.clone()).unwrap();
    let mut consumer = Consumer::new(&["title"]);
    consumer.catch_up(&mut other).await;
    let base = follower.company.base.clone();
    let dn = follower.company.person("asked", &base).await;
    consumer.catch_up(&mut other).await;
    consumer.assert_current(settings.clone()).await;
    assert_eq!(consumer.relisted(), [].into());
    let why = other.probe().await.unwrap().feed.why;
    assert!(why.contains("no more persistent searches"), "{why}");
    assert!(
        timeout(Duration::from_millis(100), other.changed())
            .await
            .is_err()
    );
    follower.company.delete(&dn).await;
    consumer.catch_up(&mut other).await;
    consumer.assert_current(settings).await;
}

/// The server answers a position older than its first record with what is left, and success.
async fn trimmed_records_are_noticed(follower: &mut Follower) {
    let base = follower.company.base.clone();
    follower.consumer.catch_up(&mut follower.source).await;
    follower.sleep();
    follower.consumer.listings.clear();
    let last = follower.company.change_numbers().await.1;
    follower.company.person("trimmed", &base).await;
    follower.company.person("kept", &base).await;
    while follower.company.change_numbers().await.0 <= last + 1 {
        // The server trims by its clock; a write lets it notice.
        follower.company.modify(&base, "description", &["x"]).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    follower.assert_current(&[(Cause::CursorRefused, 1)]).await;
}

/// As FreeIPA ships it: the changelog records another suffix, so changes arrive while a search is open and never after.
async fn a_changelog_of_something_else(server: &Server, follower: &mut Follower) {
    let plugin = "cn=Retro Changelog Plugin,cn=plugins,cn=config";
    let limit = "cn=dns,dc=example,dc=com";
    follower
        .company
        .modify(plugin, "nsslapd-include-suffix", &[limit])
        .await;
    server.restart(&[("DS_SYNC_MAX", "")]);
    follower.company = Company::connect(server, "ds", 9).await;
    follower.consumer.catch_up(&mut follower.source).await;
    follower.consumer.listings.clear();
    let base = follower.company.base.clone();
    follower.company.person("unrecorded", &base).await;
    follower.told().await;
    follower.assert_current(&[]).await;
    follower.sleep();
    follower.company.person("unheard", &base).await;
    follower
        .assert_current(&[(Cause::FeedInterrupted, 1)])
        .await;
}
