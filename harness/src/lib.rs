//! Peerbed's harness: what is behind the `peerbed` program.

pub mod agent;
pub mod commands;
pub mod doctor;
pub mod engine;
#[cfg(test)]
mod fixture;
pub mod host;
pub mod metrics;
pub mod reconcile;
pub mod record;
pub mod report;
pub mod results;
pub mod runtime;
