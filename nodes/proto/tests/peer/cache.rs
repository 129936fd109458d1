//! What a peer keeps: for how long, how much, and how it lets go.

use peerbed_contract::{CachePolicy, ContentId, EventKind, Eviction, Object, ScriptStep};

use crate::{
    net::SECOND,
    world::{Outcome, World, content, object},
};

/// What a host evicted, and when.
fn evicted(outcome: &Outcome, host: usize) -> Vec<(u64, ContentId, Eviction)> {
    let events = outcome.net.events.iter().filter(|(_, of, _)| *of == host);
    events
        .filter_map(|(at, _, event)| match event {
            EventKind::CopyEvicted { content, reason } => Some((*at, content.clone(), *reason)),
            _ => None,
        })
        .collect()
}

/// Downloads of the first object at these moments, from one holder with this cache.
fn world(cache: CachePolicy, moments: &[u64]) -> World {
    let mut world = World::new(object(16, 262_144));
    world.edges = vec![10.0];
    world.seed_peer(20.0).config.cache = cache;
    for at in moments {
        world.downloader(5.0, 40.0, at * SECOND, vec![]).config.uploads.enabled = false;
    }
    world
}

fn objects(names: &[(&str, u64)]) -> Vec<Object> {
    let one = |(name, megabytes): &(&str, u64)| Object { id: content(name), ..object(*megabytes, 262_144) };
    names.iter().map(one).collect()
}

#[test]
fn a_copy_is_kept_and_offered_for_its_time_and_then_gone() {
    let world = world(CachePolicy { time_ns: Some(20 * SECOND), size_bytes: None }, &[5, 30]);
    let outcome = World::run(world.build(), 60 * SECOND);
    assert!(outcome.completed(1).peer_bytes > 0);
    assert_eq!(evicted(&outcome, world.peer_host(0)), [(20 * SECOND, content("patch"), Eviction::Time)]);
    let late = outcome.completed(2);
    assert_eq!((late.copies_registered, late.peer_bytes), (Some(0), 0), "{late:?}");
    assert!(!outcome.any_broken());
}

#[test]
fn an_eviction_ends_uploads_in_good_order() {
    // The second holder keeps its copy, so that what is lost is only the first.
    let mut world = world(CachePolicy { time_ns: Some(3 * SECOND), size_bytes: None }, &[0]);
    world.objects = objects(&[("patch", 64)]);
    world.seed_peer(20.0);
    let outcome = World::run(world.build(), 60 * SECOND);
    let record = outcome.completed(1);
    assert!(!outcome.any_broken());
    let (gone, kept) = (crate::net::address_of(world.peer_host(0)), crate::net::address_of(world.peer_host(2)));
    let from =
        |address| record.sources.iter().find(|source| source.address == address).map_or(0, |source| source.bytes);
    assert!(from(gone) > 1_000_000 && from(gone) < from(kept) / 2, "{record:?}");
    let parted = outcome.net.events.iter().find(|(_, host, event)| {
        *host == world.peer_host(0) && matches!(event, EventKind::Transfer(transfer) if transfer.sent > 0)
    });
    let parted = parted.expect("it has sent something").0;
    assert!((3 * SECOND..4 * SECOND).contains(&parted), "{parted}");
}

#[test]
fn what_was_used_longest_ago_makes_room_and_a_download_stays() {
    // Three objects of 8 MB are held in a cache of 25 MB, and one of 8 MB is downloaded: one must go. The first was
    // uploaded from a moment before, so it is one of the others.
    let mut world = World::new(object(8, 262_144));
    world.objects = objects(&[("patch", 8), ("b", 8), ("c", 8), ("d", 8)]);
    let holder = world.seed_peer(20.0);
    holder.config.cache = CachePolicy { time_ns: None, size_bytes: Some(25_000_000) };
    holder.config.holds = ["patch", "b", "c"].map(content).to_vec();
    holder.config.script.push(ScriptStep { download: 90, at_ns: 30 * SECOND, content: content("d"), user: vec![] });
    world.downloader(5.0, 40.0, 10 * SECOND, vec![]);
    let outcome = World::run(world.build(), 60 * SECOND);
    outcome.completed(90);
    assert!(outcome.completed(1).peer_bytes > 0);
    assert_eq!(evicted(&outcome, world.peer_host(0)), [(30 * SECOND, content("b"), Eviction::Size)]);
}

#[test]
fn what_is_larger_than_the_cache_is_kept_while_it_is_downloaded() {
    let mut world = World::new(object(16, 262_144));
    world.downloader(5.0, 40.0, SECOND, vec![]).config.cache =
        CachePolicy { time_ns: None, size_bytes: Some(1_000_000) };
    let outcome = World::run(world.build(), 60 * SECOND);
    let end = outcome.completed(0).end_ns;
    assert_eq!(evicted(&outcome, world.peer_host(0)), [(end, content("patch"), Eviction::Size)]);
}

#[test]
fn without_limits_nothing_is_evicted() {
    let world = world(CachePolicy::UNLIMITED, &[5, 30]);
    let outcome = World::run(world.build(), 60 * SECOND);
    assert_eq!(evicted(&outcome, world.peer_host(0)), []);
    assert!(outcome.completed(2).peer_bytes > 0);
}
