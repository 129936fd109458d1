//! Prometheus' text exposition format, version 0.0.4: every metric of every run as a gauge, distributions as summaries, and what
//! came of a comparison.
//!
//! Names and units follow "Metric and label naming" of Prometheus' documentation: base units, said at the end of the name. A
//! distribution is of type `summary`, as the label `quantile` and the ending `_count` are kept for that.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::Exported;
use crate::{
    compare::{
        Planned,
        verdict::{Finding, Outcome, Verdict},
    },
    metrics::{Definition, definitions},
    results::{MetricRow, ReadError},
};

/// The first line.
pub const HEADER: &str = "# Exported by peerbed.\n";
/// Quantiles by the name that rows have for them.
const QUANTILES: [(&str, &str); 9] = [
    ("min", "0"),
    ("p10", "0.1"),
    ("p25", "0.25"),
    ("p50", "0.5"),
    ("p75", "0.75"),
    ("p90", "0.9"),
    ("p95", "0.95"),
    ("p99", "0.99"),
    ("max", "1"),
];
/// Labels that every series has; those of a metric have other names.
const OURS: [&str; 5] = ["experiment", "arm", "repeat", "valid", "quantile"];

/// Labels by name.
type Labels = BTreeMap<String, String>;

/// The whole file.
pub fn text(of: &Exported) -> Result<String, ReadError> {
    let rows = of.results.metrics(|_| true)?;
    let experiment = &of.results.summary().experiment;
    let mut seen = BTreeSet::new();
    for row in &rows {
        if !seen.insert((&row.name, &row.arm, row.repeat, &row.labels)) {
            let why = format!("metrics.jsonl has `{}` of {} #{} twice", row.name, row.arm, row.repeat + 1);
            return Err(ReadError::Mixed { path: of.results.path().to_owned(), why });
        }
    }
    let mut out = HEADER.to_owned();
    let of_name = |name: &str| rows.iter().filter(|row| row.name == name).collect::<Vec<_>>();
    for definition in definitions() {
        let (name, factor) = named(definition);
        let help = format!("{}: {}", definition.name, definition.doc);
        family(&mut out, (&name, factor), &help, experiment, &of_name(definition.name));
    }
    let known = |row: &&MetricRow| definitions().any(|definition| definition.name == row.name);
    let unknown: BTreeSet<&str> = rows.iter().filter(|row| !known(row)).map(|row| row.name.as_str()).collect();
    for (place, name) in unknown.into_iter().enumerate() {
        let help = format!("{name}: not known to this version of peerbed, in a unit of its own");
        let name_here = format!("peerbed_unknown{place}_{}", label(name));
        family(&mut out, (&name_here, 1.0), &help, experiment, &of_name(name));
    }
    if let Some((verdict, planned)) = &of.verdict {
        comparison(&mut out, verdict, planned);
    }
    Ok(out)
}

/// The name of a metric and what its values are multiplied by.
pub(super) fn named(definition: &Definition) -> (String, f64) {
    let Definition { name, unit, .. } = definition;
    let (ending, factor) = match *unit {
        _ if *name == "cpu_s_per_gb" => ("seconds_per_byte", 1e-9),
        "B" => ("bytes", 1.0),
        "Mbit/s" => ("bytes_per_second", 1e6 / 8.0),
        "ms" => ("seconds", 1e-3),
        "s" => ("seconds", 1.0),
        "share" => ("ratio", 1.0),
        "packets" => ("packets", 1.0),
        _ => ("", 1.0),
    };
    // What the ending says is said once, and `_total` is kept for counters.
    let unsaid = ["bytes", "mbps", "ms", "s", "per", "gb", "packets"];
    let all: Vec<&str> = name.split(['.', '_']).collect();
    let mut words: Vec<&str> = all.iter().filter(|word| ending.is_empty() || !unsaid.contains(word)).copied().collect();
    if let Some(last) = words.last_mut().filter(|last| **last == "total") {
        *last = "all";
    }
    if ending == "ratio" && words.len() > 1 && words.last().is_some_and(|last| ["rate", "share"].contains(last)) {
        words.pop();
    }
    words.extend((!ending.is_empty()).then_some(ending));
    (format!("peerbed_{}", words.join("_")), factor)
}

/// What is said of a metric, and its values.
fn family(out: &mut String, (name, factor): (&str, f64), help: &str, experiment: &str, rows: &[&MetricRow]) {
    let Some(first) = rows.first() else { return };
    let summary = first.kind == "distribution";
    head(out, name, help, if summary { "summary" } else { "gauge" });
    for row in rows {
        let mut labels = of_run(experiment, row);
        let scaled = |value: Option<f64>| value.map_or(f64::NAN, |value| value * factor);
        if !summary {
            sample(out, name, &labels, scaled(row.value));
            continue;
        }
        for (quantile, share) in QUANTILES {
            labels.insert("quantile".to_owned(), share.to_owned());
            let value = row.quantiles.as_ref().and_then(|all| all.get(quantile)).copied();
            sample(out, name, &labels, scaled(value));
        }
        labels.remove("quantile");
        let n = row.n.unwrap_or(0) as f64;
        sample(out, &format!("{name}_sum"), &labels, row.mean.map_or(0.0, |mean| mean * factor * n));
        sample(out, &format!("{name}_count"), &labels, n);
    }
}

fn of_run(experiment: &str, row: &MetricRow) -> Labels {
    let ours = [
        ("experiment", experiment.to_owned()),
        ("arm", row.arm.clone()),
        ("repeat", row.repeat.to_string()),
        ("valid", row.valid.to_string()),
    ];
    let mut labels: Labels = ours.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    for (name, value) in &row.labels {
        let mut name = label(name);
        while labels.contains_key(&name) || OURS.contains(&name.as_str()) {
            name = format!("exported_{name}");
        }
        labels.insert(name, value.clone());
    }
    labels
}

/// A name that a label can have; those that begin with `__` are Prometheus' own.
fn label(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if plain.starts_with(|c: char| c.is_ascii_alphabetic()) { plain } else { format!("label_{plain}") }
}

/// What came of a comparison.
fn comparison(out: &mut String, verdict: &Verdict, planned: &Planned) {
    let whole: Labels = [
        ("experiment", &planned.experiment),
        ("arm", &planned.arm),
        ("head_arm", &planned.head_arm),
        ("base", &planned.base.name),
        ("head", &planned.head.name),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.clone()))
    .collect();
    let and = |more: &[(&str, &str)]| {
        let mut labels = whole.clone();
        labels.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        labels
    };
    let gauge = |out: &mut String, name: &str, help: &str, samples: Vec<(Labels, Option<f64>)>| {
        head(out, name, help, "gauge");
        for (labels, value) in samples {
            sample(out, name, &labels, value.unwrap_or(f64::NAN));
        }
    };
    let pairs = |pairs: u32| vec![(whole.clone(), Some(f64::from(pairs)))];
    gauge(out, "peerbed_comparison_pairs_made", "pairs of runs that were made", pairs(verdict.pairs_made));
    gauge(out, "peerbed_comparison_pairs_used", "of these, those that count", pairs(verdict.pairs_used));
    let all = [Outcome::Passed, Outcome::Regressed, Outcome::Inconclusive, Outcome::Invalid, Outcome::SubjectFailed];
    let outcomes =
        all.map(|outcome| (and(&[("verdict", outcome.word())]), Some(f64::from(u8::from(outcome == verdict.outcome)))));
    gauge(out, "peerbed_comparison_outcome", "1 for the verdict of the whole, 0 for the others", outcomes.into());
    let each = |value: &dyn Fn(&Finding) -> Option<f64>| -> Vec<(Labels, Option<f64>)> {
        let labels = |finding: &Finding| {
            let gating = finding.metric.gating.to_string();
            and(&[("metric", &finding.metric.figure), ("gating", &gating)])
        };
        verdict.findings.iter().map(|finding| (labels(finding), value(finding))).collect()
    };
    let effect = "the head against the base, as a share of the base, of proportions as a difference";
    for (name, what, of) in [
        ("effect", "estimate", (|effect| effect.estimate) as fn(crate::compare::verdict::Effect) -> f64),
        ("effect_low", "lower end of the interval", |effect| effect.low),
        ("effect_high", "upper end of the interval", |effect| effect.high),
    ] {
        let name = format!("peerbed_comparison_{name}_ratio");
        gauge(out, &name, &format!("{effect}: {what}"), each(&|finding| finding.effect.map(of)));
    }
    let help = "p of each metric, adjusted for the others (Benjamini and Hochberg)";
    gauge(out, "peerbed_comparison_p_adjusted", help, each(&|finding| finding.p_adjusted));
    let words = verdict.findings.iter().map(|finding| {
        let gating = finding.metric.gating.to_string();
        // Without the margin, which would make another series of it when it is changed.
        let word = serde_json::to_value(finding.verdict).ok();
        let word = word.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
        (and(&[("metric", &finding.metric.figure), ("gating", &gating), ("verdict", word)]), Some(1.0))
    });
    gauge(out, "peerbed_comparison_verdict", "1: this is the verdict on the metric", words.collect());
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    let help = help.replace('\\', "\\\\").replace('\n', "\\n");
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn sample(out: &mut String, name: &str, labels: &Labels, value: f64) {
    out.push_str(name);
    for (place, (label, value)) in labels.iter().enumerate() {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(out, "{}{label}=\"{value}\"", if place == 0 { '{' } else { ',' });
    }
    let value = match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    };
    let _ = writeln!(out, "}} {value}");
}
