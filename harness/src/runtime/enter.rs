//! Runs a program inside a node: in the node's network namespace and, where nodes are processes, in the agent's user, mount
//! and PID namespaces.
//!
//! The program keeps the terminal, the working directory and the environment, and its exit code is passed on. It cannot
//! outlive the network, because it lives in the agent's PID namespace or is killed when the agent ends, nor the process that
//! runs it.

use std::{
    ffi::OsString,
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::MetadataExt, process::ExitStatusExt},
    },
    path::Path,
    process::{Command, ExitStatus},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{CWD, Mode, OFlags, openat},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use super::sys;
use crate::say::complain;

/// The program could not be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// The program was not found.
pub const NOT_FOUND: u8 = 127;

/// Why a node could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// The process has threads already, so that it cannot change its user namespace.
    #[error("a node can only be entered by a process with one thread")]
    Threads,
    /// A namespace cannot be opened or entered.
    #[error("the {what} of the node cannot be entered: {source}")]
    Namespace {
        /// Which.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The program could not be run.
    #[error("`{program}` cannot be run: {source}")]
    Program {
        /// Which.
        program: String,
        /// What the system said.
        source: io::Error,
    },
}

impl EnterError {
    /// A program that could not be run. The search for it ends with "permission denied" instead of "not found" when it came
    /// through a directory that is closed to the user, which would lead astray.
    pub(super) fn program(program: String, source: io::Error) -> Self {
        let source = match source.kind() {
            io::ErrorKind::PermissionDenied if !is_anywhere(&program) => io::Error::from(io::ErrorKind::NotFound),
            _ => source,
        };
        let source = match source.kind() {
            io::ErrorKind::NotFound if !program.contains('/') => {
                io::Error::new(io::ErrorKind::NotFound, "it is not installed (nothing of this name is in PATH)")
            }
            _ => source,
        };
        Self::Program { program, source }
    }

    /// What a shell would exit with.
    pub fn exit_code(&self) -> u8 {
        match self {
            EnterError::Program { source, .. } if source.kind() == io::ErrorKind::NotFound => NOT_FOUND,
            EnterError::Program { .. } => NOT_EXECUTABLE,
            _ => 125,
        }
    }
}

/// Whether a program is a path or can be seen in `$PATH`.
fn is_anywhere(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    program.contains('/') || std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// The namespaces of one node, held open.
#[derive(Debug)]
pub struct Door {
    user: Option<OwnedFd>,
    network: OwnedFd,
    /// The agent's PID and mount namespaces, if they are not for containers alone.
    inner: Option<(OwnedFd, OwnedFd)>,
    /// The agent, if its end is not by itself the end of what is in its namespaces.
    agent: Option<OwnedFd>,
}

impl Door {
    /// Open the namespaces of the node whose network namespace is this descriptor of the agent. Afterwards the caller
    /// should see that the agent still is the one that it meant.
    pub fn open(agent: u32, descriptor: u32) -> Result<Self, EnterError> {
        let processes = open("PID namespace", format!("/proc/{agent}/ns/pid"))?;
        let mounts = open("mount namespace", format!("/proc/{agent}/ns/mnt"))?;
        Ok(Self { inner: Some((processes, mounts)), ..Self::network(agent, descriptor)? })
    }

    /// Open the same of an agent that is a container: its files and process numbers are of no use to programs.
    pub fn of_container(agent: u32, descriptor: u32) -> Result<Self, EnterError> {
        let watched = i32::try_from(agent).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::SRCH);
        let watched = watched.and_then(|agent| pidfd_open(agent, PidfdFlags::empty()));
        let watched = watched.map_err(|source| EnterError::Namespace { what: "agent", source: source.into() })?;
        Ok(Self { agent: Some(watched), ..Self::network(agent, descriptor)? })
    }

    fn network(agent: u32, descriptor: u32) -> Result<Self, EnterError> {
        let inode = |path: String| fs::metadata(path).map(|about| about.ino());
        // Root's agent may share the user namespace, and nobody can enter the one he is in.
        let (own, theirs) = (inode("/proc/self/ns/user".to_owned()), inode(format!("/proc/{agent}/ns/user")));
        let same = matches!((own, theirs), (Ok(own), Ok(theirs)) if own == theirs);
        Ok(Self {
            user: if same { None } else { Some(open("user namespace", format!("/proc/{agent}/ns/user"))?) },
            network: open("network namespace", format!("/proc/{agent}/fd/{descriptor}"))?,
            inner: None,
            agent: None,
        })
    }

    /// Go in, run the program and wait for its end. This process stays inside, so it should end then.
    pub fn run(self, argv: &[OsString], environment: &[(&str, &str)]) -> Result<ExitStatus, EnterError> {
        let Some((program, arguments)) = argv.split_first() else { return Err(no_program()) };
        let directory = std::env::current_dir();
        self.go_in()?;
        let agent = self.agent;
        // The mount namespace has the same directories, but entering it leads to its root. One that has vanished or is
        // hidden is no reason not to run the program.
        if let Err(error) = directory.and_then(std::env::set_current_dir) {
            complain(format_args!("the program begins in /: the working directory is not there: {error}"));
        }
        let mut command = Command::new(program);
        command.args(arguments).envs(environment.iter().copied());
        run_until(command, agent, Signals::OfTheTerminalReachIt)
            .map_err(|source| EnterError::program(Path::new(program).display().to_string(), source))
    }

    fn go_in(&self) -> Result<(), EnterError> {
        let alone = fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1);
        if !alone {
            return Err(EnterError::Threads);
        }
        let enter = |what: &'static str, space: &OwnedFd, kind| {
            let entered = move_into_link_name_space(space.as_fd(), Some(kind));
            entered.map_err(|source| EnterError::Namespace { what, source: source.into() })
        };
        // The user namespace first: it gives the rights for the others.
        if let Some(user) = &self.user {
            enter("user namespace", user, LinkNameSpaceType::User)?;
        }
        enter("network namespace", &self.network, LinkNameSpaceType::Network)?;
        let Some((processes, mounts)) = &self.inner else { return Ok(()) };
        enter("PID namespace", processes, LinkNameSpaceType::ProcessID)?;
        enter("mount namespace", mounts, LinkNameSpaceType::Mount)
    }
}

fn open(what: &'static str, path: String) -> Result<OwnedFd, EnterError> {
    let opened = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    opened.map_err(|source| EnterError::Namespace { what, source: source.into() })
}

fn no_program() -> EnterError {
    EnterError::program(String::new(), io::Error::from(io::ErrorKind::NotFound))
}

/// What becomes of the signals that a terminal sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signals {
    /// They reach the program by themselves.
    OfTheTerminalReachIt,
    /// They are passed on to it.
    AreAllPassedOn,
}

/// Run the command to its end, or until the process of this descriptor ends, which kills it. It does not outlive this process.
pub(super) fn run_until(mut command: Command, end: Option<OwnedFd>, signals: Signals) -> io::Result<ExitStatus> {
    sys::die_with_this_process(&mut command);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(wait_for(command, end, signals))
}

/// The terminal's signals must not end this process before the program; those that are sent to this process alone are
/// passed on.
async fn wait_for(command: Command, end: Option<OwnedFd>, signals: Signals) -> io::Result<ExitStatus> {
    let mut end = end.map(end_of).transpose()?;
    let (mut interrupt, mut quit) = (signal(SignalKind::interrupt())?, signal(SignalKind::quit())?);
    let (mut terminate, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let mut child = tokio::process::Command::from(command).spawn()?;
    let pid = child.id().and_then(|pid| Pid::from_raw(pid as i32));
    let pass_on = |signal| {
        // It may end in this very moment; then the loop sees it next.
        let _ = pid.map(|pid| kill_process(pid, signal));
    };
    let pass_on_from_terminal = |signal| {
        if signals == Signals::AreAllPassedOn {
            pass_on(signal);
        }
    };
    loop {
        tokio::select! {
            status = child.wait() => return status,
            () = ended(end.as_mut()) => {
                pass_on(Signal::KILL);
                return child.wait().await;
            }
            _ = interrupt.recv() => pass_on_from_terminal(Signal::INT),
            _ = quit.recv() => pass_on_from_terminal(Signal::QUIT),
            _ = terminate.recv() => pass_on(Signal::TERM),
            _ = hangup.recv() => pass_on(Signal::HUP),
        }
    }
}

/// Told when the process of this descriptor ends, by a thread that waits for nothing else.
pub(super) fn end_of(process: OwnedFd) -> io::Result<oneshot::Receiver<()>> {
    let (tell, told) = oneshot::channel();
    let wait = move || {
        let waited = rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&process, PollFlags::IN)], None));
        if waited.is_ok() {
            // The program may have ended before.
            let _ = tell.send(());
        }
    };
    std::thread::Builder::new().name("end".to_owned()).spawn(wait)?;
    Ok(told)
}

/// Returns when it is told; never, if nobody will.
pub(super) async fn ended(end: Option<&mut oneshot::Receiver<()>>) {
    if let Some(end) = end
        && end.await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// What a shell would exit with after this end of a program.
pub fn exit_code(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code as u8,
        (None, Some(signal)) => 128u8.saturating_add(signal as u8),
        (None, None) => 1,
    }
}
