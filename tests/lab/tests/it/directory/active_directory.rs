//! What Active Directory has and slapd has not: tombstones, names by GUID, computed links, referrals, built-in objects.

use plumbline_lab::directory::print_guid;

use super::*;

async fn deleted(ldap: &mut Ldap, base: &str) -> Read {
    let filter = "(&(isDeleted=TRUE)(sAMAccountName=*))";
    let ldap3::SearchResult(found, result) = ldap
        .with_controls(vec![show_deleted()])
        .search(base, Scope::Subtree, filter, vec!["*"])
        .await
        .unwrap();
    Read::new(found, result)
}

#[tokio::test]
async fn a_deleted_person_leaves_a_tombstone_for_those_who_may_see_it() {
    let world = World::start(Profile::Ad, 30).await;
    let (mut reader, mut writer) = (world.read().await, world.write().await);
    let mut company = world.company.clone();
    let person = *company.people().keys().nth(12).unwrap();
    let (dn, guid) = (
        company.dn(person).unwrap(),
        company.guid_of(person).unwrap(),
    );
    let found = &company.people()[&person];
    let (login, common_name) = (found.login.clone(), found.common_name.clone());
    let parent = company.dn(found.unit).unwrap();
    let groups_before = search(
        &mut reader,
        &world.base(),
        Scope::Subtree,
        "(objectClass=group)",
        &["uSNChanged"],
    )
    .await;
    for change in company.leave(person).unwrap() {
        world.directory.apply(&change).unwrap();
    }

    let read = deleted(&mut writer, &world.base()).await;
    let expected = format!(
        "CN={common_name}\\0ADEL:{},CN=Deleted Objects,{}",
        print_guid(&guid),
        world.base()
    );
    assert_eq!(read.names, [expected.as_str()]);
    assert_eq!(read.entries[&expected]["objectGUID"], [guid.to_vec()]);
    assert_eq!(read.texts(&expected, "lastKnownParent"), [parent]);
    assert_eq!(read.texts(&expected, "sAMAccountName"), [login]);
    assert_eq!(read.texts(&expected, "isRecycled"), ["TRUE"]);
    for gone in [
        "mail",
        "manager",
        "displayName",
        "memberOf",
        "userPrincipalName",
        "objectCategory",
    ] {
        assert!(!read.entries[&expected].contains_key(gone), "{gone}");
    }
    // The groups lost the member, and nothing else tells of it.
    let filter = format!("(member={})", ldap3::dn_escape(&*dn));
    assert!(
        search(
            &mut writer,
            &world.base(),
            Scope::Subtree,
            &filter,
            &["1.1"]
        )
        .await
        .names
        .is_empty()
    );
    let groups_after = search(
        &mut reader,
        &world.base(),
        Scope::Subtree,
        "(objectClass=group)",
        &["uSNChanged"],
    )
    .await;
    assert_eq!(groups_after.entries, groups_before.entries);

    // Without the control, or without the right, there is nothing; not even the container.
    assert!(
        search(
            &mut writer,
            &world.base(),
            Scope::Subtree,
            "(isDeleted=TRUE)",
            &["1.1"]
        )
        .await
        .names
        .is_empty()
    );
    assert!(deleted(&mut reader, &world.base()).await.names.is_empty());
    let container = format!("<WKGUID=18e2ea80684f11d2b9aa00c04f79f805,{}>", world.base());
    for (ldap, code) in [(&mut reader, 32), (&mut writer, 0)] {
        let found = ldap
            .with_controls(vec![show_deleted()])
            .search(&container, Scope::Base, "(objectClass=*)", vec!["1.1"])
            .await;
        assert_eq!(found.unwrap().1.rc, code);
    }
    world.directory.show_deleted(&world.reader(), true);
    assert_eq!(deleted(&mut reader, &world.base()).await.names.len(), 1);
}

#[tokio::test]
async fn a_deleted_unit_keeps_its_peoples_last_known_parent_readable() {
    let world = World::start(Profile::Ad, 0).await;
    let mut ldap = world.write().await;
    let base = world.base();
    let unit = format!("OU=Short,{base}");
    world
        .directory
        .apply(&plumbline_lab::directory::Change::Add(
            Entry::new(unit.as_str()).with("objectClass", "organizationalUnit"),
        ))
        .unwrap();
    let user = Entry::new(format!("CN=u,{unit}"))
        .with("objectClass", "user")
        .with("sAMAccountName", "u");
    world
        .directory
        .apply(&plumbline_lab::directory::Change::Add(user))
        .unwrap();
    assert_eq!(ldap.delete(&unit).await.unwrap().rc, 66);
    ldap.delete(&format!("CN=u,{unit}"))
        .await
        .unwrap()
        .success()
        .unwrap();
    ldap.delete(&unit).await.unwrap().success().unwrap();
    let read = deleted(&mut ldap, &base).await;
    let parent = read.texts(&read.names[0], "lastKnownParent").remove(0);
    assert!(
        parent.starts_with("OU=Short\\0ADEL:")
            && parent.ends_with(&format!(",CN=Deleted Objects,{base}")),
        "{parent}"
    );
}

#[tokio::test]
async fn an_object_is_found_by_its_guid_in_every_form() {
    let world = World::start(Profile::Ad, 10).await;
    let mut ldap = world.read().await;
    let (&person, _) = world.company.people().iter().next().unwrap();
    let (dn, raw) = (
        world.company.dn(person).unwrap(),
        world.company.guid_of(person).unwrap(),
    );
    let pairs = raw.map(|byte| format!("{byte:02x}"));
    let hex = pairs.concat();
    for base in [
        format!("<GUID={}>", print_guid(&raw)),
        format!("<GUID={hex}>"),
        dn.clone(),
    ] {
        let read = search(
            &mut ldap,
            &base,
            Scope::Base,
            "(objectClass=*)",
            &["objectSid"],
        )
        .await;
        assert_eq!(read.names, [dn.as_str()], "{base}");
    }
    let escaped = format!("\\{}", pairs.join("\\"));
    let read = search(
        &mut ldap,
        &world.base(),
        Scope::Subtree,
        &format!("(objectGUID={escaped})"),
        &["objectSid"],
    )
    .await;
    assert_eq!(read.names, [dn.as_str()]);
    assert_eq!(
        search(
            &mut ldap,
            "<GUID=00000000000000000000000000000000>",
            Scope::Base,
            "(objectClass=*)",
            &[]
        )
        .await
        .result
        .rc,
        32
    );
    assert_eq!(
        search(&mut ldap, "<GUID=xyz>", Scope::Base, "(objectClass=*)", &[])
            .await
            .result
            .rc,
        34
    );
    // A rename takes neither the GUID nor the SID.
    let sid = read.entries[&dn]["objectSid"].clone();
    let mut company = world.company.clone();
    world
        .directory
        .apply_all(&company.rename(person, "Otherwise").unwrap())
        .unwrap();
    let read = search(
        &mut ldap,
        &format!("<GUID={hex}>"),
        Scope::Base,
        "(objectClass=*)",
        &["objectSid"],
    )
    .await;
    assert_eq!(read.names, [company.dn(person).unwrap()]);
    assert_eq!(read.entries[&read.names[0]]["objectSid"], sid);
}

#[tokio::test]
async fn links_are_computed_both_ways_and_through_cycles() {
    let world = World::start(Profile::Ad, 40).await;
    let company = &world.company;
    let mut ldap = world.read().await;
    let everyone = company
        .dn(company.group_named("Everyone").unwrap())
        .unwrap();
    let (&boss, _) = company.people().iter().next().unwrap();
    let boss_dn = company.dn(boss).unwrap();
    let read = search(
        &mut ldap,
        &boss_dn,
        Scope::Base,
        "(objectClass=*)",
        &["memberOf", "directReports", "name", "distinguishedName"],
    )
    .await;
    assert!(read.texts(&boss_dn, "memberOf").contains(&everyone));
    assert_eq!(
        read.texts(&boss_dn, "directReports").len(),
        company
            .people()
            .values()
            .filter(|each| each.manager == Some(boss))
            .count()
    );
    assert_eq!(
        read.texts(&boss_dn, "distinguishedName"),
        [boss_dn.as_str()]
    );
    assert_eq!(
        read.texts(&boss_dn, "name"),
        [company.people()[&boss].common_name.clone()]
    );
    // Everyone holds the departments' groups: all people are in the chain, few are members.
    let chain = |dn: &str| {
        format!(
            "(&(objectClass=user)(memberOf:1.2.840.113556.1.4.1941:={}))",
            ldap3::ldap_escape(dn)
        )
    };
    let people = company
        .people()
        .values()
        .filter(|each| each.employee_type != "Service")
        .count();
    assert_eq!(
        search(
            &mut ldap,
            &world.base(),
            Scope::Subtree,
            &chain(&everyone),
            &["1.1"]
        )
        .await
        .names
        .len(),
        people
    );
    let cycle = company
        .dn(company.group_named("Project Möbius").unwrap())
        .unwrap();
    let other = company
        .dn(company.group_named("Möbius Reviewers").unwrap())
        .unwrap();
    let filter = format!(
        "(member:1.2.840.113556.1.4.1941:={})",
        ldap3::ldap_escape(&*cycle)
    );
    let names = search(&mut ldap, &world.base(), Scope::Subtree, &filter, &["1.1"])
        .await
        .names;
    assert!(
        names.contains(&cycle) && names.contains(&other),
        "a group in a cycle contains itself"
    );
}

#[tokio::test]
async fn bit_filters_and_class_names_work_as_on_ad() {
    let world = World::start(Profile::Ad, 200).await;
    let company = &world.company;
    let mut ldap = world.read().await;
    let staff = company.dn(company.unit_named("Staff").unwrap()).unwrap();
    let disabled = company
        .people()
        .values()
        .filter(|each| !each.enabled)
        .count();
    assert!(disabled > 0);
    for (base, filter, count) in [
        (
            &staff,
            "(userAccountControl:1.2.840.113556.1.4.803:=2)",
            disabled,
        ),
        (
            &staff,
            "(userAccountControl:1.2.840.113556.1.4.803:=514)",
            disabled,
        ),
        (
            &staff,
            "(userAccountControl:1.2.840.113556.1.4.804:=514)",
            company.people().len(),
        ),
        (&staff, "(objectCategory=person)", company.people().len()),
        (
            &world.base(),
            "(&(objectCategory=person)(objectClass=contact))",
            company.contacts().len(),
        ),
    ] {
        assert_eq!(
            search(&mut ldap, base, Scope::Subtree, filter, &["1.1"])
                .await
                .names
                .len(),
            count,
            "{filter}"
        );
    }
    let security = company
        .groups()
        .values()
        .filter(|each| each.security)
        .count();
    for bit in ["-2147483648", "2147483648"] {
        let filter =
            format!("(&(groupType:1.2.840.113556.1.4.803:={bit})(!(isCriticalSystemObject=TRUE)))");
        // An absent attribute makes a comparison false, not undefined.
        assert_eq!(
            search(&mut ldap, &world.base(), Scope::Subtree, &filter, &["1.1"])
                .await
                .names
                .len(),
            security,
            "{filter}"
        );
    }
}

#[tokio::test]
async fn a_search_from_the_head_has_referrals_and_leaves_the_configuration_out() {
    let world = World::start(Profile::Ad, 5).await;
    let mut ldap = world.read().await;
    let base = world.base();
    let read = search(
        &mut ldap,
        &base,
        Scope::Subtree,
        "(objectClass=*)",
        &["1.1"],
    )
    .await;
    assert_eq!(read.result.refs.len(), 3);
    let domain_scope = RawControl {
        ctype: "1.2.840.113556.1.4.1339".into(),
        crit: true,
        val: None,
    };
    let quiet = ldap
        .with_controls(vec![domain_scope])
        .search(&base, Scope::Subtree, "(objectClass=*)", vec!["1.1"])
        .await
        .unwrap();
    assert!(quiet.1.refs.is_empty());
    assert!(
        read.names
            .iter()
            .all(|dn| !dn.ends_with(&format!("CN=Configuration,{base}")))
    );
    let critical = search(
        &mut ldap,
        &base,
        Scope::Subtree,
        "(&(isCriticalSystemObject=TRUE)(sAMAccountName=*))",
        &["1.1"],
    )
    .await;
    for name in [
        "Administrator",
        "Guest",
        "krbtgt",
        "DC1",
        "Domain Users",
        "Administrators",
    ] {
        assert!(
            critical
                .names
                .iter()
                .any(|dn| dn.starts_with(&format!("CN={name},"))),
            "{name}"
        );
    }
    let schema = format!("CN=Schema,CN=Configuration,{base}");
    let read = search(
        &mut ldap,
        &schema,
        Scope::OneLevel,
        "(lDAPDisplayName=extensionAttribute1)",
        &["isSingleValued"],
    )
    .await;
    assert_eq!(read.names.len(), 1);
}
