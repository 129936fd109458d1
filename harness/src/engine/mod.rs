//! Link engines: what makes links behave. The types here are shared by all of them; each has its own module.

pub mod wire;

use peerbed_contract::AsNumber;
pub use peerbed_link::Counters;
use peerbed_link::Kind;
use serde::{Deserialize, Serialize};

/// How an engine is to be set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineOptions {
    /// How the ends of links are held.
    pub ends: EndsChoice,
    /// Threads of the `wire` engine; none: as many as suit the machine.
    pub threads: Option<u32>,
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
    /// `wire`.
    pub engine: String,
    /// `tun` or `packet`.
    pub ends: String,
    /// Threads.
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
    /// Access links, in the order of the fabric's nodes.
    pub access: Vec<LinkSample>,
    /// Links between ASes, in the order of the fabric's links.
    pub links: Vec<LinkSample>,
    /// Wire bytes by AS pair and kind, only pairs that occurred, in order.
    pub ledger: Vec<LedgerEntry>,
    /// How well the engine keeps its times.
    pub health: EngineHealth,
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
    /// How late they were, median, nanoseconds (since the last sample).
    pub late_p50_ns: u64,
    /// 99th percentile (since the last sample).
    pub late_p99_ns: u64,
    /// The worst (since the last sample).
    pub late_max_ns: u64,
    /// Packets that were lost between kernel and engine since the start: receive-buffer overruns, refused writes.
    pub overruns: u64,
    /// Packets that are for no node since the start: to an address that nobody has, without a route, not IPv4, malformed.
    #[serde(default)]
    pub strays: u64,
}
