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
    record::RunRecord,
    report,
    results::{Begun, Ending, Identity, ResultsDir, ResultsError, Resumed, RunOutcome, kept_runs, resume},
    run::{
        Interrupt,
        estimate::{Estimate, Took},
        execute,
        order::blocks,
        progress::Progress,
    },
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
    /// Go on with the newest unfinished results of the same experiment: whole runs are taken over, the others are made
    #[arg(long)]
    resume: bool,
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
    let order = order(&plans, args.seed.unwrap_or(experiment.seed()));
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
    let in_order: Vec<Arc<Plan>> = order.iter().map(|index| Arc::clone(&plans[*index])).collect();
    let mut progress = Progress::of(Estimate::of(in_order.iter().map(|plan| &**plan)), args.quiet || args.json);
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
        run_all(&in_order, &runtime, &dir, &interrupt, &mut progress, &mut outcomes).await
    });
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

/// The order in which the runs are made: the indexes of their plans.
fn order(plans: &[Arc<Plan>], seed: u64) -> Vec<usize> {
    let repeats = plans.iter().map(|plan| plan.repeat + 1).max().unwrap_or(0);
    let arms = plans.len() / repeats.max(1) as usize;
    let blocks = blocks(arms, repeats, seed).into_iter().enumerate();
    blocks.flat_map(|(repeat, block)| block.into_iter().map(move |arm| repeat * arms + arm)).collect()
}

/// Takes the whole runs of an earlier attempt over, and says so.
fn take_over(
    resumed: Resumed,
    in_order: &[Arc<Plan>],
    progress: &mut Progress,
    outcomes: &mut Vec<RunOutcome>,
) -> ResultsDir {
    let Resumed { mut dir, from, records, damaged } = resumed;
    for sentence in damaged {
        complain(sentence);
    }
    let (taken, all) = (records.len(), in_order.len());
    complain(format_args!("taking over {taken} of {all} runs from {}", from.display()));
    dir.took_over(taken);
    for record in records {
        if let Some(number) = in_order.iter().position(|plan| Arc::ptr_eq(plan, &record.plan)) {
            progress.taken_over(number, &record.plan.arm, took(&record));
        }
        outcomes.push(RunOutcome::of(record));
    }
    dir
}

/// What a run took.
fn took(record: &RunRecord) -> Took {
    Took { elapsed: record.elapsed, around: record.setup + record.teardown }
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
    let made: Vec<Arc<Plan>> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
    progress.begin();
    for (plan, order) in plans.iter().zip(0..) {
        if made.iter().any(|made| Arc::ptr_eq(made, plan)) {
            continue;
        }
        progress.run(&plan.arm, plan.repeat, repeats);
        let files =
            NodeFiles { configs: dir.nodes_dir(&plan.arm, plan.repeat)?, logs: dir.logs_dir(&plan.arm, plan.repeat)? };
        let Some(mut record) = execute(plan.clone(), runtime, &files, progress, interrupt).await? else {
            return Ok(Ending::Interrupted);
        };
        let interrupted = record.interrupted;
        record.order = order;
        for fault in &mut record.faults {
            *fault = dir.as_finished(fault);
        }
        if !interrupted && let Err(error) = dir.keep(&record) {
            // It is not lost, unless this program ends before all runs have.
            progress.notice(&format!("this run could not be kept for `--resume`: {error}"));
        }
        let took = took(&record);
        let outcome = RunOutcome::of(record);
        let over = interrupted || interrupt.asked();
        progress.ended(&one_line(&outcome), over, took);
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
        "{verdict}: {}/{} downloads, median {} Mbit/s, peer efficiency {}",
        count("downloads.completed"),
        count("downloads.planned"),
        figure("speed_mbps.p50"),
        report::percent(outcome.figures().get("peer_efficiency.bytes")),
    )
}
