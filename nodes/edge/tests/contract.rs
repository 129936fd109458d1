//! The edge's binary keeps the node contract: command line, ready line, commands, signals, exit codes.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
};

use peerbed_contract::{Event, EventKind, Role, exit};

const CONFIG: &str = r#"{
  "name": "edge-0", "as_number": 64500, "region": "north", "address": "127.0.0.1", "seed": 7,
  "role": {"edge": {
    "port": 0,
    "objects": [
      {"id": "patch", "provider": "A", "size": 100000, "piece_length": 16384, "key": 1, "peers_allowed": true}
    ],
    "signing_key": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32],
    "token_lifetime_ns": 1000000000
  }}
}"#;

fn config(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edge"));
    command.env_remove("RUST_LOG").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn answer(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command().args(arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A binary that runs.
struct Edge {
    child: Child,
    commands: Option<ChildStdin>,
    events: BufReader<ChildStdout>,
    listen: SocketAddr,
}

impl Edge {
    fn start() -> Self {
        Self::start_as(command())
    }

    fn start_as(mut command: Command) -> Self {
        let file = config(CONFIG);
        let mut child = command.arg("--config").arg(file.path()).spawn().unwrap();
        let commands = child.stdin.take();
        let mut events = BufReader::new(child.stdout.take().unwrap());
        let ready = next(&mut events);
        assert_eq!((ready.node.as_str(), ready.t), ("edge-0", 0));
        let EventKind::Ready { role: Role::Edge, listen, version } = ready.kind else { panic!("{ready:?}") };
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
        assert_ne!(listen.port(), 0);
        Self { child, commands, events, listen }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.commands.as_mut().unwrap(), "{line}").unwrap();
    }

    fn begin(&mut self) {
        self.tell(&format!("{{\"command\":\"start\",\"epoch_ns\":{}}}", peerbed_driver::monotonic_ns()));
        assert_eq!(next(&mut self.events).kind, EventKind::Started);
    }

    fn get(&self) {
        let mut stream = TcpStream::connect(self.listen).unwrap();
        stream.write_all(b"GET /objects/patch HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.len() > 100_000);
    }

    /// The exit code, the events that were left, and standard error.
    fn end(self) -> (Option<i32>, Vec<EventKind>, String) {
        let mut events = Vec::new();
        for line in self.events.lines() {
            events.push(serde_json::from_str::<Event>(&line.unwrap()).unwrap().kind);
        }
        drop(self.commands);
        let Output { status, stderr, .. } = self.child.wait_with_output().unwrap();
        (status.code(), events, String::from_utf8(stderr).unwrap())
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

fn next(events: &mut impl BufRead) -> Event {
    let mut line = String::new();
    events.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("`{line}`: {error}"))
}

#[test]
fn help_and_version() {
    let (code, out, _) = answer(&["--help"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("Usage: edge --config FILE\n"), "{out}");
    assert_eq!(answer(&["--version"]).1, format!("edge {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_arguments_and_files_are_explained() {
    for (arguments, expected) in [
        (&[] as &[&str], "edge: --config FILE is needed\ntry --help\n"),
        (&["--port", "80"], "edge: `--port` is not understood\ntry --help\n"),
        (&["--config", "/nowhere/at.json"], "edge: /nowhere/at.json: No such file or directory (os error 2)\n"),
    ] {
        assert_eq!(answer(arguments), (exit::USAGE, String::new(), expected.to_owned()));
    }
    let file = config(&CONFIG.replace("\"port\": 0", "\"port\": 70000"));
    let path = file.path().to_str().unwrap();
    let (code, out, error) = answer(&["--config", path]);
    assert_eq!((code, out.as_str()), (exit::USAGE, ""));
    assert!(error.starts_with(&format!("edge: {path}:4:")) && error.contains("`role.edge.port`"), "{error}");
}

#[test]
fn an_address_that_is_taken_or_not_ours_is_a_lack_of_resources() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (from, to) in [("\"port\": 0", format!("\"port\": {port}")), ("127.0.0.1", "192.0.2.77".to_owned())] {
        let file = config(&CONFIG.replace(from, &to));
        let (code, out, error) = answer(&["--config", file.path().to_str().unwrap()]);
        assert_eq!((code, out.as_str()), (exit::RESOURCES, ""));
        assert!(error.starts_with("edge: node edge-0: ") && error.contains("cannot be listened at"), "{error}");
    }
}

#[test]
fn a_run_from_start_to_stop() {
    let mut edge = Edge::start();
    edge.begin();
    edge.get();
    edge.tell("{\"command\":\"stop\"}");
    let (code, events, _) = edge.end();
    assert_eq!(code, Some(exit::OK));
    let [EventKind::Transfer(record), counted, EventKind::Stopped] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(*counted, EventKind::Requests { served: 1, refused: 0 });
    assert_eq!((record.sent, record.broken), (100_000, false));
}

#[test]
fn a_stop_or_the_end_of_input_before_the_start() {
    let mut edge = Edge::start();
    edge.tell("{\"command\":\"stop\"}");
    assert_eq!(edge.end(), (Some(exit::OK), vec![EventKind::Stopped], String::new()));
    let mut edge = Edge::start();
    edge.commands = None;
    assert_eq!(edge.end(), (Some(exit::OK), vec![EventKind::Stopped], String::new()));
}

#[test]
fn the_end_of_input_stops_a_run() {
    let mut edge = Edge::start();
    edge.begin();
    edge.commands = None;
    let (code, events, log) = edge.end();
    // The end may come before the moment of the start.
    assert_eq!((code, events.last(), log.as_str()), (Some(exit::OK), Some(&EventKind::Stopped), ""));
    assert!(events.len() == 1 || events[0] == EventKind::Requests { served: 0, refused: 0 }, "{events:?}");
}

#[test]
fn a_termination_signal_means_stop() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let mut edge = Edge::start();
        edge.begin();
        edge.get();
        edge.signal(signal);
        let (code, events, _) = edge.end();
        assert_eq!((code, events.len(), events.last()), (Some(exit::OK), 3, Some(&EventKind::Stopped)));
    }
}

#[test]
fn a_command_that_is_none_breaks_the_contract() {
    for begun in [false, true] {
        let mut edge = Edge::start();
        if begun {
            edge.begin();
        }
        edge.tell("{\"command\":\"dance\"}");
        let (code, _, error) = edge.end();
        assert_eq!(code, Some(exit::CONTRACT));
        assert!(error.starts_with("edge: node edge-0: `{\"command\":\"dance\"}` is not a command"), "{error}");
    }
}

#[test]
fn a_closed_output_breaks_the_contract() {
    let mut edge = Edge::start();
    edge.begin();
    let Edge { mut child, commands, events, listen } = edge;
    drop(events);
    // The end of this connection is the next thing to say.
    let mut stream = TcpStream::connect(listen).unwrap();
    stream.write_all(b"GET /objects/patch HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    drop(stream);
    assert_eq!(child.wait().unwrap().code(), Some(exit::CONTRACT));
    drop(commands);
}

#[test]
fn a_start_in_the_future_is_waited_for() {
    let mut edge = Edge::start();
    let epoch = peerbed_driver::monotonic_ns() + 200_000_000;
    edge.tell(&format!("{{\"command\":\"start\",\"epoch_ns\":{epoch}}}"));
    let started = next(&mut edge.events);
    assert_eq!((started.t, started.kind), (0, EventKind::Started));
    edge.get(); // the connection waits in the listener until the run begins
    assert!(peerbed_driver::monotonic_ns() >= epoch);
    edge.tell("{\"command\":\"stop\"}");
    assert_eq!(edge.end().0, Some(exit::OK));
}

#[test]
fn streams_that_cannot_be_written_make_nothing_panic() {
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let closed = || std::io::pipe().unwrap().1;
    for argument in ["--help", "--version"] {
        let output = command().arg(argument).stdout(closed()).output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(exit::OK), Vec::new()), "{argument}");
        let output = command().arg(argument).stdout(full()).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(exit::CONTRACT), "{error}");
        assert!(error.contains("standard output cannot be written"), "{error}");
    }
    let status = command().arg("--nonsense").stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(exit::USAGE));

    let mut logs = command();
    logs.env("RUST_LOG", "trace").stderr(full());
    let mut edge = Edge::start_as(logs);
    edge.begin();
    edge.get();
    edge.tell("{\"command\":\"stop\"}");
    assert_eq!(edge.child.wait().unwrap().code(), Some(exit::OK));
}
