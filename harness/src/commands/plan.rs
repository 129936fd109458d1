//! `peerbed plan`: prints the resolved plan of one run.

use std::{io::Write, process::ExitCode};

use anyhow::{Context, bail};
use clap::Args;

use crate::{project::Project, status::Status};

/// Which plan.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The experiment
    name: String,
    /// The arm; the first one by default
    #[arg(long)]
    arm: Option<String>,
    /// The repeat, from 0
    #[arg(long, default_value_t = 0)]
    repeat: u32,
    /// Another seed than the file's
    #[arg(long)]
    seed: Option<u64>,
    /// JSON instead of YAML
    #[arg(long)]
    json: bool,
}

/// Prints it.
pub(crate) fn run(args: &PlanArgs, project: &Project) -> anyhow::Result<ExitCode> {
    let experiment = project.load(&args.name)?;
    let arms: Vec<&str> = experiment.arms().collect();
    let arm = match &args.arm {
        Some(arm) if arms.contains(&arm.as_str()) => arm.as_str(),
        Some(arm) => bail!("experiment `{}` has no arm `{arm}`; it has: {}", args.name, arms.join(", ")),
        None => arms.first().context("the experiment has no arm")?,
    };
    let plan = experiment.plan(arm, args.repeat, args.seed)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &plan).context("cannot write the plan")?;
        writeln!(out)?;
    } else {
        write!(out, "{}", serde_yaml::to_string(&plan).context("cannot write the plan as YAML")?)?;
    }
    Ok(Status::Good.into())
}
