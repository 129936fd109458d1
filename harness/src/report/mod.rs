//! How results are shown: the table at the end of a run and `summary.md` from a [`Summary`], `report.html` from the files of
//! finished results alone.

mod chart;
mod claims;
mod figures;
mod format;
mod page;
mod rows;
mod source;
mod table;

#[cfg(test)]
mod tests;

pub use claims::claims_table;
pub use format::{bytes, number, percent, shown};
pub(crate) use page::{GENERATOR, STYLE, document};
pub use page::{html, html_after};
pub use source::Source;
pub use table::{markdown, table};

use crate::results::{ArmSummary, ExpectationResult, Summary};

/// Round values between these ends, a handful, and how they are written.
pub(crate) fn ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    chart::Axis::fixed("", chart::Unit::Plain, low, high).ticks()
}

/// One sentence for each reason why an arm is invalid, with the remedy if it was the machine's overload; then one for each expectation that is not met,
/// and each claim that is not shown.
pub fn complaints(summary: &Summary) -> Vec<String> {
    let reasons = summary
        .arms
        .iter()
        .flat_map(|arm| arm.invalid_reasons.iter().map(move |reason| format!("INVALID {}: {reason}", arm.arm)));
    let overloaded =
        |arm: &ArmSummary| arm.invalid_reasons.iter().any(|reason| reason.contains(crate::reconcile::OVERLOADED));
    let interrupted =
        |arm: &ArmSummary| arm.invalid_reasons.iter().any(|reason| reason.contains(crate::reconcile::INTERRUPTED));
    let remediable = summary.arms.iter().any(overloaded) && !summary.arms.iter().any(interrupted);
    let remedy = remediable.then(|| {
        let other = |key: &str, value: Option<&str>, default: &str| {
            value.filter(|value| *value != default).map_or(String::new(), |value| format!(" --{key} {value}"))
        };
        format!(
            "REMEDY run it again while nothing else uses the machine; if it says the same then, it is more than this machine \
             carries: `peerbed capacity {}{}{}` finds out how much it does",
            summary.experiment,
            other("runtime", summary.runtime(), "netns"),
            other("engine", summary.engine(), "wire"),
        )
    });
    let unmet = summary.expectations.iter().filter(|expectation| expectation.met == Some(false));
    let unmet = unmet.map(|expectation| format!("UNMET {}", expected(expectation)));
    reasons.chain(remedy).chain(unmet).chain(claims::not_shown(summary)).collect()
}

/// A sentence for each accusation and each offender, by arm and repeat.
fn attackers(summary: &Summary) -> Vec<String> {
    let mut sentences = Vec::new();
    for arm in &summary.arms {
        for run in &arm.runs_detail {
            let repeat = if arm.runs_planned > 1 { format!(", repeat {}", run.repeat + 1) } else { String::new() };
            let told = run.attackers.sentences();
            sentences.extend(told.into_iter().map(|sentence| format!("{}{repeat}: {sentence}", arm.arm)));
        }
    }
    sentences
}

/// `hybrid: peer_efficiency.bytes is 0.42, expected at least 0.5`.
fn expected(result: &ExpectationResult) -> String {
    result.sentence()
}
