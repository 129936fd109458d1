//! Every metric of the fixture's run against values worked out by hand.

use std::{sync::Arc, time::Duration};

use peerbed_contract::{Event, EventKind, TerminalStatus};
use peerbed_link::Kind;
use peerbed_model::{Act, Action};

use super::*;
use crate::{
    fixture::{self, TOLD, Told},
    record::RunRecord,
};

fn metrics(record: &RunRecord) -> RunMetrics {
    let view = RunView::of(record);
    RunMetrics::of(&view, &Accounting::of(&view))
}

fn single(metrics: &RunMetrics, name: &str) -> Option<f64> {
    metrics.get(name).unwrap_or_else(|| panic!("there is no {name}")).value.single()
}

fn distribution(
    metrics: &RunMetrics,
    name: &str,
) -> (u64, Option<f64>, Option<Quantiles>, BTreeMap<&'static str, u64>) {
    match metrics.get(name).unwrap_or_else(|| panic!("there is no {name}")).value.clone() {
        Value::Distribution { n, mean, quantiles, left_out } => (n, mean, quantiles, left_out),
        other => panic!("{name} is {other:?}"),
    }
}

fn near(value: Option<f64>, expected: f64) -> bool {
    value.is_some_and(|value| (value - expected).abs() < 1e-9)
}

#[test]
fn downloads_are_counted_by_their_end() {
    let metrics = metrics(&fixture::record("hybrid", 0));
    let counted = ["planned", "started", "completed", "paused", "aborted", "failed", "unfinished", "lost"]
        .map(|word| single(&metrics, &format!("downloads.{word}")));
    assert_eq!(counted, [4.0, 4.0, 2.0, 1.0, 0.0, 1.0, 0.0, 0.0].map(Some));
    assert_eq!(single(&metrics, "failure_rate"), Some(0.25));
}

#[test]
fn speed_is_content_over_active_time_of_completed_downloads() {
    let metrics = metrics(&fixture::record("hybrid", 0));
    // 1 MB in 2 s and in 4 s: 4 and 2 Mbit/s.
    let (n, mean, quantiles, left_out) = distribution(&metrics, "speed_mbps");
    let q = quantiles.expect("two values");
    assert_eq!((n, mean, q.p50, q.min, q.max), (2, Some(3.0), 3.0, 2.0, 4.0));
    assert!(near(Some(q.p10), 2.2) && near(Some(q.p90), 3.8));
    let beside = [("aborted", 0), ("failed", 1), ("lost", 0), ("paused", 1), ("unfinished", 0)];
    assert_eq!(left_out, BTreeMap::from(beside));
    // The pause of a second makes 5 s of the second one: 1.6 Mbit/s.
    let (_, mean, ..) = distribution(&metrics, "speed_wall_mbps");
    assert!(near(mean, 2.8), "{mean:?}");
    // The failed one ranks as the slowest; the paused one is its user's doing.
    let (n, mean, quantiles, left_out) = distribution(&metrics, "speed_ranked_mbps");
    assert_eq!((n, mean, quantiles.expect("values").p50), (3, Some(2.0), 2.0));
    assert_eq!(left_out["paused"], 1);
}

#[test]
fn pauses_stalls_and_first_bytes() {
    let metrics = metrics(&fixture::record("hybrid", 0));
    let share = |name| single(&metrics, name);
    assert_eq!(share("pause_rate"), Some(0.5));
    assert_eq!(share("pause_terminal_rate"), Some(0.25));
    assert_eq!(share("pause_resumed_rate"), Some(0.25));
    assert_eq!(share("stalled_rate"), Some(0.5));
    assert_eq!(share("stalls"), Some(3.0));
    let (n, mean, _, left_out) = distribution(&metrics, "startup_ms");
    assert_eq!((n, mean, left_out["no_byte"]), (3, Some(100.0), 1));
}

#[test]
fn a_pause_counts_even_if_the_node_died_before_its_record() {
    let mut record = fixture::record("hybrid", 0);
    record.events.retain(|event| !matches!(&event.kind, EventKind::DownloadFinished(end) if end.download == 0));
    let event = Event { node: fixture::name("peer-0"), t: 1, kind: EventKind::DownloadPaused { download: 0 } };
    record.events.push(event);
    let metrics = metrics(&record);
    assert_eq!(single(&metrics, "pause_rate"), Some(0.75));
    assert_eq!(single(&metrics, "downloads.lost"), Some(1.0));
    assert_eq!(distribution(&metrics, "speed_mbps").3["lost"], 1);
}

#[test]
fn peer_efficiency_by_bytes_and_by_downloads() {
    let metrics = metrics(&fixture::record("hybrid", 0));
    // 600 + 750 kB of 600 + 750 + 400 + 250 + 100.
    assert!(near(single(&metrics, "peer_efficiency"), 1350.0 / 2100.0));
    let (n, mean, _, left_out) = distribution(&metrics, "peer_efficiency_of_downloads");
    assert_eq!((n, left_out["no_byte"]), (3, 1));
    assert!(near(mean, (0.6 + 0.75 + 0.0) / 3.0), "{mean:?}");
    let answers = (distribution(&metrics, "copies_registered"), distribution(&metrics, "peers_returned"));
    assert_eq!((answers.0.0, answers.0.1, answers.1.1, answers.1.3["no_answer"]), (2, Some(2.0), Some(1.5), 2));
}

#[test]
fn content_bytes_by_source_and_by_as() {
    let metrics = metrics(&fixture::record("hybrid", 0));
    let bytes =
        ["edge", "peer", "wasted", "intra_as", "inter_as"].map(|word| single(&metrics, &format!("bytes.{word}")));
    assert_eq!(bytes, [750_000.0, 1_350_000.0, 5_000.0, 600_000.0, 750_000.0].map(Some));
    let between = |from, to| metrics.labelled("peer_bytes_between", &[("from", from), ("to", to)]);
    assert_eq!(between("1", "2").and_then(|row| row.value.single()), Some(750_000.0));
    assert_eq!(between("1", "1").and_then(|row| row.value.single()), Some(600_000.0));
    assert_eq!(between("2", "1"), None);
}

#[test]
fn wire_bytes_come_from_the_ledger_between_the_first_and_the_last_sample() {
    let mut record = fixture::record("hybrid", 0);
    let wire = |record: &RunRecord, kind| {
        metrics(record).labelled("wire_bytes", &[("kind", kind)]).and_then(|row| row.value.single())
    };
    // 5 % over content: 755 kB of the edges, wasted bytes included, and 1350 kB of the peers; control 400 bytes a second.
    assert_eq!(wire(&record, "edge"), Some(792_750.0));
    assert_eq!(wire(&record, "peer"), Some(1_417_500.0));
    assert_eq!(wire(&record, "control"), Some(4000.0));
    assert_eq!(single(&metrics(&record), "bytes.control"), Some(4000.0));
    record.samples.remove(0);
    assert_eq!(wire(&record, "control"), Some(3600.0));
    let all = metrics(&record);
    let pair = [("from", "2"), ("to", "1"), ("kind", "control")];
    assert_eq!(all.labelled("wire_bytes_between", &pair).and_then(|row| row.value.single()), Some(3600.0));
}

#[test]
fn the_peak_egress_is_the_busiest_second_of_all_edges_together() {
    let record = fixture::record("hybrid", 0);
    let all = metrics(&record);
    // All of the edges' 792 750 wire bytes left in one second.
    assert!(near(single(&all, "edge_peak_egress_mbps"), 6.342));
    let of = |edge| all.labelled("edge_peak_egress_mbps", &[("node", edge)]).and_then(|row| row.value.single());
    assert!(near(of("edge-0"), 4.242) && near(of("edge-1"), 2.1), "{:?} {:?}", of("edge-0"), of("edge-1"));
    // One busy second of ten: position 0.95 × 9 = 8.55 is between the last idle one and it.
    let (n, mean, quantiles, _) = distribution(&all, "edge_egress_mbps");
    assert!(n == 10 && near(mean, 0.6342) && near(quantiles.map(|q| q.p95), 0.55 * 6.342), "{quantiles:?}");
    assert!(near(Figures::of(&all).get("edge_p95_egress_mbps"), 0.55 * 6.342));
}

#[test]
fn windows_are_about_a_second_long() {
    let sample = |ms: u64, bytes: u64| {
        let mut sample = fixture::record("hybrid", 0).samples.remove(0);
        sample.at_ns = ms * 1_000_000;
        sample.access[0].forward.carried_bytes = bytes;
        sample
    };
    let counter = |sample: &crate::engine::Sample| sample.access[0].forward.carried_bytes;
    let of = |samples: &[(u64, u64)]| -> Vec<(f64, u64)> {
        let samples: Vec<_> = samples.iter().map(|(ms, bytes)| sample(*ms, *bytes)).collect();
        windows(&samples, counter).into_iter().map(|window| (window.seconds, window.counted)).collect()
    };
    // A burst in the last 20 ms is no load of its own, and two half seconds make one.
    assert_eq!(of(&[(0, 0), (1000, 10), (2000, 30), (2020, 130)]), [(1.0, 10), (1.02, 120)]);
    assert_eq!(of(&[(0, 0), (500, 10), (1000, 30), (2000, 31)]), [(1.0, 30), (1.0, 1)]);
    assert_eq!(of(&[(0, 5), (300, 10)]), [(0.3, 5)]);
    assert_eq!(of(&[(0, 5)]), []);
}

#[test]
fn what_is_undefined_is_null_and_never_nan() {
    let told = [Told { sources: &[], status: TerminalStatus::Failed, wasted: 0, answer: None, ..TOLD[0].clone() }];
    let mut record = fixture::record_of(fixture::plan("hybrid", 0), &told);
    record.samples.clear();
    for metrics in [metrics(&record), metrics(&fixture::record_of(fixture::plan("hybrid", 0), &[]))] {
        let figures = Figures::of(&metrics);
        for key in ["speed_mbps.p50", "peer_efficiency.bytes", "peer_efficiency.mean", "startup_ms.p50"] {
            assert_eq!(figures.get(key), None, "{key}");
        }
        let json = serde_json::to_value(&figures).expect("JSON");
        assert_eq!(json["speed_mbps"]["p10"], serde_json::Value::Null);
        assert_eq!(json["downloads"]["completed"], 0);
    }
}

#[test]
fn every_figure_is_taken_from_a_metric_and_every_group_is_written_once() {
    let figures = Figures::of(&metrics(&fixture::record("hybrid", 0)));
    let undefined: Vec<_> = figures.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key).collect();
    // One AS alone is a heavy uploader; its downloads are no crowd, and no registry was lost in it.
    let pairs = ["as.pair_symmetry", "as.heavy_direct_share"];
    let others = ["fluid_bound.seconds", "fluid_bound.first", "fluid_bound.last", "registry_recovery_ms.p50"];
    assert_eq!(undefined, [pairs.as_slice(), &others].concat(), "the fixture defines every other figure");
    // A JSON object with a key twice would lose the first.
    let text = serde_json::to_string(&figures).expect("JSON");
    let groups: std::collections::BTreeSet<&str> =
        FIGURES.iter().filter_map(|figure| figure.key.split_once('.')).map(|(group, _)| group).collect();
    for group in groups {
        assert_eq!(text.matches(&format!("\"{group}\":{{")).count(), 1, "{group}");
    }
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["peer_efficiency"]["bytes"], 1350.0 / 2100.0);
}

#[test]
fn the_median_over_runs_leaves_out_runs_without_the_figure() {
    let run = |active_ms| {
        let told = [Told { active_ms, ..TOLD[0].clone() }];
        Figures::of(&metrics(&fixture::record_of(fixture::plan("hybrid", 0), &told)))
    };
    let none = Figures::of(&metrics(&fixture::record_of(fixture::plan("hybrid", 0), &[])));
    // 8, 4 and 2 Mbit/s: the median is 4; pooled with the empty run it stays.
    let runs = [run(1000), run(2000), none, run(4000)];
    assert_eq!(Figures::median(&runs).get("speed_mbps.p50"), Some(4.0));
    assert_eq!(Figures::median(&runs).get("downloads.completed"), Some(1.0));
    assert_eq!(Figures::median(&[]).get("speed_mbps.p50"), None);
}

#[test]
fn rows_are_typed() {
    let json = |row: Option<&Metric>| serde_json::to_string_pretty(&row).expect("JSON");
    let all = metrics(&fixture::record("hybrid", 0));
    insta::assert_snapshot!(json(all.get("pause_rate")), @r#"
    {
      "name": "pause_rate",
      "unit": "share",
      "better": "lower",
      "kind": "proportion",
      "n": 4,
      "numerator": 2,
      "denominator": 4,
      "value": 0.5
    }
    "#);
    insta::assert_snapshot!(json(all.labelled("wire_bytes", &[("kind", "edge")])), @r#"
    {
      "name": "wire_bytes",
      "labels": {
        "kind": "edge"
      },
      "unit": "B",
      "better": "lower",
      "kind": "count",
      "n": 1,
      "value": 792750
    }
    "#);
    insta::assert_snapshot!(json(all.get("startup_ms")), @r#"
    {
      "name": "startup_ms",
      "unit": "ms",
      "better": "lower",
      "kind": "distribution",
      "n": 3,
      "mean": 100.0,
      "quantiles": {
        "min": 100.0,
        "p10": 100.0,
        "p25": 100.0,
        "p50": 100.0,
        "p75": 100.0,
        "p90": 100.0,
        "p95": 100.0,
        "p99": 100.0,
        "max": 100.0
      },
      "left_out": {
        "lost": 0,
        "no_byte": 1
      }
    }
    "#);
}

#[test]
fn a_run_over_time_has_its_traffic_and_the_downloads_under_way() {
    let record = fixture::record("hybrid", 0);
    let moments = series(&RunView::of(&record));
    assert_eq!(moments.len(), record.samples.len() - 1);
    // Downloads run from 1 to 3 s, 2 to 7 s, 4 to 5 s and 5 to 8 s.
    let under_way: Vec<u64> = moments[..10].iter().map(|moment| moment.under_way).collect();
    assert_eq!(under_way, [1, 2, 1, 2, 2, 2, 1, 0, 0, 0]);
    let wire =
        |kind| ledger_total(&record.samples).iter().filter(|((.., of), _)| *of == kind).map(|(_, sum)| sum.1).sum();
    let sum = |of: fn(&Moment) -> u64| moments.iter().map(of).sum::<u64>();
    assert_eq!((sum(|m| m.edge_bytes), sum(|m| m.peer_bytes)), (wire(Kind::Edge), wire(Kind::Peer)));
    assert!(moments[3].edge_bytes > 0 && moments[4].edge_bytes == 0, "edges send in the fourth second");
}

#[test]
fn downloads_whose_peer_moved_meanwhile_are_counted() {
    // The first one runs from 1 to 3 s.
    let of = |times: &[u64]| {
        let mut record = fixture::record("hybrid", 0);
        let node = fixture::name(TOLD[0].peer);
        for t in times {
            let kind = EventKind::Moved {
                address: [10, 0, 9, 9].into(),
                as_number: 64_999.try_into().expect("not 0"),
                region: "south".to_owned(),
            };
            record.events.push(Event { node: node.clone(), t: *t * 1_000_000, kind });
        }
        let metrics = metrics(&record);
        (single(&metrics, "moved_rate"), single(&metrics, "moves"))
    };
    assert_eq!(of(&[]), (Some(0.0), Some(0.0)));
    assert_eq!(of(&[1_500, 2_000]), (Some(0.25), Some(2.0)));
    assert_eq!(of(&[900, 9_500]), (Some(0.0), Some(2.0)));
}

#[test]
fn a_peer_is_on_while_its_process_runs_and_its_machine_is_there() {
    let mut record = fixture::record("hybrid", 0);
    let plan = Arc::make_mut(&mut record.plan);
    let act = Act::Add { nodes: vec![fixture::name("peer-2")] };
    plan.timeline.push(Action { at: Duration::from_secs(4), act });
    let turns = [
        ("peer-2", 4_100, EventKind::Started),
        ("peer-1", 1_500, EventKind::Offline { clean: true }),
        ("peer-1", 6_500, EventKind::Online),
        ("edge-0", 1_500, EventKind::Started),
    ];
    record.events.extend(turns.map(|(node, ms, kind)| Event { node: fixture::name(node), t: ms * 1_000_000, kind }));
    record.exits.iter_mut().filter(|exit| exit.node == fixture::name("peer-0")).for_each(|exit| exit.t = 8_500_000_000);
    let on: Vec<u64> = series(&RunView::of(&record))[..9].iter().map(|moment| moment.peers_on).collect();
    assert_eq!(on, [2, 1, 1, 1, 2, 2, 3, 3, 2], "of three");
}

/// Two that begin half a second apart; edges have 3 Mbit/s up, peers 1 Mbit/s up and the rate given down.
fn crowd(down: u64, change: impl Fn(&mut peerbed_model::Plan)) -> RunMetrics {
    use peerbed_link::{Bandwidth, Rate};
    let rate = |kbit: u64| Bandwidth::Limited(Rate::from_bps(kbit * 1000).expect("a rate"));
    let mut plan = fixture::plan("hybrid", 0);
    for (node, planned) in plan.fabric.nodes.iter_mut().zip(&plan.nodes) {
        let peer = planned.role == peerbed_contract::Role::Peer;
        node.access.up.bandwidth = rate(if peer { 1000 } else { 3000 });
        node.access.down.bandwidth = rate(down);
    }
    change(&mut plan);
    let told = [TOLD[0].clone(), Told { start_ms: 1500, paused_ms: 0, pauses: 0, ..TOLD[1].clone() }];
    metrics(&fixture::record_of(plan, &told))
}

#[test]
fn a_crowd_is_measured_against_the_fluid_bound() {
    let payload = 1448.0 / 1500.0;
    // The object has 8 Mbit. With a slow downlink that alone decides, else both edges and both uploaders together.
    let slow = crowd(1500, |_| {});
    assert!(near(single(&slow, "fluid_bound_s"), 8.0 / (1.5 * payload)));
    let fast = crowd(100_000, |_| {});
    let bound = 16.0 / ((6.0 + 2.0) * payload);
    assert!(near(single(&fast, "fluid_bound_s"), bound));
    // From 1 s on: the first is done at 3 s, the last at 5.5 s.
    assert!(near(single(&fast, "fluid_bound_first"), 2.0 / bound));
    assert!(near(single(&fast, "fluid_bound_last"), 4.5 / bound));
    // A limit of the policy counts where it is below the uplink, and a peer with a copy is a source from the start.
    let limited = crowd(100_000, |plan| {
        for node in &mut plan.nodes {
            if let peerbed_contract::RoleConfig::Peer(peer) = &mut node.config.role {
                peer.uploads.rate_bps = Some(500_000);
                if node.name.as_str() == "peer-1" {
                    peer.holds.push(fixture::content("patch"));
                }
            }
        }
    });
    assert!(near(single(&limited, "fluid_bound_s"), 16.0 / (6.0 * payload + 1.5)));
    // Without uploads the edges are alone.
    let alone = crowd(100_000, |plan| {
        for node in &mut plan.nodes {
            if let peerbed_contract::RoleConfig::Peer(peer) = &mut node.config.role {
                peer.uploads.enabled = false;
            }
        }
    });
    assert!(near(single(&alone, "fluid_bound_s"), 16.0 / (6.0 * payload)));
}

#[test]
fn where_rates_change_there_is_no_fluid_bound() {
    let node = fixture::name("peer-1");
    let link = fixture::plan("hybrid", 0).fabric.nodes[0].access.up;
    let acts = [Act::Move { nodes: vec![node.clone()], to: Vec::new() }, Act::SetAccess { node, up: link, down: link }];
    for act in acts {
        let at = Duration::from_secs(2);
        let changed = crowd(1500, |plan| plan.timeline.push(Action { at, act: act.clone() }));
        assert_eq!(single(&changed, "fluid_bound_s"), None, "{act:?}");
    }
}

#[test]
fn downloads_that_are_no_crowd_have_no_fluid_bound() {
    assert_eq!(single(&metrics(&fixture::record("hybrid", 0)), "fluid_bound_s"), None);
    let later = [TOLD[0].clone(), Told { start_ms: 2500, ..TOLD[1].clone() }];
    assert_eq!(
        single(&metrics(&fixture::record_of(fixture::plan("hybrid", 0), &later)), "fluid_bound_s"),
        None,
        "1.5 s apart"
    );
}
