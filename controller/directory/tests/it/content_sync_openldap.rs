//! What OpenLDAP does not tell, tells wrongly or tells too much, and that none of it is lost.

use std::time::Duration;

use plumbline_directory::{Detect, DirectorySource, FeedKind, Settings};
use plumbline_engine::{
    anchor::Anchor,
    port::{Cause, Cursor, Import, Source as _, Start},
    reason::Reason,
};

use crate::{
    company::Company,
    consumer::Consumer,
    follower::Follower,
    proxy::Proxy,
    reading::assert_told,
    server::{OPENLDAP_ADDRESS, Server},
};

#[tokio::test]
async fn changes_arrive_by_themselves_and_cost_no_listing() {
    let server = Server::shared_openldap();
    let mut follower = Follower::begin(&server, "arrive").await;
    let facts = follower.source.probe().await.unwrap();
    assert_eq!(facts.feed.kind, FeedKind::ContentSync);
    assert!(facts.feed.why.contains("RFC 4533"), "{}", facts.feed.why);
    let base = follower.company.base.clone();
    let dn = follower.company.person("first", &base).await;
    follower.told().await;
    follower.company.modify(&dn, "title", &["second"]).await;
    follower.told().await;
    follower.company.delete(&dn).await;
    follower.told().await;
    assert_eq!(follower.consumer.brought, 1, "the deletion alone");
    follower.assert_current(&[]).await;
}

#[tokio::test]
async fn what_happens_while_nobody_listens_comes_as_a_difference() {
    let server = Server::shared_openldap();
    let mut follower = Follower::begin(&server, "difference").await;
    follower.upheaval().await;
    follower.assert_current(&[]).await;
}

#[tokio::test]
async fn a_difference_comes_from_the_access_log_too() {
    let server = Server::openldap(&[("OL_REQUIRE_TLS", "no"), ("OL_ACCESSLOG", "yes")]);
    let mut follower = Follower::begin(&server, "logged").await;
    follower.upheaval().await;
    follower.assert_current(&[]).await;
}

#[tokio::test]
async fn a_present_phase_takes_ghosts_away_and_brings_who_came_with_a_unit() {
    // The upheaval is longer than the session log, so the server can only name everything that is there.
    for log in ["3", "0"] {
        let server = Server::openldap(&[("OL_REQUIRE_TLS", "no"), ("OL_SESSIONLOG", log)]);
        let mut follower = Follower::begin(&server, "present").await;
        follower.upheaval().await;
        follower.assert_current(&[(Cause::PresentPhase, 1)]).await;
    }
}

#[tokio::test]
async fn who_changes_while_everything_is_read_comes_once_more() {
    let server = Server::shared_openldap();
    let mut company = Company::found(&server, "meanwhile", 7).await;
    let base = company.base.clone();
    let dn = company.person("late", &base).await;
    let settings = Settings {
        base_dn: base,
        page_size: 5,
        ..server.settings()
    };
    let mut source = DirectorySource::new(settings.clone()).unwrap();
    let mut consumer = Consumer::new(&["title"]);
    let mut events = Vec::new();
    let change = format!("dn: {dn}\nchangetype: modify\nreplace: title\ntitle: late\n");
    let mut changed = false;
    source
        .read(
            &consumer.request,
            Start::Complete(Cause::First),
            &mut |event| {
                // The last page was taken from the server before the entry changed.
                if let Import::End { .. } = &event
                    && !changed
                {
                    changed = true;
                    server.ldif("ldapmodify", &change);
                }
                events.push(event);
            },
        )
        .await
        .unwrap();
    consumer.apply(events);
    consumer.cycle(&mut source).await.unwrap();
    assert_eq!(consumer.brought, 1);
    consumer.assert_current(settings).await;
}

#[tokio::test]
async fn after_a_crash_everything_is_compared() {
    // What was deleted between the last checkpoint and the crash is never reported: here the deletion that nobody heard of.
    let server = Server::openldap(&[("OL_REQUIRE_TLS", "no")]);
    let mut follower = Follower::begin(&server, "crash").await;
    follower.upheaval().await;
    server.crash();
    follower
        .assert_current(&[(Cause::FeedInterrupted, 1)])
        .await;
}

#[tokio::test]
async fn a_position_that_cannot_be_true_is_not_gone_on_from() {
    let server = Server::shared_openldap();
    let mut follower = Follower::begin(&server, "position").await;
    let good = follower.consumer.cursor.clone().unwrap();
    let patched = |from: &str, to: &str| Cursor(replaced(&good.0, from, to));
    let table = [
        // Of a server that has gone back since.
        (patched("csn=2026", "csn=2036"), Cause::WentBack),
        // Without a proper CSN OpenLDAP would send everything, and say that nothing is gone.
        (patched("csn=2026", "csn=20x6"), Cause::CursorRefused),
        (
            patched("rid=000,csn=", "rid=000;csn="),
            Cause::CursorRefused,
        ),
        (Cursor(b"rid=000".to_vec()), Cause::CursorRefused),
    ];
    for (cursor, cause) in table {
        follower.consumer.cursor = Some(cursor);
        follower.sleep();
        follower.consumer.listings.clear();
        follower.assert_current(&[(cause, 1)]).await;
    }
    // Other attributes: the server would take the cookie and leave out what did not change since.
    follower.consumer.cursor = Some(good);
    follower
        .consumer
        .request
        .attributes
        .insert("mail".to_owned());
    follower.consumer.listings.clear();
    follower.consumer.catch_up(&mut follower.source).await;
    assert_eq!(follower.consumer.listings[&Cause::First], 1);
    follower
        .consumer
        .assert_current(follower.settings.clone())
        .await;
}

/// With one piece put in place of another of the same length.
pub(crate) fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = (bytes.windows(from.len())).position(|piece| piece == from.as_bytes());
    let mut bytes = bytes.to_vec();
    bytes[at.unwrap()..][..to.len()].copy_from_slice(to.as_bytes());
    bytes
}

#[tokio::test]
async fn another_entry_in_place_of_the_base_is_another_content() {
    let server = Server::shared_openldap();
    let mut follower = Follower::begin(&server, "base").await;
    let base = follower.company.base.clone();
    // OpenLDAP 2.5.13 can stop for ever when it ends a persistent search because of its base while the client closes it. A new
    // connection is served after the closed one.
    follower.sleep();
    follower.company = Company::connect(&server, "base", 8).await;
    follower.company.rename(&base, "ou=base-away", None).await;
    let error = follower
        .consumer
        .cycle(&mut follower.source)
        .await
        .unwrap_err();
    assert_told(&error, Reason::BaseNotFound, "does not exist");
    follower.company.unit(&base).await;
    follower.company.person("only", &base).await;
    follower.assert_current(&[(Cause::CursorRefused, 1)]).await;
    assert_eq!(follower.consumer.entries.len(), 2);
}

#[tokio::test]
async fn a_persistent_search_that_fell_silent_is_found_out() {
    let server = Server::shared_openldap();
    let company = Company::found(&server, "silent", 7).await;
    let proxy = Proxy::start(OPENLDAP_ADDRESS, server.ldaps_address()).await;
    let mut settings = Settings {
        base_dn: company.base.clone(),
        servers: vec![format!("ldaps://{}", proxy.address)],
        ..server.settings()
    };
    settings.timeouts.answer = Duration::from_secs(1);
    let mut follower = Follower::with(company, settings).await;
    let base = follower.company.base.clone();
    proxy.freeze();
    follower.company.person("unheard", &base).await;
    follower.assert_current(&[]).await;
    follower.company.person("heard", &base).await;
    follower.told().await;
    follower.assert_current(&[]).await;
}

#[tokio::test]
async fn without_the_rights_that_it_needs_another_feed_is_chosen() {
    let server = Server::openldap(&[("OL_REQUIRE_TLS", "no")]);
    let reader = server.fact("OL_READER_DN");
    server.restart_with_access(&format!(
        "access to attrs=entryCSN\n\tby dn.exact=\"{reader}\" =r\n\tby * break\n"
    ));
    let mut settings = server.settings();
    let facts = DirectorySource::new(settings.clone())
        .unwrap()
        .probe()
        .await
        .unwrap();
    assert_eq!(facts.feed.kind, FeedKind::ModifyTimestamp);
    assert!(
        facts.feed.why.contains("may not search on `entryCSN`"),
        "{}",
        facts.feed.why
    );
    settings.detect = Detect::Only(FeedKind::ContentSync);
    let error = DirectorySource::new(settings.clone())
        .unwrap()
        .probe()
        .await
        .unwrap_err();
    assert_told(&error, Reason::InvalidSpec, "may not search on `entryCSN`");
    // The control is listed by the server, and not there for this database.
    let overlay = format!("olcOverlay={{0}}syncprov,{}", server.fact("OL_CONFIG_DB"));
    let (url, config, password) = (
        server.fact("OL_LDAP_URL"),
        server.fact("OL_CONFIG_DN"),
        server.fact("OL_BIND_PASSWORD"),
    );
    server.restart_with_access("access to attrs=title by * break\n");
    let (connection, mut ldap) = ldap3::LdapConnAsync::new(&url).await.unwrap();
    tokio::spawn(connection.drive());
    ldap.simple_bind(&config, &password)
        .await
        .unwrap()
        .success()
        .unwrap();
    ldap.delete(&overlay).await.unwrap().success().unwrap();
    let error = DirectorySource::new(settings)
        .unwrap()
        .probe()
        .await
        .unwrap_err();
    assert_told(&error, Reason::InvalidSpec, "result 12");
}

#[tokio::test]
async fn a_chosen_anchor_does_not_hide_who_a_deletion_names() {
    let server = Server::shared_openldap();
    let company = Company::found(&server, "chosen", 7).await;
    let settings = Settings {
        base_dn: company.base.clone(),
        anchor: Some("employeeNumber".to_owned()),
        ..server.settings()
    };
    let mut follower = Follower::with(company, settings).await;
    let base = follower.company.base.clone();
    let stays = follower.company.person("stays", &base).await;
    follower
        .company
        .modify(&stays, "employeeNumber", &["41"])
        .await;
    let dn = follower.company.person("numbered", &base).await;
    follower
        .company
        .modify(&dn, "employeeNumber", &["42"])
        .await;
    follower.consumer.catch_up(&mut follower.source).await;
    assert!(
        follower
            .consumer
            .entries
            .contains_key(&Anchor::from_text("42"))
    );
    follower.company.delete(&dn).await;
    follower.told().await;
    assert!(
        !follower
            .consumer
            .entries
            .contains_key(&Anchor::from_text("42"))
    );
}

#[tokio::test]
async fn of_two_providers_either_tells_what_the_other_wrote() {
    let ports: Vec<String> = (0..4).map(|_| Server::free_openldap_port()).collect();
    let urls = [0, 2].map(|at| format!("ldap://{OPENLDAP_ADDRESS}:{}", ports[at]));
    let start = |at: usize, empty: &str| {
        let (id, peer) = ((at + 1).to_string(), &urls[1 - at]);
        Server::bare_openldap(&[
            ("OL_PORT", &ports[at * 2]),
            ("OL_TLS_PORT", &ports[at * 2 + 1]),
            ("OL_SERVER_ID", &id),
            ("OL_PEERS", peer),
            ("OL_EMPTY", empty),
        ])
    };
    let (one, two) = (start(0, "no"), start(1, "yes"));
    one.run(&["seed"]);
    let mut here = Company::found(&one, "pair", 7).await;
    let base = here.base.clone();
    let both = [one.settings(), two.settings()];
    let settings = Settings {
        base_dn: base.clone(),
        servers: both
            .iter()
            .flat_map(|settings| settings.servers.clone())
            .collect(),
        ca_pem: Some(
            both.iter()
                .filter_map(|settings| settings.ca_pem.clone())
                .flatten()
                .collect(),
        ),
        ..both[0].clone()
    };
    let at_two = Settings {
        servers: both[1].servers.clone(),
        ..settings.clone()
    };
    // The second fetches its content from the first.
    let mut fetched = DirectorySource::new(at_two.clone()).unwrap();
    while fetched.probe().await.is_err() {
        tokio::task::yield_now().await;
    }
    here.person("one", &base).await;
    let mut follower = Follower::with(here, settings.clone()).await;
    let mut there = Company::connect(&two, "pair", 7).await;
    // A first write there adds a server to every cookie: once, everything is named.
    there.person("two", &base).await;
    follower.told().await;
    follower.company.person("three", &base).await;
    follower.told().await;
    assert!(["uid=one", "uid=two", "uid=three"].iter().all(|rdn| {
        follower
            .consumer
            .entries
            .values()
            .any(|entry| entry.dn.starts_with(rdn))
    }));
    let before = follower.consumer.relisted();
    assert!(
        before.keys().all(|cause| *cause == Cause::PresentPhase),
        "{before:?}"
    );
    follower.consumer.catch_up(&mut follower.source).await;
    // Until the second knows that it has what the first one wrote, the cookie is ahead of it.
    while there.position().await != follower.company.position().await {
        tokio::task::yield_now().await;
    }
    // A cookie without CSN came along: then, and only then, everything is read once the connection is lost.
    let cursor = follower.consumer.cursor.clone().unwrap().0;
    let doubtful = String::from_utf8_lossy(&cursor).contains("\ntrue\nrid=");
    let mut listed = before;
    if doubtful {
        listed.insert(Cause::WentBack, 1);
    }
    one.run(&["down"]);
    there.person("four", &base).await;
    // The lost connection may cost one failed read.
    if follower.consumer.cycle(&mut follower.source).await.is_err() {
        follower.consumer.cycle(&mut follower.source).await.unwrap();
    }
    follower.consumer.catch_up(&mut follower.source).await;
    follower.consumer.assert_current(at_two).await;
    there.person("five", &base).await;
    follower.told().await;
    assert_eq!(
        follower.consumer.relisted(),
        listed,
        "the cookie of one is good at the other"
    );
    // A cookie with the first one's `sid=` would make the second withhold what comes from there.
    one.run(&["up"]);
    let mut here = Company::connect(&one, "pair", 8).await;
    here.person("six", &base).await;
    follower.told().await;
    let six = |entry: &plumbline_engine::entry::Entry| entry.dn.starts_with("uid=six");
    assert!(follower.consumer.entries.values().any(six));
}
