//! What came of expectations and claims, and the sentences that say it.

use std::fmt::Write;

use peerbed_model::{Basis, Bound, Direction};
use serde::{Deserialize, Serialize};

/// What was expected of an arm, or of a series of arms, and what came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpectationResult {
    /// Of which arm; of a trend, what the arms of its series have in common in their names: empty if nothing.
    pub arm: String,
    /// Of which figure.
    pub metric: String,
    /// What it was to be, in the figure's unit; nothing of a trend.
    pub bound: Bound,
    /// The arm that it was compared with, and the bound as multiples of that arm's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Multiple>,
    /// The arm whose value it was to differ from, and the bound on the difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minus: Option<Difference>,
    /// The trend that it was to have over the matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trend: Option<TrendResult>,
    /// What it is, or of a trend the last value less the first (`flat`: the largest less the smallest); none if it is undefined.
    pub value: Option<f64>,
    /// Whether it is so; none if it was not judged, as where an arm is invalid: its values say nothing.
    pub met: Option<bool>,
    /// Why it was not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// A bound as multiples of another arm's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Multiple {
    /// The other arm.
    pub arm: String,
    /// How many times its value.
    pub times: Bound,
}

/// A bound on the difference to another arm's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The other arm.
    pub arm: String,
    /// How much more than its value, in the figure's unit; less if it is negative.
    pub by: Bound,
}

/// How a figure changes over one path of the matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrendResult {
    /// The path.
    pub over: String,
    /// Where it was to go.
    pub trend: Direction,
    /// How far it might go the other way, in the figure's unit.
    pub slack: f64,
    /// The arms of the series, in the order of the matrix.
    pub points: Vec<Point>,
    /// Kendall's rank correlation `τ_b` between order and values (M. Kendall, "The treatment of ties in ranking problems",
    /// Biometrika 33, 1945), for information; none where it is undefined.
    pub kendall_tau: Option<f64>,
}

/// One arm of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The arm.
    pub arm: String,
    /// What the matrix's value is called there.
    pub at: String,
    /// The arm's median; none if it is undefined.
    pub value: Option<f64>,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimResult {
    /// What is claimed.
    pub claim: String,
    /// Where it is from; none: it is the project's own.
    pub source: Option<String>,
    /// What the source says.
    pub says: Option<String>,
    /// How well that is known.
    pub basis: Basis,
    /// Whether it is shown.
    pub verdict: Verdict,
    /// What shows it, or does not.
    pub tests: Vec<ExpectationResult>,
    /// Why it is not testable or was not judged, or which tests failed; none if it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// Whether a claim is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every test of it holds.
    Shown,
    /// A test of it does not hold.
    NotShown,
    /// Nothing here could show it.
    NotTestable,
    /// Runs that would show it are missing or invalid.
    NotJudged,
}

impl Verdict {
    /// In words: `not shown`.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Shown => "shown",
            Verdict::NotShown => "not shown",
            Verdict::NotTestable => "not testable here",
            Verdict::NotJudged => "not judged",
        }
    }
}

/// A number as sentences have it.
fn short(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

impl ExpectationResult {
    /// What was expected and what came, in a sentence: `hybrid: peer_efficiency.bytes is 0.42, expected at least 0.5`.
    pub fn sentence(&self) -> String {
        let of_arm = if self.arm.is_empty() { String::new() } else { format!("{}: ", self.arm) };
        let mut text = match &self.trend {
            Some(trend) => format!("{of_arm}{}", trend.sentence(&self.metric)),
            None => format!("{of_arm}{}", self.of_bound()),
        };
        if let Some(because) = &self.because {
            let _ = write!(text, " ({because})");
        }
        text
    }

    fn of_bound(&self) -> String {
        let Self { metric, bound, of, minus, .. } = self;
        let other = of.as_ref().map(|of| &of.arm).or(minus.as_ref().map(|minus| &minus.arm));
        if let (Some(other), None, None) = (other, bound.at_least, bound.at_most) {
            return format!("{metric} cannot be compared with that of {other}, which has none");
        }
        let ends = [("at least", bound.at_least), ("at most", bound.at_most)];
        let ends: Vec<String> =
            ends.iter().filter_map(|(word, end)| end.map(|end| format!("{word} {}", short(end)))).collect();
        let value = self.value.map_or("undefined".to_owned(), |value| short(value).to_string());
        let both = |bound: &Bound| [bound.at_least, bound.at_most].into_iter().flatten().collect::<Vec<f64>>();
        let against = match (of, minus) {
            (Some(of), _) => {
                let times: Vec<String> = both(&of.times).iter().map(f64::to_string).collect();
                format!(" ({} times that of {})", times.join(" and "), of.arm)
            }
            (None, Some(minus)) => {
                let by = both(&minus.by);
                let by: Vec<String> = by
                    .iter()
                    .map(|by| format!("{} {}", short(by.abs()), if *by < 0.0 { "less" } else { "more" }))
                    .collect();
                format!(" ({} than that of {})", by.join(" and "), minus.arm)
            }
            (None, None) => String::new(),
        };
        format!("{metric} is {value}, expected {}{against}", ends.join(" and "))
    }
}

impl TrendResult {
    fn sentence(&self, metric: &str) -> String {
        let values: Vec<String> = (self.points.iter())
            .map(|point| point.value.map_or("undefined".to_owned(), |value| short(value).to_string()))
            .collect();
        let at: Vec<&str> = self.points.iter().map(|point| point.at.as_str()).collect();
        let (wanted, slack) = match self.trend {
            Direction::Rising => ("rising", "no step down by more than"),
            Direction::Falling => ("falling", "no step up by more than"),
            Direction::Flat => ("flat", "within"),
        };
        let tau = self.kendall_tau.map_or(String::new(), |tau| format!("; Kendall's τ {tau:.2}"));
        let slack = if self.slack > 0.0 { format!(" ({slack} {})", short(self.slack)) } else { String::new() };
        format!("{metric} is {} at {} = {}{tau}, expected {wanted}{slack}", values.join(", "), self.over, at.join(", "))
    }
}

impl ClaimResult {
    /// What the source says, and how well that is known.
    pub fn said(&self) -> String {
        let says = self.says.clone().unwrap_or_default();
        match self.basis {
            Basis::Recalled if says.is_empty() => "(recalled, not checked)".to_owned(),
            Basis::Recalled => format!("{says} (recalled, not checked)"),
            Basis::Paper | Basis::Ours => says,
        }
    }

    /// What was found, a sentence for each test; then why it is not testable or was not judged, where no test says that.
    pub fn found(&self) -> Vec<String> {
        let mut found: Vec<String> = self.tests.iter().map(ExpectationResult::sentence).collect();
        if let (Verdict::NotTestable | Verdict::NotJudged, Some(because)) = (self.verdict, &self.because)
            && !found.iter().any(|sentence| sentence.contains(because.as_str()))
        {
            found.push(because.clone());
        }
        found
    }
}
