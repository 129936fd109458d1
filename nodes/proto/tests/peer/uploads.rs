//! The limits of uploads: per copy, connections, rate.

use peerbed_contract::{DownloadRecord, EventKind};

use crate::{
    net::{Program, SECOND, address_of},
    world::{Outcome, World, object},
};

/// Downloaders at these moments beside one holder.
fn world(moments: &[u64]) -> World {
    let mut world = World::new(object(16, 262_144));
    world.edges = vec![10.0];
    world.seed_peer(20.0);
    for at in moments {
        let downloader = world.downloader(5.0, 40.0, at * SECOND, vec![]);
        downloader.config.uploads.enabled = false;
    }
    world
}

fn from_peers(outcome: &Outcome, downloads: std::ops::Range<u32>) -> Vec<bool> {
    downloads.map(|download| outcome.completed(download).peer_bytes > 0).collect()
}

#[test]
fn a_copy_serves_so_many_downloaders_and_no_more() {
    let mut world = world(&[0, 30, 60, 90]);
    world.peers[0].config.uploads.per_copy = 2;
    let outcome = World::run(world.build(), 150 * SECOND);
    assert_eq!(from_peers(&outcome, 1..5), [true, true, false, false]);
    // It has withdrawn its copy; one more was not registered, as the others do not upload.
    assert_eq!(outcome.completed(4).copies_registered, Some(0));
    assert!(!outcome.any_broken());
}

#[test]
fn those_turned_away_come_back_when_there_is_room() {
    let mut world = world(&[0, 0, 0]);
    world.peers[0].config.uploads.connections = 1;
    world.peers[0].config.uploads.waiting = 0;
    let outcome = World::run(world.build(), 150 * SECOND);
    // Each downloader drains its share and leaves; a little later the next is let in.
    let gave = |record: &DownloadRecord| record.peer_bytes > 0;
    let mut served: Vec<&DownloadRecord> = (1..4).map(|number| outcome.completed(number)).collect();
    served.sort_by_key(|record| record.end_ns);
    assert!(gave(served[0]) && gave(served[1]), "{served:?}");
    assert!(served[0].peer_bytes > served[1].peer_bytes, "{served:?}");
    assert!(!outcome.any_broken());
}

#[test]
fn uploads_keep_to_their_rate_and_are_shared_fairly() {
    let mut world = world(&[0, 0]);
    world.edges = vec![2.0];
    world.peers[0].config.uploads.rate_bps = Some(4_000_000);
    let mut net = world.build();
    net.run_until(20 * SECOND);
    let outcome = World::run(net, 20 * SECOND + 1);
    let (one, two) = (outcome.record(1).peer_bytes, outcome.record(2).peer_bytes);
    // 4 Mbit/s for 20 s are 10 MB; pieces under way at the stop are not counted.
    assert!((8_000_000..10_100_000).contains(&(one + two)), "{one} {two}");
    assert!(one.abs_diff(two) < 1_500_000, "{one} {two}");
    let sent: u64 = outcome
        .net
        .events
        .iter()
        .map(|(_, _, event)| match event {
            EventKind::Transfer(transfer) => transfer.sent,
            _ => 0,
        })
        .sum();
    assert!((9_500_000..10_100_000).contains(&sent), "{sent}");
}

#[test]
fn a_peer_that_does_not_upload_gives_nothing() {
    let mut world = world(&[0]);
    world.peers[0].config.uploads.enabled = false;
    let outcome = World::run(world.build(), 60 * SECOND);
    let record = outcome.completed(1);
    assert_eq!((record.peer_bytes, record.copies_registered), (0, Some(0)));
}

#[test]
fn a_finished_downloader_serves_the_next() {
    let mut world = World::new(object(16, 262_144));
    world.downloader(20.0, 40.0, 0, vec![]);
    world.downloader(20.0, 40.0, 20 * SECOND, vec![]);
    let outcome = World::run(world.build(), 60 * SECOND);
    assert_eq!(outcome.completed(0).copies_registered, Some(0));
    let second = outcome.completed(1);
    assert_eq!(second.copies_registered, Some(1));
    assert!(second.peer_bytes > second.size / 4, "{second:?}");
    assert!(!outcome.any_broken());
}

#[test]
fn a_token_of_another_address_is_renewed_with_growing_waits() {
    let mut world = world(&[0]);
    world.edges = vec![2.0];
    let mut net = world.build();
    let Program::Edge(edge) = &mut net.hosts[0].program else { unreachable!() };
    // What the edge saw is not what others see, for twenty seconds.
    edge.pretend = Some(address_of(99));
    net.run_until(20 * SECOND);
    let Program::Edge(edge) = &mut net.hosts[0].program else { unreachable!() };
    let asked = edge.granting.clone();
    edge.pretend = None;
    let outcome = World::run(net, 150 * SECOND);
    assert!((3..=8).contains(&asked.len()), "{asked:?}");
    let gaps: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.last() > gaps.first(), "{gaps:?}");
    let record = outcome.completed(1);
    assert!(record.peer_bytes > 0 && record.copies_registered == Some(1), "{record:?}");
}

#[test]
fn an_expired_token_is_renewed() {
    let mut world = World::new(object(64, 262_144));
    world.token_lifetime = 4 * SECOND;
    world.edges = vec![5.0];
    world.downloader(20.0, 40.0, 0, vec![]);
    // A second downloader comes when the first token of the first has long expired, and holds nothing before.
    world.downloader(20.0, 40.0, 10 * SECOND, vec![]);
    let outcome = World::run(world.build(), 150 * SECOND);
    assert!(outcome.completed(0).peer_bytes > 0, "{:?}", outcome.record(0));
    assert!(outcome.completed(1).peer_bytes > 0);
}
