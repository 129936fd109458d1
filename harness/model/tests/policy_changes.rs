//! `set-policy`: what changes, who is told what, and what is refused.

mod common;

use common::{EXPERIMENT, TOPOLOGY, only, peers, read};
use peerbed_contract::{EdgeMode, NodePolicy, Order, Strategy};
use peerbed_model::{Act, Plan, PolicyOrder};

fn text(timeline: &str) -> String {
    EXPERIMENT.replace("arms:\n", &format!("timeline: [{timeline}]\narms:\n  few: {{policy.uploads.per_copy: 3}}\n"))
}

fn plan(arm: &str, timeline: &str) -> Plan {
    let experiment = read(text(timeline).as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(experiment.warnings().iter().count(), 0, "{}", experiment.warnings());
    experiment.plan(arm, 0, None).unwrap()
}

fn orders(plan: &Plan, number: usize) -> &[PolicyOrder] {
    let Act::SetPolicy { orders, .. } = &plan.timeline[number].act else { panic!("{:?}", plan.timeline) };
    orders
}

fn policy(order: &PolicyOrder) -> &NodePolicy {
    let Order::Policy(policy) = &order.order else { panic!("{order:?}") };
    policy
}

#[test]
fn who_is_concerned_is_told_the_whole_policy_of_its_role() {
    let plan = plan("hybrid", "{at: 5s, do: set-policy, policy: {uploads.per_copy: 2, edge: {mode: first}}}");
    let [order] = orders(&plan, 0) else { panic!("{:?}", plan.timeline) };
    assert_eq!(order.nodes.len(), 10, "all peers, as they have the same uplink");
    let NodePolicy::Peer(told) = policy(order) else { panic!("{order:?}") };
    let mut config = peers(&plan).next().unwrap().1.clone();
    assert_eq!((config.uploads.per_copy, config.edge_mode), (5, EdgeMode::Backstop), "the beginning is as it was");
    config.set_policy(told.clone());
    assert_eq!((config.uploads.per_copy, config.edge_mode), (2, EdgeMode::First));
    let before = peers(&plan).next().unwrap().1;
    (config.uploads.per_copy, config.edge_mode) = (5, EdgeMode::Backstop);
    assert_eq!(&config, before, "nothing else changes");
}

#[test]
fn changes_build_on_each_other_and_on_the_arm() {
    let timeline = "{at: 9s, do: set-policy, policy: {edge.requests: 7, selection.filters.nat: false}}, \
                    {at: 5s, do: set-policy, policy: {uploads.per_copy: 2, selection.strategy: local}}";
    for (arm, first) in [("hybrid", "5"), ("few", "3")] {
        let plan = plan(arm, timeline);
        let labels: Vec<String> = plan.timeline.iter().map(|action| action.act.label()).collect();
        assert_eq!(
            labels,
            [
                format!("set-policy selection.strategy nested → local, uploads.per_copy {first} → 2"),
                "set-policy edge.requests unlimited → 7, selection.filters.nat true → false".to_owned(),
            ]
        );
        let told: Vec<(usize, &NodePolicy)> =
            orders(&plan, 1).iter().map(|order| (order.nodes.len(), policy(order))).collect();
        let [(1, NodePolicy::Edge(edge)), (1, NodePolicy::Control(control))] = &told[..] else { panic!("{told:?}") };
        assert_eq!((edge.limits.requests, control.selection.strategy), (Some(7), Strategy::Local));
        assert!(!control.selection.filters.nat && control.selection.filters.free_slots);
    }
}

#[test]
fn a_share_of_the_uplink_is_of_each_peers_own() {
    let text = text("{at: 5s, do: set-policy, policy: {uploads.rate: 50%}}")
        .replace("workload:", "  - {name: offices, as: isp-x, peers: 2, access: fibre}\nworkload:");
    let topology = TOPOLOGY.replace("access:\n  cable", "access:\n  fibre: {up: 100mbit, down: 100mbit}\n  cable");
    let experiment = read(text.as_bytes(), topology.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let plan = experiment.plan("hybrid", 0, None).unwrap();
    let rates: Vec<(usize, Option<u64>)> = orders(&plan, 0)
        .iter()
        .map(|order| match policy(order) {
            NodePolicy::Peer(peer) => (order.nodes.len(), peer.uploads.rate_bps),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(rates, [(10, Some(2_500_000)), (2, Some(50_000_000))]);
}

/// What the peers of the first group are told to give at most, at each action of a timeline that tells them.
fn rates_told(timeline: &str) -> Vec<Option<u64>> {
    let topology = TOPOLOGY.replace("access:\n  cable", "access:\n  fibre: {up: 100mbit, down: 100mbit}\n  cable");
    let experiment = read(text(timeline).as_bytes(), topology.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let plan = experiment.plan("hybrid", 0, None).unwrap();
    let told = plan.timeline.iter().map(|action| match &action.act {
        Act::SetPolicy { orders, .. } => match policy(&orders[0]) {
            NodePolicy::Peer(peer) => peer.uploads.rate_bps,
            other => panic!("{other:?}"),
        },
        Act::Move { to, .. } => to[0].config.rate_bps,
        other => panic!("{other:?}"),
    });
    told.collect()
}

#[test]
fn shares_are_of_the_link_where_a_peer_is_then() {
    let group = peers(&plan("hybrid", "")).next().unwrap().0.rsplit_once('-').unwrap().0.to_owned();
    let timeline = format!(
        "{{at: 5s, do: move, group: {group}, to: transit, access: fibre}}, \
         {{at: 6s, do: set-policy, policy: {{uploads.rate: 50%}}}}, {{at: 7s, do: move, group: {group}, to: isp-x, access: cable}}, \
         {{at: 8s, do: set-policy, policy: {{uploads.rate: 40%}}}}, {{at: 9s, do: move, group: {group}, to: transit, access: fibre}}"
    );
    let mbit = |rate: f64| Some((rate * 1e6) as u64);
    assert_eq!(rates_told(&timeline), [mbit(80.0), mbit(50.0), mbit(2.5), mbit(2.0), mbit(40.0)]);
}

#[test]
fn every_key_of_the_policy_but_a_peers_constants_can_change() {
    let all = "selection: {strategy: random, max_returned: 7, diversity: 3%, rotation: false, filters: {uploads_on: false, free_slots: false, \
               nat: false}}, control: {readd: false, readd_within: 3s, logins_per_guid: 3/s, logins_per_address: 3/s, \
               queries_per_guid: 3/s, queries_per_address: 3/s, connections_per_address: 3, connections: 3, \
               contents_per_peer: 3, usage_reports: 3, burst: 3s, refusals: 3, lookup: 3s}, uploads: {per_copy: 3, connections: 3, waiting: 3, rate: 3%, \
               connection_rate: 3mbit, while_busy: 3%, back_off: 3s, while_downloading: 3%}, cache: {time: 3s, size: 3MiB}, \
               edge: {mode: only, target_rate: 3%, token_lifetime: 3s, requests: 3, rate: 3/s, retry_after: 3s}, \
               downloads: {max_sources: 3, requery_below: 3%, requery_every: 3s, both_sides: false}";
    let plan = plan("hybrid", &format!("{{at: 5s, do: set-policy, policy: {{{all}}}}}"));
    let built_in = |path: &&str| {
        let rules = ["downloads.order", "downloads.duplicates", "downloads.news_every", "downloads.news_at_once"];
        rules.contains(path) || ["defences.", "waits.", "edge.backstop."].iter().any(|part| path.starts_with(part))
    };
    let known = plan.parameters.keys().filter_map(|path| path.strip_prefix("policy.")).filter(|path| !built_in(path));
    let changed: Vec<&str> = plan.timeline[0].act.changes().iter().map(|change| change.path.as_str()).collect();
    assert_eq!(changed, known.collect::<Vec<_>>(), "each changes, and each is recorded");
    assert_eq!(orders(&plan, 0).len(), 3);
}

#[test]
fn what_cannot_be_set_is_said() {
    let found = [
        "{at: 1s, do: set-policy}",
        "{at: 1s, do: set-policy, policy: {}}",
        "{at: 1s, do: set-policy, policy: only}",
        "{at: 1s, do: set-policy, policy: {uploads.percopy: 2}}",
        "{at: 1s, do: set-policy, policy: {congestion_control: bbr}}",
        "{at: 1s, do: set-policy, policy: {uploads.per_copy: 0}}",
        "{at: 1s, do: set-policy, policy: {uploads..per_copy: 1}}",
        "{at: 1s, do: set-policy, policy: {edge: only}}",
        "{at: 1s, do: set-policy, policy: {edge.mode: only}, node: control-0}",
        "{at: 1s, do: kill, node: control-0, policy: {edge.mode: only}}",
    ]
    .map(|timeline| {
        let text = EXPERIMENT.replace("arms:", &format!("timeline: [{timeline}]\narms:"));
        only(&read(text.as_bytes(), TOPOLOGY.as_bytes()).expect_err(timeline))
    });
    insta::assert_snapshot!(found.join("\n"), @r#"
    experiments/e.yaml:11:12 `set-policy` needs the key `policy` [say what changes, as `policy: {uploads.per_copy: 2}`]
    experiments/e.yaml:11:45 no policy is named [write what changes, as `policy: {uploads.per_copy: 2}`]
    experiments/e.yaml:11:45 expected a map of paths and values such as `{uploads.per_copy: 2}`, found `only` []
    experiments/e.yaml:11:46 unknown key `percopy`, did you mean `per_copy`? [the keys of an upload policy are per_copy, connections, waiting, rate, connection_rate, while_busy, back_off, while_downloading]
    experiments/e.yaml:11:46 unknown key `congestion_control` [the keys of a policy are selection, control, uploads, cache, edge, downloads, defences, waits]
    experiments/e.yaml:11:64 0 is out of range [a whole number from 1 to 1000000 is expected]
    experiments/e.yaml:11:46 `uploads..per_copy` is not a path [write names with dots between them: `uploads.per_copy`]
    experiments/e.yaml:11:52 expected an edge policy, found `only` [write a map; its keys are mode, target_rate, token_lifetime, requests, rate, retry_after, backstop]
    experiments/e.yaml:11:70 `node` has no meaning with `set-policy` [remove it]
    experiments/e.yaml:11:56 `policy` has no meaning with `kill` [remove it]
    "#);
}

#[test]
fn what_changes_nothing_is_noticed() {
    let text =
        EXPERIMENT.replace("arms:", "timeline: [{at: 1s, do: set-policy, policy: {edge.mode: backstop}}]\narms:");
    let experiment = read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap();
    insta::assert_snapshot!(only(experiment.warnings()), @r#"experiments/e.yaml:11:25 this `set-policy` changes nothing [give it a new value]"#);
}

#[test]
fn a_plan_with_another_policy_is_read_back() {
    let plan =
        plan("hybrid", "{at: 5s, do: set-policy, policy: {uploads.per_copy: 2, edge.rate: 5/s, edge.mode: deficit}}");
    let text = serde_yaml::to_string(&plan).unwrap();
    assert_eq!(serde_yaml::from_str::<Plan>(&text).unwrap(), plan);
}

#[test]
fn what_a_peer_is_made_with_cannot_change() {
    for (policy, path) in [
        ("{defences.stalls: 9}", "defences.stalls"),
        ("{waits: {query: 1s}}", "waits.query"),
        ("{edge.backstop.step: 30%}", "edge.backstop.step"),
        ("{downloads.order: random, uploads.per_copy: 9}", "downloads.order"),
    ] {
        let timeline = format!("{{at: 5s, do: set-policy, policy: {policy}}}");
        let wrong = read(text(&timeline).as_bytes(), TOPOLOGY.as_bytes()).unwrap_err().to_string();
        assert!(wrong.contains(&format!("`{path}` is what a peer has from its start to its end")), "{wrong}");
    }
    let two =
        text("{at: 5s, do: set-policy, policy: {uploads.per_copy: 9, downloads.order: random, defences.stalls: 9}}");
    let wrong = read(two.as_bytes(), TOPOLOGY.as_bytes()).unwrap_err();
    assert_eq!(wrong.iter().count(), 2, "each where it stands: {wrong}");
    assert!(wrong.to_string().contains(":11:67") && wrong.to_string().contains(":11:92"), "{wrong}");
    let whole = text("{at: 5s, do: set-policy, policy: {policy.uploads.per_copy: 9}}");
    let wrong = read(whole.as_bytes(), TOPOLOGY.as_bytes()).unwrap_err().to_string();
    assert!(wrong.contains("leave `policy.` out"), "{wrong}");
    // A constant that an arm sets stays as it is when something else of its section changes.
    let experiment = text("{at: 5s, do: set-policy, policy: {downloads.max_sources: 3}}")
        .replace("  few: {", "  few: {policy.downloads.duplicates: 9, ");
    read(experiment.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn both_ways_to_write_a_path_hold_beside_each_other() {
    let timeline = "{at: 5s, do: set-policy, policy: {uploads.per_copy: 2, edge.mode: only}}";
    let text = text(timeline).replace("  few: {", "  few: {timeline.0.policy.uploads.connections: 4, ");
    let experiment = read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let plan = experiment.plan("few", 0, None).unwrap();
    let changed: Vec<&str> = plan.timeline[0].act.changes().iter().map(|change| change.path.as_str()).collect();
    assert_eq!(changed, ["edge.mode", "uploads.connections", "uploads.per_copy"]);
    let twice = text.replace("edge.mode: only}", "edge.mode: only, edge: {mode: first}}");
    let wrong = read(twice.as_bytes(), TOPOLOGY.as_bytes()).unwrap_err().to_string();
    assert!(wrong.contains("`edge.mode` stands twice"), "{wrong}");
}
