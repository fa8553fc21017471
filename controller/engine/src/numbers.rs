//! A set of numbers that is small for a few and for a million neighbours: 64 of them share a word.

use std::collections::BTreeMap;

/// See the module. Iterates in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers(BTreeMap<u32, u64>);

fn place(number: u32) -> (u32, u64) {
    (number / 64, 1 << (number % 64))
}

impl Numbers {
    /// `false` if it was in already.
    pub(crate) fn insert(&mut self, number: u32) -> bool {
        let (at, bit) = place(number);
        let word = self.0.entry(at).or_default();
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    pub(crate) fn len(&self) -> u64 {
        self.0
            .values()
            .map(|word| u64::from(word.count_ones()))
            .sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|(at, word)| {
            let bits = (0..64).filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit| at * 64 + bit)
        })
    }
}

impl Extend<u32> for Numbers {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, numbers: I) {
        for number in numbers {
            self.insert(number);
        }
    }
}

impl FromIterator<u32> for Numbers {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut set = Self::default();
        set.extend(numbers);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;

    #[test]
    fn numbers_are_given_back_once_each_and_in_order() {
        let wrote = [700, 3, 64, 63, 0, 3, u32::MAX - 1, 65];
        let mut numbers: Numbers = wrote.into_iter().collect();
        let read: Vec<u32> = numbers.iter().collect();
        assert_eq!(read, [0, 3, 63, 64, 65, 700, u32::MAX - 1]);
        assert_eq!(numbers.len(), 7);
        assert!(numbers.insert(1) && !numbers.insert(1));
    }
}
