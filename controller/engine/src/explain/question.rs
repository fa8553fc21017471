//! What people write to name an object: its DN, its source anchor in any spelling (base64 as in `onPremisesImmutableId`, hexadecimal,
//! a printed UUID, the GUID that Active Directory's tools print), or the sign-in name or mail address.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    anchor::Anchor,
    dn::{Dn, Written, guid_bytes},
};

/// See the module. A text may be read in several ways; whoever fits one of them is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub(crate) anchors: Vec<Anchor>,
    pub(crate) dn: Option<Dn>,
    /// Folded to lower case.
    pub(crate) name: Option<String>,
    /// Only entries of this connector are meant.
    pub connector: Option<String>,
    /// Only what this scope says is told.
    pub scope: Option<String>,
}

impl Question {
    pub fn new(text: &str) -> Self {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        let mut anchors = vec![Anchor::from_text(text), Anchor::from_text(&lower)];
        anchors.extend(Anchor::from_printed_uuid(&lower));
        anchors.extend(guid_bytes(&lower).map(Anchor::Uuid));
        if let Ok(Written::Guid(guid)) = Written::parse(text) {
            anchors.push(guid);
        }
        let bytes = STANDARD.decode(text).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        anchors.extend(bytes.map(Anchor::Uuid));
        anchors.sort();
        anchors.dedup();
        Self {
            anchors,
            dn: Dn::parse(text).ok().filter(|dn| dn.depth() > 0),
            name: text.contains('@').then(|| text.to_lowercase()),
            connector: None,
            scope: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_anchor_is_read() {
        let raw = [
            0x0b, 0x0b, 0x04, 0xe7, 0xf0, 0x86, 0x34, 0x44, 0xab, 0x9c, 0xd4, 0x9a, 0x20, 0x93,
            0xac, 0xb4,
        ];
        for text in [
            "CwsE5/CGNESrnNSaIJOstA==",
            "0b0b04e7f0863444ab9cd49a2093acb4",
            "0B0B04E7F0863444AB9CD49A2093ACB4",
            "0b0b04e7-f086-3444-ab9c-d49a2093acb4",
            "e7040b0b-86f0-4434-ab9c-d49a2093acb4",
            "{E7040B0B-86F0-4434-AB9C-D49A2093ACB4}",
            "<GUID=e7040b0b-86f0-4434-ab9c-d49a2093acb4>",
            " CwsE5/CGNESrnNSaIJOstA== ",
        ] {
            let question = Question::new(text);
            assert!(question.anchors.contains(&Anchor::Uuid(raw)), "{text}");
            assert!(question.name.is_none(), "{text}");
        }
        let number = Question::new("N10042");
        assert!(number.anchors.contains(&Anchor::from_text("N10042")));
    }

    #[test]
    fn a_dn_and_a_sign_in_name_are_told_from_an_anchor() {
        let question = Question::new("UID=Ada, ou=Staff,dc=x");
        assert_eq!(question.dn, Dn::parse("uid=ada,ou=staff,dc=x").ok());
        assert_eq!(question.name, None);
        let question = Question::new("Ada@Example.com");
        assert_eq!(question.name.as_deref(), Some("ada@example.com"));
        assert_eq!(question.dn, None);
    }
}
