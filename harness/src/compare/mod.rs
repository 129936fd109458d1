//! Comparing two versions of the system under test by pairs of runs: what is measured, how it is judged, what is written of it.
//! `docs/comparison.md` explains the method to whoever reads a verdict.
//!
//! A comparison's results are an experiment's results with two arms, [`BASE`] and [`HEAD`], whose repeats are the pairs; beside
//! those stand `comparison.json` (what was planned) and `verdict.json` (what came of it).

pub mod bisect;
pub mod design;
pub(crate) mod effect;
pub mod floor;
pub mod judge;
pub mod pairs;
mod planned;
pub mod show;
pub mod simulate;
pub mod subject;
pub mod verdict;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

/// The name of the arm of the base.
pub const BASE: &str = "base";
/// The name of the arm of the head.
pub const HEAD: &str = "head";

pub(crate) use planned::{Ended, is_unjudged, read_text, read_verdict};
pub use planned::{Planned, verdict_file};
