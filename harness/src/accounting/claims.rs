//! What was claimed and what edges logged, gathered from a run's events. Called by the comparison.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use peerbed_contract::{ContentId, EventKind, Guid, Role, RoleConfig};

use crate::metrics::RunView;

/// Claims by reporter, content and partner (none: edges): received and sent.
type Totals<'a> = BTreeMap<(Guid, &'a ContentId, Option<Guid>), (u64, u64)>;

/// Everything that the comparison looks at.
#[derive(Debug, Default)]
pub(super) struct Claims<'a> {
    /// Over all starts of an installation.
    pub(super) totals: Totals<'a>,
    /// Reporters that said for each of their starts that nothing more would come.
    pub(super) whole: BTreeSet<Guid>,
    /// How often each was started, by logins and reports: copies of an installation count as starts of it.
    pub(super) starts: BTreeMap<Guid, u64>,
    /// Where control planes saw installations.
    pub(super) addresses: BTreeMap<Guid, BTreeSet<IpAddr>>,
    /// How often they saw one come back from another address than before: what was under way to or from it then is lost.
    pub(super) moves: BTreeMap<Guid, u64>,
    /// Bytes that edges served, by address and content; none if an edge did not tell to its end.
    pub(super) edge_log: Option<BTreeMap<(IpAddr, &'a ContentId), u64>>,
    /// Bytes of each object.
    pub(super) sizes: BTreeMap<&'a ContentId, u64>,
}

impl<'a> Claims<'a> {
    /// Those of a run.
    pub(super) fn of(view: &RunView<'a>) -> Self {
        let record = view.record;
        let mut roles = BTreeMap::new();
        let mut claims = Self::default();
        let mut edges_told = true;
        for (index, node) in record.plan.nodes.iter().enumerate() {
            roles.insert(&node.name, node.role);
            match &node.config.role {
                RoleConfig::Edge(edge) => {
                    edges_told &= view.stopped.contains(&index) && !view.killed.contains(&index);
                    claims.sizes.extend(edge.objects.iter().map(|object| (&object.id, object.size)));
                }
                RoleConfig::Control(_) | RoleConfig::Peer(_) => {}
            }
        }
        // Several control planes may have heard of one start, each of them a part: totals only grow.
        let mut by_start: BTreeMap<_, (u64, u64)> = BTreeMap::new();
        let mut ended: BTreeMap<(Guid, Option<Guid>), bool> = BTreeMap::new();
        let (mut log, mut here) = (BTreeMap::new(), BTreeMap::new());
        for event in &record.events {
            match (&event.kind, roles.get(&event.node)) {
                (EventKind::Usage(usage), Some(Role::Control)) => {
                    let key = (usage.guid, usage.start, &usage.content, usage.partner);
                    let total = by_start.entry(key).or_default();
                    *total = (total.0.max(usage.received), total.1.max(usage.sent));
                    *ended.entry((usage.guid, usage.start)).or_default() |= usage.last;
                    claims.addresses.entry(usage.guid).or_default().insert(usage.address.to_canonical());
                }
                (EventKind::Login(login), Some(Role::Control)) => {
                    let address = login.address.ip().to_canonical();
                    if here.insert(login.guid, address).is_some_and(|before| before != address) {
                        *claims.moves.entry(login.guid).or_default() += 1;
                    }
                    claims.addresses.entry(login.guid).or_default().insert(address);
                    // Who was killed before it reported anything has told nothing of this start.
                    ended.entry((login.guid, login.secondary.first().copied())).or_default();
                }
                (EventKind::Transfer(transfer), Some(Role::Edge)) => {
                    *log.entry((transfer.remote.to_canonical(), &transfer.content)).or_default() += transfer.sent;
                }
                _ => {}
            }
        }
        for ((guid, _, content, partner), (received, sent)) in by_start {
            let total = claims.totals.entry((guid, content, partner)).or_default();
            *total = (total.0.saturating_add(received), total.1.saturating_add(sent));
        }
        for (guid, _) in ended.keys() {
            *claims.starts.entry(*guid).or_default() += 1;
        }
        let reporters: BTreeSet<Guid> = ended.keys().map(|(guid, _)| *guid).collect();
        let cut_short: BTreeSet<Guid> = ended.iter().filter(|(_, last)| !**last).map(|((guid, _), _)| *guid).collect();
        claims.whole = reporters.difference(&cut_short).copied().collect();
        claims.edge_log = edges_told.then_some(log);
        claims
    }

    /// Whether an installation claims any byte.
    pub(super) fn says_something(&self, guid: Guid) -> bool {
        self.totals.iter().any(|((reporter, ..), (received, sent))| *reporter == guid && received + sent > 0)
    }
}
