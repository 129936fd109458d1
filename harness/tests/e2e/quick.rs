//! The main job: `quick` with each arm.

#![expect(clippy::float_cmp, reason = "counts and zeros are exact")]

use std::{path::Path, time::Instant};

use serde_json::Value;

use crate::program::{alone, bin_dir, json, measure, nothing_is_left, peerbed, said};

fn run_quick(arm: &str) -> (Value, tempfile::TempDir) {
    let results = tempfile::tempdir().expect("a temporary directory");
    let dir = results.path().to_str().expect("a UTF-8 path").to_owned();
    let output = measure(|| peerbed(&["run", "quick", "--json", "--arm", arm, "--results", &dir]));
    assert!(output.status.success(), "{}", said(&output));
    (json(&output), results)
}

fn number(value: &Value, path: &str) -> f64 {
    let pointer = format!("/{}", path.replace('.', "/"));
    value.pointer(&pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} is a number in {value:#}"))
}

fn common(summary: &Value, arm: &str) -> Value {
    let arm = summary["arms"][arm].clone();
    assert_eq!(arm["valid"], true, "{arm:#}");
    assert!(number(&arm, "downloads.started") >= 10.0, "{arm:#}");
    assert_eq!(number(&arm, "downloads.failed"), 0.0, "{arm:#}");
    assert_eq!(number(&arm, "downloads.started"), number(&arm, "downloads.planned"), "{arm:#}");
    assert!(number(&arm, "speed_mbps.p10") > 0.1, "{arm:#}");
    assert!(number(&arm, "speed_mbps.p10") <= number(&arm, "speed_mbps.p50"));
    assert!(number(&arm, "speed_mbps.p50") <= number(&arm, "speed_mbps.p90"));
    assert!((0.0..=1.0).contains(&number(&arm, "pause_rate")));
    assert_eq!(arm["runtime"], "netns");
    assert_eq!(arm["engine"], "wire");
    assert!(arm["seed"].is_u64(), "{arm:#}");
    arm
}

#[test]
fn edge_only_takes_every_byte_from_edges() {
    let _alone = alone();
    let (summary, _results) = run_quick("edge-only");
    let arm = common(&summary, "edge-only");
    assert_eq!(number(&arm, "peer_efficiency.bytes"), 0.0, "{arm:#}");
    assert_eq!(number(&arm, "bytes.peer"), 0.0, "{arm:#}");
    assert!(number(&arm, "bytes.edge") > 1e6, "{arm:#}");
    nothing_is_left(&bin_dir(), 5);
}

#[test]
fn hybrid_takes_most_bytes_from_peers() {
    let _alone = alone();
    let (summary, results) = run_quick("hybrid");
    let arm = common(&summary, "hybrid");
    assert!(number(&arm, "peer_efficiency.bytes") > 0.5, "{arm:#}");
    assert!(number(&arm, "bytes.control") > 0.0, "{arm:#}");
    every_byte_is_accounted_for(&arm, &results.path().join("quick/latest"));

    // The directory is complete and says the same.
    let latest = results.path().join("quick/latest");
    for file in [
        "manifest.json",
        "plan.yaml",
        "metrics.jsonl",
        "downloads.parquet",
        "transfers.parquet",
        "logins.parquet",
        "ledger.parquet",
        "links.parquet",
        "host.parquet",
        "events.jsonl",
        "summary.json",
        "summary.md",
        "report.html",
    ] {
        let length = std::fs::metadata(latest.join(file)).unwrap_or_else(|e| panic!("{file}: {e}")).len();
        assert!(length > 0, "{file} is empty");
    }
    let written: Value = serde_json::from_slice(&std::fs::read(latest.join("summary.json")).expect("it was listed"))
        .expect("summary.json is JSON");
    assert_eq!(written, summary);
    nothing_is_left(&bin_dir(), 5);
}

/// What edges sent, and peers inside and between ASes, is what downloads used and wasted.
fn every_byte_is_accounted_for(arm: &Value, run: &Path) {
    let read = |file: &str| std::fs::read_to_string(run.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let events = read("events.jsonl");
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).expect("every line is JSON"));
    let by_edge = |event: &Value| event["node"].as_str().is_some_and(|node| node.starts_with("edge-"));
    let edges = events.filter(|event| event["event"] == "transfer" && by_edge(event));
    let from_edges: f64 = edges.map(|event| number(&event, "sent")).sum();
    let total = |names: &[&str]| -> f64 { names.iter().map(|name| number(arm, &format!("bytes.{name}"))).sum() };
    let (sent, received) = (from_edges + total(&["intra_as", "inter_as"]), total(&["edge", "peer", "wasted"]));
    // Only a connection that broke may hold bytes that were sent and did not arrive; the manifest says how many at most.
    let manifest: Value = serde_json::from_str(&read("manifest.json")).expect("manifest.json is JSON");
    let broken = number(&manifest, "runs.0.validity.set_apart.broken_bytes");
    assert!((0.0..=broken).contains(&(sent - received)), "sent {sent}, received {received}, {broken} broke: {arm:#}");
}

#[test]
fn both_arms_take_less_than_a_minute() {
    let _alone = alone();
    let results = tempfile::tempdir().expect("a temporary directory");
    let mut began = Instant::now();
    let output = measure(|| {
        began = Instant::now();
        peerbed(&["run", "quick", "--results", results.path().to_str().expect("UTF-8")])
    });
    let took = began.elapsed();
    assert!(output.status.success(), "{}", said(&output));
    assert!(took.as_secs() < 60, "quick took {took:?}");
    let table = String::from_utf8_lossy(&output.stdout);
    for word in
        ["edge-only", "hybrid", "speed", "pause rate", "peer efficiency", "cross-AS", "intra-AS", "egress", "valid"]
    {
        assert!(table.to_lowercase().contains(&word.to_lowercase()), "the table says `{word}`:\n{table}");
    }
}
