//! Metrics of traffic: content bytes between ASes, wire bytes of the ledger, what the edges' uplinks carried.

use std::collections::BTreeMap;

use peerbed_contract::{AsNumber, EventKind, Role};
use peerbed_link::Kind;

use super::{Metric, NodeIndex, RunView, Value};
use crate::engine::{LedgerEntry, Sample};

/// A window of the peak egress is at least this long, seconds. Samples come once a second, but the last one comes when
/// the last node has ended; a rate over the few milliseconds since the one before would be a burst, not a load.
const WINDOW_MIN_S: f64 = 0.9;

/// The word under which a kind is counted.
pub fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Peer => "peer",
        Kind::Edge => "edge",
        Kind::Control => "control",
    }
}

pub(super) fn rows(view: &RunView<'_>) -> Vec<Metric> {
    let mut rows = content(view);
    rows.extend(wire(&view.record.samples));
    rows.push(nat(&view.record.samples));
    rows.push(missed(&view.record.samples));
    rows.extend(requests(view));
    rows.extend(egress(view));
    rows
}

fn content(view: &RunView<'_>) -> Vec<Metric> {
    let by_as = view.peer_bytes_by_as();
    let sum = |same: bool| by_as.iter().filter(|((from, to), _)| (from == to) == same).map(|(_, bytes)| bytes).sum();
    let bytes = |name, number| Metric::new(name, Value::count(number));
    let mut rows = vec![bytes("bytes.intra_as", sum(true)), bytes("bytes.inter_as", sum(false))];
    rows.push(top_share(&by_as));
    for ((from, to), number) in &by_as {
        let row = bytes("peer_bytes_between", *number);
        rows.push(row.label("from", &from.get()).label("to", &to.get()));
    }
    rows
}

/// The share of all inter-AS bytes that the AS sent which sent most of them; undefined where there were none.
fn top_share(by_as: &BTreeMap<(AsNumber, AsNumber), u64>) -> Metric {
    let mut sent: BTreeMap<AsNumber, u64> = BTreeMap::new();
    for ((from, _), bytes) in by_as.iter().filter(|((from, to), _)| from != to) {
        *sent.entry(*from).or_default() += bytes;
    }
    let (most, all) = (sent.values().copied().max().unwrap_or(0), sent.values().sum::<u64>());
    Metric::new("inter_as_top_share", Value::ratio(sent.len() as u64, most as f64, all as f64))
}

fn wire(samples: &[Sample]) -> Vec<Metric> {
    let total = ledger_total(samples);
    let bytes = |name, number| Metric::new(name, Value::count(number));
    let of_kind = |kind| total.iter().filter(|((.., other), _)| *other == kind).map(|(_, entry)| entry.1).sum::<u64>();
    let mut rows = vec![bytes("bytes.control", of_kind(Kind::Control))];
    for kind in [Kind::Edge, Kind::Peer, Kind::Control] {
        rows.push(bytes("wire_bytes", of_kind(kind)).label("kind", &kind_word(kind)));
    }
    for ((from, to, kind), (_, number)) in &total {
        let row = bytes("wire_bytes_between", *number).label("from", &from.get()).label("to", &to.get());
        rows.push(row.label("kind", &kind_word(*kind)));
    }
    rows
}

/// What edges answered to requests for content.
fn requests(view: &RunView<'_>) -> [Metric; 2] {
    let (mut all, mut none) = (0, 0);
    for event in &view.record.events {
        if let EventKind::Requests { served, refused } = &event.kind {
            all += served;
            none += refused;
        }
    }
    let metric = |name, number| Metric::new(name, Value::count(number));
    [metric("requests.served", all), metric("requests.refused", none)]
}

/// Packets that address translation dropped.
fn nat(samples: &[Sample]) -> Metric {
    let dropped = |sample: Option<&Sample>| sample.map_or(0, |sample| sample.health.nat.packets());
    let number = dropped(samples.last()).saturating_sub(dropped(samples.first()));
    Metric::new("packets.nat_dropped", Value::count(number))
}

/// Packets that came to addresses which their hosts had left.
fn missed(samples: &[Sample]) -> Metric {
    let missed = |sample: Option<&Sample>| sample.map_or(0, |sample| sample.health.missed.packets);
    let number = missed(samples.last()).saturating_sub(missed(samples.first()));
    Metric::new("packets.missed", Value::count(number))
}

/// Packets and wire bytes by (source AS, destination AS, kind).
pub type Ledger = BTreeMap<(AsNumber, AsNumber, Kind), (u64, u64)>;

/// What the ledger counted between the first and the last sample.
pub fn ledger_total(samples: &[Sample]) -> Ledger {
    match samples {
        [first, .., last] => ledger_delta(&first.ledger, &last.ledger),
        _ => BTreeMap::new(),
    }
}

/// What the ledger counted between two samples; pairs with nothing new are left out.
pub fn ledger_delta(before: &[LedgerEntry], after: &[LedgerEntry]) -> Ledger {
    let mut delta: Ledger =
        after.iter().map(|entry| ((entry.from, entry.to, entry.kind), (entry.packets, entry.bytes))).collect();
    for entry in before {
        if let Some((packets, bytes)) = delta.get_mut(&(entry.from, entry.to, entry.kind)) {
            *packets = packets.saturating_sub(entry.packets);
            *bytes = bytes.saturating_sub(entry.bytes);
        }
    }
    delta.retain(|_, (packets, bytes)| *packets > 0 || *bytes > 0);
    delta
}

/// A span of the run with what a counter counted in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// How long, seconds.
    pub seconds: f64,
    /// How much the counter rose.
    pub counted: u64,
}

/// The run in windows of about a second with the rise of `counter` in each. Samples that follow each other faster are
/// joined; what remains at the end is part of the last window.
pub fn windows(samples: &[Sample], counter: impl Fn(&Sample) -> u64) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    let mut open = Window { seconds: 0.0, counted: 0 };
    for pair in samples.windows(2) {
        open.seconds += pair[1].at_ns.saturating_sub(pair[0].at_ns) as f64 / 1e9;
        open.counted += counter(&pair[1]).saturating_sub(counter(&pair[0]));
        if open.seconds >= WINDOW_MIN_S {
            windows.push(open);
            open = Window { seconds: 0.0, counted: 0 };
        }
    }
    if open.seconds > 0.0 {
        match windows.last_mut() {
            Some(last) => {
                last.seconds += open.seconds;
                last.counted += open.counted;
            }
            None => windows.push(open),
        }
    }
    windows
}

fn egress(view: &RunView<'_>) -> Vec<Metric> {
    let edges: Vec<NodeIndex> =
        (0..view.record.plan.nodes.len()).filter(|&index| view.role(index) == Role::Edge).collect();
    let all = carried(&view.record.samples, &edges);
    let mut rows = vec![peak(&all)];
    rows.push(Metric::new("edge_egress_mbps", Value::distribution(all.iter().map(mbps), BTreeMap::new())));
    for edge in edges {
        rows.push(peak(&carried(&view.record.samples, &[edge])).label("node", &view.node(edge).name));
    }
    rows
}

/// What the uplinks of these nodes together carried, second by second.
fn carried(samples: &[Sample], nodes: &[NodeIndex]) -> Vec<Window> {
    windows(samples, |sample| {
        let uplink = |&node: &NodeIndex| sample.access.get(node).map_or(0, |link| link.forward.carried_bytes);
        nodes.iter().map(uplink).sum()
    })
}

fn mbps(window: &Window) -> f64 {
    window.counted as f64 * 8e-6 / window.seconds
}

/// The window in which the most was carried a second.
fn peak(windows: &[Window]) -> Metric {
    let busiest = windows.iter().copied().max_by(|a, b| mbps(a).total_cmp(&mbps(b)));
    let Window { seconds, counted } = busiest.unwrap_or(Window { seconds: 0.0, counted: 0 });
    Metric::new("edge_peak_egress_mbps", Value::ratio(windows.len() as u64, counted as f64 * 8e-6, seconds))
}
