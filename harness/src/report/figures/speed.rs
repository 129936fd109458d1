//! How fast downloads were.

use super::counts;
use crate::{
    metrics::sorted,
    report::{
        chart::{Axis, Chart, Point, Scale, Series, Shape, Unit},
        source::Column,
    },
    results::Line,
};

/// Whether a row of the table of downloads is a completed one.
pub(super) fn completed(row: Line<'_>) -> bool {
    row.text("status") == Some("completed")
}

/// Speeds of an arm's completed downloads of which something holds, upwards.
pub(super) fn speeds(column: &Column<'_>, of: impl Fn(Line<'_>) -> bool) -> Vec<f64> {
    let rows = column.set.downloads.rows().filter(|row| row.text("arm") == Some(column.arm.arm.as_str()));
    let rows = rows.filter(|row| completed(*row) && of(*row));
    sorted(rows.filter_map(|row| row.number("speed_mbps")).filter(|speed| *speed > 0.0))
}

/// The empirical distribution function of values that are sorted upwards: the share of them that are at most each.
pub(super) fn distribution(values: &[f64]) -> Vec<Point> {
    let all = values.len() as f64;
    let first = values.first().map(|value| Point::at(*value, 0.0));
    first.into_iter().chain((1..).zip(values).map(|(rank, value)| Point::at(*value, f64::from(rank) / all))).collect()
}

/// The axis of speeds.
pub(super) fn speed_axis(series: &[Series]) -> Axis {
    let values = series.iter().flat_map(|series| series.points.iter().map(|point| point.x));
    Axis::of("average speed of a download, Mbit/s", Scale::Log, Unit::Plain, values)
}

/// The distribution of each arm.
pub(super) fn cdf(columns: &[Column<'_>]) -> Chart {
    let mut all = 0;
    let series: Vec<Series> = columns
        .iter()
        .map(|column| {
            let speeds = speeds(column, |_| true);
            all += speeds.len();
            let name = format!("{} ({})", column.name(), speeds.len());
            Series { name, look: column.look, shape: Shape::Steps, points: distribution(&speeds) }
        })
        .collect();
    let pooled = columns.iter().any(|column| column.runs() > 1);
    let pooled = if pooled { " The picture pools the runs of an arm; the figures above don't." } else { "" };
    Chart {
        id: "speed".into(),
        title: "Speed of downloads".into(),
        counts: counts(all, "completed download", columns),
        definition: format!(
            "Average speed: used content bytes / active time, without pauses. In brackets: how many downloads.{pooled}"
        ),
        x: speed_axis(&series),
        y: Axis::fixed("share of downloads", Unit::Percent, 0.0, 1.0),
        series,
        marks: Vec::new(),
    }
}
