//! Neutral, typed descriptions: one link, and the whole emulated network of a run.
//!
//! Engines carry these out or refuse them; they never approximate.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU64,
    time::Duration,
};

use peerbed_contract::{AsNumber, NatClass, NodeName, Role};
use serde::{Deserialize, Serialize};

use crate::{Trace, TraceId, Traced};

/// Why a value cannot describe a link.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// A rate outside 1 kbit/s to 400 Gbit/s.
    #[error("a rate of {0} bit/s is outside 1 kbit/s to 400 Gbit/s")]
    Rate(u64),
    /// A share outside 0 to 1.
    #[error("a probability of {0} is outside 0 to 1")]
    Probability(f64),
}

/// Bits a second of IP packets, 1 kbit/s to 400 Gbit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Rate(NonZeroU64);

impl Rate {
    /// A rate of so many bits a second.
    pub fn from_bps(bps: u64) -> Result<Self, SpecError> {
        match NonZeroU64::new(bps) {
            Some(bits) if (1_000..=400_000_000_000).contains(&bps) => Ok(Self(bits)),
            _ => Err(SpecError::Rate(bps)),
        }
    }

    /// Bits a second.
    pub fn bps(self) -> u64 {
        self.0.get()
    }

    /// Nanoseconds that `bytes` take at this rate, rounded down.
    pub fn nanos_for(self, bytes: u64) -> u64 {
        (u128::from(bytes) * 8_000_000_000 / u128::from(self.0.get())) as u64
    }
}

impl TryFrom<u64> for Rate {
    type Error = SpecError;
    fn try_from(bps: u64) -> Result<Self, SpecError> {
        Self::from_bps(bps)
    }
}

impl From<Rate> for u64 {
    fn from(rate: Rate) -> Self {
        rate.bps()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bps = self.bps();
        for (unit, size) in [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000)] {
            if bps.is_multiple_of(size) {
                return write!(f, "{}{unit}", bps / size);
            }
        }
        write!(f, "{bps}bit")
    }
}

/// A share from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Probability(f64);

impl Probability {
    /// Never.
    pub const ZERO: Self = Self(0.0);
    /// Always.
    pub const ONE: Self = Self(1.0);

    /// A share; NaN and values outside 0 to 1 are refused.
    pub fn new(share: f64) -> Result<Self, SpecError> {
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err(SpecError::Probability(share)) }
    }

    /// The share.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Probability {
    type Error = SpecError;
    fn try_from(share: f64) -> Result<Self, SpecError> {
        Self::new(share)
    }
}

impl From<Probability> for f64 {
    fn from(share: Probability) -> Self {
        share.0
    }
}

/// How fast one direction of a link carries IP packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bandwidth {
    /// As fast as the machine goes; no queue builds up.
    Unlimited,
    /// At this rate.
    Limited(Rate),
    /// As a trace of the network has it.
    Trace(Traced),
}

impl Bandwidth {
    /// The rate, that of a trace in the long run; none where nothing limits it.
    pub fn mean(self) -> Option<Rate> {
        match self {
            Bandwidth::Unlimited => None,
            Bandwidth::Limited(rate) => Some(rate),
            Bandwidth::Trace(traced) => Some(traced.mean),
        }
    }

    /// The rate, that of a trace at its highest; none where nothing limits it.
    pub fn peak(self) -> Option<Rate> {
        match self {
            Bandwidth::Unlimited => None,
            Bandwidth::Limited(rate) => Some(rate),
            Bandwidth::Trace(traced) => Some(traced.peak),
        }
    }
}

/// Which packets one direction of a link loses, beside those that its queue drops.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// None.
    None,
    /// Each packet on its own.
    Random(Probability),
    /// In bursts.
    GilbertElliott(Burst),
}

/// The Gilbert–Elliott model: a good and a bad state, a transition draw before each packet, then a loss draw of the
/// state (Gilbert 1960, Elliott 1963; parameter names as in `tc-netem`'s `gemodel p r 1-h 1-k`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// Good to bad, per packet.
    pub p: Probability,
    /// Bad to good, per packet.
    pub r: Probability,
    /// Loss in the bad state (`1-h`).
    pub loss_bad: Probability,
    /// Loss in the good state (`1-k`).
    pub loss_good: Probability,
}

/// How much may wait in front of a limited link; what comes on top is dropped (tail drop).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// What the link carries in this time (in the long run, where it follows a trace), and never less than 30 kB (twenty
    /// full-size packets).
    Time(Duration),
    /// So many bytes of IP packets.
    Bytes(u64),
}

/// One direction of a link.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSpec {
    /// How fast.
    pub bandwidth: Bandwidth,
    /// Propagation delay.
    pub delay: Duration,
    /// Each packet's delay is drawn evenly from `delay − jitter` to `delay + jitter`; packets are not reordered.
    pub jitter: Duration,
    /// Which packets are lost.
    pub loss: Loss,
    /// What may wait.
    pub queue: Queue,
}

impl LinkSpec {
    /// A link that does nothing: unlimited, without delay, jitter or loss.
    pub const TRANSPARENT: Self = Self {
        bandwidth: Bandwidth::Unlimited,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: Loss::None,
        queue: Queue::Time(Duration::from_millis(100)),
    };

    /// The same link while it is cut: whatever comes to it is lost; what waits in front of it or is under way still arrives.
    #[must_use]
    pub fn cut(self) -> Self {
        Self { loss: Loss::Random(Probability::ONE), ..self }
    }

    /// Whether it loses whatever comes to it.
    pub fn is_cut(&self) -> bool {
        self.loss == Loss::Random(Probability::ONE)
    }

    /// The most bytes that may wait; none where nothing ever waits.
    pub fn queue_bytes(&self) -> Option<u64> {
        let rate = self.bandwidth.mean()?;
        Some(match self.queue {
            Queue::Bytes(bytes) => bytes,
            Queue::Time(time) => {
                let carried = u128::from(rate.bps()) * time.as_nanos() / 8_000_000_000;
                u64::try_from(carried).unwrap_or(u64::MAX).max(30_000)
            }
        })
    }
}

/// Both directions of a node's access link.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duplex {
    /// From the node to its AS.
    pub up: LinkSpec,
    /// From the AS to the node.
    pub down: LinkSpec,
}

/// The whole emulated network of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fabric {
    /// The seed of every random draw that the network makes (loss, jitter).
    pub seed: u64,
    /// TCP congestion control of every node, for example `cubic`.
    pub congestion_control: String,
    /// The hosts, in order of address.
    pub nodes: Vec<FabricNode>,
    /// Places that hosts may move to, each kept for one host, in order of address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<FabricPlace>,
    /// The links between ASes; the index in this list is the link's number in [`Hop`].
    pub links: Vec<FabricLink>,
    /// One for every ordered pair of different ASes that may exchange packets.
    pub routes: Vec<Route>,
    /// The traces that its links follow or will follow.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub traces: BTreeMap<TraceId, Trace>,
}

impl Fabric {
    /// Whatever has an access link: the hosts, then the places. Samples have their counters in this order.
    pub fn attachments(&self) -> impl Iterator<Item = &FabricNode> + Clone {
        self.nodes.iter().chain(self.places.iter().map(|place| &place.at))
    }
}

/// A place that a host may move to: an address and an access link of its own, at which nobody is until then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FabricPlace {
    /// The host that it is kept for.
    pub of: NodeName,
    /// What the host is there, under the name of the place.
    pub at: FabricNode,
}

/// One host of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FabricNode {
    /// Its name.
    pub name: NodeName,
    /// What it does; decides the kind under which its bytes are counted.
    pub role: Role,
    /// Where it is attached.
    pub as_number: AsNumber,
    /// Its address; engines that carry IPv4 alone refuse others.
    pub address: IpAddr,
    /// Its access link.
    pub access: Duplex,
    /// What stands between it and its access link.
    #[serde(default, skip_serializing_if = "is_none")]
    pub nat: NatClass,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(nat: &NatClass) -> bool {
    *nat == NatClass::None
}

/// The node has an address of a family that no engine carries yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node {node} has the address {address}, but only IPv4 is carried")]
pub struct NotIpv4 {
    /// Which node.
    pub node: NodeName,
    /// Its address.
    pub address: IpAddr,
}

impl FabricNode {
    /// Its address, for what knows IPv4 alone.
    pub fn ipv4(&self) -> Result<Ipv4Addr, NotIpv4> {
        match self.address {
            IpAddr::V4(address) => Ok(address),
            IpAddr::V6(_) => Err(NotIpv4 { node: self.name.clone(), address: self.address }),
        }
    }
}

/// A link between two ASes; every packet between hosts that are routed over it shares it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FabricLink {
    /// `isp-x~transit`.
    pub name: String,
    /// One end.
    pub a: AsNumber,
    /// The other end.
    pub b: AsNumber,
    /// From `a` to `b`.
    pub forward: LinkSpec,
    /// From `b` to `a`.
    pub backward: LinkSpec,
}

/// Which way a link is crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heading {
    /// From `a` to `b`.
    Forward,
    /// From `b` to `a`.
    Backward,
}

/// One crossing of one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hop {
    /// The link's index in [`Fabric::links`].
    pub link: u32,
    /// Which way.
    pub heading: Heading,
}

/// The way from one AS to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Where it begins.
    pub from: AsNumber,
    /// Where it ends.
    pub to: AsNumber,
    /// The links crossed, in order.
    pub hops: Vec<Hop>,
}

/// Under which heading bytes are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Between two peers.
    Peer,
    /// To or from an edge.
    Edge,
    /// To or from the control plane.
    Control,
}

impl Kind {
    /// The kind of a packet between nodes of these roles.
    pub fn between(a: Role, b: Role) -> Self {
        match (a, b) {
            (Role::Control, _) | (_, Role::Control) => Kind::Control,
            (Role::Edge, _) | (_, Role::Edge) => Kind::Edge,
            (Role::Peer, Role::Peer) => Kind::Peer,
        }
    }
}
