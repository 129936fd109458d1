//! From nothing to a network whose nodes are all ready, and who is named when it does not come to that.

use std::time::Duration;

use peerbed::{
    agent::protocol::Notice,
    engine::EndsChoice,
    runtime::{Deployment, Progress, RuntimeError},
};

use crate::{
    bed::{Bed, Up},
    support::{idle, is_plain, next, plan, script, shell},
};

/// Why a network of these nodes does not stand; nothing is left of it when that is known.
async fn refused<B: Bed>(bed: B, commands: Vec<Vec<String>>, change: fn(&mut peerbed_model::Plan)) -> RuntimeError {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = plan(commands);
    change(&mut plan);
    let Err(error) = bed.up(&plan, directory.path(), &mut |_| {}).await else { panic!("it stands") };
    let standing = bed.standing(std::process::id(), directory.path()).await;
    assert_eq!(B::places(&standing), 0, "what stood was not taken down");
    error
}

pub(crate) async fn nodes_that_are_not_ready_are_named<B: Bed>() {
    let bed = B::new(EndsChoice::Auto).await.impatient(Duration::from_millis(1500));
    let slow = script("echo sorry >&2; echo preparing; exec sleep 1000");
    let error = refused(bed, vec![idle(), slow], |_| {}).await;
    let RuntimeError::NotReady { missing: 1, total: 2, details, .. } = error else { panic!("{error}") };
    assert!(details.contains("n1 (") && details.contains("sorry") && details.contains("preparing"), "{details}");
}

pub(crate) async fn a_node_that_dies_at_once_is_named<B: Bed>() {
    let dying = script("echo no address >&2; exit 3");
    let error = refused(B::new(EndsChoice::Auto).await, vec![idle(), dying], |_| {}).await;
    let RuntimeError::EndedEarly { node, how, tail, .. } = error else { panic!("{error}") };
    assert_eq!((node.as_str(), how.as_str(), tail.as_str()), ("n1", "exit code 3", "  no address"));
}

pub(crate) async fn a_node_that_prints_without_end_is_named<B: Bed>() {
    let endless = script("while :; do echo hello; done");
    let error = refused(B::new(EndsChoice::Auto).await, vec![idle(), endless], |_| {}).await;
    let RuntimeError::TooMuchSaid { details, .. } = error else { panic!("{error}") };
    assert!(details.contains("n1 (") && details.contains("it printed `hello`"), "{details}");
}

pub(crate) async fn a_program_that_is_not_there_is_named<B: Bed>() {
    let nothing = vec!["no-such-program".to_owned()];
    let error = refused(B::new(EndsChoice::Auto).await, vec![idle(), nothing], |_| {}).await.to_string();
    assert!(error.contains("n1") && error.contains("no-such-program"), "{error}");
}

pub(crate) async fn a_congestion_control_that_is_not_there_is_named<B: Bed>() {
    let change = |plan: &mut peerbed_model::Plan| "nonesuch".clone_into(&mut plan.fabric.congestion_control);
    let error = refused(B::new(EndsChoice::Auto).await, vec![idle()], change).await.to_string();
    assert!(error.contains("node n0: device eth0") && error.contains("congestion control"), "{error}");
}

pub(crate) async fn every_node_is_ready_when_it_stands<B: Bed>() {
    const NODES: usize = 3;
    let (bed, directory) = (B::new(EndsChoice::Auto).await, tempfile::tempdir().unwrap());
    let (mut hosts, mut nodes) = (Vec::new(), Vec::new());
    let mut progress = |progress| match progress {
        Progress::Hosts { made, total } => hosts.push((made, total)),
        Progress::Ready { ready, total } => nodes.push((ready, total)),
    };
    let plan = plan(vec![idle(); NODES]);
    let (deployment, mut notices) = bed.up(&plan, directory.path(), &mut progress).await.unwrap();
    let counted: Vec<_> = (1..=NODES).map(|count| (count, NODES)).collect();
    assert_eq!((hosts.last(), nodes), (counted.last(), counted.clone()));
    let pids = deployment.doors().pids.clone();
    assert_eq!(pids.iter().filter(|pid| **pid > 0).count(), NODES, "{pids:?}");

    // Their ready lines are the first of what they said, whole.
    let mut ready = Vec::new();
    while ready.len() < NODES {
        if let Notice::Line { node, line } = next(&mut notices).await {
            assert!(line.contains(&format!(r#"{{"node":"{node}""#)) && line.contains(r#""event":"ready""#), "{line}");
            ready.push(node);
        }
    }
    ready.sort();
    assert_eq!(ready, plan.nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>());
    deployment.down().await.unwrap();
}

/// Every host of a large network is like the first. How fast it stands is for `peerbed bench` to say.
pub(crate) async fn many_nodes_stand_with_their_settings<B: Bed>() {
    // A kernel without IPv6 has nothing to be disabled.
    let settings = "v6=1; f=/proc/sys/net/ipv6/conf/all/disable_ipv6; [ ! -e $f ] || v6=$(cat $f); \
                    echo $(cat /proc/sys/net/ipv4/tcp_rmem) / $(cat /proc/sys/net/ipv4/tcp_wmem) / $v6; exec cat";
    let bed = B::new(EndsChoice::Packet).await;
    let mut up = Up::on(bed, &plan(vec![shell(settings); B::MANY])).await;
    let standing = up.standing().await;
    assert_eq!(B::places(&standing), B::MANY + 1);
    let mut told = std::collections::BTreeMap::new();
    while told.len() < B::MANY {
        if let Notice::Line { node, line } = next(&mut up.notices).await
            && is_plain(&line)
        {
            told.insert(node, line);
        }
    }
    for (node, line) in told {
        assert_eq!(line, "4096 131072 67108864 / 4096 16384 67108864 / 1", "{node}");
    }
    up.deployment.down().await.unwrap();
    up.assert_gone(standing).await;
}
