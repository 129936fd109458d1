//! Pairs of runs: what compares two versions, and what measures how far equal ones differ.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use peerbed_model::{Coordinates, Experiment, Plan};

use super::{
    CarrierArgs, MeasuringArgs, choose_arm, refuse_unmet,
    session::Session,
    sweep::{self, Sweep, take_over},
};
use crate::{
    calibrate::When,
    carry::NotCarried,
    compare::{
        BASE, Ended, HEAD, Planned,
        design::{self, Design},
        floor::{Noise, Place, Store},
        judge::{Case, judge},
        pairs::from_outcomes,
        show,
        subject::{Built, HARNESS},
        verdict::{Outcome, Verdict},
    },
    project::Project,
    results::{Begun, Ending, Identity, Outline, Results, ResultsDir, RunOutcome, fingerprint_of, layout, resume},
    run::{estimate::Estimate, progress::Progress},
    runtime::{Chosen, Programs, Runtime, RuntimeError},
    say::{complain, counted, describe},
};

/// What whoever compares says on the command line, beside the versions.
#[derive(Debug, Args)]
pub(super) struct PairingArgs {
    /// One of the scales that the file names, instead of the file as it stands
    #[arg(long, value_name = "NAME")]
    scale: Option<String>,
    /// The arm whose runs are compared; needed where the experiment has several and names none
    #[arg(long, value_name = "ARM")]
    arm: Option<String>,
    /// After how many pairs results are looked at, with commas, instead of what the experiment says or what is usual. All looks
    /// together err no more often than one would
    #[arg(long, value_name = "N,…", value_parser = |text: &str| design::looks(text).map(Looks))]
    pairs: Option<Looks>,
    /// Another seed than the file's
    #[arg(long, value_parser = super::seed)]
    seed: Option<u64>,
    #[command(flatten)]
    how: MeasuringArgs,
}

/// Planned looks, as they are on the command line.
#[derive(Debug, Clone)]
struct Looks(Vec<u32>);

impl PairingArgs {
    /// The looks that were named.
    pub(super) fn looks(&self) -> Option<&[u32]> {
        self.pairs.as_ref().map(|looks| &looks.0[..])
    }

    /// The directory of all results.
    pub(super) fn results(&self, project: &Project) -> PathBuf {
        self.how.results(project)
    }

    /// What these come to, for the usual question.
    pub(super) fn request<'a>(&'a self, project: &'a Project, name: &'a str, quiet: bool) -> Request<'a> {
        Request {
            project,
            name,
            scale: self.scale.as_deref(),
            arm: self.arm.as_deref(),
            head_arm: None,
            question: Question::Usual,
            looks: self.looks().map(<[u32]>::to_vec),
            seed: self.seed,
            results: self.results(project),
            carrier: &self.how.carrier,
            calibrate: self.how.calibrate,
            resume: false,
            whole: false,
            quiet: self.how.quiet || quiet,
        }
    }
}

/// Where comparisons go below the directory of all results.
pub(super) fn below(results: &Path) -> PathBuf {
    results.join(layout::COMPARE)
}

/// What is to be compared, but for the programs.
pub(super) struct Request<'a> {
    /// Where experiments are.
    pub(super) project: &'a Project,
    /// The experiment.
    pub(super) name: &'a str,
    /// Its scale.
    pub(super) scale: Option<&'a str>,
    /// The arm; may be left out where there is one.
    pub(super) arm: Option<&'a str>,
    /// Another one for the head.
    pub(super) head_arm: Option<&'a str>,
    /// What is asked.
    pub(super) question: Question<'a>,
    /// After how many pairs the results are looked at, instead of what the experiment says.
    pub(super) looks: Option<Vec<u32>>,
    /// Instead of the experiment's.
    pub(super) seed: Option<u64>,
    /// The directory of all results.
    pub(super) results: PathBuf,
    /// Runtime and engine.
    pub(super) carrier: &'a CarrierArgs,
    /// Which links are measured before.
    pub(super) calibrate: When,
    /// Goes on with the newest unfinished comparison of the same.
    pub(super) resume: bool,
    /// Each side's runs are carried by its own harness.
    pub(super) whole: bool,
    /// Shows no progress.
    pub(super) quiet: bool,
}

/// What is asked of the pairs.
pub(super) enum Question<'a> {
    /// What the experiment wants to know: it ends when nothing of that is open any more.
    Usual,
    /// Something about one metric.
    About {
        /// A key of `summary.json`.
        figure: &'a str,
        /// The probability of a false alarm.
        error: f64,
        /// Whether a verdict at a planned look answers it.
        answered: &'a dyn Fn(&Verdict) -> bool,
    },
}

/// What a request comes to.
pub(super) struct Prepared {
    arm: String,
    head_arm: String,
    design: Design,
    plans: Vec<Arc<Plan>>,
}

impl Prepared {
    /// The arm of the base, and that of the head.
    pub(super) fn arms(self) -> (String, String) {
        (self.arm, self.head_arm)
    }
}

/// How a comparison ended.
pub(super) enum Measured {
    /// With a verdict, which is in this directory.
    Judged(Box<(Verdict, Planned, PathBuf)>),
    /// Nodes of a side were not even ready, for this reason, after so many pairs.
    SubjectFailed(Box<Planned>, String, u32),
    /// The links are not what was asked for, for these reasons, so that nothing was measured.
    Unfit(Box<Planned>, Vec<String>),
    /// The user wanted no more.
    Interrupted,
}

/// What carries the runs of each side.
struct Carriers {
    base: Chosen,
    head: Chosen,
}

impl Request<'_> {
    /// Reads the experiment and plans every pair.
    pub(super) fn prepare(&self) -> anyhow::Result<Prepared> {
        let experiment = self.project.load_at(self.name, self.scale)?;
        let (arm, head_arm) = self.arms(&experiment)?;
        let seed = self.seed.unwrap_or(experiment.seed());
        let design = Design::of(experiment.comparison(), self.looks.clone(), seed)
            .map_err(|why| anyhow!("`compare.pairs` of experiment `{}`: {why}", experiment.name()))?;
        let design = match self.question {
            Question::Usual => design,
            Question::About { figure, error, .. } => design.about(figure, error),
        };
        let mut plans = Vec::new();
        for pair in 0..design.pairs() {
            for (side, arm) in [(BASE, arm), (HEAD, head_arm)] {
                let plan = experiment.plan(arm, pair, self.seed)?;
                // What the experiment expects of its arms is not the question here.
                plans.push(Arc::new(Plan {
                    arm: side.to_owned(),
                    base: None,
                    matrix: Coordinates::default(),
                    expect: Vec::new(),
                    claims: Vec::new(),
                    ..plan
                }));
            }
        }
        Ok(Prepared { arm: arm.to_owned(), head_arm: head_arm.to_owned(), design, plans })
    }

    /// The arm of each side.
    fn arms<'e>(&self, experiment: &'e Experiment) -> anyhow::Result<(&'e str, &'e str)> {
        let all: Vec<&str> = experiment.arms().collect();
        let own = experiment.comparison().arm.as_deref();
        if self.arm.or(own).is_none() && all.len() > 1 {
            bail!(
                "experiment `{}` has several arms, and one is compared: name it with --arm, or as `compare.arm` in the file; it has: {}",
                experiment.name(),
                all.join(", ")
            );
        }
        let arm = choose_arm(experiment, self.arm.or(own))?;
        let head_arm = match self.head_arm {
            Some(name) => choose_arm(experiment, Some(name))?,
            None => arm,
        };
        Ok((arm, head_arm))
    }
}

/// Makes the pairs and judges them.
pub(super) fn measure(
    Session { tokio, interrupt }: &Session,
    request: &Request<'_>,
    Prepared { arm, head_arm, design, plans }: Prepared,
    [base, head]: [Built; 2],
) -> anyhow::Result<Measured> {
    let Request { project, name, .. } = request;
    let in_order: Vec<Arc<Plan>> =
        sweep::order(&plans, design.seed).into_iter().map(|index| Arc::clone(&plans[index])).collect();

    let all: Vec<&Plan> = plans.iter().map(|plan| &**plan).collect();
    let Some(runtime) = tokio.block_on(interrupt.unless(request.carrier.runtime(name, &all))) else {
        return Ok(Measured::Interrupted);
    };
    let runtime = runtime?;
    let carriers = Carriers {
        base: runtime.clone().running(Programs::in_directory(&base.directory)),
        head: runtime.running(Programs::in_directory(&head.directory)),
    };
    for (carrier, plan) in [(&carriers.base, all[0]), (&carriers.head, all[1])] {
        let unmet = tokio.block_on(carrier.preflight(plan));
        refuse_unmet(name, &unmet)?;
    }
    let planned = Planned {
        version: Planned::VERSION,
        experiment: (*name).to_owned(),
        scale: request.scale.map(str::to_owned),
        same_programs: base.subject.programs == head.subject.programs && arm == head_arm,
        arm,
        head_arm,
        base: base.subject.clone(),
        head: head.subject.clone(),
        whole: request.whole,
        design,
        place: None,
        noise: Noise::Unknown("no run was made".to_owned()),
        ended: None,
    };
    let fixed: BTreeSet<&str> = all
        .iter()
        .flat_map(|plan| &plan.nodes)
        .filter(|node| !node.command.is_empty() || node.image.is_some())
        .map(|node| node.group.as_str())
        .collect();
    if !fixed.is_empty() {
        let groups: Vec<&str> = fixed.into_iter().collect();
        complain(format_args!("the same on both sides, as they run programs of their own: {}", groups.join(", ")));
    }
    if planned.same_programs {
        complain("the programs of both sides are the same: this is a comparison of equals (A/A)");
    }
    if let Some(why) = planned.design.sees_nothing_alone().filter(|_| !planned.same_programs) {
        complain(why);
    }
    let identity = Identity::of(project.root());
    let below = below(&request.results);
    let begun = Begun::of(&plans, &identity, carriers.base.name(), carriers.base.options())?.with(planned.identity());
    let mut progress = Progress::of(Estimate::of(in_order.iter().map(|plan| &**plan)), request.quiet);
    let mut outcomes: Vec<RunOutcome> = Vec::new();
    let mut dir = if request.resume {
        let resumed = resume(&below, &plans, identity, &begun)?;
        take_over(resumed, &in_order, &mut progress, &mut outcomes)
    } else {
        let dir = ResultsDir::create(&below, &plans, identity)
            .with_context(|| format!("cannot make a result directory in {}", below.display()))?;
        dir.begin(&begun)?;
        dir
    };
    planned.write(dir.path())?;
    let store = Store::below(&request.results);
    let unknown = store.unknown_anywhere(name, request.scale, &planned.arm);
    if let Some(why) = unknown.filter(|_| !planned.same_programs) {
        complain(format_args!("nothing can be PASSED or REGRESSED: {why}"));
    }
    if planned.same_programs {
        // What stands against keeping their noise is said before it is measured.
        store.add(&[]).with_context(|| store.path().display().to_string())?;
    }
    let sweep = Sweep {
        plans: &in_order,
        calibrate: request.calibrate,
        carrier: &|plan: &Plan| if plan.arm == BASE { &carriers.base } else { &carriers.head },
        harness: &|plan: &Plan| {
            let directory = if plan.arm == BASE { &base.directory } else { &head.directory };
            request.whole.then(|| directory.join(HARNESS))
        },
        decided: &|outcomes: &[RunOutcome]| decided(&planned, &store, outcomes, &request.question),
        interrupt,
    };
    let ended = tokio.block_on(sweep.run(&mut dir, &mut progress, &mut outcomes));
    progress.finish();
    outcomes.sort_by_key(|outcome| outcome.record().order);
    conclude(planned, &store, dir, &outcomes, ended)
}

/// Writes what was measured, and judges it.
fn conclude(
    mut planned: Planned,
    store: &Store,
    mut dir: ResultsDir,
    outcomes: &[RunOutcome],
    ended: anyhow::Result<Ending>,
) -> anyhow::Result<Measured> {
    let (ending, failure) = match ended {
        Ok(ending) => (ending, None),
        Err(error) => {
            let of_subject = error.is::<NotCarried>()
                || matches!(
                    error.downcast_ref(),
                    Some(
                        RuntimeError::EndedEarly { .. }
                            | RuntimeError::NotReady { .. }
                            | RuntimeError::TooMuchSaid { .. }
                    )
                );
            let failure = dir.as_finished(&describe(&error));
            (Ending::Failed(failure.clone()), Some((failure, of_subject)))
        }
    };
    if outcomes.is_empty() && matches!(ending, Ending::Interrupted) {
        dir.discard()?;
        complain("interrupted before anything was measured: there are no results");
        return Ok(Measured::Interrupted);
    }
    place(&mut planned, store, outcomes);
    planned.ended = match (&ending, &failure) {
        (_, Some((failure, true))) => Some(Ended::SubjectFailed(failure.clone())),
        (_, Some((failure, false))) => Some(Ended::Failed(failure.clone())),
        (Ending::Unfit(complaints), _) => Some(Ended::Unfit(complaints.clone())),
        _ => None,
    };
    planned
        .write(dir.path())
        .with_context(|| format!("what was measured is in {}, and goes on with --resume", dir.path().display()))?;
    if ending == Ending::Complete {
        dir.ended_after(outcomes.iter().map(|outcome| outcome.record().plan.repeat + 1).max().unwrap_or(0));
    }
    let finished = dir.finish(outcomes, &ending)?;
    if let Some((failure, of_subject)) = failure {
        let told = format!("{failure}\nwhat was measured before is in {}", finished.path.display());
        if !of_subject {
            bail!(told);
        }
        complain(format_args!("SUBJECT FAILED: {told}"));
        let pairs = from_outcomes(outcomes).len() as u32;
        return Ok(Measured::SubjectFailed(Box::new(planned), failure, pairs));
    }
    if let Ending::Unfit(complaints) = ending {
        for why in &complaints {
            complain(format_args!("INVALID: links are not what was asked for: {why}"));
        }
        complain(format_args!("results: {}", finished.path.display()));
        return Ok(Measured::Unfit(Box::new(planned), complaints));
    }
    // From the files, as a replay would.
    let verdict = planned.judge(&Results::open(&finished.path)?)?;
    show::write(&verdict, &planned, &finished.path)?;
    // Also where equals differ: that is their noise. But not twice, if it goes on later.
    if planned.same_programs && ending == Ending::Complete {
        match planned.keep(store, &from_outcomes(outcomes)) {
            Ok(kept) => {
                complain(format_args!(
                    "{} of equal programs kept in {}",
                    counted(kept, "pair"),
                    store.path().display()
                ));
            }
            // The verdict stands all the same.
            Err(error) => complain(format_args!("the noise is not kept: {}", describe(&error))),
        }
    }
    if ending == Ending::Interrupted {
        complain(format_args!("interrupted; what was measured is in {}", finished.path.display()));
        return Ok(Measured::Interrupted);
    }
    Ok(Measured::Judged(Box::new((verdict, planned, finished.path))))
}

/// Whether enough is known at this moment: at a planned look, nothing is open any more.
fn decided(planned: &Planned, store: &Store, outcomes: &[RunOutcome], question: &Question<'_>) -> bool {
    let design = &planned.design;
    let pairs = from_outcomes(outcomes);
    let complete = outcomes.len() == 2 * pairs.len();
    if !complete || !design.looks.contains(&(pairs.len() as u32)) {
        return false;
    }
    let mut planned = planned.clone();
    place(&mut planned, store, outcomes);
    let case = Case { pairs: &pairs, design, same_programs: planned.same_programs, noise: &planned.noise };
    let verdict = judge(case);
    match question {
        // More pairs can still show what is open; all else is settled.
        Question::Usual => verdict.outcome != Outcome::Inconclusive,
        Question::About { answered, .. } => {
            matches!(verdict.outcome, Outcome::Invalid | Outcome::SubjectFailed) || answered(&verdict)
        }
    }
}

/// Where it was measured, and the noise of that place.
fn place(planned: &mut Planned, store: &Store, outcomes: &[RunOutcome]) {
    // With --head-arm the sides differ, and the noise is that of the base.
    let Some(record) = outcomes.iter().map(RunOutcome::record).find(|record| record.plan.arm == BASE) else { return };
    let place = match fingerprint_of(record) {
        Ok(fingerprint) => Place {
            experiment: planned.experiment.clone(),
            scale: planned.scale.clone(),
            arm: planned.arm.clone(),
            fingerprint,
            engine: record.engine.engine.clone(),
            runtime: record.runtime.clone(),
            plan: kind_of(&record.plan),
        },
        Err(error) => {
            planned.noise = Noise::Unknown(format!("this machine cannot be told from others: {error}"));
            return;
        }
    };
    planned.noise = store.noise(&place, jiff::Timestamp::now());
    planned.place = Some(place);
}

/// What an arm is, whatever the seed: noise of another one says nothing of it.
fn kind_of(plan: &Plan) -> String {
    let outline = Outline::of(plan);
    let kind = (outline.duration_s, &outline.groups, &outline.content, &plan.parameters);
    let json = serde_json::to_vec(&kind).expect("plain values");
    blake3::hash(&json).to_hex()[..16].to_owned()
}
