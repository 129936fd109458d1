//! From a topology file's tree to a [`Topology`].

use std::{collections::BTreeMap, sync::Arc};

use peerbed_contract::AsNumber;
use peerbed_link::{Duplex, LinkSpec};

use crate::{
    diagnostic::{Report, Spanned},
    limits,
    read::Fields,
    shape::topology::{ACCESS, AS, INFRASTRUCTURE, LINK, TOPOLOGY},
    topology::{As, Infrastructure, Link, Relation, Topology, link},
    units,
    yaml::Node,
};

const TRANSPARENT: Duplex = Duplex { up: LinkSpec::TRANSPARENT, down: LinkSpec::TRANSPARENT };

impl Topology {
    /// Reads the tree; none if anything is wrong (it is in the report then).
    pub(crate) fn decode(root: &Node, report: &mut Report) -> Option<Self> {
        let before = report.errors();
        let fields = report.map(root, &TOPOLOGY)?;
        let shared = fields.get("access").map_or_else(BTreeMap::new, |node| read_profiles(node, report));
        let ases = read_ases(&fields, &shared, report);
        // Without every AS, each name that belongs to a broken one would be reported as missing too.
        let whole = ases.as_ref().is_some_and(|ases| ases.iter().all(Option::is_some));
        let ases: Vec<As> = ases?.into_iter().flatten().collect();
        check_ases(&ases, report);

        let lookup = Lookup { ases: &ases, whole };
        let links = fields.get("links").map_or_else(Vec::new, |node| read_links(node, lookup, report));
        let edges =
            fields.get("edges").map_or_else(Vec::new, |node| read_infrastructure(node, "edges", lookup, report));
        let control = fields
            .get("control")
            .map_or_else(Vec::new, |node| read_infrastructure(node, "control planes", lookup, report));
        if let Some(node) = fields.get("edges")
            && edges.is_empty()
            && report.errors() == before
        {
            report.error(node.span, "there is no edge server").help("every peer needs at least one edge");
        }
        (report.errors() == before).then_some(Self { ases, links, edges, control })
    }
}

/// Names of ASes, while the list may have holes.
#[derive(Clone, Copy)]
struct Lookup<'a> {
    ases: &'a [As],
    /// Whether every AS of the file could be read.
    whole: bool,
}

impl Lookup<'_> {
    fn find(self, node: &Node, report: &mut Report) -> Option<usize> {
        let name = report.name(node, 63)?;
        let found = self.ases.iter().position(|one| one.name.value == name.value);
        if found.is_none() && self.whole {
            report.dangling("AS", &name.value, name.span, self.ases.iter().map(|one| one.name.value.as_str()));
        }
        found
    }
}

fn read_profiles(node: &Node, report: &mut Report) -> BTreeMap<String, Duplex> {
    let mut profiles = BTreeMap::new();
    for (name, node) in report.named(node, "access profiles").unwrap_or_default() {
        if let Some(fields) = report.map(node, &ACCESS) {
            profiles.insert(name.value, link::read_access(&fields, TRANSPARENT, report));
        }
    }
    profiles
}

fn read_ases(fields: &Fields<'_>, shared: &BTreeMap<String, Duplex>, report: &mut Report) -> Option<Vec<Option<As>>> {
    let items = report.bounded_list(fields.get("ases")?, "ASes", (1, limits::ASES))?;
    Some(items.iter().map(|node| read_as(node, shared, report)).collect())
}

fn read_as(node: &Node, shared: &BTreeMap<String, Duplex>, report: &mut Report) -> Option<As> {
    let fields = report.map(node, &AS)?;
    // Every value is read before the first `?`, so that all that is wrong is said at once.
    let name = fields.get("name").and_then(|node| report.name(node, 30));
    let number = fields.get("number").and_then(|node| report.whole(node, 1, u64::from(u32::MAX)));
    let region = fields.get("region").and_then(|node| report.name(node, 63));
    let prefix = fields.get("prefix").and_then(|node| {
        let value = report.scalar(node, "a prefix such as `10.1.0.0/16`", units::prefix)?;
        Some(Spanned { value, span: node.span })
    });
    let mut access = shared.clone();
    if let Some(node) = fields.get("access") {
        access.extend(read_profiles(node, report));
    }
    let number = AsNumber::try_from(number? as u32).ok()?;
    Some(As { name: name?, number, region: region?.value, prefix: prefix?, access })
}

fn check_ases(ases: &[As], report: &mut Report) {
    report.duplicates("ASes", ases.iter().map(|one| &one.name));
    let mut numbers: BTreeMap<AsNumber, &As> = BTreeMap::new();
    for one in ases {
        if let Some(other) = numbers.insert(one.number, one) {
            let message = format!("`{}` has the number {} of `{}`", one.name.value, one.number.get(), other.name.value);
            report.error(one.name.span, message).help("give each AS a number of its own");
        }
    }
    // In order of address, a block that overlaps any earlier one overlaps the one that reaches furthest.
    let mut sorted: Vec<&As> = ases.iter().collect();
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

fn read_links(node: &Node, lookup: Lookup<'_>, report: &mut Report) -> Vec<Link> {
    let items: &[Arc<Node>] = report.bounded_list(node, "links", (0, 8 * limits::ASES)).unwrap_or_default();
    let mut links: Vec<Link> = Vec::new();
    for node in items {
        let Some(link) = read_link(node, lookup, report) else { continue };
        let ends = |one: &Link| (one.a.min(one.b), one.a.max(one.b));
        if links.iter().any(|other| ends(other) == ends(&link)) {
            let (a, b) = (&lookup.ases[link.a].name.value, &lookup.ases[link.b].name.value);
            let message = format!("a second link between `{a}` and `{b}`");
            report.error(node.span, message).help("keep one of the two, with the sum of their rates");
        }
        links.push(link);
    }
    links
}

fn read_link(node: &Node, lookup: Lookup<'_>, report: &mut Report) -> Option<Link> {
    let fields = report.map(node, &LINK)?;
    let ends = read_ends(&fields, lookup, report);
    let specs = link::read_link(&fields, (LinkSpec::TRANSPARENT, LinkSpec::TRANSPARENT), report);
    let (a, b, relation) = ends?;
    if a == b {
        let message = format!("a link from `{}` to itself", lookup.ases[a].name.value);
        report.error(node.span, message).help("a link joins two different ASes");
        return None;
    }
    let name = format!("{}~{}", lookup.ases[a].name.value, lookup.ases[b].name.value);
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

fn read_infrastructure(node: &Node, of: &str, lookup: Lookup<'_>, report: &mut Report) -> Vec<Infrastructure> {
    let items: &[Arc<Node>] = report.bounded_list(node, of, (0, limits::ASES)).unwrap_or_default();
    let mut found = Vec::new();
    for node in items {
        let Some(fields) = report.map(node, &INFRASTRUCTURE) else { continue };
        let at = fields.get("as").and_then(|node| lookup.find(node, report));
        let access = fields.get("access").and_then(|node| report.name(node, 63));
        let count = fields.get("count").map_or(Some(1), |node| report.whole(node, 1, 1_000));
        let (Some(at), Some(access), Some(count)) = (at, access, count) else { continue };
        if let Some(access) = find_profile(&lookup.ases[at], &access, report) {
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
