//! The directory of the deployment that this user holds: who holds it, where its nodes are, their files. Only this module
//! knows the names in it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::{
        fd::AsFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use peerbed_contract::{AsNumber, NodeName, Role};
use rustix::{
    fs::{FlockOperation, OFlags, flock},
    process::geteuid,
};
use serde::{Deserialize, Serialize};

use super::process::ProcessId;
use crate::{
    regular::{self, ReadError},
    runtime::{AgentContainer, NodeFiles},
};

/// The state of the largest experiment is smaller.
const MOST_BYTES: u64 = 64 << 20;

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// A file of it.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory could be someone else's trap.
    #[error("{path} is not a directory that only you can enter: remove it, or set XDG_RUNTIME_DIR to your own", path = .0.display())]
    Unsafe(PathBuf),
    /// The state file is of another version or damaged.
    #[error("{path} cannot be read as a state ({reason}): run `peerbed down`", path = .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> StateError + '_ {
    move |source| StateError::File { path: path.to_owned(), source }
}

/// What others must know of a held deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The experiment.
    pub(crate) experiment: String,
    /// Its arm.
    pub(crate) arm: String,
    /// Who holds it.
    pub(crate) holder: ProcessId,
    /// Its agent and nodes; none while they are being set up.
    pub(crate) held: Option<Held>,
}

/// A deployment that stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The agent.
    pub(crate) agent: ProcessId,
    /// The agent's container, if it is one.
    #[serde(default)]
    pub(crate) container: Option<AgentContainer>,
    /// The nodes in the order of the plan.
    pub(crate) nodes: Vec<HeldNode>,
}

/// A node that can be entered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct HeldNode {
    /// Its name.
    pub(crate) name: NodeName,
    /// What it does.
    pub(crate) role: Role,
    /// Its AS.
    pub(crate) as_number: AsNumber,
    /// Its address.
    pub(crate) address: std::net::IpAddr,
    /// The number of the agent's descriptor of its network namespace.
    pub(crate) namespace: u32,
    /// Its process.
    pub(crate) pid: u32,
}

/// The directory.
#[derive(Debug, Clone)]
pub(crate) struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// `peerbed` in `$XDG_RUNTIME_DIR` if that is this user's own, else `/tmp/peerbed-UID`; made if absent.
    pub(crate) fn open() -> Result<Self, StateError> {
        let user = geteuid().as_raw();
        let own = |path: &PathBuf| fs::metadata(path).is_ok_and(|about| about.is_dir() && about.uid() == user);
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(own);
        Self::at(runtime.map_or_else(|| PathBuf::from(format!("/tmp/peerbed-{user}")), |dir| dir.join("peerbed")))
    }

    /// This very directory; made if absent.
    pub(crate) fn at(path: PathBuf) -> Result<Self, StateError> {
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(file(&path)(error)),
        }
        // A link is not followed: in /tmp anyone could have put one.
        let about = fs::symlink_metadata(&path).map_err(file(&path))?;
        let closed = about.is_dir() && about.uid() == geteuid().as_raw() && about.mode() & 0o777 == 0o700;
        if closed { Ok(Self { path }) } else { Err(StateError::Unsafe(path)) }
    }

    /// The nodes' files.
    pub(crate) fn files(&self) -> NodeFiles {
        NodeFiles { configs: self.path.join("nodes"), logs: self.path.join("logs") }
    }

    /// What the nodes say, one line each.
    pub(crate) fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// The holder's standard error.
    pub(crate) fn holder_log(&self) -> PathBuf {
        self.path.join("holder.log")
    }

    fn state(&self) -> PathBuf {
        self.path.join("state.json")
    }

    /// What the holder has locked as long as it lives.
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Become the only holder, as long as the file is open; none if there is another.
    pub(crate) fn lock(&self) -> Result<Option<File>, StateError> {
        let path = self.lock_path();
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600).custom_flags(OFlags::NONBLOCK.bits() as i32);
        let lock = options.open(&path).map_err(file(&path))?;
        match flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(lock)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(file(&path)(error.into())),
        }
    }

    /// The state that was written last, whether or not its holder lives.
    pub(crate) fn read(&self) -> Result<Option<State>, StateError> {
        let path = self.state();
        let damaged = |reason: String| StateError::Damaged { path: path.clone(), reason };
        match regular::read(&path, MOST_BYTES) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| damaged(error.to_string())),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(ReadError::Io(error)) => Err(file(&path)(error)),
            Err(error) => Err(damaged(error.to_string())),
        }
    }

    /// Write the state: readers see the old or the new one, whole.
    pub(crate) fn write(&self, state: &State) -> Result<(), StateError> {
        let (path, new) = (self.state(), self.path.join("state.json.new"));
        let text = serde_json::to_vec_pretty(state).expect("a state has only plain values");
        fs::write(&new, text).map_err(file(&new))?;
        fs::rename(&new, &path).map_err(file(&path))
    }

    /// Remove everything but the lock and the directory, which the next holder may be using.
    pub(crate) fn clear(&self) -> Result<(), StateError> {
        let NodeFiles { configs, logs } = self.files();
        for path in [configs, logs] {
            gone(fs::remove_dir_all(&path)).map_err(file(&path))?;
        }
        for path in [self.state(), self.path.join("state.json.new"), self.events(), self.holder_log()] {
            let removed = match fs::remove_file(&path) {
                // Nobody knows how a directory got here, but it must not stay in the way.
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => fs::remove_dir_all(&path),
                other => other,
            };
            gone(removed).map_err(file(&path))?;
        }
        Ok(())
    }
}

/// Not being there is as good as having been removed.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn only_a_closed_directory_is_used() {
        let base = tempfile::tempdir().unwrap();
        let made = StateDir::at(base.path().join("made")).unwrap();
        assert!(made.read().unwrap().is_none());
        let open = base.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(StateDir::at(open), Err(StateError::Unsafe(_))));
        let link = base.path().join("link");
        symlink(base.path().join("made"), &link).unwrap();
        assert!(matches!(StateDir::at(link), Err(StateError::Unsafe(_))));
    }

    #[test]
    fn one_holds_the_lock() {
        let base = tempfile::tempdir().unwrap();
        let dir = StateDir::at(base.path().join("x")).unwrap();
        let held = dir.lock().unwrap().unwrap();
        assert!(dir.lock().unwrap().is_none());
        drop(held);
        assert!(dir.lock().unwrap().is_some());
    }

    #[test]
    fn states_come_back_and_go() {
        let base = tempfile::tempdir().unwrap();
        let dir = StateDir::at(base.path().join("x")).unwrap();
        let holder = ProcessId { pid: 1, began: 2 };
        let state = State { experiment: "quick".to_owned(), arm: "hybrid".to_owned(), holder, held: None };
        dir.write(&state).unwrap();
        assert_eq!(dir.read().unwrap(), Some(state));
        dir.clear().unwrap();
        dir.clear().unwrap();
        assert_eq!(dir.read().unwrap(), None);
        fs::write(dir.state(), "{").unwrap();
        assert!(matches!(dir.read(), Err(StateError::Damaged { .. })));
        dir.clear().unwrap();
        fs::create_dir(dir.state()).unwrap();
        assert!(matches!(dir.read(), Err(StateError::Damaged { .. })));
        dir.clear().unwrap();
        assert_eq!(dir.read().unwrap(), None);
    }
}
