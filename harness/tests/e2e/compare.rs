//! `peerbed compare` and `peerbed calibrate --aa` on real runs: equal programs, worse ones, dead ones, and ends in the middle.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::program::{alone, bin_dir, json, measure, nothing_is_left, peerbed, project, said, tiny, under_way};

/// Two arms of which one delivers at half the rate: as if the programs of one had become slower.
const SLOWER: &str = "\
question: Is it slower?
topology: one
seed: 5
duration: 20s
content: [{id: file, size: 2MiB, provider: A}]
groups: [{name: homes, as: net, peers: 4, access: line}]
workload: {arrivals: {burst: 4, at: 200ms, within: 1s}}
arms:
  as-is: {}
  slower: {topology.access.line.down: 8mbit}
";

const NET: &str = "\
access: {line: {up: 4mbit, down: 16mbit, delay: 5ms}, server: {up: 1gbit, down: 1gbit, delay: 1ms}}
ases: [{name: net, number: 64500, region: west, prefix: 10.0.0.0/16}]
edges: [{as: net, access: server}]
control: [{as: net, access: server}]
";

fn compare(project: &Path, args: &[&str]) -> Command {
    let programs = bin_dir();
    let programs = programs.to_str().expect("UTF-8");
    let mut command = peerbed(&["--project", project.to_str().expect("UTF-8"), "compare", "--calibrate", "never"]);
    if !args.contains(&"--head-programs") {
        command.args(["--head-programs", programs]);
    }
    command.args(["--base-programs", programs]).args(args);
    command
}

fn newest(project: &Path, experiment: &str) -> PathBuf {
    project.join("results/compare").join(experiment).join("latest").canonicalize().expect("results")
}

fn word<'v>(verdict: &'v Value, figure: &str) -> &'v str {
    let findings = verdict["findings"].as_array().expect("findings");
    let found = findings.iter().find(|finding| finding["figure"] == figure).expect("the figure");
    found["verdict"].as_str().expect("a word")
}

#[test]
fn equals_are_measured_and_then_something_slower_is_found() {
    let _alone = alone();
    let project = project(("slow", SLOWER), ("one", NET));
    let at = project.path();
    let aa = measure(|| {
        let mut aa =
            peerbed(&["--project", at.to_str().expect("UTF-8"), "calibrate", "slow", "--aa", "--arm", "as-is"]);
        aa.args(["--pairs", "15", "--json"]);
        aa
    });
    assert!(aa.status.success(), "{}", said(&aa));
    assert_eq!(json(&aa)["same_programs"], true, "{}", said(&aa));

    let late = measure(|| {
        compare(at, &["--experiment", "slow", "--arm", "as-is", "--head-arm", "slower", "--pairs", "10,20", "--json"])
    });
    assert_eq!(late.status.code(), Some(1), "{}", said(&late));
    assert_eq!(json(&late)["pairs_made"], 10, "it ends at the first look: {}", said(&late));
    let directory = newest(at, "slow");
    let file = fs::read(directory.join("verdict.json")).expect("a verdict");
    let verdict: Value = serde_json::from_slice(&file).expect("JSON");
    assert_eq!(word(&verdict, "speed_ranked_mbps.p50"), "regressed");
    assert_eq!((word(&verdict, "failure_rate"), word(&verdict, "downloads.planned")), ("no-change", "no-change"));
    assert!(fs::read_to_string(directory.join("summary.md")).expect("text").starts_with("# slow: REGRESSED"));

    // The files alone give the same verdict, to the byte.
    let replay =
        peerbed(&["compare", "--replay", directory.to_str().expect("UTF-8"), "--json"]).output().expect("it runs");
    assert_eq!(replay.status.code(), Some(1), "{}", said(&replay));
    assert_eq!(replay.stdout, file);
    assert!(String::from_utf8_lossy(&replay.stderr).contains("the same, to the byte"), "{}", said(&replay));
    nothing_is_left(at, 5);
}

#[test]
fn programs_that_die_are_the_subjects_failure() {
    let _alone = alone();
    let project = tiny();
    let dead = project.path().join("dead");
    fs::create_dir(&dead).expect("a directory");
    for program in ["control", "edge", "peer"] {
        fs::copy(bin_dir().join(program), dead.join(program)).expect("a copy");
    }
    // It says that it is ready like any other, and is gone a moment later.
    let script = "#!/bin/sh\nshift\nexec 3<&0\n";
    let peer = format!(
        "{script}{}/peer.real --config \"$1\" <&3 &\npeer=$!\nsleep 2\nkill -9 $peer\nexit 101\n",
        dead.display()
    );
    fs::rename(dead.join("peer"), dead.join("peer.real")).expect("renamed");
    fs::write(dead.join("peer"), peer).expect("written");
    fs::set_permissions(dead.join("peer"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a program");
    let dead = dead.to_str().expect("UTF-8");
    let output = compare(project.path(), &["--experiment", "tiny", "--pairs", "6", "--head-programs", dead]).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("ended with code 101"), "{}", said(&output));
    nothing_is_left(project.path(), 5);
}

#[test]
fn an_end_in_the_middle_of_a_pair_keeps_what_was_measured() {
    let _alone = alone();
    let project = tiny();
    let running = under_way(compare(project.path(), &["--experiment", "tiny", "--pairs", "6"]));
    kill_process(Pid::from_child(&running.child), Signal::INT).expect("signalled");
    let output = running.end();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let directory = newest(project.path(), "tiny");
    let replay = peerbed(&["compare", "--replay", directory.to_str().expect("UTF-8")]).output().expect("it runs");
    assert_eq!(replay.status.code(), Some(3), "{}", said(&replay));
    assert!(String::from_utf8_lossy(&replay.stdout).contains("ended after 0 pairs"), "{}", said(&replay));
    nothing_is_left(project.path(), 5);
}

#[test]
fn a_comparison_that_was_killed_in_the_middle_of_a_pair_goes_on() {
    let _alone = alone();
    let project = tiny();
    let wanted = ["--experiment", "tiny", "--pairs", "6"];
    let mut command = compare(project.path(), &wanted);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("peerbed starts");
    let stderr = BufReader::new(child.stderr.take().expect("standard error is piped"));
    for line in stderr.lines().map(|line| line.expect("standard error is text")) {
        // The fourth of twelve runs is the second of the second pair.
        if line.starts_with("[4/12]") && line.ends_with("nodes ready") {
            kill_process(Pid::from_child(&child), Signal::KILL).expect("it can be told");
        }
    }
    child.wait().expect("it ends");
    nothing_is_left(&bin_dir(), 5);

    let other = project.path().join("other");
    fs::create_dir(&other).expect("a directory");
    for program in ["control", "edge", "peer"] {
        fs::copy(bin_dir().join(program), other.join(program)).expect("a copy");
    }
    fs::OpenOptions::new()
        .append(true)
        .open(other.join("peer"))
        .and_then(|mut peer| peer.write_all(b" "))
        .expect("written");
    let mut others = wanted.to_vec();
    others.extend(["--head-programs", other.to_str().expect("UTF-8"), "--resume"]);
    let refused = compare(project.path(), &others).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("are of another sweep (compared: "), "{}", said(&refused));

    let mut again = wanted.to_vec();
    again.extend(["--resume", "--json"]);
    let output = compare(project.path(), &again).output().expect("it runs");
    // Without the noise of the machine nothing is decided; on a busy one runs are INVALID.
    assert!(matches!(output.status.code(), Some(0 | 3 | 4)), "{}", said(&output));
    assert!(said(&output).contains("taking over 3 of 12 runs"), "{}", said(&output));
    assert_eq!(json(&output)["pairs_made"], 6, "{}", said(&output));
    nothing_is_left(project.path(), 5);

    // Evidence of two machines is none.
    let directory = newest(project.path(), "tiny");
    let manifest = directory.join("manifest.json");
    let mut mixed: Value = serde_json::from_slice(&fs::read(&manifest).expect("a manifest")).expect("JSON");
    mixed["runs"][7]["fingerprint"] = "0123456789abcdef".into();
    fs::write(&manifest, mixed.to_string()).expect("written");
    let replay = peerbed(&["compare", "--replay", directory.to_str().expect("UTF-8")]).output().expect("it runs");
    assert_eq!(replay.status.code(), Some(2), "{}", said(&replay));
    assert!(said(&replay).contains("with 0123456789abcdef: measure both at one place"), "{}", said(&replay));
}

#[test]
fn what_cannot_be_compared_is_said_before_anything_runs() {
    let project = project(("slow", SLOWER), ("one", NET));
    let refused = |args: &[&str], why: &str| {
        let output = compare(project.path(), args).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{args:?} lacks {why}: {}", said(&output));
    };
    refused(&["--experiment", "slow"], "name it with --arm; it has: as-is, slower");
    refused(&["--experiment", "slow", "--arm", "fast"], "has no arm `fast`");
    refused(&["--experiment", "slow", "--arm", "as-is", "--pairs", "5"], "whole numbers from 6 to 500");
    refused(&["--experiment", "slow", "--arm", "as-is", "--head-programs", "/nonexistent"], "cannot open /nonexistent");
    refused(&["--experiment", "fast"], "there is no experiment `fast`");
    refused(&[], "--experiment");
    assert!(!project.path().join("results").exists());
}

/// A repository whose three programs are scripts of cargo's: what they print is what is compared.
#[test]
fn commits_are_built_side_by_side_and_the_checkout_stays_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let (repository, cache) = (directory.path().join("checkout"), directory.path().join("cache"));
    fs::create_dir(&repository).expect("a directory");
    let git = |args: &[&str]| {
        let fixed = [
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "-c",
            "commit.gpgsign=false",
            "-c",
            "init.defaultBranch=main",
        ];
        let output = Command::new("git").args(fixed).args(args).current_dir(&repository).output().expect("git");
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let write = |path: &str, text: &str| {
        let path = repository.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("written");
    };
    write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"control\", \"edge\", \"peer\"]\n");
    write(".gitignore", "/target\n/results\n");
    for program in ["control", "edge", "peer"] {
        let bin = format!("[[bin]]\nname = \"{program}\"\npath = \"main.rs\"\n");
        write(
            &format!("{program}/Cargo.toml"),
            &format!("[package]\nname = \"peerbed-{program}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n{bin}"),
        );
        write(&format!("{program}/main.rs"), "fn main() { println!(\"{}\", 1); }\n");
    }
    write("experiments/slow.yaml", SLOWER);
    write("topologies/one.yaml", NET);
    git(&["init", "-q"]);
    let locked = Command::new("cargo")
        .args(["generate-lockfile", "--offline"])
        .current_dir(&repository)
        .output()
        .expect("cargo");
    assert!(locked.status.success(), "{}", said(&locked));
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    write("README", "no program");
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "two"]);
    write("peer/main.rs", "fn main() { println!(\"{}\", 2); }\n");
    write("note", "not committed");
    git(&["add", "note"]);
    let (status, head) = (git(&["status", "--porcelain"]), git(&["rev-parse", "HEAD"]));

    // These programs are no nodes: what is compared ends before it is ready, and all that matters here is which programs it was.
    let run = |base: &str, head: &str| {
        let mut command = peerbed(&["--project", repository.to_str().expect("UTF-8"), "compare", base, head]);
        command.args(["--experiment", "slow", "--arm", "as-is", "--calibrate", "never", "--pairs", "6"]);
        let output = command.env("XDG_CACHE_HOME", &cache).output().expect("it runs");
        let planned = fs::read(newest(&repository, "slow").join("comparison.json")).expect("what was planned");
        (said(&output), serde_json::from_slice::<Value>(&planned).expect("JSON"))
    };
    let (text, planned) = run("HEAD~1", "HEAD");
    assert!(text.contains("HEAD~1: building") && text.contains("HEAD: building"), "{text}");
    assert_eq!(planned["same_programs"], true, "the commits differ in no program: {text}");
    assert!(text.contains("the programs of both sides are the same"), "{text}");
    let (text, planned) = run("HEAD", ".");
    assert!(text.contains("HEAD: built before") && text.contains("-dirty"), "{text}");
    assert_eq!(
        (&planned["same_programs"], &planned["head"]["dirty"]),
        (&Value::Bool(false), &Value::Bool(true)),
        "{text}"
    );
    assert_eq!(planned["base"]["programs"][0], planned["head"]["programs"][0], "control is the same");
    assert_ne!(planned["base"]["programs"][2], planned["head"]["programs"][2], "peer is another");
    assert_eq!(
        (git(&["status", "--porcelain"]), git(&["rev-parse", "HEAD"])),
        (status, head),
        "nothing of the checkout changed"
    );
    let unknown = peerbed(&[
        "--project",
        repository.to_str().expect("UTF-8"),
        "compare",
        "nothing",
        "--experiment",
        "slow",
        "--arm",
        "as-is",
    ])
    .env("XDG_CACHE_HOME", &cache)
    .output()
    .expect("it runs");
    assert!(said(&unknown).contains("git knows no commit `nothing`"), "{}", said(&unknown));
}
