//! Values that metrics are held against, each in the metric's unit.

use std::time::Duration;

use crate::{
    diagnostic::Report,
    limits, units,
    yaml::{Node, Value},
};

/// One end of a bound, or a tolerance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    /// In the metric's unit.
    Value(f64),
    /// A share: of the downloads that the plan asks for, or for a tolerance of the largest value.
    Share(f64),
}

impl Limit {
    /// The number in it, to compare limits of one kind.
    pub(crate) fn number(self) -> f64 {
        match self {
            Limit::Value(value) | Limit::Share(value) => value,
        }
    }

    /// In the metric's unit, for a plan with so many downloads.
    pub(crate) fn of_planned(self, downloads: usize) -> f64 {
        match self {
            Limit::Value(value) => value,
            Limit::Share(share) => (share * downloads as f64).ceil(),
        }
    }
}

/// What a metric's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Share,
    Speed,
    Millis,
    Bytes,
    Downloads,
    /// A quotient that may be above 1, a mean of counts.
    Plain,
    Count,
}

impl Unit {
    fn of(metric: &str) -> Self {
        let (first, rest) = metric.split_once('.').unwrap_or((metric, ""));
        match first {
            "bytes" => Unit::Bytes,
            "downloads" => Unit::Downloads,
            "as" if rest == "heavy" => Unit::Count,
            "providers" | "places" | "pause_by_size" => Unit::Share,
            "accounting" | "offences" | "rejected_pieces" | "requests" | "packets" | "moves" | "stalls"
            | "control_refusals" => Unit::Count,
            _ if first.ends_with("_mbps") => Unit::Speed,
            _ if first.ends_with("_ms") => Unit::Millis,
            _ if first.starts_with("peer_efficiency")
                || first.ends_with("_rate")
                || rest.ends_with("share")
                || rest.ends_with("symmetry") =>
            {
                Unit::Share
            }
            _ => Unit::Plain,
        }
    }
}

/// Reads a value of a metric.
pub(crate) fn read(node: &Node, metric: &str, report: &mut Report) -> Option<Limit> {
    let ends = |end: &str| matches!(&node.value, Value::Scalar { text, .. } if text.ends_with(end));
    match Unit::of(metric) {
        Unit::Share if ends("%") => report.share(node).map(|share| Limit::Value(share.get())),
        Unit::Share => {
            report.number_or(node, (0.0, 1.0), "a share as `30%`, or as a number from 0 to 1").map(Limit::Value)
        }
        Unit::Downloads if ends("%") => report.share(node).map(|share| Limit::Share(share.get())),
        Unit::Downloads | Unit::Count => {
            report.whole(node, 0, u64::from(u32::MAX)).map(|value| Limit::Value(value as f64))
        }
        Unit::Plain => report.number_or(node, (0.0, 1e6), "a number such as `1.15`").map(Limit::Value),
        Unit::Speed if ends("bit") => report
            .scalar(node, "a rate such as `10mbit`", units::rate)
            .map(|rate| Limit::Value(rate.bps() as f64 / 1e6)),
        Unit::Speed => {
            report.number_or(node, (0.0, 1e6), "a rate as `10mbit`, or as Mbit/s from 0 to 1000000").map(Limit::Value)
        }
        Unit::Millis if ends("s") => {
            let range = (Duration::ZERO, limits::DURATION.1);
            report.time(node, range).map(|time| Limit::Value(time.as_secs_f64() * 1e3))
        }
        Unit::Millis => {
            report.number_or(node, (0.0, 1e9), "a time as `20ms`, or as milliseconds without unit").map(Limit::Value)
        }
        Unit::Bytes if ends("B") => report.size(node, (0, 1 << 50)).map(|bytes| Limit::Value(bytes as f64)),
        Unit::Bytes => {
            report.number_or(node, (0.0, 1e15), "a size as `64MiB`, or as bytes without unit").map(Limit::Value)
        }
    }
}

/// Reads how many times another value it is.
pub(crate) fn read_multiple(node: &Node, report: &mut Report) -> Option<Limit> {
    report.number_or(node, (0.0, 1e6), "how many times the other arm's value, for example `0.95`").map(Limit::Value)
}

/// Reads a difference of two values: as a value, which may have a `-` before it. Shares of downloads are of those planned.
pub(crate) fn read_difference(node: &Node, metric: &str, report: &mut Report) -> Option<Limit> {
    match &node.value {
        Value::Scalar { text, .. } if text.starts_with('-') => {
            let (text, plain) = (text[1..].to_owned(), true);
            let positive = Node::new(node.span, Value::Scalar { text, plain });
            read(&positive, metric, report).map(|limit| match limit {
                Limit::Value(value) => Limit::Value(-value),
                Limit::Share(share) => Limit::Share(-share),
            })
        }
        _ => read(node, metric, report),
    }
}

/// Reads how far a trend may go the other way: a value, or a percentage of the largest one.
pub(crate) fn read_slack(node: &Node, metric: &str, report: &mut Report) -> Option<Limit> {
    let share = matches!(&node.value, Value::Scalar { text, .. } if text.ends_with('%'));
    if share && Unit::of(metric) != Unit::Share {
        return report.share(node).map(|share| Limit::Share(share.get()));
    }
    read(node, metric, report)
}
