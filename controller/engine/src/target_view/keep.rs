//! The view as records, and back. An object keeps its number and its bytes; indexes and counts follow.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Record, Seen, State, TargetView, kept::Keeping, object, our_anchor};
use crate::{
    configuration::Configuration,
    engine::sought,
    index::{Index, NONE, hash, short},
    overlay::Overlay,
    port::Cursor,
    record::{Key, Put, Table, part},
    space::{Reader, Writer},
    target::{Known, TargetId},
};

const STATES: [State; 3] = [State::Absent, State::Live, State::Deleted];

/// What there is beside objects.
#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    domains: Option<BTreeSet<String>>,
    roles_readable: bool,
    read_at: Option<Timestamp>,
    keeping: Keeping,
}

impl TargetView {
    /// A read is in progress.
    pub(crate) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Gives what changed since it was last confirmed.
    pub(crate) fn keep(&mut self, put: Put<'_>) {
        let facts = Facts {
            domains: self.domains.clone(),
            roles_readable: self.roles_readable,
            read_at: self.read_at,
            keeping: self.keeping.clone(),
        };
        let table = Table::Part;
        let mut part = |number, bytes: &[u8]| put(Key { table, number }, Some(bytes));
        part(part::VIEW, &serde_json::to_vec(&facts).unwrap_or_default());
        let cursor = self.cursor.as_ref().map_or(&[][..], |cursor| &cursor.0);
        part(part::VIEW_CURSOR, cursor);
        let mut words = Writer::default();
        for word in self.words.list() {
            words.bytes(word.as_bytes());
        }
        part(part::VIEW_WORDS, &words.0);
        part(part::OVERLAY, &self.overlay.to_bytes());
        for number in self.unkept.give() {
            let Some(object) = self.objects.get(number as usize) else {
                continue;
            };
            let mut writer = Writer::default();
            let state = STATES.iter().position(|state| *state == object.state);
            writer.number(state.unwrap_or_default());
            writer.word(object.manager);
            writer.0.extend_from_slice(self.packed.get(number));
            let table = Table::Object;
            put(Key { table, number }, Some(&writer.0));
            let members = self.members.get(&number).map(|members| {
                let mut writer = Writer::default();
                members.iter().for_each(|member| writer.word(*member));
                writer.0
            });
            let table = Table::Members;
            put(Key { table, number }, members.as_deref());
        }
    }

    pub(crate) fn keep_all(&mut self) {
        self.unkept.insert_all(self.objects.len());
    }

    /// All that was given is stored.
    pub(crate) fn kept(&mut self) {
        self.unkept.kept();
    }

    pub(crate) fn take_part(&mut self, number: u32, bytes: &[u8]) -> Option<()> {
        match number {
            part::VIEW => {
                let facts: Facts = serde_json::from_slice(bytes).ok()?;
                (self.domains, self.roles_readable) = (facts.domains, facts.roles_readable);
                (self.read_at, self.keeping) = (facts.read_at, facts.keeping);
                // Nothing is kept of a view that never was.
                (self.complete, self.generation) = (true, 1);
            }
            part::VIEW_CURSOR => {
                self.cursor = (!bytes.is_empty()).then(|| Cursor(bytes.to_vec()));
            }
            part::VIEW_WORDS => {
                let mut reader = Reader(bytes);
                while !reader.0.is_empty() {
                    self.words.number(reader.text()?);
                }
            }
            _ => self.overlay = Overlay::of_bytes(bytes)?,
        }
        Some(())
    }

    pub(crate) fn take_object(&mut self, number: u32, reader: &mut Reader<'_>) -> Option<()> {
        (number == self.count()).then_some(())?;
        let state = *STATES.get(reader.number()?)?;
        let manager = reader.word()?;
        object::id(reader.0)?;
        self.packed.set(number, reader.0);
        self.objects.push(Record {
            state,
            seen: 0,
            manager,
            owner: NONE,
        });
        Some(())
    }

    pub(crate) fn take_members(&mut self, number: u32, reader: &mut Reader<'_>) -> Option<()> {
        let (words, rest) = reader.0.as_chunks::<4>();
        rest.is_empty().then_some(())?;
        let members = words.iter().map(|word| u32::from_le_bytes(*word));
        self.members.insert(number, members.collect());
        Some(())
    }

    /// Makes what follows from the records.
    pub(crate) fn index_all(&mut self, configuration: &Configuration) {
        self.owner.clone_from(&configuration.owner);
        self.keys = sought(configuration);
        let keeping = Keeping::new(configuration.capabilities, &self.keys, self.keeping.all);
        self.complete &= self.keeping.covers(&keeping);
        self.keeping = keeping;
        self.enabled_attribute = configuration.capabilities.enabled;
        // Nothing of this is news.
        self.seen.everything = true;
        let ids = (0..self.count()).filter_map(|number| {
            let id = object::id(self.packed.get(number))?;
            Some((short(hash(&id)), number))
        });
        self.by_id = Index::of(ids, self.objects.len());
        self.by_mark = Index::with_room(self.objects.len());
        self.by_value = Index::with_room(self.objects.len());
        let names = (self.keys.iter().map(String::as_str)).chain([self.enabled_attribute]);
        let looked_for: BTreeSet<u32> = names.filter_map(|name| self.words.known(name)).collect();
        for number in 0..self.count() {
            if self.state(number) == State::Absent {
                continue;
            }
            let packed = self.packed.get(number);
            let object =
                object::unpack_some(packed, &self.words, |word| looked_for.contains(&word));
            if let Some(object) = object {
                self.index_as(number, &object, true);
            }
        }
        self.seen = Seen::default();
    }

    /// Live objects that are ours or privileged.
    pub(crate) fn known(&self) -> impl Iterator<Item = Known> {
        let births: BTreeMap<&TargetId, Timestamp> = self.overlay.births().collect();
        (0..self.count()).filter_map(move |handle| {
            let object = self.object(handle)?;
            let anchor = our_anchor(&object, &self.owner).cloned();
            let privileged = object.standing.privileged;
            let wanted = self.state(handle) == State::Live && (anchor.is_some() || privileged);
            wanted.then(|| Known {
                anchor,
                class: object.class,
                privileged,
                listed: self.members(handle).is_some(),
                made: births.get(&object.id).copied(),
                id: object.id,
            })
        })
    }

    /// When everything was last read.
    pub(crate) fn read_at(&self) -> Option<Timestamp> {
        self.read_at
    }
}
