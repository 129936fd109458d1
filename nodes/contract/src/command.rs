//! What the harness says to a node: one JSON object per line on the node's standard input.

use serde::{Deserialize, Serialize};

use crate::Order;

/// A line on a node's standard input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// The run begins at this moment of `CLOCK_MONOTONIC`, in nanoseconds; every event's time counts from it.
    Start {
        /// Nanoseconds of `CLOCK_MONOTONIC`.
        epoch_ns: u64,
    },
    /// Finish: end what is under way, print what is known of it, then [`EventKind::Stopped`](crate::EventKind::Stopped),
    /// and exit with [`exit::OK`](crate::exit::OK).
    Stop,
    /// Something that a running node shall do. A program that does not know it may ignore the line.
    Order {
        /// What.
        order: Order,
    },
}

/// A line that is not a command.
#[derive(Debug, thiserror::Error)]
#[error("`{line}` is not a command: {source}")]
pub struct CommandError {
    line: String,
    source: serde_json::Error,
}

impl Command {
    /// Reads one line.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        serde_json::from_str(line).map_err(|source| CommandError { line: line.to_owned(), source })
    }

    /// The line, without its end.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("a command has only strings and numbers")
    }
}
