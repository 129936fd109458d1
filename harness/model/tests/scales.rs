//! Scales: the same experiment in other sizes, by name.

mod common;

use common::{EXPERIMENT, TOPOLOGY, peers, read, resolve, shipped};
use peerbed_model::{Experiment, Setting};

fn with(scales: &str) -> Result<Experiment, String> {
    let arms = "arms:\n  many: {groups.homes.peers: 12}\n  hybrid: {}\n";
    let expect = "expect:\n  - peer_efficiency: {at_least: 50%}\n  - {arm: many, bytes.edge: {at_most: 1MB}}\n";
    let text = EXPERIMENT.replace("arms:\n  hybrid: {}\n", &format!("{arms}{expect}scales:\n{scales}"));
    read(text.as_bytes(), TOPOLOGY.as_bytes()).map_err(|wrong| wrong.to_string())
}

#[test]
fn a_scale_sets_values_before_the_arms_do() {
    let written = with(
        "  ci:\n    duration: 5s\n    groups.homes.peers: 5\n    workload.arrivals.burst: 2\n    topology.links.isp-x~transit.rate: 7mbit\n    \
         arms.many.groups.homes.peers: 6\n  one: {arms: [hybrid], expect: []}\n",
    );
    let written = written.unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(written.scales().collect::<Vec<_>>(), ["ci", "one"]);
    let size = |experiment: &Experiment, arm: &str| {
        let plan = experiment.plan(arm, 0, None).unwrap();
        (peers(&plan).count(), plan.downloads(), plan.duration.as_secs(), plan.expect.len())
    };
    assert_eq!((size(&written, "many"), size(&written, "hybrid")), ((12, 4, 60, 2), (10, 4, 60, 1)));
    assert!(!written.plan("hybrid", 0, None).unwrap().parameters.contains_key("scale"));

    let ci = written.clone().at_scale("ci").unwrap();
    assert_eq!((size(&ci, "many"), size(&ci, "hybrid")), ((6, 2, 5, 2), (5, 2, 5, 1)));
    let plan = ci.plan("hybrid", 0, None).unwrap();
    assert_eq!(plan.parameters["scale"], Setting::Text("ci".to_owned()));
    assert_eq!(plan.fabric.links[0].forward.bandwidth.mean().map(peerbed_link::Rate::bps), Some(7_000_000));

    let one = written.at_scale("one").unwrap();
    assert_eq!(one.arms().collect::<Vec<_>>(), ["hybrid"]);
    assert_eq!(size(&one, "hybrid"), (10, 4, 60, 0));
}

#[test]
fn what_is_wrong_at_a_scale_is_said_with_its_name() {
    let wrong = with(
        "  a: {groups.homes.pers: 3, question: Why?}\n  b: {groups.flats.peers: 3}\n  c: {arms: [hybird]}\n  d: {arms: {hybrid: {}}}\n  \
         e: []\n  f: {duration: 0s}\n  g: {workload.arrivals.burst: 20}\n",
    );
    insta::assert_snapshot!(wrong.unwrap_err(), @r"
    error: this workload cannot be placed: 20 downloads, but only 10 are possible
      --> experiments/e.yaml:10:3
       |
    10 |   arrivals: {burst: 4}
       |   ^^^^^^^^^^^^^^^^^^^^
       |
       = note: in arm `many` at scale `g`
       = help: a peer asks for each object once, and not for what it holds; ask for less, or add peers or content

    error: this workload cannot be placed: 20 downloads, but only 8 are possible
      --> experiments/e.yaml:10:3
       |
    10 |   arrivals: {burst: 4}
       |   ^^^^^^^^^^^^^^^^^^^^
       |
       = note: at scale `g`
       = help: a peer asks for each object once, and not for what it holds; ask for less, or add peers or content

    error: unknown key `pers`, did you mean `peers`?
      --> experiments/e.yaml:18:7
       |
    18 |   a: {groups.homes.pers: 3, question: Why?}
       |       ^^^^^^^^^^^^^^^^^
       |
       = note: at scale `a`
       = help: the keys of a group are name, as, peers, access, uploads, installer, switched, toggles, busy, sessions, moves, clones, rollback, holds, behaviour, lan, nat, command, image, memory, pids

    error: a scale cannot change `question`
      --> experiments/e.yaml:18:29
       |
    18 |   a: {groups.homes.pers: 3, question: Why?}
       |                             ^^^^^^^^
       |
       = help: an experiment asks one question

    error: nothing in `groups` is named `flats`
      --> experiments/e.yaml:19:7
       |
    19 |   b: {groups.flats.peers: 3}
       |       ^^^^^^^^^^^^^^^^^^
       |
       = help: there are: homes

    error: no arm named `hybird`, did you mean `hybrid`?
      --> experiments/e.yaml:20:14
       |
    20 |   c: {arms: [hybird]}
       |              ^^^^^^
       |
       = note: at scale `c`
       = help: there are: many, hybrid

    error: expected a list of the arms that the scale has, found a map
      --> experiments/e.yaml:21:13
       |
    21 |   d: {arms: {hybrid: {}}}
       |             ^^^^^^^^^^^^
       |
       = help: to change what an arm sets, write `arms.NAME.PATH`

    error: expected a map of paths and values such as `{groups.x-homes.peers: 2}`, found a list
      --> experiments/e.yaml:22:6
       |
    22 |   e: []
       |      ^^

    error: 0s is out of range
      --> experiments/e.yaml:23:17
       |
    23 |   f: {duration: 0s}
       |                 ^^
       |
       = note: at scale `f`
       = help: from 100ms to 24h is allowed
    ");
}

#[test]
fn a_scale_that_there_is_not_is_said() {
    let wrong = with("  ci: {duration: 5s}\n").unwrap().at_scale("cj").unwrap_err();
    insta::assert_snapshot!(wrong, @r"
    error: no scale named `cj`, did you mean `ci`?
      --> experiments/e.yaml:18:3
       |
    18 |   ci: {duration: 5s}
       |   ^^^^^^^^^^^^^^^^^^
       |
       = help: there are: ci
    ");
    let none = read(EXPERIMENT.as_bytes(), TOPOLOGY.as_bytes()).unwrap().at_scale("ci").unwrap_err();
    assert!(none.to_string().contains("the experiment has no `scales`"), "{none}");
}

/// A run in continuous integration is short, and asks the same of as few as show it.
#[test]
fn the_shipped_small_scales_are_small() {
    for name in shipped("experiments") {
        let written = resolve(&name);
        if !written.scales().any(|scale| scale == "ci") {
            continue;
        }
        let ci = written.clone().at_scale("ci").unwrap();
        assert!(ci.arms().len() <= 6, "{name}");
        for arm in ci.arms() {
            let (large, small) = (written.plan(arm, 0, None).unwrap(), ci.plan(arm, 0, None).unwrap());
            let last = peers(&small).flat_map(|(_, peer)| &peer.script).map(|step| step.at_ns).max().unwrap();
            assert!(last < 10_000_000_000, "{name} {arm}: the last download begins at {last} ns");
            assert!(!small.expect.is_empty(), "{name} {arm} expects nothing");
            assert!(small.downloads() <= large.downloads(), "{name} {arm}");
        }
    }
}

#[test]
fn what_an_arm_sets_by_paths_stays_beside_what_a_scale_sets_in_it() {
    let text = EXPERIMENT.replace(
        "arms:\n  hybrid: {}\n",
        "arms:\n  hybrid: {policy.uploads.connections: 3}\nscales:\n  ci: {arms.hybrid.policy.uploads.per_copy: 7}\n",
    );
    let experiment = read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let plan = experiment.at_scale("ci").unwrap().plan("hybrid", 0, None).unwrap();
    let peer = peers(&plan).next().unwrap().1;
    assert_eq!((peer.uploads.connections, peer.uploads.per_copy), (3, 7));
}

#[test]
fn a_scale_names_its_arms_and_changes_them() {
    let text = EXPERIMENT.replace(
        "arms:\n  hybrid: {}\n",
        "arms:\n  hybrid: {}\n  other: {}\nscales:\n  ci: {arms: [hybrid], arms.hybrid.policy.uploads.per_copy: 7}\n",
    );
    let ci =
        read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}")).at_scale("ci").unwrap();
    assert_eq!(ci.arms().collect::<Vec<_>>(), ["hybrid"]);
    assert_eq!(peers(&ci.plan("hybrid", 0, None).unwrap()).next().unwrap().1.uploads.per_copy, 7);
    let absent = text.replace("[hybrid],", "[hybrid], expect: [{arm: other, peer_efficiency: {at_least: 1%}}],");
    let wrong = read(absent.as_bytes(), TOPOLOGY.as_bytes()).unwrap_err().to_string();
    assert!(wrong.contains("no arm named `other`") && wrong.contains("at scale `ci`"), "{wrong}");
    let twice = text.replace("[hybrid]", "[hybrid, other, hybrid]");
    let wrong = read(twice.as_bytes(), TOPOLOGY.as_bytes()).unwrap_err().to_string();
    assert!(wrong.contains("arm `hybrid` is named twice"), "{wrong}");
}

#[test]
fn names_of_arms_may_have_dots_and_must_be_there() {
    let text = |scale: &str| {
        let arms = format!("arms:\n  v1: {{}}\n  v1.2: {{}}\nscales:\n  ci: {scale}\n");
        EXPERIMENT.replace("arms:\n  hybrid: {}\n", &arms)
    };
    let ci = text("{arms.v1.2.policy.uploads.per_copy: 7, arms.v1.policy.uploads.per_copy: 6}");
    let ci = read(ci.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}")).at_scale("ci").unwrap();
    let copies = |arm: &str| peers(&ci.plan(arm, 0, None).unwrap()).next().unwrap().1.uploads.per_copy;
    assert_eq!((copies("v1"), copies("v1.2")), (6, 7));
    for scale in ["{arms.v2: {policy.uploads.per_copy: 1}}", "{arms.v2.policy.uploads.per_copy: 1}"] {
        let wrong = read(text(scale).as_bytes(), TOPOLOGY.as_bytes()).unwrap_err().to_string();
        assert!(wrong.contains("no arm named `v2`"), "{wrong}");
    }
}

#[test]
fn bounds_that_could_not_hold_at_a_scale_are_errors() {
    let wrong = |scale: &str| with(&format!("  ci: {scale}\n")).unwrap_err();
    assert!(wrong("{arms.nope.duration: 5s}").contains("`nope`"));
    let text = EXPERIMENT.replace(
        "arms:\n  hybrid: {}\n",
        "arms:\n  one: {}\n  two: {}\nexpect: [{arm: two, speed_mbps.p50: {at_least: 0.9, of: one}}]\nscales: {ci: {arms: [two]}}\n",
    );
    let wrong = read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_err().to_string();
    assert!(wrong.contains("multiples of what arm `one` has, but this scale leaves it out"), "{wrong}");
}

#[test]
fn paths_that_contain_one_another_are_errors() {
    for (map, inner) in [
        ("{policy.edge.mode: only, policy.edge: {retry_after: 9s}}", "policy.edge.mode"),
        ("{policy.edge: {retry_after: 9s}, duration: 9s, policy.edge.mode: only}", "policy.edge.mode"),
    ] {
        let arms = EXPERIMENT.replace("arms:\n  hybrid: {}\n", &format!("arms:\n  hybrid: {map}\n"));
        let arm = read(arms.as_bytes(), TOPOLOGY.as_bytes()).unwrap_err().to_string();
        let scale = with(&format!("  ci: {map}\n")).unwrap_err();
        for wrong in [arm, scale] {
            assert!(wrong.contains(&format!("`{inner}` is set by `policy.edge` as well")), "{wrong}");
        }
    }
}
