//! The control plane's parts come and go: peers find another connection node and keep working.

use peerbed_contract::{EventKind, Guid, ReAddPolicy};
use peerbed_proto::Time;

use crate::{
    agenda::Todo,
    net::{Program, SECOND, address_of},
    world::{Outcome, World, object, speed},
};

/// When each login of a host's installation was logged, and by which host.
fn logins(outcome: &Outcome, of: usize) -> Vec<(Time, usize)> {
    let of = address_of(of);
    let login = |(at, host, event): &(Time, usize, EventKind)| match event {
        EventKind::Login(login) if login.address.ip() == of => Some((*at, *host)),
        _ => None,
    };
    outcome.net.events.iter().filter_map(login).collect()
}

#[test]
fn peers_of_a_lost_connection_node_go_to_the_other_one() {
    for silent in [false, true] {
        let mut world = World::new(object(8, 65_536));
        world.controls = 2;
        for _ in 0..10 {
            world.seed_peer(10.0);
        }
        let mut net = world.build();
        let (first, second) = (world.control_host(0), world.control_host(1));
        net.at(5 * SECOND, if silent { Todo::Silence(first) } else { Todo::Kill(first) });
        net.at(40 * SECOND, Todo::Revive(first));
        let outcome = World::run(net, 60 * SECOND);
        for peer in 0..10 {
            let (mine, other) = if peer % 2 == 0 { (first, second) } else { (second, first) };
            let logins = logins(&outcome, world.peer_host(peer));
            assert_eq!(logins[0].1, mine, "each begins with its own");
            if mine == second || silent {
                // Nobody notices the silence of an idle connection.
                assert_eq!(logins.len(), 1, "{logins:?}");
                continue;
            }
            assert_eq!(logins[1].1, other);
            assert!((5 * SECOND..7 * SECOND).contains(&logins[1].0), "{logins:?}");
            assert_eq!(logins.len(), 2, "it stays where it was let in: {logins:?}");
        }
    }
}

#[test]
fn a_peer_knocks_at_every_connection_node_after_ever_longer_waits() {
    let mut world = World::new(object(8, 65_536));
    world.controls = 2;
    world.seed_peer(10.0);
    let mut net = world.build();
    for index in 0..2 {
        net.at(SECOND, Todo::Kill(world.control_host(index)));
    }
    net.at(100 * SECOND, Todo::Revive(world.control_host(1)));
    let outcome = World::run(net, 160 * SECOND);
    let logins = logins(&outcome, world.peer_host(0));
    // The wait is 30 s at most, and every second one is for the other node.
    assert_eq!(logins.len(), 2, "{logins:?}");
    assert!((100 * SECOND..161 * SECOND).contains(&logins[1].0) && logins[1].1 == world.control_host(1), "{logins:?}");
}

#[test]
fn every_start_has_a_secondary_guid_of_its_own_and_the_latest_five_are_told() {
    let mut world = World::new(object(8, 65_536));
    world.seed_peer(10.0);
    world.peers[0].config.secondary = vec![Guid::from_bytes([77; 16]); 5];
    let told = |world: &World| {
        let mut net = world.build();
        net.run_until(SECOND);
        let login = net.events.iter().find_map(|(_, _, event)| match event {
            EventKind::Login(login) => Some(login.secondary.clone()),
            _ => None,
        });
        login.expect("a login")
    };
    let first = told(&world);
    assert_eq!((first.len(), &first[1..]), (5, &[Guid::from_bytes([77; 16]); 4][..]));
    world.peers[0].config.secondary = first.clone();
    let second = told(&world);
    assert_eq!(second[1..], first[..4], "the chain goes on");
    assert!(second[0] != first[0]);
    world.seed = 2;
    let copy = told(&world);
    assert_eq!(copy[1..], first[..4]);
    assert!(copy[0] != second[0], "another machine that holds a copy of the installation draws another one");
}

/// Two connection nodes, so many database nodes, ten peers with a copy, and a download at each of these moments.
fn parted(databases: usize, downloads: &[Time]) -> World {
    let mut world = World::new(object(16, 262_144));
    (world.controls, world.databases) = (2, databases);
    for &at in downloads {
        world.downloader(5.0, 40.0, at, vec![]);
    }
    for _ in 0..10 {
        world.seed_peer(10.0);
    }
    world
}

/// What the connection nodes told of registries that are whole again: copies and time.
fn rebuilt(outcome: &Outcome) -> Vec<(u64, Time)> {
    let told = |(_, _, event): &(Time, usize, EventKind)| match event {
        EventKind::RegistryRebuilt { copies, took_ns, .. } => Some((*copies, *took_ns)),
        _ => None,
    };
    outcome.net.events.iter().filter_map(told).collect()
}

#[test]
fn database_nodes_join_what_several_connection_nodes_see() {
    for databases in [1, 2, 3] {
        let world = parted(databases, &[SECOND]);
        let outcome = World::run(world.build(), 30 * SECOND);
        let record = outcome.completed(0);
        assert_eq!((record.copies_registered, record.peers_returned), (Some(10), Some(10)), "{databases}");
        assert!(record.peer_bytes > record.size / 2, "{record:?}");
    }
}

#[test]
fn a_wiped_registry_is_whole_again_and_nobody_stops_working() {
    let world = parted(1, &[8 * SECOND, 11 * SECOND, 30 * SECOND]);
    let mut net = world.build();
    net.at(10 * SECOND, Todo::Wipe(world.database_host(0)));
    let outcome = World::run(net, 60 * SECOND);
    assert_eq!(outcome.completed(0).copies_registered, Some(10));
    let meanwhile = outcome.completed(1).copies_registered.expect("an answer");
    assert!(meanwhile < 10, "{meanwhile}");
    // Those who completed in between have registered too.
    assert_eq!(outcome.completed(2).copies_registered, Some(12));
    assert!((0..3).all(|download| speed(outcome.completed(download)) > 0.9 * 40.0));
    let rebuilt = rebuilt(&outcome);
    assert_eq!(rebuilt.len(), 2, "each connection node tells of its peers: {rebuilt:?}");
    // The first download's copy, partial or whole, is registered again too, if it was there at that moment.
    let copies: u64 = rebuilt.iter().map(|(copies, _)| copies).sum();
    assert!((10..=12).contains(&copies), "{rebuilt:?}");
    // Spread over five seconds.
    assert!(rebuilt.iter().all(|(_, took)| (2 * SECOND..6 * SECOND).contains(took)), "{rebuilt:?}");
}

#[test]
fn a_database_node_that_was_killed_comes_back_empty_and_is_filled_again() {
    let world = parted(1, &[12 * SECOND, 40 * SECOND]);
    let mut net = world.build();
    let database = world.database_host(0);
    net.at(10 * SECOND, Todo::Kill(database));
    net.run_until(20 * SECOND);
    net.hosts[database].program = Program::Control(Box::new(world.database_machine(0)));
    net.at(20 * SECOND, Todo::Revive(database));
    net.at(20 * SECOND, Todo::Begin(database));
    let outcome = World::run(net, 60 * SECOND);
    // Without it the control plane knows nobody, and the edge suffices.
    let without = outcome.completed(0);
    assert_eq!((without.copies_registered, without.peer_bytes), (Some(0), 0));
    assert!(speed(without) > 0.9 * 40.0);
    assert_eq!(outcome.completed(1).copies_registered, Some(11));
    assert!(outcome.completed(1).peer_bytes > 0);
    let rebuilt = rebuilt(&outcome);
    assert!(rebuilt.len() == 2 && rebuilt.iter().all(|(_, took)| *took > 10 * SECOND), "{rebuilt:?}");
}

#[test]
fn without_readd_a_lost_registry_stays_lost() {
    let mut world = parted(1, &[30 * SECOND]);
    world.readd = ReAddPolicy { enabled: false, within_ns: 0 };
    let mut net = world.build();
    net.at(10 * SECOND, Todo::Wipe(world.database_host(0)));
    let outcome = World::run(net, 60 * SECOND);
    assert_eq!((outcome.completed(0).copies_registered, rebuilt(&outcome)), (Some(0), vec![]));
}

#[test]
fn a_lone_connection_node_that_is_wiped_asks_again_too() {
    let mut world = parted(0, &[9 * SECOND, 30 * SECOND]);
    world.controls = 1;
    let mut net = world.build();
    net.at(10 * SECOND, Todo::Wipe(world.control_host(0)));
    let outcome = World::run(net, 60 * SECOND);
    assert_eq!(outcome.completed(1).copies_registered, Some(11));
    assert_eq!(rebuilt(&outcome).len(), 1);
}

#[test]
fn a_killed_connection_node_takes_its_copies_along_until_its_peers_are_elsewhere() {
    let world = parted(1, &[20 * SECOND]);
    let mut net = world.build();
    net.at(10 * SECOND, Todo::Kill(world.control_host(0)));
    let outcome = World::run(net, 60 * SECOND);
    assert_eq!(outcome.completed(0).copies_registered, Some(10));
}

#[test]
fn with_all_connection_nodes_down_downloads_come_from_the_edge_alone() {
    let world = parted(1, &[10 * SECOND]);
    let mut net = world.build();
    for index in 0..2 {
        net.at(5 * SECOND, Todo::Kill(world.control_host(index)));
    }
    let outcome = World::run(net, 60 * SECOND);
    let record = outcome.completed(0);
    assert_eq!((record.copies_registered, record.peer_bytes), (None, 0));
    assert!(speed(record) > 0.9 * 40.0);
}

#[test]
fn a_peer_asks_again_when_too_few_connect() {
    // The first answer names nobody: those who hold the object start later.
    let queries = |below: u32| {
        let mut world = World::new(object(40, 262_144));
        let downloader = world.downloader(5.0, 10.0, 0, vec![]);
        downloader.config.requery = peerbed_contract::Requery { below, every_ns: 3 * SECOND };
        for _ in 0..4 {
            world.seed_peer(10.0);
        }
        let mut net = world.build();
        for peer in 1..=4 {
            let host = world.peer_host(peer);
            net.at(0, Todo::Kill(host));
            net.run_until(0);
            net.hosts[host].program = Program::Peer(Box::new(world.peer_machine(peer)));
            net.at(5 * SECOND, Todo::Revive(host));
            net.at(5 * SECOND, Todo::Begin(host));
        }
        let outcome = World::run(net, 90 * SECOND);
        outcome.completed(0).peer_bytes
    };
    assert_eq!(queries(0), 0, "asked once");
    assert!(queries(40) > 10_000_000);
}
