//! What an experiment claims to show, as a table of Markdown.

use std::fmt::Write;

use crate::results::{Summary, Verdict};

/// The section of that name of `summary.md`; nothing if nothing is claimed.
pub(super) fn markdown(summary: &Summary) -> String {
    if summary.claims.is_empty() { String::new() } else { format!("\n## Claims\n\n{}", claims_table(summary)) }
}

/// How many claims there are of each verdict, in a line; nothing if nothing is claimed.
pub(super) fn counts(summary: &Summary) -> Option<String> {
    let claims = &summary.claims;
    let of = |verdict: Verdict| claims.iter().filter(|claim| claim.verdict == verdict).count();
    let mut text = format!("claims: {} of {} {}", of(Verdict::Shown), claims.len(), Verdict::Shown.word());
    for verdict in [Verdict::NotShown, Verdict::NotTestable, Verdict::NotJudged] {
        match of(verdict) {
            0 => {}
            count => {
                let _ = write!(text, ", {count} {}", verdict.word());
            }
        }
    }
    (!claims.is_empty()).then(|| text + "; the report has them")
}

/// A line for each claim that is not shown.
pub(super) fn not_shown(summary: &Summary) -> impl Iterator<Item = String> {
    let claims = summary.claims.iter().filter(|claim| claim.verdict == Verdict::NotShown);
    claims.map(|claim| format!("NOT SHOWN {}", claim.claim.split_whitespace().collect::<Vec<_>>().join(" ")))
}

/// A row for each claim: its source, what that says, what was found, and the verdict.
pub fn claims_table(summary: &Summary) -> String {
    let mut text = "| Claim | Source | What it says | What we found | Verdict |\n|---|---|---|---|---|\n".to_owned();
    for claim in &summary.claims {
        let source = claim.source.as_deref().unwrap_or("ours");
        let found = claim.found();
        let verdict = match claim.verdict {
            Verdict::NotShown => format!("**{}**", claim.verdict.word()),
            verdict => verdict.word().to_owned(),
        };
        let cells = [&claim.claim, source, &claim.said(), &found.join("; "), &verdict].map(cell);
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// Text that does not end its cell.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
