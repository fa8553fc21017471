//! One object of the target in one piece of bytes, the same in memory as on disk, as far as the words are:
//!
//! * the id: a zero and the 16 bytes of a GUID, or a one and the text;
//! * class (two bits), what the immutable id is (two), standing (three) in one number;
//! * the owner in the mark, as a word (none: zero), and the anchor;
//! * the immutable id, if it is not the usual one of the anchor;
//! * how many attributes there are, and of each its word and kind (eight kinds) in one number, then the value or its digest.

use super::kept::{AllKept, DIGEST, Keeping, Kept, Object};
use crate::{
    entry::Class,
    space::{Reader, Words, Writer},
    target::{Mark, Standing, TargetId, Value},
};

const CLASSES: [Class; 3] = [Class::User, Class::Group, Class::Contact];

// What follows the word of an attribute. A flag is its own value.
const FALSE: usize = 0;
const TRUE: usize = 1;
const TEXT: usize = 2;
const LIST: usize = 3;
const HIDDEN: usize = 4;
/// The text before this one once more: people often sign in with their mail address.
const AGAIN: usize = 5;
const KINDS: usize = 8;

/// Without its references.
pub(super) fn pack(object: &Object, keeping: &Keeping, words: &mut Words) -> Box<[u8]> {
    let mut writer = Writer::default();
    write_id(&mut writer, &object.id);
    let class = CLASSES.iter().position(|class| *class == object.class);
    let usual = object.mark.as_ref().map(|mark| mark.anchor.immutable_id());
    let immutable = match &object.immutable_id {
        None => 0,
        own if *own == usual => 1,
        Some(_) => 2,
    };
    let standing = object.standing;
    let bits = [standing.synced, standing.guest, standing.privileged];
    let bits = (4..).zip(bits).map(|(at, bit)| usize::from(bit) << at);
    writer.number(class.unwrap_or_default() + (immutable << 2) + bits.sum::<usize>());
    match &object.mark {
        None => writer.number(0),
        Some(mark) => {
            writer.number(words.number(&mark.owner) as usize + 1);
            writer.anchor(Some(&mark.anchor));
        }
    }
    if let (2, Some(text)) = (immutable, &object.immutable_id) {
        writer.bytes(text.as_bytes());
    }
    writer.number(object.attributes.len());
    let mut last = None;
    for (name, kept) in &object.attributes {
        let word = words.number(name) as usize * KINDS;
        if keeping.hides(object.class, name, kept) {
            writer.number(word + HIDDEN);
            writer.0.extend_from_slice(&kept.digest());
            continue;
        }
        match kept {
            Kept::Value(Value::Flag(flag)) => {
                writer.number(word + if *flag { TRUE } else { FALSE })
            }
            Kept::Value(Value::Text(text)) if last == Some(text) => {
                writer.number(word + AGAIN);
            }
            Kept::Value(Value::Text(text)) => {
                writer.bytes_after(word + TEXT, text.as_bytes());
                last = Some(text);
            }
            Kept::Value(Value::List(list)) => {
                writer.number(word + LIST);
                writer.number(list.len());
                list.iter().for_each(|text| writer.bytes(text.as_bytes()));
            }
            Kept::Digest(_) => {}
        }
    }
    writer.0.into_boxed_slice()
}

/// Only the id: of an object that is named and was not read.
pub(super) fn pack_id(id: &TargetId) -> Box<[u8]> {
    let mut writer = Writer::default();
    write_id(&mut writer, id);
    writer.0.into_boxed_slice()
}

pub(super) fn id(packed: &[u8]) -> Option<TargetId> {
    read_id(&mut Reader(packed))
}

/// Class and mark alone.
pub(super) fn head(packed: &[u8], words: &Words) -> Option<(Class, Option<Mark>)> {
    let mut reader = Reader(packed);
    read_id(&mut reader)?;
    let (class, _, mark) = read_head(&mut reader, words)?;
    Some((class, mark))
}

/// `None` only for bytes that [`pack`] did not write, or with other words.
pub(super) fn unpack(packed: &[u8], words: &Words) -> Option<Object> {
    unpack_some(packed, words, |_| true)
}

/// With those attributes alone whose word is wanted.
pub(super) fn unpack_some(
    packed: &[u8],
    words: &Words,
    wanted: impl Fn(u32) -> bool,
) -> Option<Object> {
    let mut reader = Reader(packed);
    let id = read_id(&mut reader)?;
    let (class, bits, mark) = read_head(&mut reader, words)?;
    let immutable_id = match bits >> 2 & 3 {
        0 => None,
        1 => mark.as_ref().map(|mark| mark.anchor.immutable_id()),
        _ => Some(reader.text()?.to_owned()),
    };
    let bit = |at: u32| bits >> at & 1 == 1;
    let standing = Standing {
        synced: bit(4),
        guest: bit(5),
        privileged: bit(6),
    };
    let mut attributes = AllKept::new();
    let mut last = None;
    for _ in 0..reader.number()? {
        let tag = reader.number()?;
        let word = u32::try_from(tag / KINDS).ok()?;
        let wanted = wanted(word);
        let owned = |text: &str| {
            if wanted {
                text.to_owned()
            } else {
                String::new()
            }
        };
        let kept = match tag % KINDS {
            FALSE => Kept::Value(Value::Flag(false)),
            TRUE => Kept::Value(Value::Flag(true)),
            TEXT => {
                let text = reader.text()?;
                last = Some(text);
                Kept::Value(Value::Text(owned(text)))
            }
            AGAIN => Kept::Value(Value::Text(owned(last?))),
            LIST => {
                let mut list = Vec::new();
                for _ in 0..reader.number()? {
                    list.push(owned(reader.text()?));
                }
                Kept::Value(Value::List(list))
            }
            HIDDEN => Kept::Digest(reader.take(DIGEST)?.try_into().ok()?),
            _ => return None,
        };
        if wanted {
            attributes.insert(words.word(word)?.to_string(), kept);
        }
    }
    Some(Object {
        id,
        class,
        mark,
        immutable_id,
        attributes,
        manager: None,
        members: None,
        standing,
    })
}

/// Class, all bits, mark.
fn read_head(reader: &mut Reader<'_>, words: &Words) -> Option<(Class, usize, Option<Mark>)> {
    let bits = reader.number()?;
    let class = *CLASSES.get(bits & 3)?;
    let mark = match reader.number()? {
        0 => None,
        owner => Some(Mark {
            owner: words.word(u32::try_from(owner - 1).ok()?)?.as_ref().into(),
            anchor: reader.anchor()?,
        }),
    };
    Some((class, bits, mark))
}

/// An id that is a printed GUID takes 17 bytes.
fn write_id(writer: &mut Writer, id: &TargetId) {
    match guid(&id.0) {
        Some(bytes) => {
            writer.number(0);
            writer.0.extend_from_slice(&bytes);
        }
        None => writer.bytes_after(1, id.0.as_bytes()),
    }
}

fn read_id(reader: &mut Reader<'_>) -> Option<TargetId> {
    if reader.number()? == 0 {
        let bytes = reader.take(16)?;
        let mut text = String::with_capacity(36);
        for (at, byte) in bytes.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            for half in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(half), 16)?);
            }
        }
        return Some(TargetId(text.into()));
    }
    Some(TargetId(reader.text()?.into()))
}

/// The bytes of a GUID in lower case with dashes in the usual places; nothing else, so that every id survives.
fn guid(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    let dashes = [8, 13, 18, 23];
    let fits = bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| {
            if dashes.contains(&at) {
                *byte == b'-'
            } else {
                matches!(byte, b'0'..=b'9' | b'a'..=b'f')
            }
        });
    let digits: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != b'-').collect();
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte - b'a' + 10,
    };
    let mut guid = [0; 16];
    if !fits {
        return None;
    }
    for (byte, pair) in guid.iter_mut().zip(digits.chunks_exact(2)) {
        if let [high, low] = pair {
            *byte = digit(*high) << 4 | digit(*low);
        }
    }
    Some(guid)
}
