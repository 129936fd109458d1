//! Peerbed's harness: what is behind the `peerbed` program.

pub mod agent;
pub mod doctor;
pub mod engine;
pub mod host;
pub mod metrics;
pub mod reconcile;
pub mod record;
pub mod report;
pub mod results;
pub mod runtime;
