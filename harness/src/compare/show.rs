//! How a verdict is shown: a table for terminals, Markdown for pages of jobs, JSON for programs.

use std::{fmt::Write, path::Path};

use maud::{Markup, html};

use super::{
    design::Kind,
    planned::{self, Planned, verdict_file},
    subject::{Subject, short},
    verdict::{Effect, Finding, Outcome, Test, Verdict, Word},
};
use crate::{
    report::{Source, bytes, html_after, number, percent},
    results::{layout, replace_text},
    say::{counted, harmless},
};

/// Ratios whose two sums are bytes.
const OF_BYTES: [&str; 2] = ["peer_efficiency.bytes", "as.intra_share"];
/// What a terminal is wide.
const WIDTH: usize = 100;
/// The summary of a comparison, in the place of that of an experiment.
const SUMMARY: &str = "summary.md";

/// `verdict.json`, to the byte.
pub fn json(verdict: &Verdict) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(verdict)? + "\n")
}

/// Writes `verdict.json` and the summary into a directory of results.
pub fn write(verdict: &Verdict, planned: &Planned, directory: &Path) -> anyhow::Result<()> {
    replace_text(&verdict_file(directory), &json(verdict)?, None)?;
    replace_text(&directory.join(SUMMARY), &markdown(verdict, planned), None)?;
    let page = html_after(&Source::read(&[directory])?, &section(verdict, planned));
    replace_text(&directory.join(layout::REPORT), &page, None)?;
    Ok(())
}

/// The beginning of the page of results: the verdicts of those directories that are comparisons.
pub fn sections(directories: &[&Path]) -> anyhow::Result<Markup> {
    let mut all = Markup::default();
    for directory in directories {
        if let Some((verdict, planned)) = planned::read_verdict(directory)? {
            all.0.push_str(&section(&verdict, &planned).0);
        }
    }
    Ok(all)
}

/// A verdict on a page.
fn section(verdict: &Verdict, planned: &Planned) -> Markup {
    html! {
        section .answer {
            h2 { "Verdict: " (verdict.outcome.word()) }
            p { (head(planned)) "." }
            p { (capital(&sentence(verdict))) "." }
            @if !verdict.reasons.is_empty() { ul { @for reason in &verdict.reasons { li { (capital(reason)) } } } }
        }
        div .wide {
            table {
                thead { tr { @for title in ["verdict", "metric", "base → head", "change [interval]", "evidence"] { th .prose { (title) } } } }
                tbody {
                    @for finding in &verdict.findings {
                        @let [word, metric, values, change, evidence] = row(finding);
                        tr {
                            td .text { @if finding.metric.gating { b { (word) } } @else { (word) } }
                            td .text { (metric) }
                            td .prose { (values) }
                            td .verdict { (change) }
                            td .prose { (evidence) }
                        }
                    }
                }
            }
        }
        p .note {
            "Bold: metrics that decide; the others, in brackets, inform. Changes are those of the head against the base, with intervals of "
            (format!("{:.1} %", 100.0 * (1.0 - verdict.alpha))) " over the pairs. p_adj: sign-flip test (McNemar's of what most runs have none of), adjusted by Benjamini and Hochberg."
            @for note in notes(verdict) { " " (note) }
        }
    }
}

/// What a person reads on a terminal.
pub fn table(verdict: &Verdict, planned: &Planned) -> String {
    let mut text = format!("{}\n\n", head(planned));
    let rows: Vec<[String; 5]> = verdict.findings.iter().map(row).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    for [word, metric, values, change, evidence] in &rows {
        let pad = |cell: &str, column: usize| " ".repeat(width(column) - cell.chars().count() + 2);
        let line = format!("{word}{}{metric}{}{change}{}{values}", pad(word, 0), pad(metric, 1), pad(change, 3));
        let _ = writeln!(text, "{}", line.trim_end());
        wrapped(&mut text, "    ", evidence);
    }
    for line in notes(verdict) {
        wrapped(&mut text, "", &line);
    }
    text.push('\n');
    wrapped(&mut text, "", &format!("{}: {}", verdict.outcome.word(), sentence(verdict)));
    for reason in &verdict.reasons {
        wrapped(&mut text, "  ", reason);
    }
    // Names and reasons may be of files that somebody else wrote.
    harmless(&text)
}

/// Adds a text in lines of a terminal's width, each with something before it.
fn wrapped(text: &mut String, before: &str, sentence: &str) {
    let mut line = String::new();
    for word in sentence.split(' ').filter(|word| !word.is_empty()) {
        let full = before.len() + line.chars().count() + 1 + word.chars().count() > WIDTH;
        if full && !line.is_empty() {
            let _ = writeln!(text, "{before}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        let _ = writeln!(text, "{before}{line}");
    }
}

/// What a job's page shows.
pub fn markdown(verdict: &Verdict, planned: &Planned) -> String {
    let mut text = format!(
        "# {}: {}\n\n{}\n\n{}\n\n",
        planned.experiment,
        verdict.outcome.word(),
        head(planned),
        sentence(verdict)
    );
    for reason in &verdict.reasons {
        let _ = writeln!(text, "- {reason}");
    }
    text.push_str("\n| verdict | metric | base → head | change [interval] | evidence |\n|---|---|---|---|---|\n");
    for finding in &verdict.findings {
        let [word, metric, values, change, evidence] = row(finding);
        let bold = if finding.metric.gating { format!("**{word}**") } else { word };
        let _ = writeln!(text, "| {bold} | `{metric}` | {values} | {change} | {evidence} |");
    }
    let _ = write!(text, "\nBold: metrics that decide.");
    for line in notes(verdict) {
        let _ = write!(text, " {line}");
    }
    text + "\n"
}

/// A sentence that stands alone.
fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// What is compared with what, in a sentence.
pub(crate) fn head(planned: &Planned) -> String {
    let scale = planned.scale.as_ref().map_or(String::new(), |scale| format!(", scale {scale}"));
    let arm = if planned.arm == planned.head_arm {
        format!("arm {}", planned.arm)
    } else {
        format!("arm {} against {}", planned.head_arm, planned.arm)
    };
    let equal = if planned.same_programs { " (the same programs: A/A)" } else { "" };
    let whole = if planned.whole { ", whole products" } else { "" };
    format!(
        "{} {arm}{scale}{whole}: {} against {}{equal}",
        planned.experiment,
        subject(&planned.head),
        subject(&planned.base)
    )
}

fn subject(subject: &Subject) -> String {
    match &subject.commit {
        Some(commit) if commit.starts_with(&subject.name) => short(commit, subject.dirty),
        Some(commit) => format!("{} ({})", subject.name, short(commit, subject.dirty)),
        None => subject.name.clone(),
    }
}

fn sentence(verdict: &Verdict) -> String {
    let used = if verdict.pairs_used == verdict.pairs_made {
        counted(verdict.pairs_made as usize, "pair")
    } else {
        format!("{} of {}", verdict.pairs_used, counted(verdict.pairs_made as usize, "pair"))
    };
    let looks: Vec<String> = verdict.design.looks.iter().map(ToString::to_string).collect();
    let said = match verdict.outcome {
        Outcome::Passed if verdict.same_programs => "equal programs do not differ",
        Outcome::Passed => "nothing that decides is worse",
        Outcome::Regressed => "something that decides is worse",
        Outcome::Inconclusive => "it is not decided",
        Outcome::Invalid => "what was measured cannot be believed",
        Outcome::SubjectFailed => "programs that are compared died",
    };
    let percent = |share: f64| format!("{:.2}", 100.0 * share).trim_end_matches('0').trim_end_matches('.').to_owned();
    let error = match looks.len() {
        1 => format!("error {} %", percent(verdict.alpha)),
        _ => format!("error {} % each, {} % in all", percent(verdict.alpha), percent(verdict.design.error)),
    };
    let planned = if looks.len() == 1 { "the planned look is" } else { "planned looks are" };
    format!("{said}; {used} ({planned} after {}; {error})", looks.join(" and "))
}

/// Verdict, metric, values, change with interval, evidence.
pub(crate) fn row(finding: &Finding) -> [String; 5] {
    let word = worded(finding.verdict, finding.metric.kind, finding.metric.margin);
    let metric =
        if finding.metric.gating { finding.metric.figure.clone() } else { format!("({})", finding.metric.figure) };
    let value = |value: Option<f64>| median(&finding.metric.figure, finding.metric.kind, value);
    let mut values = format!("{} → {}", value(finding.base), value(finding.head));
    if let Some(totals) = &finding.totals
        && finding.metric.kind == Kind::Ratio
    {
        let part = if OF_BYTES.contains(&finding.metric.figure.as_str()) { bytes } else { number };
        let of =
            |[numerator, denominator]: [f64; 2]| format!("{} of {}", part(Some(numerator)), part(Some(denominator)));
        let _ = write!(values, " ({} → {})", of(totals.base), of(totals.head));
    }
    let change = finding.effect.map_or(String::new(), |effect| change(&effect, finding.metric.kind));
    [word, metric, values, change, evidence(finding)]
}

/// What is said of a metric of this kind with this margin.
pub(crate) fn worded(word: Word, kind: Kind, margin: f64) -> String {
    match (kind, word) {
        (Kind::Exact, Word::NoChange) => "THE SAME".to_owned(),
        (_, word) => word.text(&share(margin, kind, false)),
    }
}

fn evidence(finding: &Finding) -> String {
    let mut parts: Vec<String> = Vec::new();
    let size = |value: f64| share(value, finding.metric.kind, false);
    let decided = !matches!(finding.verdict, Word::Inconclusive | Word::NoChange | Word::Invalid);
    if let Some(p) = finding.p_adjusted.filter(|_| finding.test != Test::Equality) {
        parts.push(format!("p_adj {p:.3}"));
    }
    if decided && let Some(floor) = finding.floor {
        parts.push(format!("A/A floor {}", size(floor)));
    }
    // What has no spread sees everything, which says nothing.
    match finding.sees {
        Some(sees) if !decided && sees >= 0.0005 => parts.push(format!("can see ≥ {} now", size(sees))),
        None if finding.verdict == Word::Inconclusive && finding.spread.is_some() => {
            parts.push(format!("{} cannot show a change of it alone", counted(finding.pairs as usize, "pair")));
        }
        _ => {}
    }
    if finding.verdict == Word::Inconclusive
        && let Some(needs) = finding.needs
    {
        let margin = size(finding.metric.margin);
        let larger = needs.to_detect.zip(needs.to_certify).map(|(one, other)| one.max(other));
        parts.push(match (larger, needs.minutes) {
            (Some(pairs), Some(minutes)) if pairs > finding.pairs => {
                let time = if minutes < 1.0 { format!("{:.0} s", 60.0 * minutes) } else { format!("{minutes:.0} min") };
                format!("{} more pairs (~{time}) decide about {margin}", pairs - finding.pairs)
            }
            (None, _) => format!("no number of pairs that can be made decides about {margin}"),
            _ => String::new(),
        });
    }
    parts.extend(finding.note.clone());
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

/// A median over runs, in the unit of its figure.
pub(crate) fn median(figure: &str, kind: Kind, value: Option<f64>) -> String {
    match kind {
        Kind::Proportion => percent(value),
        Kind::Count if figure.starts_with("bytes.") => bytes(value),
        Kind::Ratio if OF_BYTES.contains(&figure) => percent(value),
        _ => number(value),
    }
}

/// An effect with its interval.
pub(crate) fn change(effect: &Effect, kind: Kind) -> String {
    if kind == Kind::Exact {
        let shown = |value: f64| format!("{value:+.3}").trim_end_matches('0').trim_end_matches('.').replace('-', "−");
        return format!("{} [{}, {}]", shown(effect.estimate), shown(effect.low), shown(effect.high));
    }
    let shown = |value: f64| share(value, kind, true);
    // The unit once.
    let bare = |value: f64| shown(value).split(' ').next().unwrap_or_default().to_owned();
    format!("{} [{}, {}]", shown(effect.estimate), bare(effect.low), bare(effect.high))
}

/// A share of the base, or points.
pub(crate) fn share(value: f64, kind: Kind, signed: bool) -> String {
    let unit = if kind == Kind::Proportion { "points" } else { "%" };
    let value = 100.0 * value;
    let digits = usize::from(value.abs() < 9.95);
    let sign = if signed && value >= 0.0 { "+" } else { "" };
    format!("{sign}{value:.digits$} {unit}").replace('-', "−")
}

fn notes(verdict: &Verdict) -> Vec<String> {
    let mut notes = Vec::new();
    if verdict.findings.iter().any(|finding| finding.metric.kind == Kind::Ratio && finding.totals.is_some()) {
        notes.push(
            "Changes of quotients are those of the sums in brackets; before them are medians of runs.".to_owned(),
        );
    }
    if let Some(p) = verdict.shape_p.filter(|p| *p <= 0.01) {
        notes.push(format!(
            "The distribution of speeds differs in shape (energy distance of ranks, p {p:.3}; it decides nothing)."
        ));
    }
    notes
}
