//! How it was measured: code and machine, what was planned, what the policy was, what links did, the manifest.

use std::collections::BTreeMap;

use maud::{Markup, html};
use peerbed_model::Setting;

use super::{arms::ABREAST, of_set};
use crate::{
    report::{
        bytes,
        source::{Calibrated, Finding, Set},
    },
    results::Outline,
};

pub(super) fn section(set: &Set) -> Markup {
    html! {
        h2 { (of_set(set, "How it was measured")) }
        (identity(set))
        (plans(set))
        (parameters(set))
        (calibration(set))
        details {
            summary { "Manifest" }
            pre { (set.manifest_text) }
        }
    }
}

fn identity(set: &Set) -> Markup {
    let summary = &set.summary;
    html! {
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
            @if let Some(machine) = &set.manifest.machine {
                " Machine: " (machine.cpu_model) ", " (machine.cores) " cores, " (bytes(Some(machine.memory_bytes as f64))) " of memory, Linux " (machine.kernel) "."
            }
            @if let Some(fingerprint) = &set.manifest.fingerprint { " Fingerprint " code { (fingerprint) } "." }
        }
    }
}

/// What was planned: told once where the arms do not differ.
fn plans(set: &Set) -> Markup {
    let plans = &set.manifest.plans;
    let several = set.summary.arms.iter().any(|arm| arm.runs_planned > 1);
    let mut different: Vec<(Vec<&str>, &Outline)> = Vec::new();
    for arm in &set.summary.arms {
        let Some(plan) = plans.get(&arm.arm) else { continue };
        // Who holds how much is among the parameters that differ.
        let same = |other: &Outline| Outline { holders: plan.holders, ..other.clone() } == *plan;
        match different.iter_mut().find(|(_, other)| same(other)) {
            Some((arms, _)) => arms.push(&arm.arm),
            None => different.push((vec![&arm.arm], plan)),
        }
    }
    html! {
        @for (arms, plan) in &different {
            h3 { "Plan" @if different.len() > 1 { " of " (arms.join(", ")) } }
            p { (downloads(plan, several)) " in at most " (plan.duration_s) " s." @if several && !plan.timeline.is_empty() { " What happens from outside is that of the first repeat." } }
            div .wide { table {
                thead { tr { th { "group" } th { "nodes" } th .text { "in ASes" } } }
                tbody { @for group in &plan.groups { tr {
                    th scope="row" { (group.name) } td { (group.by_as.values().sum::<usize>()) } td .text { (places(&group.by_as)) }
                } } }
            } }
            div .wide { table {
                thead { tr { th { "content" } th { "size" } th .text { "provider" } th .text { "peers" } } }
                tbody { @for content in &plan.content { tr {
                    th scope="row" { (content.id) } td { (bytes(Some(content.size as f64))) } td .text { (content.provider) }
                    td .text { (if content.peers_allowed { "allowed" } else { "forbidden" }) }
                } } }
            } }
            @if !plan.timeline.is_empty() { ul { @for act in &plan.timeline { li { (act) } } } }
        }
    }
}

/// `24 downloads`, or of repeats that differ `22 to 27 downloads, as repeats differ,`.
fn downloads(plan: &Outline, several: bool) -> String {
    let of = &plan.downloads_of_repeats;
    match (of.iter().min(), of.iter().max()) {
        (Some(least), Some(most)) if least < most => format!("{least} to {most} downloads, as repeats differ,"),
        (None, None) if several => format!("{} downloads in the first repeat,", plan.downloads),
        _ => format!("{} downloads", plan.downloads),
    }
}

/// `64501: 40, 64502: 20`, and of many the largest.
fn places(by_as: &BTreeMap<u32, usize>) -> String {
    const SHOWN: usize = 6;
    let mut all: Vec<(&u32, &usize)> = by_as.iter().collect();
    if all.len() > SHOWN {
        all.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
    }
    let shown: Vec<String> = all.iter().take(SHOWN).map(|(number, count)| format!("AS{number}: {count}")).collect();
    let more = all.len().saturating_sub(SHOWN);
    if more > 0 { format!("{}, and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

/// Those in which arms differ first; all others are the same in every arm.
fn parameters(set: &Set) -> Markup {
    let mut parameters = set.manifest.parameters.clone();
    // Results of earlier versions have what the matrix sets in the summary alone.
    for arm in &set.summary.arms {
        let Some(known) = parameters.get_mut(&arm.arm) else { continue };
        for (path, value) in arm.matrix.iter() {
            known.entry(path.to_owned()).or_insert_with(|| Setting::Text(value.to_owned()));
        }
    }
    let arms: Vec<&str> =
        set.summary.arms.iter().map(|arm| arm.arm.as_str()).filter(|arm| parameters.contains_key(*arm)).collect();
    let mut names: Vec<&String> = parameters.values().flat_map(BTreeMap::keys).collect();
    names.sort();
    names.dedup();
    let value = |arm: &str, name: &String| parameters.get(arm).and_then(|all| all.get(name)).map(setting);
    let differs = |name: &&&String| arms.windows(2).any(|pair| value(pair[0], name) != value(pair[1], name));
    let different: Vec<&&String> = names.iter().filter(differs).collect();
    let same: Vec<&&String> = names.iter().filter(|name| !differs(name)).collect();
    let none = || "–".to_owned();
    html! {
        h3 { "Parameters" }
        @if !different.is_empty() {
            @for arms in arms.chunks(ABREAST) { div .wide { table .arms {
                thead { tr { th { "differ by arm" } @for arm in arms { th { (arm) } } } }
                tbody { @for name in &different { tr {
                    th scope="row" { (name) } @for arm in arms { td { (value(arm, name).unwrap_or_else(none)) } }
                } } }
            } } }
        }
        @if let Some(first) = arms.first() { @if !same.is_empty() {
            details {
                summary { (same.len()) " that are the same in every arm" }
                div .wide { table { tbody { @for name in &same { tr {
                    th scope="row" { (name) } td { (value(first, name).unwrap_or_else(none)) }
                } } } } }
            }
        } }
    }
}

fn setting(setting: &Setting) -> String {
    setting.to_string()
}

fn calibration(set: &Set) -> Markup {
    html! {
        h3 { "Links" }
        @match &set.manifest.calibration {
            None => { p { "Were not calibrated before the runs." } },
            Some(classes) => {
                p {
                    (counted_classes(classes.len())) " of links " (if classes.len() == 1 { "was" } else { "were" }) " calibrated with real traffic before the runs; "
                    @if classes.iter().all(|class| class.findings.iter().all(|finding| finding.good)) { "all that was measured is as asked for." } @else { span .bad { "not all that was measured is as asked for." } }
                    @if let Some(gaps) = gaps(classes) { " " (gaps) }
                }
                details open[classes.len() <= 6] {
                    summary { "What was asked and what was got" }
                    div .wide { table {
                        thead { tr { th { "links" } th .text { "quantity" } th { "asked" } th { "got" } th { "allowed\u{a0}±" } th { "within" } } }
                        tbody { @for class in classes {
                            @for (index, finding) in class.findings.iter().enumerate() { tr {
                                th scope="row" { @if index == 0 { (who(class)) } }
                                (found(finding))
                            } }
                            @let missing = class.unmeasured();
                            @if !missing.is_empty() { tr {
                                th scope="row" { @if class.findings.is_empty() { (who(class)) } }
                                td .text { (missing.join(", ")) } td { "–" } td { "–" } td { "–" } td { "not measured" }
                            } }
                        } }
                    } }
                }
            },
        }
    }
}

fn counted_classes(count: usize) -> String {
    if count == 1 { "1 class".to_owned() } else { format!("{count} classes") }
}

/// `Not measured: any rate of 2 classes, the queue of 3.`; nothing if all was.
fn gaps(classes: &[Calibrated]) -> Option<String> {
    let quantities: [(&str, &[&str]); 4] = [
        ("the round trip", &["round trip"]),
        ("any rate", &["rate (datagrams)", "rate (TCP)"]),
        ("the loss", &["loss"]),
        ("the queue", &["queue"]),
    ];
    // What a trace carries counts as measured by datagrams.
    let gaps = quantities.iter().filter_map(|(name, whats)| {
        let lacks = |class: &&Calibrated| whats.iter().all(|what| class.unmeasured().contains(what));
        let count = classes.iter().filter(lacks).count();
        (count > 0).then(|| format!("{name} of {}", counted_classes(count)))
    });
    let gaps: Vec<String> = gaps.collect();
    (!gaps.is_empty()).then(|| format!("Not measured: {}.", gaps.join(", ")))
}

fn who(class: &Calibrated) -> String {
    let earlier = if class.cached { " (measured earlier)" } else { "" };
    format!("{} of {}{earlier}", class.place, class.users.join(", "))
}

fn found(finding: &Finding) -> Markup {
    let of = |value: f64| if value.abs() >= 1000.0 { format!("{value:.0}") } else { format!("{value:.3}") };
    html! {
        td .text .quantity { (finding.what) ", " (finding.unit) } td { (of(finding.asked)) } td { (of(finding.got)) } td { (of(finding.tolerance)) }
        td class=(if finding.good { "" } else { "bad" }) { (if finding.good { "yes" } else { "NO" }) }
    }
}
