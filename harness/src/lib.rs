//! Peerbed's harness: what is behind the `peerbed` program.

pub mod agent;
pub mod engine;
pub mod record;
