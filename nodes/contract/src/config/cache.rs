//! What a peer is told of its cache.

use serde::{Deserialize, Serialize};

/// How long and how much a peer keeps of what it downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CachePolicy {
    /// How long a copy is kept after it was whole, in nanoseconds; those held from the beginning were whole then. None: for
    /// ever.
    pub time_ns: Option<u64>,
    /// The most bytes that are kept; none: without limit.
    pub size_bytes: Option<u64>,
}

impl CachePolicy {
    /// Everything is kept for ever.
    pub const UNLIMITED: Self = Self { time_ns: None, size_bytes: None };
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self::UNLIMITED
    }
}
