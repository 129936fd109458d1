//! The schema and the reader say the same: every key of the schema is read, and what is read is in the schema.

mod common;

use std::collections::BTreeSet;

use common::read_traced;
use peerbed_model::schema;
use serde_json::{Value, json};

const TOPOLOGY: &str = "
traces: {lte: lte.csv}
access:
  cable:
    up: {rate: 5mbit, delay: 1ms, jitter: 1ms, loss: 1%, queue: 50ms}
    down: {trace: lte}
    delay: 8ms
    jitter: 1ms
    loss: {gilbert-elliott: {p: 1%, r: 10%, bad: 50%, good: 0%}}
    queue: 64KiB
ases:
  - {name: transit, number: 64500, region: core, country: nl, prefix: 10.0.0.0/24}
  - {name: isp-x, number: 64501, region: west, population: 3, prefix: 10.1.0.0/24, access: {own: {up: 1mbit}}}
  - {name: isp-y, number: 64502, region: west, prefix: 10.2.0.0/24}
links:
  - {customer: isp-x, provider: transit, rate: 200mbit, delay: 10ms, jitter: 1ms, loss: 0.1%, queue: 50ms,
     forward: {rate: 100mbit}, backward: {loss: 0%}}
  - {customer: isp-y, provider: transit, trace: lte}
  - {peers: [isp-x, isp-y], rate: unlimited}
edges:
  - {as: transit, access: cable, count: 2}
control:
  - {as: transit, access: cable, count: 2}
database:
  - {as: transit, access: cable}
";

const EXPERIMENT: &str = "
question: Is everything read?
topology: t
seed: 1
duration: 60s
congestion_control: reno
engine: tc
providers: {A: {peers: allowed, uploads: off}}
content:
  - {id: patch, size: 1MiB, provider: A, peers: forbidden, piece: 64KiB}
groups:
  - {name: spread, as: {regions: [west]}, peers: 4, access: cable}
  - {name: homes, as: isp-x, peers: 30, access: cable, uploads: 50%, holds: {patch: 2}, command: [-v],
     behaviour: {corrupt: true, stall: {share: 10%, trickle: 8kbit}, inflate: {share: 10%, factor: 4}, ignore-caps: 10%,
       flood: {share: 10%, per_second: 20, lasts: 5s}, malformed: 5%},
     nat: {none: 20%, full-cone: 20%, port-restricted: 20%, symmetric: 20%, blocked: 20%},
     image: 'peer:1', memory: 64MiB, pids: 32}
  - {name: installed, as: isp-x, peers: 30, access: cable, installer: A, switched: 2%,
     toggles: 1/h, busy: {on: 10s, off: 60s}, sessions: {online: 60s, offline: 20s, shape: 0.6, leave: abrupt}, clones: 3,
     rollback: 50%, lan: office, moves: {share: 10%, to: [isp-y], every: 20s, access: cable}}
workload:
  - name: slow
    groups: [homes]
    content: [patch]
    arrivals: {poisson: 0.1/s, daily: {period: 20s, trough: 20%}, from: 1s, until: 50s}
    popularity: {zipf: 1}
    patience: {hazard: 0.1/s, resume: 50%, pause: 2s, abort: 10%}
  - {name: quick, arrivals: {burst: 4, at: 1s, within: 2s}}
policy:
  selection: {strategy: random, max_returned: 10, diversity: 20%, rotation: false,
     filters: {uploads_on: false, free_slots: false, nat: false}}
  control: {readd: false, readd_within: 3s, logins_per_guid: 1/s, logins_per_address: 5/s, queries_per_guid: 3/s,
     queries_per_address: 30/s, connections_per_address: 10, connections: 1000, contents_per_peer: 10, usage_reports: 1000,
     burst: 5s, refusals: 10, lookup: 1s}
  uploads: {per_copy: 3, connections: 4, waiting: 6, rate: 50%, connection_rate: 1mbit, while_busy: 10%, back_off: 2s,
    while_downloading: 50%}
  cache: {time: 1h, size: 1GiB}
  edge: {mode: deficit, target_rate: 50%, token_lifetime: 1h, requests: 10, rate: 5/s, retry_after: 2s,
    backstop: {peers_from: 20%, step: 10%, tolerance: 5%, fill: 1s, fill_most: 8s, probe: 5s}}
  downloads: {max_sources: 5, requery_below: 50%, requery_every: 3s, both_sides: false, order: in-order, duplicates: 1, news_every: 0s, news_at_once: 0}
  defences: {ban: 0s, offences_to_ban: 9, drop_corrupt: false, stuck_after: 1s, dead_after: 24h, edge_dead_after: 5s, slow_after: 24h, slow_bytes: 0B,
    stalls: 5, upload_dead_after: 5s, part_dead_after: 20s}
  waits: {connect: 2s, greeting: 3s, query: 4s, back_off: 100ms, back_off_most: 5s, busy: 1s, idle: 6s, report: 2s, loaded: 24h}
arms:
  hybrid: {policy.edge.mode: backstop}
  other: {}
matrix: {policy.selection.rotation: [true, false], policy.downloads.order: [{label: straight, value: in-order}]}
scales: {small: {duration: 55s, arms: [hybrid]}}
timeline:
  - {at: 1s, do: kill, node: homes-1}
  - {at: 1s, do: set-policy, policy: {edge.mode: only}}
  - {at: 2s, do: set-link, link: isp-x~transit, rate: 5mbit, delay: 5ms, jitter: 2ms, queue: 20ms,
     loss: {gilbert-elliott: {p: 1%, r: 10%, bad: 50%, good: 0%}},
     forward: {rate: 1mbit, delay: 6ms, jitter: 3ms, loss: 1%, queue: 1MiB}, backward: {rate: 2mbit}}
  - {at: 2s, do: set-link, link: isp-y~transit, trace: lte, forward: {trace: lte, loss: 1%}}
  - {at: 2s, do: kill, group: homes, share: 30%}
  - {at: 2s, do: partition, ases: [isp-x]}
  - {at: 3s, do: heal}
  - {at: 3s, do: outage, node: edge-0, for: 500ms}
  - {at: 3s, do: wipe, node: control-0}
  - {at: 3s, do: move, node: homes-0, to: isp-y, access: cable}
  - {at: 3s, do: set-access, node: homes-0, up: 1mbit, down: {rate: 2mbit}}
repeats: 2
claims:
  - {claim: a, source: b, says: c, basis: paper, shown_by: [{pause_rate: {at_most: 5%}}]}
  - {claim: a, basis: ours, untestable: b}
compare:
  arm: hybrid
  pairs: [8, 16]
  metrics: [{metric: pause_rate, margin: 3%, better: lower, kind: proportion, decides: false}]
figures: [sweep]
tolerance: {rate: 1%, round_trip: 1ms, round_trip_share: 3%, loss_deviations: 3.5, queue: 10%}
expect:
  - {arm: hybrid, peer_efficiency: {at_least: 10%, at_most: 90%}, peer_efficiency.bytes: {at_least: 0.1}}
  - {peer_efficiency.mean: {at_least: 0%}, pause_rate: {at_most: 100%}}
  - {speed_mbps.p10: {at_least: 0}, speed_mbps.p50: {at_least: 100kbit}, speed_mbps.p90: {at_least: 0}}
  - {downloads.started: {at_least: 1}, downloads.completed: {at_least: 10%}, downloads.failed: {at_most: 0}}
  - {rejected_pieces: {at_most: 9}, accounting.accused: {at_most: 9}, accounting.disputes: {at_most: 9},
     accounting.false_accusations: {at_most: 0}, accounting.missed: {at_most: 0}}
  - {offences.told: {at_most: 9}, offences.offenders: {at_most: 9}, offences.honest: {at_most: 0}}
  - {downloads.unfinished: {at_most: 0}, offline_rate: {at_most: 100%}, moved_rate: {at_most: 100%}, inter_as.top_share: {at_least: 10%}}
  - {bytes.edge: {at_least: 0}, bytes.peer: {at_least: 0}, bytes.intra_as: {at_most: 1TiB}, bytes.inter_as: {at_least: 0},
     bytes.misattributed: {at_most: 1GiB},
     bytes.control: {at_least: 0},
     bytes.intra_lan: {at_least: 0},
     bytes.transit: {at_least: 0},
     edge_p95_egress_mbps: {at_least: 0},
     control_messages_per_download: {at_least: 0},
     cpu_s_per_gb: {at_least: 0},
     pause_by_size.smallest: {at_least: 0},
     pause_by_size.largest: {at_least: 0},
     providers.least: {at_least: 0},
     providers.most: {at_least: 0},
     places.least: {at_least: 0},
     places.most: {at_least: 0},
     lan.copies_share: {at_least: 0},
     lan.served_share: {at_least: 0},
     as.gini: {at_least: 0},
     as.intra_share: {at_least: 0},
     as.silent_share: {at_least: 0},
     as.symmetry: {at_least: 0},
     as.direct_share: {at_least: 0},
     as.mean_hops: {at_least: 0},
     as.heavy: {at_least: 0},
     as.heavy_share: {at_least: 0},
     as.heavy_symmetry: {at_least: 0},
     as.pair_symmetry: {at_least: 0},
     as.heavy_direct_share: {at_least: 0},
     as.heavy_peers_ratio: {at_least: 0}}
  - {requests.refused: {within: [0, 5]}, requests.served: {at_least: 0}}
  - {over: policy.selection.rotation, arm: hybrid, pause_rate: {trend: falling, slack: 5%}}
  - {arm: other, pause_rate: {at_most: -1%, minus: hybrid}}
  - {speed_wall_mbps.p10: {at_least: 0}, speed_wall_mbps.p50: {at_least: 0}, speed_wall_mbps.p90: {at_least: 0}}
  - {speed_ranked_mbps.p10: {at_least: 0}, speed_ranked_mbps.p50: {at_least: 0}, speed_ranked_mbps.p90: {at_least: 0}}
  - {startup_ms.p50: {at_most: 1s}, startup_ms.p90: {at_most: 1s}, registry_recovery_ms.p50: {at_most: 1s}}
  - {downloads.planned: {at_least: 0}, downloads.paused: {at_least: 0}, downloads.aborted: {at_least: 0}, downloads.lost: {at_least: 0}}
  - {pause_terminal_rate: {at_most: 1}, pause_resumed_rate: {at_most: 1}, failure_rate: {at_most: 1}, stalled_rate: {at_most: 1}}
  - {stalls: {at_most: 1}, moves: {at_most: 1}, packets.missed: {at_most: 1}, packets.nat_dropped: {at_most: 1}}
  - {bytes.inter_as_by_login: {at_least: 0}, bytes.wasted: {at_least: 0}, edge_peak_egress_mbps: {at_least: 0}}
  - {fluid_bound.seconds: {at_least: 0}, fluid_bound.first: {at_least: 0}, control_refusals: {at_least: 0}}
  - {copies_registered.p50: {at_least: 0}, peers_returned.p50: {at_least: 0}, peers_returned.mean: {at_least: 0}}
  - {arm: other, fluid_bound.last: {at_most: 1.5, of: hybrid}}
";

/// Every (kind of map, key) of a schema.
fn all_keys(schema: &Value) -> BTreeSet<(String, String)> {
    let keys = |name: &str, map: &Value| -> Vec<(String, String)> {
        map["properties"].as_object().unwrap().keys().map(|key| (name.to_owned(), key.clone())).collect()
    };
    let definitions = schema["$defs"].as_object().unwrap();
    let mut all: BTreeSet<_> = keys("", schema).into_iter().collect();
    all.extend(definitions.iter().flat_map(|(name, map)| keys(name, map)));
    all
}

/// Walks a file along its schema: what keys of which maps it has, and where.
fn walk(
    root: &Value,
    (kind, schema): (&str, &Value),
    file: &Value,
    pointer: &str,
    seen: &mut BTreeSet<(String, String)>,
    places: &mut Vec<String>,
) {
    if let Some(reference) = schema["$ref"].as_str() {
        let kind = reference.rsplit('/').next().unwrap();
        return walk(root, (kind, root.pointer(&reference[1..]).unwrap()), file, pointer, seen, places);
    }
    if let Some(forms) = schema["anyOf"].as_array() {
        let form = forms.iter().find(|form| match file {
            Value::Object(_) => form.get("$ref").is_some(),
            Value::Array(_) => form["type"] == "array",
            _ => form.get("$ref").is_none() && form["type"] != "array",
        });
        let form = form.unwrap_or_else(|| panic!("{pointer}: no form fits"));
        return walk(root, (kind, form), file, pointer, seen, places);
    }
    match file {
        Value::Object(map) => {
            for (key, value) in map {
                let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                if let Some(known) = schema["properties"].get(key) {
                    seen.insert((kind.to_owned(), key.clone()));
                    places.push(pointer.clone());
                    walk(root, (kind, known), value, &pointer, seen, places);
                } else {
                    let any = &schema["additionalProperties"];
                    assert!(any.is_object(), "{pointer} is not in the schema");
                    walk(root, (kind, any), value, &pointer, seen, places);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(root, (kind, &schema["items"]), item, &format!("{pointer}/{index}"), seen, places);
            }
        }
        _ => {}
    }
}

#[test]
fn every_key_of_the_schema_is_read() {
    let texts = [EXPERIMENT, TOPOLOGY];
    let read = |experiment: &str, topology: &str| {
        read_traced(experiment.as_bytes(), topology.as_bytes(), &[("lte.csv", "t,rate\n0s,5mbit\n")])
    };
    read(EXPERIMENT, TOPOLOGY).unwrap_or_else(|wrong| panic!("{wrong}"));
    for (index, schema) in [schema::experiment(), schema::topology()].into_iter().enumerate() {
        let file: Value = serde_yaml::from_str(texts[index]).unwrap();
        let (mut seen, mut places) = (BTreeSet::new(), Vec::new());
        walk(&schema, ("", &schema), &file, "", &mut seen, &mut places);
        let unseen: Vec<_> = all_keys(&schema).difference(&seen).cloned().collect();
        assert!(unseen.is_empty(), "the example above lacks {unseen:?}");
        for place in places {
            // No key takes a list of empty lists, so a reader that looks at the key must complain.
            let mut broken = file.clone();
            *broken.pointer_mut(&place).unwrap() = json!([[]]);
            let broken = broken.to_string();
            let mut both = texts.map(str::to_owned);
            both[index] = broken;
            let wrong = read(&both[0], &both[1]);
            assert!(wrong.is_err(), "{place} is not read");
        }
    }
}
