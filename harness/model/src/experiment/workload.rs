//! `workload`: who asks for what, and when.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use peerbed_link::Probability;

use crate::{
    diagnostic::{Report, Span},
    experiment::{Arrivals, Daily, Patience, Workload, users},
    limits,
    read::Fields,
    shape::{
        users::DAILY,
        workload::{ARRIVALS, PATIENCE, POPULARITY, WORKLOAD},
    },
    units,
    yaml::{Node, Value},
};

/// What a workload's names can refer to.
pub(crate) struct Known<'a> {
    pub(crate) groups: Names<'a>,
    pub(crate) content: Names<'a>,
    pub(crate) duration: Duration,
}

/// The names of one list.
pub(crate) struct Names<'a> {
    kind: &'static str,
    /// In the order of the file.
    list: Vec<&'a str>,
    /// The first index of each.
    index: BTreeMap<&'a str, usize>,
    /// Some could not be read: a name that is not there may be one of those.
    partial: bool,
}

impl<'a> Names<'a> {
    /// The names of a list of which some may be `partial`ly read.
    pub(crate) fn new(kind: &'static str, list: Vec<&'a str>, partial: bool) -> Self {
        let index = list.iter().enumerate().rev().map(|(index, name)| (*name, index)).collect();
        Self { kind, list, index, partial }
    }

    /// The index of the name that a value gives.
    pub(crate) fn find(&self, name: &str, span: Span, report: &mut Report) -> Option<usize> {
        let found = self.index.get(name).copied();
        if found.is_none() && !self.partial {
            report.dangling(self.kind, name, span, self.list.iter().copied());
        }
        found
    }

    /// The indexes that a list of names gives, each once.
    fn find_all(&self, node: &Node, report: &mut Report) -> Option<Vec<usize>> {
        let items = report.bounded_list(node, &format!("{} names", self.kind), (1, limits::CONTENTS))?;
        let mut indexes = Vec::new();
        let mut seen = BTreeSet::new();
        for node in items {
            let Some(name) = report.name(node, 63) else { continue };
            let Some(index) = self.find(&name.value, name.span, report) else { continue };
            if seen.insert(index) {
                indexes.push(index);
            } else {
                report
                    .error(name.span, format!("`{}` stands twice in this list", name.value))
                    .help("remove one of them");
            }
        }
        Some(indexes)
    }
}

/// Reads one workload or a list of them.
pub(crate) fn decode(node: &Node, known: &Known<'_>, report: &mut Report) -> Vec<Workload> {
    let Value::List(_) = &node.value else {
        return read(node, 0, known, report).into_iter().collect();
    };
    let items: &[Arc<Node>] = report.bounded_list(node, "workloads", (0, limits::WORKLOADS)).unwrap_or_default();
    let workloads: Vec<Workload> =
        items.iter().enumerate().filter_map(|(index, node)| read(node, index, known, report)).collect();
    for (index, workload) in workloads.iter().enumerate() {
        if workloads[..index].iter().any(|other| other.label == workload.label) {
            let message = format!("two workloads are named `{}`", workload.label);
            report.error(workload.span, message).help("rename one of them: names are what their draws come from");
        }
    }
    workloads
}

fn read(node: &Node, index: usize, known: &Known<'_>, report: &mut Report) -> Option<Workload> {
    let fields = report.map(node, &WORKLOAD)?;
    let label = match fields.get("name") {
        Some(node) => report.name(node, 63).map(|name| name.value),
        None => Some(index.to_string()),
    };
    let all = |names: &Names<'_>| Some((0..names.list.len()).collect());
    let groups = fields.get("groups").map_or_else(|| all(&known.groups), |node| known.groups.find_all(node, report));
    let content =
        fields.get("content").map_or_else(|| all(&known.content), |node| known.content.find_all(node, report));
    let arrivals = fields.get("arrivals").and_then(|node| read_arrivals(node, known.duration, report));
    let zipf = fields.get("popularity").map_or(Some(0.0), |node| read_popularity(node, report));
    let patience = fields.get("patience").map(|node| read_patience(node, report));
    let patience = match patience {
        Some(read) => Some(read?),
        None => None,
    };
    let mut groups = groups?;
    groups.sort_unstable();
    Some(Workload {
        label: label?,
        span: node.span,
        groups,
        content: content?,
        arrivals: arrivals?,
        zipf: zipf?,
        patience,
    })
}

fn read_popularity(node: &Node, report: &mut Report) -> Option<f64> {
    if matches!(node.value, Value::Scalar { .. }) {
        return report.word_or(node, &[("uniform", 0.0)], "`{zipf: 0.8}` with the exponent of Zipf's law");
    }
    let fields = report.map(node, &POPULARITY)?;
    report.number(fields.get("zipf")?, 0.0, 10.0)
}

fn read_patience(node: &Node, report: &mut Report) -> Option<Patience> {
    let fields = report.map(node, &PATIENCE)?;
    let hazard = fields.get("hazard").and_then(|node| report.per_second(node));
    let resume = fields.get("resume").map_or(Some(Probability::ZERO), |node| report.share(node));
    let range = (Duration::from_millis(1), limits::DURATION.1);
    let pause = fields.get("pause").map_or(Some(Duration::from_secs(5)), |node| report.time(node, range));
    let abort = fields.get("abort").map_or(Some(Probability::ZERO), |node| report.share(node));
    Some(Patience { hazard: hazard?, resume: resume?, pause: pause?, abort: abort? })
}

fn read_arrivals(node: &Node, duration: Duration, report: &mut Report) -> Option<Arrivals> {
    let fields = report.map(node, &ARRIVALS)?;
    let has = |key| fields.get(key).is_some();
    match (has("poisson"), has("burst"), has("at")) {
        (true, false, false) => {
            refuse(&fields, &["within"], "poisson", report);
            poisson(&fields, duration, report)
        }
        (false, true, _) => {
            refuse(&fields, &["from", "until", "daily"], "burst", report);
            burst(&fields, duration, report)
        }
        (false, false, true) => {
            refuse(&fields, &["from", "until", "within", "daily"], "at", report);
            at(fields.get("at")?, duration, report)
        }
        _ => {
            let finding = report.error(node.span, "arrivals need exactly one of `poisson`, `burst` and `at` alone");
            finding.help("write `poisson: 0.5/s`, `burst: 30, at: 1s, within: 8s`, `burst: all`, or `at: [1s, 2s]`");
            None
        }
    }
}

fn refuse(fields: &Fields<'_>, keys: &[&'static str], with: &str, report: &mut Report) {
    for key in keys {
        if let Some(node) = fields.get(key) {
            report.error(node.span, format!("`{key}` has no meaning with `{with}`")).help("remove it");
        }
    }
}

/// A moment within the run.
fn moment(node: &Node, duration: Duration, report: &mut Report) -> Option<Duration> {
    let moment = report.time(node, (Duration::ZERO, limits::DURATION.1))?;
    if moment > duration {
        late(node.span, moment, duration, report);
        return None;
    }
    Some(moment)
}

/// Notes a moment after the run's end.
pub(crate) fn late(span: Span, moment: Duration, duration: Duration, report: &mut Report) {
    let (moment, end) = (units::show_time(moment), units::show_time(duration));
    let message = format!("{moment} is after the run's end at {end}");
    report.error(span, message).help("make `duration` longer, or this earlier");
}

fn poisson(fields: &Fields<'_>, duration: Duration, report: &mut Report) -> Option<Arrivals> {
    let rate = fields.get("poisson").and_then(|node| report.per_second(node));
    let from = fields.get("from").map_or(Some(Duration::ZERO), |node| moment(node, duration, report));
    let until = fields.get("until").map_or(Some(duration), |node| moment(node, duration, report));
    let daily = fields.get("daily").map_or(Some(None), |node| read_daily(node, report).map(Some));
    let (rate, from, until, daily) = (rate?, from?, until?, daily?);
    if rate <= 0.0 {
        report.error(fields.span_of("poisson"), "a rate of zero asks for nothing").help("leave the workload out");
        return None;
    }
    let Some(length) = until.checked_sub(from).filter(|length| !length.is_zero()) else {
        report.error(fields.span_of("from"), "`from` is not before `until`").help("give the process some time");
        return None;
    };
    Some(Arrivals::Poisson { rate, from, length, daily })
}

fn read_daily(node: &Node, report: &mut Report) -> Option<Daily> {
    let fields = report.map(node, &DAILY)?;
    let period = fields.get("period").and_then(|node| report.time(node, users::PERIOD));
    let trough = fields.get("trough").and_then(|node| report.share(node));
    Some(Daily { period: period?, trough: trough? })
}

fn burst(fields: &Fields<'_>, duration: Duration, report: &mut Report) -> Option<Arrivals> {
    let node = fields.get("burst")?;
    let all = matches!(&node.value, Value::Scalar { text, .. } if text.starts_with(|c: char| c.is_alphabetic()));
    let count = if all {
        report.word_or(node, &[("all", None)], "a whole number")
    } else {
        report.whole(node, 1, limits::DOWNLOADS).map(Some)
    };
    let at = fields.get("at").map_or(Some(Duration::ZERO), |node| moment(node, duration, report));
    let within = fields.get("within").map_or(Some(Duration::ZERO), |node| moment(node, duration, report));
    let (at, within) = (at?, within?);
    if at + within > duration {
        late(fields.span_of("within"), at + within, duration, report);
        return None;
    }
    Some(match count? {
        Some(count) => Arrivals::Burst { count, at, within },
        None => Arrivals::Everyone { at, within },
    })
}

fn at(node: &Node, duration: Duration, report: &mut Report) -> Option<Arrivals> {
    if let Value::List(_) = &node.value {
        let items = report.bounded_list(node, "moments", (1, limits::DOWNLOADS as usize))?;
        let moments: Vec<Option<Duration>> = items.iter().map(|node| moment(node, duration, report)).collect();
        let mut moments: Vec<Duration> = moments.into_iter().collect::<Option<_>>()?;
        moments.sort_unstable();
        return Some(Arrivals::At(moments));
    }
    Some(Arrivals::At(vec![moment(node, duration, report)?]))
}
