//! Figures of the engine under load: many pairs of nodes, each with a TCP flow of its own through a link of its own.

use std::time::Duration;

use peerbed_link::Rate;

use super::{
    Bench, Figure, at_least, at_most,
    flows::{Carried, ERROR_MOST, Flows, limited},
    within,
};
use crate::{engine::EngineOptions, say::complain};

const MBIT: u64 = 5;
const DELAY: Duration = Duration::from_millis(20);
const QUEUE: Duration = Duration::from_millis(100);
/// Until every flow is steady, and how long it is measured then.
const SKIP: Duration = Duration::from_secs(4);
const WINDOW: Duration = Duration::from_secs(6);
/// How many pairs at once.
const CROWDS: [usize; 3] = [50, 100, 200];
/// Beyond those that keep up, each crowd is so many times the one before, up to a number that fits any limit of descriptors.
const GROWTH: f64 = 1.25;
const PAIRS_MOST: usize = 2000;

/// How many pairs the engine carries.
#[derive(Debug, Default)]
struct Reach {
    /// So many, at least.
    pairs: usize,
    goodput_gbps: f64,
    cores: f64,
    /// So many are too many.
    too_many: Option<usize>,
}

impl Reach {
    fn told(&mut self, pairs: usize, carried: &Carried) {
        if carried.kept_up() {
            *self = Self { pairs, goodput_gbps: carried.gbps(), cores: carried.cores, too_many: self.too_many };
            return;
        }
        self.too_many = Some(self.too_many.map_or(pairs, |known| known.min(pairs)));
        complain(format_args!("{pairs} pairs are too many: {}", carried.told()));
    }

    fn next(&self) -> Option<usize> {
        let next = (self.pairs as f64 * GROWTH) as usize;
        (self.pairs > 0 && next <= PAIRS_MOST && self.too_many.is_none_or(|too_many| next < too_many)).then_some(next)
    }
}

/// R. Jain, D. Chiu, W. Hawe: A Quantitative Measure of Fairness (1984): 1 if all are equal, 1/n if one has everything.
fn jain(values: &[f64]) -> f64 {
    let (sum, squares) = values.iter().fold((0.0, 0.0), |(sum, squares), value| (sum + value, squares + value * value));
    sum * sum / (values.len() as f64 * squares)
}

async fn carry(bench: &Bench, pairs: usize) -> anyhow::Result<Carried> {
    let uplink = limited(Rate::from_bps(MBIT * 1_000_000)?, DELAY, QUEUE);
    let options = EngineOptions::wire(bench.ends);
    Flows { pairs, uplink, options, skip: SKIP, window: WINDOW }.carry(bench).await
}

/// Flows side by side, and where the engine does not keep up any more.
pub(super) async fn pairs(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let (mut known, mut most) = (CROWDS.map(|_| Vec::new()), Vec::new());
    for _ in 0..bench.repeats {
        let mut reach = Reach::default();
        for (pairs, carried) in CROWDS.into_iter().zip(&mut known) {
            let now = carry(bench, pairs).await?;
            reach.told(pairs, &now);
            carried.push(now);
        }
        while let Some(pairs) = reach.next() {
            reach.told(pairs, &carry(bench, pairs).await?);
        }
        most.push(reach);
    }
    let mut figures = Vec::new();
    for (pairs, carried) in CROWDS.into_iter().zip(&known) {
        let mut add = |what: &str, unit, target, of: fn(&Carried) -> f64| {
            let what = format!("{pairs} pairs at {MBIT} Mbit/s: {what}");
            figures.push(Figure { what, unit, measured: carried.iter().map(of).collect(), target });
        };
        add("worst flow's error", "%", within(ERROR_MOST), Carried::worst);
        add("fairness (Jain)", "", at_least(0.9999), |carried| jain(&carried.goodputs));
        add("engine late, p99", "ms", at_most(1.0), |carried| carried.late_p99_ms);
    }
    let mut add = |what: &str, unit, of: fn(&Reach) -> f64| {
        figures.push(Figure {
            what: what.to_owned(),
            unit,
            measured: most.iter().map(of).collect(),
            target: (None, None),
        });
    };
    add("most pairs that keep their rate and time", "", |reach| reach.pairs as f64);
    add("… goodput of all together", "Gbit/s", |reach| reach.goodput_gbps);
    add("… cores it took, probes included", "", |reach| reach.cores);
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fairness_is_one_for_equals_and_least_for_a_single_winner() {
        assert!((jain(&[3.0; 7]) - 1.0).abs() < 1e-12);
        assert!((jain(&[1.0, 0.0, 0.0, 0.0]) - 0.25).abs() < 1e-12);
        assert!((jain(&[1.0, 2.0, 3.0]) - 36.0 / 42.0).abs() < 1e-12);
    }

    #[test]
    fn the_reach_is_searched_beyond_the_last_that_kept_up() {
        let next = |pairs, too_many| Reach { pairs, too_many, ..Reach::default() }.next();
        assert_eq!(next(0, Some(50)), None);
        assert_eq!(next(200, None), Some(250));
        assert_eq!(next(100, Some(200)), Some(125));
        assert_eq!(next(156, Some(200)), Some(195));
        assert_eq!(next(195, Some(200)), None);
        assert_eq!(next(1999, None), None);
    }
}
