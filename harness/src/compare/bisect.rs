//! Looking for the commit with which a metric changed. Pure: which commit is measured next, and what an effect says of it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{design::Kind, verdict::Effect};

/// Commits in order, of which the first is good and the last is bad; those between are measured.
#[derive(Debug, Clone)]
pub struct Search {
    /// The last that is known to be good.
    good: usize,
    /// The first that is known to be bad.
    bad: usize,
    /// Of which nothing can be said.
    skipped: BTreeSet<usize>,
}

/// On which side of the change a commit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Before it.
    Good,
    /// After it.
    Bad,
}

impl Side {
    /// As it is printed.
    pub fn word(self) -> &'static str {
        match self {
            Side::Good => "good",
            Side::Bad => "bad",
        }
    }
}

impl Search {
    /// Among so many commits after the good one, of which the last is bad.
    pub fn among(commits: usize) -> Self {
        Self { good: 0, bad: commits, skipped: BTreeSet::new() }
    }

    /// The commit to measure next, numbered from the good one, which is 0: of those that can be measured the one nearest to the middle;
    /// none if nothing is left to learn.
    pub fn next(&self) -> Option<usize> {
        let middle = usize::midpoint(self.good, self.bad);
        let open = (self.good + 1..self.bad).filter(|place| !self.skipped.contains(place));
        open.min_by_key(|place| place.abs_diff(middle))
    }

    /// What was found of a commit; nothing can be said of it: none.
    pub fn found(&mut self, place: usize, side: Option<Side>) {
        match side {
            Some(Side::Good) => self.good = self.good.max(place),
            Some(Side::Bad) => self.bad = self.bad.min(place),
            None => {
                self.skipped.insert(place);
            }
        }
    }

    /// The commits of which one is the first that is bad: from the first of these to the second.
    pub fn suspects(&self) -> (usize, usize) {
        (self.good + 1, self.bad)
    }

    /// So many more commits are measured at most, if something can be said of each.
    pub fn steps(&self) -> u32 {
        usize::BITS - (self.bad - self.good).saturating_sub(1).leading_zeros()
    }
}

/// On which side a commit is whose effect against the good one is this, where that of the bad one is `whole`: its interval must be on one side of
/// half of that, wherever in its own interval `whole` is. None: it may be either.
pub fn side(effect: &Effect, whole: &Effect, kind: Kind) -> Option<Side> {
    // Points add up; shares of a value multiply, which near 0 is the same.
    let adds = matches!(kind, Kind::Proportion | Kind::Exact);
    let half = |whole: f64| if adds || whole <= -1.0 { whole / 2.0 } else { (1.0 + whole).sqrt() - 1.0 };
    let ends = [half(whole.low), half(whole.high)];
    if ![effect.low, effect.high, ends[0], ends[1]].iter().all(|value| value.is_finite()) {
        return None;
    }
    let (least, most) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
    let down = whole.estimate < 0.0;
    if (down && effect.high < least) || (!down && effect.low > most) {
        return Some(Side::Bad);
    }
    ((down && effect.low > most) || (!down && effect.high < least)).then_some(Side::Good)
}

/// What the n-th comparison of a search may spend of its error, from 1: all together, however many there are, spend no more than that, for
/// the sum of 1/n² is π²/6.
pub fn error_of(comparison: u32, all: f64) -> f64 {
    let n = f64::from(comparison.max(1));
    all * 6.0 / (std::f64::consts::PI * n).powi(2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn effect(low: f64, high: f64) -> Effect {
        Effect { estimate: f64::midpoint(low, high), low, high, confidence: 0.95 }
    }

    #[test]
    fn an_interval_must_be_on_one_side_of_half_the_change() {
        for (low, high, whole, expected) in [
            (-0.11, -0.07, (-0.11, -0.09), Some(Side::Bad)),
            (-0.03, 0.02, (-0.11, -0.09), Some(Side::Good)),
            (-0.07, -0.02, (-0.11, -0.09), None),
            (0.07, 0.11, (0.09, 0.11), Some(Side::Bad)),
            (-0.30, 0.01, (0.09, 0.11), Some(Side::Good)),
            (-0.30, 0.20, (0.09, 0.11), None),
            // The whole change may be as small, or as large, as its interval says.
            (-0.11, -0.07, (-0.20, -0.01), None),
            (-0.03, 0.02, (-0.20, -0.01), None),
            (-0.21, -0.12, (-0.20, -0.01), Some(Side::Bad)),
            // Half of a change to nothing.
            (-1.0, -0.85, (-1.0, -0.99), None),
            (-1.0, -0.96, (-0.99, -0.98), Some(Side::Bad)),
            (f64::NAN, f64::NAN, (-0.11, -0.09), None),
            (f64::NEG_INFINITY, -0.2, (-0.11, -0.09), None),
        ] {
            let found = side(&effect(low, high), &effect(whole.0, whole.1), Kind::Distribution);
            assert_eq!(found, expected, "{low} to {high} of {whole:?}");
        }
        // Of −50 points −27 are more than half; of a value that halves they are less: √0.5 − 1 = −29 %.
        let whole = effect(-0.51, -0.49);
        let of = |kind| side(&effect(-0.275, -0.265), &whole, kind);
        assert_eq!((of(Kind::Proportion), of(Kind::Count)), (Some(Side::Bad), Some(Side::Good)));
    }

    #[test]
    fn however_many_comparisons_spend_no_more_than_all_may() {
        let spent: f64 = (1..100_000).map(|comparison| error_of(comparison, 0.05)).sum();
        assert!(spent <= 0.05 && spent > 0.0499, "{spent}");
    }

    proptest! {
        #[test]
        fn the_first_bad_commit_is_found_in_as_many_steps_as_were_foretold(commits in 1..300_usize, first in 1..300_usize) {
            let first = first.min(commits);
            let mut search = Search::among(commits);
            let foretold = search.steps();
            let mut steps = 0;
            while let Some(place) = search.next() {
                prop_assert!(place > 0 && place < commits);
                search.found(place, Some(if place < first { Side::Good } else { Side::Bad }));
                steps += 1;
            }
            prop_assert_eq!(search.suspects(), (first, first));
            prop_assert!(steps <= foretold, "{} of {}", steps, foretold);
        }

        #[test]
        fn what_cannot_be_measured_stays_suspect(commits in 1..60_usize, first in 1..60_usize, broken in proptest::collection::btree_set(1..60_usize, 0..20)) {
            let first = first.min(commits);
            let mut search = Search::among(commits);
            while let Some(place) = search.next() {
                let known = (!broken.contains(&place)).then_some(if place < first { Side::Good } else { Side::Bad });
                search.found(place, known);
            }
            let (from, to) = search.suspects();
            prop_assert!(from <= first && first <= to);
            prop_assert!((from..to).all(|place| broken.contains(&place)), "only what is broken is left: {}..{}", from, to);
        }
    }
}
