//! Histories that are made up.

mod file;
mod page;
mod series;
mod show;

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::PathBuf,
    sync::mpsc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::{entry::Version, *};
use crate::{
    compare::{
        Planned,
        design::{Design, Kind, MetricSpec},
        floor::{Noise, Place},
        subject::Subject,
        verdict::{Effect, Outcome, Verdict, Word},
    },
    metrics::Better,
};

const SPEED: &str = "speed_ranked_mbps.p50";

fn commit(number: u64) -> String {
    blake3::hash(&number.to_le_bytes()).to_hex()[..40].to_owned()
}

fn version(number: u64) -> Version {
    let commit = commit(number);
    Version { programs: format!("{commit:.16}"), commit: Some(commit), dirty: false }
}

fn at(night: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * night as i64)
}

fn metric(estimate: f64) -> Metric {
    Metric {
        figure: SPEED.into(),
        kind: Kind::Distribution,
        better: Better::Higher,
        margin: 0.05,
        gating: true,
        verdict: Word::Inconclusive,
        base: Some(20.0),
        head: Some(20.0 * (1.0 + estimate)),
        effect: Some(Effect { estimate, low: estimate - 0.03, high: estimate + 0.03, confidence: 0.95 }),
        p_adjusted: Some(0.5),
    }
}

/// The commit `night` against commit 1000.
fn entry(night: u64, estimate: f64) -> Entry {
    Entry {
        version: VERSION,
        at: at(night),
        role: Role::Measure,
        experiment: "quick".into(),
        scale: None,
        arm: "hybrid".into(),
        head_arm: "hybrid".into(),
        head: version(night),
        reference: version(1000),
        place: Some(Where {
            fingerprint: "0123456789abcdef".into(),
            engine: "wire".into(),
            runtime: "netns".into(),
            plan: "89ab".into(),
        }),
        outcome: Outcome::Passed,
        reasons: Vec::new(),
        pairs_made: 8,
        pairs_used: 8,
        expected: None,
        seconds: 240.0,
        metrics: vec![metric(estimate)],
    }
}

/// Nights whose effects are around these, as far as nights of 8 pairs are with a spread of 5 %.
fn nights(effects: impl IntoIterator<Item = f64>, seed: u64) -> Vec<Entry> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut noise = || 0.018 * ((0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0);
    (0..).zip(effects).map(|(night, effect)| entry(night, effect + noise())).collect()
}

fn step(seed: u64) -> Vec<Entry> {
    nights((0..24).map(|night| if night < 12 { 0.0 } else { -0.08 }), seed)
}

fn control(night: u64, role: Role, expected: Option<bool>) -> Entry {
    Entry { role, expected, arm: "aa".into(), head_arm: "aa".into(), ..entry(night, 0.0) }
}

/// That of the night that began at this moment.
fn summary_since(entries: &[Entry], since: Timestamp) -> Night {
    let (night, earlier): (Vec<Entry>, Vec<Entry>) = entries.iter().cloned().partition(|entry| entry.at >= since);
    summary(&earlier, &night, None)
}

fn invalid(mut entry: Entry) -> Entry {
    entry.outcome = Outcome::Invalid;
    entry.reasons = vec!["the machine was overloaded".into()];
    entry.metrics[0].verdict = Word::Invalid;
    entry
}

fn file() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = below(directory.path());
    (directory, file)
}

fn entries(file: &std::path::Path) -> Vec<Entry> {
    let (entries, complaints) = read(file).expect("readable");
    assert_eq!(complaints, [""; 0]);
    entries
}
