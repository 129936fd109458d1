//! `peerbed up`, `exec` and `down`, as a user types them, with nodes that are shell scripts.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, kill_process},
};

use crate::support::{assert_gone, host, members, namespaces, shell};

/// A user's own place: node programs and a directory for the state.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [_, _, script, _] = <[String; 4]>::try_from(shell("exec cat")).unwrap();
        for role in ["edge", "control", "peer"] {
            let program = directory.path().join(role);
            fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn state(&self) -> PathBuf {
        self.path().join("peerbed")
    }

    fn peerbed(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_peerbed"));
        command.args(["--project", concat!(env!("CARGO_MANIFEST_DIR"), "/..")]).args(arguments);
        command.env("XDG_RUNTIME_DIR", self.path()).env("PEERBED_NODES", self.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.peerbed(arguments).output().unwrap()
    }

    fn up(&self) {
        let output = self.run(&["up", "quick", "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn held(&self) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.state().join("state.json")).unwrap()).unwrap()
    }

    /// How many nodes are up.
    fn nodes(&self) -> usize {
        self.held()["held"]["nodes"].as_array().unwrap().len()
    }

    /// What a shell command in node `edge-0` prints, and its exit code.
    fn inside(&self, command: &str) -> (String, Option<i32>) {
        let output = self.run(&["exec", "edge-0", "--", "sh", "-c", command]);
        (String::from_utf8(output.stdout).unwrap().trim().to_owned(), output.status.code())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A test that failed half-way must not leave its network.
        let _ = self.run(&["down"]);
    }
}

#[test]
fn up_exec_down() {
    let (place, before) = (Place::new(), host());
    let nothing = place.run(&["exec", "edge-0", "--", "true"]);
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("peerbed up"));

    let up = place.run(&["up", "quick"]);
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    assert!(String::from_utf8_lossy(&up.stdout).contains("peerbed exec"));
    let spaces = namespaces(&members(place.path()));
    let again = place.run(&["up", "quick"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("peerbed down"));

    assert_eq!(place.inside("exit 7").1, Some(7));
    assert_eq!(place.inside("kill -9 $$").1, Some(128 + 9));
    assert_eq!(place.inside("no-such-program").1, Some(127), "the shell's own");
    assert_eq!(place.run(&["exec", "edge-0", "--", "no-such-program"]).status.code(), Some(127));
    assert_eq!(place.run(&["exec", "edge-0", "--", "/etc/passwd"]).status.code(), Some(126));
    assert_eq!(place.run(&["exec", "nobody", "--", "true"]).status.code(), Some(2));
    assert_eq!(place.inside("echo $PEERBED_NODE").0, "edge-0");
    assert_eq!(place.inside("pwd").0, std::env::current_dir().unwrap().display().to_string());
    let devices = place.inside("tail -n +3 /proc/self/net/dev | cut -d: -f1 | tr -d ' ' | sort | tr '\\n' ' '").0;
    assert_eq!(devices, "eth0 lo");
    let agent = place.inside("tr '\\0' ' ' < /proc/1/cmdline").0;
    assert!(agent.contains("peerbed agent"), "process 1 is `{agent}`");

    assert!(place.run(&["down"]).status.success());
    assert_gone(place.path(), &spaces);
    let left: Vec<_> = fs::read_dir(place.state()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
    assert!(place.run(&["down"]).status.success(), "again is no error");
    assert_eq!(host(), before);
}

const START: &str = r#"{"command":"start","epoch_ns":"#;

#[test]
fn the_nodes_are_started_unless_idle() {
    let place = Place::new();
    place.up();
    // The scripts print what they are told, and the holder writes down what they print a little later.
    let events = place.state().join("events.jsonl");
    let count = |what: &str| fs::read_to_string(&events).unwrap().matches(what).count();
    let wait_for = |what: &str| {
        let deadline = Instant::now() + Duration::from_secs(10);
        while count(what) < place.nodes() {
            assert!(Instant::now() < deadline, "{} of {} nodes: {what}", count(what), place.nodes());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait_for(START);
    assert!(place.run(&["down"]).status.success());
    assert!(place.run(&["up", "quick", "--idle"]).status.success());
    // With a start, it would stand before or among what is written at the same time.
    wait_for(r#""event":"ready""#);
    assert_eq!(count(START), 0);
}

#[test]
fn what_runs_in_a_node_ends_with_the_network() {
    let place = Place::new();
    place.up();
    let mut child = place
        .peerbed(&["exec", "edge-0", "--", "sh", "-c", "echo begun; exec sleep 1000"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n");
    assert!(place.run(&["down"]).status.success());
    assert_eq!(child.wait().unwrap().code(), Some(128 + 9));
}

#[test]
fn sigterm_reaches_the_program() {
    let place = Place::new();
    place.up();
    let script = "trap 'exit 42' TERM; echo begun; while :; do sleep 0.05; done";
    let mut child =
        place.peerbed(&["exec", "edge-0", "--", "sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(42));
}

#[test]
fn a_killed_holder_leaves_a_state_that_is_understood() {
    let place = Place::new();
    place.up();
    let spaces = namespaces(&members(place.path()));
    let holder = place.held()["holder"]["pid"].as_i64().unwrap() as i32;
    kill_process(Pid::from_raw(holder).unwrap(), Signal::KILL).unwrap();
    assert_gone(place.path(), &spaces);
    assert_eq!(place.inside("true").1, Some(2), "nothing is up");
    let down = place.run(&["down"]);
    assert!(down.status.success() && String::from_utf8_lossy(&down.stdout).contains("had ended already"), "{down:?}");
    place.up();
}

/// `peerbed up`, when it has begun to set up.
fn being_set_up(place: &Place) -> Child {
    let up = place.peerbed(&["up", "quick"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    // The watcher, process 1, the holder, and every node: none of them is this process's child, so it looks again and again.
    while members(place.path()).len() < 10 {
        assert!(Instant::now() < deadline, "it does not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    up
}

#[test]
fn down_ends_what_is_still_being_set_up() {
    let place = Place::new();
    // It is never ready.
    fs::write(place.path().join("edge"), "#!/bin/sh\nexec sleep 1000\n").unwrap();
    let up = being_set_up(&place);
    let spaces = namespaces(&members(place.path()));
    let inside = place.run(&["exec", "edge-0", "--", "true"]);
    assert!(String::from_utf8_lossy(&inside.stderr).contains("still being set up"), "{inside:?}");
    assert!(place.run(&["down"]).status.success());
    assert_gone(place.path(), &spaces);
    let output = up.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && text.contains("told to end"), "{output:?}");
}

/// What a state directory has when nothing is up.
fn only_the_lock(place: &Place) {
    let left: Vec<_> = fs::read_dir(place.state()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[test]
fn every_signal_that_ends_the_set_up_ends_it_alike() {
    let place = Place::new();
    // It is never ready.
    fs::write(place.path().join("edge"), "#!/bin/sh\nexec sleep 1000\n").unwrap();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let up = being_set_up(&place);
        let spaces = namespaces(&members(place.path()));
        kill_process(Pid::from_child(&up), signal).unwrap();
        let output = up.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{signal:?}: {output:?}");
        assert_gone(place.path(), &spaces);
        only_the_lock(&place);
    }
    // Also before there is a holder.
    let up = place.peerbed(&["up", "quick"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", up.id());
    // Its handler of SIGTERM (the 15th bit of the mask) is there.
    let caught =
        |line: &str| Some(u64::from_str_radix(line.strip_prefix("SigCgt:")?.trim(), 16).unwrap() >> 14 & 1 == 1);
    while !fs::read_to_string(&status).unwrap().lines().find_map(caught).unwrap() {
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&up), Signal::TERM).unwrap();
    let output = up.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
}

#[test]
fn down_ends_what_a_damaged_state_does_not_name() {
    let place = Place::new();
    place.up();
    let spaces = namespaces(&members(place.path()));
    let state = place.state().join("state.json");
    fs::write(&state, "{\"experiment\":").unwrap();
    let exec = place.run(&["exec", "edge-0", "--", "true"]);
    assert!(String::from_utf8_lossy(&exec.stderr).contains("run `peerbed down`"), "{exec:?}");
    let down = place.run(&["down"]);
    assert!(down.status.success() && String::from_utf8_lossy(&down.stdout).contains("damaged"), "{down:?}");
    assert_gone(place.path(), &spaces);
    only_the_lock(&place);
    // Whatever else stands in its place, with nobody there.
    fs::create_dir(&state).unwrap();
    assert!(place.run(&["down"]).status.success());
    only_the_lock(&place);
    fs::write(&state, "\0").unwrap();
    // A lock that is not a holder's, but this test's: nobody is harmed for it.
    let lock = fs::File::open(place.state().join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let down = place.run(&["down"]);
    let text = String::from_utf8_lossy(&down.stderr).into_owned();
    assert!(down.status.code() == Some(2) && text.contains("cannot be told"), "{down:?}");
    drop(lock);
    assert!(place.run(&["down"]).status.success());
    only_the_lock(&place);
}

#[test]
fn up_says_why_it_cannot() {
    let place = Place::new();
    fs::write(place.path().join("edge"), "#!/bin/sh\necho out of luck >&2; exit 3\n").unwrap();
    let output = place.run(&["up", "quick"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains("edge-0") && text.contains("exit code 3") && text.contains("out of luck"), "{text}");
    fs::remove_file(place.path().join("edge")).unwrap();
    let output = place.run(&["up", "quick"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("`edge`") && text.contains("PEERBED_NODES"), "{text}");
}

#[test]
fn the_doctor_is_content_here() {
    let place = Place::new();
    let output = place.run(&["doctor", "--json", "--nodes", "10"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{report:#}");
    assert_eq!(report["able"], true);
    assert!(["tun", "packet"].map(serde_json::Value::from).contains(&report["ends"]));
}
