//! In which order the runs of a sweep are made. Pure.
//!
//! Each repeat is a block with every arm once. The orders of the blocks are rows of Williams' squares, which are balanced for
//! position and for what comes right before (E. J. Williams, "Experimental designs balanced for the estimation of residual
//! effects of treatments", Australian Journal of Scientific Research A 2, 1949): over as many repeats as there are arms each arm
//! is once at each position, and, over twice as many where their number is odd, each follows each other equally often. Which
//! arm is which row and column is drawn from the experiment's seed, so that a drift of the machine favours none.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// For each repeat the indexes of the arms, in their order.
pub(crate) fn blocks(arms: usize, repeats: u32, seed: u64) -> Vec<Vec<usize>> {
    let mut draws = ChaCha8Rng::from_seed(blake3::derive_key("peerbed order of runs, version 1", &seed.to_le_bytes()));
    let mut rows: Vec<Vec<usize>> = Vec::new();
    let mut blocks = Vec::new();
    for _ in 0..repeats {
        if rows.is_empty() {
            rows = rows_of_squares(arms, &mut draws);
        }
        blocks.extend(rows.pop());
    }
    blocks
}

/// The rows of a square, or of two where the number of arms is odd, last first.
fn rows_of_squares(arms: usize, draws: &mut impl Rng) -> Vec<Vec<usize>> {
    let labels = shuffled(arms, draws);
    // 0, 1, n − 1, 2, n − 2, …: each difference of neighbours, modulo n, once (n even) or twice (n odd, with its mirror).
    let first: Vec<usize> =
        (0..arms).map(|column| if column % 2 == 1 { column.div_ceil(2) } else { (arms - column / 2) % arms }).collect();
    let row = |shift: usize, mirrored: bool| -> Vec<usize> {
        let row = first.iter().map(|one| labels[(one + shift) % arms]);
        if mirrored { row.rev().collect() } else { row.collect() }
    };
    let mut rows = Vec::new();
    for mirrored in [false, true].into_iter().take(1 + arms % 2) {
        rows.extend(shuffled(arms, draws).into_iter().map(|shift| row(shift, mirrored)));
    }
    rows.reverse();
    rows
}

/// The numbers below `count` in a drawn order (Fisher and Yates).
fn shuffled(count: usize, draws: &mut impl Rng) -> Vec<usize> {
    let mut all: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        // Of 2⁶⁴ values so few are too many for an even share that it does not show.
        let at = (u128::from(draws.next_u64()) * (last as u128 + 1)) >> 64;
        all.swap(last, at as usize);
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn every_arm_is_once_in_each_block_and_at_each_position_equally_often() {
        for arms in 1..=9_usize {
            let blocks = blocks(arms, 2 * arms as u32, 7);
            let mut at = BTreeMap::<(usize, usize), u32>::new();
            for block in &blocks {
                assert_eq!(block.iter().collect::<BTreeSet<_>>().len(), arms, "{block:?}");
                block.iter().enumerate().for_each(|place| *at.entry((place.0, *place.1)).or_default() += 1);
            }
            assert!(at.len() == arms * arms && at.values().all(|count| *count == 2), "{arms}: {at:?}");
            // Who comes right after whom.
            let mut after = BTreeMap::<(usize, usize), u32>::new();
            let pairs = blocks.iter().flat_map(|block| block.windows(2));
            pairs.for_each(|pair| *after.entry((pair[0], pair[1])).or_default() += 1);
            assert!(after.len() == arms * (arms - 1) && after.values().all(|count| *count == 2), "{arms}: {after:?}");
        }
    }

    #[test]
    fn fewer_repeats_than_arms_are_as_balanced_as_can_be() {
        for (arms, repeats) in [(2, 3), (6, 3), (7, 10), (64, 5)] {
            let mut at = BTreeMap::<(usize, usize), u32>::new();
            for block in blocks(arms, repeats, 3) {
                block.iter().enumerate().for_each(|place| *at.entry((place.0, *place.1)).or_default() += 1);
            }
            assert!(at.values().all(|count| *count <= repeats.div_ceil(arms as u32)), "{arms} {repeats}");
        }
    }

    #[test]
    fn the_seed_says_the_order() {
        assert_eq!(blocks(6, 8, 1), blocks(6, 8, 1));
        assert_ne!(blocks(6, 8, 1), blocks(6, 8, 2));
        let firsts: BTreeSet<usize> = (0..40).map(|seed| blocks(4, 1, seed)[0][0]).collect();
        assert_eq!(firsts.len(), 4, "any arm may be the first");
        assert!(blocks(0, 3, 1).iter().all(Vec::is_empty));
    }
}
