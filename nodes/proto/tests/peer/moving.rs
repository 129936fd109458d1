//! Peers that change their address: what goes on, what is told, and what the others see of it.

use std::net::IpAddr;

use peerbed_contract::{EventKind, Guid, Habit, HabitAct, LoginRecord, NatClass, TransferRecord};
use peerbed_proto::{ConnId, Input, Message, Output, PeerAddress};

use crate::{
    agenda::Todo,
    crowd::authorise,
    net::{MS, SECOND, address_of},
    world::{Outcome, World, object},
};

const ELSEWHERE: u32 = 64_777;

/// The same host somewhere else.
fn alias(host: usize, place: u8) -> IpAddr {
    let IpAddr::V4(own) = address_of(host) else { unreachable!("only IPv4 is used here") };
    let [first, _, third, last] = own.octets();
    IpAddr::from([first, place, third, last])
}

fn moved(host: usize, place: u8) -> Todo {
    Todo::Move { host, to: alias(host, place), as_number: ELSEWHERE }
}

/// Two holders, a slow edge, and a downloader of a large object.
fn world() -> World {
    let mut world = World::new(object(32, 262_144));
    world.edges = vec![4.0];
    for _ in 0..2 {
        world.seed_peer(10.0);
    }
    world.downloader(5.0, 40.0, 0, vec![]);
    world
}

fn logins(outcome: &Outcome, control: usize, peer: usize) -> Vec<LoginRecord> {
    let of = |login: &LoginRecord| login.guid.as_bytes()[0] == peer as u8 + 1;
    let events = outcome.events(control).into_iter().filter_map(|event| match event {
        EventKind::Login(login) if of(login) => Some((**login).clone()),
        _ => None,
    });
    events.collect()
}

fn transfers(outcome: &Outcome, host: usize) -> Vec<TransferRecord> {
    let events = outcome.events(host).into_iter().filter_map(|event| match event {
        EventKind::Transfer(transfer) => Some(transfer.clone()),
        _ => None,
    });
    events.collect()
}

#[test]
fn a_download_begun_at_one_address_is_completed_at_another() {
    let world = world();
    let mut net = world.build();
    let (host, control) = (world.peer_host(2), world.control_host(0));
    net.at(4 * SECOND, moved(host, 7));
    let outcome = World::run(net, 200 * SECOND);
    let record = outcome.completed(2);
    assert_eq!((record.as_number.get(), record.offline_ns, record.stalls), (ELSEWHERE, 0, 0));
    let (here, there): (Vec<_>, Vec<_>) = record.sources.iter().partition(|source| source.to.is_some());
    let sum = |sources: &[&peerbed_contract::SourceBytes]| sources.iter().map(|source| source.bytes).sum::<u64>();
    assert!(sum(&here) > 4_000_000 && sum(&there) > 4_000_000, "{:?}", record.sources);
    // From peers too, which take the token of the new address alone.
    for sources in [&here, &there] {
        assert!(sources.iter().any(|source| source.guid.is_some()), "{:?}", record.sources);
    }
    let logins = logins(&outcome, control, 2);
    let places: Vec<IpAddr> = logins.iter().map(|login| login.address.ip()).collect();
    assert_eq!(places, [address_of(host), alias(host, 7)]);
    assert_eq!(logins[0].secondary, logins[1].secondary, "a move is no start");
    let notices: Vec<_> =
        outcome.events(host).into_iter().filter(|event| matches!(event, EventKind::Notice { .. })).collect();
    assert!(notices.is_empty(), "its old token is shown to nobody: {notices:?}");
    let left =
        |event: &&EventKind| matches!(event, EventKind::Logout { address, .. } if address.ip() == address_of(host));
    assert_eq!(outcome.events(control).iter().filter(|event| left(event)).count(), 1, "the later login replaced it");
    let events = outcome.events(host);
    let at = events.iter().position(|event| matches!(event, EventKind::Moved { .. })).expect("it says so");
    let from = |events: &[&EventKind]| {
        let own = events.iter().filter_map(|event| match event {
            EventKind::Transfer(transfer) => transfer.local,
            _ => None,
        });
        own.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(from(&events[..at]), [address_of(host)].into());
    assert_eq!(from(&events[at..]), [alias(host, 7)].into());
    assert!(transfers(&outcome, host).iter().filter(|one| one.local == Some(address_of(host))).all(|one| one.broken));
}

#[test]
fn a_holder_that_moved_is_found_and_used_where_it_is() {
    let mut world = World::new(object(32, 262_144));
    world.edges = vec![2.0];
    world.seed_peer(20.0);
    world.downloader(5.0, 40.0, 0, vec![]).config.uploads.enabled = false;
    world.downloader(5.0, 40.0, 12 * SECOND, vec![]).config.uploads.enabled = false;
    let mut net = world.build();
    let holder = world.peer_host(0);
    net.at(3 * SECOND, moved(holder, 9));
    let outcome = World::run(net, 400 * SECOND);
    let from = |download, address| {
        let sources = &outcome.completed(download).sources;
        sources.iter().filter(|source| source.address == address).map(|source| source.bytes).sum::<u64>()
    };
    assert!(from(1, address_of(holder)) > 1_000_000);
    assert!(from(1, alias(holder, 9)) > 1_000_000, "{:?}", outcome.completed(1).sources);
    assert!(from(2, alias(holder, 9)) > 1_000_000 && from(2, address_of(holder)) == 0);
    assert_eq!(outcome.completed(2).copies_registered, Some(1));
}

#[test]
fn who_comes_back_to_an_address_is_there_as_ever() {
    let world = world();
    let mut net = world.build();
    let host = world.peer_host(2);
    net.at(3 * SECOND, moved(host, 7));
    net.at(6 * SECOND, moved(host, 0));
    let outcome = World::run(net, 200 * SECOND);
    outcome.completed(2);
    let places = logins(&outcome, world.control_host(0), 2).into_iter().map(|login| login.address.ip());
    assert_eq!(places.collect::<Vec<_>>(), [address_of(host), alias(host, 7), address_of(host)]);
}

#[test]
fn a_machine_that_is_away_logs_in_from_its_new_address_when_it_is_back() {
    let mut world = world();
    let at = |seconds, act| Habit { at_ns: seconds * SECOND, act };
    let away = [at(2, HabitAct::Offline { clean: true }), at(5, HabitAct::Online { restored: false })];
    world.peers[2].config.habits = away.to_vec();
    let mut net = world.build();
    let host = world.peer_host(2);
    net.at(3 * SECOND, moved(host, 7));
    let outcome = World::run(net, 200 * SECOND);
    let offline = outcome.completed(2).offline_ns;
    assert!(offline.abs_diff(3 * SECOND) < SECOND / 10, "{offline}");
    let logins = logins(&outcome, world.control_host(0), 2);
    assert_eq!(logins.iter().map(|login| login.address.ip()).collect::<Vec<_>>(), [address_of(host), alias(host, 7)]);
    assert_ne!(logins[0].secondary, logins[1].secondary, "it started again");
}

#[test]
fn a_paused_download_and_one_of_later_move_along() {
    use peerbed_contract::{UserAct, UserMoment};
    let mut world = world();
    let pause = UserAct::Pause { resume_after_ns: Some(4 * SECOND) };
    world.peers[2].config.script[0].user = vec![UserMoment { after_active_ns: 2 * SECOND, act: pause }];
    world.downloader(5.0, 40.0, 6 * SECOND, vec![]);
    let mut net = world.build();
    for (number, peer) in [2, 3].into_iter().enumerate() {
        net.at((3 + number as u64) * SECOND, moved(world.peer_host(peer), 7));
    }
    let outcome = World::run(net, 200 * SECOND);
    assert_eq!(outcome.completed(2).pauses, 1);
    assert!(outcome.completed(3).peer_bytes > 0);
}

#[test]
fn a_move_at_the_end_changes_nothing_any_more() {
    let world = world();
    let mut net = world.build();
    let host = world.peer_host(2);
    net.at(3 * SECOND, Todo::Stop(host));
    net.at(3 * SECOND + 1, moved(host, 7));
    net.run_until(30 * SECOND);
    assert!(net.hosts[host].finished);
    assert!(!net.events.iter().any(|(_, _, event)| matches!(event, EventKind::Moved { .. })));
}

#[test]
fn one_that_moved_is_dialled_where_it_is() {
    let mut world = World::new(object(4, 131_072));
    world.downloader(5.0, 5.0, 10, vec![]);
    let (mut bench, control) = authorise(&world, 100 * MS, true);
    bench.dialled.clear();
    for second in 1..60 {
        bench.wait(second * SECOND);
        // It is at one place, then at another, and answers nowhere.
        let place = if second < 20 { 20 } else { 21 };
        let said = bench.said.remove(&control).unwrap_or_default();
        for output in said {
            let Output::Send { message: Message::Query { query, .. }, .. } = output else { continue };
            let address = (address_of(place), 7001).into();
            let peer = PeerAddress { guid: Guid::from_bytes([100; 16]), address, nat: NatClass::None };
            bench.tell(control, Message::Peers { query, peers: vec![peer], copies: 1 });
        }
        let mine: Vec<ConnId> =
            bench.dialled.iter().map(|(conn, _)| *conn).filter(|conn| bench.open.contains(conn)).collect();
        for conn in mine {
            bench.open.retain(|open| *open != conn);
            bench.feed(Input::Closed { conn, clean: false });
        }
    }
    let peers = bench.dialled.iter().filter(|(_, to)| to.port() == 7001);
    let moved: Vec<bool> = peers.map(|(_, to)| to.ip() == address_of(21)).collect();
    let first = moved.iter().position(|moved| *moved).expect("it is dialled at the new place");
    assert!(first > 1 && moved.len() > first + 1 && moved.is_sorted(), "at the old place no more: {moved:?}");
}

#[test]
fn a_download_that_is_over_does_not_wait_long_for_one_that_moved() {
    let lags = (0..24).map(|step| {
        let mut world = World::new(object(8, 131_072));
        world.edges = vec![4.0];
        world.seed_peer(6.0);
        for _ in 0..2 {
            world.downloader(5.0, 40.0, 0, vec![]);
        }
        let mut net = world.build();
        net.at(2 * SECOND + step * 200 * MS, moved(world.peer_host(2), 7));
        let outcome = World::run(net, 200 * SECOND);
        let (host, record) = (world.peer_host(1), outcome.completed(1));
        let finished = |event: &EventKind| matches!(event, EventKind::DownloadFinished(_));
        let told = outcome.net.events.iter().find(|(_, by, event)| *by == host && finished(event)).expect("it is told");
        told.0 - record.end_ns
    });
    let longest = lags.max().unwrap();
    // What the other owes is given up after 10 s, not only once it has taken nothing for 30 s.
    assert!((SECOND..12 * SECOND).contains(&longest), "{longest}");
}
