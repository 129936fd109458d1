//! What is known of the nodes during a run: a pure account of their events and exits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use peerbed_contract::{Event, EventKind, NodeName, Role};
use peerbed_model::{Act, Action, Plan};

use crate::{record::NodeExit, say::harmless};

/// How long a node that comes during the run may take until it is ready.
const READY_TIME: Duration = Duration::from_secs(10);

/// The account of one run.
pub(crate) struct Watch {
    plan: Arc<Plan>,
    roles: BTreeMap<NodeName, Role>,
    alive: BTreeSet<NodeName>,
    /// Nodes that were started during the run and are not ready yet.
    coming: BTreeMap<NodeName, Coming>,
    /// How many processes of a node shall end and have not yet.
    doomed: BTreeMap<NodeName, u32>,
    /// How often they became ready during the run.
    returned: BTreeMap<NodeName, usize>,
    /// What stops and continues nodes.
    stills: Stills,
    started: BTreeSet<u32>,
    ended: BTreeSet<u32>,
    /// Downloads that can no longer end because their peer has gone for good.
    lost: BTreeSet<u32>,
    /// Everything said, in order.
    pub(crate) events: Vec<Event>,
    /// Every end of a process.
    pub(crate) exits: Vec<NodeExit>,
    /// What makes the run untrustworthy.
    pub(crate) faults: Vec<String>,
}

/// A process that is being started.
#[derive(Debug, Clone, Copy)]
struct Coming {
    since: Duration,
    /// Its end was asked for.
    doomed: bool,
}

/// Nodes that stand still: by the plan's wish, and as the agent told.
#[derive(Default)]
struct Stills {
    /// The plan has frozen them and not woken them since.
    wanted: BTreeSet<NodeName>,
    /// The plan has woken them, which was not told yet.
    waking: BTreeSet<NodeName>,
    /// They were told to stand still, and not yet to go on.
    seen: BTreeSet<NodeName>,
}

impl Stills {
    fn forget(&mut self, node: &NodeName) {
        for set in [&mut self.wanted, &mut self.waking, &mut self.seen] {
            set.remove(node);
        }
    }
}

/// What the run loop has to do about a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Nothing.
    None,
    /// A node that was started during the run waits for its start.
    SendStart(NodeName),
}

impl Watch {
    /// The account of a run whose nodes are all ready.
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        let roles: BTreeMap<_, _> = plan.nodes.iter().map(|node| (node.name.clone(), node.role)).collect();
        let latecomers = plan.latecomers();
        let alive = roles.keys().filter(|node| !latecomers.contains(node)).cloned().collect();
        Self {
            plan,
            alive,
            coming: BTreeMap::new(),
            returned: BTreeMap::new(),
            roles,
            doomed: BTreeMap::new(),
            stills: Stills::default(),
            started: BTreeSet::new(),
            ended: BTreeSet::new(),
            lost: BTreeSet::new(),
            events: Vec::new(),
            exits: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// A node printed a line.
    pub(crate) fn line(&mut self, node: &NodeName, line: &str) -> Reaction {
        let event: Event = match serde_json::from_str(line) {
            Ok(event) => event,
            Err(error) => {
                let shown: String = harmless(line).chars().take(120).collect();
                self.faults.push(format!("{node} printed a line that is not an event ({error}): {shown}"));
                return Reaction::None;
            }
        };
        if event.node != *node {
            self.faults.push(format!("{node} printed an event in the name of {}", event.node));
            return Reaction::None;
        }
        let mut reaction = Reaction::None;
        match &event.kind {
            // The first `ready` of each node but latecomers was awaited before the run.
            EventKind::Ready { .. } if self.alive.insert(node.clone()) => {
                let coming = self.coming.remove(node);
                *self.returned.entry(node.clone()).or_default() += 1;
                // One that came too late is told to end, or was.
                if !coming.is_some_and(|coming| coming.doomed) {
                    reaction = Reaction::SendStart(node.clone());
                }
            }
            EventKind::DownloadStarted { download, .. } => {
                self.started.insert(*download);
            }
            EventKind::DownloadFinished(record) => {
                self.ended.insert(record.download);
            }
            _ => {}
        }
        self.events.push(event);
        reaction
    }

    /// The end of this node is asked for from now on.
    pub(crate) fn expect_exit(&mut self, node: &NodeName) {
        let mut processes = u32::from(self.alive.contains(node));
        if let Some(coming) = self.coming.get_mut(node) {
            coming.doomed = true;
            processes += 1;
        }
        if processes > 0 {
            self.doomed.insert(node.clone(), processes);
        }
    }

    /// This node is being started, once what there is of it has ended.
    pub(crate) fn expect_ready(&mut self, node: &NodeName, since: Duration) {
        self.expect_exit(node);
        self.coming.insert(node.clone(), Coming { since, doomed: false });
    }

    /// The run is over: nodes that had their time and are not ready make it untrustworthy.
    pub(crate) fn miss_the_late(&mut self, now: Duration) {
        for (node, coming) in &self.coming {
            // Who stands still by the plan's wish says nothing.
            let had_time = now.saturating_sub(coming.since) >= READY_TIME && !self.stills.wanted.contains(node);
            if had_time && !coming.doomed {
                let since = coming.since.as_secs_f64();
                self.faults
                    .push(format!("{node} was started {since:.1} s into the run and never said that it is ready"));
            }
        }
    }

    /// This node shall stand still from now on.
    pub(crate) fn expect_frozen(&mut self, node: &NodeName) {
        self.stills.wanted.insert(node.clone());
    }

    /// This node shall go on from now on.
    pub(crate) fn expect_thawed(&mut self, node: &NodeName, now: Duration) {
        if let Some(coming) = self.coming.get_mut(node) {
            coming.since = now;
        }
        if self.stills.wanted.remove(node) {
            self.stills.waking.insert(node.clone());
        }
    }

    /// A node's process stands still.
    pub(crate) fn frozen(&mut self, node: &NodeName, at: Duration) {
        self.stills.seen.insert(node.clone());
        // One that the plan has woken since was still when it was to be.
        if !self.stills.wanted.contains(node) && !self.stills.waking.contains(node) {
            let at = at.as_secs_f64();
            self.faults.push(format!("{node} was stopped by somebody {at:.1} s into the run, unplanned"));
        }
    }

    /// A node's process goes on.
    pub(crate) fn thawed(&mut self, node: &NodeName, at: Duration) {
        let (seen, woken, at) = (self.stills.seen.remove(node), self.stills.waking.remove(node), at.as_secs_f64());
        if self.stills.wanted.contains(node) {
            self.faults
                .push(format!("{node} was continued by somebody {at:.1} s into the run, which the plan had frozen"));
        } else if !seen && !woken {
            self.faults.push(format!("{node} was stopped by somebody for a moment {at:.1} s into the run, unplanned"));
        }
    }

    /// A node's process ended.
    pub(crate) fn exited(&mut self, node: &NodeName, t: u64, code: Option<i32>, signal: Option<i32>) {
        let planned = self.ended_as_planned(node);
        // Else it was one that was coming, or its successor is.
        if !self.alive.remove(node) && self.coming.get(node).is_some_and(|coming| coming.doomed || !planned) {
            self.coming.remove(node);
        }
        self.stills.forget(node);
        if !planned {
            let how = match (code, signal) {
                (Some(code), _) => format!("with code {code}"),
                (None, Some(signal)) => format!("by signal {signal}"),
                (None, None) => "in an unknown way".to_owned(),
            };
            self.faults
                .push(format!("{node} ended {how} {:.1} s into the run, unplanned; see its log", t as f64 / 1e9));
        }
        // One that the plan starts again asks again for what it had not got.
        if !planned || self.returned.get(node).copied().unwrap_or(0) >= self.starts_of(node) {
            for step in self.script_of(node) {
                if !self.ended.contains(&step) {
                    self.lost.insert(step);
                }
            }
        }
        self.exits.push(NodeExit { node: node.clone(), t, code, signal, planned });
    }

    /// Counts the end of a process among those that were asked for; whether it is one.
    fn ended_as_planned(&mut self, node: &NodeName) -> bool {
        let Some(left) = self.doomed.get_mut(node) else { return false };
        *left -= 1;
        if *left == 0 {
            self.doomed.remove(node);
        }
        true
    }

    /// How often the plan starts a node during the run.
    fn starts_of(&self, node: &NodeName) -> usize {
        let starts = |action: &&Action| matches!(&action.act, Act::Add { nodes } | Act::Restart { nodes } if nodes.contains(node));
        self.plan.timeline.iter().filter(starts).count()
    }

    fn script_of(&self, node: &NodeName) -> Vec<u32> {
        let mine = self.plan.nodes.iter().find(|n| n.name == *node);
        match mine.map(|n| &n.config.role) {
            Some(peerbed_contract::RoleConfig::Peer(peer)) => peer.script.iter().map(|s| s.download).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether every planned download has ended, or never can.
    pub(crate) fn all_ended(&self) -> bool {
        self.ended.len() + self.lost.difference(&self.ended).count() >= self.plan.downloads()
    }

    /// Downloads that ended.
    pub(crate) fn ended(&self) -> usize {
        self.ended.len()
    }

    /// Downloads that are under way.
    pub(crate) fn active(&self) -> usize {
        self.started.difference(&self.ended).filter(|d| !self.lost.contains(d)).count()
    }

    /// Whether a node runs and shall go on to, so that it can be told something.
    pub(crate) fn hears(&self, node: &NodeName) -> bool {
        self.alive.contains(node) && !self.doomed.contains_key(node)
    }

    /// Whether a node is being started, and shall go on.
    pub(crate) fn is_coming(&self, node: &NodeName) -> bool {
        self.coming.get(node).is_some_and(|coming| !coming.doomed)
    }

    /// Whether the plan has a node stand still.
    pub(crate) fn is_still(&self, node: &NodeName) -> bool {
        self.stills.wanted.contains(node)
    }

    /// Living nodes of a role (`true`: peers; `false`: all others), with those that are coming.
    pub(crate) fn alive(&self, peers: bool) -> Vec<NodeName> {
        let all = self.alive.iter().chain(self.coming.keys().filter(|node| !self.alive.contains(*node)));
        all.filter(|n| (self.roles.get(*n) == Some(&Role::Peer)) == peers).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
