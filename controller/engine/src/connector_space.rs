//! What one connector has read: its entries by anchor, never by DN. A full read is mark and sweep.
//!
//! Guarantees: a read without its end updates entries but removes none; an entry that moved during a read is one entry; a DN that
//! an entry had until the read that is in progress (or just ended) still leads to it, for a paged read is no snapshot.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    anchor::Anchor,
    dn::Dn,
    entry::Entry,
    fault::{Fault, planted},
};

/// One entry with its DN parsed.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) entry: Entry,
    /// `None` when the text is no DN.
    pub(crate) dn: Option<Dn>,
    /// The read that brought it.
    seen: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct ConnectorSpace {
    /// More than one entry in a list: the anchor is not unique.
    anchored: BTreeMap<Anchor, Vec<Slot>>,
    unanchored: BTreeMap<String, Slot>,
    former: BTreeMap<Dn, (Anchor, u64)>,
    tombstones: BTreeMap<Anchor, u64>,
    generation: u64,
    /// When the read in progress, or the one that was cut short, began.
    reading: Option<Timestamp>,
    /// When the last complete read began.
    complete: Option<Timestamp>,
    /// The account can read tombstones, so that absence alone proves nothing.
    pub(crate) requires_tombstones: bool,
}

/// An entry that a complete read no longer brought.
#[derive(Debug)]
pub(crate) struct Swept {
    pub(crate) anchor: Anchor,
    pub(crate) alternate: Option<Anchor>,
    dn: Option<Dn>,
}

/// An entry's names: its anchor and its alternate.
pub(crate) fn names(entry: &Entry) -> impl Iterator<Item = &Anchor> {
    entry.anchor.iter().chain(&entry.alternate)
}

impl ConnectorSpace {
    pub(crate) fn begin(&mut self, at: Timestamp, tombstones: bool) {
        self.generation += 1;
        self.reading = Some(at);
        self.requires_tombstones = tombstones;
    }

    pub(crate) fn add(&mut self, mut entry: Entry) {
        if planted(Fault::KeyedByDn) {
            entry.anchor = Some(Anchor::from_text(&entry.dn));
        }
        let seen = self.generation;
        let dn = Dn::parse(&entry.dn).ok();
        let slot = Slot { entry, dn, seen };
        let Some(anchor) = slot.entry.anchor.clone() else {
            self.unanchored.insert(slot.entry.dn.clone(), slot);
            return;
        };
        let twins = self.anchored.entry(anchor.clone()).or_default();
        let same = twins.iter().position(|old| {
            old.entry.dn == slot.entry.dn
                || (old.entry.alternate.is_some() && old.entry.alternate == slot.entry.alternate)
        });
        let moved = (twins.len() == 1 && twins.iter().all(|old| old.seen < seen)).then_some(0);
        match same.or(moved).and_then(|at| twins.get_mut(at)) {
            Some(old) => {
                if let Some(dn) = &old.dn
                    && old.dn != slot.dn
                {
                    self.former.insert(dn.clone(), (anchor, seen));
                }
                *old = slot;
            }
            None => twins.push(slot),
        }
    }

    pub(crate) fn add_tombstones(&mut self, anchors: Vec<Anchor>) {
        let seen = self.generation;
        self.tombstones
            .extend(anchors.into_iter().map(|anchor| (anchor, seen)));
    }

    /// Everything was read: what the read did not bring is swept and returned, with what in the directory took over its DN or
    /// alternate: `(new anchor, old anchor)`. An `End` without `Begin` is nothing.
    pub(crate) fn end(&mut self) -> (Vec<Swept>, Vec<(Anchor, Anchor)>) {
        let Some(began) = self.reading.take() else {
            return (Vec::new(), Vec::new());
        };
        self.complete = Some(began);
        let seen = self.generation;
        let mut swept = Vec::new();
        self.anchored.retain(|anchor, twins| {
            let last = (twins.iter().all(|slot| slot.seen < seen))
                .then(|| twins.pop())
                .flatten();
            if let Some(Slot { entry, dn, .. }) = last {
                swept.push(Swept {
                    anchor: anchor.clone(),
                    alternate: entry.alternate,
                    dn,
                });
                return false;
            }
            twins.retain(|slot| slot.seen == seen);
            true
        });
        self.unanchored.retain(|_, slot| slot.seen == seen);
        self.former.retain(|_, (_, noticed)| *noticed == seen);
        self.tombstones.retain(|_, named| *named == seen);
        let changes = self.successors(&swept);
        (swept, changes)
    }

    /// Entries that are another one's successor. The same alternate is the same object. The same DN tells only for anchors that people
    /// assign (text): those that a server assigns never change, so that there it is another object in the old one's place.
    fn successors(&self, swept: &[Swept]) -> Vec<(Anchor, Anchor)> {
        let mut by_name: BTreeMap<&Anchor, &Anchor> = BTreeMap::new();
        let mut by_dn: BTreeMap<&Dn, &Anchor> = BTreeMap::new();
        if swept.is_empty() {
            return Vec::new();
        }
        for (anchor, slot) in self.anchored() {
            by_name.extend(names(&slot.entry).map(|name| (name, anchor)));
            if let (Some(dn), Anchor::Text(_)) = (&slot.dn, anchor) {
                by_dn.insert(dn, anchor);
            }
        }
        let successor = |old: &Swept| {
            let by_alternate = old.alternate.as_ref().and_then(|name| by_name.get(name));
            let assigned = matches!(old.anchor, Anchor::Text(_));
            let by_place = || old.dn.as_ref().and_then(|dn| by_dn.get(dn));
            let new = by_alternate.or_else(|| assigned.then(by_place).flatten())?;
            // Found under its old name: the alternate became the anchor's second name, the same person.
            (!by_name.contains_key(&old.anchor)).then(|| ((*new).clone(), old.anchor.clone()))
        };
        swept.iter().filter_map(successor).collect()
    }

    /// When the last complete read began; `None` until there was one.
    pub(crate) fn complete(&self) -> Option<Timestamp> {
        self.complete
    }

    /// The last read was complete: only then may anything be taken away because of what this space does not say.
    pub(crate) fn settled(&self) -> bool {
        self.complete.is_some() && self.reading.is_none()
    }

    /// A tombstone names it.
    pub(crate) fn tombstoned(&self, anchor: &Anchor) -> bool {
        self.tombstones.contains_key(anchor)
    }

    pub(crate) fn anchored(&self) -> impl Iterator<Item = (&Anchor, &Slot)> {
        self.anchored
            .iter()
            .flat_map(|(anchor, twins)| twins.iter().map(move |slot| (anchor, slot)))
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.anchored()
            .map(|(_, slot)| slot)
            .chain(self.unanchored.values())
    }

    /// Finds entries by name and DN, as of now.
    pub(crate) fn index(&self) -> Index<'_> {
        let mut index = Index::default();
        for slot in self.slots() {
            for name in names(&slot.entry) {
                index.by_name.entry(name).or_default().push(slot);
            }
            if let Some(dn) = &slot.dn {
                // While a read is in progress an old entry may still hold the DN of a new one.
                let holder = index.by_dn.entry(dn).or_insert(slot);
                if holder.seen < slot.seen {
                    *holder = slot;
                }
            }
        }
        for (dn, (anchor, _)) in &self.former {
            if !index.by_dn.contains_key(dn)
                && let Some(slot) = self.anchored.get(anchor).and_then(|twins| twins.first())
            {
                index.by_dn.insert(dn, slot);
            }
        }
        index.changed = self.changed_while_reading(&index);
        index
    }

    /// Like [`Self::successors`], for old entries that wait for the end of the read.
    fn changed_while_reading(&self, index: &Index<'_>) -> BTreeMap<Anchor, Anchor> {
        let mut changed = BTreeMap::new();
        if self.reading.is_none() {
            return changed;
        }
        for (old, slot) in self
            .anchored()
            .filter(|(_, slot)| slot.seen < self.generation)
        {
            let by_alternate = slot
                .entry
                .alternate
                .iter()
                .flat_map(|name| index.by_name(name))
                .copied();
            let by_place = slot.dn.iter().filter_map(|dn| index.by_dn(dn));
            for new in by_alternate.chain(by_place.filter(|new: &&Slot| {
                [Some(old), new.entry.anchor.as_ref()]
                    .iter()
                    .all(|anchor| matches!(anchor, Some(Anchor::Text(_))))
            })) {
                if new.seen == self.generation
                    && let Some(anchor) = &new.entry.anchor
                    && names(&new.entry).all(|name| name != old)
                {
                    changed.insert(anchor.clone(), old.clone());
                }
            }
        }
        changed
    }
}

/// See [`ConnectorSpace::index`].
#[derive(Debug, Default)]
pub(crate) struct Index<'a> {
    by_name: BTreeMap<&'a Anchor, Vec<&'a Slot>>,
    by_dn: BTreeMap<&'a Dn, &'a Slot>,
    /// New anchor → old anchor, of entries whose anchor changed in the read that is not finished.
    pub(crate) changed: BTreeMap<Anchor, Anchor>,
}

impl<'a> Index<'a> {
    /// The entries with this anchor or alternate.
    pub(crate) fn by_name(&self, name: &Anchor) -> &[&'a Slot] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn by_dn(&self, dn: &Dn) -> Option<&'a Slot> {
        self.by_dn.get(dn).copied()
    }

    /// The entries that an attribute's DNs name.
    pub(crate) fn references(&self, entry: &Entry, attribute: &str) -> Vec<&'a Slot> {
        let texts = entry.attributes.get(attribute).iter();
        let mut seen = BTreeSet::new();
        texts
            .filter_map(|value| Dn::parse(std::str::from_utf8(value).ok()?).ok())
            .filter(|dn| seen.insert(dn.clone()))
            .filter_map(|dn| self.by_dn(&dn))
            .collect()
    }
}
