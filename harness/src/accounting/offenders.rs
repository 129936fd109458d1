//! Who broke the rules, as other nodes saw it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use peerbed_contract::{EventKind, Guid, NodeName, Offence, RoleConfig};
use serde::{Deserialize, Serialize};

use crate::{metrics::RunView, say::counted};

/// One node and one kind of offence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offender {
    /// Its name; its address, if no node of the plan has it.
    pub node: String,
    /// What it did.
    pub offence: Offence,
    /// How often that was seen.
    pub count: u64,
    /// By how many nodes.
    pub seen_by: u64,
    /// It keeps the rules, by the plan.
    #[serde(skip)]
    pub honest: bool,
}

impl fmt::Display for Offender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.offence {
            Offence::Corrupt => "sent damaged pieces",
            Offence::Stall => "owed bytes and gave none, or next to none",
            Offence::Malformed => "sent what is no frame, or what nobody asked for",
            Offence::Protocol => "said what had no place",
            Offence::Excess => "asked for more at once than is allowed",
            Offence::Token => "showed a bad token",
        };
        let (times, nodes) = (counted(self.count as usize, "time"), counted(self.seen_by as usize, "node"));
        write!(f, "{} {what}: {times}, seen by {nodes}", self.node)
    }
}

/// The offenders of a run, in the order of their names.
pub(super) fn of(view: &RunView<'_>) -> Vec<Offender> {
    let nodes = &view.record.plan.nodes;
    let by_address: BTreeMap<IpAddr, usize> =
        view.record.plan.addresses().into_iter().map(|(address, (index, _))| (address, index)).collect();
    let by_guid: BTreeMap<Guid, usize> = (nodes.iter().enumerate())
        .filter_map(|(index, node)| match &node.config.role {
            RoleConfig::Peer(peer) => Some((peer.guid, index)),
            _ => None,
        })
        .collect();
    let mut found: BTreeMap<(String, Offence), (u64, BTreeSet<&NodeName>, bool)> = BTreeMap::new();
    for event in &view.record.events {
        let EventKind::Offence { by, guid, offence, count } = &event.kind else { continue };
        let index = by_address.get(by).or_else(|| guid.as_ref().and_then(|guid| by_guid.get(guid)));
        let name = index.map_or_else(|| by.to_string(), |index| nodes[*index].name.to_string());
        let honest = index.is_some_and(|index| match &nodes[*index].config.role {
            RoleConfig::Peer(peer) => peer.misbehaviour.is_harmless(),
            _ => true,
        });
        let (sum, seen_by, _) = found.entry((name, *offence)).or_insert((0, BTreeSet::new(), honest));
        *sum += u64::from(*count);
        seen_by.insert(&event.node);
    }
    let offender =
        |((node, offence), (count, seen_by, honest)): ((String, Offence), (u64, BTreeSet<&NodeName>, bool))| Offender {
            node,
            offence,
            count,
            seen_by: seen_by.len() as u64,
            honest,
        };
    found.into_iter().map(offender).collect()
}
