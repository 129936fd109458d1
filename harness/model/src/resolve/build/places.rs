//! Where peers are and go: what they are told of a place, the places of movers in the network, and the actions of their moves.

use std::net::IpAddr;

use peerbed_contract::{Courtesy, NatClass, NodeName, Place};
use peerbed_link::{Bandwidth, Duplex, FabricPlace, Probability, Rate};

use super::{CONTROL_PORT, Context, EDGE_PORT, fabric_node, rate_bps};
use crate::{
    plan::{Act, Action, Relocation},
    resolve::{
        layout::Host,
        moves::{Journeys, Spot},
        timeline::Wanted,
    },
};

impl Context<'_> {
    /// What a peer is told of a place. Its local network is where it is at the start.
    pub(super) fn place(&self, host: &Host, group: usize, (at, access, address): (usize, Duplex, IpAddr)) -> Place {
        let (policy, here) = (&self.body.policy, &self.layout.ases[at]);
        Place {
            address,
            as_number: here.number,
            region: here.region.clone(),
            lan: self.body.groups[group].lan.clone().filter(|_| address == host.address),
            control: self.in_order(&here.control, host, CONTROL_PORT),
            edges: self.in_order(&here.edges, host, EDGE_PORT),
            rate_bps: rate_bps(policy.upload_rate, access.up.bandwidth),
            courtesy: self.courtesy(access.up.bandwidth),
            edge_target_bps: rate_bps(policy.edge_target, access.down.bandwidth),
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

    /// How uploads give way on a link with this uplink.
    fn courtesy(&self, uplink: Bandwidth) -> Courtesy {
        let policy = &self.body.policy;
        let whole = rate_bps(policy.upload_rate, uplink).or(uplink.mean().map(Rate::bps));
        let share = |share: Probability| match share.get() {
            0.0 => Some(0),
            1.0 => None,
            share => whole.map(|whole| ((whole as f64 * share) as u64).max(1)),
        };
        Courtesy {
            busy_rate_bps: share(policy.while_busy),
            downloading_rate_bps: share(policy.while_downloading),
            back_off_ns: policy.back_off.as_nanos() as u64,
        }
    }
}
