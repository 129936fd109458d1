//! The one definition of a quantile in this project.

use serde::Serialize;

/// The quantile `p` (0 to 1) of values that are sorted upwards; none of an empty list.
///
/// Type 7 of Hyndman & Fan, "Sample Quantiles in Statistical Packages" (1996): linear interpolation between the order
/// statistics at position `(n − 1) p`. It is the default of `numpy`, R and spreadsheets, so that whoever recomputes a
/// figure from the Parquet files finds the same number.
pub fn quantile(sorted: &[f64], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = last as f64 * p.clamp(0.0, 1.0);
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64))
}

/// The values sorted upwards, and without those that are no numbers.
pub fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|value| !value.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The quantile 0.5 of values in any order; none of an empty list.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    quantile(&sorted(values), 0.5)
}

/// A distribution in a few numbers, in the unit of its metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// The smallest value.
    pub min: f64,
    /// 10 % of the values are at most this.
    pub p10: f64,
    /// A quarter.
    pub p25: f64,
    /// Half.
    pub p50: f64,
    /// Three quarters.
    pub p75: f64,
    /// 90 %.
    pub p90: f64,
    /// 95 %.
    pub p95: f64,
    /// 99 %.
    pub p99: f64,
    /// The largest value.
    pub max: f64,
}

impl Quantiles {
    /// Of values that are sorted upwards; none of an empty list.
    pub fn of(sorted: &[f64]) -> Option<Self> {
        let at = |p| quantile(sorted, p);
        Some(Self {
            min: at(0.0)?,
            p10: at(0.1)?,
            p25: at(0.25)?,
            p50: at(0.5)?,
            p75: at(0.75)?,
            p90: at(0.9)?,
            p95: at(0.95)?,
            p99: at(0.99)?,
            max: at(1.0)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn type_7_interpolates_between_order_statistics() {
        let values = [1.0, 2.0, 4.0, 8.0];
        // numpy.quantile([1, 2, 4, 8], [0.1, 0.5, 0.9])
        assert!((quantile(&values, 0.1).expect("values") - 1.3).abs() < 1e-12);
        assert_eq!(quantile(&values, 0.5), Some(3.0));
        assert!((quantile(&values, 0.9).expect("values") - 6.8).abs() < 1e-12);
        assert_eq!(quantile(&[7.0], 0.9), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
    }

    proptest! {
        #[test]
        fn quantiles_rise_and_stay_between_the_extremes(values in prop::collection::vec(-1e9..1e9_f64, 1..50)) {
            let sorted = sorted(values);
            let q = Quantiles::of(&sorted).expect("not empty");
            let rising = [q.min, q.p10, q.p25, q.p50, q.p75, q.p90, q.p95, q.p99, q.max];
            prop_assert!(rising.is_sorted());
            prop_assert_eq!((q.min, q.max), (sorted[0], sorted[sorted.len() - 1]));
        }
    }
}
