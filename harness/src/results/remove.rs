//! Takes results directories away: the only code that deletes results.

use std::{
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{
    files::{ResultsError, point_link, remove_if_empty, rename_new},
    layout::{self, DirName},
    scan::{Entry, State, abandoned, scan},
};

/// What came of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone; so many bytes were freed.
    Removed(u64),
    /// Somebody is at work there, or it isn't ours: it stays.
    LeftAlone,
}

/// Bytes of all files of a directory; links count as what they are, not as what they point to.
pub fn size_bytes(path: &Path) -> Result<u64, ResultsError> {
    let mut sum = 0;
    let mut open = vec![path.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).map_err(ResultsError::io(&directory))? {
            let entry = entry.map_err(ResultsError::io(&directory))?;
            // Of the entry itself, not of what it may point to.
            let found = entry.metadata().map_err(ResultsError::io(&entry.path()))?;
            if found.is_dir() { open.push(entry.path()) } else { sum += found.len() }
        }
    }
    Ok(sum)
}

/// Removes a results directory, and mends `latest` if it pointed there. It first gets the name of an unfinished one: if
/// this is cut off in the middle, what remains says so and can be removed again.
pub fn remove(entry: &Entry) -> Result<Removal, ResultsError> {
    let parent = entry.path.parent().unwrap_or(Path::new(".")).to_owned();
    let freed = size_bytes(&entry.path)?;
    let (path, _held) = match entry.state {
        State::Running | State::Foreign => return Ok(Removal::LeftAlone),
        State::Partial => match abandoned(&entry.path, &entry.name, Timestamp::now()) {
            Some(held) => (entry.path.clone(), Some(held)),
            None => return Ok(Removal::LeftAlone),
        },
        State::Complete => (set_aside(&parent, entry)?, None),
    };
    if entry.state == State::Complete {
        mend_latest(&parent, &entry.name)?;
    }
    fs::remove_dir_all(&path).map_err(ResultsError::io(&path))?;
    remove_if_empty(&parent)?;
    Ok(Removal::Removed(freed))
}

fn set_aside(parent: &Path, entry: &Entry) -> Result<PathBuf, ResultsError> {
    let path = parent.join(entry.name.partial());
    rename_new(&entry.path, &path).map_err(ResultsError::io(&path))?;
    Ok(path)
}

/// Lets `latest` point to the newest results that remain; without any, it goes.
fn mend_latest(experiment: &Path, removed: &DirName) -> Result<(), ResultsError> {
    let link = experiment.join(layout::LATEST);
    match fs::read_link(&link) {
        Ok(target) if target == Path::new(&removed.to_string()) => {}
        // Not there, not a link, or it points elsewhere: not ours to mend.
        _ => return Ok(()),
    }
    let (Some(root), Some(name)) = (experiment.parent(), experiment.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let remaining = scan(root, Some(name))?;
    match remaining.iter().rfind(|entry| entry.state == State::Complete) {
        Some(newest) => point_link(&link, &newest.name.to_string()),
        None => fs::remove_file(&link),
    }
    .map_err(ResultsError::io(&link))
}
