//! The command line: arguments to commands to exit codes.

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use peerbed_model::Diagnostics;
use tracing_subscriber::EnvFilter;

use crate::{
    bench, carry,
    commands::{
        bisect, calibrate, capacity, check, claims, clean, compare, down, exec, export, history, ls, nightly, plan,
        report, run, schema, topology, up,
    },
    doctor, hold, probe,
    project::Project,
    say::{complain, describe, harmless, say},
    status::Status,
    sys,
};

/// Reproducible experiments with peer-assisted content delivery.
///
/// Exit codes: 0 good, 1 an expectation of the experiment was not met, 2 wrong usage, bad input or a machine that lacks something,
/// 4 the measurement is INVALID, 130 interrupted (Ctrl-C, SIGTERM or SIGHUP; everything is taken down); of compare also
/// 1 regressed, 3 inconclusive, 5 the programs that were compared died.
#[derive(Debug, Parser)]
#[command(name = "peerbed", version, max_term_width = 100)]
struct Cli {
    /// The directory with experiments/ and topologies/; by default the nearest one from here upwards
    #[arg(long, global = true, value_name = "DIR")]
    project: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run an experiment and record what it measured
    Run(run::RunArgs),
    /// Compare two versions of the nodes by pairs of runs
    Compare(compare::CompareArgs),
    /// Find the commit with which a metric changed, by comparing commits between two ends
    Bisect(bisect::BisectArgs),
    /// Compare the newest version with a pinned one by a suite of experiments, with controls, and keep the history (in history/ below the results)
    Nightly(nightly::NightlyArgs),
    /// Print where the history of nights changes, and draw it
    History(history::HistoryArgs),
    /// Check experiments without running them
    Check(check::CheckArgs),
    /// Print the resolved plan of one run
    Plan(plan::PlanArgs),
    /// Print the JSON Schema of experiment or topology files, for editors
    Schema(schema::SchemaArgs),
    /// Make a topology file, from a seed or from CAIDA's files of AS relationships
    Topology(topology::TopologyArgs),
    /// List past results
    Ls(ls::LsArgs),
    /// Rebuild report.html from the files of finished results, or show several side by side
    Report(report::ReportArgs),
    /// Write finished results for tools that read `JUnit`'s XML or Prometheus' text
    Export(export::ExportArgs),
    /// Print what experiments claim to show and what finished results say of it
    Claims(claims::ClaimsArgs),
    /// Remove old or incomplete results, and what is left in a Docker engine
    Clean(clean::CleanArgs),
    /// Bring an experiment up and leave it running, to look around in
    Up(up::UpArgs),
    /// Run a program inside a node of what is up
    Exec(exec::ExecArgs),
    /// End what is up
    Down(down::DownArgs),
    /// Say what this machine can do, what it lacks, and the remedy
    Doctor(doctor::DoctorArgs),
    /// Measure what an experiment's links do on this machine, beside what they should
    Calibrate(calibrate::CalibrateArgs),
    /// Find the largest scale of an experiment whose runs stay valid on this machine
    Capacity(capacity::CapacityArgs),
    /// Measure Peerbed itself on this machine
    Bench(bench::BenchArgs),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    #[command(hide = true)]
    Hold,
    #[command(hide = true)]
    Carry,
    #[command(hide = true)]
    Probe(probe::ProbeArgs),
}

/// Carries out a command line and says how it ended; errors are printed.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; a closed pipe while printing them is nobody's concern.
            let _ = error.print();
            return if error.use_stderr() { Status::Usage.into() } else { Status::Good.into() };
        }
    };
    let level = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    // Its way of telling that standard error cannot be written is to print on standard error, which panics then.
    let log = tracing_subscriber::fmt().log_internal_errors(false).with_env_filter(level);
    log.with_writer(std::io::stderr).without_time().init();
    if let Err(error) = sys::survive_large_files() {
        tracing::warn!(%error, "a file that grows beyond `ulimit -f` will end the program");
    }
    match carry_out(&cli) {
        Ok(code) => code,
        Err(error) => {
            // What is wrong with files says itself whether it is an error.
            match error.downcast_ref::<Diagnostics>() {
                Some(_) => complain(describe(&error)),
                // It may quote files of others.
                None => complain(format_args!("error: {}", harmless(&describe(&error)))),
            }
            Status::Usage.into()
        }
    }
}

fn carry_out(cli: &Cli) -> anyhow::Result<ExitCode> {
    let project = || match &cli.project {
        Some(dir) => Project::find(dir),
        None => Project::find(std::path::Path::new(".")),
    };
    let results = |named: &Option<PathBuf>| match named {
        Some(dir) => Ok(dir.clone()),
        None => project().map(|project| project.results()),
    };
    match &cli.verb {
        Verb::Run(args) => run::run(args, &project()?),
        Verb::Compare(args) => compare::run(args, project),
        Verb::Bisect(args) => bisect::run(args, &project()?),
        Verb::Nightly(args) => nightly::run(args, &project()?),
        Verb::History(args) => history::run(args, || results(&None)),
        Verb::Check(args) => check::run(args, &project()?),
        Verb::Plan(args) => plan::run(args, &project()?),
        Verb::Schema(args) => schema::run(args),
        Verb::Topology(args) => topology::run(args),
        Verb::Ls(args) => ls::run(args, &results(&args.results)?),
        Verb::Claims(args) => claims::run(args, || results(&args.of.results)),
        Verb::Report(args) => report::run(args, || results(&args.of.results)),
        Verb::Export(args) => export::run(args, || results(&args.results)),
        Verb::Clean(args) => clean::run(args, &results(&args.results)?),
        Verb::Up(args) => up::run(args, &project()?),
        Verb::Exec(args) => exec::run(args),
        Verb::Down(args) => down::run(args),
        Verb::Doctor(args) => doctor::run(args),
        Verb::Hold => hold::main(),
        Verb::Carry => carry::main(),
        Verb::Calibrate(args) => calibrate::run(args, &project()?),
        Verb::Capacity(args) => capacity::run(args, &project()?),
        Verb::Bench(args) => bench::run(args, &project()?),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "peerbed", &mut script);
            say(&String::from_utf8_lossy(&script))?;
            Ok(Status::Good.into())
        }
        Verb::Probe(args) => probe::run(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_has_every_exit_code() {
        let help = Cli::command().render_long_help().to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        let codes = help.split("Exit codes: ").nth(1).and_then(|rest| rest.split("Usage:").next()).expect("a list");
        let statuses = [Status::Good, Status::Unmet, Status::Usage, Status::Invalid, Status::Interrupted];
        // Those of `compare` stand in its verdicts.
        let all = statuses.map(Status::code).into_iter().chain([3, 5]);
        for code in all {
            assert!(codes.split([' ', ',']).any(|word| word == code.to_string()), "{code}: {codes}");
        }
    }
}
