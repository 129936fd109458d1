//! What goes wrong: damaged pieces, dead and slow peers, edges and control planes that come and go.

use peerbed_contract::{EdgeMode, EventKind, Role, TerminalStatus};

use crate::{
    agenda::Todo,
    net::{Net, Program, SECOND, address_of},
    world::{Outcome, World, object, speed},
};

fn rejections(outcome: &Outcome) -> Vec<(u32, std::net::IpAddr)> {
    let rejected = |event: &EventKind| match event {
        EventKind::PieceRejected { piece, from, .. } => Some((*piece, *from)),
        _ => None,
    };
    outcome.net.events.iter().filter_map(|(_, _, event)| rejected(event)).collect()
}

fn damage(net: &mut Net, host: usize, pieces: u32) {
    let Program::Edge(edge) = &mut net.hosts[host].program else { panic!("host {host} is no edge") };
    edge.damage = pieces;
}

#[test]
fn a_peer_that_sends_damaged_pieces_is_dropped() {
    // Long enough that a peer that is only left for a while would come back.
    let mut world = World::new(object(250, 1_048_576));
    world.downloader(5.0, 40.0, 0, vec![]);
    world.seed_peer(10.0).config.misbehaviour.corrupt = true;
    for _ in 0..4 {
        world.seed_peer(10.0);
    }
    let outcome = World::run(world.build(), 90 * SECOND);
    let record = outcome.completed(0);
    let bad = address_of(world.peer_host(1));
    let rejected = rejections(&outcome);
    // What was under way when the first failed may fail too, nothing after.
    assert!((1..=2).contains(&rejected.len()), "{rejected:?}");
    assert!(rejected.iter().all(|(_, from)| *from == bad));
    assert_eq!(record.rejected_pieces as usize, rejected.len());
    assert!(record.wasted_bytes >= 1_048_576 * rejected.len() as u64);
    assert!(record.sources.iter().all(|source| source.address != bad), "{record:?}");
    assert!(record.peer_bytes > record.size / 2);
    assert!(!outcome.any_broken());
}

#[test]
fn where_the_defence_is_off_damaged_pieces_go_on_coming_and_are_thrown_away() {
    let mut world = World::new(object(100, 1_048_576));
    let downloader = world.downloader(5.0, 40.0, 0, vec![]);
    downloader.config.constants.defences.drop_corrupt = false;
    world.seed_peer(10.0).config.misbehaviour.corrupt = true;
    world.seed_peer(10.0);
    let outcome = World::run(world.build(), 90 * SECOND);
    let record = outcome.completed(0);
    assert!(rejections(&outcome).len() > 5, "{:?}", rejections(&outcome));
    let bad = address_of(world.peer_host(1));
    assert!(record.sources.iter().all(|source| source.address != bad), "{record:?}");
}

#[test]
fn a_damaged_piece_of_an_edge_is_fetched_from_another() {
    let mut world = World::new(object(16, 262_144));
    world.edges = vec![1000.0, 1000.0];
    world.downloader(5.0, 40.0, 0, vec![]);
    let mut net = world.build();
    damage(&mut net, 0, 1);
    let outcome = World::run(net, 60 * SECOND);
    let record = outcome.completed(0);
    assert_eq!(record.rejected_pieces, 1);
    assert!(record.sources.iter().any(|source| source.address == address_of(1)), "{record:?}");
    assert!(!outcome.any_broken());
}

#[test]
fn an_edge_that_only_sends_damage_fails_the_download() {
    let mut world = World::new(object(16, 262_144));
    world.downloader(5.0, 40.0, 0, vec![]);
    let mut net = world.build();
    damage(&mut net, 0, u32::MAX);
    let outcome = World::run(net, 60 * SECOND);
    let record = outcome.record(0);
    assert_eq!(record.status, TerminalStatus::Failed);
    assert!(record.failure.as_ref().is_some_and(|reason| reason.contains("damaged")), "{record:?}");
    assert!(record.end_ns < 30 * SECOND);
}

#[test]
fn a_refusing_edge_fails_the_download_with_its_reason() {
    let mut world = World::new(object(16, 262_144));
    world.downloader(5.0, 40.0, 0, vec![]);
    let mut net = world.build();
    net.at(2 * SECOND, Todo::Refuse { host: 0, status: 403, retry_after: None });
    let outcome = World::run(net, 100 * SECOND);
    let record = outcome.record(0);
    assert_eq!(record.status, TerminalStatus::Failed);
    assert!(record.failure.as_ref().is_some_and(|reason| reason.contains("403")), "{record:?}");
}

#[test]
fn retry_after_is_respected() {
    let mut world = World::new(object(16, 262_144));
    world.downloader(5.0, 40.0, 0, vec![]);
    let mut net = world.build();
    net.at(SECOND, Todo::Refuse { host: 0, status: 503, retry_after: Some(7 * SECOND) });
    net.at(2 * SECOND, Todo::Serve(0));
    let outcome = World::run(net, 60 * SECOND);
    outcome.completed(0);
    let Program::Edge(edge) = &outcome.net.hosts[0].program else { unreachable!() };
    let gap = edge.asked.windows(2).map(|pair| (pair[1] - pair[0], pair[1])).max().unwrap();
    // As long as it asked, and something of the back-off's first half second.
    assert!((7 * SECOND..8 * SECOND).contains(&gap.0), "{gap:?}");
    assert!(outcome.record(0).stalls == 1, "{:?}", outcome.record(0));
}

#[test]
fn an_edge_that_is_out_of_service_is_waited_for() {
    let mut world = World::new(object(16, 262_144));
    world.downloader(5.0, 40.0, 0, vec![]);
    // Half a minute without any authorisation is no reason to give up.
    let mut net = world.build();
    net.at(0, Todo::Refuse { host: 0, status: 503, retry_after: Some(SECOND) });
    net.at(30 * SECOND, Todo::Serve(0));
    let outcome = World::run(net, 120 * SECOND);
    let record = outcome.completed(0);
    assert!((30 * SECOND..70 * SECOND).contains(&record.end_ns), "{record:?}");
    let Program::Edge(edge) = &outcome.net.hosts[0].program else { unreachable!() };
    let gaps: Vec<_> = edge.granting.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.len() > 2 && gaps.iter().all(|gap| *gap >= SECOND), "{gaps:?}");
}

#[test]
fn those_who_were_sent_away_together_come_back_apart() {
    let mut world = World::new(object(1, 262_144));
    for _ in 0..50 {
        world.downloader(5.0, 40.0, 0, vec![]);
    }
    let mut net = world.build();
    net.at(0, Todo::Refuse { host: 0, status: 503, retry_after: Some(2 * SECOND) });
    net.at(4 * SECOND, Todo::Serve(0));
    let outcome = World::run(net, 60 * SECOND);
    assert!((0..50).all(|peer| outcome.completed(peer).edge_bytes > 0));
    let Program::Edge(edge) = &outcome.net.hosts[0].program else { unreachable!() };
    let second: Vec<_> = edge.granting.iter().copied().filter(|at| (SECOND..4 * SECOND).contains(at)).collect();
    let (first, last) = (second[0], second[second.len() - 1]);
    assert!(second.len() >= 50 && last - first > 200_000_000, "{} within {} ns", second.len(), last - first);
}

#[test]
fn overload_alone_fails_no_download() {
    let mut world = World::new(object(4, 262_144));
    for peer in 0..30 {
        world.downloader(5.0, 40.0, 0, vec![]).config.edge_mode =
            if peer % 2 == 0 { EdgeMode::Only } else { EdgeMode::Backstop };
    }
    let mut net = world.build();
    let Program::Edge(edge) = &mut net.hosts[0].program else { unreachable!() };
    // Four downloads' worth of pieces a second.
    edge.limit = Some((64, SECOND));
    let outcome = World::run(net, 300 * SECOND);
    let ends: Vec<_> = (0..30).map(|peer| outcome.completed(peer).end_ns).collect();
    let Program::Edge(edge) = &outcome.net.hosts[0].program else { unreachable!() };
    assert!(edge.asked.len() > edge.served.len(), "nobody was refused");
    // At least 480 pieces have to come from somewhere; what peers give is saved at the edge.
    assert!(ends.iter().all(|end| *end < 60 * SECOND), "{ends:?}");
}

#[test]
fn another_edge_serves_while_the_first_is_out_of_service() {
    let mut world = World::new(object(16, 262_144));
    world.edges = vec![1000.0, 1000.0];
    world.downloader(5.0, 40.0, 0, vec![]);
    let mut net = world.build();
    net.at(0, Todo::Refuse { host: 0, status: 503, retry_after: Some(300 * SECOND) });
    let outcome = World::run(net, 60 * SECOND);
    let record = outcome.completed(0);
    assert!(record.stalls == 0 && record.sources.iter().all(|source| source.address == address_of(1)), "{record:?}");
}

#[test]
fn another_edge_takes_over_and_the_first_comes_back() {
    for silent in [false, true] {
        let mut world = World::new(object(100, 262_144));
        world.edges = vec![1000.0, 1000.0];
        world.downloader(5.0, 40.0, 0, vec![]);
        let mut net = world.build();
        net.at(3 * SECOND, if silent { Todo::Silence(0) } else { Todo::Kill(0) });
        net.at(12 * SECOND, Todo::Revive(0));
        let outcome = World::run(net, 90 * SECOND);
        let record = outcome.completed(0);
        let from =
            |edge: usize| record.sources.iter().filter(|s| s.address == address_of(edge)).map(|s| s.bytes).sum::<u64>();
        // Three seconds of 40 Mbit/s are 15 MB: the first edge gave more, so it was used again.
        assert!(from(0) > 25_000_000, "silent {silent}: {}", from(0));
        assert!(from(1) > 10_000_000, "silent {silent}: {}", from(1));
        assert!(record.active_ns < 30 * SECOND, "silent {silent}: {record:?}");
    }
}

#[test]
fn without_any_edge_peers_finish_what_they_have() {
    let mut world = World::new(object(32, 262_144));
    world.downloader(5.0, 40.0, 0, vec![]);
    for _ in 0..5 {
        world.seed_peer(10.0);
    }
    let mut net = world.build();
    net.at(2 * SECOND, Todo::Kill(0));
    let outcome = World::run(net, 60 * SECOND);
    let record = outcome.completed(0);
    assert!(record.active_ns < 12 * SECOND, "{record:?}");
}

#[test]
fn a_lost_edge_is_found_again() {
    let mut world = World::new(object(32, 262_144));
    world.downloader(5.0, 40.0, 0, vec![]);
    let mut net = world.build();
    net.at(2 * SECOND, Todo::Kill(0));
    net.at(20 * SECOND, Todo::Revive(0));
    let outcome = World::run(net, 120 * SECOND);
    let record = outcome.completed(0);
    assert_eq!(record.stalls, 1);
    assert!(record.end_ns > 20 * SECOND);
}

#[test]
fn the_control_plane_dies_and_nobody_waits() {
    let mut world = World::new(object(64, 262_144));
    world.downloader(5.0, 40.0, 0, vec![]);
    world.downloader(5.0, 40.0, 8 * SECOND, vec![]);
    world.downloader(5.0, 40.0, 60 * SECOND, vec![]);
    for _ in 0..8 {
        world.seed_peer(10.0);
    }
    let mut net = world.build();
    let control = world.control_host(0);
    net.at(2 * SECOND, Todo::Kill(control));
    net.run_until(40 * SECOND);
    net.hosts[control].program = Program::Control(Box::new(world.control_machine(0)));
    net.at(40 * SECOND, Todo::Revive(control));
    let outcome = World::run(net, 120 * SECOND);
    assert!(speed(outcome.completed(0)) > 0.95 * 40.0);
    assert!(outcome.completed(0).peer_bytes > 0);
    // The second began without a control plane: from the edge, and at full speed.
    let second = outcome.completed(1);
    assert_eq!((second.copies_registered, second.peer_bytes), (None, 0));
    assert!(speed(second) > 0.95 * 40.0);
    // For the third everybody has registered again, those who completed in between included.
    assert_eq!(outcome.completed(2).copies_registered, Some(10));
    let notices = outcome.events(world.peer_host(0)).into_iter().filter_map(|event| match event {
        EventKind::Notice { message } => Some(message.clone()),
        _ => None,
    });
    let notices: Vec<String> = notices.collect();
    assert!(notices.iter().any(|n| n.contains("out of reach")) && notices.iter().any(|n| n.contains("is back")));
}

#[test]
fn dead_peers_are_done_without() {
    for silent in [false, true] {
        let mut world = World::new(object(64, 262_144));
        world.downloader(5.0, 40.0, 0, vec![]);
        for _ in 0..6 {
            world.seed_peer(8.0);
        }
        let mut net = world.build();
        for (at, peer) in [(2, 1), (3, 2), (5, 3)] {
            let host = world.peer_host(peer);
            net.at(at * SECOND, if silent { Todo::Silence(host) } else { Todo::Kill(host) });
        }
        let outcome = World::run(net, 90 * SECOND);
        let record = outcome.completed(0);
        assert!(speed(record) > 0.9 * 40.0, "silent {silent}: {}", speed(record));
        assert_eq!(record.stalls, 0);
    }
}

#[test]
fn the_end_does_not_wait_for_slow_peers() {
    let mut world = World::new(object(32, 1_048_576));
    world.downloader(5.0, 40.0, 0, vec![]);
    for _ in 0..6 {
        world.seed_peer(10.0);
    }
    let mut net = world.build();
    for peer in [1, 2] {
        net.at(3 * SECOND, Todo::Rate { host: world.peer_host(peer), up: 0.05, down: 50.0 });
    }
    let outcome = World::run(net, 90 * SECOND);
    let record = outcome.completed(0);
    // A piece takes such a peer nearly three minutes.
    assert!(record.active_ns < 9 * SECOND, "{record:?}");
    let edge: u64 = record.sources.iter().filter(|s| s.role == Role::Edge).map(|s| s.bytes).sum();
    assert_eq!(edge, record.edge_bytes);
}

#[test]
fn an_answer_that_comes_slowly_is_waited_for() {
    let mut world = World::new(object(64, 65_536));
    // The manifest is 43 kB, for which this edge takes 7 s.
    world.edges = vec![0.05];
    world.downloader(5.0, 50.0, 0, vec![]);
    for _ in 0..6 {
        world.seed_peer(10.0);
    }
    let outcome = World::run(world.build(), 60 * SECOND);
    let record = outcome.completed(0);
    assert!(record.active_ns < 25 * SECOND, "{record:?}");
}

#[test]
fn who_stands_in_line_does_not_take_an_honest_peer_for_one_that_stalls() {
    let mut world = World::new(object(4, 262_144));
    world.edges = vec![0.5];
    // The last of all in line would wait half a minute for its first piece.
    world.seed_peer(3.0);
    for _ in 0..40 {
        world.downloader(3.0, 20.0, 0, vec![]).config.uploads.enabled = false;
    }
    let outcome = World::run(world.build(), 900 * SECOND);
    for number in 1..=40 {
        outcome.completed(number);
    }
    let offences = outcome.net.events.iter().filter(|(.., event)| matches!(event, EventKind::Offence { .. }));
    assert_eq!(offences.count(), 0);
    // It is busy all the time: turning somebody away costs nothing.
    let last = (1..=40).map(|number| outcome.records[&number].end_ns).max().unwrap();
    let bits = outcome.net.sent[&world.peer_host(0)] as f64 * 8.0;
    assert!(bits > 0.9 * 3e6 * last as f64 / 1e9, "{bits} in {last} ns");
}

#[test]
fn a_token_that_is_soon_over_is_renewed_as_often_as_it_needs() {
    let mut world = World::new(object(32, 262_144));
    world.token_lifetime = SECOND;
    world.edges = vec![20.0];
    world.downloader(5.0, 20.0, 0, vec![]);
    let outcome = World::run(world.build(), 60 * SECOND);
    let seconds = outcome.completed(0).active_ns / SECOND;
    let Program::Edge(edge) = &outcome.net.hosts[World::edge_host(0)].program else { panic!("an edge") };
    let asked = edge.granting.len() as u64;
    assert!((seconds..3 * seconds).contains(&asked), "{asked} times in {seconds} s");
}

#[test]
fn a_silent_edge_is_left_where_there_is_another() {
    for (edges, left) in [(1, false), (2, true)] {
        let mut world = World::new(object(8, 262_144));
        world.edges = vec![4.0; edges];
        world.downloader(5.0, 40.0, 0, vec![]);
        let mut net = world.build();
        // For eight seconds next to nothing comes of a chunk.
        let crawl = |up| Todo::Rate { host: World::edge_host(0), up, down: 1000.0 };
        net.at(3 * SECOND, crawl(0.008));
        net.at(11 * SECOND, crawl(4.0));
        let outcome = World::run(net, 90 * SECOND);
        let record = outcome.completed(0);
        let failed = |event: &EventKind| matches!(event, EventKind::Notice { message } if message.contains("looking"));
        assert_eq!(outcome.net.events.iter().any(|(.., event)| failed(event)), left, "{edges}: {record:?}");
        assert!(left || record.wasted_bytes == 0, "{record:?}");
    }
}
