//! From YAML to a plan: topologies, experiments, and what both become for one run.
//!
//! Pure: text in, values or diagnostics out. A [`Plan`] has no randomness left: the same files, arm, repeat and seed give
//! the same plan, byte for byte.
//!
//! The way of a file: [`Source::from_bytes`], then [`ExperimentFile::parse`], which says which topology it wants, then
//! [`TopologyFile::parse`], then [`Experiment::resolve`], which finds everything that is wrong with either, then
//! [`Experiment::plan`] for each arm and repeat.

mod diagnostic;
mod experiment;
mod files;
mod limits;
mod plan;
mod read;
mod resolve;
mod shape;
mod source;
mod suite;
mod topology;
mod units;
mod yaml;

pub mod asgraph;
pub mod schema;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use experiment::{policy::default_parameters, scale::Scale};
pub use files::{ExperimentFile, TopologyFile};
pub use limits::SEED as MAX_SEED;
pub use plan::{
    Act, Action, Basis, Bound, Claim, ComparedBy, ComparedMetric, Comparison, Coordinates, Direction, Expectation,
    ExpectedValue, Limits, LinkEngine, Locality, MANY_MOVES, NewLink, Plan, PlannedNode, PolicyChange, PolicyOrder,
    Preference, Relocation, Setting, Slack, Tolerance, Trend,
};
pub use resolve::Experiment;
pub use source::{
    ExperimentName, MAX_FILE_BYTES, MAX_RELATIONS_BYTES, MAX_TRACE_BYTES, NameRefused, Source, experiment_name,
};
pub use suite::{Item, Suite};
