//! One results directory from its beginning to its end: unfinished under a `.partial-` name with a lock held, then renamed,
//! then `latest` points to it. Whatever kills the harness in between leaves the unfinished directory, without its lock.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use peerbed_contract::{Event, NodeName};
use peerbed_model::{Plan, PolicyChange};
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use super::{
    Identity, RunOutcome, Summary, TakenOver,
    files::{ResultsError, point_link, remove_if_empty, rename_new, write_json, write_lines, write_text},
    kept::{self, Begun},
    layout::{self, DirName, is_plain},
    manifest::Manifest,
    resume::absent,
    tables::{self, TABLES},
};
use crate::{calibrate::Calibrated, metrics::Metric, record::RunRecord, report};

/// A results directory that is being filled.
#[derive(Debug)]
pub struct ResultsDir {
    experiment: PathBuf,
    name: DirName,
    partial: PathBuf,
    lock: File,
    plans: Vec<Arc<Plan>>,
    identity: Identity,
    created: Timestamp,
    calibration: Option<Vec<Calibrated>>,
    /// How many runs were taken over.
    taken_over: usize,
    /// Finished results whose records are taken over: they are of no use any more once all of these are there.
    source: Option<PathBuf>,
}

/// How an experiment's sequence of runs ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Every planned run was made.
    Complete,
    /// The user wanted no more.
    Interrupted,
    /// A run could not be carried out; one sentence why.
    Failed(String),
    /// Links are not what was asked for, so that no run was begun; a sentence for each quantity of each.
    Unfit(Vec<String>),
}

/// A results directory that is there to stay.
#[derive(Debug)]
pub struct Finished {
    /// Where it is.
    pub path: PathBuf,
    /// What was found.
    pub summary: Summary,
}

impl ResultsDir {
    /// Begins a directory below `root`, for the results of all these plans; they are of one experiment, in the order in
    /// which its arms are to be shown. The plans are written at once.
    pub fn create(root: &Path, plans: &[Arc<Plan>], identity: Identity) -> Result<Self, ResultsError> {
        Self::create_at(root, plans, identity, Timestamp::now())
    }

    pub(super) fn create_at(
        root: &Path,
        plans: &[Arc<Plan>],
        identity: Identity,
        created: Timestamp,
    ) -> Result<Self, ResultsError> {
        let first = plans.first().ok_or(ResultsError::NoPlans)?;
        for name in plans.iter().map(|plan| &plan.arm).chain([&first.experiment]) {
            if !is_plain(name) {
                return Err(ResultsError::Name(name.clone()));
            }
        }
        fs::create_dir_all(root).map_err(ResultsError::io(root))?;
        // Nodes get paths below it and may run elsewhere.
        let root = root.canonicalize().map_err(ResultsError::io(root))?;
        let experiment = root.join(&first.experiment);
        make_dir(&experiment)?;
        let (name, partial) = reserve(&experiment, DirName::new(created, identity.commit.as_deref(), identity.dirty))?;
        let lock_path = partial.join(layout::LOCK);
        let lock = File::create_new(&lock_path).map_err(ResultsError::io(&lock_path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| ResultsError::io(&lock_path)(error.into()))?;
        write_plans(&partial.join(layout::PLAN), plans)?;
        Ok(Self::filled(experiment, (name, partial), lock, plans, identity, created))
    }

    fn filled(
        experiment: PathBuf,
        (name, partial): (DirName, PathBuf),
        lock: File,
        plans: &[Arc<Plan>],
        identity: Identity,
        created: Timestamp,
    ) -> Self {
        let (plans, calibration, taken_over, source) = (plans.to_vec(), None, 0, None);
        Self { experiment, name, partial, lock, plans, identity, created, calibration, taken_over, source }
    }

    /// Goes on with an unfinished directory of the same plans, if nobody else is at work there. What was written at its end is
    /// removed: it is made again.
    pub(super) fn reopen(
        path: &Path,
        name: &DirName,
        plans: &[Arc<Plan>],
        identity: Identity,
    ) -> Result<Option<Self>, ResultsError> {
        let partial = path.canonicalize().map_err(ResultsError::io(path))?;
        let lock_path = partial.join(layout::LOCK);
        let mut options = File::options();
        let lock = options.read(true).write(true).create(true).truncate(false).open(&lock_path);
        let lock = lock.map_err(ResultsError::io(&lock_path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            other => other.map_err(|error| ResultsError::io(&lock_path)(error.into()))?,
        }
        let last = [
            layout::EVENTS,
            layout::METRICS,
            layout::SUMMARY_JSON,
            layout::SUMMARY_MD,
            layout::REPORT,
            layout::MANIFEST,
        ];
        for file in last.into_iter().chain(TABLES.iter().map(|table| table.file)) {
            for path in [partial.join(file), partial.join(format!(".writing-{file}"))] {
                absent(fs::remove_file(&path)).map_err(ResultsError::io(&path))?;
            }
        }
        let experiment = partial.parent().unwrap_or(&partial).to_owned();
        let created = name.created();
        Ok(Some(Self::filled(experiment, (name.clone(), partial), lock, plans, identity, created)))
    }

    /// Writes what the sweep is, so that it can be resumed if it is not finished.
    pub fn begin(&self, begun: &Begun) -> Result<(), ResultsError> {
        begun.write(&self.partial)
    }

    /// Keeps a run that is over, whole, until all are.
    pub fn keep(&self, record: &RunRecord) -> Result<(), ResultsError> {
        kept::keep(&self.partial, record)
    }

    /// So many of its runs were made before; goes into the manifest.
    pub fn took_over(&mut self, runs: usize) {
        self.taken_over = runs;
    }

    /// Records of these finished results were taken over.
    pub(super) fn takes_over(&mut self, source: PathBuf) {
        self.source = Some(source);
    }

    /// Where it is while it is not finished; absolute.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Where it will be when it is finished; absolute.
    fn finished_path(&self) -> PathBuf {
        self.experiment.join(self.name.to_string())
    }

    /// A message that names files in here, as it must read for whoever looks them up once the directory is finished.
    pub fn as_finished(&self, message: &str) -> String {
        let path = |path: &Path| path.display().to_string();
        message.replace(&path(&self.partial), &path(&self.finished_path()))
    }

    /// The file for what calibration complains of; its directory is made if need be.
    pub fn calibration_log(&self) -> Result<PathBuf, ResultsError> {
        let logs = self.partial.join(layout::LOGS);
        fs::create_dir_all(&logs).map_err(ResultsError::io(&logs))?;
        Ok(logs.join("calibration.log"))
    }

    /// The directory for the standard error of a run's nodes; made if need be.
    pub fn logs_dir(&self, arm: &str, repeat: u32) -> Result<PathBuf, ResultsError> {
        self.below(layout::LOGS, arm, repeat)
    }

    /// The directory for the configuration of a run's nodes; made if need be.
    pub fn nodes_dir(&self, arm: &str, repeat: u32) -> Result<PathBuf, ResultsError> {
        self.below(layout::NODES, arm, repeat)
    }

    fn below(&self, what: &str, arm: &str, repeat: u32) -> Result<PathBuf, ResultsError> {
        if !is_plain(arm) {
            return Err(ResultsError::Name(arm.to_owned()));
        }
        let path = self.partial.join(what).join(arm).join(repeat.to_string());
        fs::create_dir_all(&path).map_err(ResultsError::io(&path))?;
        Ok(path)
    }

    /// The links were calibrated; goes into the manifest.
    pub fn calibrated(&mut self, calibration: Vec<Calibrated>) {
        self.calibration = Some(calibration);
    }

    /// Enough was known after so many repeats: no more were made, on purpose.
    pub fn ended_after(&mut self, repeats: u32) {
        self.plans.retain(|plan| plan.repeat < repeats);
    }

    /// Takes it away again: there is nothing to keep.
    pub fn discard(self) -> Result<(), ResultsError> {
        fs::remove_dir_all(&self.partial).map_err(ResultsError::io(&self.partial))?;
        remove_if_empty(&self.experiment)
    }

    /// Writes everything that was found, gives the directory its name and lets `latest` point to it. Runs that were
    /// planned and are missing here make their arm invalid, with the ending as the reason; no runs at all is fine too. The records
    /// of whole runs stay where others are missing, so that the sweep can be resumed.
    pub fn finish(mut self, outcomes: &[RunOutcome], ending: &Ending) -> Result<Finished, ResultsError> {
        let summary = Summary {
            taken_over: TakenOver::of(self.taken_over, outcomes.iter().map(|outcome| outcome.record().started)),
            ..Summary::of(&self.plans, outcomes, ending, &self.identity, self.created)
        };
        let file = |name| self.partial.join(name);
        write_lines(&file(layout::EVENTS), outcomes.iter().flat_map(events))?;
        write_lines(&file(layout::METRICS), outcomes.iter().flat_map(metrics))?;
        tables::write_all(&self.partial, outcomes)?;
        let manifest = Manifest {
            calibration: self.calibration.take(),
            runs_taken_over: self.taken_over,
            ..Manifest::of(&self.plans, outcomes, &self.identity, self.created)
        };
        write_json(&file(layout::SUMMARY_JSON), &summary)?;
        write_text(&file(layout::SUMMARY_MD), &report::markdown(&summary))?;
        write_json(&file(layout::MANIFEST), &manifest)?;
        // From the files, as `peerbed report` would later.
        let source = report::Source::read(&[&self.partial])?;
        write_text(&file(layout::REPORT), &report::html(&source))?;

        let path = self.finished_path();
        rename_new(&self.partial, &path).map_err(ResultsError::io(&path))?;
        // Only now: an unfinished directory without its lock is anybody's to clean away.
        let lock = path.join(layout::LOCK);
        fs::remove_file(&lock).map_err(ResultsError::io(&lock))?;
        drop(self.lock);
        let link = self.experiment.join(layout::LATEST);
        point_link(&link, &self.name.to_string()).map_err(ResultsError::io(&link))?;
        let whole = outcomes.iter().filter(|outcome| !outcome.record().interrupted).count();
        let complete = whole >= self.plans.len();
        let useless = [path.clone()].into_iter().filter(|_| complete || whole == 0);
        for directory in useless.chain(self.source.filter(|_| complete)) {
            let runs = directory.join(layout::RUNS);
            absent(fs::remove_dir_all(&runs)).map_err(ResultsError::io(&runs))?;
        }
        Ok(Finished { path, summary })
    }
}

/// Makes a directory unless it is there; a symbolic link or a file in its place is an error.
fn make_dir(path: &Path) -> Result<(), ResultsError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(path).map_err(ResultsError::io(path))?;
            if found.is_dir() { Ok(()) } else { Err(ResultsError::io(path)(io::ErrorKind::NotADirectory.into())) }
        }
        other => other.map_err(ResultsError::io(path)),
    }
}

/// Makes the unfinished directory under the first free name of this second.
fn reserve(experiment: &Path, mut name: DirName) -> Result<(DirName, PathBuf), ResultsError> {
    loop {
        let partial = experiment.join(name.partial());
        let finished = experiment.join(name.to_string());
        let made = match fs::symlink_metadata(&finished) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::create_dir(&partial),
        };
        match made {
            Ok(()) => return Ok((name, partial)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => name = name.next(),
            Err(error) => return Err(ResultsError::io(&partial)(error)),
        }
    }
}

fn write_plans(path: &Path, plans: &[Arc<Plan>]) -> Result<(), ResultsError> {
    let documents: Vec<&Plan> = plans.iter().map(AsRef::as_ref).collect();
    let yaml = |error: serde_yaml::ser::Error| ResultsError::Yaml { path: path.to_owned(), message: error.to_string() };
    write_text(path, &serde_yaml::to_string_multiple(&documents).map_err(yaml)?)
}

/// A line of `events.jsonl`.
#[derive(Serialize)]
struct EventLine<'a> {
    arm: &'a str,
    repeat: u32,
    #[serde(flatten)]
    event: Happened<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Happened<'a> {
    /// By a node.
    Said(&'a Event),
    /// By the timeline.
    Done(Deed<'a>),
}

/// What the timeline did.
#[derive(Serialize)]
struct Deed<'a> {
    /// When it was begun, nanoseconds since the start of the run.
    t: u64,
    event: &'static str,
    action: &'static str,
    label: String,
    planned_ns: u64,
    done_ns: u64,
    nodes: &'a [NodeName],
    links: Vec<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    changes: &'a [PolicyChange],
}

/// What nodes said, then what the timeline did.
fn events(outcome: &RunOutcome) -> impl Iterator<Item = EventLine<'_>> {
    let Plan { arm, repeat, .. } = &*outcome.record().plan;
    let said = outcome.record().events.iter().map(Happened::Said);
    let done = outcome.record().acts.iter().map(|done| {
        Happened::Done(Deed {
            t: done.began_ns,
            event: "action",
            action: done.act.word(),
            label: done.act.label(),
            planned_ns: done.at.as_nanos() as u64,
            done_ns: done.done_ns,
            nodes: done.act.nodes(),
            links: done.act.links().iter().map(|link| link.name.as_str()).collect(),
            changes: done.act.changes(),
        })
    });
    said.chain(done).map(move |event| EventLine { arm, repeat: *repeat, event })
}

/// A line of `metrics.jsonl`.
#[derive(Serialize)]
struct MetricLine<'a> {
    experiment: &'a str,
    arm: &'a str,
    repeat: u32,
    seed: u64,
    valid: bool,
    #[serde(flatten)]
    metric: &'a Metric,
}

fn metrics(outcome: &RunOutcome) -> impl Iterator<Item = MetricLine<'_>> {
    let plan = &outcome.record().plan;
    outcome.metrics().rows.iter().map(|metric| MetricLine {
        experiment: &plan.experiment,
        arm: &plan.arm,
        repeat: plan.repeat,
        seed: plan.seed,
        valid: outcome.validity().valid(),
        metric,
    })
}
