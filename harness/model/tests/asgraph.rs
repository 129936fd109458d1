//! Topologies that are made: they are read like any other, people are where Zipf's law has them, and a sample is a part of its file.

#![expect(clippy::disallowed_methods, reason = "tests read files")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use common::{read, root, text};
use peerbed_contract::RoleConfig;
use peerbed_model::{
    Diagnostics, Plan, Source,
    asgraph::{self, Imported, Recipe, Refused, Relations, TierSizes},
};
use proptest::prelude::*;

fn recipe(ases: u32, seed: u64) -> Recipe {
    let (edges, rate) = (asgraph::share("25%").unwrap(), asgraph::rate("6mbit").unwrap());
    Recipe { ases, regions: 4, zipf: 1.0, edges, peers: 150, rate, seed }
}

fn sizes(tier1: u32, transit: u32) -> TierSizes {
    TierSizes { tier1, transit, peering: asgraph::share("30%").unwrap() }
}

/// The plan of a small experiment with peers wherever people are.
fn plan(topology: &str, peers: u32) -> Plan {
    let experiment = format!(
        "question: Where are they?\ntopology: t\nseed: 1\nduration: 60s\ncontent:\n  - {{id: patch, size: 1MiB, provider: A}}\n\
         groups:\n  - {{name: homes, as: populated, peers: {peers}, access: cable}}\nworkload:\n  arrivals: {{burst: 4}}\narms:\n  hybrid: {{}}\n"
    );
    let experiment = read(experiment.as_bytes(), topology.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(experiment.warnings().is_empty());
    experiment.plan("hybrid", 0, None).unwrap()
}

/// How many peers are in each AS that has any.
fn homes(plan: &Plan) -> BTreeMap<&str, u32> {
    let mut homes = BTreeMap::new();
    for node in plan.nodes.iter().filter(|node| node.group == "homes") {
        *homes.entry(plan.as_names[&node.config.as_number].as_str()).or_default() += 1;
    }
    homes
}

fn relations(text: &str) -> Result<Relations, Diagnostics> {
    Relations::parse(&Source::from_relations("as-rel.txt", text.as_bytes().to_vec())?)
}

fn made_up(name: &str) -> String {
    fs::read_to_string(root().join("harness/model/tests/relations").join(name)).unwrap()
}

fn import(text: &str, recipe: &Recipe) -> Imported {
    recipe.import(&relations(text).unwrap_or_else(|wrong| panic!("{wrong}")), &[]).unwrap()
}

#[test]
fn whatever_is_drawn_is_a_topology_in_which_all_reach_all() {
    for (ases, tier1, transit) in [(5, 1, 0), (12, 3, 2), (60, 4, 12), (200, 8, 60)] {
        for seed in 0..8 {
            let topology = recipe(ases, seed).generate(&sizes(tier1, transit), &[]).unwrap();
            let plan = plan(&topology, 300);
            assert_eq!(plan.as_names.len(), ases as usize);
            assert!(homes(&plan).keys().all(|name| name.starts_with("stub-")));
            assert_eq!(recipe(ases, seed).generate(&sizes(tier1, transit), &[]).unwrap(), topology);
        }
    }
    let one = |seed| recipe(60, seed).generate(&sizes(4, 12), &[]).unwrap();
    assert_ne!(one(1), one(2));
    // The largest there can be.
    assert_eq!(plan(&recipe(512, 1).generate(&sizes(20, 100), &[]).unwrap(), 3_000).as_names.len(), 512);
}

#[test]
fn peers_of_the_shipped_graph_follow_zipfs_law() {
    let topology = text("topologies", "tiered");
    let plan = plan(&topology, 150);
    let homes = homes(&plan);
    let sum: f64 = (1..=44).map(|rank| 1.0 / f64::from(rank)).sum();
    for rank in 1..=44_u32 {
        let peers = homes.get(format!("stub-{rank}").as_str()).copied().unwrap_or(0);
        let expected = 150.0 / f64::from(rank) / sum;
        assert!((f64::from(peers) - expected).abs() < 1.0, "stub-{rank}: {peers}, not {expected}");
    }
    assert_eq!(homes.values().sum::<u32>(), 150);
    // An edge where most of them are.
    let edges = plan.nodes.iter().filter(|node| node.group == "edges");
    let at: BTreeSet<&str> = edges.map(|node| plan.as_names[&node.config.as_number].as_str()).collect();
    assert_eq!(
        at,
        (1..=11).map(|rank| format!("stub-{rank}")).collect::<Vec<_>>().iter().map(String::as_str).collect()
    );
    // A part of the control plane in each region.
    let regions = |group: &str| {
        let nodes = plan.nodes.iter().filter(|node| node.group == group);
        nodes.map(|node| node.config.region.as_str()).collect::<BTreeSet<_>>().len()
    };
    assert_eq!((regions("control"), regions("database")), (4, 4));
    // Few enough classes of links that calibration is done in time.
    let links = plan.fabric.links.iter().map(|link| format!("{:?}", link.forward));
    assert!(links.collect::<BTreeSet<_>>().len() <= 16);
}

#[test]
fn regions_differ_in_how_near_an_edge_is() {
    let plan = plan(&text("topologies", "regions"), 150);
    let edges: BTreeMap<_, _> =
        plan.nodes.iter().filter(|node| node.group == "edges").map(|node| (node.config.address, node)).collect();
    let mut nearest: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for node in plan.nodes.iter().filter(|node| node.group == "homes") {
        let RoleConfig::Peer(peer) = &node.config.role else { panic!("{}", node.name) };
        let edge = &edges[&peer.edges[0].ip()].config;
        let class = match edge {
            edge if edge.as_number == node.config.as_number => "own AS",
            edge if edge.region == node.config.region => "region",
            _ => "elsewhere",
        };
        nearest.entry(&node.config.region).or_default().insert(class);
    }
    let expected = [
        ("africa", &["elsewhere"][..]),
        ("asia", &["own AS", "region"]),
        ("europe", &["own AS"]),
        ("north-america", &["own AS"]),
        ("oceania", &["own AS", "region"]),
        ("south-america", &["elsewhere"]),
    ];
    assert_eq!(nearest, expected.map(|(region, classes)| (region, classes.iter().copied().collect())).into());
    // Whoever logs in is known by country.
    let directory = plan.nodes.iter().find_map(|node| match &node.config.role {
        RoleConfig::Control(control) => Some(&control.directory),
        _ => None,
    });
    let countries: BTreeSet<_> = directory.unwrap().iter().filter_map(|entry| entry.country.as_deref()).collect();
    assert_eq!(countries.len(), 12);
}

/// The links to providers in a file: customer, provider.
fn paid(topology: &str) -> impl Iterator<Item = (&str, &str)> {
    let links = topology.lines().filter_map(|line| line.strip_prefix("  - {customer: ")?.split_once(", provider: "));
    links.map(|(customer, rest)| (customer, rest.split(',').next().unwrap()))
}

#[test]
fn a_few_have_most_of_the_customers() {
    for (sizes, above) in [(sizes(5, 45), "transit"), (sizes(20, 100), "tier1")] {
        let topology = recipe(300, 5).generate(&sizes, &[]).unwrap();
        let mut customers: BTreeMap<&str, u32> = BTreeMap::new();
        for (_, provider) in paid(&topology).filter(|(_, provider)| provider.starts_with(above)) {
            *customers.entry(provider).or_default() += 1;
        }
        let mut customers: Vec<u32> = customers.into_values().collect();
        customers.sort_unstable_by(|one, other| other.cmp(one));
        let (all, first): (u32, u32) = (customers.iter().sum(), customers.iter().take(5).sum());
        let even = 5.0 / f64::from(if above == "tier1" { sizes.tier1 } else { sizes.transit });
        assert!(f64::from(first) > 1.8 * even * f64::from(all), "{above}: {customers:?}");
    }
}

#[test]
fn links_are_as_large_as_what_is_behind_them_and_as_long_as_regions_are_apart() {
    let topology = Recipe { regions: 6, ..recipe(300, 5) }.generate(&sizes(5, 45), &[]).unwrap();
    let plan = plan(&topology, 150);
    let homes = homes(&plan);
    let link = |name: String| plan.fabric.links.iter().find(|link| link.name == name).unwrap();
    let rate = |name: String| link(name).forward.bandwidth.mean().unwrap().bps();
    let mut behind: BTreeMap<&str, u32> = BTreeMap::new();
    for (customer, provider) in paid(&topology).filter(|(customer, _)| customer.starts_with("stub")) {
        let peers = homes.get(customer).copied().unwrap_or(0);
        // People are divided among whole peers.
        assert!(rate(format!("{customer}~{provider}")) + 6_000_000 >= u64::from(peers) * 6_000_000);
        *behind.entry(provider).or_default() += peers.saturating_sub(1);
    }
    for (customer, provider) in paid(&topology).filter(|(_, provider)| provider.starts_with("tier1")) {
        let peers = behind.get(customer).copied().unwrap_or(0);
        let rate = rate(format!("{customer}~{provider}"));
        assert!(rate >= u64::from(peers) * 6_000_000, "{customer}~{provider}: {rate} for {peers}");
    }
    // Three of six steps around a circle at most.
    let delays: BTreeSet<u128> = plan.fabric.links.iter().map(|link| link.forward.delay.as_millis()).collect();
    assert_eq!(delays, BTreeSet::from([5, 25, 45, 65]));
}

#[test]
fn a_sample_is_a_part_of_its_file_and_like_it() {
    let texts = ["made-up.as-rel.txt", "made-up.as-rel2.txt"].map(made_up);
    let recipe = recipe(60, 1);
    let [imported, other] = [&texts[0], &texts[1]].map(|text| import(text, &recipe));
    assert_eq!(imported, other, "both forms say the same");
    assert_ne!(imported.yaml, import(&texts[0], &Recipe { seed: 2, ..recipe }).yaml);
    let plan = plan(&imported.yaml, 150);
    assert_eq!((plan.as_names.len(), plan.fabric.links.len(), imported.top), (60, imported.links, 6));
    let lines: BTreeSet<&str> = texts[0].lines().collect();
    for line in imported.yaml.lines() {
        let number = |name: &str| name.trim_start_matches("as").to_owned();
        let said = if let Some(link) = line.strip_prefix("  - {customer: ") {
            let (customer, rest) = link.split_once(", provider: ").unwrap();
            format!("{}|{}|-1", number(rest.split(',').next().unwrap()), number(customer))
        } else if let Some(link) = line.strip_prefix("  - {peers: [") {
            let (one, other) = link.split_once(']').unwrap().0.split_once(", ").unwrap();
            format!("{}|{}|0", number(one), number(other))
        } else {
            continue;
        };
        assert!(lines.contains(said.as_str()), "{line}");
    }
    assert!(imported.distance < 0.2, "{}", imported.distance);
    let (before, after) = imported.mean_degree;
    assert!((before - 2.0 * 1262.0 / 400.0).abs() < 1e-9 && (before / after - 1.0).abs() < 0.5, "{before} {after}");
    // All of it is like itself.
    let whole = import(&texts[0], &Recipe { ases: 400, ..recipe });
    assert!(whole.distance == 0.0 && whole.links == 1262);
    // And nearly all of it nearly so, though its mean is another.
    let nearly = import(&texts[0], &Recipe { ases: 399, ..recipe });
    assert!(nearly.distance > 0.0 && nearly.distance < 0.02, "{}", nearly.distance);
}

#[test]
fn what_is_wrong_with_a_file_of_relationships_is_said_with_its_line() {
    let text = "# a comment\n\
        1|2|-1\n\
        1|2|-1|bgp\n\
        2|1|-1\n\
        2|3|0\r\n\
        3|2|1\n\
        4|x|0\n\
        0|4|0\n\
        5|5|0\n\
        6|7\n\
        6|7|0|bgp|more\n\
        4294967296|7|-1\n\
        \n\
        3|2|-1\n";
    insta::assert_snapshot!(said(text), @"
    warning: line 2 says the same of 1 and 2
     --> as-rel.txt:3:1
      |
    3 | 1|2|-1|bgp
      | ^^^^^^^^^^
      |
      = help: the link is taken once; remove one of the lines

    error: line 2 says something else of 1 and 2
     --> as-rel.txt:4:1
      |
    4 | 2|1|-1
      | ^^^^^^
      |
      = help: two ASes have one relation: keep one of the lines

    error: `1` is not a relation
     --> as-rel.txt:6:5
      |
    6 | 3|2|1
      |     ^
      |
      = help: it is `-1` where the first AS is the provider of the second, `0` where they are peers

    error: `x` is not the number of an AS
     --> as-rel.txt:7:3
      |
    7 | 4|x|0
      |   ^
      |
      = help: AS numbers are from 1 to 4294967295

    error: `0` is not the number of an AS
     --> as-rel.txt:8:1
      |
    8 | 0|4|0
      | ^
      |
      = help: AS numbers are from 1 to 4294967295

    error: 5 has a link to itself
     --> as-rel.txt:9:1
      |
    9 | 5|5|0
      | ^^^^^
      |
      = help: remove the line

    error: `6|7` is not a relationship between two ASes
      --> as-rel.txt:10:1
       |
    10 | 6|7
       | ^^^
       |
       = help: a line is `<provider>|<customer>|-1` or `<peer>|<peer>|0`, and in serial-2 files has `|<source>` behind it

    error: `6|7|0|bgp|more` is not a relationship between two ASes
      --> as-rel.txt:11:1
       |
    11 | 6|7|0|bgp|more
       | ^^^^^^^^^^^^^^
       |
       = help: a line is `<provider>|<customer>|-1` or `<peer>|<peer>|0`, and in serial-2 files has `|<source>` behind it

    error: `4294967296` is not the number of an AS
      --> as-rel.txt:12:1
       |
    12 | 4294967296|7|-1
       | ^^^^^^^^^^
       |
       = help: AS numbers are from 1 to 4294967295

    error: line 5 says something else of 2 and 3
      --> as-rel.txt:14:1
       |
    14 | 3|2|-1
       | ^^^^^^
       |
       = help: two ASes have one relation: keep one of the lines
    ");
}

#[test]
fn a_file_may_say_the_same_twice_but_must_say_something() {
    insta::assert_snapshot!(said("1|2|-1\n3|2|0\n2|3|0|mlp\n"), @"
    2 links
    warning: line 2 says the same of 2 and 3
     --> as-rel.txt:3:1
      |
    3 | 2|3|0|mlp
      | ^^^^^^^^^
      |
      = help: the link is taken once; remove one of the lines
    ");
    insta::assert_snapshot!(said("# nothing\n"), @"
    error: the file has no relationship
     --> as-rel.txt:1:1
      |
    1 | # nothing
      | ^
      |
      = help: a line is `<provider>|<customer>|-1` or `<peer>|<peer>|0`, and in serial-2 files has `|<source>` behind it
    ");
    let packed = Source::from_relations("as-rel.txt.bz2", b"BZh91AY&SY".to_vec()).unwrap_err();
    insta::assert_snapshot!(packed, @"
    error: the file is compressed (bzip2)
    --> as-rel.txt.bz2:1:1
     = help: decompress it first, for example `bzip2 -dk FILE`; files of relationships are read as text
    ");
}

#[test]
fn what_cannot_be_sampled_is_refused() {
    let refused = |text: &str, ases, regions| {
        Recipe { regions, ..recipe(ases, 1) }.import(&relations(text).unwrap(), &[]).unwrap_err()
    };
    assert_eq!(refused("1|2|-1\n2|3|-1\n3|1|-1\n", 2, 1), Refused::Top);
    assert_eq!(refused("1|2|-1\n1|3|-1\n4|5|0\n", 4, 1), Refused::Joined { joined: 3, all: 5, top: 1 });
    assert_eq!(refused("1|2|-1\n1|3|-1\n", 3, 4), Refused::Regions { regions: 4, ases: 3 });
    assert_eq!(refused("1|2|-1\n", 513, 1), Refused::Ases(513));
}

/// What is said of a text of relationships.
fn said(text: &str) -> String {
    match relations(text) {
        Ok(relations) => format!("{} links\n{}", relations.links(), relations.warnings()),
        Err(wrong) => wrong.to_string(),
    }
}

proptest! {
    #[test]
    fn no_text_of_relationships_surprises_anybody(text in "[0-3]{0,2}(\\|[-0-3x]{0,2}){0,4}(\n[0-3]\\|[0-3]\\|(0|-1)){0,12}") {
        if let Ok(relations) = relations(&text) {
            for ases in [2, 3] {
                if let Ok(imported) = (Recipe { regions: 1, ..recipe(ases, 1) }).import(&relations, &[]) {
                    prop_assert_eq!(plan(&imported.yaml, 10).as_names.len(), ases as usize);
                }
            }
        }
    }
}

#[test]
fn pairs_that_are_said_twice_cost_no_more_than_others() {
    let lines: Vec<String> = (0..200_000_u32).map(|n| format!("{}|{}|-1\n", n / 500 + 1, n % 500 + 1_000)).collect();
    let lines = lines.concat();
    let begun = std::time::Instant::now();
    let read = relations(&format!("{lines}{lines}")).unwrap();
    assert_eq!((read.links(), read.warnings().len()), (200_000, 200_000));
    // Each counting the lines before it took minutes.
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    let first = read.warnings().iter().next().unwrap();
    assert_eq!((first.line(), first.message()), (200_001, "line 1 says the same of 1 and 1000"));
}

#[test]
fn a_mark_of_the_byte_order_is_skipped_and_returns_alone_are_refused() {
    let with_mark = relations("\u{feff}# comment\r\n1|2|-1\r\n").unwrap();
    assert_eq!((with_mark.ases(), with_mark.links()), (2, 1));
    assert_eq!(relations("\u{feff}1|2|-1\n").unwrap().links(), 1);
    for text in ["# comment\r1|2|-1\r2|3|-1\r", "1|2|-1\r2|3|-1"] {
        let wrong = common::only(&relations(text).unwrap_err());
        assert!(wrong.contains("this line ends with a carriage return alone"), "{wrong}");
    }
}
