//! Do senders and receivers agree, byte for byte, about every pair of nodes and every object?

use std::collections::BTreeSet;

use super::{Reasons, SetApart, cuts::Cuts, limits};
use crate::metrics::{NodeIndex, Pair, PairKey, RunView};
use peerbed_contract::RoleConfig;

pub(super) fn check(view: &RunView<'_>, reasons: &mut Reasons) -> SetApart {
    let mut apart = SetApart::default();
    let mut disagreements = Vec::new();
    let (mut received, mut all) = (0, 0);
    let cuts = Cuts::of(view);
    let mut links = BTreeSet::new();
    for (key, pair) in &view.pairs {
        received += pair.received;
        all += pair.bytes();
        let killed = view.killed.contains(&key.source) || view.killed.contains(&key.destination);
        let attacked = misbehaves(view, key.source) || misbehaves(view, key.destination);
        // A killed sender takes its counts with it; every other sender has counted at least what arrived.
        let impossible = pair.received > pair.sent && !view.killed.contains(&key.source);
        let excused = killed || pair.broken;
        if impossible || (!excused && pair.sent != pair.received) {
            disagreements.push(sentence(view, key, *pair));
        } else if killed && pair.bytes() > 0 {
            apart.killed_pairs += 1;
            apart.killed_bytes += pair.bytes();
        } else if attacked && pair.broken && pair.bytes() > 0 {
            apart.attacked_pairs += 1;
            apart.attacked_bytes += pair.bytes();
        } else if pair.broken
            && pair.bytes() > 0
            && [key.source, key.destination].iter().any(|end| view.moved.contains(end))
        {
            apart.moved_pairs += 1;
            apart.moved_bytes += pair.bytes();
        } else if let Some(link) = cuts.apart(key).filter(|_| pair.broken && pair.bytes() > 0) {
            apart.cut_pairs += 1;
            apart.cut_bytes += pair.bytes();
            links.insert(link);
        } else if pair.broken && pair.bytes() > 0 {
            apart.broken_pairs += 1;
            apart.broken_bytes += pair.bytes();
        }
    }
    reasons.add_all("pairs that do not agree", disagreements);
    if received == 0 {
        reasons.add("no content byte was received, so nothing could be reconciled".to_owned());
    }
    // What was cut off, or broken by attackers or moves, is no sign of anything else, nor of the opposite.
    let judged = all - apart.cut_bytes - apart.attacked_bytes - apart.moved_bytes;
    if judged == 0 && apart.cut_bytes > 0 {
        let links: Vec<&str> = links.into_iter().collect();
        reasons.add(format!(
            "all {all} content bytes belong to connections that broke over {}, so nothing could be reconciled: let the run \
             last until a link is back for a while, or let something else be downloaded too",
            links.join("; over ")
        ));
    }
    if judged == 0 && apart.moved_bytes > 0 && apart.cut_bytes == 0 {
        reasons.add(format!(
            "all {all} content bytes belong to connections that broke when their nodes moved, so nothing could be reconciled: let \
             some stay where they are, or let the run last longer"
        ));
    }
    if apart.broken_bytes as f64 > judged as f64 * limits::BROKEN_SHARE_MAX {
        reasons.add(format!(
            "{} of {judged} content bytes belong to connections that broke, so most could not be reconciled",
            apart.broken_bytes
        ));
    }
    apart
}

/// Whether a node of the plan breaks the rules on purpose.
fn misbehaves(view: &RunView<'_>, node: NodeIndex) -> bool {
    matches!(&view.node(node).config.role, RoleConfig::Peer(peer) if !peer.misbehaviour.is_harmless())
}

fn sentence(view: &RunView<'_>, key: &PairKey<'_>, pair: Pair) -> String {
    let (source, destination) = (&view.node(key.source).name, &view.node(key.destination).name);
    format!(
        "{source} says it sent {} bytes of `{}` to {destination}, which says it received {}",
        pair.sent, key.content, pair.received
    )
}
