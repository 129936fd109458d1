//! Where peers are and go: what they are told of a place, the places of movers in the network, and the actions of their moves.

use std::net::IpAddr;

use peerbed_contract::{NatClass, NodeName, Place};
use peerbed_link::{Duplex, FabricPlace};

use super::{CONTROL_PORT, Context, EDGE_PORT, fabric_node};
use crate::{
    plan::{Act, Action, Relocation},
    resolve::{
        layout::Host,
        moves::{Journeys, Spot},
        policies,
        timeline::Wanted,
    },
};

impl Context<'_> {
    /// What a peer is told of a place. Its local network is where it is at the start.
    pub(super) fn place(&self, host: &Host, group: usize, (at, access, address): (usize, Duplex, IpAddr)) -> Place {
        let here = &self.layout.ases[at];
        let policy = policies::peer(&self.body.policy, &Host { at, address, access, ..host.clone() });
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
    pub(super) fn moves(&self, journeys: &Journeys, wanted: &[Wanted]) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut together: Vec<(Vec<NodeName>, Vec<Relocation>)> = vec![Default::default(); wanted.len()];
        for one in &journeys.moves {
            let host = &self.layout.hosts[one.host];
            let Some(group) = host.group else { continue };
            let (place, at, access, address) = match one.to.map(|index| &journeys.spots[index].1) {
                Some(spot) => (spot.name.clone(), spot.at, spot.access, spot.address),
                None => (host.name.clone(), host.at, host.access, host.address),
            };
            let (node, as_name) = (host.name.clone(), self.layout.ases[at].name.clone());
            let to = Relocation { place, as_name, config: self.place(host, group, (at, access, address)) };
            match one.wanted {
                Some(index) => {
                    together[index].0.push(node);
                    together[index].1.push(to);
                }
                None => actions.push(Action { at: one.at, act: Act::Move { nodes: vec![node], to: vec![to] } }),
            }
        }
        let wanted = wanted.iter().zip(together);
        actions.extend(wanted.map(|(one, (nodes, to))| Action { at: one.at, act: Act::Move { nodes, to } }));
        actions
    }
}
