//! Planning: what so many pairs can see, and how many pairs it takes. By Student's t, to which the sign-flip test comes close from
//! six pairs on; what it cannot reach at all (p is at least `2 / 2ⁿ`) is taken into account.

use statrs::{
    distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal},
    function::gamma::ln_gamma,
};

use super::interval::quantile_of_t;

/// Steps of the integral over the estimated spread.
const STEPS: usize = 120;
/// More pairs than these are no plan.
const PAIRS_MAX: usize = 2000;

/// A planned look at so many pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// How many pairs there are then.
    pub pairs: usize,
    /// The error of the first kind that is spent.
    pub alpha: f64,
}

/// The probability that a mean difference of `effect` is detected two-sided, where single differences have the standard deviation
/// `spread`.
pub fn power(look: Look, spread: f64, effect: f64) -> f64 {
    let Look { pairs, alpha } = look;
    let Some(critical) = critical(look) else { return 0.0 };
    if spread <= 0.0 {
        return if effect.abs() > 0.0 { 1.0 } else { alpha };
    }
    let shift = effect.abs() / spread * (pairs as f64).sqrt();
    let by_t = over_spreads(pairs - 1, |ratio| normal(shift - critical * ratio) + normal(-shift - critical * ratio));
    if 2.0 * smallest(pairs) <= alpha {
        return by_t;
    }
    // The next p that the sign-flip test can have is too large: all pairs must agree in their sign.
    let agree = |side: f64| normal(side * effect.abs() / spread).powi(pairs as i32);
    by_t.min(agree(1.0) + agree(-1.0))
}

/// The smallest share of pairs with an event on one side alone of which `McNemar`'s test sees with probability `wanted` that it is no
/// chance, if the other side has none; none where it cannot.
pub fn visible_events(look: Look, wanted: f64) -> Option<f64> {
    power_of_events(look, 1.0).filter(|power| *power >= wanted)?;
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if power_of_events(look, middle).is_some_and(|power| power >= wanted) { high = middle } else { low = middle }
    }
    Some(high)
}

/// How many pairs see such a share of events; none if it would be more than 2000.
pub fn pairs_to_see_events(share: f64, alpha: f64, wanted: f64) -> Option<usize> {
    first(|pairs| power_of_events(Look { pairs, alpha }, share).is_some_and(|power| power >= wanted))
}

/// With which probability so many pairs have enough events, all of one side: k of them have a p of `2 / 2ᵏ`.
fn power_of_events(Look { pairs, alpha }: Look, share: f64) -> Option<f64> {
    let enough = (1..=pairs).find(|events| smallest(*events) <= alpha)?;
    let events = Binomial::new(share.clamp(0.0, 1.0), pairs as u64).ok()?;
    Some(1.0 - events.cdf(enough as u64 - 1))
}

/// The smallest effect that is detected with probability `wanted`; none where no effect is.
pub fn visible(look: Look, spread: f64, wanted: f64) -> Option<f64> {
    critical(look)?;
    let (mut low, mut high) = (0.0, spread);
    for _ in 0..40 {
        if power(look, spread, high) >= wanted {
            break;
        }
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if power(look, spread, middle) >= wanted { high = middle } else { low = middle }
    }
    Some(high)
}

/// How many pairs detect `effect` with probability `wanted`; none if it would be more than 2000.
pub fn pairs_to_see(spread: f64, effect: f64, alpha: f64, wanted: f64) -> Option<usize> {
    first(|pairs| power(Look { pairs, alpha }, spread, effect) >= wanted)
}

/// How many pairs show with probability `wanted` that nothing changed by `margin` or more, if nothing did: the interval of confidence
/// `1 − 2 alpha` lies inside `±margin` (two one-sided tests: Schuirmann 1987). None if it would be more than 2000.
pub fn pairs_to_certify(spread: f64, margin: f64, alpha: f64, wanted: f64) -> Option<usize> {
    let shown = |pairs: usize| {
        let Some(t) = quantile_of_t(pairs - 1, 1.0 - 2.0 * alpha) else { return 0.0 };
        let room = margin / spread * (pairs as f64).sqrt();
        over_spreads(pairs - 1, |ratio| (2.0 * normal(room - t * ratio) - 1.0).max(0.0))
    };
    first(|pairs| spread <= 0.0 || shown(pairs) >= wanted)
}

/// The first number of pairs from 2 on of which it holds; it goes on holding.
fn first(holds: impl Fn(usize) -> bool) -> Option<usize> {
    if !holds(PAIRS_MAX) {
        return None;
    }
    let (mut low, mut high) = (1, PAIRS_MAX);
    while high - low > 1 {
        let middle = usize::midpoint(low, high);
        if holds(middle) { high = middle } else { low = middle }
    }
    Some(high)
}

/// The smallest p of the sign-flip test of so many pairs, and of `McNemar`'s of so many events.
fn smallest(pairs: usize) -> f64 {
    2.0 * 0.5_f64.powi(pairs.min(1000) as i32)
}

/// How many standard errors are enough; none where the sign-flip test cannot come below alpha.
fn critical(Look { pairs, alpha }: Look) -> Option<f64> {
    (pairs >= 2 && smallest(pairs) <= alpha).then(|| quantile_of_t(pairs - 1, 1.0 - alpha)).flatten()
}

fn normal(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// The mean of `f` over what the estimated standard deviation may be, as a multiple of the true one: √(χ²(ν) / ν). Simpson's rule.
fn over_spreads(freedom: usize, f: impl Fn(f64) -> f64) -> f64 {
    let nu = freedom as f64;
    // The density of √(χ²(ν)/ν), in logarithms.
    let scale = std::f64::consts::LN_2 + nu / 2.0 * (nu / 2.0).ln() - ln_gamma(nu / 2.0);
    let density = |ratio: f64| {
        if ratio <= 0.0 { 0.0 } else { (scale + (nu - 1.0) * ratio.ln() - nu * ratio * ratio / 2.0).exp() }
    };
    // Nothing to speak of is farther than ten standard deviations, which are about 1 / √(2ν).
    let reach = 10.0 / (2.0 * nu).sqrt();
    let (from, to) = ((1.0 - reach).max(0.0), 1.0 + reach);
    let step = (to - from) / STEPS as f64;
    let weighed = (0..=STEPS).map(|place| {
        let ratio = from + step * place as f64;
        let weight = if place == 0 || place == STEPS {
            1.0
        } else if place % 2 == 1 {
            4.0
        } else {
            2.0
        };
        weight * f(ratio) * density(ratio)
    });
    weighed.sum::<f64>() * step / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_textbooks_numbers() {
        // Cohen 1988 and every calculator: paired t test, two-sided 0.05, power 0.80: d = 0.5 needs 34, d = 0.8 needs 15, d = 0.2 needs 199.
        let needed = |effect| pairs_to_see(1.0, effect, 0.05, 0.80);
        assert_eq!([needed(0.5), needed(0.8), needed(0.2)], [Some(34), Some(15), Some(199)]);
        assert!((power(Look { pairs: 34, alpha: 0.05 }, 1.0, 0.5) - 0.808).abs() < 0.001);
        assert!((power(Look { pairs: 10, alpha: 0.05 }, 1.0, 0.0) - 0.05).abs() < 1e-4, "of nothing it is alpha");
    }

    #[test]
    fn what_is_visible_needs_as_many_pairs() {
        for pairs in [8_usize, 12, 30] {
            let look = Look { pairs, alpha: 0.05 };
            let effect = visible(look, 0.07, 0.8).expect("it can be seen");
            assert!((power(look, 0.07, effect) - 0.8).abs() < 1e-6);
            assert_eq!(pairs_to_see(0.07, effect * 1.0001, 0.05, 0.8), Some(pairs));
        }
    }

    #[test]
    fn where_all_pairs_must_agree_that_is_what_it_takes() {
        // 4 / 2⁸ is more than 0.0125 and 2 / 2⁸ is not: Φ(δ)⁸ = 0.8 at δ = 1.92.
        let look = Look { pairs: 8, alpha: 0.0125 };
        let effect = visible(look, 1.0, 0.8).expect("it can be seen");
        assert!((effect - 1.92).abs() < 0.01, "{effect}");
        assert!(power(look, 1.0, 0.0) <= 2.0 / 256.0 + 1e-9);
        // One pair more, and one may disagree a little: the t test's figure.
        assert!(visible(Look { pairs: 9, ..look }, 1.0, 0.8).expect("it can be seen") < 1.45);
    }

    #[test]
    fn rare_events_are_seen_where_enough_of_them_are_on_one_side() {
        // Six of one side have a p of 2 / 2⁶ = 0.031: of six pairs each must have one, 0.8 = q⁶.
        let q = visible_events(Look { pairs: 6, alpha: 0.05 }, 0.8).expect("it can be seen");
        assert!((q - 0.8_f64.powf(1.0 / 6.0)).abs() < 1e-6, "{q}");
        assert_eq!(visible_events(Look { pairs: 5, alpha: 0.05 }, 0.8), None);
        let many = visible_events(Look { pairs: 60, alpha: 0.05 }, 0.8).expect("it can be seen");
        assert!(many < 0.14, "{many}");
        assert_eq!(pairs_to_see_events(many * 1.0001, 0.05, 0.8), Some(60));
        assert_eq!(pairs_to_see_events(0.0, 0.05, 0.8), None);
    }

    #[test]
    fn few_pairs_see_nothing() {
        // 2 / 2⁵ is more than 0.05.
        assert_eq!(visible(Look { pairs: 5, alpha: 0.05 }, 1.0, 0.8), None);
        assert_eq!(power(Look { pairs: 5, alpha: 0.05 }, 1.0, 100.0), 0.0);
        assert_eq!(pairs_to_see(0.001, 1.0, 0.05, 0.8), Some(6));
        assert_eq!(pairs_to_see(1.0, 0.001, 0.05, 0.8), None);
        assert_eq!(visible(Look { pairs: 8, alpha: 0.05 }, 0.0, 0.8), Some(0.0));
    }

    #[test]
    fn certifying_takes_more_the_narrower_the_margin() {
        let needed = |margin| pairs_to_certify(1.0, margin, 0.05, 0.80).expect("few enough");
        // With the true spread known it is (1.645 + 1.282)² / m²: 8.6, 34.3, 857.
        assert!((9..=11).contains(&needed(1.0)), "{}", needed(1.0));
        assert!((35..=38).contains(&needed(0.5)) && (857..=861).contains(&needed(0.1)));
        assert_eq!(pairs_to_certify(0.0, 0.1, 0.05, 0.8), Some(2));
    }
}
