//! Links are measured before they are used, and a run whose links are not right does not begin.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    os::unix::ffi::OsStrExt,
    path::Path,
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{alone, bin_dir, json, measure, nothing_is_left, said, tiny, tiny_run};

/// A project with one small experiment of this tolerance; what it remembers stays in it.
fn project(tolerance: &str) -> TempDir {
    let project = tiny();
    let file = project.path().join("experiments/tiny.yaml");
    let text = std::fs::read_to_string(&file).expect("it was written");
    std::fs::write(&file, format!("{text}tolerance: {tolerance}\n")).expect("it can be written");
    project
}

fn run(project: &Path, more: &[&str]) -> std::process::Command {
    let mut command = tiny_run(project, &[&["--json"], more].concat());
    command.env("XDG_CACHE_HOME", project.join("cache"));
    command
}

fn manifest(project: &Path) -> Value {
    let text = std::fs::read(project.join("results/tiny/latest/manifest.json")).expect("there is a manifest");
    serde_json::from_slice(&text).expect("it is JSON")
}

fn each(calibration: &Value, key: &str) -> Vec<Value> {
    calibration.as_array().expect("a list").iter().map(|class| class[key].clone()).collect()
}

#[test]
fn links_are_measured_and_remembered() {
    let _alone = alone();
    let project = project("{}");
    let output = measure(|| run(project.path(), &["--calibrate", "cached"]));
    assert!(output.status.success(), "{}", said(&output));
    let first = manifest(project.path())["calibration"].clone();
    assert_eq!(each(&first, "place"), ["up", "down"], "{first:#}");
    assert!(each(&first, "cached").iter().all(|cached| cached == false), "{first:#}");
    for class in first.as_array().expect("a list") {
        assert_eq!(class["users"], serde_json::json!(["control", "edges", "homes"]), "{class:#}");
        let what: Vec<&str> =
            class["findings"].as_array().expect("a list").iter().filter_map(|f| f["what"].as_str()).collect();
        assert_eq!(what, ["round trip", "rate (datagrams)", "rate (TCP)", "loss", "queue"], "{class:#}");
    }

    // The same links are not measured again, unless that is wanted.
    let output = measure(|| run(project.path(), &["--calibrate", "cached"]));
    assert!(output.status.success(), "{}", said(&output));
    let second = manifest(project.path())["calibration"].clone();
    assert!(each(&second, "cached").iter().all(|cached| cached == true), "{second:#}");
    assert_eq!(each(&second, "measured"), each(&first, "measured"));
    let output = measure(|| run(project.path(), &["--calibrate", "never"]));
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(manifest(project.path())["calibration"], Value::Null);
    nothing_is_left(&bin_dir(), 5);
}

#[test]
fn links_that_are_shaped_wrongly_are_refused() {
    let _alone = alone();
    let project = project("{}");
    let run = |percent: &str| {
        let mut command = run(project.path(), &["--calibrate", "always"]);
        command.env("PEERBED_TEST_RATE_PERCENT", percent);
        command
    };
    let output = run("97").output().expect("peerbed runs");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let reasons = json(&output)["arms"]["only"]["invalid_reasons"].to_string();
    for words in
        ["0 of 1 planned runs", "link of control, edges, homes: rate (TCP): asked ", "rate (datagrams): asked "]
    {
        assert!(reasons.contains(words), "`{words}`: {reasons}");
    }
    let manifest = manifest(project.path());
    assert_eq!(manifest["runs"], Value::Array(Vec::new()), "{manifest:#}");
    // What is within the tolerance is not refused; but no run with this variable is valid.
    let output = measure(|| run("99"));
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let arm = json(&output)["arms"]["only"].clone();
    assert_eq!(arm["runs"], 1, "{arm:#}");
    assert!(arm["invalid_reasons"].to_string().contains("PEERBED_TEST_RATE_PERCENT is set"), "{arm:#}");
    nothing_is_left(&bin_dir(), 5);
}

#[test]
fn a_trace_that_is_not_followed_is_refused() {
    let _alone = alone();
    let project = project("{}");
    std::fs::write(project.path().join("topologies/cell.down"), "1\n2\n2\n5\n8\n").expect("it can be written");
    let topology = project.path().join("topologies/one.yaml");
    let text = std::fs::read_to_string(&topology).expect("it was written");
    let text = text.replace("down: 50mbit", "down: {trace: cell}") + "traces: {cell: cell.down}\n";
    std::fs::write(&topology, text).expect("it can be written");
    let run = |percent: &str| {
        let mut command = run(project.path(), &["--calibrate", "always"]);
        command.env("PEERBED_TEST_RATE_PERCENT", percent);
        command
    };
    let output = run("80").output().expect("peerbed runs");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let reasons = json(&output)["arms"]["only"]["invalid_reasons"].to_string();
    assert!(reasons.contains("downlink of control, edges, homes: rate (trace): asked "), "{reasons}");
    // As it is, all is right.
    let output = measure(|| run("100"));
    let arm = json(&output)["arms"]["only"].clone();
    assert_eq!(arm["runs"], 1, "{arm:#}");
    nothing_is_left(&bin_dir(), 5);
}

#[test]
fn each_arm_has_its_own_tolerance() {
    let _alone = alone();
    let project = project("{}");
    let file = project.path().join("experiments/tiny.yaml");
    let text = std::fs::read_to_string(&file).expect("it was written");
    let arms = "arms:\n  loose: {tolerance.round_trip: 10s}\n  strict: {tolerance.round_trip: 1us, \
                tolerance.round_trip_share: 0%}\n";
    std::fs::write(&file, text.replace("arms: {only: {}}\n", arms)).expect("it can be written");
    let output = run(project.path(), &["--calibrate", "cached"]).output().expect("peerbed runs");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let reasons = json(&output)["arms"]["loose"]["invalid_reasons"].to_string();
    assert!(reasons.contains("round trip: asked 1.") && reasons.contains("allowed ± 0.001"), "{reasons}");
    nothing_is_left(&bin_dir(), 5);
}

#[test]
fn an_interrupted_calibration_leaves_no_results() {
    let _alone = alone();
    let project = project("{}");
    let mut command = tiny_run(project.path(), &["--calibrate", "always"]);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("peerbed starts");
    let mut lines = BufReader::new(child.stderr.take().expect("it was piped")).lines();
    let begun = lines.by_ref().any(|line| line.expect("standard error is text").starts_with("calibrating"));
    assert!(begun, "it says what it does");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it can be told");
    let rest: Vec<String> = lines.map(|line| line.expect("standard error is text")).collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("there are no results")), "{rest:?}");
    let results = project.path().join("results");
    let left: Vec<_> = results.read_dir().expect("it was made").collect();
    assert!(left.is_empty(), "{left:?}");
    nothing_is_left(&bin_dir(), 5);
}

#[test]
fn a_directory_that_cannot_be_named_is_refused() {
    let _alone = alone();
    let project = tiny();
    let odd = OsStr::from_bytes(b"r\xff");
    let mut command = tiny_run(project.path(), &[]);
    command.arg("--results").arg(project.path().join(odd));
    let output = command.output().expect("peerbed runs");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("use directories whose names are UTF-8"),
        "{}",
        said(&output)
    );
    nothing_is_left(&bin_dir(), 5);
}

#[test]
fn a_run_whose_links_are_not_right_does_not_begin() {
    let _alone = alone();
    // No machine is as exact as this asks for.
    let project = project("{round_trip: 1us, round_trip_share: 0%}");
    let output = run(project.path(), &["--calibrate", "cached"]).output().expect("peerbed runs");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let reasons = json(&output)["arms"]["only"]["invalid_reasons"].to_string();
    for words in [
        "0 of 1 planned runs",
        "uplink of control, edges, homes: round trip: asked 1.",
        "ms, got 1.",
        "allowed ± 0.001",
    ] {
        assert!(reasons.contains(words), "`{words}`: {reasons}");
    }
    let manifest = manifest(project.path());
    assert_eq!(manifest["runs"], Value::Array(Vec::new()), "{manifest:#}");
    assert!(each(&manifest["calibration"], "attempts").iter().all(|attempts| attempts == 3), "{manifest:#}");
    // What is not right is not remembered.
    let remembered = std::fs::read_to_string(project.path().join("cache/peerbed/calibration.json")).expect("a cache");
    assert_eq!(remembered, "{}");
    nothing_is_left(&bin_dir(), 5);
}
