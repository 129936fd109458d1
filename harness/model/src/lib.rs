//! From YAML to a plan: topologies, experiments, and what both become for one run.
//!
//! Pure: text in, values or diagnostics out. A [`Plan`] has no randomness left: the same files, arm, repeat and seed give
//! the same plan, byte for byte.

mod plan;

pub use plan::{Act, Action, Bound, Expectation, ExpectedValue, Plan, PlannedNode, Setting};
