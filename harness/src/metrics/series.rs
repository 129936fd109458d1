//! A run over time: what was delivered from edges and from peers in each interval, and how many downloads were
//! under way and peers on.

use std::collections::{BTreeMap, BTreeSet};

use peerbed_contract::{EventKind, NodeName, Role};
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
    /// Peers whose process ran and whose machine was there, at its end.
    pub peers_on: u64,
}

/// Every interval, in order.
pub fn series(view: &RunView<'_>) -> Vec<Moment> {
    let record = view.record;
    let (changes, presence) = (changes(view), presence(view));
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
        let balance = |changes: &BTreeMap<i128, i64>| {
            let sum: i64 = changes.range(..=end).map(|(_, change)| change).sum();
            sum.max(0) as u64
        };
        Moment {
            t_s: end as f64 / 1e9,
            interval_s: pair[1].at_ns.saturating_sub(pair[0].at_ns) as f64 / 1e9,
            edge_bytes,
            peer_bytes,
            under_way: balance(&changes),
            peers_on: balance(&presence),
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

/// By how many the peers that are on became more or fewer, likewise: one is from the start of its process to its end, but not
/// while its machine is away.
fn presence(view: &RunView<'_>) -> BTreeMap<i128, i64> {
    let mut turns: BTreeMap<&NodeName, Vec<(u64, Turn)>> = BTreeMap::new();
    let peers = view.record.plan.present().filter(|node| node.role == Role::Peer);
    turns.extend(peers.map(|node| (&node.name, vec![(0, Turn::Started)])));
    for event in &view.record.events {
        let turn = match event.kind {
            EventKind::Started => Turn::Started,
            EventKind::Offline { .. } => Turn::Gone,
            EventKind::Online => Turn::Back,
            _ => continue,
        };
        turns.entry(&event.node).or_default().push((event.t, turn));
    }
    for exit in &view.record.exits {
        turns.entry(&exit.node).or_default().push((exit.t, Turn::Ended));
    }
    let peers: BTreeSet<&NodeName> =
        view.record.plan.nodes.iter().filter(|node| node.role == Role::Peer).map(|node| &node.name).collect();
    let mut changes: BTreeMap<i128, i64> = BTreeMap::new();
    for (_, mut turns) in turns.into_iter().filter(|(node, _)| peers.contains(node)) {
        turns.sort_by_key(|(t, _)| *t);
        let mut on = false;
        for (t, turn) in turns {
            let now = matches!(turn, Turn::Started | Turn::Back);
            let change = i64::from(now) - i64::from(std::mem::replace(&mut on, now));
            *changes.entry(t.into()).or_default() += change;
        }
    }
    changes
}

/// What makes a peer be on or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Started,
    Gone,
    Back,
    Ended,
}
