//! The feeds of Active Directory against a domain that lives: on a real Samba, and on the embedded directory, which pages DirSync and
//! fails over as Windows does. What a consumer holds at the end is what a fresh complete read brings; listings are counted by cause.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings};
use plumbline_directory::{Bind, Detect, DirectorySource, FeedKind, Settings};
use plumbline_engine::port::{Cause, Source as _};
use plumbline_lab::directory::{Account, Config, Directory, Profile};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::time::timeout;

use crate::{company::Company, consumer::Consumer, proxy::Proxy, server::Server};

const ATTRIBUTES: [&str; 5] = ["cn", "mail", "title", "member", "manager"];
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

async fn samba_company(server: &Server, name: &str, seed: u64) -> Company {
    let (dn, password) = (server.fact("AD_BIND_DN"), server.fact("AD_BIND_PASSWORD"));
    let ldap = administrator(&server.fact("AD_LDAPS_URL"), &server.ca(), (&dn, &password)).await;
    Company::found_domain(ldap, &server.fact("AD_BASE_DN"), name, seed).await
}

/// The `ad` profile with a reader that sees tombstones and may replicate, and a writer.
async fn embedded() -> (Directory, Settings) {
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

async fn embedded_company(directory: &Directory, name: &str, seed: u64) -> Company {
    let bind = (WRITER, PASSWORD);
    let ca = directory.ca_pem().as_bytes();
    let ldap = administrator(&directory.ldaps_url(), ca, bind).await;
    Company::found_domain(ldap, DOMAIN, name, seed).await
}

fn address(settings: &Settings) -> SocketAddr {
    settings.servers[0]
        .trim_start_matches("ldaps://")
        .parse()
        .unwrap()
}

/// Lives through 300 operations with disconnects, and gives what was listed.
async fn follow(mut company: Company, direct: Settings) -> BTreeMap<Cause, usize> {
    let target = address(&direct);
    let proxy = Proxy::start(&target.ip().to_string(), target).await;
    let mut settings = direct.clone();
    settings.servers = vec![format!("ldaps://{}", proxy.address)];
    settings.timeouts.answer = Duration::from_secs(5);
    let mut source = DirectorySource::new(settings).unwrap();
    let mut consumer = Consumer::new(&ATTRIBUTES);
    consumer.catch_up(&mut source).await;
    let mut failed = 0;
    for operation in 0..300 {
        company.live().await;
        match company.random.below(12) {
            0 => proxy.cut(),
            1 => proxy.allow(company.random.below(9000)),
            2 => proxy.allow(usize::MAX),
            3..=5 => failed += usize::from(consumer.cycle(&mut source).await.is_err()),
            _ => {}
        }
        if operation % 100 == 99 {
            proxy.allow(usize::MAX);
            consumer.catch_up(&mut source).await;
            consumer.assert_current(direct.clone()).await;
        }
    }
    assert!(failed > 3, "the disconnects hit only {failed} reads");
    assert!(company.done.len() >= 11, "{:?}", company.done);
    println!(
        "listings {:?}, failed reads {failed}, {:?}",
        consumer.listings, company.done
    );
    consumer.relisted()
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
    assert_eq!(follow(company, settings).await, BTreeMap::new());
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
    assert_eq!(follow(company, settings).await, BTreeMap::new());
}

#[tokio::test]
async fn as_on_windows_dir_sync_loses_nothing_over_many_pages() {
    for (seed, whole) in [(3, true), (4, false)] {
        let (directory, mut settings) = embedded().await;
        directory.limit_dirsync_page(3);
        let company = embedded_company(&directory, "corp", seed).await;
        if !whole {
            settings.base_dn = company.base.clone();
        }
        settings.detect = Detect::Only(FeedKind::DirSync);
        assert_eq!(follow(company, settings).await, BTreeMap::new());
    }
}

#[tokio::test]
async fn as_on_windows_usn_changed_loses_nothing() {
    let (directory, mut settings) = embedded().await;
    let company = embedded_company(&directory, "corp", 5).await;
    settings.base_dn = company.base.clone();
    settings.detect = Detect::Only(FeedKind::UsnChanged);
    assert_eq!(follow(company, settings).await, BTreeMap::new());
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
