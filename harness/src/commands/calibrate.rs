//! `peerbed calibrate`: what an experiment's links do on this machine, beside what they should.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use peerbed_model::Plan;

use super::{
    CarrierArgs,
    pairing::{Measured, Question, Request, measure},
    session::Session,
};
use crate::{
    calibrate::{Calibrator, When, complaints, table},
    compare::{
        floor::{Noise, PAIRS_MIN, Store},
        show,
        subject::Built,
        verdict::Outcome,
    },
    project::Project,
    run::{Interrupt, progress::Progress},
    runtime::{Programs, Runtime},
    say::{complain, say},
    scratch::Scratch,
    status::Status,
};

/// What to calibrate and how.
#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// The experiment: a file in experiments/, without `.yaml`
    name: String,
    /// One of the scales that the file names, instead of the file as it stands
    #[arg(long, value_name = "NAME")]
    scale: Option<String>,
    /// Measure instead how far runs of equal programs differ (A/A), which `peerbed compare` must know
    #[arg(long)]
    aa: bool,
    /// With --aa: the arm; needed where the experiment has several and names none to compare
    #[arg(long, value_name = "ARM", requires = "aa")]
    arm: Option<String>,
    /// With --aa: so many pairs; 12 that can be believed must be of the last 8 days
    #[arg(long, value_name = "N", requires = "aa", default_value_t = PAIRS_MIN as u32 + 2, value_parser = clap::value_parser!(u32).range(1..=500))]
    pairs: u32,
    /// With --aa: where results go, instead of results/
    #[arg(long, value_name = "DIR", requires = "aa")]
    results: Option<PathBuf>,
    #[command(flatten)]
    carrier: CarrierArgs,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

/// Measures every class, whatever is remembered.
pub(crate) fn run(args: &CalibrateArgs, project: &Project) -> anyhow::Result<ExitCode> {
    if args.aa {
        return equals(args, project);
    }
    let experiment = project.load_at(&args.name, args.scale.as_deref())?;
    let plans: Vec<Plan> = experiment.arms().map(|arm| experiment.plan(arm, 0, None)).collect::<Result<_, _>>()?;
    let plans: Vec<&Plan> = plans.iter().collect();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let interrupt = tokio.block_on(async { Interrupt::listen() })?;
    let Some(runtime) = tokio.block_on(interrupt.unless(args.carrier.runtime_for(&args.name, &plans))) else {
        return Ok(Status::Interrupted.into());
    };
    let runtime = runtime?;
    let scratch = Scratch::make("calibrate")?;
    let mut progress = Progress::new(1, args.quiet || args.json);
    let calibrator = Calibrator {
        launch: runtime.launch(),
        options: runtime.options(),
        when: When::Always,
        log: &scratch.path().join("probes.log"),
    };
    let calibrated = tokio.block_on(async {
        let mut show = |what: &str| progress.preparing(what);
        tokio::select! {
            calibrated = calibrator.calibrate(&plans, &mut show) => calibrated.map(Some),
            () = interrupt.wait() => {
                runtime.settle().await;
                Ok(None)
            }
        }
    });
    progress.finish();
    let Some(calibrated) = calibrated? else { return Ok(Status::Interrupted.into()) };
    if args.json {
        let rows: Vec<_> = calibrated.iter().map(|(_, of)| of).collect();
        say(&(serde_json::to_string_pretty(&rows)? + "\n"))?;
    } else {
        say(&table(&calibrated))?;
        for complaint in complaints(&calibrated) {
            say(&format!("NOT RIGHT {complaint}\n"))?;
        }
    }
    Ok(if calibrated.iter().all(|(_, of)| of.good()) { Status::Good } else { Status::Invalid }.into())
}

/// Runs of this program's own nodes against themselves.
fn equals(args: &CalibrateArgs, project: &Project) -> anyhow::Result<ExitCode> {
    let request = Request {
        project,
        name: &args.name,
        scale: args.scale.as_deref(),
        arm: args.arm.as_deref(),
        head_arm: None,
        question: Question::Usual,
        looks: Some(vec![args.pairs]),
        seed: None,
        results: args.results.clone().unwrap_or_else(|| project.results()),
        carrier: &args.carrier,
        calibrate: When::Cached,
        resume: false,
        whole: false,
        quiet: args.quiet || args.json,
    };
    let prepared = request.prepare()?;
    let own = Built::given("these programs", Programs::default().directory(), false)?;
    let judged = match measure(&Session::start()?, &request, prepared, [own.clone(), own])? {
        Measured::Judged(judged) => judged,
        Measured::SubjectFailed(..) => return Ok(ExitCode::from(Outcome::SubjectFailed.code())),
        Measured::Unfit(..) => return Ok(Status::Invalid.into()),
        Measured::Interrupted => return Ok(Status::Interrupted.into()),
    };
    let (verdict, planned, path) = &*judged;
    if args.json {
        say(&show::json(verdict)?)?;
    } else {
        say(&format!("{}results: {}\n", show::table(verdict, planned), path.display()))?;
    }
    if matches!(verdict.outcome, Outcome::Invalid | Outcome::SubjectFailed) {
        return Ok(ExitCode::from(verdict.outcome.code()));
    }
    // That these pairs decide nothing is no failure; that they are too few to know the noise is.
    let noise = planned.place.as_ref().map(|place| Store::below(&request.results).noise(place, Timestamp::now()));
    Ok(match noise {
        Some(Noise::Unknown(why)) => {
            complain(why);
            ExitCode::from(Outcome::Inconclusive.code())
        }
        Some(Noise::Known(_)) | None => Status::Good.into(),
    })
}
