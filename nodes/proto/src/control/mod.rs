//! The control plane's nodes. A connection node holds the peers' connections and answers their queries; database nodes keep
//! which peers registered a copy of what. Called by the driver.
//!
//! | File | Owns |
//! |---|---|
//! | `connection` | the connection node: its connections and what comes over them |
//! | `peers` | what peers tell it: logins, registrations |
//! | `usage` | what they report of their transfers |
//! | `query` | queries under way: which database nodes are asked, and the choice |
//! | `readd` | peers that register again after a registry was lost |
//! | `uplink` | the connections from a connection node to database nodes |
//! | `limits` | what a connection node refuses as too much |
//! | `database` | the database node |
//! | `registry`, `select` | the copies, and who is returned |

mod connection;
mod database;
mod limits;
mod peers;
mod query;
mod readd;
mod registry;
mod select;
mod uplink;
mod usage;

use peerbed_contract::{ControlConfig, ControlPart, NodeConfig};

use self::{connection::ConnectionNode, database::DatabaseNode};
use crate::{Input, Machine, Output, Time};

/// The state machine of a node of the control plane.
#[derive(Debug)]
pub struct ControlMachine(Part);

#[derive(Debug)]
enum Part {
    Connection(Box<ConnectionNode>),
    Database(Box<DatabaseNode>),
}

impl ControlMachine {
    /// The machine of the node `node` with the control configuration `config`.
    pub fn new(node: &NodeConfig, config: &ControlConfig) -> Self {
        Self(match &config.part {
            ControlPart::Connection { databases } => {
                Part::Connection(Box::new(ConnectionNode::new(node, config, databases)))
            }
            ControlPart::Database { connection_nodes } => {
                Part::Database(Box::new(DatabaseNode::new(node, config, connection_nodes)))
            }
        })
    }
}

impl Machine for ControlMachine {
    fn handle(&mut self, now: Time, input: Input) {
        match &mut self.0 {
            Part::Connection(node) => node.handle(now, input),
            Part::Database(node) => node.handle(now, input),
        }
    }

    fn poll(&mut self, now: Time) -> Output {
        match &mut self.0 {
            Part::Connection(node) => node.poll(now),
            Part::Database(node) => node.poll(now),
        }
    }
}

#[cfg(test)]
mod tests;
