//! What the control plane is told, and how it answers queries.

use serde::{Deserialize, Serialize};

use crate::{AsNumber, Prefix};

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
    /// The country of that AS, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
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
