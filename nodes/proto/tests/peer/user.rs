//! The user's pauses and aborts, and stalls.

use peerbed_contract::{EventKind, TerminalStatus, UserAct, UserMoment};

use crate::{
    agenda::Todo,
    net::SECOND,
    world::{Outcome, World, object},
};

fn pause(after: u64, resume: Option<u64>) -> UserMoment {
    let act = UserAct::Pause { resume_after_ns: resume.map(|seconds| seconds * SECOND) };
    UserMoment { after_active_ns: after * SECOND, act }
}

fn abort(after: u64) -> UserMoment {
    UserMoment { after_active_ns: after * SECOND, act: UserAct::Abort }
}

fn run(user: Vec<UserMoment>) -> Outcome {
    let mut world = World::new(object(32, 262_144));
    world.downloader(5.0, 40.0, SECOND, user);
    for _ in 0..4 {
        world.seed_peer(5.0);
    }
    let outcome = World::run(world.build(), 60 * SECOND);
    assert!(!outcome.any_broken());
    outcome
}

fn times(outcome: &Outcome, wanted: fn(&EventKind) -> bool) -> Vec<u64> {
    outcome.net.events.iter().filter(|(_, _, event)| wanted(event)).map(|(at, _, _)| *at).collect()
}

#[test]
fn a_paused_download_goes_on_with_what_it_holds() {
    let outcome = run(vec![pause(2, Some(10)), pause(4, Some(5))]);
    let record = outcome.completed(0);
    assert_eq!((record.pauses, record.stalls), (2, 0));
    assert_eq!(record.end_ns - record.start_ns - record.active_ns, 15 * SECOND);
    assert_eq!(times(&outcome, |e| matches!(e, EventKind::DownloadPaused { .. })), [3 * SECOND, 15 * SECOND]);
    assert_eq!(times(&outcome, |e| matches!(e, EventKind::DownloadResumed { .. })), [13 * SECOND, 20 * SECOND]);
    assert!(record.active_ns < 8 * SECOND, "{record:?}");
}

#[test]
fn nothing_is_asked_for_during_a_pause() {
    let mut world = World::new(object(32, 65_536));
    world.downloader(5.0, 40.0, 0, vec![pause(2, Some(20))]);
    let mut net = world.build();
    net.run_until(21 * SECOND);
    let crate::net::Program::Edge(edge) = &net.hosts[0].program else { unreachable!() };
    let last = *edge.asked.last().unwrap();
    assert!(last < 2 * SECOND + SECOND / 10, "{last}");
    World::run(net, 60 * SECOND).completed(0);
}

#[test]
fn a_pause_frees_the_slots_of_others() {
    let outcome = run(vec![pause(2, Some(10))]);
    let ended = times(&outcome, |event| matches!(event, EventKind::Transfer(_)));
    let during = ended.iter().filter(|at| (3 * SECOND..6 * SECOND).contains(*at)).count();
    // Both sides of four peers, and the edge's connection.
    assert!(during >= 9, "{ended:?}");
    outcome.completed(0);
}

#[test]
fn a_terminal_pause_counts_what_still_comes() {
    let outcome = run(vec![pause(3, None)]);
    let record = outcome.record(0);
    assert_eq!(record.status, TerminalStatus::Paused);
    assert_eq!((record.pauses, record.end_ns, record.active_ns), (1, 4 * SECOND, 3 * SECOND));
    assert_eq!(record.wasted_bytes, 0);
    assert!(record.edge_bytes + record.peer_bytes < record.size);
}

#[test]
fn an_abort_ends_it_at_once() {
    let outcome = run(vec![pause(1, Some(3)), abort(3)]);
    let record = outcome.record(0);
    assert_eq!(record.status, TerminalStatus::Aborted);
    assert_eq!((record.pauses, record.end_ns, record.active_ns), (1, 7 * SECOND, 3 * SECOND));
    assert!(record.edge_bytes + record.peer_bytes > 0);
}

#[test]
fn an_act_after_the_end_does_nothing() {
    let outcome = run(vec![abort(30)]);
    outcome.completed(0);
}

#[test]
fn a_silence_of_two_seconds_is_one_stall() {
    let mut world = World::new(object(32, 262_144));
    world.control = false;
    world.downloader(5.0, 40.0, 0, vec![]);
    let mut net = world.build();
    for at in [2, 20] {
        net.at(at * SECOND, Todo::Kill(0));
        net.at((at + 5) * SECOND, Todo::Revive(0));
    }
    let outcome = World::run(net, 90 * SECOND);
    let record = outcome.completed(0);
    assert_eq!(record.stalls, 1, "{record:?}");
}
