//! The generated company: the same for a seed, complete, within limits; and its changes lead a server to its state.

use std::collections::{BTreeMap, BTreeSet};

use plumbline_lab::company::{Company, CompanyError, Dialect, ObjectId};
use plumbline_lab::directory::{Change, Config, Directory, Dn, Entry, Profile, read_entries};
use proptest::prelude::*;

const DIALECTS: [Dialect; 3] = [Dialect::OpenLdap, Dialect::ActiveDirectory, Dialect::Samba];

fn text_values(entries: &[Entry]) -> impl Iterator<Item = &str> {
    let values = entries
        .iter()
        .flat_map(|entry| &entry.attributes)
        .filter(|each| each.name != "objectGUID");
    values
        .flat_map(|each| &each.values)
        .map(|value| std::str::from_utf8(value).unwrap())
}

#[test]
fn the_same_seed_makes_the_same_company_and_another_seed_another() {
    for dialect in DIALECTS {
        let ldif = |seed| Company::generate(seed, 120, dialect).to_ldif();
        assert_eq!(ldif(7), ldif(7));
        assert_ne!(ldif(7), ldif(8));
    }
}

#[test]
fn people_are_the_same_in_every_dialect() {
    let logins = DIALECTS.map(|dialect| {
        let company = Company::generate(3, 80, dialect);
        company
            .people()
            .values()
            .map(|each| (each.login.clone(), each.display_name.clone()))
            .collect::<Vec<_>>()
    });
    assert_eq!(logins[0], logins[1]);
    assert_eq!(logins[1], logins[2]);
}

#[test]
fn every_character_that_needs_care_is_in_values_and_in_names() {
    for dialect in DIALECTS {
        let entries = Company::generate(1, 30, dialect).entries();
        for special in [
            "&", "<", ">", "\"", "'", ",", "+", ";", "(", ")", "*", "\\", "#", "=", "  ",
        ] {
            assert!(
                text_values(&entries).any(|value| value.contains(special)),
                "{dialect:?}: no value with {special}"
            );
            let named = entries.iter().any(|entry| {
                let name = Dn::parse(&entry.dn).unwrap();
                name.0
                    .iter()
                    .flat_map(|rdn| &rdn.0)
                    .any(|ava| ava.value.contains(special))
            });
            assert!(named, "{dialect:?}: no name with {special}");
        }
        let leading = |text: &str| text.starts_with('#');
        assert!(text_values(&entries).any(leading));
        assert!(entries.iter().any(|entry| entry.dn.contains("=\\#")));
    }
}

#[test]
fn names_are_of_many_scripts() {
    let company = Company::generate(1, 500, Dialect::ActiveDirectory);
    let all: String = company
        .people()
        .values()
        .map(|each| each.display_name.as_str())
        .collect();
    for (script, range) in [
        ("Latin with accents", '\u{c0}'..='\u{24f}'),
        ("Vietnamese", '\u{1ea0}'..='\u{1ef9}'),
        ("Greek", '\u{370}'..='\u{3ff}'),
        ("Cyrillic", '\u{400}'..='\u{4ff}'),
        ("Hebrew", '\u{590}'..='\u{5ff}'),
        ("Arabic", '\u{600}'..='\u{6ff}'),
        ("Devanagari", '\u{900}'..='\u{97f}'),
        ("Kana", '\u{3040}'..='\u{30ff}'),
        ("Han", '\u{4e00}'..='\u{9fff}'),
        ("Hangul", '\u{ac00}'..='\u{d7af}'),
    ] {
        assert!(
            all.chars().any(|each| range.contains(&each)),
            "no {script} name among 500 people"
        );
    }
}

#[test]
fn logins_and_addresses_are_ascii_and_unique() {
    let company = Company::generate(5, 2000, Dialect::ActiveDirectory);
    let mut seen = BTreeSet::new();
    for person in company.people().values() {
        assert!(
            person.login.len() <= 20 && person.login.is_ascii(),
            "{}",
            person.login
        );
        assert!(
            seen.insert(person.login.to_lowercase()),
            "{} twice",
            person.login
        );
        for address in person
            .mail
            .iter()
            .chain(&person.aliases)
            .chain(&person.principal_name)
        {
            let (alias, domain) = address.split_once('@').unwrap();
            let valid = alias
                .chars()
                .all(|each| each.is_ascii_alphanumeric() || "'.-_!#^~".contains(each));
            assert!(
                valid && !alias.ends_with('.') && alias.len() <= 64 && domain == "corp.example.com",
                "{address}"
            );
        }
    }
    let mails: Vec<&String> = company
        .people()
        .values()
        .flat_map(|each| each.mail.iter().chain(&each.aliases))
        .collect();
    assert_eq!(mails.iter().collect::<BTreeSet<_>>().len(), mails.len());
}

#[test]
fn values_fit_the_lengths_of_microsoft_graph() {
    let limits: BTreeMap<&str, usize> = [
        ("displayName", 256),
        ("givenName", 64),
        ("sn", 64),
        ("department", 64),
        ("company", 64),
        ("title", 128),
        ("l", 128),
        ("st", 128),
        ("co", 128),
        ("postalCode", 40),
        ("streetAddress", 1024),
        ("mobile", 64),
        ("employeeID", 16),
        ("employeeNumber", 16),
        ("userPrincipalName", 113),
        ("extensionAttribute1", 1024),
    ]
    .into();
    for entry in Company::generate(2, 600, Dialect::ActiveDirectory).entries() {
        for attribute in &entry.attributes {
            let Some(limit) = limits.get(attribute.name.as_str()) else {
                continue;
            };
            for value in &attribute.values {
                let length = std::str::from_utf8(value).unwrap().chars().count();
                assert!(
                    (1..=*limit).contains(&length),
                    "{}: {} of {length}",
                    entry.dn,
                    attribute.name
                );
            }
        }
    }
}

#[test]
fn every_reference_names_an_entry_and_some_use_the_other_escaping() {
    for dialect in DIALECTS {
        let entries = Company::generate(4, 150, dialect).entries();
        let keys: BTreeSet<String> = entries
            .iter()
            .map(|entry| Dn::parse(&entry.dn).unwrap().key())
            .collect();
        assert_eq!(keys.len(), entries.len(), "two entries with one name");
        let mut hex = 0;
        for value in entries
            .iter()
            .flat_map(|entry| [entry.values("member"), entry.values("manager")])
            .flatten()
        {
            let text = std::str::from_utf8(value).unwrap();
            hex += usize::from(text.contains("\\2C"));
            assert!(
                keys.contains(&Dn::parse(text).unwrap().key()),
                "{text} names nobody"
            );
        }
        assert!(hex > 0, "{dialect:?}");
        let base = keys.iter().filter(|key| !key.contains("ou=")).count();
        assert_eq!(base, usize::from(dialect == Dialect::OpenLdap));
    }
}

#[test]
fn the_company_has_what_a_sync_must_cope_with() {
    let company = Company::generate(6, 300, Dialect::ActiveDirectory);
    let people = company.people();
    assert!(people.values().any(|each| !each.enabled));
    assert!(
        people
            .values()
            .any(|each| each.mail.is_none() && each.employee_type != "Service")
    );
    assert!(
        people
            .values()
            .any(|each| each.principal_name.is_none() && each.employee_type != "Service")
    );
    assert!(!company.contacts().is_empty());
    assert!(company.groups().values().any(|each| !each.security));
    assert!(company.groups().values().any(|each| {
        each.members
            .iter()
            .any(|id| matches!(id, ObjectId::Contact(_)))
    }));
    let services = company.unit_named("Service Accounts").unwrap();
    assert_eq!(
        company.units()[&services].parent,
        company.unit_named("Staff")
    );
    assert!(company.units().values().any(|each| each.name.contains(',')));
    let (one, other) = (
        company.group_named("Project Möbius").unwrap(),
        company.group_named("Möbius Reviewers").unwrap(),
    );
    assert!(
        company.groups()[&one].members.contains(&other)
            && company.groups()[&other].members.contains(&one)
    );
    // Managers form a tree: from each person a way leads up to the one who has none.
    assert_eq!(
        people
            .values()
            .filter(|each| each.manager.is_none())
            .count(),
        1
    );
    for start in people.keys() {
        let (mut at, mut steps) = (*start, 0);
        while let Some(above) = people[&at].manager {
            (at, steps) = (above, steps + 1);
            assert!(steps < 20, "a circle of managers");
        }
    }
}

#[test]
fn operations_on_what_is_not_there_are_refused() {
    let mut company = Company::generate(1, 10, Dialect::OpenLdap);
    let unit = company.unit_named("Staff").unwrap();
    let person = *company.people().keys().next().unwrap();
    let nobody = ObjectId::Person(999_999);
    assert_eq!(company.leave(nobody), Err(CompanyError::Unknown(nobody)));
    assert_eq!(
        company.move_to(person, person),
        Err(CompanyError::Unknown(person))
    );
    assert_eq!(
        company.hire(person).unwrap_err(),
        CompanyError::Unknown(person)
    );
    let group = company.group_named("#general").unwrap();
    assert_eq!(company.join(group, unit), Err(CompanyError::Unknown(unit)));
    while company.groups()[&group].members.len() > 1 {
        let member = company.groups()[&group].members[0];
        company.quit(group, member).unwrap();
    }
    let member = company.groups()[&group].members[0];
    assert_eq!(
        company.quit(group, member),
        Err(CompanyError::LastMember { group, member })
    );
}

/// One operation, chosen by numbers.
fn operate(company: &mut Company, kind: u8, one: usize, other: usize) -> Vec<Change> {
    let nth = |all: Vec<ObjectId>, at: usize| all[at % all.len()];
    let person = nth(company.people().keys().copied().collect(), one);
    let unit = nth(company.units().keys().copied().collect(), other);
    let group = nth(company.groups().keys().copied().collect(), other);
    match kind {
        0 => company.hire(unit).unwrap().1,
        1 => company
            .rename(person, &format!("O'Neil, {one} + <{other}>"))
            .unwrap(),
        2 if company.people().len() > 3 => company.leave(person).unwrap(),
        3 => company.move_to(person, unit).unwrap(),
        4 => company
            .rename_unit(unit, &format!("Unit \"{one}\"; {other}"))
            .unwrap(),
        5 => company.join(group, person).unwrap(),
        6 => {
            let member = nth(company.groups()[&group].members.clone(), one);
            company.quit(group, member).unwrap_or_default()
        }
        _ => company.set_enabled(person, one.is_multiple_of(2)).unwrap(),
    }
}

/// What a directory holds, without what the server adds and without the order and spelling of references.
fn content(directory: &Directory) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let server = [
        "entryUUID",
        "entryCSN",
        "contextCSN",
        "createTimestamp",
        "modifyTimestamp",
        "structuralObjectClass",
        "objectGUID",
        "parentGUID",
        "objectSid",
        "instanceType",
        "objectCategory",
        "sAMAccountType",
        "primaryGroupID",
        "uSNCreated",
        "uSNChanged",
        "whenCreated",
        "whenChanged",
        "invocationId",
    ];
    let names = ["member", "manager"];
    let entries = read_entries(&directory.dump_ldif()).unwrap();
    let reduce = |entry: &Entry| {
        let kept = entry
            .attributes
            .iter()
            .filter(|each| !server.contains(&each.name.as_str()));
        kept.map(|each| {
            let text = |value: &Vec<u8>| String::from_utf8(value.clone()).unwrap();
            let key = |value| {
                if names.contains(&each.name.as_str()) {
                    Dn::parse(&text(value)).unwrap().key()
                } else {
                    text(value)
                }
            };
            (each.name.clone(), each.values.iter().map(key).collect())
        })
        .collect()
    };
    entries
        .iter()
        .map(|entry| (Dn::parse(&entry.dn).unwrap().key(), reduce(entry)))
        .collect()
}

async fn directory_of(company: &Company, profile: Profile) -> Directory {
    let config = Config {
        entries: company.entries(),
        ..Config::new(profile, &company.base_dn())
    };
    Directory::start(config).await.unwrap()
}

#[tokio::test]
async fn the_founding_changes_fill_an_empty_server_with_all_entries() {
    for (dialect, profile) in [
        (Dialect::OpenLdap, Profile::OpenLdap),
        (Dialect::ActiveDirectory, Profile::Ad),
        (Dialect::Samba, Profile::Ad),
    ] {
        let company = Company::generate(9, 60, dialect);
        let directory = Directory::start(Config::new(profile, &company.base_dn()))
            .await
            .unwrap();
        directory.apply_all(&company.founding()).unwrap();
        let loaded = directory_of(&company, profile).await;
        assert_eq!(content(&directory), content(&loaded), "{dialect:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn changes_lead_a_server_to_the_state_of_the_company(
        seed in 0u64..1000,
        operations in prop::collection::vec((0u8..8, 0usize..500, 0usize..500), 1..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for (dialect, profile) in [(Dialect::OpenLdap, Profile::OpenLdap), (Dialect::ActiveDirectory, Profile::Ad)] {
                let mut company = Company::generate(seed, 15, dialect);
                let directory = directory_of(&company, profile).await;
                for (kind, one, other) in &operations {
                    let changes = operate(&mut company, *kind, *one, *other);
                    directory.apply_all(&changes).unwrap_or_else(|refusal| panic!("{dialect:?} {refusal}: {changes:#?}"));
                }
                let fresh = directory_of(&company, profile).await;
                assert_eq!(content(&directory), content(&fresh), "{dialect:?}");
            }
        });
    }
}
