//! `peerbed up`, `exec` and `down`, as a user types them: any program of the machine runs in a node's network.

use std::{
    path::Path,
    process::{Command, Output},
};

use crate::{
    bed::Bed,
    program::{peerbed, said, tiny},
};

pub(crate) async fn programs_run_inside_nodes<B: Bed>() {
    let (project, state) = (tiny(), tempfile::tempdir().unwrap());
    let command = |arguments: &[&str]| {
        let mut command = peerbed(&["--project", project.path().to_str().unwrap()]);
        command.args(arguments).env("XDG_RUNTIME_DIR", state.path());
        command
    };
    let _down = Down(&command);
    enter(B::NAME, &command, project.path());
}

/// Takes down what a test that failed half-way has left.
pub(crate) struct Down<'a>(pub(crate) &'a dyn Fn(&[&str]) -> Command);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        let _ = (self.0)(&["down"]).output();
    }
}

/// Bring up, go into nodes, and take down, where `command` gives `peerbed` with these arguments.
pub(crate) fn enter(runtime: &str, command: &dyn Fn(&[&str]) -> Command, directory: &Path) {
    let run = |arguments: &[&str]| -> Output { command(arguments).output().unwrap() };
    let up = run(&["up", "tiny", "--runtime", runtime, "--idle"]);
    assert!(up.status.success(), "{}", said(&up));
    let inside = |node: &str, what: &str| {
        let output = run(&["exec", node, "--", "sh", "-c", what]);
        (String::from_utf8_lossy(&output.stdout).trim().to_owned(), output.status.code())
    };
    assert_eq!(inside("homes-0", "exit 7").1, Some(7));
    assert_eq!(inside("homes-0", "kill -9 $$").1, Some(128 + 9));
    assert_eq!(run(&["exec", "homes-0", "--", "no-such-program"]).status.code(), Some(127));
    assert_eq!(run(&["exec", "homes-0", "--", "/etc/passwd"]).status.code(), Some(126));
    assert_eq!(run(&["exec", "nobody", "--", "true"]).status.code(), Some(2));
    assert_eq!(inside("homes-1", "echo $PEERBED_NODE").0, "homes-1");
    // It is the caller's own files that are seen, in the caller's directory.
    std::fs::write(directory.join("written"), "outside").unwrap();
    let path = directory.join("written").display().to_string();
    assert_eq!(inside("homes-0", &format!("cat {path}; pwd")).0, format!("outside{}", own_directory(command)));
    let devices = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | sort | tr '\\n' ' '";
    assert_eq!(inside("homes-0", devices).0, "eth0 lo");

    let own = "busybox ip -o -4 addr show eth0 | grep -o 'inet [0-9.]*' | cut -d' ' -f2";
    let address = inside("edge-0", own).0;
    assert_ne!(address, inside("homes-0", own).0);
    // Nobody listens at this port, which only the node itself can say.
    let answer = inside("homes-0", &format!("busybox nc -w 5 {address} 9 2>&1")).0;
    assert!(answer.contains("refused"), "{answer}");
    let program = std::env::current_exe().unwrap();
    let output = run(&["exec", "homes-0", "--", program.to_str().unwrap(), "helper", "congestion-control", &address]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "reno", "{}", said(&output));

    let down = run(&["down"]);
    assert!(down.status.success(), "{}", said(&down));
    assert_eq!(inside("homes-0", "true").1, Some(2), "nothing is up");
}

/// The working directory of a command.
fn own_directory(command: &dyn Fn(&[&str]) -> Command) -> String {
    command(&[]).get_current_dir().unwrap().canonicalize().unwrap().display().to_string()
}
