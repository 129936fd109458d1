//! Link engines: what makes links behave. The types here are shared by all of them; each has its own module.

pub(crate) mod tc;
pub mod wire;

use std::os::fd::OwnedFd;

use peerbed_contract::AsNumber;
pub use peerbed_link::Counters;
use peerbed_link::{Kind, LinkSpec};
use peerbed_model::LinkEngine;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use self::{
    tc::{Tc, TcError},
    wire::{Wire, WireError},
};

/// How an engine is to be set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineOptions {
    /// Which one.
    #[serde(default)]
    pub engine: EngineChoice,
    /// How the ends of links are held.
    pub ends: EndsChoice,
    /// Threads of the `wire` engine; none: as many as suit the machine.
    pub threads: Option<u32>,
}

impl EngineOptions {
    /// The `wire` engine with these ends, and as many threads as suit the machine.
    pub fn wire(ends: EndsChoice) -> Self {
        Self { engine: EngineChoice::Wire, ends, threads: None }
    }
}

/// Which engine carries a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// `tc` where the kernel has everything that the plan needs, else `wire`.
    Auto,
    /// The kernel: routers, and its own shapers.
    Tc,
    /// The agent itself, which every kernel can do.
    #[default]
    Wire,
    /// None: two nodes at the ends of a veth pair. Only benchmarks ask for it.
    #[value(skip)]
    Bare,
}

impl From<LinkEngine> for EngineChoice {
    fn from(engine: LinkEngine) -> Self {
        match engine {
            LinkEngine::Auto => Self::Auto,
            LinkEngine::Tc => Self::Tc,
            LinkEngine::Wire => Self::Wire,
        }
    }
}

/// Something that an engine needs of the kernel and does not get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lack {
    /// `netem (delay, jitter, loss)`.
    pub feature: String,
    /// Whether only links with delay, jitter or loss need it.
    pub for_delays: bool,
    /// What the kernel said.
    pub found: String,
    /// Where it is to be had.
    pub remedy: String,
}

impl std::fmt::Display for Lack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}; {}", self.feature, self.found, self.remedy)
    }
}

/// An engine that carries a network.
#[derive(Debug)]
pub(crate) enum Engine {
    /// The agent's threads.
    Wire(Wire),
    /// The kernel.
    Tc(Tc),
    /// None: a veth pair, which nobody shapes or counts.
    Bare,
}

/// Why an engine could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// It was `wire`.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// It was `tc`.
    #[error(transparent)]
    Tc(#[from] TcError),
    /// There is none.
    #[error("without a link engine no link changes")]
    Bare,
}

impl Engine {
    /// Change both directions of a link between ASes.
    pub(crate) fn set_link(&self, link: u32, forward: LinkSpec, backward: LinkSpec) -> Result<(), EngineError> {
        match self {
            Engine::Wire(wire) => Ok(wire.set_link(link, forward, backward)?),
            Engine::Tc(tc) => Ok(tc.set_link(link, forward, backward)?),
            Engine::Bare => Err(EngineError::Bare),
        }
    }

    /// Change both directions of a node's access link.
    pub(crate) fn set_access(&self, node: usize, up: LinkSpec, down: LinkSpec) -> Result<(), EngineError> {
        match self {
            Engine::Wire(wire) => Ok(wire.set_access(node, up, down)?),
            Engine::Tc(tc) => Ok(tc.set_access(node, up, down)?),
            Engine::Bare => Err(EngineError::Bare),
        }
    }

    /// Traces that links follow begin at this time (`CLOCK_MONOTONIC`).
    pub(crate) fn begin(&self, at_ns: u64) {
        match self {
            Engine::Wire(wire) => wire.begin(at_ns),
            // They follow none.
            Engine::Tc(_) | Engine::Bare => {}
        }
    }

    /// A node's device is about to be moved into another namespace: what is sent to it meanwhile is lost.
    pub(crate) fn departs(&self, node: usize) {
        match self {
            Engine::Wire(wire) => wire.departs(node),
            // The kernel knows.
            Engine::Tc(_) | Engine::Bare => {}
        }
    }

    /// The device has arrived, or is back.
    pub(crate) fn arrived(&self, node: usize, statistics: Option<OwnedFd>) {
        match self {
            Engine::Wire(wire) => wire.arrived(node, statistics),
            Engine::Tc(_) | Engine::Bare => {}
        }
    }

    /// A host is from now on in a place of the fabric (by index in [`Fabric::places`](peerbed_link::Fabric::places)), or with
    /// none in its own.
    pub(crate) fn relocate(&self, node: usize, place: Option<usize>) -> Result<(), EngineError> {
        match self {
            Engine::Wire(wire) => Ok(wire.relocate(node, place)?),
            // The run does not begin; see `tc::unfit`.
            Engine::Tc(_) => Err(TcError::Places(1).into()),
            Engine::Bare => Err(EngineError::Bare),
        }
    }

    /// Every counter now.
    pub(crate) fn sample(&self) -> Sample {
        match self {
            Engine::Wire(wire) => wire.sample(),
            Engine::Tc(tc) => tc.sample(),
            Engine::Bare => Sample::nothing(),
        }
    }

    /// Why it can no longer be trusted; none while all is well.
    pub(crate) fn broken(&self) -> Option<String> {
        match self {
            Engine::Wire(wire) => wire.broken(),
            Engine::Tc(tc) => tc.broken(),
            Engine::Bare => None,
        }
    }
}

/// Which kind of device the `wire` engine uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EndsChoice {
    /// TUN where `/dev/net/tun` opens, else `AF_PACKET`.
    Auto,
    /// TUN devices.
    Tun,
    /// veth pairs with `AF_PACKET` sockets.
    Packet,
}

/// How an engine was set up; it goes into the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineReport {
    /// `wire` or `tc`.
    pub engine: String,
    /// `tun` or `packet`; `veth` with `tc`.
    pub ends: String,
    /// Threads; none with `tc`, whose work is the kernel's.
    pub threads: u32,
    /// The nice value of the engine's threads.
    pub nice: i32,
    /// TCP congestion control pinned on every route.
    pub congestion_control: String,
    /// Which offloads the devices have, for example `tso4 tso6 uso4 uso6`.
    pub offloads: String,
}

/// Every counter at one moment; all count from the installation on and never go back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub at_ns: u64,
    /// Access links, in the order of the fabric's attachments.
    pub access: Vec<LinkSample>,
    /// Links between ASes, in the order of the fabric's links.
    pub links: Vec<LinkSample>,
    /// Wire bytes by AS pair and kind, only pairs that occurred, in order.
    pub ledger: Vec<LedgerEntry>,
    /// How well the engine keeps its times.
    pub health: EngineHealth,
}

impl Sample {
    /// Of a network in which nobody counts.
    fn nothing() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        Self {
            at_ns: now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64,
            access: Vec::new(),
            links: Vec::new(),
            ledger: Vec::new(),
            health: EngineHealth::default(),
        }
    }
}

/// Both directions of one link; for an access link `forward` is up (node to AS) and `backward` is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LinkSample {
    /// From `a` to `b`, or up.
    pub forward: Counters,
    /// From `b` to `a`, or down.
    pub backward: Counters,
}

/// Wire bytes from one AS to another of one kind, counted when a packet is handed to its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Source AS.
    pub from: AsNumber,
    /// Destination AS; the same as `from` for traffic inside one AS.
    pub to: AsNumber,
    /// Edge, peer or control.
    pub kind: Kind,
    /// Packets delivered.
    pub packets: u64,
    /// Their wire bytes.
    pub bytes: u64,
}

/// How well the engine keeps its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EngineHealth {
    /// Packets released since the last sample.
    pub released: u64,
    /// How late they were, median, nanoseconds (since the last sample). None of these with `tc`:
    /// the kernel does not tell.
    pub late_p50_ns: Option<u64>,
    /// 99th percentile (since the last sample).
    pub late_p99_ns: Option<u64>,
    /// The worst (since the last sample).
    pub late_max_ns: Option<u64>,
    /// Packets that were lost between kernel and engine since the start: receive-buffer overruns, refused writes.
    pub overruns: u64,
    /// Packets that are for no node since the start: to an address that nobody has, without a route, not IPv4, malformed.
    #[serde(default)]
    pub strays: u64,
    /// What address translation dropped since the start.
    #[serde(default)]
    pub nat: NatDrops,
    /// What came to places whose hosts were elsewhere, since the start.
    #[serde(default)]
    pub missed: Missed,
}

/// What came to a place of which the host was gone, or not there yet: nobody is told, as in a network that knows only where an
/// address belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Missed {
    /// Packets, behind the downlink of the place, which carried them.
    pub packets: u64,
    /// Their wire bytes.
    pub bytes: u64,
    /// Packets that a host sent from an address that it no longer had; they entered no link.
    pub stale_packets: u64,
}

impl std::ops::AddAssign for Missed {
    fn add_assign(&mut self, more: Self) {
        self.packets += more.packets;
        self.bytes += more.bytes;
        self.stale_packets += more.stale_packets;
    }
}

/// What address translation in front of hosts dropped, as it should; no link lost it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NatDrops {
    /// Packets that hosts sent: fragments, and what a full table had no room for. They entered no link.
    pub out_packets: u64,
    /// Packets that were not let in to hosts, behind their downlinks, which carried them.
    pub in_packets: u64,
    /// Their wire bytes.
    pub in_bytes: u64,
}

impl NatDrops {
    /// Packets both ways.
    pub fn packets(&self) -> u64 {
        self.out_packets + self.in_packets
    }
}

impl std::ops::AddAssign for NatDrops {
    fn add_assign(&mut self, more: Self) {
        self.out_packets += more.out_packets;
        self.in_packets += more.in_packets;
        self.in_bytes += more.in_bytes;
    }
}
