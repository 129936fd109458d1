//! `peerbed check`: reads experiments and says everything that is wrong with them.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::{
    project::Project,
    say::{complain, describe, say},
    status::Status,
};

/// What to check.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Experiments by name; all when none is named
    names: Vec<String>,
}

/// Checks and prints one line per experiment, or every problem.
pub(crate) fn run(args: &CheckArgs, project: &Project) -> anyhow::Result<ExitCode> {
    let names = if args.names.is_empty() { project.experiments()? } else { args.names.clone() };
    let mut bad = 0;
    for name in &names {
        match project.load(name) {
            Ok(experiment) => {
                if !experiment.warnings().is_empty() {
                    complain(experiment.warnings());
                }
                let arm = experiment.arms().next().context("an experiment has at least one arm")?;
                let plan = experiment.plan(arm, 0, None)?;
                say(&format!(
                    "{name}: good ({} ASes, {} nodes, {} downloads, {} arms, {} repeats)\n",
                    plan.as_names.len(),
                    plan.nodes.len(),
                    plan.downloads(),
                    experiment.arms().len(),
                    experiment.repeats(),
                ))?;
            }
            Err(error) => {
                bad += 1;
                complain(format_args!("{}: {}\n", name.escape_debug(), describe(&error)));
            }
        }
    }
    if bad > 0 {
        complain(format_args!("{bad} of {} experiments cannot be run", names.len()));
        return Ok(Status::Usage.into());
    }
    Ok(Status::Good.into())
}
