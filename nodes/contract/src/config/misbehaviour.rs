//! How a peer of an attacker misbehaves; by default, not at all.

use serde::{Deserialize, Serialize};

/// What a peer does that it must not. Several may be combined; without any it keeps the rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Misbehaviour {
    /// It damages every byte that it uploads.
    pub corrupt: bool,
    /// It takes slots and requests and then gives nothing, or a trickle.
    pub stall: Option<Stall>,
    /// Its usage reports are lies.
    pub inflate: Option<Inflate>,
    /// It floods the control plane.
    pub flood: Option<Flood>,
    /// It keeps neither its own limits of uploads nor those of others: it asks for more at once than a remote takes.
    pub ignore_caps: bool,
    /// It sends frames that nobody can decode, too long ones and content that nobody asked for, to peers and to the
    /// control plane.
    pub malformed: bool,
}

/// How a peer stalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stall {
    /// What it gives all the same, in bits of content a second, over all downloaders; 0: nothing.
    pub trickle_bps: u64,
}

/// How a peer lies in its usage reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inflate {
    /// It reports so many times what it sent and received, and uploads to peers that it was told of and never served.
    pub factor: u32,
}

/// How a peer floods the control plane: with logins, and with queries whose tokens are forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flood {
    /// So many messages a second.
    pub per_second: u32,
    /// For so long from its start, in nanoseconds.
    pub lasts_ns: u64,
}

impl Misbehaviour {
    /// Whether it keeps the rules.
    pub fn is_harmless(&self) -> bool {
        *self == Self::default()
    }
}
