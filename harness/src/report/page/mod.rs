//! `report.html`: one file without anything from elsewhere; its own policy forbids it to load anything, and any script but its
//! own. It is readable without that script, which only lets pictures be looked at closely.

mod answer;
mod arms;
mod claims;
mod setup;

#[cfg(test)]
mod sweep_tests;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::{
    attackers, expected,
    figures::{self, Figure},
    number, percent,
    rows::runs_note,
    shown,
    source::{Column, Set, Source},
};
use crate::results::RunDetail;

/// How our pages look.
pub(crate) const STYLE: &str = include_str!("page.css");
/// What tells a page of ours from any other file.
pub(crate) const GENERATOR: &str = "peerbed report";
const SCRIPT: &str = include_str!("page.js");

/// The whole page.
pub fn html(source: &Source) -> String {
    html_after(source, &Markup::default())
}

/// The same with something that stands before everything else.
pub fn html_after(source: &Source, first: &Markup) -> String {
    let columns = source.columns();
    let figures = figures::all(source);
    let most = figures.iter().map(Figure::series).max().unwrap_or(0);
    let style = format!("{STYLE}{}", rules(most));
    let title = title(source);
    let body = html! {
        header {
            h1 { (title) }
            @for question in questions(source) { p .question { (question) } }
            @let legend = source.legend();
            @if !legend.is_empty() { ul .results { @for (letter, identity) in &legend { li { b { (letter) } ": " (identity) } } } }
        }
        main {
            (first)
            (answer::section(source))
            @for set in &source.sets { (claims::section(set)) }
            @for set in &source.sets { (validity(set)) (earlier(set)) }
            h2 { "Figures by arm" }
            (arms::key_figures(&columns))
            (arms::all_figures(&columns))
            @for set in &source.sets { (runs_of(set)) }
            @for set in &source.sets { (expectations(set)) (attackers_list(set)) }
            h2 { "Pictures" }
            div .figures {
                @for figure in &figures {
                    @match figure { Figure::Chart(chart) => { (chart.figure().unwrap_or_default()) }, Figure::Heat(heat) => { (heat.figure().unwrap_or_default()) } }
                }
            }
            (runs(&columns))
            @for set in &source.sets { (setup::section(set)) }
        }
    };
    let invalid = if source.valid() { "" } else { " — INVALID" };
    document(&format!("{title}{invalid}"), GENERATOR, &style, Some(SCRIPT), &body)
}

/// A page of its own: its policy allows this style and this script and nothing else, from wherever it may be.
pub(crate) fn document(title: &str, generator: &str, style: &str, script: Option<&str>, body: &Markup) -> String {
    let scripts = script.map_or(String::new(), |script| format!(" script-src '{}';", hash(script)));
    let policy = format!(
        "default-src 'none'; img-src data:; style-src '{}';{scripts} base-uri 'none'; form-action 'none'",
        hash(style)
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="generator" content=(generator);
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                // No icon: a browser would ask for one otherwise.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(style)) }
            }
            body {
                (body)
                @if let Some(script) = script { script { (PreEscaped(script)) } }
            }
        }
    };
    page.into_string()
}

/// How a policy names a text that may be there.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

fn title(source: &Source) -> String {
    let mut names: Vec<&str> = source.sets.iter().map(|set| set.summary.experiment.as_str()).collect();
    names.dedup();
    let side_by_side =
        if source.sets.len() > 1 { format!(": {} results side by side", source.sets.len()) } else { String::new() };
    format!("{}{side_by_side}", names.join(", "))
}

fn questions(source: &Source) -> Vec<&str> {
    let mut questions: Vec<&str> = source.sets.iter().map(|set| set.summary.question.as_str()).collect();
    questions.dedup();
    questions
}

/// The heading of a section that each set has.
fn of_set(set: &Set, what: &str) -> String {
    set.label.as_ref().map_or(what.to_owned(), |label| format!("{what}: {label}"))
}

fn validity(set: &Set) -> Markup {
    let summary = &set.summary;
    html! {
        @if summary.valid {
            p .valid { (of_set(set, "Valid")) ": links as asked for as far as they were measured, the machine kept up, the byte ledger reconciles, in every run." }
        } @else {
            section .banner {
                p .bad { (of_set(set, "INVALID")) ". Figures in brackets say nothing about the question." }
                ul {
                    @for arm in &summary.arms {
                        @for reason in &arm.invalid_reasons { li { b { (arm.arm) } ": " (reason) } }
                    }
                }
            }
        }
    }
}

/// Of how many runs the figures are; side by side it is said of each of the results.
fn runs_of(set: &Set) -> Markup {
    let note = runs_note(&set.summary);
    html! {
        @match (&set.label, note) {
            (Some(label), Some(note)) => { p .note { (label) ": " (note) } },
            (Some(label), None) => { p .note { (label) ": One run of each arm." } },
            (None, Some(note)) => { p .note { (note) } },
            (None, None) => {},
        }
    }
}

/// What a resumed sweep has of an earlier time.
fn earlier(set: &Set) -> Markup {
    html! {
        @if let Some(earlier) = set.taken_over() {
            p .note { @if let Some(letter) = &set.label { (letter) ": " } (earlier.sentence()) }
        }
    }
}

fn attackers_list(set: &Set) -> Markup {
    let sentences = attackers(&set.summary);
    html! {
        @if !sentences.is_empty() {
            h2 { (of_set(set, "Attackers")) }
            ul { @for sentence in &sentences { li { (sentence) } } }
        }
    }
}

fn expectations(set: &Set) -> Markup {
    html! {
        @if !set.summary.expectations.is_empty() {
            h2 { (of_set(set, "Expectations")) }
            ul {
                @for expectation in &set.summary.expectations {
                    li {
                        @match expectation.met {
                            Some(true) => { "met" },
                            Some(false) => { span .bad { "UNMET" } },
                            None => { "not judged" },
                        }
                        ": " (expected(expectation))
                    }
                }
            }
        }
    }
}

fn runs(columns: &[Column<'_>]) -> Markup {
    if columns.iter().all(|column| column.runs() == 0) {
        return html! { h2 { "Runs" } p { "No run was made." } };
    }
    let count = |run: &RunDetail, key| run.figures.get(key).unwrap_or(0.0);
    html! {
        h2 { "Runs" }
        div .wide {
            table {
                thead { tr {
                    th { "arm" } th { "repeat" } th { "seed" } th { "validity" } th { "done / begun" }
                    th { "p10" } th { "speed p50" } th { "p90" } th { "paused" } th { "efficiency" }
                } }
                tbody {
                    @for column in columns { @for run in &column.arm.runs_detail {
                        tr {
                            th scope="row" { (column.name()) } td { (run.repeat + 1) } td { (run.seed) }
                            td class=(if run.valid { "" } else { "bad" }) { (if run.valid { "valid" } else { "INVALID" }) }
                            td { (shown(run.valid, format!("{} / {}", count(run, "downloads.completed"), count(run, "downloads.started")))) }
                            @for key in ["speed_mbps.p10", "speed_mbps.p50", "speed_mbps.p90"] {
                                td { (shown(run.valid, number(run.figures.get(key)))) }
                            }
                            @for key in ["pause_rate", "peer_efficiency.bytes"] {
                                td { (shown(run.valid, percent(run.figures.get(key)))) }
                            }
                        }
                    } }
                }
            }
        }
        p .note { "Speeds in Mbit/s; efficiency by bytes." }
    }
}

/// Rules that hide the series whose box is not ticked, without any script; of figures with so many series at most.
fn rules(series: usize) -> String {
    let mut rules = String::new();
    for index in 0..series {
        let of = format!("[data-series=\"{index}\"]");
        let _ = writeln!(rules, ".chart:has(input{of}:not(:checked)) .series{of} {{ display: none; }}");
    }
    rules
}
