//! Writing an entry into its slot: its anchors, its name and everything below it, its links.
//!
//! What is below a renamed entry is renamed at once, for servers say nothing of it.

use std::collections::BTreeSet;

use super::{
    Link, Packed, Slot, Spaces, Swept,
    pack::{Parts, names, pack, rdn},
};
use crate::{
    anchor::Anchor,
    dn::Dn,
    entry::Entry,
    fault::{Fault, planted},
    index::{NONE, hash, short},
    port::Extent,
};

/// How an entry changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) changed: bool,
    pub(super) renamed: bool,
}

/// Where a DN's text goes on after so many RDNs, their comma included.
fn after(dn: &str, rdns: usize) -> Option<usize> {
    let (mut escaped, mut count) = (false, 0);
    for (at, byte) in dn.bytes().enumerate() {
        let separates = byte == b',' && !escaped;
        escaped = byte == b'\\' && !escaped;
        count += usize::from(separates);
        if separates && count == rdns {
            return Some(at + 1);
        }
    }
    None
}

impl Spaces {
    pub(super) fn allocate(&mut self, connector: u16) -> u32 {
        let slot = Slot {
            name: NONE,
            above: NONE,
            seen: 0,
            connector,
        };
        if let Some(number) = self.free.pop() {
            if let Some(old) = self.slots.get_mut(number as usize) {
                *old = slot;
            }
            return number;
        }
        self.slots.push(slot);
        u32::try_from(self.slots.len() - 1).unwrap_or(NONE)
    }

    /// Writes an entry over what the slot held.
    pub(super) fn write(&mut self, slot: u32, entry: Entry, seen: u32) -> Placed {
        let Some(old) = self.slots.get_mut(slot as usize) else {
            return Placed::default();
        };
        old.seen = seen;
        let (connector, named) = (old.connector, old.name != NONE);
        // A DN that was understood before is not parsed again.
        let known = named && self.dn_text(slot) == entry.dn;
        let dn = (!known).then(|| Dn::parse(&entry.dn).ok()).flatten();
        let is_dn = known || dn.is_some();
        let space = self.connectors.get_mut(usize::from(connector));
        let links = space.map_or_else(BTreeSet::new, |space| std::mem::take(&mut space.links));
        let mut attributes = Vec::new();
        for (name, values) in entry.attributes.into_values() {
            let values = if links.contains(&*name) {
                Packed::Links(self.link_values(connector, &values))
            } else {
                Packed::Values(values)
            };
            attributes.push((self.words.number(&name), values));
        }
        if let Some(space) = self.connectors.get_mut(usize::from(connector)) {
            space.links = links;
        }
        let cut = is_dn.then(|| after(&entry.dn, 1)).flatten();
        let (first, above) = match cut {
            Some(cut) => (&entry.dn[..cut - 1], Some(&entry.dn[cut..])),
            None => (entry.dn.as_str(), None),
        };
        let packed = pack(&Parts {
            kind: entry.kind,
            anchor: entry.anchor,
            alternate: entry.alternate,
            rdn: first.to_owned(),
            attributes,
        });
        let above = above.map_or(NONE, |above| self.above.number(above));
        let same_place = self
            .slots
            .get(slot as usize)
            .is_some_and(|old| old.above == above && (named || !is_dn));
        let before = self.packed.get(slot);
        if same_place && *packed == *before {
            return Placed::default();
        }
        let before = before.to_vec();
        let dn = dn.or_else(|| Dn::parse(&entry.dn).ok());
        self.exchange(slot, &before, &packed);
        let old_text = self.text_of(slot, &before);
        self.packed.set(slot, &packed);
        self.unkept.insert(slot);
        let renamed = self.rename(slot, dn, &old_text, &entry.dn);
        self.journal.slots.insert(slot);
        Placed {
            changed: true,
            renamed,
        }
    }

    /// Writes other links; anchors and DN are as they were.
    pub(super) fn rewrite(&mut self, slot: u32, parts: &Parts) {
        let packed = pack(parts);
        let before = self.packed.get(slot).to_vec();
        if *packed == *before {
            return;
        }
        self.packed.set(slot, &packed);
        self.exchange(slot, &before, &packed);
        self.unkept.insert(slot);
        self.journal.slots.insert(slot);
    }

    fn text_of(&self, slot: u32, packed: &[u8]) -> String {
        let first = rdn(packed).unwrap_or_default();
        let above = self.slots.get(slot as usize).map_or(NONE, |old| old.above);
        match self.above.word(above) {
            Some(above) => format!("{first},{above}"),
            None => first.to_owned(),
        }
    }

    pub(super) fn link_values(&mut self, connector: u16, values: &[Vec<u8>]) -> Vec<Link> {
        let mut links = Vec::with_capacity(values.len());
        for value in values {
            let text = std::str::from_utf8(value).ok();
            let dn = text.and_then(|text| Dn::parse(text).ok().filter(|dn| dn.depth() > 0));
            links.push(match (dn, text) {
                (Some(dn), Some(text)) => {
                    let name = self.names.number(connector, &dn);
                    if self.names.slot(name).is_none() {
                        self.names.spell(name, text);
                        self.note_foreign(name, text);
                    }
                    Link::Name(name)
                }
                _ => Link::Other(value.clone()),
            });
        }
        links
    }

    /// Replaces what the indexes say of a slot's anchors and links.
    fn exchange(&mut self, slot: u32, before: &[u8], after: &[u8]) {
        let connector = self.slots.get(slot as usize).map(|slot| slot.connector);
        let space = connector.and_then(|number| self.connectors.get_mut(usize::from(number)));
        if let Some(space) = space {
            if let Some((kind, ..)) = super::pack::head(before) {
                let count = space.entries.entry(kind).or_default();
                *count = count.saturating_sub(1);
            }
            if let Some((kind, ..)) = super::pack::head(after) {
                *space.entries.entry(kind).or_default() += 1;
            }
        }
        let anchors = |packed: &[u8]| -> BTreeSet<Anchor> {
            let head = super::pack::head(packed).into_iter();
            head.flat_map(|(_, anchor, alternate)| anchor.into_iter().chain(alternate))
                .collect()
        };
        let (old, new) = (anchors(before), anchors(after));
        for gone in old.difference(&new) {
            self.by_anchor.remove(short(hash(gone)), slot);
        }
        for come in new.difference(&old) {
            self.by_anchor.insert(short(hash(come)), slot);
        }
        let changed = old.symmetric_difference(&new).cloned();
        self.journal.anchors.extend(changed);

        self.exchange_sid(slot, before, after);

        let links = |packed: &[u8]| names(packed, None).into_iter().collect::<BTreeSet<u32>>();
        let (old, new) = (links(before), links(after));
        for come in new.difference(&old) {
            self.linked.insert(*come, slot);
        }
        for gone in old.difference(&new) {
            self.linked.remove(*gone, slot);
            self.forget_foreign(*gone);
            self.release(*gone);
        }
    }

    /// Gives up a name if nobody needs it. Its number may soon be another name's, which nobody had before.
    fn release(&mut self, name: u32) {
        for freed in self.names.release(name, &self.linked) {
            for space in &mut self.connectors {
                if let Some((slot, _)) = space.former.remove(&freed)
                    && let Some(aliases) = self.aliases.get_mut(&slot)
                {
                    aliases.retain(|alias| *alias != freed);
                }
            }
        }
    }

    /// Gives a slot the name of its DN, and all below it theirs.
    fn rename(&mut self, slot: u32, dn: Option<Dn>, old: &str, new: &str) -> bool {
        let Some((name, connector)) =
            (self.slots.get(slot as usize)).map(|s| (s.name, s.connector))
        else {
            return false;
        };
        let next = dn.as_ref().and_then(|dn| self.names.find(connector, dn));
        let stays = name != NONE && next == Some(name);
        let respelled = old != new;
        let below = if !respelled || planted(Fault::ChildrenStay) {
            Vec::new()
        } else if name == NONE {
            self.displaced_below(slot, connector)
        } else {
            self.names.below(name)
        };
        let below = self.not_read_since(below, connector, old);
        let depth = Dn::parse(old).map_or(0, |old| old.depth());
        let moves: Vec<(u32, String)> = below
            .into_iter()
            .filter_map(|child| {
                let text = self.dn_text(child);
                let rdns = Dn::parse(&text).ok()?.depth().checked_sub(depth)?;
                let head = text.get(..after(&text, rdns)?)?;
                Some((child, format!("{head}{new}")))
            })
            .collect();
        self.place(slot, dn, old, new, stays);
        for (child, text) in moves {
            let old = self.dn_text(child);
            let dn = Dn::parse(&text).ok();
            let dn = dn.filter(|dn| !self.gives_way(child, connector, dn));
            self.place(child, dn, &old, &text, stays);
            self.journal.slots.insert(child);
        }
        respelled && !old.is_empty() && !stays
    }

    /// Whether an entry that moves along would come where this read has just placed another one: then it was renamed too, and the read
    /// will tell.
    fn gives_way(&mut self, slot: u32, connector: u16, dn: &Dn) -> bool {
        let holder = self.by_dn(connector, dn).filter(|other| *other != slot);
        let holder = holder.and_then(|other| self.slots.get(other as usize));
        let name = self.slots.get(slot as usize).map_or(NONE, |slot| slot.name);
        let below = self.names.below(name);
        let Some(space) = self.connectors.get_mut(usize::from(connector)) else {
            return false;
        };
        let gives_way = holder.is_some_and(|holder| holder.seen == space.generation);
        if gives_way {
            space.displaced.insert(slot, below);
        }
        gives_way
    }

    /// What lay below an entry when another one took its DN in this read.
    fn displaced_below(&mut self, slot: u32, connector: u16) -> Vec<u32> {
        let space = self.connectors.get_mut(usize::from(connector));
        let displaced = space.and_then(|space| space.displaced.remove(&slot));
        displaced.unwrap_or_default()
    }

    /// Those that this read has neither brought nor moved along with a container that it brought, and that are still below the DN: what
    /// it brought has its own word on where it is.
    fn not_read_since(&self, mut slots: Vec<u32>, connector: u16, old: &str) -> Vec<u32> {
        let (Some(space), Ok(old)) = (self.connector(connector), Dn::parse(old)) else {
            return Vec::new();
        };
        let read = |slot: u32| {
            let seen = self.slots.get(slot as usize).map_or(0, |slot| slot.seen);
            seen >= space.generation
        };
        slots.retain(|slot| {
            let dn = self.dn(*slot).filter(|dn| dn.is_within(&old));
            let mut above = dn.as_ref().and_then(Dn::parent);
            let mut moved = read(*slot) || dn.is_none();
            while let Some(dn) = above.filter(|dn| !moved && dn.depth() > old.depth()) {
                moved = self.by_dn(connector, &dn).is_some_and(read);
                above = dn.parent();
            }
            !moved
        });
        slots
    }

    /// One slot alone. `stays`: only the spelling is another.
    fn place(&mut self, slot: u32, dn: Option<Dn>, old: &str, new: &str, stays: bool) {
        let above = match Dn::parse(new).ok().and_then(|_| after(new, 1)) {
            Some(cut) => self.above.number(new.get(cut..).unwrap_or_default()),
            None => NONE,
        };
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.above = above;
        }
        self.unkept.insert(slot);
        if stays {
            return;
        }
        self.vacate(slot, old);
        self.journal.renamed.insert(slot);
        if let Some(dn) = dn {
            self.occupy(slot, &dn);
        }
    }

    /// The slot gives up its name.
    fn vacate(&mut self, slot: u32, text: &str) {
        let Some(record) = self.slots.get_mut(slot as usize) else {
            return;
        };
        let (name, connector) = (std::mem::replace(&mut record.name, NONE), record.connector);
        if name == NONE {
            return;
        }
        self.unkept.insert(slot);
        let linked = self.linked.contains(name);
        let Some(space) = self.connectors.get_mut(usize::from(connector)) else {
            return;
        };
        if linked && space.follows {
            self.names.detach(name);
            self.aliases.entry(slot).or_default().push(name);
            return;
        }
        self.names.set(name, None);
        if !linked {
            self.release(name);
            return;
        }
        self.names.spell(name, text);
        self.journal.names.insert(name);
        let paged = matches!(&space.reading, Some((_, extent)) if *extent != Extent::Changes);
        if paged {
            let generation = space.generation;
            space.former.insert(name, (slot, generation));
            self.aliases.entry(slot).or_default().push(name);
        }
    }

    /// The slot takes a name, from another one if need be.
    fn occupy(&mut self, slot: u32, dn: &Dn) {
        let Some(connector) = self.connector_of(slot) else {
            return;
        };
        let mut name = self.names.number(connector, dn);
        let other = self.names.slot(name).filter(|other| *other != slot);
        let below = other.map_or(Vec::new(), |_| self.names.below(name));
        let Some(space) = self.connectors.get_mut(usize::from(connector)) else {
            return;
        };
        space.former.remove(&name);
        space.displaced.remove(&slot);
        if let Some(other) = other {
            space.displaced.insert(other, below);
            if let Some(record) = self.slots.get_mut(other as usize) {
                record.name = NONE;
            }
            self.unkept.insert(other);
            if space.follows && self.linked.contains(name) {
                self.names.detach(name);
                self.aliases.entry(other).or_default().push(name);
                let fresh = self.names.number(connector, dn);
                self.names.adopt(name, fresh);
                name = fresh;
            }
        }
        self.names.set(name, Some(slot));
        if let Some(record) = self.slots.get_mut(slot as usize) {
            record.name = name;
        }
        self.unkept.insert(slot);
        self.journal.names.insert(name);
    }

    /// Takes from an entry the names by which links lead to it, where links follow their entry: it lives on under another anchor.
    pub(super) fn bequeath(&mut self, connector: u16, slot: u32) -> Vec<u32> {
        if !self.connector(connector).is_some_and(|space| space.follows) {
            return Vec::new();
        }
        let text = self.dn_text(slot);
        self.vacate(slot, &text);
        self.aliases.remove(&slot).unwrap_or_default()
    }

    pub(super) fn inherit(&mut self, slot: u32, names: Vec<u32>) {
        for name in names {
            self.names.set(name, Some(slot));
            self.journal.names.insert(name);
            self.aliases.entry(slot).or_default().push(name);
        }
    }

    /// The entry is no longer there.
    pub(super) fn leave(&mut self, slot: u32) -> Option<Swept> {
        let text = self.dn_text(slot);
        let before = self.packed.get(slot).to_vec();
        self.packed.set(slot, &[]);
        let record = self.slots.get_mut(slot as usize)?;
        let name = std::mem::replace(&mut record.name, NONE);
        let connector = record.connector;
        if before.is_empty() {
            return None;
        }
        let (_, anchor, alternate) = super::pack::head(&before)?;
        let space = self.connectors.get_mut(usize::from(connector))?;
        space.displaced.remove(&slot);
        let aliases = self.aliases.remove(&slot).unwrap_or_default();
        aliases.iter().for_each(|name| {
            space.former.remove(name);
        });
        self.exchange(slot, &before, &[]);
        for name in [name].into_iter().chain(aliases) {
            let others = self.names.slot(name).is_some_and(|holder| holder != slot);
            if name == NONE || others {
                continue;
            }
            if self.names.slot(name) == Some(slot) {
                self.names.set(name, None);
            }
            if self.linked.contains(name) {
                self.names.spell(name, &text);
                self.journal.names.insert(name);
            } else {
                self.release(name);
            }
        }
        self.unkept.insert(slot);
        self.journal.slots.insert(slot);
        self.left.push(slot);
        Some(Swept {
            slot,
            anchor: anchor?,
            alternate,
        })
    }
}
