//! The picture of a series: commits in the order of their nights, their change against the reference with its interval, the margin, and
//! where it changes.
//!
//! Like the pictures of reports it is narrow, so that letters keep their size on a telephone.

use maud::{Markup, html};

use super::{
    entry::Metric,
    series::{Group, Point, Series},
};
use crate::{
    compare::{
        design::Kind,
        show::{change, worded},
        verdict::{Effect, Word},
    },
    report::ticks,
};

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 264.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 40.0;
/// More nights than these run into each other.
pub(super) const NIGHTS_MAX: usize = 90;
/// Between two epochs there is as much room as for so many nights.
const GAP: f64 = 0.8;
/// What a letter takes.
const LETTER: f64 = 6.6;
/// Letters of a commit at the axis.
const HASH: usize = 7;

/// Where things stand.
struct Frame<'s, 'a> {
    series: &'s Series<'a>,
    /// The points that are drawn: those from here on.
    first: usize,
    /// How many nights and gaps there are.
    slots: f64,
    low: f64,
    high: f64,
}

/// The whole picture.
pub(super) fn draw(group: &Group<'_>, series: &Series<'_>) -> Markup {
    let frame = Frame::of(series);
    let unit = unit(series.metric);
    let foot = HEIGHT - BOTTOM;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(format!("{}: change against the reference, {unit}, by night", series.metric.figure)) {
            (frame.margin())
            g .ticks {
                @for (value, label) in ticks(frame.low, frame.high) {
                    line .grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(px(frame.y(value))) y2=(px(frame.y(value))) {}
                    text x=(LEFT - 6.0) y=(px(frame.y(value) + 4.0)) text-anchor="end" { (label.replace('-', "−")) }
                }
                @for (at, label) in frame.commits() { text x=(px(at)) y=(foot + 16.0) text-anchor="middle" { (label) } }
            }
            line .zero x1=(LEFT) x2=(WIDTH - RIGHT) y1=(px(frame.y(0.0))) y2=(px(frame.y(0.0))) {}
            text .axis transform=(format!("translate(11 {:.1}) rotate(-90)", f64::midpoint(TOP, foot))) text-anchor="middle" { "change, " (unit) }
            text .axis x=(px(f64::midpoint(LEFT, WIDTH - RIGHT))) y=(HEIGHT - 7.0) text-anchor="middle" { "commit, by night" }
            (frame.changes())
            (frame.epochs(group))
            @for place in frame.first..series.points.len() { (frame.point(place)) }
            rect .frame x=(LEFT) y=(TOP) width=(WIDTH - LEFT - RIGHT) height=(HEIGHT - TOP - BOTTOM) {}
        }
    }
}

/// What changes are written in.
pub(super) fn unit(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Proportion => "points",
        Kind::Exact => "its own unit",
        _ => "%",
    }
}

/// What values are multiplied by where they are drawn.
fn factor(metric: &Metric) -> f64 {
    if metric.kind == Kind::Exact { 1.0 } else { 100.0 }
}

/// The class and the mark of a verdict.
pub(super) fn look(word: Word) -> (&'static str, &'static str) {
    // A shape of its own for each, as not everybody sees colours.
    const CIRCLE: &str = "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z";
    match word {
        Word::Regressed => ("regressed", "m0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z"),
        Word::Improved => ("improved", "m0 -5l5 9h-10z"),
        Word::Changed => ("changed", "m-4 -4h8v8h-8z"),
        Word::ChangedSmall => ("small", "m-3 -3h6v6h-6z"),
        Word::NoChange => ("same", CIRCLE),
        Word::Inconclusive => ("open", "m0 -4v8m-4 -4h8"),
        Word::Invalid => ("invalid", CIRCLE),
    }
}

/// What is told of a comparison by whom points at it.
fn told(point: &Point<'_>) -> String {
    let entry = point.entry;
    let night = entry.at.strftime("%Y-%m-%d %H:%M UTC");
    let mut text = format!("{night}: {} against {}", entry.head.short(), entry.reference.short());
    if let Some(metric) = point.metric {
        if let Some(effect) = &metric.effect {
            text = format!("{text}, {}", change(effect, metric.kind));
        }
        text = format!("{text}, {}", worded(metric.verdict, metric.kind, metric.margin));
    } else {
        text = format!("{text}, {}", entry.outcome.word());
    }
    match (point.value(), entry.reasons.first()) {
        (None, Some(reason)) => format!("{text}: {reason}"),
        _ => text,
    }
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// Effects that no measurement has would leave no room for others.
fn drawn(point: &Point<'_>) -> Option<Effect> {
    let metric = point.metric?;
    let effect = metric.effect?;
    let scaled = |value: f64| factor(metric) * value.clamp(-100.0, 100.0);
    Some(Effect {
        estimate: scaled(effect.estimate),
        low: scaled(effect.low),
        high: scaled(effect.high),
        confidence: effect.confidence,
    })
}

impl<'s, 'a> Frame<'s, 'a> {
    fn of(series: &'s Series<'a>) -> Self {
        let first = series.points.len().saturating_sub(NIGHTS_MAX);
        let shown = &series.points[first..];
        let gaps = shown.windows(2).filter(|pair| pair[0].epoch != pair[1].epoch).count();
        let slots = shown.len() as f64 + gaps as f64 * GAP;
        let margin = factor(series.metric) * series.metric.margin.clamp(0.0, 100.0);
        let effects: Vec<Effect> = shown.iter().filter_map(drawn).collect();
        let least = effects.iter().map(|effect| effect.estimate).fold(-margin, f64::min);
        let most = effects.iter().map(|effect| effect.estimate).fold(margin, f64::max);
        let span = (most - least).max(0.1);
        // Intervals that are far wider than everything else go over the border.
        let low = effects.iter().map(|effect| effect.low).fold(least, f64::min).max(least - span / 2.0);
        let high = effects.iter().map(|effect| effect.high).fold(most, f64::max).min(most + span / 2.0);
        let room = 0.06 * (high - low).max(0.1);
        Self { series, first, slots, low: low - room, high: high + room }
    }

    /// The middle of a point's slot.
    fn x(&self, place: usize) -> f64 {
        let points = &self.series.points;
        let gaps = points[self.first..=place].windows(2).filter(|pair| pair[0].epoch != pair[1].epoch).count();
        let slot = (place - self.first) as f64 + gaps as f64 * GAP + 0.5;
        LEFT + slot * (WIDTH - LEFT - RIGHT) / self.slots.max(1.0)
    }

    /// What a night takes.
    fn slot(&self) -> f64 {
        (WIDTH - LEFT - RIGHT) / self.slots.max(1.0)
    }

    /// Where per cents or points stand; within the plot.
    fn y(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        HEIGHT - BOTTOM - share.clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }

    fn margin(&self) -> Markup {
        let margin = factor(self.series.metric) * self.series.metric.margin;
        let (top, foot) = (self.y(margin), self.y(-margin));
        html! {
            @if margin > 0.0 { rect .margin x=(LEFT) y=(px(top)) width=(WIDTH - LEFT - RIGHT) height=(px(foot - top)) {} }
        }
    }

    /// The commits at the axis: as many as there is room for, the last among them.
    fn commits(&self) -> Vec<(f64, String)> {
        let half = HASH as f64 * LETTER / 2.0;
        let mut free = f64::INFINITY;
        let mut kept = Vec::new();
        for place in (self.first..self.series.points.len()).rev() {
            let at = self.x(place).min(WIDTH - half - 3.0);
            if at + half <= free {
                free = at - half - LETTER;
                let head = &self.series.points[place].entry.head;
                let label: String = head.commit.as_ref().unwrap_or(&head.programs).chars().take(HASH).collect();
                kept.push((at, label));
            }
        }
        kept
    }

    /// The ranges within which a change probably came, and the levels around it.
    fn changes(&self) -> Markup {
        let changes = &self.series.changes;
        let level = |from: usize, to: usize, value: f64| {
            let from = from.max(self.first);
            (from <= to).then(|| (self.x(from), self.x(to), self.y(factor(self.series.metric) * value)))
        };
        let mut levels = Vec::new();
        for (number, change) in changes.iter().enumerate() {
            let [_, at, _] = change.places;
            let epoch = self.series.points[at].epoch;
            let same = |other: usize| self.series.points[other].epoch == epoch;
            let before = changes[..number].last().map(|other| other.places[1]).filter(|other| same(*other));
            let points = &self.series.points;
            let from = before.unwrap_or_else(|| points.partition_point(|point| point.epoch < epoch));
            levels.extend(level(from, at - 1, change.before));
            // The level after the last one is that until the end of the epoch.
            if !changes.get(number + 1).is_some_and(|next| same(next.places[1])) {
                levels.extend(level(at, points.partition_point(|point| point.epoch <= epoch) - 1, change.after));
            }
        }
        let ranges = changes.iter().filter(|change| change.places[2] >= self.first).map(|change| {
            let [before, _, after] = change.places;
            let (from, to) = (self.x(before.max(self.first)), self.x(after));
            (from, to - from, change.sentence())
        });
        html! {
            @for (from, width, told) in ranges {
                rect .change x=(px(from)) y=(TOP) width=(px(width)) height=(HEIGHT - TOP - BOTTOM) { title { (told) } }
            }
            @for (from, to, y) in levels {
                line .level x1=(px(from - self.slot() / 2.0)) x2=(px(to + self.slot() / 2.0)) y1=(px(y)) y2=(px(y)) {}
            }
        }
    }

    /// A line where an epoch begins, with its number, and where there is room with what became another.
    fn epochs(&self, group: &Group<'_>) -> Markup {
        let points = &self.series.points;
        let begins = (self.first + 1..points.len()).filter(|place| points[*place].epoch != points[place - 1].epoch);
        let begins: Vec<(f64, usize)> =
            begins.map(|place| (f64::midpoint(self.x(place - 1), self.x(place)), points[place].epoch)).collect();
        html! {
            @for (index, (at, epoch)) in begins.iter().enumerate() {
                @let until = begins.get(index + 1).map_or(WIDTH, |next| next.0);
                @let what: Vec<&str> = group.epochs[*epoch].differs.iter().map(|differs| differs.what).collect();
                @let long = format!("{}: {}", epoch + 1, what.join(", "));
                @let fits = at + long.chars().count() as f64 * LETTER < until;
                line .epoch x1=(px(*at)) x2=(px(*at)) y1=(TOP - 16.0) y2=(HEIGHT - BOTTOM) {}
                text x=(px(at + 3.0)) y=(TOP - 7.0) { @if fits { (long) } @else { (epoch + 1) } }
            }
        }
    }

    /// A comparison: its interval and its mark; at the foot, where it says nothing of the metric.
    fn point(&self, place: usize) -> Markup {
        let point = &self.series.points[place];
        let at = self.x(place);
        let word = point.metric.map_or(Word::Invalid, |metric| metric.verdict);
        let (class, mark) = look(word);
        let effect = drawn(point);
        let y = effect.map_or(HEIGHT - BOTTOM - 6.0, |effect| self.y(effect.estimate));
        html! {
            g .night.(class) {
                title { (told(point)) }
                rect .hit x=(px(at - self.slot() / 2.0)) y=(TOP) width=(px(self.slot())) height=(HEIGHT - TOP - BOTTOM) {}
                @if let Some(effect) = effect { path .whisker d=(format!("M{at:.1} {:.1}V{:.1}", self.y(effect.low), self.y(effect.high))) {} }
                path .sign d=(format!("M{at:.1} {y:.1}{mark}")) {}
            }
        }
    }
}
