//! What happens when something breaks, on purpose or not.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::program::{alone, bin_dir, json, measure, nothing_is_left, peerbed, said, survivors};

#[test]
fn every_download_completes_although_the_control_plane_is_killed() {
    let _alone = alone();
    let results = tempfile::tempdir().expect("a temporary directory");
    let args = ["run", "control-loss", "--json", "--results", results.path().to_str().expect("UTF-8")];
    let output = measure(|| peerbed(&args));
    assert!(output.status.success(), "{}", said(&output));
    let summary = json(&output);
    for arm in ["edge-only", "hybrid"] {
        let downloads = &summary["arms"][arm]["downloads"];
        assert!(downloads["planned"].as_u64() > Some(0), "{summary:#}");
        assert_eq!(downloads["completed"], downloads["planned"], "{arm}: {summary:#}");
        assert_eq!(summary["arms"][arm]["valid"], true, "{summary:#}");
    }
    let events = std::fs::read_to_string(results.path().join("control-loss/latest/events.jsonl")).expect("events");
    let after_kill = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("every line is JSON"))
        .filter(|event| event["event"] == "download_finished")
        .count();
    assert!(after_kill > 0, "downloads ended and were recorded");
}

/// `quick`, in the background, until its peers run.
fn quick_under_way(results: &Path) -> Child {
    let dir = results.to_str().expect("UTF-8");
    let mut child = peerbed(&["run", "quick", "--arm", "hybrid", "--results", dir])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("peerbed starts");
    let stderr = BufReader::new(child.stderr.take().expect("standard error is piped"));
    // Away from a terminal, progress is one line a phase; this one says that all nodes are ready.
    let mut lines = stderr.lines().map(|line| line.expect("standard error is text"));
    assert!(lines.any(|line| line.contains("nodes ready")), "peerbed says when its nodes are ready");
    // Whoever reads must go on reading, or the child would stop at a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

/// A process of the run under way.
fn one_of(program: &str) -> Pid {
    let survivors = survivors(&bin_dir());
    let line = survivors.iter().find(|line| line.ends_with(&format!("/{program}")));
    let pid = line.and_then(|line| line.split(' ').next()?.parse().ok());
    pid.and_then(Pid::from_raw).unwrap_or_else(|| panic!("a {program} runs"))
}

#[test]
fn a_node_that_was_stopped_for_a_while_makes_the_run_invalid() {
    let _alone = alone();
    let results = tempfile::tempdir().expect("a temporary directory");
    let child = quick_under_way(results.path());
    let edge = one_of("edge");
    kill_process(edge, Signal::STOP).expect("it can be stopped");
    // Continued before it stands still, it never would.
    let stat = || std::fs::read_to_string(format!("/proc/{}/stat", edge.as_raw_nonzero())).expect("the edge lives");
    while !stat().contains(") T ") {
        std::thread::yield_now();
    }
    kill_process(edge, Signal::CONT).expect("it can be continued");
    let output = child.wait_with_output().expect("peerbed ends");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("INVALID") && text.contains("was stopped by somebody"), "{text}");
    nothing_is_left(&bin_dir(), 5);
}

#[test]
fn a_node_that_dies_unplanned_makes_the_run_invalid() {
    let _alone = alone();
    let results = tempfile::tempdir().expect("a temporary directory");
    let child = quick_under_way(results.path());
    kill_process(one_of("peer"), Signal::KILL).expect("it can be killed");
    let output = child.wait_with_output().expect("peerbed ends");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("INVALID") && text.contains("unplanned"), "{text}");
    nothing_is_left(&bin_dir(), 5);
}

#[test]
fn an_interrupt_keeps_what_was_measured_and_leaves_nothing() {
    let _alone = alone();
    let results = tempfile::tempdir().expect("a temporary directory");
    let child = quick_under_way(results.path());
    kill_process(Pid::from_child(&child), Signal::INT).expect("it can be interrupted");
    let began = std::time::Instant::now();
    let output = child.wait_with_output().expect("peerbed ends");
    assert!(began.elapsed() < Duration::from_secs(20), "an interrupt ends it soon");
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let summary = std::fs::read(results.path().join("quick/latest/summary.json")).expect("a summary is kept");
    let summary: Value = serde_json::from_slice(&summary).expect("it is JSON");
    assert_eq!(summary["arms"]["hybrid"]["valid"], false, "{summary:#}");
    nothing_is_left(&bin_dir(), 5);
}
