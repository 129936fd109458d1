//! What an experiment expects of its metrics, and what it claims to show.

use serde::{Deserialize, Serialize};

/// What the experiment expects of one metric of one arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The metric: a key of `summary.json`, for example `peer_efficiency.bytes` or `downloads.completed`.
    pub metric: String,
    /// What it must be.
    pub bound: Bound,
    /// The arm whose value the bound is a multiple of; with neither this nor `minus` the bound is in the metric's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The arm whose value is taken from this one's before the bound is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minus: Option<String>,
}

/// What a value must be; both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// At least this.
    pub at_least: Option<ExpectedValue>,
    /// At most this.
    pub at_most: Option<ExpectedValue>,
}

/// A number in the unit of its metric (shares are 0 to 1).
pub type ExpectedValue = f64;

/// How one metric is to change over one path of the matrix: over every series of arms that differ in that path alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trend {
    /// The metric: a key of `summary.json`.
    pub metric: String,
    /// The path of the matrix.
    pub over: String,
    /// Where it goes.
    pub trend: Direction,
    /// How far it may go the other way.
    pub slack: Slack,
}

/// Where a metric goes, in the order of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// No step down by more than the slack, and the last exceeds the first by more than that.
    Rising,
    /// No step up by more than the slack, and the first exceeds the last by more than that.
    Falling,
    /// Largest and smallest differ by no more than the slack.
    Flat,
}

/// A tolerance of a trend.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slack {
    /// In the metric's unit.
    Value(ExpectedValue),
    /// As a share of the largest value of the series.
    OfLargest(f64),
}

/// Something that an experiment is to show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// What is claimed, in a sentence.
    pub claim: String,
    /// Where it is from: `Figure 6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What the source says, with its figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// How well that is known.
    pub basis: Basis,
    /// Why it cannot be tested here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untestable: Option<String>,
    /// What this arm must be like for it to be shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<Expectation>,
    /// How metrics must change over the matrix, of the series that this arm is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trends: Vec<Trend>,
    /// Every arm that it is about: with one of them missing nothing is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arms: Vec<String>,
}

/// How well it is known what a source says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// It stands in the paper.
    Paper,
    /// It is remembered of the paper or of what followed it, and was not checked.
    Recalled,
    /// It is this project's own.
    Ours,
}

impl Basis {
    /// The word that files have for it.
    pub fn word(self) -> &'static str {
        match self {
            Basis::Paper => "paper",
            Basis::Recalled => "recalled",
            Basis::Ours => "ours",
        }
    }
}
