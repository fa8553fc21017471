//! The DirSync control (MS-ADTS 3.1.1.3.4.1.3): what is sent, and the answer's, read without trusting a byte.

use ldap3::controls::{Control, RawControl};

use crate::{
    decode::DecodeError,
    feed::ber::{self, INTEGER, OCTET_STRING, Reader, SEQUENCE},
};

pub(crate) const OID: &str = "1.2.840.113556.1.4.841";
/// LDAP_DIRSYNC_OBJECT_SECURITY: what the account may read, for which it needs no further right.
const OBJECT_SECURITY: u32 = 0x1;
/// LDAP_DIRSYNC_INCREMENTAL_VALUES: of links, the values that came or went.
const INCREMENTAL_VALUES: u32 = 0x8000_0000;
/// Bytes of a page at most, as far as servers heed it (Samba does not): 1 MiB.
const PAGE_BYTES: [u8; 3] = [0x10, 0, 0];

/// The control of a request; an empty cookie begins anew.
pub(crate) fn request(object_security: bool, cookie: &[u8]) -> RawControl {
    let mut flags = INCREMENTAL_VALUES;
    if object_security {
        flags |= OBJECT_SECURITY;
    }
    // A signed number of 32 bits: the highest bit makes it negative.
    let parts = [
        ber::element(INTEGER, &flags.to_be_bytes()),
        ber::element(INTEGER, &PAGE_BYTES),
        ber::element(OCTET_STRING, cookie),
    ];
    RawControl {
        ctype: OID.to_owned(),
        crit: true,
        val: Some(ber::element(SEQUENCE, &parts.concat())),
    }
}

/// The control of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// There is more to be asked for at once.
    pub(crate) more: bool,
    pub(crate) cookie: Vec<u8>,
}

/// The control among those of a result.
pub(crate) fn reply(controls: &[Control]) -> Result<Reply, DecodeError> {
    controls
        .iter()
        .find(|control| control.1.ctype == OID)
        .and_then(|control| value(control.1.val.as_deref()?))
        .ok_or(DecodeError {
            message: "DirSync answer",
            part: "control",
        })
}

fn value(bytes: &[u8]) -> Option<Reply> {
    let mut outer = Reader::new(bytes);
    let mut parts = Reader::new(outer.expect(SEQUENCE)?);
    let more = parts.expect(INTEGER)?;
    parts.expect(INTEGER)?;
    let cookie = parts.expect(OCTET_STRING)?;
    let whole = outer.is_empty() && parts.is_empty() && !more.is_empty() && !cookie.is_empty();
    whole.then(|| Reply {
        more: more.iter().any(|byte| *byte != 0),
        cookie: cookie.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_request_is_what_windows_and_samba_take() {
        let value = |object_security| request(object_security, b"c").val.unwrap_or_default();
        assert_eq!(
            value(false),
            [0x30, 14, 2, 4, 0x80, 0, 0, 0, 2, 3, 0x10, 0, 0, 4, 1, b'c']
        );
        assert_eq!(value(true).get(4..8), Some([0x80, 0, 0, 1].as_slice()));
    }

    fn answer(more: &[u8], cookie: &[u8]) -> Vec<u8> {
        let parts = [
            ber::element(INTEGER, more),
            ber::element(INTEGER, &[0]),
            ber::element(OCTET_STRING, cookie),
        ];
        ber::element(SEQUENCE, &parts.concat())
    }

    #[test]
    fn an_answer_without_a_cookie_is_none() {
        assert_eq!(value(&answer(&[0], b"")), None);
        assert_eq!(value(&answer(&[], b"c")), None);
        assert_eq!(reply(&[]).ok(), None);
    }

    proptest! {
        #[test]
        fn an_answer_is_read(more: i32, cookie in prop::collection::vec(any::<u8>(), 1..300)) {
            let read = value(&answer(&more.to_be_bytes(), &cookie));
            prop_assert_eq!(read, Some(Reply { more: more != 0, cookie }));
        }

        #[test]
        fn a_mutated_answer_never_panics_and_a_cut_one_is_none(at in 0usize..40, byte: u8, cut in 1usize..20) {
            let mut bytes = answer(&[1], b"a cookie of twenty-six bytes");
            let mut short = bytes.clone();
            short.truncate(bytes.len() - cut);
            prop_assert_eq!(value(&short), None);
            if let Some(target) = bytes.get_mut(at) {
                *target = byte;
            }
            let _ = value(&bytes);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = value(&bytes);
        }
    }
}
