//! What a group says about the containers of its peers: what is refused, and what of it stands in the plan.

mod common;

use common::{EXPERIMENT, TOPOLOGY, only, read};
use peerbed_contract::Role;
use peerbed_model::{Diagnostics, Limits, Plan, PlannedNode, schema};
use serde_json::json;

/// The experiment whose group also has these keys.
fn with(keys: &str) -> Result<Plan, Diagnostics> {
    let text = EXPERIMENT.replacen("peers: 10", &format!("peers: 10, {keys}"), 1);
    read(text.as_bytes(), TOPOLOGY.as_bytes()).map(|experiment| experiment.plan("hybrid", 0, None).unwrap())
}

/// A peer of the plan; the others are given the same.
fn peer(plan: &Plan) -> &PlannedNode {
    let mut peers = plan.nodes.iter().filter(|node| node.role == Role::Peer);
    let first = peers.next().unwrap();
    assert!(peers.all(|other| (&other.image, other.limits) == (&first.image, first.limits)));
    first
}

#[test]
fn an_image_that_no_engine_could_have_is_refused() {
    insta::assert_snapshot!(with(r#"image: "my peer:1""#).unwrap_err(), @r#"
    error: `my peer:1` is not the name of an image: it has whitespace or control characters
     --> experiments/e.yaml:8:48
      |
    8 |   - {name: homes, as: isp-x, peers: 10, image: "my peer:1", access: cable, holds: {patch: 2}}
      |                                                ^^^^^^^^^^^
      |
      = help: write it as the engine does, for example `my-peer:1.0`
    "#);
    let long = "x".repeat(256);
    let refused = ["''", r#""a\0b""#, r#""a\tb""#, r#""a\e[2J""#, "' a'", &long, "[a, b]", "{}", ""]
        .map(|image| only(&with(&format!("image: {image}")).unwrap_err()));
    insta::assert_snapshot!(refused.join("\n"), @r#"
    experiments/e.yaml:8:48 the name of the image is empty [leave `image` out for the project's own]
    experiments/e.yaml:8:48 `a b` is not the name of an image: it has whitespace or control characters [write it as the engine does, for example `my-peer:1.0`]
    experiments/e.yaml:8:48 `a b` is not the name of an image: it has whitespace or control characters [write it as the engine does, for example `my-peer:1.0`]
    experiments/e.yaml:8:48 `a [2J` is not the name of an image: it has whitespace or control characters [write it as the engine does, for example `my-peer:1.0`]
    experiments/e.yaml:8:48 ` a` is not the name of an image: it has whitespace or control characters [write it as the engine does, for example `my-peer:1.0`]
    experiments/e.yaml:8:48 `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…` is too long for the name of an image: it has 256 bytes [at most 255 bytes are allowed; give the image a shorter tag]
    experiments/e.yaml:8:48 expected text, found a list []
    experiments/e.yaml:8:48 expected text, found a map []
    experiments/e.yaml:8:46 expected text, found nothing [write text; a key that is not needed is left out]
    "#);
    let no_break_space = with(r#"image: "a\u00a0b""#).unwrap_err();
    assert!(only(&no_break_space).contains("it has whitespace"), "{no_break_space}");
}

#[test]
fn an_image_is_written_as_engines_do() {
    for good in [
        "peer",
        "my_peer-2:1.0-RC1",
        "team/peer",
        "localhost/peer",
        "localhost:5000/peer",
        "Registry.example:443/team/peer:v2",
        "peer@sha256:0123abcd",
        "sha256:0123abcd",
        "0123abcd",
    ] {
        assert_eq!(peer(&with(&format!("image: '{good}'")).unwrap()).image.as_deref(), Some(good));
    }
    for bad in ["PEER:bad:ref", "Peer", "peer:", "-x", "a//b", "/a", "a/", "a:b:c", "peer@", "../up", "a$b", "é"] {
        let refused = only(&with(&format!("image: '{bad}'")).unwrap_err());
        assert!(refused.contains(&format!("`{bad}` is not the name of an image")), "{refused}");
    }
}

#[test]
fn limits_beyond_their_range_are_refused() {
    let refused = [
        "memory: 8388607B",
        "memory: 65GiB",
        "memory: 0B",
        "memory: 256",
        "memory: unlimited",
        "memory: -8MiB",
        "memory:",
        "pids: 0",
        "pids: 32769",
        "pids: -1",
        "pids: 1.5",
        "pids: many",
        "pids: [1]",
    ]
    .map(|keys| only(&with(keys).unwrap_err()));
    insta::assert_snapshot!(refused.join("\n"), @r#"
    experiments/e.yaml:8:49 8388607B is out of range [from 8MiB to 64GiB is allowed]
    experiments/e.yaml:8:49 65GiB is out of range [from 8MiB to 64GiB is allowed]
    experiments/e.yaml:8:49 0B is out of range [from 8MiB to 64GiB is allowed]
    experiments/e.yaml:8:49 `256` is not a size: it has no unit [write a size as `64MiB`; units: B, kB, MB, GB, KiB, MiB, GiB, TiB]
    experiments/e.yaml:8:49 `unlimited` is not a size: it does not begin with a number [write a size as `64MiB`; units: B, kB, MB, GB, KiB, MiB, GiB, TiB]
    experiments/e.yaml:8:49 `-8MiB` is not a size: it is negative [write a size as `64MiB`; units: B, kB, MB, GB, KiB, MiB, GiB, TiB]
    experiments/e.yaml:8:47 expected a size such as `64MiB`, found nothing [write a size such as `64MiB`; a key that is not needed is left out]
    experiments/e.yaml:8:47 0 is out of range [a whole number from 1 to 32768 is expected]
    experiments/e.yaml:8:47 32769 is out of range [a whole number from 1 to 32768 is expected]
    experiments/e.yaml:8:47 `-1` is not a whole number [a whole number from 1 to 32768 is expected]
    experiments/e.yaml:8:47 `1.5` is not a whole number [a whole number from 1 to 32768 is expected]
    experiments/e.yaml:8:47 `many` is not a whole number [a whole number from 1 to 32768 is expected]
    experiments/e.yaml:8:47 expected a whole number, found a list []
    "#);
}

#[test]
fn everything_that_is_wrong_with_a_group_is_said_at_once() {
    let wrong = with("image: '', memory: 1B, pids: 0").unwrap_err();
    assert_eq!(wrong.len(), 3, "{wrong}");
}

#[test]
fn what_a_group_says_of_its_containers_stands_in_the_plan_of_its_peers_alone() {
    let image = "registry.example:5000/team/peer@sha256:0123456789abcdef";
    let plan = with(&format!("image: '{image}', command: [-v], memory: 1.5GiB, pids: 32768")).unwrap();
    let homes = peer(&plan);
    assert_eq!((homes.image.as_deref(), homes.command.as_slice()), (Some(image), ["-v".to_owned()].as_slice()));
    assert_eq!(homes.limits, Limits { memory_bytes: 3 << 29, pids: 32_768 });
    let servers: Vec<_> = plan.nodes.iter().filter(|node| node.role != Role::Peer).collect();
    assert_eq!(servers.len(), 2);
    assert!(servers.iter().all(|node| node.image.is_none() && node.limits == Limits::default()));
    for (keys, memory_bytes, pids) in [("memory: 8MiB, pids: 1", 8 << 20, 1), ("memory: 64GiB", 64 << 30, 256)] {
        assert_eq!(peer(&with(keys).unwrap()).limits, Limits { memory_bytes, pids }, "{keys}");
    }
    let longest = "x".repeat(255);
    assert_eq!(peer(&with(&format!("image: {longest}")).unwrap()).image.as_deref(), Some(&*longest));
}

#[test]
fn what_is_not_said_is_what_is_documented() {
    let plain = with("uploads: 100%").unwrap();
    let group = &schema::experiment()["$defs"]["group"]["properties"];
    let [memory, pids] = ["memory", "pids"].map(|key| group[key]["default"].as_str().unwrap());
    assert_eq!(plain, with(&format!("memory: {memory}, pids: {pids}")).unwrap());
    assert_eq!((peer(&plain).image.as_ref(), peer(&plain).limits), (None, Limits::default()));
    assert_eq!(Limits::default(), Limits { memory_bytes: 256 << 20, pids: 256 });
}

#[test]
fn arms_may_differ_in_images_and_limits() {
    let arms = "hybrid: {}\n  other: {groups.homes.image: 'peer:2', groups.homes.memory: 64MiB, groups.homes.pids: 9}";
    let text = EXPERIMENT.replace("hybrid: {}", arms);
    let experiment = read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let [hybrid, mut other] = ["hybrid", "other"].map(|arm| experiment.plan(arm, 0, None).unwrap());
    assert_eq!(peer(&other).image.as_deref(), Some("peer:2"));
    assert_eq!(peer(&other).limits, Limits { memory_bytes: 64 << 20, pids: 9 });
    // What the arm sets is recorded.
    let set: Vec<&String> = other.parameters.keys().filter(|path| !hybrid.parameters.contains_key(*path)).collect();
    assert_eq!(set, ["groups.homes.image", "groups.homes.memory", "groups.homes.pids"]);
    other.parameters.clone_from(&hybrid.parameters);
    // Nothing else is drawn or placed otherwise.
    other.arm.clone_from(&hybrid.arm);
    for node in other.nodes.iter_mut().filter(|node| node.role == Role::Peer) {
        (node.image, node.limits) = (None, Limits::default());
    }
    assert_eq!(hybrid, other);
}

#[test]
fn plans_from_before_there_were_images_are_read() {
    let plan = with("uploads: 100%").unwrap();
    let mut stored = serde_json::to_value(&plan).unwrap();
    for node in stored["nodes"].as_array_mut().unwrap() {
        let node = node.as_object_mut().unwrap();
        assert!(node.remove("image").is_some() && node.remove("limits").is_some());
    }
    assert_eq!(serde_json::from_value::<Plan>(stored).unwrap(), plan);
    assert!(serde_json::from_value::<Limits>(json!({"memory_bytes": 1, "pids": 1, "cpus": 1})).is_err());
}
