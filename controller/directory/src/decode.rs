//! Decodes what a search sends (RFC 4511 §4.5.2, §4.5.3; RFC 2696) from the BER trees of the client library, whose own
//! decoders panic on malformed input. Values stay bytes: only a schema could say what is text.

use ldap3::{
    ResultEntry,
    asn1::{PL, StructureTag, parse_tag},
    controls::Control,
};
use thiserror::Error;

const ENTRY: u64 = 4;
const REFERENCE: u64 = 19;
const INTERMEDIATE: u64 = 25;
const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";

/// A message that is not what the protocol says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("its {message} has no proper {part}")]
pub struct DecodeError {
    pub message: &'static str,
    pub part: &'static str,
}

/// An entry as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawEntry {
    /// Nearly always UTF-8.
    pub(crate) dn: Vec<u8>,
    /// Descriptions with their options, and values.
    pub(crate) attributes: Vec<(String, Vec<Vec<u8>>)>,
}

/// What a search sends before its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Entry(RawEntry),
    /// URLs of the servers that hold a part of what was asked for.
    Reference(Vec<String>),
    /// RFC 4511 §4.13: an OID and its value.
    Intermediate {
        name: Vec<u8>,
        value: Vec<u8>,
    },
}

/// Reads one item of a search.
pub(crate) fn item(item: ResultEntry) -> Result<Item, DecodeError> {
    match item.0.id {
        ENTRY => entry(item.0).map(Item::Entry),
        REFERENCE => reference(item.0).map(Item::Reference),
        INTERMEDIATE => intermediate(item.0),
        _ => Err(DecodeError {
            message: "search answer",
            part: "type",
        }),
    }
}

fn entry(tag: StructureTag) -> Result<RawEntry, DecodeError> {
    let wrong = |part| DecodeError {
        message: "search entry",
        part,
    };
    let mut parts = children(tag).ok_or(wrong("body"))?.into_iter();
    let dn = parts.next().and_then(bytes).ok_or(wrong("DN"))?;
    let list = parts
        .next()
        .and_then(children)
        .ok_or(wrong("attribute list"))?;
    let mut attributes = Vec::with_capacity(list.len());
    for attribute in list {
        let mut parts = children(attribute).ok_or(wrong("attribute"))?.into_iter();
        let name = parts
            .next()
            .and_then(bytes)
            .and_then(|name| String::from_utf8(name).ok())
            .ok_or(wrong("attribute description"))?;
        let values = parts
            .next()
            .and_then(children)
            .and_then(|values| values.into_iter().map(bytes).collect())
            .ok_or(wrong("attribute values"))?;
        attributes.push((name, values));
    }
    Ok(RawEntry { dn, attributes })
}

fn reference(tag: StructureTag) -> Result<Vec<String>, DecodeError> {
    children(tag)
        .and_then(|urls| {
            urls.into_iter()
                .map(|url| String::from_utf8(bytes(url)?).ok())
                .collect()
        })
        .ok_or(DecodeError {
            message: "search reference",
            part: "URL",
        })
}

fn intermediate(tag: StructureTag) -> Result<Item, DecodeError> {
    let wrong = |part| DecodeError {
        message: "intermediate response",
        part,
    };
    let (mut name, mut value) = (Vec::new(), Vec::new());
    for part in children(tag).ok_or(wrong("body"))? {
        match part.id {
            0 => name = bytes(part).ok_or(wrong("name"))?,
            1 => value = bytes(part).ok_or(wrong("value"))?,
            _ => {}
        }
    }
    Ok(Item::Intermediate { name, value })
}

/// The cookie of the paged results control; `None` when there is no such control, empty after the last page.
pub(crate) fn page_cookie(controls: &[Control]) -> Result<Option<Vec<u8>>, DecodeError> {
    let Some(control) = controls.iter().find(|c| c.1.ctype == PAGED_RESULTS) else {
        return Ok(None);
    };
    let value = control.1.val.as_deref().unwrap_or_default();
    parse_tag(value)
        .ok()
        .and_then(|(_, tag)| children(tag))
        .and_then(|parts| parts.into_iter().nth(1))
        .and_then(bytes)
        .map(Some)
        .ok_or(DecodeError {
            message: "paging control",
            part: "cookie",
        })
}

fn children(tag: StructureTag) -> Option<Vec<StructureTag>> {
    match tag.payload {
        PL::C(children) => Some(children),
        PL::P(_) => None,
    }
}

fn bytes(tag: StructureTag) -> Option<Vec<u8>> {
    match tag.payload {
        PL::P(bytes) => Some(bytes),
        PL::C(_) => None,
    }
}

#[cfg(test)]
mod tests;
