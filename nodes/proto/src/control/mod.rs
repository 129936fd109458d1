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
//!
//! Here, around both, the messages are counted.

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

use peerbed_contract::{ControlConfig, ControlPart, EventKind, NodeConfig};

use self::{connection::ConnectionNode, database::DatabaseNode};
use crate::{ConnId, Input, Machine, Output, Time};

/// The state machine of a node of the control plane.
#[derive(Debug)]
pub struct ControlMachine {
    part: Part,
    messages: Messages,
    /// The messages were told, and what comes next is the end.
    finishing: bool,
}

/// Messages that were exchanged.
#[derive(Debug, Default)]
struct Messages {
    from_peers: u64,
    to_peers: u64,
    among: u64,
}

#[derive(Debug)]
enum Part {
    Connection(Box<ConnectionNode>),
    Database(Box<DatabaseNode>),
}

impl ControlMachine {
    /// The machine of the node `node` with the control configuration `config`.
    pub fn new(node: &NodeConfig, config: &ControlConfig) -> Self {
        let part = match &config.part {
            ControlPart::Connection { databases } => {
                Part::Connection(Box::new(ConnectionNode::new(node, config, databases)))
            }
            ControlPart::Database { connection_nodes } => {
                Part::Database(Box::new(DatabaseNode::new(node, config, connection_nodes)))
            }
        };
        Self { part, messages: Messages::default(), finishing: false }
    }

    /// Whether a peer is at the other end: peers dial connection nodes, which dial database nodes.
    fn is_of_peer(&self, conn: ConnId) -> bool {
        matches!(self.part, Part::Connection(_)) && conn.was_accepted()
    }
}

impl Machine for ControlMachine {
    fn handle(&mut self, now: Time, input: Input) {
        if let Input::Message { conn, .. } = &input
            && self.is_of_peer(*conn)
        {
            self.messages.from_peers += 1;
        }
        match &mut self.part {
            Part::Connection(node) => node.handle(now, input),
            Part::Database(node) => node.handle(now, input),
        }
    }

    fn poll(&mut self, now: Time) -> Output {
        if std::mem::take(&mut self.finishing) {
            return Output::Finished;
        }
        let output = match &mut self.part {
            Part::Connection(node) => node.poll(now),
            Part::Database(node) => node.poll(now),
        };
        match &output {
            Output::Send { conn, .. } if self.is_of_peer(*conn) => self.messages.to_peers += 1,
            Output::Send { .. } => self.messages.among += 1,
            Output::Finished => {
                self.finishing = true;
                let Messages { from_peers, to_peers, among } = self.messages;
                return Output::Event(EventKind::Messages { from_peers, to_peers, among });
            }
            _ => {}
        }
        output
    }
}

#[cfg(test)]
mod tests;
