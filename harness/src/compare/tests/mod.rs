//! Verdicts on pairs that are made up.

mod metrics;
mod whole;

use std::collections::BTreeMap;

use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::{
    design::{Design, Kind, MetricSpec},
    effect::Scale,
    floor::{Floor, Noise},
    judge::{Case, judge},
    pairs::{Pair, Run},
    planned::Planned,
    subject::Subject,
    verdict::{Finding, Outcome, Verdict, Word},
};
use crate::metrics::Better;

const SPEED: &str = "speed_ranked_mbps.p50";

/// A run with these figures, keys with dots.
fn run(figures: &[(&str, Option<f64>)]) -> Run {
    let mut tree = json!({});
    for (key, value) in figures {
        let value = value.map_or(Value::Null, |value| json!(value));
        match key.split_once('.') {
            Some((first, rest)) => tree[first][rest] = value,
            None => tree[*key] = value,
        }
    }
    Run {
        figures: serde_json::from_value(tree).expect("figures"),
        totals: BTreeMap::new(),
        speeds: Vec::new(),
        reasons: Vec::new(),
        deaths: Vec::new(),
        seconds: 15.0,
    }
}

fn metric(figure: &str, kind: Kind, better: Better, margin: f64) -> MetricSpec {
    MetricSpec { figure: figure.into(), kind, better, margin, gating: true }
}

fn design(metrics: Vec<MetricSpec>, pairs: u32) -> Design {
    Design { looks: vec![pairs], metrics, seed: 7, error: 0.05 }
}

fn speed(pairs: u32) -> Design {
    design(vec![metric(SPEED, Kind::Distribution, Better::Higher, 0.05)], pairs)
}

/// Noise that is known and small.
fn quiet(figures: &[&str]) -> Noise {
    noisy(figures, Scale::LogRatio, 0.01)
}

fn noisy(figures: &[&str], scale: Scale, spread: f64) -> Noise {
    let differences = |_| (0..12).map(|place| (scale, if place % 2 == 0 { spread } else { -spread })).collect();
    Noise::Known(Floor {
        pairs: 12,
        since: Timestamp::UNIX_EPOCH,
        differences: figures.iter().map(|figure| ((*figure).to_owned(), differences(figure))).collect(),
    })
}

fn unknown() -> Noise {
    Noise::Unknown("the noise of this machine is not known: `peerbed calibrate x --aa` measures it".into())
}

/// Pairs of one figure.
fn pairs(figure: &str, values: impl IntoIterator<Item = (f64, f64)>) -> Vec<Pair> {
    let pair = |(number, (base, head))| Pair {
        number,
        base: run(&[(figure, Some(base))]),
        head: run(&[(figure, Some(head))]),
    };
    (0..).zip(values).map(pair).collect()
}

/// So many pairs around 20 whose heads are so many times their bases, give or take `spread`.
fn times(count: u32, factor: f64, spread: f64) -> Vec<Pair> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut around = |middle: f64| middle * (1.0 + spread * (rng.random::<f64>() * 2.0 - 1.0));
    let values: Vec<(f64, f64)> = (0..count).map(|_| (around(20.0), around(20.0 * factor))).collect();
    pairs(SPEED, values)
}

fn judged(pairs: &[Pair], design: &Design, noise: &Noise) -> Verdict {
    judge(Case { pairs, design, same_programs: false, noise })
}

fn only(verdict: &Verdict) -> &Finding {
    let [finding] = &verdict.findings[..] else { panic!("one metric: {verdict:#?}") };
    finding
}

fn word(pairs: &[Pair], design: &Design, noise: &Noise) -> (Word, Outcome) {
    let verdict = judged(pairs, design, noise);
    (only(&verdict).verdict, verdict.outcome)
}
