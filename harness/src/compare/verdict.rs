//! `verdict.json`: what came of a comparison, in full.

use serde::{Deserialize, Serialize};

use super::{
    design::{Design, MetricSpec},
    effect::Scale,
};

/// The version of the file.
pub const VERSION: u32 = 1;

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The version of the file.
    pub version: u32,
    /// The whole, as the exit code has it.
    pub outcome: Outcome,
    /// Why, a sentence each.
    pub reasons: Vec<String>,
    /// Pairs that were made.
    pub pairs_made: u32,
    /// Pairs of which both runs can be believed; the others do not count.
    pub pairs_used: u32,
    /// What the look that decided may spend of the error.
    pub alpha: f64,
    /// Whether both sides are the same programs.
    pub same_programs: bool,
    /// Each metric, in the order of the design.
    pub findings: Vec<Finding>,
    /// How probable as different distributions of speeds are if nothing differs (a second look: it decides nothing).
    pub shape_p: Option<f64>,
    /// Seconds that a pair took on average.
    pub seconds_of_a_pair: f64,
    /// How it was planned.
    pub design: Design,
}

/// The whole, as the exit code has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// 0: nothing that decides is worse, and that was shown.
    Passed,
    /// 1: something that decides is worse.
    Regressed,
    /// 3: too little was seen, or the noise of this machine is not known.
    Inconclusive,
    /// 4: it cannot be believed.
    Invalid,
    /// 5: programs that were compared died.
    SubjectFailed,
}

/// What came of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Which.
    #[serde(flatten)]
    pub metric: MetricSpec,
    /// What is said of it.
    pub verdict: Word,
    /// Why it is not more, if it is not; a sentence.
    pub note: Option<String>,
    /// Pairs in which it is defined.
    pub pairs: u32,
    /// The median over the base's runs.
    pub base: Option<f64>,
    /// The median over the head's runs.
    pub head: Option<f64>,
    /// Numerators and denominators over all runs of both, where it is a quotient.
    pub totals: Option<Totals>,
    /// Head against base: a share of the base, or points; with its interval.
    pub effect: Option<Effect>,
    /// Its interval for the question whether nothing changed.
    pub equivalence: Option<[f64; 2]>,
    /// How probable as large a difference is if nothing differs.
    pub p: Option<f64>,
    /// The same with regard to the other metrics (Benjamini–Hochberg).
    pub p_adjusted: Option<f64>,
    /// The test.
    pub test: Test,
    /// The standard deviation of the pairs' differences, on their scale.
    pub spread: Option<f64>,
    /// On which scale differences are taken.
    pub scale: Scale,
    /// Effects below this are as well found between equal programs on this machine; none if that is not known.
    pub floor: Option<f64>,
    /// The smallest effect that would have been detected with probability 0.8.
    pub sees: Option<f64>,
    /// What it would take to see a change by the margin.
    pub needs: Option<Needs>,
}

/// What is said of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// It cannot be believed.
    Invalid,
    /// Detected, and too small to matter.
    ChangedSmall,
    /// Detected, for the worse.
    Regressed,
    /// Detected, for the better.
    Improved,
    /// Detected; neither direction is better.
    Changed,
    /// It was shown that it did not change by the margin or more.
    NoChange,
    /// Neither was shown.
    Inconclusive,
}

/// The test behind a p.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Test {
    /// Sign-flip, every assignment.
    SignFlip,
    /// Sign-flip, a seeded sample of assignments.
    SignFlipSampled,
    /// `McNemar`'s exact test of whether a run has any.
    Mcnemar,
    /// Equality.
    Equality,
}

/// An effect with its interval, as people read it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The estimate.
    pub estimate: f64,
    /// Where the interval begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
    /// The probability that such an interval holds the effect.
    pub confidence: f64,
}

/// Sums over all runs that count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Numerator and denominator of the base.
    pub base: [f64; 2],
    /// Numerator and denominator of the head.
    pub head: [f64; 2],
}

/// What a decision would take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Needs {
    /// Pairs in all, to detect a change by the margin with probability 0.8.
    pub to_detect: Option<u32>,
    /// Pairs in all, to show with probability 0.8 that nothing changed by the margin, if nothing did.
    pub to_certify: Option<u32>,
    /// Minutes for the pairs that lack, for the larger of both.
    pub minutes: Option<f64>,
}

impl Outcome {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Outcome::Passed => 0,
            Outcome::Regressed => 1,
            Outcome::Inconclusive => 3,
            Outcome::Invalid => 4,
            Outcome::SubjectFailed => 5,
        }
    }

    /// As it is printed.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Passed => "PASSED",
            Outcome::Regressed => "REGRESSED",
            Outcome::Inconclusive => "INCONCLUSIVE",
            Outcome::Invalid => "INVALID",
            Outcome::SubjectFailed => "SUBJECT FAILED",
        }
    }
}

impl Word {
    /// As it is printed, for a metric with this margin.
    pub fn text(self, margin: &str) -> String {
        match self {
            Word::Invalid => "INVALID".to_owned(),
            Word::ChangedSmall => "CHANGED, SMALL".to_owned(),
            Word::Regressed => "REGRESSED".to_owned(),
            Word::Improved => "IMPROVED".to_owned(),
            Word::Changed => "CHANGED".to_owned(),
            Word::NoChange => format!("NO CHANGE BEYOND ±{margin}"),
            Word::Inconclusive => "INCONCLUSIVE".to_owned(),
        }
    }
}
