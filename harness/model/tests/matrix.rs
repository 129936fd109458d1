//! Sweeps: every arm at every combination of the values of a matrix, under a name that says which.

mod common;

use common::{EXPERIMENT, TOPOLOGY, only, peers, read};
use peerbed_model::{Experiment, Plan};

const TWO: &str = "arms:\n  edge-only: {policy.edge.mode: only}\n  hybrid: {}\n";

fn with(text: &str) -> Result<Experiment, String> {
    let text = EXPERIMENT.replace("arms:\n  hybrid: {}\n", text);
    read(text.as_bytes(), TOPOLOGY.as_bytes()).map_err(|wrong| wrong.to_string())
}

fn good(text: &str) -> Experiment {
    with(text).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn arms(experiment: &Experiment) -> Vec<&str> {
    experiment.arms().collect()
}

fn plan(experiment: &Experiment, arm: &str) -> Plan {
    experiment.plan(arm, 0, None).unwrap()
}

/// What is wrong when this takes the place of the arms: message and help.
fn wrong(text: &str) -> String {
    let text = EXPERIMENT.replace("arms:\n  hybrid: {}\n", text);
    only(&read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_err())
}

#[test]
fn arms_are_crossed_with_every_combination_and_keep_their_coordinates() {
    let experiment =
        good(&format!("{TWO}matrix:\n  policy.uploads.per_copy: [1, 20]\n  groups.homes.peers: [9, 12]\n"));
    assert_eq!(
        arms(&experiment),
        [
            "edge-only+per_copy=1+peers=9",
            "edge-only+per_copy=1+peers=12",
            "edge-only+per_copy=20+peers=9",
            "edge-only+per_copy=20+peers=12",
            "hybrid+per_copy=1+peers=9",
            "hybrid+per_copy=1+peers=12",
            "hybrid+per_copy=20+peers=9",
            "hybrid+per_copy=20+peers=12",
        ]
    );
    let plan = plan(&experiment, "hybrid+per_copy=20+peers=9");
    assert_eq!((peers(&plan).count(), peers(&plan).next().unwrap().1.uploads.per_copy), (9, 20));
    assert_eq!(plan.base.as_deref(), Some("hybrid"));
    let at: Vec<(&str, &str)> = plan.matrix.iter().collect();
    assert_eq!(at, [("policy.uploads.per_copy", "20"), ("groups.homes.peers", "9")]);
    assert_eq!(experiment.arms_called("hybrid").len(), 4);
    assert_eq!(experiment.arms_called("hybrid+per_copy=20+peers=9"), ["hybrid+per_copy=20+peers=9"]);
    assert!(experiment.arms_called("per_copy=20").is_empty());
}

#[test]
fn a_matrix_needs_no_arms_and_reaches_every_kind_of_value() {
    let experiment = good(
        "matrix:\n  topology.links.isp-x~transit.rate: [2mbit]\n  content.patch.size: [2MiB]\n  workload.arrivals: [{label: few, value: {burst: 2}}]\n  \
         policy.selection.diversity: [25%]\n  groups.homes.toggles: [0.5/s]\n  policy.selection.max_returned: [0, 1]\n",
    );
    let name = "rate=2mbit+size=2MiB+arrivals=few+diversity=25%+toggles=0.5-per-s+max_returned=0";
    assert_eq!(arms(&experiment)[0], name);
    let plan = plan(&experiment, name);
    assert_eq!((plan.base, plan.nodes.len() - 2), (None, 10));
    assert_eq!(plan.fabric.links[0].forward.bandwidth.mean().map(peerbed_link::Rate::bps), Some(2_000_000));
    let scripts: usize = plan
        .nodes
        .iter()
        .map(|node| match &node.config.role {
            peerbed_contract::RoleConfig::Peer(peer) => peer.script.len(),
            peerbed_contract::RoleConfig::Control(control) => {
                assert_eq!((control.selection.max_returned, control.selection.diversity), (0, 0.25));
                0
            }
            peerbed_contract::RoleConfig::Edge(edge) => {
                assert_eq!(edge.objects[0].size, 2 << 20);
                0
            }
        })
        .sum();
    assert_eq!(scripts, 2);
    // The same seeds and the same users in all arms.
    let other = experiment.plan(arms(&experiment)[1], 0, None).unwrap();
    assert_eq!(plan.seed, other.seed);
}

#[test]
fn whatever_arms_and_the_matrix_set_is_recorded_with_the_parameters() {
    let experiment = good(
        "arms:
  a: {}
  b: {policy.edge.mode: only, workload.arrivals: {burst: 3, at: 1s, within: 2s}, topology.edges: [{as: isp-x, access: cable}]}
matrix: {groups.homes.peers: [9, 12]}
",
    );
    let of = |arm: &str| {
        let all = plan(&experiment, arm).parameters;
        let set = all.into_iter().filter(|(path, _)| !path.starts_with("policy.") && path != "congestion_control");
        set.map(|(path, value)| format!("{path}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(of("a+peers=9"), ["groups.homes.peers=9"]);
    assert_eq!(
        of("b+peers=12"),
        [
            "groups.homes.peers=12",
            "topology.edges=[{as: isp-x, access: cable}]",
            "workload.arrivals={burst: 3, at: 1s, within: 2s}"
        ]
    );
}

#[test]
fn where_an_arm_is_survives_the_file_of_plans() {
    let experiment = good("matrix: {policy.uploads.per_copy: [7], groups.homes.peers: [9]}\n");
    let plan = plan(&experiment, "per_copy=7+peers=9");
    let yaml = serde_yaml::to_string(&plan).unwrap();
    assert!(yaml.contains("policy.uploads.per_copy:"), "{yaml}");
    assert_eq!(serde_yaml::from_str::<Plan>(&yaml).unwrap(), plan);
    let json = serde_json::to_string(&plan).unwrap();
    assert!(json.contains(r#""matrix":{"policy.uploads.per_copy":"7","groups.homes.peers":"9"}"#));
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
}

#[test]
fn names_are_lengthened_only_where_two_would_be_the_same() {
    let experiment =
        good("matrix:\n  policy.uploads.rate: [50%]\n  policy.edge.rate: [5/s]\n  policy.uploads.per_copy: [2]\n");
    assert_eq!(arms(&experiment), ["uploads.rate=50%+edge.rate=5-per-s+per_copy=2"]);
}

#[test]
fn expectations_speak_of_an_arm_of_the_matrix_or_of_all_that_come_from_one() {
    let matrix = "matrix: {policy.uploads.per_copy: [1, 20]}\n";
    let experiment = good(&format!(
        "{TWO}{matrix}expect:\n  - {{arm: hybrid, peer_efficiency: {{at_least: 10%}}}}\n  - {{arm: hybrid+per_copy=20, pause_rate: {{at_most: 5%}}}}\n  - \
         {{arm: hybrid, speed_mbps.p50: {{at_least: 0.9, of: edge-only}}}}\n  - {{bytes.edge: {{at_most: 1, of: hybrid+per_copy=1}}}}\n"
    ));
    let expected = |arm: &str| -> Vec<(String, Option<String>)> {
        plan(&experiment, arm).expect.into_iter().map(|one| (one.metric, one.of)).collect()
    };
    let of = |metric: &str, of: &str| (metric.to_owned(), Some(of.to_owned()));
    let alone = |metric: &str| (metric.to_owned(), None);
    assert_eq!(
        expected("hybrid+per_copy=20"),
        [
            alone("peer_efficiency.bytes"),
            alone("pause_rate"),
            of("speed_mbps.p50", "edge-only+per_copy=20"),
            of("bytes.edge", "hybrid+per_copy=1")
        ]
    );
    // The arm that all others are compared with is not compared with itself.
    assert_eq!(
        expected("hybrid+per_copy=1"),
        [alone("peer_efficiency.bytes"), of("speed_mbps.p50", "edge-only+per_copy=1")]
    );
    assert_eq!(expected("edge-only+per_copy=1"), [of("bytes.edge", "hybrid+per_copy=1")]);

    let wrong = wrong(&format!("{TWO}{matrix}expect: [{{arm: hybrid+per_copy=2, pause_rate: {{at_most: 5%}}}}]\n"));
    assert!(wrong.contains("no arm named `hybrid+per_copy=2`, did you mean `hybrid+per_copy=1`?"), "{wrong}");
    let itself = self::wrong(&format!(
        "{TWO}{matrix}expect: [{{arm: hybrid+per_copy=1, pause_rate: {{at_most: 1, of: hybrid}}}}]\n"
    ));
    assert!(itself.contains("an arm cannot be compared with itself"), "{itself}");
}

#[test]
fn a_scale_has_another_matrix_or_fewer_of_its_arms() {
    let experiment = good(&format!(
        "{TWO}matrix: {{policy.uploads.per_copy: [1, 5, 20]}}\nexpect: [{{arm: hybrid+per_copy=5, peer_efficiency: {{at_least: 1%}}}}]\nscales:\n  \
         fewer: {{matrix.policy.uploads.per_copy: [2, 20]}}\n  more: {{matrix.groups.homes.peers: [9], arms: [hybrid]}}\n  \
         one: {{arms: [hybrid+per_copy=5]}}\n  none: {{matrix: {{}}}}\n"
    ));
    let at = |scale: &str| experiment.clone().at_scale(scale).unwrap();
    assert_eq!(
        arms(&at("fewer")),
        ["edge-only+per_copy=2", "edge-only+per_copy=20", "hybrid+per_copy=2", "hybrid+per_copy=20"]
    );
    assert_eq!(
        arms(&at("more")),
        ["hybrid+per_copy=1+peers=9", "hybrid+per_copy=5+peers=9", "hybrid+per_copy=20+peers=9"]
    );
    assert_eq!(arms(&at("one")), ["hybrid+per_copy=5"]);
    assert_eq!(plan(&at("one"), "hybrid+per_copy=5").expect.len(), 1);
    assert_eq!(arms(&at("none")), ["edge-only", "hybrid"]);
    assert_eq!(plan(&at("none"), "hybrid").base, None);

    let wrong = wrong(&format!(
        "{TWO}matrix: {{policy.uploads.per_copy: [1]}}\nscales: {{a: {{arms: [hybrid+per_copy=2]}}}}\n"
    ));
    assert!(wrong.contains("no arm named `hybrid+per_copy=2`"), "{wrong}");
}

#[test]
fn what_is_wrong_with_a_matrix_is_said_where_it_stands() {
    let values = |count: usize| (1..=count).map(|value| value.to_string()).collect::<Vec<_>>().join(", ");
    insta::assert_snapshot!(
        with(&format!("{TWO}matrix: {{policy.uploads.per_copy: [{}], policy.uploads.connections: [1, 2]}}\n", values(17))).unwrap_err(),
        @r"
        error: 2 of `arms` × 17 of `per_copy` × 2 of `connections` are 68 arms, more than an experiment may have
          --> experiments/e.yaml:14:9
           |
        14 | matrix: {policy.uploads.per_copy: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17], policy.uploads.connections: [1, 2]}
           |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: at most 64 are allowed
        "
    );
    insta::assert_snapshot!(with("matrix: {policy.uploads.per_copi: [1, 2], groups.flats.peers: [3]}\n").unwrap_err(), @r"
    error: unknown key `per_copi`, did you mean `per_copy`?
      --> experiments/e.yaml:11:10
       |
    11 | matrix: {policy.uploads.per_copi: [1, 2], groups.flats.peers: [3]}
       |          ^^^^^^^^^^^^^^^^^^^^^^^
       |
       = note: in arm `per_copi=1+peers=3`
       = help: the keys of an upload policy are per_copy, connections, waiting, rate, connection_rate, while_busy, back_off, while_downloading

    error: nothing in `groups` is named `flats`
      --> experiments/e.yaml:11:43
       |
    11 | matrix: {policy.uploads.per_copi: [1, 2], groups.flats.peers: [3]}
       |                                           ^^^^^^^^^^^^^^^^^^
       |
       = note: in arm `per_copi=1+peers=3`
       = help: there are: homes
    ");
    let long = "x".repeat(41);
    for (text, message) in [
        ("matrix: {policy.uploads.per_copy: []}\n".to_owned(), "the list of values is empty"),
        ("matrix: {policy.uploads.per_copy: 5}\n".to_owned(), "expected a list of values, found `5`"),
        ("matrix: [5]\n".to_owned(), "expected a map of paths and lists"),
        (
            "matrix: {policy.uploads.per_copy: [5, 6, 5]}\n".to_owned(),
            "two values of `policy.uploads.per_copy` are called `5`",
        ),
        (
            "matrix: {workload.arrivals: [{burst: 2}]}\n".to_owned(),
            "this value of `workload.arrivals` is a map and needs a name [write `{label: NAME, value: …}`",
        ),
        ("matrix: {workload.arrivals: [{label: a/b, value: {burst: 2}}]}\n".to_owned(), "`a/b` is not a name"),
        ("matrix: {workload.arrivals: [{label: ab}]}\n".to_owned(), "a labelled value needs the key `value`"),
        ("matrix: {policy.uploads.per_copy: [~]}\n".to_owned(), "is nothing and needs a name"),
        (format!("matrix: {{question: [{long}]}}\n"), "cannot be part of the name of an arm"),
        ("matrix: {question: [Why?]}\n".to_owned(), "`Why?` cannot be part of the name of an arm"),
        ("matrix: {seed: [1, 2]}\n".to_owned(), "the matrix cannot change `seed`"),
        (
            "matrix: {policy.edge.mode: [only], policy.edge: [{label: a, value: {}}]}\n".to_owned(),
            "`policy.edge.mode` is set by `policy.edge` as well",
        ),
        (
            "arms: {a: {policy.edge.mode: only}}\nmatrix: {policy.edge.mode: [only]}\n".to_owned(),
            "`policy.edge.mode` is set by the matrix as well",
        ),
        (
            "arms: {a: {policy.edge: {mode: only}}}\nmatrix: {policy.edge.mode: [only]}\n".to_owned(),
            "`policy.edge` is set by the matrix as well (`policy.edge.mode`)",
        ),
        ("arms: {a: {matrix: {duration: [5s]}}}\n".to_owned(), "an arm cannot change `matrix`"),
        ("arms: {}\nmatrix: {duration: [5s]}\n".to_owned(), "there is no arm"),
        ("repeats: 1\n".to_owned(), "an experiment needs the key `arms`, or `matrix`"),
        ("matrix: {policy.selection.max_returned: [-1]}\n".to_owned(), "-1"),
    ] {
        let wrong = wrong(&text);
        assert!(wrong.contains(message), "{text}{wrong}");
    }
    let names: Vec<String> = (0..6).map(|number| format!("content.patch.size{number}: [{}]", "x".repeat(40))).collect();
    let wrong = wrong(&format!("matrix: {{{}}}\n", names.join(", ")));
    assert!(wrong.contains("is too long for the name of an arm"), "{wrong}");
}

#[test]
fn a_trend_over_a_matrix_that_is_wrong_is_no_error_of_its_own() {
    let trend = "expect: [{over: policy.uploads.per_copy, peer_efficiency: {trend: rising}}]\n";
    for (matrix, message) in [
        ("matrix: {policy.uploads.per_copy: [8, 8]}\n", "two values of `policy.uploads.per_copy` are called `8`"),
        (
            "arms: {a: {policy.uploads.per_copy: 5}}\nmatrix: {policy.uploads.per_copy: [1, 8]}\n",
            "`policy.uploads.per_copy` is set by the matrix as well",
        ),
        ("matrix: [5]\n", "expected a map of paths and lists"),
    ] {
        let wrong = wrong(&format!("{matrix}{trend}"));
        assert!(wrong.contains(message), "{wrong}");
    }
    // What the matrix does not have is said all the same.
    let all = with(&format!("matrix: {{policy.uploads.connections: [8, 8]}}\n{trend}")).unwrap_err();
    assert!(all.contains("no path of the matrix named `policy.uploads.per_copy`"), "{all}");
    let none = wrong(&format!("{TWO}{trend}"));
    assert!(none.contains("there is no `matrix`"), "{none}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it must not take long")]
fn too_many_paths_are_refused_at_once() {
    let paths = |count: usize, before: &str| {
        let paths: Vec<String> = (0..count).map(|number| format!("{before}a{number}: [1]")).collect();
        paths.join(", ")
    };
    let begun = std::time::Instant::now();
    let matrix = wrong(&format!("matrix: {{{}}}\n", paths(20_000, "")));
    assert!(matrix.contains("20000 paths are more than a matrix may have [at most 16 are allowed]"), "{matrix}");
    let scale = wrong(&format!("{TWO}scales: {{ci: {{{}}}}}\n", paths(20_000, "matrix.")));
    assert!(scale.contains("20000 paths are more than a matrix may have"), "{scale}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(wrong(&format!("matrix: {{{}}}\n", paths(17, "question.b."))).contains("17 paths"));
    assert!(!with(&format!("matrix: {{{}}}\n", paths(16, "question.b."))).unwrap_err().contains("16 paths"));
}

#[test]
fn a_value_is_reached_by_one_path() {
    for (number, help) in [
        ("groups.0.peers: [3]", "use the name: `groups.homes`"),
        ("content.0.size: [1MiB]", "use the name: `content.patch`"),
        ("topology.ases.1.population: [1]", "use the name: `topology.ases.isp-x`"),
        ("topology.links.0.rate: [1mbit]", "use the name: `topology.links.isp-x~transit`"),
    ] {
        let wrong = wrong(&format!("matrix: {{{number}}}\n"));
        assert!(wrong.contains("`0` is a number, and elements of") || wrong.contains("`1` is a number"), "{wrong}");
        assert!(wrong.contains(help), "{wrong}");
    }
    // What has no name is reached by its number, in the one way to write it.
    good("matrix: {topology.edges.0.as: [isp-x]}\n");
    for number in ["00", "+0"] {
        let wrong = wrong(&format!("arms: {{a: {{topology.edges.{number}.as: isp-x}}}}\n"));
        assert!(wrong.contains("its elements have no names; use their numbers"), "{wrong}");
    }
}
