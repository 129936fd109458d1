//! The draws of a timeline: who of a group is meant by a share of it.

use std::{collections::BTreeMap, time::Duration};

use peerbed_contract::NodeName;

use super::{
    moving::Departure,
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
    pub(super) what: What,
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// To known nodes and links.
    Known(Box<Act>),
    /// Hosts change their places.
    Move(Box<Departure>),
    /// To some of a group.
    Some {
        turn: Turn,
        /// Index of the group.
        group: usize,
        /// How many; none: all whom the turn can take.
        count: Option<u32>,
    },
}

/// Every action with its nodes. Who is drawn depends on the time, the verb and the group, so arms draw the same ones.
pub(crate) fn draw(steps: &[Step], layout: &Layout, seeds: &Seeds) -> Vec<Action> {
    let mut lives: BTreeMap<NodeName, Life> = BTreeMap::new();
    let mut actions = Vec::with_capacity(steps.len());
    for Step { at, what } in steps {
        let act = match what {
            What::Known(act) => Act::clone(act),
            What::Move(_) => continue, // See `moves`.
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
            Act::Restart { .. } | Act::Thaw { .. } => Some(Life::Running),
            Act::Freeze { .. } => Some(Life::Frozen),
            _ => None,
        };
        if let Some(life) = life {
            lives.extend(act.nodes().iter().map(|name| (name.clone(), life)));
        }
        actions.push(Action { at: *at, act });
    }
    actions
}
