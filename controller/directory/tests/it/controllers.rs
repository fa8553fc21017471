//! Fail-over to a domain controller that lags behind, and one that was restored from a backup: everything is read once, and nobody who
//! is there is named as deleted. On the embedded directory, and on two real controllers of one Samba domain.

use std::collections::BTreeMap;

use plumbline_directory::{Detect, DirectorySource, FeedKind, Settings};
use plumbline_engine::{
    anchor::Anchor,
    port::{Cause, Extent, Import, Source as _, Start},
};
use plumbline_lab::directory::{Directory, Fault};

use crate::{
    active_directory::{
        ATTRIBUTES, embedded, embedded_company, samba_administrator, samba_company,
    },
    company::Company,
    consumer::Consumer,
    server::Server,
};

const FEEDS: [FeedKind; 2] = [FeedKind::DirSync, FeedKind::UsnChanged];

/// A reader, its consumer and the directory's own servers.
struct Pair {
    first: Directory,
    second: Directory,
    company: Company,
    source: DirectorySource,
    consumer: Consumer,
}

/// Two domain controllers, the second of which is at first as the first is. Everything is read from the first.
async fn pair(kind: FeedKind) -> Pair {
    let (first, mut settings) = embedded().await;
    let mut company = embedded_company(&first, "corp", 7).await;
    // So that the account can know that it sees deletions.
    let leaver = company.person("leaver", &company.base.clone()).await;
    company.delete(&leaver).await;
    let second = first.replica().await.unwrap();
    settings.servers.push(second.ldaps_url());
    settings.ca_pem = Some([first.ca_pem(), second.ca_pem()].concat().into());
    settings.detect = Detect::Only(kind);
    let mut source = DirectorySource::new(settings).unwrap();
    let mut consumer = Consumer::new(&ATTRIBUTES);
    consumer.catch_up(&mut source).await;
    Pair {
        first,
        second,
        company,
        source,
        consumer,
    }
}

/// A read brings everything because of this, and names nobody who is known as deleted. Tombstones are in sight, so absence alone never
/// counts as gone.
async fn read_whole(source: &mut DirectorySource, consumer: &Consumer, cause: Cause) {
    let (mut begun, mut tombstones) = (None, Vec::new());
    let cursor = consumer.cursor.clone().unwrap();
    source
        .read(
            &consumer.request,
            Start::After(&cursor),
            &mut |event| match event {
                Import::Begin {
                    extent, tombstones, ..
                } => begun = Some((extent, tombstones)),
                Import::Tombstones(anchors) => tombstones.extend(anchors),
                _ => {}
            },
        )
        .await
        .unwrap();
    assert_eq!(begun, Some((Extent::Complete(cause), true)));
    assert!(!tombstones.is_empty());
    let known = |anchor: &&Anchor| consumer.entries.contains_key(anchor);
    assert_eq!(tombstones.iter().find(known), None);
}

fn known(consumer: &Consumer, dn: &str) -> bool {
    let mut entries = consumer.entries.values();
    entries.any(|entry| entry.dn.eq_ignore_ascii_case(dn))
}

#[tokio::test]
async fn a_domain_controller_that_lags_is_read_whole_and_names_nobody_as_deleted() {
    for kind in FEEDS {
        let mut pair = pair(kind).await;
        let base = pair.company.base.clone();
        // Known from the first, not yet at the second.
        let hired = pair.company.person("hired", &base).await;
        pair.consumer.catch_up(&mut pair.source).await;
        assert!(known(&pair.consumer, &hired));
        pair.first.inject(Fault::Reset);
        pair.consumer.cycle(&mut pair.source).await.unwrap_err();
        read_whole(&mut pair.source, &pair.consumer, Cause::OtherServer).await;
        // Once the second has caught up, its own feed tells.
        pair.consumer.cycle(&mut pair.source).await.unwrap();
        let before = pair.consumer.listings.clone();
        pair.second.catch_up(&pair.first).unwrap();
        pair.consumer.catch_up(&mut pair.source).await;
        assert!(known(&pair.consumer, &hired), "{kind}");
        assert_eq!(pair.consumer.listings, before, "{kind}");
    }
}

#[tokio::test]
async fn a_domain_controller_restored_from_a_backup_is_read_whole_once_and_names_nobody_as_deleted()
{
    for kind in FEEDS {
        let mut pair = pair(kind).await;
        let base = pair.company.base.clone();
        let backup = pair.first.snapshot();
        pair.company.person("hired", &base).await;
        pair.consumer.catch_up(&mut pair.source).await;
        pair.first.restore(&backup).unwrap();
        read_whole(&mut pair.source, &pair.consumer, Cause::WentBack).await;
        pair.consumer.catch_up(&mut pair.source).await;
        let whole = pair.consumer.relisted();
        assert_eq!(whole, BTreeMap::from([(Cause::WentBack, 1)]), "{kind}");
    }
}

/// One feed of a real domain.
struct Reader {
    source: DirectorySource,
    consumer: Consumer,
}

#[tokio::test]
async fn on_samba_a_controller_that_lags_and_one_that_was_restored_are_read_whole_and_name_nobody_as_deleted()
 {
    let first = Server::samba_of(&[("AD_IP", "127.0.0.13"), ("AD_REALM", "pair.example.com")]);
    let mut company = samba_company(&first, "pair", 21).await;
    let base = company.base.clone();
    let leaver = company.person("leaver", &base).await;
    company.delete(&leaver).await;
    let path = first.path();
    let second = Server::samba_of(&[("AD_IP", "127.0.0.14"), ("AD_JOIN", path.to_str().unwrap())]);
    first.run(&["down"]);
    let backup = path.with_file_name("backup");
    first.run(&["backup", backup.to_str().unwrap()]);
    first.run(&["up"]);
    let settings = Settings {
        base_dn: base.clone(),
        ..first.settings()
    };
    let mut readers = Vec::new();
    for kind in FEEDS {
        let mut source = DirectorySource::new(Settings {
            servers: [&first, &second]
                .map(|server| server.fact("AD_LDAPS_URL"))
                .into(),
            detect: Detect::Only(kind),
            ..settings.clone()
        })
        .unwrap();
        let mut consumer = Consumer::new(&ATTRIBUTES);
        consumer.catch_up(&mut source).await;
        readers.push(Reader { source, consumer });
    }
    let mut company = company.by(samba_administrator(&first).await);
    let hired = company.person("hired", &base).await;
    for reader in &mut readers {
        reader.consumer.catch_up(&mut reader.source).await;
        assert!(known(&reader.consumer, &hired));
    }

    // The second never hears of the new one.
    first.run(&["down"]);
    for reader in &mut readers {
        read_whole(&mut reader.source, &reader.consumer, Cause::OtherServer).await;
    }

    // The first comes back without him.
    first.run(&["restore", backup.to_str().unwrap()]);
    first.run(&["up"]);
    for (reader, kind) in readers.iter_mut().zip(FEEDS) {
        reader.source = DirectorySource::new(Settings {
            detect: Detect::Only(kind),
            ..settings.clone()
        })
        .unwrap();
        read_whole(&mut reader.source, &reader.consumer, Cause::WentBack).await;
        reader.consumer.catch_up(&mut reader.source).await;
        let whole = reader.consumer.relisted();
        assert_eq!(whole, BTreeMap::from([(Cause::WentBack, 1)]), "{kind}");
    }
}
