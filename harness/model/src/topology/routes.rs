//! The way of packets between ASes: valley-free, shortest, ties by AS number.
//!
//! A path climbs from customers to providers, crosses at most one link of peers, then descends from providers to
//! customers (Gao 2001: "valley-free"). Among those, the one with the fewest links is taken; among equals, the one whose
//! AS numbers are lowest, compared from its beginning.

use std::collections::VecDeque;

use peerbed_contract::AsNumber;
use peerbed_link::{Heading, Hop};

use crate::topology::{Relation, Topology};

/// One step that an AS can take.
#[derive(Debug, Clone, Copy)]
struct Step {
    to: usize,
    hop: Hop,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// To a provider.
    Up,
    /// To a peer.
    Across,
    /// To a customer.
    Down,
}

/// Whether a path may still climb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Climbing = 0,
    Descending = 1,
}

impl Phase {
    /// The phase after a step, if the step is allowed.
    fn after(self, kind: Kind) -> Option<Phase> {
        match (self, kind) {
            (Phase::Climbing, Kind::Up) => Some(Phase::Climbing),
            (Phase::Climbing, Kind::Across) | (_, Kind::Down) => Some(Phase::Descending),
            (Phase::Descending, _) => None,
        }
    }
}

/// The links of a topology as seen from each AS.
#[derive(Debug)]
pub(crate) struct Graph {
    numbers: Vec<AsNumber>,
    steps: Vec<Vec<Step>>,
}

/// For every AS and phase, how many links it is from there to one destination.
type Distances = Vec<[Option<u32>; 2]>;

impl Graph {
    /// The graph of a topology.
    pub(crate) fn new(topology: &Topology) -> Self {
        let mut steps = vec![Vec::new(); topology.ases.len()];
        for (index, link) in topology.links.iter().enumerate() {
            let (forward, backward) = match link.relation {
                Relation::CustomerToProvider => (Kind::Up, Kind::Down),
                Relation::Peers => (Kind::Across, Kind::Across),
            };
            let hop = |heading| Hop { link: index as u32, heading };
            steps[link.a].push(Step { to: link.b, hop: hop(Heading::Forward), kind: forward });
            steps[link.b].push(Step { to: link.a, hop: hop(Heading::Backward), kind: backward });
        }
        let numbers: Vec<AsNumber> = topology.ases.iter().map(|one| one.number).collect();
        // In this order the first step that leads nearer is the one with the lowest AS number.
        for steps in &mut steps {
            steps.sort_by_key(|step| numbers[step.to]);
        }
        Self { numbers, steps }
    }

    /// The paths from every AS to `destination`; none where there is no valley-free one.
    pub(crate) fn to(&self, destination: usize) -> Vec<Option<Vec<Hop>>> {
        let distances = self.distances(destination);
        (0..self.numbers.len()).map(|from| self.walk(from, destination, &distances)).collect()
    }

    /// Breadth first, from the destination against the direction of travel.
    fn distances(&self, destination: usize) -> Distances {
        let mut distances: Distances = vec![[None; 2]; self.numbers.len()];
        let mut queue = VecDeque::new();
        for phase in [Phase::Climbing, Phase::Descending] {
            distances[destination][phase as usize] = Some(0);
            queue.push_back((destination, phase));
        }
        while let Some((at, phase)) = queue.pop_front() {
            let next = distances[at][phase as usize].map(|distance| distance + 1);
            for back in &self.steps[at] {
                // The step from `back.to` to `at` is this one seen from the other side.
                let kind = match back.kind {
                    Kind::Up => Kind::Down,
                    Kind::Down => Kind::Up,
                    Kind::Across => Kind::Across,
                };
                for before in [Phase::Climbing, Phase::Descending] {
                    let distance = &mut distances[back.to][before as usize];
                    if before.after(kind) == Some(phase) && distance.is_none() {
                        *distance = next;
                        queue.push_back((back.to, before));
                    }
                }
            }
        }
        distances
    }

    /// Forward from `from`: at each AS the lowest number among those that are one link nearer.
    fn walk(&self, from: usize, destination: usize, distances: &[[Option<u32>; 2]]) -> Option<Vec<Hop>> {
        let (mut at, mut phase) = (from, Phase::Climbing);
        let mut left = distances[at][phase as usize]?;
        let mut hops = Vec::new();
        while at != destination {
            let step = self.steps[at].iter().find_map(|step| {
                let after = phase.after(step.kind)?;
                (distances[step.to][after as usize] == Some(left - 1)).then_some((step, after))
            });
            let (step, after) = step.expect("an AS at a distance has a neighbour one link nearer");
            hops.push(step.hop);
            (at, phase, left) = (step.to, after, left - 1);
        }
        Some(hops)
    }
}
