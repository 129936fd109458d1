//! How far the median over runs may be from what more runs would show.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{median, quantile, sorted};

/// Resamples of each interval.
const RESAMPLES: usize = 2000;
/// The probability that an interval is to have.
const CONFIDENCE: f64 = 0.95;
/// The seed of the draws: the same values give the same interval, everywhere.
const SEED: u64 = 1993;
/// Of fewer values no interval is given.
const RUNS_MIN: usize = 3;

/// The percentile interval of the median (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13): as many
/// values are drawn from the values, with replacement, 2000 times; the interval is between the quantiles 0.025 and
/// 0.975 of the medians of the draws. None of fewer than three values.
///
/// It lies between the least and the greatest value, and the median of what they are drawn from lies outside of those with
/// probability `2 (1/2)^n`: no interval of n values has more confidence than `1 − 2 (1/2)^n`.
pub fn median_interval(values: &[f64]) -> Option<[f64; 2]> {
    if values.len() < RUNS_MIN {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    // The order in which runs were made says nothing.
    let values = sorted(values.iter().copied());
    let draw = |_| median((0..values.len()).map(|_| values[rng.random_range(0..values.len())]));
    let medians = sorted((0..RESAMPLES).filter_map(draw));
    let tail = (1.0 - CONFIDENCE) / 2.0;
    Some([quantile(&medians, tail)?, quantile(&medians, 1.0 - tail)?])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_same_values_give_the_same_interval_in_any_order() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        let interval = median_interval(&values);
        assert_eq!(median_interval(&[1.0, 2.0, 3.0, 4.0, 5.0]), interval);
        // The median of five draws of five is 1 with probability 181/3125 = 5.8 % (three ones or more), and likewise 5.
        assert_eq!(interval, Some([1.0, 5.0]));
        assert_eq!(median_interval(&[7.0; 4]), Some([7.0, 7.0]));
        assert_eq!(median_interval(&[1.0, 2.0]), None);
    }

    #[test]
    fn many_values_narrow_it() {
        // Of 0, 1, …, 100 the ranks 41 and 61 bound the median with 95 % by the binomial distribution: 40 and 60.
        let values: Vec<f64> = (0..101).map(f64::from).collect();
        let [low, high] = median_interval(&values).expect("values");
        assert!((37.0..=43.0).contains(&low) && (57.0..=63.0).contains(&high), "{low} to {high}");
    }

    proptest! {
        #[test]
        fn it_holds_the_median_and_stays_between_the_extremes(values in prop::collection::vec(-1e6..1e6_f64, 3..12)) {
            let [low, high] = median_interval(&values).expect("values");
            let all = sorted(values.iter().copied());
            let middle = median(values.iter().copied()).expect("values");
            prop_assert!(all[0] <= low && low <= middle && middle <= high && high <= all[all.len() - 1]);
        }
    }
}
