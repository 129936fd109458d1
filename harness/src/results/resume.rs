//! Takes up a sweep that was not finished: finds the newest directory of it, and takes its whole runs over.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use peerbed_model::Plan;

use super::{
    Identity, ResultsDir, State,
    files::ResultsError,
    kept::{self, Begun},
    layout,
    scan::{Entry, scan},
};
use crate::record::RunRecord;

/// A sweep that goes on.
#[derive(Debug)]
pub struct Resumed {
    /// Where its results go: where they were begun, or a new directory if that was finished.
    pub dir: ResultsDir,
    /// Where the runs were kept.
    pub from: PathBuf,
    /// The runs that are taken over.
    pub records: Vec<RunRecord>,
    /// Of each record that is not believed, a sentence.
    pub damaged: Vec<String>,
}

/// Why nothing can be resumed.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// There is nothing.
    #[error("there is nothing of `{0}` to resume: no results of it are unfinished; leave --resume out to begin")]
    Nothing(String),
    /// There is something else.
    #[error(
        "nothing of `{experiment}` can be resumed: the newest unfinished results, {}, are of another sweep ({}); leave \
         --resume out to begin anew",
        path.display(), differences.join("; ")
    )]
    Other {
        /// Whose results.
        experiment: String,
        /// Which.
        path: PathBuf,
        /// What is different.
        differences: Vec<String>,
    },
    /// Somebody is at work.
    #[error("somebody is at work in {}", .0.display())]
    Busy(PathBuf),
    /// A file could not be read or made.
    #[error(transparent)]
    Results(#[from] ResultsError),
}

/// Goes on with the newest unfinished results of the same sweep.
pub fn resume(root: &Path, plans: &[Arc<Plan>], identity: Identity, begun: &Begun) -> Result<Resumed, ResumeError> {
    let experiment = plans.first().ok_or(ResultsError::NoPlans)?.experiment.clone();
    let mut other = None;
    let mut busy = None;
    for entry in scan(root, Some(&experiment))?.into_iter().rev() {
        let Some(found) = Begun::read(&entry.path) else { continue };
        let differences = begun.differences(&found);
        match entry.state {
            State::Running if differences.is_empty() => busy = busy.or(Some(entry.path)),
            State::Foreign | State::Running => {}
            State::Partial | State::Complete if !differences.is_empty() => {
                other = other.or(Some((entry.path, differences)));
            }
            State::Partial => return go_on(&entry, plans, identity),
            State::Complete => return begin_again(root, &entry, plans, identity, begun),
        }
    }
    Err(match (busy, other) {
        (Some(path), _) => ResumeError::Busy(path),
        (None, Some((path, differences))) => ResumeError::Other { experiment, path, differences },
        (None, None) => ResumeError::Nothing(experiment),
    })
}

/// Whose maker is gone is filled where it is.
fn go_on(entry: &Entry, plans: &[Arc<Plan>], identity: Identity) -> Result<Resumed, ResumeError> {
    let path = entry.path.clone();
    let Some(dir) = ResultsDir::reopen(&path, &entry.name, plans, identity)? else {
        return Err(ResumeError::Busy(path));
    };
    let (records, damaged) = records(&path, plans);
    for plan in plans {
        let missing = !records.iter().any(|record| record.plan == *plan);
        // What a run that was cut off left would be mixed with what is made now.
        let left =
            [layout::LOGS, layout::NODES].map(|what| path.join(what).join(&plan.arm).join(plan.repeat.to_string()));
        let record = path.join(layout::RUNS).join(&plan.arm).join(format!("{}.json", plan.repeat));
        if missing {
            for left in left {
                absent(fs::remove_dir_all(&left)).map_err(ResultsError::io(&left))?;
            }
            absent(fs::remove_file(&record)).map_err(ResultsError::io(&record))?;
        }
        let writing = record.with_file_name(format!(".writing-{}.json", plan.repeat));
        absent(fs::remove_file(&writing)).map_err(ResultsError::io(&writing))?;
    }
    Ok(Resumed { dir, from: path, records, damaged })
}

/// Finished results stay as they are: what they have is taken over into new ones.
fn begin_again(
    root: &Path,
    entry: &Entry,
    plans: &[Arc<Plan>],
    identity: Identity,
    begun: &Begun,
) -> Result<Resumed, ResumeError> {
    let from = entry.path.clone();
    let (records, damaged) = records(&from, plans);
    let mut dir = ResultsDir::create(root, plans, identity)?;
    begun.write(dir.path())?;
    for record in &records {
        let plan = &record.plan;
        for (what, to) in [
            (layout::LOGS, dir.logs_dir(&plan.arm, plan.repeat)?),
            (layout::NODES, dir.nodes_dir(&plan.arm, plan.repeat)?),
        ] {
            copy_files(&from.join(what).join(&plan.arm).join(plan.repeat.to_string()), &to)?;
        }
        dir.keep(record)?;
    }
    dir.takes_over(from.clone());
    Ok(Resumed { dir, from, records, damaged })
}

/// The records that are whole, in the order of the plans, and what is wrong with the others.
fn records(directory: &Path, plans: &[Arc<Plan>]) -> (Vec<RunRecord>, Vec<String>) {
    let (mut records, mut damaged) = (Vec::new(), Vec::new());
    for plan in plans {
        match kept::load(directory, plan) {
            Ok(record) => records.extend(record),
            Err(why) => damaged.push(format!(
                "the record of {} #{} is not believed, and the run is made again: {why}",
                plan.arm,
                plan.repeat + 1
            )),
        }
    }
    (records, damaged)
}

/// Copies the files of a directory, and no links or directories; no directory, no files.
fn copy_files(from: &Path, to: &Path) -> Result<(), ResultsError> {
    let listing = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(ResultsError::io(from))?,
    };
    for entry in listing {
        let entry = entry.map_err(ResultsError::io(from))?;
        if entry.file_type().map_err(ResultsError::io(&entry.path()))?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).map_err(ResultsError::io(&entry.path()))?;
        }
    }
    Ok(())
}

/// That something is not there is what was wanted.
pub(super) fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
