//! The backstop rule: hybrid downloads are as fast as edge-only ones, and most bytes come from peers that can give them.

use peerbed_contract::{DownloadRecord, EdgeMode};

use crate::{
    agenda::Todo,
    net::{MS, SECOND},
    world::{World, efficiency, object, speed},
};

/// Peers by rate of uplink, Mbit/s, and the object.
struct Case {
    megabytes: u64,
    piece: u32,
    edge: f64,
    down: f64,
    peers: Vec<f64>,
}

fn run(case: &Case, mode: EdgeMode) -> DownloadRecord {
    let mut world = World::new(object(case.megabytes, case.piece));
    world.edges = vec![case.edge];
    world.downloader(5.0, case.down, SECOND, vec![]).config.edge_mode = mode;
    for (index, &up) in case.peers.iter().enumerate() {
        world.seed_peer(up).delay = (5 + 3 * (index as u64 % 7)) * MS;
    }
    let outcome = World::run(world.build(), 400 * SECOND);
    outcome.completed(0).clone()
}

/// Speed of the hybrid download against the edge-only one, and its peer efficiency.
fn compare(case: &Case) -> (f64, f64) {
    let (only, hybrid) = (run(case, EdgeMode::Only), run(case, EdgeMode::Backstop));
    (speed(&hybrid) / speed(&only), efficiency(&hybrid))
}

/// A fast edge and a downlink of 50 Mbit/s, as most cases have it.
fn case(megabytes: u64, piece: u32, peers: usize, up: f64) -> Case {
    Case { megabytes, piece, edge: 1000.0, down: 50.0, peers: vec![up; peers] }
}

#[test]
fn enough_peers_give_nearly_everything_at_full_speed() {
    for (peers, up) in [(12, 5.0), (20, 5.0), (40, 5.0), (5, 50.0), (40, 20.0)] {
        let (ratio, efficiency) = compare(&case(64, 262_144, peers, up));
        assert!(ratio > 0.98, "{peers} peers of {up} Mbit/s: {ratio}");
        assert!(efficiency > 0.9, "{peers} peers of {up} Mbit/s: {efficiency}");
    }
}

#[test]
fn large_pieces_change_little() {
    let (ratio, efficiency) = compare(&case(64, 1_048_576, 20, 5.0));
    assert!(ratio > 0.96, "{ratio}");
    assert!(efficiency > 0.7, "{efficiency}");
}

#[test]
fn too_few_peers_give_what_they_can_and_the_edge_the_rest() {
    for (peers, up) in [(2, 10.0), (4, 5.0), (4, 10.0), (8, 5.0), (40, 1.0)] {
        let (ratio, efficiency) = compare(&case(64, 262_144, peers, up));
        let can = peers as f64 * up / 50.0;
        assert!(ratio > 0.95, "{peers} peers of {up} Mbit/s: {ratio}");
        assert!((efficiency - can).abs() < 0.05, "{peers} peers of {up} Mbit/s: {efficiency}");
    }
}

#[test]
fn a_deficit_is_filled_up_to_the_target_and_no_further() {
    let run = |peers: usize| {
        let mut world = World::new(object(64, 262_144));
        world.downloader(5.0, 50.0, SECOND, vec![]);
        world.peers[0].config.edge_mode = EdgeMode::Deficit;
        world.peers[0].config.edge_target_bps = Some(20_000_000);
        for _ in 0..peers {
            world.seed_peer(2.0);
        }
        World::run(world.build(), 400 * SECOND).completed(0).clone()
    };
    let (alone, some, enough) = (run(0), run(5), run(16));
    assert!((19.0..21.0).contains(&speed(&alone)), "{}", speed(&alone));
    assert!((19.0..21.5).contains(&speed(&some)), "{}", speed(&some));
    assert!((efficiency(&some) - 0.5).abs() < 0.06, "{}", efficiency(&some));
    assert!(speed(&enough) > 28.0 && efficiency(&enough) > 0.9, "{} {}", speed(&enough), efficiency(&enough));
}

#[test]
fn an_edge_that_comes_first_gives_all_it_can_and_peers_add_to_it() {
    let slow = Case { edge: 20.0, ..case(32, 262_144, 12, 2.0) };
    let (only, first) = (run(&slow, EdgeMode::Only), run(&slow, EdgeMode::First));
    assert!(speed(&first) > 1.7 * speed(&only), "{} {}", speed(&first), speed(&only));
    let fast = |mode| run(&case(64, 262_144, 5, 50.0), mode);
    let (first, backstop) = (fast(EdgeMode::First), fast(EdgeMode::Backstop));
    assert!(speed(&first) > 0.98 * speed(&backstop));
    assert!(efficiency(&first) < 0.9 * efficiency(&backstop), "{} {}", efficiency(&first), efficiency(&backstop));
}

#[test]
fn slow_peers_cost_nothing() {
    for (peers, up) in [(0, 1.0), (1, 1.0), (3, 0.2)] {
        let (ratio, _) = compare(&case(64, 262_144, peers, up));
        assert!(ratio > 0.98, "{peers} peers of {up} Mbit/s: {ratio}");
    }
}

#[test]
fn peers_make_up_for_a_slow_edge() {
    let slow = Case { edge: 10.0, ..case(32, 262_144, 12, 5.0) };
    let (ratio, efficiency) = compare(&slow);
    assert!(ratio > 3.0, "{ratio}");
    assert!(efficiency > 0.75, "{efficiency}");
}

#[test]
fn a_small_object_is_not_much_slower() {
    for (peers, up) in [(4, 5.0), (12, 5.0), (5, 50.0)] {
        let (ratio, _) = compare(&case(4, 262_144, peers, up));
        assert!(ratio > 0.9, "{peers} peers of {up} Mbit/s: {ratio}");
    }
}

#[test]
fn the_edge_steps_in_when_peers_go_and_steps_back_when_others_come() {
    let mut world = World::new(object(160, 262_144));
    world.downloader(5.0, 50.0, 0, vec![]);
    for _ in 0..12 {
        world.seed_peer(5.0);
    }
    let mut net = world.build();
    for peer in 1..=9 {
        net.at(8 * SECOND, Todo::Kill(world.peer_host(peer)));
    }
    let outcome = World::run(net, 60 * SECOND);
    let record = outcome.completed(0);
    assert!(speed(record) > 0.95 * 50.0, "{}", speed(record));
    assert!(record.edge_bytes > record.size / 3, "{record:?}");
}

#[test]
fn thousands_of_pieces_of_forty_sources_are_no_burden() {
    let (ratio, efficiency) = compare(&case(134, 16_384, 40, 5.0));
    assert!(ratio > 0.97, "{ratio}");
    assert!(efficiency > 0.9, "{efficiency}");
}
