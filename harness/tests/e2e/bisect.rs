//! `peerbed bisect` on a real line of commits.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    commits::{Repository, SPEED, front},
    program::{alone, compare_believably, json, nothing_is_left, said},
};

#[test]
fn a_build_ends_with_whoever_wanted_it() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a directory");
    let repository = Repository::of(&directory.path().join("checkout"));
    let started = directory.path().join("started");
    rustix::fs::mkfifoat(rustix::fs::CWD, &started, rustix::fs::Mode::RWXU).expect("a pipe");
    let script = format!(
        "fn main() {{ std::fs::write({started:?}, \"1\").unwrap(); std::thread::sleep(std::time::Duration::from_secs(600)); }}\n"
    );
    repository.write("peer/build.rs", &script);
    repository.commit("one: is built for ten minutes");
    let compare = ["compare", "HEAD", "--experiment", "capped", "--calibrate", "never"];
    let child = repository.peerbed(&compare).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    assert_eq!(fs::read(&started).expect("it is built"), b"1");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("signalled");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("interrupted before anything was measured"), "{}", said(&output));
    // Cargo and what it started are gone.
    nothing_is_left(directory.path(), 5);
}

#[test]
fn the_commit_that_made_it_slower_is_found_and_what_cannot_be_built_is_left_out() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a directory");
    let repository = Repository::of(&directory.path().join("checkout"));
    let good = repository.commit("one");
    repository.write("README", "no program");
    repository.commit("two: the same programs");
    repository.write("peer/main.rs", &front("peer", 3, 4_000_000));
    let harmless = repository.commit("three: other programs, as fast");
    repository.write("peer/main.rs", "fn main() { this is no program }\n");
    let broken = repository.commit("four: cannot be built");
    repository.write("peer/main.rs", &front("peer", 5, 2_000_000));
    let slow = repository.commit("five: half as fast");
    repository.write("README", "still no program");
    let bad = repository.commit("six: the same programs again");

    repository.know_noise();
    let bisect_by = |metric: &str, good: &str, bad: &str| {
        let mut command = repository.peerbed(&["bisect", good, bad, "--experiment", "capped", "--metric", metric]);
        command.args(["--calibrate", "never", "--pairs", "8", "--json"]);
        command
    };
    let bisect = |good: &str, bad: &str| bisect_by(SPEED, good, bad);
    let found = compare_believably(|| bisect(&good, &bad));
    // Four cannot be built: it, or five.
    assert_eq!(found.status.code(), Some(3), "{}", said(&found));
    let record = json(&found);
    assert_eq!(record["suspects"], serde_json::json!([broken, slow]), "{}", said(&found));
    let whole = record["whole"]["estimate"].as_f64().expect("a number");
    assert!((-0.6..-0.3).contains(&whole), "half as fast: {whole}");
    let of = |commit: &str| {
        let steps = record["steps"].as_array().expect("steps");
        steps.iter().find(|step| step["commit"] == commit).cloned().unwrap_or(Value::Null)
    };
    assert_eq!((&of(&harmless)["side"], &of(&broken)["side"]), (&"good".into(), &Value::Null), "{}", said(&found));
    let compared = of(&harmless)["directory"].as_str().map(PathBuf::from).expect("a comparison");
    assert!(compared.join("verdict.json").exists() && compared.join("report.html").exists());

    // Between commits that both are slow, nothing is to be found; and there is no line from five to three.
    let same = bisect(&slow, &bad).output().expect("it runs");
    assert_eq!(same.status.code(), Some(3), "{}", said(&same));
    assert!(said(&same).contains("both ends have the same programs"), "{}", said(&same));
    let refused = |mut command: Command, why: &str| {
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(why), "lacks {why}: {}", said(&output));
    };
    refused(bisect(&slow, &harmless), "is not among the first parents of");
    refused(bisect(&good, &good), "both ends are the same commit");
    refused(bisect("nothing", &bad), "git knows no commit `nothing`");
    refused(bisect_by("speed_ranked_mbps", &good, &bad), "speed_ranked_mbps.p10, speed_ranked_mbps.p50");
}
