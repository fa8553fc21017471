//! Which entries have a join value in common, and which of them are one identity. Empty where nothing is joined.
//!
//! Values are kept as hashes: whoever finds another entry by one compares the values themselves. Entries of one identity form a ring,
//! so that each costs four bytes, whoever else is in it.

use std::collections::HashMap;

use crate::index::{Index, NONE};

/// See the module. By number of the entry.
#[derive(Debug, Default)]
pub(super) struct Rings {
    keys: Vec<u32>,
    /// Of entries with more than one.
    more_keys: HashMap<u32, Vec<u32>>,
    index: Index,
    /// The next entry of the same identity.
    next: Vec<u32>,
}

impl Rings {
    fn keys(&self, slot: u32) -> Vec<u32> {
        let first = self.keys.get(slot as usize).copied();
        let first = first.filter(|key| *key != NONE).into_iter();
        let more = self.more_keys.get(&slot).into_iter().flatten().copied();
        first.chain(more).collect()
    }

    /// Takes over the hashes of an entry's join values. Returns the others with a hash that it had or has, unless it has the same as
    /// before.
    pub(super) fn set_keys(&mut self, slot: u32, mut keys: Vec<u32>) -> Vec<u32> {
        keys.retain(|key| *key != NONE);
        keys.sort_unstable();
        keys.dedup();
        let old = self.keys(slot);
        if old == keys {
            return Vec::new();
        }
        for key in &old {
            self.index.remove(*key, slot);
        }
        let concerned = old.iter().chain(&keys);
        let concerned = concerned.flat_map(|key| self.index.get(*key)).collect();
        for key in &keys {
            self.index.insert(*key, slot);
        }
        let at = slot as usize;
        if self.keys.len() <= at {
            self.keys.resize(at + 1, NONE);
        }
        let (first, more) = keys.split_at(keys.len().min(1));
        self.keys[at] = first.first().copied().unwrap_or(NONE);
        if more.is_empty() {
            self.more_keys.remove(&slot);
        } else {
            self.more_keys.insert(slot, more.to_vec());
        }
        concerned
    }

    /// The other entries with a hash of this one.
    pub(super) fn alike(&self, slot: u32) -> Vec<u32> {
        let mut alike: Vec<u32> = self
            .keys(slot)
            .into_iter()
            .flat_map(|key| self.index.get(key))
            .filter(|other| *other != slot)
            .collect();
        alike.sort_unstable();
        alike.dedup();
        alike
    }

    fn after(&self, slot: u32) -> Option<u32> {
        let next = self.next.get(slot as usize).copied();
        next.filter(|next| *next != NONE)
    }

    /// It is not alone in its identity.
    pub(super) fn is_tied(&self, slot: u32) -> bool {
        self.after(slot).is_some()
    }

    /// The entries of its identity: this one first.
    pub(super) fn members(&self, slot: u32) -> Vec<u32> {
        let mut members = vec![slot];
        let mut next = self.after(slot);
        while let Some(member) = next.filter(|member| *member != slot) {
            members.push(member);
            next = self.after(member);
        }
        members
    }

    /// Takes an entry out of its identity; those that stay are one as before.
    pub(super) fn untie(&mut self, slot: u32) {
        let members = self.members(slot);
        let (Some(next), Some(last)) = (members.get(1), members.last()) else {
            return;
        };
        let alone = next == last;
        self.set(*last, if alone { NONE } else { *next });
        self.set(slot, NONE);
    }

    /// Makes entries that are in no ring one identity.
    pub(super) fn tie(&mut self, slots: &[u32]) {
        if slots.len() < 2 {
            return;
        }
        let others = slots.iter().skip(1).chain(slots.first());
        for (slot, next) in slots.iter().zip(others) {
            self.set(*slot, *next);
        }
    }

    fn set(&mut self, slot: u32, next: u32) {
        let at = slot as usize;
        if self.next.len() <= at {
            self.next.resize(at + 1, NONE);
        }
        self.next[at] = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_a_ring_leaves_the_others_together() {
        let mut rings = Rings::default();
        rings.tie(&[4, 2, 9]);
        assert_eq!(rings.members(2), [2, 9, 4]);
        rings.untie(2);
        assert_eq!(rings.members(2), [2]);
        assert_eq!(rings.members(9), [9, 4]);
        rings.untie(4);
        assert_eq!((rings.is_tied(9), rings.members(9)), (false, vec![9]));
        rings.untie(9);
        assert_eq!(rings.members(9), [9]);
    }

    #[test]
    fn whoever_had_or_has_a_value_in_common_is_told_of_a_change() {
        let mut rings = Rings::default();
        assert!(rings.set_keys(0, vec![7, 8]).is_empty());
        assert_eq!(rings.set_keys(1, vec![7]), [0]);
        assert!(rings.set_keys(1, vec![7]).is_empty());
        assert_eq!(rings.set_keys(2, vec![8]), [0]);
        assert_eq!(rings.alike(0), [1, 2]);
        assert_eq!(rings.set_keys(1, vec![8]), [0, 0, 2]);
        assert_eq!(rings.alike(1), [0, 2]);
        assert_eq!(rings.set_keys(0, vec![]), [1, 2]);
        assert!(rings.alike(0).is_empty());
    }
}
