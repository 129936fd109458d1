//! The figures of the paper that are of what downloads happened to find: efficiency by copies (5) and by peers returned (6), as
//! they come about by themselves.

use std::collections::BTreeMap;

use super::{
    counts,
    paper::{rows, sources},
};
use crate::{
    metrics::{COPIES, RETURNED_MAX, median, quantile, sorted},
    report::{
        chart::{Axis, Chart, Point, Scale, Series, Shape, Unit},
        source::Column,
    },
};

/// What both say of themselves.
const OBSERVED: &str = "Downloads differ in more than this, so that it shows what goes together, not what causes what.";

/// The class of a number of copies, as the metrics have it.
fn copies_bin(value: f64) -> usize {
    COPIES.partition_point(|begin| f64::from(*begin) <= value)
}

/// The class of a number of peers returned, as the metrics have it.
fn returned_bin(value: f64) -> usize {
    value.min(f64::from(RETURNED_MAX) + 1.0) as usize
}

/// Of these columns, the downloads that Figures 5 and 6 put into one series, and what that is called.
struct Together<'a> {
    name: String,
    look: usize,
    columns: Vec<Column<'a>>,
}

/// Each arm by itself; but a matrix varies what these figures observe, so that each of its arms would be a single point: then
/// all arms of a result that can be believed are one series.
fn together<'a>(columns: &[Column<'a>]) -> Vec<Together<'a>> {
    let alone = |column: &Column<'a>| Together { name: column.name(), look: column.look, columns: vec![*column] };
    let mut all: Vec<Together<'a>> = Vec::new();
    for column in columns {
        let of_set = columns.iter().filter(|other| other.set.label == column.set.label).count();
        if column.arm.matrix.is_empty() || of_set == 1 {
            all.push(alone(column));
            continue;
        }
        if !column.arm.valid {
            continue;
        }
        let of_result = column.set.label.as_ref().map_or(String::new(), |letter| format!(" · {letter}"));
        let name = format!("downloads of all arms{of_result}");
        match all.iter_mut().find(|together| together.name == name) {
            Some(together) => together.columns.push(*column),
            None => all.push(Together { name, look: column.look, columns: vec![*column] }),
        }
    }
    all
}

/// Peer efficiencies of downloads by something that was counted for each: medians and quartiles of bins.
fn efficiency_by(together: &Together<'_>, counted: &str, bin: fn(f64) -> usize) -> (usize, Series) {
    let mut bins: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    for row in together.columns.iter().flat_map(rows) {
        if let (Some(value), Some((edge, peer))) = (row.number(counted), sources(row)) {
            bins.entry(bin(value)).or_default().push((value, peer / (edge + peer)));
        }
    }
    let all = bins.values().map(Vec::len).sum();
    let points = bins.into_values().filter_map(|of| {
        let efficiencies = sorted(of.iter().map(|(_, efficiency)| *efficiency));
        Some(Point {
            x: median(of.iter().map(|(value, _)| *value))?,
            y: quantile(&efficiencies, 0.5)?,
            interval: quantile(&efficiencies, 0.25).zip(quantile(&efficiencies, 0.75)),
            label: format!("n = {}", of.len()),
        })
    });
    let (name, look) = (together.name.clone(), together.look);
    (all, Series { name, look, shape: Shape::LineDots, points: points.collect() })
}

/// The picture of that.
struct Observed {
    id: &'static str,
    title: &'static str,
    axis: &'static str,
    scale: Scale,
    definition: &'static str,
    /// The column that is counted.
    counted: &'static str,
    bin: fn(f64) -> usize,
}

fn observed(columns: &[Column<'_>], what: &Observed) -> Chart {
    let together = together(columns);
    let found = together.iter().map(|together| efficiency_by(together, what.counted, what.bin));
    let (downloads, series): (Vec<usize>, Vec<Series>) = found.unzip();
    let of: Vec<Column<'_>> = together.iter().flat_map(|together| together.columns.clone()).collect();
    let values: Vec<f64> = series.iter().flat_map(|series| series.points.iter().map(|point| point.x)).collect();
    let pooled = together.iter().any(|together| together.columns.len() > 1);
    let pooled = if pooled { " The valid arms of the sweep are pooled." } else { "" };
    Chart {
        id: what.id.into(),
        title: what.title.into(),
        counts: counts(downloads.iter().sum(), "download", &of),
        definition: format!("{}{pooled} {OBSERVED}", what.definition),
        x: Axis::of(what.axis, what.scale, Unit::Plain, values),
        y: Axis::fixed("peer efficiency", Unit::Percent, 0.0, 1.0),
        series,
        marks: Vec::new(),
    }
}

/// Figure 5.
pub(super) fn efficiency_by_copies(columns: &[Column<'_>]) -> Chart {
    let what = Observed {
        id: "efficiency-by-copies",
        title: "Peer efficiency by copies registered (Figure 5)",
        axis: "file copies registered",
        scale: Scale::LogZero,
        definition: "Copies of its content in the registry when a download first asked; medians and quartiles of bins that begin at \
                     0, 1, 2, 5, 10 and so on.",
        counted: "copies_registered",
        bin: copies_bin,
    };
    observed(columns, &what)
}

/// Figure 6, as it comes about by itself; where the number is varied, see the sweep.
pub(super) fn efficiency_by_returned(columns: &[Column<'_>]) -> Chart {
    let what = Observed {
        id: "efficiency-by-returned",
        title: "Peer efficiency by peers initially returned (Figure 6)",
        axis: "peers initially returned",
        scale: Scale::Linear,
        definition: "Peers in the first answer of the control plane; medians and quartiles of each number by itself up to 40.",
        counted: "peers_returned",
        bin: returned_bin,
    };
    observed(columns, &what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_begin_at_round_numbers() {
        assert_eq!([0.0, 1.0, 1.9, 2.0, 4.0, 5.0, 1e6].map(copies_bin), [1, 2, 2, 3, 3, 4, 17]);
        assert_eq!([0.0, 1.0, 6.0, 7.0, 40.0, 41.0, 99.0].map(returned_bin), [0, 1, 6, 7, 40, 41, 41]);
    }
}
