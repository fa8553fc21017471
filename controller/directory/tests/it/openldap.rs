//! Against a real OpenLDAP.

use std::net::SocketAddr;

use plumbline_directory::{Bind, DeletedObjects, DirectorySource};
use plumbline_engine::{
    anchor::Anchor,
    entry::{EntryKind, ServerType},
    port::{Cause, Failure as _, Import, ReadRequest, Source as _, Start},
    reason::Reason,
};

use crate::{
    proxy::Proxy,
    reading::{assert_told, find, read},
    server::{OPENLDAP_ADDRESS, Server},
};

fn source(server: &Server) -> DirectorySource {
    DirectorySource::new(server.settings()).unwrap()
}

fn ldaps_address(server: &Server) -> SocketAddr {
    server
        .fact("OL_LDAPS_URL")
        .trim_start_matches("ldaps://")
        .parse()
        .unwrap()
}

#[tokio::test]
async fn people_groups_and_containers_are_read_with_their_anchors() {
    let server = Server::openldap(&[]);
    let mut settings = server.settings();
    for url in ["OL_LDAPS_URL", "OL_LDAP_URL"] {
        // Simple binds need TLS on this server, so ldap:// works only because it starts TLS.
        settings.servers = vec![server.fact(url)];
        let mut source = DirectorySource::new(settings.clone()).unwrap();
        let facts = source.probe().await.unwrap();
        assert_eq!(facts.server_type, ServerType::OpenLdap);
        assert_eq!(facts.deleted_objects, DeletedObjects::NotOffered);
        assert_eq!(facts.naming_contexts, ["dc=example,dc=com"]);
        let (outcome, seen) = read(&mut source, &["mail", "member"]).await;
        outcome.unwrap();
        let anna = seen.entry("uid=anna");
        assert_eq!(anna.kind, EntryKind::User);
        assert_eq!(anna.attributes.get("mail"), [b"anna@example.com".to_vec()]);
        assert!(
            anna.attributes.get("objectclass").is_empty(),
            "only what was requested is handed on"
        );
        assert_eq!(seen.entry("cn=staff").kind, EntryKind::SecurityGroup);
        assert_eq!(seen.entry("cn=staff").attributes.get("member").len(), 3);
        assert_eq!(seen.entry("ou=people").kind, EntryKind::Container);
        assert!(seen.entries.iter().all(|entry| entry.anchor.is_some()));
        assert!(
            !seen
                .entries
                .iter()
                .any(|entry| entry.dn.starts_with("cn=reader"))
        );
    }
}

#[tokio::test]
async fn trust_names_and_credentials_are_checked_and_told_by_their_field() {
    let server = Server::openldap(&[]);
    let good = server.settings();
    let probe = async |settings| {
        DirectorySource::new(settings)
            .unwrap()
            .probe()
            .await
            .unwrap_err()
    };

    let mut settings = good.clone();
    settings.ca_pem = None;
    assert_told(
        &probe(settings.clone()).await,
        Reason::TLSFailed,
        "give `tls.caRef` the CA certificate",
    );
    settings.ca_pem = Some(
        plumbline_lab::tls::TestCa::new("another CA")
            .unwrap()
            .pem()
            .into(),
    );
    for url in ["OL_LDAPS_URL", "OL_LDAP_URL"] {
        settings.servers = vec![server.fact(url)];
        assert_told(
            &probe(settings.clone()).await,
            Reason::TLSFailed,
            "give `tls.caRef` the CA certificate",
        );
    }

    let proxy = Proxy::start("127.0.0.1", ldaps_address(&server)).await;
    let mut settings = good.clone();
    settings.servers = vec![format!("ldaps://{}", proxy.address)];
    assert_told(&probe(settings).await, Reason::TLSFailed, "subjectAltName");

    let with = |username: &str, password: &str| {
        let mut settings = good.clone();
        settings.bind = Bind::Simple {
            username: username.to_owned(),
            password: password.to_owned().into(),
        };
        settings
    };
    let reader = server.fact("OL_READER_DN");
    assert_told(
        &probe(with(&reader, "Wrong-Pa55word!")).await,
        Reason::BindFailed,
        "`bind.simple.secretRef`",
    );
    assert_told(
        &probe(with("reader", "Read-Pa55word!")).await,
        Reason::BindFailed,
        "must be the DN of the account",
    );
}

#[tokio::test]
async fn a_wrong_base_or_type_is_told_with_what_is_there() {
    let server = Server::openldap(&[]);
    let mut settings = server.settings();
    settings.base_dn = "ou=gone,ou=people,dc=example,dc=com".to_owned();
    let mut source = DirectorySource::new(settings.clone()).unwrap();
    let error = source.probe().await.unwrap_err();
    assert_told(
        &error,
        Reason::BaseNotFound,
        "`ou=people,dc=example,dc=com` exists",
    );
    let (outcome, _) = read(&mut source, &["cn"]).await;
    assert_eq!(outcome.unwrap_err().reason(), Reason::BaseNotFound);
    settings.server_type = Some(ServerType::ActiveDirectory);
    let error = DirectorySource::new(settings)
        .unwrap()
        .probe()
        .await
        .unwrap_err();
    assert_told(&error, Reason::ServerTypeMismatch, "is OpenLDAP");
}

#[tokio::test]
async fn a_size_limit_ends_the_read_with_an_error() {
    let server = Server::openldap(&[("OL_SIZELIMIT", "500")]);
    server.load_people(1000);
    let (outcome, seen) = read(&mut source(&server), &["cn"]).await;
    assert_told(
        &outcome.unwrap_err(),
        Reason::ReadIncomplete,
        "raise the server's limits",
    );
    assert!(seen.entries.len() <= 500);
}

#[tokio::test]
async fn missing_rights_are_found_out_or_leave_no_false_evidence() {
    let server = Server::openldap(&[]);
    let (_, seen) = read(&mut source(&server), &["cn"]).await;
    let anna = seen.entry("uid=anna").anchor.clone().unwrap();
    let reader = server.fact("OL_READER_DN");

    // An OU that is hidden looks like an empty one: only the search by anchor and the guard stand before a delete.
    server.restart_with_access(&format!(
        "access to dn.subtree=\"ou=people,dc=example,dc=com\"\n\tby dn.exact=\"{reader}\" none\n\tby * break\n"
    ));
    let (outcome, hidden) = read(&mut source(&server), &["cn"]).await;
    outcome.unwrap();
    assert!(
        !hidden
            .entries
            .iter()
            .any(|entry| entry.kind == EntryKind::User)
    );

    server.restart_with_access(&format!(
        "access to dn.base=\"dc=example,dc=com\"\n\tby dn.exact=\"{reader}\" none\n\tby * break\n"
    ));
    let (outcome, _) = read(&mut source(&server), &["cn"]).await;
    assert_eq!(outcome.unwrap_err().reason(), Reason::BaseNotFound);

    server.restart_with_access(&format!(
        "access to attrs=entryUUID\n\tby dn.exact=\"{reader}\" =r\n\tby * break\n"
    ));
    let error = find(&mut source(&server), &[anna]).await.unwrap_err();
    assert_told(
        &error,
        Reason::AccessDenied,
        "right to search on `entryuuid`",
    );
    assert_eq!(
        source(&server).probe().await.unwrap_err().reason(),
        Reason::AccessDenied
    );

    server.restart_with_access(&format!(
        "access to attrs=entryUUID\n\tby dn.exact=\"{reader}\" =s\n\tby * break\n"
    ));
    let error = source(&server).probe().await.unwrap_err();
    assert_told(&error, Reason::AccessDenied, "right to read `entryuuid`");
}

#[tokio::test]
async fn a_restarted_server_is_found_again() {
    let server = Server::openldap(&[]);
    let mut source = source(&server);
    read(&mut source, &["cn"]).await.0.unwrap();
    server.run(&["down"]);
    let error = read(&mut source, &["cn"]).await.0.unwrap_err();
    assert_told(&error, Reason::ServerUnreachable, "connecting to ldaps://");
    server.restart(&[]);
    read(&mut source, &["cn"]).await.0.unwrap();
}

#[tokio::test]
async fn a_chosen_anchor_names_users_and_is_searched_as_written() {
    let server = Server::openldap(&[]);
    server.load_people(120);
    let mut settings = server.settings();
    settings.anchor = Some("employeeNumber".to_owned());
    let mut source = DirectorySource::new(settings).unwrap();
    let (outcome, seen) = read(&mut source, &["cn"]).await;
    outcome.unwrap();
    assert_eq!(
        seen.entry("uid=u0000042").anchor,
        Some(Anchor::from_text("42"))
    );
    assert_eq!(seen.entry("uid=anna").anchor, None);
    assert!(matches!(
        seen.entry("cn=staff").anchor,
        Some(Anchor::Uuid(_))
    ));
    let anchors: Vec<Anchor> = (1..=125)
        .map(|n: u32| Anchor::from_text(&n.to_string()))
        .collect();
    let found = find(&mut source, &anchors).await.unwrap();
    assert_eq!(found.iter().filter(|sighting| sighting.found).count(), 120);
    assert!(found[..120].iter().all(|sighting| sighting.found));
}

#[tokio::test]
async fn a_referral_below_the_base_is_shown() {
    let server = Server::openldap(&[]);
    server.ldif(
        "ldapadd",
        "dn: ou=branch,dc=example,dc=com\nobjectClass: referral\nobjectClass: extensibleObject\nou: branch\n\
         ref: ldap://branch.example.com/ou=branch,dc=example,dc=com\n",
    );
    let mut source = source(&server);
    let facts = source.probe().await.unwrap();
    let expected = "ldap://branch.example.com/ou=branch,dc=example,dc=com";
    assert_eq!(facts.subordinate_contexts.len(), 1);
    assert!(
        facts.subordinate_contexts[0].starts_with(expected),
        "{facts:?}"
    );
    read(&mut source, &["cn"]).await.0.unwrap();
    assert!(
        source
            .subordinate_contexts()
            .all(|url| url.starts_with(expected))
    );
    assert_eq!(source.subordinate_contexts().count(), 1);
}

/// What a source of two servers needs: the settings of the first, and the second's URL and CA.
fn both(first: &Server, second: &Server) -> plumbline_directory::Settings {
    let mut settings = first.settings();
    settings.servers.extend(second.settings().servers);
    settings.ca_pem = Some([first.ca(), second.ca()].concat());
    settings.page_size = 100;
    settings
}

#[tokio::test]
async fn when_a_server_dies_in_a_read_the_next_read_is_whole_on_the_second() {
    let (first, second) = (Server::openldap(&[]), Server::openldap(&[]));
    first.load_people(600);
    let copy = first.path().join("copy.ldif");
    first.run(&["save", copy.to_str().unwrap()]);
    second.run(&["restore", copy.to_str().unwrap()]);
    let mut source = DirectorySource::new(both(&first, &second)).unwrap();
    let (outcome, whole) = read(&mut source, &["cn"]).await;
    outcome.unwrap();
    let (mut died, mut ended) = (false, false);
    let outcome = source
        .read(
            &ReadRequest::default(),
            Start::Complete(Cause::First),
            &mut |event| match event {
                Import::Batch(_) if !std::mem::replace(&mut died, true) => _ = first.run(&["down"]),
                Import::End { .. } => ended = true,
                _ => {}
            },
        )
        .await;
    assert!(died && !ended);
    assert_told(&outcome.unwrap_err(), Reason::ReadIncomplete, "was lost");
    let (outcome, seen) = read(&mut source, &["cn"]).await;
    outcome.unwrap();
    assert_eq!(
        source.probe().await.unwrap().server,
        second.fact("OL_LDAPS_URL")
    );
    let anchors = |seen: &crate::reading::Seen| {
        let all = seen.entries.iter().filter_map(|entry| entry.anchor.clone());
        all.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(anchors(&seen), anchors(&whole));
}

#[tokio::test]
async fn another_directory_behind_the_second_url_is_refused() {
    // Both have the same suffix and people of the same names.
    let (first, second) = (Server::openldap(&[]), Server::openldap(&[]));
    let mut source = DirectorySource::new(both(&first, &second)).unwrap();
    read(&mut source, &["cn"]).await.0.unwrap();
    first.run(&["down"]);
    read(&mut source, &["cn"]).await.0.unwrap_err();
    let (outcome, seen) = read(&mut source, &["cn"]).await;
    assert_told(
        &outcome.unwrap_err(),
        Reason::InvalidSpec,
        "holds another directory than",
    );
    assert!(seen.entries.is_empty());
    first.restart(&[]);
    read(&mut source, &["cn"]).await.0.unwrap();
}

#[tokio::test]
async fn a_connection_cut_at_fifty_places_is_never_a_shorter_list() {
    let server = Server::openldap(&[]);
    server.load_people(1000);
    let proxy = Proxy::start(OPENLDAP_ADDRESS, ldaps_address(&server)).await;
    let mut settings = server.settings();
    settings.servers = vec![format!("ldaps://{}", proxy.address)];
    settings.page_size = 200;
    let whole = |source: DirectorySource| async {
        let mut source = source;
        read(&mut source, &["cn", "mail", "member"]).await
    };
    proxy.allow(usize::MAX);
    let (outcome, seen) = whole(DirectorySource::new(settings.clone()).unwrap()).await;
    outcome.unwrap();
    let (bytes, entries) = (usize::MAX - proxy.left(), seen.entries.len());
    // Numerical Recipes' generator: the same places in every run.
    let mut random: u64 = 20_261_125;
    let mut cuts = 0;
    for _ in 0..50 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let place = usize::try_from(random >> 33).unwrap() % bytes;
        proxy.allow(place);
        let (outcome, seen) = whole(DirectorySource::new(settings.clone()).unwrap()).await;
        match outcome {
            Ok(()) => assert_eq!(seen.entries.len(), entries, "cut at byte {place}"),
            Err(error) => {
                cuts += 1;
                let reason = error.reason();
                assert!(
                    matches!(reason, Reason::ReadIncomplete | Reason::ServerUnreachable),
                    "cut at byte {place}: {error}"
                );
            }
        }
    }
    assert!(cuts >= 45, "only {cuts} of 50 cuts hit the read");
}
