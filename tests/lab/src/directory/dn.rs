//! Distinguished names (RFC 4514): parsing, comparison and the two spellings that servers use.
//!
//! Input is any string; both escapings (`\,` and `\2C`) are read. Two names are equal when their `key()` is:
//! attribute types by canonical name, values without regard to case and repeated spaces (caseIgnoreMatch), several
//! values of one RDN in any order. slapd writes special characters as hex pairs, Active Directory with a backslash.

use std::fmt::Write as _;

use thiserror::Error;

use super::schema;

/// Why a string is no distinguished name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DnError {
    #[error("the RDN `{0}` has no attribute type followed by `=`")]
    NoType(String),
    #[error("the character `{0}` must be escaped in a DN")]
    Unescaped(char),
    #[error("a backslash in a DN must be followed by a special character or two hex digits")]
    Escape,
    #[error("an escaped value in a DN is not UTF-8")]
    Utf8,
    #[error("hex-encoded BER values (`#…`) in a DN are not supported")]
    Ber,
    #[error("an RDN may not be empty")]
    EmptyRdn,
}

/// How special characters are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escaping {
    /// `\,` as Active Directory does.
    Backslash,
    /// `\2C` as slapd does.
    Hex,
}

/// One `type=value` of an RDN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ava {
    pub attribute: String,
    pub value: String,
}

/// One level of a name; usually one `type=value`, joined by `+` when there are more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rdn(pub Vec<Ava>);

/// A distinguished name, leaf first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dn(pub Vec<Rdn>);

const SPECIAL: &[char] = &[',', '+', '"', '\\', '<', '>', ';', '='];

impl Rdn {
    /// An RDN of one value.
    pub fn single(attribute: &str, value: &str) -> Self {
        Self(vec![Ava {
            attribute: attribute.to_owned(),
            value: value.to_owned(),
        }])
    }

    /// The written form.
    pub fn render(&self, escaping: Escaping) -> String {
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|ava| format!("{}={}", ava.attribute, escape(&ava.value, escaping)))
            .collect();
        parts.join("+")
    }

    /// The form for comparison.
    pub fn key(&self) -> String {
        let mut parts: Vec<String> = self
            .0
            .iter()
            .map(|ava| {
                let name = schema::canonical(&ava.attribute).to_ascii_lowercase();
                format!("{name}={}", escape(&fold(&ava.value), Escaping::Hex))
            })
            .collect();
        parts.sort();
        parts.join("+")
    }
}

impl Dn {
    /// Reads a written name; the empty string is the root.
    pub fn parse(text: &str) -> Result<Self, DnError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        split(text, &[',', ';'])?
            .into_iter()
            .map(parse_rdn)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The written form.
    pub fn render(&self, escaping: Escaping) -> String {
        let parts: Vec<String> = self.0.iter().map(|rdn| rdn.render(escaping)).collect();
        parts.join(",")
    }

    /// The form for comparison: equal names have equal keys, and a name below another ends in `,` and its key.
    pub fn key(&self) -> String {
        let parts: Vec<String> = self.0.iter().map(Rdn::key).collect();
        parts.join(",")
    }

    /// The name one level up; none for the root.
    pub fn parent(&self) -> Option<Self> {
        (!self.0.is_empty()).then(|| Self(self.0.iter().skip(1).cloned().collect()))
    }

    /// The name one level down.
    #[must_use]
    pub fn child(&self, rdn: Rdn) -> Self {
        Self(std::iter::once(rdn).chain(self.0.iter().cloned()).collect())
    }
}

/// Whether the name with this key is, or lies below, the name with the other key.
pub(crate) fn is_within(key: &str, base: &str) -> bool {
    base.is_empty()
        || key == base
        || key
            .strip_suffix(base)
            .is_some_and(|rest| rest.ends_with(','))
}

/// A value as caseIgnoreMatch compares it: lower case, trimmed, runs of spaces as one.
pub(crate) fn fold(value: &str) -> String {
    value
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
}

fn parse_rdn(text: &str) -> Result<Rdn, DnError> {
    split(text, &['+'])?
        .into_iter()
        .map(|part| {
            let part = part.trim_start();
            if part.is_empty() {
                return Err(DnError::EmptyRdn);
            }
            let (attribute, value) = part
                .split_once('=')
                .ok_or_else(|| DnError::NoType(part.to_owned()))?;
            let attribute = attribute.trim();
            let valid = !attribute.is_empty()
                && attribute
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
            if !valid {
                return Err(DnError::NoType(part.to_owned()));
            }
            Ok(Ava {
                attribute: attribute.to_owned(),
                value: unescape(value)?,
            })
        })
        .collect::<Result<_, _>>()
        .map(Rdn)
}

/// Splits at separators that are not escaped.
fn split<'a>(text: &'a str, separators: &[char]) -> Result<Vec<&'a str>, DnError> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if separators.contains(&character) {
            parts.push(text.get(start..at).unwrap_or_default());
            start = at + character.len_utf8();
        }
    }
    if escaped {
        return Err(DnError::Escape);
    }
    parts.push(text.get(start..).unwrap_or_default());
    Ok(parts)
}

fn unescape(text: &str) -> Result<String, DnError> {
    let text = text.trim_start();
    if text.starts_with('#') {
        return Err(DnError::Ber);
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(text.len());
    // Spaces at the end count only when they are escaped.
    let mut kept = 0;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => {
                let first = rest.next().ok_or(DnError::Escape)?;
                if SPECIAL.contains(&first) || matches!(first, ' ' | '#') {
                    bytes.push(u8::try_from(first).map_err(|_| DnError::Escape)?);
                } else {
                    let high = first.to_digit(16).ok_or(DnError::Escape)?;
                    let low = rest
                        .next()
                        .and_then(|next| next.to_digit(16))
                        .ok_or(DnError::Escape)?;
                    bytes.push(u8::try_from(high * 16 + low).map_err(|_| DnError::Escape)?);
                }
                kept = bytes.len();
            }
            '"' | '<' | '>' => return Err(DnError::Unescaped(character)),
            _ => {
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                if character != ' ' {
                    kept = bytes.len();
                }
            }
        }
    }
    bytes.truncate(kept);
    String::from_utf8(bytes).map_err(|_| DnError::Utf8)
}

fn escape(value: &str, escaping: Escaping) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(value.len());
    for (at, character) in value.chars().enumerate() {
        let edge = (character == ' ' && (at == 0 || at == last)) || (character == '#' && at == 0);
        let special = edge || SPECIAL.contains(&character);
        match escaping {
            _ if character == '\0' => out.push_str("\\00"),
            Escaping::Backslash if character == '\n' => out.push_str("\\0A"),
            Escaping::Backslash if special => {
                out.push('\\');
                out.push(character);
            }
            Escaping::Hex if special => {
                let _ = write!(out, "\\{:02X}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_escapings_are_one_name_and_each_server_has_its_spelling() {
        let written = [
            r#"cn=\#Zoë \"Q\" a\+b\;c\=d  e*(f)\\g,OU=Foo\2C bar  & \3Cx\3e,DC=corp,DC=example"#,
            r"CN=\23Zo\C3\AB \22q\22 a\2Bb\3Bc=d e*(f)\5Cg , ou=Foo\, Bar & \<x\>,dc=CORP,dc=example",
        ];
        let names: Vec<Dn> = written
            .iter()
            .map(|text| Dn::parse(text).unwrap())
            .collect();
        assert_eq!(names[0].key(), names[1].key());
        assert_eq!(
            names[0].render(Escaping::Hex),
            r"cn=\23Zoë \22Q\22 a\2Bb\3Bc\3Dd  e*(f)\5Cg,OU=Foo\2C bar  & \3Cx\3E,DC=corp,DC=example"
        );
        assert_eq!(
            names[0].render(Escaping::Backslash),
            r#"cn=\#Zoë \"Q\" a\+b\;c\=d  e*(f)\\g,OU=Foo\, bar  & \<x\>,DC=corp,DC=example"#
        );
        for name in &names {
            for escaping in [Escaping::Hex, Escaping::Backslash] {
                assert_eq!(Dn::parse(&name.render(escaping)).as_ref(), Ok(name));
            }
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_its_reason() {
        for (text, reason) in [
            ("cn", DnError::NoType("cn".into())),
            ("cn=a,,dc=b", DnError::EmptyRdn),
            ("cn=a<b", DnError::Unescaped('<')),
            (r"cn=a\", DnError::Escape),
            (r"cn=a\zz", DnError::Escape),
            (r"cn=\ff", DnError::Utf8),
            ("cn=#0402", DnError::Ber),
        ] {
            assert_eq!(Dn::parse(text), Err(reason), "{text}");
        }
    }

    #[test]
    fn a_name_lies_within_its_ancestors_only() {
        let key = |text| Dn::parse(text).unwrap().key();
        assert!(is_within(&key("ou=a,dc=b"), &key("DC=B")));
        assert!(is_within(&key("dc=b"), &key("dc=b")));
        assert!(!is_within(&key("ou=a,dc=bb"), &key("dc=b")));
        assert!(!is_within(&key("dc=b"), &key("ou=a,dc=b")));
    }
}
