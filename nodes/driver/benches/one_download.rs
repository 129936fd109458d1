//! The speed of one verified download of 1 GiB over loopback: from one peer alone, then from the edge alone.
//!
//! Run with `cargo bench -p peerbed-driver --bench one_download`. Each node is a thread, as it would be a process.

#[path = "../tests/support/mod.rs"]
mod support;

use peerbed_contract::{EdgeMode, EventKind, Object, PeerConfig, TerminalStatus};
use support::{Live, ask_for, control, edge, edge_that_only_authorises, object, peer, start_peer};

const SIZE: u64 = 1 << 30;
const REPEATS: usize = 3;

fn main() {
    let film = object("film", SIZE);
    println!("{:<24} {:>12} {:>12} {:>12}", "source", "bytes", "seconds", "Gbit/s");
    for _ in 0..REPEATS {
        from_one_peer(&film);
        from_the_edge(&film);
    }
}

fn from_one_peer(film: &Object) {
    let objects = std::slice::from_ref(film);
    let control = Live::start(control("127.0.0.9"));
    let edge = edge_that_only_authorises(film);
    let mut seed = peer(11, edge, Some(control.listen), objects);
    seed.holds.push(film.id.clone());
    let seed = start_peer("127.0.0.11", seed);
    let asker = measure("one peer", peer(2, edge, Some(control.listen), objects), film);
    asker.stop();
    seed.stop();
    control.stop();
}

fn from_the_edge(film: &Object) {
    let edge = Live::start(edge("127.0.0.1", std::slice::from_ref(film)));
    let mut config = peer(2, edge.listen, None, std::slice::from_ref(film));
    config.edge_mode = EdgeMode::Only;
    measure("the edge", config, film).stop();
    edge.stop();
}

/// Downloads and prints the speed from the first byte to the last.
fn measure(source: &str, mut config: PeerConfig, film: &Object) -> Live {
    ask_for(&mut config, 1, film);
    config.script[0].at_ns = 300_000_000; // the seed has registered by then
    let mut asker = start_peer("127.0.0.2", config);
    let EventKind::DownloadFinished(record) = asker.wait_for(|kind| matches!(kind, EventKind::DownloadFinished(_)))
    else {
        unreachable!("it was waited for")
    };
    assert_eq!(record.status, TerminalStatus::Completed, "{record:?}");
    let elapsed = record.end_ns - record.first_byte_ns.expect("something came");
    let rate = 8.0 * SIZE as f64 / elapsed as f64;
    println!("{source:<24} {SIZE:>12} {:>12.3} {rate:>12.2}", elapsed as f64 / 1e9);
    asker
}
