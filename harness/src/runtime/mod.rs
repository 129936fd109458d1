//! The runtime seam: what carries the nodes of a plan and the network between them. The run loop and `peerbed up` speak
//! only to the traits here; [`netns`] is the implementation with processes in network namespaces, [`docker`] the one with
//! containers.

mod calls;
mod chosen;
pub mod client;
pub mod docker;
pub mod enter;
pub(crate) mod fit;
mod launch;
pub mod netns;
mod notices;
mod programs;
mod ready;
mod sys;
pub mod visit;

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::join_all;
use peerbed_contract::{NodeConfig, NodeName, Place};
use peerbed_model::{Act, NewLink, Plan, PlannedNode, Relocation};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use self::client::Client;
pub use self::{
    chosen::{Chosen, ChosenDeployment, Kind},
    launch::Launch,
    notices::Notices,
    programs::Programs,
};
use crate::{
    agent::protocol::{Installed, Signal},
    docker::{DockerError, Endpoint},
    engine::{EngineOptions, EngineReport, Sample},
};

/// A line that a node has not taken within this time waits for it.
const TAKEN_WITHIN: Duration = Duration::from_secs(1);

/// What carries nodes.
pub trait Runtime {
    /// What stands after [`Runtime::up`].
    type Deployment: Deployment;

    /// Its name in results: `netns`, `docker`.
    fn name(&self) -> &'static str;

    /// What starts its agents.
    fn launch(&self) -> &Launch;

    /// How its links are made.
    fn options(&self) -> &EngineOptions;

    /// Everything that this machine lacks for the plan, all at once. Changes nothing.
    fn preflight(&self, plan: &Plan) -> impl Future<Output = Vec<Unmet>>;

    /// Build the network, write every node's configuration, start every node that no timeline adds later, and wait until all
    /// of those are ready.
    ///
    /// Must be awaited on the thread that lives as long as the deployment (a current-thread tokio runtime): the kernel
    /// ends the fabric when that thread ends. When the future is dropped or fails, everything is taken down again.
    fn up(
        &self,
        plan: &Plan,
        files: &NodeFiles,
        progress: &mut dyn FnMut(Progress),
    ) -> impl Future<Output = Result<(Self::Deployment, Notices), RuntimeError>>;

    /// Wait until nothing is left of what was last brought up, also if that was given up half-way.
    fn settle(&self) -> impl Future<Output = ()> {
        self.launch().settle()
    }
}

/// A network with its nodes, ready for the run. Every verb may be called while others are under way; none of them needs
/// the [`Notices`] to be read meanwhile.
pub trait Deployment {
    /// What others need to enter the nodes, as it was after the set-up.
    fn doors(&self) -> &Doors;

    /// The agent, which has the network.
    fn agent(&self) -> &Client;

    /// What else is to be known of what carries the nodes, for the manifest.
    fn details(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Write a line to a node's standard input.
    fn line(&self, node: &NodeName, line: &str) -> impl Future<Output = Result<(), RuntimeError>>;

    /// Signal a node's process (and the processes it started).
    fn signal(&self, node: &NodeName, signal: Signal) -> impl Future<Output = Result<(), RuntimeError>>;

    /// Start a node's process: that of a latecomer, or again after its end or while it is dying of [`Signal::Kill`]. It prints
    /// a `ready` line and must be told the start. Gives its process id.
    fn spawn(&self, node: &NodeName) -> impl Future<Output = Result<u32, RuntimeError>>;

    /// From now on a node's process is started with the configuration of this place.
    fn settle(&self, node: &NodeName, place: &Place) -> Result<(), RuntimeError>;

    /// Take everything down and wait until it is gone. May be called again.
    fn down(&self) -> impl Future<Output = Result<(), RuntimeError>>;

    /// How the links were made.
    fn engine(&self) -> &EngineReport {
        &self.doors().installed.engine
    }

    /// Write one line to all these nodes, without waiting for one before the next, nor long for any: for who does not read, the
    /// line is kept. Every node is tried; those that could not be told come back with the reason.
    fn tell(&self, nodes: &[NodeName], line: &str) -> impl Future<Output = Vec<(NodeName, RuntimeError)>> {
        async move {
            let tell = async |node| timeout(TAKEN_WITHIN, self.line(node, line)).await.unwrap_or(Ok(()));
            let told = join_all(nodes.iter().map(tell)).await;
            let untold = nodes.iter().zip(told).filter_map(|(node, told)| Some((node.clone(), told.err()?)));
            untold.collect()
        }
    }

    /// The run has begun at this time (`CLOCK_MONOTONIC`), and with it the traces that links follow.
    fn begin(&self, at_ns: u64) -> impl Future<Output = Result<(), RuntimeError>> {
        calls::begin(self.agent(), at_ns)
    }

    /// Carry out a planned act, of several nodes or links for all at once, as far as it is not what nodes are told: an order, or
    /// the place to which they were moved. A restart ends the process first if it runs.
    fn apply(&self, act: &Act) -> impl Future<Output = Result<(), RuntimeError>> {
        async move {
            match act {
                Act::Kill { nodes } => all(nodes, |node| self.signal(node, Signal::Kill)).await,
                Act::Freeze { nodes } => all(nodes, |node| self.signal(node, Signal::Stop)).await,
                Act::Thaw { nodes } => all(nodes, |node| self.signal(node, Signal::Continue)).await,
                Act::Add { nodes } => all(nodes, async |node| self.spawn(node).await.map(|_| ())).await,
                Act::Restart { nodes } => {
                    let restart = async |node| {
                        match self.signal(node, Signal::Kill).await {
                            // It does not run, which is how a restart usually finds it.
                            Ok(()) | Err(RuntimeError::Refused(_)) => {}
                            Err(error) => return Err(error),
                        }
                        self.spawn(node).await.map(|_| ())
                    };
                    all(nodes, restart).await
                }
                // Nothing but what nodes are told.
                Act::Order { .. } | Act::SetPolicy { .. } => Ok(()),
                Act::SetLink(_) | Act::Cut { .. } | Act::Heal { .. } => {
                    let set = |new: &NewLink| calls::set_link(self.agent(), new.link, [new.forward, new.backward]);
                    join_all(act.links().iter().map(set)).await.into_iter().collect()
                }
                Act::Move { nodes, to } => {
                    let relocate = async |(node, to): (&NodeName, &Relocation)| {
                        calls::relocate(self.agent(), node, &to.place).await?;
                        self.settle(node, &to.config)
                    };
                    join_all(nodes.iter().zip(to).map(relocate)).await.into_iter().collect()
                }
                Act::SetAccess { node, up, down } => calls::set_access(self.agent(), node, [*up, *down]).await,
            }
        }
    }

    /// Every counter of the network.
    fn sample(&self) -> impl Future<Output = Result<Sample, RuntimeError>> {
        calls::sample(self.agent())
    }
}

/// Does something with all these nodes at once; the first error is of the first node that had one.
async fn all<'a, F: Future<Output = Result<(), RuntimeError>>>(
    nodes: &'a [NodeName],
    what: impl Fn(&'a NodeName) -> F,
) -> Result<(), RuntimeError> {
    join_all(nodes.iter().map(what)).await.into_iter().collect()
}

/// Where the files of a deployment's nodes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFiles {
    /// Each node's configuration, `<node>.json`; created if absent.
    pub configs: PathBuf,
    /// Each node's standard error, `<node>.log`, and the agent's, `agent.log`; created if absent, appended to.
    pub logs: PathBuf,
}

impl NodeFiles {
    /// A node's configuration.
    pub fn config(&self, node: &NodeName) -> PathBuf {
        self.configs.join(format!("{node}.json"))
    }

    /// A node's standard error.
    pub fn log(&self, node: &NodeName) -> PathBuf {
        self.logs.join(format!("{node}.log"))
    }

    /// The agent's standard error.
    pub fn agent_log(&self) -> PathBuf {
        self.logs.join("agent.log")
    }

    /// Make the directories and write every node's configuration; gives the files by absolute paths.
    fn written(&self, plan: &Plan) -> Result<Self, RuntimeError> {
        for directory in [&self.configs, &self.logs] {
            fs::create_dir_all(directory).map_err(RuntimeError::file(directory))?;
        }
        let files = self.absolute()?;
        for node in &plan.nodes {
            let path = files.config(&node.name);
            fs::write(&path, config(node)).map_err(RuntimeError::file(&path))?;
        }
        Ok(files)
    }

    /// The same files by absolute paths.
    fn absolute(&self) -> Result<Self, RuntimeError> {
        let absolute = |path: &PathBuf| fs::canonicalize(path).map_err(RuntimeError::file(path));
        Ok(Self { configs: absolute(&self.configs)?, logs: absolute(&self.logs)? })
    }
}

/// A node's configuration as it is in its file.
fn config(node: &PlannedNode) -> Vec<u8> {
    written(&node.config)
}

/// The same in another place.
fn config_at(node: &PlannedNode, place: &Place) -> Vec<u8> {
    let mut config = node.config.clone();
    config.put(place);
    written(&config)
}

fn written(config: &NodeConfig) -> Vec<u8> {
    serde_json::to_vec(config).expect("a configuration has only plain values")
}

/// How far [`Runtime::up`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Hosts of the network that stand.
    Hosts {
        /// So many.
        made: usize,
        /// Of so many.
        total: usize,
    },
    /// Nodes that said they are ready.
    Ready {
        /// So many.
        ready: usize,
        /// Of so many.
        total: usize,
    },
}

/// Something a plan needs and this machine lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// What is needed, for example `user namespaces`.
    pub need: String,
    /// What was found instead.
    pub found: String,
    /// What to do.
    pub remedy: String,
}

impl std::fmt::Display for Unmet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}; {}", self.need, self.found, self.remedy)
    }
}

/// Why a runtime could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A node's program is not there.
    #[error(
        "the program `{program}` of node {node} is not in {directory}: build the workspace (`make build`), or set \
         PEERBED_NODES to the directory that has it"
    )]
    Program {
        /// The program's file name.
        program: String,
        /// The first node that needs it.
        node: NodeName,
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// A file could not be written or opened.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The agent could not be started.
    #[error("the agent could not be started: {0}")]
    Start(std::io::Error),
    /// The agent could not do something; it says what, for which node, and what to do.
    #[error("{0}")]
    Refused(String),
    /// The Docker engine did not do something.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// The agent is gone.
    #[error("the agent ended: {0}")]
    Gone(String),
    /// The agent answered a call with something that does not answer it.
    #[error("the agent answered `{call}` with {answer}: harness and agent are of different versions")]
    Confused {
        /// The call.
        call: &'static str,
        /// The answer.
        answer: String,
    },
    /// No such node in the plan.
    #[error("the plan has no node {0}")]
    NoSuchNode(NodeName),
    /// A node ended before it was ready.
    #[error("node {node} ended before it was ready ({how}); the end of {log}:\n{tail}", log = .log.display())]
    EndedEarly {
        /// Which.
        node: NodeName,
        /// `exit code 3`, `signal 9`.
        how: String,
        /// Its log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// Nodes did not become ready in time.
    #[error(
        "{missing} of {total} nodes were not ready after {waited:.1?} (a node says that it is by a `ready` event on its \
         standard output, docs/protocol.md):\n{details}"
    )]
    NotReady {
        /// How many.
        missing: usize,
        /// Of how many.
        total: usize,
        /// How long was waited.
        waited: Duration,
        /// The first of them with the last lines of their logs.
        details: String,
    },
    /// Nodes print without end instead of becoming ready.
    #[error("more than {lines} lines were printed by nodes that are not ready:\n{details}")]
    TooMuchSaid {
        /// So many.
        lines: usize,
        /// The first of the nodes with their last lines.
        details: String,
    },
    /// The network broke while it was set up.
    #[error("the network broke: {0}")]
    Broken(String),
    /// The agent did not end in time and was killed.
    #[error("the agent did not end within {0:.1?} and was killed")]
    Stuck(Duration),
}

impl RuntimeError {
    fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::File { path: path.to_owned(), source }
    }
}

/// What a holder of a deployment may tell others so that they can enter its nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doors {
    /// What the agent said after the installation.
    pub installed: Installed,
    /// The process of each node that runs, in the order of the plan.
    pub pids: Vec<u32>,
    /// The agent's container, if it is one.
    pub container: Option<AgentContainer>,
}

/// An agent that is a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentContainer {
    /// The engine.
    pub endpoint: Endpoint,
    /// The container's name.
    pub name: String,
}
