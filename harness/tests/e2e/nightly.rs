//! `peerbed nightly`: controls and measurements of a real night, its history and what it ends with.

use std::fs;

use serde_json::Value;

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    commits::{Repository, SPEED, front},
    program::{alone, compare_believably, nothing_is_left, said, under_way},
};

#[test]
fn a_night_finds_the_injected_change_and_the_real_one_and_keeps_both() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a directory");
    let repository = Repository::of(&directory.path().join("checkout"));
    let reference = repository.commit("one");
    let suite = "negative: [{experiment: capped}]\npositive: [{experiment: capped, injected: worse}]\n\
                 measure: [{experiment: capped}]\n";
    repository.write("experiments/suites/nightly.yaml", &format!("references: ['{reference}']\n{suite}"));
    repository.write("peer/main.rs", &front("peer", 2, 3_000_000));
    let head = repository.commit("two: a quarter slower");
    let results = repository.0.join("results");
    let page = results.join("history/history.html");

    // A first night that is cut off.
    let running = under_way(repository.peerbed(&["nightly", "--head", "HEAD", "--calibrate", "never"]));
    kill_process(Pid::from_child(&running.child), Signal::INT).expect("signalled");
    let cut_off = running.end();
    assert_eq!(cut_off.status.code(), Some(130), "{}", said(&cut_off));
    assert!(said(&cut_off).contains("The night is red: it was interrupted."), "{}", said(&cut_off));
    let summary = fs::read_to_string(results.join("history/summary.md")).expect("a summary");
    assert!(summary.starts_with("**The night is red**: it was interrupted.") && page.exists(), "{summary}");
    nothing_is_left(&repository.0, 5);

    repository.know_noise();

    let night =
        compare_believably(|| repository.peerbed(&["nightly", "--head", "HEAD", "--calibrate", "never", "--quiet"]));
    assert_eq!(night.status.code(), Some(1), "{}", said(&night));
    assert!(said(&night).contains("The night is red: capped, arm as-is is REGRESSED"), "{}", said(&night));
    let history = fs::read_to_string(results.join("history/history.jsonl")).expect("a history");
    let entries: Vec<Value> = history.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    // Nights that were INVALID for load are in it, too.
    let [negative, positive, measured] = &entries[entries.len() - 3..] else { panic!("{history}") };
    for (entry, role) in [(negative, "negative-control"), (positive, "positive-control")] {
        assert_eq!((&entry["role"], &entry["expected"]), (&role.into(), &Value::Bool(true)), "{history}");
    }
    assert_eq!((&measured["role"], &measured["outcome"]), (&"measure".into(), &"regressed".into()), "{history}");
    assert_eq!(
        (&measured["head"]["commit"], &measured["reference"]["commit"]),
        (&head.as_str().into(), &reference.as_str().into())
    );
    let metrics = measured["metrics"].as_array().expect("metrics");
    let speed = metrics.iter().find(|metric| metric["figure"] == SPEED).expect("the metric that decides");
    assert_eq!((&speed["verdict"], &speed["gating"]), (&"regressed".into(), &Value::Bool(true)));
    let drawn = fs::read_to_string(&page).expect("a page");
    assert!(drawn.contains("REGRESSED") && results.join("history/summary.md").exists());

    for (text, why) in [
        (
            format!("references: ['{}']\n{suite}", "0".repeat(40)),
            "a reference of the suite `nightly` is not in this clone",
        ),
        (format!("references: [main]\n{suite}"), "is not the full hash of a commit"),
        (format!("references: ['{reference}']\n{}", suite.replace("worse", "wors")), "has no arm `wors`"),
        (
            format!("references: ['{reference}']\n{}", suite.replace("worse", "as-is")),
            "`injected` is the arm that is compared with, `as-is`",
        ),
    ] {
        repository.write("experiments/suites/nightly.yaml", &text);
        let refused = repository.peerbed(&["nightly"]).output().expect("it runs");
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(said(&refused).contains(why), "lacks {why}: {}", said(&refused));
    }
    let refused = repository.peerbed(&["nightly", "daily"]).output().expect("it runs");
    assert!(said(&refused).contains("there is no suite `daily`") && said(&refused).contains("suites here: nightly"));
    // What stands against the history is said before anything is built or measured.
    repository.write("experiments/suites/nightly.yaml", &format!("references: ['{reference}']\n{suite}"));
    fs::write(&page, "somebody's own page").expect("written");
    let refused = repository.peerbed(&["nightly"]).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("history.html") && !said(&refused).contains("build"), "{}", said(&refused));
    assert_eq!(
        fs::read_to_string(results.join("history/history.jsonl")).expect("a history"),
        history,
        "nothing was added"
    );
}
