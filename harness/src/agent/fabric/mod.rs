//! Builds the network of a run and holds it: a namespace and a device for each node, and the engine between them. `wire` and
//! `tc` build it for the engine of that name, `bare` without any.

mod bare;
mod tc;
mod wire;

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::Arc,
};

use peerbed_contract::NodeName;
use peerbed_link::{Fabric, FabricNode, FabricPlace, LinkSpec, NotIpv4};
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::DupFlags,
    process::{Resource, getrlimit},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

pub(super) use self::tc::lacking;
use super::{devices::Ends, plug::Plugged, settings::SettingError};
use crate::{
    engine::{
        Engine, EngineChoice, EngineOptions, EngineReport,
        tc::{TcError, routers, ways::Row},
        wire::{WireError, suitable_threads},
    },
    netlink::{Beyond, NetlinkError},
    say::complain,
};

/// Why the network could not be built.
#[derive(Debug, thiserror::Error)]
pub(super) enum FabricError {
    /// The kernel refused a change of the network.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A namespace could not be made or entered.
    #[error("node {node}: its network namespace: {source}; `peerbed doctor` shows the machine's limits")]
    Namespace {
        /// Whose.
        node: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A setting of a namespace could not be written.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The files of settings could not be reached.
    #[error("the settings of network namespaces in /proc: {0}")]
    Settings(#[source] io::Error),
    /// The engine's end of a link could not be opened.
    #[error("node {node}: device {device}: the engine's end of its link: {source}; {remedy}")]
    End {
        /// Whose link.
        node: String,
        /// Which device.
        device: String,
        /// What the kernel said.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// Too few descriptors.
    #[error(
        "{nodes} nodes need {needed} file descriptors and this process may have {limit}: raise the hard limit \
         (`ulimit -Hn`, /etc/security/limits.conf)"
    )]
    Descriptors {
        /// Nodes.
        nodes: usize,
        /// Descriptors they need.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// An address of a family that is not carried.
    #[error(transparent)]
    Family(#[from] NotIpv4),
    /// The congestion control cannot be the name of one.
    #[error("`{0}` is not the name of a TCP congestion control")]
    CongestionControl(String),
    /// The engine did not start.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The engine cannot carry it.
    #[error(transparent)]
    Tc(#[from] TcError),
    /// More than a veth pair can be.
    #[error("without a link engine there are only two nodes, whose links do nothing")]
    Bare,
}

/// A network that stands.
#[derive(Debug)]
pub(super) struct Standing {
    /// The engine.
    pub(super) engine: Engine,
    /// How it was made.
    pub(super) report: EngineReport,
    /// The nodes with the namespaces that have their devices, in the order of the fabric.
    pub(super) nodes: Vec<(NodeName, OwnedFd)>,
    /// What is set up in each of those namespaces, in the same order.
    pub(super) sites: Vec<Site>,
    /// The addresses that they have in their own places, in the same order.
    pub(super) homes: Vec<Ipv4Addr>,
    /// The names and addresses of the fabric's places, in its order.
    pub(super) places: Vec<(NodeName, Ipv4Addr)>,
}

/// What a node's namespace is to have.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// Whose it is.
    pub(super) node: NodeName,
    /// Its address.
    pub(super) address: Ipv4Addr,
    /// TCP's congestion control on its route.
    pub(super) congestion_control: String,
    /// What its device leads to.
    pub(super) attached: Attached,
}

/// What the other end of a node's device is.
#[derive(Debug, Clone)]
pub(super) enum Attached {
    /// The `wire` engine holds it like this.
    Engine(Ends),
    /// A router of the `tc` engine, which wants what comes from these to be counted in the node's namespace.
    Router(Arc<[Row]>),
    /// The other node's device, without an engine.
    Node,
}

impl Attached {
    /// How the node's device is set up.
    pub(super) fn beyond(&self) -> Beyond {
        match self {
            Attached::Engine(_) | Attached::Node => Beyond::Engine,
            Attached::Router(_) => Beyond::Router,
        }
    }
}

impl Site {
    fn all(fabric: &Fabric, attached: &Attached) -> Result<Vec<Self>, NotIpv4> {
        let site = |node: &FabricNode| {
            Ok(Self {
                node: node.name.clone(),
                address: node.ipv4()?,
                congestion_control: fabric.congestion_control.clone(),
                attached: attached.clone(),
            })
        };
        fabric.nodes.iter().map(site).collect()
    }
}

impl Standing {
    /// Build it, so that its links can also become what `later` says. The calling thread goes through every namespace and is
    /// back in the agent's own at the end, or is of no further use after an error.
    pub(super) fn build(
        fabric: &Fabric,
        later: &[LinkSpec],
        options: &EngineOptions,
        mut progress: impl FnMut(usize),
    ) -> Result<Self, FabricError> {
        check(fabric)?;
        if options.engine == EngineChoice::Bare {
            return bare::build(fabric);
        }
        if by_kernel(fabric, later, options.engine)? {
            check_descriptors(fabric.nodes.len() + routers(fabric))?;
            return tc::build(fabric, later, progress);
        }
        check_descriptors(fabric.nodes.len())?;
        let mut builder = wire::Builder::new(Ends::choose(options.ends))?;
        for (position, node) in fabric.nodes.iter().enumerate() {
            builder.add(position, node, &fabric.congestion_control)?;
            progress(position + 1);
        }
        let threads = options.threads.unwrap_or_else(suitable_threads);
        builder.finish(fabric, threads)
    }

    fn new(
        engine: Engine,
        report: EngineReport,
        nodes: Vec<(NodeName, OwnedFd)>,
        fabric: &Fabric,
        sites: Vec<Site>,
    ) -> Result<Self, NotIpv4> {
        let place = |place: &FabricPlace| Ok((place.at.name.clone(), place.at.ipv4()?));
        let places = fabric.places.iter().map(place).collect::<Result<_, NotIpv4>>()?;
        let homes = sites.iter().map(|site| site.address).collect();
        Ok(Self { engine, report, nodes, sites, homes, places })
    }

    /// The numbers of the nodes' namespaces among this process's descriptors.
    pub(super) fn namespace_numbers(&self) -> Vec<u32> {
        self.nodes.iter().map(|(_, namespace)| namespace.as_raw_fd() as u32).collect()
    }

    /// A node's device is in another namespace now. The descriptor keeps its number, by which others know it.
    pub(super) fn moved(&mut self, position: usize, to: Plugged) -> io::Result<()> {
        rustix::io::dup3(&to.namespace, &mut self.nodes[position].1, DupFlags::CLOEXEC)?;
        match (&self.engine, to.counters) {
            (Engine::Tc(tc), Some(counters)) => tc.arrived(position, counters),
            (engine, _) => engine.arrived(position, to.statistics),
        }
        Ok(())
    }
}

/// Whether the kernel is to carry it, which must then be able to.
fn by_kernel(fabric: &Fabric, later: &[LinkSpec], choice: EngineChoice) -> Result<bool, FabricError> {
    if choice == EngineChoice::Wire {
        return Ok(false);
    }
    let unable = tc::check(fabric, later)?;
    match (unable, choice) {
        (None, _) => Ok(true),
        (Some(error), EngineChoice::Tc) => Err(error.into()),
        (Some(error), _) => {
            complain(format_args!("agent: the wire engine carries the network: {error}"));
            Ok(false)
        }
    }
}

/// What can be known before anything is made.
fn check(fabric: &Fabric) -> Result<(), FabricError> {
    let name = &fabric.congestion_control;
    // The kernel's TCP_CA_NAME_MAX, with the zero at the end.
    if name.is_empty() || name.len() >= 16 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    {
        return Err(FabricError::CongestionControl(name.clone()));
    }
    Ok(())
}

/// Whether there are enough for so many nodes and routers.
fn check_descriptors(nodes: usize) -> Result<(), FabricError> {
    let needed = descriptors_needed(nodes);
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => Err(FabricError::Descriptors { nodes, needed, limit }),
        _ => Ok(()),
    }
}

/// Descriptors of an agent with so many nodes: for each its namespace, the engine's end and what goes with it, two pipes;
/// and some more.
pub(crate) fn descriptors_needed(nodes: usize) -> u64 {
    nodes as u64 * 5 + 100
}

/// A descriptor of the calling thread's network namespace.
pub(super) fn current_namespace() -> io::Result<OwnedFd> {
    Ok(openat(CWD, "/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Move the calling thread back into a namespace.
fn go_back(own: &OwnedFd) -> Result<(), FabricError> {
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|source| FabricError::Namespace { node: "(the agent itself)".to_owned(), source: source.into() })
}
