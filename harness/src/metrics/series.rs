//! A run over time: what was delivered from edges and from peers in each interval, and how many downloads were under way.

use std::collections::BTreeMap;

use peerbed_contract::EventKind;
use peerbed_link::Kind;

use super::{RunView, ledger_delta};

/// One interval between two samples of the counters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Its end, seconds since the start of the run.
    pub t_s: f64,
    /// Its length, seconds.
    pub interval_s: f64,
    /// Wire bytes between edges and peers that were delivered, both ways.
    pub edge_bytes: u64,
    /// The same among peers.
    pub peer_bytes: u64,
    /// Downloads that had begun and not ended, paused ones included, at its end.
    pub under_way: u64,
}

/// Every interval, in order.
pub fn series(view: &RunView<'_>) -> Vec<Moment> {
    let record = view.record;
    let changes = changes(view);
    let since_start = |at_ns: u64| i128::from(at_ns) - i128::from(record.epoch_ns);
    let moments = record.samples.windows(2).map(|pair| {
        let (mut edge_bytes, mut peer_bytes) = (0, 0);
        for ((.., kind), (_, bytes)) in ledger_delta(&pair[0].ledger, &pair[1].ledger) {
            match kind {
                Kind::Edge => edge_bytes += bytes,
                Kind::Peer => peer_bytes += bytes,
                Kind::Control => {}
            }
        }
        let end = since_start(pair[1].at_ns);
        let balance: i64 = changes.range(..=end).map(|(_, change)| change).sum();
        Moment {
            t_s: end as f64 / 1e9,
            interval_s: pair[1].at_ns.saturating_sub(pair[0].at_ns) as f64 / 1e9,
            edge_bytes,
            peer_bytes,
            under_way: balance.max(0) as u64,
        }
    });
    moments.collect()
}

/// By how many the downloads under way became more or fewer, by the time since the start in nanoseconds. What a killed node
/// was doing ends with it.
fn changes(view: &RunView<'_>) -> BTreeMap<i128, i64> {
    let mut changes: BTreeMap<i128, i64> = BTreeMap::new();
    let mut open = BTreeMap::new();
    let mut add = |t: u64, change: i64| *changes.entry(t.into()).or_default() += change;
    for event in &view.record.events {
        match &event.kind {
            EventKind::DownloadStarted { download, .. } if open.insert(*download, &event.node).is_none() => {
                add(event.t, 1);
            }
            EventKind::DownloadFinished(finished) if open.remove(&finished.download).is_some() => {
                add(finished.end_ns, -1);
            }
            _ => {}
        }
    }
    for node in open.into_values() {
        if let Some(exit) = view.record.exits.iter().find(|exit| exit.node == *node) {
            add(exit.t, -1);
        }
    }
    changes
}
