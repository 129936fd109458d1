//! Was every planned download made and accounted for: one beginning, one terminal record, bytes that add up, and as many
//! bytes used or wasted as were received.

use std::collections::BTreeMap;

use peerbed_contract::{ContentId, DownloadRecord, Role, RoleConfig, TerminalStatus};

use super::{Reasons, limits};
use crate::metrics::{Download, NodeIndex, RunView};

pub(super) fn check(view: &RunView<'_>, reasons: &mut Reasons) {
    if view.downloads.values().all(|download| download.planned.is_none()) {
        reasons.add("no download was planned, so nothing was measured".to_owned());
    } else if view.downloads.values().all(|download| download.started == 0) {
        reasons.add("no download was started, so nothing was measured".to_owned());
    }
    let mut beginnings = Vec::new();
    let mut sums = Vec::new();
    for (number, download) in &view.downloads {
        let Some((node, step)) = download.planned else { continue };
        let name = &view.node(node).name;
        beginnings
            .extend(life(view, download, node, step.at_ns).map(|what| format!("download {number} of {name} {what}")));
        for record in &download.records {
            sums.extend(adds_up(view, node, record).map(|what| format!("download {number} of {name} {what}")));
        }
    }
    reasons.add_all("downloads that are not accounted for", beginnings);
    reasons.add_all("downloads whose bytes do not add up", sums);
    reasons.add_all("nodes whose downloads do not agree with their transfers", used_and_received(view));
}

/// What is wrong with the beginning and the end of a download.
fn life(view: &RunView<'_>, download: &Download<'_>, node: NodeIndex, at_ns: u64) -> Option<String> {
    if view.killed.contains(&node) {
        // What a killed node did not get to say is lost by plan, and a restarted one may repeat itself.
        return None;
    }
    let end_ns = view.record.plan.duration.as_nanos() as u64;
    let had_time = at_ns.saturating_add(limits::START_GRACE_MS * 1_000_000) < end_ns;
    match (download.started, download.records.len()) {
        (1, 1) => None,
        (0, 0) if !had_time || view.record.interrupted => None,
        (0, 0) => Some("was never started".to_owned()),
        (1, 0) => Some("was started and has no terminal record".to_owned()),
        (started, records) => Some(format!("was started {started} times and has {records} terminal records")),
    }
}

/// What is wrong with the numbers of one record.
fn adds_up(view: &RunView<'_>, node: NodeIndex, record: &DownloadRecord) -> Option<String> {
    let used = record.edge_bytes + record.peer_bytes;
    let planned_size = match &view.node(node).config.role {
        RoleConfig::Peer(peer) => {
            peer.objects.iter().find(|object| object.id == record.content).map(|object| object.size)
        }
        _ => None,
    };
    let of_role = |edge: bool| -> u64 {
        record.sources.iter().filter(|source| (source.role == Role::Edge) == edge).map(|source| source.bytes).sum()
    };
    if planned_size != Some(record.size) {
        let planned = planned_size.map_or("an unknown size".to_owned(), |size| format!("{size} bytes"));
        return Some(format!("is of {} bytes, but `{}` has {planned}", record.size, record.content));
    }
    if record.status == TerminalStatus::Completed && used != record.size {
        return Some(format!("is completed with {used} of {} bytes", record.size));
    }
    if used > record.size {
        return Some(format!("used {used} bytes of an object of {}", record.size));
    }
    if (of_role(true), of_role(false)) != (record.edge_bytes, record.peer_bytes) {
        return Some(format!(
            "names sources of {} edge and {} peer bytes, but has used {} and {}",
            of_role(true),
            of_role(false),
            record.edge_bytes,
            record.peer_bytes
        ));
    }
    None
}

/// Content bytes by downloader and object.
type Bytes<'a> = BTreeMap<(NodeIndex, &'a ContentId), u64>;

/// Per downloader and object: used + wasted bytes of all downloads are the received bytes of all transfers. Both are the
/// receiver's own counts, so broken connections are no excuse; only a killed receiver is.
fn used_and_received(view: &RunView<'_>) -> Vec<String> {
    let mut used = Bytes::new();
    for download in view.downloads.values() {
        let Some((node, _)) = download.planned else { continue };
        for record in &download.records {
            let sum = record.edge_bytes + record.peer_bytes + record.wasted_bytes;
            *used.entry((node, &record.content)).or_default() += sum;
        }
    }
    let mut received = Bytes::new();
    for (key, pair) in &view.pairs {
        *received.entry((key.destination, key.content)).or_default() += pair.received;
    }
    let mut keys: Vec<_> = used.keys().chain(received.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    let mut sentences = Vec::new();
    for key in keys.into_iter().filter(|(node, _)| !view.killed.contains(node)) {
        let count = |bytes: &Bytes<'_>| bytes.get(&key).copied().unwrap_or(0);
        let (used, received) = (count(&used), count(&received));
        if used != received {
            sentences.push(format!(
                "{} received {received} bytes of `{}`, but its downloads used and wasted {used}",
                view.node(key.0).name,
                key.1
            ));
        }
    }
    sentences
}
