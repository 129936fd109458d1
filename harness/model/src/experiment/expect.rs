//! `expect`: bounds on metrics of arms, and trends of metrics over the matrix.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    diagnostic::{Report, Span},
    experiment::limit::{self, Limit},
    plan::{Bound, Coordinates, Direction, Expectation, Slack, Trend},
    shape::expect::{BOUND, EXPECTATION},
    yaml::{Node, Value, shorten},
};

/// What is expected of one metric of one arm, or of all.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expected {
    pub(crate) arm: Option<String>,
    metric: &'static str,
    what: What,
    /// Where its metric's value stands.
    pub(crate) span: Span,
}

/// What it must be.
#[derive(Debug, Clone, PartialEq)]
enum What {
    /// Within bounds, perhaps against another arm.
    Within { at_least: Option<Limit>, at_most: Option<Limit>, against: Option<(Against, String)> },
    /// Going somewhere over this path of the matrix.
    Trend { over: String, trend: Direction, slack: Limit },
}

/// How the bounds are against the other arm's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Against {
    Multiple,
    Difference,
}

/// An arm, as expectations see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Which<'a> {
    pub(crate) name: &'a str,
    /// Which of `arms` it comes from, where a matrix made several of it.
    pub(crate) base: Option<&'a str>,
    pub(crate) matrix: &'a Coordinates,
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

/// What expectations may speak of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// Names of arms, and of those that the matrix made several of.
    pub(crate) arms: &'a [&'a str],
    /// Paths of the matrix, as it is written; nothing if it cannot be read.
    pub(crate) paths: Option<&'a [&'a str]>,
}

impl Expected {
    /// Whether it is about this arm. No arm is compared with itself.
    pub(crate) fn concerns(&self, arm: &Which<'_>) -> bool {
        let named = self.arm.as_deref().is_none_or(|name| arm.is(name));
        named
            && match &self.what {
                What::Within { .. } => self.other(arm).as_deref() != Some(arm.name),
                What::Trend { over, .. } => arm.matrix.get(over).is_some(),
            }
    }

    /// The arm that it compares this one with.
    pub(crate) fn other(&self, arm: &Which<'_>) -> Option<String> {
        match &self.what {
            What::Within { against: Some((_, of)), .. } => Some(arm.counterpart(of)),
            _ => None,
        }
    }

    /// The bound in numbers, for a plan of this arm with so many downloads; none if it is a trend.
    pub(crate) fn resolve(&self, arm: &Which<'_>, downloads: usize) -> Option<Expectation> {
        let What::Within { at_least, at_most, against } = &self.what else { return None };
        let number = |limit: Limit| limit.of_planned(downloads);
        let bound = Bound { at_least: at_least.map(number), at_most: at_most.map(number) };
        let other = |wanted: Against| {
            let (how, of) = against.as_ref()?;
            (*how == wanted).then(|| arm.counterpart(of))
        };
        let (of, minus) = (other(Against::Multiple), other(Against::Difference));
        Some(Expectation { metric: self.full_metric(), bound, of, minus })
    }

    /// The trend; none if it is a bound.
    pub(crate) fn trend(&self) -> Option<Trend> {
        let What::Trend { over, trend, slack } = &self.what else { return None };
        let slack = match slack {
            Limit::Value(value) => Slack::Value(*value),
            Limit::Share(share) => Slack::OfLargest(*share),
        };
        Some(Trend { metric: self.full_metric(), over: over.clone(), trend: *trend, slack })
    }

    /// Warns of a trend over a path that has a single value.
    pub(crate) fn check_trend(&self, arms: &[Which<'_>], report: &mut Report) {
        let What::Trend { over, .. } = &self.what else { return };
        let concerned = arms.iter().filter(|arm| self.concerns(arm));
        let values: BTreeSet<&str> = concerned.filter_map(|arm| arm.matrix.get(over)).collect();
        if let (Some(value), 1) = (values.first(), values.len()) {
            let message = format!("a trend needs two values, and `{}` has `{value}` alone", shorten(over));
            report
                .warning(self.span, message)
                .help("give the matrix more values of it, or write a bound without `over`");
        }
    }

    fn full_metric(&self) -> String {
        full_metric(self.metric)
    }
}

/// The key of `summary.json`.
pub(crate) fn full_metric(name: &str) -> String {
    if name == "peer_efficiency" { "peer_efficiency.bytes" } else { name }.to_owned()
}

/// Reads the list.
pub(crate) fn decode(node: &Node, known: Known<'_>, report: &mut Report) -> Vec<Expected> {
    let items: &[Arc<Node>] = report.bounded_list(node, "expectations", (0, 1_000)).unwrap_or_default();
    items.iter().flat_map(|node| decode_one(node, known, report)).collect()
}

fn decode_one(node: &Node, known: Known<'_>, report: &mut Report) -> Vec<Expected> {
    let Some(fields) = report.map(node, &EXPECTATION) else { return Vec::new() };
    let over = match fields.get("over") {
        None => None,
        Some(node) => match read_path(node, known, report) {
            None => return Vec::new(),
            over => over,
        },
    };
    let arm = match fields.get("arm") {
        None => None,
        Some(node) => match read_arm(node, known, report) {
            None => return Vec::new(),
            Some(arm) if over.is_some() && arm.contains('=') => {
                let message = format!("a trend is of several arms, and `{}` is one", shorten(&arm));
                report.error(node.span, message).help("name one of `arms`, or none for all of them");
                return Vec::new();
            }
            arm => arm,
        },
    };
    let mut found = Vec::new();
    for (metric, node) in fields.given().filter(|(key, _)| !matches!(*key, "arm" | "over")) {
        let what = match &over {
            Some(over) => read_trend(node, metric, over, report),
            None => read_bound(node, metric, arm.as_deref(), known, report),
        };
        found.extend(what.map(|what| Expected { arm: arm.clone(), metric, what, span: node.span }));
    }
    // An unknown key was meant to be a metric.
    let whose = |entry: &crate::yaml::Entry| matches!(entry.key.as_str(), "arm" | "over");
    if matches!(&node.value, Value::Map(entries) if entries.iter().all(whose)) {
        report.error(node.span, "this expectation expects nothing").help("write `peer_efficiency: {at_least: 50%}`");
    }
    found
}

/// The name of one of the arms; one that there is not is noted and given all the same.
pub(crate) fn read_arm(node: &Node, known: Known<'_>, report: &mut Report) -> Option<String> {
    let name = report.arm_name(node)?;
    if !known.arms.contains(&name.value.as_str()) && !known.arms.is_empty() {
        report.dangling("arm", &name.value, name.span, known.arms.iter().copied());
    }
    Some(name.value)
}

/// A path of the matrix.
fn read_path(node: &Node, known: Known<'_>, report: &mut Report) -> Option<String> {
    let path = report.text(node)?;
    // What is wrong with the matrix has been said.
    let Some(paths) = known.paths else { return Some(path) };
    if paths.is_empty() {
        report.error(node.span, "there is no `matrix`, so that nothing is over it").help("leave `over` out");
        return None;
    }
    if !paths.contains(&path.as_str()) {
        report.dangling("path of the matrix", &path, node.span, paths.iter().copied());
        return None;
    }
    Some(path)
}

fn read_trend(node: &Node, metric: &str, over: &str, report: &mut Report) -> Option<What> {
    let fields = report.map(node, &BOUND)?;
    if let Some((key, node)) = fields.given().find(|(key, _)| !matches!(*key, "trend" | "slack")) {
        report
            .error(node.span, format!("a trend has no `{key}`"))
            .help("with `over` write `{trend: rising, slack: 2%}`; bounds are expected without `over`");
        return None;
    }
    let Some(word) = fields.get("trend") else {
        report.error(node.span, "with `over` a trend is expected").help("write `{trend: rising}`");
        return None;
    };
    let words = [("rising", Direction::Rising), ("falling", Direction::Falling), ("flat", Direction::Flat)];
    let trend = report.word(word, &words);
    let slack = fields.get("slack").map_or(Some(Limit::Value(0.0)), |node| limit::read_slack(node, metric, report));
    let (trend, slack) = (trend?, slack?);
    if trend == Direction::Flat && fields.get("slack").is_none() {
        report.error(node.span, "nothing that is measured is flat to the last digit").help("say how flat: `slack: 5%`");
        return None;
    }
    Some(What::Trend { over: over.to_owned(), trend, slack })
}

fn read_bound(node: &Node, metric: &str, arm: Option<&str>, known: Known<'_>, report: &mut Report) -> Option<What> {
    let fields = report.map(node, &BOUND)?;
    if let Some((key, node)) = fields.given().find(|(key, _)| matches!(*key, "trend" | "slack")) {
        report
            .error(node.span, format!("`{key}` is over a path of the matrix, and none is named"))
            .help("write `over: PATH` beside the metric");
        return None;
    }
    let against = match (fields.get("of"), fields.get("minus")) {
        (None, None) => None,
        (Some(_), Some(minus)) => {
            report.error(minus.span, "a bound is a multiple or a difference, not both").help("remove one of the two");
            return None;
        }
        (Some(node), None) => Some((Against::Multiple, node, read_arm(node, known, report)?)),
        (None, Some(node)) => Some((Against::Difference, node, read_arm(node, known, report)?)),
    };
    if let Some((_, node, of)) = &against {
        let made_of =
            |name: &str| name.strip_prefix(of.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('+'));
        let itself = arm.is_some_and(made_of);
        let alone = arm.is_none() && known.arms.iter().all(|name| made_of(name));
        if itself || alone {
            let message = if itself { "an arm cannot be compared with itself" } else { "there is no arm to compare" };
            report.error(node.span, message).help("name another arm");
        }
    }
    let how = against.as_ref().map(|(how, ..)| *how);
    let mut limit = |node: &Node| match how {
        None => limit::read(node, metric, report),
        Some(Against::Multiple) => limit::read_multiple(node, report),
        Some(Against::Difference) => limit::read_difference(node, metric, report),
    };
    let ends = (fields.get("at_least"), fields.get("at_most"), fields.get("within"));
    let (at_least, at_most) = match ends {
        (None, None, None) => {
            report.error(node.span, "a bound needs `at_least`, `at_most` or `within`").help("write `{at_least: 50%}`");
            return None;
        }
        (None, None, Some(within)) => match &within.value {
            Value::List(both) if both.len() == 2 => {
                let (least, most) = (limit(&both[0]), limit(&both[1]));
                (Some(least?), Some(most?))
            }
            _ => {
                let message = format!("expected the two ends of an interval, found {}", within.describe());
                report.error(within.span, message).help("write `within: [40%, 60%]`");
                return None;
            }
        },
        (_, _, Some(within)) => {
            report.error(within.span, "`within` says both ends").help("remove `at_least` and `at_most`, or `within`");
            return None;
        }
        (least, most, None) => {
            let (least, most) = (least.map(|node| limit(node)), most.map(|node| limit(node)));
            if matches!((least, most), (Some(None), _) | (_, Some(None))) {
                return None;
            }
            (least.flatten(), most.flatten())
        }
    };
    if let (Some(Limit::Share(_)), Some(Limit::Value(_))) | (Some(Limit::Value(_)), Some(Limit::Share(_))) =
        (at_least, at_most)
    {
        report
            .error(node.span, "one end is a share of the planned downloads, the other a number of them")
            .help("write both as shares, or both as numbers: `[90%, 100%]`, `[18, 20]`");
        return None;
    }
    if let (Some(low), Some(high)) = (at_least, at_most)
        && low.number() > high.number()
    {
        report.error(node.span, "nothing is at least this and at most that").help("exchange the two values");
        return None;
    }
    Some(What::Within { at_least, at_most, against: against.map(|(how, _, of)| (how, of)) })
}
