//! Builds the network of a run and holds it: a namespace and a device for each node, and the engine between them.

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use peerbed_contract::NodeName;
use peerbed_link::{Fabric, FabricNode};
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::DupFlags,
    process::{Resource, getrlimit},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space},
};

use super::{
    devices::{self, Ends, Tun, UdpSegments},
    netlink::{self, Netlink, NetlinkError},
    plug::Plugged,
    settings::{SettingError, Settings},
    sys,
};
use crate::engine::{
    EngineOptions, EngineReport,
    wire::{End, Port, Wire, WireError, suitable_threads},
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
    /// The congestion control cannot be the name of one.
    #[error("`{0}` is not the name of a TCP congestion control")]
    CongestionControl(String),
    /// The engine did not start.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// A network that stands.
#[derive(Debug)]
pub(super) struct Standing {
    /// The engine.
    pub(super) wire: Wire,
    /// How it was made.
    pub(super) report: EngineReport,
    /// The nodes with the namespaces that have their devices, in the order of the fabric.
    pub(super) nodes: Vec<(NodeName, OwnedFd)>,
    /// What is set up in each of those namespaces, in the same order.
    pub(super) sites: Vec<Site>,
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
    /// What its device is.
    pub(super) ends: Ends,
}

/// Devices in the agent's own namespace have this index plus the node's position, clear of those the kernel gives out.
const FIRST_VETH: u32 = 1000;

impl Standing {
    /// Build it. The calling thread goes through every namespace and is back in the agent's own at the end, or is of no
    /// further use after an error.
    pub(super) fn build(
        fabric: &Fabric,
        options: &EngineOptions,
        mut progress: impl FnMut(usize),
    ) -> Result<Self, FabricError> {
        let ends = Ends::choose(options.ends);
        check(fabric)?;
        let mut builder = Builder::new(ends)?;
        for (position, node) in fabric.nodes.iter().enumerate() {
            builder.add(position, node, &fabric.congestion_control)?;
            progress(position + 1);
        }
        let threads = options.threads.unwrap_or_else(suitable_threads);
        builder.finish(fabric, threads)
    }

    /// The numbers of the nodes' namespaces among this process's descriptors.
    pub(super) fn namespace_numbers(&self) -> Vec<u32> {
        self.nodes.iter().map(|(_, namespace)| namespace.as_raw_fd() as u32).collect()
    }

    /// A node's device is in another namespace now. The descriptor keeps its number, by which others know it.
    pub(super) fn moved(&mut self, position: usize, to: Plugged) -> io::Result<()> {
        rustix::io::dup3(&to.namespace, &mut self.nodes[position].1, DupFlags::CLOEXEC)?;
        self.wire.arrived(position, to.statistics);
        Ok(())
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
    let nodes = fabric.nodes.len();
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

struct Builder {
    ends: Ends,
    own: OwnedFd,
    /// Speaks to the agent's own namespace.
    netlink: Netlink,
    settings: Settings,
    nodes: Vec<(NodeName, OwnedFd)>,
    tuns: Vec<Tun>,
}

impl Builder {
    fn new(ends: Ends) -> Result<Self, FabricError> {
        let node = "(the agent itself)";
        let own = current_namespace().map_err(|source| FabricError::Namespace { node: node.to_owned(), source })?;
        let mut settings = Settings::new().map_err(FabricError::Settings)?;
        settings.own(node)?;
        Ok(Self { ends, own, netlink: Netlink::open(node)?, settings, nodes: Vec::new(), tuns: Vec::new() })
    }

    fn add(&mut self, position: usize, node: &FabricNode, congestion_control: &str) -> Result<(), FabricError> {
        let name = node.name.as_str();
        let namespace = sys::unshare(UnshareFlags::NEWNET)
            .and_then(|()| current_namespace())
            .map_err(|source| FabricError::Namespace { node: name.to_owned(), source })?;
        self.settings.node(name)?;
        match self.ends {
            Ends::Tun => self.tuns.push(devices::tun().map_err(|source| FabricError::End {
                node: name.to_owned(),
                device: netlink::DEVICE.to_owned(),
                source,
                remedy: "choose the ends `packet` if TUN devices cannot be used here",
            })?),
            Ends::Packet => {
                let (outer, index) = (veth_name(position), veth_index(position));
                self.netlink.carry_out(name, &[netlink::veth(&outer, index, namespace.as_raw_fd())])?;
            }
        }
        Netlink::open(name)?
            .carry_out(name, &netlink::node(netlink::DEVICE_INDEX, node.address, congestion_control))?;
        self.nodes.push((node.name.clone(), namespace));
        Ok(())
    }

    fn finish(self, fabric: &Fabric, threads: u32) -> Result<Standing, FabricError> {
        let Self { ends, own, nodes, tuns, .. } = self;
        move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network)).map_err(|source| {
            FabricError::Namespace { node: "(the agent itself)".to_owned(), source: source.into() }
        })?;
        let (ports, udp) = match ends {
            Ends::Tun => {
                let udp = UdpSegments(tuns.iter().all(|tun| tun.udp.0));
                let port = |tun: Tun| Port { fd: tun.fd, end: End::Tun, statistics: Some(tun.statistics) };
                (tuns.into_iter().map(port).collect(), udp)
            }
            Ends::Packet => {
                let mut ports = Vec::with_capacity(nodes.len());
                for (position, (node, _)) in nodes.iter().enumerate() {
                    let fd = devices::packet(veth_index(position)).map_err(|source| FabricError::End {
                        node: node.to_string(),
                        device: veth_name(position),
                        source,
                        remedy: "packet sockets may be forbidden here by a sandbox",
                    })?;
                    ports.push(Port { fd, end: End::Packet, statistics: None });
                }
                (ports, devices::packet_udp_segments())
            }
        };
        let wire = Wire::start(fabric, ports, threads)?;
        let report = EngineReport {
            engine: "wire".to_owned(),
            ends: ends.name().to_owned(),
            threads: wire.threads(),
            nice: wire.nice(),
            congestion_control: fabric.congestion_control.clone(),
            offloads: devices::offloads(udp),
        };
        let site = |node: &FabricNode| Site {
            node: node.name.clone(),
            address: node.address,
            congestion_control: fabric.congestion_control.clone(),
            ends,
        };
        let sites = fabric.nodes.iter().map(site).collect();
        Ok(Standing { wire, report, nodes, sites })
    }
}

fn veth_name(position: usize) -> String {
    format!("v{position}")
}

fn veth_index(position: usize) -> u32 {
    FIRST_VETH + position as u32
}

/// A descriptor of the calling thread's network namespace.
pub(super) fn current_namespace() -> io::Result<OwnedFd> {
    Ok(openat(CWD, "/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}
