//! Values of controls and intermediate responses in BER (X.690), for those that `ldap3_proto` reads wrongly or not at all.
//!
//! Reading never panics: what is not as expected is `None`, and bytes after the value count as that.

use bytes::BytesMut;
use ldap3_lber::common::TagClass;
use ldap3_lber::structure::{PL, StructureTag};
use ldap3_lber::{Parser, write};

const MAX_DEPTH: usize = 16;
const BOOLEAN: u64 = 1;
const INTEGER: u64 = 2;
const OCTETS: u64 = 4;
const ENUMERATED: u64 = 10;
const SEQUENCE: u64 = 16;
const SET: u64 = 17;

/// The parts of one SEQUENCE that fills the bytes.
pub(crate) fn read_sequence(bytes: &[u8]) -> Option<Vec<StructureTag>> {
    let (rest, tag) = Parser::new(MAX_DEPTH).parse(bytes).ok()?;
    match tag {
        StructureTag {
            class: TagClass::Universal,
            id: SEQUENCE,
            payload: PL::C(parts),
        } if rest.is_empty() => Some(parts),
        _ => None,
    }
}

/// An INTEGER or ENUMERATED of at most eight bytes in two's complement.
pub(crate) fn read_integer(tag: &StructureTag) -> Option<i64> {
    let bytes = primitive(tag, &[INTEGER, ENUMERATED])?;
    let first = *bytes.first()?;
    if bytes.len() > 8 {
        return None;
    }
    let start = if first & 0x80 == 0 { 0 } else { -1_i64 };
    Some(
        bytes
            .iter()
            .fold(start, |value, byte| (value << 8) | i64::from(*byte)),
    )
}

/// An OCTET STRING.
pub(crate) fn read_octets(tag: &StructureTag) -> Option<&[u8]> {
    primitive(tag, &[OCTETS])
}

/// A BOOLEAN.
pub(crate) fn read_boolean(tag: &StructureTag) -> Option<bool> {
    match primitive(tag, &[BOOLEAN])? {
        [byte] => Some(*byte != 0),
        _ => None,
    }
}

fn primitive<'a>(tag: &'a StructureTag, ids: &[u64]) -> Option<&'a [u8]> {
    match &tag.payload {
        PL::P(bytes) if tag.class == TagClass::Universal && ids.contains(&tag.id) => Some(bytes),
        _ => None,
    }
}

fn universal(id: u64, payload: PL) -> StructureTag {
    StructureTag {
        class: TagClass::Universal,
        id,
        payload,
    }
}

pub(crate) fn integer(value: i64) -> StructureTag {
    universal(INTEGER, PL::P(shortest(value)))
}

pub(crate) fn enumerated(value: i64) -> StructureTag {
    universal(ENUMERATED, PL::P(shortest(value)))
}

pub(crate) fn octets(value: impl Into<Vec<u8>>) -> StructureTag {
    universal(OCTETS, PL::P(value.into()))
}

pub(crate) fn boolean(value: bool) -> StructureTag {
    universal(BOOLEAN, PL::P(vec![if value { 0xff } else { 0 }]))
}

pub(crate) fn set(parts: Vec<StructureTag>) -> StructureTag {
    universal(SET, PL::C(parts))
}

pub(crate) fn sequence(parts: Vec<StructureTag>) -> StructureTag {
    universal(SEQUENCE, PL::C(parts))
}

/// A constructed or primitive value under a context tag.
pub(crate) fn context(id: u64, payload: PL) -> StructureTag {
    StructureTag {
        class: TagClass::Context,
        id,
        payload,
    }
}

/// The bytes of a value.
pub(crate) fn encode(tag: StructureTag) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    // Writing into memory has no way to fail.
    match write::encode_into(&mut buffer, tag) {
        Ok(()) => buffer.to_vec(),
        Err(_) => Vec::new(),
    }
}

fn shortest(value: i64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let redundant = bytes
        .windows(2)
        .take_while(|pair| {
            matches!(pair, [0, next] if next & 0x80 == 0)
                || matches!(pair, [0xff, next] if next & 0x80 != 0)
        })
        .count();
    bytes.get(redundant..).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_flag_for_incremental_values_is_a_negative_integer() {
        let written = encode(sequence(vec![integer(-2_147_483_648), octets("")]));
        assert_eq!(written, [0x30, 8, 2, 4, 0x80, 0, 0, 0, 4, 0]);
        let parts = read_sequence(&written).unwrap();
        assert_eq!(read_integer(&parts[0]), Some(-2_147_483_648));
    }

    proptest! {
        #[test]
        fn integers_come_back_and_any_bytes_are_survived(value: i64, bytes: Vec<u8>) {
            let parts = read_sequence(&encode(sequence(vec![enumerated(value)]))).unwrap();
            prop_assert_eq!(read_integer(&parts[0]), Some(value));
            for part in read_sequence(&bytes).unwrap_or_default() {
                let _ = (read_integer(&part), read_boolean(&part), read_octets(&part));
            }
        }
    }
}
