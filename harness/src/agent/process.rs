//! Makes the agent's process: moves it into namespaces of its own and sees that it never outlives the harness.
//!
//! Two processes: the one that the harness started stays outside and only watches; its child is process 1 of the new PID
//! namespace and does the work. When process 1 ends, by whatever, the kernel kills every process of the namespace, and
//! with the last of them the network namespaces and their devices go.
//!
//! The work ends in good order when its standard input ends or SIGTERM comes. If the harness dies, its end of that input
//! closes, and the watcher, which sees the death too, kills what is left a little later. If the watcher dies, the kernel
//! kills process 1 at once.

use std::{
    fs,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{CWD, Mode, OFlags, openat},
    mount::{MountFlags, MountPropagationFlags, mount, mount_change},
    pipe::{PipeFlags, pipe_with},
    process::{
        Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, getegid, geteuid, getppid, getrlimit, kill_process,
        pidfd_open, set_parent_process_death_signal, setpriority_process, setrlimit, setsid, waitpid,
    },
    thread::{UnshareFlags, set_name},
};

use super::{
    container, probe,
    protocol::{Notice, Said},
    serve::{self, Inherited},
    sys::{self, Forked},
};
use crate::say::complain;

/// The agent could not begin; standard error and a notice say why.
pub const CANNOT_BEGIN: u8 = 3;
/// The agent began and then failed.
pub const FAILED: u8 = 4;

/// How much the scheduler shall favour the agent, where the user may ask for it: the engine's lateness under load falls
/// from milliseconds to tens of microseconds.
const NICE: i32 = -15;
/// The soft limit of descriptors that nodes get, if the hard limit allows it and the user had none higher.
const NODE_DESCRIPTORS: u64 = 4096;
/// How long process 1 may take to end after the harness's death.
const GRACE: Duration = Duration::from_secs(5);

/// Why the agent could not begin.
#[derive(Debug, thiserror::Error)]
enum BeginError {
    /// No namespaces.
    #[error("the agent cannot have namespaces of its own ({what}: {source}); {remedy}")]
    Namespaces { what: &'static str, source: io::Error, remedy: String },
    /// Something else that should always work.
    #[error("the agent cannot {what}: {source}")]
    System { what: &'static str, source: io::Error },
}

fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> BeginError {
    move |source| BeginError::System { what, source: source.into() }
}

/// What process 1 shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Serve,
    Probe,
}

/// The subcommand `agent`, and `agent probe`. Must be called before the process has a second thread.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(2);
    let task = arguments.next();
    match task.as_deref() {
        Some("container") => return container::main(&arguments.next().unwrap_or_default()),
        Some("look") => return container::look(&arguments.next().unwrap_or_default()),
        _ => {}
    }
    let probing = task.as_deref() == Some("probe");
    if let Err(error) = crate::sys::survive_large_files() {
        complain(format_args!("agent: a log that grows beyond `ulimit -f` will end it: {error}"));
    }
    let task = if probing { Task::Probe } else { Task::Serve };
    match begin(task) {
        Ok(code) => code,
        Err(BeginError::Namespaces { what, source, .. }) if task == Task::Probe => {
            // The doctor has the remedy.
            complain(format_args!("{what}: {source}"));
            ExitCode::from(CANNOT_BEGIN)
        }
        Err(error) => {
            complain(&error);
            let notice = Said::Notice(Notice::Broken { message: error.to_string() });
            if let (Task::Serve, Ok(line)) = (task, serde_json::to_string(&notice)) {
                // Standard error and the exit code say it too.
                let _ = writeln!(io::stdout(), "{line}");
            }
            ExitCode::from(CANNOT_BEGIN)
        }
    }
}

fn begin(task: Task) -> Result<ExitCode, BeginError> {
    // Parents outside of this PID namespace have no id here; then the end of the input alone tells of their death.
    let parent = getppid().and_then(|parent| pidfd_open(parent, PidfdFlags::empty()).ok());
    take_precedence();
    let node_descriptors = raise_descriptors().map_err(system("raise its limit of descriptors"))?;
    let outer_proc = openat(CWD, "/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok();
    isolate()?;
    match sys::fork().map_err(system("fork"))? {
        Forked::Parent(worker) => watch(worker, parent.as_ref()),
        Forked::Child => {
            // If the watcher died before this moment, the end of the input tells.
            set_parent_process_death_signal(Some(Signal::KILL)).map_err(system("tie itself to its watcher"))?;
            Ok(work(task, outer_proc, node_descriptors))
        }
    }
}

/// Take a name, a session and a place before others at the processors.
pub(super) fn take_precedence() {
    // Only a name.
    let _ = set_name(c"peerbed-agent");
    // The terminal's signals are for the harness. Whoever started this as the first of a process group keeps them.
    let _ = setsid();
    // Refused to ordinary users; the engine reports what its threads got. Where the kernel shares the processor out by
    // session first, the session (with the nodes in it) needs its place as well, and nice counts only inside of it.
    let _ = setpriority_process(None, NICE);
    let _ = fs::write("/proc/self/autogroup", NICE.to_string());
}

/// The last argument of `agent probe`.
fn congestion_control() -> String {
    std::env::args().nth(3).unwrap_or_else(|| "cubic".to_owned())
}

/// Raise the soft limit of descriptors to the hard one; gives the soft limit for nodes.
pub(super) fn raise_descriptors() -> io::Result<Option<u64>> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(current.map(|current| current.max(NODE_DESCRIPTORS).min(maximum.unwrap_or(u64::MAX))))
}

/// Move this process, and its future children, into new namespaces.
fn isolate() -> Result<(), BeginError> {
    let spaces = UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::NEWPID;
    let (user, group, root) = (geteuid(), getegid(), geteuid().is_root());
    let outcome = if root { unshare_as_root(spaces) } else { sys::unshare(spaces | UnshareFlags::NEWUSER) };
    outcome.map_err(|source| BeginError::Namespaces { what: "unshare", source, remedy: probe::remedy() })?;
    if root {
        return Ok(());
    }
    let map = |file: &'static str, text: String| {
        let written = fs::write(format!("/proc/self/{file}"), text);
        written.map_err(|source| BeginError::Namespaces { what: file, source, remedy: probe::remedy() })
    };
    // Without this the kernel does not let an ordinary user map a group.
    map("setgroups", "deny".to_owned())?;
    map("uid_map", format!("0 {} 1", user.as_raw()))?;
    map("gid_map", format!("0 {} 1", group.as_raw()))
}

/// Root gets a user namespace as well, so that nodes have no power over the machine; but one with every user of the
/// machine in it, so that root may still read a program in some user's home. Where user namespaces are switched off, root
/// does without.
fn unshare_as_root(spaces: UnshareFlags) -> io::Result<()> {
    let ranges = |file: &str| -> io::Result<String> {
        let own = fs::read_to_string(format!("/proc/self/{file}"))?;
        let lines = own.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let (first, _, count) = (words.next()?, words.next()?, words.next()?);
            Some(format!("{first} {first} {count}\n"))
        });
        Ok(lines.collect())
    };
    let (users, groups) = (ranges("uid_map")?, ranges("gid_map")?);
    let this = std::process::id();
    // More than one's own user can only be mapped from outside of the new namespace: by a helper that stays there.
    let (go, tell) = pipe_with(PipeFlags::CLOEXEC)?;
    let helper = match sys::fork()? {
        Forked::Parent(helper) => helper,
        Forked::Child => {
            drop(tell);
            let mut word = [0];
            let told = rustix::io::read(&go, &mut word);
            let mapped = || -> io::Result<()> {
                fs::write(format!("/proc/{this}/uid_map"), &users)?;
                fs::write(format!("/proc/{this}/gid_map"), &groups)
            };
            let fine = matches!(told, Ok(0)) || (matches!(told, Ok(1)) && mapped().is_ok());
            std::process::exit(i32::from(!fine));
        }
    };
    drop(go);
    let unshared = sys::unshare(spaces | UnshareFlags::NEWUSER);
    if unshared.is_ok() {
        rustix::io::write(&tell, &[1])?;
    }
    drop(tell);
    let status = waitpid(Some(helper), WaitOptions::empty())?;
    match unshared {
        Ok(()) if status.is_some_and(|(_, status)| status.exit_status() == Some(0)) => Ok(()),
        Ok(()) => Err(io::Error::other("the users of the new namespace cannot be mapped")),
        Err(_) => sys::unshare(spaces),
    }
}

/// The watcher: wait for the end of process 1; after the harness's death, not for long.
fn watch(worker: Pid, harness: Option<&OwnedFd>) -> Result<ExitCode, BeginError> {
    // Its copies of the pipes must not keep them open.
    let pipes = nothing_as_standard_streams().map_err(system("let go of its input"))?;
    drop(pipes);
    let process = pidfd_open(worker, PidfdFlags::empty()).map_err(system("watch process 1"))?;
    let mut ends = vec![PollFd::new(&process, PollFlags::IN)];
    ends.extend(harness.map(|harness| PollFd::new(harness, PollFlags::IN)));
    wait_for_any(&mut ends, None).map_err(system("watch process 1"))?;
    if ends[0].revents().is_empty() {
        let grace = rustix::time::Timespec { tv_sec: GRACE.as_secs() as i64, tv_nsec: 0 };
        wait_for_any(&mut ends[..1], Some(&grace)).map_err(system("watch process 1"))?;
        if ends[0].revents().is_empty() {
            // It may end in this very moment.
            let _ = kill_process(worker, Signal::KILL);
        }
    }
    let status = waitpid(Some(worker), WaitOptions::empty()).map_err(system("await process 1"))?;
    Ok(match status.and_then(|(_, status)| status.exit_status()) {
        Some(code) => ExitCode::from(code as u8),
        None => ExitCode::from(FAILED),
    })
}

fn wait_for_any(ends: &mut [PollFd<'_>], timeout: Option<&rustix::time::Timespec>) -> rustix::io::Result<()> {
    rustix::io::retry_on_intr(|| poll(ends, timeout)).map(|_| ())
}

/// Process 1.
fn work(task: Task, outer_proc: Option<OwnedFd>, node_descriptors: Option<u64>) -> ExitCode {
    let result = match task {
        Task::Serve => settle().and_then(|(pid, [stdin, stdout])| {
            let proc = PathBuf::from("/proc");
            serve::run(Inherited { stdin, stdout, pid, outer_proc, node_descriptors, proc, first_call_within: None })
                .map(drop)
        }),
        Task::Probe => settle_mounts().and_then(|()| probe::inside(&congestion_control())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("agent: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

fn settle() -> io::Result<(u32, [OwnedFd; 2])> {
    // Read before the new /proc: the old one knows this process by its outer id.
    let outer = fs::read_link("/proc/self")?;
    let pid = outer.to_string_lossy().parse().map_err(io::Error::other)?;
    settle_mounts()?;
    Ok((pid, nothing_as_standard_streams()?))
}

/// Mounts made here stay here, while what the machine unmounts is not held on to; and /proc shows this PID namespace.
fn settle_mounts() -> io::Result<()> {
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    if let Err(error) = mount("proc", "/proc", "proc", flags, None) {
        // Some sandboxes cover parts of /proc, and then no other may be mounted. Everything works with the old one, only
        // process ids look different.
        complain(format_args!("agent: /proc shows the processes of the outside: {error}"));
    }
    Ok(())
}

/// Give back standard input and output, with nothing in their places, so that no child and no stray print reaches them.
pub(super) fn nothing_as_standard_streams() -> io::Result<[OwnedFd; 2]> {
    let (stdin, stdout) = (io::stdin().as_fd().try_clone_to_owned()?, io::stdout().as_fd().try_clone_to_owned()?);
    let nothing = openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    Ok([stdin, stdout])
}
