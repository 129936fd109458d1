//! Which results there are: finds the directories of the layout below a root, and nothing else. Symbolic links are never
//! followed below the root.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use rustix::fs::{FlockOperation, OFlags, flock};

use super::{
    files::ResultsError,
    layout::{self, DirName, is_plain},
};

/// Between the making of an unfinished directory and the taking of its lock there is a moment; so long nobody touches it.
const YOUNG: SignedDuration = SignedDuration::from_secs(60);

/// What became of a results directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// All of it is there.
    Complete,
    /// Its maker is at work.
    Running,
    /// Its maker is gone before it was finished.
    Partial,
    /// It has a name like ours and no manifest.
    Foreign,
}

/// One results directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose results.
    pub experiment: String,
    /// Its name, also while it is unfinished.
    pub name: DirName,
    /// Where it is.
    pub path: PathBuf,
    /// What became of it.
    pub state: State,
}

/// All results directories below `root`, of all experiments or of one, by experiment and time. No root, no results.
pub fn scan(root: &Path, experiment: Option<&str>) -> Result<Vec<Entry>, ResultsError> {
    let mut entries = Vec::new();
    for (name, path) in directories(root)? {
        if is_plain(&name) && experiment.is_none_or(|wanted| wanted == name) {
            for (directory, path) in directories(&path)? {
                entries.extend(entry(&name, &directory, path, Timestamp::now()));
            }
        }
    }
    entries.sort_by(|a, b| (&a.experiment, &a.name).cmp(&(&b.experiment, &b.name)));
    Ok(entries)
}

/// The same with the results of comparisons, which are below a directory of their own; their experiments have its name before theirs.
pub fn scan_all(root: &Path, experiment: Option<&str>) -> Result<Vec<Entry>, ResultsError> {
    let before = format!("{}/", layout::COMPARE);
    let compared = experiment.map(|wanted| wanted.strip_prefix(&before).unwrap_or(wanted));
    let mut entries = scan(root, experiment)?;
    let comparisons = scan(&root.join(layout::COMPARE), compared)?;
    entries
        .extend(comparisons.into_iter().map(|entry| Entry { experiment: before.clone() + &entry.experiment, ..entry }));
    Ok(entries)
}

fn entry(experiment: &str, directory: &str, path: PathBuf, now: Timestamp) -> Option<Entry> {
    let (name, state) = if let Some(name) = DirName::parse_partial(directory) {
        let state = match abandoned(&path, &name, now) {
            Some(_) => State::Partial,
            None => State::Running,
        };
        (name, state)
    } else {
        let manifest = fs::symlink_metadata(path.join(layout::MANIFEST));
        let state = if manifest.is_ok_and(|found| found.is_file()) { State::Complete } else { State::Foreign };
        (DirName::parse(directory)?, state)
    };
    Some(Entry { experiment: experiment.to_owned(), name, path, state })
}

/// Proof that nobody is at work in an unfinished directory; while it lives, nobody else can have it.
#[derive(Debug)]
pub(super) struct Abandoned {
    _lock: Option<File>,
}

/// Takes an unfinished directory over, if its maker is gone.
pub(super) fn abandoned(path: &Path, name: &DirName, now: Timestamp) -> Option<Abandoned> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    match OpenOptions::new().read(true).custom_flags(flags).open(path.join(layout::LOCK)) {
        Ok(lock) => {
            flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
            Some(Abandoned { _lock: Some(lock) })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let age = now.duration_since(name.created());
            (age.abs() > YOUNG).then_some(Abandoned { _lock: None })
        }
        Err(_) => None,
    }
}

/// The directories in a directory, without what is only linked there; names that are not UTF-8 are nobody's.
fn directories(path: &Path) -> Result<Vec<(String, PathBuf)>, ResultsError> {
    let listing = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        // One directory of somebody else's must not hide all others.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(path = %path.display(), "left out, because it cannot be read");
            return Ok(Vec::new());
        }
        other => other.map_err(ResultsError::io(path))?,
    };
    let mut found = Vec::new();
    for entry in listing {
        let entry = entry.map_err(ResultsError::io(path))?;
        let is_directory = entry.file_type().map_err(ResultsError::io(&entry.path()))?.is_dir();
        if let (true, Ok(name)) = (is_directory, entry.file_name().into_string()) {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}
