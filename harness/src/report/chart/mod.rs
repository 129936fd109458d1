//! Charts as data, apart from what they show and how they are drawn: axes, series of points, marks, and the same numbers as CSV.

mod axis;
mod heat;
mod svg;

pub(super) use axis::{Axis, Scale, Unit};
pub(super) use heat::Heat;

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{Markup, html};

/// So many series have a look of their own; more begin again with the first.
pub(super) const LOOKS: usize = 16;

/// A picture with axes.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    /// Unique on the page; names its CSV.
    pub(super) id: String,
    /// What is seen.
    pub(super) title: String,
    /// Of how many things and runs.
    pub(super) counts: String,
    /// How what is drawn is defined.
    pub(super) definition: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    /// What happened at some place of the horizontal axis.
    pub(super) marks: Vec<Mark>,
}

/// Points of one kind.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) name: String,
    /// Which look it has, so that an arm looks the same in every picture.
    pub(super) look: usize,
    pub(super) shape: Shape,
    pub(super) points: Vec<Point>,
}

/// How points are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Joined by straight lines.
    Line,
    /// Each holds to the next.
    Steps,
    /// Each for itself.
    Dots,
    /// Joined by lines, and each with a dot.
    LineDots,
    /// From the foot up; beside those of other series at the same place.
    Bars,
}

/// One value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Where the interval of `y` begins and ends.
    pub(super) interval: Option<(f64, f64)>,
    /// What it is, for who points at it.
    pub(super) label: String,
}

impl Point {
    pub(super) fn at(x: f64, y: f64) -> Self {
        Self { x, y, ..Self::default() }
    }

    pub(super) fn labelled(x: f64, y: f64, label: impl Into<String>) -> Self {
        Self { x, y, interval: None, label: label.into() }
    }
}

/// Something at one place of the horizontal axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    pub(super) x: f64,
    /// What it is; nothing: one of many that are told of together.
    pub(super) label: Option<String>,
}

impl Chart {
    /// The whole figure; nothing where there is nothing to see.
    pub(super) fn figure(&self) -> Option<Markup> {
        if self.series.iter().all(|series| series.points.is_empty()) {
            return None;
        }
        let legend = html! {
            @for (index, series) in self.drawn() {
                label .key {
                    input type="checkbox" checked data-series=(index) aria-label=(format!("show {}", series.name));
                    (svg::sample(series.look, series.shape)) " " (series.name)
                }
            }
        };
        let told = self.marks.iter().filter_map(|mark| mark.label.as_ref().map(|label| (mark.x, label)));
        let told: Vec<(f64, &String)> = told.collect();
        let untold = self.marks.len() - told.len();
        Some(html! {
            figure .chart id=(format!("figure-{}", self.id)) data-x=(self.x.data()) data-y=(self.y.data()) {
                figcaption { b { (self.title) } }
                (svg::draw(self))
                div .legend { (legend) }
                @if !told.is_empty() {
                    ol .marks { @for (at, label) in &told { li { (self.x.unit.text(*at)) ": " (label) } } }
                }
                @if untold > 0 { p .note { (format!("Short lines at the foot: {untold} moves of single peers.")) } }
                p .note { (self.counts) " " (self.definition) " " (csv_link(&self.id, &self.csv())) }
            }
        })
    }

    /// The series that have points, with their place in the list.
    fn drawn(&self) -> impl Iterator<Item = (usize, &Series)> {
        self.series.iter().enumerate().filter(|(_, series)| !series.points.is_empty())
    }

    /// Every number that is drawn, as RFC 4180 has it.
    fn csv(&self) -> String {
        let mut text = format!("series,{},{},low,high,label\r\n", field(&self.x.label), field(&self.y.label));
        for (_, series) in self.drawn() {
            for point in &series.points {
                let (low, high) =
                    point.interval.map_or_else(Default::default, |(low, high)| (low.to_string(), high.to_string()));
                let (name, label) = (field(&series.name), field(&point.label));
                let _ = write!(text, "{name},{},{},{low},{high},{label}\r\n", point.x, point.y);
            }
        }
        text
    }
}

/// A link from which a browser saves a text.
fn csv_link(id: &str, csv: &str) -> Markup {
    html! {
        a .csv download=(format!("{id}.csv")) href=(format!("data:text/csv;charset=utf-8;base64,{}", STANDARD.encode(csv))) { "CSV" }
    }
}

/// A text as a field of CSV.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<Point>) -> Chart {
        Chart {
            id: "a".into(),
            title: "A title".into(),
            counts: "2 downloads in 1 run.".into(),
            definition: "As it is.".into(),
            x: Axis::of("speed, Mbit/s", Scale::Log, Unit::Plain, points.iter().map(|point| point.x)),
            y: Axis::fixed("share", Unit::Percent, 0.0, 1.0),
            series: vec![
                Series { name: "none".into(), look: 0, shape: Shape::Line, points: Vec::new() },
                Series { name: "so \"some\"".into(), look: 1, shape: Shape::Steps, points },
            ],
            marks: Vec::new(),
        }
    }

    #[test]
    fn the_numbers_are_there_as_csv() {
        let mut point = Point::labelled(2.0, 1.0, "x, y");
        point.interval = Some((0.5, 1.0));
        let csv = chart(vec![Point::at(1.0, 0.5), point]).csv();
        assert_eq!(
            csv,
            "series,\"speed, Mbit/s\",share,low,high,label\r\n\"so \"\"some\"\"\",1,0.5,,,\r\n\"so \"\"some\"\"\",2,1,0.5,1,\"x, y\"\r\n"
        );
    }

    #[test]
    fn what_has_no_points_is_neither_drawn_nor_named() {
        assert!(chart(Vec::new()).figure().is_none());
        let drawn = chart(vec![Point::at(1.0, 0.5), Point::at(2.0, 1.0)]).figure().expect("points").into_string();
        assert!(drawn.contains("so &quot;some&quot;") && !drawn.contains("show none"), "{drawn}");
        assert!(drawn.contains("2 downloads in 1 run. As it is."), "{drawn}");
    }

    #[test]
    fn marks_are_numbered_and_told() {
        let mut chart = chart(vec![Point::at(1.0, 0.5), Point::at(4.0, 1.0)]);
        chart.marks = vec![
            Mark { x: 2.0, label: Some("kill control-0".into()) },
            Mark { x: 3.0, label: None },
            Mark { x: 3.5, label: None },
        ];
        let drawn = chart.figure().expect("points").into_string();
        assert!(drawn.contains("<li>2: kill control-0</li>") && drawn.contains("2 moves of single peers"), "{drawn}");
    }
}
