//! `peerbed run`: every arm and repeat of an experiment, then a table and a result directory.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, bail};
use clap::Args;
use peerbed_model::{Experiment, Plan};

use super::{CarrierArgs, choose_arms};
use crate::{
    calibrate::{Calibrator, When, complaints},
    project::Project,
    report,
    results::{Ending, Identity, ResultsDir, ResultsError, RunOutcome},
    run::{Interrupt, execute, progress::Progress},
    runtime::{Chosen, NodeFiles, Runtime},
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
    /// Where results go, instead of results/
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    #[command(flatten)]
    carrier: CarrierArgs,
    /// Which links are measured before the runs begin
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Cached)]
    calibrate: When,
    /// Print summary.json instead of the table
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

/// Runs it.
pub(crate) fn run(args: &RunArgs, project: &Project) -> anyhow::Result<ExitCode> {
    let experiment = project.load_at(&args.name, args.scale.as_deref())?;
    let plans = plans(args, &experiment)?;
    // One thread: the agent dies with the thread that started it, and the harness must not compete with the link engine.
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    // From now on, and not only from the first run: whatever was begun is then ended in good order.
    let interrupt = tokio.block_on(async { Interrupt::listen() })?;
    let root = args.results.clone().unwrap_or_else(|| project.results());
    let all: Vec<&Plan> = plans.iter().map(|plan| &**plan).collect();
    let Some(runtime) = tokio.block_on(interrupt.unless(args.carrier.runtime_for(&args.name, &all))) else {
        return Ok(Status::Interrupted.into());
    };
    let runtime = runtime?;
    let mut dir = ResultsDir::create(&root, &plans, Identity::of(project.root()))
        .with_context(|| format!("cannot make a result directory in {}", root.display()))?;
    let mut progress = Progress::new(plans.len(), args.quiet || args.json);
    let mut outcomes = Vec::new();
    let ended = tokio.block_on(async {
        let calibrator = Calibrator {
            launch: runtime.launch(),
            options: runtime.options(),
            when: args.calibrate,
            log: &dir.calibration_log()?,
        };
        if let Some(ending) = calibrate(&calibrator, &plans, &mut dir, &interrupt, &mut progress).await? {
            return Ok(ending);
        }
        run_all(&plans, &runtime, &dir, &interrupt, &mut progress, &mut outcomes).await
    });
    progress.finish();
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

/// Every run in its order: arms take turns at going first, so that drift of the machine favours none.
fn plans(args: &RunArgs, experiment: &Experiment) -> anyhow::Result<Vec<Arc<Plan>>> {
    let arms = choose_arms(experiment, &args.arms)?;
    let repeats = args.repeats.unwrap_or(experiment.repeats());
    let mut plans = Vec::new();
    for repeat in 0..repeats {
        for turn in 0..arms.len() {
            let arm = arms[(turn + repeat as usize) % arms.len()];
            plans.push(Arc::new(experiment.plan(arm, repeat, args.seed)?));
        }
    }
    Ok(plans)
}

/// Measures the links of all plans as far as that is wanted; how it all ends if it ends here.
async fn calibrate(
    calibrator: &Calibrator<'_>,
    plans: &[Arc<Plan>],
    dir: &mut ResultsDir,
    interrupt: &Interrupt,
    progress: &mut Progress,
) -> anyhow::Result<Option<Ending>> {
    if calibrator.when == When::Never {
        return Ok(None);
    }
    let all: Vec<&Plan> = plans.iter().map(|plan| &**plan).collect();
    let mut show = |what: &str| progress.preparing(what);
    let calibrated = tokio::select! {
        calibrated = calibrator.calibrate(&all, &mut show) => calibrated?,
        () = interrupt.wait() => {
            calibrator.launch.settle().await;
            return Ok(Some(Ending::Interrupted));
        }
    };
    let complaints = complaints(&calibrated);
    dir.calibrated(calibrated.into_iter().map(|(_, calibrated)| calibrated).collect());
    Ok((!complaints.is_empty()).then_some(Ending::Unfit(complaints)))
}

async fn run_all(
    plans: &[Arc<Plan>],
    runtime: &Chosen,
    dir: &ResultsDir,
    interrupt: &Interrupt,
    progress: &mut Progress,
    outcomes: &mut Vec<RunOutcome>,
) -> anyhow::Result<Ending> {
    let repeats = plans.iter().map(|plan| plan.repeat + 1).max().unwrap_or(1);
    for plan in plans {
        progress.run(&plan.arm, plan.repeat, repeats);
        let files =
            NodeFiles { configs: dir.nodes_dir(&plan.arm, plan.repeat)?, logs: dir.logs_dir(&plan.arm, plan.repeat)? };
        let Some(mut record) = execute(plan.clone(), runtime, &files, progress, interrupt).await? else {
            return Ok(Ending::Interrupted);
        };
        let interrupted = record.interrupted;
        for fault in &mut record.faults {
            *fault = dir.as_finished(fault);
        }
        let outcome = RunOutcome::of(record);
        let over = interrupted || interrupt.asked();
        progress.ended(&one_line(&outcome), over);
        outcomes.push(outcome);
        if over {
            return Ok(Ending::Interrupted);
        }
    }
    Ok(Ending::Complete)
}

/// A run in a line, for whoever watches.
fn one_line(outcome: &RunOutcome) -> String {
    let figure = |key| report::number(outcome.figures().get(key));
    let count = |key| outcome.figures().get(key).map_or("?".to_owned(), |count| format!("{count:.0}"));
    let verdict = if outcome.validity().valid() { "valid" } else { "INVALID" };
    format!(
        "{verdict}: {} of {} downloads completed, median {} Mbit/s, peer efficiency {}",
        count("downloads.completed"),
        count("downloads.planned"),
        figure("speed_mbps.p50"),
        report::percent(outcome.figures().get("peer_efficiency.bytes")),
    )
}
