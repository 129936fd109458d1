//! The account of nodes, step by step.

use super::*;
use crate::fixture;

/// What is wrong after these steps, each of which is told after a second.
fn faults(steps: &[fn(&mut Watch, &NodeName, Duration)]) -> Vec<String> {
    let mut watch = Watch::new(fixture::record("hybrid", 0).plan);
    for (second, step) in (1..).zip(steps) {
        step(&mut watch, &fixture::name("peer-1"), Duration::from_secs(second));
    }
    watch.faults
}

const FREEZE: fn(&mut Watch, &NodeName, Duration) = |watch, node, _| watch.expect_frozen(node);
const THAW: fn(&mut Watch, &NodeName, Duration) = Watch::expect_thawed;

#[test]
fn the_plan_may_freeze_and_thaw() {
    assert_eq!(faults(&[FREEZE, Watch::frozen, THAW, Watch::thawed]), [""; 0]);
    assert_eq!(faults(&[FREEZE, THAW, Watch::frozen, Watch::thawed]), [""; 0], "told late");
    assert_eq!(faults(&[FREEZE, THAW, Watch::thawed]), [""; 0], "too short to be seen still");
}

#[test]
fn nobody_else_may() {
    let stopped = "peer-1 was stopped by somebody 1.0 s into the run, unplanned";
    assert_eq!(faults(&[Watch::frozen]), [stopped]);
    assert_eq!(faults(&[Watch::frozen, Watch::thawed]), [stopped]);
    assert_eq!(faults(&[Watch::frozen, THAW, Watch::thawed]), [stopped], "the end of the run wakes everybody");
    let moment = "peer-1 was stopped by somebody for a moment 1.0 s into the run, unplanned";
    assert_eq!(faults(&[Watch::thawed]), [moment]);
    let again = "peer-1 was stopped by somebody 5.0 s into the run, unplanned";
    assert_eq!(faults(&[FREEZE, Watch::frozen, THAW, Watch::thawed, Watch::frozen]), [again]);
}

#[test]
fn what_the_plan_froze_stays_frozen() {
    let woken = "peer-1 was continued by somebody 3.0 s into the run, which the plan had frozen";
    assert_eq!(faults(&[FREEZE, Watch::frozen, Watch::thawed]), [woken]);
}

const READY: &str = r#"{"node":"peer-2","t":0,"event":"ready","role":"peer","listen":"10.0.0.1:1","version":"0"}"#;

#[test]
fn a_run_waits_for_downloads_of_nodes_that_come_back() {
    let mut plan = Arc::unwrap_or_clone(fixture::record("hybrid", 0).plan);
    let node = fixture::name("peer-2");
    let act = |at, act| Action { at: Duration::from_secs(at), act };
    plan.timeline = vec![
        act(1, Act::Kill { nodes: vec![node.clone()] }),
        act(2, Act::Restart { nodes: vec![node.clone()] }),
        act(3, Act::Kill { nodes: vec![node.clone()] }),
    ];
    let mut watch = Watch::new(Arc::new(plan));
    let own = watch.script_of(&node);
    let all: Vec<u32> = watch.plan.nodes.iter().flat_map(|node| watch.script_of(&node.name)).collect();
    watch.ended = all.into_iter().filter(|download| !own.contains(download)).collect();
    assert!(!own.is_empty() && !watch.all_ended());
    let killed = |watch: &mut Watch| {
        watch.expect_exit(&node);
        watch.exited(&node, 1, None, Some(9));
    };
    killed(&mut watch);
    assert!(!watch.all_ended(), "it comes back and asks again");
    assert_eq!(watch.line(&node, READY), Reaction::SendStart(node.clone()));
    assert!(!watch.all_ended());
    killed(&mut watch);
    assert!(watch.all_ended(), "it does not come back any more");
}

/// A plan that adds this peer.
fn adding(node: &NodeName) -> Watch {
    let mut plan = Arc::unwrap_or_clone(fixture::record("hybrid", 0).plan);
    let act = Act::Add { nodes: vec![node.clone()] };
    plan.timeline = vec![Action { at: Duration::from_secs(2), act }];
    Watch::new(Arc::new(plan))
}

#[test]
fn a_latecomer_is_missed_by_nobody_before_its_time() {
    let node = fixture::name("peer-2");
    let mut watch = adding(&node);
    assert!(!watch.alive(true).contains(&node) && !watch.alive(true).is_empty());
    watch.expect_ready(&node, Duration::from_secs(2));
    assert!(watch.alive(true).contains(&node), "it has to be stopped like the others");
    assert_eq!(watch.line(&node, READY), Reaction::SendStart(node.clone()));
    assert_eq!(watch.alive(true).iter().filter(|alive| **alive == node).count(), 1);
    watch.miss_the_late(Duration::from_mins(1));
    assert_eq!(watch.faults, [""; 0]);
    let own = watch.script_of(&node);
    watch.expect_exit(&node);
    watch.exited(&node, 1, None, Some(9));
    assert!(!own.is_empty() && own.iter().all(|download| watch.lost.contains(download)), "it does not come again");
}

#[test]
fn a_latecomer_that_is_never_ready_is_told_of() {
    let node = fixture::name("peer-2");
    let mut watch = adding(&node);
    watch.expect_ready(&node, Duration::from_secs(2));
    watch.miss_the_late(Duration::from_secs(3));
    assert_eq!(watch.faults, [""; 0], "it was only just added");
    watch.miss_the_late(Duration::from_mins(1));
    assert_eq!(watch.faults, ["peer-2 was started 2.0 s into the run and never said that it is ready"]);
    watch.exited(&node, 1, Some(1), None);
    assert_eq!(watch.faults.len(), 2, "its end was not planned");
    assert!(!watch.alive(true).contains(&node));
}

#[test]
fn one_that_is_ready_when_the_run_is_over_ends_with_it() {
    let node = fixture::name("peer-2");
    let mut watch = adding(&node);
    watch.expect_ready(&node, Duration::from_secs(2));
    watch.expect_exit(&node);
    assert_eq!(watch.line(&node, READY), Reaction::None);
    assert!(watch.alive(true).contains(&node), "it is waited for");
    watch.exited(&node, 1, Some(0), None);
    assert_eq!((watch.faults.len(), watch.alive(true).contains(&node)), (0, false));
}

#[test]
fn one_that_is_started_again_is_waited_for() {
    let node = fixture::name("peer-2");
    let restarting = |before: fn(&mut Watch, &NodeName)| {
        let mut watch = Watch::new(fixture::record("hybrid", 0).plan);
        before(&mut watch, &node);
        watch.expect_ready(&node, Duration::from_secs(2));
        watch
    };
    let killed: fn(&mut Watch, &NodeName) = |watch, node| {
        watch.expect_exit(node);
        watch.exited(node, 1, None, Some(9));
    };
    let dying: fn(&mut Watch, &NodeName) = |watch, node| watch.expect_exit(node);
    let coming: fn(&mut Watch, &NodeName) = |watch, node| {
        watch.expect_exit(node);
        watch.exited(node, 1, None, Some(9));
        watch.expect_ready(node, Duration::from_secs(1));
    };
    for (before, still_to_end) in [(killed, false), (dying, true), (coming, true), (|_, _| {}, true)] {
        let mut watch = restarting(before);
        if still_to_end {
            watch.exited(&node, 1, None, Some(9));
        }
        assert_eq!((watch.faults.len(), watch.is_coming(&node), watch.alive(true).contains(&node)), (0, true, true));
        let mut dead = restarting(before);
        if still_to_end {
            dead.exited(&node, 1, None, Some(9));
        }
        dead.exited(&node, 2, Some(3), None);
        assert_eq!((dead.faults.len(), dead.is_coming(&node)), (1, false), "the new process died");
        assert_eq!(watch.line(&node, READY), Reaction::SendStart(node.clone()));
        assert!(watch.hears(&node) && !watch.is_coming(&node));
    }
}

#[test]
fn who_stands_still_need_not_be_ready() {
    let node = fixture::name("peer-2");
    let mut watch = adding(&node);
    watch.expect_ready(&node, Duration::from_secs(2));
    watch.expect_frozen(&node);
    watch.miss_the_late(Duration::from_mins(1));
    watch.expect_thawed(&node, Duration::from_secs(55));
    watch.miss_the_late(Duration::from_mins(1));
    assert_eq!(watch.faults, [""; 0]);
    watch.miss_the_late(Duration::from_mins(2));
    assert_eq!(watch.faults.len(), 1);
}

#[test]
fn a_new_process_owes_nothing_to_the_old_one() {
    let killed: fn(&mut Watch, &NodeName, Duration) = |watch, node, _| {
        watch.expect_exit(node);
        watch.exited(node, 1, None, Some(9));
    };
    let stopped = "peer-1 was stopped by somebody 4.0 s into the run, unplanned";
    assert_eq!(faults(&[FREEZE, Watch::frozen, killed, Watch::frozen]), [stopped]);
}
