//! `policy`: what the system does, defaults filled in, and how each value is recorded.

use std::{collections::BTreeMap, time::Duration};

use peerbed_contract::{Constants, EdgeLimits, EdgeMode, Filters, Strategy};
use peerbed_link::{Bandwidth, Probability};

use crate::{
    diagnostic::Report,
    experiment::{
        CacheSize, Cap, Policy, constants,
        control::{self, ControlPolicy, FLAGS},
    },
    limits,
    plan::Setting,
    read::Fields,
    shape::{
        Shape,
        policy::{CACHE, DOWNLOADS, EDGE, POLICY, SELECTION, UPLOADS},
    },
    units,
    yaml::{Node, Value},
};

/// The words for the ways to divide a download between edge and peers.
pub(crate) const EDGE_MODES: [(&str, EdgeMode); 4] = [
    ("only", EdgeMode::Only),
    ("backstop", EdgeMode::Backstop),
    ("deficit", EdgeMode::Deficit),
    ("first", EdgeMode::First),
];

/// Every parameter of a policy with the default that the format documents: `policy.uploads.per_copy` → `5`.
pub fn default_parameters() -> BTreeMap<String, Setting> {
    Policy::documented().parameters()
}

impl Policy {
    /// The defaults that the format documents.
    pub(crate) fn documented() -> Self {
        Self {
            strategy: Strategy::Nested,
            max_returned: 40,
            diversity: Probability::new(0.1).expect("a share"),
            rotation: true,
            filters: Filters::default(),
            control: ControlPolicy::default(),
            per_copy: 5,
            connections: 8,
            waiting: 32,
            upload_rate: Cap::Share(Probability::new(0.8).expect("a share")),
            connection_rate: None,
            while_busy: Probability::ZERO,
            while_downloading: Probability::new(1.0).expect("a share"),
            back_off: Duration::from_secs(1),
            cache_time: limits::DURATION.1,
            cache_size: CacheSize::Unlimited,
            edge_mode: EdgeMode::Backstop,
            edge_target: Cap::Share(Probability::new(0.8).expect("a share")),
            token_lifetime: Duration::from_hours(24),
            edge_limits: EdgeLimits::default(),
            max_sources: 20,
            requery_below: Probability::new(1.0).expect("a share"),
            requery_every: Duration::from_secs(10),
            both_sides: true,
            constants: Constants::default(),
        }
    }

    /// Reads the map; what is missing or wrong has its default, and what is wrong is in the report.
    pub(crate) fn decode(node: &Node, report: &mut Report) -> Self {
        Self::decode_over(Self::documented(), node, report)
    }

    /// The same where what is missing is as in another policy.
    pub(crate) fn decode_over(mut policy: Self, node: &Node, report: &mut Report) -> Self {
        let Some(fields) = report.map(node, &POLICY) else { return policy };
        let section =
            |key, shape: &'static Shape, report: &mut Report| fields.get(key).and_then(|node| report.map(node, shape));
        if let Some(selection) = section("selection", &SELECTION, report) {
            let words = [("nested", Strategy::Nested), ("random", Strategy::Random), ("local", Strategy::Local)];
            set(&mut policy.strategy, &selection, "strategy", |node| report.word(node, &words));
            set(&mut policy.max_returned, &selection, "max_returned", |node| {
                report.whole(node, 0, 1_000).map(|value| value as u32)
            });
            set(&mut policy.diversity, &selection, "diversity", |node| report.share(node));
            set(&mut policy.rotation, &selection, "rotation", |node| report.word(node, &FLAGS));
            if let Some(node) = selection.get("filters") {
                policy.filters = control::filters(policy.filters, node, report);
            }
        }
        if let Some(node) = fields.get("control") {
            policy.control = ControlPolicy::decode_over(policy.control, node, report);
        }
        if let Some(uploads) = section("uploads", &UPLOADS, report) {
            set(&mut policy.per_copy, &uploads, "per_copy", |node| count(report, node, 1_000_000));
            set(&mut policy.connections, &uploads, "connections", |node| count(report, node, 1_000));
            set(&mut policy.waiting, &uploads, "waiting", |node| {
                report.whole(node, 0, 1_000).map(|value| value as u32)
            });
            set(&mut policy.upload_rate, &uploads, "rate", |node| {
                let nothing =
                    ("an upload rate of 0% uploads nothing", "to switch uploads off, give the group `uploads: 0%`");
                cap(node, nothing, "uplink", report)
            });
            let rate = |bandwidth: Bandwidth| bandwidth.mean();
            set(&mut policy.connection_rate, &uploads, "connection_rate", |node| report.bandwidth(node).map(rate));
            set(&mut policy.while_busy, &uploads, "while_busy", |node| report.share(node));
            set(&mut policy.while_downloading, &uploads, "while_downloading", |node| report.share(node));
            let range = (Duration::ZERO, Duration::from_hours(1));
            set(&mut policy.back_off, &uploads, "back_off", |node| report.time(node, range));
        }
        if let Some(cache) = section("cache", &CACHE, report) {
            let range = (Duration::from_millis(1), limits::DURATION.1);
            set(&mut policy.cache_time, &cache, "time", |node| report.time(node, range));
            set(&mut policy.cache_size, &cache, "size", |node| cache_size(node, report));
        }
        if let Some(edge) = section("edge", &EDGE, report) {
            set(&mut policy.edge_mode, &edge, "mode", |node| report.word(node, &EDGE_MODES));
            set(&mut policy.edge_target, &edge, "target_rate", |node| {
                cap(node, ("a target of 0% leaves everything to peers", "write `mode: backstop`"), "downlink", report)
            });
            if let Some(node) = edge.get("backstop") {
                constants::backstop(&mut policy.constants.backstop, node, report);
            }
            let range = (Duration::from_secs(1), limits::DURATION.1);
            set(&mut policy.token_lifetime, &edge, "token_lifetime", |node| report.time(node, range));
            let limits = &mut policy.edge_limits;
            if let Some(node) = edge.get("requests") {
                limit(node, |node| count(report, node, 1_000_000), &mut limits.requests);
            }
            if let Some(node) = edge.get("rate") {
                limit(node, |node| report.per_second(node), &mut limits.rate);
            }
            let range = (Duration::from_secs(1), Duration::from_mins(10));
            set(&mut limits.retry_after_ns, &edge, "retry_after", |node| {
                report.time(node, range).map(|time| time.as_nanos() as u64)
            });
        }
        if let Some(downloads) = section("downloads", &DOWNLOADS, report) {
            set(&mut policy.max_sources, &downloads, "max_sources", |node| count(report, node, 1_000));
            set(&mut policy.requery_below, &downloads, "requery_below", |node| report.share(node));
            let range = (Duration::from_millis(100), limits::DURATION.1);
            set(&mut policy.requery_every, &downloads, "requery_every", |node| report.time(node, range));
            set(&mut policy.both_sides, &downloads, "both_sides", |node| report.word(node, &FLAGS));
            constants::pieces(&mut policy.constants.pieces, &downloads, report);
        }
        if let Some(node) = fields.get("defences") {
            constants::defences(&mut policy.constants.defences, node, report);
            policy.control.limits.ban_ns = policy.constants.defences.ban_ns;
        }
        if let Some(node) = fields.get("waits") {
            constants::waits(&mut policy.constants.waits, node, report);
        }
        policy
    }

    /// Every value by its path.
    pub(crate) fn parameters(&self) -> BTreeMap<String, Setting> {
        let text = |text: &str| Setting::Text(text.to_owned());
        let whole = |value: u32| Setting::Number(f64::from(value));
        let strategy = match self.strategy {
            Strategy::Nested => "nested",
            Strategy::Random => "random",
            Strategy::Local => "local",
        };
        let mode = EDGE_MODES.iter().find(|(_, mode)| *mode == self.edge_mode).map_or("", |(word, _)| word);
        let cap = |cap: Cap| {
            Setting::Text(match cap {
                Cap::Share(share) => units::show_share(share.get()),
                Cap::Fixed(Some(rate)) => rate.to_string(),
                Cap::Fixed(None) => "unlimited".to_owned(),
            })
        };
        let connection_rate = self.connection_rate.map_or("unlimited".to_owned(), |rate| rate.to_string());
        let share = |share: Probability| Setting::Text(units::show_share(share.get()));
        let cache_size = self.cache_size.bytes().map_or("unlimited".to_owned(), units::show_size);
        let settings = [
            ("policy.selection.strategy", text(strategy)),
            ("policy.selection.max_returned", whole(self.max_returned)),
            ("policy.selection.diversity", Setting::Text(units::show_share(self.diversity.get()))),
            ("policy.selection.rotation", Setting::Flag(self.rotation)),
            ("policy.selection.filters.uploads_on", Setting::Flag(self.filters.uploads_on)),
            ("policy.selection.filters.free_slots", Setting::Flag(self.filters.free_slots)),
            ("policy.selection.filters.nat", Setting::Flag(self.filters.nat)),
            ("policy.uploads.per_copy", whole(self.per_copy)),
            ("policy.uploads.connections", whole(self.connections)),
            ("policy.uploads.waiting", whole(self.waiting)),
            ("policy.uploads.rate", cap(self.upload_rate)),
            ("policy.uploads.connection_rate", Setting::Text(connection_rate)),
            ("policy.uploads.while_busy", share(self.while_busy)),
            ("policy.uploads.while_downloading", share(self.while_downloading)),
            ("policy.uploads.back_off", Setting::Text(units::show_time(self.back_off))),
            ("policy.cache.time", Setting::Text(units::show_time(self.cache_time))),
            ("policy.cache.size", Setting::Text(cache_size)),
            ("policy.edge.mode", text(mode)),
            ("policy.edge.target_rate", cap(self.edge_target)),
            ("policy.edge.token_lifetime", Setting::Text(units::show_time(self.token_lifetime))),
            ("policy.edge.requests", self.edge_limits.requests.map_or_else(|| text("unlimited"), whole)),
            (
                "policy.edge.rate",
                self.edge_limits.rate.map_or_else(|| text("unlimited"), |rate| text(&format!("{rate}/s"))),
            ),
            ("policy.edge.retry_after", text(&units::show_time(Duration::from_nanos(self.edge_limits.retry_after_ns)))),
            ("policy.downloads.max_sources", whole(self.max_sources)),
            ("policy.downloads.requery_below", Setting::Text(units::show_share(self.requery_below.get()))),
            ("policy.downloads.requery_every", Setting::Text(units::show_time(self.requery_every))),
            ("policy.downloads.both_sides", Setting::Flag(self.both_sides)),
        ];
        let own = settings.into_iter().map(|(path, setting)| (path.to_owned(), setting));
        own.chain(self.control.parameters()).chain(constants::parameters(&self.constants)).collect()
    }
}

pub(super) fn set<T>(value: &mut T, fields: &Fields<'_>, key: &'static str, read: impl FnOnce(&Node) -> Option<T>) {
    if let Some(found) = fields.get(key).and_then(|node| read(node)) {
        *value = found;
    }
}

const UNLIMITED: &str = "unlimited";

fn is_unlimited(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar { text, .. } if text == UNLIMITED)
}

/// A number, unless the value is `unlimited`.
fn limit<T>(node: &Node, read: impl FnOnce(&Node) -> Option<T>, limit: &mut Option<T>) {
    if is_unlimited(node) {
        *limit = None;
    } else if let Some(value) = read(node) {
        *limit = Some(value);
    }
}

pub(super) fn count(report: &mut Report, node: &Node, most: u64) -> Option<u32> {
    report.whole(node, 1, most).map(|value| value as u32)
}

fn cache_size(node: &Node, report: &mut Report) -> Option<CacheSize> {
    if matches!(&node.value, Value::Scalar { text, .. } if text.starts_with(char::is_alphabetic)) {
        return report.word_or(node, &[("unlimited", CacheSize::Unlimited)], "a size such as `1GiB`");
    }
    report.size(node, limits::SIZE).map(CacheSize::Bytes)
}

/// A share of a link, or a rate; `nothing` says what is wrong with 0% and what to do.
fn cap(node: &Node, nothing: (&str, &str), link: &str, report: &mut Report) -> Option<Cap> {
    if matches!(&node.value, Value::Scalar { text, .. } if text.ends_with('%')) {
        let share = report.share(node)?;
        if share == Probability::ZERO {
            report.error(node.span, nothing.0).help(nothing.1);
            return None;
        }
        return Some(Cap::Share(share));
    }
    if matches!(&node.value, Value::Scalar { text, .. } if text.parse::<f64>().is_ok()) {
        let finding = report.error(node.span, format!("{} has no unit", node.describe()));
        finding.help(format!("write a share of the {link} as `80%`, or a rate as `2mbit`"));
        return None;
    }
    report.bandwidth(node).map(|bandwidth| Cap::Fixed(bandwidth.mean()))
}
