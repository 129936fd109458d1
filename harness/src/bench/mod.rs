//! `peerbed bench`: what Peerbed itself does on this machine, as a table and in results/bench/.
//!
//! Each figure is measured through the real thing (agent, namespaces, engine, nodes), repeated, and reported as the median
//! with its range beside its target. Nothing here fails a build: machines differ; the table says what was met.

mod comparison;
mod crowd;
mod docker;
mod flows;
mod kernel;
mod links;
mod nodes;
mod pairs;
mod throughput;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::{
    engine::EndsChoice,
    project::Project,
    run::Interrupt,
    runtime::Launch,
    say::{complain, describe, say},
    scratch::Scratch,
    status::Status,
};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Only these
    #[arg(value_enum)]
    only: Vec<Subject>,
    /// Repeats of each figure
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: u32,
    /// How the ends of links are held
    #[arg(long, value_enum, default_value_t = EndsChoice::Auto)]
    ends: EndsChoice,
    /// Where the table is written, instead of results/bench/
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// Goodput of one TCP flow through a limited link
    Goodput,
    /// Round-trip time added to the configured one
    Rtt,
    /// Random loss
    Loss,
    /// Many flows side by side, and where the link engine does not keep up
    Pairs,
    /// The most that the link engine carries, against a veth pair without an engine
    Throughput,
    /// From declared to ready, and teardown, for 100, 200 and 1000 peers
    Setup,
    /// Private memory of a peer
    Memory,
    /// One download from one peer over an unlimited link
    Download,
    /// Flash crowds of 10, 30, 50 and 200 against the fluid bound of their distribution time
    Crowd,
    /// How often verdicts on commits err, in comparisons that are made up
    Comparison,
    /// The tc engine: rates, and the set-up of 1000 shaped nodes, where the kernel has it
    Tc,
    /// Containers against a plain parallel `docker run`, where an engine answers
    Docker,
}

/// One measured figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// What was measured.
    what: String,
    /// The unit of every number here.
    unit: &'static str,
    /// The repeats, in order of measurement.
    measured: Vec<f64>,
    /// The least and the most that still meet the target.
    target: Target,
}

impl Figure {
    fn median(&self) -> f64 {
        let mut sorted = self.measured.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
    }

    fn met(&self) -> bool {
        let median = self.median();
        self.target.0.is_none_or(|low| median >= low) && self.target.1.is_none_or(|high| median <= high)
    }

    fn target_text(&self) -> String {
        match self.target {
            (None, None) => String::new(),
            (None, Some(high)) => format!("≤ {}", short(high)),
            (Some(low), None) => format!("≥ {}", short(low)),
            (Some(low), Some(high)) => format!("{} to {}", short(low), short(high)),
        }
    }
}

/// The least and the most; none: no limit.
type Target = (Option<f64>, Option<f64>);

/// A target that has only an upper limit.
pub(crate) fn at_most(limit: f64) -> Target {
    (None, Some(limit))
}

/// A target around 0.
pub(crate) fn within(limit: f64) -> Target {
    (Some(-limit), Some(limit))
}

/// A target that has only a lower limit.
pub(crate) fn at_least(limit: f64) -> Target {
    (Some(limit), None)
}

fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// Measures and prints.
pub(crate) fn run(args: &BenchArgs, project: &Project) -> anyhow::Result<ExitCode> {
    let wanted = |subject| args.only.is_empty() || args.only.contains(&subject);
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let launch = Launch::process(PathBuf::from("/proc/self/exe"));
    let bench = Bench { launch, ends: args.ends, repeats: args.repeats, scratch: Scratch::make("bench")? };
    let mut figures = Vec::new();
    let mut take = |subject: Subject, figure: anyhow::Result<Vec<Figure>>| -> anyhow::Result<()> {
        let new = figure.with_context(|| format!("cannot measure {subject:?}"))?;
        for figure in &new {
            complain(format_args!(
                "{}: {} {}{}",
                figure.what,
                short(figure.median()),
                figure.unit,
                if figure.target == (None, None) {
                    String::new()
                } else {
                    format!(" (target {})", figure.target_text())
                }
            ));
        }
        figures.extend(new);
        Ok(())
    };
    let measure = async {
        if wanted(Subject::Goodput) {
            take(Subject::Goodput, links::goodput(&bench).await)?;
        }
        if wanted(Subject::Rtt) {
            take(Subject::Rtt, links::rtt(&bench).await)?;
        }
        if wanted(Subject::Loss) {
            take(Subject::Loss, links::loss(&bench).await)?;
        }
        if wanted(Subject::Pairs) {
            take(Subject::Pairs, pairs::pairs(&bench).await)?;
        }
        if wanted(Subject::Throughput) {
            take(Subject::Throughput, throughput::throughput(&bench).await)?;
        }
        if wanted(Subject::Setup) {
            take(Subject::Setup, nodes::setup(&bench).await)?;
        }
        if wanted(Subject::Memory) {
            take(Subject::Memory, nodes::memory(&bench).await)?;
        }
        if wanted(Subject::Download) {
            take(Subject::Download, nodes::download(&bench).await)?;
        }
        if wanted(Subject::Crowd) {
            take(Subject::Crowd, crowd::crowds(&bench).await)?;
        }
        if wanted(Subject::Comparison) {
            take(Subject::Comparison, Ok(comparison::comparison(&bench)))?;
        }
        // Who did not ask for these by name may have no such engine.
        let mut take_if_there = |subject: Subject, figures: anyhow::Result<Vec<Figure>>| match figures {
            Err(error) if args.only.is_empty() => {
                complain(format_args!("{subject:?}: not measured: {}", describe(&error)));
                Ok(())
            }
            figures => take(subject, figures),
        };
        if wanted(Subject::Tc) {
            take_if_there(Subject::Tc, kernel::figures(&bench).await)?;
        }
        if wanted(Subject::Docker) {
            take_if_there(Subject::Docker, docker::containers(&bench).await)?;
        }
        anyhow::Ok(())
    };
    let interrupted = tokio.block_on(async {
        let interrupt = Interrupt::listen()?;
        tokio::select! {
            measured = measure => measured.map(|()| false),
            () = interrupt.wait() => Ok(true),
        }
    })?;
    if interrupted {
        complain("interrupted: nothing was written");
        return Ok(Status::Interrupted.into());
    }
    let dir = args.results.clone().unwrap_or_else(|| project.results().join("bench"));
    let path = record(&dir, &figures)?;
    if args.json {
        say(&(serde_json::to_string_pretty(&figures)? + "\n"))?;
    } else {
        say(&format!("{}\nwritten to {}\n", table(&figures), path.display()))?;
    }
    Ok(Status::Good.into())
}

/// What every measurement needs.
pub(crate) struct Bench {
    launch: Launch,
    ends: EndsChoice,
    repeats: u32,
    scratch: Scratch,
}

/// The figures with what they were measured on, written whole.
fn record(dir: &std::path::Path, figures: &[Figure]) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let now = jiff::Timestamp::now();
    let path = dir.join(format!("{}.json", now.strftime("%Y%m%dT%H%M%SZ")));
    let all = serde_json::json!({ "measured": now.to_string(), "machine": crate::host::Machine::read()?, "figures": figures });
    let text = serde_json::to_string_pretty(&all)?;
    let partial = path.with_extension("partial");
    std::fs::write(&partial, text).with_context(|| format!("cannot write {}", partial.display()))?;
    std::fs::rename(&partial, &path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn table(figures: &[Figure]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_BORDERS_ONLY);
    table.set_header(["figure", "median", "range", "unit", "target", "met"]);
    for figure in figures {
        let least = figure.measured.iter().copied().fold(f64::MAX, f64::min);
        let most = figure.measured.iter().copied().fold(f64::MIN, f64::max);
        table.add_row([
            figure.what.clone(),
            short(figure.median()),
            format!("{} to {}", short(least), short(most)),
            figure.unit.to_owned(),
            figure.target_text(),
            match figure.target {
                (None, None) => "",
                _ if figure.met() => "yes",
                _ => "NO",
            }
            .to_owned(),
        ]);
    }
    table
}
