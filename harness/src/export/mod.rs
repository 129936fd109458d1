//! Finished results in the forms that other tools read: Prometheus' text format and `JUnit`'s XML. Pure: results go in, text
//! comes out.

pub mod junit;
pub mod prometheus;
mod xml;

use crate::{
    compare::{Planned, is_unjudged, read_verdict, verdict::Verdict},
    results::Results,
};

/// What is exported: results, and if they are of a comparison that was judged, its verdict.
#[derive(Debug)]
pub struct Exported {
    /// The results.
    pub results: Results,
    /// What came of the comparison.
    pub verdict: Option<(Verdict, Planned)>,
    /// They are of a comparison that was not judged.
    pub unjudged: bool,
}

impl Exported {
    /// Reads a directory. Fails if it holds no finished results, or damaged ones.
    pub fn read(directory: &std::path::Path) -> anyhow::Result<Self> {
        let results = Results::open(directory)?;
        Ok(Self { results, verdict: read_verdict(directory)?, unjudged: is_unjudged(directory) })
    }
}

#[cfg(test)]
mod tests;
