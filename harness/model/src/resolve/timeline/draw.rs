//! The draws of a timeline: who of a group is meant by a share of it.

use std::{collections::BTreeMap, time::Duration};

use peerbed_contract::NodeName;

use super::{
    moving::Departure,
    policy::Change,
    verb::{Life, Turn},
};
use crate::{
    plan::{Act, Action},
    resolve::{layout::Layout, seeds::Seeds},
};

/// An action whose nodes may not be drawn yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(super) at: Duration,
    /// Its place among all, in the order in which they happen.
    pub(super) number: usize,
    pub(super) what: What,
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// To known nodes and links.
    Known(Box<Act>),
    /// Hosts change their places.
    Move(Box<Departure>),
    /// To the policy, of which each node is told what concerns it.
    Policy(Box<Change>),
    /// To some of a group.
    Some {
        turn: Turn,
        /// Index of the group.
        group: usize,
        /// How many; none: all whom the turn can take.
        count: Option<u32>,
    },
}

/// Peers that come during the run, of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) at: Duration,
    pub(crate) peers: u32,
}

/// How many of each group are not there at the start, by what adds of it take; none: all.
pub(super) fn absent(adds: impl Iterator<Item = (usize, Option<u32>)>) -> BTreeMap<usize, Option<u32>> {
    let mut absent = BTreeMap::new();
    for (group, count) in adds {
        let sum: &mut Option<u32> = absent.entry(group).or_insert(Some(0));
        *sum = sum.zip(count).map(|(sum, count)| sum.saturating_add(count));
    }
    absent
}

fn adds(steps: &[Step]) -> impl Iterator<Item = (Duration, usize, Option<u32>)> {
    steps.iter().filter_map(|step| match step.what {
        What::Some { turn: Turn::Add, group, count } => Some((step.at, group, count)),
        _ => None,
    })
}

/// When how many of each group come, in order of time; whoever is in none of these is there from the start.
pub(crate) fn arrivals(steps: &[Step], layout: &Layout) -> Vec<Vec<Arrival>> {
    let mut arrivals = vec![Vec::new(); layout.first_peer.len()];
    let mut left: BTreeMap<usize, u32> = (absent(adds(steps).map(|(_, group, count)| (group, count))).into_iter())
        .map(|(group, count)| (group, count.unwrap_or(layout.peers(group).len() as u32)))
        .collect();
    for (at, group, count) in adds(steps) {
        let left = left.entry(group).or_default();
        let peers = count.unwrap_or(*left).min(*left);
        *left -= peers;
        arrivals[group].push(Arrival { at, peers });
    }
    arrivals
}

/// Every action with its nodes, but moves and changes of the policy. Who is drawn depends on the time, the verb and the group, so
/// arms draw the same ones. Each comes with its number.
pub(crate) fn draw(steps: &[Step], layout: &Layout, seeds: &Seeds) -> Vec<(Option<usize>, Action)> {
    let mut lives: BTreeMap<NodeName, Life> = BTreeMap::new();
    for (group, count) in absent(adds(steps).map(|(_, group, count)| (group, count))) {
        let peers = layout.peers(group);
        let count = count.unwrap_or(peers.len() as u32);
        let chosen = seeds.choose("timeline/absent", peers.iter().map(|host| host.name.as_str()), count);
        let drawn = peers.iter().zip(chosen).filter(|(_, chosen)| *chosen);
        lives.extend(drawn.map(|(host, _)| (host.name.clone(), Life::Absent)));
    }
    let mut actions = Vec::with_capacity(steps.len());
    for Step { at, number, what } in steps {
        let act = match what {
            What::Known(act) => Act::clone(act),
            // These hang on where everybody is then.
            What::Move(_) | What::Policy(_) => continue,
            What::Some { turn, group, count } => {
                let life = |name| lives.get(name).copied().unwrap_or(Life::Running);
                let peers = layout.peers(*group).iter().map(|host| &host.name);
                let able: Vec<&NodeName> = peers.filter(|name| life(name) == turn.of()).collect();
                let draw = format!("timeline/{}/{}", at.as_nanos(), turn.word());
                let count = count.unwrap_or(able.len() as u32);
                let chosen = seeds.choose(&draw, able.iter().map(|name| name.as_str()), count);
                let drawn = able.into_iter().zip(chosen).filter(|(_, chosen)| *chosen);
                turn.act(drawn.map(|(name, _)| name.clone()).collect())
            }
        };
        let life = match &act {
            Act::Kill { .. } => Some(Life::Killed),
            Act::Add { .. } | Act::Restart { .. } | Act::Thaw { .. } => Some(Life::Running),
            Act::Freeze { .. } => Some(Life::Frozen),
            _ => None,
        };
        if let Some(life) = life {
            lives.extend(act.nodes().iter().map(|name| (name.clone(), life)));
        }
        actions.push((Some(*number), Action { at: *at, act }));
    }
    actions
}
