//! The figures of the paper (Zhao et al., "Peer-Assisted Content Distribution in Akamai `NetSession`", IMC 2013) that are of
//! downloads: speed by source (4), pauses by size (7), providers, regions (8), local networks.

use std::collections::{BTreeMap, BTreeSet};

use super::{counts, speed};
use crate::{
    metrics::edge_class,
    report::{
        chart::{Axis, Chart, Point, Scale, Series, Shape, Unit},
        source::Column,
    },
    results::Line,
};

/// So many ASes have a picture of their own.
const ASES: usize = 4;
/// More sizes than these are put into classes of decades.
const SIZES: usize = 8;

/// The downloads of an arm, of all its runs.
pub(super) fn rows<'a>(column: &Column<'a>) -> impl Iterator<Item = Line<'a>> {
    let arm = column.arm.arm.as_str();
    column.set.downloads.rows().filter(move |row| row.text("arm") == Some(arm))
}

/// Bytes from edges and from peers, of a download that used any.
pub(super) fn sources(row: Line<'_>) -> Option<(f64, f64)> {
    let (edge, peer) = (row.number("edge_bytes")?, row.number("peer_bytes")?);
    (edge + peer > 0.0).then_some((edge, peer))
}

/// Whether a download is of a class, by its bytes from edges and from peers.
type Holds = fn(f64, f64) -> bool;

/// Figure 4: speeds in the ASes with most downloads, of downloads from edges alone and of those mostly from peers.
pub(super) fn speed_by_source(columns: &[Column<'_>]) -> Vec<Chart> {
    let mut by_as: BTreeMap<u64, usize> = BTreeMap::new();
    for row in columns.iter().flat_map(rows).filter(|row| speed::completed(*row)) {
        *by_as.entry(row.whole("as_number").unwrap_or(0)).or_default() += 1;
    }
    let mut ases: Vec<(u64, usize)> = by_as.into_iter().collect();
    ases.sort_by_key(|(number, count)| (std::cmp::Reverse(*count), *number));
    let charts = ases.iter().take(ASES).map(|(number, count)| {
        let mut series = Vec::new();
        for column in columns {
            let classes: [(&str, Holds); 2] =
                [("edge only", |_, peer| peer == 0.0), ("over 50 % from peers", |edge, peer| peer > edge)];
            for (class, holds) in classes {
                let speeds = speed::speeds(column, |row| {
                    row.whole("as_number") == Some(*number)
                        && sources(row).is_some_and(|(edge, peer)| holds(edge, peer))
                });
                let name = format!("{}: {class} ({})", column.name(), speeds.len());
                // A look of its own for each class of each arm that is drawn.
                let look = series.len();
                if !speeds.is_empty() {
                    series.push(Series { name, look, shape: Shape::Steps, points: speed::distribution(&speeds) });
                }
            }
        }
        Chart {
            id: format!("speed-by-source-{number}"),
            title: format!("Speed by source in {} (Figure 4)", columns.first().map_or_else(|| format!("AS{number}"), |column| column.as_name(*number))),
            counts: counts(*count, "completed download", columns),
            definition: "Downloads without a byte from peers, and those with more from peers than from edges. Which of the two a \
                         download is, is its outcome; the arms are what was set."
                .into(),
            x: speed::speed_axis(&series),
            y: Axis::fixed("share of downloads", Unit::Percent, 0.0, 1.0),
            series,
            marks: Vec::new(),
        }
    });
    charts.collect()
}

/// The interval of a proportion at 95 % (Wilson 1927, "Probable inference, the law of succession, and statistical inference").
fn wilson(some: usize, all: usize) -> Option<(f64, f64)> {
    const Z: f64 = 1.959_963_984_540_054;
    if all == 0 {
        return None;
    }
    let (share, n) = (some as f64 / all as f64, all as f64);
    let middle = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some(((middle - half).max(0.0), (middle + half).min(1.0)))
}

/// Of the downloads of each class, how many there are of which something holds, and how many in all.
type Counted = BTreeMap<String, (usize, usize)>;

/// Bars of a share of downloads by class, with a series for each arm; `of` says a row's class and whether it counts.
fn shares(
    columns: &[Column<'_>],
    classes: &[String],
    of: impl Fn(Line<'_>) -> Option<(String, bool)>,
) -> (usize, Vec<Series>) {
    let mut all = 0;
    let series = columns.iter().map(|column| {
        let counted = count(rows(column).filter_map(&of));
        all += counted.values().map(|(_, every)| every).sum::<usize>();
        bars(column.name(), column.look, classes, &counted)
    });
    let series: Vec<Series> = series.collect();
    (all, series)
}

fn count(downloads: impl Iterator<Item = (String, bool)>) -> Counted {
    let mut counted = Counted::new();
    for (class, counts) in downloads {
        let (some, every) = counted.entry(class).or_default();
        *some += usize::from(counts);
        *every += 1;
    }
    counted
}

fn bars(name: String, look: usize, classes: &[String], counted: &Counted) -> Series {
    let points = (0..).map(f64::from).zip(classes).filter_map(|(place, class)| {
        let (some, every) = counted.get(class)?;
        Some(Point {
            x: place,
            y: *some as f64 / *every as f64,
            interval: wilson(*some, *every),
            label: format!("{class}, {some} of {every}"),
        })
    });
    Series { name, look, shape: Shape::Bars, points: points.collect() }
}

/// What the intervals of shares are.
const WILSON: &str = "Lines: 95 % by Wilson, as if downloads were independent.";

/// Figure 7.
pub(super) fn pause_by_size(columns: &[Column<'_>]) -> Chart {
    let sizes: BTreeSet<u64> = columns.iter().flat_map(rows).filter_map(|row| row.whole("size_bytes")).collect();
    let class = |size: u64| {
        if sizes.len() <= SIZES {
            (size, Unit::Bytes.text(size as f64))
        } else {
            let begin = 10_u64.pow((size.max(1) as f64).log10().floor() as u32);
            (begin, format!("{} to {}", Unit::Bytes.text(begin as f64), Unit::Bytes.text(begin as f64 * 10.0)))
        }
    };
    let classes: BTreeMap<u64, String> = sizes.iter().map(|size| class(*size)).collect();
    let classes: Vec<String> = classes.into_values().collect();
    let paused = |row: Line<'_>| Some((class(row.whole("size_bytes")?).1, row.number("pauses")? > 0.0));
    let (all, mut series) = shares(columns, &classes, paused);
    // Like the paper's third curve, of everything that one can believe; several results have no such whole.
    let believed: Vec<&Column<'_>> = columns.iter().filter(|column| column.arm.valid).collect();
    let together = believed.len() > 1 && columns.iter().all(|column| column.set.label.is_none());
    if together {
        let counted = count(believed.into_iter().flat_map(rows).filter_map(paused));
        series.push(bars("all downloads".into(), columns.len(), &classes, &counted));
    }
    let together = if together { " “All downloads” are those of the valid arms together." } else { "" };
    Chart {
        id: "pause-by-size".into(),
        title: "Pause rate by size (Figure 7)".into(),
        counts: counts(all, "download", columns),
        definition: format!("Downloads that their users paused at least once / downloads started.{together} {WILSON}"),
        x: Axis::named("size of the object", classes),
        y: axis_of_shares("pause rate", &series),
        series,
        marks: Vec::new(),
    }
}

/// An axis of shares that ends above the highest.
fn axis_of_shares(label: &str, series: &[Series]) -> Axis {
    let points = series.iter().flat_map(|series| &series.points);
    let highest = points.map(|point| point.interval.map_or(point.y, |(_, high)| high)).fold(0.0, f64::max);
    let axis = Axis::of(label, Scale::Linear, Unit::Percent, [highest]);
    Axis { high: axis.high.min(1.0), ..axis }
}

/// The values of a column of the table of downloads, in order.
fn names(columns: &[Column<'_>], column: &str) -> Vec<String> {
    let all = columns.iter().flat_map(rows).filter_map(|row| row.text(column));
    all.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
}

/// Which downloads used peers, by provider.
pub(super) fn providers(columns: &[Column<'_>]) -> Chart {
    let providers = names(columns, "provider");
    let (all, series) = shares(columns, &providers, |row| {
        let (_, peer) = sources(row)?;
        Some((row.text("provider")?.to_owned(), peer > 0.0))
    });
    Chart {
        id: "providers".into(),
        title: "Downloads that used peers, by provider".into(),
        counts: counts(all, "download", columns),
        definition: format!("Downloads with a byte from peers / downloads with any byte. {WILSON}"),
        x: Axis::named("provider", providers),
        y: Axis::fixed("share of downloads", Unit::Percent, 0.0, 1.0),
        series,
        marks: Vec::new(),
    }
}

/// Figure 8: where bytes came from, by the downloader's country, or by its region where countries are not known.
pub(super) fn regions(columns: &[Column<'_>]) -> Chart {
    let known = columns.iter().flat_map(rows).any(|row| row.text("country").is_some());
    let place = if known { "country" } else { "region" };
    let places = names(columns, place);
    let mut all = 0;
    let series = columns.iter().map(|column| {
        let mut bytes: BTreeMap<&str, (f64, f64, usize)> = BTreeMap::new();
        for row in rows(column) {
            if let (Some(at), Some((edge, peer))) = (row.text(place), sources(row)) {
                let sums = bytes.entry(at).or_default();
                *sums = (sums.0 + edge, sums.1 + peer, sums.2 + 1);
            }
        }
        all += bytes.values().map(|(.., count)| count).sum::<usize>();
        let points = (0..).map(f64::from).zip(&places).filter_map(|(x, place)| {
            let (edge, peer, count) = bytes.get(place.as_str())?;
            let class = match edge_class(*edge as u64, *peer as u64) {
                "edge-over-peer" => "● edges gave more",
                "edge-under-50" => "■ edges gave less than half of what peers did",
                _ => "+ edges gave 50 to 100 % of what peers did",
            };
            Some(Point::labelled(x, peer / (edge + peer), format!("{place}: {class}, {count} downloads")))
        });
        Series { name: column.name(), look: column.look, shape: Shape::Bars, points: points.collect() }
    });
    let series: Vec<Series> = series.collect();
    Chart {
        id: "regions".into(),
        title: format!("Where bytes came from, by {place} (Figure 8)"),
        counts: counts(all, "download", columns),
        definition: "Bytes from peers / all bytes. The paper's signs: ● below 50 % (edges gave more), + from 50 to 66.7 % (edges \
                     gave 50 to 100 % of what peers did), ■ above (less than half)."
            .into(),
        x: Axis::named(place, places),
        y: Axis::fixed("peer efficiency (bytes)", Unit::Percent, 0.0, 1.0),
        series,
        marks: Vec::new(),
    }
}

/// Copies in the downloader's own network, and whether they were used.
pub(super) fn lan(columns: &[Column<'_>]) -> Chart {
    let classes = [("a copy was there", "lan.copies_share"), ("it gave bytes", "lan.served_share")];
    let series = columns.iter().map(|column| {
        let points = (0..).map(f64::from).zip(classes).filter_map(|(place, (class, key))| {
            let interval = column.arm.intervals.get(key).map(|[low, high]| (*low, *high));
            Some(Point { x: place, y: column.arm.figures.get(key)?, interval, label: class.into() })
        });
        Series { name: column.name(), look: column.look, shape: Shape::Bars, points: points.collect() }
    });
    let series: Vec<Series> = series.collect();
    let downloads: u64 = columns.iter().map(|column| column.arm.downloads_total.started).sum();
    Chart {
        id: "lan".into(),
        title: "Copies in the downloader's own network".into(),
        counts: counts(downloads as usize, "download", columns),
        definition:
            "Downloads at whose start another uploading peer of the same LAN had a whole copy, and downloads that used \
                     bytes of one / downloads started; medians over runs."
                .into(),
        x: Axis::named("", classes.map(|(class, _)| class.to_owned()).to_vec()),
        y: axis_of_shares("share of downloads", &series),
        series,
        marks: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_proportion_is_wilsons() {
        // Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
        let rounded = |some, all| wilson(some, all).map(|(low, high)| (format!("{low:.4}"), format!("{high:.4}")));
        let pair = |low: &str, high: &str| Some((low.to_owned(), high.to_owned()));
        assert_eq!(rounded(81, 263), pair("0.2553", "0.3662"));
        assert_eq!(rounded(15, 148), pair("0.0624", "0.1605"));
        assert_eq!(rounded(0, 20), pair("0.0000", "0.1611"));
        assert_eq!(rounded(1, 29), pair("0.0061", "0.1718"));
        assert_eq!(wilson(0, 0), None);
    }
}
