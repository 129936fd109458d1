//! Events that a run has or has not, such as a failed download in it.

use statrs::distribution::{Binomial, DiscreteCDF};

/// The exact two-sided p of `McNemar`'s test (1947; Edwards 1948 has the binomial form): of the pairs in which only one of both runs had the
/// event, how probable a division at least as uneven is if either could as well have been it.
pub fn mcnemar(only_base: u64, only_head: u64) -> f64 {
    let all = only_base + only_head;
    let Ok(halves) = Binomial::new(0.5, all) else { return 1.0 };
    if all == 0 { 1.0 } else { (2.0 * halves.cdf(only_base.min(only_head))).min(1.0) }
}

/// How large the probability of an event can be that happened in `events` of `runs`, at this one-sided confidence (Clopper &
/// Pearson 1934). 1 where there are no runs.
pub fn proportion_upper_bound(events: u64, runs: u64, confidence: f64) -> f64 {
    if events >= runs {
        return 1.0;
    }
    let too_few = |p: f64| Binomial::new(p, runs).map_or(0.0, |binomial| binomial.cdf(events));
    // The probability of so few falls with p: halving finds where it is what is left of the confidence.
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if too_few(middle) > 1.0 - confidence { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_binomial_test_of_a_half() {
        // 1 and 9 of 10: 2 (1 + 10) / 1024.
        assert!((mcnemar(1, 9) - 22.0 / 1024.0).abs() < 1e-12);
        assert!((mcnemar(9, 1) - mcnemar(1, 9)).abs() < 1e-12);
        assert_eq!((mcnemar(0, 0), mcnemar(4, 4)), (1.0, 1.0));
        assert!((mcnemar(0, 6) - 2.0 / 64.0).abs() < 1e-12);
    }

    #[test]
    fn what_never_happened_may_still_happen() {
        // 1 − 0.05^(1/n), which is near 3/n.
        for runs in [1_u64, 16, 100] {
            let exact = 1.0 - 0.05_f64.powf(1.0 / runs as f64);
            assert!((proportion_upper_bound(0, runs, 0.95) - exact).abs() < 1e-9, "{runs}");
        }
        // Clopper & Pearson's chart: 1 of 10 at one-sided 97.5 % is 0.4450.
        assert!((proportion_upper_bound(1, 10, 0.975) - 0.4450).abs() < 1e-4);
        assert_eq!((proportion_upper_bound(0, 0, 0.95), proportion_upper_bound(5, 5, 0.95)), (1.0, 1.0));
    }
}
