//! Remembers for a day what was measured, by machine, engine and class of links, in the user's cache directory.
//!
//! A cache that cannot be read or written costs time and nothing else: whatever is wrong with it, the links are measured.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Measured;
use crate::regular::{self, ReadError};

/// How long a measurement holds.
const HOLDS: SignedDuration = SignedDuration::from_hours(24);
/// A larger file was not written here: an entry has some 300 bytes.
const MOST_BYTES: u64 = 64 << 20;

/// Something remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// When it was measured.
    pub(super) at: Timestamp,
    /// What.
    pub(super) measured: Measured,
}

/// What is remembered, by machine, engine and class together.
#[derive(Debug, Default)]
pub(super) struct Cache {
    file: Option<PathBuf>,
    entries: BTreeMap<String, Entry>,
}

impl Cache {
    /// The user's; empty where there is none yet, or no place for one.
    pub(super) fn open() -> Self {
        // What is not absolute counts as not set, as the XDG specification has it.
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let directory = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
        directory.map_or_else(Self::default, |directory| Self::at(&directory.join("peerbed/calibration.json")))
    }

    fn at(file: &Path) -> Self {
        let entries = match regular::read(file, MOST_BYTES) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!("{} is not what it should be and is made anew: {error}", file.display());
                BTreeMap::new()
            }),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                tracing::warn!("{} cannot be read: {error}", file.display());
                BTreeMap::new()
            }
        };
        Self { file: Some(file.to_owned()), entries }
    }

    /// What is remembered under a key and still holds.
    pub(super) fn get(&self, key: &str, now: Timestamp) -> Option<&Entry> {
        // One from the future was made while the clock was wrong.
        let holds = |entry: &&Entry| (SignedDuration::ZERO..HOLDS).contains(&now.duration_since(entry.at));
        self.entries.get(key).filter(holds)
    }

    pub(super) fn put(&mut self, key: String, entry: Entry) {
        self.entries.insert(key, entry);
    }

    /// Writes down what still holds.
    pub(super) fn keep(mut self, now: Timestamp) {
        let Some(file) = self.file.take() else { return };
        self.entries.retain(|_, entry| now.duration_since(entry.at) < HOLDS);
        if let Err(error) = write(&file, &self.entries) {
            tracing::warn!("what was calibrated cannot be kept in {}: {error}", file.display());
        }
    }
}

fn write(file: &Path, entries: &BTreeMap<String, Entry>) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    // Whole or not at all, also if two write at once: the last one wins.
    let new = directory.join(format!("calibration.json.{}", std::process::id()));
    let text = serde_json::to_vec(entries).map_err(io::Error::other)?;
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, file));
    if written.is_err() {
        // Where it could not be made, there is nothing to remove.
        let _ = fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn entry(at: Timestamp) -> Entry {
        Entry { at, measured: Measured { flood_bps: Some(1e6), ..Measured::default() } }
    }

    #[test]
    fn what_is_kept_is_found_again_for_a_day() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("deep/calibration.json");
        let now = Timestamp::now();
        let mut cache = Cache::at(&file);
        cache.put("old".to_owned(), entry(now - SignedDuration::from_hours(25)));
        cache.put("new".to_owned(), entry(now - SignedDuration::from_hours(23)));
        cache.put("future".to_owned(), entry(now + SignedDuration::from_hours(1)));
        assert_eq!(cache.get("old", now), None);
        assert_eq!(cache.get("future", now), None);
        cache.keep(now);
        let again = Cache::at(&file);
        assert_eq!(again.get("new", now), Some(&entry(now - SignedDuration::from_hours(23))));
        assert!(!again.entries.contains_key("old"));
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_broken_cache_is_an_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("calibration.json");
        for text in ["{", "[]", "\u{0}"] {
            fs::write(&file, text).unwrap();
            assert!(Cache::at(&file).entries.is_empty());
        }
        // One that cannot be replaced, either; and one that would make whoever opens it wait for ever.
        let (taken, pipe) = (directory.path().join("taken"), directory.path().join("pipe"));
        fs::create_dir(&taken).unwrap();
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        for file in [&taken, &pipe] {
            let cache = Cache::at(file);
            assert!(cache.entries.is_empty());
            cache.keep(Timestamp::now());
        }
        assert!(taken.is_dir() && pipe.is_file(), "what is not a directory is replaced");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3, "nothing else is left");
    }
}
