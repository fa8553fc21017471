//! One object of the target in one piece of bytes: id, class, mark, immutable id, standing, attributes by number.

use crate::{
    entry::Class,
    space::{Reader, Words, Writer},
    target::{Mark, Standing, TargetId, TargetObject, Value, Values},
};

const CLASSES: [Class; 3] = [Class::User, Class::Group, Class::Contact];

/// Without its references.
pub(super) fn pack(object: &TargetObject, words: &mut Words) -> Box<[u8]> {
    let mut writer = Writer::default();
    write_id(&mut writer, &object.id);
    let class = CLASSES.iter().position(|class| *class == object.class);
    writer.number(class.unwrap_or_default());
    match &object.mark {
        None => writer.number(0),
        Some(mark) => {
            writer.number(words.number(&mark.owner) as usize + 1);
            writer.anchor(Some(&mark.anchor));
        }
    }
    let usual = object.mark.as_ref().map(|mark| mark.anchor.immutable_id());
    match &object.immutable_id {
        None => writer.number(0),
        own if *own == usual => writer.number(1),
        Some(text) => {
            writer.number(2);
            writer.bytes(text.as_bytes());
        }
    }
    let standing = object.standing;
    let bits = [standing.synced, standing.guest, standing.privileged];
    writer.number(
        (0..)
            .zip(bits)
            .map(|(at, bit)| usize::from(bit) << at)
            .sum(),
    );
    writer.number(object.attributes.len());
    for (name, value) in &object.attributes {
        writer.number(words.number(name) as usize);
        match value {
            Value::Flag(flag) => writer.number(usize::from(*flag)),
            Value::Text(text) => {
                writer.number(2);
                writer.bytes(text.as_bytes());
            }
            Value::List(list) => {
                writer.number(list.len() + 3);
                list.iter().for_each(|text| writer.bytes(text.as_bytes()));
            }
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
    read_head(&mut reader, words)
}

pub(super) fn unpack(packed: &[u8], words: &Words) -> Option<TargetObject> {
    let mut reader = Reader(packed);
    let id = read_id(&mut reader)?;
    let (class, mark) = read_head(&mut reader, words)?;
    let immutable_id = match reader.number()? {
        0 => None,
        1 => mark.as_ref().map(|mark| mark.anchor.immutable_id()),
        _ => Some(reader.text()?.to_owned()),
    };
    let bits = reader.number()?;
    let bit = |at: u32| bits >> at & 1 == 1;
    let standing = Standing {
        synced: bit(0),
        guest: bit(1),
        privileged: bit(2),
    };
    let mut attributes = Values::new();
    for _ in 0..reader.number()? {
        let name = words.word(u32::try_from(reader.number()?).ok()?)?;
        let value = match reader.number()? {
            0 => Value::Flag(false),
            1 => Value::Flag(true),
            2 => Value::Text(reader.text()?.to_owned()),
            more => {
                let mut list = Vec::new();
                for _ in 3..more {
                    list.push(reader.text()?.to_owned());
                }
                Value::List(list)
            }
        };
        attributes.insert(name.to_string(), value);
    }
    Some(TargetObject {
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

fn read_head(reader: &mut Reader<'_>, words: &Words) -> Option<(Class, Option<Mark>)> {
    let class = *CLASSES.get(reader.number()?)?;
    let mark = match reader.number()? {
        0 => None,
        owner => Some(Mark {
            owner: words.word(u32::try_from(owner - 1).ok()?)?.as_ref().into(),
            anchor: reader.anchor()?,
        }),
    };
    Some((class, mark))
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
