use ldap3::{asn1::TagClass, controls::RawControl};
use proptest::prelude::*;

use super::*;

fn octets(bytes: &[u8]) -> StructureTag {
    StructureTag {
        class: TagClass::Universal,
        id: 4,
        payload: PL::P(bytes.to_vec()),
    }
}

fn constructed(id: u64, children: Vec<StructureTag>) -> StructureTag {
    StructureTag {
        class: TagClass::Universal,
        id,
        payload: PL::C(children),
    }
}

fn result_entry(tag: StructureTag) -> ResultEntry {
    ResultEntry::new(tag)
}

fn control(value: Option<Vec<u8>>) -> Control {
    Control(
        None,
        RawControl {
            ctype: PAGED_RESULTS.to_owned(),
            crit: false,
            val: value,
        },
    )
}

#[test]
fn an_entry_keeps_its_bytes_whatever_they_are() {
    let tag = constructed(
        ENTRY,
        vec![
            octets(b"cn=\xff"),
            constructed(
                16,
                vec![constructed(
                    16,
                    vec![
                        octets(b"objectGUID"),
                        constructed(17, vec![octets(b"\xff\x00")]),
                    ],
                )],
            ),
        ],
    );
    let expected = RawEntry {
        dn: b"cn=\xff".to_vec(),
        attributes: vec![("objectGUID".to_owned(), vec![b"\xff\x00".to_vec()])],
    };
    assert_eq!(item(result_entry(tag)), Ok(Item::Entry(expected)));
}

#[test]
fn an_entry_with_a_piece_missing_is_an_error_not_a_smaller_entry() {
    let attribute = |parts| {
        constructed(
            ENTRY,
            vec![
                octets(b"cn=a"),
                constructed(16, vec![constructed(16, parts)]),
            ],
        )
    };
    for (tag, part) in [
        (octets(b""), "type"),
        (constructed(ENTRY, vec![]), "DN"),
        (constructed(ENTRY, vec![octets(b"cn=a")]), "attribute list"),
        (attribute(vec![]), "attribute description"),
        (
            attribute(vec![octets(b"\xff"), constructed(17, vec![])]),
            "attribute description",
        ),
        (attribute(vec![octets(b"cn")]), "attribute values"),
        (
            attribute(vec![octets(b"cn"), octets(b"a")]),
            "attribute values",
        ),
        (
            attribute(vec![
                octets(b"cn"),
                constructed(17, vec![constructed(16, vec![])]),
            ]),
            "attribute values",
        ),
    ] {
        let mut tag = tag;
        if part == "type" {
            tag.id = 99;
        }
        assert_eq!(item(result_entry(tag)).unwrap_err().part, part);
    }
}

#[test]
fn the_cookie_of_a_page_is_found_and_a_broken_control_is_an_error() {
    assert_eq!(page_cookie(&[]), Ok(None));
    let last = vec![0x30, 5, 2, 1, 0, 4, 0];
    assert_eq!(page_cookie(&[control(Some(last))]), Ok(Some(vec![])));
    let more = vec![0x30, 7, 2, 1, 0, 4, 2, 0xca, 0xfe];
    assert_eq!(
        page_cookie(&[control(Some(more))]),
        Ok(Some(vec![0xca, 0xfe]))
    );
    for broken in [
        None,
        Some(vec![]),
        Some(vec![0x30]),
        Some(vec![0x30, 3, 2, 1, 0]),
        Some(vec![4, 0]),
    ] {
        assert!(page_cookie(&[control(broken)]).is_err());
    }
}

fn any_tree() -> impl Strategy<Value = StructureTag> {
    let class = prop_oneof![
        Just(TagClass::Universal),
        Just(TagClass::Application),
        Just(TagClass::Context)
    ];
    let leaf = (
        class.clone(),
        0u64..32,
        prop::collection::vec(any::<u8>(), 0..12),
    )
        .prop_map(|(class, id, bytes)| StructureTag {
            class,
            id,
            payload: PL::P(bytes),
        });
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let id = prop_oneof![Just(ENTRY), Just(REFERENCE), Just(16), Just(17), 0u64..32];
        (class.clone(), id, prop::collection::vec(inner, 0..5)).prop_map(|(class, id, children)| {
            StructureTag {
                class,
                id,
                payload: PL::C(children),
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_tree_panics(tree in any_tree(), id in prop_oneof![Just(ENTRY), Just(REFERENCE), Just(INTERMEDIATE)]) {
        let mut tree = tree;
        tree.id = id;
        let _ = item(result_entry(tree));
    }

    #[test]
    fn no_control_value_panics(value in prop::option::of(prop::collection::vec(any::<u8>(), 0..40))) {
        let _ = page_cookie(&[control(value)]);
    }
}
