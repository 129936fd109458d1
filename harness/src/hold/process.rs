//! Processes of a held deployment: told apart from later ones with the same numbers, found, signalled and awaited.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal},
};
use serde::{Deserialize, Serialize};

/// How long the kernel may take to remove what was killed.
pub(crate) const AFTER_KILL: Duration = Duration::from_secs(15);

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
        Some(Self { pid, began: stat(pid)?.began })
    }

    /// Whether it still runs.
    pub(crate) fn lives(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.began == self.began)
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

    /// Ask it to end; kill it if it does not so in this time. False if it did not run any more.
    pub(crate) fn end(self, within: Duration) -> io::Result<bool> {
        let lived = self.signal(Signal::TERM)?;
        if lived && !self.wait(within)? {
            self.signal(Signal::KILL)?;
            self.wait(AFTER_KILL)?;
        }
        Ok(lived)
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

/// The children of a process.
pub(crate) fn children(parent: ProcessId) -> io::Result<Vec<ProcessId>> {
    let all = everyone()?;
    let mut children = Vec::new();
    for process in all {
        if stat(process.pid).is_some_and(|stat| stat.parent == parent.pid && stat.began == process.began) {
            children.push(process);
        }
    }
    Ok(children)
}

/// The holder that has this file locked: a process of this user that was started as one (`peerbed hold`) and has the lock
/// in one of its own descriptors. Anything less is no proof.
pub(crate) fn holder(lock: &Path) -> io::Result<Option<ProcessId>> {
    let lock = fs::metadata(lock)?;
    let is_holder = |process: &ProcessId| {
        let own = PathBuf::from(format!("/proc/{}", process.pid));
        let ours = fs::metadata(&own).is_ok_and(|about| about.uid() == geteuid().as_raw());
        let called = fs::read(own.join("cmdline")).is_ok_and(|line| line.starts_with(b"peerbed\0hold\0"));
        // Looked at before and after: all of it was seen of one process.
        ours && called && has_locked(&own, &lock) && process.lives()
    };
    Ok(everyone()?.into_iter().find(is_holder))
}

/// Whether one of a process's descriptors is of this file and has it locked.
fn has_locked(process: &Path, lock: &Metadata) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    descriptors.filter_map(Result::ok).any(|descriptor| {
        let of_the_file =
            fs::metadata(descriptor.path()).is_ok_and(|about| (about.dev(), about.ino()) == (lock.dev(), lock.ino()));
        // The kernel shows the locks that were taken through a descriptor in a line of its own.
        let locked = |text: String| text.lines().any(|line| line.starts_with("lock:") && line.contains(" FLOCK "));
        of_the_file && fs::read_to_string(process.join("fdinfo").join(descriptor.file_name())).is_ok_and(locked)
    })
}

/// Every process that can be seen.
fn everyone() -> io::Result<Vec<ProcessId>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        if let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse().ok()).and_then(ProcessId::of) {
            all.push(process);
        }
    }
    Ok(all)
}

/// What tells a process apart.
struct Stat {
    parent: u32,
    began: u64,
}

/// That of a process that has not ended: fields 4 and 22 of `/proc/PID/stat`, behind the name in brackets, which may have
/// anything in it.
fn stat(pid: u32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    Some(Stat { parent: fields.next()?.parse().ok()?, began: fields.nth(17)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use std::{fs::File, process::Command};

    use rustix::fs::{FlockOperation, flock};

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
    fn children_are_found() {
        let this = ProcessId::of(std::process::id()).unwrap();
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let found = children(this).unwrap();
        child.kill().unwrap();
        assert!(found.iter().any(|process| process.pid == child.id()), "{found:?}");
        child.wait().unwrap();
        assert!(children(this).unwrap().iter().all(|process| process.pid != child.id()));
    }

    #[test]
    fn a_lock_in_other_hands_proves_no_holder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(holder(file.path()).unwrap(), None);
        let lock = File::open(file.path()).unwrap();
        let (own, about) = (Path::new("/proc/self"), lock.metadata().unwrap());
        assert!(!has_locked(own, &about), "it is open and not locked");
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        assert!(has_locked(own, &about));
        assert_eq!(holder(file.path()).unwrap(), None, "this process was not started as a holder");
    }
}
