//! Who stands where: every host with its name, address and access link, and the ways between their ASes. No draws.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use peerbed_contract::{AsNumber, DirectoryEntry, NodeName, Role};
use peerbed_link::{Duplex, FabricLink, Route};

use crate::{
    diagnostic::{Report, Span, Spanned},
    experiment::Group,
    limits,
    read::listed,
    topology::{Topology, routes::Graph, trace::Traces},
};

/// The index of an AS, and a link to it.
pub(crate) type Spot = (usize, Duplex);

/// A host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Host {
    pub(crate) name: NodeName,
    pub(crate) role: Role,
    /// Of the control plane's nodes: a database node, not a connection node.
    pub(crate) database: bool,
    /// Index of the group, for a peer.
    pub(crate) group: Option<usize>,
    /// Index of the AS.
    pub(crate) at: usize,
    pub(crate) address: IpAddr,
    pub(crate) access: Duplex,
}

/// All hosts and the network between them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layout {
    /// Edges, then connection nodes, then database nodes, then the peers group by group.
    pub(crate) hosts: Vec<Host>,
    /// Index of each group's first peer in `hosts`.
    pub(crate) first_peer: Vec<usize>,
    /// By group, the ASes and links of the other places of its movers.
    pub(crate) patterns: Vec<Vec<Spot>>,
    pub(crate) ases: Vec<AsFacts>,
    pub(crate) links: Vec<FabricLink>,
    pub(crate) routes: Vec<Route>,
    pub(crate) traces: Traces,
}

/// What plans say of an AS.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AsFacts {
    pub(crate) name: String,
    pub(crate) number: AsNumber,
    pub(crate) region: String,
    pub(crate) entry: DirectoryEntry,
    /// Every access profile that it offers.
    pub(crate) access: BTreeMap<String, Duplex>,
    /// The number of the first address that no host has.
    pub(crate) next: u32,
    /// How many addresses are left for moves of a timeline.
    pub(crate) room: u64,
    /// Indexes of the edges among the hosts, nearest first, in runs of those that are equally near.
    pub(crate) edges: Vec<Vec<usize>>,
    /// The same of the connection nodes.
    pub(crate) control: Vec<Vec<usize>>,
    /// The same of the database nodes.
    pub(crate) databases: Vec<Vec<usize>>,
}

impl Layout {
    /// Places everyone; none if anything is wrong (it is in the report then). Hosts may come to the ASes of `visited` (by index)
    /// beside those of patterns.
    pub(crate) fn new(
        topology: &Topology,
        groups: &[Group],
        visited: &BTreeSet<usize>,
        groups_span: Span,
        report: &mut Report,
    ) -> Option<Self> {
        let before = report.errors();
        let batches = batches(topology, groups);
        let patterns: Vec<Vec<Spot>> = groups.iter().map(|group| pattern(topology, group)).collect();
        let room = check_room(topology, &batches, (groups, &patterns), groups_span, report);
        let mut inhabited: BTreeSet<usize> = batches.iter().map(|batch| batch.at).collect();
        inhabited.extend(visited.iter().chain(patterns.iter().flatten().map(|(at, _)| at)));
        let (links, routes) = ways(topology, &inhabited, report);
        if report.errors() != before {
            return None;
        }
        let mut next = vec![1u32; topology.ases.len()];
        let mut hosts = Vec::new();
        let mut first_peer = Vec::new();
        let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
        for batch in &batches {
            // A group in several ASes has a batch in each.
            if batch.group == Some(first_peer.len()) {
                first_peer.push(hosts.len());
            }
            let number = numbers.entry(batch.prefix).or_default();
            for _ in 0..batch.count {
                hosts.push(Host {
                    name: format!("{}-{number}", batch.prefix).parse().expect("prefixes of names were checked"),
                    role: batch.role,
                    database: batch.prefix == DATABASE && batch.group.is_none(),
                    group: batch.group,
                    at: batch.at,
                    address: topology.ases[batch.at].prefix.value.nth(next[batch.at]),
                    access: batch.access,
                });
                next[batch.at] += 1;
                *number += 1;
            }
        }
        let mut ases = facts(topology, &hosts, &routes);
        for (one, (next, room)) in ases.iter_mut().zip(next.into_iter().zip(room)) {
            (one.next, one.room) = (next, room);
        }
        Some(Self { hosts, first_peer, patterns, ases, links, routes, traces: topology.traces.clone() })
    }

    /// By the index of a database node, the regions whose peers it is responsible for: its own, and those without any to
    /// whose first AS (by number) it is the nearest. In order of name.
    pub(crate) fn served_regions(&self) -> BTreeMap<usize, Vec<String>> {
        let mut first_ases: BTreeMap<&str, &AsFacts> = BTreeMap::new();
        for one in &self.ases {
            let first = first_ases.entry(&one.region).or_insert(one);
            if one.number < first.number {
                *first = one;
            }
        }
        let mut own: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, host) in self.hosts.iter().enumerate().filter(|(_, host)| host.database) {
            own.entry(&self.ases[host.at].region).or_default().push(index);
        }
        let mut served: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (region, first) in first_ases {
            let nearest = || first.databases.first().and_then(|run| run.first().copied()).into_iter().collect();
            for database in own.remove(region).unwrap_or_else(nearest) {
                served.entry(database).or_default().push(region.to_owned());
            }
        }
        served
    }

    /// The peers of a group.
    pub(crate) fn peers(&self, group: usize) -> &[Host] {
        let first = self.first_peer[group];
        let end = self.first_peer.get(group + 1).copied().unwrap_or(self.hosts.len());
        &self.hosts[first..end]
    }
}

/// What names of database nodes begin with.
const DATABASE: &str = "database";

/// Hosts that differ in nothing but their number.
struct Batch<'a> {
    prefix: &'a str,
    role: Role,
    group: Option<usize>,
    at: usize,
    access: Duplex,
    count: u32,
    span: Span,
}

fn batches<'a>(topology: &Topology, groups: &'a [Group]) -> Vec<Batch<'a>> {
    let mut batches = Vec::new();
    for (role, prefix, servers) in [
        (Role::Edge, "edge", &topology.edges),
        (Role::Control, "control", &topology.control),
        (Role::Control, DATABASE, &topology.databases),
    ] {
        for one in servers {
            let batch =
                Batch { prefix, role, group: None, at: one.at, access: one.access, count: one.count, span: one.span };
            batches.push(batch);
        }
    }
    for (index, group) in groups.iter().enumerate() {
        for (at, count) in group.at.divide(group.peers.value, topology) {
            // Names that lead nowhere were noted before.
            let Some(access) = topology.ases[at].access.get(&group.access.value).copied() else { continue };
            batches.push(Batch {
                prefix: &group.name.value,
                role: Role::Peer,
                group: Some(index),
                at,
                access,
                count,
                span: group.peers.span,
            });
        }
    }
    batches
}

/// The other places of a group's movers.
fn pattern(topology: &Topology, group: &Group) -> Vec<Spot> {
    let Some(moves) = &group.users.moves else { return Vec::new() };
    let access = moves.access.as_ref().unwrap_or(&group.access);
    // Names that lead nowhere were noted before.
    let place = |to: &Spanned<String>| {
        let at = topology.ases.iter().position(|one| one.name.value == to.value)?;
        Some((at, topology.ases[at].access.get(&access.value).copied()?))
    };
    moves.to.iter().filter_map(place).collect()
}

/// How many places beside their own the movers of groups have by their patterns.
pub(crate) fn places_of(groups: &[Group], patterns: &[Vec<Spot>]) -> u64 {
    let moving = |group: &Group| u64::from(group.users.moves.as_ref().map_or(0, |moves| moves.movers));
    groups.iter().zip(patterns).map(|(group, pattern)| moving(group) * pattern.len() as u64).sum()
}

/// Whether there are addresses for all hosts and the places of movers; gives how many are left in each AS.
fn check_room(
    topology: &Topology,
    batches: &[Batch<'_>],
    (groups, patterns): (&[Group], &[Vec<Spot>]),
    groups_span: Span,
    report: &mut Report,
) -> Vec<u64> {
    let places = places_of(groups, patterns);
    let total = batches.iter().map(|batch| u64::from(batch.count)).sum::<u64>() + places;
    if total > limits::NODES {
        let message = match places {
            0 => format!("{total} hosts, infrastructure included, are more than one run can have"),
            places => format!(
                "{total} hosts, infrastructure and {places} places of movers included, are more than one run can have"
            ),
        };
        report.error(groups_span, message).help(format!("at most {} are allowed", limits::NODES));
    }
    let mut used = vec![0u64; topology.ases.len()];
    for batch in batches {
        let (one, count) = (&topology.ases[batch.at], u64::from(batch.count));
        let free = one.room().saturating_sub(used[batch.at]);
        used[batch.at] += count;
        if count > free {
            let (prefix, name) = (one.prefix.value, &one.name.value);
            let message = format!("{count} hosts, but the prefix {prefix} of `{name}` has {free} addresses left");
            let help = "make the AS's prefix larger, the group smaller, or put the group elsewhere";
            report.error(batch.span, message).help(help);
        }
    }
    for (group, pattern) in groups.iter().zip(patterns) {
        let Some(moves) = &group.users.moves else { continue };
        for ((at, _), to) in pattern.iter().zip(&moves.to) {
            let (one, count) = (&topology.ases[*at], u64::from(moves.movers));
            let free = one.room().saturating_sub(used[*at]);
            used[*at] += count;
            if count > free {
                let (prefix, name) = (one.prefix.value, &one.name.value);
                let message =
                    format!("places for {count} movers, but the prefix {prefix} of `{name}` has {free} addresses left");
                report.error(to.span, message).help("make the AS's prefix larger, or the share that moves smaller");
            }
        }
    }
    topology.ases.iter().zip(used).map(|(one, used)| one.room().saturating_sub(used)).collect()
}

/// The links, and the routes between all ASes that have hosts.
fn ways(topology: &Topology, inhabited: &BTreeSet<usize>, report: &mut Report) -> (Vec<FabricLink>, Vec<Route>) {
    let number = |at: usize| topology.ases[at].number;
    let links = topology.links.iter().map(|link| FabricLink {
        name: link.name.clone(),
        a: number(link.a),
        b: number(link.b),
        forward: link.forward,
        backward: link.backward,
    });
    let graph = Graph::new(topology);
    let mut routes = Vec::new();
    let mut crossed = 0;
    let mut cut_off: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for &to in inhabited {
        if crossed > limits::HOPS {
            break;
        }
        let mut paths = graph.to(to);
        for &from in inhabited.iter().filter(|from| **from != to) {
            match paths[from].take() {
                Some(hops) => {
                    crossed += hops.len();
                    routes.push(Route { from: number(from), to: number(to), hops });
                }
                // Valley-free paths hold in both directions, so each pair is said once.
                None if from < to => cut_off.entry(from).or_default().push(&topology.ases[to].name.value),
                None => {}
            }
        }
    }
    if crossed > limits::HOPS {
        let span = topology.ases[0].name.span;
        let message = format!("the paths between {} ASes with hosts are too long to write down", inhabited.len());
        report.error(span, message).help("give the ASes common providers, or have fewer of them");
        return (links.collect(), Vec::new());
    }
    for (from, to) in cut_off {
        let one = &topology.ases[from];
        let message =
            format!("no valley-free path between `{}` and `{}`", one.name.value, listed(to).replace(", ", "`, `"));
        report.error(one.name.span, message).help(
            "both have hosts: link them, or give them a common provider; packets climb to providers, cross at most one \
             link of peers, then descend to customers",
        );
    }
    routes.sort_by_key(|route| (route.from, route.to));
    (links.collect(), routes)
}

fn facts(topology: &Topology, hosts: &[Host], routes: &[Route]) -> Vec<AsFacts> {
    let hops: BTreeMap<(AsNumber, AsNumber), usize> =
        routes.iter().map(|route| ((route.from, route.to), route.hops.len())).collect();
    let nearest = |from: usize, role: Role, database: bool| {
        let here = &topology.ases[from];
        let mut runs: BTreeMap<(u8, usize, AsNumber), Vec<usize>> = BTreeMap::new();
        for (index, host) in hosts.iter().enumerate().filter(|(_, host)| host.role == role && host.database == database)
        {
            let there = &topology.ases[host.at];
            let class = match host.at {
                at if at == from => 0,
                _ if there.region == here.region => 1,
                _ => 2,
            };
            let far = hops.get(&(here.number, there.number)).copied().unwrap_or(0);
            runs.entry((class, far, there.number)).or_default().push(index);
        }
        runs.into_values().collect()
    };
    let facts = topology.ases.iter().enumerate().map(|(index, one)| AsFacts {
        name: one.name.value.clone(),
        number: one.number,
        region: one.region.clone(),
        entry: DirectoryEntry {
            prefix: one.prefix.value,
            as_number: one.number,
            region: one.region.clone(),
            country: one.country.clone(),
        },
        access: one.access.clone(),
        next: 0,
        room: 0,
        edges: nearest(index, Role::Edge, false),
        control: nearest(index, Role::Control, false),
        databases: nearest(index, Role::Control, true),
    });
    facts.collect()
}
