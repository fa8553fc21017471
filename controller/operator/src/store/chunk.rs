//! Cuts a long value where its content says so, so that a change in the middle leaves all other pieces as they were: a changed member
//! of a large group writes one piece, wherever it stands (content-defined chunking with a gear hash, as in restic and FastCDC).

use std::ops::Range;

/// Values up to this are kept whole.
pub(super) const WHOLE: usize = 4096;
const LEAST: usize = 512;
/// Hardly ever: a cut that content did not ask for moves all that follow until one that it did.
const MOST: usize = 8192;
/// One place in 1,024 is a cut.
const MASK: u64 = 0x3ff << 48;

const GEAR: [u64; 256] = gear();

const fn gear() -> [u64; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while at < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[at] = mixed ^ (mixed >> 31);
        at += 1;
    }
    table
}

/// The pieces of a value, in their order.
pub(super) fn pieces(value: &[u8]) -> Vec<Range<usize>> {
    let (mut pieces, mut start, mut rolling) = (Vec::new(), 0, 0_u64);
    for (at, byte) in value.iter().enumerate() {
        rolling = (rolling << 1).wrapping_add(GEAR[usize::from(*byte)]);
        let length = at + 1 - start;
        if length >= MOST || length >= LEAST && rolling & MASK == 0 {
            pieces.push(start..at + 1);
            start = at + 1;
        }
    }
    if start < value.len() {
        pieces.push(start..value.len());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn value(count: u32) -> Vec<u8> {
        let numbers = (0..count).map(|at| at.wrapping_mul(0x9e37_79b9) % 2_000_000);
        numbers.flat_map(u32::to_le_bytes).collect()
    }

    #[test]
    fn pieces_are_the_whole_value_and_none_is_long() {
        for count in [0, 1, 255, 256, 100_000] {
            let value = value(count);
            let pieces = pieces(&value);
            let joined: Vec<u8> = pieces
                .iter()
                .flat_map(|one| &value[one.clone()])
                .copied()
                .collect();
            assert_eq!(joined, value);
            assert!(pieces.iter().all(|piece| (1..=MOST).contains(&piece.len())));
        }
    }

    #[test]
    fn a_member_that_leaves_the_middle_changes_few_pieces() {
        let before = value(100_000);
        let mut after = before.clone();
        after.drain(200_000..200_004);
        let of = |value: &[u8]| -> BTreeSet<Vec<u8>> {
            pieces(value)
                .into_iter()
                .map(|piece| value[piece].to_vec())
                .collect()
        };
        let (before, after) = (of(&before), of(&after));
        assert!(before.len() > 100);
        let fresh: usize = after.difference(&before).map(Vec::len).sum();
        assert!(fresh <= 8192, "{fresh} bytes are new");
    }
}
