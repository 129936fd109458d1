//! `peerbed check`: reads experiments and says everything that is wrong with them.

use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use peerbed_model::{Experiment, LinkEngine};

use crate::{
    compare::design::Design,
    project::Project,
    runtime::fit::unfit_for_tc,
    say::{complain, counted, describe, say},
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
        match check(project, name) {
            Ok(good) => say(&format!("{name}: good ({good})\n"))?,
            Err(error) => {
                bad += 1;
                complain(format_args!("{}: {}\n", name.escape_debug(), describe(&error)));
            }
        }
    }
    if bad > 0 {
        complain(verdict(bad, names.len()));
        return Ok(Status::Usage.into());
    }
    Ok(Status::Good.into())
}

/// What there is to say of an experiment that is good.
fn check(project: &Project, name: &str) -> anyhow::Result<String> {
    let experiment = project.load(name)?;
    if !experiment.warnings().is_empty() {
        complain(experiment.warnings());
    }
    let arm = experiment.arms().next().context("an experiment has at least one arm")?;
    let plan = experiment.plan(arm, 0, None)?;
    Design::of(experiment.comparison(), None, 0).map_err(|why| anyhow!("`compare.pairs`: {why}"))?;
    fit(&experiment, "")?;
    for scale in experiment.scales() {
        fit(&experiment.clone().at_scale(scale)?, &format!(" at scale `{scale}`"))?;
    }
    Ok(format!(
        "{}, {}, {}, {}, {}",
        ases(plan.as_names.len()),
        counted(plan.nodes.len(), "node"),
        counted(plan.downloads(), "download"),
        counted(experiment.arms().len(), "arm"),
        counted(experiment.repeats() as usize, "repeat"),
    ))
}

/// Refuses what wants the `tc` engine and no kernel could carry; what this one lacks is found before a run.
fn fit(experiment: &Experiment, at: &str) -> anyhow::Result<()> {
    for arm in experiment.arms() {
        let plan = experiment.plan(arm, 0, None)?;
        if plan.engine != Some(LinkEngine::Tc) {
            break; // It is the same for all arms.
        }
        if let Some(unmet) = unfit_for_tc(&plan, &[]).first() {
            bail!("the experiment wants `engine: tc`, which cannot carry arm `{arm}`{at}: {unmet}");
        }
    }
    Ok(())
}

fn ases(count: usize) -> String {
    format!("{count} {}", if count == 1 { "AS" } else { "ASes" })
}

fn verdict(bad: usize, all: usize) -> String {
    if all == 1 {
        return "the experiment cannot be run".to_owned();
    }
    format!("{bad} of {all} experiments cannot be run")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!(
            (counted(1, "arm"), counted(2, "arm"), counted(0, "arm")),
            ("1 arm".into(), "2 arms".into(), "0 arms".into())
        );
        assert_eq!((ases(1), ases(4)), ("1 AS".into(), "4 ASes".into()));
        assert_eq!(verdict(1, 1), "the experiment cannot be run");
        assert_eq!(verdict(1, 3), "1 of 3 experiments cannot be run");
    }
}
