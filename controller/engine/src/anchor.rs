//! The source anchor: the value that names an object for life, never its DN (`objectGUID`, `entryUUID`, …).

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Names a source object for life.
///
/// Two forms exist: 16 bytes (all GUID-like attributes, in the byte order of the server) and text (a chosen attribute such
/// as `employeeNumber`). A text of 32 lower-case hexadecimal digits is the same anchor as those 16 bytes, so that every
/// anchor survives being printed and parsed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Anchor {
    /// 16 bytes, as the server sends them (Active Directory: little-endian groups).
    Uuid([u8; 16]),
    /// Any other value, compared byte for byte.
    Text(Box<str>),
}

impl Anchor {
    /// From the text of a chosen attribute or of a mark. The inverse of `Display`.
    pub fn from_text(text: &str) -> Self {
        let lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match lower.then(|| hex_16(text)).flatten() {
            Some(bytes) => Self::Uuid(bytes),
            None => Self::Text(text.into()),
        }
    }

    /// From a printed UUID such as `entryUUID` (RFC 4530), `ipaUniqueID` or `nsUniqueId`: 32 hexadecimal digits, dashes
    /// anywhere. `None` when it is anything else.
    pub fn from_printed_uuid(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        hex_16(&digits).map(Self::Uuid)
    }

    /// The value of `onPremisesImmutableId`: base64 of the 16 bytes, as Entra Connect writes it; a text as it is.
    pub fn immutable_id(&self) -> String {
        match self {
            Self::Uuid(bytes) => STANDARD.encode(bytes),
            Self::Text(text) => text.to_string(),
        }
    }

    /// The anchor that an `onPremisesImmutableId` stands for.
    pub fn from_immutable_id(text: &str) -> Self {
        match STANDARD
            .decode(text)
            .ok()
            .and_then(|b| <[u8; 16]>::try_from(b).ok())
        {
            Some(bytes) => Self::Uuid(bytes),
            None => Self::from_text(text),
        }
    }

    /// Lower-case hexadecimal digits of the bytes; the form in `uniqueName`.
    pub fn hex(&self) -> String {
        match self {
            Self::Uuid(bytes) => to_hex(bytes),
            Self::Text(text) => to_hex(text.as_bytes()),
        }
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(bytes) => f.write_str(&to_hex(bytes)),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Anchor({self})")
    }
}

fn to_hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn hex_16(digits: &str) -> Option<[u8; 16]> {
    if digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_guid_gives_the_immutable_id_of_entra_connect() {
        let raw = [
            0x0b, 0x0b, 0x04, 0xe7, 0xf0, 0x86, 0x34, 0x44, 0xab, 0x9c, 0xd4, 0x9a, 0x20, 0x93,
            0xac, 0xb4,
        ];
        let anchor = Anchor::Uuid(raw);
        assert_eq!(anchor.immutable_id(), "CwsE5/CGNESrnNSaIJOstA==");
        assert_eq!(anchor.to_string(), "0b0b04e7f0863444ab9cd49a2093acb4");
        assert_eq!(
            Anchor::from_immutable_id("CwsE5/CGNESrnNSaIJOstA=="),
            anchor
        );
    }

    #[test]
    fn printing_and_parsing_gives_the_same_anchor() {
        for text in [
            "10042",
            "0b0b04e7f0863444ab9cd49a2093acb4",
            "0B0B04E7F0863444AB9CD49A2093ACB4",
            "é",
            "",
        ] {
            let anchor = Anchor::from_text(text);
            assert_eq!(Anchor::from_text(&anchor.to_string()), anchor, "{text}");
        }
    }

    #[test]
    fn printed_uuids_of_every_server_are_read() {
        let expected = Anchor::from_text("66446001199a11b266446001aabb11b2");
        for text in [
            "66446001-199a-11b2-6644-6001aabb11b2",
            "66446001-199a11b2-66446001-aabb11b2",
            "66446001-199A-11B2-6644-6001AABB11B2",
        ] {
            assert_eq!(Anchor::from_printed_uuid(text), Some(expected.clone()));
        }
        assert_eq!(Anchor::from_printed_uuid("66446001-199a"), None);
        assert_eq!(Anchor::from_printed_uuid("€€€€€€€€€€€"), None);
    }
}
