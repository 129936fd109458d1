//! Several tests at once.

/// Benjamini's and Hochberg's adjusted p values, in the order of the given ones (1995, "Controlling the false discovery rate"; with
/// the running minimum, as R's `p.adjust` has it).
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|one, other| p[*one].total_cmp(&p[*other]));
    let mut adjusted = vec![1.0; p.len()];
    let mut least = 1.0_f64;
    for (rank, index) in order.iter().enumerate().rev() {
        // Never below the p itself, as rounding would have it.
        least = least.min((p[*index] * p.len() as f64 / (rank + 1) as f64).max(p[*index]));
        adjusted[*index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_authors_example() {
        // Benjamini & Hochberg 1995, §3.2: of these 15 the procedure at 0.05 rejects the four smallest.
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
            0.7590, 1.0,
        ];
        let adjusted = benjamini_hochberg(&p);
        assert_eq!(adjusted.iter().filter(|p| **p <= 0.05).count(), 4);
        assert!((adjusted[3] - 0.0095 * 15.0 / 4.0).abs() < 1e-12 && adjusted[14] == 1.0, "{adjusted:?}");
        assert_eq!(benjamini_hochberg(&[0.03, 0.01, 0.02]), [0.03, 0.03, 0.03]);
        assert!(benjamini_hochberg(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn they_are_never_less_and_keep_the_order(p in prop::collection::vec(0.0..=1.0_f64, 1..30)) {
            let adjusted = benjamini_hochberg(&p);
            for (one, first) in adjusted.iter().zip(&p) {
                prop_assert!(one >= first && *one <= 1.0);
                for (other, second) in adjusted.iter().zip(&p) {
                    prop_assert!(first > second || one <= other);
                }
            }
        }
    }
}
