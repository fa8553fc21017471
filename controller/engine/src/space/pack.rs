//! One entry in one piece of bytes: kind, anchor, alternate, first RDN, attributes by number. Links (attributes with DNs that
//! lead somewhere) are kept as numbers of names.

use std::{collections::HashMap, sync::Arc};

use crate::{anchor::Anchor, entry::EntryKind, index::NONE};

/// Attribute names by number.
#[derive(Debug, Default)]
pub(crate) struct Words {
    list: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Words {
    pub(crate) fn number(&mut self, word: &str) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let number = u32::try_from(self.list.len()).unwrap_or(NONE);
        let word: Arc<str> = word.into();
        self.list.push(word.clone());
        self.numbers.insert(word, number);
        number
    }

    pub(crate) fn list(&self) -> &[Arc<str>] {
        &self.list
    }

    pub(crate) fn known(&self, word: &str) -> Option<u32> {
        self.numbers.get(word).copied()
    }

    pub(crate) fn word(&self, number: u32) -> Option<&Arc<str>> {
        self.list.get(usize::try_from(number).ok()?)
    }
}

/// A value of a link.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Link {
    /// The number of a name.
    Name(u32),
    /// A value that is no DN.
    Other(Vec<u8>),
}

/// The values of one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packed {
    Values(Vec<Vec<u8>>),
    Links(Vec<Link>),
}

/// What is packed of an entry.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) kind: EntryKind,
    pub(crate) anchor: Option<Anchor>,
    pub(crate) alternate: Option<Anchor>,
    /// The DN's text up to its first comma.
    pub(crate) rdn: String,
    /// By number of the name, in the order of the names.
    pub(crate) attributes: Vec<(u32, Packed)>,
}

/// Writes numbers with seven bits a byte, and bytes after their length.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn number(&mut self, mut number: usize) {
        while number >= 0x80 {
            self.0
                .push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
            number >>= 7;
        }
        self.0.push(u8::try_from(number).unwrap_or_default());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// A number of four bytes.
    pub(crate) fn word(&mut self, word: u32) {
        self.0.extend_from_slice(&word.to_le_bytes());
    }

    /// Bytes with a number before them.
    pub(crate) fn bytes_after(&mut self, number: usize, bytes: &[u8]) {
        self.number(number);
        self.bytes(bytes);
    }

    pub(crate) fn anchor(&mut self, anchor: Option<&Anchor>) {
        match anchor {
            None => self.0.push(0),
            Some(Anchor::Uuid(bytes)) => {
                self.0.push(1);
                self.0.extend_from_slice(bytes);
            }
            Some(Anchor::Text(text)) => {
                self.0.push(2);
                self.bytes(text.as_bytes());
            }
        }
    }
}

/// Reads what a [`Writer`] wrote; `None` where the bytes end too early or are none of its.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn number(&mut self) -> Option<usize> {
        let mut number = 0_usize;
        for shift in (0..usize::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.number()?;
        self.take(count)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(crate) fn word(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// An anchor, if one is there; what it is not is told by what follows.
    pub(crate) fn anchor(&mut self) -> Option<Anchor> {
        match self.byte()? {
            1 => Some(Anchor::Uuid(self.take(16)?.try_into().ok()?)),
            2 => Some(Anchor::Text(self.text()?.into())),
            _ => None,
        }
    }
}

const KINDS: [EntryKind; 5] = [
    EntryKind::User,
    EntryKind::SecurityGroup,
    EntryKind::DistributionGroup,
    EntryKind::Contact,
    EntryKind::Container,
];

pub(crate) fn pack(parts: &Parts) -> Box<[u8]> {
    let mut writer = Writer::default();
    let kind = KINDS.iter().position(|kind| *kind == parts.kind);
    writer.number(kind.unwrap_or_default());
    writer.anchor(parts.anchor.as_ref());
    writer.anchor(parts.alternate.as_ref());
    writer.bytes(parts.rdn.as_bytes());
    writer.number(parts.attributes.len());
    for (name, values) in &parts.attributes {
        match values {
            Packed::Values(values) => {
                write_tag(&mut writer, *name, false, values.len());
                values.iter().for_each(|value| writer.bytes(value));
            }
            Packed::Links(links) => {
                write_tag(&mut writer, *name, true, links.len());
                for link in links {
                    match link {
                        Link::Name(name) => writer.0.extend_from_slice(&name.to_le_bytes()),
                        Link::Other(value) => {
                            writer.0.extend_from_slice(&NONE.to_le_bytes());
                            writer.bytes(value);
                        }
                    }
                }
            }
        }
    }
    writer.0.into_boxed_slice()
}

/// The number of an attribute's name, whether its values are links, and how many there are: most have one.
fn write_tag(writer: &mut Writer, name: u32, links: bool, count: usize) {
    writer.number(name as usize * 4 + usize::from(links) * 2 + usize::from(count == 1));
    if count != 1 {
        writer.number(count);
    }
}

fn read_tag(reader: &mut Reader<'_>) -> Option<(u32, bool, usize)> {
    let tag = reader.number()?;
    let count = if tag & 1 == 1 { 1 } else { reader.number()? };
    Some((u32::try_from(tag / 4).ok()?, tag & 2 == 2, count))
}

/// Kind, anchor and alternate alone.
pub(crate) fn head(packed: &[u8]) -> Option<(EntryKind, Option<Anchor>, Option<Anchor>)> {
    read_head(&mut Reader(packed))
}

/// The text of the first RDN.
pub(crate) fn rdn(packed: &[u8]) -> Option<&str> {
    let mut reader = Reader(packed);
    read_head(&mut reader)?;
    reader.text()
}

fn read_head(reader: &mut Reader<'_>) -> Option<(EntryKind, Option<Anchor>, Option<Anchor>)> {
    let kind = *KINDS.get(usize::from(reader.byte()?))?;
    Some((kind, reader.anchor(), reader.anchor()))
}

/// `None` only for bytes that [`pack`] did not write.
pub(crate) fn unpack(packed: &[u8]) -> Option<Parts> {
    let mut reader = Reader(packed);
    let (kind, anchor, alternate) = read_head(&mut reader)?;
    let rdn = reader.text()?.to_owned();
    let mut attributes = Vec::new();
    for _ in 0..reader.number()? {
        let (name, links, count) = read_tag(&mut reader)?;
        let values = if links {
            let mut links = Vec::new();
            for _ in 0..count {
                links.push(match reader.word()? {
                    NONE => Link::Other(reader.bytes()?.to_vec()),
                    name => Link::Name(name),
                });
            }
            Packed::Links(links)
        } else {
            let mut values = Vec::new();
            for _ in 0..count {
                values.push(reader.bytes()?.to_vec());
            }
            Packed::Values(values)
        };
        attributes.push((name, values));
    }
    Some(Parts {
        kind,
        anchor,
        alternate,
        rdn,
        attributes,
    })
}

/// The names in the links of one attribute, or of all (`None`), in their order.
pub(crate) fn names(packed: &[u8], attribute: Option<u32>) -> Vec<u32> {
    let mut names = Vec::new();
    each_name(packed, attribute, &mut |name| names.push(name));
    names
}

/// Gives the names of [`names`], without unpacking what is not wanted.
pub(crate) fn each_name(packed: &[u8], attribute: Option<u32>, each: &mut dyn FnMut(u32)) {
    // Bytes that `pack` did not write have none.
    let _ = read_names(&mut Reader(packed), attribute, each);
}

fn read_names(
    reader: &mut Reader<'_>,
    attribute: Option<u32>,
    each: &mut dyn FnMut(u32),
) -> Option<()> {
    read_head(reader)?;
    reader.bytes()?;
    for _ in 0..reader.number()? {
        let (name, links, count) = read_tag(reader)?;
        let wanted = attribute.is_none_or(|attribute| attribute == name);
        for _ in 0..count {
            if !links {
                reader.bytes()?;
                continue;
            }
            match reader.word()? {
                NONE => {
                    reader.bytes()?;
                }
                name if wanted => each(name),
                _ => {}
            }
        }
    }
    Some(())
}

/// The only value of one attribute.
pub(crate) fn value(packed: &[u8], attribute: u32) -> Option<Vec<u8>> {
    let attributes = unpack(packed)?.attributes;
    match attributes
        .into_iter()
        .find(|(name, _)| *name == attribute)?
    {
        (_, Packed::Values(values)) => <[Vec<u8>; 1]>::try_from(values).ok().map(|[value]| value),
        (_, Packed::Links(_)) => None,
    }
}
