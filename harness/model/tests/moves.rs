//! Peers that change their address: who goes where and when, the places that are kept for them, and the errors of their keys.

mod common;

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use common::{only, peers, read};
use peerbed_contract::Place;
use peerbed_model::{Act, Plan};
use proptest::prelude::*;

const TOPOLOGY: &str = "\
access:
  cable: {up: 4mbit, down: 20mbit, delay: 8ms}
  server: {up: 100mbit, down: 100mbit}
ases:
  - {name: transit, number: 64500, region: core, prefix: 10.0.0.0/24}
  - {name: isp-x, number: 64501, region: west, prefix: 10.1.0.0/24}
  - {name: isp-y, number: 64502, region: east, prefix: 10.2.0.0/27, access: {cable: {up: 2mbit, down: 9mbit}}}
links:
  - {customer: isp-x, provider: transit}
  - {customer: isp-y, provider: transit}
edges:
  - {as: isp-x, access: server}
  - {as: isp-y, access: server}
control:
  - {as: transit, access: server}
";

fn text(group: &str, more: &str) -> String {
    format!(
        "question: Does it work?\ntopology: t\nseed: 1\nduration: 60s\ncontent: [{{id: patch, size: 1MiB, provider: A}}]\n\
         groups:\n  - {{name: homes, as: isp-x, peers: 10, access: cable, lan: hall{group}}}\n\
         workload: {{arrivals: {{burst: 4}}}}\n{more}arms: {{hybrid: {{}}, staying: {{groups.homes.moves.share: 0%}}}}\n"
    )
}

fn plan(group: &str, more: &str, seed: u64, arm: &str) -> Plan {
    let text = text(group, more).replace("seed: 1", &format!("seed: {seed}"));
    let text = if arm == "staying" { text } else { text.replace(", staying: {groups.homes.moves.share: 0%}", "") };
    read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}")).plan(arm, 0, None).unwrap()
}

fn wrong(group: &str, more: &str) -> String {
    let text = text(group, more).replace(", staying: {groups.homes.moves.share: 0%}", "");
    only(&read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_err())
}

/// Everybody who moves, in order of time: when, who, to which place, and what it is told.
fn moves(plan: &Plan) -> Vec<(Duration, String, String, Place)> {
    let actions = plan.timeline.iter().filter_map(|action| match &action.act {
        Act::Move { nodes, to } => Some((action.at, nodes.iter().zip(to))),
        _ => None,
    });
    let each = actions.flat_map(|(at, moves)| {
        moves.map(move |(node, to)| (at, node.to_string(), to.place.to_string(), to.config.clone()))
    });
    each.collect()
}

const PATTERN: &str = ", moves: {share: 40%, to: [isp-y, isp-x], every: 10s}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn movers_go_from_place_to_place(seed in 0u64..1 << 53) {
        let plan = plan(PATTERN, "", seed, "hybrid");
        prop_assert!(plan.timeline.windows(2).all(|two| two[0].at <= two[1].at));
        prop_assert!(plan.timeline.iter().all(|action| action.at < plan.duration));
        let mut here: BTreeMap<String, IpAddr> =
            plan.nodes.iter().map(|node| (node.name.to_string(), node.config.address)).collect();
        let mut movers = BTreeMap::new();
        let addresses = plan.addresses();
        for (_, node, place, told) in moves(&plan) {
            prop_assert_ne!(here.insert(node.clone(), told.address), Some(told.address), "it goes somewhere else");
            let planned = plan.nodes.iter().find(|one| one.name.as_str() == node).unwrap();
            let (owner, at) = addresses[&told.address];
            prop_assert_eq!(plan.nodes[owner].name.as_str(), &node);
            prop_assert_eq!(told.as_number, at);
            let kept = plan.fabric.places.iter().find(|one| one.at.name.as_str() == place);
            match kept {
                None => prop_assert_eq!((&place, told.address), (&node, planned.config.address)),
                Some(kept) => {
                    prop_assert_eq!((kept.of.as_str(), kept.at.address), (node.as_str(), told.address));
                    prop_assert_eq!(&told.lan, &None);
                    // A share of the uplink that is there.
                    let up = kept.at.access.up.bandwidth.mean().unwrap().bps();
                    prop_assert_eq!(told.rate_bps, Some(up * 8 / 10));
                    let first = if at.get() == 64_502 { "10.2.0.1:80" } else { "10.1.0.1:80" };
                    prop_assert_eq!(told.edges[0].to_string(), first);
                }
            }
            movers.entry(node).or_insert(0);
        }
        prop_assert!(movers.len() <= 4);
        // One that never moves has no place; each has at most two beside its own.
        for place in &plan.fabric.places {
            *movers.get_mut(place.of.as_str()).unwrap() += 1;
        }
        prop_assert!(movers.values().all(|places| (1..=2).contains(places)), "{:?}", movers);
        prop_assert!(plan.fabric.places.windows(2).all(|two| two[0].at.address < two[1].at.address));
    }

    #[test]
    fn who_moves_changes_nothing_else(seed in 0u64..1 << 53) {
        let (moving, staying) = (plan(PATTERN, "", seed, "hybrid"), plan(PATTERN, "", seed, "staying"));
        prop_assert_eq!(moves(&staying), []);
        prop_assert_eq!(&staying.fabric.places, &[]);
        prop_assert_eq!(&moving.nodes, &staying.nodes);
        prop_assert_eq!(&moving.fabric.nodes, &staying.fabric.nodes);
        // Who moves at 40 % moves at 80 %, and at the same times.
        let more = plan(&PATTERN.replace("40%", "80%"), "", seed, "hybrid");
        let of = |plan: &Plan| moves(plan).into_iter().map(|(at, node, ..)| (at, node)).collect::<Vec<_>>();
        let (some, more) = (of(&moving), of(&more));
        prop_assert!(some.iter().all(|one| more.contains(one)));
    }
}

#[test]
fn a_timeline_sends_nodes_and_groups() {
    let timeline = "timeline:
  - {at: 5s, do: move, node: homes-3, to: isp-y}
  - {at: 6s, do: move, group: homes, share: 30%, to: isp-x, access: server}
  - {at: 7s, do: move, node: homes-3, to: isp-x}
  - {at: 8s, do: move, node: homes-3, to: isp-y}
  - {at: 9s, do: move, group: homes, to: transit, access: server}
";
    let plan = plan("", timeline, 1, "hybrid");
    let all = moves(&plan);
    let of = |second| all.iter().filter(move |(at, ..)| *at == Duration::from_secs(second)).collect::<Vec<_>>();
    let numbers = [5, 6, 7, 8, 9].map(|second| of(second).len());
    assert_eq!(numbers, [1, 3, 1, 1, 10]);
    assert_eq!(plan.timeline.len(), 5, "one action for each, with all whom it is about");
    // To the AS where it began it goes back home; to the other one, to where it was there.
    assert_eq!(of(7)[0].2, "homes-3");
    assert_eq!(of(7)[0].3.lan.as_deref(), Some("hall"));
    assert_eq!(of(8)[0].3, of(5)[0].3);
    assert_eq!(plan.timeline[0].act.label(), "move homes-3 to isp-y (10.2.0.2)");
    assert_eq!(plan.timeline[4].act.label(), "move 10 nodes to transit");
    // The last one leads to an AS in which no peer is at the start; its way is known all the same.
    let transit = plan.fabric.places.iter().filter(|place| place.at.as_number.get() == 64_500).count();
    assert_eq!(transit, 10);
    let routed =
        |from: u32, to: u32| plan.fabric.routes.iter().any(|route| (route.from.get(), route.to.get()) == (from, to));
    assert!(routed(64_500, 64_502) && routed(64_502, 64_500));
}

#[test]
fn an_as_without_hosts_can_be_moved_to() {
    let topology = TOPOLOGY.replace("  - {as: isp-y, access: server}\n", "");
    for (group, more) in
        [(", moves: {to: [isp-y], every: 5s}", ""), ("", "timeline: [{at: 1s, do: move, node: homes-0, to: isp-y}]\n")]
    {
        let text = text(group, more).replace(", staying: {groups.homes.moves.share: 0%}", "");
        let plan = read(text.as_bytes(), topology.as_bytes()).unwrap().plan("hybrid", 0, None).unwrap();
        assert!(!plan.fabric.places.is_empty());
        assert!(plan.fabric.routes.iter().any(|route| route.to.get() == 64_502), "{more}");
    }
}

#[test]
fn peers_that_move_keep_what_they_are() {
    let plan = plan(PATTERN, "", 3, "hybrid");
    for (name, peer) in peers(&plan) {
        assert_eq!(peer.lan.as_deref(), Some("hall"), "{name}");
        assert_eq!(peer.uploads.rate_bps, Some(3_200_000));
        assert_eq!(peer.edges[0].to_string(), "10.1.0.1:80");
    }
}

#[test]
fn what_is_wrong_with_moves_is_said() {
    let said = [
        (", moves: {to: [isp-z], every: 5s}", ""),
        (", moves: {to: [], every: 5s}", ""),
        (", moves: {to: [isp-y], every: 5s, access: fibre}", ""),
        (", moves: {to: [isp-y]}", ""),
        (", moves: {to: [isp-y], every: 1ms}", ""),
        (", moves: {to: [isp-y, isp-y, isp-y], every: 5s}", ""),
        ("", "timeline: [{at: 1s, do: move, node: edge-0, to: isp-y}]\n"),
        ("", "timeline: [{at: 1s, do: move, node: homes-0}]\n"),
        ("", "timeline: [{at: 1s, do: move, to: isp-y}]\n"),
        ("", "timeline: [{at: 1s, do: move, node: homes-0, to: isp-z}]\n"),
        ("", "timeline: [{at: 1s, do: move, node: homes-0, to: isp-y, access: fibre}]\n"),
        ("", "timeline: [{at: 1s, do: move, node: homes-0, to: isp-y, rate: 1mbit}]\n"),
        ("", "timeline: [{at: 1s, do: move, group: home, to: isp-y}]\n"),
        ("", "timeline: [{at: 1s, do: move, group: homes, share: 0%, to: isp-y}]\n"),
        ("", "timeline: [{at: 1s, do: move, node: homes-0, share: 5%, to: isp-y}]\n"),
    ]
    .map(|(group, more)| wrong(group, more));
    insta::assert_snapshot!(said.join("\n"), @r#"
    experiments/e.yaml:7:80 no AS named `isp-z`, did you mean `isp-x`? [there are: transit, isp-x, isp-y]
    experiments/e.yaml:7:79 the list of ASes to move to is empty [at least one is needed]
    experiments/e.yaml:7:107 no access profile of `isp-y` is named `fibre` [there are: cable, server]
    experiments/e.yaml:7:74 a pattern of moves needs the key `every` [`every`: How long one stays in a place, on average.]
    experiments/e.yaml:7:95 1ms is out of range [from 100ms to 24h is allowed]
    experiments/e.yaml:7:94 places for 10 movers, but the prefix 10.2.0.0/27 of `isp-y` has 9 addresses left [make the AS's prefix larger, or the share that moves smaller]
    experiments/e.yaml:9:37 `move` is of a peer, `edge-0` is none [edges and the control plane stay where they are]
    experiments/e.yaml:9:12 `move` needs the key `to` [say to which AS, as `to: isp-y`]
    experiments/e.yaml:9:12 `move` needs the key `node` or `group` [say which node it happens to, or which group, or a `share` of it]
    experiments/e.yaml:9:50 no AS named `isp-z`, did you mean `isp-x`? [there are: transit, isp-x, isp-y]
    experiments/e.yaml:9:65 no access profile of `isp-y` is named `fibre` [say which with `access`; there are: cable, server]
    experiments/e.yaml:9:63 `rate` has no meaning with `move` [remove it]
    experiments/e.yaml:9:38 no group named `home`, did you mean `homes`? [there are: homes]
    experiments/e.yaml:9:52 a share of 0% is nobody [give it a larger one]
    experiments/e.yaml:9:53 `share` is of a group [write `group` instead of `node`, or remove it]
    "#);
    let many = ["", "", ", access: server"]
        .map(|link| format!("  - {{at: 1s, do: move, group: homes, to: isp-y{link}}}\n"))
        .concat();
    let many = format!("timeline:\n{many}");
    insta::assert_snapshot!(wrong("", &many), @"experiments/e.yaml:12:42 up to 10 new places, but addresses left in the prefix of `isp-y`: 9 [make the AS's prefix larger, or move fewer]");
    let crowd = text(", moves: {to: [isp-y], every: 100ms}", "").replace("duration: 60s", "duration: 10h");
    let crowd = crowd.replace(", staying: {groups.homes.moves.share: 0%}", "");
    insta::assert_snapshot!(only(&read(crowd.as_bytes(), TOPOLOGY.as_bytes()).unwrap_err()), @"experiments/e.yaml:7:3 about 3600000 moves in 10h are more than one run can have [about 20000 are allowed, over all groups; make `every` of `moves` longer]");
}

#[test]
fn places_that_were_left_are_free_for_who_comes_back() {
    let ways = ["isp-y", "isp-x"].iter().cycle().zip(1..=40);
    let ways = ways.map(|(to, second)| format!("  - {{at: {second}s, do: move, group: homes, to: {to}}}\n"));
    let plan = plan("", &format!("timeline:\n{}", ways.collect::<String>()), 1, "hybrid");
    assert_eq!((moves(&plan).len(), plan.fabric.places.len()), (400, 10));
}

#[test]
fn what_happens_at_one_moment_keeps_its_order_and_draws_others() {
    let timeline = "timeline:
  - {at: 5s, do: move, group: homes, share: 50%, to: isp-y}
  - {at: 5s, do: freeze, node: homes-3}
  - {at: 5s, do: set-policy, policy: {uploads.rate: 50%}}
  - {at: 5s, do: move, group: homes, share: 50%, to: transit, access: server}
  - {at: 5s, do: thaw, node: homes-3}
";
    let plan = plan("", timeline, 1, "hybrid");
    let words: Vec<&str> = plan.timeline.iter().map(|action| action.act.word()).collect();
    assert_eq!(words, ["move", "freeze", "set-policy", "move", "thaw"]);
    let all = moves(&plan);
    let who: std::collections::BTreeSet<&String> = all.iter().map(|(_, who, ..)| who).collect();
    assert_eq!((all.len(), who.len()), (10, 10), "each goes once");
    // The rate is that of the policy at the moment of the move: 80 % of 2 Mbit/s, 50 % of 100.
    let rates: Vec<Option<u64>> = all.iter().map(|(.., place)| place.rate_bps).collect();
    assert_eq!((rates[0], rates[9]), (Some(1_600_000), Some(50_000_000)));
}

#[test]
fn a_share_of_all_at_the_moment_of_another_move_draws_nobody_and_its_places_are_counted() {
    // The third finds everybody gone already, so that the fourth starts from where the second led to.
    let to = |more: &str| format!("  - {{at: 1s, do: move, group: homes, {more}}}\n");
    let timeline = [
        to("to: isp-y"),
        to("to: isp-y, access: server"),
        to("share: 95%, to: isp-x"),
        to("to: isp-y, access: server"),
    ];
    let said = wrong("", &format!("timeline:\n{}", timeline.concat()));
    assert!(said.contains("up to 10 new places, but addresses left in the prefix of `isp-y`: 9"), "{said}");
}

#[test]
fn a_pattern_that_nobody_follows_draws_nobody() {
    let text = text(
        ", moves: {share: 0%, to: [isp-y], every: 5s}",
        "timeline:\n  - {at: 1s, do: move, group: homes, to: isp-y}\n  - {at: 2s, do: move, group: homes, to: isp-x}\n",
    )
    .replace("{hybrid: {}, staying: {groups.homes.moves.share: 0%}}", "{hybrid: {}}");
    // Ten hosts are at home already.
    let topology = TOPOLOGY.replace("10.1.0.0/24", "10.1.0.0/28");
    let plan =
        read(text.as_bytes(), topology.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}")).plan("hybrid", 0, None);
    assert_eq!(plan.unwrap().fabric.places.len(), 10);
}

/// One move of a timeline: whom it takes, where to, and by which link.
fn a_move() -> impl Strategy<Value = String> {
    let who = prop_oneof![
        (0..10u32).prop_map(|number| format!("node: homes-{number}")),
        Just("group: homes".to_owned()),
        (1..100u32).prop_map(|share| format!("group: homes, share: {share}%")),
    ];
    let to = prop::sample::select(vec!["isp-x", "isp-y", "transit, access: server", "isp-y, access: server"]);
    (who, to).prop_map(|(who, to)| format!("  - {{at: 1s, do: move, {who}, to: {to}}}\n"))
}

proptest! {
    #[test]
    fn no_draw_wants_more_addresses_than_there_are(
        pattern in any::<bool>(), moves in prop::collection::vec(a_move(), 1..12), seed in 0u64..1 << 53,
    ) {
        let group = if pattern { ", moves: {share: 40%, to: [isp-y], every: 20s}" } else { "" };
        let text = text(group, &format!("timeline:\n{}", moves.concat())).replace("seed: 1", &format!("seed: {seed}"));
        let text = text.replace(", staying: {groups.homes.moves.share: 0%}", "");
        let Ok(experiment) = read(text.as_bytes(), TOPOLOGY.as_bytes()) else { return Ok(()) };
        let plan = experiment.plan("hybrid", 0, None).unwrap();
        let places = plan.fabric.places.iter().map(|place| place.at.address);
        let all: Vec<IpAddr> = plan.nodes.iter().map(|node| node.config.address).chain(places).collect();
        let different: std::collections::BTreeSet<&IpAddr> = all.iter().collect();
        prop_assert_eq!(different.len(), all.len());
        let in_y = all.iter().filter(|address| address.to_string().starts_with("10.2.0.")).count();
        prop_assert!(in_y <= 30, "{} in a /27", in_y);
    }
}

#[test]
fn a_link_that_is_named_is_the_one_at_home_too() {
    let timeline = "timeline:\n  - {at: 1s, do: move, node: homes-0, to: isp-y}\n  - {at: 2s, do: move, node: homes-0, to: isp-x, access: server}\n  \
                    - {at: 3s, do: move, node: homes-0, to: isp-y}\n  - {at: 4s, do: move, node: homes-0, to: isp-x}\n";
    let plan = plan(", moves: {share: 0%, to: [isp-y], every: 10s}", timeline, 1, "hybrid");
    let rates: Vec<Option<u64>> = moves(&plan).iter().map(|(.., place)| place.rate_bps).collect();
    assert_eq!(rates, [Some(1_600_000), Some(80_000_000), Some(1_600_000), Some(3_200_000)]);
}

#[test]
fn latecomers_move_only_once_they_are_there() {
    let timeline = "timeline:\n  - {at: 40s, do: add, group: homes, share: 50%}\n";
    let plan = plan(", moves: {to: [isp-y], every: 4s}", timeline, 1, "hybrid");
    let added = plan.timeline.iter().find(|action| matches!(action.act, Act::Add { .. })).expect("an add");
    let late: Vec<String> = added.act.nodes().iter().map(ToString::to_string).collect();
    assert_eq!(late.len(), 5);
    let moves = moves(&plan);
    assert!(moves.iter().filter(|(_, who, ..)| late.contains(who)).all(|(at, ..)| *at > Duration::from_secs(40)));
    assert!(moves.iter().any(|(_, who, ..)| late.contains(who)) && moves.iter().any(|(at, ..)| at.as_secs() < 20));
}

#[test]
fn a_timeline_moves_so_many_and_no_more() {
    let one = "  - {at: 1s, do: move, group: homes, to: isp-y}\n  - {at: 2s, do: move, group: homes, to: isp-x}\n";
    let text = text("", &format!("timeline:\n{}", one.repeat(120)))
        .replace(", staying: {groups.homes.moves.share: 0%}", "")
        .replace("peers: 10", "peers: 100");
    let topology =
        TOPOLOGY.replace("0/24", "0/16").replace("10.2.0.0/27", "10.2.0.0/16").replace("10.0.0.0/16", "10.0.0.0/24");
    let wrong = read(text.as_bytes(), topology.as_bytes()).unwrap_err().to_string();
    assert!(wrong.contains("the timeline moves 20100 peers up to here"), "{wrong}");
}
