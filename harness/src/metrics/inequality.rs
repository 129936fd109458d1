//! How unevenly something is spread: the Lorenz curve and the Gini coefficient.

use super::sorted;

/// The Lorenz curve (Lorenz, "Methods of Measuring the Concentration of Wealth", 1905): its points from (0, 0) to (1, 1), each the
/// share of the holders, the poorest first, and the share of everything that they have together. Of values of 0 or more;
/// nothing where they sum up to 0.
pub fn lorenz(values: impl IntoIterator<Item = f64>) -> Vec<(f64, f64)> {
    let values = sorted(values);
    let (n, all) = (values.len() as f64, values.iter().sum::<f64>());
    if all <= 0.0 {
        return Vec::new();
    }
    let mut below = 0.0;
    let points = values.iter().enumerate().map(|(index, value)| {
        below += value;
        ((index + 1) as f64 / n, below / all)
    });
    std::iter::once((0.0, 0.0)).chain(points).collect()
}

/// The Gini coefficient as numerator and denominator: `Σ (2 i − n − 1) x_i` and `n Σ x_i`, with the values of 0 or more sorted
/// upwards and counted from 1 (Sen, "On Economic Inequality", 1973; without the correction for small samples). 0: all have
/// the same; near 1: one has all. It is one minus twice the area below the Lorenz curve.
pub fn gini(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let values = sorted(values);
    let n = values.len() as f64;
    let weighed = |(index, value): (usize, &f64)| (2.0 * (index + 1) as f64 - n - 1.0) * value;
    (values.iter().enumerate().map(weighed).sum(), n * values.iter().sum::<f64>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// None where it is undefined.
    fn quotient(values: &[f64]) -> Option<f64> {
        let (above, below) = gini(values.iter().copied());
        (below > 0.0).then(|| above / below)
    }

    #[test]
    fn hand_worked_examples() {
        assert_eq!(quotient(&[3.0, 3.0, 3.0]), Some(0.0));
        // One of four has all: (n - 1) / n.
        assert_eq!(quotient(&[0.0, 8.0, 0.0, 0.0]), Some(0.75));
        // Mean absolute difference of 1, 2, 3, 4 is 20/16, twice the mean 5: 0.25.
        assert_eq!(quotient(&[4.0, 1.0, 3.0, 2.0]), Some(0.25));
        assert_eq!((quotient(&[]), quotient(&[0.0, 0.0])), (None, None));
        assert_eq!(lorenz([6.0, 1.0, 3.0]), [(0.0, 0.0), (1.0 / 3.0, 0.1), (2.0 / 3.0, 0.4), (1.0, 1.0)]);
        assert_eq!(lorenz([0.0]), []);
    }

    proptest! {
        #[test]
        fn gini_is_the_area_above_the_lorenz_curve(values in prop::collection::vec(0.0..1e6_f64, 1..40)) {
            prop_assume!(values.iter().sum::<f64>() > 0.0);
            let curve = lorenz(values.iter().copied());
            let area: f64 = curve.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0).sum();
            prop_assert!((quotient(&values).expect("a sum") - (1.0 - 2.0 * area)).abs() < 1e-9);
            prop_assert!(curve.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
        }
    }
}
