use proptest::prelude::*;

use super::*;
use crate::entry::{Attributes, EntryKind};

fn entry(attributes: &[(&str, &[u8])]) -> Entry {
    let mut all = Attributes::default();
    for (name, value) in attributes {
        all.add(name, vec![value.to_vec()]);
    }
    Entry {
        dn: "cn=x".to_owned(),
        kind: EntryKind::User,
        anchor: None,
        alternate: None,
        attributes: all,
    }
}

fn person() -> Entry {
    entry(&[
        ("objectClass", b"top"),
        ("objectClass", b"user"),
        ("cn", "Jörg  Müller (Süd) *".as_bytes()),
        ("sn", b"O'Neil\\Sons"),
        ("mail", b"b@example.com"),
        ("mail", b"a@example.com"),
        ("uidNumber", b"1009"),
        ("userAccountControl", b"514"),
        ("groupType", b"-2147483646"),
        ("whenCreated", b"20260102030405.0Z"),
        ("manager", br"CN=Smith\2C John,DC=x"),
        (
            "objectGUID",
            b"\x0b\x0b\x04\xe7\xf0\x86\x34\x44\xab\x9c\xd4\x9a\x20\x93\xac\xb4",
        ),
        (
            "objectSid",
            b"\x01\x01\x00\x00\x00\x00\x00\x05\x12\x00\x00\x00",
        ),
        (
            "objectCategory",
            b"CN=Person,CN=Schema,CN=Configuration,DC=x",
        ),
        ("info", b"\xff\xfe"),
        ("empty", b""),
    ])
}

#[test]
fn each_kind_of_item_is_decided() {
    let person = person();
    for (filter, expected) in [
        // Equality ignores case and spaces; escapes are undone.
        ("(cn=JÖRG müller \\28süd\\29 \\2a)", true),
        ("(cn=jörg)", false),
        ("(sn=o'neil\\5csons)", true),
        ("(MAIL=A@example.com)", true),
        ("(objectclass=USER)", true),
        ("(sn~=o'neil\\5csons)", true),
        ("(cn:=jörg müller \\28süd\\29 \\2a)", true),
        // Presence.
        ("(mail=*)", true),
        ("(title=*)", false),
        ("(empty=*)", true),
        // Substrings.
        ("(cn=j*)", true),
        ("(cn=*\\2a)", true),
        ("(cn=*müller*)", true),
        ("(cn=j*m*r*süd*)", true),
        ("(cn=m*)", false),
        ("(cn=j*j*)", false),
        ("(mail=a@*.com)", true),
        ("(mail=a@example.com*a@example.com)", false),
        ("(mail=b@*a@*)", false),
        ("(cn=*g  M*)", true),
        // Order: numbers as numbers, times as times, text as text.
        ("(uidNumber>=999)", true),
        ("(uidNumber<=999)", false),
        ("(uidNumber>=1009)", true),
        ("(whenCreated>=20260102000000Z)", true),
        ("(whenCreated=20260102030405Z)", true),
        ("(whenCreated<=20260102050404+0200)", false),
        ("(sn>=N)", true),
        ("(sn>=p)", false),
        // Bits.
        ("(userAccountControl:1.2.840.113556.1.4.803:=2)", true),
        ("(userAccountControl:1.2.840.113556.1.4.803:=6)", false),
        ("(userAccountControl:1.2.840.113556.1.4.804:=6)", true),
        ("(userAccountControl:1.2.840.113556.1.4.804:=5)", false),
        ("(groupType:1.2.840.113556.1.4.803:=2147483648)", true),
        // Names in any spelling.
        (r"(manager=cn=smith\5c, john , dc=X)", true),
        (r"(manager=CN=Smith\5c2c John,DC=x)", true),
        ("(manager=CN=Smith,DC=x)", false),
        // What is bytes.
        (
            r"(objectGUID=\0b\0b\04\e7\f0\86\34\44\ab\9c\d4\9a\20\93\ac\b4)",
            true,
        ),
        ("(objectGUID=e7040b0b-86f0-4434-ab9c-d49a2093acb4)", true),
        ("(objectGUID=e7040b0b-86f0-4434-ab9c-d49a2093acb5)", false),
        ("(objectSid=S-1-5-18)", true),
        ("(objectSid=S-1-5-19)", false),
        (r"(info=\ff\fe)", true),
        (r"(info=\ff)", false),
        // Categories by class.
        ("(objectCategory=person)", true),
        ("(objectCategory=user)", true),
        ("(objectCategory=group)", false),
        (
            "(objectCategory=CN=person,CN=Schema,CN=Configuration,DC=x)",
            true,
        ),
        // Logic, with white space.
        ("(&)", true),
        ("(|)", false),
        (" ( & (mail=*)\n  (! (title=*)) ) ", true),
        ("(|(title=*)(sn=x))", false),
        // An absent attribute is false, so its negation holds.
        ("(!(department=x))", true),
        ("(!(department>=x))", true),
        // Undefined stays undefined under not, and yields to true in or, to false in and.
        ("(manager>=x)", false),
        ("(!(manager>=x))", false),
        ("(!(manager=*x*))", false),
        ("(!(manager=no dn))", false),
        ("(!(cn:1.2.840.113556.1.4.803:=1))", false),
        ("(|(manager>=x)(mail=*))", true),
        ("(!(&(manager>=x)(title=*)))", true),
        ("(!(&(manager>=x)(mail=*)))", false),
    ] {
        let parsed = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
        assert_eq!(parsed.matches(&person), expected, "{filter}");
    }
}

#[test]
fn what_cannot_be_decided_is_refused_with_its_position() {
    let refuse = |rule: &str, hint| FilterProblem::MatchingRule(rule.to_owned(), hint);
    for (filter, position, problem) in [
        ("", 0, FilterProblem::Open),
        ("cn=a", 0, FilterProblem::Open),
        ("(cn=a", 5, FilterProblem::Close),
        ("(cn=a)x", 6, FilterProblem::Trailing),
        ("(&(cn=a)", 8, FilterProblem::Open),
        ("(!(a=b)(c=d))", 7, FilterProblem::Close),
        ("()", 1, FilterProblem::Attribute),
        ("(=a)", 1, FilterProblem::Attribute),
        ("(é=a)", 1, FilterProblem::Attribute),
        ("(2.5.4.3=a)", 1, FilterProblem::Oid),
        ("(cn;lang-en=a)", 3, FilterProblem::AttributeOption),
        ("(cn)", 3, FilterProblem::Operator),
        ("(cn>a)", 3, FilterProblem::Operator),
        (r"(cn=\4)", 4, FilterProblem::Escape),
        (r"(cn=a\", 5, FilterProblem::Escape),
        (r"(cn=\é)", 4, FilterProblem::Escape),
        (r"(cn=\+1)", 4, FilterProblem::Escape),
        ("(cn>=a*)", 6, FilterProblem::Asterisk),
        ("(cn=a(b)", 5, FilterProblem::Close),
        ("(uac:1.2.840.113556.1.4.803:=x)", 29, FilterProblem::Mask),
        ("(uac:1.2.840.113556.1.4.803:)", 28, FilterProblem::Operator),
        ("(cn:dn:=a)", 4, refuse("dn", "")),
        ("(cn:caseExactMatch:=a)", 4, refuse("caseExactMatch", "")),
        (
            "(memberOf:1.2.840.113556.1.4.1941:=cn=a)",
            10,
            refuse(
                "1.2.840.113556.1.4.1941",
                "; for the members of a nested group, include the group in the scope",
            ),
        ),
        (
            &format!("{}(a=b)", "(!".repeat(64)),
            129,
            FilterProblem::Depth,
        ),
    ] {
        assert_eq!(
            Filter::parse(filter),
            Err(FilterError { position, problem }),
            "{filter}"
        );
    }
}

#[test]
fn the_attributes_to_read_are_known() {
    let filter =
        Filter::parse("(&(Mail=*)(!(|(SN=a*)(userAccountControl:1.2.840.113556.1.4.803:=2))))");
    let filter = filter.unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<&str> = filter.attributes().collect();
    assert_eq!(names, ["mail", "sn", "useraccountcontrol"]);
}

/// A filter with its truth by another formulation: false 0, undefined 1, true 2; and is min, or is max, not is 2 - x.
#[derive(Clone, Debug)]
enum Model {
    And(Vec<Model>),
    Or(Vec<Model>),
    Not(Box<Model>),
    Equal(&'static str, u8),
    Present(&'static str),
    AtLeast(&'static str, u8),
    Bits(&'static str, u8),
    Undefined,
}

impl Model {
    fn text(&self) -> String {
        let join = |all: &[Self]| all.iter().map(Self::text).collect::<String>();
        match self {
            Self::And(all) => format!("(&{})", join(all)),
            Self::Or(all) => format!("(|{})", join(all)),
            Self::Not(one) => format!("(!{})", one.text()),
            Self::Equal(name, value) => format!("({name}={value})"),
            Self::Present(name) => format!("({name}=*)"),
            Self::AtLeast(name, value) => format!("({name}>={value})"),
            Self::Bits(name, mask) => format!("({name}:1.2.840.113556.1.4.803:={mask})"),
            Self::Undefined => "(manager>=a)".to_owned(),
        }
    }

    fn truth(&self, values: &[(&str, u8)]) -> u8 {
        let any = |name: &str, test: &dyn Fn(u8) -> bool| {
            2 * u8::from(values.iter().any(|(n, v)| *n == name && test(*v)))
        };
        match self {
            Self::And(all) => all.iter().map(|m| m.truth(values)).min().unwrap_or(2),
            Self::Or(all) => all.iter().map(|m| m.truth(values)).max().unwrap_or(0),
            Self::Not(one) => 2 - one.truth(values),
            Self::Equal(name, value) => any(name, &|v| v == *value),
            Self::Present(name) => any(name, &|_| true),
            Self::AtLeast(name, value) => any(name, &|v| v >= *value),
            Self::Bits(name, mask) => any(name, &|v| v & mask == *mask),
            Self::Undefined => 1,
        }
    }
}

fn model() -> impl Strategy<Value = Model> {
    let name = proptest::sample::select(vec!["a", "b", "c"]);
    let leaf = (name, 0_u8..12, 0..5).prop_map(|(name, value, kind)| match kind {
        0 => Model::Equal(name, value),
        1 => Model::Present(name),
        2 => Model::AtLeast(name, value),
        3 => Model::Bits(name, value),
        _ => Model::Undefined,
    });
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Model::And),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Model::Or),
            inner.prop_map(|one| Model::Not(Box::new(one))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn decisions_are_those_of_the_three_valued_model(
        model in model(),
        values in proptest::collection::vec((proptest::sample::select(vec!["a", "b"]), 0_u8..12), 0..5),
    ) {
        let mut attributes = Attributes::default();
        attributes.add("manager", vec![b"cn=m".to_vec()]);
        for (name, value) in &values {
            attributes.add(name, vec![value.to_string().into_bytes()]);
        }
        let entry = Entry { attributes, ..entry(&[]) };
        let filter = Filter::parse(&model.text()).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(filter.matches(&entry), model.truth(&values) == 2, "{}", filter);
        prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,40}", special in "[()&|!=<>~:*\\\\a-c0-9 é]{0,30}") {
        for text in [text, special] {
            match Filter::parse(&text) {
                Ok(filter) => {
                    filter.matches(&person());
                    prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
                }
                Err(error) => prop_assert!(error.position <= text.len()),
            }
        }
    }
}
