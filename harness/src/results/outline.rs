//! A plan in a few lines: what `manifest.json` says of it beside the parameters, for readers who would not go through
//! `plan.yaml`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use peerbed_contract::{Object, Role, RoleConfig};
use peerbed_model::{Plan, PlannedNode};
use serde::{Deserialize, Serialize};

/// What an arm's first run was to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outline {
    /// Its longest duration, seconds.
    pub duration_s: f64,
    /// How many downloads its users ask for.
    pub downloads: usize,
    /// The same of each run of the arm, in order; nothing in results of earlier versions.
    #[serde(default)]
    pub downloads_of_repeats: Vec<usize>,
    /// How many peers hold a whole copy of something when it begins; none in results of earlier versions.
    #[serde(default)]
    pub holders: Option<usize>,
    /// Its nodes, by what they were declared as.
    pub groups: Vec<Group>,
    /// What can be downloaded.
    pub content: Vec<Content>,
    /// What happens from outside, in order; moves of single peers that are too many to be told of one by one are left out.
    pub timeline: Vec<String>,
}

/// Nodes that were declared together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// `edges`, `control`, or the name of a group of peers.
    pub name: String,
    /// `edge`, `control` or `peer`.
    pub role: String,
    /// How many in each AS, by its number.
    pub by_as: BTreeMap<u32, usize>,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Its name.
    pub id: String,
    /// Bytes.
    pub size: u64,
    /// Whose it is.
    pub provider: String,
    /// Whether peers may distribute it.
    pub peers_allowed: bool,
}

impl Outline {
    /// Of the first plan of each arm, by arm.
    pub fn by_arm(plans: &[Arc<Plan>]) -> BTreeMap<String, Self> {
        let mut outlines: BTreeMap<String, Self> = BTreeMap::new();
        for plan in plans {
            match outlines.get_mut(&plan.arm) {
                Some(outline) => outline.downloads_of_repeats.push(plan.downloads()),
                None => drop(outlines.insert(plan.arm.clone(), Self::of(plan))),
            }
        }
        outlines
    }

    /// Its peers.
    pub fn peers(&self) -> usize {
        let peers = self.groups.iter().filter(|group| group.role == Role::Peer.to_string());
        peers.flat_map(|group| group.by_as.values()).sum()
    }

    /// Of one plan.
    pub fn of(plan: &Plan) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for node in &plan.nodes {
            let place = groups.iter().position(|group| group.name == node.group);
            let place = place.unwrap_or_else(|| {
                groups.push(Group { name: node.group.clone(), role: node.role.to_string(), by_as: BTreeMap::new() });
                groups.len() - 1
            });
            *groups[place].by_as.entry(node.config.as_number.get()).or_default() += 1;
        }
        let edge = plan.nodes.iter().find(|node| node.role == Role::Edge);
        let objects: &[Object] = match edge.map(|edge| &edge.config.role) {
            Some(RoleConfig::Edge(edge)) => &edge.objects,
            _ => &[],
        };
        let holds = |node: &&PlannedNode| matches!(&node.config.role, RoleConfig::Peer(peer) if !peer.holds.is_empty());
        let told = plan.timeline.iter().filter(|action| !plan.is_one_of_many_moves(&action.act));
        Self {
            duration_s: plan.duration.as_secs_f64(),
            downloads: plan.downloads(),
            downloads_of_repeats: vec![plan.downloads()],
            holders: Some(plan.nodes.iter().filter(holds).count()),
            groups,
            content: objects.iter().map(content).collect(),
            timeline: told.map(|action| format!("{}: {}", seconds(action.at), action.act.label())).collect(),
        }
    }
}

fn content(object: &Object) -> Content {
    Content {
        id: object.id.to_string(),
        size: object.size,
        provider: object.provider.clone(),
        peers_allowed: object.peers_allowed,
    }
}

fn seconds(at: Duration) -> String {
    format!("{:.1} s", at.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn it_counts_nodes_by_group_and_as() {
        let outline = Outline::of(&fixture::plan("hybrid", 0));
        let [infrastructure, peers] = &outline.groups[..] else { panic!("{outline:?}") };
        let places = |group: &Group| group.by_as.iter().map(|(number, count)| (*number, *count)).collect::<Vec<_>>();
        assert_eq!((infrastructure.role.as_str(), places(infrastructure)), ("edge", vec![(1, 2), (2, 1)]));
        assert_eq!((peers.role.as_str(), places(peers)), ("peer", vec![(1, 2), (2, 1)]));
        let sizes: Vec<(&str, u64)> = outline.content.iter().map(|one| (one.id.as_str(), one.size)).collect();
        assert_eq!(sizes, [("patch", 1_000_000), ("film", 2_000_000)]);
    }

    #[test]
    fn it_counts_the_downloads_of_every_repeat() {
        let plan = |arm: &str, repeat: u32, most: usize| {
            fixture::record_of(fixture::plan(arm, repeat), &fixture::TOLD[..most]).plan
        };
        let plans = [plan("a", 0, 3), plan("b", 0, 1), plan("a", 1, 1), plan("b", 1, 3)];
        let outlines = Outline::by_arm(&plans);
        let a = &outlines["a"];
        assert_eq!((a.downloads, &a.downloads_of_repeats[..]), (3, &[3, 1][..]));
        assert_eq!(outlines["b"].downloads_of_repeats, [1, 3]);
    }
}
