//! The shape of a distribution of degrees: what is left of it when each degree is divided by the mean.

/// How degrees are distributed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Each degree that there is, in ascending order, and how many are not above it.
    steps: Vec<(u64, u64)>,
    count: u64,
    sum: u64,
}

impl Shape {
    /// That of these degrees, in any order.
    pub(crate) fn of(mut degrees: Vec<usize>) -> Self {
        degrees.sort_unstable();
        let mut steps: Vec<(u64, u64)> = Vec::new();
        for (degree, not_above) in degrees.iter().zip(1..) {
            match steps.last_mut() {
                Some((last, count)) if *last == *degree as u64 => *count = not_above,
                _ => steps.push((*degree as u64, not_above)),
            }
        }
        Self { steps, count: degrees.len() as u64, sum: degrees.iter().map(|degree| *degree as u64).sum() }
    }

    /// The mean degree.
    pub(crate) fn mean(&self) -> f64 {
        self.sum as f64 / self.count as f64
    }

    /// How far two are from each other when each is divided by its mean: the largest distance between their distribution functions (the
    /// two-sample statistic of Kolmogorov and Smirnov), from 0, the same, to 1; 1 too if one has no mean above 0. Degrees that are
    /// equal after the division are equal here: it is done in whole numbers.
    pub(crate) fn distance(&self, other: &Self) -> f64 {
        if self.sum == 0 || other.sum == 0 {
            return 1.0;
        }
        // degree ÷ mean, times the product of both sums.
        let scale = |one: &Self, by: &Self| u128::from(one.count) * u128::from(by.sum);
        let (ours, theirs) = (scale(self, other), scale(other, self));
        let (mut here, mut there) = (self.steps.iter().peekable(), other.steps.iter().peekable());
        let (mut low, mut other_low, mut most) = (0, 0, 0.0_f64);
        // Both functions are steps; the distance is largest behind one of them.
        loop {
            let next = |step: Option<&&(u64, u64)>, scale| step.map(|(degree, _)| u128::from(*degree) * scale);
            let at = match (next(here.peek(), ours), next(there.peek(), theirs)) {
                (Some(one), Some(other)) => one.min(other),
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => return most,
            };
            if let Some((_, count)) = here.next_if(|(degree, _)| u128::from(*degree) * ours == at) {
                low = *count;
            }
            if let Some((_, count)) = there.next_if(|(degree, _)| u128::from(*degree) * theirs == at) {
                other_low = *count;
            }
            let (one, other) = (low as f64 / self.count as f64, other_low as f64 / other.count as f64);
            most = most.max((one - other).abs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_compared_at_the_same_mean() {
        let distance = |ours: &[usize], theirs: &[usize]| {
            let (ours, theirs) = (Shape::of(ours.to_vec()), Shape::of(theirs.to_vec()));
            assert!((ours.distance(&theirs) - theirs.distance(&ours)).abs() < 1e-12);
            ours.distance(&theirs)
        };
        for (ours, theirs, expected) in [
            (&[4, 1, 1][..], &[2, 8, 2][..], 0.0),
            // A third, which no number of bits has.
            (&[1, 1, 1, 3, 3], &[2, 2, 2, 6, 6, 2, 2, 2, 6, 6], 0.0),
            // All alike, against one half of nothing and one of everything.
            (&[3, 3], &[0, 6], 0.5),
            (&[1, 1, 1, 5], &[2, 2, 2, 2], 0.75),
            (&[0, 0], &[1, 2], 1.0),
        ] {
            assert!((distance(ours, theirs) - expected).abs() < 1e-12, "{ours:?} {theirs:?}");
        }
        assert!((Shape::of(vec![1, 2, 6]).mean() - 3.0).abs() < 1e-12);
    }
}
