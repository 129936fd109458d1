//! Peers that the timeline adds: planned like all others, there from their moment on, and asking for nothing before.

mod common;

use std::time::Duration;

use common::{EXPERIMENT, TOPOLOGY, only, peers, read};
use peerbed_model::{Act, Plan};

/// The experiment with latecomers, this workload and this timeline.
fn text(workload: &str, timeline: &str) -> String {
    EXPERIMENT
        .replace("peers: 10", "peers: 4")
        .replace(
            "workload:",
            "  - {name: late, as: isp-x, peers: 6, access: cable, sessions: {online: 5s, offline: 1s}}\nworkload:",
        )
        .replace("  arrivals: {burst: 4}\n", workload)
        .replace("arms:", &format!("timeline: [{timeline}]\narms:"))
}

fn plan(workload: &str, timeline: &str) -> Plan {
    let text = text(workload, timeline);
    read(text.as_bytes(), TOPOLOGY.as_bytes())
        .unwrap_or_else(|wrong| panic!("{wrong}"))
        .plan("hybrid", 0, None)
        .unwrap()
}

const ALL_AT_20S: &str = "{at: 20s, do: add, group: late}";

/// Who asks when, in seconds.
fn requests(plan: &Plan) -> Vec<(String, f64)> {
    let steps = peers(plan).flat_map(|(name, peer)| peer.script.iter().map(move |step| (name.to_owned(), step.at_ns)));
    steps.map(|(name, at)| (name, at as f64 / 1e9)).collect()
}

#[test]
fn the_nodes_that_are_added_are_those_that_are_not_there_before() {
    let whole = plan("  arrivals: {burst: 2}\n", ALL_AT_20S);
    let names: Vec<String> = (0..6).map(|number| format!("late-{number}")).collect();
    let late: Vec<&str> = whole.latecomers().into_iter().map(peerbed_contract::NodeName::as_str).collect();
    assert_eq!(late, names);
    assert_eq!(whole.present().count() + 6, whole.nodes.len());
    assert_eq!(whole.fabric.nodes.len(), whole.nodes.len(), "they have their place in the network");

    let shares = "{at: 10s, do: add, group: late, share: 33%}, {at: 30s, do: add, group: late, share: 17%}, \
                  {at: 40s, do: kill, group: late}";
    let parts = plan("  arrivals: {burst: 2}\n", shares);
    let nodes: Vec<Vec<_>> = parts.timeline.iter().map(|action| action.act.nodes().to_vec()).collect();
    assert_eq!(nodes.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 6], "three of them were there from the start");
    assert!(!nodes[0].contains(&nodes[1][0]));
    assert_eq!(parts.latecomers().len(), 3);
    let rest = shares.replace(", share: 17%", "");
    let rest = plan("  arrivals: {burst: 2}\n", &rest);
    assert_eq!(rest.timeline[1].act.nodes().len(), 4, "without a share, all who are not there yet");
    assert_eq!(rest.latecomers().len(), 6);
}

#[test]
fn nobody_asks_before_it_is_there() {
    let workloads = [
        "  arrivals: {poisson: 0.2/s}\n",
        "  arrivals: {burst: 2, at: 1s, within: 40s}\n",
        "  arrivals: {at: [1s, 2s, 21s, 22s, 23s, 24s]}\n",
        "  arrivals: {burst: all, at: 10s, within: 20s}\n",
    ];
    for workload in workloads {
        for timeline in [ALL_AT_20S, "{at: 20s, do: add, group: late, share: 50%}"] {
            let plan = plan(workload, timeline);
            let latecomers = plan.latecomers();
            let requests = requests(&plan);
            let late = |name: &str| latecomers.iter().any(|node| node.as_str() == name);
            assert!(requests.iter().all(|(name, at)| *at >= 20.0 || !late(name)), "{workload}{requests:?}");
            if workload.contains("all") || workload.contains('[') {
                assert!(requests.iter().any(|(name, _)| late(name)), "they do ask afterwards: {workload}{requests:?}");
            }
            if workload.contains("all") {
                assert_eq!(requests.len(), 8, "everyone who lacks it asks once");
            }
        }
    }
}

#[test]
fn whoever_is_there_asks_as_if_nobody_came() {
    let only_homes = "  groups: [homes]\n  arrivals: {burst: 2, at: 1s}\n";
    let without = requests(&plan(only_homes, ""));
    assert_eq!(requests(&plan(only_homes, ALL_AT_20S)), without);
    let both = |timeline| requests(&plan("  arrivals: {burst: all, at: 25s, within: 5s}\n", timeline));
    assert_eq!(both(ALL_AT_20S).len(), both("").len());
}

#[test]
fn the_habits_of_a_latecomer_begin_with_it() {
    let plan = plan("  arrivals: {burst: 2}\n", ALL_AT_20S);
    let late: Vec<_> = peers(&plan).filter(|(name, _)| name.starts_with("late")).collect();
    assert!(late.iter().any(|(_, peer)| !peer.habits.is_empty()));
    let begin = Duration::from_secs(20).as_nanos() as u64;
    let habits = || late.iter().flat_map(|(_, peer)| &peer.habits);
    assert!(habits().all(|habit| habit.at_ns >= begin && habit.at_ns < 3 * begin));
}

#[test]
fn what_cannot_be_added_or_asked_is_said() {
    let wrong = |workload: &str, timeline: &str| {
        only(&read(text(workload, timeline).as_bytes(), TOPOLOGY.as_bytes()).expect_err("it is wrong"))
    };
    let burst = "  arrivals: {burst: 2}\n";
    let found = [
        wrong(burst, "{at: 1s, do: add}"),
        wrong(burst, "{at: 1s, do: add, node: late-1, group: late}"),
        wrong(burst, "{at: 1s, do: add, group: latte}"),
        wrong(burst, "{at: 1s, do: add, group: late}, {at: 2s, do: add, group: late}"),
        wrong(burst, "{at: 1s, do: add, group: late, share: 60%}, {at: 2s, do: add, group: late, share: 60%}"),
        wrong(burst, "{at: 5s, do: add, group: late}, {at: 2s, do: kill, node: late-1}"),
        wrong(burst, "{at: 5s, do: add, group: late}, {at: 2s, do: kill, group: late}"),
        wrong(burst, "{at: 5s, do: add, group: late, share: 50%}, {at: 2s, do: kill, node: late-1}"),
        wrong("  groups: [late]\n  arrivals: {burst: 2}\n", ALL_AT_20S),
        wrong("  groups: [late]\n  arrivals: {poisson: 1/s}\n", ALL_AT_20S),
        wrong("  groups: [late]\n  arrivals: {burst: all, within: 19s}\n", ALL_AT_20S),
        wrong("  arrivals: {burst: 5, at: 1s, within: 30s}\n", ALL_AT_20S),
        wrong("  arrivals: {at: [1s, 2s, 19s, 30s]}\n", ALL_AT_20S),
        wrong("  arrivals: {burst: 6, at: 1s}\n", "{at: 20s, do: add, group: late, share: 50%}"),
    ];
    insta::assert_snapshot!(found.join("\n"), @r#"
    experiments/e.yaml:12:12 `add` needs the key `group` [say which group it happens to]
    experiments/e.yaml:12:36 `node` has no meaning with `add` [remove it]
    experiments/e.yaml:12:37 no group named `latte`, did you mean `late`? [there are: homes, late]
    experiments/e.yaml:12:57 `add` of `late`, but all of it is there then [a share is of the whole group; without one `add` takes all who are not there yet]
    experiments/e.yaml:12:69 `add` of 4 of `late`, but 2 are not there yet then [a share is of the whole group; without one `add` takes all who are not there yet]
    experiments/e.yaml:12:57 `kill` of `late-1` at 2s, but it is not there yet then [`kill` needs a node that is running or frozen]
    experiments/e.yaml:12:57 `kill` of `late`, but nobody of it is running then [a share is of the whole group; without one `kill` takes all who are running]
    experiments/e.yaml:12:81 what `late-1` is doing then depends on the draw of a share of `late` [name `group: late`]
    experiments/e.yaml:11:3 this workload begins at 0s, but nobody of its groups is there before 20s [begin it then: `at: 20s`, or add the peers earlier]
    experiments/e.yaml:11:3 this workload begins at 0s, but nobody of its groups is there before 20s [begin it then: `from: 20s`, or add the peers earlier]
    experiments/e.yaml:11:3 this workload begins at 0s, but nobody of its groups is there before 20s [begin it then: `at: 20s`, or add the peers earlier]
    experiments/e.yaml:11:3 this workload cannot be placed: 5 downloads, but only 2 are surely possible before others come at 20s [a peer asks for each object once, and not before it is there; ask for less or later, or add peers earlier]
    experiments/e.yaml:11:3 this workload cannot be placed: 3 downloads, but only 2 are surely possible before others come at 20s [a peer asks for each object once, and not before it is there; ask for less or later, or add peers earlier]
    experiments/e.yaml:11:3 this workload cannot be placed: 6 downloads, but only 5 are surely possible before others come at 20s [a peer asks for each object once, and not before it is there; ask for less or later, or add peers earlier]
    "#);
}

#[test]
fn a_group_that_comes_when_its_workload_is_over_is_noticed() {
    let text = text("  groups: [homes, late]\n  arrivals: {burst: 2, at: 1s}\n", ALL_AT_20S)
        .replace("workload:", "  - {name: others, as: transit, peers: 1, access: cable}\nworkload:");
    let experiment = read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    insta::assert_snapshot!(only(experiment.warnings()), @r#"experiments/e.yaml:12:3 `late` never asks: it comes at 20s, when this workload is over [let the workload last longer, or name other groups]"#);
}

#[test]
fn a_plan_with_latecomers_is_read_back() {
    let plan = plan("  arrivals: {burst: 2}\n", ALL_AT_20S);
    let text = serde_yaml::to_string(&plan).unwrap();
    let again: Plan = serde_yaml::from_str(&text).unwrap();
    assert_eq!(again, plan);
    assert_eq!(plan.timeline[0].act.label(), "add 6 nodes");
    assert!(matches!(plan.timeline[0].act, Act::Add { .. }));
}
