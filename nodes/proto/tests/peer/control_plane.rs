//! The control plane's parts come and go: peers find another connection node and keep working.

use peerbed_contract::{EventKind, Guid};
use peerbed_proto::Time;

use crate::{
    agenda::Todo,
    net::{SECOND, address_of},
    world::{Outcome, World, object},
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
