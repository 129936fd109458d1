//! Peerbed's harness: what is behind the `peerbed` program.

// Only `say` prints: the macros panic where a stream is closed or full.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

pub mod accounting;
pub mod agent;
mod bench;
pub mod calibrate;
mod carry;
pub mod cli;
mod commands;
pub mod compare;
pub mod docker;
pub mod doctor;
pub mod engine;
pub mod export;
#[cfg(test)]
mod fixture;
pub mod gate;
pub mod history;
mod hold;
pub mod host;
pub mod metrics;
mod netlink;
mod probe;
mod project;
pub mod reconcile;
pub mod record;
mod regular;
pub mod report;
pub mod results;
mod run;
pub mod runtime;
mod say;
mod scratch;
mod status;
mod sys;
