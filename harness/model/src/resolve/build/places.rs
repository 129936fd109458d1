//! Where peers are and go: what they are told of a place, the places of movers in the network, the actions of their moves, and
//! what they are told of another policy where they are.

use std::{net::IpAddr, time::Duration};

use peerbed_contract::{NatClass, NodeName, Place};
use peerbed_link::{Duplex, FabricPlace};

use super::{CONTROL_PORT, Context, EDGE_PORT, fabric_node};
use crate::{
    experiment::Policy,
    plan::{Act, Action, Relocation},
    resolve::{
        layout::Host,
        moves::{Journeys, Move, Spot},
        policies,
        timeline::{self, Change, Step, Wanted},
    },
};

/// An action with its number in the timeline; none: a pattern's.
type Numbered = (Option<usize>, Action);

/// Its time, and its number in the timeline.
fn when(one: &Move, wanted: &[Wanted]) -> (Duration, Option<usize>) {
    (one.at, one.wanted.map(|index| wanted[index].number))
}

impl Context<'_> {
    /// What a peer is told of its own place.
    pub(super) fn home(&self, host: &Host, group: usize, policy: &Policy) -> Place {
        self.place(host, group, (host.at, host.access, host.address), policy)
    }

    /// What a peer is told of a place. Its local network is where it is at the start.
    fn place(
        &self,
        host: &Host,
        group: usize,
        (at, access, address): (usize, Duplex, IpAddr),
        policy: &Policy,
    ) -> Place {
        let here = &self.layout.ases[at];
        let policy = policies::peer(policy, access);
        Place {
            address,
            as_number: here.number,
            region: here.region.clone(),
            lan: self.body.groups[group].lan.clone().filter(|_| address == host.address),
            control: self.in_order(&here.control, host, CONTROL_PORT),
            edges: self.in_order(&here.edges, host, EDGE_PORT),
            rate_bps: policy.uploads.rate_bps,
            courtesy: policy.courtesy,
            edge_target_bps: policy.edge_target_bps,
        }
    }

    /// The places of journeys, with the translation that their hosts have in their own.
    pub(super) fn places(&self, journeys: &Journeys) -> Vec<FabricPlace> {
        let place = |(index, spot): &(usize, Spot)| {
            let host = &self.layout.hosts[*index];
            let nat =
                host.group.map_or(NatClass::None, |group| self.nats[group][index - self.layout.first_peer[group]]);
            let Spot { name, at, access, address } = spot.clone();
            let of = host.name.clone();
            let there = Host { name, at, address, access, ..host.clone() };
            FabricPlace { of, at: fabric_node(&there, self.layout, nat) }
        };
        let mut places: Vec<FabricPlace> = journeys.spots.iter().map(place).collect();
        places.sort_by_key(|place| place.at.address);
        places
    }

    /// The actions of journeys: one for each move of a pattern, and for each of the timeline with all whom it is about.
    pub(super) fn moves(&self, steps: &[Step], journeys: &Journeys, wanted: &[Wanted]) -> Vec<Numbered> {
        let mut actions = Vec::new();
        let mut changes = timeline::changes(steps).peekable();
        let mut policy = &self.body.policy;
        let mut together: Vec<(Vec<NodeName>, Vec<Relocation>)> = vec![Default::default(); wanted.len()];
        for one in &journeys.moves {
            let host = &self.layout.hosts[one.host];
            let Some(group) = host.group else { continue };
            while let Some((_, change)) = changes.next_if(|(at, _)| *at < when(one, wanted)) {
                policy = &change.after;
            }
            let (place, at, config) = match one.to.map(|index| &journeys.spots[index].1) {
                Some(Spot { name, at, access, address }) => {
                    (name, *at, self.place(host, group, (*at, *access, *address), policy))
                }
                None => (&host.name, host.at, self.home(host, group, policy)),
            };
            let (node, as_name) = (host.name.clone(), self.layout.ases[at].name.clone());
            let to = Relocation { place: place.clone(), as_name, config };
            match one.wanted {
                Some(index) => {
                    together[index].0.push(node);
                    together[index].1.push(to);
                }
                None => actions.push((None, Action { at: one.at, act: Act::Move { nodes: vec![node], to: vec![to] } })),
            }
        }
        let wanted = wanted.iter().zip(together);
        let action =
            |(one, (nodes, to)): (&Wanted, _)| (Some(one.number), Action { at: one.at, act: Act::Move { nodes, to } });
        actions.extend(wanted.map(action));
        actions
    }

    /// The actions that change the policy: every node is told what it means where the node is then.
    pub(super) fn policies(&self, steps: &[Step], journeys: &Journeys, wanted: &[Wanted]) -> Vec<Numbered> {
        let hosts = &self.layout.hosts;
        let mut links: Vec<Duplex> = hosts.iter().map(|host| host.access).collect();
        let mut moves = journeys.moves.iter().peekable();
        let told = timeline::changes(steps).map(|(at, Change { before, after, changes })| {
            while let Some(one) = moves.next_if(|one| when(one, wanted) < at) {
                links[one.host] = one.to.map_or(hosts[one.host].access, |index| journeys.spots[index].1.access);
            }
            let orders = policies::orders(before, after, self.layout, &links);
            (at.1, Action { at: at.0, act: Act::SetPolicy { changes: changes.clone(), orders } })
        });
        told.collect()
    }
}
