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
    /// two-sample statistic of Kolmogorov and Smirnov), from 0, the same, to 1; 1 too if one has no mean above 0.
    ///
    /// Degrees are whole numbers, so that means which differ by a hair would move all ASes of one degree past those of the other graph
    /// at once, and the distance would be their share. So a degree stands for all numbers that are rounded to it (the correction for
    /// continuity): d is spread evenly from d − ½ to d + ½ before it is divided.
    pub(crate) fn distance(&self, other: &Self) -> f64 {
        if self.sum == 0 || other.sum == 0 {
            return 1.0;
        }
        self.most_at_own_bends(other).max(other.most_at_own_bends(self))
    }

    /// The largest distance at the points where our function bends: both are straight in between, so it is largest at a bend of one.
    fn most_at_own_bends(&self, other: &Self) -> f64 {
        // In whole numbers first, so that equal means give 1.
        let stretch = (u128::from(other.sum) * u128::from(self.count)) as f64
            / (u128::from(self.sum) * u128::from(other.count)) as f64;
        let bends = self.steps.iter().flat_map(|(degree, _)| [*degree as f64 - 0.5, *degree as f64 + 0.5]);
        bends.map(|bend| (self.below(bend) - other.below(bend * stretch)).abs()).fold(0.0, f64::max)
    }

    /// Which share is below a number, each degree being spread.
    fn below(&self, number: f64) -> f64 {
        let wholly = self.steps.partition_point(|(degree, _)| *degree as f64 + 0.5 <= number);
        let before = wholly.checked_sub(1).map_or(0, |last| self.steps[last].1);
        let partly = self.steps.get(wholly).map_or(0.0, |(degree, not_above)| {
            (number - (*degree as f64 - 0.5)).max(0.0) * (not_above - before) as f64
        });
        (before as f64 + partly) / self.count as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(ours: &[usize], theirs: &[usize]) -> f64 {
        let (ours, theirs) = (Shape::of(ours.to_vec()), Shape::of(theirs.to_vec()));
        assert!((ours.distance(&theirs) - theirs.distance(&ours)).abs() < 1e-12);
        ours.distance(&theirs)
    }

    /// A hub with so many leaves, of which some are joined in pairs.
    fn hub(leaves: usize, pairs: usize) -> Vec<usize> {
        std::iter::once(leaves).chain((0..leaves).map(|leaf| if leaf < 2 * pairs { 2 } else { 1 })).collect()
    }

    #[test]
    fn shapes_are_compared_at_the_same_mean() {
        for (ours, theirs, expected) in [
            // Once, and twice.
            (&[1, 1, 1, 3, 3][..], &[1, 1, 3, 1, 3, 1, 1, 3, 1, 3][..], 0.0),
            // All about the mean, against one half of nothing and one of everything.
            (&[3, 3], &[0, 6], 0.5),
            // From 1/4 to 3/4 of the mean, against nothing below 3/4.
            (&[1, 1, 1, 5], &[2, 2, 2, 2], 0.75),
            // From 1/2 to 3/2 of the mean, against 3/4 to 5/4.
            (&[1, 1], &[2, 2], 0.25),
            (&[0, 0], &[1, 2], 1.0),
        ] {
            assert!((distance(ours, theirs) - expected).abs() < 1e-12, "{ours:?} {theirs:?}");
        }
        assert!((Shape::of(vec![1, 2, 6]).mean() - 3.0).abs() < 1e-12);
    }

    #[test]
    fn one_as_more_or_less_hardly_changes_the_shape() {
        for pairs in [0, 1, 30, 70] {
            let whole = hub(140, pairs);
            assert!(distance(&whole, &whole) == 0.0);
            let without_one = distance(&whole, &hub(139, pairs.min(69)));
            assert!(without_one > 0.0 && without_one < 0.05, "{pairs}: {without_one}");
        }
    }

    #[test]
    fn a_star_is_far_from_a_ring() {
        let star_and_ring = distance(&hub(140, 0), &[2; 141]);
        assert!(star_and_ring > 0.9, "{star_and_ring}");
    }

    #[test]
    fn twice_the_degrees_have_about_the_same_shape() {
        let doubled = |degrees: &[usize]| degrees.iter().map(|degree| 2 * degree).collect::<Vec<_>>();
        let spread: Vec<usize> = (1..=100).collect();
        let (of_many, of_stubs) =
            (distance(&spread, &doubled(&spread)), distance(&hub(140, 0), &doubled(&hub(140, 0))));
        assert!(of_many < 0.01, "{of_many}");
        // What is left is how widely the least degree is spread, a quarter at most.
        assert!(of_stubs < 0.26, "{of_stubs}");
    }
}
