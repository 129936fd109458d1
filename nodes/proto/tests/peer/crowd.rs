//! A flash crowd against the fluid bound: everybody wants the same object at the same moment and only the edge has it.

use crate::{
    net::{MS, SECOND},
    world::{World, object},
};

/// Mbit/s of the edge's uplink and of each peer's links.
const EDGE: f64 = 20.0;
const DOWN: f64 = 50.0;
const UP: f64 = 10.0;

/// What came of a crowd.
#[derive(Debug)]
struct Finish {
    /// The last one's time against the bound of Kumar and Ross, "Peer-assisted file distribution: the minimum distribution
    /// time" (2006): `max(F / u_s, F / d, N F / (u_s + N u))`.
    ratio: f64,
    /// The share of the bytes that the edge gave.
    edge: f64,
    /// Bytes that were thrown away, against those used.
    wasted: f64,
}

fn run(peers: usize, seed: u64) -> Finish {
    let mut object = object(34, 65_536);
    object.size = 32 << 20;
    let bits = object.size as f64 * 8.0 / 1e6;
    let n = peers as f64;
    let bound = (bits / EDGE).max(bits / DOWN).max(n * bits / (EDGE + n * UP));
    let mut world = World::new(object);
    world.edges = vec![EDGE];
    world.seed = seed;
    for index in 0..peers {
        let peer = world.downloader(UP, DOWN, SECOND, vec![]);
        peer.delay = (5 + 3 * (index as u64 % 5)) * MS;
        peer.config.max_sources = 20;
    }
    let outcome = World::run(world.build(), 120 * SECOND);
    let records: Vec<_> = (0..peers).map(|index| outcome.completed(index as u32)).collect();
    let sum = |bytes: fn(&peerbed_contract::DownloadRecord) -> u64| {
        records.iter().map(|record| bytes(record)).sum::<u64>() as f64
    };
    let last = records.iter().map(|record| record.end_ns - record.start_ns).max().expect("somebody");
    let used = sum(|record| record.size);
    Finish {
        ratio: last as f64 / 1e9 / bound,
        edge: sum(|record| record.edge_bytes) / used,
        wasted: sum(|record| record.wasted_bytes) / used,
    }
}

#[test]
fn a_crowd_is_done_soon_after_the_bound() {
    for (peers, seed) in [(10, 1), (10, 2), (30, 1)] {
        let finish = run(peers, seed);
        eprintln!("{peers} {finish:.3?}");
        assert!(finish.ratio < 1.12, "{peers} peers: {finish:?}");
        // The edge can give its rate for the whole time, and no more than that.
        let share = EDGE * finish.ratio / (EDGE + peers as f64 * UP);
        assert!(finish.edge <= share && finish.edge > 0.8 * share, "{peers} peers: {finish:?}");
        assert!(finish.wasted < 0.03, "{peers} peers: {finish:?}");
    }
}
