//! The results directory: its layout, what is in its files, and the only code that writes there.

mod columns;
mod dir;
mod files;
mod identity;
pub mod layout;
mod manifest;
mod outcome;
mod summary;
mod tables;

pub use columns::{Column, Table, Type};
pub use dir::{Finished, ResultsDir};
pub use files::ResultsError;
pub use identity::Identity;
pub use manifest::Manifest;
pub use outcome::RunOutcome;
pub use summary::{ArmSummary, ExpectationResult, RunDetail, Summary};
pub use tables::TABLES;
