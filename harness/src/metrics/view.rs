//! A run's events put in order: downloads by number, transfers by (source, destination, content), nodes by address.
//! Metrics, reconciliation and the Parquet tables all read the same view, so they cannot disagree about what was said.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use peerbed_contract::{
    AsNumber, ContentId, DownloadRecord, EventKind, NodeName, Role, RoleConfig, ScriptStep, TerminalStatus,
    TransferRecord,
};
use peerbed_model::{Act, PlannedNode};

use crate::record::RunRecord;

/// A node's place in the plan's list.
pub type NodeIndex = usize;

/// The events of one run, in order.
#[derive(Debug)]
pub struct RunView<'a> {
    /// What it was made from.
    pub record: &'a RunRecord,
    /// Every download that was planned or that a node spoke of, by number.
    pub downloads: BTreeMap<u32, Download<'a>>,
    /// Content bytes by who sent what to whom.
    pub pairs: BTreeMap<PairKey<'a>, Pair>,
    /// Nodes that the plan killed (or froze to the end) and that a signal indeed ended.
    pub killed: BTreeSet<NodeIndex>,
    /// Of those, the ones that the plan started again.
    pub restarted: BTreeSet<NodeIndex>,
    /// Nodes that the plan moved to another address.
    pub moved: BTreeSet<NodeIndex>,
    /// Nodes that the plan adds, but the run ended before.
    pub never_added: BTreeSet<NodeIndex>,
    /// Nodes whose last line is `stopped`.
    pub stopped: BTreeSet<NodeIndex>,
    /// One sentence for each event that no node of the plan could have meant.
    pub strange: Vec<String>,
}

/// Everything that was planned and said of one download.
#[derive(Debug, Default)]
pub struct Download<'a> {
    /// Who was to make it and when; none if no script has it.
    pub planned: Option<(NodeIndex, &'a ScriptStep)>,
    /// How often it was said to begin.
    pub started: u32,
    /// Whether its user was said to pause it.
    pub paused: bool,
    /// Its terminal records, in the order of arrival; exactly one when all is well.
    pub records: Vec<&'a DownloadRecord>,
}

impl<'a> Download<'a> {
    /// How it ended. A restarted node may have ended a download twice; the last word counts.
    pub fn record(&self) -> Option<&'a DownloadRecord> {
        self.records.last().copied()
    }

    /// Whether its user paused it at least once, by its record or by what was said before its node died.
    pub fn was_paused(&self) -> bool {
        self.paused || self.record().is_some_and(|record| record.pauses > 0 || record.status == TerminalStatus::Paused)
    }
}

/// Who sent what to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PairKey<'a> {
    /// The sender.
    pub source: NodeIndex,
    /// Where it was then.
    pub source_as: AsNumber,
    /// The receiver.
    pub destination: NodeIndex,
    /// Where it was then.
    pub destination_as: AsNumber,
    /// The object.
    pub content: &'a ContentId,
}

/// Content bytes of one pair of nodes and one object, as both sides counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pair {
    /// What the sender said it sent.
    pub sent: u64,
    /// What the receiver said it received.
    pub received: u64,
    /// A line of either side said that the connection broke.
    pub broken: bool,
}

impl Pair {
    /// The bytes that crossed: both counts are the same unless the pair broke or one side died, and then the larger one is
    /// nearer to the truth.
    pub fn bytes(&self) -> u64 {
        self.sent.max(self.received)
    }
}

impl<'a> RunView<'a> {
    /// Puts a record's events in order.
    pub fn of(record: &'a RunRecord) -> Self {
        let mut view = Self {
            record,
            downloads: planned_downloads(record),
            pairs: BTreeMap::new(),
            killed: BTreeSet::new(),
            restarted: BTreeSet::new(),
            moved: BTreeSet::new(),
            never_added: BTreeSet::new(),
            stopped: BTreeSet::new(),
            strange: Vec::new(),
        };
        let nodes: BTreeMap<&NodeName, NodeIndex> =
            record.plan.nodes.iter().enumerate().map(|(index, node)| (&node.name, index)).collect();
        let addresses = record.plan.addresses();
        let added = record.acts.iter().filter(|done| matches!(done.act, Act::Add { .. }));
        let added: BTreeSet<&NodeName> = added.flat_map(|done| done.act.nodes()).collect();
        let never = record.plan.latecomers().into_iter().filter(|node| !added.contains(node));
        view.never_added = never.filter_map(|node| nodes.get(node).copied()).collect();
        view.find_killed(&nodes);
        let moves = record.acts.iter().filter(|carried| matches!(carried.act, Act::Move { .. }));
        let who = moves.flat_map(|carried| carried.act.nodes());
        view.moved.extend(who.filter_map(|node| nodes.get(node).copied()));
        for event in &record.events {
            let Some(&node) = nodes.get(&event.node) else {
                view.strange.push(format!("an event came from `{}`, which is no node of the plan", event.node));
                continue;
            };
            match &event.kind {
                EventKind::Stopped => {
                    view.stopped.insert(node);
                }
                EventKind::DownloadStarted { download, .. } => view.of_download(node, *download).started += 1,
                EventKind::DownloadPaused { download } => view.of_download(node, *download).paused = true,
                EventKind::DownloadFinished(finished) => {
                    view.of_download(node, finished.download).records.push(finished);
                }
                EventKind::Transfer(transfer) => view.take_transfer(node, &addresses, transfer),
                _ => {}
            }
        }
        view
    }

    /// The plan's entry of a node.
    pub fn node(&self, index: NodeIndex) -> &'a PlannedNode {
        &self.record.plan.nodes[index]
    }

    /// Where a node is at the start.
    pub fn as_of(&self, index: NodeIndex) -> AsNumber {
        self.node(index).config.as_number
    }

    /// What a node does.
    pub fn role(&self, index: NodeIndex) -> Role {
        self.node(index).role
    }

    /// The records of the downloads that ended, one each, in the order of their numbers.
    pub fn records(&self) -> impl Iterator<Item = &'a DownloadRecord> + '_ {
        self.downloads.values().filter_map(Download::record)
    }

    /// Content bytes that peers sent, by (source AS, destination AS).
    pub fn peer_bytes_by_as(&self) -> BTreeMap<(AsNumber, AsNumber), u64> {
        let mut bytes = BTreeMap::new();
        for (key, pair) in &self.pairs {
            if self.role(key.source) == Role::Peer {
                *bytes.entry((key.source_as, key.destination_as)).or_default() += pair.bytes();
            }
        }
        bytes
    }

    fn find_killed(&mut self, nodes: &BTreeMap<&NodeName, NodeIndex>) {
        let by_signal: BTreeSet<NodeIndex> = (self.record.exits.iter())
            .filter(|exit| exit.planned && exit.signal.is_some())
            .filter_map(|exit| nodes.get(&exit.node).copied())
            .collect();
        let mut frozen = BTreeSet::new();
        for action in &self.record.plan.timeline {
            let known = action.act.nodes().iter().filter_map(|node| nodes.get(node).copied());
            let concerned = known.filter(|index| by_signal.contains(index));
            match &action.act {
                Act::Kill { .. } => self.killed.extend(concerned),
                Act::Restart { .. } => self.restarted.extend(concerned),
                Act::Freeze { .. } => frozen.extend(concerned),
                Act::Thaw { .. } => {
                    let thawed: BTreeSet<NodeIndex> = concerned.collect();
                    frozen.retain(|index| !thawed.contains(index));
                }
                _ => {}
            }
        }
        self.killed.append(&mut frozen);
    }

    fn of_download(&mut self, node: NodeIndex, number: u32) -> &mut Download<'a> {
        let download = self.downloads.entry(number).or_default();
        let name = &self.record.plan.nodes[node].name;
        match download.planned {
            None => self.strange.push(format!("{name} spoke of download {number}, which no script has")),
            Some((owner, _)) if owner != node => self.strange.push(format!(
                "{name} spoke of download {number}, which is in the script of {}",
                self.record.plan.nodes[owner].name
            )),
            Some(_) => {}
        }
        download
    }

    fn take_transfer(
        &mut self,
        node: NodeIndex,
        addresses: &BTreeMap<IpAddr, (NodeIndex, AsNumber)>,
        transfer: &'a TransferRecord,
    ) {
        let name = &self.record.plan.nodes[node].name;
        let Some(&remote) = addresses.get(&transfer.remote) else {
            let sentence = format!("{name} exchanged content with {}, which is no node of the plan", transfer.remote);
            return self.strange.push(sentence);
        };
        let local = transfer.local.unwrap_or(self.node(node).config.address);
        match addresses.get(&local) {
            Some(&(of, at)) if of == node => self.add_transfer((node, at), remote, transfer),
            _ => self.strange.push(format!("{name} exchanged content from {local}, which is no address of its")),
        }
    }

    fn add_transfer(
        &mut self,
        (node, node_as): (NodeIndex, AsNumber),
        (remote, remote_as): (NodeIndex, AsNumber),
        transfer: &'a TransferRecord,
    ) {
        let content = &transfer.content;
        let key = |(source, source_as), (destination, destination_as)| PairKey {
            source,
            source_as,
            destination,
            destination_as,
            content,
        };
        if transfer.sent > 0 || transfer.broken {
            let pair = self.pairs.entry(key((node, node_as), (remote, remote_as))).or_default();
            pair.sent += transfer.sent;
            pair.broken |= transfer.broken;
        }
        if transfer.received > 0 || transfer.broken {
            let pair = self.pairs.entry(key((remote, remote_as), (node, node_as))).or_default();
            pair.received += transfer.received;
            pair.broken |= transfer.broken;
        }
    }
}

fn planned_downloads(record: &RunRecord) -> BTreeMap<u32, Download<'_>> {
    let mut downloads = BTreeMap::new();
    for (index, node) in record.plan.nodes.iter().enumerate() {
        if let RoleConfig::Peer(peer) = &node.config.role {
            for step in &peer.script {
                downloads.insert(step.download, Download { planned: Some((index, step)), ..Download::default() });
            }
        }
    }
    downloads
}
