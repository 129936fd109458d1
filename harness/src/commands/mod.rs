//! The commands of the program, one module each: arguments in, exit code out.

pub(crate) mod bisect;
pub(crate) mod calibrate;
pub(crate) mod capacity;
pub(crate) mod check;
pub(crate) mod claims;
pub(crate) mod clean;
pub(crate) mod compare;
pub(crate) mod down;
pub(crate) mod exec;
pub(crate) mod export;
pub(crate) mod history;
pub(crate) mod ls;
pub(crate) mod nightly;
mod pairing;
pub(crate) mod plan;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod schema;
mod session;
mod sweep;
pub(crate) mod topology;
pub(crate) mod up;

use std::path::PathBuf;

use anyhow::{anyhow, bail};
use clap::Args;
use peerbed_model::{Experiment, MAX_SEED, Plan};

use crate::{
    calibrate::When,
    engine::{EndsChoice, EngineChoice, EngineOptions},
    project::Project,
    runtime::{Chosen, Kind, Runtime, Unmet, fit::unfit_for_tc},
    say::complain,
};

/// How the link engine is set up.
#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    /// What makes links behave, instead of what the experiment says; `wire` where nothing says it
    #[arg(long, value_enum)]
    engine: Option<EngineChoice>,
    /// How the wire engine holds the ends of links
    #[arg(long, value_enum, default_value_t = EndsChoice::Auto)]
    ends: EndsChoice,
    /// Threads of the wire engine, instead of as many as suit the machine
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: Option<u32>,
}

impl EngineArgs {
    /// For plans of one experiment.
    fn options(&self, plans: &[&Plan]) -> anyhow::Result<EngineOptions> {
        let planned = plans.first().and_then(|plan| plan.engine).map(EngineChoice::from);
        let engine = self.engine.or(planned).unwrap_or_default();
        if engine == EngineChoice::Tc && (self.ends != EndsChoice::Auto || self.threads.is_some()) {
            bail!(
                "--ends and --threads are of the wire engine, and the links are tc's: leave them out, or say `--engine wire`"
            );
        }
        Ok(EngineOptions { engine, ends: self.ends, threads: self.threads })
    }
}

/// What carries the nodes, and how their links are made.
#[derive(Debug, Args)]
pub(crate) struct CarrierArgs {
    /// What carries the nodes
    #[arg(long, value_enum, default_value_t = Kind::Netns)]
    pub(crate) runtime: Kind,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// What every command takes that makes runs.
#[derive(Debug, Args)]
pub(crate) struct MeasuringArgs {
    /// Where results go, instead of results/
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    #[command(flatten)]
    carrier: CarrierArgs,
    /// Which links are measured before the runs begin
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Cached)]
    calibrate: When,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

impl MeasuringArgs {
    /// The directory of all results.
    fn results(&self, project: &Project) -> PathBuf {
        self.results.clone().unwrap_or_else(|| project.results())
    }
}

impl CarrierArgs {
    /// The runtime that was chosen, with an engine that can carry all these plans where that was left open: whatever is
    /// measured for them is measured with the same one. Refused if the one that was named cannot.
    pub(crate) async fn runtime(&self, name: &str, plans: &[&Plan]) -> anyhow::Result<Chosen> {
        let runtime = self.choose(plans).await?;
        if runtime.options().engine == EngineChoice::Tc {
            refuse_unmet(name, &unfit(&runtime, plans).await?)?;
        }
        Ok(runtime)
    }

    /// The runtime that was chosen, if it can carry the plans of the experiment of this name.
    pub(crate) async fn runtime_for(&self, name: &str, plans: &[&Plan]) -> anyhow::Result<Chosen> {
        let runtime = self.choose(plans).await?;
        let mut arms: Vec<&Plan> = Vec::new();
        for plan in plans {
            // Repeats of an arm have the same nodes.
            if arms.iter().all(|seen| seen.arm != plan.arm) {
                arms.push(plan);
            }
        }
        let mut unmet = Vec::new();
        for plan in arms {
            for one in runtime.preflight(plan).await {
                if !unmet.contains(&one) {
                    unmet.push(one);
                }
            }
        }
        refuse_unmet(name, &unmet)?;
        Ok(runtime)
    }

    /// The runtime with an engine.
    async fn choose(&self, plans: &[&Plan]) -> anyhow::Result<Chosen> {
        let options = self.engine.options(plans)?;
        let runtime = Chosen::of(self.runtime, options.clone()).await?;
        if options.engine != EngineChoice::Auto {
            return Ok(runtime);
        }
        let engine = match unfit(&runtime, plans).await?.first() {
            None => {
                complain("--engine auto: tc carries the links");
                EngineChoice::Tc
            }
            Some(Unmet { need, found, .. }) => {
                complain(format_args!("--engine auto: wire carries the links, as tc cannot: {need}: {found}"));
                EngineChoice::Wire
            }
        };
        Ok(Chosen::of(self.runtime, EngineOptions { engine, ..options }).await?)
    }
}

/// What keeps the tc engine from carrying any of these plans.
async fn unfit(runtime: &Chosen, plans: &[&Plan]) -> anyhow::Result<Vec<Unmet>> {
    let Some(plan) = plans.first() else { return Ok(Vec::new()) };
    let lacks = runtime.kernel_lacks(&plan.fabric.congestion_control).await?;
    Ok(plans.iter().map(|plan| unfit_for_tc(plan, &lacks)).find(|unmet| !unmet.is_empty()).unwrap_or_default())
}

/// Reads a seed; its range is that of the files.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seed = text.parse().ok().filter(|seed| digits && *seed <= MAX_SEED);
    seed.ok_or_else(|| format!("a whole number from 0 to {MAX_SEED} is expected"))
}

/// Refuses what this machine cannot carry, with everything that it lacks and the remedies.
fn refuse_unmet(name: &str, unmet: &[Unmet]) -> anyhow::Result<()> {
    let unmet: Vec<_> = unmet.iter().map(ToString::to_string).collect();
    if !unmet.is_empty() {
        bail!("this machine cannot carry `{name}`:\n  {}", unmet.join("\n  "));
    }
    Ok(())
}

/// The arm of this name, or the first one if none is named.
pub(crate) fn choose_arm<'a>(experiment: &'a Experiment, wanted: Option<&str>) -> anyhow::Result<&'a str> {
    let mut arms = experiment.arms();
    let found = match wanted {
        Some(wanted) => arms.find(|arm| *arm == wanted),
        None => arms.next(),
    };
    let Some(found) = found else {
        let wanted = wanted.unwrap_or_default();
        if let [first, ..] = experiment.arms_called(wanted)[..] {
            bail!(
                "the matrix makes several arms of `{}`: name one of them, for example `{first}`",
                wanted.escape_debug()
            );
        }
        return Err(no_arm(experiment, wanted));
    };
    Ok(found)
}

/// The arms of these names, in the order of the experiment; of an arm that its matrix makes several of, all. Without names every
/// arm.
pub(crate) fn choose_arms<'a>(experiment: &'a Experiment, wanted: &[String]) -> anyhow::Result<Vec<&'a str>> {
    let mut chosen: Vec<&str> = Vec::new();
    for name in wanted {
        let called = experiment.arms_called(name);
        if called.is_empty() {
            return Err(no_arm(experiment, name));
        }
        chosen.extend(called);
    }
    Ok(experiment.arms().filter(|arm| wanted.is_empty() || chosen.contains(arm)).collect())
}

fn no_arm(experiment: &Experiment, wanted: &str) -> anyhow::Error {
    let known: Vec<&str> = experiment.arms().collect();
    let at = experiment.scale().map_or(String::new(), |scale| format!(" at scale `{scale}`"));
    let (name, wanted) = (experiment.name(), wanted.escape_debug());
    anyhow!("experiment `{name}` has no arm `{wanted}`{at}; it has: {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::seed;

    #[test]
    fn seeds_are_those_that_files_can_have() {
        assert_eq!((seed("0"), seed("9007199254740991")), (Ok(0), Ok(9_007_199_254_740_991)));
        for bad in ["abc", "", "-1", "+1", "1.5", "9007199254740992", "99999999999999999999"] {
            assert_eq!(seed(bad).unwrap_err(), "a whole number from 0 to 9007199254740991 is expected", "{bad}");
        }
    }
}
