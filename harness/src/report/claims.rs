//! What an experiment claims to show, as a table of `summary.md`.

use std::fmt::Write;

use crate::results::{Summary, Verdict};

/// The section of that name; nothing if nothing is claimed.
pub(super) fn markdown(summary: &Summary) -> String {
    if summary.claims.is_empty() {
        return String::new();
    }
    let mut text =
        "\n## Claims\n\n| Claim | Source | What it says | What we found | Verdict |\n|---|---|---|---|---|\n"
            .to_owned();
    for claim in &summary.claims {
        let source = claim.source.as_deref().unwrap_or("ours");
        let mut found = claim.found();
        if matches!(claim.verdict, Verdict::NotTestable | Verdict::NotJudged) {
            found.extend(claim.because.clone());
        }
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
