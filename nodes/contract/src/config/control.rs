//! What a node of the control plane is told: its part, how peers are chosen, and what it bears.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{AsNumber, Prefix};

/// A node of the control plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlConfig {
    /// TCP port that peers log in to, or connection nodes attach to.
    pub port: u16,
    /// The ed25519 public key that checks tokens.
    pub verify_key: [u8; 32],
    /// Which part it plays.
    #[serde(default)]
    pub part: ControlPart,
    /// How peers are chosen for a query.
    pub selection: Selection,
    /// Whether, and over what time, peers are asked to register again after a registry was lost.
    #[serde(default)]
    pub readd: ReAddPolicy,
    /// What is refused as too much.
    #[serde(default)]
    pub limits: ControlLimits,
    /// Which AS and region an address belongs to (`EdgeScape`'s role).
    pub directory: Vec<DirectoryEntry>,
}

/// Which part a node of the control plane plays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlPart {
    /// A connection node: it holds the connections of peers and asks database nodes for them.
    Connection {
        /// The database nodes; with none it keeps a registry itself.
        databases: Vec<DatabaseAddress>,
    },
    /// A database node: it keeps, as soft state, which peers registered a copy of what.
    Database {
        /// The connection nodes, the only ones that may attach.
        connection_nodes: Vec<IpAddr>,
    },
}

impl Default for ControlPart {
    fn default() -> Self {
        ControlPart::Connection { databases: Vec::new() }
    }
}

/// A database node as a connection node knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseAddress {
    /// Where it is.
    pub address: SocketAddr,
    /// The regions whose peers it is responsible for; several nodes may share one.
    pub regions: Vec<String>,
}

/// What becomes of a registry that was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReAddPolicy {
    /// Peers are asked to register again.
    pub enabled: bool,
    /// Each does so at a moment that it draws within this time, in nanoseconds, so that there is no storm.
    pub within_ns: u64,
}

impl Default for ReAddPolicy {
    fn default() -> Self {
        Self { enabled: true, within_ns: 5_000_000_000 }
    }
}

/// What a node of the control plane bears. Rates are averages.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlLimits {
    /// Logins of one GUID, a second.
    pub logins_per_guid: f64,
    /// Logins from one address, a second.
    pub logins_per_address: f64,
    /// Queries of one GUID, a second.
    pub queries_per_guid: f64,
    /// Queries from one address, a second.
    pub queries_per_address: f64,
    /// Connections from one address at a time.
    pub connections_per_address: u32,
    /// Connections in all.
    pub connections: u32,
    /// Contents that one peer has registered at a time.
    pub contents_per_peer: u32,
    /// Peers and contents that usage reports are kept of.
    pub usage_reports: u32,
    /// What may come at once of logins and queries, in nanoseconds of their rates.
    #[serde(default = "burst")]
    pub burst_ns: u64,
    /// Refusals on one connection after which it is closed.
    #[serde(default = "refusals")]
    pub refusals: u32,
    /// A database node that has not answered by then is done without, in nanoseconds.
    #[serde(default = "lookup")]
    pub lookup_ns: u64,
    /// How long nothing is accepted from an address that sent what is no frame, in nanoseconds; 0: nobody is banned.
    #[serde(default = "ban")]
    pub ban_ns: u64,
}

fn burst() -> u64 {
    10_000_000_000
}

fn refusals() -> u32 {
    100
}

fn lookup() -> u64 {
    2_000_000_000
}

fn ban() -> u64 {
    60_000_000_000
}

impl Default for ControlLimits {
    fn default() -> Self {
        Self {
            logins_per_guid: 2.0,
            logins_per_address: 20.0,
            queries_per_guid: 10.0,
            queries_per_address: 100.0,
            connections_per_address: 256,
            connections: 65_536,
            contents_per_peer: 1_000,
            usage_reports: 200_000,
            burst_ns: burst(),
            refusals: refusals(),
            lookup_ns: lookup(),
            ban_ns: ban(),
        }
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
    /// The share of a nested answer that is taken from everywhere, 0 to 1; 0.1 by default.
    pub diversity: f64,
    /// Among equals those come first that were not returned for longest; else nested and local answers have always the same
    /// order, and random ones are drawn anew each time.
    #[serde(default = "yes")]
    pub rotation: bool,
    /// Who is left out beforehand.
    #[serde(default)]
    pub filters: Filters,
}

fn yes() -> bool {
    true
}

/// Who is not eligible for an answer; each rule can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filters {
    /// Peers that do not upload; without it, they may register copies too.
    pub uploads_on: bool,
    /// Peers that said they have no free upload slot.
    pub free_slots: bool,
    /// Peers that the asker cannot connect with, by the NAT classes of both.
    pub nat: bool,
}

impl Default for Filters {
    fn default() -> Self {
        Self { uploads_on: true, free_slots: true, nat: true }
    }
}

/// Which peers come first in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Same LAN, same AS, same region, then the world.
    Nested,
    /// Any peer with a copy, all equally likely.
    Random,
    /// Same LAN, same AS, and nobody else.
    Local,
}
