//! The answer to the question in sentences with numbers.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::{
    report::{
        bytes, number, percent,
        rows::heading,
        source::{Set, Source},
    },
    results::{ArmSummary, ExpectationResult, Summary},
    say::counted,
};

/// A figure that answers.
struct Key {
    figure: &'static str,
    name: &'static str,
    written: fn(Option<f64>) -> String,
    /// It is a share, of which differences are in points.
    share: bool,
}

const KEYS: [Key; 3] = [
    Key {
        figure: "speed_mbps.p50",
        name: "median speed",
        written: |value| format!("{} Mbit/s", number(value)),
        share: false,
    },
    Key { figure: "peer_efficiency.bytes", name: "peer efficiency", written: percent, share: true },
    Key { figure: "bytes.edge", name: "bytes from edges", written: bytes, share: false },
];

/// So many arms are told of one by one; of more, and of a matrix of several paths, the least and the most.
const ONE_BY_ONE: usize = 3;

/// So many expectations that are not met are told of; the list below has all.
const UNMET: usize = 2;

pub(super) fn section(source: &Source) -> Markup {
    html! {
        section .answer {
            h2 { "Answer" }
            @for set in &source.sets {
                @if let Some(label) = &set.label { h3 { (label) } }
                @for sentence in sentences(set) { p { (sentence) } }
            }
        }
    }
}

fn sentences(set: &Set) -> Vec<String> {
    let summary = &set.summary;
    let measured: Vec<&ArmSummary> = summary.arms.iter().filter(|arm| arm.valid).collect();
    let mut told = match &measured[..] {
        [] => return vec!["None: no arm has results that can be believed.".to_owned()],
        [only] => vec![alone(only)],
        [first, others @ ..] if others.len() < ONE_BY_ONE && first.matrix.is_empty() => {
            others.iter().map(|other| against(other, first)).collect()
        }
        many => match varied(&summary.arms) {
            Some(path) => along(path, many),
            None => KEYS.iter().map(|key| range(key, many)).collect(),
        },
    };
    told.extend(unmet(&summary.expectations));
    let left_out = summary.arms.len() - measured.len();
    if left_out > 0 {
        told.push(format!("{} of {} cannot be believed and left out.", counted(left_out, "arm"), summary.arms.len()));
    }
    told.extend(super::claims::count(&summary.claims));
    told.push(certainty(summary, &measured));
    told.retain(|sentence| !sentence.is_empty());
    told
}

/// `In hybrid: median speed 14.9 Mbit/s, …; 23 of 24 downloads completed.`
fn alone(arm: &ArmSummary) -> String {
    let figures: Vec<String> =
        KEYS.iter().map(|key| format!("{} {}", key.name, (key.written)(arm.figures.get(key.figure)))).collect();
    let total = &arm.downloads_total;
    format!(
        "In {}: {}; {} of {} downloads completed.",
        heading(arm),
        figures.join(", "),
        total.completed,
        total.started
    )
}

/// `hybrid against edge-only: median speed 14.9 Mbit/s against 11.3 Mbit/s (+32 %), …`
fn against(arm: &ArmSummary, base: &ArmSummary) -> String {
    let figures = KEYS.iter().map(|key| {
        let (one, other) = (arm.figures.get(key.figure), base.figures.get(key.figure));
        let difference = match (one, other) {
            (Some(one), Some(other)) if key.share => format!(" ({} points)", signed((one - other) * 100.0, 1)),
            (Some(one), Some(other)) if other > 0.0 => format!(" ({} %)", signed((one / other - 1.0) * 100.0, 0)),
            _ => String::new(),
        };
        format!("{} {} against {}{difference}", key.name, (key.written)(one), (key.written)(other))
    });
    let figures: Vec<String> = figures.collect();
    format!("{} against {}: {}.", heading(arm), heading(base), figures.join("; "))
}

/// With its sign, and a minus as such; what rounds to 0 has none.
fn signed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    match text.strip_prefix('-') {
        _ if text.bytes().all(|byte| !byte.is_ascii_digit() || byte == b'0') => text.replace('-', ""),
        Some(size) => format!("−{size}"),
        None => format!("+{text}"),
    }
}

/// `Peer efficiency goes from 12.0 % (max_returned=1) to 58.0 % (max_returned=40).`
fn range(key: &Key, arms: &[&ArmSummary]) -> String {
    let mut values: Vec<(f64, &ArmSummary)> =
        arms.iter().filter_map(|arm| Some((arm.figures.get(key.figure)?, *arm))).collect();
    values.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (Some(least), Some(most)) = (values.first(), values.last()) else { return String::new() };
    let told = |(value, arm): &(f64, &ArmSummary)| format!("{} ({})", (key.written)(Some(*value)), heading(arm));
    format!("{}: from {} to {}.", capital(key.name), told(least), told(most))
}

/// The path that was varied, if it is the only one.
fn varied(arms: &[ArmSummary]) -> Option<&str> {
    let mut values: Vec<(&str, BTreeSet<&str>)> = Vec::new();
    for (path, value) in arms.iter().flat_map(|arm| arm.matrix.iter()) {
        match values.iter_mut().find(|(known, _)| *known == path) {
            Some((_, all)) => drop(all.insert(value)),
            None => values.push((path, BTreeSet::from([value]))),
        }
    }
    let mut several = values.into_iter().filter(|(_, all)| all.len() > 1).map(|(path, _)| path);
    several.next().filter(|_| several.next().is_none())
}

/// `Peer efficiency by max_returned: 0.0 % at 0, 58.0 % at 40.`, then the same of the median speed; where the matrix has
/// several arms, for each of them.
fn along(path: &str, arms: &[&ArmSummary]) -> Vec<String> {
    let mut bases: Vec<Option<&str>> = Vec::new();
    for arm in arms {
        if !bases.contains(&arm.base.as_deref()) {
            bases.push(arm.base.as_deref());
        }
    }
    let [speed, efficiency, _] = &KEYS;
    let mut told = Vec::new();
    for key in [efficiency, speed] {
        for base in &bases {
            let of = arms.iter().filter(|arm| arm.base.as_deref() == *base);
            let values: Vec<String> = of
                .filter_map(|arm| {
                    Some(format!("{} at {}", (key.written)(arm.figures.get(key.figure)), arm.matrix.get(path)?))
                })
                .collect();
            let of_base = base.filter(|_| bases.len() > 1).map_or(String::new(), |base| format!(" in {base}"));
            let by = path.rsplit('.').next().unwrap_or(path);
            told.push(format!("{} by {by}{of_base}: {}.", capital(key.name), values.join(", ")));
        }
    }
    told
}

/// `1 of 7 expectations is not met: hybrid: speed_mbps.p50 is 3.1, expected at least 5.`
fn unmet(expectations: &[ExpectationResult]) -> Option<String> {
    let unmet: Vec<String> =
        expectations.iter().filter(|result| result.met == Some(false)).map(ExpectationResult::sentence).collect();
    let are = match unmet.len() {
        0 => return None,
        1 => "is not met",
        some if some <= UNMET => "are not met",
        _ => "are not met, among them",
    };
    let all = counted(expectations.len(), "expectation");
    let first = unmet[..unmet.len().min(UNMET)].join("; ");
    Some(format!("{} of {all} {are}: {first}.", unmet.len()))
}

fn capital(name: &str) -> String {
    let mut name = name.to_owned();
    name[..1].make_ascii_uppercase();
    name
}

/// How much of it may be chance.
fn certainty(summary: &Summary, arms: &[&ArmSummary]) -> String {
    let least = arms.iter().map(|arm| arm.runs).min().unwrap_or(0);
    if summary.arms.len() < 2 && least > 1 {
        return format!("Medians over {least} runs.");
    }
    match least {
        0 => String::new(),
        1 => "One run of an arm: how much of this is chance cannot be told from it.".to_owned(),
        some => format!("Medians over {some} runs of each arm with the same seeds."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_have_their_sign() {
        let written = [(32.4, 0), (-7.26, 1), (-0.3, 0), (0.02, 1)].map(|(value, digits)| signed(value, digits));
        assert_eq!(written, ["+32", "−7.3", "0", "0.0"]);
    }
}
