//! Distinguished names (RFC 4514): parsed into one canonical text, so that two spellings of a name are equal.
//!
//! Equality ignores the case of types and values, how a character was escaped (`\,` is `\2C`), spaces around separators,
//! leading, trailing and repeated spaces in values (`caseIgnoreMatch`), and the order within a multi-valued RDN. Types
//! are compared by name; the OIDs and long names of RFC 4514 §3 are known. Parsing never panics.

use std::fmt;

use thiserror::Error;

use crate::{anchor::Anchor, fold::fold};

mod parse;

/// A distinguished name in canonical form.
///
/// Kept as one text in which special characters of values are written as `\xx`: an unescaped `,` is always between two
/// RDNs, so a parent is a suffix.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dn(Box<str>);

/// Why a text is no DN.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot read a DN at byte {position}: {problem}")]
pub struct DnError {
    /// Offset in bytes, from 0.
    pub position: usize,
    pub problem: DnProblem,
}

/// What is wrong in a DN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DnProblem {
    #[error("an attribute type such as `cn` or an OID is expected")]
    Type,
    #[error("`=` is expected after the attribute type")]
    Equals,
    #[error("`\\` must be followed by a special character or two hexadecimal digits")]
    Escape,
    #[error("this character must be escaped with `\\` inside a value")]
    Unescaped,
    #[error("a value that starts with `#` must be hexadecimal BER; escape the `#` if it is text")]
    Hex,
    #[error("a GUID is expected: 32 hexadecimal digits, or the printed form with dashes, then `>`")]
    Guid,
}

impl Dn {
    /// Reads an RFC 4514 string. The empty text is the root.
    pub fn parse(text: &str) -> Result<Self, DnError> {
        parse::canonical(text).map(|canonical| Self(canonical.into()))
    }

    /// The name above; `None` for the root and for a name of one RDN.
    pub fn parent(&self) -> Option<Self> {
        self.0.split_once(',').map(|(_, rest)| Self(rest.into()))
    }

    /// Lies below `ancestor`, or is it.
    pub fn is_within(&self, ancestor: &Self) -> bool {
        match self.0.strip_suffix(&*ancestor.0) {
            Some(above) => above.is_empty() || ancestor.0.is_empty() || above.ends_with(','),
            None => false,
        }
    }

    /// How many RDNs it has; 0 for the root.
    pub fn depth(&self) -> usize {
        if self.0.is_empty() {
            0
        } else {
            1 + self.0.bytes().filter(|b| *b == b',').count()
        }
    }

    /// The value of the first RDN (of the first type, if it has several), folded and with specials as `\xx`; `` for the root.
    pub fn first_value(&self) -> &str {
        let rdn = self.0.split(',').next().unwrap_or_default();
        let pair = rdn.split('+').next().unwrap_or_default();
        pair.split_once('=').map_or("", |(_, value)| value)
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dn({})", self.0)
    }
}

/// What people write in a scope to name an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Written {
    Dn(Dn),
    /// `<GUID=…>` of Active Directory ([MS-ADTS] 3.1.1.3.1.2.4): the printed form, or the raw bytes as 32 hexadecimal digits.
    Guid(Anchor),
}

/// In canonical form: one text for all spellings.
impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dn(dn) => dn.fmt(f),
            Self::Guid(guid) => write!(f, "<GUID={guid}>"),
        }
    }
}

impl Written {
    pub fn parse(text: &str) -> Result<Self, DnError> {
        let trimmed = text.trim();
        let Some(guid) = trimmed
            .get(..6)
            .filter(|start| start.eq_ignore_ascii_case("<guid="))
            .and_then(|_| trimmed.get(6..))
        else {
            return Dn::parse(text).map(Self::Dn);
        };
        guid.strip_suffix('>')
            .and_then(|guid| guid_bytes(guid.trim()))
            .map(|bytes| Self::Guid(Anchor::Uuid(bytes)))
            .ok_or(DnError {
                position: 6,
                problem: DnProblem::Guid,
            })
    }
}

/// The 16 bytes of `objectGUID` from its raw form (32 digits) or its printed form (dashes, optional braces), in which the
/// first three groups are little endian.
pub(crate) fn guid_bytes(text: &str) -> Option<[u8; 16]> {
    let bare = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
        .unwrap_or(text);
    let Some(Anchor::Uuid(bytes)) = Anchor::from_printed_uuid(bare) else {
        return None;
    };
    if !bare.contains('-') {
        return Some(bytes);
    }
    let groups: Vec<usize> = bare.split('-').map(str::len).collect();
    let mut raw = bytes;
    raw[..4].reverse();
    raw[4..6].reverse();
    raw[6..8].reverse();
    (groups == [8, 4, 4, 4, 12]).then_some(raw)
}

#[cfg(test)]
mod tests;
