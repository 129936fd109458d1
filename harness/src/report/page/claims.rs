//! What an experiment claims to show, beside what came.

use maud::{Markup, html};

use crate::{
    report::source::Set,
    results::{ClaimResult, Verdict},
};

/// The section; nothing where nothing is claimed.
pub(super) fn section(set: &Set) -> Markup {
    let claims = &set.summary.claims;
    html! {
        @if !claims.is_empty() {
            h2 { (super::of_set(set, "Claims")) }
            div .wide { table {
                thead { tr { th { "verdict" } th .prose { "claim" } th .prose { "what the source says" } th .prose { "what came" } } }
                tbody { @for claim in claims { tr {
                    td .verdict { span class=(class(claim.verdict)) { (claim.verdict.word()) } }
                    td .prose { (claim.claim) @if let Some(source) = &claim.source { " (" (source) ")" } }
                    td .prose { (claim.said()) }
                    td .prose { (found(claim)) }
                } } }
            } }
        }
    }
}

/// `2 of 3 claims are shown; 1 is not testable here.`
pub(super) fn count(claims: &[ClaimResult]) -> Option<String> {
    if claims.is_empty() {
        return None;
    }
    let of = |verdict: Verdict| claims.iter().filter(|claim| claim.verdict == verdict).count();
    let others =
        [Verdict::NotShown, Verdict::NotTestable, Verdict::NotJudged].map(|verdict| (of(verdict), verdict.word()));
    let others: Vec<String> =
        others.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let others = if others.is_empty() { String::new() } else { format!("; {}", others.join(", ")) };
    Some(format!("Claims: {} of {} shown{others}.", of(Verdict::Shown), claims.len()))
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Shown => "good",
        Verdict::NotShown => "bad",
        Verdict::NotTestable | Verdict::NotJudged => "",
    }
}

fn found(claim: &ClaimResult) -> Markup {
    html! {
        @for sentence in claim.found() { p { (sentence) } }
    }
}
