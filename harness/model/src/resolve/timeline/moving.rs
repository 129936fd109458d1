//! `move` of a timeline: who goes where, and whether there are addresses for that; what it means for each follows in
//! `resolve::moves`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use peerbed_contract::Role;

use super::{Draft, Pick, Step, World, draw::What};
use crate::{
    diagnostic::{Report, Spanned},
    experiment::Group,
    limits,
    read::listed,
    resolve::{
        layout::{self, Layout, Spot},
        seeds::Seeds,
        whereabouts::Whereabouts,
    },
    topology::Topology,
    yaml::{Node, Value},
};

/// Who goes where.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Departure {
    who: Who,
    to: Spot,
    named: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Who {
    /// By index among the hosts.
    Host(usize),
    /// So many of a group; none: all.
    Group { group: usize, count: Option<u32> },
}

/// A move with everybody drawn whom it is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) at: Duration,
    /// Of the timeline's actions.
    pub(crate) number: usize,
    /// Indexes of hosts.
    pub(crate) hosts: Vec<usize>,
    pub(crate) to: Spot,
    /// The timeline says which link.
    pub(crate) named: bool,
}

/// The ASes that a timeline moves somebody to, by index. What is wrong with it is said elsewhere.
pub(crate) fn visited(node: &Node, topology: &Topology) -> BTreeSet<usize> {
    let Value::List(items) = &node.value else { return BTreeSet::new() };
    let text = |node: &Node, key: &str| match &node.get(key)?.value {
        Value::Scalar { text, .. } => Some(text.clone()),
        _ => None,
    };
    let moves = items.iter().filter(|item| text(item, "do").as_deref() == Some("move"));
    let at = |name: String| topology.ases.iter().position(|one| one.name.value == name);
    moves.filter_map(|item| at(text(item, "to")?)).collect()
}

/// The moves of a timeline. Who is drawn depends on the time and the group, so arms draw the same ones.
pub(crate) fn wanted(steps: &[Step], layout: &Layout, seeds: &Seeds) -> Vec<Wanted> {
    let moves = steps.iter().filter_map(|step| match &step.what {
        What::Move(departure) => Some((step.at, step.number, departure)),
        _ => None,
    });
    // Who goes somewhere at one moment is not drawn again for the same.
    let mut gone: BTreeSet<(Duration, usize)> = BTreeSet::new();
    let drawn = moves.map(|(at, number, departure)| {
        let Departure { who, to, named } = &**departure;
        let hosts = match *who {
            Who::Host(host) => vec![host],
            Who::Group { group, count } => {
                let (first, peers) = (layout.first_peer[group], layout.peers(group));
                let able = (first..first + peers.len()).filter(|host| count.is_none() || !gone.contains(&(at, *host)));
                let able: Vec<usize> = able.collect();
                let count = count.unwrap_or(peers.len() as u32);
                let draw = format!("timeline/{}/move", at.as_nanos());
                let chosen = seeds.choose(&draw, able.iter().map(|host| layout.hosts[*host].name.as_str()), count);
                able.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(host, _)| *host).collect()
            }
        };
        gone.extend(hosts.iter().map(|host| (at, *host)));
        Wanted { at, number, hosts, to: *to, named: *named }
    });
    drawn.collect()
}

impl World<'_> {
    /// Reads a move.
    pub(super) fn depart(&mut self, draft: &Draft<'_>, pick: Option<Pick>, report: &mut Report) -> Option<Departure> {
        let (who, number, group) = if draft.fields.get("group").is_some() {
            let Pick { group, count } = pick?;
            let peers = self.layout.peers(group).len();
            (Who::Group { group, count }, count.map_or(peers as u64, u64::from), group)
        } else {
            let host = self.host(draft, report)?;
            let Some(group) = host.group.filter(|_| host.role == Role::Peer) else {
                let message = format!("`move` is of a peer, `{}` is none", host.name);
                report
                    .error(draft.fields.span_of("node"), message)
                    .help("edges and the control plane stay where they are");
                return None;
            };
            let index = self.layout.hosts.iter().position(|other| other.name == host.name)?;
            (Who::Host(index), 1, group)
        };
        let name = report.name(draft.fields.get("to")?, 63)?;
        let Some(at) = self.layout.ases.iter().position(|one| one.name == name.value) else {
            report.dangling("AS", &name.value, name.span, self.layout.ases.iter().map(|one| one.name.as_str()));
            return None;
        };
        let access = match draft.fields.get("access") {
            Some(node) => report.name(node, 63)?,
            None => Spanned { value: self.groups[group].access.value.clone(), span: name.span },
        };
        let one = &self.layout.ases[at];
        let Some(link) = one.access.get(&access.value).copied() else {
            let message = format!("no access profile of `{}` is named `{}`", one.name, access.value);
            let known = listed(one.access.keys().map(String::as_str));
            report.error(access.span, message).help(format!("say which with `access`; there are: {known}"));
            return None;
        };
        self.trips.moves += number;
        let moves = self.trips.moves;
        if moves as f64 > limits::MOVES {
            let message = format!("the timeline moves {moves} peers up to here, more than one run can have");
            report.error(draft.verb_span, message).help(format!("at most {} moves are allowed", limits::MOVES));
            return None;
        }
        let departure = Departure { who, to: (at, link), named: draft.fields.get("access").is_some() };
        let places = self.trips.places(&departure, group);
        self.trips.hosts += places;
        if self.trips.hosts > limits::NODES {
            let message =
                format!("{} hosts and places of movers up to here are more than one run can have", self.trips.hosts);
            report.error(draft.verb_span, message).help(format!("at most {} are allowed", limits::NODES));
            return None;
        }
        let left = &mut self.trips.left[at];
        if *left < places {
            let message =
                format!("up to {places} new places, but addresses left in the prefix of `{}`: {left}", one.name);
            report.error(name.span, message).help("make the AS's prefix larger, or move fewer");
            return None;
        }
        *left -= places;
        Some(departure)
    }
}

/// What the moves of a timeline take of the addresses, whoever is drawn.
pub(super) struct Trips<'a> {
    layout: &'a Layout,
    /// Moves so far.
    moves: u64,
    /// Hosts, and the places of movers beside their own.
    hosts: u64,
    /// By AS, the addresses that are left.
    left: Vec<u64>,
    /// Where those are that have moved and which places they have been to, by their index, of groups in which nobody was drawn.
    certain: BTreeMap<usize, (Whereabouts, BTreeSet<usize>)>,
    /// By index, groups of which it depends on draws who is where.
    drawn: BTreeSet<usize>,
    /// How many places are kept, by group and where they are.
    kept: Vec<((usize, Spot), u64)>,
}

impl<'a> Trips<'a> {
    /// Before the first move.
    pub(super) fn new(layout: &'a Layout, groups: &[Group]) -> Self {
        let hosts = layout.hosts.len() as u64 + layout::places_of(groups, &layout.patterns);
        let left = layout.ases.iter().map(|one| one.room).collect();
        let moving = |group: &Group| group.users.moves.as_ref().is_some_and(|moves| moves.movers > 0);
        let drawn = groups.iter().enumerate().filter(|(_, group)| moving(group)).map(|(index, _)| index).collect();
        Self { layout, moves: 0, hosts, left, certain: BTreeMap::new(), drawn, kept: Vec::new() }
    }

    /// How many new places a move takes at most, of peers of a group.
    fn places(&mut self, departure: &Departure, group: usize) -> u64 {
        let (layout, Departure { who, to, named }) = (self.layout, departure);
        let (first, peers) = (layout.first_peer[group], layout.peers(group).len());
        let (movers, number) = match *who {
            Who::Host(host) => (host..host + 1, 1),
            Who::Group { count, .. } => (first..first + peers, count.map_or(peers, |count| count as usize)),
        };
        // Also where a share comes to all: those who went somewhere at the same moment are not drawn again.
        if matches!(who, Who::Group { count: Some(_), .. }) {
            self.drawn.insert(group);
        }
        let key = (group, *to);
        let kept = self.kept.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            self.kept.push((key, 0));
            self.kept.len() - 1
        });
        let kept = &mut self.kept[kept].1;
        let new = if self.drawn.contains(&group) {
            // Nobody has more than two places with the same link in an AS: one where it is, and one where it is not.
            (number as u64).min(2 * peers as u64 - *kept)
        } else {
            let goes_to_new = |host: &usize| {
                let at_home = || (Whereabouts::new(&layout.hosts[*host], &layout.patterns[group]), [0].into());
                let (whereabouts, visited) = self.certain.entry(*host).or_insert_with(at_home);
                visited.insert(whereabouts.go(*to, *named))
            };
            movers.filter(goes_to_new).count() as u64
        };
        *kept += new;
        new
    }
}
