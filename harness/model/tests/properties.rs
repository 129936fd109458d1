//! What must hold for every plan: the same seed gives the same bytes, arms share what they must, addresses fit, packets
//! take valley-free paths, and no input makes the reader panic.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    net::{IpAddr, Ipv4Addr},
};

use common::{peers, read, shipped, text};
use peerbed_contract::{Role, RoleConfig, Strategy as Selecting};
use peerbed_link::Heading;
use peerbed_model::{Experiment, Plan};
use proptest::prelude::*;

fn json(plan: &Plan) -> String {
    serde_json::to_string(plan).unwrap()
}

/// A small experiment over three ASes with the given groups, `(as, peers, holders, uploads in %)`.
fn small(seed: u64, groups: &[(usize, u32, u32, u32)], workload: &str) -> (String, String) {
    let mut topology = "ases:\n".to_owned();
    for (index, prefix) in ["10.0.0.0/24", "10.1.0.0/26", "10.2.0.0/25"].iter().enumerate() {
        let _ = writeln!(
            topology,
            "  - {{name: as-{index}, number: {}, region: r{}, prefix: {prefix}}}",
            100 - index,
            index % 2
        );
    }
    topology += "links:\n  - {customer: as-1, provider: as-0}\n  - {customer: as-2, provider: as-0}\n";
    topology += "access: {home: {up: 5mbit, down: 20mbit}}\n";
    topology += "edges: [{as: as-1, access: home, count: 2}, {as: as-0, access: home}]\n";
    topology += "control: [{as: as-0, access: home}]\n";
    let mut experiment = format!(
        "question: q\ntopology: t\nseed: {seed}\nduration: 60s\nrepeats: 3\n\
         content: [{{id: one, size: 1MiB, provider: A}}, {{id: two, size: 2MiB, provider: B, peers: forbidden}}]\ngroups:\n"
    );
    for (index, (at, peers, holders, uploads)) in groups.iter().enumerate() {
        let _ = writeln!(
            experiment,
            "  - {{name: g{index}, as: as-{at}, peers: {peers}, access: home, uploads: {uploads}%, holds: {{one: {holders}}}}}"
        );
    }
    experiment += workload;
    experiment +=
        "\narms: {edge-only: {policy.edge.mode: only}, hybrid: {}, open: {policy.selection.strategy: random}}\n";
    (experiment, topology)
}

const POISSON: &str = "workload: {arrivals: {poisson: 0.3/s}, popularity: {zipf: 1}, \
                       patience: {hazard: 0.1/s, resume: 50%, abort: 10%}}";

fn groups() -> impl Strategy<Value = Vec<(usize, u32, u32, u32)>> {
    let group = (0usize..3, 1u32..12, 0u32..12, 0u32..=100);
    prop::collection::vec(
        group.prop_map(|(at, peers, holders, uploads)| (at, peers, holders.min(peers), uploads)),
        1..5,
    )
}

fn plan(texts: &(String, String), arm: &str, repeat: u32) -> Plan {
    read(texts.0.as_bytes(), texts.1.as_bytes())
        .unwrap_or_else(|wrong| panic!("{wrong}"))
        .plan(arm, repeat, None)
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_seed_gives_the_same_bytes(seed in 0u64..1 << 53, groups in groups()) {
        let texts = small(seed, &groups, POISSON);
        let once = json(&plan(&texts, "hybrid", 1));
        prop_assert_eq!(&once, &json(&plan(&texts, "hybrid", 1)));
        prop_assert_eq!(serde_json::from_str::<Plan>(&once).map(|plan| json(&plan)).unwrap(), once.clone());
        prop_assert_ne!(&once, &json(&plan(&texts, "hybrid", 2)));
        prop_assert_ne!(&once, &json(&plan(&small(seed ^ 1, &groups, POISSON), "hybrid", 1)));
    }

    #[test]
    fn a_seed_given_takes_the_place_of_the_files(seed in 0u64..1 << 53, groups in groups()) {
        let texts = small(seed, &groups, POISSON);
        let other = small(seed ^ 1, &groups, POISSON);
        let read = read(other.0.as_bytes(), other.1.as_bytes()).unwrap();
        prop_assert_eq!(json(&plan(&texts, "hybrid", 2)), json(&read.plan("hybrid", 2, Some(seed)).unwrap()));
    }

    #[test]
    fn arms_that_change_policies_share_everything_else(seed in 0u64..1 << 53, groups in groups()) {
        let texts = small(seed, &groups, POISSON);
        let hybrid = plan(&texts, "hybrid", 0);
        for arm in ["edge-only", "open"] {
            let mut other = plan(&texts, arm, 0);
            prop_assert_ne!(json(&hybrid), json(&other));
            for (name, node) in other.nodes.iter_mut().map(|node| (node.name.clone(), &mut node.config.role)) {
                match node {
                    RoleConfig::Peer(peer) => {
                        let mode = peers(&hybrid).find(|(known, _)| *known == name.as_str()).unwrap().1.edge_mode;
                        peer.edge_mode = mode;
                    }
                    RoleConfig::Control(control) => control.selection.strategy = Selecting::Nested,
                    RoleConfig::Edge(_) => {}
                }
            }
            other.arm.clone_from(&hybrid.arm);
            other.parameters.clone_from(&hybrid.parameters);
            prop_assert_eq!(json(&hybrid), json(&other));
        }
    }

    #[test]
    fn every_host_has_an_address_of_its_own_in_its_prefix(seed in 0u64..1 << 53, groups in groups()) {
        let plan = plan(&small(seed, &groups, POISSON), "hybrid", 0);
        let directory = plan.nodes.iter().find_map(|node| match &node.config.role {
            RoleConfig::Control(control) => Some(control.directory.clone()),
            _ => None,
        }).unwrap();
        let mut last = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        for (node, fabric) in plan.nodes.iter().zip(&plan.fabric.nodes) {
            prop_assert_eq!((&node.name, node.config.as_number), (&fabric.name, fabric.as_number));
            prop_assert_eq!(node.config.address, fabric.address);
            prop_assert!(fabric.address > last, "not in order of address, or twice");
            last = fabric.address;
            let homes: Vec<_> = directory.iter().filter(|entry| entry.prefix.contains(fabric.address)).collect();
            prop_assert_eq!(homes.len(), 1);
            prop_assert_eq!(homes[0].as_number, fabric.as_number);
            prop_assert_ne!(fabric.address, homes[0].prefix.network);
        }
        let names: BTreeSet<_> = plan.nodes.iter().map(|node| &node.name).collect();
        let guids: BTreeSet<_> = peers(&plan).map(|(_, peer)| *peer.guid.as_bytes()).collect();
        prop_assert_eq!(names.len(), plan.nodes.len());
        prop_assert_eq!(guids.len(), peers(&plan).count());
    }

    #[test]
    fn requests_make_sense(seed in 0u64..1 << 53, groups in groups()) {
        let plan = plan(&small(seed, &groups, POISSON), "hybrid", 0);
        let mut numbers = Vec::new();
        for (name, peer) in peers(&plan) {
            let mut asked = BTreeSet::new();
            let mut last = 0;
            for step in &peer.script {
                prop_assert!(!peer.holds.contains(&step.content), "{} asks for what it holds", name);
                prop_assert!(asked.insert(&step.content), "{} asks twice", name);
                prop_assert!(peer.objects.iter().any(|object| object.id == step.content));
                prop_assert!(step.at_ns >= last && u128::from(step.at_ns) <= plan.duration.as_nanos());
                last = step.at_ns;
                numbers.push((step.at_ns, step.download));
                prop_assert!(step.user.windows(2).all(|two| two[0].after_active_ns < two[1].after_active_ns));
            }
            prop_assert!(peer.holds.iter().all(|held| peer.objects.iter().any(|object| object.id == *held)));
        }
        numbers.sort_unstable();
        let expected: Vec<u32> = (0..numbers.len() as u32).collect();
        prop_assert_eq!(numbers.into_iter().map(|(_, number)| number).collect::<Vec<_>>(), expected);
        for (index, (_, count, holders, uploads)) in groups.iter().enumerate() {
            let members = || peers(&plan).filter(|(name, _)| name.starts_with(&format!("g{index}-")));
            let round = (f64::from(*count) * f64::from(*uploads) / 100.0).round() as usize;
            prop_assert_eq!(members().count(), *count as usize);
            prop_assert_eq!(members().filter(|(_, peer)| peer.uploads.enabled).count(), round);
            prop_assert_eq!(members().filter(|(_, peer)| !peer.holds.is_empty()).count(), *holders as usize);
        }
    }

    #[test]
    fn another_group_changes_nobody_elses_identity(seed in 0u64..1 << 53, groups in groups(), place in 0usize..3) {
        let before = plan(&small(seed, &groups, POISSON), "hybrid", 0);
        let mut more = groups.clone();
        more.push((place, 5, 2, 50));
        let after = plan(&small(seed, &more, POISSON), "hybrid", 0);
        let known: BTreeMap<_, _> = peers(&after).collect();
        for (name, peer) in peers(&before) {
            let same = known[name];
            prop_assert_eq!(&peer.guid, &same.guid);
            prop_assert_eq!(&peer.holds, &same.holds);
            prop_assert_eq!(&peer.uploads, &same.uploads);
            prop_assert_eq!(&peer.edges, &same.edges);
            prop_assert_eq!(&peer.verify_key, &same.verify_key);
        }
        prop_assert_eq!(before.fabric.seed, after.fabric.seed);
    }
}

#[test]
fn another_group_takes_its_part_of_the_requests_and_leaves_most_of_the_others() {
    let four: Vec<_> = (0..4).map(|index| (index % 3, 12, 2, 100)).collect();
    let script = |groups: &[_]| -> BTreeSet<(u64, String, String)> {
        let plan = plan(&small(5, groups, "workload: {arrivals: {burst: 24, within: 20s}}"), "hybrid", 0);
        let steps = peers(&plan).flat_map(|(name, peer)| peer.script.iter().map(move |step| (name, step)));
        steps.map(|(name, step)| (step.at_ns, name.to_owned(), step.content.to_string())).collect()
    };
    let before = script(&four);
    let mut more = four.clone();
    more.push((2, 12, 2, 100));
    let after = script(&more);
    let kept = before.intersection(&after).count();
    assert_eq!((before.len(), after.len()), (24, 24));
    assert!(kept >= 16, "only {kept} of 24 stayed");
    assert!(after.iter().any(|(_, name, _)| name.starts_with("g4-")));
}

#[test]
fn peers_use_the_nearest_edge_first() {
    let groups = [(0, 1, 0, 100), (1, 1, 0, 100), (2, 1, 0, 100)];
    let plan = plan(&small(1, &groups, POISSON), "hybrid", 0);
    let place: BTreeMap<_, _> =
        plan.nodes.iter().map(|node| (node.config.address, node.config.as_number.get())).collect();
    let order = |name: &str| -> Vec<u32> {
        let peer = peers(&plan).find(|(known, _)| *known == name).unwrap().1;
        assert!(peer.edges.iter().all(|edge| edge.port() == 80));
        peer.edges.iter().map(|edge| place[&edge.ip()]).collect()
    };
    assert_eq!(order("g0-0"), [100, 99, 99]); // its own AS
    assert_eq!(order("g1-0"), [99, 99, 100]); // its own AS, both servers before any other
    assert_eq!(order("g2-0"), [100, 99, 99]); // as-2 has none: that of its region
    let edges = plan.nodes.iter().filter(|node| node.role == Role::Edge).count();
    assert_eq!(edges, 3);
}

/// Links of a random AS graph: `(a, b, customer-to-provider)`.
type Links = Vec<(usize, usize, bool)>;

fn graph() -> impl Strategy<Value = (usize, Links)> {
    (2usize..8).prop_flat_map(|count| {
        let link = (0..count, 0..count, any::<bool>());
        (Just(count), prop::collection::vec(link, 1..18)).prop_map(|(count, links)| {
            let mut seen = BTreeSet::new();
            let fresh = links.into_iter().filter(|(a, b, _)| a != b && seen.insert((*a.min(b), *a.max(b))));
            (count, fresh.collect())
        })
    })
}

/// AS numbers that are not in the order of the file.
fn number(index: usize) -> u32 {
    ((index as u32 * 5 + 3) % 8) + 1
}

/// All loop-free valley-free paths, by trying everything: the best by length, then by AS numbers.
fn best(links: &Links, from: usize, to: usize) -> Option<Vec<u32>> {
    fn extend(links: &Links, path: &mut Vec<usize>, to: usize, descending: bool, found: &mut Vec<(usize, Vec<u32>)>) {
        let at = *path.last().unwrap();
        if at == to {
            found.push((path.len(), path.iter().map(|index| number(*index)).collect()));
            return;
        }
        for (a, b, paid) in links {
            let (next, up, across) = match at {
                _ if *a == at => (*b, *paid, !*paid),
                _ if *b == at => (*a, false, !*paid),
                _ => continue,
            };
            if path.contains(&next) || (descending && (up || across)) {
                continue;
            }
            path.push(next);
            extend(links, path, to, descending || !up, found);
            path.pop();
        }
    }
    let mut found = Vec::new();
    extend(links, &mut vec![from], to, false, &mut found);
    found.into_iter().min().map(|(_, path)| path)
}

fn with_graph(count: usize, links: &Links) -> Result<Experiment, peerbed_model::Diagnostics> {
    let mut topology = "access: {a: {}}\nases:\n".to_owned();
    for index in 0..count {
        let _ = writeln!(
            topology,
            "  - {{name: n{index}, number: {}, region: r, prefix: 10.{index}.0.0/24}}",
            number(index)
        );
    }
    topology += if links.is_empty() { "" } else { "links:\n" };
    for (a, b, paid) in links {
        let _ = if *paid {
            writeln!(topology, "  - {{customer: n{a}, provider: n{b}}}")
        } else {
            writeln!(topology, "  - {{peers: [n{a}, n{b}]}}")
        };
    }
    topology += "edges:\n";
    for index in 0..count {
        let _ = writeln!(topology, "  - {{as: n{index}, access: a}}");
    }
    let experiment = "question: q\ntopology: t\nseed: 1\nduration: 1s\narms: {one: {}}\n\
                      content: [{id: c, size: 1B, provider: A}]\ngroups: [{name: g, as: n0, peers: 1, access: a}]\n";
    read(experiment.as_bytes(), topology.as_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn packets_take_the_best_valley_free_path((count, links) in graph()) {
        let wanted: BTreeMap<(u32, u32), Option<Vec<u32>>> = (0..count)
            .flat_map(|from| (0..count).map(move |to| (from, to)))
            .filter(|(from, to)| from != to)
            .map(|(from, to)| ((number(from), number(to)), best(&links, from, to)))
            .collect();
        match with_graph(count, &links) {
            Err(wrong) => {
                prop_assert!(wanted.values().any(Option::is_none), "{}", wrong);
                prop_assert!(wrong.iter().all(|one| one.message().starts_with("no valley-free path")), "{}", wrong);
            }
            Ok(experiment) => {
                let fabric = experiment.plan("one", 0, None).unwrap().fabric;
                prop_assert_eq!(fabric.routes.len(), count * (count - 1));
                for route in &fabric.routes {
                    let mut path = vec![route.from.get()];
                    for hop in &route.hops {
                        let link = &fabric.links[hop.link as usize];
                        let (a, b) = match hop.heading {
                            Heading::Forward => (link.a.get(), link.b.get()),
                            Heading::Backward => (link.b.get(), link.a.get()),
                        };
                        prop_assert_eq!(*path.last().unwrap(), a, "the hops do not join");
                        path.push(b);
                    }
                    prop_assert_eq!(Some(&path), wanted[&(route.from.get(), route.to.get())].as_ref());
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for wrong in [read(&bytes, b"ases: []"), read(text("experiments", "quick").as_bytes(), &bytes)] {
            prop_assert!(!wrong.unwrap_err().to_string().is_empty());
        }
    }

    #[test]
    fn no_yaml_like_text_makes_the_reader_panic(text in "[a-c0-9&*:\\-\\[\\]{},'\"|>!%#~ \n\t\u{e9}\u{1F600}\r]{0,120}") {
        let _ = read(text.as_bytes(), text.as_bytes()).map_err(|wrong| wrong.to_string());
    }

    #[test]
    fn no_damage_to_a_shipped_file_makes_the_reader_panic(
        which in any::<prop::sample::Index>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[ -~\n\u{e9}]{0,6}"), 1..6),
        in_topology in any::<bool>(),
    ) {
        let names = shipped("experiments");
        let name = which.get(&names);
        let experiment = text("experiments", name);
        let topology = text("topologies", experiment.lines().find_map(|line| line.strip_prefix("topology: ")).unwrap());
        let mut damaged = if in_topology { topology.clone() } else { experiment.clone() }.into_bytes();
        for (at, length, new) in cuts {
            let start = at.index(damaged.len());
            let end = (start + length).min(damaged.len());
            damaged.splice(start..end, new.into_bytes());
        }
        let result = if in_topology { read(experiment.as_bytes(), &damaged) } else { read(&damaged, topology.as_bytes()) };
        match result {
            // What resolves can be planned, whatever else it says.
            Ok(experiment) => {
                for arm in experiment.arms() {
                    prop_assert!(experiment.plan(arm, 0, None).is_ok());
                }
            }
            Err(wrong) => {
                prop_assert!(!wrong.is_empty());
                prop_assert!(wrong.to_string().contains("error: "));
            }
        }
    }
}

#[test]
fn a_seed_means_today_what_it_meant_before() {
    // Draws are a promise to whoever compares results over time; a change of them belongs in the changelog.
    let plan = plan(&small(20_121_001, &[(1, 2, 1, 50), (2, 2, 1, 50)], POISSON), "hybrid", 1);
    let mut facts = format!("{} {}\n", plan.seed, plan.fabric.seed);
    for (name, peer) in peers(&plan) {
        let _ = writeln!(facts, "{name} {} uploads {} holds {:?}", peer.guid, peer.uploads.enabled, peer.holds);
        for step in &peer.script {
            let _ = writeln!(facts, "  {} at {} {:?}", step.content, step.at_ns, step.user);
        }
    }
    insta::assert_snapshot!(facts, @r#"
    7077053562588729 13003210763780526552
    g0-0 98dfce56a43feda4bb046878282c4244 uploads true holds []
      one at 1574149615 [UserMoment { after_active_ns: 7202598440, act: Pause { resume_after_ns: Some(5000000000) } }, UserMoment { after_active_ns: 9642650980, act: Pause { resume_after_ns: None } }]
      two at 25163706663 [UserMoment { after_active_ns: 8169027919, act: Pause { resume_after_ns: None } }]
    g0-1 721bc1de60c0568ad33cf8ebf62fbe68 uploads false holds [ContentId("one")]
      two at 7913461559 [UserMoment { after_active_ns: 8966369544, act: Abort }]
    g1-0 2063cdef48abbfed8b1cf7482031d23e uploads true holds []
      one at 10529401642 [UserMoment { after_active_ns: 5533864290, act: Pause { resume_after_ns: Some(5000000000) } }, UserMoment { after_active_ns: 30854894289, act: Pause { resume_after_ns: None } }]
      two at 18233798198 [UserMoment { after_active_ns: 13469960690, act: Pause { resume_after_ns: Some(5000000000) } }, UserMoment { after_active_ns: 26260490648, act: Pause { resume_after_ns: None } }]
    g1-1 9d0fee8ecdc5ce603a9f88c66bc7140f uploads false holds [ContentId("one")]
      two at 12005659386 [UserMoment { after_active_ns: 262199535, act: Pause { resume_after_ns: Some(5000000000) } }, UserMoment { after_active_ns: 3706185124, act: Pause { resume_after_ns: None } }]
    "#);
}
