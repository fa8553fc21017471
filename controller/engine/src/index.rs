//! An index of packed things: from the hash of a key to the numbers of what has that key, nine bytes each.
//!
//! The keys themselves are not kept. Two keys may share a hash, so that whoever looks something up compares it with what it found.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::LazyLock,
};

use hashbrown::HashTable;

/// No number at all.
pub(crate) const NONE: u32 = u32::MAX;

// Keyed by chance, so that nobody can make two names with one hash. No result depends on it.
static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The hash of a key in this process.
pub(crate) fn hash(key: impl Hash) -> u64 {
    KEYS.hash_one(key)
}

/// The half of a hash that an [`Index`] keeps.
pub(crate) fn short(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or_default()
}

/// See the module. A pair is in it at most once.
#[derive(Debug, Default)]
pub(crate) struct Index(HashTable<(u32, u32)>);

impl Index {
    pub(crate) fn insert(&mut self, key: u32, number: u32) {
        let found = self.0.find(spread(key), |pair| *pair == (key, number));
        if found.is_none() {
            let rehash = |pair: &(u32, u32)| spread(pair.0);
            self.0.insert_unique(spread(key), (key, number), rehash);
        }
    }

    pub(crate) fn remove(&mut self, key: u32, number: u32) {
        let found = self
            .0
            .find_entry(spread(key), |pair| *pair == (key, number));
        if let Ok(found) = found {
            found.remove();
        }
    }

    /// The numbers under a key, sorted.
    pub(crate) fn get(&self, key: u32) -> Vec<u32> {
        let pairs = self.0.iter_hash(spread(key));
        let mut numbers: Vec<u32> = pairs
            .filter(|pair| pair.0 == key)
            .map(|pair| pair.1)
            .collect();
        numbers.sort_unstable();
        numbers
    }

    pub(crate) fn contains(&self, key: u32) -> bool {
        self.0.find(spread(key), |pair| pair.0 == key).is_some()
    }
}

fn spread(key: u32) -> u64 {
    let wide = u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    wide ^ (wide >> 32)
}
