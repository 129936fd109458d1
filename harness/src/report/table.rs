//! The table of arms: drawn for a terminal of 80 columns without colour, and as Markdown.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use super::{
    attackers, claims, complaints, expected,
    rows::{Row, heading, rows, runs_note},
};
use crate::results::{ArmSummary, Summary};

const WIDTH: usize = 80;

/// The table that `peerbed run` ends with, and below it everything that speaks against the results.
pub fn table(summary: &Summary) -> String {
    let mut text = String::new();
    for arms in in_pages(summary) {
        let drawn = draw(&arms, presets::UTF8_FULL_CONDENSED);
        let _ = writeln!(text, "{drawn}");
    }
    for line in runs_note(summary).into_iter().chain(claims::counts(summary)).chain(complaints(summary)) {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// `summary.md`.
pub fn markdown(summary: &Summary) -> String {
    let verdict = if summary.valid { "" } else { " — INVALID" };
    let mut text = format!("# {}{verdict}\n\n{}\n\n", summary.experiment, summary.question);
    let dirty = if summary.dirty { ", with uncommitted changes" } else { "" };
    let commit = summary.commit.as_ref().map_or("no commit".to_owned(), |commit| format!("commit `{commit}`{dirty}"));
    let seconds = summary.created.strftime("%Y-%m-%d %H:%M:%S UTC");
    let runtime = summary.runtime().map_or(String::new(), |runtime| format!(", runtime `{runtime}`"));
    let engine = summary.engine().map_or(String::new(), |engine| format!(", link engine `{engine}`"));
    let scale = summary.scale().map_or(String::new(), |scale| format!(", scale `{scale}`"));
    let earlier = summary.taken_over.map_or(String::new(), |earlier| format!(" {}", earlier.sentence()));
    let _ = writeln!(text, "Begun {seconds}, {commit}{scale}{runtime}{engine}.{earlier}\n");
    let all: Vec<&ArmSummary> = summary.arms.iter().collect();
    let _ = writeln!(text, "{}", draw(&all, presets::ASCII_MARKDOWN));
    if let Some(note) = runs_note(summary) {
        let _ = writeln!(text, "\n{note}");
    }
    let invalid: Vec<_> = summary.arms.iter().filter(|arm| !arm.valid).collect();
    if !invalid.is_empty() {
        let _ = writeln!(text, "\n## INVALID\n\nFigures in brackets say nothing about the question.\n");
        for arm in invalid {
            arm.invalid_reasons.iter().for_each(|reason| {
                let _ = writeln!(text, "- **{}**: {reason}", arm.arm);
            });
        }
    }
    let attackers = attackers(summary);
    if !attackers.is_empty() {
        let _ = writeln!(text, "\n## Attackers\n");
    }
    for sentence in attackers {
        let _ = writeln!(text, "- {sentence}");
    }
    let copied: Vec<_> = summary.arms.iter().filter(|arm| !arm.copied_installations.is_empty()).collect();
    if !copied.is_empty() {
        let _ = writeln!(text, "\n## Installations seen more than once\n");
        for arm in copied {
            let _ = writeln!(text, "- **{}**: {}", arm.arm, arm.copied_installations.join(", "));
        }
    }
    if !summary.expectations.is_empty() {
        let _ = writeln!(text, "\n## Expectations\n");
    }
    for expectation in &summary.expectations {
        let word = match expectation.met {
            Some(true) => "met",
            Some(false) => "**UNMET**",
            None => "not judged",
        };
        let _ = writeln!(text, "- {word}: {}", expected(expectation));
    }
    text.push_str(&claims::markdown(summary));
    text
}

/// The arms in groups that fit side by side.
fn in_pages(summary: &Summary) -> Vec<Vec<&ArmSummary>> {
    let mut pages: Vec<Vec<&ArmSummary>> = Vec::new();
    for arm in &summary.arms {
        let fits = |page: &Vec<&ArmSummary>| {
            let with: Vec<&ArmSummary> = page.iter().copied().chain([arm]).collect();
            draw(&with, presets::UTF8_FULL_CONDENSED).lines().all(|line| line.chars().count() <= WIDTH)
        };
        match pages.last_mut() {
            Some(page) if fits(page) => page.push(arm),
            _ => pages.push(vec![arm]),
        }
    }
    pages
}

fn draw(arms: &[&ArmSummary], style: comfy_table::TableStyle) -> String {
    let mut table = Table::new();
    table.load_style(style);
    table.set_header(std::iter::once(String::new()).chain(arms.iter().map(|arm| heading(arm))));
    for Row { label, values } in rows(arms) {
        table.add_row(std::iter::once(label.to_owned()).chain(values));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}
