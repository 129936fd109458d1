//! From a topology file's tree to a [`Topology`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use peerbed_contract::AsNumber;
use peerbed_link::{Duplex, LinkSpec};

use crate::{
    diagnostic::{Report, Spanned},
    experiment::homes::POPULATED,
    limits,
    read::Fields,
    shape::topology::{ACCESS, AS, INFRASTRUCTURE, LINK, TOPOLOGY},
    topology::{
        As, Infrastructure, Link, Relation, Topology, link,
        trace::{TraceFiles, Traces},
    },
    units,
    yaml::Node,
};

const TRANSPARENT: Duplex = Duplex { up: LinkSpec::TRANSPARENT, down: LinkSpec::TRANSPARENT };

/// What a topology's tree says, as far as it could be read.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) topology: Option<Topology>,
    /// The names of all ASes, broken ones included; none if some could not be read.
    pub(crate) names: Option<Vec<String>>,
}

impl Topology {
    /// Reads the tree; what is wrong is in the report then.
    pub(crate) fn decode(root: &Node, files: &TraceFiles, report: &mut Report) -> Decoded {
        let before = report.errors();
        let Some(fields) = report.map(root, &TOPOLOGY) else { return Decoded { topology: None, names: None } };
        let traces = fields.get("traces").map_or_else(Traces::default, |node| Traces::decode(node, files, report));
        let shared = fields.get("access").map_or_else(BTreeMap::new, |node| read_profiles(node, &traces, report));
        let parts = read_ases(&fields, &shared, &traces, report);
        let names: Vec<&Spanned<String>> = parts.iter().filter_map(|part| part.name.as_ref()).collect();
        report.duplicates("ASes", names.iter().copied());
        let whole = names.len() == parts.len() && !parts.is_empty();
        let names = whole.then(|| names.iter().map(|name| name.value.clone()).collect());
        check_ases(&parts.iter().filter_map(|part| part.value.as_ref()).collect::<Vec<_>>(), report);

        let lookup = Lookup { parts: &parts, whole };
        let links = fields.get("links").map_or_else(Vec::new, |node| read_links(node, lookup, &traces, report));
        let mut servers = |key, of, least| {
            let node = fields.get(key);
            node.map_or_else(Vec::new, |node| read_infrastructure(node, of, least, lookup, report))
        };
        let edges = servers("edges", "edge servers", 1);
        let control = servers("control", "connection nodes", 0);
        let databases = servers("database", "database nodes", 0);
        check_control(&fields, &control, &databases, report);
        let ases: Option<Vec<As>> = parts.into_iter().map(|part| part.value).collect();
        let topology = match ases {
            Some(ases) if report.errors() == before => Some(Self { ases, links, traces, edges, control, databases }),
            _ => None,
        };
        Decoded { topology, names }
    }
}

/// Connection nodes that could not know each other's peers, and database nodes that nobody asks.
fn check_control(fields: &Fields<'_>, control: &[Infrastructure], databases: &[Infrastructure], report: &mut Report) {
    let count = |servers: &[Infrastructure]| servers.iter().map(|server| u64::from(server.count)).sum::<u64>();
    if count(control) > 1 && count(databases) == 0 {
        let message = format!(
            "{} connection nodes without a database node: none would know the peers of another",
            count(control)
        );
        let help =
            "add `database: [{as: …, access: …}]`, best with one in each region, or have a single connection node";
        report.error(fields.span_of("control"), message).help(help);
    }
    if count(control) == 0 && count(databases) > 0 {
        let message = "database nodes without a connection node, over which peers would reach them";
        report.error(fields.span_of("database"), message).help("add `control: [{as: …, access: …}]`");
    }
}

/// An AS whose name may be known though the rest is broken.
struct Part {
    name: Option<Spanned<String>>,
    value: Option<As>,
}

/// Names of ASes.
#[derive(Clone, Copy)]
struct Lookup<'a> {
    parts: &'a [Part],
    /// Whether every name could be read: one that is not there may be that of a broken AS otherwise.
    whole: bool,
}

impl<'a> Lookup<'a> {
    fn find(self, node: &Node, report: &mut Report) -> Option<usize> {
        let name = report.name(node, 63)?;
        let known = self.parts.iter().map(|part| part.name.as_ref().map_or("", |name| name.value.as_str()));
        let found = known.clone().position(|known| known == name.value);
        if found.is_none() && self.whole {
            report.dangling("AS", &name.value, name.span, known);
        }
        found
    }

    fn name(self, index: usize) -> &'a str {
        self.parts[index].name.as_ref().map_or("", |name| name.value.as_str())
    }
}

fn read_profiles(node: &Node, traces: &Traces, report: &mut Report) -> BTreeMap<String, Duplex> {
    let mut profiles = BTreeMap::new();
    for (name, node) in report.named(node, "access profiles").unwrap_or_default() {
        if let Some(fields) = report.map(node, &ACCESS) {
            profiles.insert(name.value, link::read_access(&fields, TRANSPARENT, traces, report));
        }
    }
    profiles
}

fn read_ases(
    fields: &Fields<'_>,
    shared: &BTreeMap<String, Duplex>,
    traces: &Traces,
    report: &mut Report,
) -> Vec<Part> {
    let items = fields.get("ases").and_then(|node| report.bounded_list(node, "ASes", (1, limits::ASES)));
    items.unwrap_or_default().iter().map(|node| read_as(node, shared, traces, report)).collect()
}

fn read_as(node: &Node, shared: &BTreeMap<String, Duplex>, traces: &Traces, report: &mut Report) -> Part {
    let Some(fields) = report.map(node, &AS) else { return Part { name: None, value: None } };
    // Every value is read before any is used, so that all that is wrong is said at once.
    let name = fields.get("name").and_then(|node| report.name(node, 30));
    let number = fields.get("number").and_then(|node| report.whole(node, 1, u64::from(u32::MAX)));
    let region = fields.get("region").and_then(|node| report.name(node, 63));
    let country = fields.get("country").and_then(|node| report.name(node, 63)).map(|country| country.value);
    let population = fields.get("population").map_or(Some(0), |node| report.whole(node, 0, limits::POPULATION));
    if let Some(name) = name.as_ref().filter(|name| name.value == POPULATED) {
        report
            .error(name.span, "an AS cannot be named `populated`: groups say so for every AS with a population")
            .help("take another name");
    }
    let prefix = fields.get("prefix").and_then(|node| {
        let value = report.scalar(node, "a prefix such as `10.1.0.0/16`", units::prefix)?;
        Some(Spanned { value, span: node.span })
    });
    let mut access = shared.clone();
    if let Some(node) = fields.get("access") {
        access.extend(read_profiles(node, traces, report));
    }
    let value = || {
        let number = AsNumber::try_from(number? as u32).ok()?;
        let (name, region, population) = (name.clone()?, region?.value, population?);
        Some(As { name, number, region, country, population, prefix: prefix?, access })
    };
    let value = value();
    Part { name, value }
}

/// Notes numbers and addresses that two ASes share.
fn check_ases(ases: &[&As], report: &mut Report) {
    let mut numbers: BTreeMap<AsNumber, &As> = BTreeMap::new();
    for one in ases {
        if let Some(other) = numbers.insert(one.number, one) {
            let message = format!("`{}` has the number {} of `{}`", one.name.value, one.number.get(), other.name.value);
            report.error(one.name.span, message).help("give each AS a number of its own");
        }
    }
    // In order of address, a block that overlaps any earlier one overlaps the one that reaches furthest.
    let mut sorted = ases.to_vec();
    sorted.sort_by_key(|one| (one.prefix.value, one.prefix.span));
    let mut furthest: Option<&As> = None;
    for one in sorted {
        if let Some(other) = furthest
            && other.prefix.value.contains(one.prefix.value.network)
        {
            // Said at the one that stands later in the file.
            let (late, early) = if one.prefix.span > other.prefix.span { (one, other) } else { (other, one) };
            let message = format!(
                "the prefix {} of `{}` overlaps {} of `{}`",
                late.prefix.value, late.name.value, early.prefix.value, early.name.value
            );
            report.error(late.prefix.span, message).help("give each AS a block of addresses of its own");
            continue;
        }
        furthest = Some(one);
    }
}

fn read_links(node: &Node, lookup: Lookup<'_>, traces: &Traces, report: &mut Report) -> Vec<Link> {
    let items: &[Arc<Node>] = report.bounded_list(node, "links", (0, limits::LINKS)).unwrap_or_default();
    let mut links: Vec<Link> = Vec::new();
    let mut joined = BTreeSet::new();
    for node in items {
        let Some(link) = read_link(node, lookup, traces, report) else { continue };
        if !joined.insert((link.a.min(link.b), link.a.max(link.b))) {
            let (a, b) = (lookup.name(link.a), lookup.name(link.b));
            let message = format!("a second link between `{a}` and `{b}`");
            report.error(node.span, message).help("keep one of the two, with the sum of their rates");
        }
        links.push(link);
    }
    links
}

fn read_link(node: &Node, lookup: Lookup<'_>, traces: &Traces, report: &mut Report) -> Option<Link> {
    let fields = report.map(node, &LINK)?;
    let ends = read_ends(&fields, lookup, report);
    let specs = link::read_link(&fields, (LinkSpec::TRANSPARENT, LinkSpec::TRANSPARENT), traces, report);
    let (a, b, relation) = ends?;
    if a == b {
        let message = format!("a link from `{}` to itself", lookup.name(a));
        report.error(node.span, message).help("a link joins two different ASes");
        return None;
    }
    let name = format!("{}~{}", lookup.name(a), lookup.name(b));
    Some(Link { name, a, b, relation, forward: specs.0, backward: specs.1 })
}

fn read_ends(fields: &Fields<'_>, lookup: Lookup<'_>, report: &mut Report) -> Option<(usize, usize, Relation)> {
    match (fields.get("customer"), fields.get("provider"), fields.get("peers")) {
        (Some(customer), Some(provider), None) => {
            let (customer, provider) = (lookup.find(customer, report), lookup.find(provider, report));
            Some((customer?, provider?, Relation::CustomerToProvider))
        }
        (None, None, Some(peers)) => {
            let items = report.list(peers, "two ASes")?;
            let [first, second] = items else {
                report.error(peers.span, "`peers` needs exactly two ASes").help("write `peers: [isp-x, isp-y]`");
                return None;
            };
            let (first, second) = (lookup.find(first, report), lookup.find(second, report));
            Some((first?, second?, Relation::Peers))
        }
        _ => {
            let finding = report.error(fields.span, "a link needs either `customer` and `provider`, or `peers`");
            finding.help("write `customer: isp-x, provider: transit`, or `peers: [isp-x, isp-y]`");
            None
        }
    }
}

fn read_infrastructure(
    node: &Node,
    of: &str,
    least: usize,
    lookup: Lookup<'_>,
    report: &mut Report,
) -> Vec<Infrastructure> {
    let items: &[Arc<Node>] = report.bounded_list(node, of, (least, limits::ASES)).unwrap_or_default();
    let mut found = Vec::new();
    for node in items {
        let Some(fields) = report.map(node, &INFRASTRUCTURE) else { continue };
        let at = fields.get("as").and_then(|node| lookup.find(node, report));
        let access = fields.get("access").and_then(|node| report.name(node, 63));
        let count = fields.get("count").map_or(Some(1), |node| report.whole(node, 1, 1_000));
        let (Some(at), Some(access), Some(count)) = (at, access, count) else { continue };
        let Some(here) = &lookup.parts[at].value else { continue };
        if let Some(access) = find_profile(here, &access, report) {
            found.push(Infrastructure { at, access, count: count as u32, span: node.span });
        }
    }
    found
}

/// The access profile of this name in an AS.
pub(crate) fn find_profile(at: &As, name: &Spanned<String>, report: &mut Report) -> Option<Duplex> {
    let found = at.access.get(&name.value).copied();
    if found.is_none() {
        let kind = format!("access profile of `{}` is", at.name.value);
        report.dangling(&kind, &name.value, name.span, at.access.keys().map(String::as_str));
    }
    found
}
