//! What an AD domain controller notes of each write: by attribute and by linked value, its number here and its origin.
//!
//! MS-ADTS §3.1.1.1.9 (AttributeStamp) and §3.1.1.1.11 (LinkValueStamp), as far as a client of DirSync can see them. A
//! write that changes nothing is not noted; a reference that follows its target, or goes with it, is not either.

use std::collections::BTreeMap;

use super::Profile;
use super::entry::{self, Attribute};
use super::links::LINKED;
use super::store::{Store, Stored};

/// One write as this server knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The update sequence number here.
    pub(crate) usn: u64,
    /// The invocationId of the server where the write was made, and its number there.
    pub(crate) origin: [u8; 16],
    pub(crate) origin_usn: u64,
}

/// One value of a linked attribute, present or removed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkedValue {
    pub(crate) present: bool,
    pub(crate) stamp: Stamp,
}

/// All stamps of one entry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metadata {
    /// By attribute, linked ones left out; `name` stands for the RDN and the parent.
    pub(crate) attributes: BTreeMap<String, Stamp>,
    /// By linked attribute and the number of the entry that it names.
    pub(crate) values: BTreeMap<(&'static str, u64), LinkedValue>,
}

impl Metadata {
    /// All stamps, in no order that means anything.
    pub(crate) fn stamps_mut(&mut self) -> impl Iterator<Item = &mut Stamp> {
        let values = self.values.values_mut().map(|each| &mut each.stamp);
        self.attributes.values_mut().chain(values)
    }

    /// The largest number here: the entry's place among all changes.
    pub(crate) fn last(&self) -> u64 {
        let values = self.values.values().map(|each| each.stamp.usn);
        let attributes = self.attributes.values().map(|each| each.usn);
        attributes.chain(values).max().unwrap_or_default()
    }
}

/// The canonical name of a linked attribute, if it is one.
pub(crate) fn linked(attribute: &str) -> Option<&'static str> {
    LINKED
        .iter()
        .map(|(forward, _)| *forward)
        .find(|forward| *forward == attribute)
}

/// What each domain controller keeps for itself, or computes.
fn is_local(attribute: &str) -> bool {
    ["uSNChanged", "uSNCreated", "whenChanged", "objectGUID"].contains(&attribute)
}

impl Store {
    /// Notes how an entry differs from what is stored under its key; nothing stored means that it is new.
    pub(crate) fn note(&self, stored: &mut Stored) {
        let stamp = self.stamp();
        let before = self.index.get(&stored.key);
        let before = before
            .and_then(|id| self.entries.get(id))
            .map_or(&[][..], |each| &each.attributes);
        let names = before.iter().chain(&stored.attributes);
        let mut changed: Vec<String> = names
            .map(|each| each.name.clone())
            .filter(|name| !is_local(name))
            .filter(|name| entry::values(before, name) != entry::values(&stored.attributes, name))
            .collect();
        changed.sort_unstable();
        changed.dedup();
        for name in changed {
            let Some(attribute) = linked(&name) else {
                stored.metadata.attributes.insert(name, stamp);
                continue;
            };
            let (old, new) = (
                self.targets(before, attribute),
                self.targets(&stored.attributes, attribute),
            );
            let removed = old.iter().filter(|id| !new.contains(id));
            let added = new.iter().filter(|id| !old.contains(id));
            let removed = removed.map(|id| (*id, false));
            for (id, present) in removed.chain(added.map(|id| (*id, true))) {
                let value = LinkedValue { present, stamp };
                stored.metadata.values.insert((attribute, id), value);
            }
        }
    }

    /// Notes that an entry has another RDN or another parent.
    pub(crate) fn note_name(&self, stored: &mut Stored) {
        stored
            .metadata
            .attributes
            .insert("name".to_owned(), self.stamp());
    }

    /// Notes values that name entries which came after the one that holds them.
    pub(crate) fn note_references(&mut self, id: u64) {
        if self.profile != Profile::Ad {
            return;
        }
        let Some(stored) = self.entries.get(&id) else {
            return;
        };
        let mut fresh = Vec::new();
        for (attribute, _) in LINKED {
            let targets = self.targets(&stored.attributes, attribute);
            let unknown = targets
                .into_iter()
                .filter(|target| !stored.metadata.values.contains_key(&(attribute, *target)));
            fresh.extend(unknown.map(|target| (attribute, target)));
        }
        let stamp = Stamp {
            usn: stored.metadata.last(),
            origin_usn: stored.metadata.last(),
            origin: self.invocation,
        };
        if let Some(stored) = self.entries.get_mut(&id) {
            let value = LinkedValue {
                present: true,
                stamp,
            };
            let fresh = fresh.into_iter().map(|key| (key, value));
            stored.metadata.values.extend(fresh);
        }
    }

    /// Forgets the present values that name an entry, as its delete does; removed ones stay.
    pub(crate) fn forget_references(&mut self, target: u64) {
        for stored in self.entries.values_mut() {
            stored
                .metadata
                .values
                .retain(|(_, id), value| *id != target || !value.present);
        }
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            usn: self.usn,
            origin: self.invocation,
            origin_usn: self.usn,
        }
    }

    fn targets(&self, attributes: &[Attribute], name: &str) -> std::collections::BTreeSet<u64> {
        let values = entry::values(attributes, name).iter();
        values
            .filter_map(|value| std::str::from_utf8(value).ok())
            .filter_map(|text| self.parse(text).ok())
            .filter_map(|name| self.find(&name))
            .collect()
    }
}
