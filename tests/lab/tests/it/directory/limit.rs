//! Limits: pages, page cookies, size limits, hidden subtrees, ranges of values.

use super::*;

#[tokio::test]
async fn pages_give_every_entry_once() {
    for profile in [Profile::OpenLdap, Profile::Ad] {
        let world = World::start(profile, 300).await;
        let mut ldap = world.read().await;
        for size in [1000, 100, 7] {
            let read = paged(&mut ldap, &world.base(), people_filter(profile), size)
                .await
                .unwrap();
            assert_eq!(read.result.rc, 0, "{profile:?} {size}");
            assert_eq!(
                read.names.len(),
                people_count(&world, profile),
                "{profile:?} {size}"
            );
            assert_eq!(read.entries.len(), read.names.len(), "an entry came twice");
        }
    }
}

#[tokio::test]
async fn a_page_cookie_is_of_use_on_its_own_connection_and_for_its_own_search_only() {
    for (profile, refused) in [(Profile::OpenLdap, 53), (Profile::Ad, 12)] {
        let world = World::start(profile, 30).await;
        let (mut one, mut other) = (world.read().await, world.read().await);
        let (first, cookie) = page(&mut one, &world.base(), "(sn=*)", 10, &[]).await;
        assert_eq!(
            (first.result.rc, first.names.len(), cookie.is_empty()),
            (0, 10, false)
        );
        assert_eq!(
            page(&mut other, &world.base(), "(sn=*)", 10, &cookie)
                .await
                .0
                .result
                .rc,
            refused,
            "{profile:?}"
        );
        let (second, next) = page(&mut one, &world.base(), "(sn=*)", 10, &cookie).await;
        assert!(second.result.rc == 0 && second.names.iter().all(|dn| !first.names.contains(dn)));
        assert_eq!(
            page(&mut one, &world.base(), "(sn=*)", 10, &cookie)
                .await
                .0
                .result
                .rc,
            refused,
            "used up"
        );
        assert_eq!(
            page(&mut one, &world.base(), "(cn=*)", 10, &next)
                .await
                .0
                .result
                .rc,
            refused,
            "another filter"
        );
    }
}

/// One page by hand.
async fn page(
    ldap: &mut Ldap,
    base: &str,
    filter: &str,
    size: u8,
    cookie: &[u8],
) -> (Read, Vec<u8>) {
    let length = u8::try_from(cookie.len()).unwrap();
    let val = [&[0x30, length + 5, 2, 1, size, 4, length], cookie].concat();
    let control = RawControl {
        ctype: "1.2.840.113556.1.4.319".into(),
        crit: true,
        val: Some(val),
    };
    let ldap3::SearchResult(found, result) = ldap
        .with_controls(vec![control])
        .search(base, Scope::Subtree, filter, vec!["1.1"])
        .await
        .unwrap();
    // 30 len 02 len size 04 len cookie
    let value = result
        .ctrls
        .first()
        .and_then(|control| control.1.val.clone())
        .unwrap_or_default();
    let at = value.get(3).map_or(0, |size| 4 + usize::from(*size) + 2);
    let next = value.get(at..).unwrap_or_default().to_vec();
    (Read::new(found, result), next)
}

#[tokio::test]
async fn a_size_limit_of_the_account_ends_a_read_with_code_4_whether_paged_or_not() {
    for profile in [Profile::OpenLdap, Profile::Ad] {
        let world = World::start(profile, 60).await;
        world.directory.limit_size(&world.reader(), Some(50));
        let mut ldap = world.read().await;
        let filter = people_filter(profile);
        for size in [20, 50, 500] {
            let read = paged(&mut ldap, &world.base(), filter, size).await.unwrap();
            assert_eq!(
                (read.result.rc, read.names.len()),
                (4, 50),
                "{profile:?} {size}"
            );
        }
        let read = search(&mut ldap, &world.base(), Scope::Subtree, filter, &["1.1"]).await;
        assert_eq!((read.result.rc, read.names.len()), (4, 50), "{profile:?}");
        let exact = search(
            &mut ldap,
            &world.base(),
            Scope::Subtree,
            "(sn=nobody)",
            &["1.1"],
        )
        .await;
        assert_eq!(exact.result.rc, 0);
        world.directory.limit_size(&world.reader(), None);
        world.directory.limit_matches(&world.reader(), Some(10));
        let read = search(&mut ldap, &world.base(), Scope::Subtree, filter, &["1.1"]).await;
        assert_eq!((read.result.rc, read.names.len()), (11, 0), "{profile:?}");
    }
}

#[tokio::test]
async fn a_hidden_subtree_is_absent_without_a_word() {
    for profile in [Profile::OpenLdap, Profile::Ad] {
        let world = World::start(profile, 60).await;
        let mut ldap = world.read().await;
        let sales = world
            .company
            .dn(world.company.unit_named("Sales").unwrap())
            .unwrap();
        let all = paged(&mut ldap, &world.base(), "(objectClass=*)", 500)
            .await
            .unwrap();
        world.directory.hide(&sales, &world.reader()).unwrap();
        let less = paged(&mut ldap, &world.base(), "(objectClass=*)", 500)
            .await
            .unwrap();
        assert_eq!(less.result.rc, 0);
        let missing: Vec<&String> = all
            .names
            .iter()
            .filter(|dn| !less.names.contains(dn))
            .collect();
        assert!(
            missing.len() > 5
                && missing
                    .iter()
                    .all(|dn| dn.to_lowercase().contains("ou=sales,")),
            "{missing:?}"
        );
        assert_eq!(
            search(&mut ldap, &sales, Scope::Base, "(objectClass=*)", &[])
                .await
                .result
                .rc,
            32
        );
        let mut writer = world.write().await;
        assert_eq!(
            search(&mut writer, &sales, Scope::Base, "(objectClass=*)", &[])
                .await
                .result
                .rc,
            0
        );
        world.directory.reveal(&world.reader());
        assert_eq!(
            search(&mut ldap, &sales, Scope::Base, "(objectClass=*)", &[])
                .await
                .result
                .rc,
            0
        );
    }
}

#[tokio::test]
async fn ad_gives_at_most_1000_entries_a_search_and_1500_values_an_attribute() {
    let base = "DC=corp,DC=example,DC=com";
    let world = World::with(Profile::Ad, 5, |config| {
        let mut group =
            Entry::new(format!("CN=Everybody,OU=Groups,{base}")).with("objectClass", "group");
        for number in 0..2500 {
            let dn = format!("CN=u{number:04},OU=Contacts,{base}");
            group.push("member", dn.as_str());
            config
                .entries
                .push(Entry::new(dn).with("objectClass", "contact"));
        }
        config.entries.push(group);
    })
    .await;
    let mut ldap = world.read().await;
    let contacts = format!("OU=Contacts,{base}");
    let unpaged = search(&mut ldap, &contacts, Scope::OneLevel, "(cn=u*)", &["1.1"]).await;
    assert_eq!((unpaged.result.rc, unpaged.names.len()), (4, 1000));
    // A page may be no larger either; the next ones bring the rest.
    let read = paged(&mut ldap, &contacts, "(cn=u*)", 5000).await.unwrap();
    assert_eq!((read.result.rc, read.names.len()), (0, 2500));

    let group = format!("CN=Everybody,OU=Groups,{base}");
    let read = search(
        &mut ldap,
        &group,
        Scope::Base,
        "(objectClass=*)",
        &["member"],
    )
    .await;
    assert_eq!(read.entries[&group]["member;range=0-1499"].len(), 1500);
    assert!(read.entries[&group]["member"].is_empty());
    let rest = search(
        &mut ldap,
        &group,
        Scope::Base,
        "(objectClass=*)",
        &["member;range=1500-*"],
    )
    .await;
    assert_eq!(rest.entries[&group]["member;range=1500-*"].len(), 1000);
    let mut all: Vec<_> = [
        &read.entries[&group]["member;range=0-1499"][..],
        &rest.entries[&group]["member;range=1500-*"],
    ]
    .concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 2500);
}
