//! Content synchronisation on the `OpenLdap` profile: what only an embedded server can be made to do, and its limits.
//!
//! The messages themselves are held to slapd's in `real_slapd`.

use plumbline_lab::directory::{Change, Fault, Modification};

use super::*;
use crate::sync::{Consumer, Message};

fn touch(dn: &str) -> Change {
    Change::Modify {
        dn: dn.to_owned(),
        modifications: vec![Modification::replace("description", ["touched"])],
    }
}

fn units(world: &World) -> Vec<String> {
    let units = world.company.units().keys();
    units.map(|unit| world.company.dn(*unit).unwrap()).collect()
}

fn done(messages: &[Message]) -> (u32, Option<bool>) {
    let end = messages.last().and_then(|each| match each {
        Message::Done(code, control) => Some((*code, control.as_ref().map(|each| each.1))),
        _ => None,
    });
    end.expect("a result")
}

#[tokio::test]
async fn so_many_changes_as_the_session_log_holds_are_a_delete_phase_and_one_more_is_a_present_phase()
 {
    let world = World::start(Profile::OpenLdap, 30).await;
    let ldap = world.read().await;
    let units = units(&world);
    let mut consumer = Consumer::new(&world.base(), "(objectClass=organizationalUnit)");
    let all = consumer.refresh(&ldap).await.len() - 1;
    world.directory.limit_session_log(3);
    for (changes, deletes) in [(3, true), (4, false)] {
        for dn in units.iter().take(changes) {
            world.directory.apply(&touch(dn)).unwrap();
        }
        let messages = consumer.refresh(&ldap).await;
        assert_eq!(done(&messages), (0, Some(deletes)));
        let entries = messages
            .iter()
            .filter(|each| matches!(each, Message::Entry(1, ..)));
        assert_eq!(entries.count(), changes);
        let present: usize = messages
            .iter()
            .map(|each| match each {
                Message::IdSet(false, uuids, _) => uuids.len(),
                _ => 0,
            })
            .sum();
        // All that match are named, the changed ones too.
        assert_eq!(present, if deletes { 0 } else { all });
    }
    // Told not to guess, the server sends the client back to the start, unless it hints that it can reload.
    world.directory.refuse_stale_cookies(true);
    world.directory.limit_session_log(0);
    world.directory.apply(&touch(&units[0])).unwrap();
    let messages = consumer.refresh(&ldap).await;
    assert_eq!((done(&messages), messages.len()), ((4096, None), 1));
    consumer.reload_hint = true;
    assert_eq!(done(&consumer.refresh(&ldap).await), (0, Some(false)));
}

#[tokio::test]
async fn a_large_present_phase_names_256_entries_in_a_message() {
    let world = World::start(Profile::OpenLdap, 300).await;
    let ldap = world.read().await;
    let mut consumer = Consumer::new(&world.base(), "(objectClass=inetOrgPerson)");
    let all = consumer.refresh(&ldap).await.len() - 1;
    world.directory.limit_session_log(0);
    world.directory.apply(&touch(&units(&world)[0])).unwrap();
    let messages = consumer.refresh(&ldap).await;
    let sizes: Vec<usize> = messages
        .iter()
        .filter_map(|each| match each {
            Message::IdSet(false, uuids, None) => Some(uuids.len()),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [256, all - 256]);
    assert_eq!(messages.len(), 3, "no entry that matches changed");
}

#[tokio::test]
async fn a_restored_server_refuses_a_newer_cookie_until_a_write_makes_it_forget() {
    let world = World::start(Profile::OpenLdap, 10).await;
    let units = units(&world);
    let backup = world.directory.snapshot();
    let mut consumer = Consumer::new(&world.base(), "(objectClass=organizationalUnit)");
    world.directory.apply(&touch(&units[0])).unwrap();
    consumer.refresh(&world.read().await).await;
    world.directory.restore(&backup).unwrap();
    let ldap = world.read().await;
    assert_eq!(done(&consumer.refresh(&ldap).await), (53, None));
    world.directory.apply(&touch(&units[1])).unwrap();
    // Success, and not a word of the change that is lost.
    let messages = consumer.refresh(&ldap).await;
    assert_eq!((done(&messages), messages.len()), ((0, Some(true)), 2));
}

#[tokio::test]
async fn limits_paging_and_a_missing_base_end_a_refresh_as_on_slapd() {
    let world = World::start(Profile::OpenLdap, 40).await;
    let mut ldap = world.read().await;
    let mut consumer = Consumer::new(&world.base(), "(objectClass=inetOrgPerson)");
    world.directory.limit_size(&world.reader(), Some(10));
    let messages = consumer.refresh(&ldap).await;
    assert_eq!(
        (done(&messages), messages.len(), &consumer.cookie),
        ((4, None), 11, &None)
    );
    let (messages, _) = consumer.persist(&ldap).await;
    assert_eq!(done(&messages), (4, None));
    world.directory.limit_size(&world.reader(), None);

    let page = || {
        RawControl::from(ldap3::controls::PagedResults {
            size: 5,
            cookie: vec![],
        })
    };
    for (controls, code, entries, ending) in [
        (vec![page(), consumer.control(1)], 2, 0, false),
        (vec![consumer.control(1), page()], 0, 5, true),
    ] {
        let found = ldap
            .with_controls(controls)
            .search(&world.base(), Scope::Subtree, &consumer.filter, vec!["1.1"])
            .await
            .unwrap();
        let ended = found
            .1
            .ctrls
            .iter()
            .any(|each| each.1.ctype.ends_with(".9.1.3"));
        assert_eq!((found.1.rc, found.0.len(), ended), (code, entries, ending));
    }
    consumer.base = format!("ou=nowhere,{}", world.base());
    assert_eq!(done(&consumer.refresh(&ldap).await), (32, None));
}

#[tokio::test]
async fn a_persistent_search_ends_by_cancel_abandon_or_its_moved_base() {
    let world = World::start(Profile::OpenLdap, 10).await;
    let units = units(&world);
    let whole = Consumer::new(&world.base(), "(objectClass=organizationalUnit)");
    let ldap = world.read().await;
    let (messages, mut following) = whole.persist(&ldap).await;
    assert!(matches!(
        messages.last(),
        Some(Message::Refreshed(true, Some(_)))
    ));
    world.directory.apply(&touch(&units[0])).unwrap();
    assert!(matches!(following.next().await, Message::Entry(2, ..)));
    // The connection serves other requests meanwhile.
    let mut other = ldap.clone();
    let read = search(
        &mut other,
        &world.base(),
        Scope::Base,
        "(objectClass=*)",
        &["contextCSN"],
    )
    .await;
    assert_eq!(read.names.len(), 1);
    let id = u8::try_from(following.id()).unwrap();
    let cancel = ldap3::exop::Exop {
        name: Some("1.3.6.1.1.8".to_owned()),
        val: Some(vec![0x30, 3, 2, 1, id]),
    };
    let answer = other.extended(cancel).await.unwrap();
    assert_eq!(answer.1.rc, 0);
    assert_eq!(following.next().await, Message::Done(118, None));

    let (_, mut abandoned) = whole.persist(&ldap).await;
    let id = abandoned.id();
    other.abandon(id).await.unwrap();
    let (_, mut following) = whole.persist(&ldap).await;
    world.directory.apply(&touch(&units[1])).unwrap();
    assert!(matches!(following.next().await, Message::Entry(2, ..)));
    drop(abandoned);

    let staff = world
        .company
        .dn(world.company.unit_named("Staff").unwrap())
        .unwrap();
    let (_, mut below) = Consumer::new(&staff, "(objectClass=*)")
        .persist(&ldap)
        .await;
    let rename = Change::Rename {
        dn: staff,
        new_rdn: "ou=Crew".to_owned(),
        delete_old_rdn: true,
        new_superior: None,
    };
    world.directory.apply(&rename).unwrap();
    assert!(matches!(below.next().await, Message::NewCookie(_)));
    world.directory.apply(&touch(&world.base())).unwrap();
    assert_eq!(below.next().await, Message::Done(4096, None));
}

#[tokio::test]
async fn a_refresh_that_breaks_has_no_end_and_the_next_one_is_whole() {
    let world = World::start(Profile::OpenLdap, 20).await;
    let consumer = Consumer::new(&world.base(), "(objectClass=inetOrgPerson)");
    let whole = consumer.clone().refresh(&world.read().await).await;
    for fault in [Fault::CutAfterEntries(7), Fault::Garbage] {
        let mut ldap = world.read().await;
        world.directory.inject(fault);
        let broken = ldap
            .with_controls(vec![consumer.control(1)])
            .search(&world.base(), Scope::Subtree, &consumer.filter, vec!["cn"])
            .await;
        assert!(broken.is_err(), "{fault:?}");
        assert_eq!(consumer.clone().refresh(&world.read().await).await, whole);
    }
}
