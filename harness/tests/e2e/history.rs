//! `peerbed history` on a file: what it prints where, what it draws, and that two programs that add to it do not harm each other.

use std::{fs, process::Command};

use peerbed::history::{Entry, append, below};
use serde_json::{Value, json};

use crate::program::{json, peerbed, said};

/// A comparison of this night, whose speed changed so much.
fn entry(night: u32, change: f64) -> Entry {
    let version =
        |number: u32| json!({"commit": format!("{number:040x}"), "dirty": false, "programs": format!("{number:016x}")});
    let metric = json!({
        "figure": "pause_rate", "kind": "proportion", "better": "lower", "margin": 0.05, "gating": true, "verdict": "inconclusive",
        "base": 0.1, "head": 0.1 + change, "p_adjusted": 0.5,
        "effect": {"estimate": change, "low": change - 0.01, "high": change + 0.01, "confidence": 0.95},
    });
    let line = json!({
        "version": 1, "at": format!("2026-11-{:02}T01:00:00Z", night + 1), "role": "measure", "experiment": "quick", "scale": null,
        "arm": "hybrid", "head_arm": "hybrid", "head": version(night), "reference": version(1000),
        "place": {"fingerprint": "f", "engine": "wire", "runtime": "netns", "plan": "p"}, "outcome": "passed", "reasons": [],
        "pairs_made": 8, "pairs_used": 8, "expected": null, "seconds": 240.0, "metrics": [metric],
    });
    serde_json::from_value(line).expect("an entry")
}

#[test]
fn a_history_is_shown_and_drawn_whatever_was_cut_off() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, page) = (below(directory.path()), directory.path().join("history.html"));
    let history = |args: &[&str]| -> Command {
        let mut command = peerbed(&["history", "--file", file.to_str().expect("UTF-8")]);
        command.args(args);
        command
    };
    // A name that was mistyped is no history without nights.
    let missing = history(&["--page", page.to_str().expect("UTF-8")]).output().expect("it runs");
    assert!(missing.status.code() == Some(2) && said(&missing).contains("there is no such file"), "{}", said(&missing));
    assert!(!page.exists());
    append(&file, &[]).expect("written");
    let output = history(&[]).output().expect("it runs");
    assert!(output.status.success() && said(&output).contains("there are no nights in it yet"), "{}", said(&output));

    let nights: Vec<Entry> =
        (0..24).map(|night| entry(night, f64::from(night % 3) * 0.001 + if night < 12 { 0.0 } else { 0.09 })).collect();
    append(&file, &nights[..23]).expect("written");
    let mut torn = fs::read_to_string(&file).expect("text");
    torn.push_str("{\"version\":1,\"at\":\"2026-1");
    fs::write(&file, torn).expect("written");
    append(&file, &nights[23..]).expect("written");

    let output = history(&["--page", page.to_str().expect("UTF-8")]).output().expect("it runs");
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}", said(&output));
    assert!(error.contains("line 24 is left out") && error.lines().count() == 1, "{error}");
    let commits = format!("{:040x} {:040x}", 10, 13);
    for part in [
        format!("peerbed compare {commits} --experiment quick --arm hybrid\n"),
        format!("peerbed bisect {commits} --experiment quick --arm hybrid --metric pause_rate\n"),
        "2026-11-24".to_owned(),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
    let drawn = fs::read_to_string(&page).expect("a page");
    assert!(drawn.contains("<svg") && drawn.contains(&commits) && drawn.ends_with("</html>"), "{drawn}");
    // It replaces its own pages, and nothing else.
    assert!(history(&["--page", page.to_str().expect("UTF-8")]).output().expect("it runs").status.success());
    fs::write(&page, "precious").expect("written");
    let refused = history(&["--page", page.to_str().expect("UTF-8")]).output().expect("it runs");
    assert_eq!((refused.status.code(), fs::read_to_string(&page).expect("text")), (Some(2), "precious".into()));

    let output = history(&["--json"]).output().expect("it runs");
    let shown: Value = json(&output);
    assert_eq!(shown["changes"][0]["worse"], true, "{shown}");
    assert_eq!(shown["latest"][0]["head"]["commit"], format!("{:040x}", 23), "{shown}");
}
