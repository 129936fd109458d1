//! The results directory: its layout, what is in its files, and the only code that writes there.

mod columns;
mod dir;
mod files;
mod identity;
mod judge;
mod judged;
mod kept;
pub mod layout;
mod manifest;
mod outcome;
mod outline;
mod read;
mod remove;
mod resume;
mod scan;
mod summary;
mod tables;

#[cfg(test)]
mod docs;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
pub(crate) mod test_tree;
#[cfg(test)]
mod tests;

pub use columns::{Column, Table, Type};
pub use dir::{Ending, Finished, ResultsDir};
pub(crate) use files::rename_new;
pub use files::{ResultsError, replace_text};
pub use identity::Identity;
pub(crate) use identity::alone;
pub use judged::{ClaimResult, Difference, ExpectationResult, Multiple, Point, TrendResult, Verdict};
pub use kept::Begun;
pub(crate) use kept::{keep as keep_record, load as load_record, progress as kept_runs};
pub use manifest::{Manifest, fingerprint_of};
pub use outcome::RunOutcome;
pub use outline::Outline;
pub use read::{Deed, Line, MetricRow, Read, ReadError, Results};
pub use remove::{Removal, remove, size_bytes};
pub use resume::{ResumeError, Resumed, resume};
pub use scan::{Entry, State, scan, scan_all};
pub use summary::{ArmSummary, RunDetail, Summary, TakenOver};
pub use tables::TABLES;
