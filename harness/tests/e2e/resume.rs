//! A sweep that is cut off goes on: by SIGKILL, which leaves its directory unfinished, and by Ctrl-C, which finishes it as INVALID.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::program::{alone, bin_dir, nothing_is_left, peerbed, project, said, tiny_run};

const SWEEP: &str = "\
question: Does it go on where it was?
topology: one
seed: 1
duration: 20s
content: [{id: patch, size: 256KiB, piece: 64KiB, provider: A}]
groups: [{name: homes, as: isp, peers: 2, access: home}]
workload: {arrivals: {burst: 1, at: 200ms}}
matrix: {policy.selection.max_returned: [0, 5]}
repeats: 2
claims: [{claim: All is delivered., basis: ours, shown_by: [{downloads.completed: {at_least: 100%}}]}]
";

const ONE: &str = "\
access: {home: {up: 20mbit, down: 50mbit, delay: 1ms}}
ases: [{name: isp, number: 64500, region: west, prefix: 10.0.0.0/16}]
edges: [{as: isp, access: home}]
control: [{as: isp, access: home}]
";

/// Begins the sweep, ends it by a signal while its third run is under way, and gives what it said.
fn cut_off(project: &Path, signal: Signal) -> String {
    let mut command = tiny_run(project, &[]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("peerbed starts");
    let stderr = BufReader::new(child.stderr.take().expect("standard error is piped"));
    let mut told = String::new();
    for line in stderr.lines() {
        let line = line.expect("standard error is text");
        if line.starts_with("[3/4]") && line.ends_with("nodes ready") {
            kill_process(Pid::from_child(&child), signal).expect("it can be told");
        }
        told += &(line + "\n");
    }
    let status = child.wait().expect("it ends");
    assert!(status.signal() == Some(Signal::KILL.as_raw()) || status.code() == Some(130), "{status}: {told}");
    nothing_is_left(&bin_dir(), 5);
    told
}

fn directories(project: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(project.join("results/tiny"))
        .expect("results")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_dir() && !path.is_symlink())
        .collect();
    all.sort();
    all
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).expect("JSON")
}

/// When each run of some results began, by arm and repeat.
fn began(results: &Path) -> Vec<(String, String)> {
    let manifest = read(&results.join("manifest.json"));
    let runs = manifest["runs"].as_array().expect("runs");
    runs.iter().map(|run| (format!("{} {}", run["arm"], run["repeat"]), run["started"].to_string())).collect()
}

/// Resumes it, and looks at what came of it.
fn resumed(project: &Path) -> PathBuf {
    let output = tiny_run(project, &["--resume"]).output().expect("peerbed runs");
    let text = said(&output);
    // On a busy machine runs are INVALID, and taken over all the same.
    assert!(matches!(output.status.code(), Some(0 | 4)), "{text}");
    assert!(text.contains("taking over 2 of 4 runs from ") && text.contains("2 runs, about "), "{text}");
    assert!(text.contains("[3/4]") && text.contains("[4/4]") && !text.contains("[2/4]"), "{text}");
    let done = directories(project).pop().expect("results");
    assert_eq!(fs::read_link(project.join("results/tiny/latest")).ok().as_deref(), done.file_name().map(Path::new));
    assert!(!done.join("runs").exists());
    let (summary, manifest) = (read(&done.join("summary.json")), read(&done.join("manifest.json")));
    assert_eq!(manifest["runs_taken_over"], 2, "{manifest:#}");
    let order: Vec<u64> =
        manifest["runs"].as_array().expect("runs").iter().filter_map(|run| run["order"].as_u64()).collect();
    assert_eq!(order, [0, 1, 2, 3]);
    for (arm, at) in [("max_returned=0", "0"), ("max_returned=5", "5")] {
        let arm = &summary["arms"][arm];
        assert_eq!((&arm["runs"], &arm["downloads_total"]["completed"]), (&2.into(), &2.into()), "{summary:#}");
        assert_eq!(arm["matrix"]["policy.selection.max_returned"], at);
        assert!(done.join(format!("logs/max_returned={at}/0/agent.log")).is_file());
    }
    assert_eq!(summary["claims"].as_array().map(Vec::len), Some(1));
    nothing_is_left(&bin_dir(), 5);
    // Nothing is left to be done.
    let again = tiny_run(project, &["--resume"]).output().expect("peerbed runs");
    assert!(
        again.status.code() == Some(2) && said(&again).contains("there is nothing of `tiny` to resume"),
        "{}",
        said(&again)
    );
    done
}

#[test]
fn a_killed_sweep_goes_on_without_making_its_whole_runs_again() {
    let _alone = alone();
    let project = project(("tiny", SWEEP), ("one", ONE));
    let told = cut_off(project.path(), Signal::KILL);
    assert!(told.contains("4 runs, about ") && told.contains(" to go"), "{told}");
    let [partial] = &directories(project.path())[..] else { panic!("one directory") };
    let path = project.path().to_str().expect("UTF-8");
    let listed = peerbed(&["--project", path, "ls"]).output().expect("peerbed runs");
    assert!(said(&listed).contains("2 of 4 runs are whole: `peerbed run tiny --resume`"), "{}", said(&listed));
    let other = tiny_run(project.path(), &["--resume", "--seed", "2"]).output().expect("peerbed runs");
    assert!(other.status.code() == Some(2) && said(&other).contains("seed of the first repeat: "), "{}", said(&other));

    let done = resumed(project.path());
    assert_eq!(
        done.file_name().and_then(|name| name.to_str()),
        partial.file_name().and_then(|name| name.to_str()?.strip_prefix(".partial-"))
    );
    assert_eq!(directories(project.path()), [done]);
}

#[test]
fn an_interrupted_sweep_is_kept_as_invalid_and_goes_on_in_new_results() {
    let _alone = alone();
    let project = project(("tiny", SWEEP), ("one", ONE));
    let told = cut_off(project.path(), Signal::INT);
    assert!(told.contains("2 of 4 runs are whole: `peerbed run tiny --resume`"), "{told}");
    let [first] = &directories(project.path())[..] else { panic!("one directory") };
    let summary = read(&first.join("summary.json"));
    assert_eq!((&summary["valid"], &summary["interrupted"]), (&false.into(), &true.into()));
    let (before, runs) = (fs::read(first.join("summary.json")).expect("there"), began(first));

    let done = resumed(project.path());
    assert_ne!(done, *first);
    assert_eq!(fs::read(first.join("summary.json")).expect("there"), before, "results are never written over");
    assert_eq!(began(&done)[..2], runs[..2], "these are the runs that were made then");
    assert_ne!(began(&done)[2], runs[2], "the run that was cut short is made again");
}
