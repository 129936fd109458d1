//! What a timeline does to the system under test: peers that come, and a policy that changes, with real nodes.

use serde_json::Value;

use crate::program::{alone, bin_dir, json, measure, nothing_is_left, said, tiny, tiny_run};

/// The lines of a run's events of this kind, in the order of time.
fn events(project: &std::path::Path, kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(project.join("results/tiny/latest/events.jsonl")).expect("events");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("every line is JSON"));
    let mut events: Vec<Value> = lines.filter(|event| event["event"] == kind).collect();
    events.sort_by_key(|event| event["t"].as_u64());
    events
}

#[test]
fn a_policy_changes_in_mid_run_and_holds_for_those_who_come_later() {
    let _alone = alone();
    let project = tiny();
    let file = project.path().join("experiments/tiny.yaml");
    let text = std::fs::read_to_string(&file).expect("it was written");
    let text = text
        .replace(
            "groups: [{name: homes, as: isp, peers: 2, access: home}]",
            "groups:\n- {name: seeds, as: isp, peers: 1, access: home, holds: {patch: 1}}\n\
             - {name: late, as: isp, peers: 2, access: home, holds: {patch: 2}}\n\
             - {name: homes, as: isp, peers: 4, access: home, uploads: 0%}",
        )
        .replace("{burst: 2, at: 1s, within: 1s}", "{at: [1s, 5s, 9s, 13s]}")
        .replace("workload: {", "workload: {groups: [homes], ");
    let timeline = "timeline:\n\
         - {at: 3s, do: set-policy, policy: {uploads.per_copy: 1, selection.strategy: local, edge.requests: 50}}\n\
         - {at: 7s, do: add, group: late}\n";
    std::fs::write(&file, text + timeline).expect("it can be written");
    let output = measure(|| tiny_run(project.path(), &["--json"]));
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(json(&output)["arms"]["only"]["downloads"]["completed"], 4);

    let downloads = events(project.path(), "download_finished");
    let copies: Vec<Option<u64>> = downloads.iter().map(|record| record["copies_registered"].as_u64()).collect();
    // The one copy was given to the first; those of the latecomers, which read of five downloaders in their configuration, to the
    // third alone.
    assert_eq!(copies, [Some(1), Some(0), Some(2), Some(0)], "{downloads:#?}");
    let from_peers: Vec<bool> = downloads.iter().map(|record| record["peer_bytes"].as_u64() > Some(0)).collect();
    assert_eq!(from_peers, [true, false, true, false], "{downloads:#?}");

    let late = |event: &&Value| event["node"].as_str().is_some_and(|node| node.starts_with("late"));
    let started = events(project.path(), "started");
    assert_eq!(started.iter().filter(late).count(), 2);
    assert!(started.iter().filter(late).all(|event| event["t"].as_u64() >= Some(7_000_000_000)), "{started:#?}");
    let done = events(project.path(), "action");
    let labels: Vec<&str> = done.iter().filter_map(|action| action["label"].as_str()).collect();
    let changes = "set-policy edge.requests unlimited → 50, selection.strategy nested → local, uploads.per_copy 5 → 1";
    assert_eq!(labels, [changes, "add late-0, late-1"]);
    assert_eq!(done[0]["changes"][2]["to"], 1.0, "{done:#?}");
    let notices = events(project.path(), "notice");
    assert!(!notices.iter().any(|notice| notice["message"].as_str().is_some_and(|text| text.contains("no use for"))));
    let report = std::fs::read_to_string(project.path().join("results/tiny/latest/report.html")).expect("a report");
    assert!(report.contains(changes) && report.contains("add late-0, late-1"));
    nothing_is_left(&bin_dir(), 5);
}
