//! DirSync on the `Ad` profile: what comes, what must be asked for, and what a real domain controller does not tell.

use plumbline_lab::directory::{Change, Directory, Fault, Modification, Refusal};

use super::*;
use crate::dirsync::{
    ANCESTORS_FIRST_ORDER, Feed, INCREMENTAL_VALUES, OBJECT_SECURITY, PUBLIC_DATA_ONLY, Page,
    readable,
};

fn add(dn: &str, class: &str, attributes: &[(&str, &str)]) -> Change {
    let mut entry = Entry::new(dn).with("objectClass", class);
    for (name, value) in attributes {
        entry.push(name, *value);
    }
    Change::Add(entry)
}

fn modify(dn: &str, step: Modification) -> Change {
    Change::Modify {
        dn: dn.to_owned(),
        modifications: vec![step],
    }
}

fn rename(dn: &str, new_rdn: &str, new_superior: Option<&str>) -> Change {
    Change::Rename {
        dn: dn.to_owned(),
        new_rdn: new_rdn.to_owned(),
        delete_old_rdn: true,
        new_superior: new_superior.map(str::to_owned),
    }
}

fn delete(dn: &str) -> Change {
    Change::Delete { dn: dn.to_owned() }
}

/// An empty domain with OU=T, two users and a group, and a reader with Get-Changes.
async fn domain() -> (World, String) {
    let world = World::start(Profile::Ad, 0).await;
    world.directory.grant_replication(&world.reader(), true);
    let unit = format!("OU=T,{}", world.base());
    let made = [
        add(&unit, "organizationalUnit", &[]),
        add(
            &format!("CN=u1,{unit}"),
            "user",
            &[("sAMAccountName", "u1"), ("mail", "u1@x")],
        ),
        add(
            &format!("CN=u2,{unit}"),
            "user",
            &[("sAMAccountName", "u2")],
        ),
        add(
            &format!("CN=g,{unit}"),
            "group",
            &[
                ("sAMAccountName", "g"),
                ("member", &format!("CN=u1,{unit}")),
            ],
        ),
    ];
    world.directory.apply_all(&made).unwrap();
    (world, unit)
}

/// A name, and attributes with their values.
type Told = (String, Vec<(String, Vec<String>)>);

/// Names and attribute names with their values, objectGUID and instanceType left out after they were seen.
fn told(entries: Vec<(String, crate::dirsync::Attributes)>) -> Vec<Told> {
    entries
        .into_iter()
        .map(|(dn, mut attributes)| {
            assert_eq!(attributes.remove("objectGUID").unwrap()[0].len(), 16);
            assert_eq!(attributes.remove("instanceType").unwrap(), [b"4".to_vec()]);
            (dn, readable(&attributes).into_iter().collect())
        })
        .collect()
}

fn pair(name: &str, values: &[&str]) -> (String, Vec<String>) {
    (
        name.to_owned(),
        values.iter().map(|each| (*each).to_owned()).collect(),
    )
}

#[tokio::test]
async fn only_changed_attributes_that_were_asked_for_come_and_removed_ones_come_empty() {
    let (world, unit) = domain().await;
    let mut ldap = world.read().await;
    let mut feed = Feed::new(&world.base(), &["mail", "title"], INCREMENTAL_VALUES);
    feed.filter = "(sAMAccountName=u*)".to_owned();
    let user = format!("CN=u1,{unit}");
    // The first answer has the objects with one of the attributes, and no empty ones.
    assert_eq!(
        told(feed.poll(&mut ldap).await),
        [(user.clone(), vec![pair("mail", &["u1@x"])])]
    );
    assert_eq!(feed.cookie.len(), 108);
    for (step, expected) in [
        (
            Modification::replace("title", ["t"]),
            Some(pair("title", &["t"])),
        ),
        (
            Modification::replace("mail", ["u1@y"]),
            Some(pair("mail", &["u1@y"])),
        ),
        // Neither the same value again nor another attribute is a change.
        (Modification::replace("mail", ["u1@y"]), None),
        (Modification::replace("description", ["d"]), None),
        (
            Modification::replace::<&str>("mail", []),
            Some(pair("mail", &[])),
        ),
    ] {
        world.directory.apply(&modify(&user, step.clone())).unwrap();
        let expected: Vec<_> = expected
            .map(|each| (user.clone(), vec![each]))
            .into_iter()
            .collect();
        assert_eq!(told(feed.poll(&mut ldap).await), expected, "{step:?}");
    }
    assert_eq!(told(feed.poll(&mut ldap).await), []);
}

#[tokio::test]
async fn members_come_one_by_one_with_the_flag_and_as_a_whole_without() {
    let (world, unit) = domain().await;
    let mut ldap = world.read().await;
    let (group, one, two) = (
        format!("CN=g,{unit}"),
        format!("CN=u1,{unit}"),
        format!("CN=u2,{unit}"),
    );
    let attributes = ["member", "manager"];
    let mut single = Feed::new(&world.base(), &attributes, INCREMENTAL_VALUES);
    let mut whole = Feed::new(&world.base(), &attributes, PUBLIC_DATA_ONLY);
    single.filter = "(|(cn=g)(cn=u2))".to_owned();
    whole.filter = single.filter.clone();
    let first = told(single.poll(&mut ldap).await);
    assert_eq!(
        first,
        [(group.clone(), vec![pair("member;range=1-1", &[&one])])]
    );
    whole.poll(&mut ldap).await;

    let mut step = async |changes: &[Change]| {
        world.directory.apply_all(changes).unwrap();
        (
            told(single.poll(&mut ldap).await),
            told(whole.poll(&mut ldap).await),
        )
    };
    let (single, whole) = step(&[modify(&group, Modification::add("member", two.as_str()))]).await;
    assert_eq!(
        single,
        [(group.clone(), vec![pair("member;range=1-1", &[&two])])]
    );
    assert_eq!(
        whole,
        [(group.clone(), vec![pair("member", &[&one, &two])])]
    );
    let (single, whole) = step(&[
        modify(&group, Modification::delete("member", one.as_str())),
        modify(&two, Modification::replace("manager", [one.as_str()])),
    ])
    .await;
    assert_eq!(
        single,
        [
            (group.clone(), vec![pair("member;range=0-0", &[&one])]),
            (two.clone(), vec![pair("manager;range=1-1", &[&one])])
        ]
    );
    assert_eq!(
        whole,
        [
            (group.clone(), vec![pair("member", &[&two])]),
            (two.clone(), vec![pair("manager", &[&one])])
        ]
    );
    // Added and removed between two polls: only the end is told, also of what never was seen.
    let (single, _) = step(&[
        modify(&group, Modification::add("member", one.as_str())),
        modify(&group, Modification::delete("member", one.as_str())),
    ])
    .await;
    assert_eq!(
        single,
        [(group.clone(), vec![pair("member;range=0-0", &[&one])])]
    );
    // A deleted member takes its value along, and the group is not mentioned.
    let (single, whole) = step(&[delete(&two)]).await;
    assert_eq!((single, whole), (vec![], vec![]));
}

#[tokio::test]
async fn a_renamed_or_moved_container_says_nothing_of_what_is_below_it() {
    let (world, unit) = domain().await;
    let mut ldap = world.read().await;
    let mut feed = Feed::new(&world.base(), &["name"], 0);
    let mut blind = Feed::new(&world.base(), &["mail", "parentGUID"], 0);
    feed.poll(&mut ldap).await;
    blind.poll(&mut ldap).await;
    let renamed = format!("OU=T2,{}", world.base());
    let user = format!("CN=u1,{renamed}");
    let users = format!("CN=Users,{}", world.base());
    for (change, dn, name) in [
        (rename(&unit, "OU=T2", None), renamed.clone(), "T2"),
        (
            rename(&user, "CN=u9", None),
            format!("CN=u9,{renamed}"),
            "u9",
        ),
        (
            rename(&format!("CN=u9,{renamed}"), "CN=u9", Some(&users)),
            format!("CN=u9,{users}"),
            "u9",
        ),
    ] {
        world.directory.apply(&change).unwrap();
        let found = told(feed.poll(&mut ldap).await);
        assert_eq!(found.len(), 1, "{change:?}");
        assert_eq!(found[0].0, dn);
        assert_eq!(found[0].1[0], pair("name", &[name]));
        assert_eq!(found[0].1[1].0, "parentGUID");
        // Who does not ask for the name does not hear of it, not even by parentGUID.
        assert_eq!(told(blind.poll(&mut ldap).await), []);
    }
}

#[tokio::test]
async fn a_delete_is_a_tombstone_for_those_who_ask_for_what_changed_on_it() {
    let (world, unit) = domain().await;
    let mut ldap = world.read().await;
    let all = [
        "isDeleted",
        "lastKnownParent",
        "name",
        "mail",
        "objectClass",
    ];
    let mut feed = Feed::new(&world.base(), &all, INCREMENTAL_VALUES);
    let mut blind = Feed::new(
        &world.base(),
        &["sAMAccountName", "member"],
        INCREMENTAL_VALUES,
    );
    let mut people = Feed::new(&world.base(), &all, INCREMENTAL_VALUES);
    people.filter = "(objectCategory=person)".to_owned();
    for each in [&mut feed, &mut blind, &mut people] {
        each.poll(&mut ldap).await;
    }
    let (user, group) = (format!("CN=u1,{unit}"), format!("CN=g,{unit}"));
    world
        .directory
        .apply_all(&[
            delete(&user),
            delete(&group),
            delete(&format!("CN=u2,{unit}")),
            delete(&unit),
        ])
        .unwrap();
    let found = told(feed.poll(&mut ldap).await);
    let names: Vec<&str> = found.iter().map(|(dn, _)| dn.as_str()).collect();
    assert!(names[0].starts_with("CN=u1\\0ADEL:"), "{names:?}");
    assert!(
        names[3].starts_with("OU=T\\0ADEL:"),
        "children come first: {names:?}"
    );
    assert!(
        names
            .iter()
            .all(|dn| dn.ends_with(&format!(",CN=Deleted Objects,{}", world.base())))
    );
    let attributes = &found[0].1;
    for expected in [pair("isDeleted", &["TRUE"]), pair("mail", &[])] {
        assert!(attributes.contains(&expected), "{attributes:?}");
    }
    assert!(
        !attributes.iter().any(|(name, _)| name == "objectClass"),
        "it did not change"
    );
    // A filter must match what survives; who asks for neither name nor isDeleted loses the delete.
    assert_eq!(told(people.poll(&mut ldap).await), []);
    assert_eq!(told(blind.poll(&mut ldap).await), []);
}

#[tokio::test]
async fn rights_decide_over_dirsync_and_over_tombstones() {
    let (world, unit) = domain().await;
    let (reader, base) = (world.reader(), world.base());
    world
        .directory
        .apply(&delete(&format!("CN=u1,{unit}")))
        .unwrap();
    world
        .directory
        .hide(&format!("CN=u2,{unit}"), &reader)
        .unwrap();
    let mut ldap = world.read().await;
    for (replication, deleted, flags, code, tombstones, hidden) in [
        (false, true, 0, 50, 0, 0),
        (false, false, OBJECT_SECURITY, 0, 0, 0),
        (false, true, OBJECT_SECURITY, 0, 1, 0),
        (true, false, OBJECT_SECURITY, 0, 0, 0),
        (true, false, 0, 0, 1, 1),
    ] {
        world.directory.grant_replication(&reader, replication);
        world.directory.show_deleted(&reader, deleted);
        let mut feed = Feed::new(&base, &["name", "isDeleted"], flags);
        let page = feed.page(&mut ldap).await.unwrap();
        let count = |mark: &str| {
            page.entries
                .iter()
                .filter(|(dn, _)| dn.contains(mark))
                .count()
        };
        assert_eq!(
            (page.code, count("0ADEL:"), count("CN=u2,")),
            (code, tombstones, hidden),
            "{replication} {deleted} {flags}"
        );
    }
}

#[tokio::test]
async fn requests_that_a_domain_controller_refuses_are_refused() {
    let (world, unit) = domain().await;
    let mut ldap = world.read().await;
    for (base, cookie, code) in [
        (unit.clone(), vec![], 53),
        (world.base(), b"MSDS".to_vec(), 53),
        (world.base(), vec![7; 108], 53),
        ("DC=elsewhere".to_owned(), vec![], 53),
        (format!("CN=Configuration,{}", world.base()), vec![], 0),
    ] {
        let mut feed = Feed::new(&base, &["name"], 0);
        feed.cookie = cookie;
        let page = feed.page(&mut ldap).await.unwrap();
        assert_eq!(page.code, code, "{base}");
        assert_eq!(page.entries.is_empty(), code != 0);
    }
    let slapd = World::start(Profile::OpenLdap, 0).await;
    let page = Feed::new(&slapd.base(), &["cn"], 0)
        .page(&mut slapd.read().await)
        .await
        .unwrap();
    assert_eq!(page.code, 12);
}

#[tokio::test]
async fn pages_come_by_count_and_by_bytes_and_a_change_between_two_comes_in_a_later_one() {
    let world = World::start(Profile::Ad, 40).await;
    world.directory.grant_replication(&world.reader(), true);
    let mut ldap = world.read().await;
    let mut feed = Feed::new(&world.base(), &["mail"], 0);
    feed.filter = "(objectClass=user)".to_owned();
    let whole = feed.clone().poll(&mut ldap).await;
    world.directory.limit_dirsync_page(10);
    let early = whole[2].0.clone();
    world.directory.between_pages({
        let early = early.clone();
        move |store, page| {
            if page == 1 {
                store
                    .apply(&modify(&early, Modification::replace("mail", ["late@x"])))
                    .unwrap();
            }
        }
    });
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let Page { entries, more, .. } = feed.page(&mut ldap).await.unwrap();
        assert!(entries.len() <= 10);
        found.extend(entries);
        pages += 1;
        if !more {
            break;
        }
    }
    assert!(pages > 3);
    assert_eq!(found.len(), whole.len() + 1);
    assert_eq!(found.last().unwrap().0, early);
    assert_eq!(found.last().unwrap().1["mail"], [b"late@x".to_vec()]);
    assert_eq!(feed.poll(&mut ldap).await, []);
    // A page of too few bytes has one object all the same.
    let mut feed = Feed::new(&world.base(), &["mail"], 0);
    feed.most_bytes = 1;
    let page = feed.page(&mut ldap).await.unwrap();
    assert_eq!((page.entries.len(), page.more), (1, true));
}

#[tokio::test]
async fn a_child_can_come_before_its_parent_unless_ancestors_are_to_come_first() {
    let (world, unit) = domain().await;
    let mut ldap = world.read().await;
    let touch = modify(
        &unit,
        Modification::replace("description", ["later than its children"]),
    );
    world.directory.apply(&touch).unwrap();
    for (flags, first) in [(0, false), (ANCESTORS_FIRST_ORDER, true)] {
        for most_bytes in [0, 1] {
            let mut feed = Feed::new(&world.base(), &["name"], flags);
            feed.most_bytes = most_bytes;
            let found = feed.poll(&mut ldap).await;
            let at = |dn: &str| found.iter().position(|(each, _)| each == dn).unwrap();
            assert_eq!(
                at(&unit) < at(&format!("CN=u1,{unit}")),
                first,
                "{flags} {most_bytes}"
            );
        }
    }
}

/// uSNChanged with show-deleted, and the number and identity that the root DSE leads to.
async fn committed(ldap: &mut Ldap) -> (u64, Vec<u8>) {
    let names = ["highestCommittedUSN", "dsServiceName"];
    let root = search(ldap, "", Scope::Base, "(objectClass=*)", &names).await;
    let service = root.texts("", "dsServiceName").remove(0);
    let read = search(
        ldap,
        &service,
        Scope::Base,
        "(objectClass=nTDSDSA)",
        &["invocationId"],
    )
    .await;
    let usn = root.texts("", "highestCommittedUSN")[0].parse().unwrap();
    (usn, read.entries[&service]["invocationId"][0].clone())
}

#[tokio::test]
async fn update_numbers_find_changes_and_tombstones_but_not_what_moved_along() {
    let (world, unit) = domain().await;
    let mut ldap = world.write().await;
    let (before, invocation) = committed(&mut ldap).await;
    assert_eq!(invocation.len(), 16);
    let changes = [
        rename(&unit, "OU=T2", None),
        delete(&format!("CN=u1,OU=T2,{}", world.base())),
    ];
    world.directory.apply_all(&changes).unwrap();
    let filter = format!("(uSNChanged>={})", before + 1);
    let ldap3::SearchResult(found, result) = ldap
        .with_controls(vec![show_deleted()])
        .search(&world.base(), Scope::Subtree, &filter, vec!["isDeleted"])
        .await
        .unwrap();
    let read = Read::new(found, result);
    assert_eq!(read.names.len(), 2, "{:?}", read.names);
    assert!(read.names.iter().any(|dn| dn.starts_with("CN=u1\\0ADEL:")));
    assert_eq!(committed(&mut ldap).await, (before + 2, invocation));
}

#[tokio::test]
async fn a_restored_server_has_an_older_state_and_another_invocation() -> Result<(), Refusal> {
    let (world, unit) = domain().await;
    let (one, two) = (format!("CN=u1,{unit}"), format!("CN=u2,{unit}"));
    let backup = world.directory.snapshot();
    let mut ldap = world.read().await;
    let (_, invocation) = committed(&mut ldap).await;
    world.directory.apply_all(&[
        delete(&one),
        modify(&two, Modification::replace("mail", ["lost@x"])),
    ])?;
    let mut feed = Feed::new(&world.base(), &["name", "mail", "isDeleted"], 0);
    feed.poll(&mut ldap).await;
    let (usn, _) = committed(&mut ldap).await;
    world.directory.restore(&backup)?;
    assert!(
        ldap.search("", Scope::Base, "(objectClass=*)", vec!["1.1"])
            .await
            .is_err()
    );
    let mut ldap = world.read().await;
    let (restored, now) = committed(&mut ldap).await;
    assert!(now != invocation && restored < usn);
    // The old cookie is taken, and nothing tells of what came back or was lost.
    world
        .directory
        .apply(&modify(&two, Modification::replace("mail", ["new@x"])))?;
    assert_eq!(
        told(feed.poll(&mut ldap).await),
        [(two, vec![pair("mail", &["new@x"])])]
    );
    assert_eq!(
        search(&mut ldap, &one, Scope::Base, "(objectClass=*)", &["1.1"])
            .await
            .result
            .rc,
        0
    );
    Ok(())
}

#[tokio::test]
async fn a_lagging_replica_has_numbers_of_its_own_and_tells_nothing_twice_by_a_cookie()
-> Result<(), Refusal> {
    let (world, unit) = domain().await;
    let replica = world.directory.replica().await.unwrap();
    let bound = async |directory: &Directory| {
        let mut ldap = connect(&directory.ldap_url(), false, None).await.unwrap();
        ldap.simple_bind(&world.reader(), PASSWORD)
            .await
            .unwrap()
            .success()
            .unwrap();
        ldap
    };
    let (mut first, mut second) = (bound(&world.directory).await, bound(&replica).await);
    let (here, there) = (committed(&mut first).await, committed(&mut second).await);
    assert!(here.0 != there.0 && here.1 != there.1);

    let three = format!("CN=u3,{unit}");
    world.directory.apply(&add(
        &three,
        "user",
        &[("sAMAccountName", "u3"), ("mail", "u3@x")],
    ))?;
    let mut feed = Feed::new(&world.base(), &["mail", "isDeleted"], INCREMENTAL_VALUES);
    assert_eq!(
        feed.poll(&mut first)
            .await
            .iter()
            .filter(|(dn, _)| *dn == three)
            .count(),
        1
    );
    // The replica lags: the new user is not there, and the cookie brings nothing old.
    let mut elsewhere = feed.clone();
    assert_eq!(told(elsewhere.poll(&mut second).await), []);
    assert_eq!(
        search(
            &mut second,
            &three,
            Scope::Base,
            "(objectClass=*)",
            &["1.1"]
        )
        .await
        .result
        .rc,
        32
    );
    replica.catch_up(&world.directory)?;
    // What it has now is new to the cookie that it gave, and known to the one of the first server.
    assert_eq!(
        told(elsewhere.poll(&mut second).await),
        [(three.clone(), vec![pair("mail", &["u3@x"])])]
    );
    let mut known = feed.clone();
    assert_eq!(told(known.poll(&mut second).await), []);
    world.directory.apply(&delete(&three))?;
    replica.catch_up(&world.directory)?;
    for (feed, ldap) in [(&mut feed, &mut first), (&mut known, &mut second)] {
        let found = told(feed.poll(ldap).await);
        assert_eq!(found.len(), 1);
        assert!(found[0].1.contains(&pair("isDeleted", &["TRUE"])));
    }
    assert_eq!(committed(&mut second).await.1, there.1);
    Ok(())
}

#[tokio::test]
async fn faults_hit_dirsync_once() {
    let world = World::start(Profile::Ad, 30).await;
    world.directory.grant_replication(&world.reader(), true);
    world.directory.limit_dirsync_page(10);
    let start = Feed::new(&world.base(), &["mail"], 0);
    let whole = start.clone().poll(&mut world.read().await).await;
    // Cut or garbled in the middle of the second page.
    for fault in [Fault::CutAfterEntries(5), Fault::Garbage] {
        let (mut feed, mut ldap) = (start.clone(), world.read().await);
        feed.page(&mut ldap).await.unwrap();
        world.directory.inject(fault);
        assert!(feed.page(&mut ldap).await.is_err(), "{fault:?}");
        assert_eq!(start.clone().poll(&mut world.read().await).await, whole);
    }
    let mut ldap = world.read().await;
    world.directory.inject(Fault::Busy(1));
    assert_eq!(start.clone().page(&mut ldap).await.unwrap().code, 51);
    world.directory.inject(Fault::RepeatedCookie);
    let mut feed = start.clone();
    let first = feed.page(&mut ldap).await.unwrap();
    let second = feed.page(&mut ldap).await.unwrap();
    assert_eq!((second.more, &second.cookie), (true, &first.cookie));
    let third = feed.page(&mut ldap).await.unwrap();
    assert_eq!(third.entries, second.entries, "the same page again");
    assert_ne!(third.cookie, second.cookie);
    world.directory.inject(Fault::MissingEntries(3));
    let page = start.clone().page(&mut ldap).await.unwrap();
    assert_eq!((page.code, page.entries.len()), (0, 7));
}
