//! What a node is told before it starts: the JSON file behind `--config`.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{AsNumber, ContentId, Guid, NodeName, Object, Role};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The node's name in the plan; every event carries it.
    pub name: NodeName,
    /// Where it is attached.
    pub as_number: AsNumber,
    /// The region of its AS.
    pub region: String,
    /// The address it binds and is reached by.
    pub address: IpAddr,
    /// The seed of every random choice that the node makes.
    pub seed: u64,
    /// What it does.
    pub role: RoleConfig,
}

/// The part that differs by role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleConfig {
    /// An edge server.
    Edge(EdgeConfig),
    /// The control plane.
    Control(ControlConfig),
    /// A peer.
    Peer(Box<PeerConfig>),
}

impl RoleConfig {
    /// The role alone.
    pub fn role(&self) -> Role {
        match self {
            RoleConfig::Edge(_) => Role::Edge,
            RoleConfig::Control(_) => Role::Control,
            RoleConfig::Peer(_) => Role::Peer,
        }
    }
}

/// An edge server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeConfig {
    /// TCP port of its HTTP server.
    pub port: u16,
    /// Every object of the experiment.
    pub objects: Vec<Object>,
    /// The ed25519 secret that signs tokens (the 32-byte seed; shared by all edges of a run).
    pub signing_key: [u8; 32],
    /// How long a token is valid, in nanoseconds.
    pub token_lifetime_ns: u64,
}

/// The control plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlConfig {
    /// TCP port that peers log in to.
    pub port: u16,
    /// The ed25519 public key that checks tokens.
    pub verify_key: [u8; 32],
    /// How peers are chosen for a query.
    pub selection: Selection,
    /// Which AS and region an address belongs to (`EdgeScape`'s role).
    pub directory: Vec<DirectoryEntry>,
}

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Prefix {
    /// The first address.
    pub network: IpAddr,
    /// How many leading bits are fixed, 0 to 32 (IPv6: 128).
    pub length: u8,
}

impl Prefix {
    /// Whether `address` lies in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        let fixed = u32::from(self.length);
        match (address, self.network) {
            (IpAddr::V4(address), IpAddr::V4(network)) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(fixed)).unwrap_or(0);
                (u32::from(address) ^ u32::from(network)) & mask == 0
            }
            (IpAddr::V6(address), IpAddr::V6(network)) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(fixed)).unwrap_or(0);
                (u128::from(address) ^ u128::from(network)) & mask == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// How many addresses the block has, as far as they can be counted.
    pub fn size(&self) -> u64 {
        let bits: u32 = if self.network.is_ipv4() { 32 } else { 128 };
        1_u64.checked_shl(bits.saturating_sub(u32::from(self.length))).unwrap_or(u64::MAX)
    }

    /// The `n`-th address behind the first.
    pub fn nth(&self, n: u32) -> IpAddr {
        match self.network {
            IpAddr::V4(network) => IpAddr::V4(u32::from(network).wrapping_add(n).into()),
            IpAddr::V6(network) => IpAddr::V6(u128::from(network).wrapping_add(u128::from(n)).into()),
        }
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

/// Where the addresses of one block are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryEntry {
    /// The block.
    pub prefix: Prefix,
    /// Its AS.
    pub as_number: AsNumber,
    /// The region of that AS.
    pub region: String,
}

/// How the control plane answers a peer query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Which peers come first.
    pub strategy: Strategy,
    /// At most this many are returned; 40 by default.
    pub max_returned: u32,
    /// The share of the answer that is drawn from everywhere, whatever the strategy, 0 to 1; 0.1 by default.
    pub diversity: f64,
}

/// Which peers come first in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Same AS, then same region, then the world.
    Nested,
    /// Any peer with a copy, all equally likely.
    Random,
}

/// A peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// Its installation's identity.
    pub guid: Guid,
    /// TCP port that other peers connect to.
    pub port: u16,
    /// The control plane, if the experiment has one.
    pub control: Option<SocketAddr>,
    /// The edges in the order of preference, at least one; the next is tried when one fails.
    pub edges: Vec<SocketAddr>,
    /// The ed25519 public key that checks other peers' tokens.
    pub verify_key: [u8; 32],
    /// What it gives to others.
    pub uploads: UploadPolicy,
    /// How it divides a download between edge and peers.
    pub edge_mode: EdgeMode,
    /// At most this many connections to other peers for one download.
    pub max_sources: u32,
    /// Every object that it holds or will ask for (the generator's keys; it learns hashes from the edge).
    pub objects: Vec<Object>,
    /// What it holds whole from the beginning.
    pub holds: Vec<ContentId>,
    /// Whether bytes are generated or kept in files.
    pub storage: Storage,
    /// The user's downloads, in order of time.
    pub script: Vec<ScriptStep>,
    /// Fault injection: every piece that this peer uploads is damaged when true.
    pub corrupts: bool,
}

/// Whether content bytes are generated or kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// Generated from the object's key; a held piece costs one bit.
    Synthetic,
}

/// What a peer gives to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadPolicy {
    /// Whether it uploads at all.
    pub enabled: bool,
    /// How many downloaders one held copy may serve in its life; then it is no longer registered.
    pub per_copy: u32,
    /// How many downloaders it serves at the same time.
    pub connections: u32,
    /// The most it uploads, in bits of content a second; none means as fast as its link goes.
    pub rate_bps: Option<u64>,
}

/// How a peer divides a download between the edge and other peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EdgeMode {
    /// The edge alone; the control plane is not asked for peers.
    Only,
    /// Peers where they can, the edge for what they don't deliver in time.
    Backstop,
}

/// One download of the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptStep {
    /// Its number in the plan, unique over all peers.
    pub download: u32,
    /// When the user asks for it, in nanoseconds since the start.
    pub at_ns: u64,
    /// What.
    pub content: ContentId,
    /// What the user does while it is not finished, in order; each moment counts the *active* time of this download.
    pub user: Vec<UserMoment>,
}

/// What the user does when a download has been active for so long and is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserMoment {
    /// Active time of the download (pauses excluded), in nanoseconds.
    pub after_active_ns: u64,
    /// The act.
    pub act: UserAct,
}

/// The user's act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserAct {
    /// Pauses, and resumes after this long.
    Pause {
        /// Nanoseconds; none: never resumes.
        resume_after_ns: Option<u64>,
    },
    /// Gives up.
    Abort,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_both_families_know_their_addresses() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let four = Prefix { network: ip("10.1.0.0"), length: 28 };
        let six = Prefix { network: ip("2001:db8::"), length: 120 };
        assert_eq!((four.size(), four.nth(15)), (16, ip("10.1.0.15")));
        assert_eq!((six.size(), six.nth(255)), (256, ip("2001:db8::ff")));
        for (prefix, inside, outside) in [(four, "10.1.0.15", "10.1.0.16"), (six, "2001:db8::ff", "2001:db8::100")] {
            assert!(prefix.contains(ip(inside)) && !prefix.contains(ip(outside)), "{prefix}");
        }
        assert!(!four.contains(ip("::ffff:10.1.0.1")) && !six.contains(ip("10.1.0.1")));
        let all = |network: &str| Prefix { network: ip(network), length: 0 };
        assert!(all("0.0.0.0").contains(ip("255.1.1.1")) && all("::").contains(ip("ffff::1")));
        assert_eq!((all("0.0.0.0").size(), all("::").size()), (1 << 32, u64::MAX));
    }
}
