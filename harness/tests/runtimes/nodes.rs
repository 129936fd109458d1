//! Nodes that behave badly, end, and begin again.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use peerbed::{
    agent::protocol::{Notice, Signal},
    engine::EndsChoice,
    runtime::{Deployment, Notices, RuntimeError},
};
use peerbed_contract::{Command, Order};
use peerbed_model::{Act, Action};

use crate::{
    bed::{Bed, Up},
    support::{end_of, idle, is_plain, line_of, name, next, plan, shell},
};

pub(crate) async fn an_end_is_noticed_after_the_last_line<B: Bed>() {
    let mut up = Up::<B>::of(vec![shell("read x; echo last; printf unfinished; exit 7"), idle()]).await;
    up.deployment.line(&name("n0"), "go").await.unwrap();
    assert_eq!(line_of(&mut up.notices, "n0").await, "last");
    assert_eq!(line_of(&mut up.notices, "n0").await, "unfinished");
    assert_eq!(next(&mut up.notices).await, Notice::Exited { node: name("n0"), code: Some(7), signal: None });
    let error = up.deployment.line(&name("n0"), "go").await.unwrap_err();
    assert!(error.to_string().contains("n0 does not run"), "{error}");
    up.deployment.down().await.unwrap();
}

pub(crate) async fn nothing_printed_before_the_end_is_lost<B: Bed>() {
    // Something that it leaves behind, in a session of its own, keeps the pipe open, so its end never comes.
    let hasty = shell("read x; setsid sleep 1000 & seq 1 2000; exit 0");
    let nodes = 20;
    let mut up = Up::<B>::of(vec![hasty; nodes]).await;
    let names: Vec<_> = (0..nodes).map(|position| name(&format!("n{position}"))).collect();
    let untold = up.deployment.tell(&names, "go").await;
    assert!(untold.is_empty(), "{untold:?}");
    let (mut seen, mut ended) = (BTreeMap::new(), 0);
    while ended < nodes {
        match next(&mut up.notices).await {
            Notice::Line { node, line } if is_plain(&line) => {
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
    let untold = up.deployment.tell(&names, "more").await;
    let whom: Vec<_> = untold.iter().map(|(node, _)| node.clone()).collect();
    assert_eq!(whom, names, "each of those that do not run is told of");
    up.deployment.down().await.unwrap();
}

pub(crate) async fn killed_nodes_start_again<B: Bed>() {
    // It leaves a child behind that would hold the pipe open.
    let mut up = Up::<B>::of(vec![shell("sleep 1000 & exec cat"), idle()]).await;
    let node = name("n0");
    up.deployment.apply(&Act::Kill { nodes: vec![node.clone()] }).await.unwrap();
    assert_eq!(end_of(&mut up.notices, "n0").await, (None, Some(9)));
    let again = up.deployment.signal(&node, Signal::Kill).await;
    assert!(matches!(again, Err(RuntimeError::Refused(_))), "{again:?}");
    // Once when it is dead, once while it runs.
    for _ in 0..2 {
        up.deployment.apply(&Act::Restart { nodes: vec![node.clone()] }).await.unwrap();
        up.deployment.line(&node, "hello").await.unwrap();
        assert_eq!(line_in_spite_of_ends(&mut up.notices).await, "hello");
    }
    assert!(matches!(up.deployment.spawn(&node).await, Err(RuntimeError::Refused(_))), "it runs already");
    assert!(matches!(up.deployment.spawn(&name("x")).await, Err(RuntimeError::NoSuchNode(_))));
    // The other has heard nothing of it.
    up.deployment.line(&name("n1"), "and you?").await.unwrap();
    assert_eq!(line_of(&mut up.notices, "n1").await, "and you?");
    up.deployment.down().await.unwrap();
    assert!(matches!(up.deployment.sample().await, Err(RuntimeError::Gone(_))));
    up.deployment.down().await.expect("again is no error");
}

/// The next plain line of `n0`, whose earlier ends may still be told.
async fn line_in_spite_of_ends(notices: &mut Notices) -> String {
    loop {
        if let Notice::Line { node, line } = next(notices).await
            && node.as_str() == "n0"
            && is_plain(&line)
        {
            return line;
        }
    }
}

pub(crate) async fn latecomers_are_started_when_they_are_added<B: Bed>() {
    let mut plan = plan(vec![idle(), shell("exec cat"), shell("exec cat")]);
    let late = vec![name("n1"), name("n2")];
    plan.timeline = vec![Action { at: Duration::from_secs(1), act: Act::Add { nodes: late.clone() } }];
    // It stands although two of them say nothing.
    let mut up = Up::<B>::on(B::new(EndsChoice::Auto).await, &plan).await;
    assert_eq!(up.deployment.doors().pids.len(), 1);
    let untold = up.deployment.tell(&late, "too early").await;
    assert_eq!(untold.len(), 2, "none of them runs: {untold:?}");
    up.deployment.apply(&plan.timeline[0].act).await.unwrap();
    for node in &late {
        up.deployment.line(node, "hello").await.unwrap();
        assert_eq!(line_of(&mut up.notices, node.as_str()).await, "hello");
    }
    up.deployment.down().await.unwrap();
}

pub(crate) async fn a_line_that_nobody_reads_holds_nothing_up<B: Bed>() {
    let up = Up::<B>::of(vec![shell("exec sleep 600"), idle()]).await;
    let node = [name("n0")];
    let line = "x".repeat(3_000);
    let began = Instant::now();
    for _ in 0..4 {
        assert_eq!(up.deployment.tell(&node, &line).await.len(), 0, "it is kept");
    }
    // Four times at most the second that a line is waited for; without that, for ever.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    up.deployment.down().await.unwrap();
}

pub(crate) async fn frozen_nodes_stand_still<B: Bed>() {
    let mut up = Up::<B>::of(vec![idle()]).await;
    let node = name("n0");
    up.deployment.apply(&Act::Freeze { nodes: vec![node.clone()] }).await.unwrap();
    assert_eq!(standing(&mut up.notices).await, Notice::Frozen { node: node.clone() });
    assert!(up.bed.stands_still(&up.deployment, 0).await);
    up.deployment.apply(&Act::Thaw { nodes: vec![node.clone()] }).await.unwrap();
    assert_eq!(standing(&mut up.notices).await, Notice::Thawed { node: node.clone() });
    assert!(!up.bed.stands_still(&up.deployment, 0).await);
    up.deployment.line(&node, "awake").await.unwrap();
    assert_eq!(line_of(&mut up.notices, "n0").await, "awake");
    // Whoever else stops it is noticed too.
    up.bed.stop(&up.deployment, 0).await;
    assert_eq!(standing(&mut up.notices).await, Notice::Frozen { node: node.clone() });
    up.bed.go_on(&up.deployment, 0).await;
    assert_eq!(standing(&mut up.notices).await, Notice::Thawed { node });
    up.deployment.down().await.unwrap();
}

pub(crate) async fn orders_are_lines_to_their_node<B: Bed>() {
    let mut up = Up::<B>::of(vec![idle(), idle()]).await;
    for order in [Order::Outage { for_ns: 5 }, Order::Wipe] {
        let untold = up.deployment.tell(&[name("n0")], &Command::Order { order }.to_line()).await;
        assert_eq!(untold.len(), 0);
    }
    let expected = [r#"{"command":"order","order":{"outage":{"for_ns":5}}}"#, r#"{"command":"order","order":"wipe"}"#];
    // The node prints what it is told, after the line that says it is ready.
    for line in expected {
        let told = loop {
            match next(&mut up.notices).await {
                Notice::Line { line, .. } if line.contains("\"event\":\"ready\"") => {}
                other => break other,
            }
        };
        assert_eq!(told, Notice::Line { node: name("n0"), line: line.to_owned() });
    }
    up.deployment.down().await.unwrap();
}

/// The next notice of a node that stands still or goes on.
async fn standing(notices: &mut Notices) -> Notice {
    loop {
        let notice = next(notices).await;
        if matches!(notice, Notice::Frozen { .. } | Notice::Thawed { .. }) {
            return notice;
        }
    }
}

pub(crate) async fn a_frozen_node_can_be_killed_and_starts_again<B: Bed>() {
    let mut up = Up::<B>::of(vec![idle()]).await;
    let node = name("n0");
    for _ in 0..2 {
        up.deployment.apply(&Act::Freeze { nodes: vec![node.clone()] }).await.unwrap();
        assert_eq!(standing(&mut up.notices).await, Notice::Frozen { node: node.clone() });
        up.deployment.apply(&Act::Restart { nodes: vec![node.clone()] }).await.unwrap();
        up.deployment.line(&node, "anew").await.unwrap();
        assert_eq!(line_in_spite_of_ends(&mut up.notices).await, "anew");
    }
    up.deployment.down().await.unwrap();
}

pub(crate) async fn a_flood_is_held_back_and_not_lost<B: Bed>() {
    let lines = 400_000;
    let mut up = Up::<B>::of(vec![shell(&format!("read x; seq 1 {lines}; exec cat")), idle()]).await;
    up.deployment.line(&name("n0"), "go").await.unwrap();
    // Calls are answered meanwhile, though nobody reads the notices.
    for _ in 0..20 {
        up.deployment.sample().await.unwrap();
        up.deployment.line(&name("n1"), "x").await.unwrap();
    }
    let mut expected = 1;
    while expected <= lines {
        if let Notice::Line { node, line } = next(&mut up.notices).await
            && node.as_str() == "n0"
            && is_plain(&line)
        {
            assert_eq!(line, expected.to_string());
            expected += 1;
        }
    }
    up.deployment.down().await.unwrap();
}

pub(crate) async fn garbage_and_endless_lines_do_no_harm<B: Bed>() {
    let garbage = shell(r"printf '\377\376garbage\n'; head -c 3000000 /dev/zero | tr '\0' x; echo; exec cat");
    let closed = shell("exec >&-; exec sleep 1000");
    let mut up = Up::<B>::of(vec![garbage, closed]).await;
    assert_eq!(line_of(&mut up.notices, "n0").await, "\u{fffd}\u{fffd}garbage");
    let long = line_of(&mut up.notices, "n0").await;
    assert!(long.ends_with("was cut here)") && long.len() < (1 << 20) + 100, "{} bytes", long.len());
    up.deployment.line(&name("n0"), "still there").await.unwrap();
    assert_eq!(line_of(&mut up.notices, "n0").await, "still there");
    let two = up.deployment.line(&name("n0"), "two\nlines").await;
    assert!(matches!(two, Err(RuntimeError::Refused(_))), "{two:?}");
    up.deployment.signal(&name("n1"), Signal::Kill).await.unwrap();
    assert_eq!(end_of(&mut up.notices, "n1").await, (None, Some(9)));
    up.deployment.down().await.unwrap();
}

pub(crate) async fn a_node_that_does_not_read_is_refused_more<B: Bed>() {
    let mut up = Up::<B>::of(vec![shell("exec sleep 1000"), idle()]).await;
    let (deaf, line) = (name("n0"), "x".repeat(60_000));
    // What lies between the harness and the node fills, then the lines that wait for it; the node is refused more.
    let mut told: FuturesUnordered<_> = (0..300).map(|_| up.deployment.line(&deaf, &line)).collect();
    let refused = loop {
        match told.next().await.expect("more was taken than can wait anywhere") {
            Ok(()) => {}
            Err(error) => break error.to_string(),
        }
    };
    assert!(refused.contains("does not read its standard input"), "{refused}");
    // Nobody else is held up, though lines wait.
    up.deployment.sample().await.unwrap();
    up.deployment.line(&name("n1"), "another node").await.unwrap();
    assert_eq!(line_of(&mut up.notices, "n1").await, "another node");
    drop(told);
    up.deployment.down().await.unwrap();
}
