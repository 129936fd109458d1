//! What happens when something breaks, on purpose or not.

use std::{
    path::Path,
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::program::{
    alone, bin_dir, checkout, json, measure, nothing_is_left, peerbed, said, survivors, tiny, tiny_run, under_way,
};

#[test]
fn every_download_completes_although_the_control_plane_is_killed() {
    let _alone = alone();
    let results = tempfile::tempdir().expect("a temporary directory");
    let dir = results.path().to_str().expect("UTF-8");
    let args = ["run", "control-plane-loss", "--scale", "ci", "--json", "--calibrate", "never", "--results", dir];
    let output = measure(|| peerbed(&args));
    assert!(output.status.success(), "{}", said(&output));
    let summary = json(&output);
    for arm in ["kept", "lost"] {
        let downloads = &summary["arms"][arm]["downloads"];
        assert!(downloads["planned"].as_u64() > Some(0), "{summary:#}");
        assert_eq!(downloads["completed"], downloads["planned"], "{arm}: {summary:#}");
        assert_eq!(summary["arms"][arm]["valid"], true, "{summary:#}");
    }
    let events =
        std::fs::read_to_string(results.path().join("control-plane-loss/latest/events.jsonl")).expect("events");
    let after_kill = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("every line is JSON"))
        .filter(|event| event["event"] == "download_finished")
        .count();
    assert!(after_kill > 0, "downloads ended and were recorded");
}

#[test]
fn a_peer_that_is_started_again_ends_its_download() {
    let _alone = alone();
    let project = tiny();
    let file = project.path().join("experiments/tiny.yaml");
    let text = std::fs::read_to_string(&file).expect("it was written");
    // Slow enough to be under way when the peer is killed; the other one has ended long before it comes back.
    let text = text.replace("size: 1MiB", "size: 4MiB").replace(
        "access: home}]",
        "access: home}]\ntimeline: [{at: 1500ms, do: kill, node: homes-0}, {at: 6s, do: restart, node: homes-0}]",
    );
    std::fs::write(&file, text).expect("it can be written");
    let topology = project.path().join("topologies/one.yaml");
    let text = std::fs::read_to_string(&topology).expect("it was written");
    std::fs::write(&topology, text.replace("down: 50mbit", "down: 20mbit")).expect("it can be written");
    let output = measure(|| tiny_run(project.path(), &["--json"]));
    assert!(output.status.success(), "{}", said(&output));
    let arm = json(&output)["arms"]["only"].clone();
    assert_eq!(arm["downloads"]["completed"], 2, "{arm:#}");
    nothing_is_left(&bin_dir(), 5);
}

/// `quick`, in the background, until its peers run.
fn quick_under_way(results: &Path) -> Child {
    let dir = results.to_str().expect("UTF-8");
    under_way(peerbed(&["run", "quick", "--calibrate", "never", "--arm", "hybrid", "--results", dir])).child
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

/// Keeps every core of the machine busy, twice, until it is dropped.
struct Burners {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Burners {
    fn begin() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let burn = |stop: Arc<AtomicBool>| while !stop.load(Ordering::Relaxed) {};
        let cores = std::thread::available_parallelism().expect("a number of cores").get();
        let threads = (0..2 * cores).map(|_| {
            std::thread::spawn({
                let stop = Arc::clone(&stop);
                move || burn(stop)
            })
        });
        let threads = threads.collect();
        Self { stop, threads }
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("it only burns");
        }
    }
}

#[test]
fn a_run_on_a_starved_machine_is_invalid() {
    let _alone = alone();
    let results = tempfile::tempdir().expect("a temporary directory");
    let dir = results.path().to_str().expect("a UTF-8 path");
    let burners = Burners::begin();
    let args = ["run", "quick", "--json", "--calibrate", "never", "--arm", "hybrid", "--results", dir];
    let output = peerbed(&args).output().expect("peerbed runs");
    drop(burners);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let summary = json(&output);
    let reasons = summary["arms"]["hybrid"]["invalid_reasons"].to_string();
    for words in ["the machine was not up to it in ", "the processors were busy in "] {
        assert!(reasons.contains(words), "`{words}`: {summary:#}");
    }
    nothing_is_left(&bin_dir(), 5);
}

#[test]
fn under_nohup_a_hang_up_is_nothing() {
    let _alone = alone();
    let project = tiny();
    let plain = tiny_run(project.path(), &[]);
    let mut nohup = Command::new("nohup");
    nohup.arg(plain.get_program()).args(plain.get_args()).current_dir(checkout());
    nohup.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let run = under_way(nohup);
    // `nohup` has become the program.
    kill_process(Pid::from_child(&run.child), Signal::HUP).expect("it can be told");
    let output = run.end();
    let summary = std::fs::read(project.path().join("results/tiny/latest/summary.json")).expect("a summary");
    let summary: Value = serde_json::from_slice(&summary).expect("it is JSON");
    assert_eq!(summary["interrupted"], false, "{summary:#}\n{}", said(&output));
    assert_eq!(summary["arms"]["only"]["downloads"]["completed"], 2, "{summary:#}");
    nothing_is_left(&bin_dir(), 5);
}

#[test]
fn a_hang_up_or_a_termination_is_an_interrupt_too() {
    let _alone = alone();
    let project = tiny();
    for signal in [Signal::HUP, Signal::TERM] {
        let run = under_way(tiny_run(project.path(), &[]));
        kill_process(Pid::from_child(&run.child), signal).expect("it can be told");
        let output = run.end();
        assert_eq!(output.status.code(), Some(130), "{signal:?}: {}", said(&output));
        let summary =
            std::fs::read(project.path().join("results/tiny/latest/summary.json")).expect("a summary is kept");
        let summary: Value = serde_json::from_slice(&summary).expect("it is JSON");
        assert_eq!(summary["interrupted"], true, "{summary:#}");
        assert_eq!(summary["arms"]["only"]["valid"], false, "{summary:#}");
        nothing_is_left(&bin_dir(), 5);
        std::fs::remove_dir_all(project.path().join("results")).expect("there are results");
    }
}

#[test]
fn an_agent_that_dies_is_told_with_a_log_that_is_there() {
    let _alone = alone();
    let project = tiny();
    let run = under_way(tiny_run(project.path(), &[]));
    // Of the harness, the watcher and the agent itself, the agent is the youngest.
    let agent = survivors(&bin_dir()).into_iter().rfind(|line| line.ends_with("/peerbed")).expect("an agent runs");
    let agent = agent.split(' ').next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw).expect("a number");
    kill_process(agent, Signal::KILL).expect("it can be killed");
    let output = run.end();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let error = String::from_utf8_lossy(&output.stderr);
    let latest = project.path().join("results/tiny/latest");
    let summary = std::fs::read_to_string(latest.join("summary.json")).expect("a summary is kept");
    for text in [&*error, &*summary] {
        let log =
            text.split(|c: char| c.is_whitespace() || "\";,".contains(c)).find(|word| word.ends_with("agent.log"));
        let log = log.unwrap_or_else(|| panic!("it names the agent's log:\n{text}\n{}", said(&output)));
        assert!(Path::new(log).is_file(), "{log} is not there:\n{text}");
        assert!(!text.contains(".partial-"), "{text}");
    }
    nothing_is_left(&bin_dir(), 5);
}
