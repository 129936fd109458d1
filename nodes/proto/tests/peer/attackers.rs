//! Attackers among the peers: honest downloads end all the same, offenders are told and dropped.

use std::net::IpAddr;

use peerbed_contract::{EventKind, Flood, Inflate, Misbehaviour, Offence, Stall, UserAct, UserMoment};
use peerbed_proto::{Input, Message, Output, RequestId};

use crate::{
    bench::Bench,
    greeting::greeted,
    net::{MS, SECOND, address_of},
    world::{Outcome, World, efficiency, object, speed},
};

fn offences(outcome: &Outcome, host: usize) -> Vec<(IpAddr, Offence, u32)> {
    let offence = |event: &&EventKind| match event {
        EventKind::Offence { by, offence, count, .. } => Some((*by, *offence, *count)),
        _ => None,
    };
    outcome.events(host).iter().filter_map(offence).collect()
}

/// A downloader, `honest` holders and `bad` ones that misbehave.
fn world(honest: usize, bad: usize, misbehaviour: &Misbehaviour) -> World {
    let mut world = World::new(object(48, 262_144));
    world.downloader(5.0, 40.0, SECOND, vec![]);
    for _ in 0..honest {
        world.seed_peer(10.0);
    }
    for _ in 0..bad {
        world.seed_peer(10.0).config.misbehaviour = misbehaviour.clone();
    }
    world
}

#[test]
fn sources_that_stall_or_trickle_are_left_and_cost_no_speed() {
    for trickle_bps in [0, 800, 6_000] {
        let stall = Misbehaviour { stall: Some(Stall { trickle_bps }), ..Misbehaviour::default() };
        let mut world = world(6, 4, &stall);
        // As many sources as there are: who stalls must make room.
        world.peers[0].config.max_sources = 6;
        world.objects[0].size *= 6;
        let outcome = World::run(world.build(), 150 * SECOND);
        let record = outcome.completed(0);
        assert!(speed(record) > 0.9 * 40.0, "trickle {trickle_bps}: {} Mbit/s", speed(record));
        assert_eq!(record.stalls, 0);
        let told = offences(&outcome, world.peer_host(0));
        let bad: Vec<IpAddr> = (7..11).map(|peer| address_of(world.peer_host(peer))).collect();
        assert!(!told.is_empty(), "trickle {trickle_bps}: nobody is accused");
        for (by, offence, count) in told {
            assert!(bad.contains(&by) && offence == Offence::Stall && count <= 2, "{by} {offence:?} {count}");
        }
        assert!(efficiency(record) > 0.6, "trickle {trickle_bps}: {}", efficiency(record));
    }
}

#[test]
fn a_download_that_is_paused_for_good_ends_whatever_is_trickled() {
    let stall = Misbehaviour { stall: Some(Stall { trickle_bps: 800 }), ..Misbehaviour::default() };
    let mut world = world(0, 4, &stall);
    world.edges = vec![1.0];
    let paused = UserMoment { after_active_ns: 4 * SECOND, act: UserAct::Pause { resume_after_ns: None } };
    world.peers[0].config.script[0].user = vec![paused];
    let outcome = World::run(world.build(), 120 * SECOND);
    let host = world.peer_host(0);
    let ended = |(at, by, event): &(u64, usize, EventKind)| {
        (*by == host && matches!(event, EventKind::DownloadFinished(_))).then_some(*at)
    };
    let ended = outcome.net.events.iter().find_map(ended).expect("it ends");
    assert!(ended < 40 * SECOND, "{ended}");
}

#[test]
fn a_slow_but_steady_source_is_no_offender() {
    let mut world = World::new(object(16, 262_144));
    world.edges = vec![4.0];
    world.downloader(5.0, 40.0, SECOND, vec![]);
    world.seed_peer(0.1);
    let outcome = World::run(world.build(), 60 * SECOND);
    assert!(outcome.completed(0).peer_bytes > 0);
    assert_eq!(offences(&outcome, world.peer_host(0)), []);
}

#[test]
fn what_is_no_frame_costs_its_sender_the_connection_and_a_ban() {
    let malformed = Misbehaviour { malformed: true, ..Misbehaviour::default() };
    let mut world = world(6, 4, &malformed);
    // Attackers download, too: they meet honest peers as those who dial.
    for _ in 0..2 {
        world.downloader(5.0, 40.0, 2 * SECOND, vec![]).config.misbehaviour = malformed.clone();
    }
    let outcome = World::run(world.build(), 120 * SECOND);
    let record = outcome.completed(0);
    assert!(speed(record) > 0.95 * 40.0 && efficiency(record) > 0.7, "{record:?}");
    // What the end-game asked for twice.
    assert!(record.wasted_bytes <= 2 * 262_144 && record.rejected_pieces == 0, "{record:?}");
    // Even who attacks gets its download: from the edge, as nobody else listens to it.
    assert_eq!(outcome.completed(11).peer_bytes + outcome.completed(12).peer_bytes, 0);
    let bad: Vec<IpAddr> = (7..13).map(|peer| address_of(world.peer_host(peer))).collect();
    let mut malformed = 0;
    for host in 0..outcome.net.hosts.len() {
        for (by, offence, count) in offences(&outcome, host) {
            assert!(bad.contains(&by), "{by} is honest");
            malformed += u32::from(offence == Offence::Malformed);
            // A ban lasts a minute; two connections may have been open when it began.
            assert!(host == world.control_host(0) || count <= 4, "{by} {offence:?} {count}");
        }
    }
    assert!(malformed >= 6, "{malformed}");
}

#[test]
fn a_flood_of_the_control_plane_keeps_nobody_from_it() {
    let flood =
        Misbehaviour { flood: Some(Flood { per_second: 500, lasts_ns: 20 * SECOND }), ..Misbehaviour::default() };
    let world = world(6, 3, &flood);
    let outcome = World::run(world.build(), 60 * SECOND);
    let record = outcome.completed(0);
    assert!(record.peers_returned.is_some_and(|returned| returned >= 6), "{record:?}");
    assert!(speed(record) > 0.95 * 40.0 && efficiency(record) > 0.7, "{record:?}");
}

#[test]
fn who_ignores_limits_gives_more_and_gets_no_more() {
    let ignore = Misbehaviour { ignore_caps: true, ..Misbehaviour::default() };
    let mut world = world(3, 1, &ignore);
    world.edges = vec![20.0];
    world.peers[4].config.uploads.per_copy = 1;
    world.peers[4].config.uploads.rate_bps = Some(8_000);
    world.downloader(5.0, 40.0, 2 * SECOND, vec![]).config.misbehaviour = ignore.clone();
    let outcome = World::run(world.build(), 120 * SECOND);
    for download in [0, 5] {
        let record = outcome.completed(download);
        let generous = record.sources.iter().find(|source| source.address == address_of(world.peer_host(4)));
        // By its rate it would give 1 kB a second, and by its copy's limit to one of them only.
        assert!(generous.is_some_and(|source| source.bytes > 100_000), "{record:?}");
    }
    let greedy = address_of(world.peer_host(5));
    let excess: Vec<_> = (1..4).flat_map(|peer| offences(&outcome, world.peer_host(peer))).collect();
    assert!(!excess.is_empty() && excess.iter().all(|(by, offence, _)| *by == greedy && *offence == Offence::Excess));
}

#[test]
fn everything_at_once_fails_nobody() {
    let everything = Misbehaviour {
        corrupt: true,
        stall: Some(Stall { trickle_bps: 2_000 }),
        inflate: Some(Inflate { factor: 5 }),
        flood: Some(Flood { per_second: 200, lasts_ns: 30 * SECOND }),
        ignore_caps: true,
        malformed: true,
    };
    let alone = [
        Misbehaviour { corrupt: true, ..Misbehaviour::default() },
        Misbehaviour { stall: everything.stall, ..Misbehaviour::default() },
        Misbehaviour { flood: everything.flood, ignore_caps: true, ..Misbehaviour::default() },
        Misbehaviour { malformed: true, ..Misbehaviour::default() },
    ];
    let mut world = world(6, 2, &everything);
    for misbehaviour in &alone {
        world.seed_peer(10.0).config.misbehaviour = misbehaviour.clone();
        world.downloader(10.0, 40.0, 500 * MS, vec![]).config.misbehaviour = misbehaviour.clone();
    }
    for at in [2, 3] {
        world.downloader(10.0, 40.0, at * SECOND, vec![]);
    }
    let outcome = World::run(world.build(), 150 * SECOND);
    for download in [0, 17, 18] {
        let record = outcome.completed(download);
        assert!(speed(record) > 0.8 * 40.0, "{record:?}");
    }
}

#[test]
fn a_downloader_that_takes_next_to_nothing_loses_its_slot() {
    let mut world = World::new(object(4, 131_072));
    world.objects[0].size = 30 * 131_072 + 5_000;
    world.control = false;
    world.seed_peer(10.0);
    let mut bench = Bench::new(world.peer_machine(0));
    let conn = greeted(&mut bench);
    let request = RequestId(1);
    bench.tell(conn, Message::Request { request, piece: 0 });
    for step in 1..8 {
        bench.wait(step * 8 * SECOND);
        assert!(bench.open.contains(&conn), "{step}");
        bench.feed(Input::PieceSent { conn, request, bytes: 100 });
    }
    bench.wait(61 * SECOND);
    assert!(!bench.open.contains(&conn));
    assert_eq!(bench.said.remove(&conn).and_then(|mut said| said.pop()), Some(Output::Close { conn }));
}
