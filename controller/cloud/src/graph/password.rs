//! First passwords: random, sent once in the create, never kept or logged. Nobody is meant to know or use them.
//!
//! Graph asks for 8 to 256 characters of three classes; these have 32 of all four.

use rand::{Rng as _, seq::SliceRandom as _};

const LENGTH: usize = 32;
const CLASSES: [&[u8]; 4] = [
    b"ABCDEFGHJKLMNPQRSTUVWXYZ",
    b"abcdefghijkmnopqrstuvwxyz",
    b"23456789",
    b"!#$%*+-./:=?@_~",
];

/// A fresh password. It leaves in the body of one request and is dropped with it.
pub(crate) fn random() -> String {
    let mut generator = rand::rng();
    let mut bytes: Vec<u8> = (0..LENGTH)
        .map(|position| {
            let class = match CLASSES.get(position) {
                Some(class) => *class,
                None => CLASSES[generator.random_range(0..CLASSES.len())],
            };
            class[generator.random_range(0..class.len())]
        })
        .collect();
    bytes.shuffle(&mut generator);
    bytes.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_long_has_all_classes_and_is_never_the_same() {
        let (first, second) = (random(), random());
        assert!(first.len() >= 24 && first != second);
        for class in CLASSES {
            assert!(first.bytes().any(|byte| class.contains(&byte)));
        }
    }
}
