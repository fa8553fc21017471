//! Spaces as records, and back. An entry keeps its number and its bytes, a name its number and its hash; what else there is follows.
//!
//! Which read brought an entry is not kept: the next one brings it anew, or it was not there.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{
    ConnectorSpace, Doubt, Findings, Reader, Slot, Spaces, Writer,
    pack::{each_name, head},
};
use crate::{
    index::{Index, NONE, hash, short},
    port::Cursor,
    record::{Key, Put, Table, part},
};

/// In which order a connector's parts come.
const FACTS: u32 = 0;
const TOMBSTONES: u32 = 1;

impl Spaces {
    /// A read is in progress, or was cut: what there is belongs to no cursor.
    pub(crate) fn is_reading(&self) -> bool {
        self.connectors.iter().any(|space| space.reading.is_some())
    }

    /// Gives what changed since it was last confirmed, but the entries, and the numbers of those.
    pub(crate) fn keep(&mut self, put: Put<'_>) -> Vec<u32> {
        let mut words = Writer::default();
        words.number(self.words.list().len());
        for word in self.words.list() {
            words.bytes(word.as_bytes());
        }
        put(of_part(part::WORDS), Some(&words.0));
        for (number, space) in (0..).zip(&self.connectors) {
            let first = part::CONNECTORS + 2 * number;
            put(of_part(first + FACTS), Some(&facts(space)));
            let mut tombstones = Writer::default();
            tombstones.number(space.tombstones.len());
            for anchor in space.tombstones.keys() {
                tombstones.anchor(Some(anchor));
            }
            put(of_part(first + TOMBSTONES), Some(&tombstones.0));
        }
        let known = usize::try_from(self.above_kept).unwrap_or(usize::MAX);
        for (number, text) in (0..).zip(self.above.list()).skip(known) {
            let table = Table::Above;
            put(Key { table, number }, Some(text.as_bytes()));
        }
        self.names.keep(put);
        self.unkept.give()
    }

    pub(crate) fn keep_all(&mut self) {
        self.unkept.insert_all(self.slots.len());
        self.names.keep_all();
        self.above_kept = 0;
    }

    /// All that was given is stored.
    pub(crate) fn kept(&mut self) {
        self.unkept.kept();
        self.names.unkept.kept();
        self.above_kept = u32::try_from(self.above.list().len()).unwrap_or(NONE);
    }

    /// An entry's record; `false` if the entry left.
    pub(crate) fn write_entry(&self, number: u32, writer: &mut Writer) -> bool {
        let Some(slot) = self.slot(number) else {
            return false;
        };
        writer.number(usize::from(slot.connector));
        writer.word(slot.name);
        writer.word(slot.above);
        writer.bytes(self.packed.get(number));
        true
    }

    pub(crate) fn take_part(&mut self, number: u32, reader: &mut Reader<'_>) -> Option<()> {
        if number == part::WORDS {
            for _ in 0..reader.number()? {
                self.words.number(reader.text()?);
            }
            return Some(());
        }
        let number = number.checked_sub(part::CONNECTORS)?;
        let at = usize::try_from(number / 2).ok()?;
        if number % 2 == FACTS {
            (at == self.connectors.len()).then_some(())?;
            self.connectors.push(read_facts(reader)?);
        } else {
            let space = self.connectors.get_mut(at)?;
            for _ in 0..reader.number()? {
                space.tombstones.insert(reader.anchor()?, 0);
            }
        }
        Some(())
    }

    pub(crate) fn take_above(&mut self, number: u32, reader: &mut Reader<'_>) -> Option<()> {
        let text = std::str::from_utf8(reader.0).ok()?;
        (self.above.number(text) == number).then_some(())?;
        self.above_kept = number + 1;
        Some(())
    }

    pub(crate) fn take_name(&mut self, number: u32, reader: &mut Reader<'_>) -> Option<()> {
        self.names.take(number, reader)
    }

    pub(crate) fn take_entry(&mut self, number: u32, reader: &mut Reader<'_>) -> Option<()> {
        let connector = u16::try_from(reader.number()?).ok()?;
        let (name, above) = (reader.word()?, reader.word()?);
        let packed = reader.bytes()?;
        head(packed)?;
        let at = number as usize;
        (at >= self.slots.len() && number < NONE).then_some(())?;
        self.slots.resize_with(at, Slot::default);
        self.packed.set(number, packed);
        self.slots.push(Slot {
            name,
            above,
            seen: 0,
            connector,
        });
        Some(())
    }

    /// Makes what follows from the records.
    pub(crate) fn index_all(&mut self) {
        self.names.index_all();
        let (mut anchors, mut links, mut of_one) = (Vec::new(), Vec::new(), Vec::new());
        for (number, slot) in (0..).zip(&self.slots) {
            let Some((kind, anchor, alternate)) = head(self.packed.get(number)) else {
                self.free.push(number);
                continue;
            };
            if let Some(space) = self.connectors.get_mut(usize::from(slot.connector)) {
                *space.entries.entry(kind).or_default() += 1;
            }
            let second = alternate.filter(|other| anchor.as_ref() != Some(other));
            let own = anchor.into_iter().chain(second);
            anchors.extend(own.map(|anchor| (short(hash(&anchor)), number)));
            each_name(self.packed.get(number), None, &mut |name| {
                of_one.push((name, number))
            });
            of_one.sort_unstable();
            of_one.dedup();
            links.append(&mut of_one);
        }
        let count = anchors.len();
        self.by_anchor = Index::of(anchors.into_iter(), count);
        let count = links.len();
        self.linked = Index::of(links.into_iter(), count);
        let mut aliases: HashMap<u32, Vec<u32>> = HashMap::new();
        for (name, slot) in self.names.held() {
            let own = self.slots.get(slot as usize).map_or(NONE, |slot| slot.name);
            if own != name {
                aliases.entry(slot).or_default().push(name);
            }
        }
        for space in &self.connectors {
            for (name, (slot, _)) in &space.former {
                aliases.entry(*slot).or_default().push(*name);
            }
        }
        self.aliases = aliases;
    }
}

fn of_part(number: u32) -> Key {
    let table = Table::Part;
    Key { table, number }
}

fn facts(space: &ConnectorSpace) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.bytes(space.name.as_bytes());
    let complete = space.complete.map(|at| at.to_string());
    writer.bytes(complete.unwrap_or_default().as_bytes());
    writer.number(usize::from(space.requires_tombstones));
    writer.number(usize::from(space.follows));
    writer.number(usize::from(space.cursor.is_some()));
    writer.bytes(space.cursor.as_ref().map_or(&[], |cursor| &cursor.0));
    let Findings {
        arrived,
        changed,
        renamed,
        left,
    } = space.findings;
    [arrived, changed, renamed, left]
        .into_iter()
        .for_each(|count| writer.number(count));
    writer.number(space.links.len());
    for link in &space.links {
        writer.bytes(link.as_bytes());
    }
    writer.number(space.listings.len());
    for dn in &space.listings {
        writer.bytes(dn.as_bytes());
    }
    writer.number(space.missing.len());
    for (anchor, doubt) in &space.missing {
        writer.anchor(Some(anchor));
        writer.number(usize::from(doubt.named));
    }
    let mut former: Vec<(u32, u32)> = Vec::with_capacity(space.former.len());
    former.extend(space.former.iter().map(|(name, (slot, _))| (*name, *slot)));
    former.sort_unstable();
    writer.number(former.len());
    for (name, slot) in former {
        writer.word(name);
        writer.word(slot);
    }
    writer.0
}

fn read_facts(reader: &mut Reader<'_>) -> Option<ConnectorSpace> {
    let mut space = ConnectorSpace {
        name: reader.text()?.to_owned(),
        // What is kept was seen before that.
        generation: 1,
        ..ConnectorSpace::default()
    };
    let complete = reader.text()?;
    if !complete.is_empty() {
        space.complete = Some(complete.parse::<Timestamp>().ok()?);
    }
    space.requires_tombstones = reader.number()? == 1;
    space.follows = reader.number()? == 1;
    let has_cursor = reader.number()? == 1;
    let cursor = Cursor(reader.bytes()?.to_vec());
    space.cursor = has_cursor.then_some(cursor);
    space.findings = Findings {
        arrived: reader.number()?,
        changed: reader.number()?,
        renamed: reader.number()?,
        left: reader.number()?,
    };
    for _ in 0..reader.number()? {
        space.links.insert(reader.text()?.to_owned());
    }
    for _ in 0..reader.number()? {
        space.listings.insert(reader.text()?.to_owned());
    }
    for _ in 0..reader.number()? {
        let anchor = reader.anchor()?;
        let named = reader.number()? == 1;
        space.missing.insert(anchor, Doubt { named });
    }
    for _ in 0..reader.number()? {
        let (name, slot) = (reader.word()?, reader.word()?);
        space.former.insert(name, (slot, 0));
    }
    Some(space)
}
