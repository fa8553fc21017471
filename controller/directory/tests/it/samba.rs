//! Against a real Samba domain controller, which demands what a production one does: TLS for a simple bind.

use plumbline_directory::{Bind, DeletedObjects, DirectorySource};
use plumbline_engine::{
    anchor::Anchor,
    entry::{EntryKind, ServerType},
    port::{Cause, Import, ReadRequest, Sighting, Source as _, Start},
    reason::Reason,
};

use crate::{
    active_directory::samba_company,
    reading::{assert_told, find, read},
    server::Server,
};

fn tool(server: &Server, arguments: &[&str]) {
    server.run(&[&["tool"], arguments].concat());
}

#[tokio::test]
async fn everything_of_a_domain_is_read_as_what_it_is() {
    let server = Server::samba();
    tool(
        &server,
        &[
            "user",
            "create",
            "kari",
            "User-Pa55word!",
            "--given-name=Kåri",
            "--use-username-as-cn",
        ],
    );
    tool(&server, &["contact", "create", "Carl Contact"]);
    tool(
        &server,
        &["group", "add", "letters", "--group-type=Distribution"],
    );
    tool(&server, &["group", "add", "writers"]);
    tool(&server, &["computer", "create", "desk1"]);
    for member in ["kari", "svc-reader", "Administrator"] {
        tool(&server, &["group", "addmembers", "writers", member]);
    }
    let mut settings = server.settings();
    for url in ["AD_LDAPS_URL", "AD_LDAP_URL"] {
        settings.servers = vec![server.fact(url)];
        let mut source = DirectorySource::new(settings.clone()).unwrap();
        let facts = source.probe().await.unwrap();
        assert_eq!(facts.server_type, ServerType::ActiveDirectory);
        assert!(
            facts
                .vendor
                .as_deref()
                .unwrap_or_default()
                .contains("Samba")
        );
        assert!(
            facts.subordinate_contexts.is_empty(),
            "{:?}",
            facts.subordinate_contexts
        );
        // Samba cuts no list into ranges by itself; asked for the first two values, it does.
        let (outcome, seen) = read(
            &mut source,
            &["givenname", "objectguid", "member;range=0-1"],
        )
        .await;
        outcome.unwrap();
        let kari = seen.entry("CN=kari");
        assert_eq!(kari.kind, EntryKind::User);
        assert_eq!(
            kari.attributes.get("givenName"),
            ["Kåri".as_bytes().to_vec()]
        );
        let guid: [u8; 16] = kari.attributes.get("objectGUID")[0]
            .clone()
            .try_into()
            .unwrap();
        assert_eq!(kari.anchor, Some(Anchor::Uuid(guid)));
        assert_eq!(seen.entry("CN=Carl Contact").kind, EntryKind::Contact);
        assert_eq!(seen.entry("CN=letters").kind, EntryKind::DistributionGroup);
        assert_eq!(seen.entry("CN=writers").kind, EntryKind::SecurityGroup);
        assert_eq!(seen.entry("CN=writers").attributes.get("member").len(), 3);
        assert_eq!(seen.entry("OU=Service Accounts").kind, EntryKind::Container);
        assert!(
            !seen.entries.iter().any(|entry| entry.dn.contains("desk1")),
            "a computer is no user"
        );
        assert!(seen.entries.iter().all(|entry| entry.anchor.is_some()));
    }
}

#[tokio::test]
async fn deletions_are_seen_with_the_right_and_only_with_it() {
    let server = Server::samba();
    for name in ["leaver", "plain"] {
        tool(&server, &["user", "create", name, "User-Pa55word!"]);
    }
    let mut plain = server.settings();
    plain.bind = Bind::Simple {
        username: format!("plain@{}", server.fact("AD_REALM").to_lowercase()),
        password: "User-Pa55word!".to_owned().into(),
    };
    let mut source = DirectorySource::new(server.settings()).unwrap();
    let (outcome, before) = read(&mut source, &["cn"]).await;
    outcome.unwrap();
    let leaver = before.entry("CN=leaver").anchor.clone().unwrap();
    assert!(!before.tombstones.contains(&leaver));
    tool(&server, &["user", "delete", "leaver"]);
    let (outcome, after) = read(&mut source, &["cn"]).await;
    outcome.unwrap();
    assert!(after.tombstones_readable);
    assert!(after.tombstones.contains(&leaver));
    assert!(
        !after
            .entries
            .iter()
            .any(|entry| entry.anchor.as_ref() == Some(&leaver))
    );
    let stays = before.entry("CN=plain").anchor.clone().unwrap();
    let sighting = |anchor: &Anchor, found| Sighting {
        anchor: anchor.clone(),
        found,
    };
    assert_eq!(
        find(&mut source, &[leaver.clone(), stays.clone()])
            .await
            .unwrap(),
        [sighting(&leaver, false), sighting(&stays, true)]
    );

    assert_eq!(
        source.probe().await.unwrap().deleted_objects,
        DeletedObjects::Readable
    );

    let mut source = DirectorySource::new(plain).unwrap();
    assert_eq!(
        source.probe().await.unwrap().deleted_objects,
        DeletedObjects::NotReadable
    );
    let (outcome, seen) = read(&mut source, &["cn"]).await;
    outcome.unwrap();
    assert!(!seen.tombstones_readable);
    assert!(seen.tombstones.is_empty());
}

#[tokio::test]
async fn to_read_the_container_of_deletions_is_not_to_see_what_is_in_it() {
    let server = Server::samba();
    tool(&server, &["user", "create", "gone", "User-Pa55word!"]);
    tool(&server, &["user", "delete", "gone"]);
    for (name, rights, expected) in [
        ("properties", "RP", DeletedObjects::NotReadable),
        ("contents", "LC", DeletedObjects::Readable),
    ] {
        tool(&server, &["user", "create", name, "User-Pa55word!"]);
        server.run(&["grant", name, rights]);
        let mut settings = server.settings();
        settings.bind = Bind::Simple {
            username: format!("{name}@{}", server.fact("AD_REALM").to_lowercase()),
            password: "User-Pa55word!".to_owned().into(),
        };
        let mut source = DirectorySource::new(settings).unwrap();
        let facts = source.probe().await.unwrap();
        assert_eq!(facts.deleted_objects, expected, "{rights}");
        let (outcome, seen) = read(&mut source, &["cn"]).await;
        outcome.unwrap();
        let sees = expected == DeletedObjects::Readable;
        assert_eq!(
            (seen.tombstones_readable, !seen.tombstones.is_empty()),
            (sees, sees),
            "{rights}"
        );
    }
}

/// Samba fixes at the first page which entries come, and leaves out those that are gone by their turn.
#[tokio::test]
async fn pages_whose_entries_are_all_gone_do_not_end_a_read() {
    let server = Server::samba();
    let mut company = samba_company(&server, "pages", 11).await;
    let (base, doomed) = (company.base.clone(), format!("OU=doomed,{}", company.base));
    company.unit(&doomed).await;
    for n in 0..60 {
        company.person(&format!("p{n}"), &doomed).await;
    }
    let settings = plumbline_directory::Settings {
        base_dn: base.clone(),
        page_size: 5,
        ..server.settings()
    };
    let mut source = DirectorySource::new(settings).unwrap();
    let (mut seen, mut ended) = (0, false);
    source
        .read(
            &ReadRequest::default(),
            Start::Complete(Cause::First),
            &mut |event| match event {
                Import::Batch(entries) => {
                    if seen == 0 {
                        tool(
                            &server,
                            &["ou", "delete", &doomed, "--force-subtree-delete"],
                        );
                    }
                    seen += entries.len();
                }
                Import::End { .. } => ended = true,
                _ => {}
            },
        )
        .await
        .unwrap();
    assert!(
        ended && seen < 40,
        "{seen} entries came although they were gone"
    );
}

#[tokio::test]
async fn refused_binds_are_explained() {
    let server = Server::samba();
    tool(&server, &["user", "create", "off", "User-Pa55word!"]);
    tool(&server, &["user", "disable", "off"]);
    let realm = server.fact("AD_REALM").to_lowercase();
    for (username, password, piece) in [
        (
            format!("off@{realm}"),
            "User-Pa55word!",
            "the account is disabled",
        ),
        (
            format!("svc-reader@{realm}"),
            "Wrong-Pa55word!",
            "wrong user name or password",
        ),
        (
            "svc-reader".to_owned(),
            "Read-Pa55word!",
            "never the bare account name",
        ),
    ] {
        let mut settings = server.settings();
        settings.bind = Bind::Simple {
            username,
            password: password.to_owned().into(),
        };
        let error = DirectorySource::new(settings)
            .unwrap()
            .probe()
            .await
            .unwrap_err();
        assert_told(&error, Reason::BindFailed, piece);
    }
}
