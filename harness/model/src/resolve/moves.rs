//! Journeys: when the hosts of movers change their places, by patterns of groups and by the timeline, and the addresses that are
//! kept for them.
//!
//! A host has its own place, and others in ASes, each with an address and a link of its own that nobody else gets. By its pattern
//! it stays for exponential times and goes to any of its other places; a timeline sends it to an AS, to the first of its places
//! there where it is not, else to a new one. A place has an address from the first visit on.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use peerbed_contract::NodeName;
use peerbed_link::Duplex;

use super::{
    layout::{Host, Layout},
    seeds::Seeds,
    timeline::Wanted,
    whereabouts::Whereabouts,
};
use crate::experiment::{Group, moves::Moves};

/// A place where a host may be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spot {
    /// The host's own name for its own place.
    pub(super) name: NodeName,
    /// Index of the AS.
    pub(super) at: usize,
    pub(super) access: Duplex,
    pub(super) address: IpAddr,
}

/// Somebody goes somewhere.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Move {
    pub(super) at: Duration,
    /// Index of the host.
    pub(super) host: usize,
    /// Index among the spots of all journeys; none: its own place.
    pub(super) to: Option<usize>,
    /// Index of the timeline's move that wants it; none: its pattern.
    pub(super) wanted: Option<usize>,
}

/// All of them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Journeys {
    /// The places beside hosts' own, each with the index of its host.
    pub(super) spots: Vec<(usize, Spot)>,
    /// In the order in which they happen.
    pub(super) moves: Vec<Move>,
}

/// Why a host goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Pattern,
    Wanted(usize),
}

/// Draws the journeys of a run that ends at `end`; `begins` says when each peer is first there, by group and peer.
pub(super) fn draw(
    groups: &[Group],
    layout: &Layout,
    (wanted, begins): (&[Wanted], &[Vec<Duration>]),
    end: Duration,
    seeds: &Seeds,
) -> Journeys {
    let mut causes: BTreeMap<usize, Vec<(Duration, Cause)>> = BTreeMap::new();
    for (index, group) in groups.iter().enumerate() {
        let Some(moves) = &group.users.moves else { continue };
        let peers = layout.peers(index);
        let chosen = seeds.choose("moves", peers.iter().map(|host| host.name.as_str()), moves.movers);
        let each = peers.iter().zip(&begins[index]).zip(chosen);
        for (host, ((peer, begin), _)) in (layout.first_peer[index]..).zip(each).filter(|(_, (_, is))| *is) {
            let times = stays(moves, peer, end.saturating_sub(*begin), seeds).map(|at| *begin + at);
            causes.entry(host).or_default().extend(times.map(|at| (at, Cause::Pattern)));
        }
    }
    for (index, one) in wanted.iter().enumerate() {
        for host in &one.hosts {
            causes.entry(*host).or_default().push((one.at, Cause::Wanted(index)));
        }
    }
    let mut journeys = Journeys::default();
    let mut next: Vec<u32> = layout.ases.iter().map(|one| one.next).collect();
    for (host, mut causes) in causes {
        causes.sort();
        Journey::new(host, layout, seeds).follow(&causes, wanted, &mut next, &mut journeys);
    }
    journeys.moves.sort_by_key(|one| (one.at, one.wanted, one.host));
    journeys
}

/// The moments at which a mover leaves where it is.
fn stays<'a>(
    moves: &'a Moves,
    host: &'a Host,
    end: Duration,
    seeds: &Seeds,
) -> impl Iterator<Item = Duration> + use<'a> {
    let mut draws = seeds.draws(&format!("moves/{}/stays", host.name));
    let (mean, end) = (moves.every.as_secs_f64(), end.as_secs_f64());
    let times = std::iter::successors(Some(0.0), move |now| Some(now + draws.exponential() * mean));
    times.skip(1).take_while(move |now| *now < end).map(|now| Duration::from_nanos((now * 1e9) as u64))
}

/// That of one host.
struct Journey<'a> {
    host: usize,
    layout: &'a Layout,
    seeds: &'a Seeds,
    whereabouts: Whereabouts,
    /// The index among all of each place that it has been to beside its own.
    visited: BTreeMap<usize, usize>,
}

impl<'a> Journey<'a> {
    fn new(host: usize, layout: &'a Layout, seeds: &'a Seeds) -> Self {
        let own = &layout.hosts[host];
        let pattern = own.group.map_or(&[][..], |group| &layout.patterns[group]);
        Self { host, layout, seeds, whereabouts: Whereabouts::new(own, pattern), visited: BTreeMap::new() }
    }

    fn follow(mut self, causes: &[(Duration, Cause)], wanted: &[Wanted], next: &mut [u32], all: &mut Journeys) {
        let mut draws = self.seeds.draws(&format!("moves/{}/places", self.layout.hosts[self.host].name));
        for &(at, cause) in causes {
            let (to, wanted) = match cause {
                Cause::Pattern => (self.whereabouts.wander(|places| draws.below(places)), None),
                Cause::Wanted(index) => (self.whereabouts.go(wanted[index].to, wanted[index].named), Some(index)),
            };
            let to = (to > 0).then(|| self.settle(to, next, all));
            all.moves.push(Move { at, host: self.host, to, wanted });
        }
    }

    /// Gives a place its address at the first visit; its index among all.
    fn settle(&mut self, place: usize, next: &mut [u32], all: &mut Journeys) -> usize {
        if let Some(index) = self.visited.get(&place) {
            return *index;
        }
        let (at, access) = self.whereabouts.place(place);
        let index = all.spots.len();
        self.visited.insert(place, index);
        let name = format!("{}.{}", self.layout.hosts[self.host].name, self.visited.len());
        let address = self.layout.ases[at].entry.prefix.nth(next[at]);
        next[at] += 1;
        let name = name.parse().expect("names of groups leave room for it");
        all.spots.push((self.host, Spot { name, at, access, address }));
        index
    }
}
