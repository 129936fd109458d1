//! What a running node may be ordered to do beside its script: the timeline's acts that only the node itself can carry out.

use serde::{Deserialize, Serialize};

use crate::{NodePolicy, Place};

/// An order to a running node. One that has no use for an order says so in a notice and goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Forget all soft state, as if it had been lost: a node of the control plane.
    Wipe,
    /// Refuse every request with status 503 and `Retry-After`: an edge. What it serves already goes on.
    Outage {
        /// For so long, in nanoseconds.
        for_ns: u64,
    },
    /// The host is in another place of the network from now on, with another address: a peer. Its connections are lost.
    Move(Box<Place>),
    /// Act by another policy from now on.
    Policy(Box<NodePolicy>),
}

impl Order {
    /// Its name on the wire.
    pub fn word(&self) -> &'static str {
        match self {
            Order::Wipe => "wipe",
            Order::Outage { .. } => "outage",
            Order::Move(_) => "move",
            Order::Policy(_) => "policy",
        }
    }
}
