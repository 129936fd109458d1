//! A directory for what is of no use afterwards, gone with its owner; what a killed owner left goes when the next one comes.

use std::{
    fs::{self, File},
    path::Path,
    time::Duration,
};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

/// The file that its owner has locked.
const LOCK: &str = "lock";
/// A directory without a locked file may be one that is just being made.
const AGE: Duration = Duration::from_mins(1);

/// The directory.
pub(crate) struct Scratch {
    directory: TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes one for this purpose, in the system's directory for temporary files.
    pub(crate) fn make(purpose: &str) -> anyhow::Result<Self> {
        let parent = std::env::temp_dir();
        let prefix = format!("peerbed-{purpose}-");
        sweep(&parent, &prefix, AGE);
        let make = || {
            let directory = tempfile::Builder::new().prefix(&prefix).tempdir_in(&parent)?;
            let lock = File::create_new(directory.path().join(LOCK))?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            Ok::<_, std::io::Error>(Self { directory, _lock: lock })
        };
        make().with_context(|| format!("cannot make a directory in {}; TMPDIR may name another", parent.display()))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Remove what nobody has locked. What cannot be removed stays: it may be somebody else's.
fn sweep(parent: &Path, prefix: &str, age: Duration) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let named = entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix));
        let made =
            entry.metadata().ok().filter(|about| named && about.is_dir()).and_then(|about| about.modified().ok());
        if made.and_then(|made| made.elapsed().ok()).is_some_and(|old| old >= age) && abandoned(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn abandoned(directory: &Path) -> bool {
    match File::open(directory.join(LOCK)) {
        Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_its_owner_has_left_is_swept_away() {
        let parent = tempfile::tempdir().unwrap();
        let directory = |name: &str| {
            let path = parent.path().join(name);
            fs::create_dir(&path).unwrap();
            File::create(path.join(LOCK)).unwrap();
            path
        };
        let (left, held, other) = (directory("peerbed-x-1"), directory("peerbed-x-2"), directory("other-x-1"));
        let bare = parent.path().join("peerbed-x-3");
        fs::create_dir(&bare).unwrap();
        let lock = File::open(held.join(LOCK)).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        sweep(parent.path(), "peerbed-x-", AGE);
        assert!(left.exists() && bare.exists(), "they may be just being made");
        sweep(parent.path(), "peerbed-x-", Duration::ZERO);
        assert_eq!([&left, &bare, &held, &other].map(|path| path.exists()), [false, false, true, true]);
    }

    #[test]
    fn it_goes_with_its_owner() {
        let scratch = Scratch::make("test").unwrap();
        let path = scratch.path().to_owned();
        assert!(path.join(LOCK).is_file() && !abandoned(&path));
        drop(scratch);
        assert!(!path.exists());
    }
}
