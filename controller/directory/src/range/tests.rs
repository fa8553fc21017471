use proptest::prelude::*;

use super::*;

#[test]
fn options_are_taken_apart() {
    let ranged = |name, start, end| Ok(Description::Ranged(name, Range { start, end }));
    for (text, expected) in [
        ("member", Ok(Description::Plain("member"))),
        (
            "userCertificate;binary",
            Ok(Description::Plain("userCertificate")),
        ),
        ("cn;lang-de", Ok(Description::Subtype)),
        ("cn;binary;lang-de", Ok(Description::Subtype)),
        ("member;range=0-1499", ranged("member", 0, Some(1499))),
        ("member;Range=1500-*", ranged("member", 1500, None)),
        ("member;range=5-5", ranged("member", 5, Some(5))),
        (
            "member;range=5-4",
            Err(RangeError::Malformed("range=5-4".to_owned())),
        ),
        (
            "member;range=-*",
            Err(RangeError::Malformed("range=-*".to_owned())),
        ),
        (
            "member;range=+1-*",
            Err(RangeError::Malformed("range=+1-*".to_owned())),
        ),
        (
            "member;range=1",
            Err(RangeError::Malformed("range=1".to_owned())),
        ),
        (
            "member;range=0-99999999999999999999999",
            Err(RangeError::Malformed(
                "range=0-99999999999999999999999".to_owned(),
            )),
        ),
    ] {
        assert_eq!(description(text), expected, "{text}");
    }
}

fn values(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| n.to_string().into_bytes()).collect()
}

#[test]
fn a_gap_a_wrong_count_and_an_overlap_are_errors() {
    let mut ranged = Ranged::new("member");
    let range = |start, end| Range { start, end };
    ranged.add(range(0, Some(1)), values(2)).unwrap();
    assert_eq!(ranged.ask(), "member;range=2-*");
    assert_eq!(
        ranged.add(range(3, None), values(1)),
        Err(RangeError::Gap {
            expected: 2,
            start: 3
        })
    );
    assert_eq!(
        ranged.add(range(1, None), values(1)),
        Err(RangeError::Gap {
            expected: 2,
            start: 1
        })
    );
    for sent in [0, 1, 3] {
        assert_eq!(
            ranged.add(range(2, Some(3)), values(sent)),
            Err(RangeError::WrongCount { announced: 2, sent })
        );
    }
    assert!(!ranged.complete);
    ranged.add(range(2, None), values(0)).unwrap();
    assert!(ranged.complete);
}

proptest! {
    #[test]
    fn any_division_into_ranges_gives_the_whole_list(sizes in prop::collection::vec(1usize..50, 1..8)) {
        let total: usize = sizes.iter().sum();
        let all = values(total);
        let mut ranged = Ranged::new("member");
        let mut rest = all.clone();
        for (at, size) in sizes.iter().enumerate() {
            prop_assert!(!ranged.complete);
            let start = ranged.values.len();
            let tail = rest.split_off(*size);
            let end = (at + 1 < sizes.len()).then_some(start + size - 1);
            ranged.add(Range { start, end }, rest).unwrap();
            rest = tail;
        }
        prop_assert!(ranged.complete);
        prop_assert_eq!(ranged.values, all);
    }

    #[test]
    fn no_attribute_description_panics(text in "\\PC{0,40}") {
        let _ = description(&text);
        let _ = description(&format!("member;range={text}"));
    }
}
