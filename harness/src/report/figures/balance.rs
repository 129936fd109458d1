//! The figures of the paper that are of ASes: who sends how much (9a, 9b), how many peers senders have (9c), whether they are
//! balanced (10), each by itself and in pairs (11).

use std::collections::BTreeMap;

use super::{counts, speed::distribution, traffic::between};
use crate::{
    metrics::{median, sorted},
    report::{
        chart::{Axis, Chart, Point, Scale, Series, Shape, Unit},
        source::Column,
    },
};

/// One AS: medians over the runs of an arm.
#[derive(Debug, Clone, PartialEq)]
struct As {
    name: String,
    number: u64,
    sent: f64,
    received: f64,
    peers: f64,
    heavy: bool,
}

/// Every AS with peers or traffic of peers.
fn ases(column: &Column<'_>) -> Vec<As> {
    let Some(table) = &column.set.ases else { return Vec::new() };
    let mut found: BTreeMap<u64, (String, [Vec<f64>; 4])> = BTreeMap::new();
    for row in table.rows().filter(|row| row.text("arm") == Some(column.arm.arm.as_str())) {
        let Some(number) = row.whole("as_number") else { continue };
        let (name, values) = found.entry(number).or_default();
        *name = column.as_name(number);
        let heavy = row.truth("heavy").map(|heavy| f64::from(u8::from(heavy)));
        let of = [row.number("sent_bytes"), row.number("received_bytes"), row.number("peers"), heavy];
        values.iter_mut().zip(of).for_each(|(values, value)| values.extend(value));
    }
    let all = found.into_iter().map(|(number, (name, values))| {
        let [sent, received, peers, heavy] = values.map(|values| median(values).unwrap_or(0.0));
        As { name, number, sent, received, peers, heavy: heavy > 0.5 }
    });
    all.collect()
}

/// Arms in which peers sent anything to other ASes.
fn sending<'a>(columns: &[Column<'a>]) -> Vec<(Column<'a>, Vec<As>)> {
    let all = columns.iter().map(|column| (*column, ases(column)));
    all.filter(|(_, ases)| ases.iter().any(|one| one.sent > 0.0)).collect()
}

fn as_counts(sending: &[(Column<'_>, Vec<As>)]) -> String {
    let columns: Vec<Column<'_>> = sending.iter().map(|(column, _)| *column).collect();
    let most = sending.iter().map(|(_, ases)| ases.len()).max().unwrap_or(0);
    let of_each = if sending.len() > 1 { "n = in each arm " } else { "n = " };
    let text = counts(most, "AS", &columns).replace("ASs", "ASes");
    text.replacen("n = ", of_each, 1)
}

/// Figures 9a and 9b.
pub(super) fn sent(columns: &[Column<'_>]) -> Vec<Chart> {
    let sending = sending(columns);
    let series = |points: fn(&[f64]) -> Vec<Point>| -> Vec<Series> {
        let all = sending.iter().map(|(column, ases)| {
            let sent = sorted(ases.iter().map(|one| one.sent));
            Series { name: column.name(), look: column.look, shape: Shape::Steps, points: points(&sent) }
        });
        all.collect()
    };
    let chart = |id: &str, title: &str, y: &str, definition: &str, series: Vec<Series>| {
        let values: Vec<f64> = series.iter().flat_map(|series| series.points.iter().map(|point| point.x)).collect();
        Chart {
            id: id.into(),
            title: title.into(),
            counts: as_counts(&sending),
            definition: definition.into(),
            x: Axis::of("inter-AS bytes sent by an AS", Scale::LogZero, Unit::Bytes, values),
            y: Axis::fixed(y, Unit::Percent, 0.0, 1.0),
            series,
            marks: Vec::new(),
        }
    };
    let cumulative = |sent: &[f64]| {
        let all: f64 = sent.iter().sum();
        let mut sum = 0.0;
        let first = sent.first().map(|bytes| Point::at(*bytes, 0.0));
        let steps = sent.iter().map(|bytes| {
            sum += bytes;
            Point::at(*bytes, sum / all)
        });
        first.into_iter().chain(steps).collect()
    };
    let medians = "Content bytes that peers sent to other ASes; of several runs the median of each AS.";
    vec![
        chart("as-sent", "Inter-AS bytes sent, by AS (Figure 9a)", "share of ASes", medians, series(distribution)),
        chart(
            "as-sent-cumulative",
            "Share of all inter-AS bytes (Figure 9b)",
            "share of bytes, ASes up to here",
            medians,
            series(cumulative),
        ),
        lorenz(&sending),
    ]
}

/// The Lorenz curve: which share of the bytes the ASes send that send least.
fn lorenz(sending: &[(Column<'_>, Vec<As>)]) -> Chart {
    let even = Series {
        name: "all the same".into(),
        look: 7,
        shape: Shape::Line,
        points: vec![Point::at(0.0, 0.0), Point::at(1.0, 1.0)],
    };
    let curves = sending.iter().map(|(column, ases)| {
        let points = crate::metrics::lorenz(ases.iter().map(|one| one.sent));
        let points = points.into_iter().map(|(share, bytes)| Point::at(share, bytes)).collect();
        Series { name: column.name(), look: column.look, shape: Shape::Line, points }
    });
    let series: Vec<Series> = if sending.is_empty() { Vec::new() } else { curves.chain([even]).collect() };
    Chart {
        id: "as-lorenz".into(),
        title: "Lorenz curve of inter-AS bytes sent".into(),
        counts: as_counts(sending),
        definition:
            "ASes from the one that sends least to the one that sends most; the Gini coefficient is twice the area \
                     between the curve and the diagonal."
                .into(),
        x: Axis::fixed("share of ASes", Unit::Percent, 0.0, 1.0),
        y: Axis::fixed("share of inter-AS bytes", Unit::Percent, 0.0, 1.0),
        series,
        marks: Vec::new(),
    }
}

/// Two looks for each arm: heavy uploaders and the others.
fn split<'a>(column: &Column<'a>, index: usize, ases: &'a [As]) -> [(String, usize, Vec<&'a As>); 2] {
    let of = |heavy: bool| -> Vec<&As> { ases.iter().filter(|one| one.heavy == heavy).collect() };
    [
        (format!("{}: heavy", column.name()), index * 2 + 1, of(true)),
        (format!("{}: light", column.name()), index * 2, of(false)),
    ]
}

const HEAVY: &str = "Heavy uploaders: the fewest ASes that together send at least 90 % of the inter-AS bytes.";

/// Figure 9c.
pub(super) fn population(columns: &[Column<'_>]) -> Chart {
    let sending = sending(columns);
    let mut series = Vec::new();
    for (index, (column, ases)) in sending.iter().enumerate() {
        for (name, look, ases) in split(column, index, ases) {
            let peers = sorted(ases.iter().map(|one| one.peers));
            series.push(Series { name, look, shape: Shape::Steps, points: distribution(&peers) });
        }
    }
    let values: Vec<f64> = series.iter().flat_map(|series| series.points.iter().map(|point| point.x)).collect();
    Chart {
        id: "as-population".into(),
        title: "Addresses of peers by AS, heavy and light uploaders (Figure 9c)".into(),
        counts: as_counts(&sending),
        definition: HEAVY.into(),
        x: Axis::of("distinct addresses of peers in an AS", Scale::LogZero, Unit::Plain, values),
        y: Axis::fixed("share of ASes", Unit::Percent, 0.0, 1.0),
        series,
        marks: Vec::new(),
    }
}

/// Figure 10.
pub(super) fn scatter(columns: &[Column<'_>]) -> Chart {
    let sending = sending(columns);
    let mut series = Vec::new();
    for (index, (column, ases)) in sending.iter().enumerate() {
        for (name, look, ases) in split(column, index, ases) {
            let points = ases.iter().map(|one| {
                Point::labelled(
                    one.sent,
                    one.received,
                    format!("{} (AS{}), {} addresses", one.name, one.number, one.peers),
                )
            });
            series.push(Series { name, look, shape: Shape::Dots, points: points.collect() });
        }
    }
    both_ways(
        "as-balance",
        "Inter-AS bytes uploaded and downloaded, by AS (Figure 10)",
        as_counts(&sending),
        format!("{HEAVY} Who is balanced lies on the diagonal; 0 is at the axis."),
        ["uploaded by the AS", "downloaded by the AS"],
        series,
    )
}

/// Figure 11.
pub(super) fn pairs(columns: &[Column<'_>]) -> Chart {
    let sending = sending(columns);
    let mut all = 0;
    let series = sending.iter().map(|(column, ases)| {
        let between = between(column);
        let bytes =
            |from: &As, to: &As| between.get(&(from.number.to_string(), to.number.to_string())).copied().unwrap_or(0.0);
        let heavy: Vec<&As> = ases.iter().filter(|one| one.heavy).collect();
        let pairs =
            heavy.iter().enumerate().flat_map(|(index, one)| heavy[..index].iter().map(move |other| (other, one)));
        let points = pairs.filter_map(|(one, other)| {
            let (there, back) = (bytes(one, other), bytes(other, one));
            (there + back > 0.0).then(|| Point::labelled(there, back, format!("{} and {}", one.name, other.name)))
        });
        let points: Vec<Point> = points.collect();
        all += points.len();
        Series { name: column.name(), look: column.look, shape: Shape::Dots, points }
    });
    let series: Vec<Series> = series.collect();
    let of: Vec<Column<'_>> = sending.iter().map(|(column, _)| *column).collect();
    both_ways(
        "as-pairs",
        "Bytes between pairs of heavy uploaders (Figure 11)",
        counts(all, "pair", &of),
        format!("{HEAVY} From the AS with the lower number to the other, and back."),
        ["one way", "the other way"],
        series,
    )
}

/// A scatter of bytes both ways with the same axis twice, and the diagonal.
fn both_ways(
    id: &str,
    title: &str,
    counts: String,
    definition: String,
    [x, y]: [&str; 2],
    mut series: Vec<Series>,
) -> Chart {
    let points = || series.iter().flat_map(|series| &series.points);
    let values: Vec<f64> = points().flat_map(|point| [point.x, point.y]).collect();
    let axis = |label: &str| Axis::of(label, Scale::LogZero, Unit::Bytes, values.clone());
    let (x, y) = (axis(x), axis(y));
    if !values.is_empty() {
        let diagonal = vec![Point::at(x.low, x.low), Point::at(x.high, x.high)];
        series.push(Series { name: "balanced".into(), look: 7, shape: Shape::Line, points: diagonal });
    }
    Chart { id: id.into(), title: title.into(), counts, definition, x, y, series, marks: Vec::new() }
}
