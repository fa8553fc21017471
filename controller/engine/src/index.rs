//! An index of packed things: from the hash of a key to the numbers of what has that key, nine bytes each.
//!
//! The keys themselves are not kept. Two keys may share a hash, so that whoever looks something up compares it with what it found.

use std::{
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    sync::OnceLock,
};

use hashbrown::HashTable;

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

    /// Of pairs each of which is there once.
    pub(crate) fn of(pairs: impl Iterator<Item = (u32, u32)>, count: usize) -> Self {
        let mut table = HashTable::with_capacity(count);
        for pair in pairs {
            table.insert_unique(spread(pair.0), pair, |pair| spread(pair.0));
        }
        Self(table)
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

    /// The pair is in it.
    pub(crate) fn has(&self, key: u32, number: u32) -> bool {
        let found = self.0.find(spread(key), |pair| *pair == (key, number));
        found.is_some()
    }

    pub(crate) fn contains(&self, key: u32) -> bool {
        self.0.find(spread(key), |pair| pair.0 == key).is_some()
    }
}

fn spread(key: u32) -> u64 {
    let wide = u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    wide ^ (wide >> 32)
}
