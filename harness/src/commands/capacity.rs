//! `peerbed capacity`: the largest scale of an experiment whose runs stay valid on this machine.
//!
//! The scale is doubled until a run is not valid, or halved until one is; then what lies between is narrowed down.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use peerbed_model::{Experiment, ExperimentFile, ExperimentName, Plan, Scale, TopologyFile};
use serde::Serialize;

use super::{CarrierArgs, choose_arms};
use crate::{
    project::Project,
    reconcile::overload::Interval,
    record::RunRecord,
    results::RunOutcome,
    run::{Interrupt, execute, progress::Progress},
    runtime::{Chosen, NodeFiles, Runtime},
    say::{complain, describe, say},
    scratch::Scratch,
    status::Status,
};

/// What to try and how.
#[derive(Debug, Args)]
pub(crate) struct CapacityArgs {
    /// The experiment: a file in experiments/, without `.yaml`
    name: String,
    /// Only this arm; otherwise every arm must stay valid
    #[arg(long, value_name = "ARM")]
    arm: Option<String>,
    /// Try nothing larger than so many times the file's peers and downloads
    #[arg(long, value_name = "SCALE", default_value_t = 64.0, value_parser = scale)]
    most: f64,
    /// Stop when the smallest invalid scale is at most so many times the largest valid one
    #[arg(long, value_name = "RATIO", default_value_t = 1.2, value_parser = ratio)]
    within: f64,
    /// Run a scale again so often before it counts as invalid: other programs may have disturbed it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=20))]
    retries: u32,
    #[command(flatten)]
    carrier: CarrierArgs,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

fn scale(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().and_then(Scale::new).map(Scale::factor);
    factor.ok_or_else(|| "a number from 0.001 to 1000 is expected".to_owned())
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (1.01..=2.0).contains(ratio));
    ratio.ok_or_else(|| "a number from 1.01 to 2 is expected".to_owned())
}

/// Which scale to try next.
#[derive(Debug)]
struct Search {
    valid: Option<f64>,
    invalid: Option<f64>,
    most: f64,
    within: f64,
}

/// Nothing smaller is tried.
const LEAST: f64 = 1.0 / 64.0;

impl Search {
    fn next(&self) -> Option<f64> {
        match (self.valid, self.invalid) {
            (None, None) => Some(self.most.min(1.0)),
            (Some(valid), None) => (valid < self.most).then(|| (valid * 2.0).min(self.most)),
            (None, Some(invalid)) => (invalid > LEAST).then(|| invalid / 2.0),
            (Some(valid), Some(invalid)) => {
                let between = round((valid * invalid).sqrt());
                (invalid / valid > self.within && between > valid && between < invalid).then_some(between)
            }
        }
    }

    fn told(&mut self, scale: f64, valid: bool) {
        if valid {
            self.valid = Some(scale);
        } else {
            self.invalid = Some(scale);
        }
    }
}

/// To three digits, which is finer than any of this is known.
fn round(scale: f64) -> f64 {
    let unit = 10f64.powf(scale.log10().floor() - 2.0);
    (scale / unit).round() * unit
}

/// What became of one scale.
#[derive(Debug, Clone, Serialize)]
struct Tried {
    scale: f64,
    /// Of the largest arm; none if it could not be planned.
    peers: Option<usize>,
    downloads: Option<usize>,
    valid: bool,
    /// Why it is not, with the arm.
    why: Vec<String>,
    /// Of the last run of each arm, the worst.
    engine_late_p99_ms: Option<f64>,
    /// Processor time that was not idle in the busiest second.
    busy_percent: Option<f64>,
}

/// Tries scales until it is known well enough.
pub(crate) fn run(args: &CapacityArgs, project: &Project) -> anyhow::Result<ExitCode> {
    // What is wrong with the experiment as it is written is said first, and as everywhere.
    let files = project.files(&args.name)?;
    let (name, file, topology) = files.clone();
    let written = Experiment::resolve(name, file, topology)?;
    choose_arms(&written, args.arm.as_slice())?;
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let interrupt = tokio.block_on(async { Interrupt::listen() })?;
    let plans: Vec<Plan> = written.arms().map(|arm| written.plan(arm, 0, None)).collect::<Result<_, _>>()?;
    let plans: Vec<&Plan> = plans.iter().collect();
    let Some(runtime) = tokio.block_on(interrupt.unless(args.carrier.runtime(&args.name, &plans))) else {
        return Ok(Status::Interrupted.into());
    };
    let runtime = runtime?;
    let mut search = Search { valid: None, invalid: None, most: args.most, within: args.within };
    let mut all = Vec::new();
    while let Some(scale) = search.next() {
        let tried = tokio.block_on(try_scale(args, files.clone(), &runtime, scale, &interrupt))?;
        let Some(tried) = tried else {
            complain("interrupted");
            break;
        };
        search.told(scale, tried.valid);
        all.push(tried);
    }
    all.sort_by(|a: &Tried, b| a.scale.total_cmp(&b.scale));
    let largest = all.iter().filter(|tried| tried.valid).max_by(|a, b| a.scale.total_cmp(&b.scale));
    if all.is_empty() {
        complain("nothing was tried to its end");
    } else if args.json {
        let text = serde_json::json!({ "experiment": args.name, "largest": largest, "most": args.most, "tried": all });
        say(&(serde_json::to_string_pretty(&text)? + "\n"))?;
    } else {
        let why =
            |tried: &Tried| tried.why.iter().map(|why| format!("{} times: {why}", tried.scale)).collect::<Vec<_>>();
        let mut lines = vec![table(&all).to_string()];
        lines.extend(all.iter().flat_map(why));
        lines.push(conclusion(&search, largest) + "\n");
        say(&lines.join("\n"))?;
    }
    Ok(match largest {
        _ if interrupt.asked() => Status::Interrupted,
        Some(_) => Status::Good,
        None => Status::Invalid,
    }
    .into())
}

/// One scale, every arm of it; none if the user wanted no more.
async fn try_scale(
    args: &CapacityArgs,
    (name, file, topology): (ExperimentName, ExperimentFile, TopologyFile),
    runtime: &Chosen,
    scale: f64,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<Tried>> {
    let mut tried = Tried {
        scale,
        peers: None,
        downloads: None,
        valid: false,
        why: Vec::new(),
        engine_late_p99_ms: None,
        busy_percent: None,
    };
    let factor = Scale::new(scale).context("scales stay between the smallest and the largest")?;
    let experiment = match Experiment::resolve_scaled(name, file, topology, factor) {
        Ok(experiment) => experiment,
        Err(diagnostics) => {
            tried.why.push(first_line(&describe(&diagnostics.into())));
            return Ok(Some(tried));
        }
    };
    let arms = choose_arms(&experiment, args.arm.as_slice())?;
    let plans: Vec<Plan> = arms.into_iter().map(|arm| experiment.plan(arm, 0, None)).collect::<Result<_, _>>()?;
    tried.peers = plans.iter().map(peers).max();
    tried.downloads = plans.iter().map(Plan::downloads).max();
    let quiet = args.quiet || args.json;
    let mut progress = Progress::new(plans.len(), quiet);
    if !quiet {
        progress.notice(&format!("scale {scale}: {}", tried.size()));
    }
    for plan in plans {
        let plan = Arc::new(plan);
        for _ in 0..=args.retries {
            tried.why = match run_once(&plan, runtime, &mut progress, interrupt).await? {
                Some(Ok(outcome)) => {
                    tried.look_at(outcome.record());
                    outcome.validity().reasons().to_vec()
                }
                Some(Err(impossible)) => vec![impossible],
                None => return Ok(None),
            };
            if interrupt.asked() {
                return Ok(None);
            }
            if tried.why.is_empty() {
                break;
            }
        }
        if !tried.why.is_empty() {
            tried.why.iter_mut().for_each(|why| *why = format!("{}: {why}", plan.arm));
            return Ok(Some(tried));
        }
    }
    tried.valid = true;
    Ok(Some(tried))
}

fn peers(plan: &Plan) -> usize {
    plan.nodes.iter().filter(|node| node.role == peerbed_contract::Role::Peer).count()
}

/// One run, or why there is none on this machine; nothing of it is kept.
async fn run_once(
    plan: &Arc<Plan>,
    runtime: &Chosen,
    progress: &mut Progress,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<Result<RunOutcome, String>>> {
    let unmet = runtime.preflight(plan).await;
    if let Some(unmet) = unmet.first() {
        return Ok(Some(Err(unmet.to_string())));
    }
    let scratch = Scratch::make("capacity")?;
    let files = NodeFiles { configs: scratch.path().join("nodes"), logs: scratch.path().join("logs") };
    progress.run(&plan.arm, 0, 1);
    Ok(match execute(Arc::clone(plan), runtime, &files, progress, interrupt).await {
        Ok(record) => record.map(|record| Ok(RunOutcome::of(record))),
        Err(error) => Some(Err(first_line(&describe(&error)))),
    })
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

impl Tried {
    fn look_at(&mut self, record: &RunRecord) {
        for interval in Interval::all(record) {
            let late = interval.worst(|health| health.late_p99_ns).map(|ns| ns as f64 / 1e6);
            for (worst, now) in
                [(&mut self.engine_late_p99_ms, late), (&mut self.busy_percent, interval.busy_percent())]
            {
                *worst = worst.iter().copied().chain(now).reduce(f64::max);
            }
        }
    }

    fn size(&self) -> String {
        format!("{} peers, {} downloads", shown(self.peers), shown(self.downloads))
    }
}

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or("–".to_owned(), |value| value.to_string())
}

fn table(all: &[Tried]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["scale", "peers", "downloads", "engine late\np99, ms", "busiest\nsecond", "valid"]);
    for tried in all {
        table.add_row([
            tried.scale.to_string(),
            shown(tried.peers),
            shown(tried.downloads),
            shown(tried.engine_late_p99_ms.map(|ms| format!("{ms:.2}"))),
            shown(tried.busy_percent.map(|percent| format!("{percent:.0} %"))),
            if tried.valid { "yes" } else { "NO" }.to_owned(),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn conclusion(search: &Search, largest: Option<&Tried>) -> String {
    match (largest, search.invalid) {
        (Some(largest), Some(invalid)) => format!(
            "this machine carries {} times the experiment: {}; {invalid} times was too much",
            largest.scale,
            largest.size()
        ),
        (Some(largest), None) => {
            format!("this machine carries {} times the experiment, and perhaps more: {}", largest.scale, largest.size())
        }
        (None, _) => "this machine carries no scale that was tried".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scales that are tried if everything up to `capacity` is valid.
    fn tried(most: f64, within: f64, capacity: f64) -> Vec<f64> {
        let mut search = Search { valid: None, invalid: None, most, within };
        let mut tried = Vec::new();
        while let Some(scale) = search.next() {
            assert!(tried.len() < 50, "it ends: {tried:?}");
            search.told(scale, scale <= capacity);
            tried.push(scale);
        }
        tried
    }

    #[test]
    fn a_capacity_is_found_from_below_and_from_above() {
        assert_eq!(tried(64.0, 1.2, 5.0), [1.0, 2.0, 4.0, 8.0, 5.66, 4.76]);
        assert_eq!(tried(64.0, 1.2, 0.3), [1.0, 0.5, 0.25, 0.354, 0.297]);
        assert_eq!(tried(64.0, 2.0, 5.0), [1.0, 2.0, 4.0, 8.0]);
    }

    #[test]
    fn the_search_ends_at_its_bounds() {
        assert_eq!(tried(3.0, 1.2, 100.0), [1.0, 2.0, 3.0]);
        assert_eq!(tried(0.5, 1.2, 100.0), [0.5]);
        assert_eq!(tried(64.0, 1.2, 0.0), [1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015_625]);
    }

    #[test]
    fn arguments_are_numbers_that_make_sense() {
        assert_eq!((scale("8"), ratio("1.1")), (Ok(8.0), Ok(1.1)));
        for bad in ["0", "-1", "nan", "inf", "1001", ""] {
            assert!(scale(bad).is_err(), "{bad}");
        }
        for bad in ["1", "2.1", "nan", ""] {
            assert!(ratio(bad).is_err(), "{bad}");
        }
    }
}
