//! `expect`: bounds on metrics of arms.

use std::sync::Arc;

use crate::{
    diagnostic::Report,
    plan::{Bound, Expectation},
    shape::expect::{BOUND, EXPECTATION},
    units,
    yaml::{Node, Value},
};

/// One bound on one metric of one arm, or of all.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expected {
    arm: Option<String>,
    metric: &'static str,
    at_least: Option<Limit>,
    at_most: Option<Limit>,
    /// The arm whose value these are multiples of.
    of: Option<String>,
}

/// An arm, as expectations see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Which<'a> {
    pub(crate) name: &'a str,
    /// Which of `arms` it comes from, where a matrix made several of it.
    pub(crate) base: Option<&'a str>,
}

impl Which<'_> {
    /// Whether it is called so, or comes from an arm that is.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name || self.base == Some(name)
    }

    /// The arm that is meant where this one is compared with another: of those that the matrix made of it, the one at the same
    /// place.
    fn counterpart(&self, of: &str) -> String {
        match self.base.and_then(|base| self.name.strip_prefix(base)) {
            // What the matrix makes has `=` in its name.
            Some(place) if !of.contains('=') => format!("{of}{place}"),
            _ => of.to_owned(),
        }
    }
}

/// What was read of one bound: at least, at most, and the arm that it is a multiple of.
type Read = (Option<Limit>, Option<Limit>, Option<String>);

/// One end of a bound.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Limit {
    /// In the metric's unit.
    Value(f64),
    /// A share of the downloads that the plan asks for.
    OfPlanned(f64),
}

/// What a metric's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Share,
    Speed,
    Bytes,
    Downloads,
    /// A quotient that may be above 1.
    Plain,
    Count,
}

impl Unit {
    fn of(metric: &str) -> Self {
        match metric.split('.').next() {
            Some("speed_mbps") => Unit::Speed,
            Some("bytes") => Unit::Bytes,
            Some("downloads") => Unit::Downloads,
            Some("fluid_bound") => Unit::Plain,
            Some("accounting" | "offences" | "rejected_pieces") => Unit::Count,
            _ => Unit::Share,
        }
    }
}

impl Expected {
    /// Whether it is about this arm. No arm is compared with itself.
    pub(crate) fn concerns(&self, arm: &Which<'_>) -> bool {
        self.arm.as_deref().is_none_or(|name| arm.is(name)) && self.other(arm).as_deref() != Some(arm.name)
    }

    /// The arm that it compares this one with.
    pub(crate) fn other(&self, arm: &Which<'_>) -> Option<String> {
        self.of.as_deref().map(|of| arm.counterpart(of))
    }

    /// The bound in numbers, for a plan of this arm with so many downloads.
    pub(crate) fn resolve(&self, arm: &Which<'_>, downloads: usize) -> Expectation {
        let number = |limit: Limit| match limit {
            Limit::Value(value) => value,
            Limit::OfPlanned(share) => (share * downloads as f64).ceil(),
        };
        let metric = if self.metric == "peer_efficiency" { "peer_efficiency.bytes" } else { self.metric };
        let bound = Bound { at_least: self.at_least.map(number), at_most: self.at_most.map(number) };
        Expectation { metric: metric.to_owned(), bound, of: self.other(arm) }
    }
}

/// Reads the list; `arms` are the names that it may speak of.
pub(crate) fn decode(node: &Node, arms: &[&str], report: &mut Report) -> Vec<Expected> {
    let items: &[Arc<Node>] = report.bounded_list(node, "expectations", (0, 1_000)).unwrap_or_default();
    items.iter().flat_map(|node| decode_one(node, arms, report)).collect()
}

fn decode_one(node: &Node, arms: &[&str], report: &mut Report) -> Vec<Expected> {
    let Some(fields) = report.map(node, &EXPECTATION) else { return Vec::new() };
    let arm = match fields.get("arm") {
        None => None,
        Some(node) => match read_arm(node, arms, report) {
            None => return Vec::new(),
            arm => arm,
        },
    };
    let mut found = Vec::new();
    for (metric, node) in fields.given().filter(|(key, _)| *key != "arm") {
        let Some((at_least, at_most, of)) = read_bound(node, metric, arms, report) else { continue };
        let made_of =
            |name: &str, of: &str| name.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('+'));
        let itself = of.as_deref().zip(arm.as_deref()).is_some_and(|(of, arm)| made_of(arm, of));
        let alone = arm.is_none() && of.as_deref().is_some_and(|of| arms.iter().all(|name| made_of(name, of)));
        if itself || alone {
            let message = if itself { "an arm cannot be compared with itself" } else { "there is no arm to compare" };
            report.error(node.span, message).help("name another arm in `of`");
        }
        found.push(Expected { arm: arm.clone(), metric, at_least, at_most, of });
    }
    // An unknown key was meant to be a metric.
    let nothing = matches!(&node.value, Value::Map(entries) if entries.iter().all(|entry| entry.key == "arm"));
    if nothing {
        report.error(node.span, "this expectation expects nothing").help("write `peer_efficiency: {at_least: 50%}`");
    }
    found
}

/// The name of one of the arms; one that there is not is noted and given all the same.
fn read_arm(node: &Node, arms: &[&str], report: &mut Report) -> Option<String> {
    let name = report.arm_name(node)?;
    if !arms.contains(&name.value.as_str()) && !arms.is_empty() {
        report.dangling("arm", &name.value, name.span, arms.iter().copied());
    }
    Some(name.value)
}

fn read_bound(node: &Node, metric: &str, arms: &[&str], report: &mut Report) -> Option<Read> {
    let fields = report.map(node, &BOUND)?;
    let of = match fields.get("of") {
        None => None,
        Some(node) => match read_arm(node, arms, report) {
            None => return None,
            arm => arm,
        },
    };
    let multiple = of.is_some();
    let mut limit = |key| fields.get(key).map(|node| read_limit(node, metric, multiple, report));
    let (at_least, at_most) = (limit("at_least"), limit("at_most"));
    match (at_least, at_most) {
        (None, None) => {
            report.error(node.span, "a bound needs `at_least` or `at_most`").help("write `{at_least: 50%}`");
            None
        }
        (Some(None), _) | (_, Some(None)) => None,
        (least, most) => {
            let (least, most) = (least.flatten(), most.flatten());
            let value = |limit: Option<Limit>| match limit {
                Some(Limit::Value(value) | Limit::OfPlanned(value)) => Some(value),
                None => None,
            };
            if let (Some(low), Some(high)) = (value(least), value(most))
                && low > high
            {
                report.error(node.span, "nothing is at least this and at most that").help("exchange the two values");
                return None;
            }
            Some((least, most, of))
        }
    }
}

fn read_limit(node: &Node, metric: &str, multiple: bool, report: &mut Report) -> Option<Limit> {
    if multiple {
        let forms = "how many times the other arm's value, for example `0.95`";
        return report.number_or(node, (0.0, 1e6), forms).map(Limit::Value);
    }
    let ends = |end: &str| matches!(&node.value, Value::Scalar { text, .. } if text.ends_with(end));
    match Unit::of(metric) {
        Unit::Share if ends("%") => report.share(node).map(|share| Limit::Value(share.get())),
        Unit::Share => {
            report.number_or(node, (0.0, 1.0), "a share as `30%`, or as a number from 0 to 1").map(Limit::Value)
        }
        Unit::Downloads if ends("%") => report.share(node).map(|share| Limit::OfPlanned(share.get())),
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
        Unit::Bytes if ends("B") => report.size(node, (0, 1 << 50)).map(|bytes| Limit::Value(bytes as f64)),
        Unit::Bytes => {
            report.number_or(node, (0.0, 1e15), "a size as `64MiB`, or as bytes without unit").map(Limit::Value)
        }
    }
}
