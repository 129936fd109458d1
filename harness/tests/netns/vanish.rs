//! Whatever dies, nothing is left behind.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use peerbed::{agent::protocol::Notice, runtime::Deployment};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{assert_gone, block_on, host, idle, members, namespaces, next, plan, up};

/// Begin the helper that is a harness.
fn harness(directory: &Path, packet: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "helpers::helper", "--ignored", "--nocapture", "--quiet"]);
    command.env("HELPER", "harness").env("DIRECTORY", directory).stdout(Stdio::piped()).stderr(Stdio::inherit());
    if packet {
        command.env("PACKET", "1");
    }
    command.spawn().unwrap()
}

/// Kill it with SIGKILL at the given step (of those it tells), and see that everything goes.
fn killed_at(step: usize, packet: bool) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut child = harness(directory.path(), packet);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // Read to the end only after the kill: a closed pipe would end it before.
    let mut steps = lines.filter(|line| line.contains("step "));
    let reached = steps.by_ref().take(step).last().expect("it tells its steps");
    let spaces = namespaces(&members(directory.path()));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(9), "it lived until it was killed");
    assert_gone(directory.path(), &spaces);
    reached
}

#[test]
fn a_killed_harness_leaves_nothing_at_ten_moments() {
    let before = host();
    // Twenty steps of namespaces and twenty of ready nodes lie between the beginning and the run.
    let moments = [1, 2, 6, 11, 16, 21, 25, 31, 42, 60];
    let reached: Vec<_> = moments.into_iter().map(|step| killed_at(step, step % 2 == 0)).collect();
    assert!(reached[0].contains("begin") && reached[9].contains("sampled"), "{reached:?}");
    assert!(reached.iter().any(|step| step.contains("Hosts")) && reached.iter().any(|step| step.contains("Ready")));
    assert_eq!(host(), before);
}

#[test]
fn a_killed_agent_ends_every_node() {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(vec![idle(), idle(), idle()]);
    block_on(async {
        let (deployment, mut notices) = up(&plan, directory.path()).await.unwrap();
        let everyone = members(directory.path());
        // The watcher, process 1, three nodes.
        assert_eq!(everyone.len(), 5, "{everyone:?}");
        assert!(deployment.doors().pids.iter().all(|pid| everyone.contains(pid)), "process ids are those outside");
        let agent = deployment.doors().installed.agent_pid;
        assert!(everyone.contains(&agent));
        let spaces = namespaces(&everyone);
        kill_process(Pid::from_raw(agent as i32).unwrap(), Signal::KILL).unwrap();
        loop {
            if let Notice::Broken { message } = next(&mut notices).await {
                assert!(message.contains("the agent ended"), "{message}");
                break;
            }
        }
        assert_eq!(notices.next().await, None, "nothing comes after the agent's end");
        assert_gone(directory.path(), &spaces);
    });
}

#[test]
fn a_dropped_deployment_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(vec![idle(), idle()]);
    let spaces = block_on(async {
        let (_deployment, _notices) = up(&plan, directory.path()).await.unwrap();
        namespaces(&members(directory.path()))
    });
    assert_eq!(spaces.len(), 3);
    assert_gone(directory.path(), &spaces);
}
