//! The events of reads. A complete read is mark and sweep; a delta says what changed; a listing doubts what it did not bring.
//!
//! Guarantees: a read without its end keeps what it brought and removes nothing; an entry is told by its anchor and by the server's own
//! name for it, never by its DN; what was named as gone is asked about, unless a tombstone says so.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{Doubt, Findings, Link, Packed, Spaces, Swept, pack};
use crate::{
    anchor::Anchor,
    dn::Dn,
    entry::{Entry, EntryKind, ServerType},
    fault::{Fault, planted},
    port::{Cause, Cursor, Extent, Sighting, ValueChange},
};

/// What an event made of the entries that were known.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) swept: Vec<Swept>,
    /// The anchor that an entry has, and the one that it had.
    pub(crate) changed: Vec<(Anchor, Anchor)>,
}

/// The end of a read.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) swept: Vec<Swept>,
    /// When it began, if it was a complete one.
    pub(crate) complete: Option<Timestamp>,
}

/// The name that the server itself gave an entry, as far as one can tell.
fn own_name(entry: &(EntryKind, Option<Anchor>, Option<Anchor>)) -> Option<&Anchor> {
    entry.2.as_ref().or(entry.1.as_ref())
}

fn is_text(anchor: Option<&Anchor>) -> bool {
    matches!(anchor, Some(Anchor::Text(_)))
}

impl Spaces {
    pub(crate) fn begin(
        &mut self,
        connector: u16,
        at: Timestamp,
        server_type: ServerType,
        tombstones: bool,
        extent: Extent,
    ) {
        let Some(space) = self.connector_mut(connector) else {
            return;
        };
        space.generation += 1;
        space.deferred.clear();
        space.requires_tombstones = tombstones;
        space.follows = server_type == ServerType::ActiveDirectory;
        if extent == Extent::Complete(Cause::Verify) {
            space.findings = Findings::default();
        }
        space.reading = Some((at, extent));
    }

    /// Everything that is not told is as it was: in a delta, and in answers to doubts.
    fn is_delta(&self, connector: u16) -> bool {
        let reading = self
            .connector(connector)
            .and_then(|space| space.reading.as_ref());
        reading.is_none_or(|(_, extent)| *extent == Extent::Changes)
    }

    fn verifies(&self, connector: u16) -> bool {
        let reading = self
            .connector(connector)
            .and_then(|space| space.reading.as_ref());
        reading.is_some_and(|(_, extent)| *extent == Extent::Complete(Cause::Verify))
    }

    pub(crate) fn add(&mut self, connector: u16, mut entry: Entry) -> Taken {
        if planted(Fault::KeyedByDn) {
            entry.anchor = Some(Anchor::from_text(&entry.dn));
        }
        let mut taken = Taken::default();
        let (generation, delta) = (
            self.connector(connector)
                .map_or(0, |space| space.generation),
            self.is_delta(connector),
        );
        let slot = self.same(connector, &entry, generation, delta);
        let mut heirs = Vec::new();
        for old in self.superseded(connector, &entry, generation, delta) {
            if Some(old) == slot {
                continue;
            }
            let names = [entry.anchor.as_ref(), entry.alternate.as_ref()];
            if let (Some(new), Some(old)) = (&entry.anchor, self.anchor(old))
                && !names.contains(&Some(&old))
            {
                taken.changed.push((new.clone(), old));
            }
            heirs.extend(self.bequeath(connector, old));
            taken.swept.extend(self.leave(old));
        }
        if let Some(space) = self.connector_mut(connector) {
            for name in entry.anchor.iter().chain(&entry.alternate) {
                space.missing.remove(name);
                space.tombstones.remove(name);
            }
        }
        let (known, container) = (slot.is_some(), entry.kind == EntryKind::Container);
        let old_dn = slot.filter(|_| container).map(|slot| self.dn_text(slot));
        let new_dn = container.then(|| entry.dn.clone());
        let slot = slot.unwrap_or_else(|| self.allocate(connector));
        let placed = self.write(slot, entry, generation);
        self.inherit(slot, heirs);
        let (delta, verifies) = (
            delta
                && self
                    .connector(connector)
                    .is_some_and(|space| space.complete.is_some()),
            self.verifies(connector),
        );
        let Some(space) = self.connector_mut(connector) else {
            return taken;
        };
        if let Some(new_dn) = new_dn.filter(|_| delta && (!known || placed.renamed)) {
            old_dn.iter().for_each(|old| {
                space.listings.remove(old);
            });
            space.listings.insert(new_dn);
        }
        if verifies {
            space.findings.arrived += usize::from(!known);
            space.findings.renamed += usize::from(known && placed.renamed);
            space.findings.changed += usize::from(known && placed.changed && !placed.renamed);
        }
        taken
    }

    /// The slot of the same entry.
    fn same(&self, connector: u16, entry: &Entry, generation: u32, delta: bool) -> Option<u32> {
        let Some(anchor) = &entry.anchor else {
            // Told by the server's name, else by its DN.
            let named = entry.alternate.iter();
            let mut named = named.flat_map(|name| self.by_name_in(connector, name));
            let nameless = |slot: &u32| self.anchor(*slot).is_none();
            let placed = || self.by_dn(connector, &Dn::parse(&entry.dn).ok()?);
            return named.find(nameless).or_else(|| placed().filter(nameless));
        };
        let mut twins = self.by_name_in(connector, anchor);
        twins.retain(|slot| self.anchor(*slot).as_ref() == Some(anchor));
        let alternate = |slot: &u32| self.head(*slot).and_then(|head| head.2);
        let same = twins.iter().copied().find(|slot| {
            self.dn_text(*slot) == entry.dn
                || (entry.alternate.is_some() && alternate(slot) == entry.alternate)
        });
        same.or_else(|| match twins.as_slice() {
            [only] if delta => {
                let other = alternate(only).zip(entry.alternate.clone());
                other.is_none_or(|(old, new)| old == new).then_some(*only)
            }
            [only] => {
                let seen = self.slots.get(*only as usize).map_or(0, |slot| slot.seen);
                (seen < generation).then_some(*only)
            }
            _ => None,
        })
    }

    /// Slots of the same entry under another anchor. The server's own name tells; where people assign anchors (text) the DN does too, for
    /// those that a server assigns never change, so that there it is another entry in the old one's place.
    fn superseded(&self, connector: u16, entry: &Entry, generation: u32, delta: bool) -> Vec<u32> {
        let own = entry.alternate.as_ref().or(entry.anchor.as_ref());
        let mut found = own.map_or(Vec::new(), |own| self.by_name_in(connector, own));
        found.retain(|slot| {
            let head = self.head(*slot);
            head.is_some_and(|head| head.1 != entry.anchor && own_name(&head) == own)
        });
        let unseen = |slot: &u32| {
            let seen = self.slots.get(*slot as usize).map_or(0, |slot| slot.seen);
            delta || seen < generation
        };
        let dn = is_text(entry.anchor.as_ref()).then(|| Dn::parse(&entry.dn).ok());
        let placed = dn.flatten().and_then(|dn| self.by_dn(connector, &dn));
        found.extend(placed.filter(|slot| {
            let old = self.anchor(*slot);
            is_text(old.as_ref()) && old != entry.anchor && unseen(slot) && !found.contains(slot)
        }));
        found
    }

    /// Values that came to or went from an entry.
    pub(crate) fn change_values(&mut self, connector: u16, change: &ValueChange) {
        let found = self.by_name_in(connector, &change.anchor);
        let [slot] = found.as_slice() else {
            if let Some(space) = self.connector_mut(connector) {
                let doubt = Doubt { named: false };
                space.missing.entry(change.anchor.clone()).or_insert(doubt);
            }
            return;
        };
        // Written out only where it cannot be changed in its packed form.
        let links = self
            .connector(connector)
            .is_some_and(|space| space.links.contains(&change.attribute));
        if links {
            self.change_links(*slot, connector, change);
        } else if let Some(mut entry) = self.spell_out(*slot, &|_| true) {
            let removed = |value: &Vec<u8>| change.removed.contains(value);
            let mut values = entry.attributes.get(&change.attribute).to_vec();
            values.retain(|value| !removed(value) && !change.added.contains(value));
            values.extend(change.added.iter().cloned());
            entry.attributes.set(&change.attribute, values);
            let seen = self.slots.get(*slot as usize).map_or(0, |slot| slot.seen);
            self.write(*slot, entry, seen);
        }
    }

    fn change_links(&mut self, slot: u32, connector: u16, change: &ValueChange) {
        let Some(mut parts) = self.packed(slot).and_then(pack::unpack) else {
            return;
        };
        let attribute = self.words.number(&change.attribute);
        let added = self.link_values(connector, &change.added);
        let removed = self.link_values(connector, &change.removed);
        // A link may have been read under a name that its entry has no more.
        let leads: HashSet<u32> = (removed.iter())
            .filter_map(|link| match link {
                Link::Name(name) => self.names.slot(*name),
                Link::Other(_) => None,
            })
            .collect();
        let position = (parts.attributes.iter()).position(|(name, _)| *name == attribute);
        let mut links = match position.map(|at| parts.attributes.remove(at)) {
            Some((_, Packed::Links(links))) => links,
            _ => Vec::new(),
        };
        let unknown: Vec<Vec<u8>> = change
            .removed
            .iter()
            .zip(&removed)
            .filter(|(_, link)| match link {
                Link::Name(name) => self.names.slot(*name).is_none() && !links.contains(link),
                Link::Other(_) => false,
            })
            .map(|(value, _)| value.clone())
            .collect();
        if let Some(space) = self.connectors.get_mut(usize::from(connector))
            && space.follows
            && !unknown.is_empty()
        {
            let change = ValueChange {
                anchor: change.anchor.clone(),
                attribute: change.attribute.clone(),
                added: Vec::new(),
                removed: unknown,
            };
            space.deferred.push((slot, change));
        }
        let others: HashSet<&Link> = removed.iter().chain(&added).collect();
        links.retain(|link| {
            let leads = match link {
                Link::Name(name) => self.names.slot(*name).is_some_and(|it| leads.contains(&it)),
                Link::Other(_) => false,
            };
            !leads && !others.contains(link)
        });
        links.extend(added);
        if !links.is_empty() {
            let word = self.words.word(attribute).cloned();
            let at = parts
                .attributes
                .partition_point(|(name, _)| self.words.word(*name).cloned() < word);
            parts
                .attributes
                .insert(at, (attribute, Packed::Links(links)));
        }
        self.rewrite(slot, &parts);
    }

    pub(crate) fn unchanged(&mut self, connector: u16, anchors: &[Anchor]) {
        let generation = self
            .connector(connector)
            .map_or(0, |space| space.generation);
        for anchor in anchors {
            let found = self.by_name_in(connector, anchor);
            if let Some(space) = self.connector_mut(connector) {
                if found.is_empty() {
                    let doubt = Doubt { named: false };
                    space.missing.entry(anchor.clone()).or_insert(doubt);
                } else {
                    space.missing.remove(anchor);
                }
            }
            for slot in found {
                if let Some(slot) = self.slots.get_mut(slot as usize) {
                    slot.seen = generation;
                }
            }
        }
    }

    /// A tombstone names an entry by what the server itself gave it. Who bears the source anchor of a deleted one and has another name of
    /// that kind has come back: he was made anew and given his old anchor.
    pub(crate) fn bury(&mut self, connector: u16, anchors: Vec<Anchor>) -> Vec<Swept> {
        let (mut swept, verifies) = (Vec::new(), self.verifies(connector));
        for anchor in anchors {
            let mut back = false;
            for slot in self.by_name_in(connector, &anchor) {
                let own = self.head(slot).and_then(|(_, _, alternate)| alternate);
                if own.is_some_and(|own| own != anchor) {
                    back = true;
                    continue;
                }
                swept.extend(self.remove(connector, slot));
                if let Some(space) = self.connector_mut(connector)
                    && verifies
                {
                    space.findings.left += 1;
                }
            }
            if let Some(space) = self.connector_mut(connector)
                && !back
            {
                space.missing.remove(&anchor);
                let generation = space.generation;
                space.tombstones.insert(anchor.clone(), generation);
            }
            self.journal.anchors.insert(anchor);
        }
        swept
    }

    /// The entry is gone; what was below it, if it was a container, is to be listed.
    fn remove(&mut self, connector: u16, slot: u32) -> Option<Swept> {
        let container = self
            .head(slot)
            .is_some_and(|head| head.0 == EntryKind::Container);
        let text = self.dn_text(slot);
        let below = (self.dn(slot)).is_some_and(|dn| self.within(connector, &dn).len() > 1);
        if let Some(space) = self.connector_mut(connector) {
            if container && below {
                space.listings.insert(text);
            } else {
                space.listings.remove(&text);
            }
        }
        self.leave(slot)
    }

    pub(crate) fn miss(&mut self, connector: u16, anchors: Vec<Anchor>) {
        if let Some(space) = self.connector_mut(connector) {
            let doubts = anchors
                .into_iter()
                .map(|anchor| (anchor, Doubt { named: true }));
            space.missing.extend(doubts);
        }
    }

    /// The answer to a doubt. What was found was read just before, unless it is out of the read's sight; either way what is left under
    /// that name is not there. `Some` if the feed itself had named it as gone.
    pub(crate) fn answer(
        &mut self,
        connector: u16,
        sighting: &Sighting,
    ) -> Option<(Doubt, Vec<Swept>)> {
        let space = self.connector_mut(connector)?;
        let doubt = space.missing.remove(&sighting.anchor)?;
        let mut swept = Vec::new();
        for slot in self.by_name_in(connector, &sighting.anchor) {
            swept.extend(self.remove(connector, slot));
        }
        self.journal.anchors.insert(sighting.anchor.clone());
        Some((doubt, swept))
    }

    /// Everything that the extent promised was read. An `End` without `Begin` is nothing.
    pub(crate) fn end(&mut self, connector: u16, cursor: Option<Cursor>) -> Ended {
        let mut ended = Ended {
            swept: Vec::new(),
            complete: None,
        };
        let Some(space) = self.connector_mut(connector) else {
            return ended;
        };
        let Some((began, extent)) = space.reading.take() else {
            return ended;
        };
        let generation = space.generation;
        let deferred = std::mem::take(&mut space.deferred);
        let old = space
            .former
            .extract_if(|_, (_, noticed)| *noticed < generation);
        let old: Vec<(u32, (u32, u32))> = old.collect();
        for (name, (slot, _)) in old {
            self.journal.names.insert(name);
            if let Some(aliases) = self.aliases.get_mut(&slot) {
                aliases.retain(|alias| *alias != name);
            }
        }
        for (slot, change) in deferred {
            let whole = self
                .slots
                .get(slot as usize)
                .is_some_and(|slot| slot.seen == generation);
            if !whole {
                self.change_links(slot, connector, &change);
            }
        }
        if let Some(space) = self.connector_mut(connector) {
            space.deferred.clear();
        }
        match extent {
            Extent::Complete(cause) => {
                ended.complete = Some(began);
                ended.swept = self.sweep(connector, generation, cause);
                if let Some(space) = self.connector_mut(connector) {
                    space.complete = Some(began);
                    space.listings.clear();
                    space.cursor = cursor;
                }
            }
            Extent::Changes => {
                if let Some(space) = self.connector_mut(connector) {
                    space.cursor = cursor;
                }
            }
            Extent::Subtree { dn, .. } => self.doubt_below(connector, &dn, generation),
        }
        self.doubt_displaced(connector);
        ended
    }

    /// Whose DN another entry has now, and who was not read anew, was renamed or is gone, and the feed did not say.
    fn doubt_displaced(&mut self, connector: u16) {
        let Some(space) = self.connector_mut(connector) else {
            return;
        };
        let displaced: Vec<u32> = std::mem::take(&mut space.displaced).into_keys().collect();
        for slot in displaced {
            self.doubt(connector, slot);
        }
    }

    fn sweep(&mut self, connector: u16, generation: u32, cause: Cause) -> Vec<Swept> {
        let stale: Vec<u32> = self
            .slots()
            .filter(|slot| {
                let record = self.slots.get(*slot as usize);
                record.is_some_and(|slot| slot.connector == connector && slot.seen < generation)
            })
            .collect();
        if let Some(space) = self.connector_mut(connector) {
            if cause == Cause::Verify {
                space.findings.left += stale.len();
            }
            let (old, new): (Vec<_>, Vec<_>) = std::mem::take(&mut space.tombstones)
                .into_iter()
                .partition(|(_, named)| *named < generation);
            space.tombstones = new.into_iter().collect();
            let old = old.into_iter().map(|(anchor, _)| anchor);
            self.journal.anchors.extend(old);
        }
        stale
            .into_iter()
            .filter_map(|slot| self.leave(slot))
            .collect()
    }

    /// What lies below a DN and was not listed is in doubt.
    fn doubt_below(&mut self, connector: u16, dn: &str, generation: u32) {
        let Ok(base) = Dn::parse(dn) else { return };
        if let Some(space) = self.connector_mut(connector) {
            let listed = |text: &str| Dn::parse(text).is_ok_and(|dn| dn.is_within(&base));
            space.listings.retain(|text| !listed(text));
        }
        for slot in self.within(connector, &base) {
            let seen = self.slots.get(slot as usize).map_or(0, |slot| slot.seen);
            if seen < generation {
                self.doubt(connector, slot);
            }
        }
    }

    fn doubt(&mut self, connector: u16, slot: u32) {
        let Some(name) = self.names_of(slot).into_iter().next() else {
            // Nobody can ask for it.
            self.leave(slot);
            return;
        };
        if let Some(space) = self.connector_mut(connector) {
            let doubt = Doubt { named: false };
            space.missing.entry(name).or_insert(doubt);
        }
    }
}
