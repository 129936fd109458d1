//! The answer to the question in sentences with numbers.

use maud::{Markup, html};

use crate::{
    report::{
        bytes, number, percent,
        rows::heading,
        source::{Set, Source},
    },
    results::{ArmSummary, Summary},
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

/// So many arms are told of one by one; of more and of a matrix, the least and the most.
const ONE_BY_ONE: usize = 3;

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
        many => KEYS.iter().map(|key| range(key, many)).collect(),
    };
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
    let mut name = key.name.to_owned();
    name[..1].make_ascii_uppercase();
    format!("{name}: from {} to {}.", told(least), told(most))
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
