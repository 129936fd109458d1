//! How an experiment wants to be compared between versions, as far as its file says it.

use serde::{Deserialize, Serialize};

/// What `compare` says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// The arm whose runs are compared; none: nothing says it.
    pub arm: Option<String>,
    /// After how many pairs results are looked at, increasing; empty: nothing says it.
    pub looks: Vec<u32>,
    /// The metrics that are named, in the order of the file; empty: the usual ones decide.
    pub metrics: Vec<ComparedMetric>,
}

/// One metric of a comparison, as far as the file says it.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedMetric {
    /// A key of `summary.json`.
    pub metric: String,
    /// How its values are compared.
    pub kind: Option<ComparedBy>,
    /// Which direction is an improvement.
    pub better: Option<Preference>,
    /// Changes up to this size do not matter: a share of the value, or of a proportion points (0.05: five of them).
    pub margin: Option<f64>,
    /// Whether it decides, or only informs.
    pub gating: bool,
}

/// How the values of two runs are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComparedBy {
    /// A quantile of many values: by the logarithm of the quotient.
    Distribution,
    /// A share of things: by the difference.
    Proportion,
    /// A quotient of sums: by the logarithm of the quotient, or of the odds where it is near 1.
    Ratio,
    /// A number of things, or of bytes: by the logarithm of the quotient.
    Count,
    /// What must be the same.
    Exact,
}

/// Which direction is an improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preference {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// Neither.
    Neither,
}
