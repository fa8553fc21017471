use jiff::Timestamp;

use super::*;
use crate::{
    entry::{Attributes, EntryKind},
    format::Format,
    target::{Shape, Value},
};

const TEXT: AttributeRule = AttributeRule {
    class: Class::User,
    name: "",
    shape: Shape::Text,
    max_length: None,
    format: None,
    max_values: None,
    clearable: true,
    required: false,
    unique: false,
    together: None,
};

const fn text(name: &'static str, max_length: u32) -> AttributeRule {
    AttributeRule {
        name,
        max_length: Some(max_length),
        ..TEXT
    }
}

/// The shape of Graph's users and groups, as far as these tests need it.
const RULES: &[AttributeRule] = &[
    AttributeRule {
        name: "accountEnabled",
        shape: Shape::Flag,
        required: true,
        ..TEXT
    },
    AttributeRule {
        name: "businessPhones",
        shape: Shape::List,
        max_values: Some(1),
        ..TEXT
    },
    text("department", 64),
    AttributeRule {
        required: true,
        ..text("displayName", 8)
    },
    text("employeeId", 16),
    AttributeRule {
        clearable: false,
        format: Some(Format::Mail),
        ..text("mail", 64)
    },
    AttributeRule {
        required: true,
        format: Some(Format::MailNickname),
        ..text("mailNickname", 64)
    },
    AttributeRule {
        name: "otherMails",
        shape: Shape::List,
        max_values: Some(2),
        max_length: Some(20),
        ..TEXT
    },
    text("preferredLanguage", 64),
    AttributeRule {
        clearable: false,
        format: Some(Format::CountryCode),
        ..text("usageLocation", 2)
    },
    AttributeRule {
        required: true,
        format: Some(Format::UserPrincipalName),
        ..text("userPrincipalName", 113)
    },
    AttributeRule {
        class: Class::Group,
        required: true,
        ..text("displayName", 256)
    },
    AttributeRule {
        class: Class::Group,
        required: true,
        format: Some(Format::MailNickname),
        ..text("mailNickname", 64)
    },
];

static TARGET: Capabilities = Capabilities {
    classes: &[Class::User, Class::Group],
    attributes: RULES,
    enabled: "accountEnabled",
    sign_in_name: "userPrincipalName",
};

fn entry(attributes: &[(&str, &str)]) -> Entry {
    let mut all = Attributes::default();
    for (name, value) in attributes {
        all.add(name, vec![value.as_bytes().to_vec()]);
    }
    Entry {
        dn: "cn=x".to_owned(),
        kind: EntryKind::User,
        anchor: None,
        alternate: None,
        attributes: all,
    }
}

const PERSON: &[(&str, &str)] = &[
    ("userPrincipalName", "jo@x.example"),
    ("sAMAccountName", "jo"),
    ("cn", "Jo"),
    ("userAccountControl", "512"),
];

fn with(extra: &[(&str, &str)]) -> Entry {
    let mut all = PERSON.to_vec();
    all.extend_from_slice(extra);
    entry(&all)
}

fn without(name: &str) -> Entry {
    let kept: Vec<_> = PERSON.iter().copied().filter(|(n, _)| *n != name).collect();
    entry(&kept)
}

fn set(target: &str, source: &str) -> Override {
    Override {
        set: BTreeMap::from([(target.to_owned(), source.to_owned())]),
        ..Override::default()
    }
}

fn omit(target: &str) -> Override {
    Override {
        omit: BTreeSet::from([target.to_owned()]),
        ..Override::default()
    }
}

fn compile(overrides: &[&Override]) -> Mapping {
    Mapping::compile(ServerType::ActiveDirectory, Class::User, &TARGET, overrides)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn value(changes: &Changes, name: &str) -> Option<Value> {
    changes.get(name).cloned().flatten()
}

#[expect(clippy::unnecessary_wraps, reason = "to compare with `value`")]
fn some(text: &str) -> Option<Value> {
    Some(Value::Text(text.to_owned()))
}

#[expect(clippy::unnecessary_wraps, reason = "to compare with `value`")]
fn flag(flag: bool) -> Option<Value> {
    Some(Value::Flag(flag))
}

fn applied(mapping: &Mapping, entry: &Entry) -> Changes {
    mapping
        .apply(entry, Timestamp::UNIX_EPOCH)
        .unwrap_or_else(|fault| panic!("{fault}"))
}

#[test]
fn every_default_compiles_and_is_there_once() {
    for server in [
        ServerType::ActiveDirectory,
        ServerType::OpenLdap,
        ServerType::Generic,
    ] {
        for class in [Class::User, Class::Group, Class::Contact] {
            let defaults = default::defaults(server, class);
            for (target, source) in defaults {
                let compiled = Expression::compile(source, class);
                assert!(
                    compiled.is_ok(),
                    "{server:?} {class:?} {target}: {compiled:?}"
                );
            }
            let names: BTreeSet<&str> = defaults.iter().map(|(target, _)| *target).collect();
            assert_eq!(names.len(), defaults.len(), "{server:?} {class:?}");
        }
    }
}

#[test]
fn an_active_directory_user_becomes_what_the_defaults_say() {
    let changes = applied(
        &compile(&[]),
        &with(&[
            ("telephoneNumber", "+49 1"),
            ("c", "de"),
            ("mail", "j@x.example"),
        ]),
    );
    assert_eq!(value(&changes, "userPrincipalName"), some("jo@x.example"));
    assert_eq!(value(&changes, "displayName"), some("Jo"));
    assert_eq!(value(&changes, "mailNickname"), some("jo"));
    assert_eq!(value(&changes, "accountEnabled"), flag(true));
    assert_eq!(
        value(&changes, "businessPhones"),
        Some(Value::List(vec!["+49 1".to_owned()]))
    );
    assert_eq!(value(&changes, "usageLocation"), some("DE"));
    assert_eq!(value(&changes, "mail"), some("j@x.example"));
    assert_eq!(changes.get("department"), Some(&None), "cleared");

    let changes = applied(
        &compile(&[]),
        &with(&[
            ("displayName", "Joanne"),
            ("msExchUsageLocation", "FR"),
            ("c", "DE"),
        ]),
    );
    assert_eq!(value(&changes, "displayName"), some("Joanne"));
    assert_eq!(value(&changes, "usageLocation"), some("FR"));
    assert!(
        !changes.contains_key("mail"),
        "what cannot be cleared is left alone"
    );
    let disabled = entry(&[
        ("userPrincipalName", "a@x.example"),
        ("cn", "a"),
        ("userAccountControl", "66050"),
    ]);
    assert_eq!(
        value(&applied(&compile(&[]), &disabled), "accountEnabled"),
        flag(false)
    );
}

#[test]
fn an_inetorgperson_becomes_what_the_defaults_say() {
    for server in [ServerType::OpenLdap, ServerType::Generic] {
        let mapping = Mapping::compile(server, Class::User, &TARGET, &[])
            .unwrap_or_else(|error| panic!("{error}"));
        let base = [
            ("mail", "z@x.example"),
            ("mail", "a@x.example"),
            ("uid", "jö"),
            ("cn", "Jo"),
            ("ou", "R&D"),
            ("preferredLanguage", "de-CH, de;q=0.5"),
        ];
        let changes = applied(&mapping, &entry(&base));
        assert_eq!(value(&changes, "userPrincipalName"), some("a@x.example"));
        assert_eq!(value(&changes, "mail"), some("a@x.example"));
        assert_eq!(
            value(&changes, "otherMails"),
            Some(Value::List(vec!["z@x.example".to_owned()]))
        );
        assert_eq!(value(&changes, "mailNickname"), some("j-"));
        assert_eq!(value(&changes, "department"), some("R&D"));
        assert_eq!(value(&changes, "preferredLanguage"), some("de-CH"));
        assert_eq!(value(&changes, "accountEnabled"), flag(true));
        for lock in [
            ("pwdAccountLockedTime", "000001010000Z"),
            ("nsAccountLock", "TRUE"),
        ] {
            let mut locked = base.to_vec();
            locked.push(lock);
            assert_eq!(
                value(&applied(&mapping, &entry(&locked)), "accountEnabled"),
                flag(false),
                "{lock:?}"
            );
        }
    }
}

#[test]
fn what_breaks_a_rule_names_the_attribute_the_length_and_the_limit() {
    let binary = {
        let mut person = with(&[]);
        person.attributes.add("department", vec![vec![0xff]]);
        person
    };
    let keep = compile(&[]);
    let phones = set("businessPhones", "values('telephoneNumber')");
    let several = compile(&[&phones]);
    let number = set("department", "size(user.cn)");
    let wrong = set("accountEnabled", "user.cn");
    for (mapping, entry, reason, attribute, part) in [
        (
            &keep,
            without("userPrincipalName"),
            Reason::AttributeMissing,
            "userPrincipalName",
            "mapped from `user.userPrincipalName`",
        ),
        (
            &keep,
            without("userAccountControl"),
            Reason::AttributeMissing,
            "accountEnabled",
            "no value",
        ),
        (
            &keep,
            without("cn"),
            Reason::AttributeMissing,
            "displayName",
            "no value",
        ),
        (
            &keep,
            with(&[("displayName", "ÄÖÜäöüßéx")]),
            Reason::AttributeInvalid,
            "displayName",
            "has 9 characters, the limit is 8",
        ),
        (
            &keep,
            with(&[("employeeID", "12345678901234567")]),
            Reason::AttributeInvalid,
            "employeeId",
            "has 17 characters, the limit is 16",
        ),
        (
            &keep,
            entry(&[
                ("userPrincipalName", "é@x.example"),
                ("cn", "a"),
                ("userAccountControl", "512"),
            ]),
            Reason::AttributeInvalid,
            "userPrincipalName",
            "'é' at position 1",
        ),
        (
            &keep,
            with(&[("c", "DEU")]),
            Reason::AttributeInvalid,
            "usageLocation",
            "3 characters",
        ),
        (
            &keep,
            with(&[("c", "D1")]),
            Reason::AttributeInvalid,
            "usageLocation",
            "no country code",
        ),
        (
            &keep,
            with(&[("mail", "müller@x.example")]),
            Reason::AttributeInvalid,
            "mail",
            "'ü' at position 2",
        ),
        (
            &keep,
            with(&[
                ("otherMailbox", "a"),
                ("otherMailbox", "b"),
                ("otherMailbox", "c"),
            ]),
            Reason::AttributeInvalid,
            "otherMails",
            "has 3 values, the limit is 2",
        ),
        (
            &keep,
            with(&[("otherMailbox", "abcdefghijklmnopqrstu")]),
            Reason::AttributeInvalid,
            "otherMails",
            "has 21 characters, the limit is 20",
        ),
        (
            &several,
            with(&[("telephoneNumber", "1"), ("telephoneNumber", "2")]),
            Reason::AttributeInvalid,
            "businessPhones",
            "has 2 values, the limit is 1",
        ),
        (
            &compile(&[&wrong]),
            with(&[]),
            Reason::AttributeInvalid,
            "accountEnabled",
            "takes a bool, the expression gives a text",
        ),
        (
            &compile(&[&number]),
            with(&[]),
            Reason::ExpressionFailed,
            "department",
            "cannot map `department`: the expression gives a int",
        ),
        (
            &keep,
            binary,
            Reason::InvalidUTF8,
            "department",
            "the attribute `department`",
        ),
    ] {
        let fault = match mapping.apply(&entry, Timestamp::UNIX_EPOCH) {
            Err(fault) => fault,
            Ok(changes) => panic!("{attribute}: {changes:?}"),
        };
        assert_eq!(
            (fault.reason, fault.attribute.as_str()),
            (reason, attribute),
            "{fault}"
        );
        assert!(fault.message.contains(part), "{fault}");
    }
}

#[test]
fn a_broken_attribute_that_no_mapping_reads_does_no_harm() {
    let mut person = with(&[]);
    person.attributes.add("jpegPhoto", vec![vec![0xff, 0xd8]]);
    assert!(compile(&[]).apply(&person, Timestamp::UNIX_EPOCH).is_ok());
}

#[test]
fn later_overrides_win_and_what_is_omitted_is_never_sent() {
    let sync = set("department", "'sync'");
    let scope = set("department", "'scope'");
    let person = with(&[("department", "source")]);
    for (overrides, expected) in [
        (vec![], Some(some("source"))),
        (vec![&sync], Some(some("sync"))),
        (vec![&sync, &scope], Some(some("scope"))),
        (vec![&scope, &sync], Some(some("sync"))),
        (vec![&omit("department")], None),
        (vec![&omit("department"), &scope], Some(some("scope"))),
        (vec![&sync, &omit("department")], None),
        (vec![&set("department", "keep()")], None),
        (vec![&set("department", "''")], Some(None)),
    ] {
        let changes = applied(&compile(&overrides), &person);
        assert_eq!(
            changes.get("department").cloned(),
            expected,
            "{overrides:?}"
        );
    }
}

#[test]
fn an_override_that_cannot_be_used_says_which_and_why() {
    let none = Override::default();
    let both = Override {
        omit: BTreeSet::from(["department".to_owned()]),
        ..set("department", "''")
    };
    for (overrides, class, text) in [
        (
            vec![&set("Department", "''")],
            Class::User,
            "cannot map `Department` (sync mapping): the target has no such attribute to write; did you mean `department`?",
        ),
        (
            vec![&none, &omit("nothing")],
            Class::User,
            "cannot map `nothing` (scope mapping): the target has no such attribute to write",
        ),
        (
            vec![&both],
            Class::User,
            "cannot map `department` (sync mapping): it is both set and omitted; remove one of the two",
        ),
        (
            vec![&omit("userPrincipalName")],
            Class::User,
            "cannot map `userPrincipalName` (sync mapping): the target needs it to make an object, it may not be omitted",
        ),
        (
            vec![&none, &set("department", "usr.x")],
            Class::User,
            "cannot map `department` (scope mapping): line 1, column 1: `usr` is not known; an attribute is written `user.usr`, a text in quotation marks",
        ),
        (
            vec![&set("manager", "user.manager + ''")],
            Class::User,
            "cannot map `manager` (sync mapping): the manager is a reference: only one attribute that holds a DN can be mapped, as in `user.manager`",
        ),
        (
            vec![&set("members", "''")],
            Class::Group,
            "cannot map `members` (sync mapping): members are references and can only be omitted",
        ),
        (
            vec![&set("manager", "group.managedBy")],
            Class::Group,
            "cannot map `manager` (sync mapping): the target has no such attribute to write",
        ),
    ] {
        let result = Mapping::compile(ServerType::ActiveDirectory, class, &TARGET, &overrides);
        assert_eq!(
            result.map(|_| ()).map_err(|error| error.to_string()),
            Err(text.to_owned())
        );
    }
}

#[test]
fn references_are_read_like_attributes_and_can_be_omitted() {
    let mapping = compile(&[]);
    assert_eq!(mapping.manager(), Some("manager"));
    assert!(mapping.attributes().contains("manager"));
    assert!(mapping.attributes().contains("useraccountcontrol"));
    assert_eq!(
        compile(&[&set("manager", "user.Secretary")]).manager(),
        Some("secretary")
    );
    let omitted = compile(&[&omit("manager")]);
    assert_eq!(omitted.manager(), None);
    assert!(!omitted.attributes().contains("manager"));

    let group = |server, overrides: &[&Override]| {
        Mapping::compile(server, Class::Group, &TARGET, overrides)
            .unwrap_or_else(|error| panic!("{error}"))
    };
    assert_eq!(
        group(ServerType::ActiveDirectory, &[]).members(),
        ["member"]
    );
    assert_eq!(
        group(ServerType::OpenLdap, &[]).members(),
        ["member", "uniquemember"]
    );
    assert!(
        group(ServerType::OpenLdap, &[])
            .attributes()
            .contains("uniquemember")
    );
    assert!(
        group(ServerType::OpenLdap, &[&omit("members")])
            .members()
            .is_empty()
    );
    assert_eq!(group(ServerType::OpenLdap, &[]).manager(), None);
}

#[test]
fn the_effective_mappings_show_where_each_comes_from() {
    let mapping = compile(&[
        &set("department", "'x'"),
        &Override {
            omit: BTreeSet::from(["employeeId".to_owned()]),
            ..set("manager", "user.secretary")
        },
    ]);
    let rows = mapping.rows();
    let row = |name: &str| {
        rows.iter()
            .find(|row| row.target == name)
            .map(|row| (row.expression.as_str(), row.origin))
    };
    assert_eq!(row("department"), Some(("'x'", Origin::Sync)));
    assert_eq!(row("manager"), Some(("user.secretary", Origin::Scope)));
    assert_eq!(row("employeeId"), Some(("", Origin::Omitted)));
    assert_eq!(row("mail"), Some(("user.mail", Origin::Default)));
    assert_eq!(row("jobTitle"), None, "the target cannot write it");
    assert!(rows.is_sorted_by_key(|row| row.target));
}

#[test]
fn the_reference_page_is_what_the_code_says() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/mappings.md"
    );
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, reference()).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == reference(),
        "docs/reference/mappings.md differs; run the tests with UPDATE_DOCS=1"
    );
}
