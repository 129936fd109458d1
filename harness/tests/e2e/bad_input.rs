//! What the program says to nonsense: always where, what and what to do; never a panic.

use crate::program::{peerbed, said};

fn refused(args: &[&str], words: &[&str]) {
    let output = peerbed(args).output().expect("peerbed runs");
    assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!error.contains("panicked"), "{args:?}: {error}");
    for word in words {
        assert!(error.contains(word), "{args:?} says `{word}`:\n{error}");
    }
}

#[test]
fn names_that_are_no_names() {
    for name in ["../quick", "a/b", "..", "", "quick.yaml/..", "\u{1F4A9}", "-x"] {
        let args = ["run", "--", name];
        refused(&args, &["error"]);
    }
    refused(&["run", "nonesuch"], &["nonesuch", "quick"]);
}

#[test]
fn arms_that_are_not_there() {
    refused(&["run", "quick", "--arm", "nonesuch"], &["nonesuch", "edge-only", "hybrid"]);
    refused(&["run", "quick", "--arm", "hybrid", "--arm", "nonesuch"], &["nonesuch", "edge-only", "hybrid"]);
    refused(&["plan", "quick", "--arm", "nonesuch"], &["nonesuch", "edge-only", "hybrid"]);
    refused(&["up", "quick", "--arm", "nonesuch"], &["nonesuch", "edge-only", "hybrid"]);
}

#[test]
fn numbers_out_of_range() {
    refused(&["run", "quick", "--repeats", "0"], &["repeats"]);
    refused(&["run", "quick", "--threads", "0"], &["threads"]);
    refused(&["run", "quick", "--seed=-1"], &["seed"]);
}

#[test]
fn results_that_cannot_be_written() {
    refused(&["run", "quick", "--results", "/proc/nowhere"], &["/proc/nowhere"]);
}

#[test]
fn every_shipped_experiment_is_good() {
    let output = peerbed(&["check"]).output().expect("peerbed runs");
    assert!(output.status.success(), "{}", said(&output));
    let plan = |seed: &str| peerbed(&["plan", "quick", "--seed", seed]).output().expect("peerbed runs").stdout;
    assert_eq!(plan("7"), plan("7"), "the same seed gives the same plan, byte for byte");
    assert_ne!(plan("7"), plan("8"), "another seed gives another plan");
}

#[test]
fn a_project_that_is_none() {
    let empty = tempfile::tempdir().expect("a temporary directory");
    refused(&["check", "--project", empty.path().to_str().expect("UTF-8")], &["experiments/", "--project"]);
}
