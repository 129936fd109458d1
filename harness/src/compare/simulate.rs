//! Comparisons of runs that are made up, to see how often the method errs. The noise has what real runs have: what both runs of a
//! pair share, what the metrics of a run share, a slow drift of the machine, and now and then a run that is far out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::{
    design::Design,
    effect::{Differences, Scale},
    floor::{Floor, Noise, PAIRS_MIN},
    judge::{Case, judge},
    pairs::{Pair, Run},
    verdict::{Outcome, Word},
};

/// Downloads of a run.
const DOWNLOADS: u32 = 24;
/// How often one of them fails.
const FAILS: f64 = 0.002;
/// How often one is paused.
const PAUSED: f64 = 0.15;
/// How often a run is far out.
const FAR_OUT: f64 = 0.03;
/// How much the machine drifts from the first to the last pair of a comparison.
const DRIFT: f64 = 0.05;

/// A world of runs.
#[derive(Debug, Clone, Copy)]
pub struct World {
    /// The standard deviation of the difference of a pair's speeds, as a share.
    pub spread: f64,
    /// How many times the speeds of the base those of the head are.
    pub speed: f64,
}

/// How often comparisons came out how.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// All of them.
    pub trials: u32,
    /// Those that said that something is worse, or better.
    pub detected: u32,
    /// Those that the gate stopped.
    pub regressed: u32,
    /// Those that passed.
    pub passed: u32,
    /// Those in which the median speed was found to be different.
    pub median_speed: u32,
}

/// Makes up so many comparisons with these looks and judges each, as `peerbed compare` does, up to the look that decides.
pub fn simulate(world: World, looks: &[u32], trials: u32, seed: u64) -> Tally {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut tally = Tally { trials, ..Tally::default() };
    let design = Design::usual(looks.to_vec(), seed);
    for _ in 0..trials {
        let noise = noise(world, &design, &mut rng);
        let pairs = pairs(world, design.pairs(), &mut rng);
        let verdicts = looks.iter().map(|look| {
            let pairs = &pairs[..*look as usize];
            judge(Case { pairs, design: &design, same_programs: false, noise: &noise })
        });
        let mut last = None;
        for verdict in verdicts {
            let open = verdict.outcome == Outcome::Inconclusive;
            last = Some(verdict);
            if !open {
                break;
            }
        }
        let Some(verdict) = last else { continue };
        let detected =
            |word: Word| matches!(word, Word::Regressed | Word::Improved | Word::Changed | Word::ChangedSmall);
        tally.detected +=
            u32::from(verdict.findings.iter().any(|finding| finding.metric.gating && detected(finding.verdict)));
        tally.regressed += u32::from(verdict.outcome == Outcome::Regressed);
        tally.passed += u32::from(verdict.outcome == Outcome::Passed);
        let median = verdict.findings.iter().find(|finding| finding.metric.figure == "speed_ranked_mbps.p50");
        tally.median_speed += u32::from(median.is_some_and(|finding| detected(finding.verdict)));
    }
    tally
}

/// What an A/A of this world finds.
fn noise(world: World, design: &Design, rng: &mut ChaCha8Rng) -> Noise {
    let pairs = pairs(World { speed: 1.0, ..world }, PAIRS_MIN as u32, rng);
    let mut differences: BTreeMap<String, Vec<(Scale, f64)>> = BTreeMap::new();
    for pair in &pairs {
        for metric in &design.metrics {
            let of = differences.entry(metric.figure.clone()).or_default();
            for found in Differences::on_all(metric, &[pair]) {
                of.extend(found.values.first().map(|value| (found.scale, *value)));
            }
        }
    }
    Noise::Known(Floor { pairs: PAIRS_MIN as u32, since: Timestamp::UNIX_EPOCH, differences })
}

fn pairs(world: World, count: u32, rng: &mut ChaCha8Rng) -> Vec<Pair> {
    let mut base_first = false;
    let pair = |number| {
        // Each two pairs have both orders, the first of them at random.
        base_first = if number % 2 == 0 { rng.random() } else { !base_first };
        let shared = normal(rng) * 0.1;
        let moment = |second: bool| DRIFT * (f64::from(2 * number) + f64::from(second)) / f64::from(2 * count);
        let base = run(world.spread, shared + moment(!base_first), 1.0, rng);
        let head = run(world.spread, shared + moment(base_first), world.speed, rng);
        Pair { number, base, head }
    };
    (0..count).map(pair).collect()
}

fn run(spread: f64, shared: f64, factor: f64, rng: &mut ChaCha8Rng) -> Run {
    // The difference of two has √2 times the spread of one; metrics of one run share half of their variance.
    let own = spread / std::f64::consts::SQRT_2;
    let far = if rng.random_bool(FAR_OUT) { 3.0 } else { 1.0 };
    let common = normal(rng);
    let around = |middle: f64, times: f64, rng: &mut ChaCha8Rng| {
        let noise = (common + normal(rng)) * std::f64::consts::FRAC_1_SQRT_2;
        middle * (shared + far * own * times * noise).exp()
    };
    let speeds = [(8.0, 2.0), (15.0, 1.0), (22.0, 0.7)].map(|(middle, times)| factor * around(middle, times, rng));
    let efficiency = (around(0.6, 0.5, rng) * (-shared).exp()).min(0.99);
    let intra = (around(0.4, 1.0, rng) * (-shared).exp()).min(0.99);
    let count = |share: f64, rng: &mut ChaCha8Rng| (0..DOWNLOADS).filter(|_| rng.random_bool(share)).count() as f64;
    let (paused, failed) = (count(PAUSED, rng), count(FAILS, rng));
    let figures = json!({
        "speed_ranked_mbps": {"p10": speeds[0], "p50": speeds[1], "p90": speeds[2]},
        "pause_rate": paused / f64::from(DOWNLOADS),
        "failure_rate": failed / f64::from(DOWNLOADS),
        "peer_efficiency": {"bytes": efficiency},
        "as": {"intra_share": intra},
        "downloads": {"planned": DOWNLOADS},
    });
    let bytes = 170e6;
    let sent = bytes * efficiency;
    Run {
        figures: serde_json::from_value(figures).expect("plain numbers"),
        totals: BTreeMap::from([
            ("peer_efficiency.bytes", (efficiency * bytes, bytes)),
            ("as.intra_share", (intra * sent, sent)),
        ]),
        speeds: Vec::new(),
        reasons: Vec::new(),
        deaths: Vec::new(),
        seconds: 15.0,
    }
}

/// The standard normal distribution (Box & Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (one, two): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - one).ln()).sqrt() * (std::f64::consts::TAU * two).cos()
}
