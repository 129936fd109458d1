//! How figures change over a matrix: along its first path, with a series for everything else that was varied.

use std::collections::BTreeMap;

use crate::{
    report::{
        chart::{Axis, Chart, Point, Scale, Series, Shape, Unit},
        source::Column,
    },
    say::counted,
};

/// What is drawn: key, title, axis, unit.
const DRAWN: [(&str, &str, &str, Unit); 4] = [
    ("peer_efficiency.bytes", "Peer efficiency", "peer efficiency (bytes)", Unit::Percent),
    ("speed_mbps.p50", "Median speed", "median speed, Mbit/s", Unit::Plain),
    ("bytes.edge", "Bytes from edges", "bytes from edges", Unit::Bytes),
    ("pause_rate", "Pause rate", "pause rate", Unit::Percent),
];

/// A picture for each of them, but of no pauses where there were none; nothing without a matrix.
pub(super) fn charts(columns: &[Column<'_>]) -> Vec<Chart> {
    let Some(path) = columns.iter().find_map(|column| Some(column.arm.matrix.iter().next()?.0.to_owned())) else {
        return Vec::new();
    };
    let columns: Vec<Column<'_>> =
        columns.iter().copied().filter(|column| column.arm.matrix.get(&path).is_some()).collect();
    let values: Vec<&str> = columns.iter().filter_map(|column| column.arm.matrix.get(&path)).collect();
    let places = Places::of(&values);
    let chart = |(key, title, label, unit): &(&str, &str, &str, Unit)| {
        let series = series(&columns, &path, &places, key);
        let points = || series.iter().flat_map(|series| &series.points);
        if *key == "pause_rate" && points().all(|point| point.y == 0.0) {
            return None;
        }
        let ends = points().flat_map(|point| [point.y, point.interval.map_or(point.y, |(_, high)| high)]);
        let y = Axis::of(*label, Scale::Linear, *unit, ends);
        let y = if *unit == Unit::Percent { Axis { high: y.high.min(1.0), ..y } } else { y };
        // Of what is drawn: no arm that is invalid or has no such figure.
        let drawn: Vec<&Column<'_>> =
            columns.iter().filter(|column| column.arm.valid && column.arm.figures.get(key).is_some()).collect();
        let runs: usize = drawn.iter().map(|column| column.runs()).sum();
        let invalid = columns.iter().filter(|column| !column.arm.valid).count();
        let left_out =
            if invalid > 0 { format!(" {} left out.", counted(invalid, "invalid arm")) } else { String::new() };
        let several = drawn.iter().any(|column| column.runs() > 1);
        Some(Chart {
            id: format!("sweep-{}", key.replace('.', "-")),
            title: format!("{title} by {}", short(&path)),
            counts: format!("n = {} in {}.{left_out}", counted(runs, "run"), counted(drawn.len(), "arm")),
            definition: if several {
                "Medians over the runs of an arm with their bootstrap intervals at 95 % (of two runs: both). Everything else is the \
                 same, so that it is the cause."
            } else {
                "One run of each arm. Everything else is the same, so that it is the cause, as far as one run tells."
            }
            .into(),
            x: places.axis(&path, &values),
            y,
            series,
            marks: Vec::new(),
        })
    };
    DRAWN.iter().filter_map(chart).collect()
}

/// Where values stand.
enum Places {
    /// All are numbers: where those are.
    Numbers,
    /// One after the other.
    Names(Vec<String>),
}

impl Places {
    fn of(values: &[&str]) -> Self {
        if values.iter().all(|value| number(value).is_some()) {
            return Places::Numbers;
        }
        let mut names: Vec<String> = Vec::new();
        for value in values {
            if !names.iter().any(|name| name == value) {
                names.push((*value).to_owned());
            }
        }
        Places::Names(names)
    }

    fn at(&self, value: &str) -> Option<f64> {
        match self {
            Places::Numbers => number(value),
            Places::Names(names) => names.iter().position(|name| name == value).map(|place| place as f64),
        }
    }

    fn axis(&self, path: &str, values: &[&str]) -> Axis {
        match self {
            Places::Names(names) => Axis::named(path, names.clone()),
            Places::Numbers => {
                let numbers: Vec<f64> = values.iter().filter_map(|value| number(value)).collect();
                let least = numbers.iter().copied().filter(|number| *number > 0.0).fold(f64::INFINITY, f64::min);
                let most = numbers.iter().copied().fold(0.0, f64::max);
                // Values that were chosen by factors stand evenly by their logarithm.
                let scale = if most / least >= 20.0 { Scale::LogZero } else { Scale::Linear };
                let unit = if values.iter().all(|value| value.ends_with('%')) { Unit::Percent } else { Unit::Plain };
                Axis::of(path, scale, unit, numbers)
            }
        }
    }
}

/// A number, or a percentage as a share.
fn number(value: &str) -> Option<f64> {
    let (digits, of) = value.strip_suffix('%').map_or((value, 1.0), |percent| (percent, 100.0));
    // Labels such as `inf` are words.
    let number = digits.trim().parse::<f64>().ok().filter(|number| number.is_finite())?;
    Some(number / of)
}

/// The last word of a path.
fn short(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn series(columns: &[Column<'_>], path: &str, places: &Places, key: &str) -> Vec<Series> {
    let mut found: Vec<(String, Vec<Point>)> = Vec::new();
    let mut index: BTreeMap<String, usize> = BTreeMap::new();
    for column in columns {
        let rest = column.arm.matrix.without(path);
        let base = column.arm.base.clone();
        let rest = rest.iter().map(|(path, value)| format!("{}={value}", short(path)));
        let parts: Vec<String> = base.into_iter().chain(rest).chain(column.set.label.clone()).collect();
        let name = if parts.is_empty() { "every arm".to_owned() } else { parts.join(", ") };
        let place = *index.entry(name.clone()).or_insert_with(|| {
            found.push((name, Vec::new()));
            found.len() - 1
        });
        let x = column.arm.matrix.get(path).and_then(|value| places.at(value));
        let (Some(x), Some(y), true) = (x, column.arm.figures.get(key), column.arm.valid) else { continue };
        let runs: Vec<f64> = column.arm.runs_detail.iter().filter_map(|run| run.figures.get(key)).collect();
        let least = runs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = runs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let bootstrap = column.arm.intervals.get(key).map(|[low, high]| (*low, *high));
        let interval = bootstrap.or((runs.len() > 1).then_some((least, most)));
        found[place].1.push(Point { x, y, interval, label: column.arm.arm.clone() });
    }
    let all = found.into_iter().enumerate().map(|(look, (name, mut points))| {
        points.sort_by(|one, other| one.x.total_cmp(&other.x));
        Series { name, look, shape: Shape::LineDots, points }
    });
    all.collect()
}
