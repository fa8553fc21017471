//! The feeds of Active Directory against a domain that lives: on a real Samba, and on the embedded directory, which pages DirSync and
//! fails over as Windows does. What a consumer holds at the end is what a fresh complete read brings; listings are counted by cause.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings};
use plumbline_directory::{Bind, Detect, DirectorySource, FeedKind, Settings};
use plumbline_engine::{
    port::{Cause, Import, Source as _, Start},
    reason::Reason,
};
use plumbline_lab::directory::{Account, Config, Directory, Fault, Profile};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::time::timeout;

use crate::{
    company::{Company, SECURITY},
    consumer::Consumer,
    follower::live_through,
    reading::assert_told,
    server::Server,
};

pub(crate) const ATTRIBUTES: [&str; 5] = ["cn", "mail", "title", "member", "manager"];
const DOMAIN: &str = "DC=corp,DC=example,DC=com";
const READER: &str = "CN=reader,DC=corp,DC=example,DC=com";
const WRITER: &str = "CN=writer,DC=corp,DC=example,DC=com";
const PASSWORD: &str = "Read-Pa55word!";

/// A client that may do everything.
async fn administrator(url: &str, ca: &[u8], bind: (&str, &str)) -> Ldap {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let settings = LdapConnSettings::new().set_config(Arc::new(config));
    let (connection, mut ldap) = LdapConnAsync::with_settings(settings, url).await.unwrap();
    tokio::spawn(connection.drive());
    ldap.simple_bind(bind.0, bind.1)
        .await
        .unwrap()
        .success()
        .unwrap();
    ldap
}

pub(crate) async fn samba_administrator(server: &Server) -> Ldap {
    let (dn, password) = (server.fact("AD_BIND_DN"), server.fact("AD_BIND_PASSWORD"));
    administrator(&server.fact("AD_LDAPS_URL"), &server.ca(), (&dn, &password)).await
}

pub(crate) async fn samba_company(server: &Server, name: &str, seed: u64) -> Company {
    let ldap = samba_administrator(server).await;
    Company::found_domain(ldap, &server.fact("AD_BASE_DN"), name, seed).await
}

/// The `ad` profile with a reader that sees tombstones and may replicate, and a writer.
pub(crate) async fn embedded() -> (Directory, Settings) {
    let mut config = Config::new(Profile::Ad, DOMAIN);
    config.accounts = vec![
        Account::reader(READER, PASSWORD)
            .seeing_deleted()
            .replicating(),
        Account::reader(WRITER, PASSWORD).writing(),
    ];
    let directory = Directory::start(config).await.unwrap();
    let settings = Settings {
        name: "test".to_owned(),
        server_type: None,
        servers: vec![directory.ldaps_url()],
        base_dn: DOMAIN.to_owned(),
        anchor: None,
        bind: Bind::Simple {
            username: READER.to_owned(),
            password: PASSWORD.to_owned().into(),
        },
        ca_pem: Some(directory.ca_pem().into()),
        timeouts: plumbline_directory::Timeouts::default(),
        page_size: 50,
        detect: Detect::Auto,
        full_reads: plumbline_directory::FULL_READS,
    };
    (directory, settings)
}

pub(crate) async fn embedded_company(directory: &Directory, name: &str, seed: u64) -> Company {
    let bind = (WRITER, PASSWORD);
    let ca = directory.ca_pem().as_bytes();
    let ldap = administrator(&directory.ldaps_url(), ca, bind).await;
    Company::found_domain(ldap, DOMAIN, name, seed).await
}

#[tokio::test]
async fn on_samba_dir_sync_loses_nothing_and_lists_only_what_containers_hide() {
    let server = Server::samba();
    let company = samba_company(&server, "dirsync", 1).await;
    let settings = Settings {
        base_dn: company.base.clone(),
        detect: Detect::Only(FeedKind::DirSync),
        ..server.settings()
    };
    assert_eq!(
        live_through(company, settings, &ATTRIBUTES).await,
        BTreeMap::new()
    );
}

#[tokio::test]
async fn on_samba_usn_changed_loses_nothing_and_lists_only_what_containers_hide() {
    let server = Server::samba();
    let company = samba_company(&server, "usn", 2).await;
    let settings = Settings {
        base_dn: company.base.clone(),
        detect: Detect::Only(FeedKind::UsnChanged),
        ..server.settings()
    };
    assert_eq!(
        live_through(company, settings, &ATTRIBUTES).await,
        BTreeMap::new()
    );
}

/// Three objects to a page, of the whole domain or of one unit.
async fn follow_pages(seed: u64, whole: bool) -> BTreeMap<Cause, usize> {
    let (directory, mut settings) = embedded().await;
    directory.limit_dirsync_page(3);
    let company = embedded_company(&directory, "corp", seed).await;
    if !whole {
        settings.base_dn = company.base.clone();
    }
    settings.detect = Detect::Only(FeedKind::DirSync);
    live_through(company, settings, &ATTRIBUTES).await
}

#[tokio::test]
async fn as_on_windows_dir_sync_of_a_domain_loses_nothing_over_many_pages() {
    assert_eq!(follow_pages(3, true).await, BTreeMap::new());
}

#[tokio::test]
async fn as_on_windows_dir_sync_of_a_unit_loses_nothing_over_many_pages() {
    assert_eq!(follow_pages(4, false).await, BTreeMap::new());
}

#[tokio::test]
async fn as_on_windows_usn_changed_loses_nothing() {
    let (directory, mut settings) = embedded().await;
    let company = embedded_company(&directory, "corp", 5).await;
    settings.base_dn = company.base.clone();
    settings.detect = Detect::Only(FeedKind::UsnChanged);
    assert_eq!(
        live_through(company, settings, &ATTRIBUTES).await,
        BTreeMap::new()
    );
}

#[tokio::test]
async fn a_change_wakes_within_seconds_and_nothing_else_does() {
    let (directory, settings) = embedded().await;
    for kind in [FeedKind::DirSync, FeedKind::UsnChanged] {
        let mut company = embedded_company(&directory, kind.as_str(), 6).await;
        let mut settings = settings.clone();
        settings.detect = Detect::Only(kind);
        let mut source = DirectorySource::new(settings).unwrap();
        let mut consumer = Consumer::new(&ATTRIBUTES);
        consumer.cycle(&mut source).await.unwrap();
        timeout(Duration::from_millis(2500), source.changed())
            .await
            .unwrap_err();
        company
            .person(&format!("new-{kind}"), &company.base.clone())
            .await;
        timeout(Duration::from_secs(5), source.changed())
            .await
            .unwrap()
            .unwrap();
        consumer.cycle(&mut source).await.unwrap();
        assert_eq!(consumer.brought, 1);
        directory.disconnect_all();
        timeout(Duration::from_millis(2500), source.changed())
            .await
            .unwrap_err();
    }
}

#[tokio::test]
async fn a_cursor_that_the_server_does_not_take_leads_to_a_complete_read() {
    let (directory, mut settings) = embedded().await;
    settings.detect = Detect::Only(FeedKind::DirSync);
    let mut source = DirectorySource::new(settings).unwrap();
    let mut consumer = Consumer::new(&ATTRIBUTES);
    consumer.catch_up(&mut source).await;
    // The last byte is the cookie's own.
    let mut cursor = consumer.cursor.clone().unwrap();
    cursor.0.pop();
    let length = cursor.0.len();
    consumer.cursor = Some(cursor);
    consumer.cycle(&mut source).await.unwrap();
    assert_eq!(
        consumer.relisted(),
        BTreeMap::from([(Cause::CursorRefused, 1)])
    );
    assert_eq!(consumer.cursor.as_ref().unwrap().0.len(), length + 1);
    // The right is taken: what the account may read is followed further, after a complete read.
    directory.grant_replication(READER, false);
    consumer.cycle(&mut source).await.unwrap();
    assert_eq!(
        consumer.relisted(),
        BTreeMap::from([(Cause::CursorRefused, 2)])
    );
    consumer.cycle(&mut source).await.unwrap();
    assert_eq!(
        consumer.relisted(),
        BTreeMap::from([(Cause::CursorRefused, 2)])
    );
}

#[tokio::test]
async fn the_feed_is_chosen_by_what_server_and_account_allow_and_says_why() {
    let (directory, settings) = embedded().await;
    let mut company = embedded_company(&directory, "corp", 8).await;
    let person = company.person("leaver", &company.base.clone()).await;
    company.delete(&person).await;
    let feed = async |settings: &Settings| {
        DirectorySource::new(settings.clone())
            .unwrap()
            .probe()
            .await
            .unwrap()
            .feed
    };
    let facts = feed(&settings).await;
    assert_eq!(
        (facts.kind, facts.why.as_str()),
        (FeedKind::DirSync, "changes are told by DirSync")
    );
    directory.grant_replication(READER, false);
    let facts = feed(&settings).await;
    assert_eq!(facts.kind, FeedKind::DirSync);
    assert!(
        facts
            .why
            .contains("has not the right Replicating Directory Changes"),
        "{}",
        facts.why
    );
    assert!(!facts.why.contains("deletions"), "{}", facts.why);
    directory.show_deleted(READER, false);
    assert!(
        feed(&settings)
            .await
            .why
            .contains("deletions are found by complete reads only")
    );
    let only = Settings {
        detect: Detect::Only(FeedKind::UsnChanged),
        ..settings.clone()
    };
    let facts = feed(&only).await;
    assert_eq!(facts.kind, FeedKind::UsnChanged);
    assert!(
        facts
            .why
            .contains("deletions are found by complete reads only"),
        "{}",
        facts.why
    );
    let only = Settings {
        detect: Detect::Only(FeedKind::ContentSync),
        ..settings
    };
    let error = DirectorySource::new(only)
        .unwrap()
        .probe()
        .await
        .unwrap_err();
    assert_told(&error, Reason::InvalidSpec, "`changes.detect`");
}

#[tokio::test]
async fn without_sight_of_deletions_complete_reads_find_them() {
    let (directory, mut settings) = embedded().await;
    directory.show_deleted(READER, false);
    directory.grant_replication(READER, false);
    let mut company = embedded_company(&directory, "corp", 9).await;
    let leaver = company.person("leaver", &company.base.clone()).await;
    for kind in [FeedKind::DirSync, FeedKind::UsnChanged] {
        settings.detect = Detect::Only(kind);
        settings.full_reads = Duration::from_secs(3600);
        let mut source = DirectorySource::new(settings.clone()).unwrap();
        let mut consumer = Consumer::new(&ATTRIBUTES);
        consumer.catch_up(&mut source).await;
        assert_eq!(consumer.relisted(), BTreeMap::new());
        settings.full_reads = Duration::ZERO;
        let mut source = DirectorySource::new(settings.clone()).unwrap();
        consumer.cycle(&mut source).await.unwrap();
        assert_eq!(
            consumer.relisted(),
            BTreeMap::from([(Cause::NoFeed, 1)]),
            "{kind}"
        );
    }
    company.delete(&leaver).await;
}

#[tokio::test]
async fn who_leaves_the_base_and_returns_is_a_member_again() {
    for kind in [FeedKind::DirSync, FeedKind::UsnChanged] {
        let (directory, mut settings) = embedded().await;
        let mut company = embedded_company(&directory, "corp", 10).await;
        let (base, outside) = (company.base.clone(), company.outside.clone());
        let (unit, elsewhere) = (format!("OU=sales,{base}"), format!("OU=other,{base}"));
        for unit in [&unit, &elsewhere] {
            company.unit(unit).await;
        }
        let boss = company.person("boss", &base).await;
        let child = company.person("child", &unit).await;
        let report = company.person("report", &base).await;
        company.modify(&report, "manager", &[&boss]).await;
        let group = format!("CN=all,{base}");
        company
            .add(
                &group,
                &[
                    ("objectClass", "group"),
                    ("groupType", SECURITY),
                    ("sAMAccountName", "all"),
                ],
            )
            .await;
        company.modify(&group, "member", &[&boss, &child]).await;
        settings.base_dn = base.clone();
        settings.detect = Detect::Only(kind);
        let mut source = DirectorySource::new(settings.clone()).unwrap();
        let mut consumer = Consumer::new(&ATTRIBUTES);
        consumer.catch_up(&mut source).await;
        company.rename(&boss, "CN=boss", Some(&outside)).await;
        company.rename(&unit, "OU=sales", Some(&outside)).await;
        consumer.catch_up(&mut source).await;
        consumer.assert_current(settings.clone()).await;
        company
            .rename(&format!("CN=boss,{outside}"), "CN=boss", Some(&elsewhere))
            .await;
        company
            .rename(&format!("OU=sales,{outside}"), "OU=sales", Some(&elsewhere))
            .await;
        consumer.catch_up(&mut source).await;
        consumer.assert_current(settings.clone()).await;
        let of = |rdn: &str, name: &str| {
            let mut all = consumer.entries.values();
            let entry = all.find(|entry| entry.dn.starts_with(rdn)).unwrap();
            let values = entry.attributes.get(name).iter();
            values
                .map(|value| String::from_utf8(value.clone()).unwrap())
                .collect::<Vec<_>>()
        };
        let members = of("CN=all,", "member");
        for expected in [
            format!("CN=boss,{elsewhere}"),
            format!("CN=child,OU=sales,{elsewhere}"),
        ] {
            assert!(
                members.iter().any(|dn| dn.eq_ignore_ascii_case(&expected)),
                "{kind}: {members:?}"
            );
        }
        assert_eq!(of("CN=report,", "manager").len(), 1, "{kind}");
        assert_eq!(consumer.relisted(), BTreeMap::new(), "{kind}");
    }
}

#[tokio::test]
async fn on_samba_the_right_to_replicate_is_used_and_a_change_wakes() {
    let server = Server::samba();
    let tool = |arguments: &[&str]| server.run(&[&["tool"], arguments].concat());
    tool(&["user", "create", "repl", "User-Pa55word!"]);
    let head = server.fact("AD_BASE_DN");
    let (object, account) = (
        format!("--objectdn={head}"),
        format!("--trusteedn=CN=repl,CN=Users,{head}"),
    );
    tool(&[
        "dsacl",
        "set",
        "--action=allow",
        "--car=get-changes",
        &object,
        &account,
    ]);
    server.run(&["grant", "repl", "LCRP"]);
    let mut company = samba_company(&server, "right", 12).await;
    let base = company.base.clone();
    let leaver = company.person("leaver", &base).await;
    company.delete(&leaver).await;
    let mut settings = server.settings();
    settings.base_dn.clone_from(&base);
    settings.bind = Bind::Simple {
        username: format!("repl@{}", server.fact("AD_REALM").to_lowercase()),
        password: "User-Pa55word!".to_owned().into(),
    };
    let mut source = DirectorySource::new(settings.clone()).unwrap();
    let feed = source.probe().await.unwrap().feed;
    assert_eq!(
        (feed.kind, feed.why.as_str()),
        (FeedKind::DirSync, "changes are told by DirSync")
    );
    let mut consumer = Consumer::new(&ATTRIBUTES);
    consumer.catch_up(&mut source).await;
    let leaver = company.person("next", &base).await;
    timeout(Duration::from_secs(10), source.changed())
        .await
        .unwrap()
        .unwrap();
    consumer.cycle(&mut source).await.unwrap();
    assert!(
        consumer
            .entries
            .values()
            .any(|entry| entry.dn.eq_ignore_ascii_case(&leaver))
    );
    company.delete(&leaver).await;
    consumer.catch_up(&mut source).await;
    consumer.assert_current(settings).await;
    assert_eq!(consumer.relisted(), BTreeMap::new());
}

#[tokio::test]
async fn few_values_come_alone_and_many_with_their_group() {
    let (directory, mut settings) = embedded().await;
    let mut company = embedded_company(&directory, "corp", 13).await;
    let base = company.base.clone();
    let group = format!("CN=all,{base}");
    let attributes = [
        ("objectClass", "group"),
        ("groupType", SECURITY),
        ("sAMAccountName", "all"),
    ];
    company.add(&group, &attributes).await;
    let mut members = Vec::new();
    for n in 0..230 {
        members.push(company.person(&format!("m{n}"), &base).await);
    }
    settings.detect = Detect::Only(FeedKind::DirSync);
    let mut source = DirectorySource::new(settings.clone()).unwrap();
    let mut consumer = Consumer::new(&ATTRIBUTES);
    consumer.catch_up(&mut source).await;
    for (count, alone) in [(230, false), (229, true), (228, true)] {
        let names: Vec<&str> = members[..count].iter().map(String::as_str).collect();
        company.modify(&group, "member", &names).await;
        let cursor = consumer.cursor.clone().unwrap();
        let (mut values, mut whole) = (0, 0);
        source
            .read(
                &consumer.request,
                Start::After(&cursor),
                &mut |event| match event {
                    Import::Values(changes) => values += changes.len(),
                    Import::Batch(entries) => {
                        whole += entries
                            .iter()
                            .filter(|entry| entry.dn.eq_ignore_ascii_case(&group))
                            .count();
                    }
                    _ => {}
                },
            )
            .await
            .unwrap();
        assert_eq!(
            (values, whole),
            (usize::from(alone), usize::from(!alone)),
            "{count}"
        );
        consumer.catch_up(&mut source).await;
        consumer.assert_current(settings.clone()).await;
    }
}

#[tokio::test]
async fn a_garbled_answer_fails_the_cycle_and_the_next_recovers() {
    let (directory, mut settings) = embedded().await;
    let mut company = embedded_company(&directory, "corp", 14).await;
    settings.detect = Detect::Only(FeedKind::DirSync);
    let mut source = DirectorySource::new(settings.clone()).unwrap();
    let mut consumer = Consumer::new(&ATTRIBUTES);
    consumer.catch_up(&mut source).await;
    for fault in [
        Fault::GarbledControl,
        Fault::Garbage,
        Fault::Busy(1),
        Fault::Reset,
    ] {
        for _ in 0..5 {
            company.live().await;
        }
        directory.inject(fault);
        consumer.cycle(&mut source).await.unwrap_err();
        consumer.catch_up(&mut source).await;
        consumer.assert_current(settings.clone()).await;
    }
    assert_eq!(consumer.relisted(), BTreeMap::new());
}
