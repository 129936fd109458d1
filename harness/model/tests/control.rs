//! The control plane of a topology: which nodes there are, who knows whom, and what is refused.

mod common;

use std::fmt::Write;

use common::{EXPERIMENT, read};
use peerbed_contract::{ControlPart, RoleConfig};
use peerbed_model::Plan;

/// Four regions in a row: north, south, west and east, joined by `transit`.
fn topology(servers: &str) -> String {
    let mut text = "access:\n  cable: {up: 5mbit, down: 50mbit}\nases:\n".to_owned();
    for (number, (name, region)) in
        [("transit", "north"), ("isp-x", "south"), ("isp-y", "west"), ("isp-z", "west"), ("isp-w", "east")]
            .iter()
            .enumerate()
    {
        writeln!(text, "  - {{name: {name}, number: {}, region: {region}, prefix: 10.{number}.0.0/24}}", 100 + number)
            .unwrap();
    }
    text += "links:\n";
    for name in ["isp-x", "isp-y", "isp-z", "isp-w"] {
        writeln!(text, "  - {{customer: {name}, provider: transit, rate: 1gbit}}").unwrap();
    }
    text + "edges:\n  - {as: transit, access: cable}\n" + servers
}

fn plan(servers: &str) -> Result<Plan, String> {
    let arms = "arms:\n  hybrid: {}\n";
    let experiment = format!(
        "question: Who knows whom?\ntopology: t\nseed: 1\nduration: 10s\ncontent:\n  - {{id: patch, size: 1MiB, provider: A}}\n\
         groups:\n  - {{name: homes, as: isp-x, peers: 4, access: cable, lan: office}}\n{arms}"
    );
    let read = read(experiment.as_bytes(), topology(servers).as_bytes()).map_err(|wrong| wrong.to_string())?;
    Ok(read.plan("hybrid", 0, None).unwrap())
}

/// Each database node with the regions that it is responsible for, as every connection node knows them.
fn databases(plan: &Plan) -> Vec<(String, Vec<String>)> {
    let mut known: Option<Vec<(String, Vec<String>)>> = None;
    for node in &plan.nodes {
        let RoleConfig::Control(control) = &node.config.role else { continue };
        let ControlPart::Connection { databases } = &control.part else { continue };
        let named = |address: std::net::IpAddr| {
            plan.nodes.iter().find(|node| node.config.address == address).unwrap().name.to_string()
        };
        let these = databases.iter().map(|one| (named(one.address.ip()), one.regions.clone())).collect();
        assert!(known.as_ref().is_none_or(|known| *known == these), "all connection nodes know the same");
        known = Some(these);
    }
    known.expect("a connection node")
}

#[test]
fn a_lone_connection_node_keeps_its_own_registry() {
    let plan = plan("control:\n  - {as: transit, access: cable}\n").unwrap();
    assert_eq!(databases(&plan), []);
}

#[test]
fn database_nodes_have_their_region_and_the_nearest_without_one() {
    let servers = "control:\n  - {as: transit, access: cable, count: 2}\n\
                   database:\n  - {as: isp-x, access: cable}\n  - {as: isp-y, access: cable, count: 2}\n";
    let plan = plan(servers).unwrap();
    let regions = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        databases(&plan),
        [
            // `transit` and `isp-w` are as far from `isp-x` as from `isp-y`: the lower AS number.
            ("database-0".to_owned(), regions(&["east", "north", "south"])),
            ("database-1".to_owned(), regions(&["west"])),
            ("database-2".to_owned(), regions(&["west"])),
        ]
    );
    for node in &plan.nodes {
        match &node.config.role {
            RoleConfig::Control(control) => {
                if let ControlPart::Database { connection_nodes } = &control.part {
                    assert_eq!((connection_nodes.len(), node.group.as_str()), (2, "database"));
                }
            }
            RoleConfig::Peer(peer) => {
                assert_eq!((peer.control.len(), peer.lan.as_deref()), (2, Some("office")));
            }
            RoleConfig::Edge(_) => {}
        }
    }
    // Peers begin with different connection nodes.
    let first = plan.nodes.iter().filter_map(|node| match &node.config.role {
        RoleConfig::Peer(peer) => Some(peer.control[0]),
        _ => None,
    });
    assert_eq!(first.collect::<std::collections::BTreeSet<_>>().len(), 2);
}

#[test]
fn nodes_that_would_not_know_of_each_other_are_refused() {
    let several = plan("control:\n  - {as: transit, access: cable}\n  - {as: isp-y, access: cable, count: 2}\n");
    let several = several.unwrap_err();
    assert!(several.contains("3 connection nodes without a database node"), "{several}");
    assert!(several.contains("add `database: [{as: …, access: …}]`"), "{several}");
    let none = plan("database:\n  - {as: transit, access: cable}\n").unwrap_err();
    assert!(none.contains("database nodes without a connection node"), "{none}");
    assert!(none.contains("add `control: [{as: …, access: …}]`"), "{none}");
    let named = EXPERIMENT.replacen("name: homes", "name: database", 1).replace("homes", "database");
    let wrong = read(named.as_bytes(), common::TOPOLOGY.as_bytes()).unwrap_err().to_string();
    assert!(wrong.contains("a group cannot be named `database`"), "{wrong}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it must not take long")]
fn many_regions_are_planned_in_no_time() {
    let mut topology = "access:\n  cable: {up: 5mbit, down: 25mbit, delay: 8ms}\nases:\n  - {name: isp-x, number: 64000, region: r0, prefix: 10.255.0.0/24}\n".to_owned();
    let all = 1..=400_u32;
    let list = |of: &dyn Fn(u32) -> String| all.clone().map(|number| of(number) + "\n").collect::<String>();
    topology +=
        &list(&|n| format!("  - {{name: a{n}, number: {n}, region: r{n}, prefix: 10.{}.{}.0/28}}", n / 200, n % 200));
    topology += "links:\n";
    topology += &list(&|n| format!("  - {{customer: a{n}, provider: isp-x, rate: 200mbit, delay: 10ms}}"));
    topology += "edges:\n  - {as: isp-x, access: cable}\ncontrol:\n";
    topology += &list(&|n| format!("  - {{as: a{n}, access: cable}}"));
    topology += "database:\n";
    topology += &list(&|n| format!("  - {{as: a{n}, access: cable}}"));
    let begun = std::time::Instant::now();
    let plan = read(EXPERIMENT.as_bytes(), topology.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let plan = plan.plan("hybrid", 0, None).unwrap();
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(plan.nodes.iter().filter(|node| node.group == "database").count(), 400);
}
