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
    time::{Duration, Instant},
};

use peerbed_contract::{AsNumber, NodeName, Role};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FlockOperation, flock},
    process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal},
};
use serde::{Deserialize, Serialize};

use crate::runtime::NodeFiles;

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
    #[error("{path} cannot be read as a state ({source}): run `peerbed down`", path = .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> StateError + '_ {
    move |source| StateError::File { path: path.to_owned(), source }
}

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    /// Its number.
    pub(crate) pid: u32,
    /// When it began, in the kernel's ticks since boot.
    pub(crate) began: u64,
}

impl ProcessId {
    /// The process of this number; none if there is none.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, began: began(pid)? })
    }

    /// Whether it still runs.
    pub(crate) fn lives(self) -> bool {
        began(self.pid) == Some(self.began)
    }

    /// Send a signal; false if it does not run any more.
    pub(crate) fn signal(self, signal: Signal) -> io::Result<bool> {
        let Some(process) = self.open()? else { return Ok(false) };
        match pidfd_send_signal(process, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Wait until it has ended; false if it has not in this time.
    pub(crate) fn wait(self, within: Duration) -> io::Result<bool> {
        let Some(process) = self.open()? else { return Ok(true) };
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A descriptor of just this process; none if it has ended.
    fn open(self) -> io::Result<Option<std::os::fd::OwnedFd>> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // Looked at after the opening: from now on the descriptor cannot come to mean another.
            Ok(process) => Ok(self.lives().then_some(process)),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The start time of a process that has not ended: field 22 of `/proc/PID/stat`, behind the name in brackets, which may
/// have anything in it.
fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
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

    /// Become the only holder, as long as the file is open; none if there is another.
    pub(crate) fn lock(&self) -> Result<Option<File>, StateError> {
        let path = self.path.join("lock");
        let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let lock = open.map_err(file(&path))?;
        match flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(lock)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(file(&path)(error.into())),
        }
    }

    /// The state that was written last, whether or not its holder lives.
    pub(crate) fn read(&self) -> Result<Option<State>, StateError> {
        let path = self.state();
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|source| StateError::Damaged { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file(&path)(error)),
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
            gone(fs::remove_file(&path)).map_err(file(&path))?;
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
    fn a_process_is_told_apart() {
        let this = ProcessId::of(std::process::id()).unwrap();
        assert!(this.lives());
        let other = ProcessId { began: this.began + 1, ..this };
        assert!(!other.lives());
        assert!(!other.signal(Signal::KILL).unwrap(), "another process of the same number is not touched");
        assert!(other.wait(Duration::ZERO).unwrap());
        assert!(!this.wait(Duration::ZERO).unwrap());
    }

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
    }
}
