//! What an edge server is told.

use serde::{Deserialize, Serialize};

use crate::Object;

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
