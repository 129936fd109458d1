//! Real peers that change their address in the middle of downloads, on the real engine.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::program::{alone, bin_dir, nothing_is_left, project, run_in};

const TOPOLOGY: &str = "\
access:
  home: {up: 8mbit, down: 16mbit, delay: 5ms}
  server: {up: 6mbit, down: 100mbit, delay: 1ms}
ases:
  - {name: one, number: 64501, region: north, prefix: 10.1.0.0/24}
  - {name: two, number: 64502, region: north, prefix: 10.2.0.0/24}
links: [{peers: [one, two], rate: 100mbit, delay: 5ms}]
edges: [{as: one, access: server}]
control: [{as: one, access: server}]
";

/// A laptop goes from one AS to the other and back in the middle of its download, and a holder within its own. Another laptop does
/// while its process is dead.
const EXPERIMENT: &str = "\
question: Does a download go on elsewhere?
topology: two
seed: 12
duration: 40s
content: [{id: movie, size: 10MiB, piece: 64KiB, provider: A}]
groups:
  - {name: holders, as: two, peers: 3, access: home, holds: {movie: 3}}
  - {name: laptops, as: one, peers: 2, access: home}
workload: {groups: [laptops], arrivals: {burst: all, at: 500ms}}
timeline:
  - {at: 2s, do: kill, node: laptops-1}
  - {at: 2500ms, do: move, node: laptops-0, to: two}
  - {at: 3s, do: move, node: laptops-1, to: two}
  - {at: 3500ms, do: move, node: holders-0, to: two}
  - {at: 4s, do: restart, node: laptops-1}
  - {at: 4500ms, do: move, node: laptops-0, to: one}
arms: {moving: {}}
expect: [{downloads.completed: {at_least: 100%}}]
";

#[test]
fn a_download_begun_at_one_address_is_completed_at_another_by_real_nodes() {
    let _alone = alone();
    let project = project(("two", EXPERIMENT), ("two", TOPOLOGY));
    let (summary, events) = run_in(project.path(), "two");
    let arm = &summary["arms"]["moving"];
    assert_eq!((&arm["valid"], &arm["downloads"]["completed"]), (&Value::Bool(true), &Value::from(2)), "{arm:#}");
    let latest = project.path().join("results/two/latest");
    let of = |word: &str| events.iter().filter(move |event| event["event"] == word).collect::<Vec<_>>();

    // It was one download, whose bytes came at both addresses, from the edge and from peers, and which was verified whole.
    let finished: Vec<_> = of("download_finished").into_iter().filter(|event| event["node"] == "laptops-0").collect();
    let [record] = finished[..] else { panic!("{finished:#?}") };
    assert_eq!((&record["status"], &record["rejected_pieces"]), (&Value::from("completed"), &Value::from(0)));
    let sources = record["sources"].as_array().expect("sources");
    let places: BTreeSet<Option<u64>> = sources.iter().map(|source| source["to"].as_u64()).collect();
    assert_eq!(places, [None, Some(64_502)].into(), "{record:#}");
    let bytes: u64 = sources.iter().filter_map(|source| source["bytes"].as_u64()).sum();
    assert_eq!(bytes, 10 << 20);

    // Each place is in the login log, with its AS, in the order in which it was there.
    let guid = &record["guid"];
    let logins: Vec<_> = of("login").into_iter().filter(|login| login["guid"] == *guid).collect();
    let logged: Vec<(&str, u64)> = logins
        .iter()
        .map(|login| (login["address"].as_str().expect("text"), login["as_number"].as_u64().expect("a number")))
        .collect();
    assert_eq!(logged, [("10.1.0.3:7001", 64_501), ("10.2.0.5:7001", 64_502), ("10.1.0.3:7001", 64_501)]);
    assert!(logins.windows(2).all(|two| two[0]["secondary"] == two[1]["secondary"]), "a move is no start");
    let moved: Vec<_> =
        of("moved").into_iter().map(|event| (event["node"].clone(), event["address"].clone())).collect();
    let expected = [("laptops-0", "10.2.0.5"), ("holders-0", "10.2.0.4"), ("laptops-0", "10.1.0.3")];
    assert_eq!(moved, expected.map(|(node, address)| (node.into(), address.into())));
    // One that was dead then is started where it is.
    let ready = of("ready").into_iter().rfind(|event| event["node"] == "laptops-1").expect("it was started");
    assert_eq!(ready["listen"], "10.2.0.6:7001");

    // The holder that moved served from both of its addresses.
    let served: BTreeSet<&str> = of("transfer")
        .into_iter()
        .filter(|event| event["node"] == "holders-0" && event["sent"].as_u64() > Some(0))
        .filter_map(|event| event["local"].as_str())
        .collect();
    assert_eq!(served, ["10.2.0.1", "10.2.0.4"].into());

    // The network counted what came to each place under its AS.
    let metrics = std::fs::read_to_string(latest.join("metrics.jsonl")).expect("metrics");
    let wire = |to: &str| {
        let rows = metrics.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let row = rows.into_iter().find(|row| {
            let labels = &row["labels"];
            row["name"] == "wire_bytes_between"
                && labels["kind"] == "edge"
                && labels["from"] == "64501"
                && labels["to"] == to
        });
        row.unwrap_or_else(|| panic!("{to}: {metrics}"))["value"].as_u64().expect("bytes")
    };
    assert!(wire("64501") > 1_000_000 && wire("64502") > 200_000);
    nothing_is_left(&bin_dir(), 5);
}

/// Who stands still, and who is being started at that moment, move as well.
const AT_ONE_MOMENT: &str = "\
question: Does everybody arrive?
topology: two
seed: 12
duration: 20s
content: [{id: movie, size: 6MiB, piece: 64KiB, provider: A}]
groups:
  - {name: holders, as: two, peers: 3, access: home, holds: {movie: 3}}
  - {name: laptops, as: one, peers: 2, access: home}
  - {name: late, as: one, peers: 1, access: home}
workload: {groups: [laptops], arrivals: {burst: all, at: 500ms}}
timeline:
  - {at: 1s, do: freeze, node: holders-1}
  - {at: 2s, do: add, group: late}
  - {at: 2s, do: move, group: late, to: two}
  - {at: 2500ms, do: kill, node: laptops-1}
  - {at: 3s, do: restart, node: laptops-1}
  - {at: 3s, do: move, node: laptops-1, to: two}
  - {at: 3500ms, do: set-policy, policy: {uploads.rate: 50%}}
  - {at: 5s, do: thaw, node: holders-1}
MOVESarms: {moving: {}}
expect: [{downloads.completed: {at_least: 100%}}]
";

#[test]
fn who_stands_still_or_is_being_started_moves_as_well() {
    let _alone = alone();
    // Their orders are more than its input would hold.
    let turns = (0..41).zip(["one", "two"].iter().cycle());
    let journey =
        turns.map(|(way, to)| format!("  - {{at: {}ms, do: move, node: holders-1, to: {to}}}\n", 1100 + 40 * way));
    let experiment = AT_ONE_MOMENT.replace("MOVES", &journey.collect::<String>());
    let project = project(("two", &experiment), ("two", TOPOLOGY));
    let (summary, events) = run_in(project.path(), "two");
    let arm = &summary["arms"]["moving"];
    assert_eq!((&arm["valid"], &arm["downloads"]["completed"]), (&Value::Bool(true), &Value::from(2)), "{arm:#}");
    let of = |word: &str, node: &str| -> Vec<&Value> {
        events.iter().filter(|event| event["event"] == word && event["node"] == node).collect()
    };
    let address = |event: &Value| event["address"].as_str().expect("an address").to_owned();
    let [woken] = of("moved", "holders-1")[..] else { panic!("it is told once, when it goes on") };
    assert_eq!(address(woken).split('.').nth(1), Some("1"));
    assert!(woken["t"].as_u64() >= Some(5_000_000_000), "{woken}");
    for node in ["late-0", "laptops-1"] {
        let started = of("ready", node).into_iter().next_back().expect("it was started");
        let [moved] = of("moved", node)[..] else { panic!("{node} moves once") };
        let listen = started["listen"].as_str().expect("an address");
        assert!(listen.starts_with("10.1.0.") && address(moved).starts_with("10.2.0."), "{node}: {started} {moved}");
    }
    nothing_is_left(&bin_dir(), 5);
}
