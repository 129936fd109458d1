//! Whatever dies, nothing is left behind.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    time::Duration,
};

use peerbed::{agent::protocol::Notice, engine::EndsChoice, runtime::Deployment};
use peerbed_model::Act;

use crate::{
    bed::{Bed, Up},
    support::{changes, idle, name, next, plan, script},
};

/// A harness that was killed.
struct Killed {
    /// How far it was.
    reached: String,
    pid: u32,
    directory: tempfile::TempDir,
}

/// Let a harness be killed with SIGKILL at the given step (of those it tells), and see that everything goes.
async fn killed_at<B: Bed>(bed: &B, step: usize, nodes: usize) -> Killed {
    let directory = tempfile::tempdir().unwrap();
    let ends = if step.is_multiple_of(2) { "packet" } else { "auto" };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["helper", "harness", B::NAME, ends, &nodes.to_string()]).arg(directory.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut steps = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // Its output is read no further before the kill, but kept open: a closed pipe would end it before.
    let reached = steps.by_ref().take(step).last().expect("it tells its steps");
    let standing = bed.standing(child.id(), directory.path()).await;
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(9), "it lived until it was killed");
    bed.assert_gone(child.id(), directory.path(), standing).await;
    Killed { reached, pid: child.id(), directory }
}

pub(crate) async fn a_killed_harness_leaves_nothing_at_ten_moments<B: Bed>() {
    let bed = B::new(EndsChoice::Auto).await;
    let before = bed.surroundings().await;
    // As many steps of hosts, and as many of ready nodes, lie between the beginning and the run.
    let nodes = B::SOME;
    let up = 2 * nodes + 2;
    let moments = [1, 2, 2 + nodes / 4, 1 + nodes / 2, nodes, 1 + nodes, 2 + nodes, 2 + nodes * 3 / 2, up, up + 20];
    let mut all = Vec::new();
    for step in moments {
        all.push(killed_at(&bed, step, nodes).await);
    }
    let reached: Vec<_> = all.iter().map(|one| &*one.reached).collect();
    assert!(reached[0].contains("begin") && reached[8].contains("up") && reached[9].contains("sampled"), "{reached:?}");
    assert!(reached.iter().any(|step| step.contains("Hosts")) && reached.iter().any(|step| step.contains("Ready")));
    // What they had asked for is not there later either.
    for Killed { reached, pid, directory } in &all {
        let standing = bed.standing(*pid, directory.path()).await;
        assert_eq!(B::places(&standing), 0, "killed at {reached}");
    }
    let after = changes(&before, &bed.surroundings().await);
    assert!(after.is_empty(), "{after:#?}");
}

pub(crate) async fn a_killed_agent_ends_every_node<B: Bed>() {
    let mut up = Up::<B>::of(vec![idle(); 3]).await;
    let standing = up.standing().await;
    assert_eq!(B::places(&standing), 4);
    up.bed.kill_agent(&up.deployment).await;
    loop {
        if let Notice::Broken { message } = next(&mut up.notices).await {
            assert!(message.contains("the agent ended"), "{message}");
            break;
        }
    }
    let rest = async {
        while let Some(notice) = up.notices.next().await {
            assert!(matches!(notice, Notice::Exited { .. }), "{notice:?} after the agent's end");
        }
    };
    tokio::time::timeout(Duration::from_secs(10), rest).await.expect("the notices end when the agent has ended");
    up.assert_gone(standing).await;
}

pub(crate) async fn a_dropped_deployment_leaves_nothing<B: Bed>() {
    let up = Up::<B>::of(vec![idle(), idle()]).await;
    let standing = up.standing().await;
    assert_eq!(B::places(&standing), 3);
    let Up { deployment, notices, bed, directory } = up;
    drop((deployment, notices));
    bed.assert_gone(std::process::id(), directory.path(), standing).await;
}

pub(crate) async fn what_is_given_up_half_way_leaves_nothing<B: Bed>() {
    let (bed, directory) = (B::new(EndsChoice::Auto).await, tempfile::tempdir().unwrap());
    // Given up when the first host stands, and when the first node is ready. One never is: else all may be at once.
    let plan = plan(vec![idle(), script("exec sleep 1000"), idle(), idle()]);
    for wanted in ["Hosts { made: 1", "Ready { ready: 1"] {
        let (reached, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let mut progress = |progress| drop(reached.send(format!("{progress:?}")));
        let until = async { while !heard.recv().await.unwrap().contains(wanted) {} };
        tokio::select! {
            biased;
            () = until => {}
            up = bed.up(&plan, directory.path(), &mut progress) => panic!("{:?} before {wanted}", up.err()),
        }
        let standing = bed.standing(std::process::id(), directory.path()).await;
        peerbed::runtime::Runtime::settle(bed.runtime()).await;
        bed.assert_gone(std::process::id(), directory.path(), standing).await;
    }
}

pub(crate) async fn a_frozen_node_does_not_hold_up_the_end<B: Bed>() {
    let up = Up::<B>::of(vec![idle(), idle()]).await;
    let standing = up.standing().await;
    up.deployment.apply(&Act::Freeze { nodes: vec![name("n1")] }).await.unwrap();
    up.deployment.down().await.unwrap();
    up.assert_gone(standing).await;
}
