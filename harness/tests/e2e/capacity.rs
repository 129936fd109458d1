//! `peerbed capacity`: larger and larger, until it cannot be any more.

use std::{path::Path, process::Command};

use serde_json::json;

use crate::program::{alone, bin_dir, json, nothing_is_left, peerbed, said, tiny};

fn capacity(project: &Path, args: &[&str]) -> Command {
    let mut command = peerbed(&["--project", project.to_str().expect("UTF-8"), "capacity", "tiny", "--json"]);
    command.args(args);
    command
}

#[test]
fn larger_scales_have_more_peers_and_downloads() {
    let _alone = alone();
    let project = tiny();
    // Other programs on the machine may disturb any of the runs.
    let output = capacity(project.path(), &["--most", "3", "--retries", "10"]).output().expect("peerbed runs");
    assert!(output.status.success(), "{}", said(&output));
    let found = json(&output);
    let scales: Vec<_> = found["tried"].as_array().expect("a list").iter().collect();
    let sizes: Vec<_> =
        scales.iter().map(|tried| json!([tried["scale"], tried["peers"], tried["downloads"]])).collect();
    assert_eq!(sizes, [json!([1.0, 2, 2]), json!([2.0, 4, 4]), json!([3.0, 6, 6])], "{found:#}");
    assert!(scales.iter().all(|tried| tried["valid"] == true && tried["why"] == json!([])), "{found:#}");
    assert_eq!(found["largest"]["scale"], 3.0);
    assert!(!project.path().join("results").exists(), "nothing is kept");
    nothing_is_left(&bin_dir(), 5);
}

#[test]
fn what_cannot_be_planned_is_too_much_and_says_why() {
    let _alone = alone();
    let project = tiny();
    let file = project.path().join("topologies/one.yaml");
    let text = std::fs::read_to_string(&file).expect("it was written");
    // Room for a few peers.
    std::fs::write(&file, text.replace("10.0.0.0/16", "10.0.0.0/29")).expect("it can be written");
    let output = capacity(project.path(), &["--within", "2", "--retries", "10"]).output().expect("peerbed runs");
    let found = json(&output);
    let too_much = found["tried"].as_array().and_then(|tried| tried.last()).expect("something was tried");
    assert_eq!(too_much["valid"], false, "{found:#}");
    assert!(too_much["why"].to_string().contains("the prefix 10.0.0.0/29 of `isp`"), "{found:#}\n{}", said(&output));
    nothing_is_left(&bin_dir(), 5);
}

#[test]
fn scales_that_make_no_sense_are_refused() {
    let project = tiny();
    for args in [["--most", "0"], ["--most", "nan"], ["--within", "1"], ["--arm", "nobody"]] {
        let output = capacity(project.path(), &args).output().expect("peerbed runs");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
    }
}
