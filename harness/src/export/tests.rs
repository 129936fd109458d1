//! What is exported, read again by what is strict.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{Exported, junit, prometheus, xml::Element};
use crate::{
    compare::{
        Planned,
        design::{Design, Kind, MetricSpec},
        effect::Scale,
        floor::Noise,
        show,
        subject::Subject,
        verdict::{Effect, Finding, Outcome, Test, Verdict, Word},
    },
    metrics::{Better, definitions},
    results::test_tree::Tree,
};

const HOSTILE: &str = "a\"b\\c\nd<e>&'\t\u{1}\u{1b}[31m\u{fffe}é";

fn finished(tree: &Tree) -> PathBuf {
    tree.root().join("small").join(tree.finished("small", 1))
}

/// Changes a JSON file, or the first line of one of JSON lines.
fn change(directory: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let path = directory.join(file);
    let text = fs::read_to_string(&path).expect("readable");
    let (first, rest) = if file.ends_with("jsonl") { text.split_once('\n').expect("lines") } else { (&*text, "") };
    let mut value = serde_json::from_str(first).expect("JSON");
    change(&mut value);
    fs::write(path, format!("{value}\n{rest}")).expect("written");
}

fn metrics(directory: &Path) -> String {
    prometheus::text(&Exported::read(directory).expect("readable")).expect("text")
}

fn cases(directory: &Path) -> String {
    junit::text(&Exported::read(directory).expect("readable")).expect("text")
}

/// A sample: its name, its labels and its value.
type Sample = (String, BTreeMap<String, String>, f64);

fn plain(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn sample(line: &str) -> Sample {
    let (name, rest) = line.split_once('{').expect("labels");
    let (mut labels, mut rest) = (BTreeMap::new(), rest);
    while !rest.starts_with('}') {
        let (label, after) = rest.split_once("=\"").expect("a label");
        let (mut value, mut letters) = (String::new(), after.char_indices());
        let end = loop {
            let (at, c) = letters.next().expect("an end of the value");
            match c {
                '"' => break at,
                '\\' => value.push(match letters.next().expect("an escape").1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    other => panic!("\\{other} is no escape: {line}"),
                }),
                c => value.push(c),
            }
        };
        assert!(plain(label) && !label.starts_with("__"), "{label}");
        assert!(labels.insert(label.to_owned(), value).is_none(), "{label} twice: {line}");
        rest = after[end + 1..].strip_prefix(',').unwrap_or(&after[end + 1..]);
    }
    let value = rest.strip_prefix("} ").expect("a value").parse().expect("a number");
    (name.to_owned(), labels, value)
}

/// Reads the format as strictly as `promtool check metrics` does.
fn parsed(text: &str) -> Vec<Sample> {
    let (mut families, mut series) = (BTreeSet::new(), BTreeSet::new());
    let (mut family, mut kind, mut samples) = (String::new(), String::new(), Vec::new());
    assert!(text.ends_with('\n'));
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a text");
            assert!(plain(name) && !help.is_empty() && families.insert(name.to_owned()), "{name} begins once");
            let typed = lines.next().and_then(|line| line.strip_prefix("# TYPE ")).expect("a type");
            let (of, is) = typed.split_once(' ').expect("a type");
            assert_eq!(of, name);
            (family, kind) = (name.to_owned(), is.to_owned());
            let kept = ["_total", "_count", "_sum", "_bucket", "_info"];
            assert!(kept.iter().all(|ending| !name.ends_with(ending)), "{name} ends like another type");
        } else if !line.starts_with('#') {
            let (name, labels, value) = sample(line);
            let own = match kind.as_str() {
                "gauge" => name == family && !labels.contains_key("quantile"),
                "summary" if name == family => labels.contains_key("quantile"),
                "summary" => [format!("{family}_sum"), format!("{family}_count")].contains(&name),
                other => panic!("{other}"),
            };
            assert!(own, "{line} is not of {family}, a {kind}");
            assert!(series.insert((name.clone(), labels.clone())), "twice: {line}");
            samples.push((name, labels, value));
        }
    }
    samples
}

fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let all = |of: &BTreeMap<String, String>| labels.iter().all(|(k, v)| of.get(*k).is_some_and(|found| found == v));
    let found: Vec<f64> = samples.iter().filter(|(n, of, _)| n == name && all(of)).map(|sample| sample.2).collect();
    let [one] = found[..] else { panic!("{name} {labels:?}: {found:?}") };
    one
}

#[test]
fn every_metric_has_a_name_of_its_own_in_base_units() {
    let mut names = BTreeSet::new();
    for definition in definitions() {
        let (name, _) = prometheus::named(definition);
        assert!(names.insert(name.clone()), "{name} is of two metrics");
        let words: Vec<&str> = name.split('_').collect();
        assert!(["ms", "mbps", "s", "gb", "b"].iter().all(|unit| !words.contains(unit)), "{name}");
        assert!(plain(&name) && !name.contains("__"), "{name}");
        let ending = match definition.unit {
            "1" => continue,
            "share" => "_ratio",
            "B" => "_bytes",
            "Mbit/s" => "_bytes_per_second",
            "ms" | "s" => "_seconds",
            "packets" => "_packets",
            other => panic!("{other}"),
        };
        assert!(name.ends_with(ending) || name == "peerbed_cpu_seconds_per_byte", "{name}");
    }
    for known in ["peerbed_pause_ratio", "peerbed_edge_bytes", "peerbed_transit_all_bytes", "peerbed_startup_seconds"] {
        assert!(names.contains(known), "{known} is not in {names:?}");
    }
}

#[test]
fn metrics_are_read_by_what_is_strict() {
    let tree = Tree::new();
    let directory = finished(&tree);
    let text = metrics(&directory);
    assert!(text.starts_with(prometheus::HEADER), "{text}");
    let samples = parsed(&text);
    let rows: Vec<Value> = fs::read_to_string(directory.join("metrics.jsonl"))
        .expect("readable")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let distributions = rows.iter().filter(|row| row["kind"] == "distribution").count();
    assert_eq!(samples.len(), rows.len() + 10 * distributions, "each row, and eleven lines of a distribution");
    let of = |name: &str| rows.iter().find(|row| row["name"] == name).expect("the metric");
    let run = [("experiment", "small"), ("arm", "hybrid"), ("repeat", "0"), ("valid", "true")];
    let near = |one: f64, other: &Value| {
        let other = other.as_f64().expect("a number");
        assert!((one - other).abs() <= 1e-9 * other.abs(), "{one} is not {other}");
    };
    near(value(&samples, "peerbed_edge_bytes", &run), &of("bytes.edge")["value"]);
    near(value(&samples, "peerbed_startup_seconds_count", &run), &of("startup_ms")["n"]);
    let median = |name: &str| value(&samples, name, &[&run[..], &[("quantile", "0.5")]].concat());
    near(median("peerbed_startup_seconds") * 1e3, &of("startup_ms")["quantiles"]["p50"]);
    near(median("peerbed_speed_bytes_per_second") * 8e-6, &of("speed_mbps")["quantiles"]["p50"]);
    let speed = &of("speed_mbps");
    let sum = speed["mean"].as_f64().expect("a mean") * speed["n"].as_f64().expect("a number");
    near(value(&samples, "peerbed_speed_bytes_per_second_sum", &run) * 8e-6, &json!(sum));
    let undefined = rows.iter().filter(|row| row["kind"] != "distribution" && row["value"].is_null()).count();
    assert!(undefined > 0 && samples.iter().filter(|sample| sample.2.is_nan()).count() >= undefined);
}

#[test]
fn hostile_names_stay_what_they_are_in_metrics() {
    let tree = Tree::new();
    let directory = finished(&tree);
    change(&directory, "summary.json", |summary| summary["experiment"] = HOSTILE.into());
    change(&directory, "metrics.jsonl", |row| {
        row["arm"] = HOSTILE.into();
        row["labels"] = json!({"arm": "theirs", "1 \"odd": HOSTILE, "__name__": "x"});
    });
    let text = metrics(&directory);
    let samples = parsed(&text);
    let (_, labels, _) = samples.iter().find(|(_, labels, _)| labels["arm"] == HOSTILE).expect("the row");
    assert_eq!((labels["experiment"].as_str(), labels["exported_arm"].as_str()), (HOSTILE, "theirs"));
    assert_eq!((labels["label_1__odd"].as_str(), labels["label___name__"].as_str()), (HOSTILE, "x"));
    // What another version measured is not left out.
    change(&directory, "metrics.jsonl", |row| row["name"] = "new\n{metric}".into());
    let text = metrics(&directory);
    assert!(parsed(&text).iter().any(|(name, ..)| name == "peerbed_unknown0_new__metric_"), "{text}");
    // The same twice is no file of ours.
    let path = directory.join("metrics.jsonl");
    let twice = fs::read_to_string(&path).expect("readable");
    fs::write(&path, format!("{twice}{}\n", twice.lines().last().expect("a line"))).expect("written");
    let error = prometheus::text(&Exported::read(&directory).expect("readable")).expect_err("twice").to_string();
    assert!(error.contains("of hybrid #1 twice"), "{error}");
}

#[test]
fn what_xml_cannot_hold_is_written_in_letters() {
    let text = Element::new("a").with("b", HOSTILE).saying(HOSTILE).and([Element::new("c")]).document();
    let escaped = "a&quot;b\\c&#10;d&lt;e&gt;&amp;'&#9;\\u{1}\\u{1b}[31m\\u{fffe}é";
    let whole = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a b=\"{escaped}\">{escaped}\n  <c/>\n</a>\n");
    assert_eq!(text, whole);
}

#[test]
fn runs_expectations_and_claims_are_cases() {
    let tree = Tree::new();
    let directory = finished(&tree);
    let expected = |metric: &str, met: Value| json!({"arm": "hybrid", "metric": metric, "bound": {"at_least": 0.5, "at_most": null}, "value": 0.4, "met": met});
    let claim = |claim: &str, verdict: &str| {
        json!({"claim": claim, "source": null, "says": null, "basis": "ours", "verdict": verdict, "tests": [],
               "because": "of <that>"})
    };
    change(&directory, "summary.json", |summary| {
        summary["expectations"] = json!([
            expected("pause_rate", true.into()),
            expected("pause_rate", false.into()),
            expected("bytes.edge", Value::Null)
        ]);
        summary["claims"] =
            json!([claim("it is so", "shown"), claim("it is not", "not_shown"), claim("?", "not_judged")]);
    });
    let text = cases(&directory);
    let run = "  <testcase classname=\"hybrid\" name=\"run 1 is valid\" time=\"10.380\"/>\n";
    assert!(text.contains(run), "{text}");
    for part in [
        "<testsuites name=\"peerbed: small\" tests=\"7\" failures=\"2\" errors=\"0\" skipped=\"2\" time=\"10.380\">",
        "<testsuite name=\"small: hybrid\" tests=\"4\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"10.380\" \
         timestamp=\"1970-01-01T00:00:01\">",
        "name=\"pause_rate is at least 0.5\" time=\"0.000\"/>",
        "name=\"pause_rate is at least 0.5 #2\" time=\"0.000\">\n      <failure \
         message=\"hybrid: pause_rate is 0.4, expected at least 0.5\" type=\"expectation\">",
        "<skipped message=\"hybrid: bytes.edge is 0.4, expected at least 0.5\"/>",
        "<testcase classname=\"claims\" name=\"it is so\" time=\"0.000\"/>",
        "<failure message=\"of &lt;that&gt;\" type=\"claim\">",
        "<skipped message=\"not judged: of &lt;that&gt;\"/>",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn invalid_and_missing_runs_are_errors() {
    let tree = Tree::new();
    let directory = tree.root().join("small").join(tree.invalid("small", 1));
    change(&directory, "summary.json", |summary| {
        summary["arms"]["hybrid"]["runs_planned"] = 3.into();
        let why = "only 1 of 3 planned runs were made: interrupted";
        summary["arms"]["hybrid"]["invalid_reasons"].as_array_mut().expect("reasons").push(why.into());
    });
    let text = cases(&directory);
    assert!(text.contains(" tests=\"2\" failures=\"0\" errors=\"2\" "), "{text}");
    assert!(text.contains("a fault") && text.contains("type=\"INVALID\""), "{text}");
    assert!(text.contains("<error message=\"only 1 of 3 planned runs were made: interrupted\""), "{text}");
}

fn finding(figure: &str, gating: bool, word: Word) -> Finding {
    let metric =
        MetricSpec { figure: figure.into(), kind: Kind::Distribution, better: Better::Higher, margin: 0.05, gating };
    Finding {
        metric,
        verdict: word,
        note: None,
        pairs: 8,
        base: Some(20.0),
        head: Some(17.0),
        totals: None,
        effect: gating.then_some(Effect { estimate: -0.15, low: -0.16, high: -0.14, confidence: 0.95 }),
        equivalence: None,
        p: Some(0.008),
        p_adjusted: Some(0.008),
        test: Test::SignFlip,
        spread: Some(0.02),
        scale: Scale::LogRatio,
        floor: Some(0.01),
        sees: None,
        needs: None,
    }
}

/// Writes a verdict into a directory of results.
fn judged(directory: &Path, outcome: Outcome, findings: Vec<Finding>) {
    let subject = |name: &str| Subject {
        name: name.into(),
        commit: None,
        tree: None,
        dirty: false,
        rustc: None,
        programs: Vec::new(),
    };
    let design = Design {
        looks: vec![8],
        metrics: findings.iter().map(|finding| finding.metric.clone()).collect(),
        seed: 1,
        error: 0.05,
    };
    let planned = Planned {
        version: Planned::VERSION,
        experiment: "small".into(),
        scale: None,
        arm: "hybrid".into(),
        head_arm: "hybrid".into(),
        base: subject("main"),
        head: subject("a\"b"),
        whole: false,
        same_programs: false,
        design: design.clone(),
        place: None,
        noise: Noise::Unknown("?".into()),
        ended: None,
    };
    let verdict = Verdict {
        version: 1,
        outcome,
        reasons: vec!["because".into()],
        pairs_made: 8,
        pairs_used: 7,
        alpha: 0.05,
        same_programs: false,
        findings,
        shape_p: None,
        seconds_of_a_pair: 20.0,
        design,
    };
    planned.write(directory).expect("written");
    fs::write(directory.join("verdict.json"), show::json(&verdict).expect("JSON")).expect("written");
}

#[test]
fn verdicts_are_cases_and_gauges() {
    let tree = Tree::new();
    let directory = finished(&tree);
    let findings = vec![
        finding("speed_ranked_mbps.p50", true, Word::Regressed),
        finding("startup_ms.p50", false, Word::Regressed),
        finding("pause_rate", true, Word::Inconclusive),
        finding("failure_rate", true, Word::NoChange),
    ];
    judged(&directory, Outcome::Regressed, findings.clone());
    let text = cases(&directory);
    for part in [
        "<testsuite name=\"small: comparison\" tests=\"5\" failures=\"2\" errors=\"0\" skipped=\"1\" ",
        "name=\"the whole\" time=\"0.000\">\n      <failure message=\"REGRESSED: small arm hybrid: a&quot;b against main&#10;\
         because\" type=\"REGRESSED\">",
        "name=\"speed_ranked_mbps.p50\" time=\"0.000\">\n      <failure message=\"REGRESSED; speed_ranked_mbps.p50; 20",
        "name=\"startup_ms.p50\" time=\"0.000\"/>",
        "name=\"pause_rate\" time=\"0.000\">\n      <skipped message=\"INCONCLUSIVE; ",
        "name=\"failure_rate\" time=\"0.000\"/>",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let verdict = fs::read(directory.join("verdict.json")).expect("a verdict");
    fs::remove_file(directory.join("verdict.json")).expect("removed");
    let unjudged = cases(&directory);
    for part in ["comparison\" tests=\"1\" failures=\"0\" errors=\"1\"", "type=\"NO VERDICT\"", "compare --replay"] {
        assert!(unjudged.contains(part), "{part} is not in\n{unjudged}");
    }
    fs::write(directory.join("verdict.json"), verdict).expect("written");
    let samples = parsed(&metrics(&directory));
    let of = |name: &str, labels: &[(&str, &str)]| value(&samples, &format!("peerbed_comparison_{name}"), labels);
    let speed = [("metric", "speed_ranked_mbps.p50"), ("gating", "true"), ("head", "a\"b")];
    let effect = ["effect_ratio", "effect_low_ratio", "effect_high_ratio", "p_adjusted"].map(|name| of(name, &speed));
    assert_eq!(effect.map(|value| (value * 1e3).round() as i64), [-150, -160, -140, 8]);
    assert!(of("effect_ratio", &[("metric", "startup_ms.p50")]).is_nan());
    assert_eq!((of("pairs_made", &[]) as u8, of("pairs_used", &[]) as u8), (8, 7));
    let outcome = ["PASSED", "REGRESSED", "SUBJECT FAILED"].map(|word| of("outcome", &[("verdict", word)]) as u8);
    assert_eq!(outcome, [0, 1, 0]);
    assert_eq!(of("verdict", &[("metric", "failure_rate"), ("verdict", "no-change")]) as u8, 1);

    let invalid = vec![finding("pause_rate", true, Word::Invalid)];
    for (outcome, word) in [(Outcome::Invalid, "INVALID"), (Outcome::SubjectFailed, "SUBJECT FAILED")] {
        judged(&directory, outcome, invalid.clone());
        let text = cases(&directory);
        assert!(text.contains(" tests=\"2\" failures=\"0\" errors=\"2\" "), "{text}");
        assert_eq!(text.matches(&format!("type=\"{word}\"")).count(), 2, "{text}");
    }
    judged(&directory, Outcome::Inconclusive, vec![finding("pause_rate", true, Word::Inconclusive)]);
    assert!(cases(&directory).contains(" tests=\"2\" failures=\"0\" errors=\"0\" skipped=\"2\" "));
    // A run that does not count spoils no comparison.
    let directory = tree.root().join("small").join(tree.invalid("small", 2));
    judged(&directory, Outcome::Passed, vec![finding("pause_rate", true, Word::NoChange)]);
    let text = cases(&directory);
    assert!(text.contains(" tests=\"3\" failures=\"0\" errors=\"0\" skipped=\"1\" "), "{text}");
    assert!(text.contains("<skipped message=\"INVALID: "), "{text}");
}
