//! The one loop that joins a state machine of `peerbed-proto` to sockets, timers, standard input and output.
//!
//! The binaries `edge`, `control` and `peer` call [`main`]; tests run a [`Node`] inside their own process. Everything
//! happens on one thread: the loop in `node` feeds the machine and carries out its outputs, `host` keeps the connections,
//! and each connection is a task in `conn`. Threads beside it write events, read commands and, at an edge, hash objects.

// Only `say` prints: the macros panic where a stream is closed or full.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod cli;
mod clock;
pub mod codec;
mod commands;
mod config;
mod conn;
mod events;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod host;
mod inbox;
mod library;
mod memory;
mod node;
mod say;
mod sockets;
mod sys;

pub use cli::main;
pub use clock::monotonic_ns;
pub use commands::{CommandReceiver, CommandSender, Told, command_queue};
pub use config::{ConfigError, load, parse};
pub use events::{EventError, EventReceiver, EventSender, event_queue};
pub use library::manifest;
pub use node::{BindError, ContractError, Node};
