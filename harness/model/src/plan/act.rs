//! What a run does to its nodes and links, and when: the plan's timeline.

use std::time::Duration;

use peerbed_contract::{NodeName, Order, Place};
use peerbed_link::LinkSpec;
use serde::{Deserialize, Serialize};

use super::Setting;

/// Something that happens to the network or to a node during the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// Time since the start of the run.
    pub at: Duration,
    /// What.
    pub act: Act,
}

/// A value of the policy that becomes another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyChange {
    /// Its path in `policy`: `uploads.per_copy`.
    pub path: String,
    /// What it was.
    pub from: Setting,
    /// What it is from then on.
    pub to: Setting,
}

/// Nodes that are told the same of another policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyOrder {
    /// Which; one that does not run then is told when it does.
    pub nodes: Vec<NodeName>,
    /// What they are told: the whole policy of their role.
    pub order: Order,
}

/// More moves of single peers than these are many.
pub const MANY_MOVES: usize = 8;

/// What happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// The nodes' processes are started for the first time; none of them is there before.
    Add {
        /// Which.
        nodes: Vec<NodeName>,
    },
    /// The nodes' processes get SIGKILL.
    Kill {
        /// Which.
        nodes: Vec<NodeName>,
    },
    /// The nodes' processes are started again with the same configuration.
    Restart {
        /// Which.
        nodes: Vec<NodeName>,
    },
    /// SIGSTOP: the processes stand still, their sockets stay.
    Freeze {
        /// Which.
        nodes: Vec<NodeName>,
    },
    /// SIGCONT.
    Thaw {
        /// Which.
        nodes: Vec<NodeName>,
    },
    /// The node is told to do something.
    Order {
        /// Which.
        node: NodeName,
        /// What.
        order: Order,
    },
    /// The policy changes.
    SetPolicy {
        /// What of it.
        changes: Vec<PolicyChange>,
        /// Who is told.
        orders: Vec<PolicyOrder>,
    },
    /// A link between ASes changes.
    SetLink(NewLink),
    /// Links are cut.
    Cut {
        /// The ASes that are cut off from all others; none: a single link is cut.
        ases: Vec<String>,
        /// The links.
        links: Vec<NewLink>,
    },
    /// Links are no longer cut for the same reason; one that is cut for another stays so.
    Heal {
        /// The ASes that were cut off; none: a single link, or every partition.
        ases: Vec<String>,
        /// The links.
        links: Vec<NewLink>,
    },
    /// The nodes' hosts move to other places, with other addresses; their processes go on.
    Move {
        /// Which.
        nodes: Vec<NodeName>,
        /// Where each of them goes.
        to: Vec<Relocation>,
    },
    /// A node's access link changes.
    SetAccess {
        /// Which.
        node: NodeName,
        /// The whole new uplink.
        up: LinkSpec,
        /// The whole new downlink.
        down: LinkSpec,
    },
}

impl Act {
    /// The nodes whose processes it concerns.
    pub fn nodes(&self) -> &[NodeName] {
        match self {
            Act::Add { nodes }
            | Act::Kill { nodes }
            | Act::Restart { nodes }
            | Act::Freeze { nodes }
            | Act::Thaw { nodes }
            | Act::Move { nodes, .. } => nodes,
            Act::Order { node, .. } | Act::SetAccess { node, .. } => std::slice::from_ref(node),
            Act::SetPolicy { .. } | Act::SetLink(_) | Act::Cut { .. } | Act::Heal { .. } => &[],
        }
    }

    /// Whether it moves a single peer.
    pub fn moves_one(&self) -> bool {
        matches!(self, Act::Move { nodes, .. } if nodes.len() == 1)
    }

    /// What of the policy it changes.
    pub fn changes(&self) -> &[PolicyChange] {
        if let Act::SetPolicy { changes, .. } = self { changes } else { &[] }
    }

    /// The verb that a timeline has for it.
    pub fn word(&self) -> &'static str {
        match self {
            Act::Add { .. } => "add",
            Act::Kill { .. } => "kill",
            Act::Restart { .. } => "restart",
            Act::Freeze { .. } => "freeze",
            Act::Thaw { .. } => "thaw",
            Act::Order { order, .. } => order.word(),
            Act::SetPolicy { .. } => "set-policy",
            Act::SetLink(_) => "set-link",
            Act::Move { .. } => "move",
            Act::SetAccess { .. } => "set-access",
            Act::Cut { ases, .. } if ases.is_empty() => "cut-link",
            Act::Cut { .. } => "partition",
            Act::Heal { links, ases } if ases.is_empty() && links.len() == 1 => "heal-link",
            Act::Heal { .. } => "heal",
        }
    }

    /// What it does, in a few words: `kill control-0`, `partition isp-y`, `kill 12 nodes`.
    pub fn label(&self) -> String {
        let word = self.word();
        match self {
            Act::Order { node, order: Order::Outage { for_ns } } => {
                format!("{word} of {node} for {} s", *for_ns as f64 / 1e9)
            }
            Act::Move { nodes, to } if nodes.len() == 1 => {
                let to = to.first().map_or(String::new(), |to| format!(" to {} ({})", to.as_name, to.config.address));
                format!("{word} {}{to}", nodes[0])
            }
            Act::Move { to, .. } if !to.is_empty() && to.iter().all(|one| one.as_name == to[0].as_name) => {
                format!("{word} {} nodes to {}", to.len(), to[0].as_name)
            }
            Act::SetPolicy { changes, .. } if changes.is_empty() => format!("{word} (nothing changes)"),
            Act::SetPolicy { changes, .. } => {
                let changes = changes.iter().map(|change| format!("{} {} → {}", change.path, change.from, change.to));
                format!("{word} {}", changes.collect::<Vec<_>>().join(", "))
            }
            Act::Cut { ases, .. } | Act::Heal { ases, .. } if !ases.is_empty() => format!("{word} {}", ases.join(", ")),
            _ => {
                let names = self.nodes().iter().map(NodeName::as_str);
                let names: Vec<&str> = names.chain(self.links().iter().map(|link| link.name.as_str())).collect();
                let what = if self.links().is_empty() { "nodes" } else { "links" };
                match &names[..] {
                    [] => word.to_owned(),
                    names if names.len() <= 3 => format!("{word} {}", names.join(", ")),
                    names => format!("{word} {} {what}", names.len()),
                }
            }
        }
    }

    /// The links between ASes that it changes, as they are from then on.
    pub fn links(&self) -> &[NewLink] {
        match self {
            Act::SetLink(link) => std::slice::from_ref(link),
            Act::Cut { links, .. } | Act::Heal { links, .. } => links,
            _ => &[],
        }
    }
}

/// Where a node's host goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relocation {
    /// The name of one of the [`Fabric::places`](peerbed_link::Fabric::places) that are kept for it; its own name: back to where it was at the start.
    pub place: NodeName,
    /// The AS, by name.
    pub as_name: String,
    /// What it is told.
    pub config: Place,
}

/// A link between ASes as it is from some time on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewLink {
    /// Its index in [`Fabric::links`](peerbed_link::Fabric::links).
    pub link: u32,
    /// Its name.
    pub name: String,
    /// The whole new direction `a` to `b`.
    pub forward: LinkSpec,
    /// The whole new direction `b` to `a`.
    pub backward: LinkSpec,
}
