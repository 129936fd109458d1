//! Classes by their bounds, and the fixture's downloads in them.

use super::*;
use crate::{
    fixture::{self, TOLD, Told},
    metrics::{RunMetrics, RunView},
    record::RunRecord,
};

fn of(told: &[Told]) -> RunRecord {
    fixture::record_of(fixture::plan("hybrid", 0), told)
}

fn measured(record: &RunRecord) -> RunMetrics {
    RunMetrics { rows: rows(&RunView::of(record)) }
}

fn single(metrics: &RunMetrics, name: &str, labels: &[(&str, &str)]) -> (u64, Option<f64>) {
    let row = metrics.labelled(name, labels).unwrap_or_else(|| panic!("no {name} {labels:?}"));
    let n = match row.value {
        Value::Proportion { n, .. } | Value::Ratio { n, .. } => n,
        ref other => panic!("{other:?}"),
    };
    (n, row.value.single())
}

#[test]
fn classes_end_where_they_say() {
    let size = |bytes| size_class(bytes).1;
    assert_eq!([size(0), size(99_999), size(100_000)], ["<100kB", "<100kB", "100kB-200kB"]);
    assert_eq!([size(67_108_864), size(999_999_999), size(1_000_000_000)], ["50MB-100MB", "500MB-1GB", ">=1GB"]);
    let copies = [0, 1, 2, 4, 5, 99_999, 100_000, u32::MAX].map(|copies| copies_class(copies).1);
    assert_eq!(copies, ["0", "1", "2-4", "2-4", "5-9", "50000-99999", ">=100000", ">=100000"]);
    let returned = [0, 39, 40, 41, 900].map(|returned| returned_class(returned).1);
    assert_eq!(returned, ["0", "39", "40", ">40", ">40"]);
    // 10 comes behind 9, not behind 1.
    assert!(returned_class(9) < returned_class(10) && copies_class(9) < copies_class(10));
    let classes = [(3, 2), (2, 2), (1, 2), (1, 3), (0, 1), (1, 0)].map(|(edge, peer)| edge_class(edge, peer));
    let expected =
        ["edge-over-peer", "edge-50-to-100", "edge-50-to-100", "edge-under-50", "edge-under-50", "edge-over-peer"];
    assert_eq!(classes, expected);
}

#[test]
fn the_fixtures_downloads_by_class() {
    let metrics = measured(&of(&TOLD));
    // `patch` twice, of which one was paused; `film` twice, likewise.
    assert_eq!(single(&metrics, "pause_rate_by_size", &[("size", "1MB-2MB")]), (2, Some(0.5)));
    assert_eq!(
        single(&metrics, "pause_rate_by_size", &[("size", "2MB-5MB"), ("delivery", "peer-assisted")]),
        (2, Some(0.5))
    );
    // Of three downloads with bytes, two used peers: 600 of 1000 kB, 750 of 1000 kB, nothing of 100 kB.
    assert_eq!(single(&metrics, "peer_share_by_provider", &[("provider", "A")]), (3, Some(2.0 / 3.0)));
    assert_eq!(single(&metrics, "peer_efficiency_by_provider", &[("provider", "A")]), (3, Some(1350.0 / 2100.0)));
    let north = [("region", "north"), ("class", "edge-50-to-100")];
    assert_eq!(single(&metrics, "peer_efficiency_by_region", &north), (3, Some(1350.0 / 2100.0)));
    let second = [("country", "BB"), ("class", "edge-under-50")];
    assert_eq!(single(&metrics, "peer_efficiency_by_country", &second), (1, Some(0.75)));
    assert_eq!(single(&metrics, "peer_efficiency_by_copies", &[("copies", "2-4")]), (1, Some(0.75)));
    assert_eq!(single(&metrics, "peer_efficiency_by_returned", &[("returned", "1")]), (1, Some(0.6)));
    // The ends of classes, for expectations: sizes, providers, countries (AA with 600 of 1100 kB, BB with 750 of 1000).
    let ends = ["pause_rate_of_smallest", "pause_rate_of_largest"].map(|name| single(&metrics, name, &[]));
    assert_eq!(ends, [(2, Some(0.5)), (2, Some(0.5))]);
    let of_one = measured(&of(&TOLD[..2]));
    assert_eq!(single(&of_one, "pause_rate_of_largest", &[]), (0, None), "one size is neither small nor large");
    let extremes = |name: &str| match metrics.labelled(name, &[]).map(|row| row.value.clone()) {
        Some(Value::Distribution { n, quantiles, .. }) => (n, quantiles.map(|q| (q.min, q.max))),
        other => panic!("{other:?}"),
    };
    assert_eq!(extremes("peer_share_of_providers"), (1, Some((2.0 / 3.0, 2.0 / 3.0))));
    assert_eq!(extremes("peer_efficiency_of_places"), (2, Some((600.0 / 1100.0, 0.75))));
    let fast = metrics.labelled("speed_by_source", &[("source", "over-50%-peer")]).expect("two completed");
    assert!(matches!(fast.value, Value::Distribution { n: 2, mean: Some(3.0), .. }), "{fast:?}");
    let there = metrics.labelled("speed_by_source", &[("source", "over-50%-peer"), ("as", "2")]).expect("one of them");
    assert!(matches!(there.value, Value::Distribution { n: 1, mean: Some(2.0), .. }), "{there:?}");
    assert!(metrics.labelled("speed_by_source", &[("source", "edge-only")]).is_none(), "no such download completed");
}

#[test]
fn what_is_left_to_edges_stands_apart() {
    let mut record = of(&TOLD[..2]);
    for node in &mut std::sync::Arc::make_mut(&mut record.plan).nodes {
        if let RoleConfig::Peer(peer) = &mut node.config.role
            && node.name.as_str() == "peer-2"
        {
            peer.objects.iter_mut().for_each(|object| object.peers_allowed = false);
        }
    }
    let metrics = measured(&record);
    let rate = |delivery| single(&metrics, "pause_rate_by_size", &[("size", "1MB-2MB"), ("delivery", delivery)]);
    assert_eq!((rate("edge-only"), rate("peer-assisted")), ((1, Some(1.0)), (1, Some(0.0))));
    assert_eq!(single(&metrics, "pause_rate_by_size", &[("size", "1MB-2MB")]), (2, Some(0.5)));
}

#[test]
fn a_download_half_from_peers_is_not_mostly_from_them() {
    let half = Told { sources: &[("edge-0", 500_000), ("peer-1", 500_000)], ..TOLD[0].clone() };
    let edge = Told { number: 1, sources: &[("edge-0", 1_000_000)], ..TOLD[0].clone() };
    let metrics = measured(&of(&[half, edge]));
    for source in ["up-to-50%-peer", "edge-only"] {
        assert!(metrics.labelled("speed_by_source", &[("source", source)]).is_some(), "{source}");
    }
}
