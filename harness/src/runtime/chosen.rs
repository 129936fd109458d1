//! The runtime that a command line names: whichever it is, behind the one seam.

use std::collections::BTreeMap;

use peerbed_contract::{NodeName, Place};
use peerbed_model::Plan;
use serde::{Deserialize, Serialize};

use super::{
    Deployment, Doors, Launch, NodeFiles, Notices, Programs, Progress, Runtime, RuntimeError, Unmet,
    client::Client,
    docker::{Docker, DockerDeployment},
    netns::{Netns, NetnsDeployment},
};
use crate::{
    agent::protocol::Signal,
    engine::{EngineOptions, Lack},
};

/// The runtimes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Processes in network namespaces
    Netns,
    /// Containers of a Docker engine on this machine
    Docker,
}

/// One of them.
#[derive(Debug, Clone)]
pub enum Chosen {
    /// Processes in network namespaces.
    Netns(Netns),
    /// Containers.
    Docker(Box<Docker>),
}

/// What one of them brought up.
#[derive(Debug)]
pub enum ChosenDeployment {
    /// By [`Netns`].
    Netns(NetnsDeployment),
    /// By [`Docker`].
    Docker(DockerDeployment),
}

impl Chosen {
    /// The one of this kind, with this very program as its agent.
    pub async fn of(kind: Kind, options: EngineOptions) -> Result<Self, RuntimeError> {
        match kind {
            Kind::Netns => Ok(Self::Netns(Netns::with(options))),
            Kind::Docker => Docker::find(options).await.map(|docker| Self::Docker(Box::new(docker))),
        }
    }

    /// Which one it is.
    pub fn kind(&self) -> Kind {
        match self {
            Chosen::Netns(_) => Kind::Netns,
            Chosen::Docker(_) => Kind::Docker,
        }
    }

    /// The same with other programs of the nodes.
    #[must_use]
    pub fn running(self, programs: Programs) -> Self {
        match self {
            Chosen::Netns(one) => Self::Netns(one.running(programs)),
            Chosen::Docker(one) => Self::Docker(Box::new(one.running(programs))),
        }
    }

    /// What the kernel does not give to an agent of it for the `tc` engine.
    pub(crate) async fn kernel_lacks(&self, congestion_control: &str) -> Result<Vec<Lack>, RuntimeError> {
        match self {
            Chosen::Netns(one) => Ok(one.look(congestion_control)?.kernel_engine),
            Chosen::Docker(one) => Ok(one.look(congestion_control).await?.kernel_engine),
        }
    }
}

/// Asks whichever it is.
macro_rules! whichever {
    ($type:ident, $self:ident, $one:ident => $ask:expr) => {
        match $self {
            $type::Netns($one) => $ask,
            $type::Docker($one) => $ask,
        }
    };
}

impl Runtime for Chosen {
    type Deployment = ChosenDeployment;

    fn name(&self) -> &'static str {
        whichever!(Chosen, self, one => one.name())
    }

    fn launch(&self) -> &Launch {
        whichever!(Chosen, self, one => one.launch())
    }

    fn options(&self) -> &EngineOptions {
        whichever!(Chosen, self, one => one.options())
    }

    async fn preflight(&self, plan: &Plan) -> Vec<Unmet> {
        whichever!(Chosen, self, one => one.preflight(plan).await)
    }

    async fn up(
        &self,
        plan: &Plan,
        files: &NodeFiles,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(ChosenDeployment, Notices), RuntimeError> {
        match self {
            Chosen::Netns(one) => {
                let (deployment, notices) = one.up(plan, files, progress).await?;
                Ok((ChosenDeployment::Netns(deployment), notices))
            }
            Chosen::Docker(one) => {
                let (deployment, notices) = one.up(plan, files, progress).await?;
                Ok((ChosenDeployment::Docker(deployment), notices))
            }
        }
    }
}

impl Deployment for ChosenDeployment {
    fn doors(&self) -> &Doors {
        whichever!(ChosenDeployment, self, one => one.doors())
    }

    fn agent(&self) -> &Client {
        whichever!(ChosenDeployment, self, one => one.agent())
    }

    fn details(&self) -> BTreeMap<String, String> {
        whichever!(ChosenDeployment, self, one => one.details())
    }

    async fn line(&self, node: &NodeName, line: &str) -> Result<(), RuntimeError> {
        whichever!(ChosenDeployment, self, one => one.line(node, line).await)
    }

    async fn signal(&self, node: &NodeName, signal: Signal) -> Result<(), RuntimeError> {
        whichever!(ChosenDeployment, self, one => one.signal(node, signal).await)
    }

    async fn spawn(&self, node: &NodeName) -> Result<u32, RuntimeError> {
        whichever!(ChosenDeployment, self, one => one.spawn(node).await)
    }

    fn settle(&self, node: &NodeName, place: &Place) -> Result<(), RuntimeError> {
        whichever!(ChosenDeployment, self, one => one.settle(node, place))
    }

    async fn down(&self) -> Result<(), RuntimeError> {
        whichever!(ChosenDeployment, self, one => one.down().await)
    }
}
