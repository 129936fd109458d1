//! The sign-flip test of paired differences (Fisher, "The Design of Experiments", 1935, §21): if nothing differs, each difference
//! could as well have had the other sign.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Up to so many differences every assignment of signs is looked at.
const EXACT_MAX: usize = 20;
/// Beyond that, so many random ones.
const DRAWS: u32 = 99_999;
/// The same for whole distributions, of which one look costs more.
pub(crate) const EXACT_SHAPES: usize = 14;
pub(crate) const DRAWS_OF_SHAPES: u32 = 9_999;
/// Sums that differ by less than this share of the sum of magnitudes are the same: the order of additions is not a result.
const SAME: f64 = 1e-10;

/// How probable something at least as extreme is if nothing differs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PValue {
    /// The probability, above 0, at most 1.
    pub p: f64,
    /// Every possibility was looked at; else a seeded sample of them.
    pub exact: bool,
}

/// Two-sided: how probable a mean at least as far from zero is under random signs.
///
/// Exact for up to 20 differences, so that the smallest possible p is `2 / 2ⁿ`. Beyond that by 99 999 draws with `(b + 1) / (m + 1)`
/// (Phipson & Smyth 2010, "Permutation p-values should never be zero"). Without differences p is 1.
pub fn sign_flip(differences: &[f64], seed: u64) -> PValue {
    let magnitude: f64 = differences.iter().map(|difference| difference.abs()).sum();
    let observed = differences.iter().sum::<f64>().abs() - SAME * magnitude;
    if magnitude <= 0.0 {
        return PValue { p: 1.0, exact: true };
    }
    if differences.len() <= EXACT_MAX { exact(differences, observed) } else { sampled(differences, observed, seed) }
}

/// The first sign is fixed: the other half is the same mirrored.
fn exact(differences: &[f64], observed: f64) -> PValue {
    let [_, free @ ..] = differences else { return PValue { p: 1.0, exact: true } };
    let all = 1_u64 << free.len();
    let mut sum: f64 = differences.iter().sum();
    let mut flipped = vec![false; free.len()];
    let mut extreme = 0_u64;
    for number in 1..=all {
        extreme += u64::from(sum.abs() >= observed);
        // In Gray's order each assignment differs from the one before by one sign.
        let place = number.trailing_zeros() as usize;
        if let (Some(flip), Some(difference)) = (flipped.get_mut(place), free.get(place)) {
            sum += if *flip { 2.0 * difference } else { -2.0 * difference };
            *flip = !*flip;
        }
    }
    PValue { p: extreme as f64 / all as f64, exact: true }
}

fn sampled(differences: &[f64], observed: f64, seed: u64) -> PValue {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut extreme = 0_u32;
    for _ in 0..DRAWS {
        let sum = signed_sum(differences, &mut rng);
        extreme += u32::from(sum.abs() >= observed);
    }
    PValue { p: f64::from(extreme + 1) / f64::from(DRAWS + 1), exact: false }
}

fn signed_sum(differences: &[f64], rng: &mut ChaCha8Rng) -> f64 {
    let mut sum = 0.0;
    for part in differences.chunks(64) {
        let mut signs = rng.next_u64();
        for difference in part {
            sum += if signs & 1 == 1 { *difference } else { -difference };
            signs >>= 1;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn darwins_maize() {
        // Cross- and self-fertilised plants, in eighths of an inch: Fisher 1935, §21, finds 1 726 of 32 768 sums at least as far from
        // zero on either side.
        let differences = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48].map(f64::from);
        let found = sign_flip(&differences, 0);
        assert!(found.exact);
        assert_eq!((found.p * 32_768.0).round(), 1726.0, "{found:?}");
    }

    #[test]
    fn the_smallest_p_is_two_of_all_assignments() {
        for n in 1..=20_usize {
            let differences: Vec<f64> = (1..=n).map(|place| place as f64 / 7.0).collect();
            assert_eq!(sign_flip(&differences, 0).p, 2.0 / 2_f64.powi(n as i32), "{n}");
        }
    }

    #[test]
    fn zeros_and_ties_are_no_evidence() {
        assert_eq!(sign_flip(&[], 0).p, 1.0);
        assert_eq!(sign_flip(&[0.0; 8], 0).p, 1.0);
        // Only the three that differ count: 2 / 2³.
        assert_eq!(sign_flip(&[0.0, 0.1, 0.0, 0.1, 0.1, 0.0], 0).p, 0.25);
        assert_eq!(sign_flip(&[0.1, -0.1], 0).p, 1.0);
    }

    #[test]
    fn many_differences_are_sampled_by_a_seed() {
        let differences: Vec<f64> = (0..40).map(|place| 1.0 + f64::from(place % 7) - 3.4).collect();
        let (one, same, other) = (sign_flip(&differences, 1), sign_flip(&differences, 1), sign_flip(&differences, 2));
        assert!(!one.exact && one == same);
        assert!((one.p - other.p).abs() < 0.01, "{one:?} {other:?}");
        assert_eq!(sign_flip(&[1.0; 40], 1).p, 1e-5, "none is as extreme but what was found");
    }

    proptest! {
        #[test]
        fn the_sample_is_near_the_exact_value(differences in prop::collection::vec(-1.0..1.0_f64, 12..15)) {
            let exact = sign_flip(&differences, 0).p;
            let observed = differences.iter().sum::<f64>().abs() - 1e-12;
            let sampled = sampled(&differences, observed, 5).p;
            prop_assert!((exact - sampled).abs() < 0.01, "{} {}", exact, sampled);
        }

        #[test]
        fn neither_order_nor_side_nor_scale_matters(differences in prop::collection::vec(-1.0..1.0_f64, 1..14), scale in 0.001..1000.0_f64) {
            let p = sign_flip(&differences, 0).p;
            let changed: Vec<f64> = differences.iter().rev().map(|difference| -difference * scale).collect();
            prop_assert_eq!(sign_flip(&changed, 0).p, p);
            prop_assert!(p > 0.0 && p <= 1.0);
        }
    }
}
