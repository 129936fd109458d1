//! Groups in several ASes: who is where, and what is wrong with such a group.

mod common;

use std::collections::BTreeMap;

use common::{only, read};
use peerbed_model::{Diagnostics, Experiment, Plan};

/// Five ASes, four with people, in two regions.
const TOPOLOGY: &str = "\
access:
  cable: {up: 5mbit, down: 25mbit, delay: 8ms}
ases:
  - {name: transit, number: 64500, region: core, prefix: 10.0.0.0/24}
  - {name: small, number: 64501, region: north, population: 10, prefix: 10.1.0.0/24}
  - {name: large, number: 64502, region: north, population: 60, prefix: 10.2.0.0/24, access: {fibre: {up: 50mbit}}}
  - {name: mid, number: 64503, region: south, population: 29, prefix: 10.3.0.0/24}
  - {name: tiny, number: 64504, region: south, population: 1, prefix: 10.4.0.0/24}
links:
  - {customer: small, provider: transit}
  - {customer: large, provider: transit}
  - {customer: mid, provider: transit}
  - {customer: tiny, provider: transit}
edges:
  - {as: transit, access: cable}
control:
  - {as: transit, access: cable}
";

fn experiment(group: &str) -> String {
    format!(
        "question: Where are they?\ntopology: t\nseed: 1\nduration: 60s\n\
         content:\n  - {{id: patch, size: 1MiB, provider: A}}\n\
         groups:\n  - {{name: homes, access: cable, {group}}}\n  - {{name: others, as: mid, peers: 2, access: cable}}\n\
         workload:\n  arrivals: {{burst: 4}}\narms:\n  hybrid: {{}}\n"
    )
}

fn resolve(group: &str) -> Result<Experiment, Diagnostics> {
    read(experiment(group).as_bytes(), TOPOLOGY.as_bytes())
}

fn plan(group: &str) -> Plan {
    resolve(group).unwrap_or_else(|wrong| panic!("{wrong}")).plan("hybrid", 0, None).unwrap()
}

/// The same topology, uninhabited.
fn nobody() -> String {
    let zero =
        |text: String, population: &str| text.replacen(&format!("population: {population},"), "population: 0,", 1);
    ["10", "60", "29", "1"].into_iter().fold(TOPOLOGY.to_owned(), zero)
}

/// The numbers of the group's peers, by the name of their AS.
fn whereabouts(plan: &Plan) -> BTreeMap<&str, Vec<usize>> {
    let mut found: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for node in plan.nodes.iter().filter(|node| node.group == "homes") {
        let number = node.name.as_str().strip_prefix("homes-").unwrap().parse().unwrap();
        found.entry(plan.as_names[&node.config.as_number].as_str()).or_default().push(number);
    }
    for numbers in found.values_mut() {
        numbers.sort_unstable();
    }
    found
}

#[test]
fn peers_are_where_people_are_in_blocks_in_the_order_of_the_topology() {
    let plan = plan("as: populated, peers: 10, uploads: 50%, holds: {patch: 3}");
    // Quotas 1, 6, 2.9 and 0.1.
    let expected = BTreeMap::from([("small", vec![0]), ("large", (1..7).collect()), ("mid", vec![7, 8, 9])]);
    assert_eq!(whereabouts(&plan), expected);
    for (node, planned) in plan.fabric.nodes.iter().zip(&plan.nodes) {
        assert_eq!((node.as_number, node.address), (planned.config.as_number, planned.config.address));
        let region = if planned.config.as_number.get() < 64503 { "north" } else { "south" };
        assert!(planned.group != "homes" || planned.config.region == region, "{}", planned.name);
    }
    // Shares are of the group, wherever its peers are.
    let peers = || common::peers(&plan).filter(|(name, _)| name.starts_with("homes"));
    assert_eq!(peers().filter(|(_, peer)| peer.uploads.enabled).count(), 5);
    assert_eq!(peers().filter(|(_, peer)| !peer.holds.is_empty()).count(), 3);
    // Another group is as it was.
    assert_eq!(plan.nodes.iter().filter(|node| node.group == "others").count(), 2);
}

#[test]
fn lists_and_regions_choose_among_them() {
    let both = plan("as: [tiny, mid], peers: 30");
    assert_eq!(whereabouts(&both), BTreeMap::from([("tiny", vec![0]), ("mid", (1..30).collect())]));
    assert_eq!(
        whereabouts(&plan("as: {regions: [north]}, peers: 7")),
        BTreeMap::from([("small", vec![0]), ("large", (1..7).collect())])
    );
    assert_eq!(whereabouts(&plan("as: [mid], peers: 2, lan: home")), BTreeMap::from([("mid", vec![0, 1])]));
    // Nobody lives in any of them: as many in each.
    let uninhabited = nobody();
    let experiment = read(experiment("as: [large, small], peers: 5").as_bytes(), uninhabited.as_bytes());
    let plan = experiment.unwrap_or_else(|wrong| panic!("{wrong}")).plan("hybrid", 0, None).unwrap();
    assert_eq!(whereabouts(&plan), BTreeMap::from([("large", vec![0, 1, 2]), ("small", vec![3, 4])]));
}

#[test]
fn movers_of_several_ases_come_back_to_their_own() {
    let plan = plan("as: populated, peers: 40, moves: {to: [transit], every: 5s}");
    let home: BTreeMap<_, _> = plan.nodes.iter().map(|node| (&node.name, node.config.address)).collect();
    let mut back = 0;
    for action in &plan.timeline {
        let peerbed_model::Act::Move { nodes, to } = &action.act else { continue };
        for (node, to) in nodes.iter().zip(to) {
            let own = to.place == *node;
            back += usize::from(own);
            assert_eq!(to.config.address == home[node], own);
            assert_eq!(to.as_name == "transit", !own);
        }
    }
    assert!(back > 40, "{back}");
}

#[test]
fn what_is_wrong_with_such_a_group() {
    let cases = [
        "as: [], peers: 4",
        "as: [mid, mid], peers: 4",
        "as: [mid, nowhere], peers: 4",
        "as: [mid, transit], peers: 4",
        "as: {regions: [east]}, peers: 4",
        "as: {regions: [core]}, peers: 4",
        "as: {regions: []}, peers: 4",
        "as: populated, peers: 4, lan: home",
        "as: [mid, tiny], peers: 4, lan: home",
        "as: populated, peers: 600",
    ];
    let said: String = cases.iter().map(|case| only(&resolve(case).expect_err(case)) + "\n").collect();
    insta::assert_snapshot!(said, @"
    experiments/e.yaml:8:38 the list of ASes is empty [at least one is needed]
    experiments/e.yaml:8:44 `mid` is named twice [name each once]
    experiments/e.yaml:8:44 no AS named `nowhere` [there are: transit, small, large, mid, tiny]
    experiments/e.yaml:8:38 `mid` has a population and `transit` none [peers are divided by the populations of the ASes, or evenly where none of them has one: give each a `population`, or name those alone that have one]
    experiments/e.yaml:8:49 no region named `east` [there are: core, north, south]
    experiments/e.yaml:8:38 no AS of these regions has a population: core [there are people in: north, south]
    experiments/e.yaml:8:48 the list of regions is empty [at least one is needed]
    experiments/e.yaml:8:64 a local network is in one AS, and this group is in several [give each AS a group of its own, or leave `lan` out]
    experiments/e.yaml:8:66 a local network is in one AS, and this group is in several [give each AS a group of its own, or leave `lan` out]
    experiments/e.yaml:8:56 360 hosts, but the prefix 10.2.0.0/24 of `large` has 254 addresses left [make the AS's prefix larger, the group smaller, or put the group elsewhere]
    ");
    let fibre = experiment("as: populated, peers: 4").replacen("cable", "fibre", 1);
    insta::assert_snapshot!(only(&read(fibre.as_bytes(), TOPOLOGY.as_bytes()).unwrap_err()), @"experiments/e.yaml:8:27 no access profile of `small` is named `fibre` [there are: cable]");
    let topology = TOPOLOGY.replace("tiny", "populated");
    let named = read(experiment("as: mid, peers: 4").as_bytes(), topology.as_bytes()).unwrap_err();
    insta::assert_snapshot!(only(&named), @"topologies/t.yaml:8:12 an AS cannot be named `populated`: groups say so for every AS with a population [take another name]");
    let nobody = read(experiment("as: populated, peers: 4").as_bytes(), nobody().as_bytes()).unwrap_err();
    insta::assert_snapshot!(only(&nobody), @"experiments/e.yaml:8:38 no AS of the topology has a population [give ASes of the topology a `population`, or name the ASes: `as: [isp-x, isp-y]`]");
}
