//! `peerbed plan`: prints the resolved plan of one run.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::choose_arm;
use crate::{project::Project, say::say, status::Status};

/// Which plan.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The experiment
    name: String,
    /// One of the scales that the file names, instead of the file as it stands
    #[arg(long, value_name = "NAME")]
    scale: Option<String>,
    /// The arm; the first one by default
    #[arg(long)]
    arm: Option<String>,
    /// The repeat, from 0
    #[arg(long, default_value_t = 0)]
    repeat: u32,
    /// Another seed than the file's
    #[arg(long, value_parser = super::seed)]
    seed: Option<u64>,
    /// JSON instead of YAML
    #[arg(long)]
    json: bool,
}

/// Prints it.
pub(crate) fn run(args: &PlanArgs, project: &Project) -> anyhow::Result<ExitCode> {
    let experiment = project.load_at(&args.name, args.scale.as_deref())?;
    let arm = choose_arm(&experiment, args.arm.as_deref())?;
    let plan = experiment.plan(arm, args.repeat, args.seed)?;
    if args.json {
        say(&(serde_json::to_string_pretty(&plan).context("cannot write the plan")? + "\n"))?;
    } else {
        say(&serde_yaml::to_string(&plan).context("cannot write the plan as YAML")?)?;
    }
    Ok(Status::Good.into())
}
