//! Owns the node processes: one thread that starts, signals and reaps them. Only this module starts processes in nodes.
//!
//! A process is started by entering the node's network namespace with this thread and then using the library's plain
//! spawn, which shares the agent's memory with the child until it executes the program. Nor does the child get a copy of
//! the agent's descriptors, of which there are several for each node: the thread has a table of its own with few in it. So
//! a start costs the same however large the agent has grown, and leaves no page of it to be copied while the engine works.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io,
    num::NonZeroI32,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use peerbed_contract::NodeName;
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    pipe::{PipeFlags, fcntl_setpipe_size, pipe_with},
    process::{
        Pid, PidfdFlags, Resource, Rlimit, Signal as Kernel, WaitOptions, WaitStatus, kill_process_group, pidfd_open,
        prlimit, setpriority_process, wait,
    },
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use tokio::sync::{mpsc::UnboundedSender, oneshot};

use super::{
    passage,
    protocol::{Signal, Spawn},
    sys,
};
use crate::say::complain;

/// Why a process could not be started or signalled.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpawnError {
    /// The node's namespace could not be entered.
    #[error("node {node}: its network namespace cannot be entered: {source}")]
    Namespace {
        /// Which.
        node: NodeName,
        /// What the kernel said.
        source: io::Error,
    },
    /// The log cannot be opened.
    #[error("node {node}: {log}: {source}", log = .log.display())]
    Log {
        /// Whose.
        node: NodeName,
        /// Which file.
        log: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// No pipe could be had.
    #[error("node {node}: no pipe for it: {source}")]
    Pipe {
        /// Whose.
        node: NodeName,
        /// What the kernel said.
        source: io::Error,
    },
    /// The program cannot be executed.
    #[error("node {node}: `{program}` cannot be started: {source}")]
    Program {
        /// Whose.
        node: NodeName,
        /// Which.
        program: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// An empty command line.
    #[error("node {0}: its command is empty")]
    NoProgram(NodeName),
    /// It has ended, or was never started.
    #[error("node {0} does not run")]
    NotRunning(NodeName),
    /// The kernel refused the signal.
    #[error("node {node} cannot be signalled: {source}")]
    Signal {
        /// Which.
        node: NodeName,
        /// What the kernel said.
        source: io::Error,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its exit code; none if a signal ended it.
    pub(super) code: Option<i32>,
    /// The signal that ended it.
    pub(super) signal: Option<i32>,
}

impl From<WaitStatus> for Ended {
    fn from(status: WaitStatus) -> Self {
        Self { code: status.exit_status(), signal: status.terminating_signal() }
    }
}

/// What the thread is asked for.
pub(super) enum Order {
    /// Start a process; the call's number comes back with the answer. The namespace is that of a descriptor with this
    /// number in the agent's table, which must stay there until then.
    Spawn { call: u64, spawn: Spawn, namespace: RawFd },
    /// Signal a node's process group.
    Signal { node: NodeName, signal: Signal, answer: oneshot::Sender<Result<(), SpawnError>> },
    /// Children have ended, stand still or go on: look which.
    Look,
    /// Kill every node.
    KillAll { done: oneshot::Sender<()> },
}

/// What the thread tells, in the order in which it happened.
#[derive(Debug)]
pub(super) enum Happened {
    /// A call for a process is answered, with its id outside of the agent's namespace, where that can be known, else inside.
    /// The writing end of its standard input and the reading end of its output were put into the passage before.
    Started { call: u64, node: NodeName, result: Result<u32, SpawnError> },
    /// A node's process stands still, or goes on.
    Stood { node: NodeName, still: bool },
    /// A node's process has ended.
    Ended { node: NodeName, how: Ended },
}

/// The nodes that run, by the process id inside, which is also that of the process's group.
type Running = BTreeMap<NonZeroI32, NodeName>;

/// What the thread works with.
pub(super) struct Spawner {
    /// The `/proc` of the outside, in which a process's outer id can be read.
    pub(super) outer_proc: Option<OwnedFd>,
    /// The soft limit of descriptors that nodes begin with.
    pub(super) node_descriptors: Option<u64>,
    /// Takes the pipes of what was started.
    pub(super) pipes: passage::Entrance,
    /// Gets told what happens.
    pub(super) tell: UnboundedSender<Happened>,
    /// Set when the agent is ending: nothing is started any more.
    pub(super) ending: Arc<AtomicBool>,
}

impl Spawner {
    /// Begin the thread. It ends when all senders of orders are gone.
    pub(super) fn begin(self) -> io::Result<mpsc::Sender<Order>> {
        let (orders, incoming) = mpsc::channel();
        std::thread::Builder::new().name("spawner".to_owned()).spawn(move || self.work(&incoming))?;
        Ok(orders)
    }

    fn work(self, orders: &mpsc::Receiver<Order>) {
        // What wakes the agent's runtime and what the signal handler writes to are in both tables, as both begin before.
        if let Err(error) = sys::own_descriptors() {
            return complain(format_args!("agent: no table of descriptors for the thread that starts nodes: {error}"));
        }
        // The agent may be favoured by the scheduler; the nodes, which inherit this thread's place, must not be.
        if let Err(error) = setpriority_process(None, 0) {
            complain(format_args!("agent: nodes keep the agent's priority: {error}"));
        }
        let mut running = Running::new();
        while let Ok(order) = orders.recv() {
            match order {
                Order::Spawn { .. } if self.ending.load(Ordering::Relaxed) => {}
                Order::Spawn { call, spawn, namespace } => {
                    let result = self.start(&spawn, namespace).map(|pid| {
                        running.insert(pid.as_raw_nonzero(), spawn.node.clone());
                        self.outer_pid(pid).unwrap_or(pid.as_raw_nonzero().get() as u32)
                    });
                    self.happened(Happened::Started { call, node: spawn.node, result });
                }
                Order::Signal { node, signal, answer } => {
                    let _ = answer.send(send_signal(&running, node, signal));
                }
                Order::Look => self.look(&mut running),
                Order::KillAll { done } => {
                    for pid in running.keys().filter_map(|pid| Pid::from_raw(pid.get())) {
                        // One that has just ended needs no signal.
                        let _ = kill_process_group(pid, Kernel::KILL);
                    }
                    let _ = done.send(());
                }
            }
        }
    }

    fn happened(&self, what: Happened) {
        // Nobody listens any more only when the agent is ending, which ends the processes too.
        let _ = self.tell.send(what);
    }

    fn start(&self, spawn: &Spawn, namespace: RawFd) -> Result<Pid, SpawnError> {
        let node = || spawn.node.clone();
        let Some(program) = spawn.argv.first() else { return Err(SpawnError::NoProgram(node())) };
        let failed = |source| SpawnError::Program { node: node(), program: program.clone(), source };
        let open = |log: &PathBuf| OpenOptions::new().append(true).create(true).open(log);
        let errors = match &spawn.log {
            Some(log) => {
                Stdio::from(open(log).map_err(|source| SpawnError::Log { node: node(), log: log.clone(), source })?)
            }
            None => Stdio::inherit(),
        };
        let pipes = || -> io::Result<_> { Ok((pipe_with(PipeFlags::CLOEXEC)?, pipe_with(PipeFlags::CLOEXEC)?)) };
        let ((stdin_read, stdin), (stdout, stdout_write)) =
            pipes().map_err(|source| SpawnError::Pipe { node: node(), source })?;
        // Commands are few and short. All pipes of a user share an allowance, beyond which they become tiny; one that
        // cannot shrink costs only that.
        let _ = fcntl_setpipe_size(&stdin, 4096);
        // A full path spares the library the search in the child, for which it would copy the agent's memory.
        let path = find(program).map_err(failed)?;
        let mut command = Command::new(path);
        command.arg0(program).args(&spawn.argv[1..]).process_group(0);
        command.env_clear();
        for name in ["PATH", "RUST_LOG", "RUST_BACKTRACE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.stdin(Stdio::from(stdin_read)).stdout(Stdio::from(stdout_write)).stderr(errors);
        // `self` is the agent's first thread, with the agent's table.
        openat(CWD, format!("/proc/self/fd/{namespace}"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .and_then(|namespace| move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)))
            .map_err(|source| SpawnError::Namespace { node: node(), source: source.into() })?;
        let child = command.spawn().map_err(failed)?;
        let pid = Pid::from_raw(child.id() as i32).expect("a child's process id is positive");
        self.settle(pid);
        self.pipes.send([stdin.as_fd(), stdout.as_fd()]).map_err(|source| {
            // Nobody could speak to it.
            let _ = kill_process_group(pid, Kernel::KILL);
            SpawnError::Pipe { node: node(), source }
        })?;
        Ok(pid)
    }

    /// Take from a new process what it has from the agent and should not have. The process may have ended already.
    fn settle(&self, pid: Pid) {
        // A soft limit that suits the agent is bad for programs that try every descriptor. Only the soft limit falls.
        if let Some(current) = self.node_descriptors {
            let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
            let _ = prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(current), maximum });
        }
        // When memory runs out, a node shall go, which is noticed and told, rather than the harness.
        let _ = fs::write(format!("/proc/{}/oom_score_adj", pid.as_raw_nonzero()), "300");
    }

    /// The process's id in the outer PID namespace: the outer `/proc` knows what a descriptor of the process refers to.
    fn outer_pid(&self, pid: Pid) -> Option<u32> {
        let outer = self.outer_proc.as_ref()?;
        let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // `thread-self`, as the table is this thread's.
        let path = format!("thread-self/fdinfo/{}", process.as_raw_fd());
        let info = openat(outer, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let text = io::read_to_string(fs::File::from(info)).ok()?;
        text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
    }

    /// Tell what became of children, and reap those that have ended: nodes, and processes of theirs that were orphaned and
    /// so came to process 1.
    fn look(&self, running: &mut Running) {
        let all = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
        loop {
            let (pid, status) = match wait(all) {
                Ok(Some(reaped)) => reaped,
                Ok(None) | Err(rustix::io::Errno::CHILD) => return,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return complain(format_args!("agent: children cannot be awaited: {error}")),
            };
            if status.stopped() || status.continued() {
                if let Some(node) = running.get(&pid.as_raw_nonzero()) {
                    self.happened(Happened::Stood { node: node.clone(), still: status.stopped() });
                }
                continue;
            }
            let Some(node) = running.remove(&pid.as_raw_nonzero()) else { continue };
            // What the node started goes with it, so that a restart finds its ports free. A group's number is not given
            // out again while the group has members, so this cannot reach a stranger; without members it is an error.
            let _ = kill_process_group(pid, Kernel::KILL);
            self.happened(Happened::Ended { node, how: Ended::from(status) });
        }
    }
}

fn send_signal(running: &Running, node: NodeName, signal: Signal) -> Result<(), SpawnError> {
    let kernel = match signal {
        Signal::Kill => Kernel::KILL,
        Signal::Stop => Kernel::STOP,
        Signal::Continue => Kernel::CONT,
    };
    let pid = running.iter().find(|(_, running)| **running == node).and_then(|(pid, _)| Pid::from_raw(pid.get()));
    let Some(pid) = pid else { return Err(SpawnError::NotRunning(node)) };
    kill_process_group(pid, kernel).map_err(|source| SpawnError::Signal { node, source: source.into() })
}

/// The file of a program: as it is if it has a `/`, else the first that can be executed in `$PATH`.
fn find(program: &str) -> io::Result<PathBuf> {
    if program.contains('/') {
        return Ok(PathBuf::from(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let executable = |file: &Path| rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok() && file.is_file();
    let mut candidates = std::env::split_paths(&path).map(|directory| directory.join(program));
    candidates.find(|file| executable(file)).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "not found in PATH"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_like_a_shell_does() {
        assert!(find("sh").unwrap().is_absolute());
        assert_eq!(find("./x").unwrap(), Path::new("./x"));
        assert_eq!(find("no-such-program-anywhere").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
