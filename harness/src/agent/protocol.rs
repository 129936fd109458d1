//! What the harness and its agent say to each other: one JSON object per line, requests on the agent's standard input,
//! replies and notices on its standard output. The end of its standard input makes the agent remove everything and exit.

use std::path::PathBuf;

use peerbed_contract::NodeName;
use peerbed_link::{Fabric, LinkSpec};
use serde::{Deserialize, Serialize};

use crate::engine::{EngineOptions, EngineReport, Sample};

/// A request with its number; replies may come in another order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Chosen by the harness, unique on the stream.
    pub id: u64,
    /// What is wanted.
    pub request: Request,
}

/// What the harness wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Build the whole network; once per agent. Answered by [`Reply::Installed`].
    Install {
        /// What to build.
        fabric: Box<Fabric>,
        /// What its links will become, beyond what they are.
        #[serde(default)]
        later: Vec<LinkSpec>,
        /// How.
        options: EngineOptions,
    },
    /// Start a process in a node's namespace. Answered by [`Reply::Spawned`].
    Spawn(Spawn),
    /// Give a node's device to the network namespace of a process that somebody else started. Answered by [`Reply::Done`]
    /// when the device is up there, with its address and route.
    Plug {
        /// The node.
        node: NodeName,
        /// The process, as the agent sees it.
        pid: u32,
    },
    /// Move a node to a place of the fabric, with the address that it has there. Answered by [`Reply::Done`] when the address is
    /// there.
    Move {
        /// The node.
        node: NodeName,
        /// The name of the place; the node's own name: its own place.
        place: NodeName,
    },
    /// Write a line to a node's standard input.
    Line {
        /// The node.
        node: NodeName,
        /// Without its end.
        line: String,
    },
    /// Signal a node's process.
    Signal {
        /// The node.
        node: NodeName,
        /// Which.
        signal: Signal,
    },
    /// Change a link between ASes, without losing what is queued or under way.
    SetLink {
        /// Its index in [`Fabric::links`].
        link: u32,
        /// `a` to `b`.
        forward: LinkSpec,
        /// `b` to `a`.
        backward: LinkSpec,
    },
    /// Change a node's access link, likewise.
    SetAccess {
        /// The node.
        node: NodeName,
        /// Its uplink.
        up: LinkSpec,
        /// Its downlink.
        down: LinkSpec,
    },
    /// Traces that links follow begin at this time, which is not ahead.
    Begin {
        /// `CLOCK_MONOTONIC`, nanoseconds.
        at_ns: u64,
    },
    /// Read every counter. Answered by [`Reply::Sample`].
    Sample,
    /// Nothing will be asked for any more, nor is anything being started elsewhere: whoever removes what is left need not look
    /// twice.
    Farewell,
}

/// A process to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spawn {
    /// In whose namespace.
    pub node: NodeName,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Where its standard error goes, appended; none: to the agent's own.
    pub log: Option<PathBuf>,
}

/// Which signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
}

/// A line from the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// The answer to a call.
    Reply {
        /// The call's number.
        id: u64,
        /// The answer.
        reply: Reply,
    },
    /// Something that happened by itself.
    Notice(Notice),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The network stands.
    Installed(Installed),
    /// The process runs.
    Spawned {
        /// Its process id as the harness sees it (outside the agent's PID namespace) where that is known, else inside.
        pid: u32,
    },
    /// It is done.
    Done,
    /// The counters.
    Sample(Box<Sample>),
    /// It could not be done.
    Failed {
        /// Which node, link or device, what the kernel said, and what to do.
        message: String,
    },
}

/// What stands after [`Request::Install`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// How the engine holds the links.
    pub engine: EngineReport,
    /// The agent's process id as the harness sees it.
    pub agent_pid: u32,
    /// For each node, in the order of [`Fabric::nodes`], the number of the agent's descriptor of its network namespace:
    /// `/proc/<agent_pid>/fd/<number>` can be entered by the user who started the harness.
    pub namespaces: Vec<u32>,
}

/// Something that happened by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// So many hosts of the network stand, while [`Request::Install`] is under way.
    Progress {
        /// So many.
        made: u32,
        /// Of so many.
        total: u32,
    },
    /// A node printed a line on its standard output.
    Line {
        /// The node.
        node: NodeName,
        /// Without its end.
        line: String,
    },
    /// A node's process ended; every line it printed was passed on before.
    Exited {
        /// The node.
        node: NodeName,
        /// Its exit code; none if a signal ended it.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
    },
    /// A node's process stands still, by a signal from whomever.
    Frozen {
        /// The node.
        node: NodeName,
    },
    /// A node's process that stood still goes on. If it stood still only for a moment, this alone tells.
    Thawed {
        /// The node.
        node: NodeName,
    },
    /// The fabric can no longer be trusted (an engine thread died); the run is invalid.
    Broken {
        /// One sentence.
        message: String,
    },
}
