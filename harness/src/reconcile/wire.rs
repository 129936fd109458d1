//! Do wire bytes fit content bytes, and the ledger the links? The engine and the nodes count independently; this is where
//! the two meet.

use std::time::Duration;

use peerbed_contract::{ContentId, PeerConfig, Role, RoleConfig};
use peerbed_link::{Bandwidth, Kind, LinkSpec};
use peerbed_model::Act;

use super::{Reasons, limits};
use crate::{
    engine::{Counters, Sample},
    metrics::{Download, Pair, RunView, kind_word, ledger_total},
};

pub(super) fn check(view: &RunView<'_>, reasons: &mut Reasons) {
    if view.record.samples.len() < 2 {
        return; // Said by the check of the counters.
    }
    for kind in [Kind::Edge, Kind::Peer] {
        overhead(view, kind, reasons);
    }
    ledger_and_links(view, reasons);
    links_lose_nothing(view, reasons);
}

fn overhead(view: &RunView<'_>, kind: Kind, reasons: &mut Reasons) {
    let role = if kind == Kind::Edge { Role::Edge } else { Role::Peer };
    let pairs = || view.pairs.iter().filter(|(key, _)| view.role(key.source) == role).map(|(_, pair)| pair);
    let (received, crossed): (u64, u64) = (pairs().map(|pair| pair.received).sum(), pairs().map(Pair::bytes).sum());
    let total = ledger_total(&view.record.samples);
    let wire: u64 = total.iter().filter(|((.., other), _)| *other == kind).map(|(_, entry)| entry.1).sum();
    let word = kind_word(kind);
    if (wire as f64) < received as f64 * limits::OVERHEAD_MIN {
        reasons.add(format!(
            "{received} content bytes came from {word}s, but the network carried only {wire} bytes of that kind"
        ));
    }
    // Of what two killed nodes exchanged, nobody is left to tell.
    let unknown = match kind {
        Kind::Peer => view.killed.iter().filter(|&&index| view.role(index) == Role::Peer).count() > 1,
        _ => view.killed.iter().any(|&index| view.role(index) == Role::Edge) && view.killed.len() > 1,
    };
    let most = crossed as f64 * limits::OVERHEAD_MAX + allowance(view, kind) as f64;
    if !unknown && wire as f64 > most {
        reasons.add(format!(
            "{crossed} content bytes came from {word}s, but the network carried {wire} bytes of that kind, over the \
             plausible {most:.0}"
        ));
    }
}

/// Wire bytes that downloads may cost beside what is in proportion to their content.
fn allowance(view: &RunView<'_>, kind: Kind) -> u64 {
    let started = view.downloads.values().filter(|download| download.started > 0);
    let of_one = |peer: &PeerConfig, content: &ContentId| {
        let object = peer.objects.iter().find(|object| object.id == *content);
        let pieces = object.map_or(0, |object| u64::from(object.piece_count()));
        let per_piece = match kind {
            Kind::Edge => limits::PER_EDGE_PIECE_BYTES,
            _ => limits::PER_PEER_PIECE_BYTES * u64::from(peer.max_sources.saturating_add(peer.uploads.connections)),
        };
        limits::PER_DOWNLOAD_BYTES + pieces * per_piece
    };
    let of_download = |download: &Download<'_>| {
        let (node, step) = download.planned?;
        match &view.node(node).config.role {
            RoleConfig::Peer(peer) => Some(of_one(peer, &step.content)),
            _ => None,
        }
    };
    let attackers = view
        .record
        .plan
        .nodes
        .iter()
        .filter(|node| matches!(&node.config.role, RoleConfig::Peer(peer) if !peer.misbehaviour.is_harmless()));
    started.filter_map(of_download).sum::<u64>() + attackers.count() as u64 * limits::PER_ATTACKER_BYTES
}

/// Everything that the ledger counted had crossed a downlink, and all but what is still under way, or was not let in behind
/// it, was counted.
fn ledger_and_links(view: &RunView<'_>, reasons: &mut Reasons) {
    let samples = &view.record.samples;
    let (first, last) = (&samples[0], &samples[samples.len() - 1]);
    let counted: u64 = ledger_total(samples).values().map(|(_, bytes)| bytes).sum();
    let carried: u64 = (first.access.iter().zip(&last.access))
        .map(|(before, after)| after.backward.carried_bytes.saturating_sub(before.backward.carried_bytes))
        .sum();
    // What was under way at the first sample is in the ledger only; what is under way at the last, in the links only.
    let plan = &view.record.plan;
    let changed = plan.timeline.iter().filter_map(|action| match &action.act {
        Act::SetAccess { down, .. } => Some(down),
        _ => None,
    });
    let slack: u64 = plan.fabric.attachments().map(|node| &node.access.down).chain(changed).map(under_way).sum();
    let kept_out = last.health.nat.in_bytes.saturating_sub(first.health.nat.in_bytes);
    let missed = last.health.missed.bytes.saturating_sub(first.health.missed.bytes);
    if (counted + kept_out + missed).abs_diff(carried) > slack {
        reasons.add(format!(
            "the ledger counted {counted} bytes, address translation kept {kept_out} from hosts and {missed} came to places that \
             hosts had left, but the downlinks carried {carried}: they differ by more than the {slack} bytes that can be under way"
        ));
    }
}

/// Whatever entered a link long enough ago was carried, dropped or lost by it.
fn links_lose_nothing(view: &RunView<'_>, reasons: &mut Reasons) {
    let (plan, samples) = (&view.record.plan, &view.record.samples);
    let fits = |sample: &Sample| {
        (sample.access.len(), sample.links.len()) == (plan.fabric.attachments().count(), plan.fabric.links.len())
    };
    if !samples.iter().all(fits) {
        return; // Said by the check of the counters.
    }
    let last = &samples[samples.len() - 1];
    let mut complaints = Vec::new();
    let mut look = |what: &dyn Fn() -> String, specs: &[LinkSpec], of: &dyn Fn(&Sample) -> Counters| {
        let Some(before) = longest_way(specs).and_then(|way| last.at_ns.checked_sub(way.as_nanos() as u64)) else {
            return;
        };
        let Some(old) = samples.iter().rev().find(|sample| sample.at_ns <= before) else { return };
        let (entered, now) = (of(old).offered_packets, of(last));
        let missing = entered.saturating_sub(now.carried_packets + now.dropped_packets + now.lost_packets);
        if missing as f64 > entered as f64 * limits::MISSING_SHARE_MAX {
            complaints.push(format!(
                "of {entered} packets that entered the {}, {missing} were neither carried nor dropped nor lost by it",
                what()
            ));
        }
    };
    for (index, node) in plan.fabric.attachments().enumerate() {
        let changes = plan.timeline.iter().filter_map(|action| match &action.act {
            Act::SetAccess { node: name, up, down } if *name == node.name => Some((*up, *down)),
            _ => None,
        });
        let (ups, downs): (Vec<_>, Vec<_>) = changes.chain([(node.access.up, node.access.down)]).unzip();
        look(&|| format!("uplink of {}", node.name), &ups, &|sample| sample.access[index].forward);
        look(&|| format!("downlink of {}", node.name), &downs, &|sample| sample.access[index].backward);
    }
    for (index, link) in plan.fabric.links.iter().enumerate() {
        let new = plan.timeline.iter().flat_map(|action| action.act.links());
        let changes = new.filter(|new| new.link as usize == index).map(|new| (new.forward, new.backward));
        let (there, back): (Vec<_>, Vec<_>) = changes.chain([(link.forward, link.backward)]).unzip();
        look(&|| format!("link {} forward", link.name), &there, &|sample| sample.links[index].forward);
        look(&|| format!("link {} backward", link.name), &back, &|sample| sample.links[index].backward);
    }
    reasons.add_all("links that lose packets", complaints);
}

/// How long a packet may be on a link that is like each of these for a time, and a second for what is late: what waited in
/// front of a fast one may leave at the rate of a slow one. None if that cannot be known, as with an outage of a trace.
fn longest_way(specs: &[LinkSpec]) -> Option<Duration> {
    const LATE: Duration = Duration::from_secs(1);
    if specs.iter().any(|spec| matches!(spec.bandwidth, Bandwidth::Trace(_))) {
        return None;
    }
    let queue = specs.iter().filter_map(LinkSpec::queue_bytes).max().unwrap_or_default();
    let slowest = specs.iter().filter_map(|spec| spec.bandwidth.mean()).min();
    let waits = slowest.map_or(0, |rate| rate.nanos_for(queue + 1500));
    let under_way = specs.iter().map(|spec| spec.delay + spec.jitter).max().unwrap_or_default();
    Some(Duration::from_nanos(waits) + under_way + LATE)
}

fn under_way(down: &LinkSpec) -> u64 {
    let delay = (down.delay + down.jitter).as_nanos();
    let held = match down.bandwidth.peak() {
        Some(rate) => (u128::from(rate.bps()) * delay / 8_000_000_000) as u64,
        None if delay > 0 => limits::UNDERWAY_UNLIMITED_BYTES,
        None => 0,
    };
    held + limits::UNDERWAY_PER_NODE_BYTES
}

#[cfg(test)]
mod tests {
    use peerbed_link::{Queue, Rate};

    use super::*;

    #[test]
    fn what_waited_for_a_fast_link_leaves_at_the_rate_of_the_slow_one() {
        let of = |mbit: u64, delay: u64| LinkSpec {
            bandwidth: Bandwidth::Limited(Rate::from_bps(mbit * 1_000_000).unwrap()),
            delay: Duration::from_millis(delay),
            queue: Queue::Time(Duration::from_millis(400)),
            ..LinkSpec::TRANSPARENT
        };
        // 1 MB and a packet at 1 Mbit/s.
        let expected = Duration::from_millis(8_000 + 12 + 20 + 1_000);
        assert_eq!(longest_way(&[of(20, 20), of(1, 5)]), Some(expected));
        assert_eq!(longest_way(&[LinkSpec::TRANSPARENT]), Some(Duration::from_secs(1)));
    }
}
