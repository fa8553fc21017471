//! What we wrote and the target confirmed, for ten minutes: a target may answer a read with what was true some seconds ago.
//!
//! A complete read is overruled as long as that. What a delta says is judged value by value: our own value ends the wait, a value
//! from before our write is stale, any other was written by someone after us.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    target::{Mark, TargetId, TargetObject},
    target_view::Kept,
};

/// How long a confirmed write outweighs what is read.
const CONFIRMED: SignedDuration = SignedDuration::from_mins(10);

/// One thing about an object that a write changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Slot {
    /// It is there, and not among the deleted items.
    Live,
    Mark,
    ImmutableId,
    Attribute(String),
    Manager,
    Member(TargetId),
}

/// What is in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Held {
    Flag(bool),
    Mark(Option<Mark>),
    Text(Option<String>),
    Value(Option<Kept>),
    Link(Option<TargetId>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pending {
    at: Timestamp,
    wrote: Held,
    /// What was held before this write and before those of the last minutes.
    before: Vec<Held>,
    /// A delta said so. If our own value never shows up, it was not stale after all.
    said: Option<Held>,
}

/// As it is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    pending: Vec<(TargetId, Slot, Pending)>,
    created: Vec<(Timestamp, TargetObject)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    pending: BTreeMap<(TargetId, Slot), Pending>,
    created: BTreeMap<TargetId, (Timestamp, TargetObject)>,
}

impl Overlay {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let pending = self.pending.iter();
        let record = Record {
            pending: pending
                .map(|((id, slot), pending)| (id.clone(), slot.clone(), pending.clone()))
                .collect(),
            created: self.created.values().cloned().collect(),
        };
        // It has no maps with keys that JSON could not have.
        serde_json::to_vec(&record).unwrap_or_default()
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let record: Record = serde_json::from_slice(bytes).ok()?;
        let pending = record.pending.into_iter();
        let created = record.created.into_iter();
        Some(Self {
            pending: pending
                .map(|(id, slot, pending)| ((id, slot), pending))
                .collect(),
            created: created
                .map(|(at, object)| (object.id.clone(), (at, object)))
                .collect(),
        })
    }

    /// Objects that we made in the last minutes, and when.
    pub(crate) fn births(&self) -> impl Iterator<Item = (&TargetId, Timestamp)> {
        self.created.iter().map(|(id, (at, _))| (id, *at))
    }

    pub(crate) fn created(&mut self, object: TargetObject, now: Timestamp) {
        self.created.insert(object.id.clone(), (now, object));
    }

    /// Takes a confirmed write in; `before` is what was held, as far as it is known.
    pub(crate) fn wrote(
        &mut self,
        id: &TargetId,
        slot: Slot,
        wrote: Held,
        before: Option<Held>,
        now: Timestamp,
    ) {
        if slot == Slot::Live && wrote == Held::Flag(false) {
            self.created.remove(id);
        }
        let earlier = self.pending.remove(&(id.clone(), slot.clone()));
        let mut stale = earlier.map(|earlier| earlier.before).unwrap_or_default();
        stale.extend(before);
        stale.retain(|held| *held != wrote);
        let pending = Pending {
            at: now,
            wrote,
            before: stale,
            said: None,
        };
        self.pending.insert((id.clone(), slot), pending);
    }

    /// Whether what a delta says is news, or what was true before our write.
    pub(crate) fn is_news(&mut self, id: &TargetId, slot: &Slot, said: &Held) -> bool {
        let key = (id.clone(), slot.clone());
        if let Some(pending) = self.pending.get_mut(&key)
            && pending.before.contains(said)
        {
            pending.said = Some(said.clone());
            return false;
        }
        self.pending.remove(&key);
        if *slot == Slot::Live && *said == Held::Flag(false) {
            self.created.remove(id);
        }
        true
    }

    pub(crate) fn forget(&mut self, id: &TargetId) {
        self.created.remove(id);
        self.pending.retain(|(known, _), _| known != id);
    }

    /// Forgets what is older than ten minutes, and gives what deltas said against it and was taken for stale until now.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<(TargetId, Slot, Held)> {
        let old = |at: Timestamp| now.duration_since(at) >= CONFIRMED;
        self.created.retain(|_, (at, _)| !old(*at));
        let expired = self.pending.extract_if(.., |_, pending| old(pending.at));
        expired
            .filter_map(|((id, slot), pending)| Some((id, slot, pending.said?)))
            .collect()
    }

    pub(crate) fn objects(&self) -> impl Iterator<Item = &TargetObject> {
        self.created.values().map(|(_, object)| object)
    }

    pub(crate) fn writes(&self) -> impl Iterator<Item = (&TargetId, &Slot, &Held)> {
        let pending = self.pending.iter();
        pending.map(|((id, slot), pending)| (id, slot, &pending.wrote))
    }
}
