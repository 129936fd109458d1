//! A second look at distributions: whether something other than the middle changed.

use super::sign_flip::{DRAWS_OF_SHAPES, EXACT_SHAPES, PValue};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Places at which distributions are compared.
const PLACES: usize = 200;

/// How probable two sets of distributions that differ as much are, if base and head of each pair are exchangeable.
///
/// Each pair has the values of its two runs. The measure is Székely's and Rizzo's energy distance ("Energy statistics", 2013) of
/// the mean distribution functions of both sides, each run with the same weight, over the *ranks within each pair* (so that only the
/// order of values counts, what never ended may stand below all others, and it does not matter how fast a pair was as a whole).
/// Labels are swapped within pairs: every way for up to 14 pairs, a seeded sample of ways beyond. Pairs of which a run has no
/// values are left out; none where no pair is left.
pub fn shape_difference(pairs: &[(Vec<f64>, Vec<f64>)], seed: u64) -> Option<PValue> {
    let pairs: Vec<_> = pairs.iter().filter(|(base, head)| !base.is_empty() && !head.is_empty()).collect();
    if pairs.is_empty() {
        return None;
    }
    let n = pairs.len();
    let differences: Vec<Vec<f64>> = pairs.iter().map(|(base, head)| difference(base, head)).collect();
    let product = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f64>();
    let gram: Vec<Vec<f64>> =
        (0..n).map(|row| (0..n).map(|column| product(&differences[row], &differences[column])).collect()).collect();
    // A word of signs for each 64 pairs.
    let energy = |signs: &[u64]| -> f64 {
        let sign = |place: usize| if signs[place / 64] >> (place % 64) & 1 == 1 { -1.0 } else { 1.0 };
        (0..n).map(|row| (0..n).map(|column| sign(row) * sign(column) * gram[row][column]).sum::<f64>()).sum()
    };
    let whole: f64 = gram.iter().flatten().map(|value| value.abs()).sum();
    let mut signs = vec![0_u64; n.div_ceil(64)];
    let observed = energy(&signs) - 1e-10 * whole;
    if whole <= 0.0 {
        return Some(PValue { p: 1.0, exact: true });
    }
    if n <= EXACT_SHAPES {
        let all = 1_u64 << (n - 1);
        let extreme = (0..all).filter(|signs| energy(&[*signs]) >= observed).count();
        return Some(PValue { p: extreme as f64 / all as f64, exact: true });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut extreme = 0;
    for _ in 0..DRAWS_OF_SHAPES {
        signs.fill_with(|| rng.next_u64());
        extreme += u32::from(energy(&signs) >= observed);
    }
    Some(PValue { p: f64::from(extreme + 1) / f64::from(DRAWS_OF_SHAPES + 1), exact: false })
}

/// The difference of two distribution functions at evenly spaced ranks of all their values.
fn difference(base: &[f64], head: &[f64]) -> Vec<f64> {
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values
    };
    let (all, base, head) = (sorted(&[base, head].concat()), sorted(base), sorted(head));
    let share = |values: &[f64], at: f64| {
        values.partition_point(|value| value.total_cmp(&at).is_le()) as f64 / values.len() as f64
    };
    let ranks = (0..PLACES).map(|place| all[place * all.len() / PLACES]);
    ranks.map(|at| share(&head, at) - share(&base, at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(from: f64, step: f64) -> Vec<f64> {
        (0..40).map(|place| from + step * f64::from(place)).collect()
    }

    #[test]
    fn the_same_twice_is_no_difference() {
        let pairs = vec![(ramp(1.0, 0.1), ramp(1.0, 0.1)); 8];
        assert_eq!(shape_difference(&pairs, 0), Some(PValue { p: 1.0, exact: true }));
        assert_eq!(shape_difference(&[(vec![], vec![1.0])], 0), None);
    }

    #[test]
    fn a_wider_distribution_is_seen_though_its_middle_stays() {
        // The pairs shift against each other, and the median of head is that of base.
        let pairs: Vec<_> =
            (0..8).map(|pair| (ramp(10.0 + f64::from(pair), 0.1), ramp(8.05 + f64::from(pair), 0.2))).collect();
        let found = shape_difference(&pairs, 0).expect("values");
        assert_eq!(found, PValue { p: 2.0 / 256.0, exact: true });
    }

    #[test]
    fn differences_of_either_sign_cancel_out() {
        let (narrow, wide) = (ramp(10.0, 0.1), ramp(8.05, 0.2));
        let pairs: Vec<_> = (0..8)
            .map(|pair| if pair % 2 == 0 { (narrow.clone(), wide.clone()) } else { (wide.clone(), narrow.clone()) })
            .collect();
        assert_eq!(shape_difference(&pairs, 0).map(|found| found.p), Some(1.0));
    }

    #[test]
    fn what_never_ended_ranks_last_and_many_pairs_are_sampled() {
        let pairs: Vec<_> = (0..18)
            .map(|_| {
                let mut head = ramp(1.0, 0.1);
                head.iter_mut().take(10).for_each(|value| *value = f64::NEG_INFINITY);
                (ramp(1.0, 0.1), head)
            })
            .collect();
        let found = shape_difference(&pairs, 7).expect("values");
        assert!(!found.exact && found.p < 0.001, "{found:?}");
        assert_eq!(shape_difference(&pairs, 7), Some(found));
        // More pairs than a word has signs.
        let many: Vec<_> = pairs.iter().cycle().take(70).cloned().collect();
        assert!(shape_difference(&many, 7).is_some_and(|found| found.p < 0.001));
    }
}
