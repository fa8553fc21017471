//! Against the lab's embedded directory, which does what Windows does and Samba does not, and fails where it is told to.

use plumbline_directory::{
    Bind, DeletedObjects, Detect, DirectorySource, FULL_READS, PAGE_SIZE, Settings, Timeouts,
};
use plumbline_engine::{
    anchor::Anchor,
    entry::{EntryKind, ServerType},
    port::{Failure as _, Sighting},
    reason::Reason,
};
use plumbline_lab::directory::{Account, Change, Config, Directory, Entry, Fault, Profile};

use crate::reading::{assert_told, find, read};

const READER: &str = "cn=reader,dc=example,dc=com";
const PASSWORD: &str = "Read-Pa55word!";

/// The value of a plain DN's first RDN.
fn first_value(dn: &str) -> &str {
    let rdn = dn.split(',').next().unwrap_or_default();
    rdn.split_once('=').map_or("", |(_, value)| value)
}

fn unit(dn: &str) -> Entry {
    Entry::new(dn)
        .with("objectClass", "organizationalUnit")
        .with("ou", first_value(dn))
}

fn person(dn: &str, profile: Profile) -> Entry {
    match profile {
        Profile::OpenLdap => Entry::new(dn)
            .with("objectClass", "inetOrgPerson")
            .with("uid", first_value(dn))
            .with("cn", "x")
            .with("sn", "x"),
        Profile::Ad => Entry::new(dn).with("objectClass", "user"),
    }
}

/// `count` people below `ou=people`.
fn people(profile: Profile, base: &str, count: usize) -> Vec<Entry> {
    let mut entries = match profile {
        Profile::OpenLdap => vec![
            Entry::new(base)
                .with("objectClass", "dcObject")
                .with("objectClass", "organization")
                // The same directory on whichever server.
                .with("entryUUID", "5b6f7a52-2f1e-4c77-9a5e-3d1c0c1f6a10")
                .with("dc", "example")
                .with("o", "example"),
        ],
        Profile::Ad => vec![],
    };
    entries.push(unit(&format!("ou=people,{base}")));
    let name = if profile == Profile::Ad { "cn" } else { "uid" };
    entries
        .extend((0..count).map(|n| person(&format!("{name}=u{n:05},ou=people,{base}"), profile)));
    entries
}

async fn start(profile: Profile, base: &str, entries: Vec<Entry>) -> (Directory, Settings) {
    let mut config = Config::new(profile, base);
    config.entries = entries;
    config.accounts = vec![Account::reader(READER, PASSWORD)];
    config.require_tls = true;
    let directory = Directory::start(config).await.unwrap();
    let settings = Settings {
        name: "test".to_owned(),
        server_type: None,
        servers: vec![directory.ldaps_url()],
        base_dn: base.to_owned(),
        anchor: None,
        bind: Bind::Simple {
            username: READER.to_owned(),
            password: PASSWORD.to_owned().into(),
        },
        ca_pem: Some(directory.ca_pem().as_bytes().to_vec()),
        timeouts: Timeouts::default(),
        page_size: PAGE_SIZE,
        detect: Detect::Auto,
        full_reads: FULL_READS,
    };
    (directory, settings)
}

async fn openldap(count: usize) -> (Directory, Settings) {
    let base = "dc=example,dc=com";
    start(
        Profile::OpenLdap,
        base,
        people(Profile::OpenLdap, base, count),
    )
    .await
}

const DOMAIN: &str = "DC=corp,DC=example,DC=com";

#[tokio::test]
async fn groups_beyond_the_range_limit_of_active_directory_are_read_whole() {
    let mut entries = people(Profile::Ad, DOMAIN, 3200);
    for (group, members) in [
        ("small", 3),
        ("exact", 1500),
        ("beyond", 1501),
        ("large", 3200),
    ] {
        let mut entry = Entry::new(format!("CN={group},OU=people,{DOMAIN}"))
            .with("objectClass", "group")
            .with("groupType", "-2147483646");
        for n in 0..members {
            entry.push("member", format!("CN=u{n:05},OU=people,{DOMAIN}"));
        }
        entries.push(entry);
    }
    let (_directory, settings) = start(Profile::Ad, DOMAIN, entries).await;
    let mut source = DirectorySource::new(settings).unwrap();
    assert_eq!(
        source.probe().await.unwrap().server_type,
        ServerType::ActiveDirectory
    );
    let (outcome, seen) = read(&mut source, &["member"]).await;
    outcome.unwrap();
    for (group, members) in [
        ("small", 3),
        ("exact", 1500),
        ("beyond", 1501),
        ("large", 3200),
    ] {
        let group = seen.entry(&format!("CN={group}"));
        assert_eq!(group.kind, EntryKind::SecurityGroup);
        let mut values = group.attributes.get("member").to_vec();
        values.sort();
        values.dedup();
        assert_eq!(values.len(), members, "{}", group.dn);
    }
    assert_eq!(
        seen.entries
            .iter()
            .filter(|e| e.dn.to_lowercase().contains("cn=u0"))
            .count(),
        3200,
        "pages of at most 1,000 entries hide none"
    );
}

#[tokio::test]
async fn tombstones_are_read_when_the_account_may_see_them() {
    let (directory, settings) = start(Profile::Ad, DOMAIN, people(Profile::Ad, DOMAIN, 3)).await;
    let mut source = DirectorySource::new(settings).unwrap();
    let (outcome, before) = read(&mut source, &["cn"]).await;
    outcome.unwrap();
    assert!(!before.tombstones_readable);
    assert_eq!(
        source.probe().await.unwrap().deleted_objects,
        DeletedObjects::NotReadable
    );
    let gone = before.entry("CN=u00001").anchor.clone().unwrap();
    directory
        .apply(&Change::Delete {
            dn: format!("CN=u00001,OU=people,{DOMAIN}"),
        })
        .unwrap();
    let (_, hidden) = read(&mut source, &["cn"]).await;
    assert!(hidden.tombstones.is_empty());
    directory.show_deleted(READER, true);
    let (outcome, shown) = read(&mut source, &["cn"]).await;
    outcome.unwrap();
    assert!(shown.tombstones_readable);
    assert_eq!(shown.tombstones, std::slice::from_ref(&gone));
    assert_eq!(
        source.probe().await.unwrap().deleted_objects,
        DeletedObjects::Readable
    );
    let kept = before.entry("CN=u00002").anchor.clone().unwrap();
    let sightings = find(&mut source, &[gone.clone(), kept.clone()])
        .await
        .unwrap();
    let sighting = |anchor, found| Sighting { anchor, found };
    assert_eq!(sightings, [sighting(gone, false), sighting(kept, true)]);
}

#[tokio::test]
async fn a_search_by_anchor_covers_the_whole_naming_context_and_any_number_of_anchors() {
    let (directory, mut settings) = openldap(130).await;
    settings.base_dn = "ou=people,dc=example,dc=com".to_owned();
    let mut source = DirectorySource::new(settings).unwrap();
    let (outcome, seen) = read(&mut source, &["cn"]).await;
    outcome.unwrap();
    let users: Vec<_> = seen
        .entries
        .iter()
        .filter(|e| e.kind == EntryKind::User)
        .collect();
    assert_eq!(users.len(), 130);
    directory
        .apply(&Change::Add(unit("ou=former,dc=example,dc=com")))
        .unwrap();
    directory
        .apply(&Change::Rename {
            dn: "uid=u00007,ou=people,dc=example,dc=com".to_owned(),
            new_rdn: "uid=u00007".to_owned(),
            delete_old_rdn: false,
            new_superior: Some("ou=former,dc=example,dc=com".to_owned()),
        })
        .unwrap();
    directory
        .apply(&Change::Delete {
            dn: "uid=u00077,ou=people,dc=example,dc=com".to_owned(),
        })
        .unwrap();
    let anchors: Vec<Anchor> = users
        .iter()
        .map(|user| user.anchor.clone().unwrap())
        .collect();
    let sightings = find(&mut source, &anchors).await.unwrap();
    assert_eq!(sightings.len(), 130);
    for (sighting, user) in sightings.iter().zip(&users) {
        assert_eq!(sighting.found, !user.dn.contains("u00077"), "{}", user.dn);
    }
    assert!(find(&mut source, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_connection_cut_at_any_byte_is_an_error_and_the_next_read_is_whole() {
    let (directory, mut settings) = openldap(60).await;
    settings.page_size = 25;
    let mut cuts = 0;
    // The whole conversation is near 12,000 bytes; a prime step visits all kinds of places.
    for bytes in (0..14_000).step_by(271) {
        let mut source = DirectorySource::new(settings.clone()).unwrap();
        directory.inject(Fault::CutAfterBytes(bytes));
        let (outcome, seen) = read(&mut source, &["cn"]).await;
        match outcome {
            Ok(()) => assert_eq!(seen.entries.len(), 62),
            Err(error) => {
                cuts += 1;
                assert!(
                    matches!(
                        error.reason(),
                        Reason::ReadIncomplete | Reason::ServerUnreachable
                    ),
                    "{error}"
                );
                let (outcome, seen) = read(&mut source, &["cn"]).await;
                outcome.unwrap();
                assert_eq!(seen.entries.len(), 62);
            }
        }
    }
    assert!(cuts >= 30, "only {cuts} cuts hit the read");
}

#[tokio::test]
async fn limits_and_hidden_trees_never_pass_for_a_complete_read_of_less() {
    let (directory, settings) = openldap(700).await;
    let mut source = DirectorySource::new(settings).unwrap();
    directory.limit_size(READER, Some(500));
    let (outcome, _) = read(&mut source, &["cn"]).await;
    assert_told(
        &outcome.unwrap_err(),
        Reason::ReadIncomplete,
        "sizeLimitExceeded",
    );
    directory.limit_size(READER, None);
    directory.limit_matches(READER, Some(500));
    let (outcome, _) = read(&mut source, &["cn"]).await;
    assert_told(
        &outcome.unwrap_err(),
        Reason::ReadIncomplete,
        "adminLimitExceeded",
    );
    directory.limit_matches(READER, None);
    directory.inject(Fault::Busy(1));
    let (outcome, _) = read(&mut source, &["cn"]).await;
    assert_told(&outcome.unwrap_err(), Reason::ReadIncomplete, "busy");
    directory.hide("dc=example,dc=com", READER).unwrap();
    let (outcome, _) = read(&mut source, &["cn"]).await;
    assert_told(&outcome.unwrap_err(), Reason::BaseNotFound, "`baseDN`");
    directory.reveal(READER);
    let (outcome, seen) = read(&mut source, &["cn"]).await;
    outcome.unwrap();
    assert_eq!(seen.entries.len(), 702);
}

#[tokio::test]
async fn entries_that_cannot_be_understood_are_handed_on_not_lost() {
    let (directory, settings) = openldap(1).await;
    let uuid = "0b0b04e7-f086-3444-ab9c-d49a2093acb4";
    let raw = |dn: &str| {
        Entry::new(dn)
            .with("objectClass", "inetOrgPerson")
            .with("cn", b"\xff\xfe".to_vec())
    };
    let odd = "uid=a\\, b\\+c \\\"d\\\" \\3Ce\\3E,ou=people,dc=example,dc=com";
    directory.with_store(|store| {
        store
            .insert_raw(&raw("uid=none,ou=people,dc=example,dc=com"))
            .unwrap();
        for dn in ["uid=one,ou=people,dc=example,dc=com", odd] {
            store.insert_raw(&raw(dn).with("entryUUID", uuid)).unwrap();
        }
    });
    let mut source = DirectorySource::new(settings).unwrap();
    let (outcome, seen) = read(&mut source, &["cn"]).await;
    outcome.unwrap();
    assert_eq!(seen.entry("uid=none").anchor, None);
    assert_eq!(
        seen.entry("uid=one").attributes.get("cn"),
        [b"\xff\xfe".to_vec()]
    );
    let anchor = Anchor::from_printed_uuid(uuid);
    assert_eq!(
        seen.entries.iter().filter(|e| e.anchor == anchor).count(),
        2,
        "twins are both handed on"
    );
    assert!(seen.entries.iter().any(|e| e.dn == odd));
}

#[tokio::test]
async fn the_next_server_takes_over_and_stays() {
    let (first, settings) = openldap(2).await;
    let mut config = Config::new(Profile::OpenLdap, "dc=example,dc=com");
    config.entries = people(Profile::OpenLdap, "dc=example,dc=com", 5);
    config.accounts = vec![Account::reader(READER, PASSWORD)];
    let second = Directory::start(config).await.unwrap();
    let mut settings = settings;
    settings.servers.push(second.ldaps_url());
    settings.ca_pem = Some([first.ca_pem(), second.ca_pem()].concat().into_bytes());
    let mut source = DirectorySource::new(settings).unwrap();
    let users = async |source: &mut DirectorySource| {
        let (outcome, seen) = read(source, &["cn"]).await;
        outcome.map(|()| {
            seen.entries
                .iter()
                .filter(|e| e.kind == EntryKind::User)
                .count()
        })
    };
    assert_eq!(users(&mut source).await.unwrap(), 2);
    // A closed idle connection is no reason to change servers.
    first.disconnect_all();
    assert_eq!(users(&mut source).await.unwrap(), 2);
    // A read that loses its connection fails; the next one begins with the next server.
    first.inject(Fault::Reset);
    assert_told(
        &users(&mut source).await.unwrap_err(),
        Reason::ReadIncomplete,
        "was lost",
    );
    assert_eq!(users(&mut source).await.unwrap(), 5);
    assert_eq!(users(&mut source).await.unwrap(), 5, "what works is kept");
    second.inject(Fault::Reset);
    users(&mut source).await.unwrap_err();
    assert_eq!(users(&mut source).await.unwrap(), 2);
    drop(first);
    let mut last = source.probe().await;
    if last.is_err() {
        last = source.probe().await;
    }
    assert_eq!(last.unwrap().server, second.ldaps_url());
    drop(second);
    source.probe().await.unwrap_err();
    let error = source.probe().await.unwrap_err();
    assert_told(&error, Reason::ServerUnreachable, "none of the 2 servers");
}

#[tokio::test]
async fn servers_of_another_type_are_refused() {
    let (_directory, mut settings) = openldap(1).await;
    settings.server_type = Some(ServerType::ActiveDirectory);
    let mut source = DirectorySource::new(settings).unwrap();
    let error = source.probe().await.unwrap_err();
    assert_told(
        &error,
        Reason::ServerTypeMismatch,
        "is OpenLDAP, but `type` says ActiveDirectory",
    );
}

#[tokio::test]
async fn every_refused_bind_of_active_directory_is_explained() {
    let mut config = Config::new(Profile::Ad, DOMAIN);
    let table = [
        (0x530, "at this hour"),
        (0x531, "from this machine"),
        (0x532, "expired"),
        (0x533, "disabled"),
        (0x701, "account has expired"),
        (0x773, "must change its password"),
        (0x775, "locked out"),
    ];
    for (data, _) in table {
        let name = format!("CN=r{data:x},CN=Users,{DOMAIN}");
        config
            .accounts
            .push(Account::reader(&name, PASSWORD).refused_with(data));
    }
    let directory = Directory::start(config).await.unwrap();
    let (_other, mut settings) = openldap(0).await;
    settings.servers = vec![directory.ldaps_url()];
    settings.ca_pem = Some(directory.ca_pem().as_bytes().to_vec());
    let cases = table
        .iter()
        .map(|(data, piece)| (format!("CN=r{data:x},CN=Users,{DOMAIN}"), *piece))
        .chain([(format!("CN=nobody,{DOMAIN}"), "wrong user name or password")]);
    for (name, piece) in cases {
        settings.bind = Bind::Simple {
            username: name,
            password: PASSWORD.to_owned().into(),
        };
        let error = DirectorySource::new(settings.clone())
            .unwrap()
            .probe()
            .await
            .unwrap_err();
        assert_told(&error, Reason::BindFailed, piece);
        assert_told(&error, Reason::BindFailed, "`bind.simple.secretRef`");
    }
}

#[tokio::test]
async fn what_is_wrong_in_the_settings_is_told_by_its_field() {
    let (_directory, good) = openldap(0).await;
    let refused = |change: &dyn Fn(&mut Settings)| {
        let mut settings = good.clone();
        change(&mut settings);
        DirectorySource::new(settings).unwrap_err()
    };
    let password = |text: &str| Bind::Simple {
        username: READER.to_owned(),
        password: text.to_owned().into(),
    };
    assert_told(
        &refused(&|s| s.bind = password("")),
        Reason::BindFailed,
        "`bind.simple.secretRef`",
    );
    let two = |s: &mut Settings| s.servers = vec!["ldaps://dc1".to_owned(), "dc2".to_owned()];
    assert_told(&refused(&two), Reason::InvalidSpec, "`servers[1]`");
    assert_told(
        &refused(&|s| s.ca_pem = Some(b"no PEM".to_vec())),
        Reason::InvalidSpec,
        "`tls.caRef`",
    );
}

#[tokio::test]
async fn who_is_moved_to_a_page_that_was_already_sent_is_missed_by_the_read_and_found_by_anchor() {
    let mut entries = vec![unit(&format!("OU=early,{DOMAIN}"))];
    entries.extend(people(Profile::Ad, DOMAIN, 1200));
    let (directory, mut settings) = start(Profile::Ad, DOMAIN, entries).await;
    // The most that Active Directory sends.
    settings.page_size = 1000;
    let mut source = DirectorySource::new(settings).unwrap();
    let (outcome, before) = read(&mut source, &["cn"]).await;
    outcome.unwrap();
    let name = |n: usize| format!("CN=u{n:05}");
    let gone = before.entry(&name(1100)).anchor.clone().unwrap();
    directory.between_pages(|store, page| {
        if page == 1 {
            for n in 1150..1200 {
                store
                    .apply(&Change::Rename {
                        dn: format!("CN=u{n:05},OU=people,{DOMAIN}"),
                        new_rdn: format!("CN=u{n:05}"),
                        delete_old_rdn: true,
                        new_superior: Some(format!("OU=early,{DOMAIN}")),
                    })
                    .unwrap();
            }
            let dn = format!("CN=u01100,OU=people,{DOMAIN}");
            store.apply(&Change::Delete { dn }).unwrap();
        }
    });
    let (outcome, seen) = read(&mut source, &["cn"]).await;
    outcome.unwrap();
    directory.between_pages(|_, _| {});
    let all = before
        .entries
        .iter()
        .filter_map(|entry| entry.anchor.clone());
    let missed: Vec<Anchor> = all
        .filter(|anchor| {
            !seen
                .entries
                .iter()
                .any(|entry| entry.anchor.as_ref() == Some(anchor))
        })
        .collect();
    let moved: Vec<Anchor> = (1150..1200)
        .map(|n| before.entry(&name(n)).anchor.clone().unwrap())
        .collect();
    assert!(
        moved.iter().all(|anchor| missed.contains(anchor)),
        "the read missed {}",
        missed.len()
    );
    for sighting in find(&mut source, &missed).await.unwrap() {
        assert_eq!(
            sighting.found,
            sighting.anchor != gone,
            "{}",
            sighting.anchor
        );
    }
}

#[tokio::test]
async fn a_read_of_active_directory_that_loses_its_connection_is_never_resumed() {
    let (directory, settings) = start(Profile::Ad, DOMAIN, people(Profile::Ad, DOMAIN, 1200)).await;
    let mut source = DirectorySource::new(settings).unwrap();
    let (outcome, whole) = read(&mut source, &["cn"]).await;
    outcome.unwrap();
    // In the second page, whose cookie no other connection takes.
    directory.inject(Fault::CutAfterEntries(700));
    let (outcome, cut) = read(&mut source, &["cn"]).await;
    assert_told(&outcome.unwrap_err(), Reason::ReadIncomplete, "was lost");
    assert!(!cut.entries.is_empty() && cut.entries.len() < whole.entries.len());
    let (outcome, again) = read(&mut source, &["cn"]).await;
    outcome.unwrap();
    assert_eq!(again.entries.len(), whole.entries.len());
}

#[tokio::test]
async fn references_to_the_partitions_of_a_domain_itself_are_not_shown() {
    let (_directory, settings) = start(Profile::Ad, DOMAIN, vec![]).await;
    let mut source = DirectorySource::new(settings).unwrap();
    assert_eq!(
        source.probe().await.unwrap().subordinate_contexts,
        Vec::<String>::new()
    );
    read(&mut source, &["cn"]).await.0.unwrap();
    assert_eq!(source.subordinate_contexts().count(), 0);
}

#[tokio::test]
async fn another_domain_behind_the_second_url_is_refused() {
    let (first, mut settings) = start(Profile::Ad, DOMAIN, people(Profile::Ad, DOMAIN, 3)).await;
    let (second, other) = start(Profile::Ad, DOMAIN, people(Profile::Ad, DOMAIN, 1)).await;
    let replica = first.replica().await.unwrap();
    settings
        .servers
        .extend([second.ldaps_url(), replica.ldaps_url()]);
    settings.ca_pem = Some(
        [
            settings.ca_pem.unwrap(),
            other.ca_pem.unwrap(),
            replica.ca_pem().into(),
        ]
        .concat(),
    );
    let mut source = DirectorySource::new(settings).unwrap();
    read(&mut source, &["cn"]).await.0.unwrap();
    first.inject(Fault::Reset);
    read(&mut source, &["cn"]).await.0.unwrap_err();
    // The second is passed over for the third.
    assert_eq!(source.probe().await.unwrap().server, replica.ldaps_url());
    drop((first, replica));
    source.probe().await.unwrap_err();
    let error = source.probe().await.unwrap_err();
    assert_told(&error, Reason::InvalidSpec, "holds another directory than");
}
