//! What a pair says of a metric: its difference on a scale on which differences add up, and back to what people read.

use serde::{Deserialize, Serialize};

use super::{
    design::{Kind, MetricSpec, is_share},
    pairs::{Pair, Run},
};
use crate::metrics::Better;

/// A value of 0 has no logarithm; it counts as the first of these shares of the largest of all pairs, or as the second of the smallest
/// that is not 0 if that is less.
const ZERO: [f64; 2] = [0.01, 0.5];
/// Shares nearer to 1, or to 0, count as this far from it: the odds of 1 are no number.
const SURE: f64 = 0.001;
/// From this ratio on its odds are compared: 0.98 and 0.99 are far apart, and their quotient is not.
const NEAR_ONE: f64 = 0.9;

/// On which scale differences of a metric are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Natural logarithm of the quotient of both values.
    LogRatio,
    /// Natural logarithm of the quotient of both odds.
    LogOdds,
    /// Difference of both values.
    Points,
}

/// The differences of a metric, one for each pair that has both values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Differences {
    pub(super) scale: Scale,
    /// Head minus base.
    pub(super) values: Vec<f64>,
    /// Both values of each pair.
    pub(super) both: Vec<(f64, f64)>,
    /// Pairs in which it is undefined on a side.
    pub(super) undefined: u32,
}

impl Differences {
    /// Of these pairs, on the scale that suits them.
    pub(super) fn of(metric: &MetricSpec, pairs: &[&Pair]) -> Self {
        Self::on(metric, pairs, |both| scale(metric, both))
    }

    /// Of these pairs, on each scale that might suit more of them.
    pub(super) fn on_all(metric: &MetricSpec, pairs: &[&Pair]) -> Vec<Self> {
        let scales: &[Scale] = match metric.kind {
            Kind::Proportion | Kind::Exact => &[Scale::Points],
            Kind::Ratio => &[Scale::LogRatio, Scale::LogOdds],
            Kind::Distribution | Kind::Count => &[Scale::LogRatio],
        };
        scales.iter().map(|scale| Self::on(metric, pairs, |_| *scale)).collect()
    }

    fn on(metric: &MetricSpec, pairs: &[&Pair], scale: impl FnOnce(&[(f64, f64)]) -> Scale) -> Self {
        let value = |run: &Run| run.figures.get(&metric.figure).filter(|value| value.is_finite());
        let both: Vec<(f64, f64)> =
            pairs.iter().filter_map(|pair| Some((value(&pair.base)?, value(&pair.head)?))).collect();
        let undefined = (pairs.len() - both.len()) as u32;
        let scale = scale(&both);
        let positive = || both.iter().flat_map(|(base, head)| [*base, *head]).filter(|value| *value > 0.0);
        let zero = (ZERO[0] * positive().fold(0.0, f64::max)).min(ZERO[1] * positive().fold(f64::INFINITY, f64::min));
        let floor = |value: f64| if value > 0.0 { value } else { zero };
        let odds = |value: f64| {
            let value = value.clamp(SURE, 1.0 - SURE);
            value / (1.0 - value)
        };
        let difference = |(base, head): &(f64, f64)| match scale {
            // Twice the same has no difference, be it twice zero.
            _ if base.total_cmp(head).is_eq() => 0.0,
            Scale::LogRatio => (floor(*head) / floor(*base)).ln(),
            Scale::LogOdds => (odds(*head) / odds(*base)).ln(),
            Scale::Points => head - base,
        };
        Self { scale, values: both.iter().map(difference).collect(), both, undefined }
    }
}

fn scale(metric: &MetricSpec, both: &[(f64, f64)]) -> Scale {
    match metric.kind {
        Kind::Proportion | Kind::Exact => Scale::Points,
        Kind::Ratio => {
            let mean =
                both.iter().map(|(base, head)| f64::midpoint(*base, *head)).sum::<f64>() / both.len().max(1) as f64;
            // What a share cannot exceed, a quotient of others can, be it below 1 for now.
            if is_share(&metric.figure) && mean > NEAR_ONE { Scale::LogOdds } else { Scale::LogRatio }
        }
        Kind::Distribution | Kind::Count => Scale::LogRatio,
    }
}

impl Scale {
    /// Where a margin begins and ends on this scale, around a base of this value.
    pub(super) fn bounds(self, margin: f64, base: f64) -> (f64, f64) {
        match self {
            Scale::Points => (-margin, margin),
            // From a margin of the whole on nothing can be too low.
            Scale::LogRatio => {
                (if margin < 1.0 { (1.0 - margin).ln() } else { f64::NEG_INFINITY }, (1.0 + margin).ln())
            }
            Scale::LogOdds => {
                let base = base.clamp(SURE, 1.0 - SURE);
                let odds = |value: f64| (value / (1.0 - value)).ln();
                let low = (base * (1.0 - margin)).max(SURE / 2.0);
                let high = base * (1.0 + margin);
                // No share is so much more than one that is nearly 1.
                let high = if high < 1.0 - SURE { odds(high) - odds(base) } else { f64::INFINITY };
                (odds(low) - odds(base), high)
            }
        }
    }

    /// A difference as people read it: a share of the base's value, or points.
    pub fn shown(self, difference: f64, base: f64) -> f64 {
        match self {
            Scale::Points => difference,
            Scale::LogRatio => difference.exp_m1(),
            Scale::LogOdds => {
                let base = base.clamp(SURE, 1.0 - SURE);
                let odds = base / (1.0 - base) * difference.exp();
                odds / (1.0 + odds) / base - 1.0
            }
        }
    }

    /// Where a margin begins and ends as people read it; what nothing reaches is infinite.
    pub(super) fn margins(self, margin: f64, base: f64) -> (f64, f64) {
        let (low, high) = self.bounds(margin, base);
        let shown = |bound: f64| if bound.is_finite() { self.shown(bound, base) } else { bound };
        (shown(low), shown(high))
    }

    /// The size of a difference in the direction that is worse, as people read it: near 1 a share has more room downwards. Where
    /// neither direction is worse, the larger of both.
    pub(super) fn size(self, difference: f64, base: f64, better: Better) -> f64 {
        let [down, up] = [-difference.abs(), difference.abs()].map(|difference| self.shown(difference, base).abs());
        match better {
            Better::Higher => down,
            Better::Lower => up,
            Better::Neither => down.max(up),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_margin_is_shown_as_what_it_is(margin in 0.01..0.5_f64, base in 0.05..0.95_f64) {
            for scale in [Scale::LogRatio, Scale::Points] {
                let (low, high) = scale.bounds(margin, base);
                prop_assert!((scale.shown(low, base) + margin).abs() < 1e-9, "{:?}", scale);
                prop_assert!((scale.shown(high, base) - margin).abs() < 1e-9, "{:?}", scale);
            }
            let (low, high) = Scale::LogOdds.bounds(margin, base);
            prop_assert!((Scale::LogOdds.shown(low, base) + margin).abs() < 1e-9);
            if base * (1.0 + margin) < 0.999 {
                prop_assert!((Scale::LogOdds.shown(high, base) - margin).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn near_one_a_share_has_room_on_one_side() {
        let scale = Scale::LogOdds;
        let (low, high) = scale.margins(0.05, 0.9995);
        assert!((low + 0.05).abs() < 1e-3 && high == f64::INFINITY, "{low} {high}");
        let (worse, better) = (scale.size(1.0, 0.98, Better::Higher), scale.size(1.0, 0.98, Better::Lower));
        assert!((worse - 0.033).abs() < 1e-3 && (better - 0.0127).abs() < 1e-3, "{worse} {better}");
        assert_eq!(scale.size(1.0, 0.98, Better::Neither).total_cmp(&worse), std::cmp::Ordering::Equal);
    }

    #[test]
    fn a_margin_of_the_whole_has_no_lower_end() {
        assert_eq!(Scale::LogRatio.bounds(1.0, 1.0), (f64::NEG_INFINITY, 2.0_f64.ln()));
    }
}
