//! Do wire bytes fit content bytes, and the ledger the links? The engine and the nodes count independently; this is where
//! the two meet.

use peerbed_contract::{ContentId, PeerConfig, Role, RoleConfig};
use peerbed_link::{Kind, LinkSpec};
use peerbed_model::Act;

use super::{Reasons, limits};
use crate::metrics::{Download, Pair, RunView, kind_word, ledger_total};

pub(super) fn check(view: &RunView<'_>, reasons: &mut Reasons) {
    if view.record.samples.len() < 2 {
        return; // Said by the check of the counters.
    }
    for kind in [Kind::Edge, Kind::Peer] {
        overhead(view, kind, reasons);
    }
    ledger_and_links(view, reasons);
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
    started.filter_map(of_download).sum()
}

/// Everything that the ledger counted had crossed a downlink, and all but what is still under way was counted.
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
    let slack: u64 = plan.fabric.nodes.iter().map(|node| &node.access.down).chain(changed).map(under_way).sum();
    if counted.abs_diff(carried) > slack {
        reasons.add(format!(
            "the ledger counted {counted} bytes, but the downlinks carried {carried}: they differ by more than the {slack} \
             bytes that can be under way"
        ));
    }
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
