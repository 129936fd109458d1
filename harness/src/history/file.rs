//! The file of the history: a line of JSON for each comparison, only ever added to.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, OFlags, flock};
use serde::Deserialize;

use super::entry::{Entry, VERSION};
use crate::regular::{self, ReadError};

/// More is neither read nor written: some twenty thousand comparisons.
const MOST_BYTES: u64 = 64 << 20;
/// More complaints help nobody.
const MOST_COMPLAINTS: usize = 50;

/// Why a history was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// It cannot be read.
    #[error("{path}: {why}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What stands against it.
        why: String,
    },
    /// It cannot be written.
    #[error("{path} cannot be written")]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// It would become larger than what is read.
    #[error(
        "{0} would become larger than the {MOST_BYTES} bytes that are read: move it away, or name another directory with --results"
    )]
    Full(PathBuf),
}

/// The file of the history below a directory of results.
pub fn below(results: &Path) -> PathBuf {
    results.join("history").join("history.jsonl")
}

/// Adds lines, all of them or, where the program is killed or the disk is full, the beginning of them; they are on the disk when it
/// returns. Other programs that add lines at the same time wait. A last line that was cut off earlier is ended first, and stays.
pub fn append(path: &Path, entries: &[Entry]) -> Result<(), HistoryError> {
    let failed = |source| HistoryError::Unwritten { path: path.to_owned(), source };
    let mut lines = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut lines, entry).map_err(|error| failed(error.into()))?;
        lines.push(b'\n');
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(failed)?;
    // Waits for no other end, where somebody put a pipe there.
    let flags = OFlags::NONBLOCK.bits() as i32;
    let opened = OpenOptions::new().create(true).read(true).append(true).custom_flags(flags).open(path);
    let mut file = opened.map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is no regular file")));
    }
    flock(&file, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
    let length = file.metadata().map_err(failed)?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1).map_err(failed)?;
    }
    if last != *b"\n" {
        lines.insert(0, b'\n');
    }
    if length + lines.len() as u64 > MOST_BYTES {
        return Err(HistoryError::Full(path.to_owned()));
    }
    file.write_all(&lines).and_then(|()| file.sync_all()).map_err(failed)?;
    // The name of a new file is in its directory.
    if length == 0 {
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    }
    Ok(())
}

/// What is in a history, in the order of its lines, and a sentence for each line that was left out. A file that is not there is a
/// history without lines.
pub fn read(path: &Path) -> Result<(Vec<Entry>, Vec<String>), HistoryError> {
    let failed = |why: String| HistoryError::Unreadable { path: path.to_owned(), why };
    let bytes = match bytes(path) {
        Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other.map_err(|error| failed(error.to_string()))?,
    };
    let (mut entries, mut complaints, mut untold) = (Vec::new(), Vec::new(), 0);
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').zip(1_usize..).filter(|(line, _)| line != b"\n");
    for (line, number) in lines {
        match entry(line) {
            Ok(entry) => entries.push(entry),
            Err(_) if complaints.len() == MOST_COMPLAINTS => untold += 1,
            Err(why) => {
                let torn = if line.ends_with(b"\n") { "" } else { "the last line was cut off: " };
                complaints.push(format!("{}: line {number} is left out: {torn}{why}", path.display()));
            }
        }
    }
    if untold > 0 {
        complaints.push(format!("{}: {untold} more lines are left out", path.display()));
    }
    Ok((entries, complaints))
}

/// Everything that is in the file, at a moment when nobody is adding to it.
fn bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    if !regular::is_regular(path) {
        // Which says what it is.
        return regular::read(path, MOST_BYTES);
    }
    let lock = File::open(path)?;
    flock(&lock, FlockOperation::LockShared).map_err(io::Error::from)?;
    regular::read(path, MOST_BYTES)
}

fn entry(line: &[u8]) -> Result<Entry, String> {
    #[derive(Deserialize)]
    struct Any {
        version: u32,
    }
    let any: Any = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if any.version != VERSION {
        return Err(format!("its version is {}, this program reads {VERSION}", any.version));
    }
    serde_json::from_slice(line).map_err(|error| error.to_string())
}
