//! A flash crowd against the fluid bound: everybody wants the same object at the same moment and only the edge has it.

use peerbed_contract::{Guid, NatClass, Token};
use peerbed_proto::{ConnId, Input, Message, Output, PeerAddress, PieceMap, Time, token};

use crate::{
    bench::Bench,
    edge::{SECRET, manifest},
    net::{MS, SECOND, address_of},
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

fn run(peers: usize, mebibytes: u64, seed: u64) -> Finish {
    let mut object = object(34, 65_536);
    object.size = mebibytes << 20;
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
        peer.config.uploads.rate_bps = Some((UP * 1e6) as u64);
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
    for (peers, seed) in [(10, 1), (30, 1), (50, 1)] {
        let finish = run(peers, 32, seed);
        eprintln!("{peers} {finish:.3?}");
        assert!(finish.ratio < 1.12, "{peers} peers: {finish:?}");
        // The edge can give its rate for the whole time, and no more than that.
        let share = EDGE * finish.ratio / (EDGE + peers as f64 * UP);
        assert!(finish.edge <= share && finish.edge > 0.8 * share, "{peers} peers: {finish:?}");
        assert!(finish.wasted < 0.03, "{peers} peers: {finish:?}");
    }
}

#[test]
fn a_large_crowd_does_not_wait_for_the_edge_at_its_end() {
    // The last pieces come late from peers who serve many, and later still from an edge that serves everybody.
    let finish = run(100, 16, 1);
    assert!(finish.ratio < 1.5 && finish.edge < 0.03, "{finish:?}");
}

/// A downloader that an edge authorises after `waited`, with its control connection open or not.
fn authorised(waited: Time, control: bool) -> (Bench, ConnId) {
    let mut world = World::new(object(4, 131_072));
    world.downloader(5.0, 5.0, 10, vec![]);
    authorise(&world, waited, control)
}

pub(crate) fn authorise(world: &World, waited: Time, control: bool) -> (Bench, ConnId) {
    let mut bench = Bench::new(world.peer_machine(0));
    bench.wait(10);
    let (node, edge) = (bench.open[0], bench.open[1]);
    if control {
        bench.feed(Input::Connected { conn: node });
        bench.tell(node, Message::Welcome);
    }
    bench.feed(Input::Connected { conn: edge });
    bench.wait(10 + waited);
    let token = Token {
        guid: Guid::from_bytes([1; 16]),
        content: world.objects[0].id.clone(),
        address: address_of(2),
        peers_allowed: true,
        expires: 3600 * SECOND,
        nonce: 1,
    };
    bench
        .feed(Input::Authorized { conn: edge, result: Ok((manifest(&world.objects[0]), token::sign(&SECRET, token))) });
    (bench, node)
}

/// The control plane names so many peers.
fn named(bench: &mut Bench, control: ConnId, peers: u8) {
    let peer = |number: u8| PeerAddress {
        guid: Guid::from_bytes([100 + number; 16]),
        address: (address_of(usize::from(number) + 20), 7001).into(),
        nat: NatClass::None,
    };
    bench.tell(control, Message::Peers { query: 0, peers: (0..peers).map(peer).collect(), copies: peers.into() });
}

#[test]
fn a_loaded_edge_is_asked_later_by_who_has_a_crowd() {
    assert!(!authorised(100 * MS, true).0.asked.is_empty(), "the edge is not loaded");
    assert!(!authorised(700 * MS, false).0.asked.is_empty(), "nobody else can be named");

    let (mut bench, control) = authorised(700 * MS, true);
    assert!(bench.asked.is_empty());
    named(&mut bench, control, 3);
    assert!(!bench.asked.is_empty(), "three are no crowd");

    let (mut bench, control) = authorised(700 * MS, true);
    named(&mut bench, control, 8);
    assert!(bench.asked.is_empty());
    bench.wait(bench.now + 1400 * MS);
    assert!(!bench.asked.is_empty(), "twice as long as it took to authorise is the longest");
}

/// A downloader of two peers, of which the first has a piece that was asked of it; the other tells of the same piece after
/// the first has sent `begun` bytes. Whether it turned to the other.
fn turns(seed: u64, begun: u32) -> bool {
    let mut world = World::new(object(4, 131_072));
    world.downloader(5.0, 5.0, 10, vec![]).config.edge_mode = peerbed_contract::EdgeMode::Deficit;
    world.seed = seed;
    let (mut bench, control) = authorise(&world, 700 * MS, true);
    named(&mut bench, control, 8);
    let peers: Vec<ConnId> = bench.open[2..4].to_vec();
    for (number, &conn) in peers.iter().enumerate() {
        bench.feed(Input::Connected { conn });
        let have = PieceMap { pieces: 31, bits: vec![if number == 0 { 0b100 } else { 0 }, 0, 0, 0] };
        bench.tell(conn, Message::HelloBack { guid: Guid::from_bytes([100 + number as u8; 16]), have, token: None });
    }
    let first = bench.asked.iter().find(|asked| asked.conn == peers[0]).expect("it has the only piece");
    let (conn, request) = (first.conn, first.request);
    if begun > 0 {
        bench.feed(Input::PieceData { conn, request, bytes: begun });
    }
    let calls_off = |said: Option<&Vec<Output>>| {
        said.is_some_and(|said| {
            said.iter().any(|output| matches!(output, Output::Send { message: Message::Cancel { .. }, .. }))
        })
    };
    bench.said.clear();
    bench.tell(peers[1], Message::Have { piece: 2 });
    let asked = bench.asked.iter().any(|asked| asked.conn == peers[1]);
    assert_eq!(calls_off(bench.said.get(&peers[0])), asked, "it is asked of one of them");
    asked
}

#[test]
fn half_of_those_who_wait_for_a_new_piece_turn_to_the_next_who_has_it() {
    let turned = (0..60).filter(|seed| turns(*seed, 0)).count();
    assert!((15..45).contains(&turned), "{turned} of 60");
    assert!((0..60).all(|seed| !turns(seed, 1000)), "what was begun is waited for");
}
