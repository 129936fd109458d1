//! Runs over time, with what their timeline did: of several runs of an arm the median at each time, and from the lowest to the
//! highest.

use std::collections::BTreeMap;

use crate::{
    metrics::{median, quantile, sorted},
    report::{
        chart::{Axis, Chart, Mark, Point, Scale, Series, Shape, Unit},
        source::Column,
    },
    results::{Deed, Line},
    say::counted,
};
use peerbed_model::MANY_MOVES;

/// Shorter intervals have no rate: the last one ends when the last node has, whenever that is.
const INTERVAL_MIN_S: f64 = 0.5;

/// What is drawn of each interval, if it has it.
type Value = fn(Line<'_>) -> Option<f64>;

struct Kind {
    id: &'static str,
    title: &'static str,
    axis: &'static str,
    unit: Unit,
    /// A rate is of the interval; a state is at its end, and holds until the next.
    shape: Shape,
    definition: &'static str,
    value: Value,
}

const KINDS: [Kind; 5] = [
    Kind {
        id: "edge-traffic",
        title: "Traffic of edges over time",
        axis: "Mbit/s",
        unit: Unit::Plain,
        shape: Shape::Line,
        definition: "What went between edges and peers: IP packets with their headers, both ways. The edges' peak egress among the figures is of their uplinks alone.",
        value: |row| mbps(row, "edge_wire_bytes"),
    },
    Kind {
        id: "peer-traffic",
        title: "Traffic among peers over time",
        axis: "Mbit/s",
        unit: Unit::Plain,
        shape: Shape::Line,
        definition: "What went between peers: IP packets with their headers, both ways.",
        value: |row| mbps(row, "peer_wire_bytes"),
    },
    Kind {
        id: "efficiency-over-time",
        title: "Peer efficiency over time",
        axis: "share of peers",
        unit: Unit::Percent,
        shape: Shape::Line,
        definition: "Of the packets delivered in an interval, those between peers, by wire bytes; nothing where nothing was delivered.",
        value: |row| {
            let (edge, peer) = (row.number("edge_wire_bytes")?, row.number("peer_wire_bytes")?);
            (edge + peer > 0.0).then(|| peer / (edge + peer))
        },
    },
    Kind {
        id: "downloads-under-way",
        title: "Downloads under way",
        axis: "downloads",
        unit: Unit::Plain,
        shape: Shape::Steps,
        definition: "Begun and not ended, paused ones included.",
        value: |row| row.number("downloads_under_way"),
    },
    Kind {
        id: "peers-on",
        title: "Peers that are on",
        axis: "peers",
        unit: Unit::Plain,
        shape: Shape::Steps,
        definition: "Those whose process ran and whose machine was there.",
        value: |row| row.number("peers_on"),
    },
];

fn mbps(row: Line<'_>, column: &str) -> Option<f64> {
    Some(row.number(column)? * 8e-6 / row.number("interval_s")?)
}

/// One picture of each kind, with a series for each arm. A state that never changes makes no picture.
pub(super) fn charts(columns: &[Column<'_>]) -> Vec<Chart> {
    let marks = marks(columns);
    let charts = KINDS.iter().map(|kind| {
        let series: Vec<Series> = columns.iter().map(|column| one(column, kind)).collect();
        let points = || series.iter().flat_map(|series| &series.points);
        let unit = kind.unit;
        let y = match unit {
            Unit::Percent => Axis::fixed(kind.axis, unit, 0.0, 1.0),
            _ => Axis::of(
                kind.axis,
                Scale::Linear,
                unit,
                points().map(|point| point.interval.map_or(point.y, |(_, high)| high)),
            ),
        };
        let end = points().map(|point| point.x).fold(0.0, f64::max);
        let several = columns.iter().any(|column| column.runs() > 1);
        Chart {
            id: kind.id.into(),
            title: kind.title.into(),
            counts: if several { over_runs(columns) } else { "One run of each arm.".into() },
            definition: kind.definition.into(),
            x: Axis::fixed("since the start, seconds", Unit::Seconds, 0.0, end.max(1.0)),
            y,
            series,
            marks: marks.clone(),
        }
    });
    let moves = |chart: &Chart| {
        let changes = |series: &Series| series.points.iter().any(|point| (point.y - series.points[0].y).abs() > 0.0);
        chart.id != "peers-on" || chart.series.iter().any(changes)
    };
    charts.filter(moves).collect()
}

/// What the curves and bands are where arms have several runs.
fn over_runs(columns: &[Column<'_>]) -> String {
    let runs: usize = columns.iter().map(Column::runs).sum();
    let marked = if columns.iter().any(|column| !column.deeds().is_empty()) {
        " Marks are where the first run of an arm has them."
    } else {
        ""
    };
    format!(
        "n = {}: at each time the median over the runs of an arm, shaded from the lowest to the highest.{marked}",
        counted(runs, "run")
    )
}

fn one(column: &Column<'_>, kind: &Kind) -> Series {
    let of_runs: Vec<Vec<Point>> = column.arm.runs_detail.iter().map(|run| points(column, run.repeat, kind)).collect();
    Series { name: column.name(), look: column.look, shape: kind.shape, points: together(column, &of_runs) }
}

/// The curves of several runs as one. Each samples at its own moments: those within half an interval are of one time.
fn together(column: &Column<'_>, of_runs: &[Vec<Point>]) -> Vec<Point> {
    if let [one] = of_runs {
        return one.clone();
    }
    let Some(step) = median(column.set.series.rows().filter_map(|row| row.number("interval_s"))) else {
        return Vec::new();
    };
    let mut by_time: BTreeMap<i64, Vec<&Point>> = BTreeMap::new();
    for point in of_runs.iter().flatten() {
        by_time.entry((point.x / step).round() as i64).or_default().push(point);
    }
    let points = by_time.into_values().filter_map(|of| {
        let values = sorted(of.iter().map(|point| point.y));
        Some(Point {
            x: median(of.iter().map(|point| point.x))?,
            y: quantile(&values, 0.5)?,
            interval: values.first().copied().zip(values.last().copied()),
            label: if of.len() < of_runs.len() { counted(of.len(), "run") } else { String::new() },
        })
    });
    points.collect()
}

/// The curve of one run.
fn points(column: &Column<'_>, repeat: u32, kind: &Kind) -> Vec<Point> {
    // A state holds from the start on, where nobody downloads yet.
    let first = (kind.id == "downloads-under-way").then(|| Point::at(0.0, 0.0));
    let mut points: Vec<Point> = first.into_iter().collect();
    for row in column.set.series.rows().filter(|row| row.is_of(&column.arm.arm, repeat)) {
        let (Some(end), Some(length)) = (row.number("t_s"), row.number("interval_s")) else { continue };
        if length < INTERVAL_MIN_S {
            continue;
        }
        let at = if kind.shape == Shape::Line { end - length / 2.0 } else { end };
        points.extend((kind.value)(row).map(|value| Point::at(at, value)));
    }
    if kind.id == "peers-on" {
        // The last sample is taken when all have been told to end: that is no change of the run.
        while points.last().is_some_and(|point| point.y <= 0.0) {
            points.pop();
        }
    }
    points
}

/// What timelines did, in order. Where all arms did the same, it is told once; else each with its arm.
fn marks(columns: &[Column<'_>]) -> Vec<Mark> {
    let told = |deeds: &[Deed]| deeds.iter().map(|deed| deed.label.clone()).collect::<Vec<_>>();
    let all: Vec<(String, Vec<Deed>)> = columns.iter().map(|column| (column.name(), column.deeds())).collect();
    let mut acting = all.iter().filter(|(_, deeds)| !deeds.is_empty());
    let Some((_, first)) = acting.next() else { return Vec::new() };
    let same = acting.all(|(_, deeds)| told(deeds) == told(first));
    let mut marks = Vec::new();
    for (name, deeds) in &all {
        let moves_one = |deed: &Deed| deed.action == "move" && deed.nodes.len() == 1;
        let many = deeds.iter().filter(|deed| moves_one(deed)).count() > MANY_MOVES;
        for deed in deeds {
            let label = if same { deed.label.clone() } else { format!("{name}: {}", deed.label) };
            marks.push(Mark { x: deed.at_s(), label: (!(many && moves_one(deed))).then_some(label) });
        }
        if same && !deeds.is_empty() {
            break;
        }
    }
    marks.sort_by(|one, other| one.x.total_cmp(&other.x));
    marks
}
