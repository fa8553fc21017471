use proptest::prelude::*;

use super::*;

fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn spellings_of_one_name_are_equal() {
    for (a, b) in [
        // RFC 4514 §4, and the same otherwise escaped.
        (
            "UID=jsmith,DC=example,DC=net",
            "uid=JSmith, dc=example , dc=net",
        ),
        (
            "OU=Sales+CN=J.  Smith,DC=example,DC=net",
            "cn=j. smith + ou=sales,dc=example,dc=net",
        ),
        (
            r#"CN=James \"Jim\" Smith\, III,DC=example,DC=net"#,
            r"cn=James \22Jim\22 Smith\2C III,dc=example,dc=net",
        ),
        (
            r"CN=Before\0dAfter,DC=example,DC=net",
            r"cn=before\0Dafter,dc=example,dc=net",
        ),
        ("1.3.6.1.4.1.1466.0=#04024869", "1.3.6.1.4.1.1466.0=Hi"),
        (r"CN=Lu\C4\8Di\C4\87", "cn=LUČIĆ"),
        // Each special character, by name and by number.
        (r"cn=a\,b", r"cn=a\2Cb"),
        (r"cn=a\+b", r"cn=a\2bb"),
        (r"cn=a\;b", r"cn=a\3bb"),
        (r"cn=a\<b", r"cn=a\3Cb"),
        (r"cn=a\>b", r"cn=a\3eb"),
        (r"cn=a\\b", r"cn=a\5Cb"),
        (r"cn=a\=b", "cn=a=b"),
        (r"cn=\#b", r"cn=\23b"),
        ("cn=a#b", r"cn=a\23b"),
        (r"cn=o'neil & (sons) *", r"cn=o\27neil \26 \28sons\29 \2a"),
        // Spaces and case as caseIgnoreMatch has them.
        (r"cn=\ a\ ", "cn=a"),
        ("cn=a   b", r"cn=A\20B"),
        ("cn=Straße", "CN=STRASSE"),
        ("cn=ΟΔΟΣ", "cn=οδος"),
        ("cn=Écoute", "cn=éCOUTE"),
        // Types.
        ("2.5.4.3=a,0.9.2342.19200300.100.1.25=b", "cn=a,dc=b"),
        ("OID.2.5.4.11=a", "organizationalUnitName=A"),
        ("cn=#1303466F6F", "cn=foo"),
        ("cn=", r"cn=\20"),
        ("", "  "),
    ] {
        assert_eq!(dn(a), dn(b), "{a} and {b}");
    }
}

#[test]
fn different_names_stay_different() {
    for (a, b) in [
        (r"cn=a\,dc=b", "cn=a,dc=b"),
        (r"cn=a\+sn=b", "cn=a+sn=b"),
        ("cn=a b", "cn=ab"),
        ("cn=a", "sn=a"),
        ("cn=é", "cn=e"),
        ("cn=ı", "cn=i"),
        ("cn=a,dc=b", "cn=a"),
        (r"cn=\ff", r"cn=\fe"),
        ("cn=#3003020101", "cn=#3003020102"),
    ] {
        assert_ne!(dn(a), dn(b), "{a} and {b}");
    }
}

#[test]
fn what_is_no_dn_is_refused_with_its_position() {
    for (text, position, problem) in [
        ("abc", 3, DnProblem::Equals),
        ("=a", 0, DnProblem::Type),
        ("cn=a,", 5, DnProblem::Type),
        ("cn=a,,dc=b", 5, DnProblem::Type),
        ("cn=a+", 5, DnProblem::Type),
        ("é=a", 0, DnProblem::Type),
        ("1..2=a", 0, DnProblem::Type),
        ("cn=a\"b", 4, DnProblem::Unescaped),
        ("cn=a;dc=b", 4, DnProblem::Unescaped),
        ("cn=a<b", 4, DnProblem::Unescaped),
        ("cn=a\\", 4, DnProblem::Escape),
        ("cn=a\\g", 4, DnProblem::Escape),
        ("cn=a\\é", 4, DnProblem::Escape),
        ("cn=#0", 4, DnProblem::Hex),
        ("cn=#", 4, DnProblem::Hex),
        ("cn=#04024869x", 12, DnProblem::Hex),
    ] {
        assert_eq!(
            Dn::parse(text),
            Err(DnError { position, problem }),
            "{text}"
        );
    }
}

#[test]
fn an_escaped_comma_is_no_level() {
    let name = dn(r"CN=Müller\, Jörg,OU=Staff\2C North,DC=corp,DC=example");
    assert_eq!(name.depth(), 4);
    assert_eq!(
        name.parent(),
        Some(dn(r"ou=staff\, north,dc=corp,dc=example"))
    );
    assert_eq!(name.first_value(), r"müller\2c jörg");
    assert!(name.is_within(&dn("DC=corp, DC=example")));
    assert!(name.is_within(&name));
    assert!(name.is_within(&dn("")));
    assert!(!name.is_within(&dn("dc=example,dc=corp")));
    assert!(!dn(r"cn=a\,dc=b").is_within(&dn("dc=b")));
    assert!(!dn("adc=b").is_within(&dn("dc=b")));
    assert!(!dn("dc=b").is_within(&dn("cn=a,dc=b")));
    assert_eq!(dn("dc=b").parent(), None);
    assert_eq!(dn("").depth(), 0);
}

#[test]
fn a_written_guid_is_the_raw_bytes_in_either_form() {
    let raw = Anchor::from_text("0b0b04e7f0863444ab9cd49a2093acb4");
    for text in [
        "<GUID=e7040b0b-86f0-4434-ab9c-d49a2093acb4>",
        " <guid=E7040B0B-86F0-4434-AB9C-D49A2093ACB4> ",
        "<GUID={e7040b0b-86f0-4434-ab9c-d49a2093acb4}>",
        "<GUID=0b0b04e7f0863444ab9cd49a2093acb4>",
    ] {
        assert_eq!(
            Written::parse(text),
            Ok(Written::Guid(raw.clone())),
            "{text}"
        );
    }
    for text in [
        "<GUID=e7040b0b>",
        "<GUID=e7040b0b-86f0-4434-ab9c-d49a2093acb4",
        "<GUID=>",
        "<GUID=e7040b-0b86f0-4434-ab9c-d49a2093acb4>",
    ] {
        assert_eq!(
            Written::parse(text).map_err(|e| e.problem),
            Err(DnProblem::Guid),
            "{text}"
        );
    }
    assert_eq!(Written::parse("DC=a"), Ok(Written::Dn(dn("dc=a"))));
    assert!(Written::parse("<SID=S-1-5-32>").is_err());
}

/// One value, and two ways to escape it.
fn escapings() -> impl Strategy<Value = (String, String, String)> {
    "[a-zA-Z,+\"\\\\<>;#= é中😀&'()*]{0,12}".prop_map(|value| {
        let all: String = value
            .bytes()
            .fold(String::new(), |text, b| text + &format!("\\{b:02X}"));
        let mut few = String::new();
        for (at, c) in value.chars().enumerate() {
            let edge = c == ' ' && (at == 0 || at + 1 == value.chars().count());
            if edge || ",+\"\\<>;".contains(c) || (c == '#' && at == 0) {
                few.push('\\');
            }
            few.push(c);
        }
        (value, all, few)
    })
}

proptest! {
    #[test]
    fn printing_and_parsing_gives_the_same_name(values in proptest::collection::vec(escapings(), 1..5)) {
        let text: Vec<String> = values.iter().map(|(_, _, few)| format!("OU={few}")).collect();
        let name = Dn::parse(&text.join(",")).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(name.depth(), values.len());
        prop_assert_eq!(Dn::parse(&name.to_string()), Ok(name));
    }

    #[test]
    fn how_a_value_is_escaped_does_not_matter((value, all, few) in escapings()) {
        prop_assert_eq!(Dn::parse(&format!("cn={all},dc=x")), Dn::parse(&format!("cn={few},dc=x")), "{}", value);
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,40}", special in "[cn=a,+\\\\#0-9\"<>; .é]{0,30}") {
        for text in [text, special] {
            match Written::parse(&text) {
                Ok(Written::Dn(name)) => prop_assert_eq!(Dn::parse(name.as_str()), Ok(name)),
                Ok(Written::Guid(_)) => {}
                Err(error) => prop_assert!(text.is_char_boundary(error.position.min(text.len()))),
            }
        }
    }
}
