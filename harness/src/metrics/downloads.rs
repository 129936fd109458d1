//! Metrics of downloads: how fast, how often paused, from where, how ended.

use std::collections::BTreeMap;

use peerbed_contract::{DownloadRecord, EventKind, NodeName, TerminalStatus};

use super::{Download, Metric, RunView, Value};

/// Every terminal status with the metric that counts it.
const STATUSES: [(TerminalStatus, &str); 5] = [
    (TerminalStatus::Completed, "downloads.completed"),
    (TerminalStatus::Paused, "downloads.paused"),
    (TerminalStatus::Aborted, "downloads.aborted"),
    (TerminalStatus::Failed, "downloads.failed"),
    (TerminalStatus::Unfinished, "downloads.unfinished"),
];

/// Average speed while active, Mbit/s: content bytes over active time, pauses excluded.
pub fn speed_mbps(record: &DownloadRecord) -> Option<f64> {
    mbps(record.edge_bytes + record.peer_bytes, record.active_ns)
}

/// Average speed from the user's request to the end, pauses included, Mbit/s.
pub fn wall_speed_mbps(record: &DownloadRecord) -> Option<f64> {
    mbps(record.edge_bytes + record.peer_bytes, record.end_ns.saturating_sub(record.start_ns))
}

fn mbps(bytes: u64, nanoseconds: u64) -> Option<f64> {
    (nanoseconds > 0).then(|| bytes as f64 * 8_000.0 / nanoseconds as f64)
}

/// The share of a download's used bytes that came from peers, 0 to 1; none of a download without bytes.
pub fn peer_efficiency(record: &DownloadRecord) -> Option<f64> {
    let all = record.edge_bytes + record.peer_bytes;
    (all > 0).then(|| record.peer_bytes as f64 / all as f64)
}

/// From the user's request to the first content byte, milliseconds.
pub fn startup_ms(record: &DownloadRecord) -> Option<f64> {
    record.first_byte_ns.map(|first| first.saturating_sub(record.start_ns) as f64 / 1e6)
}

pub(super) fn rows(view: &RunView<'_>) -> Vec<Metric> {
    let started: Vec<&Download<'_>> = view.downloads.values().filter(|download| download.started > 0).collect();
    let records: Vec<&DownloadRecord> = started.iter().filter_map(|download| download.record()).collect();
    let planned = view.downloads.values().filter(|download| download.planned.is_some()).count() as u64;
    let lost = (started.len() - records.len()) as u64;

    let mut rows = counts(planned, started.len() as u64, lost, &records);
    rows.extend(speeds(&records, lost));
    rows.extend(pauses(view, &started, &records));
    rows.extend(sources(&records, lost));
    rows
}

fn counts(planned: u64, started: u64, lost: u64, records: &[&DownloadRecord]) -> Vec<Metric> {
    let count = |name, number| Metric::new(name, Value::count(number));
    let mut rows =
        vec![count("downloads.planned", planned), count("downloads.started", started), count("downloads.lost", lost)];
    rows.extend(STATUSES.map(|(status, name)| count(name, with_status(records, status))));
    rows.push(Metric::new("failure_rate", Value::proportion(with_status(records, TerminalStatus::Failed), started)));
    rows
}

fn speeds(records: &[&DownloadRecord], lost: u64) -> Vec<Metric> {
    let completed: Vec<_> = records.iter().filter(|record| record.status == TerminalStatus::Completed).collect();
    let left_out = || {
        let mut left_out = BTreeMap::from([("lost", lost)]);
        for (status, _) in STATUSES.into_iter().filter(|(status, _)| *status != TerminalStatus::Completed) {
            left_out.insert(status_word(status), with_status(records, status));
        }
        left_out
    };
    let of_completed = |speed: fn(&DownloadRecord) -> Option<f64>| {
        Value::distribution(completed.iter().filter_map(|record| speed(record)), left_out())
    };
    // Who only looks at completed downloads takes a system that gives up on the slow ones for a fast one. Here those that
    // the system or the end of the run cut off take part as the slowest; what users ended themselves stays out.
    let ranked = records.iter().filter_map(|record| match record.status {
        TerminalStatus::Completed => speed_mbps(record),
        TerminalStatus::Failed | TerminalStatus::Unfinished => Some(0.0),
        TerminalStatus::Paused | TerminalStatus::Aborted => None,
    });
    let ranked_left_out = BTreeMap::from([
        ("paused", with_status(records, TerminalStatus::Paused)),
        ("aborted", with_status(records, TerminalStatus::Aborted)),
        ("lost", lost),
    ]);
    let no_byte = records.iter().filter(|record| record.first_byte_ns.is_none()).count() as u64;
    vec![
        Metric::new("speed_mbps", of_completed(speed_mbps)),
        Metric::new("speed_wall_mbps", of_completed(wall_speed_mbps)),
        Metric::new("speed_ranked_mbps", Value::distribution(ranked, ranked_left_out)),
        Metric::new(
            "startup_ms",
            Value::distribution(
                records.iter().filter_map(|record| startup_ms(record)),
                BTreeMap::from([("no_byte", no_byte), ("lost", lost)]),
            ),
        ),
    ]
}

fn pauses(view: &RunView<'_>, started: &[&Download<'_>], records: &[&DownloadRecord]) -> Vec<Metric> {
    let of = started.len() as u64;
    let paused = started.iter().filter(|download| download.was_paused()).count() as u64;
    let terminal = with_status(records, TerminalStatus::Paused);
    let stalled = records.iter().filter(|record| record.stalls > 0).count() as u64;
    let offline = records.iter().filter(|record| record.offline_ns > 0).count() as u64;
    let stalls = records.iter().map(|record| u64::from(record.stalls)).sum();
    let share = |name, numerator| Metric::new(name, Value::proportion(numerator, of));
    vec![
        share("pause_rate", paused),
        share("pause_terminal_rate", terminal),
        share("pause_resumed_rate", paused - terminal),
        share("stalled_rate", stalled),
        share("offline_rate", offline),
        Metric::new("moved_rate", Value::proportion(moved(view), of)),
        Metric::new("stalls", Value::count(stalls)),
    ]
}

/// Downloads whose peer changed its address while they were under way.
fn moved(view: &RunView<'_>) -> u64 {
    let mut moves: BTreeMap<&NodeName, Vec<u64>> = BTreeMap::new();
    for event in view.record.events.iter().filter(|event| matches!(event.kind, EventKind::Moved { .. })) {
        moves.entry(&event.node).or_default().push(event.t);
    }
    let meanwhile = |download: &&Download<'_>| {
        let (Some((node, _)), Some(record)) = (download.planned, download.record()) else { return false };
        let moves = moves.get(&view.node(node).name);
        moves.is_some_and(|moves| moves.iter().any(|t| (record.start_ns..record.end_ns).contains(t)))
    };
    view.downloads.values().filter(meanwhile).count() as u64
}

fn sources(records: &[&DownloadRecord], lost: u64) -> Vec<Metric> {
    let sum = |bytes: fn(&DownloadRecord) -> u64| records.iter().map(|record| bytes(record)).sum::<u64>();
    let (edge, peer) = (sum(|record| record.edge_bytes), sum(|record| record.peer_bytes));
    let with_bytes = records.iter().filter(|record| peer_efficiency(record).is_some()).count() as u64;
    let without_bytes = records.len() as u64 - with_bytes;
    let answered = |field: fn(&DownloadRecord) -> Option<u32>| {
        let values: Vec<f64> = records.iter().filter_map(|record| field(record)).map(f64::from).collect();
        let unanswered = records.len() as u64 - values.len() as u64;
        Value::distribution(values, BTreeMap::from([("no_answer", unanswered), ("lost", lost)]))
    };
    let bytes = |name, number| Metric::new(name, Value::count(number));
    vec![
        Metric::new("peer_efficiency", Value::ratio(with_bytes, peer as f64, (edge + peer) as f64)),
        Metric::new(
            "peer_efficiency_of_downloads",
            Value::distribution(
                records.iter().filter_map(|record| peer_efficiency(record)),
                BTreeMap::from([("no_byte", without_bytes), ("lost", lost)]),
            ),
        ),
        bytes("bytes.edge", edge),
        bytes("bytes.peer", peer),
        bytes("bytes.wasted", sum(|record| record.wasted_bytes)),
        Metric::new("rejected_pieces", Value::count(sum(|record| u64::from(record.rejected_pieces)))),
        Metric::new("copies_registered", answered(|record| record.copies_registered)),
        Metric::new("peers_returned", answered(|record| record.peers_returned)),
    ]
}

fn with_status(records: &[&DownloadRecord], status: TerminalStatus) -> u64 {
    records.iter().filter(|record| record.status == status).count() as u64
}

/// The word of a terminal status in every file.
pub fn status_word(status: TerminalStatus) -> &'static str {
    match status {
        TerminalStatus::Completed => "completed",
        TerminalStatus::Paused => "paused",
        TerminalStatus::Aborted => "aborted",
        TerminalStatus::Failed => "failed",
        TerminalStatus::Unfinished => "unfinished",
    }
}
