//! What a node is told before it starts: the JSON file behind `--config`.

mod cache;
mod constants;
mod control;
mod edge;
mod habits;
mod misbehaviour;
mod nat;
mod peer;
mod place;
mod prefix;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use self::{
    cache::CachePolicy,
    constants::{Backstop, Constants, Defences, PieceOrder, Pieces, Waits},
    control::{
        ControlConfig, ControlLimits, ControlPart, DatabaseAddress, DirectoryEntry, Filters, ReAddPolicy, Selection,
        Strategy,
    },
    edge::{EdgeConfig, EdgeLimits},
    habits::{Courtesy, Habit, HabitAct},
    misbehaviour::{Flood, Inflate, Misbehaviour, Stall},
    nat::NatClass,
    peer::{EdgeMode, PeerConfig, Requery, ScriptStep, Storage, UploadPolicy, UserAct, UserMoment},
    place::Place,
    prefix::Prefix,
};
use crate::{AsNumber, NodeName, Role};

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
