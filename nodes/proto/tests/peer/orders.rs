//! Another policy in mid-run: what changes from then on, and what stays.

use peerbed_contract::{DownloadRecord, EdgeMode, EventKind, Eviction, NodePolicy, Order, PeerPolicy};

use crate::{
    net::{Net, SECOND},
    world::{Outcome, World, object},
};

/// Tells a peer of its policy with this changed.
fn set(world: &World, net: &mut Net, peer: usize, change: impl FnOnce(&mut PeerPolicy)) {
    let mut policy = world.peers[peer].config.policy();
    change(&mut policy);
    net.order(world.peer_host(peer), Order::Policy(Box::new(NodePolicy::Peer(policy))));
}

/// Downloaders at these moments, none of which uploads, beside one holder.
fn world(moments: &[u64]) -> World {
    let mut world = World::new(object(16, 262_144));
    world.edges = vec![10.0];
    world.seed_peer(20.0);
    for at in moments {
        world.downloader(5.0, 40.0, at * SECOND, vec![]).config.uploads.enabled = false;
    }
    world
}

#[test]
fn a_smaller_number_for_each_copy_counts_those_that_were_given() {
    let world = world(&[0, 30, 60, 90, 120]);
    let mut net = world.build();
    net.run_until(45 * SECOND);
    set(&world, &mut net, 0, |policy| policy.uploads.per_copy = 2);
    net.run_until(80 * SECOND);
    set(&world, &mut net, 0, |policy| policy.uploads.per_copy = 3);
    let outcome = World::run(net, 160 * SECOND);
    let served = |download| outcome.completed(download).peer_bytes > 0;
    assert_eq!([1, 2, 3, 4, 5].map(served), [true, true, false, true, false]);
    let copies = |download| outcome.completed(download).copies_registered;
    assert_eq!([2, 3, 4, 5].map(copies), [Some(1), Some(0), Some(1), Some(0)], "withdrawn, and offered again");
    assert!(!outcome.any_broken());
}

/// A download beside twelve holders that can give all of it, by another edge mode after four seconds.
fn change_of_mode(from: EdgeMode, to: EdgeMode) -> DownloadRecord {
    let mut world = World::new(object(64, 262_144));
    world.edges = vec![1000.0];
    world.downloader(5.0, 50.0, 0, vec![]).config.edge_mode = from;
    for _ in 0..12 {
        world.seed_peer(5.0);
    }
    let mut net = world.build();
    net.run_until(4 * SECOND);
    set(&world, &mut net, 0, |policy| policy.edge_mode = to);
    let outcome = World::run(net, 100 * SECOND);
    assert!(!outcome.any_broken(), "connections end in good order");
    outcome.completed(0).clone()
}

#[test]
fn a_running_download_goes_on_by_another_edge_mode() {
    // Four of some eleven seconds.
    let let_go = change_of_mode(EdgeMode::Backstop, EdgeMode::Only);
    let all = let_go.edge_bytes + let_go.peer_bytes;
    assert!(let_go.peer_bytes > all / 8 && let_go.peer_bytes < all * 4 / 10, "{let_go:?}");
    let found = change_of_mode(EdgeMode::Only, EdgeMode::Backstop);
    assert!(found.peer_bytes > all / 3 && found.edge_bytes > all * 3 / 10, "{found:?}");
    let (first, backstop) =
        (change_of_mode(EdgeMode::Backstop, EdgeMode::First), change_of_mode(EdgeMode::Backstop, EdgeMode::Backstop));
    assert!(first.edge_bytes > 2 * backstop.edge_bytes, "{first:?} {backstop:?}");
}

#[test]
fn uploads_under_way_keep_to_another_rate() {
    let mut world = world(&[0]);
    world.objects = vec![object(64, 262_144)];
    world.edges = vec![2.0];
    world.peers[0].config.uploads.rate_bps = Some(16_000_000);
    let sent_by = |change: fn(&mut PeerPolicy)| {
        let mut net = world.build();
        net.run_until(10 * SECOND);
        set(&world, &mut net, 0, change);
        net.run_until(20 * SECOND);
        let outcome = World::run(net, 20 * SECOND + 1);
        let sent = outcome.net.events.iter().map(|(_, _, event)| match event {
            EventKind::Transfer(transfer) if transfer.remote != crate::net::address_of(World::edge_host(0)) => {
                transfer.sent
            }
            _ => 0,
        });
        sent.sum::<u64>()
    };
    let (same, less, of_one) = (
        sent_by(|_| {}),
        sent_by(|policy| policy.uploads.rate_bps = Some(4_000_000)),
        sent_by(|policy| policy.uploads.connection_rate_bps = Some(4_000_000)),
    );
    // 2 MB a second all the time, or half of it with a quarter of the rate.
    assert!((38_000_000..41_000_000).contains(&same), "{same}");
    for sent in [less, of_one] {
        assert!((23_500_000..26_000_000).contains(&sent), "{sent}");
    }
}

#[test]
fn a_smaller_cache_evicts_at_once() {
    let world = world(&[60]);
    let mut net = world.build();
    net.run_until(20 * SECOND);
    set(&world, &mut net, 0, |policy| policy.cache.size_bytes = Some(1_000_000));
    let outcome = World::run(net, 100 * SECOND);
    let evicted = outcome
        .events(world.peer_host(0))
        .into_iter()
        .any(|event| matches!(event, EventKind::CopyEvicted { reason: Eviction::Size, .. }));
    assert!(evicted);
    assert_eq!(outcome.completed(1).copies_registered, Some(0));
}

#[test]
fn the_same_policy_again_changes_nothing() {
    let run = |again: bool| -> (Outcome, Vec<DownloadRecord>) {
        let world = world(&[0, 2]);
        let mut net = world.build();
        net.run_until(5 * SECOND);
        for peer in (0..3).filter(|_| again) {
            set(&world, &mut net, peer, |_| {});
        }
        let outcome = World::run(net, 60 * SECOND);
        let records = [1, 2].map(|download| outcome.completed(download).clone()).to_vec();
        (outcome, records)
    };
    let ((told, after), (_, before)) = (run(true), run(false));
    assert_eq!(after, before);
    assert!(!told.any_broken());
}

#[test]
fn the_policy_of_another_role_is_of_no_use() {
    let world = world(&[0]);
    let mut net = world.build();
    let edge = peerbed_contract::EdgePolicy { token_lifetime_ns: 1, limits: peerbed_contract::EdgeLimits::default() };
    net.order(world.peer_host(0), Order::Policy(Box::new(NodePolicy::Edge(edge))));
    let outcome = World::run(net, 60 * SECOND);
    let told = outcome.events(world.peer_host(0)).into_iter().any(|event| {
        matches!(event, EventKind::Notice { message } if message == "a peer has no use for the policy of another role")
    });
    assert!(told);
}
