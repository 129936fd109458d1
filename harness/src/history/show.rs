//! How a history is shown in text: the page of a night's job in Markdown, a table for terminals, JSON for programs.

use std::fmt::Write;

use comfy_table::{Table, presets};
use serde::Serialize;

use super::{
    entry::{Entry, Metric, Role, VERSION},
    series::{Change, changes, latest},
};
use crate::{
    compare::{
        show::{change, share, worded},
        verdict::{Outcome, Word},
    },
    say::counted,
};

/// What came of one night.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Night {
    /// Why it is red, a sentence without its end each; nothing: it is green.
    pub red: Vec<String>,
    /// The page of its job.
    pub markdown: String,
    /// The same for a terminal.
    pub text: String,
}

/// The comparisons of a night, and what they add to the history before it. Why it was cut off, if it was: what was not compared then may
/// be anything.
pub fn summary(earlier: &[Entry], night: &[Entry], cut_off: Option<&str>) -> Night {
    let mut red: Vec<String> = cut_off.into_iter().map(str::to_owned).collect();
    red.extend(night.iter().filter_map(Entry::red));
    if red.is_empty() && night.is_empty() {
        red.push("nothing was compared".to_owned());
    }
    let (colour, why) = if red.is_empty() { ("green", green(night)) } else { ("red", red.join("; ")) };
    let mut text = format!("**The night is {colour}**: {}.\n", cell(&why));
    let mut plain = format!("The night is {colour}: {why}.\n");
    if !night.is_empty() {
        let _ = writeln!(
            text,
            "\n| | experiment | head | against | outcome | pairs | metrics that decide |\n|---|---|---|---|---|---|---|"
        );
    }
    for entry in night {
        let _ = writeln!(text, "| {} |", row(entry).join(" | "));
    }
    for (entry, reason) in night.iter().flat_map(|entry| entry.reasons.iter().map(move |reason| (entry, reason))) {
        let _ = write!(text, "\n- {} of {}: {}", entry.role.word(), cell(&entry.name()), cell(reason));
    }
    if night.iter().any(|entry| !entry.reasons.is_empty()) {
        text.push('\n');
    }
    if !night.is_empty() {
        let _ = writeln!(plain, "\n{}", table(night.iter()).trim_fmt());
    }
    let entries = [earlier, night].concat();
    let known = changes(earlier);
    let is_new = |change: &Change| change.gating && !known.iter().any(|earlier| earlier.overlaps(change));
    let new: Vec<Change> = changes(&entries).into_iter().filter(is_new).collect();
    if !new.is_empty() {
        plain.push_str("\nnew change points (no verdicts: the commands decide):\n");
        text.push_str("\n## New change points\n\nFound over all nights since the last change of reference or machine. A change point is no verdict: the commands decide.\n");
    }
    for change in &new {
        plain.push_str(&described(change));
        let (arm, figure) = (cell(&change.arm), cell(&change.figure));
        let _ =
            writeln!(text, "\n- **{}, arm {arm}, {figure}** {}", cell(&change.experiment), cell(&change.sentence()));
        if let Some(why) = change.no_command() {
            let _ = writeln!(text, "  ({why})");
        } else {
            let commands: Vec<&str> = change.commands().collect();
            let _ = writeln!(text, "\n  ```\n  {}\n  ```", commands.join("\n  "));
        }
    }
    Night { red, markdown: text, text: plain }
}

/// What is said of a night that is not red.
fn green(night: &[Entry]) -> String {
    let of = |role: Role| night.iter().filter(|entry| entry.role == role).count();
    let controls = match of(Role::NegativeControl) + of(Role::PositiveControl) {
        0 => "there was no control".to_owned(),
        count => format!("{} came out as they must", counted(count, "control")),
    };
    let open = night.iter().filter(|entry| entry.role == Role::Measure && entry.outcome == Outcome::Inconclusive);
    let open = match open.count() {
        0 => String::new(),
        count => format!(" ({count} inconclusive)"),
    };
    format!("{}, none worse{open}; {controls}", counted(of(Role::Measure), "comparison"))
}

/// A comparison as a row.
fn row(entry: &Entry) -> [String; 7] {
    let outcome = entry.outcome.word();
    let outcome = match (entry.red().is_some(), entry.expected) {
        (true, _) => format!("**{outcome}**"),
        (false, Some(true)) if entry.outcome == Outcome::Inconclusive => {
            format!("{outcome}: nothing was found, as it must")
        }
        (false, Some(true)) => format!("{outcome}, as it must"),
        (false, _) => outcome.to_owned(),
    };
    let metrics: Vec<String> = entry.metrics.iter().filter(|metric| metric.gating).map(told).collect();
    [
        entry.role.word().to_owned(),
        cell(&entry.name()),
        format!("`{}`", cell(&entry.head.short())),
        format!("`{}`", cell(&entry.reference.short())),
        outcome,
        format!("{} of {}", entry.pairs_used, entry.pairs_made),
        metrics.join("<br>"),
    ]
}

fn told(metric: &Metric) -> String {
    let effect = metric.effect.map_or("–".to_owned(), |effect| change(&effect, metric.kind));
    let said = worded(metric.verdict, metric.kind, metric.margin);
    let word = if metric.verdict == Word::Regressed { format!("**{said}**") } else { said };
    format!("`{}` {effect} {word}", cell(&metric.figure))
}

/// Text that neither ends its cell nor is Markdown or HTML.
fn cell(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut safe = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '|' => safe.push_str("\\|"),
            '`' => safe.push('\''),
            c => safe.push(c),
        }
    }
    safe
}

/// What a person reads on a terminal: every change point, and the last night of each series.
pub fn text(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "no nights yet\n".to_owned();
    }
    let mut text = String::new();
    let found = changes(entries);
    if found.is_empty() {
        text.push_str("no change points\n");
    } else {
        text.push_str("change points (no verdicts: the commands decide):\n");
    }
    text.extend(found.iter().map(described));
    let _ = write!(text, "\nthe last night of each series:\n{}\n", table(latest(entries).into_iter()).trim_fmt());
    text
}

/// A change point, for a terminal.
fn described(change: &Change) -> String {
    let figure = if change.gating { change.figure.clone() } else { format!("({})", change.figure) };
    let mut text = format!("\n{}, arm {}, {figure}\n  {}\n", change.experiment, change.arm, change.sentence());
    for command in change.commands() {
        let _ = writeln!(text, "  {command}");
    }
    if let Some(why) = change.no_command() {
        let _ = writeln!(text, "  {why}");
    }
    text
}

/// Comparisons, for a terminal.
fn table<'a>(entries: impl Iterator<Item = &'a Entry>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["night", "comparison", "head", "outcome", "pairs", "what decides"]);
    for entry in entries {
        let gating = entry.metrics.iter().filter(|metric| metric.gating);
        let metrics = gating.map(|metric| {
            let effect = metric.effect.map_or("–".to_owned(), |effect| share(effect.estimate, metric.kind, true));
            format!("{} {effect}", metric.figure)
        });
        let role = if entry.role == Role::Measure { String::new() } else { format!("{}: ", entry.role.word()) };
        let met = match entry.expected {
            Some(true) => "\nas it must",
            Some(false) => "\nNOT AS IT MUST",
            None => "",
        };
        table.add_row([
            entry.at.strftime("%Y-%m-%d").to_string(),
            format!("{role}{}", entry.name().replace(", ", "\n")),
            entry.head.short(),
            format!("{}{met}", entry.outcome.word()),
            format!("{} of {}", entry.pairs_used, entry.pairs_made),
            metrics.collect::<Vec<_>>().join("\n"),
        ]);
    }
    table
}

/// What a program reads: every change point, and the last comparison of each role, experiment, arm and scale.
pub fn json(entries: &[Entry]) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Shown<'a> {
        version: u32,
        changes: Vec<Change>,
        latest: Vec<&'a Entry>,
    }
    let shown = Shown { version: VERSION, changes: changes(entries), latest: latest(entries) };
    Ok(serde_json::to_string_pretty(&shown)? + "\n")
}
