//! Charts as inline SVG: as it stands, it is the picture for paper and for browsers without script; the page's script moves what
//! is in `.plot` and writes `.ticks` anew.
//!
//! The drawing is narrow, so that letters keep their size on a telephone.

use std::fmt::Write;

use maud::{Markup, html};

use super::{Axis, Chart, LOOKS, Mark, Point, Scale, Series, Shape};

pub(super) const WIDTH: f64 = 480.0;
pub(super) const HEIGHT: f64 = 300.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 46.0;
/// What the number of a mark takes.
const NUMBER_WIDTH: f64 = 14.0;
/// How high the lines are of marks that are told of together.
const SHORT_MARK: f64 = 8.0;
/// What is drawn may stand out over the plot: half a dot or the end of an interval at its border.
const OUT: f64 = 5.0;
/// How much of the room between two places bars take.
const BARS: f64 = 0.8;

/// Where something is drawn.
fn x(axis: &Axis, value: f64) -> Option<f64> {
    Some(LEFT + axis.at(value)? * (WIDTH - LEFT - RIGHT))
}

fn y(axis: &Axis, value: f64) -> Option<f64> {
    Some(HEIGHT - BOTTOM - axis.at(value)? * (HEIGHT - TOP - BOTTOM))
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// The whole picture.
pub(super) fn draw(chart: &Chart) -> Markup {
    let clip = format!("clip-{}", chart.id);
    let groups = chart.drawn().filter(|(_, series)| series.shape == Shape::Bars).count();
    let mut bars = 0..groups;
    let foot = HEIGHT - BOTTOM;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(format!("{}: {} against {}", chart.title, chart.y.label, chart.x.label)) {
            clipPath id=(clip) { rect x=(LEFT - OUT) y=(TOP - OUT) width=(WIDTH - LEFT - RIGHT + 2.0 * OUT) height=(HEIGHT - TOP - BOTTOM + 2.0 * OUT) {} }
            g .ticks { (ticks(chart)) }
            text .axis x=((LEFT + WIDTH - RIGHT) / 2.0) y=(HEIGHT - 8.0) text-anchor="middle" { (chart.x.label) }
            text .axis transform=(format!("translate(12 {:.1}) rotate(-90)", f64::midpoint(TOP, foot))) text-anchor="middle" { (chart.y.label) }
            g clip-path=(format!("url(#{clip})")) {
                g .plot {
                    @for mark in &chart.marks { @if let Some(at) = x(&chart.x, mark.x) {
                        line .mark x1=(px(at)) x2=(px(at)) y1=(px(if mark.label.is_some() { TOP } else { foot - SHORT_MARK })) y2=(px(foot)) {}
                    } }
                    @for (index, series) in chart.drawn() {
                        g .series data-series=(index) { (points(chart, series, (series.shape == Shape::Bars).then(|| bars.next()).flatten().map(|bar| (bar, groups)))) }
                    }
                }
            }
            g .numbers { (numbers(chart)) }
            rect .frame x=(LEFT) y=(TOP) width=(WIDTH - LEFT - RIGHT) height=(HEIGHT - TOP - BOTTOM) {}
        }
    }
}

fn ticks(chart: &Chart) -> Markup {
    let foot = HEIGHT - BOTTOM;
    html! {
        @for (value, label) in chart.y.ticks() { @if let Some(at) = y(&chart.y, value) {
            line .grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(px(at)) y2=(px(at)) {}
            text x=(LEFT - 6.0) y=(px(at + 4.0)) text-anchor="end" { (label) }
        } }
        @for (value, label) in apart(&chart.x) { @if let Some(at) = x(&chart.x, value) {
            @if chart.x.scale != Scale::Names { line .grid x1=(px(at)) x2=(px(at)) y1=(TOP) y2=(px(foot)) {} }
            text x=(px(at)) y=(foot + 16.0) text-anchor="middle" { (label) }
        } }
    }
}

/// The ticks of a horizontal axis whose labels do not run into each other.
fn apart(axis: &Axis) -> Vec<(f64, String)> {
    const LETTER: f64 = 6.8;
    let mut free = f64::NEG_INFINITY;
    let mut kept = Vec::new();
    for (value, label) in axis.ticks() {
        let half = label.chars().count() as f64 * LETTER / 2.0;
        let Some(at) = x(axis, value) else { continue };
        if at - half >= free {
            free = at + half + LETTER;
            kept.push((value, label));
        }
    }
    kept
}

/// The numbers of the marks that are told one by one. One that would stand on the one before it is left out; the list has it.
fn numbers(chart: &Chart) -> Markup {
    let told = chart.marks.iter().filter(|mark| mark.label.is_some());
    let places: Vec<(usize, f64)> =
        (1..).zip(told).filter_map(|(number, Mark { x: at, .. })| Some((number, x(&chart.x, *at)?))).collect();
    let mut free = f64::NEG_INFINITY;
    let mut shown = Vec::new();
    for (number, at) in places {
        if at >= free {
            shown.push((number, at));
            free = at + NUMBER_WIDTH;
        }
    }
    html! {
        @for (number, at) in shown { text x=(px(at)) y=(TOP - 6.0) text-anchor="middle" { (number) } }
    }
}

fn points(chart: &Chart, series: &Series, bar: Option<(usize, usize)>) -> Markup {
    let class = format!("look{}", series.look % LOOKS);
    html! {
        @match series.shape {
            Shape::Line | Shape::Steps => {
                @if let Some(band) = band(chart, series) { path .band.(class) d=(band) {} }
                path .line.(class) d=(path(chart, series)) {}
            },
            Shape::LineDots => { path .line.(class) d=(path(chart, series)) {} },
            Shape::Dots | Shape::Bars => {},
        }
        @if let Some(bar) = bar {
            @for point in &series.points { (one_bar(chart, series, point, bar)) }
        } @else if matches!(series.shape, Shape::Dots | Shape::LineDots) {
            @for point in &series.points { (interval(chart, &class, point, 0.0)) }
        }
        @if matches!(series.shape, Shape::Dots | Shape::LineDots) {
            @for point in &series.points { @if let (Some(x), Some(y)) = (x(&chart.x, point.x), y(&chart.y, point.y)) {
                path .dot.(class) d=(format!("M{x:.1} {y:.1}h0")) { title { (told(chart, series, point)) } }
            } }
        }
    }
}

/// What is told of a point.
fn told(chart: &Chart, series: &Series, point: &Point) -> String {
    let x = match chart.x.scale {
        Scale::Names => String::new(),
        _ => format!("{} {}, ", chart.x.label, chart.x.unit.text(point.x)),
    };
    let mut text = format!("{}: {}{x}{} {}", series.name, label(point), chart.y.label, chart.y.unit.text(point.y));
    if let Some((low, high)) = point.interval {
        let _ = write!(text, " ({} to {})", chart.y.unit.text(low), chart.y.unit.text(high));
    }
    text
}

fn label(point: &Point) -> String {
    if point.label.is_empty() { String::new() } else { format!("{}, ", point.label) }
}

fn one_bar(chart: &Chart, series: &Series, point: &Point, (bar, of): (usize, usize)) -> Markup {
    let class = format!("look{}", series.look % LOOKS);
    let places = (WIDTH - LEFT - RIGHT) / chart.x.names.len().max(1) as f64;
    let width = places * BARS / of as f64;
    let shift = (bar as f64 + 0.5) * width - places * BARS / 2.0;
    html! {
        @if let (Some(at), Some(top)) = (x(&chart.x, point.x), y(&chart.y, point.y)) {
            rect .bar.(class) x=(px(at + shift - width / 2.0)) y=(px(top)) width=(px((width - 1.0).max(1.0))) height=(px((HEIGHT - BOTTOM - top).max(0.5))) {
                title { (told(chart, series, point)) }
            }
            (interval(chart, &class, point, shift))
        }
    }
}

/// A point's interval as a line.
fn interval(chart: &Chart, class: &str, point: &Point, shift: f64) -> Markup {
    let place = || {
        let (low, high) = point.interval?;
        Some((x(&chart.x, point.x)? + shift, y(&chart.y, low)?, y(&chart.y, high)?))
    };
    html! {
        @if let Some((at, low, high)) = place() {
            path .interval.(class) d=(format!("M{:.1} {low:.1}h6m-3 0V{high:.1}m-3 0h6", at - 3.0)) {}
        }
    }
}

fn path(chart: &Chart, series: &Series) -> String {
    let places = series.points.iter().filter_map(|point| Some((x(&chart.x, point.x)?, y(&chart.y, point.y)?)));
    joined(places, series.shape)
}

/// A line through these places; of steps each holds to the next.
fn joined(places: impl Iterator<Item = (f64, f64)>, shape: Shape) -> String {
    let mut path = String::new();
    for (x, y) in places {
        let _ = match (path.is_empty(), shape) {
            (true, _) => write!(path, "M{x:.1} {y:.1}"),
            (false, Shape::Steps) => write!(path, "H{x:.1}V{y:.1}"),
            (false, _) => write!(path, "L{x:.1} {y:.1}"),
        };
    }
    path
}

/// The surface between the ends of a curve's intervals; none where it has none.
fn band(chart: &Chart, series: &Series) -> Option<String> {
    let ends = series.points.iter().filter_map(|point| {
        let (low, high) = point.interval.unwrap_or((point.y, point.y));
        Some((x(&chart.x, point.x)?, y(&chart.y, low)?, y(&chart.y, high)?))
    });
    let ends: Vec<(f64, f64, f64)> = ends.collect();
    if series.points.iter().all(|point| point.interval.is_none()) {
        return None;
    }
    let mut path = joined(ends.iter().map(|(x, _, high)| (*x, *high)), series.shape);
    // And back along the lower ends.
    for (x, low, _) in ends.iter().rev() {
        let _ = if series.shape == Shape::Steps {
            write!(path, "V{low:.1}H{x:.1}")
        } else {
            write!(path, "L{x:.1} {low:.1}")
        };
    }
    Some(path + "Z")
}

/// How a series looks, for the legend.
pub(super) fn sample(look: usize, shape: Shape) -> Markup {
    let class = format!("look{}", look % LOOKS);
    html! {
        svg .sample viewBox="0 0 32 12" aria-hidden="true" {
            @match shape {
                Shape::Line | Shape::Steps => { path .line.(class) d="M0 6H32" {} },
                Shape::LineDots => { path .line.(class) d="M0 6H32" {} path .dot.(class) d="M16 6h0" {} },
                Shape::Dots => { path .dot.(class) d="M16 6h0" {} },
                Shape::Bars => { rect .bar.(class) x="8" y="1" width="16" height="10" {} },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Unit, *};

    #[test]
    fn dots_at_the_border_are_whole() {
        let points = vec![Point::at(0.0, 0.0), Point::at(1.0, 1.0)];
        let chart = Chart {
            id: "a".into(),
            title: "A title".into(),
            counts: String::new(),
            definition: String::new(),
            x: Axis::fixed("x", Unit::Plain, 0.0, 1.0),
            y: Axis::fixed("y", Unit::Plain, 0.0, 1.0),
            series: vec![Series { name: "one".into(), look: 0, shape: Shape::Dots, points }],
            marks: Vec::new(),
        };
        let drawn = draw(&chart).into_string();
        // The plot's own corners, each with a dot of 3.5 around it.
        assert!(drawn.contains("M72.0 254.0h0") && drawn.contains("M456.0 22.0h0"), "{drawn}");
        assert!(drawn.contains("<rect x=\"67\" y=\"17\" width=\"394\" height=\"242\">"), "{drawn}");
    }

    #[test]
    fn the_script_knows_where_pictures_are_drawn() {
        let script = include_str!("../page/page.js");
        let (right, foot) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let places = format!("LEFT = {LEFT}, RIGHT = {right}, TOP = {TOP}, FOOT = {foot},");
        assert!(script.contains(&places), "{places}");
    }
}
