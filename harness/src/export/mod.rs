//! Finished results in the forms that other tools read: Prometheus' text format and `JUnit`'s XML. Pure: results go in, text
//! comes out.

pub mod junit;
pub mod prometheus;
mod xml;

use crate::{
    compare::{Planned, read_verdict, verdict::Verdict},
    results::Results,
};

/// What is exported: results, and if they are of a comparison that was judged, its verdict.
#[derive(Debug)]
pub struct Exported {
    /// The results.
    pub results: Results,
    /// What came of the comparison.
    pub verdict: Option<(Verdict, Planned)>,
}

impl Exported {
    /// Reads a directory. Fails if it holds no finished results, or damaged ones.
    pub fn read(directory: &std::path::Path) -> anyhow::Result<Self> {
        Ok(Self { results: Results::open(directory)?, verdict: read_verdict(directory)? })
    }
}

#[cfg(test)]
mod tests;
