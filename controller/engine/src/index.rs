//! An index of packed things: from the hash of a key to the numbers of what has that key, some ten bytes each.
//!
//! The keys themselves are not kept. Two keys may share a hash, so that whoever looks something up compares it with what it found.
//! A table with linear probing that grows by a quarter: one that doubles is half empty just after a million.

use std::{
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    sync::OnceLock,
};

/// No number at all.
pub(crate) const NONE: u32 = u32::MAX;

/// What hashes are keyed with. Results that are kept beyond this process are only of use where it is the same.
pub type Seed = [u8; 16];

// Keyed by chance, so that nobody can make two names with one hash. No result depends on it.
static KEYS: OnceLock<(Seed, DefaultHasher)> = OnceLock::new();

fn keys() -> &'static (Seed, DefaultHasher) {
    KEYS.get_or_init(|| {
        let chance = RandomState::new();
        let halves = [0, 1].map(|half: u8| chance.hash_one(half).to_le_bytes());
        let mut seed = Seed::default();
        for (to, from) in seed.iter_mut().zip(halves.as_flattened()) {
            *to = *from;
        }
        keyed(seed)
    })
}

fn keyed(seed: Seed) -> (Seed, DefaultHasher) {
    let mut hasher = DefaultHasher::new();
    hasher.write(&seed);
    (seed, hasher)
}

/// What this process keys its hashes with.
pub fn seed() -> Seed {
    keys().0
}

/// Keys the hashes of this process as an earlier one did; `false` if it has keyed some otherwise already.
pub fn adopt_seed(seed: Seed) -> bool {
    KEYS.get_or_init(|| keyed(seed)).0 == seed
}

/// The hash of a key in this process.
pub(crate) fn hash(key: impl Hash) -> u64 {
    let mut hasher = keys().1.clone();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The half of a hash that an [`Index`] keeps.
pub(crate) fn short(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or_default()
}

const FREE: (u32, u32) = (0, NONE);

/// See the module. A pair is in it at most once.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Key and number; never full.
    table: Vec<(u32, u32)>,
    count: usize,
}

impl Index {
    pub(crate) fn insert(&mut self, key: u32, number: u32) {
        if self.has(key, number) {
            return;
        }
        if (self.count + 1) * 8 > self.table.len() * 7 {
            let size = self.table.len() + self.table.len() / 4 + 8;
            for pair in std::mem::replace(&mut self.table, vec![FREE; size]) {
                if pair != FREE {
                    self.put(pair);
                }
            }
        }
        self.put((key, number));
        self.count += 1;
    }

    fn put(&mut self, pair: (u32, u32)) {
        let mut at = self.home(pair.0);
        while self.table.get(at).is_some_and(|held| *held != FREE) {
            at = self.after(at);
        }
        if let Some(place) = self.table.get_mut(at) {
            *place = pair;
        }
    }

    /// Empty, and need not grow for so many pairs.
    pub(crate) fn with_room(count: usize) -> Self {
        let table = vec![FREE; count + count / 4 + 8];
        Self { table, count: 0 }
    }

    /// Of at most so many pairs, each of which is there once.
    pub(crate) fn of(pairs: impl Iterator<Item = (u32, u32)>, count: usize) -> Self {
        let mut index = Self::with_room(count);
        for pair in pairs.take(count) {
            index.put(pair);
            index.count += 1;
        }
        index
    }

    pub(crate) fn remove(&mut self, key: u32, number: u32) {
        let found = self.from(key).find(|(_, pair)| *pair == (key, number));
        let Some((mut hole, _)) = found else { return };
        self.count -= 1;
        // Whoever stands further from home than the hole is moves into it, so that no search ends too early.
        let mut at = self.after(hole);
        while let Some(pair) = self.table.get(at).copied().filter(|pair| *pair != FREE) {
            if self.distance(self.home(pair.0), at) >= self.distance(hole, at) {
                self.table.swap(hole, at);
                hole = at;
            }
            at = self.after(at);
        }
        if let Some(place) = self.table.get_mut(hole) {
            *place = FREE;
        }
    }

    /// The numbers under a key, sorted.
    pub(crate) fn get(&self, key: u32) -> Vec<u32> {
        let pairs = self.from(key).filter(|(_, pair)| pair.0 == key);
        let mut numbers: Vec<u32> = pairs.map(|(_, pair)| pair.1).collect();
        numbers.sort_unstable();
        numbers
    }

    pub(crate) fn contains(&self, key: u32) -> bool {
        self.from(key).any(|(_, pair)| pair.0 == key)
    }

    /// The pair is in it.
    pub(crate) fn has(&self, key: u32, number: u32) -> bool {
        self.from(key).any(|(_, pair)| pair == (key, number))
    }

    /// The places from where a key belongs to the first that is free, with what is there.
    fn from(&self, key: u32) -> impl Iterator<Item = (usize, (u32, u32))> {
        let home = self.home(key);
        let (before, behind) = self.table.split_at(home.min(self.table.len()));
        let behind = (home..).zip(behind.iter().copied());
        let all = behind.chain((0..).zip(before.iter().copied()));
        all.take_while(|(_, pair)| *pair != FREE)
    }

    fn home(&self, key: u32) -> usize {
        let spread = u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let upper = u128::from(spread ^ (spread >> 32)) * self.table.len() as u128;
        usize::try_from(upper >> 64).unwrap_or_default()
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.table.len() {
            0
        } else {
            at + 1
        }
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        if to < from {
            to + self.table.len() - from
        } else {
            to - from
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_index_holds_what_a_set_of_pairs_holds(
            steps in proptest::collection::vec((any::<bool>(), 0..40_u32, 0..6_u32), 0..400),
        ) {
            let (mut index, mut set) = (Index::default(), BTreeSet::new());
            // Some keys meet at one place, at the end of the table too.
            let key = |key: u32| if key < 20 { key } else { u32::MAX - key };
            for (into, one, number) in steps {
                if into {
                    index.insert(key(one), number);
                    set.insert((key(one), number));
                } else {
                    index.remove(key(one), number);
                    set.remove(&(key(one), number));
                }
            }
            for one in (0..40).map(key) {
                let expected: Vec<u32> =
                    set.range((one, 0)..=(one, NONE)).map(|pair| pair.1).collect();
                prop_assert_eq!(index.contains(one), !expected.is_empty());
                prop_assert_eq!(index.get(one), expected);
            }
        }
    }
}
