//! The names (DNs) of one process: a tree of small records. An entry has a name; a link leads to a name, whether an entry has it or
//! not. Names are told apart by a keyed hash of 64 bits of their canonical text.

use std::collections::HashMap;

use crate::{
    dn::Dn,
    fault::{Fault, planted},
    index::{Index, NONE, hash, short},
    record::{Key, Put, Table, Unkept},
};

use super::{Reader, Writer};

/// In place of an entry: the record waits to be used again.
const FREED: u32 = NONE - 1;

#[derive(Debug)]
struct Name {
    hash: u64,
    /// The entry that has the name, or had it when the links to it were read.
    slot: u32,
    parent: u32,
    child: u32,
    next: u32,
    previous: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Names {
    all: Vec<Name>,
    free: Vec<u32>,
    index: Index,
    /// The texts of names that no entry has.
    texts: HashMap<u32, Box<str>>,
    pub(super) unkept: Unkept,
}

fn key(connector: u16, dn: &Dn) -> u64 {
    hash((connector, dn.as_str()))
}

impl Names {
    fn get(&self, name: u32) -> Option<&Name> {
        self.all.get(name as usize)
    }

    fn get_mut(&mut self, name: u32) -> Option<&mut Name> {
        self.all.get_mut(name as usize)
    }

    /// The number of a DN, if it has one.
    pub(crate) fn find(&self, connector: u16, dn: &Dn) -> Option<u32> {
        let key = key(connector, dn);
        let mut found = self.index.get(short(key)).into_iter();
        found.find(|name| self.get(*name).is_some_and(|name| name.hash == key))
    }

    /// The number of a DN; it and those above it get one if they have none.
    pub(crate) fn number(&mut self, connector: u16, dn: &Dn) -> u32 {
        if let Some(name) = self.find(connector, dn) {
            return name;
        }
        let parent = dn.parent().map(|above| self.number(connector, &above));
        let hash = key(connector, dn);
        let record = Name {
            hash,
            slot: NONE,
            parent: NONE,
            child: NONE,
            next: NONE,
            previous: NONE,
        };
        let name = if let Some(name) = self.free.pop() {
            if let Some(old) = self.get_mut(name) {
                *old = record;
            }
            name
        } else {
            self.all.push(record);
            u32::try_from(self.all.len() - 1).unwrap_or(NONE)
        };
        self.index.insert(short(hash), name);
        self.hang(name, parent.unwrap_or(NONE));
        name
    }

    fn hang(&mut self, name: u32, parent: u32) {
        self.hang_below(name, parent);
        if !planted(Fault::NameNotKept) {
            self.unkept.insert(name);
        }
    }

    fn hang_below(&mut self, name: u32, parent: u32) {
        let first = self.get(parent).map_or(NONE, |parent| parent.child);
        if let Some(first) = self.get_mut(first) {
            first.previous = name;
        }
        if let Some(parent) = self.get_mut(parent) {
            parent.child = name;
        }
        if let Some(own) = self.get_mut(name) {
            (own.parent, own.next, own.previous) = (parent, first, NONE);
        }
    }

    fn unhang(&mut self, name: u32) {
        let Some(own) = self.get(name) else { return };
        let (parent, next, previous) = (own.parent, own.next, own.previous);
        if let Some(next) = self.get_mut(next) {
            next.previous = previous;
        }
        if let Some(previous) = self.get_mut(previous) {
            previous.next = next;
        } else if let Some(parent) = self.get_mut(parent) {
            parent.child = next;
        }
        if let Some(own) = self.get_mut(name) {
            (own.parent, own.next, own.previous) = (NONE, NONE, NONE);
        }
        self.unkept.insert(name);
    }

    /// From now on the DN has another number; this one stays with its entry, for the links that were read so.
    pub(crate) fn detach(&mut self, name: u32) {
        let Some(hash) = self.get(name).map(|name| name.hash) else {
            return;
        };
        self.index.remove(short(hash), name);
        self.unhang(name);
    }

    /// Moves all that is below one name under another.
    pub(crate) fn adopt(&mut self, from: u32, to: u32) {
        while let Some(child) = self
            .get(from)
            .map(|name| name.child)
            .filter(|child| *child != NONE)
        {
            self.unhang(child);
            self.hang(child, to);
        }
    }

    pub(crate) fn slot(&self, name: u32) -> Option<u32> {
        self.get(name)
            .map(|name| name.slot)
            .filter(|slot| *slot < FREED)
    }

    pub(crate) fn set(&mut self, name: u32, slot: Option<u32>) {
        if slot.is_some() {
            self.texts.remove(&name);
        }
        if !planted(Fault::NameNotKept) {
            self.unkept.insert(name);
        }
        if let Some(name) = self.get_mut(name) {
            name.slot = slot.unwrap_or(NONE);
        }
    }

    /// Keeps the text of a name that no entry has.
    pub(crate) fn spell(&mut self, name: u32, text: &str) {
        self.texts.entry(name).or_insert_with(|| text.into());
        self.unkept.insert(name);
    }

    pub(crate) fn text(&self, name: u32) -> Option<&str> {
        self.texts.get(&name).map(|text| &**text)
    }

    /// The names that no entry has.
    pub(crate) fn vacant(&self) -> impl Iterator<Item = (u32, &str)> {
        self.texts.iter().map(|(name, text)| (*name, &**text))
    }

    /// The entries with names below this one, those above first; its own is not among them.
    pub(crate) fn below(&self, name: u32) -> Vec<u32> {
        let mut slots = Vec::new();
        let mut queue = vec![name];
        while let Some(above) = queue.pop() {
            let mut child = self.get(above).map_or(NONE, |name| name.child);
            while let Some(name) = self.get(child) {
                if name.slot < FREED {
                    slots.push(name.slot);
                }
                queue.push(child);
                child = name.next;
            }
        }
        slots
    }

    /// Gives up a name that no entry has, no link leads to and nothing is below of; then those above it likewise. Returns them.
    pub(crate) fn release(&mut self, name: u32, linked: &Index) -> Vec<u32> {
        let (mut name, mut freed) = (name, Vec::new());
        while let Some(own) = self.get(name) {
            if own.slot != NONE || own.child != NONE || linked.contains(name) {
                return freed;
            }
            let (hash, parent) = (own.hash, own.parent);
            self.index.remove(short(hash), name);
            self.unhang(name);
            self.texts.remove(&name);
            if let Some(own) = self.get_mut(name) {
                own.slot = FREED;
            }
            self.free.push(name);
            freed.push(name);
            name = parent;
        }
        freed
    }

    /// The names that lead to entries, and to which.
    pub(super) fn held(&self) -> impl Iterator<Item = (u32, u32)> {
        let held = (0..).zip(&self.all).filter(|(_, name)| name.slot < FREED);
        held.map(|(number, name)| (number, name.slot))
    }

    pub(super) fn keep_all(&mut self) {
        self.unkept.insert_all(self.all.len());
    }

    pub(super) fn keep(&mut self, put: Put<'_>) {
        for number in self.unkept.give() {
            let table = Table::Name;
            let key = Key { table, number };
            let Some(name) = self.get(number).filter(|name| name.slot != FREED) else {
                put(key, None);
                continue;
            };
            let mut writer = Writer(name.hash.to_le_bytes().to_vec());
            writer.word(name.slot);
            writer.word(name.parent);
            // One that was detached stays with its entry, and the DN has another number.
            let found = self.index.has(short(name.hash), number);
            writer.number(usize::from(found));
            writer
                .0
                .extend(self.text(number).map_or(&[][..], str::as_bytes));
            put(key, Some(&writer.0));
        }
    }

    pub(super) fn take(&mut self, number: u32, reader: &mut Reader<'_>) -> Option<()> {
        let hash = u64::from_le_bytes(reader.take(8)?.try_into().ok()?);
        let (slot, parent) = (reader.word()?, reader.word()?);
        let found = reader.number()? == 1;
        let at = number as usize;
        (at >= self.all.len() && number < FREED).then_some(())?;
        self.all.resize_with(at, Name::freed);
        self.all.push(Name {
            hash,
            slot,
            parent,
            child: NONE,
            next: NONE,
            // Until the index is made.
            previous: if found { NONE } else { FREED },
        });
        if !reader.0.is_empty() {
            let text = std::str::from_utf8(reader.0).ok()?;
            self.texts.insert(number, text.into());
        }
        Some(())
    }

    /// Makes what follows from the records.
    pub(super) fn index_all(&mut self) {
        let found = (0..).zip(&self.all);
        let found = found.filter(|(_, name)| name.slot != FREED && name.previous != FREED);
        let pairs = found.map(|(number, name)| (short(name.hash), number));
        self.index = Index::of(pairs, self.all.len());
        for number in 0..u32::try_from(self.all.len()).unwrap_or(NONE) {
            let Some(name) = self.get_mut(number) else {
                continue;
            };
            if name.slot == FREED {
                self.free.push(number);
                continue;
            }
            name.previous = NONE;
            let parent = name.parent;
            self.hang_below(number, parent);
        }
    }
}

impl Name {
    fn freed() -> Self {
        Self {
            hash: 0,
            slot: FREED,
            parent: NONE,
            child: NONE,
            next: NONE,
            previous: NONE,
        }
    }
}
