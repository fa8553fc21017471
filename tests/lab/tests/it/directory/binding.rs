//! Connections: who may bind, how, and with which words a bind is refused.

use super::*;

#[tokio::test]
async fn starttls_and_ldaps_work_with_the_ca_and_with_nothing_else() {
    let world = World::with(Profile::OpenLdap, 5, |config| config.require_tls = true).await;
    let ca = world.directory.ca_pem().to_owned();
    for (url, starttls) in [
        (world.directory.ldap_url(), true),
        (world.directory.ldaps_url(), false),
    ] {
        let mut ldap = connect(&url, starttls, Some(&ca)).await.unwrap();
        ldap.simple_bind(&world.reader(), PASSWORD)
            .await
            .unwrap()
            .success()
            .unwrap();
        let read = search(
            &mut ldap,
            &world.base(),
            Scope::Subtree,
            "(uid=*)",
            &["1.1"],
        )
        .await;
        assert_eq!(read.names.len(), world.company.people().len());
        assert!(
            connect(&url, starttls, None).await.is_err(),
            "{url} without the CA"
        );
    }
}

#[tokio::test]
async fn a_bind_without_tls_is_refused_where_tls_is_required() {
    for (profile, code, text) in [
        (Profile::OpenLdap, 13, "confidentiality required"),
        (Profile::Ad, 8, "00002028"),
    ] {
        let world = World::with(profile, 5, |config| config.require_tls = true).await;
        let mut ldap = connect(&world.directory.ldap_url(), false, None)
            .await
            .unwrap();
        let result = ldap.simple_bind(&world.reader(), PASSWORD).await.unwrap();
        assert_eq!(result.rc, code, "{profile:?}");
        assert!(result.text.starts_with(text), "{}", result.text);
    }
}

#[tokio::test]
async fn ad_takes_three_forms_of_a_name_and_says_why_a_bind_failed() {
    let world = World::with(Profile::Ad, 5, |config| {
        for (name, data) in [
            ("off@corp.example.com", 0x533),
            ("old@corp.example.com", 0x532),
            ("locked@corp.example.com", 0x775),
        ] {
            config
                .accounts
                .push(Account::reader(name, PASSWORD).refused_with(data));
        }
    })
    .await;
    let mut ldap = connect(&world.directory.ldap_url(), false, None)
        .await
        .unwrap();
    let reader = world.reader();
    for (name, password, expected) in [
        (reader.as_str(), PASSWORD, None),
        ("Reader@CORP.example.com", PASSWORD, None),
        ("corp\\reader", PASSWORD, None),
        ("reader", PASSWORD, Some("data 52e")),
        (reader.as_str(), "wrong", Some("data 52e")),
        ("nobody@corp.example.com", PASSWORD, Some("data 52e")),
        ("off@corp.example.com", PASSWORD, Some("data 533")),
        ("off@corp.example.com", "wrong", Some("data 52e")),
        ("old@corp.example.com", PASSWORD, Some("data 532")),
        ("locked@corp.example.com", PASSWORD, Some("data 775")),
    ] {
        let result = ldap.simple_bind(name, password).await.unwrap();
        match expected {
            None => assert_eq!(result.rc, 0, "{name}"),
            Some(data) => {
                assert_eq!(result.rc, 49, "{name}");
                assert!(
                    result.text.starts_with("80090308: ") && result.text.contains(data),
                    "{name}: {}",
                    result.text
                );
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_is_not_bound_sees_the_root_dse_only() {
    for (profile, code) in [(Profile::OpenLdap, 32), (Profile::Ad, 1)] {
        let world = World::start(profile, 5).await;
        let mut ldap = connect(&world.directory.ldap_url(), false, None)
            .await
            .unwrap();
        let root = search(&mut ldap, "", Scope::Base, "(objectClass=*)", &["*", "+"]).await;
        assert_eq!(root.names, [""]);
        assert!(root.texts("", "namingContexts").contains(&world.base()));
        let read = search(
            &mut ldap,
            &world.base(),
            Scope::Subtree,
            "(objectClass=*)",
            &[],
        )
        .await;
        assert_eq!((read.result.rc, read.names.len()), (code, 0), "{profile:?}");
        // A failed bind takes the account away from a connection that had one.
        ldap.simple_bind(&world.reader(), PASSWORD)
            .await
            .unwrap()
            .success()
            .unwrap();
        assert_eq!(
            ldap.simple_bind(&world.reader(), "wrong").await.unwrap().rc,
            49
        );
        let read = search(
            &mut ldap,
            &world.base(),
            Scope::Subtree,
            "(objectClass=*)",
            &[],
        )
        .await;
        assert_eq!(read.result.rc, code, "{profile:?}");
    }
}

#[tokio::test]
async fn an_empty_password_is_refused_by_slapd_and_anonymous_on_ad() {
    for (profile, code) in [(Profile::OpenLdap, 53), (Profile::Ad, 0)] {
        let world = World::start(profile, 5).await;
        let mut ldap = connect(&world.directory.ldap_url(), false, None)
            .await
            .unwrap();
        assert_eq!(
            ldap.simple_bind(&world.reader(), "").await.unwrap().rc,
            code,
            "{profile:?}"
        );
        let read = search(
            &mut ldap,
            &world.base(),
            Scope::Subtree,
            "(objectClass=*)",
            &[],
        )
        .await;
        assert_ne!(read.result.rc, 0);
    }
}

#[tokio::test]
async fn the_root_dse_tells_the_two_servers_apart() {
    let ad = World::start(Profile::Ad, 5).await;
    let mut ldap = ad.read().await;
    let before = search(&mut ldap, "", Scope::Base, "(objectClass=*)", &[]).await;
    assert_eq!(before.texts("", "defaultNamingContext"), [ad.base()]);
    assert!(
        before.texts("", "vendorName").is_empty(),
        "Windows gives none"
    );
    let service = before.texts("", "dsServiceName").remove(0);
    let settings = search(
        &mut ldap,
        &service,
        Scope::Base,
        "(objectClass=*)",
        &["invocationId"],
    )
    .await;
    assert_eq!(settings.entries[&service]["invocationId"][0].len(), 16);
    let usn = |read: &Read| {
        read.texts("", "highestCommittedUSN")[0]
            .parse::<u64>()
            .unwrap()
    };
    let mut company = ad.company.clone();
    let person = *company.people().keys().next().unwrap();
    ad.directory
        .apply_all(&company.set_enabled(person, false).unwrap())
        .unwrap();
    let after = search(
        &mut ldap,
        "",
        Scope::Base,
        "(objectClass=*)",
        &["highestCommittedUSN"],
    )
    .await;
    assert_eq!(usn(&after), usn(&before) + 1);
    assert_eq!(after.entries[""].len(), 1, "only what was asked for");

    let open = World::start(Profile::OpenLdap, 5).await;
    let mut ldap = open.read().await;
    let plain = search(&mut ldap, "", Scope::Base, "(objectClass=*)", &[]).await;
    assert_eq!(
        plain.entries[""].keys().collect::<Vec<_>>(),
        ["objectClass"],
        "the rest is operational"
    );
    let subschema = search(
        &mut ldap,
        "cn=Subschema",
        Scope::Base,
        "(objectClass=*)",
        &["attributeTypes"],
    )
    .await;
    assert!(
        subschema
            .texts("cn=Subschema", "attributeTypes")
            .iter()
            .any(|each| each.contains("'employeeNumber'"))
    );
}
