//! Runs a program inside a node for a user who may use the Docker engine and has no other right: beside the agent, in its
//! container, by the engine's hand.
//!
//! `peerbed exec` asks the engine for it ([`Visit::through`]); the program that the engine starts is this one again
//! ([`main`]). It goes into the node's network and the caller's own files, becomes the caller, keeps only the rights that
//! concern the network, and runs what was asked for.

use std::{
    ffi::OsString,
    fs,
    io::{self, IsTerminal, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    process::{Command, ExitCode},
};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    process::{Gid, Pid, PidfdFlags, Signal, Uid, kill_process, pidfd_open},
    termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr},
    thread::{
        CapabilitySet, CapabilitySets, LinkNameSpaceType, configure_capability_in_ambient_set,
        move_into_link_name_space, set_capabilities, set_keep_capabilities, set_thread_groups, set_thread_res_gid,
        set_thread_res_uid,
    },
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    signal::unix::{SignalKind, signal},
};

use super::{
    AgentContainer, RuntimeError,
    enter::{EnterError, Signals, end_of, ended, exit_code, run_until},
};
use crate::{
    docker::{BesideControl, Engine, Heard, OWN_PROGRAM, Piece, Voice},
    say::complain,
};

/// What could not even be begun.
const NOT_BEGUN: u8 = 125;
/// What a shell would give for a program that was killed.
const KILLED: u8 = 128 + 9;
/// What a shell would give for a program that wrote to nobody.
const PIPE_BROKE: u8 = 128 + 13;
/// The rights that the program keeps: to speak to the network as it likes and to change what the node has of it.
const RIGHTS: [CapabilitySet; 3] = [CapabilitySet::NET_ADMIN, CapabilitySet::NET_RAW, CapabilitySet::NET_BIND_SERVICE];

/// What is to be run, where, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// The agent's process.
    agent: u32,
    /// The agent's descriptor of the node's network namespace.
    namespace: u32,
    /// The process that wants it. The program and its arguments are in its command line, behind the first `--`: there they
    /// may be as long as the kernel allows.
    caller: u32,
    /// Variables beside those of the caller.
    environment: Vec<(String, String)>,
}

impl Visit {
    /// For this process.
    pub fn new(agent: u32, namespace: u32, environment: &[(&str, &str)]) -> Self {
        let variable = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self { agent, namespace, caller: std::process::id(), environment: environment.iter().map(variable).collect() }
    }

    /// Have the engine run it, with this process's streams and terminal. Gives the exit code.
    pub async fn through(&self, container: &AgentContainer) -> Result<u8, RuntimeError> {
        let engine = Engine::connect(container.endpoint.clone(), "what is up").await?;
        let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        let orders = serde_json::to_string(self).expect("orders have only plain values");
        let words = [OWN_PROGRAM.to_owned(), "visit".to_owned(), orders];
        let beside = engine.begin_beside(&container.name, &words, terminal).await?;
        let control = beside.control();
        let _raw = terminal.then(Raw::enter).transpose().map_err(RuntimeError::Start)?;
        let streams = beside.streams;
        tokio::spawn(pass_in(streams.voice));
        tokio::spawn(pass_signals(control.clone(), terminal));
        let over = watch_end(self.agent).map_err(RuntimeError::Start)?;
        match show_until(streams.heard, over).await? {
            Shown::ToItsEnd => Ok(control.exit_code().await?.unwrap_or(NOT_BEGUN)),
            // With the agent's container the program is killed, of which the engine tells nobody.
            Shown::NetworkEnded => Ok(KILLED),
            Shown::NobodyReads => {
                hand_on(&control, Signal::HUP).await;
                Ok(PIPE_BROKE)
            }
        }
    }
}

/// How the showing of what the program says came to its end.
enum Shown {
    /// It said no more.
    ToItsEnd,
    /// The network went, and the program with it.
    NetworkEnded,
    /// Whoever read it has heard enough.
    NobodyReads,
}

/// Show what the program says.
async fn show(mut heard: Heard) -> Result<Shown, RuntimeError> {
    while let Some(piece) = heard.next().await {
        let shown = match piece? {
            Piece::Output(bytes) => io::stdout().write_all(&bytes).and_then(|()| io::stdout().flush()),
            Piece::Errors(bytes) => io::stderr().write_all(&bytes),
        };
        if shown.is_err() {
            return Ok(Shown::NobodyReads);
        }
    }
    Ok(Shown::ToItsEnd)
}

/// The same, unless this is over before.
async fn show_until(heard: Heard, over: impl Future<Output = ()>) -> Result<Shown, RuntimeError> {
    tokio::select! {
        shown = show(heard) => shown,
        () = over => Ok(Shown::NetworkEnded),
    }
}

/// Send the program a signal.
async fn hand_on(control: &BesideControl, signal: Signal) {
    if let Ok(Some(pid)) = control.pid().await
        && let Some(pid) = Pid::from_raw(pid as i32)
    {
        // It runs as this user. It may end in this very moment.
        let _ = kill_process(pid, signal);
    }
}

/// Returns when this process has ended.
fn watch_end(process: u32) -> io::Result<impl Future<Output = ()>> {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    let mut end = end_of(pidfd_open(pid, PidfdFlags::empty())?)?;
    Ok(async move { ended(Some(&mut end)).await })
}

/// The terminal passes every key on as it is, until this is dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Pass standard input on, and its end.
async fn pass_in(mut to: Voice) {
    let (mut from, mut chunk) = (tokio::io::stdin(), vec![0; 8192]);
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let passed = async {
            to.write_all(&chunk[..length]).await?;
            to.flush().await
        };
        if passed.await.is_err() {
            // The program has gone.
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// Pass on what is sent to this process: signals, and the size of the terminal.
async fn pass_signals(control: BesideControl, terminal: bool) {
    let kinds = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()];
    let listening = kinds.map(signal);
    let ([Ok(terminate), Ok(hangup), Ok(interrupt), Ok(quit)], Ok(mut size)) =
        (listening, signal(SignalKind::window_change()))
    else {
        return complain("signals are not passed on to the program");
    };
    let [mut terminate, mut hangup, mut interrupt, mut quit] = [terminate, hangup, interrupt, quit];
    let resize = || async {
        if let (true, Ok(now)) = (terminal, tcgetwinsize(io::stdout())) {
            // The program may have ended.
            let _ = control.resize(now.ws_row, now.ws_col).await;
        }
    };
    resize().await;
    loop {
        let sent = tokio::select! {
            _ = terminate.recv() => Signal::TERM,
            _ = hangup.recv() => Signal::HUP,
            // In a terminal these are keys, which the program gets as such.
            _ = interrupt.recv(), if !terminal => Signal::INT,
            _ = quit.recv(), if !terminal => Signal::QUIT,
            _ = size.recv() => {
                resize().await;
                continue;
            }
        };
        hand_on(&control, sent).await;
    }
}

/// The hidden subcommand `visit`, as root beside the agent. Must be called before the process has a second thread.
pub fn main() -> ExitCode {
    let orders = std::env::args().nth(2).unwrap_or_default();
    let begun = serde_json::from_str(&orders).map_err(io::Error::from).and_then(|visit: Visit| {
        let caller = visit.go_in()?;
        Ok((visit, caller))
    });
    let (visit, caller) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            complain(format_args!("error: the node cannot be entered: {error}"));
            return ExitCode::from(NOT_BEGUN);
        }
    };
    let Some((program, arguments)) = caller.words.split_first() else { return ExitCode::from(NOT_BEGUN) };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(caller.environment).envs(visit.environment);
    match run_until(command, Some(caller.process), Signals::AreAllPassedOn) {
        Ok(status) => ExitCode::from(exit_code(status)),
        Err(error) => {
            let error = EnterError::program(program.display().to_string(), error);
            complain(format_args!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Whom a program is run for.
struct Caller {
    process: OwnedFd,
    /// The program and its arguments.
    words: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Visit {
    /// Go into the node's network and the caller's files, and become the caller.
    fn go_in(&self) -> io::Result<Caller> {
        let open = |path: String| openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let caller = format!("/proc/{}", self.caller);
        let pid = i32::try_from(self.caller).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        let network = open(format!("/proc/{}/fd/{}", self.agent, self.namespace))?;
        let mounts = open(format!("{caller}/ns/mnt"))?;
        let directory = fs::read_link(format!("{caller}/cwd"))?;
        let words = words(&fs::read(format!("{caller}/cmdline"))?);
        let environment = variables(&fs::read(format!("{caller}/environ"))?);
        let who = Who::of(&fs::read_to_string(format!("{caller}/status"))?)?;
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;
        who.become_them()?;
        let home = |error| {
            complain(format_args!("the program begins in /: the working directory is not there: {error}"));
            std::env::set_current_dir("/")
        };
        std::env::set_current_dir(directory).or_else(home)?;
        Ok(Caller { process, words, environment })
    }
}

/// The words of a command line behind its first `--`, as the kernel shows it.
fn words(line: &[u8]) -> Vec<OsString> {
    let all = line.strip_suffix(b"\0").unwrap_or(line).split(|byte| *byte == 0);
    all.skip_while(|word| word != b"--").skip(1).map(|word| OsString::from_vec(word.to_vec())).collect()
}

/// The variables of an environment as the kernel shows it.
fn variables(environment: &[u8]) -> Vec<(OsString, OsString)> {
    let variables = environment.split(|byte| *byte == 0).filter_map(|variable| {
        let equals = variable.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
        let (name, value) = (&variable[..equals], &variable[equals + 1..]);
        Some((OsString::from_vec(name.to_vec()), OsString::from_vec(value.to_vec())))
    });
    variables.collect()
}

/// A user.
#[derive(Debug, PartialEq, Eq)]
struct Who {
    user: u32,
    group: u32,
    groups: Vec<u32>,
}

impl Who {
    /// By a process's `status`: the effective ones, second of four.
    fn of(status: &str) -> io::Result<Self> {
        let numbers = |key: &str| -> Option<Vec<u32>> {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().map(|word| word.parse().ok()).collect()
        };
        let found = || {
            let (users, group_ids) = (numbers("Uid:")?, numbers("Gid:")?);
            Some(Self { user: *users.get(1)?, group: *group_ids.get(1)?, groups: numbers("Groups:")? })
        };
        found().ok_or_else(|| io::Error::other("the kernel does not tell who asks"))
    }

    /// Become this user, with no right beyond those that concern the network.
    fn become_them(&self) -> io::Result<()> {
        let groups: Vec<Gid> = self.groups.iter().map(|group| Gid::from_raw(*group)).collect();
        let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group));
        let rights = RIGHTS.into_iter().fold(CapabilitySet::empty(), CapabilitySet::union);
        set_thread_groups(&groups)?;
        set_thread_res_gid(group, group, group)?;
        set_keep_capabilities(true)?;
        set_thread_res_uid(user, user, user)?;
        set_capabilities(None, CapabilitySets { effective: rights, permitted: rights, inheritable: rights })?;
        for right in RIGHTS {
            configure_capability_in_ambient_set(right, true)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_is_read_from_the_kernel() {
        let status = "Name:\tx\nUid:\t1000\t1001\t1002\t1003\nGid:\t7\t8\t9\t10\nGroups:\t8 100 \n"
            .replace("\\\t", "\t")
            .replace("\\\n", "\n");
        assert_eq!(Who::of(&status).unwrap(), Who { user: 1001, group: 8, groups: vec![8, 100] });
        let nobody = status.replace("8 100 ", "");
        assert_eq!(Who::of(&nobody).unwrap().groups, [0_u32; 0]);
        assert!(Who::of("Uid: 1").is_err());
        assert!(Who::of(&fs::read_to_string("/proc/self/status").unwrap()).is_ok());
    }

    #[test]
    fn what_is_to_be_run_stands_behind_the_dashes() {
        assert_eq!(words(b"peerbed\0exec\0n\0--\0sh\0-c\0\0--\0x\0"), ["sh", "-c", "", "--", "x"].map(OsString::from));
        assert!(words(b"peerbed\0exec\0").is_empty());
    }

    #[test]
    fn an_environment_is_read() {
        let pair = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        assert_eq!(variables(b"A=1\0B=x=y\0C=\0=odd\0plain\0"), [pair("A", "1"), pair("B", "x=y"), pair("C", "")]);
        assert_eq!(variables(b""), []);
    }
}
