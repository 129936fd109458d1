//! Nodes that behave badly, end, and begin again.

use std::time::Duration;

use peerbed::{
    agent::protocol::{Notice, Signal},
    runtime::{Deployment, Runtime, RuntimeError},
};
use peerbed_model::Act;
use rustix::process::{Pid, Signal as Kernel, kill_process};

use crate::support::{block_on, end_of, files, idle, line_of, name, next, plan, runtime, shell, up};

#[test]
fn an_end_is_noticed_after_the_last_line() {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(vec![shell("read x; echo last; printf unfinished; exit 7"), idle()]);
    block_on(async {
        let (deployment, mut notices) = up(&plan, directory.path()).await.unwrap();
        deployment.line(&name("n0"), "go").await.unwrap();
        assert_eq!(line_of(&mut notices, "n0").await, "last");
        assert_eq!(line_of(&mut notices, "n0").await, "unfinished");
        assert_eq!(next(&mut notices).await, Notice::Exited { node: name("n0"), code: Some(7), signal: None });
        let error = deployment.line(&name("n0"), "go").await.unwrap_err();
        assert!(error.to_string().contains("n0 does not run"), "{error}");
        deployment.down().await.unwrap();
    });
}

#[test]
fn nothing_printed_before_the_end_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    // Something that it leaves behind, in a session of its own, keeps the pipe open, so its end never comes.
    let hasty = shell("read x; setsid sleep 1000 & seq 1 2000; exit 0");
    let nodes = 20;
    let plan = plan(vec![hasty; nodes]);
    block_on(async {
        let (deployment, mut notices) = up(&plan, directory.path()).await.unwrap();
        let names: Vec<_> = plan.nodes.iter().map(|node| node.name.clone()).collect();
        assert!(deployment.tell(&names, "go").await.is_empty());
        let (mut seen, mut ended) = (std::collections::BTreeMap::new(), 0);
        while ended < nodes {
            match next(&mut notices).await {
                Notice::Line { node, line } if !line.starts_with('{') => {
                    let count = seen.entry(node).or_insert(0);
                    *count += 1;
                    assert_eq!(line, count.to_string());
                }
                Notice::Exited { node, code, .. } => {
                    assert_eq!((code, seen.get(&node)), (Some(0), Some(&2000)), "{node}");
                    ended += 1;
                }
                _ => {}
            }
        }
        deployment.down().await.unwrap();
    });
}

#[test]
fn killed_nodes_start_again() {
    let directory = tempfile::tempdir().unwrap();
    // It leaves a child behind that would hold the pipe open.
    let plan = plan(vec![shell("sleep 1000 & exec cat"), idle()]);
    block_on(async {
        let (deployment, mut notices) = up(&plan, directory.path()).await.unwrap();
        let node = name("n0");
        deployment.apply(&Act::Kill { node: node.clone() }).await.unwrap();
        assert_eq!(end_of(&mut notices, "n0").await, (None, Some(9)));
        // Once when it is dead, once while it runs.
        for _ in 0..2 {
            deployment.apply(&Act::Restart { node: node.clone() }).await.unwrap();
            deployment.line(&node, "hello").await.unwrap();
            assert_eq!(line_of_after_restart(&mut notices).await, "hello");
        }
        assert!(matches!(deployment.spawn(&node).await, Err(RuntimeError::Refused(_))), "it runs already");
        assert!(matches!(deployment.spawn(&name("x")).await, Err(RuntimeError::NoSuchNode(_))));
        deployment.down().await.unwrap();
        assert!(matches!(deployment.sample().await, Err(RuntimeError::Gone(_))));
    });
}

async fn line_of_after_restart(notices: &mut peerbed::runtime::Notices) -> String {
    loop {
        if let Notice::Line { node, line } = next(notices).await
            && node.as_str() == "n0"
            && !line.starts_with('{')
        {
            return line;
        }
    }
}

#[test]
fn frozen_nodes_stand_still() {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(vec![idle()]);
    block_on(async {
        let (deployment, mut notices) = up(&plan, directory.path()).await.unwrap();
        let node = name("n0");
        let state = |pid: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
        };
        let pid = deployment.doors().pids[0];
        deployment.apply(&Act::Freeze { node: node.clone() }).await.unwrap();
        assert_eq!(standing(&mut notices).await, Notice::Frozen { node: node.clone() });
        assert_eq!(state(pid), 'T');
        deployment.apply(&Act::Thaw { node: node.clone() }).await.unwrap();
        assert_eq!(standing(&mut notices).await, Notice::Thawed { node: node.clone() });
        deployment.line(&node, "awake").await.unwrap();
        assert_eq!(line_of(&mut notices, "n0").await, "awake");
        // Whoever else stops it is noticed too; waking one that does not stand still is nothing.
        let process = Pid::from_raw(pid as i32).unwrap();
        kill_process(process, Kernel::CONT).unwrap();
        kill_process(process, Kernel::STOP).unwrap();
        assert_eq!(standing(&mut notices).await, Notice::Frozen { node: node.clone() });
        kill_process(process, Kernel::CONT).unwrap();
        assert_eq!(standing(&mut notices).await, Notice::Thawed { node });
        deployment.down().await.unwrap();
    });
}

/// The next notice of a node that stands still or goes on.
async fn standing(notices: &mut peerbed::runtime::Notices) -> Notice {
    loop {
        let notice = next(notices).await;
        if matches!(notice, Notice::Frozen { .. } | Notice::Thawed { .. }) {
            return notice;
        }
    }
}

#[test]
fn a_flood_is_held_back_and_not_lost() {
    let directory = tempfile::tempdir().unwrap();
    let lines = 400_000;
    let flood = shell(&format!("read x; seq 1 {lines}; exec cat"));
    let plan = plan(vec![flood, idle()]);
    block_on(async {
        let (deployment, mut notices) = up(&plan, directory.path()).await.unwrap();
        deployment.line(&name("n0"), "go").await.unwrap();
        // Calls are answered meanwhile, though nobody reads the notices.
        for _ in 0..20 {
            deployment.sample().await.unwrap();
            deployment.line(&name("n1"), "x").await.unwrap();
        }
        let mut expected = 1;
        while expected <= lines {
            if let Notice::Line { node, line } = next(&mut notices).await
                && node.as_str() == "n0"
                && !line.starts_with('{')
            {
                assert_eq!(line, expected.to_string());
                expected += 1;
            }
        }
        deployment.down().await.unwrap();
    });
}

#[test]
fn garbage_and_endless_lines_do_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let garbage = shell(r"printf '\377\376garbage\n'; head -c 3000000 /dev/zero | tr '\0' x; echo; exec cat");
    let closed = shell("exec >&-; exec sleep 1000");
    let plan = plan(vec![garbage, closed]);
    block_on(async {
        let (deployment, mut notices) = up(&plan, directory.path()).await.unwrap();
        assert_eq!(line_of(&mut notices, "n0").await, "\u{fffd}\u{fffd}garbage");
        let long = line_of(&mut notices, "n0").await;
        assert!(long.ends_with("was cut here)") && long.len() < (1 << 20) + 100, "{} bytes", long.len());
        deployment.line(&name("n0"), "still there").await.unwrap();
        assert_eq!(line_of(&mut notices, "n0").await, "still there");
        deployment.signal(&name("n1"), Signal::Kill).await.unwrap();
        assert_eq!(end_of(&mut notices, "n1").await, (None, Some(9)));
        deployment.down().await.unwrap();
    });
}

#[test]
fn a_node_that_does_not_read_is_refused_more() {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(vec![shell("exec sleep 1000"), idle()]);
    block_on(async {
        let (deployment, mut notices) = up(&plan, directory.path()).await.unwrap();
        let (deaf, line) = (name("n0"), "x".repeat(1000));
        // The pipe fills, then the lines that wait for it; the node is refused more, and nobody else is held up: the
        // sample is answered after all lines were taken.
        let nodes = vec![deaf.clone(); 300];
        tokio::select! {
            biased;
            untold = deployment.tell(&nodes, &line) => panic!("lines that wait for the node were answered: {untold:?}"),
            sample = deployment.sample() => drop(sample.unwrap()),
        }
        deployment.line(&name("n1"), "another node").await.unwrap();
        assert_eq!(line_of(&mut notices, "n1").await, "another node");
        let error = deployment.line(&deaf, &line).await.unwrap_err();
        assert!(error.to_string().contains("does not read its standard input"), "{error}");
        deployment.down().await.unwrap();
    });
}

#[test]
fn nodes_that_are_not_ready_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let slow = ["sh", "-c", "echo sorry >&2; echo preparing; exec sleep 1000"].map(str::to_owned).to_vec();
    let plan = plan(vec![idle(), slow]);
    let mut runtime = runtime(peerbed::engine::EndsChoice::Auto);
    runtime.ready_within = Some(Duration::from_millis(500));
    let error = block_on(runtime.up(&plan, &files(directory.path()), &mut |_| {})).unwrap_err();
    let RuntimeError::NotReady { missing: 1, total: 2, details, .. } = error else { panic!("{error}") };
    assert!(details.contains("n1 (") && details.contains("sorry") && details.contains("preparing"), "{details}");
    assert!(crate::support::members(directory.path()).is_empty(), "what stood was taken down");
}

#[test]
fn a_node_that_dies_at_once_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let dying = ["sh", "-c", "echo no address >&2; exit 3"].map(str::to_owned).to_vec();
    let error = block_on(up(&plan(vec![idle(), dying]), directory.path())).unwrap_err();
    let RuntimeError::EndedEarly { node, how, tail, .. } = error else { panic!("{error}") };
    assert_eq!((node.as_str(), how.as_str(), tail.as_str()), ("n1", "exit code 3", "  no address"));
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(vec![idle(), vec!["no-such-program".to_owned()]]);
    let error = block_on(up(&plan, directory.path())).unwrap_err().to_string();
    assert!(error.contains("n1") && error.contains("no-such-program"), "{error}");
}

#[test]
fn a_congestion_control_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = plan(vec![idle()]);
    plan.fabric.congestion_control = "nonesuch".to_owned();
    let unmet = block_on(runtime(peerbed::engine::EndsChoice::Auto).preflight(&plan));
    assert!(unmet.iter().any(|unmet| unmet.need == "congestion control"), "{unmet:?}");
    let error = block_on(up(&plan, directory.path())).unwrap_err().to_string();
    assert!(error.contains("node n0: device eth0") && error.contains("congestion control"), "{error}");
}

#[test]
fn nodes_have_their_own_limits_and_little_environment() {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(vec![shell(
        "echo limit $(ulimit -Sn); echo nice $(nice); echo home ${HOME:-unset}; echo up $(cat /sys/class/net/lo/flags >/dev/null; echo yes); exec cat",
    )]);
    block_on(async {
        let (deployment, mut notices) = up(&plan, directory.path()).await.unwrap();
        let limit = line_of(&mut notices, "n0").await;
        let limit: u64 = limit.strip_prefix("limit ").unwrap().parse().unwrap();
        assert!(limit >= 1024, "{limit}");
        assert_eq!(line_of(&mut notices, "n0").await, "nice 0");
        assert_eq!(line_of(&mut notices, "n0").await, "home unset");
        deployment.down().await.unwrap();
    });
}
