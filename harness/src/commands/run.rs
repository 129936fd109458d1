//! `peerbed run`: every arm and repeat of an experiment, then a table and a result directory.

use std::{path::Path, process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use clap::Args;
use peerbed_model::{Experiment, Plan};

use super::{
    MeasuringArgs, choose_arms,
    sweep::{self, Sweep, one_line, take_over},
};
use crate::{
    project::Project,
    report,
    results::{Begun, Ending, Identity, ResultsDir, ResultsError, RunOutcome, kept_runs, resume},
    run::{Interrupt, estimate::Estimate, progress::Progress},
    runtime::Runtime,
    say::{complain, describe, say},
    status::Status,
};

/// What to run and how.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The experiment: a file in experiments/, without `.yaml`
    name: String,
    /// One of the scales that the file names, instead of the file as it stands
    #[arg(long, value_name = "NAME")]
    scale: Option<String>,
    /// Only this arm, or those that the matrix makes of it; may be given several times
    #[arg(long = "arm", value_name = "ARM")]
    arms: Vec<String>,
    /// How often to repeat each arm, instead of the file's number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: Option<u32>,
    /// Another seed than the file's
    #[arg(long, value_parser = super::seed)]
    seed: Option<u64>,
    #[command(flatten)]
    how: MeasuringArgs,
    /// Go on with the newest unfinished results of the same experiment: whole runs are taken over, the others are made
    #[arg(long)]
    resume: bool,
    /// Print summary.json instead of the table
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(crate) fn run(args: &RunArgs, project: &Project) -> anyhow::Result<ExitCode> {
    let experiment = project.load_at(&args.name, args.scale.as_deref())?;
    let plans = plans(args, &experiment)?;
    let order = sweep::order(&plans, args.seed.unwrap_or(experiment.seed()));
    // One thread: the agent dies with the thread that started it, and the harness must not compete with the link engine.
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    // From now on, and not only from the first run: whatever was begun is then ended in good order.
    let interrupt = tokio.block_on(async { Interrupt::listen() })?;
    let root = args.how.results(project);
    let all: Vec<&Plan> = plans.iter().map(|plan| &**plan).collect();
    let Some(runtime) = tokio.block_on(interrupt.unless(args.how.carrier.runtime_for(&args.name, &all))) else {
        return Ok(Status::Interrupted.into());
    };
    let runtime = runtime?;
    let in_order: Vec<Arc<Plan>> = order.iter().map(|index| Arc::clone(&plans[*index])).collect();
    let mut progress = Progress::of(Estimate::of(in_order.iter().map(|plan| &**plan)), args.how.quiet || args.json);
    let identity = Identity::of(project.root());
    let begun = Begun::of(&plans, &identity, runtime.name(), runtime.options())?;
    let mut outcomes = Vec::new();
    let mut dir = if args.resume {
        let resumed = resume(&root, &plans, identity, &begun)?;
        take_over(resumed, &in_order, &mut progress, &mut outcomes)
    } else {
        let dir = ResultsDir::create(&root, &plans, identity)
            .with_context(|| format!("cannot make a result directory in {}", root.display()))?;
        dir.begin(&begun)?;
        dir
    };
    let sweep = Sweep {
        plans: &in_order,
        calibrate: args.how.calibrate,
        carrier: &|_| &runtime,
        harness: &|_| None,
        decided: &|_| false,
        interrupt: &interrupt,
    };
    let ended = tokio.block_on(sweep.run(&mut dir, &mut progress, &mut outcomes));
    progress.finish();
    outcomes.sort_by_key(|outcome| outcome.record().order);
    // What was measured before a failure or an interruption is kept, and so are the logs that tell why.
    let (ending, failure) = match ended {
        Ok(ending) => (ending, None),
        Err(error) => {
            let failure = describe(&error);
            (Ending::Failed(dir.as_finished(&failure)), Some(failure))
        }
    };
    if outcomes.is_empty() && matches!(ending, Ending::Interrupted) {
        dir.discard()?;
        complain("interrupted before anything was measured: there are no results");
        return Ok(Status::Interrupted.into());
    }
    let unfinished = dir.path().to_owned();
    let finished = match dir.finish(&outcomes, &ending) {
        Ok(finished) => finished,
        Err(error) => return Err(unkept(error, failure.as_deref(), &outcomes, &unfinished)),
    };
    if args.json {
        say(&(serde_json::to_string_pretty(&finished.summary)? + "\n"))?;
    } else {
        say(&format!("{}results: {}\n", report::table(&finished.summary), finished.path.display()))?;
    }
    if let Some((kept, planned)) = kept_runs(&finished.path) {
        complain(format_args!(
            "{kept} of {planned} runs are whole: `peerbed run {} --resume`, with the same options, makes the others",
            args.name
        ));
    }
    Ok(match ending {
        Ending::Failed(failure) => bail!(failure),
        Ending::Unfit(_) => Status::Invalid,
        Ending::Interrupted => Status::Interrupted,
        Ending::Complete if !finished.summary.valid => Status::Invalid,
        Ending::Complete if finished.summary.disappointed() => Status::Unmet,
        Ending::Complete => Status::Good,
    }
    .into())
}

/// What to say when results could not be written: the figures that were measured are printed, so that they are not lost.
fn unkept(error: ResultsError, failure: Option<&str>, outcomes: &[RunOutcome], unfinished: &Path) -> anyhow::Error {
    let lines = outcomes.iter().map(|outcome| format!("{}: {}\n", outcome.record().plan.arm, one_line(outcome)));
    if let Err(error) = say(&lines.collect::<String>()) {
        complain(describe(&error));
    }
    let failed = failure.map_or(String::new(), |failure| format!("{failure}\nafter that: "));
    anyhow::Error::new(error).context(format!(
        "{failed}{} runs were measured, but their results could not be written; what there is stays in {}; free some \
         space, raise the limit of file sizes (`ulimit -f`), or name another directory with --results",
        outcomes.len(),
        unfinished.display()
    ))
}

/// Every run, repeat by repeat, the arms in the order in which they are shown.
fn plans(args: &RunArgs, experiment: &Experiment) -> anyhow::Result<Vec<Arc<Plan>>> {
    let arms = choose_arms(experiment, &args.arms)?;
    let repeats = args.repeats.unwrap_or(experiment.repeats());
    let mut plans = Vec::new();
    for repeat in 0..repeats {
        for arm in &arms {
            plans.push(Arc::new(experiment.plan(arm, repeat, args.seed)?));
        }
    }
    Ok(plans)
}
