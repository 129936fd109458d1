//! Where a series changes: e-divisive means, after Matteson & James 2014, "A nonparametric approach for multiple change point
//! analysis of multivariate data" (as performance testing uses it: Daly et al. 2020, "The use of change point detection to identify
//! software performance regressions in a continuous integration system").

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// Permutations of each test.
const PERMUTATIONS: u32 = 499;
/// Fewer values than these are no side of a change.
const SIDE_MIN: usize = 3;

/// A place where a series changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangePoint {
    /// The index of the first value after the change.
    pub at: usize,
    /// How probable as clear a division of its segment is if the segment's order means nothing.
    pub p: f64,
    /// The first index at which the change may have come: divisions there are nearly as good.
    pub earliest: usize,
    /// The last such index.
    pub latest: usize,
    /// The mean of the segment before it.
    pub before: f64,
    /// The mean of the segment after it.
    pub after: f64,
}

/// The changes of a series, in order. A segment is divided where the energy distance between its parts (weighted by their sizes)
/// is largest, if fewer than `alpha` of seeded permutations of it have a division as clear; then its parts are looked at in turn.
/// Values that are not finite must not be among them.
pub fn change_points(values: &[f64], alpha: f64, seed: u64) -> Vec<ChangePoint> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut found: Vec<(usize, f64, usize, usize)> = Vec::new();
    let mut open = vec![(0, values.len())];
    while let Some((from, to)) = open.pop() {
        let segment = &values[from..to];
        let Some((at, clear)) = best(&divisions(segment)) else { continue };
        let mut shuffled = segment.to_vec();
        let mut as_clear = 0;
        for _ in 0..PERMUTATIONS {
            shuffled.shuffle(&mut rng);
            as_clear += u32::from(best(&divisions(&shuffled)).is_some_and(|(_, other)| other >= clear * (1.0 - 1e-12)));
        }
        let p = f64::from(as_clear + 1) / f64::from(PERMUTATIONS + 1);
        if p > alpha || clear <= 0.0 {
            continue;
        }
        let near: Vec<usize> =
            divisions(segment).iter().filter(|(_, other)| *other >= clear * NEAR).map(|(at, _)| *at).collect();
        let (earliest, latest) = (near.first().map_or(at, |first| *first), near.last().map_or(at, |last| *last));
        found.push((from + at, p, from + earliest, from + latest));
        open.push((from + at, to));
        open.push((from, from + at));
    }
    found.sort_by_key(|(at, ..)| *at);
    let mean = |from: usize, to: usize| values[from..to].iter().sum::<f64>() / (to - from).max(1) as f64;
    let ends: Vec<usize> = found.iter().map(|(at, ..)| *at).collect();
    let points = found.iter().enumerate().map(|(place, (at, p, earliest, latest))| {
        let begin = place.checked_sub(1).map_or(0, |before| ends[before]);
        let end = ends.get(place + 1).copied().unwrap_or(values.len());
        ChangePoint {
            at: *at,
            p: *p,
            earliest: *earliest,
            latest: *latest,
            before: mean(begin, *at),
            after: mean(*at, end),
        }
    });
    points.collect()
}

/// A division that is at least so clear, as a share of the clearest, may be the one.
const NEAR: f64 = 0.9;

/// How clear each division of a segment is: `m n / (m + n)` times the energy distance of its parts.
fn divisions(segment: &[f64]) -> Vec<(usize, f64)> {
    let n = segment.len();
    if n < 2 * SIDE_MIN {
        return Vec::new();
    }
    let distance = |one: usize, other: usize| (segment[one] - segment[other]).abs();
    // Sums of distances among the values before the division, among those after it, and between both; one value at a time goes over.
    let mut before = 0.0;
    let mut after: f64 = (0..n).map(|one| (one + 1..n).map(|other| distance(one, other)).sum::<f64>()).sum();
    let mut between = 0.0;
    let mut all = Vec::with_capacity(n);
    for moved in 0..n - SIDE_MIN {
        let to_before: f64 = (0..moved).map(|other| distance(moved, other)).sum();
        let to_after: f64 = (moved + 1..n).map(|other| distance(moved, other)).sum();
        before += to_before;
        after -= to_after;
        between += to_after - to_before;
        let at = moved + 1;
        if at >= SIDE_MIN {
            let (m, k) = (at as f64, (n - at) as f64);
            // Szekely's and Rizzo's U-statistics, with the mean distance within a part over its pairs.
            let energy = 2.0 * between / (m * k) - before / (m * (m - 1.0) / 2.0) - after / (k * (k - 1.0) / 2.0);
            all.push((at, m * k / (m + k) * energy));
        }
    }
    all
}

fn best(divisions: &[(usize, f64)]) -> Option<(usize, f64)> {
    divisions.iter().copied().reduce(|best, other| if other.1 > best.1 { other } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise without a pattern, about as wide as the standard normal distribution.
    fn noise(n: usize, seed: u64) -> Vec<f64> {
        use rand::RngExt;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0).collect()
    }

    #[test]
    fn a_step_is_found_where_it_is() {
        let mut values = noise(40, 1);
        values.iter_mut().skip(25).for_each(|value| *value += 3.0);
        let found = change_points(&values, 0.05, 0);
        let [point] = found[..] else { panic!("one change: {found:?}") };
        assert!(point.at.abs_diff(25) <= 1 && point.earliest <= point.at && point.at <= point.latest, "{point:?}");
        assert!((point.after - point.before - 3.0).abs() < 0.8 && point.p <= 0.01, "{point:?}");
        assert_eq!(change_points(&values, 0.05, 0), found, "the same seed");
    }

    #[test]
    fn two_steps_are_two() {
        let mut values = noise(60, 2);
        values[20..40].iter_mut().for_each(|value| *value += 4.0);
        let found: Vec<usize> = change_points(&values, 0.05, 0).iter().map(|point| point.at).collect();
        assert!(found.len() == 2 && found[0].abs_diff(20) <= 1 && found[1].abs_diff(40) <= 1, "{found:?}");
    }

    #[test]
    fn noise_alone_changes_as_rarely_as_alpha_says() {
        let some = (0..200).filter(|seed| !change_points(&noise(30, 100 + seed), 0.05, *seed).is_empty()).count();
        assert!((2..=20).contains(&some), "{some} of 200 at 5 %");
    }

    #[test]
    fn short_and_constant_series_have_none() {
        assert!(change_points(&[], 0.05, 0).is_empty());
        assert!(change_points(&[1.0, 9.0, 1.0, 9.0, 9.0], 0.05, 0).is_empty());
        assert!(change_points(&[2.0; 30], 0.05, 0).is_empty());
    }
}
