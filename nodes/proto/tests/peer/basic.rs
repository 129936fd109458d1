//! Downloads without faults.

use peerbed_contract::{EdgeMode, EventKind, TerminalStatus};

use crate::{
    net::SECOND,
    world::{World, efficiency, object, speed},
};

#[test]
fn a_download_comes_from_the_edge_alone() {
    let mut world = World::new(object(16, 262_144));
    world.control = false;
    world.downloader(5.0, 40.0, SECOND, vec![]);
    let outcome = World::run(world.build(), 60 * SECOND);
    let record = outcome.completed(0);
    assert_eq!(record.edge_bytes, record.size);
    assert_eq!((record.wasted_bytes, record.copies_registered, record.peers_returned), (0, None, None));
    assert!(record.start_ns == SECOND && record.first_byte_ns.is_some_and(|first| first > SECOND));
    assert!(speed(record) > 0.95 * 40.0, "{}", speed(record));
    assert!(!outcome.any_broken());
}

#[test]
fn most_bytes_come_from_peers_that_have_them() {
    let mut world = World::new(object(64, 262_144));
    world.downloader(5.0, 40.0, SECOND, vec![]);
    for _ in 0..12 {
        world.seed_peer(10.0);
    }
    let outcome = World::run(world.build(), 60 * SECOND);
    let record = outcome.completed(0);
    assert_eq!((record.copies_registered, record.peers_returned), (Some(12), Some(12)));
    eprintln!("speed {:.1} efficiency {:.3} wasted {}", speed(record), efficiency(record), record.wasted_bytes);
    assert!(efficiency(record) > 0.8, "{}", efficiency(record));
    assert!(speed(record) > 0.95 * 40.0, "{}", speed(record));
    assert!(!outcome.any_broken());
}

#[test]
fn the_mode_edge_only_asks_for_no_peers() {
    let mut world = World::new(object(8, 65_536));
    world.downloader(5.0, 40.0, 0, vec![]).config.edge_mode = EdgeMode::Only;
    world.seed_peer(10.0);
    let outcome = World::run(world.build(), 30 * SECOND);
    let record = outcome.completed(0);
    assert_eq!((record.peer_bytes, record.peers_returned), (0, None));
}

#[test]
fn where_nobody_is_returned_everything_comes_from_the_edge_at_its_full_rate() {
    for databases in [0, 1] {
        let mut world = World::new(object(16, 262_144));
        (world.selection.max_returned, world.databases) = (0, databases);
        world.downloader(5.0, 40.0, SECOND, vec![]);
        world.seed_peer(10.0);
        let outcome = World::run(world.build(), 30 * SECOND);
        let record = outcome.completed(0);
        assert_eq!((record.peer_bytes, record.copies_registered, record.peers_returned), (0, Some(1), Some(0)));
        assert!(speed(record) > 0.95 * 40.0, "{}", speed(record));
    }
}

#[test]
fn a_provider_that_allows_no_peers_gets_none() {
    let mut object = object(8, 65_536);
    object.peers_allowed = false;
    let mut world = World::new(object);
    world.downloader(5.0, 40.0, 0, vec![]);
    world.seed_peer(10.0);
    let outcome = World::run(world.build(), 30 * SECOND);
    assert_eq!(outcome.completed(0).peer_bytes, 0);
}

#[test]
fn what_is_not_done_at_the_stop_is_unfinished() {
    let mut world = World::new(object(64, 262_144));
    world.downloader(5.0, 10.0, SECOND, vec![]);
    world.seed_peer(5.0);
    let outcome = World::run(world.build(), 10 * SECOND);
    let record = outcome.record(0);
    assert_eq!(record.status, TerminalStatus::Unfinished);
    assert_eq!(record.end_ns, 10 * SECOND);
    assert!(record.edge_bytes + record.peer_bytes > 0);
    assert!(!outcome.any_broken());
}

#[test]
fn two_downloaders_exchange_what_they_have() {
    let mut world = World::new(object(32, 262_144));
    world.edges = vec![8.0];
    world.downloader(20.0, 40.0, 0, vec![]);
    world.downloader(20.0, 40.0, 3 * SECOND, vec![]);
    let outcome = World::run(world.build(), 120 * SECOND);
    let (one, two) = (outcome.completed(0), outcome.completed(1));
    assert!(one.peer_bytes > 0, "{one:?}");
    assert!(two.peer_bytes > two.size / 4, "{two:?}");
    assert!(!outcome.any_broken());
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut world = World::new(object(8, 65_536));
        world.seed = seed;
        world.downloader(5.0, 40.0, 0, vec![]);
        for _ in 0..5 {
            world.seed_peer(10.0);
        }
        World::run(world.build(), 30 * SECOND).net.events
    };
    assert_eq!(run(3), run(3));
    let finished = |events: &[(u64, usize, EventKind)]| {
        events.iter().any(|(_, _, event)| matches!(event, EventKind::DownloadFinished(_)))
    };
    assert!(finished(&run(4)));
}
