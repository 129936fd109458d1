//! How these tests start the program, and what must be true after it ended.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard},
    thread::JoinHandle,
};

use serde_json::Value;

/// The number that Linux keeps for nobody.
pub(crate) const NOBODY: u32 = 65534;

/// Fabrics measure time: one at a time, also where all tests share a process.
static ALONE: Mutex<()> = Mutex::new(());

pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The checkout.
pub(crate) fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("harness/ is inside the checkout").to_owned()
}

/// The directory of `peerbed`, `edge`, `control` and `peer`, as `make test` builds them.
pub(crate) fn bin_dir() -> PathBuf {
    let dir = std::env::var_os("PEERBED_BIN").map_or_else(
        || Path::new(env!("CARGO_BIN_EXE_peerbed")).parent().expect("a file is in a directory").to_owned(),
        PathBuf::from,
    );
    for program in ["peerbed", "edge", "control", "peer"] {
        let path = dir.join(program);
        assert!(path.is_file(), "{} is missing: run `make test`, which builds it first", path.display());
    }
    dir
}

/// `peerbed` with its working directory in the checkout.
pub(crate) fn peerbed(args: &[&str]) -> Command {
    let mut command = Command::new(bin_dir().join("peerbed"));
    command.args(args).current_dir(checkout());
    // What it remembers of links is not for the user of this machine.
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// A project with an experiment `tiny`: one AS, two peers, two downloads, over in some three seconds.
/// Its congestion control is not the one that machines have by default.
pub(crate) fn tiny() -> tempfile::TempDir {
    project(("tiny", TINY), ("one", ONE))
}

/// A project with one experiment and one topology, each a name and a text.
pub(crate) fn project(experiment: (&str, &str), topology: (&str, &str)) -> tempfile::TempDir {
    let project = tempfile::tempdir().expect("a temporary directory");
    for (directory, (name, text)) in [("experiments", experiment), ("topologies", topology)] {
        let directory = project.path().join(directory);
        std::fs::create_dir(&directory).expect("a directory");
        std::fs::write(directory.join(format!("{name}.yaml")), text).expect("a file");
    }
    project
}

/// Runs an experiment of a project and measures until the machine was up to it; what it printed, and its events.
pub(crate) fn run_in(project: &Path, name: &str) -> (Value, Vec<Value>) {
    let output = measure(|| {
        let mut command = peerbed(&["run", name, "--json", "--results", "results"]);
        command.current_dir(project);
        command
    });
    assert!(output.status.success(), "{}", said(&output));
    let events = project.join("results").join(name).join("latest/events.jsonl");
    let events = std::fs::read_to_string(events).expect("events");
    (json(&output), events.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect())
}

const TINY: &str = "\
question: Does it begin and end?
topology: one
seed: 1
duration: 20s
congestion_control: reno
content: [{id: patch, size: 1MiB, piece: 128KiB, provider: A}]
groups: [{name: homes, as: isp, peers: 2, access: home}]
workload: {arrivals: {burst: 2, at: 1s, within: 1s}}
arms: {only: {}}
";

const ONE: &str = "\
access: {home: {up: 20mbit, down: 50mbit, delay: 1ms}}
ases: [{name: isp, number: 64500, region: west, prefix: 10.0.0.0/16}]
edges: [{as: isp, access: home}]
control: [{as: isp, access: home}]
";

/// `peerbed` with the project of [`tiny`], whose links are not measured before unless `args` speak of that.
pub(crate) fn tiny_run(project: &Path, args: &[&str]) -> Command {
    let mut command = peerbed(&["--project", project.to_str().expect("UTF-8"), "run", "tiny"]);
    command.args(args);
    if !args.contains(&"--calibrate") {
        command.args(["--calibrate", "never"]);
    }
    command
}

/// A command in the background.
pub(crate) struct UnderWay {
    /// Its process; standard output is piped.
    pub(crate) child: Child,
    errors: JoinHandle<String>,
}

impl UnderWay {
    /// Its end, with everything that it printed.
    pub(crate) fn end(self) -> Output {
        let output = self.child.wait_with_output().expect("peerbed ends");
        Output { stderr: self.errors.join().expect("standard error is text").into_bytes(), ..output }
    }
}

/// Starts a run and waits until all its nodes are ready.
pub(crate) fn under_way(mut command: Command) -> UnderWay {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("peerbed starts");
    let stderr = BufReader::new(child.stderr.take().expect("standard error is piped"));
    // Away from a terminal, progress is one line a phase; this one says that all nodes are ready.
    let mut lines = stderr.lines().map(|line| line.expect("standard error is text") + "\n");
    let mut before = String::new();
    while !before.contains("nodes ready") {
        before += &lines.next().unwrap_or_else(|| panic!("peerbed says when its nodes are ready:\n{before}"));
    }
    // Whoever reads must go on reading, or the child would stop at a full pipe.
    UnderWay { child, errors: std::thread::spawn(move || before + &lines.collect::<String>()) }
}

/// What makes a run invalid when other programs had the machine's cores: no fault of the program under test.
const OVERLOAD: &[&str] =
    &["the machine was not up to it", "the harness's own tick was", "the hypervisor took", "the machine is overloaded"];

/// Runs a measurement until the machine was free enough to believe it, ten times at most. Whatever else is wrong with
/// it, and an overload that stays, is for the caller to judge.
pub(crate) fn measure(command: impl FnMut() -> Command) -> Output {
    measure_at_most(10, command)
}

/// The same, so many times at most.
pub(crate) fn measure_at_most(times: u32, mut command: impl FnMut() -> Command) -> Output {
    for _ in 1..times {
        let output = command().output().expect("peerbed runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let reasons: Vec<String> = match serde_json::from_str::<Value>(&text) {
            Ok(summary) => {
                let arms = summary["arms"].as_object().into_iter().flat_map(serde_json::Map::values);
                let reasons = arms.flat_map(|arm| arm["invalid_reasons"].as_array().into_iter().flatten());
                reasons.map(Value::to_string).collect()
            }
            Err(_) => text.lines().filter(|line| line.starts_with("INVALID ")).map(str::to_owned).collect(),
        };
        let overload = |line: &String| OVERLOAD.iter().any(|reason| line.contains(reason));
        if output.status.code() != Some(4) || !reasons.iter().all(overload) {
            return output;
        }
        eprintln!("the machine was overloaded, measuring again: {reasons:?}");
    }
    command().output().expect("peerbed runs")
}

/// Runs a comparison until the machine was free enough to believe it, three times at most.
pub(crate) fn compare_believably(mut command: impl FnMut() -> Command) -> Output {
    let mut output = command().output().expect("peerbed runs");
    for _ in 1..3 {
        let text = said(&output);
        if output.status.code() != Some(4) || !OVERLOAD.iter().any(|reason| text.contains(reason)) {
            break;
        }
        eprintln!("the machine was overloaded, measuring again: {text}");
        output = command().output().expect("peerbed runs");
    }
    output
}

/// Standard output as JSON.
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "standard output is not JSON ({error}):\n{}\nstandard error:\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// What was printed, for messages.
pub(crate) fn said(output: &Output) -> String {
    format!(
        "{}\n--- standard output\n{}\n--- standard error\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Processes whose program is under `dir`, or that have a path there among their arguments, as `pid program`.
pub(crate) fn survivors(dir: &Path) -> Vec<String> {
    let place = dir.to_str().expect("UTF-8").as_bytes();
    let ours = |pid: &std::ffi::OsStr| {
        let about = Path::new("/proc").join(pid);
        let exe = std::fs::read_link(about.join("exe")).ok()?;
        let told = std::fs::read(about.join("cmdline")).ok()?;
        let ours = exe.starts_with(dir) || told.split(|byte| *byte == 0).any(|argument| argument.starts_with(place));
        ours.then(|| format!("{} {}", pid.to_string_lossy(), exe.display()))
    };
    let proc = std::fs::read_dir("/proc").expect("/proc can be read");
    proc.filter_map(|entry| ours(&entry.ok()?.file_name())).collect()
}

/// Waits until nothing of ours runs any more; panics after so many seconds.
pub(crate) fn nothing_is_left(dir: &Path, seconds: u64) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    loop {
        let left = survivors(dir);
        if left.is_empty() {
            return;
        }
        assert!(std::time::Instant::now() < end, "still alive after {seconds} s: {left:?}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
