//! Ratios of totals, such as bytes from peers of all bytes, over all pairs together.

use super::{Interval, mean_interval};

/// Numerators and denominators of a pair's two runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedTotals {
    /// Numerator and denominator of the base.
    pub base: (f64, f64),
    /// Those of the head.
    pub head: (f64, f64),
}

/// The logarithm of how many times the pooled ratio of the head is that of the base, with an interval from leaving out one pair at
/// a time (the jackknife: Tukey 1958; Miller 1974, "The jackknife, a review"). None of fewer than two pairs, and where some total
/// is not above zero.
pub fn pooled_log_ratio(pairs: &[PairedTotals], confidence: f64) -> Option<Interval> {
    let n = pairs.len();
    let all = log_ratio(pairs.iter())?;
    let without =
        |left: usize| log_ratio(pairs.iter().enumerate().filter(|(index, _)| *index != left).map(|(_, pair)| pair));
    let pseudo = (0..n).map(|left| Some(n as f64 * all - (n - 1) as f64 * without(left)?));
    let pseudo = pseudo.collect::<Option<Vec<f64>>>()?;
    let around = mean_interval(&pseudo, confidence)?;
    let half = (around.high - around.low) / 2.0;
    Some(Interval { estimate: all, low: all - half, high: all + half })
}

fn log_ratio<'a>(pairs: impl Iterator<Item = &'a PairedTotals>) -> Option<f64> {
    let mut sums = [0.0; 4];
    for pair in pairs {
        for (sum, value) in sums.iter_mut().zip([pair.base.0, pair.base.1, pair.head.0, pair.head.1]) {
            *sum += value;
        }
    }
    let [base, of_base, head, of_head] = sums;
    sums.iter().all(|sum| *sum > 0.0).then(|| ((head / of_head) / (base / of_base)).ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(base: (f64, f64), head: (f64, f64)) -> PairedTotals {
        PairedTotals { base, head }
    }

    #[test]
    fn large_pairs_weigh_more() {
        let pairs =
            [pair((1.0, 10.0), (2.0, 10.0)), pair((50.0, 100.0), (50.0, 100.0)), pair((50.0, 100.0), (50.0, 100.0))];
        let pooled = pooled_log_ratio(&pairs, 0.95).expect("totals");
        assert!((pooled.estimate - (102.0_f64 / 101.0).ln()).abs() < 1e-12, "{pooled:?}");
        assert!(pooled.low < 0.0 && pooled.high > pooled.estimate);
    }

    #[test]
    fn pairs_that_agree_leave_no_doubt() {
        let pairs = [pair((1.0, 10.0), (2.0, 10.0)); 3];
        let pooled = pooled_log_ratio(&pairs, 0.95).expect("totals");
        assert!((pooled.low - 2.0_f64.ln()).abs() < 1e-9 && (pooled.high - 2.0_f64.ln()).abs() < 1e-9, "{pooled:?}");
    }

    #[test]
    fn of_the_mean_it_is_the_usual_interval() {
        // With equal denominators and a base that does not vary the jackknife of the sum is the t interval of the mean; the logarithm is
        // linear enough for small differences.
        let heads = [1.001, 1.002, 0.999, 1.003];
        let pairs: Vec<_> = heads.iter().map(|head| pair((1.0, 1.0), (*head, 1.0))).collect();
        let pooled = pooled_log_ratio(&pairs, 0.95).expect("totals");
        let usual = mean_interval(&heads.map(f64::ln), 0.95).expect("values");
        assert!(
            (pooled.low - usual.low).abs() < 1e-5 && (pooled.high - usual.high).abs() < 1e-5,
            "{pooled:?} {usual:?}"
        );
    }

    #[test]
    fn nothing_has_no_ratio() {
        assert_eq!(pooled_log_ratio(&[], 0.95), None);
        assert_eq!(pooled_log_ratio(&[pair((1.0, 1.0), (1.0, 1.0))], 0.95), None);
        assert_eq!(pooled_log_ratio(&[pair((0.0, 1.0), (1.0, 1.0)), pair((0.0, 1.0), (1.0, 1.0))], 0.95), None);
    }
}
