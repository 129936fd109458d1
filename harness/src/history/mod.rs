//! The history of nights: what each comparison with a pinned reference commit came to, a line each, and where the series that these
//! lines make change. `docs/nightly.md` explains it to whoever reads the page.
//!
//! A change point is a tripwire: it names two commits to compare by pairs of runs, and says nothing of itself.

mod chart;
mod entry;
mod file;
mod page;
mod series;
mod show;

#[cfg(test)]
mod tests;

pub use entry::{Entry, Metric, Role, VERSION, Version, Where};
pub use file::{HistoryError, append, below, read};
pub(crate) use page::GENERATOR;
pub use page::page;
pub use series::{Border, Change, Differs, Epoch, Group, Point, Series, changes, groups, latest};
pub use show::{Night, json, summary, text};
