//! The pairs of a comparison as its result files tell them. Whoever judges works from these alone, so that a verdict can be
//! made again from files.

use std::collections::BTreeMap;

use peerbed_contract::{DownloadRecord, TerminalStatus};
use serde::Deserialize;

use super::{BASE, HEAD};
use crate::{
    metrics::{Download, FIGURES, Figures, Value, speed_mbps},
    results::{ReadError, Results, RunDetail, RunOutcome},
};

/// A base run and a head run with the same seed.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Its number, from 0; the repeat of both runs.
    pub number: u32,
    /// The run of the base.
    pub base: Run,
    /// The run of the head.
    pub head: Run,
}

/// One run, as far as comparing wants it.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its figures.
    pub figures: Figures,
    /// Numerators and denominators of figures that are quotients, by figure.
    pub totals: BTreeMap<&'static str, (f64, f64)>,
    /// Speeds of the downloads that were started, Mbit/s; 0 for one that did not complete.
    pub speeds: Vec<f64>,
    /// Why it cannot be believed; nothing if it can.
    pub reasons: Vec<String>,
    /// Nodes of the subject that ended when nobody had asked them to, and how.
    pub deaths: Vec<String>,
    /// How long it took with everything around it, in seconds.
    pub seconds: f64,
}

/// Of the manifest, what is said of each run.
#[derive(Debug, Deserialize)]
struct Runs {
    runs: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    arm: String,
    repeat: u32,
    setup_s: f64,
    elapsed_s: f64,
    teardown_s: f64,
    odd_exits: Vec<Exit>,
}

#[derive(Debug, Deserialize)]
struct Exit {
    node: String,
    code: Option<i32>,
    signal: Option<i32>,
    planned: bool,
}

impl Run {
    /// Whether it can be believed.
    pub fn valid(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Every pair of which both runs were made, in order.
pub fn from_files(results: &Results) -> Result<Vec<Pair>, ReadError> {
    let entries = results.manifest::<Runs>()?.runs;
    let metrics = results.metrics(|name| FIGURES.iter().any(|figure| figure.metric() == name))?;
    let downloads = results.downloads()?;
    let run = |arm: &str, detail: &RunDetail| {
        let ours = metrics.iter().filter(|row| row.arm == arm && row.repeat == detail.repeat && row.labels.is_empty());
        let totals = ours.filter_map(|row| {
            let figure = FIGURES.iter().find(|figure| figure.metric() == row.name)?;
            Some((figure.key, (row.numerator?, row.denominator?)))
        });
        let rows =
            downloads.rows().filter(|row| row.is_of(arm, detail.repeat) && row.text("status") != Some("not_started"));
        let speeds = rows.map(|row| match row.text("status") {
            Some("completed") => row.number("speed_mbps").unwrap_or(0.0),
            _ => 0.0,
        });
        let entry = entries.iter().find(|entry| entry.arm == arm && entry.repeat == detail.repeat);
        let unplanned = |entry: &Entry| entry.odd_exits.iter().filter(|exit| !exit.planned).map(death).collect();
        Run {
            figures: detail.figures.clone(),
            totals: totals.collect(),
            speeds: speeds.collect(),
            reasons: detail.invalid_reasons.clone(),
            deaths: entry.map(unplanned).unwrap_or_default(),
            seconds: entry.map_or(0.0, |entry| entry.setup_s + entry.elapsed_s + entry.teardown_s),
        }
    };
    let of = |name: &str| results.summary().arms.iter().find(|arm| arm.arm == name);
    let (Some(base), Some(head)) = (of(BASE), of(HEAD)) else { return Ok(Vec::new()) };
    let mut pairs: Vec<Pair> = Vec::new();
    for detail in &base.runs_detail {
        if let Some(other) = head.runs_detail.iter().find(|other| other.repeat == detail.repeat) {
            pairs.push(Pair { number: detail.repeat, base: run(BASE, detail), head: run(HEAD, other) });
        }
    }
    pairs.sort_by_key(|pair| pair.number);
    Ok(pairs)
}

fn death(exit: &Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("{} ended with code {code}", exit.node),
        (None, Some(signal)) => format!("{} was ended by signal {signal}", exit.node),
        (None, None) => format!("{} ended", exit.node),
    }
}

/// The same of runs that are not written yet.
pub fn from_outcomes(outcomes: &[RunOutcome]) -> Vec<Pair> {
    let of = |arm: &'static str| outcomes.iter().filter(move |outcome| outcome.record().plan.arm == arm);
    let repeat = |outcome: &RunOutcome| outcome.record().plan.repeat;
    let pairs = of(BASE).filter_map(|base| {
        let head = of(HEAD).find(|head| repeat(head) == repeat(base))?;
        Some(Pair { number: repeat(base), base: run(base), head: run(head) })
    });
    let mut pairs: Vec<Pair> = pairs.collect();
    pairs.sort_by_key(|pair| pair.number);
    pairs
}

fn run(outcome: &RunOutcome) -> Run {
    let record = outcome.record();
    let totals = FIGURES.iter().filter_map(|figure| match outcome.metrics().get(figure.metric())?.value {
        Value::Proportion { numerator, denominator, .. } => Some((figure.key, (numerator as f64, denominator as f64))),
        Value::Ratio { numerator, denominator, .. } => Some((figure.key, (numerator, denominator))),
        Value::Distribution { .. } | Value::Count { .. } => None,
    });
    let view = outcome.view();
    let completed = |record: &&DownloadRecord| record.status == TerminalStatus::Completed;
    let speed = |download: &Download<'_>| download.record().filter(completed).and_then(speed_mbps).unwrap_or(0.0);
    let speeds = view.downloads.values().filter(|download| download.started > 0).map(speed);
    let deaths =
        record.exits.iter().filter(|exit| !exit.planned).map(|exit| {
            death(&Exit { node: exit.node.to_string(), code: exit.code, signal: exit.signal, planned: false })
        });
    Run {
        figures: outcome.figures().clone(),
        totals: totals.collect(),
        speeds: speeds.collect(),
        reasons: outcome.validity().reasons().to_vec(),
        deaths: deaths.collect(),
        seconds: (record.setup + record.elapsed + record.teardown).as_secs_f64(),
    }
}
