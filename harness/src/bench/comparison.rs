//! How often verdicts on commits err, in comparisons that are made up: false alarms where nothing differs, and what is seen of
//! changes of known size beside what the planning formulas foretell.

use peerbed_stats::{Look, power};

use super::{Bench, Figure, at_most};
use crate::compare::{
    design::Design,
    simulate::{World, simulate},
};

/// Comparisons of which nothing differs.
const EQUALS: u32 = 10_000;
/// Comparisons of each change.
const CHANGES: u32 = 2_000;
/// The spread of a pair's difference.
const SPREAD: f64 = 0.05;
/// How far what is seen may be from what was foretold, in points: the tails of the noise are longer than the formulas assume.
const NEAR: f64 = 6.0;

/// False alarms and power.
pub(crate) fn comparison(bench: &Bench) -> Vec<Figure> {
    let share = |count: u32, of: u32| 100.0 * f64::from(count) / f64::from(of);
    let mut figures = Vec::new();
    for looks in [&[16][..], &[8, 16]] {
        let alarms = (0..bench.repeats.min(3)).map(|repeat| {
            let tally = simulate(World { spread: SPREAD, speed: 1.0 }, looks, EQUALS, 1000 + u64::from(repeat));
            share(tally.detected, tally.trials)
        });
        figures.push(Figure {
            what: format!("false alarms of {EQUALS} comparisons of equals, looks {looks:?}"),
            unit: "%",
            measured: alarms.collect(),
            target: at_most(6.0),
        });
    }
    let design = Design::usual(vec![16], 0);
    let gating = design.metrics.iter().filter(|metric| metric.gating).count() as f64;
    for change in [0.03, 0.05, 0.10] {
        let effect = (1.0_f64 - change).ln();
        let foretold = |alpha: f64| 100.0 * power(Look { pairs: 16, alpha }, SPREAD, effect);
        let (least, most) = (foretold(design.alpha() / gating), foretold(design.alpha()));
        let tally = simulate(World { spread: SPREAD, speed: 1.0 - change }, &[16], CHANGES, 77);
        figures.push(Figure {
            what: format!("seen of speeds {:.0} % lower, 16 pairs (foretold {least:.0} to {most:.0})", 100.0 * change),
            unit: "%",
            measured: vec![share(tally.median_speed, tally.trials)],
            target: (Some(least - NEAR), Some(most + NEAR)),
        });
    }
    figures
}
