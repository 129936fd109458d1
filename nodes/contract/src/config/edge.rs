//! What an edge server is told.

use serde::{Deserialize, Serialize};

use crate::Object;

/// An edge server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// What it serves at most.
    #[serde(default)]
    pub limits: EdgeLimits,
}

/// How many requests for content an edge serves; what is beyond is answered with 503 and `Retry-After`. Authorisations and
/// manifests are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeLimits {
    /// At the same time; none: without limit.
    pub requests: Option<u32>,
    /// Requests a second, with bursts of a second's worth, at least one; none: without limit.
    pub rate: Option<f64>,
    /// What `Retry-After` says, rounded up to whole seconds.
    pub retry_after_ns: u64,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self { requests: None, rate: None, retry_after_ns: 1_000_000_000 }
    }
}
