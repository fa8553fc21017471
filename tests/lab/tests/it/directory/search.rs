//! Searches: filters, scopes, selection of attributes, and what the two servers compute.

use super::*;

/// A few entries that tell the filters apart.
async fn small() -> World {
    let base = "dc=corp,dc=example,dc=com";
    World::with(Profile::OpenLdap, 0, |config| {
        let person = |uid: &str| {
            Entry::new(format!("uid={uid},ou=Staff,{base}"))
                .with("objectClass", "inetOrgPerson")
                .with("uid", uid)
                .with("sn", uid)
        };
        config.entries.extend([
            person("ann")
                .with("cn", "Ann  Ä. Lee")
                .with("employeeNumber", "10")
                .with("telephoneNumber", "+47 22 33")
                .with("title", "Chief"),
            person("bob")
                .with("cn", "Bob (x) *")
                .with("employeeNumber", "9")
                .with("manager", format!("UID=ann,OU=Staff,{base}")),
            person("cid")
                .with("cn", "Cid, Ann")
                .with("description", "a")
                .with("description", "b"),
        ]);
    })
    .await
}

#[tokio::test]
async fn filters_are_decided_in_three_values() {
    let world = small().await;
    let mut ldap = world.read().await;
    for (filter, expected) in [
        ("(uid=ANN)", "ann"),
        ("(cn=ann ä. lee)", "ann"),
        ("(commonName=Ann Ä. Lee)", "ann"),
        ("(2.5.4.3=Ann Ä. Lee)", "ann"),
        ("(cn=Bob \\28x\\29 \\2a)", "bob"),
        ("(cn~=bob \\28x\\29 \\2a)", "bob"),
        ("(cn=*ann*)", "ann cid"),
        ("(cn=ann*)", "ann"),
        ("(cn=*ann)", "cid"),
        ("(cn=b*x*)", "bob"),
        ("(cn=a*ann*)", ""),
        ("(title=*)", "ann"),
        ("(telephoneNumber=+47-2233)", "ann"),
        // No ordering rule, so undefined; a time has one.
        ("(employeeNumber>=9)", ""),
        ("(!(employeeNumber>=9))", ""),
        ("(createTimestamp>=20200101000000Z)", "ann bob cid"),
        ("(createTimestamp<=20200101000000Z)", ""),
        (
            "(manager=uid=ann, ou=staff,DC=corp,DC=example,DC=com)",
            "bob",
        ),
        ("(&(uid=*)(!(title=*)))", "bob cid"),
        ("(|(uid=ann)(description=B))", "ann cid"),
        // Undefined stays undefined under a negation, but not beside what is decided.
        ("(!(unknownAttribute=1))", ""),
        ("(&(uid=ann)(!(unknownAttribute=1)))", ""),
        ("(|(uid=ann)(unknownAttribute=1))", "ann"),
        ("(&(uid=nobody)(unknownAttribute=1))", ""),
        ("(cn:caseIgnoreFantasyMatch:=ann)", ""),
        ("(uid:=ann)", "ann"),
        ("(&)", "ann bob cid"),
        ("(|)", ""),
    ] {
        let read = search(
            &mut ldap,
            &format!("ou=Staff,{}", world.base()),
            Scope::OneLevel,
            filter,
            &["uid"],
        )
        .await;
        assert_eq!(read.result.rc, 0, "{filter}");
        let mut found: Vec<String> = read
            .names
            .iter()
            .flat_map(|dn| read.texts(dn, "uid"))
            .collect();
        found.retain(|each| ["ann", "bob", "cid"].contains(&each.as_str()));
        assert_eq!(found.join(" "), expected, "{filter}");
    }
}

#[tokio::test]
async fn scopes_and_a_missing_base_are_as_the_standard_says() {
    let world = small().await;
    let mut ldap = world.read().await;
    let (base, staff) = (world.base(), format!("ou=Staff,{}", world.base()));
    let all = search(
        &mut ldap,
        &staff,
        Scope::Subtree,
        "(objectClass=*)",
        &["1.1"],
    )
    .await;
    let one = search(
        &mut ldap,
        &staff,
        Scope::OneLevel,
        "(objectClass=*)",
        &["1.1"],
    )
    .await;
    let own = search(&mut ldap, &staff, Scope::Base, "(objectClass=*)", &["1.1"]).await;
    assert_eq!(own.names, [staff.as_str()]);
    assert!(!one.names.contains(&staff) && one.names.iter().all(|dn| all.names.contains(dn)));
    // Nested units and service accounts lie deeper than one level.
    assert!(all.names.len() > one.names.len() + 1);
    let gone = search(
        &mut ldap,
        &format!("ou=a,ou=b,ou=Staff,{base}"),
        Scope::Subtree,
        "(objectClass=*)",
        &[],
    )
    .await;
    assert_eq!(
        (gone.result.rc, gone.result.matched.as_str()),
        (32, staff.as_str())
    );
    let broken = search(&mut ldap, "cn=<", Scope::Subtree, "(objectClass=*)", &[]).await;
    assert_eq!(broken.result.rc, 34);
}

#[tokio::test]
async fn the_attribute_list_selects_user_and_operational_attributes() {
    let world = small().await;
    let mut ldap = world.read().await;
    let ann = format!("uid=ann,ou=Staff,{}", world.base());
    let mut keys = async |attributes: &[&str]| {
        let read = search(&mut ldap, &ann, Scope::Base, "(objectClass=*)", attributes).await;
        read.entries[&ann].keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(keys(&["1.1"]).await, [""; 0]);
    assert_eq!(keys(&["CN", "unknown", "title;lang-de"]).await, ["cn"]);
    assert_eq!(keys(&["entryUUID", "1.1"]).await, ["entryUUID"]);
    let user = keys(&[]).await;
    assert_eq!(keys(&["*"]).await, user);
    assert!(user.contains(&"cn".into()) && !user.contains(&"entryUUID".into()));
    let operational = keys(&["+"]).await;
    for name in [
        "entryUUID",
        "entryDN",
        "createTimestamp",
        "modifyTimestamp",
        "structuralObjectClass",
        "hasSubordinates",
    ] {
        assert!(operational.contains(&name.into()), "{name}");
    }
    assert_eq!(
        keys(&["*", "+"]).await.len(),
        user.len() + operational.len()
    );
}

#[tokio::test]
async fn a_critical_control_that_is_unknown_is_refused_and_another_is_ignored() {
    for profile in [Profile::OpenLdap, Profile::Ad] {
        let world = World::start(profile, 5).await;
        let mut ldap = world.read().await;
        for (crit, code) in [(true, 12), (false, 0)] {
            let feed = match profile {
                Profile::OpenLdap => "1.2.840.113556.1.4.841",
                Profile::Ad => "1.3.6.1.4.1.4203.1.9.1.1",
            };
            for ctype in ["1.2.3.4.5", feed] {
                let val = Some(vec![0x30, 3, 0x0a, 1, 1]);
                let control = RawControl {
                    ctype: ctype.into(),
                    crit,
                    val,
                };
                let base = world.base();
                let found = ldap
                    .with_controls(vec![control])
                    .search(&base, Scope::Base, "(objectClass=*)", vec!["1.1"])
                    .await;
                assert_eq!(found.unwrap().1.rc, code, "{profile:?} {ctype} {crit}");
            }
        }
    }
}

#[tokio::test]
async fn compare_answers_true_false_or_no_such_attribute() {
    let world = small().await;
    let mut ldap = world.read().await;
    let ann = format!("uid=ann,ou=Staff,{}", world.base());
    for (attribute, value, code) in [("cn", "ann ä. LEE", 6), ("cn", "x", 5), ("mail", "x", 16)] {
        assert_eq!(
            ldap.compare(&ann, attribute, value).await.unwrap().0.rc,
            code,
            "{attribute}={value}"
        );
    }
}

#[tokio::test]
async fn broken_entries_arrive_as_they_were_put_in() {
    let world = small().await;
    let staff = format!("ou=Staff,{}", world.base());
    let twin = "11111111-2222-3333-4444-555555555555";
    world.directory.with_store(|store| {
        store
            .insert_raw(&raw_person(&format!("uid=broken,{staff}")).with("title", vec![0xff, 0xfe]))
            .unwrap();
        store
            .insert_raw(&raw_person(&format!("uid=one,{staff}")).with("entryUUID", twin))
            .unwrap();
        store
            .insert_raw(
                &raw_person(&format!("uid=two\\2C,OU=staff,{}", world.base()))
                    .with("entryUUID", twin),
            )
            .unwrap();
    });
    let mut ldap = world.read().await;
    let read = search(&mut ldap, &staff, Scope::OneLevel, "(cn=x)", &["*", "+"]).await;
    let broken = &read.entries[&format!("uid=broken,{staff}")];
    assert_eq!(broken["title"], [vec![0xff, 0xfe]]);
    assert!(!broken.contains_key("entryUUID"), "no anchor");
    assert_eq!(
        read.entries
            .values()
            .filter(|each| each.get("entryUUID") == Some(&vec![twin.into()]))
            .count(),
        2
    );
    assert!(
        read.names
            .contains(&format!("uid=two\\2C,OU=staff,{}", world.base())),
        "in the spelling given"
    );
}
