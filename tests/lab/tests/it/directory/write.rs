//! Writes over the wire: what is refused, with which code, and what a rename carries along.

use std::collections::HashSet;

use super::*;

fn set<'a>(values: &[&'a str]) -> HashSet<&'a str> {
    values.iter().copied().collect()
}

#[tokio::test]
async fn a_refused_write_has_the_code_of_the_standard_and_changes_nothing() {
    use ldap3::Mod::{Add, Delete, Replace};
    let world = World::start(Profile::OpenLdap, 20).await;
    let mut ldap = world.write().await;
    let base = world.base();
    let group = world
        .company
        .dn(world.company.group_named("#general").unwrap())
        .unwrap();
    let staff = format!("ou=Staff,{base}");
    let before = world.directory.dump_ldif();
    for (changes, code) in [
        (vec![Add("cn", set(&["#general"]))], 20),
        (vec![Delete("description", set(&["other"]))], 16),
        (vec![Delete("seeAlso", set(&[]))], 16),
        (vec![Replace("unknownAttribute", set(&["x"]))], 17),
        (vec![Replace("displayName", set(&["a", "b"]))], 19),
        (vec![Replace("entryUUID", set(&["x"]))], 19),
        (vec![Replace("member", set(&[]))], 65),
        (vec![Replace("objectClass", set(&[]))], 65),
        (vec![Replace("member", set(&["no name"]))], 21),
        (vec![Delete("cn", set(&["#general"]))], 64),
        // The first step alone would do; all or none.
        (
            vec![
                Replace("description", set(&["x"])),
                Delete("seeAlso", set(&[])),
            ],
            16,
        ),
    ] {
        let text = format!("{changes:?}");
        assert_eq!(
            ldap.modify(&group, changes).await.unwrap().rc,
            code,
            "{text}"
        );
    }
    let person = |uid: &'static str| {
        vec![
            ("objectClass", set(&["inetOrgPerson"])),
            ("uid", set(&[uid])),
            ("cn", set(&["x"])),
            ("sn", set(&["x"])),
        ]
    };
    for (dn, attributes, code) in [
        (
            group.clone(),
            vec![
                ("objectClass", set(&["groupOfNames"])),
                ("cn", set(&["#general"])),
                ("member", set(&["dc=x"])),
            ],
            68,
        ),
        (format!("uid=a,ou=nowhere,{base}"), person("a"), 32),
        (format!("uid=a,{staff}"), vec![("uid", set(&["a"]))], 65),
    ] {
        assert_eq!(ldap.add(&dn, attributes).await.unwrap().rc, code, "{dn}");
    }
    assert_eq!(ldap.delete(&staff).await.unwrap().rc, 66);
    assert_eq!(
        ldap.delete(&format!("ou=nowhere,{base}")).await.unwrap().rc,
        32
    );
    assert_eq!(
        ldap.modifydn(&staff, "ou=Groups", true, None)
            .await
            .unwrap()
            .rc,
        68
    );
    assert_eq!(
        ldap.modifydn(
            &staff,
            "ou=x",
            true,
            Some(&format!("ou=Engineering,{staff}"))
        )
        .await
        .unwrap()
        .rc,
        53
    );
    assert_eq!(
        world.read().await.delete(&group).await.unwrap().rc,
        50,
        "a reader may not write"
    );
    assert_eq!(world.directory.dump_ldif(), before);
}

#[tokio::test]
async fn ad_says_its_own_about_members() {
    use ldap3::Mod::{Add, Delete};
    let world = World::start(Profile::Ad, 20).await;
    let mut ldap = world.write().await;
    let company = &world.company;
    let group_id = company.group_named("#general").unwrap();
    let group = company.dn(group_id).unwrap();
    let member = company.dn(company.groups()[&group_id].members[0]).unwrap();
    let outsider = company
        .people()
        .keys()
        .find(|id| !company.groups()[&group_id].members.contains(id))
        .unwrap();
    let outsider = company.dn(*outsider).unwrap();
    let nobody = format!("CN=nobody,{}", world.base());
    for (change, code) in [
        (Add("member", set(&[&member])), 68),
        (Delete("member", set(&[&outsider])), 53),
        (Add("member", set(&[&nobody])), 32),
        (Add("objectGUID", set(&["x"])), 19),
        (Add("unknownAttribute", set(&["x"])), 16),
    ] {
        let text = format!("{change:?}");
        assert_eq!(
            ldap.modify(&group, vec![change]).await.unwrap().rc,
            code,
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_renamed_unit_carries_its_people_along_and_on_ad_the_references_too() {
    for profile in [Profile::OpenLdap, Profile::Ad] {
        let world = World::start(profile, 60).await;
        let mut ldap = world.write().await;
        let staff = world
            .company
            .dn(world.company.unit_named("Staff").unwrap())
            .unwrap();
        let head = if profile == Profile::Ad {
            "OU=Crew"
        } else {
            "ou=Crew"
        };
        let stamp = if profile == Profile::Ad {
            "uSNChanged"
        } else {
            "entryUUID"
        };
        let before = search(&mut ldap, &staff, Scope::Subtree, "(sn=*)", &[stamp]).await;
        ldap.modifydn(&staff, "OU=Crew", true, None)
            .await
            .unwrap()
            .success()
            .unwrap();
        let crew = format!("{head},{}", world.base());
        let after = search(&mut ldap, &crew, Scope::Subtree, "(sn=*)", &[stamp]).await;
        let stamps = |read: &Read| {
            read.entries
                .values()
                .map(|each| each[stamp].clone())
                .collect::<std::collections::BTreeSet<_>>()
        };
        assert!(!before.names.is_empty());
        assert_eq!(
            stamps(&after),
            stamps(&before),
            "{profile:?}: children are not stamped, and keep their anchors"
        );
        assert_eq!(
            search(&mut ldap, &staff, Scope::Base, "(objectClass=*)", &[])
                .await
                .result
                .rc,
            32
        );
        let unit = search(&mut ldap, &crew, Scope::Base, "(objectClass=*)", &["ou"]).await;
        assert_eq!(unit.texts(&crew, "ou"), ["Crew"]);
        let groups = search(
            &mut ldap,
            &world.base(),
            Scope::Subtree,
            "(member=*)",
            &["member"],
        )
        .await;
        let members: Vec<String> = groups
            .names
            .iter()
            .flat_map(|dn| groups.texts(dn, "member"))
            .collect();
        let within = |name: &str| {
            members
                .iter()
                .filter(|each| each.to_lowercase().contains(name))
                .count()
        };
        match profile {
            Profile::Ad => assert!(within("ou=crew,") > 60 && within("ou=staff,") == 0),
            Profile::OpenLdap => assert!(
                within("ou=staff,") > 60 && within("ou=crew,") == 0,
                "slapd has no such overlay here"
            ),
        }
    }
}
