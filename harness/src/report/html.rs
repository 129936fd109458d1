//! `report.html`: one file without anything from elsewhere.

use maud::{DOCTYPE, Markup, PreEscaped, html as markup};
use peerbed_contract::TerminalStatus;

use super::{
    attackers,
    cdf::{Series, cdf},
    expected, number, percent,
    rows::{heading, rows, runs_note},
    series::{Course, courses},
    shown,
};
use crate::{
    metrics::{series, sorted, speed_mbps},
    results::{ArmSummary, Manifest, RunDetail, RunOutcome, Summary},
};

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --bad: #c0341d; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .8rem; text-align: right; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
td { white-space: nowrap; }
td:first-child { white-space: pre; }
.bad { color: var(--bad); font-weight: 600; }
h1, p, li { overflow-wrap: anywhere; }
.banner { border: 2px solid var(--bad); padding: .5rem 1rem; margin: 1rem 0; }
.wide { overflow-x: auto; }
.grid { stroke: var(--line); }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
figure { margin: 1rem 0; max-width: 40rem; }
.act { stroke: currentColor; stroke-dasharray: 2 2; opacity: .6; }
.acts { margin: .2rem 0; font-size: 13px; }
.key { margin-right: 1rem; white-space: nowrap; }
pre { overflow-x: auto; border: 1px solid var(--line); padding: 1rem; font-size: 13px; }
";

/// The whole page.
pub fn html(summary: &Summary, outcomes: &[RunOutcome], manifest: &Manifest) -> String {
    let arms: Vec<&ArmSummary> = summary.arms.iter().collect();
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (summary.experiment) @if !summary.valid { " — INVALID" } }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (summary.experiment) }
                p { (summary.question) }
                p {
                    "Begun " (summary.created.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()) ", "
                    @match &summary.commit {
                        Some(commit) => { "commit " code { (commit) } @if summary.dirty { ", with uncommitted changes" } },
                        None => { "no commit" },
                    }
                    @if let Some(scale) = summary.scale() { ", scale " code { (scale) } }
                    @if let Some(runtime) = summary.runtime() { ", runtime " code { (runtime) } }
                    @if let Some(engine) = summary.engine() { ", link engine " code { (engine) } }
                    "."
                }
                (validity(summary))
                h2 { "Answer" }
                (answer(&arms))
                @if let Some(note) = runs_note(summary) { p { (note) } }
                (attackers_list(summary))
                (expectations(summary))
                h2 { "Speed" }
                (speeds(&arms, outcomes))
                (over_time(&arms, outcomes))
                (runs(&arms))
                h2 { "Manifest" }
                // A manifest is plain data; if it could not be written here, `manifest.json` would have failed as well.
                pre { (serde_json::to_string_pretty(manifest).unwrap_or_else(|error| error.to_string())) }
            }
        }
    };
    page.into_string()
}

fn validity(summary: &Summary) -> Markup {
    markup! {
        @if summary.valid {
            p { "Every run is valid." }
        } @else {
            div .banner {
                p .bad { "INVALID. Figures in brackets say nothing about the question." }
                ul {
                    @for arm in &summary.arms {
                        @for reason in &arm.invalid_reasons { li { b { (arm.arm) } ": " (reason) } }
                    }
                }
            }
        }
    }
}

fn answer(arms: &[&ArmSummary]) -> Markup {
    let class = |arm: &ArmSummary| if arm.valid { "" } else { "bad" };
    markup! {
        div .wide {
            table {
                thead { tr { th { "" } @for arm in arms { th class=(class(arm)) { (heading(arm)) } } } }
                tbody {
                    @for row in rows(arms) {
                        tr {
                            td { (row.label) }
                            @for (value, arm) in row.values.iter().zip(arms) { td class=(class(arm)) { (value) } }
                        }
                    }
                }
            }
        }
    }
}

fn attackers_list(summary: &Summary) -> Markup {
    let sentences = attackers(summary);
    markup! {
        @if !sentences.is_empty() {
            h2 { "Attackers" }
            ul { @for sentence in &sentences { li { (sentence) } } }
        }
    }
}

fn expectations(summary: &Summary) -> Markup {
    markup! {
        @if !summary.expectations.is_empty() {
            h2 { "Expectations" }
            ul {
                @for expectation in &summary.expectations {
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

fn speeds(arms: &[&ArmSummary], outcomes: &[RunOutcome]) -> Markup {
    let series: Vec<Series> =
        arms.iter().map(|arm| Series { name: heading(arm), values: completed(arm, outcomes) }).collect();
    markup! {
        @match cdf(&series) {
            Some(picture) => {
                p { "Completed downloads; in brackets, how many. Where there are several runs, the picture pools them; the \
                     figures above don't." }
                (picture)
            },
            None => { p { "No download was completed." } },
        }
    }
}

/// The first run of each arm over time.
fn over_time(arms: &[&ArmSummary], outcomes: &[RunOutcome]) -> Markup {
    let first = |arm: &&ArmSummary| {
        let outcome = outcomes.iter().find(|outcome| outcome.record().plan.arm == arm.arm)?;
        let more = outcomes.iter().filter(|other| other.record().plan.arm == arm.arm).count() > 1;
        let name =
            if more { format!("{}, repeat {}", heading(arm), outcome.record().plan.repeat) } else { heading(arm) };
        Some(Course { name, moments: series(&outcome.view()), acts: &outcome.record().acts })
    };
    let runs: Vec<Course<'_>> = arms.iter().filter_map(first).collect();
    markup! {
        @if let Some(pictures) = courses(&runs) {
            h2 { "Over time" }
            (pictures)
        }
    }
}

fn completed(arm: &ArmSummary, outcomes: &[RunOutcome]) -> Vec<f64> {
    let mut speeds = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.record().plan.arm == arm.arm) {
        let view = outcome.view();
        let records = view.records().filter(|record| record.status == TerminalStatus::Completed);
        speeds.extend(records.filter_map(speed_mbps).filter(|speed| *speed > 0.0));
    }
    sorted(speeds)
}

fn runs(arms: &[&ArmSummary]) -> Markup {
    let figure = |run: &RunDetail, key| run.figures.get(key);
    if arms.iter().all(|arm| arm.runs_detail.is_empty()) {
        return markup! { h2 { "Runs" } p { "No run was made." } };
    }
    let count = |run: &RunDetail, key| figure(run, key).unwrap_or(0.0);
    markup! {
        h2 { "Runs" }
        div .wide {
            table {
                thead { tr {
                    th { "arm" } th { "repeat" } th { "seed" } th { "validity" } th { "completed / started" }
                    @for quantile in ["p10", "p50", "p90"] { th { "speed " (quantile) " (Mbit/s)" } }
                    th { "pause rate" } th { "peer efficiency" }
                } }
                tbody {
                    @for arm in arms { @for run in &arm.runs_detail {
                        tr {
                            td { (arm.arm) } td { (run.repeat) } td { (run.seed) }
                            td class=(if run.valid { "" } else { "bad" }) { (if run.valid { "valid" } else { "INVALID" }) }
                            td { (shown(run.valid, format!("{} / {}", count(run, "downloads.completed"), count(run, "downloads.started")))) }
                            @for key in ["speed_mbps.p10", "speed_mbps.p50", "speed_mbps.p90"] {
                                td { (shown(run.valid, number(figure(run, key)))) }
                            }
                            @for key in ["pause_rate", "peer_efficiency.bytes"] {
                                td { (shown(run.valid, percent(figure(run, key)))) }
                            }
                        }
                    } }
                }
            }
        }
    }
}
