//! The page of a history: one file without anything from elsewhere and without scripts.

use maud::{Markup, html};

use super::{
    chart::{NIGHTS_MAX, draw, look, unit},
    entry::{Entry, Role},
    series::{Change, Epoch, Group, Series, groups, latest},
};
use crate::{
    compare::{
        show::{change, median, share, worded},
        verdict::Word,
    },
    report::{STYLE, document},
    say::counted,
};

const OURS: &str = include_str!("history.css");
/// What tells a page of ours from any other file.
pub(crate) const GENERATOR: &str = "peerbed history";
/// How verdicts look, in the order in which they are explained.
const VERDICTS: [(Word, &str); 7] = [
    (Word::Regressed, "regressed"),
    (Word::Improved, "improved"),
    (Word::Changed, "changed (neither direction is better)"),
    (Word::ChangedSmall, "changed, small"),
    (Word::NoChange, "no change beyond the margin"),
    (Word::Inconclusive, "inconclusive"),
    (Word::Invalid, "invalid, or nothing known (at the foot)"),
];

/// The whole page.
pub fn page(entries: &[Entry]) -> String {
    let groups = groups(entries);
    let all: Vec<(&Group<'_>, Vec<Series<'_>>)> = groups.iter().map(|group| (group, group.series())).collect();
    let body = html! {
        header {
            h1 { "History of nights" }
            p .question { "The head of each night against a pinned reference commit, measured in pairs in the same night." }
        }
        main {
            (last(entries))
            (controls(entries))
            (change_points(&all))
            @for (group, series) in &all { (section(group, series)) }
            (definitions())
        }
    };
    document("History of nights", GENERATOR, &format!("{STYLE}{OURS}"), None, &body)
}

/// What the last comparison of each series came to.
fn last(entries: &[Entry]) -> Markup {
    let latest = latest(entries);
    let Some(night) = latest.iter().map(|entry| entry.at).max() else {
        return html! { section .answer { h2 { "No nights yet" } p { "Nothing was compared." } } };
    };
    let told = latest.iter().filter_map(|entry| Some((entry.at, entry.red()?)));
    let told: Vec<_> = told.collect();
    html! {
        section .answer {
            h2 { "Last night: " (night.strftime("%Y-%m-%d")) }
            @if told.is_empty() {
                p { span .good { "Green" } ": nothing is worse in the last comparison of each series." }
            } @else {
                p { span .bad { "Red" } ":" }
                ul { @for (at, red) in &told { li { (red) " (" (at.strftime("%Y-%m-%d")) ")" } } }
            }
        }
    }
}

/// A row of marks for each control.
fn controls(entries: &[Entry]) -> Markup {
    let all = latest(entries).into_iter().filter(|entry| entry.role != Role::Measure);
    let all: Vec<&Entry> = all.collect();
    let of = |last: &Entry| {
        let same = |entry: &&Entry| entry.role == last.role && entry.name() == last.name();
        let mut all: Vec<&Entry> = entries.iter().filter(same).collect();
        all.sort_by_key(|entry| entry.at);
        all.split_off(all.len().saturating_sub(NIGHTS_MAX))
    };
    html! {
        @if !all.is_empty() {
            h2 { "Controls" }
            @for last in all {
                p .control { (last.role.word()) ", " (last.name()) span .row { @for entry in of(last) { (control(entry)) } } }
            }
            p .note {
                span .good { "✓" } " came out as it must, " span .bad { "✗" } " did not, " span .bad { "?" }
                " nothing is known; oldest first, at most " (NIGHTS_MAX) ". A negative control compares equal programs, a positive one has a change that was put in."
            }
        }
    }
}

fn control(entry: &Entry) -> Markup {
    let (class, mark, word) = match entry.expected {
        Some(true) => ("good", "✓", "met"),
        Some(false) => ("bad", "✗", "missed"),
        None => ("bad", "?", "not known"),
    };
    let told = format!("{}: {word} ({}), {}", entry.at.strftime("%Y-%m-%d"), entry.outcome.word(), entry.head.short());
    html! { span class=(class) title=(told) { (mark) } }
}

fn change_points(all: &[(&Group<'_>, Vec<Series<'_>>)]) -> Markup {
    let all = all.iter().flat_map(|(group, series)| series.iter().map(move |series| (*group, series)));
    let found = all.flat_map(|(group, series)| series.changes.iter().map(move |change| (group, change)));
    let mut found: Vec<(&Group<'_>, &Change)> = found.collect();
    found.sort_by_key(|(_, change)| (std::cmp::Reverse(change.first_after.at), !change.gating));
    html! {
        h2 { "Change points" }
        @if found.is_empty() { p { "None was found." } }
        @for (group, change) in found {
            p {
                b { (change.figure) } " " (group.name) ": " (change.sentence()) "."
                @if !change.gating { " It does not decide." }
                @if let Some(why) = change.no_command() { " No command: " (why) "." }
            }
            @if change.compare.is_some() {
                pre .commands { @for command in change.commands() { (command) "\n" } }
            }
        }
    }
}

/// The series of a group: those that decide, and behind a summary the others.
fn section(group: &Group<'_>, series: &[Series<'_>]) -> Markup {
    let (gating, others): (Vec<&Series<'_>>, Vec<&Series<'_>>) = series.iter().partition(|series| series.metric.gating);
    html! {
        h2 { (group.name) }
        @if gating.is_empty() && others.is_empty() {
            p { "No comparison of it came to a verdict: the last one was " (group.latest.outcome.word()) "." }
        } @else {
            (legend())
        }
        div .figures { @for series in &gating { (figure(group, series)) } }
        @if !others.is_empty() {
            details {
                summary { (counted(others.len(), "metric")) " that do not decide" }
                div .figures { @for series in &others { (figure(group, series)) } }
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        ul .verdicts {
            @for (word, text) in VERDICTS {
                @let (class, mark) = look(word);
                li { svg viewBox="0 0 14 14" aria-hidden="true" { g class=(class) { path .sign d=(format!("M7 7{mark}")) {} } } " " (text) }
            }
        }
    }
}

fn figure(group: &Group<'_>, series: &Series<'_>) -> Markup {
    let count = series.points.len();
    let metric = series.metric;
    html! {
        figure {
            figcaption { b { (metric.figure) } ", change in " (unit(metric)) @if metric.margin > 0.0 { "; margin ±" (share(metric.margin, metric.kind, false).replace(' ', "\u{a0}")) } }
            (draw(group, series))
            @if count > NIGHTS_MAX { p .note { "The last " (NIGHTS_MAX) " of " (count) " comparisons are drawn; the table has all." } }
            @let begun = (1..).zip(&group.epochs).skip(1);
            @if group.epochs.len() > 1 || !series.changes.is_empty() {
                ul .marks {
                    @for (number, epoch) in begun { li { "from " (number) " on: " (broken(epoch)) } }
                    @for change in &series.changes { li { "change point, " (change.sentence()) } }
                }
            }
            details {
                summary { "Numbers of " (counted(count, "comparison")) }
                (numbers(group, series))
            }
        }
    }
}

/// Why an epoch is not the one before it.
fn broken(epoch: &Epoch<'_>) -> String {
    let told = epoch.differs.iter().map(|differs| format!("{} {} → {}", differs.what, differs.from, differs.to));
    let told = told.collect::<Vec<_>>().join(", ");
    match epoch.shared {
        0 => told,
        shared => format!("{told} ({} measured in both epochs)", counted(shared, "commit")),
    }
}

/// Every number of a series, the newest first.
fn numbers(group: &Group<'_>, series: &Series<'_>) -> Markup {
    let points = &series.points;
    html! {
        div .wide {
            table {
                thead { tr { @for title in ["night", "head", "verdict", "change [interval]", "reference → head", "p_adj", "pairs"] { th .text { (title) } } } }
                tbody {
                    @for place in (0..points.len()).rev() {
                        @let point = &points[place];
                        @let entry = point.entry;
                        tr {
                            td .text { (entry.at.strftime("%Y-%m-%d")) }
                            td .text { code { (entry.head.short()) } }
                            @if let Some(metric) = point.metric {
                                td .text { (worded(metric.verdict, metric.kind, metric.margin)) }
                                td .text { @if let Some(effect) = &metric.effect { (change(effect, metric.kind)) } @else { "–" } }
                                @let shown = |value| median(&metric.figure, metric.kind, value);
                                td .text { (shown(metric.base)) " → " (shown(metric.head)) }
                                td .text { @if let Some(p) = metric.p_adjusted { (format!("{p:.3}")) } @else { "–" } }
                            } @else {
                                td .text { (entry.outcome.word()) } td .text { "–" } td .text { "–" } td .text { "–" }
                            }
                            td .text { (entry.pairs_used) " of " (entry.pairs_made) }
                        }
                        @if place > 0 && points[place - 1].epoch != point.epoch {
                            tr .break { td colspan="7" { (broken(&group.epochs[point.epoch])) } }
                        }
                    }
                }
            }
        }
    }
}

fn definitions() -> Markup {
    html! {
        h2 { "What is drawn" }
        ul {
            li {
                b { "Change" } ": of the head against the pinned reference commit, both measured in the same night in pairs of runs with the same seeds; "
                "in per cent of the reference, or in points of a share. The line through a mark is the interval of the comparison: of 95 % where it had one planned look, wider where it had several. "
                "The pale band is the margin, up to which a change does not matter."
            }
            li {
                b { "Verdict" } ": that of the comparison of this night (" code { "docs/comparison.md" } "). Invalid comparisons are hollow and count nowhere."
            }
            li {
                b { "Epoch" } ": nights with the same reference, machine, engine, runtime and plan. Numbers of different epochs are not compared; a dashed line with a number divides them."
            }
            li {
                b { "Change point" } ": where the changes of an epoch divide into two parts that differ most in energy distance, if fewer than 1 % of shuffled orders divide as clearly "
                "(e-divisive means: Matteson & James 2014, “A nonparametric approach for multiple change point analysis of multivariate data”, with the means of the parts as levels). "
                "The shaded range is where it probably came. It is a tripwire and no verdict: the commands compare the two commits by pairs of runs."
            }
        }
    }
}
