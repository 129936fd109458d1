//! What a peer is told: who it is, its policies and its user's script.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Constants, Misbehaviour};
use crate::{CachePolicy, ContentId, Courtesy, Guid, Habit, NatClass, Object};

/// A peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// Its installation's identity.
    pub guid: Guid,
    /// The secondary GUIDs of its latest starts before this run, newest first; it draws a new one at each start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secondary: Vec<Guid>,
    /// What stands between it and the network.
    #[serde(default)]
    pub nat: NatClass,
    /// The local network that it shares with others of its AS, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lan: Option<String>,
    /// TCP port that other peers connect to.
    pub port: u16,
    /// The connection nodes of the control plane in the order of preference; none if the experiment has no control plane.
    pub control: Vec<SocketAddr>,
    /// The edges in the order of preference, at least one; the next is tried when one fails.
    pub edges: Vec<SocketAddr>,
    /// The ed25519 public key that checks other peers' tokens.
    pub verify_key: [u8; 32],
    /// What it gives to others.
    pub uploads: UploadPolicy,
    /// How uploads give way to other use of the link.
    #[serde(default)]
    pub courtesy: Courtesy,
    /// What it keeps of what it downloaded.
    #[serde(default)]
    pub cache: CachePolicy,
    /// How it divides a download between edge and peers.
    pub edge_mode: EdgeMode,
    /// The rate of a download up to which the edge fills in [`EdgeMode::Deficit`], in content bits a second; none: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge_target_bps: Option<u64>,
    /// Whether the side that is asked dials too where the asker cannot reach it alone; else askers alone dial.
    #[serde(default = "yes")]
    pub both_sides: bool,
    /// At most this many connections to other peers for one download.
    pub max_sources: u32,
    /// When it asks the control plane again.
    #[serde(default)]
    pub requery: Requery,
    /// The constants of its behaviour.
    #[serde(default)]
    pub constants: Constants,
    /// Every object that it holds or will ask for (the generator's keys; it learns hashes from the edge).
    pub objects: Vec<Object>,
    /// What it holds whole from the beginning.
    pub holds: Vec<ContentId>,
    /// Whether bytes are generated or kept in files.
    pub storage: Storage,
    /// The user's downloads, in order of time.
    pub script: Vec<ScriptStep>,
    /// What the user and the machine do beside downloads, in order of time.
    #[serde(default)]
    pub habits: Vec<Habit>,
    /// What it does against the rules; nothing by default.
    #[serde(default, skip_serializing_if = "Misbehaviour::is_harmless")]
    pub misbehaviour: Misbehaviour,
}

/// When a peer asks the control plane again for a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requery {
    /// While fewer peers than this are connected, or about to be; 0: never again. As many as `max_sources`, or more, ask as
    /// long as there is room for another.
    pub below: u32,
    /// And the last query was so long ago, in nanoseconds.
    pub every_ns: u64,
}

impl Default for Requery {
    fn default() -> Self {
        Self { below: u32::MAX, every_ns: 10_000_000_000 }
    }
}

fn yes() -> bool {
    true
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
    /// How many more may be connected and wait for their turn; 32 by default.
    pub waiting: u32,
    /// The most it uploads, in bits of content a second; none means as fast as its link goes.
    pub rate_bps: Option<u64>,
    /// The most it uploads on one connection, in bits of content a second; none: what the others leave.
    #[serde(default)]
    pub connection_rate_bps: Option<u64>,
}

/// How a peer divides a download between the edge and other peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EdgeMode {
    /// The edge alone; the control plane is not asked for peers.
    Only,
    /// Peers where they can, the edge for what they don't deliver in time.
    Backstop,
    /// Peers as fast as they go; the edge adds what they lack of [`PeerConfig::edge_target_bps`].
    Deficit,
    /// The edge as fast as it goes, and peers beside it.
    First,
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
