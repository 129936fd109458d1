//! Copies and bytes inside the downloaders' own local networks (key `lan` of a group). A LAN is known by its AS and its name; who
//! moved away is no longer in it.

use std::collections::{BTreeMap, BTreeSet};

use peerbed_contract::{ContentId, EventKind, NodeName, Role, RoleConfig, TerminalStatus};

use super::{Metric, NodeIndex, RunView, Value};

/// A local network.
type Lan<'a> = (peerbed_contract::AsNumber, &'a str);

/// The LAN of a node, at the start of the run.
pub fn lan_of<'a>(view: &RunView<'a>, node: NodeIndex) -> Option<Lan<'a>> {
    let config = &view.node(node).config;
    match &config.role {
        RoleConfig::Peer(peer) => peer.lan.as_deref().map(|lan| (config.as_number, lan)),
        _ => None,
    }
}

pub(super) fn rows(view: &RunView<'_>) -> Vec<Metric> {
    let started = view.downloads.values().filter(|download| download.started > 0).count() as u64;
    let found = Found::in_run(view);
    vec![
        Metric::new("bytes.intra_lan", Value::count(bytes(view))),
        Metric::new("lan_copies_share", Value::proportion(found.with_copy, started)),
        Metric::new("lan_served_share", Value::proportion(served(view), started)),
    ]
}

/// Content bytes that peers sent to others of their LAN. A node that moved counts while it is in the AS of its LAN.
fn bytes(view: &RunView<'_>) -> u64 {
    let within = view.pairs.iter().filter(|(key, _)| {
        let lan = lan_of(view, key.source).filter(|(at, _)| *at == key.source_as && *at == key.destination_as);
        view.role(key.source) == Role::Peer && lan.is_some() && lan == lan_of(view, key.destination)
    });
    within.map(|(_, pair)| pair.bytes()).sum()
}

/// Downloads that used bytes of a peer of their own LAN.
fn served(view: &RunView<'_>) -> u64 {
    let addresses = view.record.plan.addresses();
    let count = view.downloads.values().filter(|download| {
        let (Some((node, _)), Some(record)) = (download.planned, download.record()) else { return false };
        let Some(lan) = lan_of(view, node) else { return false };
        record.sources.iter().any(|source| {
            let giver = addresses.get(&source.address).filter(|(giver, at)| *at == lan.0 && *giver != node);
            source.role == Role::Peer && giver.is_some_and(|(giver, _)| lan_of(view, *giver) == Some(lan))
        })
    });
    count.count() as u64
}

/// Who holds what at a moment, as the run goes on.
struct Found<'a> {
    view: &'a RunView<'a>,
    nodes: BTreeMap<&'a NodeName, NodeIndex>,
    /// Whole copies of peers whose process runs, that upload and have not moved away.
    copies: BTreeMap<NodeIndex, BTreeSet<&'a ContentId>>,
    gone: BTreeSet<NodeIndex>,
    counted: BTreeSet<u32>,
    /// Downloads at whose start another peer of the LAN had a copy.
    with_copy: u64,
}

/// What may change who holds what: an event, or the end of a process.
enum Step<'a> {
    Said(&'a EventKind),
    Ended,
}

impl<'a> Found<'a> {
    fn in_run(view: &'a RunView<'a>) -> Self {
        let plan = &view.record.plan;
        let nodes: BTreeMap<&NodeName, NodeIndex> = plan.nodes.iter().map(|node| &node.name).zip(0..).collect();
        let mut found = Self {
            view,
            nodes,
            copies: BTreeMap::new(),
            gone: BTreeSet::new(),
            counted: BTreeSet::new(),
            with_copy: 0,
        };
        for node in plan.present() {
            found.begin(found.nodes[&node.name]);
        }
        let said = view.record.events.iter().map(|event| (event.t, &event.node, Step::Said(&event.kind)));
        let ended = view.record.exits.iter().map(|exit| (exit.t, &exit.node, Step::Ended));
        let mut steps: Vec<_> = said.chain(ended).collect();
        steps.sort_by_key(|(t, ..)| *t);
        for (_, node, step) in steps {
            if let Some(&node) = found.nodes.get(node) {
                found.take(node, &step);
            }
        }
        found
    }

    /// A process begins with what the plan gives it.
    fn begin(&mut self, node: NodeIndex) {
        if let RoleConfig::Peer(peer) = &self.view.node(node).config.role
            && peer.uploads.enabled
            && !self.gone.contains(&node)
        {
            self.copies.insert(node, peer.holds.iter().collect());
        }
    }

    fn take(&mut self, node: NodeIndex, step: &Step<'a>) {
        match step {
            Step::Said(EventKind::Started) if !self.copies.contains_key(&node) => self.begin(node),
            Step::Said(EventKind::Moved { .. }) => {
                self.gone.insert(node);
                self.copies.remove(&node);
            }
            Step::Ended => {
                self.copies.remove(&node);
            }
            Step::Said(EventKind::DownloadFinished(record)) if record.status == TerminalStatus::Completed => {
                if let Some(copies) = self.copies.get_mut(&node) {
                    copies.insert(&record.content);
                }
            }
            Step::Said(EventKind::CopyEvicted { content, .. }) => {
                if let Some(copies) = self.copies.get_mut(&node) {
                    copies.remove(content);
                }
            }
            Step::Said(EventKind::DownloadStarted { download, content }) => {
                if !self.gone.contains(&node) && self.is_near(node, content) && self.counted.insert(*download) {
                    self.with_copy += 1;
                }
            }
            Step::Said(_) => {}
        }
    }

    fn is_near(&self, node: NodeIndex, content: &ContentId) -> bool {
        let Some(lan) = lan_of(self.view, node) else { return false };
        let others = self.copies.iter().filter(|(other, _)| **other != node && lan_of(self.view, **other) == Some(lan));
        others.into_iter().any(|(_, copies)| copies.contains(content))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        fixture::{self, TOLD, Told, content, name},
        record::RunRecord,
    };

    /// The fixture's run with these peers in these LANs; `peer-1` holds the patch from the start.
    fn record(lans: &[(&str, &str)], told: &[Told]) -> RunRecord {
        let mut record = fixture::record_of(fixture::plan("hybrid", 0), told);
        for node in &mut Arc::make_mut(&mut record.plan).nodes {
            if let RoleConfig::Peer(peer) = &mut node.config.role {
                peer.lan = lans.iter().find(|(of, _)| *of == node.name.as_str()).map(|(_, lan)| (*lan).to_owned());
                if node.name.as_str() == "peer-1" {
                    peer.holds = vec![content("patch")];
                }
            }
        }
        record
    }

    /// Bytes inside LANs, downloads with a copy there, downloads served from there.
    fn figures(record: &RunRecord) -> [Option<f64>; 3] {
        let rows = rows(&RunView::of(record));
        ["bytes.intra_lan", "lan_copies_share", "lan_served_share"]
            .map(|wanted| rows.iter().find(|row| row.name == wanted).expect("a row").value.single())
    }

    #[test]
    fn copies_and_bytes_are_those_of_the_own_network() {
        // Downloads 0 and 2 are of peer-0; of these only the first is of the patch, of which 600 kB came from peer-1.
        let home = [("peer-0", "home"), ("peer-1", "home")];
        assert_eq!(figures(&record(&home, &TOLD)), [Some(600_000.0), Some(0.25), Some(0.25)]);
        assert_eq!(figures(&record(&[("peer-0", "home"), ("peer-1", "other")], &TOLD)), [Some(0.0); 3]);
        // The same name in another AS is another network.
        assert_eq!(figures(&record(&[("peer-2", "home"), ("peer-1", "home")], &TOLD)), [Some(0.0); 3]);
        assert_eq!(figures(&record(&home, &[])), [Some(0.0), None, None]);
    }

    #[test]
    fn a_copy_is_there_from_its_completion_until_it_is_evicted_or_its_holder_ends() {
        let home = [("peer-0", "home"), ("peer-1", "home")];
        // peer-0 completes the patch at 3 s; peer-1 asks for it at 4 s.
        let second = Told { number: 7, peer: "peer-1", start_ms: 4000, sources: &[("edge-0", 1)], ..TOLD[0].clone() };
        let run = || record(&home, &[TOLD[0].clone(), second.clone()]);
        assert_eq!(figures(&run())[1], Some(1.0));
        let mut evicted = run();
        let mut event = evicted.events[0].clone();
        let reason = peerbed_contract::Eviction::Time;
        (event.node, event.t) = (name("peer-0"), 3_500_000_000);
        event.kind = EventKind::CopyEvicted { content: content("patch"), reason };
        evicted.events.push(event);
        assert_eq!(figures(&evicted)[1], Some(0.5));
        let mut ended = run();
        ended.exits.iter_mut().find(|exit| exit.node == name("peer-0")).expect("an exit").t = 3_500_000_000;
        assert_eq!(figures(&ended)[1], Some(0.5));
        let mut silent = run();
        for node in &mut Arc::make_mut(&mut silent.plan).nodes {
            if let RoleConfig::Peer(peer) = &mut node.config.role {
                peer.uploads.enabled = false;
            }
        }
        assert_eq!(figures(&silent)[1], Some(0.0));
    }
}
