//! What users see when a file is wrong.

mod common;

use std::fmt::Write;

use common::{EXPERIMENT, TOPOLOGY, only, read, read_traced, resolve};
use peerbed_model::{Diagnostics, ExperimentFile, Source, TopologyFile};

/// What is wrong when `from` becomes `to` in the experiment.
fn wrong(from: &str, to: &str) -> Diagnostics {
    assert!(EXPERIMENT.contains(from), "{from}");
    read(EXPERIMENT.replacen(from, to, 1).as_bytes(), TOPOLOGY.as_bytes()).expect_err("it is wrong")
}

/// What is wrong when `from` becomes `to` in the topology.
fn wrong_topology(from: &str, to: &str) -> Diagnostics {
    assert!(TOPOLOGY.contains(from), "{from}");
    read(EXPERIMENT.as_bytes(), TOPOLOGY.replacen(from, to, 1).as_bytes()).expect_err("it is wrong")
}

#[test]
fn the_examples_here_are_right_as_they_stand() {
    let experiment = read(EXPERIMENT.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(experiment.warnings().is_empty());
    assert_eq!(experiment.plan("hybrid", 0, None).unwrap().downloads(), 4);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one snapshot of everything is what users see")]
fn everything_that_is_wrong_is_said_at_once() {
    let experiment = "\
question: Does it work?
topology: t
seed: -1
duration: 60s
polcy: {}
content:
  - {id: patch, size: 99999999999999GiB, provider: A, peers: maybe}
groups:
  - {name: homes, as: isp-z, peers: 10, access: cable, uplods: 31%, holds: {pach: 2}}
  - {name: homes, as: isp-x, peers: 1000000, access: cabel, uploads: 131%}
workload:
  groups: [home]
  arrivals: {poisson: NaN/s}
policy:
  selection: {max_returned: 1001, diversity: 0.1}
arms:
  edge-only: {policy.edge.mod: only}
  hybrid: {seed: 5, groups.flats.peers: 4}
timeline:
  - {at: 450s, do: kill, node: control-0}
  - {at: 4s, do: set-lin, link: isp-x~transit}
expect:
  - arm: hybird
    peer_eficiency: {at_least: 50%}
";
    let wrong = read(experiment.as_bytes(), TOPOLOGY.replace("up: 5mbit", "up: 0bit").as_bytes()).unwrap_err();
    insta::assert_snapshot!(wrong, @r"
    error: `-1` is not a whole number
     --> experiments/e.yaml:3:7
      |
    3 | seed: -1
      |       ^^
      |
      = help: a whole number from 0 to 9007199254740991 is expected

    error: unknown key `polcy`, did you mean `policy`?
     --> experiments/e.yaml:5:1
      |
    5 | polcy: {}
      | ^^^^^
      |
      = help: the keys of an experiment are question, topology, seed, duration, providers, content, groups, workload, policy, congestion_control, engine, tolerance, arms, matrix, scales, timeline, repeats, expect, claims, compare, figures

    error: 99999999999999GiB is out of range
     --> experiments/e.yaml:7:23
      |
    7 |   - {id: patch, size: 99999999999999GiB, provider: A, peers: maybe}
      |                       ^^^^^^^^^^^^^^^^^
      |
      = help: from 1B to 1TiB is allowed

    error: `maybe` is not allowed here
     --> experiments/e.yaml:7:62
      |
    7 |   - {id: patch, size: 99999999999999GiB, provider: A, peers: maybe}
      |                                                              ^^^^^
      |
      = help: write one of `allowed`, `forbidden`

    error: no AS named `isp-z`, did you mean `isp-x`?
     --> experiments/e.yaml:9:23
      |
    9 |   - {name: homes, as: isp-z, peers: 10, access: cable, uplods: 31%, holds: {pach: 2}}
      |                       ^^^^^
      |
      = help: there are: transit, isp-x

    error: unknown key `uplods`, did you mean `uploads`?
     --> experiments/e.yaml:9:56
      |
    9 |   - {name: homes, as: isp-z, peers: 10, access: cable, uplods: 31%, holds: {pach: 2}}
      |                                                        ^^^^^^
      |
      = help: the keys of a group are name, as, peers, access, uploads, installer, switched, toggles, busy, sessions, moves, clones, rollback, holds, behaviour, lan, nat, command, image, memory, pids

    error: no content named `pach`, did you mean `patch`?
     --> experiments/e.yaml:9:77
      |
    9 |   - {name: homes, as: isp-z, peers: 10, access: cable, uplods: 31%, holds: {pach: 2}}
      |                                                                             ^^^^
      |
      = help: there are: patch

    error: two groups are named `homes`
      --> experiments/e.yaml:10:12
       |
    10 |   - {name: homes, as: isp-x, peers: 1000000, access: cabel, uploads: 131%}
       |            ^^^^^
       |
       = help: rename one of them; the other is in line 9

    error: 1000000 is out of range
      --> experiments/e.yaml:10:37
       |
    10 |   - {name: homes, as: isp-x, peers: 1000000, access: cabel, uploads: 131%}
       |                                     ^^^^^^^
       |
       = help: a whole number from 1 to 20000 is expected

    error: 131% is over 100%
      --> experiments/e.yaml:10:70
       |
    10 |   - {name: homes, as: isp-x, peers: 1000000, access: cabel, uploads: 131%}
       |                                                                      ^^^^
       |
       = help: write a share as `31%`, from 0% to 100%

    error: no group named `home`, did you mean `homes`?
      --> experiments/e.yaml:12:12
       |
    12 |   groups: [home]
       |            ^^^^
       |
       = help: there are: homes

    error: `NaN/s` is not a number of times per time: it does not begin with a number
      --> experiments/e.yaml:13:23
       |
    13 |   arrivals: {poisson: NaN/s}
       |                       ^^^^^
       |
       = help: write it as `0.5/s`, `30/min` or `2/h`

    error: 1001 is out of range
      --> experiments/e.yaml:15:29
       |
    15 |   selection: {max_returned: 1001, diversity: 0.1}
       |                             ^^^^
       |
       = help: a whole number from 0 to 1000 is expected

    error: `0.1` is not a percentage: it has no `%`
      --> experiments/e.yaml:15:46
       |
    15 |   selection: {max_returned: 1001, diversity: 0.1}
       |                                              ^^^
       |
       = help: write a share as `31%`, from 0% to 100%

    error: unknown key `mod`, did you mean `mode`?
      --> experiments/e.yaml:17:15
       |
    17 |   edge-only: {policy.edge.mod: only}
       |               ^^^^^^^^^^^^^^^
       |
       = note: in arm `edge-only`
       = help: the keys of an edge policy are mode, target_rate, token_lifetime, requests, rate, retry_after, backstop

    error: an arm cannot change `seed`
      --> experiments/e.yaml:18:12
       |
    18 |   hybrid: {seed: 5, groups.flats.peers: 4}
       |            ^^^^
       |
       = help: arms of one repeat share every seed, or their difference would be chance

    error: nothing in `groups` is named `flats`
      --> experiments/e.yaml:18:21
       |
    18 |   hybrid: {seed: 5, groups.flats.peers: 4}
       |                     ^^^^^^^^^^^^^^^^^^
       |
       = help: there are: homes

    error: 450s is after the run's end at 60s
      --> experiments/e.yaml:20:10
       |
    20 |   - {at: 450s, do: kill, node: control-0}
       |          ^^^^
       |
       = help: make `duration` longer, or this earlier

    error: `set-lin` is not allowed here, did you mean `set-link`?
      --> experiments/e.yaml:21:18
       |
    21 |   - {at: 4s, do: set-lin, link: isp-x~transit}
       |                  ^^^^^^^
       |
       = help: write one of `add`, `kill`, `restart`, `freeze`, `thaw`, `set-link`, `cut-link`, `heal-link`, `partition`, `heal`, `set-access`, `wipe`, `outage`, `move`, `set-policy`

    error: no arm named `hybird`, did you mean `hybrid`?
      --> experiments/e.yaml:23:10
       |
    23 |   - arm: hybird
       |          ^^^^^^
       |
       = help: there are: edge-only, hybrid

    error: unknown key `peer_eficiency`, did you mean `peer_efficiency`?
      --> experiments/e.yaml:24:5
       |
    24 |     peer_eficiency: {at_least: 50%}
       |     ^^^^^^^^^^^^^^
       |
       = help: an expectation has 88 keys: docs/experiment-format.md lists them, and `peerbed schema` does

    error: a link of rate zero carries nothing
     --> topologies/t.yaml:2:15
      |
    2 |   cable: {up: 0bit, down: 25mbit, delay: 8ms}
      |               ^^^^
      |
      = help: a rate is from 1kbit to 400gbit; to cut a link off, use a loss of 100%
    ");
}

/// The single thing that is wrong in each case, one line each.
fn each(wrong: fn(&str, &str) -> Diagnostics, cases: &[(&str, &str)]) -> String {
    cases.iter().map(|(from, to)| only(&wrong(from, to)) + "\n").collect()
}

#[test]
fn names_that_lead_nowhere() {
    let found = each(
        wrong,
        &[
            ("as: isp-x", "as: isp-z"),
            ("access: cable", "access: fibre"),
            ("{patch: 2}", "{movie: 2}"),
            ("arrivals:", "groups: [flats]\n  arrivals:"),
            ("arms:", "timeline: [{at: 1s, do: kill, node: homes-10}]\narms:"),
            ("arms:", "timeline: [{at: 1s, do: set-link, link: isp-x~isp-y, rate: 1mbit}]\narms:"),
            ("arms:", "expect: [{arm: hybird, pause_rate: {at_most: 5%}}]\narms:"),
            ("hybrid: {}", "hybrid: {groups.flats.uploads: 5%}"),
            ("hybrid: {}", "hybrid: {policy.uploads.per_cpy: 5}"),
        ],
    );
    insta::assert_snapshot!(found, @r#"
    experiments/e.yaml:8:23 no AS named `isp-z`, did you mean `isp-x`? [there are: transit, isp-x]
    experiments/e.yaml:8:49 no access profile of `isp-x` is named `fibre` [there are: cable]
    experiments/e.yaml:8:64 no content named `movie` [there are: patch]
    experiments/e.yaml:10:12 no group named `flats` [there are: homes]
    experiments/e.yaml:11:37 no node named `homes-10`, did you mean `homes-0`? [there are: edge-0, control-0, homes-0, homes-1, homes-2, homes-3, homes-4, homes-5, homes-6, homes-7, homes-8, homes-9]
    experiments/e.yaml:11:41 no link named `isp-x~isp-y` [there are: isp-x~transit]
    experiments/e.yaml:11:16 no arm named `hybird`, did you mean `hybrid`? [there are: hybrid]
    experiments/e.yaml:12:12 nothing in `groups` is named `flats` [there are: homes]
    experiments/e.yaml:12:12 unknown key `per_cpy`, did you mean `per_copy`? [the keys of an upload policy are per_copy, connections, waiting, rate, connection_rate, while_busy, back_off, while_downloading]
    "#);
    let found = each(
        wrong_topology,
        &[
            ("provider: transit", "provider: transot"),
            ("- {as: transit, access: cable}", "- {as: transit, access: server}"),
        ],
    );
    insta::assert_snapshot!(found, @r#"
    topologies/t.yaml:7:33 no AS named `transot`, did you mean `transit`? [there are: transit, isp-x]
    topologies/t.yaml:9:27 no access profile of `transit` is named `server` [there are: cable]
    "#);
}

#[test]
fn networks_that_cannot_be() {
    let link = "links:\n  - {customer: isp-x, provider: transit, rate: 200mbit, delay: 10ms}\n";
    let found = each(
        wrong_topology,
        &[
            ("10.1.0.0/28", "10.0.0.128/28"),
            ("10.1.0.0/28", "10.1.0.0/29"),
            ("64501", "64500"),
            (link, ""),
            ("edges:\n  - {as: transit, access: cable}", "edges: []"),
            ("delay: 8ms", "delay: 8ms, jitter: 9ms"),
            ("up: 5mbit", "up: 999bit"),
            ("delay: 8ms", "delay: 8ms, queue: 10B"),
            ("delay: 8ms", "delay: 8ms, loss: {gilbert-elliott: {p: 1%, r: 200%}}"),
            ("customer: isp-x, ", ""),
            ("provider: transit", "provider: isp-x"),
            ("links:\n", "links:\n  - {peers: [transit, isp-x]}\n"),
        ],
    );
    insta::assert_snapshot!(found, @r#"
    topologies/t.yaml:5:56 the prefix 10.0.0.128/28 of `isp-x` overlaps 10.0.0.0/24 of `transit` [give each AS a block of addresses of its own]
    experiments/e.yaml:8:37 10 hosts, but the prefix 10.1.0.0/29 of `isp-x` has 6 addresses left [make the AS's prefix larger, the group smaller, or put the group elsewhere]
    topologies/t.yaml:5:12 `isp-x` has the number 64500 of `transit` [give each AS a number of its own]
    topologies/t.yaml:4:12 no valley-free path between `transit` and `isp-x` [both have hosts: link them, or give them a common provider; packets climb to providers, cross at most one link of peers, then descend to customers]
    topologies/t.yaml:8:8 the list of edge servers is empty [at least one is needed]
    topologies/t.yaml:2:56 a jitter of 9ms on a delay of 8ms would deliver packets before they are sent [the jitter is at most the delay]
    topologies/t.yaml:2:15 the rate 999bit is absurd [a rate is from 1kbit to 400gbit; to cut a link off, use a loss of 100%]
    topologies/t.yaml:2:55 10B is out of range [from 1500B to 1GiB is allowed]
    topologies/t.yaml:2:83 200% is over 100% [write a share as `31%`, from 0% to 100%]
    topologies/t.yaml:7:5 a link needs either `customer` and `provider`, or `peers` [write `customer: isp-x, provider: transit`, or `peers: [isp-x, isp-y]`]
    topologies/t.yaml:7:5 a link from `isp-x` to itself [a link joins two different ASes]
    topologies/t.yaml:8:5 a second link between `isp-x` and `transit` [keep one of the two, with the sum of their rates]
    "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one list of everything is what users see")]
fn values_that_cannot_be() {
    let mut said = String::new();
    for (from, to) in [
        ("size: 1MiB", "size: 0B"),
        ("size: 1MiB", "size: 99999999999999GiB"),
        ("size: 1MiB", "size: 99999999999999999999999999999999999999999999999999999GiB"),
        ("size: 1MiB", "size: 1.0000001MiB"),
        ("size: 1MiB", "size: 1"),
        ("size: 1MiB", "size: -1MiB"),
        ("size: 1MiB", "size: NaN"),
        ("size: 1MiB", "size: [1MiB]"),
        ("size: 1MiB", "size:"),
        ("size: 1MiB", "size: 1TiB"),
        ("size: 1MiB", "size: 1MiB, piece: 1KiB"),
        ("size: 1MiB", "size: 1Mib"),
        ("peers: 10", "peers: 0"),
        ("peers: 10", "peers: 1000000"),
        ("peers: 10", "peers: ten"),
        ("peers: 10", "peers: 15"),
        ("peers: 10", "peers: 10, uploads: 100.1%"),
        ("peers: 10", "peers: 1"),
        ("burst: 4", "burst: 1000000000"),
        ("burst: 4", "burst: 9"),
        ("burst: 4", "poisson: 0/s"),
        ("burst: 4", "poisson: 1e3/s"),
        ("burst: 4", "poisson: 1000000000000/s"),
        ("burst: 4", "at: 61s"),
        ("burst: 4", "burst: 4, poisson: 1/s"),
        ("burst: 4", "burst: 4, until: 5s"),
        ("duration: 60s", "duration: 10000000h"),
        ("duration: 60s", "duration: 60"),
        ("seed: 1", "seed: 9007199254740992"),
        ("hybrid: {}", "hybrid: {duration: 0s}"),
        ("arrivals:", "popularity: zipf\n  arrivals:"),
        ("burst: 4", "burst: al"),
        ("peers: 10", "peers: 10, corrupts: true"),
        ("peers: 10", "peers: 10, behaviour: {corrupt: yes}"),
        ("peers: 10", "peers: 10, behaviour: {inflate: {factor: 1}}"),
        ("peers: 10", "peers: 10, behaviour: {stall: {trickle: unlimited}}"),
        ("peers: 10", "peers: 10, behaviour: {lie: 5%}"),
        ("peers: 10", "peers: 10, nat: cone"),
        ("peers: 10", "peers: 10, nat: {none: 50%, symmetric: 49%}"),
        ("peers: 10", "peers: 10, nat: {none: 50%, symmetric: 60%}"),
        ("peers: 10", "peers: 10, nat: {none: 100%, cone: 0%}"),
        ("peers: 10", "peers: 10, nat: {}"),
        ("arms:", "expect: [{peer_efficiency: {at_least: 3MB}}]\narms:"),
        ("arms:", "expect: [{speed_mbps.p50: {at_least: fast}}]\narms:"),
        ("arms:", "expect: [{bytes.edge: {at_most: 5%}}]\narms:"),
        ("provider: A}", "provider: A}\n\t- {id: more, size: 1MiB, provider: A}"),
        ("seed: 1", "\tseed: 1"),
        ("{id: patch, size", "{id: patch size"),
        ("{id: patch, size: 1MiB, provider: A}", "{\n    id: patch\n    size: 1MiB\n  }"),
        ("isp-x, peers", "isp-x,\n\tpeers"),
        ("holds: {patch: 2}}", "holds: {patch: 2}"),
        ("arrivals: {burst: 4}", "arrivals: {burst: 4"),
        ("provider: A}", "provider: [A}"),
        ("hybrid: {}", "hybrid: {"),
        ("Does it work?", "'Does it work?"),
    ] {
        let found = wrong(from, to);
        assert_eq!(found.len(), 1, "{to}: {found}");
        let one = found.iter().next().unwrap();
        assert!(one.help().is_some() || one.message().starts_with("expected"), "{to}: no remedy: {found}");
        said += &(only(&found) + "\n");
    }
    insta::assert_snapshot!(said, @r#"
    experiments/e.yaml:6:23 0B is out of range [from 1B to 1TiB is allowed]
    experiments/e.yaml:6:23 99999999999999GiB is out of range [from 1B to 1TiB is allowed]
    experiments/e.yaml:6:23 `99999999999999999999999999999999999999999999999999999GiB` is not a size: it is too large [write a size as `64MiB`; units: B, kB, MB, GB, KiB, MiB, GiB, TiB]
    experiments/e.yaml:6:23 `1.0000001MiB` is not a size: it is finer than one byte [write a size as `64MiB`; units: B, kB, MB, GB, KiB, MiB, GiB, TiB]
    experiments/e.yaml:6:23 `1` is not a size: it has no unit [write a size as `64MiB`; units: B, kB, MB, GB, KiB, MiB, GiB, TiB]
    experiments/e.yaml:6:23 `-1MiB` is not a size: it is negative [write a size as `64MiB`; units: B, kB, MB, GB, KiB, MiB, GiB, TiB]
    experiments/e.yaml:6:23 `NaN` is not a size: it does not begin with a number [write a size as `64MiB`; units: B, kB, MB, GB, KiB, MiB, GiB, TiB]
    experiments/e.yaml:6:23 expected a size such as `64MiB`, found a list []
    experiments/e.yaml:6:21 expected a size such as `64MiB`, found nothing [write a size such as `64MiB`; a key that is not needed is left out]
    experiments/e.yaml:6:23 1TiB in pieces of 256KiB are 4194304 pieces [at most 262144 are allowed; make `piece` larger]
    experiments/e.yaml:6:36 1KiB is out of range [from 16KiB to 4MiB is allowed]
    experiments/e.yaml:6:23 `1Mib` is not a size: `Mib` is not one of its units [write a size as `64MiB`; units: B, kB, MB, GB, KiB, MiB, GiB, TiB]
    experiments/e.yaml:8:37 0 is out of range [a whole number from 1 to 20000 is expected]
    experiments/e.yaml:8:37 1000000 is out of range [a whole number from 1 to 20000 is expected]
    experiments/e.yaml:8:37 `ten` is not a whole number [a whole number from 1 to 20000 is expected]
    experiments/e.yaml:8:37 15 hosts, but the prefix 10.1.0.0/28 of `isp-x` has 14 addresses left [make the AS's prefix larger, the group smaller, or put the group elsewhere]
    experiments/e.yaml:8:50 100.1% is over 100% [write a share as `31%`, from 0% to 100%]
    experiments/e.yaml:8:70 2 copies of `patch` in a group of 1 [each peer holds at most one copy of an object]
    experiments/e.yaml:10:21 1000000000 is out of range [a whole number from 1 to 200000 is expected]
    experiments/e.yaml:10:3 this workload cannot be placed: 9 downloads, but only 8 are possible [a peer asks for each object once, and not for what it holds; ask for less, or add peers or content]
    experiments/e.yaml:10:23 a rate of zero asks for nothing [leave the workload out]
    experiments/e.yaml:10:23 `1e3/s` is not a number of times per time: it must end in `/s`, `/min` or `/h` [write it as `0.5/s`, `30/min` or `2/h`]
    experiments/e.yaml:10:23 1000000000000/s is absurd [at most 1000000/s is allowed]
    experiments/e.yaml:10:18 61s is after the run's end at 60s [make `duration` longer, or this earlier]
    experiments/e.yaml:10:13 arrivals need exactly one of `poisson`, `burst` and `at` alone [write `poisson: 0.5/s`, `burst: 30, at: 1s, within: 8s`, `burst: all`, or `at: [1s, 2s]`]
    experiments/e.yaml:10:31 `until` has no meaning with `burst` [remove it]
    experiments/e.yaml:4:11 10000000h is out of range [from 100ms to 24h is allowed]
    experiments/e.yaml:4:11 `60` is not a time: it has no unit [write a time as `20ms`; units: ns, us, µs, ms, s, min, h]
    experiments/e.yaml:3:7 9007199254740992 is out of range [a whole number from 0 to 9007199254740991 is expected]
    experiments/e.yaml:12:22 0s is out of range [from 100ms to 24h is allowed]
    experiments/e.yaml:10:15 `zipf` is not allowed here [write `uniform`, or `{zipf: 0.8}` with the exponent of Zipf's law]
    experiments/e.yaml:10:21 `al` is not allowed here, did you mean `all`? [write `all`, or a whole number]
    experiments/e.yaml:8:41 a group has no key `corrupts` any more [write `behaviour: {corrupt: 25%}`]
    experiments/e.yaml:8:62 `yes` is not allowed here [write one of `true`, `false`, or a percentage such as `10%`]
    experiments/e.yaml:8:71 1 is out of range [a whole number from 2 to 1000 is expected]
    experiments/e.yaml:8:70 a trickle without limit is none [write a rate such as `8kbit`]
    experiments/e.yaml:8:53 unknown key `lie` [the keys of a behaviour are corrupt, stall, inflate, flood, ignore-caps, malformed]
    experiments/e.yaml:8:46 `cone` is not allowed here, did you mean `none`? [write one of `none`, `full-cone`, `port-restricted`, `symmetric`, `blocked`, or a share for each class such as `{none: 40%, symmetric: 60%}`]
    experiments/e.yaml:8:46 the shares of NAT classes are 99% together [they are 100% together; give the rest to `none`, which has no address translation]
    experiments/e.yaml:8:46 the shares of NAT classes are 110% together [they are 100% together; give the rest to `none`, which has no address translation]
    experiments/e.yaml:8:59 unknown key `cone`, did you mean `none`? [the keys of shares of NAT classes are none, full-cone, port-restricted, symmetric, blocked]
    experiments/e.yaml:8:46 the shares of NAT classes are 0% together [they are 100% together; give the rest to `none`, which has no address translation]
    experiments/e.yaml:11:39 `3MB` is not a plain number [write a share as `30%`, or as a number from 0 to 1]
    experiments/e.yaml:11:38 `fast` is not a number: it does not begin with a number [write a rate as `10mbit`, or as Mbit/s from 0 to 1000000]
    experiments/e.yaml:11:33 `5%` is not a plain number [write a size as `64MiB`, or as bytes without unit]
    experiments/e.yaml:7:1 not valid YAML: a tab [indent and separate with spaces]
    experiments/e.yaml:3:1 not valid YAML: a tab [indent and separate with spaces]
    experiments/e.yaml:6:20 not valid YAML: while parsing a flow mapping, did not find expected ',' or '}' [check the indentation, the brackets and the quotes at and before this place]
    experiments/e.yaml:6:5 not valid YAML: `{` is not closed, or lacks a comma [add the bracket or comma that is missing in line 8 or before it]
    experiments/e.yaml:9:1 not valid YAML: a tab [indent and separate with spaces]
    experiments/e.yaml:8:5 not valid YAML: unclosed bracket '{' [check the indentation, the brackets and the quotes at and before this place]
    experiments/e.yaml:10:13 not valid YAML: `{` is not closed, or lacks a comma [add the bracket or comma that is missing in line 11 or before it]
    experiments/e.yaml:6:39 not valid YAML: mismatched bracket '[' closed by '}' [check the indentation, the brackets and the quotes at and before this place]
    experiments/e.yaml:12:11 not valid YAML: unclosed bracket '{' [check the indentation, the brackets and the quotes at and before this place]
    experiments/e.yaml:1:11 not valid YAML: unclosed quote [check the indentation, the brackets and the quotes at and before this place]
    "#);
}

#[test]
fn a_run_has_bounds_of_its_own() {
    let many = "peers: 20000, access: cable}\n  - {name: more, as: isp-x, peers: 5";
    let wide = TOPOLOGY.replace("10.1.0.0/28", "10.1.0.0/16");
    let text = EXPERIMENT.replace("peers: 10", many);
    insta::assert_snapshot!(only(&read(text.as_bytes(), wide.as_bytes()).unwrap_err()), @r#"experiments/e.yaml:8:3 20007 hosts, infrastructure included, are more than one run can have [at most 20000 are allowed]"#);
    let mut contents = String::new();
    for index in 0..30 {
        let _ = writeln!(contents, "  - {{id: c{index}, size: 1B, provider: A}}");
    }
    let text = EXPERIMENT.replace("peers: 10", "peers: 10000").replace("groups:\n", &format!("{contents}groups:\n"));
    let text = text.replace("burst: 4", "poisson: 5000/s");
    insta::assert_snapshot!(only(&read(text.as_bytes(), wide.as_bytes()).unwrap_err()), @r#"experiments/e.yaml:40:3 up to 302739 downloads are more than one run can have [at most 200000 are allowed]"#);
}

#[test]
fn timelines_are_followed_step_by_step() {
    let timeline = |actions: &str| wrong("arms:", &format!("timeline: [{actions}]\narms:"));
    let found = [
        "{at: 1s, do: restart, node: edge-0}",
        "{at: 2s, do: kill, node: edge-0}, {at: 1s, do: kill, node: edge-0}",
        "{at: 2s, do: thaw, node: edge-0, rate: 5mbit}, {at: 1s, do: freeze, node: edge-0}",
        "{at: 2s, do: set-access}",
        "{at: 61s, do: kill, node: edge-0}",
        "{at: 1s, do: set-link, link: transit~isp-x, forward: {rate: 1mbit}}",
        "{at: 1s, do: outage, node: edge-0}",
        "{at: 1s, do: outage, node: control-0, for: 1s}",
        "{at: 1s, do: wipe, node: homes-1}",
        "{at: 1s, do: wipe, node: control-0, for: 1s}",
        "{at: 1s, do: kill, node: edge-0}, {at: 2s, do: outage, node: edge-0, for: 1s}",
    ]
    .map(|actions| only(&timeline(actions)));
    insta::assert_snapshot!(found.join("\n"), @r#"
    experiments/e.yaml:11:25 `restart` of `edge-0` at 1s, but it is running then [`restart` needs a node that is killed]
    experiments/e.yaml:11:25 `kill` of `edge-0` at 2s, but it is killed then [`kill` needs a node that is running or frozen]
    experiments/e.yaml:11:51 `rate` has no meaning with `thaw` [remove it]
    experiments/e.yaml:11:12 `set-access` needs the key `node` [say which node it happens to]
    experiments/e.yaml:11:17 61s is after the run's end at 60s [make `duration` longer, or this earlier]
    experiments/e.yaml:11:41 the link's name is `isp-x~transit`, and `forward` is read in that direction [write the link's name as it is]
    experiments/e.yaml:11:12 `outage` needs the key `for` [say how long, as `for: 5s`]
    experiments/e.yaml:11:39 `outage` is of an edge, `control-0` is none [there are: edge-0]
    experiments/e.yaml:11:37 `wipe` is of a node of the control plane, `homes-1` is none [there are: control-0]
    experiments/e.yaml:11:53 `for` has no meaning with `wipe` [remove it]
    experiments/e.yaml:11:59 `outage` of `edge-0` at 2s, but it is killed then [`outage` needs a node that is running]
    "#);
    let good = EXPERIMENT.replace(
        "arms:",
        "timeline:\n  - {at: 3s, do: restart, node: edge-0}\n  - {at: 1s, do: kill, node: edge-0}\n  \
         - {at: 1s, do: set-link, link: transit~isp-x, delay: 5ms}\n  - {at: 2s, do: set-link, link: isp-x~transit, rate: 1mbit}\narms:",
    );
    let plan = read(good.as_bytes(), TOPOLOGY.as_bytes()).unwrap().plan("hybrid", 0, None).unwrap();
    let last = serde_json::to_value(&plan.timeline[2]).unwrap();
    // The later change builds on the earlier one.
    assert_eq!(last["act"]["set_link"]["forward"]["delay"]["nanos"], 5_000_000, "{last}");
}

#[test]
fn shares_of_groups_are_followed_by_their_numbers() {
    let timeline = |actions: &str| wrong("arms:", &format!("timeline: [{actions}]\narms:"));
    let found = [
        "{at: 1s, do: kill}",
        "{at: 1s, do: kill, node: homes-1, group: homes}",
        "{at: 1s, do: kill, node: homes-1, share: 10%}",
        "{at: 1s, do: kill, group: homse}",
        "{at: 1s, do: kill, group: homes, share: 0%}",
        "{at: 1s, do: kill, group: homes, share: 60%}, {at: 2s, do: freeze, group: homes, share: 50%}",
        "{at: 1s, do: restart, group: homes}",
        "{at: 1s, do: kill, group: homes, share: 30%}, {at: 2s, do: restart, node: homes-1}",
    ]
    .map(|actions| only(&timeline(actions)));
    insta::assert_snapshot!(found.join("\n"), @r#"
    experiments/e.yaml:11:12 `kill` needs the key `node` or `group` [say which node it happens to, or which group, or a `share` of it]
    experiments/e.yaml:11:53 a node or a group, not both [remove one of the two]
    experiments/e.yaml:11:53 `share` is of a group [write `group` instead of `node`, or remove it]
    experiments/e.yaml:11:38 no group named `homse`, did you mean `homes`? [there are: homes]
    experiments/e.yaml:11:52 a share of 0% is nobody [give it a larger one]
    experiments/e.yaml:11:71 `freeze` of 5 of `homes`, but 4 are running then [a share is of the whole group; without one `freeze` takes all who are running]
    experiments/e.yaml:11:25 `restart` of `homes`, but nobody of it is killed then [a share is of the whole group; without one `restart` takes all who are killed]
    experiments/e.yaml:11:86 what `homes-1` is doing then depends on the draw of a share of `homes` [name `group: homes`]
    "#);
}

#[test]
fn shares_of_groups_are_drawn_alike_in_every_arm() {
    let timeline = "timeline:
  - {at: 1s, do: freeze, node: homes-3}
  - {at: 2s, do: kill, group: homes, share: 30%}
  - {at: 3s, do: freeze, group: homes, share: 20%}
  - {at: 4s, do: restart, group: homes, share: 10%}
  - {at: 5s, do: restart, group: homes}
  - {at: 6s, do: thaw, group: homes}
arms:
  plain: {policy.edge.mode: only}\n";
    let text = EXPERIMENT.replace("arms:\n", timeline);
    let experiment = read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let plan = |arm, seed| experiment.plan(arm, 0, seed).unwrap().timeline;
    let actions = plan("hybrid", None);
    assert_eq!(actions, plan("plain", None));
    let nodes: Vec<Vec<&str>> = actions
        .iter()
        .map(|action| action.act.nodes().iter().map(peerbed_contract::NodeName::as_str).collect())
        .collect();
    let [_, killed, frozen, first, rest, thawed] = &nodes[..] else { panic!("{nodes:?}") };
    assert_eq!((killed.len(), frozen.len(), first.len()), (3, 2, 1));
    assert!(!killed.contains(&"homes-3") && frozen.iter().all(|node| !killed.contains(node)), "{nodes:?}");
    let mut again: Vec<&str> = first.iter().chain(rest).copied().collect();
    again.sort_unstable();
    assert_eq!(&again, killed);
    assert!(thawed.len() == 3 && thawed.contains(&"homes-3"), "{nodes:?}");
    assert!((0..5).any(|seed| plan("hybrid", Some(seed)) != actions), "another seed draws others");
}

#[test]
fn links_are_cut_and_healed_for_each_reason() {
    let timeline = |actions: &str| wrong("arms:", &format!("timeline: [{actions}]\narms:"));
    let found = [
        "{at: 1s, do: cut-link}",
        "{at: 1s, do: cut-link, link: isp-x~transit}, {at: 2s, do: cut-link, link: transit~isp-x}",
        "{at: 1s, do: heal-link, link: isp-x~transit}",
        "{at: 1s, do: partition}",
        "{at: 1s, do: partition, ases: [isp-z]}",
        "{at: 1s, do: partition, ases: [isp-x, transit]}",
        "{at: 1s, do: partition, ases: [isp-x]}, {at: 2s, do: partition, ases: [isp-x]}",
        "{at: 1s, do: heal}",
        "{at: 1s, do: partition, ases: [isp-x]}, {at: 2s, do: heal, ases: [transit]}",
        "{at: 1s, do: cut-link, link: isp-x~transit, rate: 1mbit}",
    ]
    .map(|actions| only(&timeline(actions)));
    insta::assert_snapshot!(found.join("\n"), @r#"
    experiments/e.yaml:11:12 `cut-link` needs the key `link` [say which link it happens to]
    experiments/e.yaml:11:70 at 2s the link `isp-x~transit` is cut already [heal it first, or remove this]
    experiments/e.yaml:11:25 at 1s the link `isp-x~transit` is not cut by `cut-link` [`heal` ends a partition]
    experiments/e.yaml:11:12 `partition` needs the key `ases` [say which ASes are cut off from all others, as `ases: [isp-x]`]
    experiments/e.yaml:11:43 no AS named `isp-z`, did you mean `isp-x`? [there are: transit, isp-x]
    experiments/e.yaml:11:42 no link leads from these ASes to others [name the ASes of one side of the partition]
    experiments/e.yaml:11:82 these ASes are cut off already [heal them first, or remove this]
    experiments/e.yaml:11:25 no such partition is there at 1s [there are: none]
    experiments/e.yaml:11:65 no such partition is there at 2s [there are: [isp-x]]
    experiments/e.yaml:11:62 `rate` has no meaning with `cut-link` [remove it]
    "#);
    let timeline = "timeline:
  - {at: 1s, do: cut-link, link: isp-x~transit}
  - {at: 2s, do: partition, ases: [isp-x]}
  - {at: 3s, do: set-link, link: isp-x~transit, rate: 1mbit}
  - {at: 4s, do: heal-link, link: isp-x~transit}
  - {at: 5s, do: heal}
arms:\n";
    let text = EXPERIMENT.replace("arms:\n", timeline);
    let plan = read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap().plan("hybrid", 0, None).unwrap();
    let links: Vec<_> = plan.timeline.iter().map(|action| &action.act.links()[0]).collect();
    assert_eq!(links.iter().map(|link| link.forward.is_cut()).collect::<Vec<_>>(), [true, true, true, true, false]);
    assert!(links.iter().all(|link| link.forward.is_cut() == link.backward.is_cut()));
    // What was set meanwhile holds when nothing cuts it any more.
    assert_eq!(links[4].forward.bandwidth.mean().unwrap().bps(), 1_000_000);
}

#[test]
fn bounds_have_the_unit_of_their_metric() {
    let expect = |text: &str| {
        let text = EXPERIMENT.replace("arms:", &format!("expect: [{text}]\narms:"));
        read(text.as_bytes(), TOPOLOGY.as_bytes()).map(|one| one.plan("hybrid", 0, None).unwrap().expect)
    };
    let good = expect(
        "{peer_efficiency: {at_least: 50%}, speed_mbps.p50: {at_most: 2500kbit}, bytes.edge: {at_most: 1KiB}, \
         downloads.completed: {at_least: 60%}}, {arm: hybrid, pause_rate: {at_most: 0.5}}",
    );
    let good: Vec<_> =
        good.unwrap().into_iter().map(|one| (one.metric, one.bound.at_least.or(one.bound.at_most))).collect();
    let value = |metric: &str| good.iter().find(|(known, _)| known == metric).unwrap().1;
    assert_eq!(value("peer_efficiency.bytes"), Some(0.5));
    assert_eq!(value("speed_mbps.p50"), Some(2.5));
    assert_eq!(value("bytes.edge"), Some(1024.0));
    assert_eq!(value("downloads.completed"), Some(3.0)); // 60 % of 4, rounded up
    assert_eq!(value("pause_rate"), Some(0.5));
    for bad in [
        "{pause_rate: {at_least: 5mbit}}",
        "{bytes.edge: {at_least: 5%}}",
        "{arm: hybrid}",
        "{pause_rate: {}}",
        "{pause_rate: {at_least: 50%, at_most: 40%}}",
        "{speed_mbps.p50: {at_least: 1GiB}}",
    ] {
        assert!(expect(bad).is_err(), "{bad}");
    }
}

#[test]
fn keys_that_stand_twice() {
    insta::assert_snapshot!(wrong("seed: 1", "seed: 1\nseed: 2"), @r#"
    error: the key `seed` stands twice in this map
     --> experiments/e.yaml:4:1
      |
    4 | seed: 2
      | ^^^^
      |
      = help: keep one of the two; the first is in line 3
    "#);
}

#[test]
fn a_topology_that_is_not_there() {
    let file = ExperimentFile::parse(
        Source::from_bytes("experiments/e.yaml", EXPERIMENT.replace("topology: t", "topology: two-isp").into())
            .unwrap(),
    )
    .unwrap();
    insta::assert_snapshot!(only(&file.no_such_topology(&["three-isps".to_owned(), "two-isps".to_owned()])), @r#"experiments/e.yaml:2:11 no topology named `two-isp`, did you mean `two-isps`? [there are: three-isps, two-isps]"#);
    insta::assert_snapshot!(only(&wrong("topology: t", "topology: ../../etc/passwd")), @r#"experiments/e.yaml:2:11 not the name of a topology: `../../etc/passwd` is a path; give the name alone, for example `quick` for experiments/quick.yaml []"#);
    assert!(TopologyFile::parse(Source::from_bytes("t", Vec::new()).unwrap()).is_err());
}

#[test]
fn arms_that_do_not_exist_and_repeats_beyond_the_last() {
    let quick = resolve("quick");
    insta::assert_snapshot!(quick.plan("hybird", 0, None).unwrap_err(), @r#"
    error: no arm named `hybird`, did you mean `hybrid`?
      --> experiments/quick.yaml:24:3
       |
    24 |   edge-only: {policy.edge.mode: only}
       |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: there are: edge-only, hybrid
    "#);
    // More repeats than the file wants may be asked for; each has its own seed.
    let repeat = |number| quick.plan("hybrid", number, None).unwrap();
    assert_eq!((quick.repeats(), repeat(7).repeat), (1, 7));
    assert_ne!(repeat(7).seed, repeat(6).seed);
}

#[test]
fn an_arm_can_change_anything_but_what_arms_share() {
    let arms = "hybrid: {}\n  more: {groups.homes.peers: 12, content.patch.size: 2MiB, workload.arrivals.burst: 5, \
                topology.links.isp-x~transit.rate: 1mbit, topology.access.cable.up: 1mbit, duration: 30s}";
    let text = EXPERIMENT.replace("hybrid: {}", arms);
    let experiment = read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let (plain, more) = (experiment.plan("hybrid", 0, None).unwrap(), experiment.plan("more", 0, None).unwrap());
    assert_eq!((plain.nodes.len() + 2, plain.downloads() + 1), (more.nodes.len(), more.downloads()));
    assert_eq!(more.duration.as_secs(), 30);
    assert_ne!(plain.fabric.links, more.fabric.links);
    for shared in ["question", "engine", "seed", "repeats", "expect", "arms", "topology"] {
        let found = wrong("hybrid: {}", &format!("hybrid: {{{shared}: 1}}"));
        assert!(only(&found).contains("an arm cannot change"), "{found}");
    }
    insta::assert_snapshot!(wrong("hybrid: {}", "hybrid: {groups.homes.peers: 15}"), @r#"
    error: 15 hosts, but the prefix 10.1.0.0/28 of `isp-x` has 14 addresses left
      --> experiments/e.yaml:12:32
       |
    12 |   hybrid: {groups.homes.peers: 15}
       |                                ^^
       |
       = note: in arm `hybrid`
       = help: make the AS's prefix larger, the group smaller, or put the group elsewhere
    "#);
}

/// The topology with two traces, which its access profile and its link can follow.
fn traced(access: &str, link: &str) -> String {
    let traces = "traces: {lte: traces/lte.csv, wifi: wifi.up}\n";
    let topology = TOPOLOGY.replace("down: 25mbit", access).replace("rate: 200mbit", link);
    traces.to_owned() + &topology
}

const LTE: (&str, &str) = ("traces/lte.csv", "t,rate\n0s,10mbit\n5s,2mbit\n10s,\n");
const WIFI: (&str, &str) = ("wifi.up", "1\n2\n4\n");

#[test]
fn links_follow_traces() {
    let topology = traced("down: {trace: lte, queue: 64KiB}", "trace: lte, forward: {rate: 50mbit}");
    let arms = "arms:\n  plain: {topology.access.cable.down: 25mbit, topology.links.isp-x~transit.trace: wifi}\n  \
                rated: {topology.links.isp-x~transit.rate: 1mbit}\n";
    let timeline = "timeline: [{at: 9s, do: set-link, link: isp-x~transit, forward: {trace: wifi}}]\n";
    let text = EXPERIMENT.replace("arms:\n", arms) + timeline;
    let experiment = read_traced(text.as_bytes(), topology.as_bytes(), &[LTE, WIFI]).unwrap_or_else(|e| panic!("{e}"));
    let (hybrid, plain) = (experiment.plan("hybrid", 0, None).unwrap(), experiment.plan("plain", 0, None).unwrap());
    let mean = |spec: &peerbed_link::LinkSpec| spec.bandwidth.mean().unwrap().bps();
    let homes =
        |plan: &peerbed_model::Plan| plan.fabric.nodes.iter().find(|n| n.name.as_str() == "homes-0").unwrap().access;
    assert_eq!((mean(&homes(&hybrid).down), mean(&homes(&plain).down)), (6_000_000, 25_000_000));
    assert_eq!(homes(&hybrid).down.queue_bytes(), Some(64 << 10));
    let link = &hybrid.fabric.links[0];
    assert_eq!((mean(&link.forward), mean(&link.backward)), (50_000_000, 6_000_000));
    // An arm gives a link a rate instead of its trace.
    let rated = experiment.plan("rated", 0, None).unwrap();
    assert_eq!(mean(&rated.fabric.links[0].backward), 1_000_000);
    // A plan has the traces that it needs, and nothing else.
    assert_eq!((hybrid.fabric.traces.len(), plain.fabric.traces.len()), (2, 1));
    let again: peerbed_model::Plan = serde_json::from_str(&serde_json::to_string(&hybrid).unwrap()).unwrap();
    assert_eq!(again, hybrid);
}

#[test]
fn content_may_be_named_like_what_links_have() {
    let named = "{id: patch, size: 1MiB, provider: A}\n  - {id: rate, size: 1MiB, provider: A}\n  - {id: trace, size: 1MiB, provider: A}";
    let held = EXPERIMENT
        .replace("{id: patch, size: 1MiB, provider: A}", named)
        .replace("{patch: 2}", "{rate: 2, trace: 2}")
        .replace("hybrid: {}", "hybrid: {groups.homes.holds.trace: 3}");
    let plan =
        read(held.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|e| panic!("{e}")).plan("hybrid", 0, None).unwrap();
    let holders =
        |id: &str| common::peers(&plan).filter(|(_, peer)| peer.holds.iter().any(|held| held.as_str() == id)).count();
    assert_eq!((holders("rate"), holders("trace")), (2, 3));
}

#[test]
fn what_is_wrong_with_traces_is_said_where_it_is() {
    let wrong = |topology: &str, files: &[(&str, &str)]| {
        read_traced(EXPERIMENT.as_bytes(), topology.as_bytes(), files).expect_err("it is wrong")
    };
    let good = traced("down: {trace: lte}", "rate: 200mbit");
    insta::assert_snapshot!(wrong(&good, &[LTE]), @r#"
    error: cannot read topologies/wifi.up: it is not there
     --> topologies/t.yaml:1:37
      |
    1 | traces: {lte: traces/lte.csv, wifi: wifi.up}
      |                                     ^^^^^^^
      |
      = help: a trace is a file beside the topology's; all of a topology's together have at most 16 MiB
    "#);
    insta::assert_snapshot!(wrong(&good, &[("traces/lte.csv", "t,rate\n0s,10mbit\n1s,fast\n"), WIFI]), @r#"
    error: `fast` is not a rate: it does not begin with a number
     --> topologies/traces/lte.csv:3:1
      |
    3 | 1s,fast
      | ^^^^^^^
      |
      = help: write a rate as `10mbit`; units: bit, kbit, mbit, gbit
    "#);
    insta::assert_snapshot!(wrong(&good, &[LTE, ("wifi.up", "# phone\n1\n3\n2\n")]), @r#"
    error: not a trace: its times do not go on
     --> topologies/wifi.up:4:1
      |
    4 | 2
      | ^
      |
      = help: a packet-delivery trace has on each line the time, in whole milliseconds, at which 1500 bytes can be delivered, in order; after the last it begins again
    "#);
    insta::assert_snapshot!(wrong(&traced("down: {trace: let}", "rate: 200mbit"), &[LTE, WIFI]), @r#"
    error: no trace named `let`, did you mean `lte`?
     --> topologies/t.yaml:3:36
      |
    3 |   cable: {up: 5mbit, down: {trace: let}, delay: 8ms}
      |                                    ^^^
      |
      = help: there are: lte, wifi
    "#);
    insta::assert_snapshot!(wrong(&traced("down: {trace: lte, rate: 5mbit}", "rate: 200mbit"), &[LTE, WIFI]), @r#"
    error: a link has either a `rate` or a `trace`
     --> topologies/t.yaml:3:36
      |
    3 |   cable: {up: 5mbit, down: {trace: lte, rate: 5mbit}, delay: 8ms}
      |                                    ^^^
      |
      = help: remove one of the two
    "#);
    insta::assert_snapshot!(wrong(&good.replace("wifi.up", "../wifi.up"), &[LTE]), @r#"
    error: `../wifi.up` is not the path of a trace
     --> topologies/t.yaml:1:37
      |
    1 | traces: {lte: traces/lte.csv, wifi: ../wifi.up}
      |                                     ^^^^^^^^^^
      |
      = help: write a path from the directory of the topology's file, for example `traces/lte.up`, without `..`
    "#);
    let arm = EXPERIMENT.replace("hybrid: {}", "hybrid: {topology.traces.lte: other.csv}");
    insta::assert_snapshot!(read_traced(arm.as_bytes(), good.as_bytes(), &[LTE, WIFI]).expect_err("it is wrong"), @r#"
    error: the file `other.csv` was not read
      --> experiments/e.yaml:12:33
       |
    12 |   hybrid: {topology.traces.lte: other.csv}
       |                                 ^^^^^^^^^
       |
       = note: in arm `hybrid`
       = help: an arm cannot name another file: declare both, and let the arm set a link's `trace`
    "#);
}
