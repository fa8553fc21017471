//! Pieces of bytes by number, eight neighbours in one allocation: one by itself takes 32 bytes more, for where it is, how long it is and
//! what the allocator rounds up.

use crate::space::{Reader, Writer};

const TOGETHER: usize = 8;

/// See the module. Where nothing was put there is an empty piece.
#[derive(Debug, Default)]
pub(crate) struct Pieces(Vec<Box<[u8]>>);

/// The pieces of an allocation: their lengths come first.
fn split(block: &[u8]) -> [&[u8]; TOGETHER] {
    let mut pieces = [&[][..]; TOGETHER];
    let mut reader = Reader(block);
    let lengths: [usize; TOGETHER] = std::array::from_fn(|_| reader.number().unwrap_or_default());
    for (piece, length) in pieces.iter_mut().zip(lengths) {
        *piece = reader.take(length).unwrap_or_default();
    }
    pieces
}

fn place(number: u32) -> (usize, usize) {
    let number = number as usize;
    (number / TOGETHER, number % TOGETHER)
}

impl Pieces {
    pub(crate) fn get(&self, number: u32) -> &[u8] {
        let (at, within) = place(number);
        let Some(block) = self.0.get(at) else {
            return &[];
        };
        let mut reader = Reader(block);
        let (mut before, mut own) = (0, 0);
        for piece in 0..TOGETHER {
            let length = reader.number().unwrap_or_default();
            match piece.cmp(&within) {
                std::cmp::Ordering::Less => before += length,
                std::cmp::Ordering::Equal => own = length,
                std::cmp::Ordering::Greater => {}
            }
        }
        reader.take(before);
        reader.take(own).unwrap_or_default()
    }

    pub(crate) fn set(&mut self, number: u32, bytes: &[u8]) {
        let (at, within) = place(number);
        if self.0.len() <= at {
            self.0.resize_with(at + 1, Box::default);
        }
        let Some(block) = self.0.get_mut(at) else {
            return;
        };
        let mut pieces = split(block);
        if let Some(piece) = pieces.get_mut(within) {
            *piece = bytes;
        }
        let mut head = Writer::default();
        pieces.iter().for_each(|piece| head.number(piece.len()));
        let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        // Exactly so much, or turning it into a box would allocate once more.
        let mut together = Vec::with_capacity(head.0.len() + length);
        together.extend_from_slice(&head.0);
        pieces
            .iter()
            .for_each(|piece| together.extend_from_slice(piece));
        *block = together.into_boxed_slice();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::Pieces;

    proptest! {
        #[test]
        fn a_piece_is_what_was_put_last_whatever_its_neighbours_are(
            puts in proptest::collection::vec((0..40_u32, 0..300_usize, any::<u8>()), 0..100),
        ) {
            let (mut pieces, mut model) = (Pieces::default(), BTreeMap::new());
            for (number, length, byte) in puts {
                let bytes = vec![byte; length];
                pieces.set(number, &bytes);
                model.insert(number, bytes);
            }
            for number in 0..48 {
                let expected = model.get(&number).map_or(&[][..], Vec::as_slice);
                prop_assert_eq!(pieces.get(number), expected);
            }
        }
    }
}
