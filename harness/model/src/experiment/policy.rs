//! `policy`: what the system does, defaults filled in, and how each value is recorded.

use std::{collections::BTreeMap, time::Duration};

use peerbed_contract::{EdgeMode, Strategy};
use peerbed_link::{Bandwidth, Probability};

use crate::{
    diagnostic::Report,
    experiment::{CacheSize, Policy, UploadRate},
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

impl Policy {
    /// The defaults that the format documents.
    pub(crate) fn documented() -> Self {
        Self {
            strategy: Strategy::Nested,
            max_returned: 40,
            diversity: Probability::new(0.1).expect("a share"),
            per_copy: 5,
            connections: 8,
            waiting: 32,
            upload_rate: UploadRate::Share(Probability::new(0.8).expect("a share")),
            connection_rate: None,
            while_busy: Probability::ZERO,
            while_downloading: Probability::new(1.0).expect("a share"),
            back_off: Duration::from_secs(1),
            cache_time: limits::DURATION.1,
            cache_size: CacheSize::Unlimited,
            edge_mode: EdgeMode::Backstop,
            token_lifetime: Duration::from_hours(24),
            max_sources: 20,
            both_sides: true,
        }
    }

    /// Reads the map; what is missing or wrong has its default, and what is wrong is in the report.
    pub(crate) fn decode(node: &Node, report: &mut Report) -> Self {
        let mut policy = Self::documented();
        let Some(fields) = report.map(node, &POLICY) else { return policy };
        let section =
            |key, shape: &'static Shape, report: &mut Report| fields.get(key).and_then(|node| report.map(node, shape));
        if let Some(selection) = section("selection", &SELECTION, report) {
            let words = [("nested", Strategy::Nested), ("random", Strategy::Random)];
            set(&mut policy.strategy, &selection, "strategy", |node| report.word(node, &words));
            set(&mut policy.max_returned, &selection, "max_returned", |node| count(report, node, 1_000));
            set(&mut policy.diversity, &selection, "diversity", |node| report.share(node));
        }
        if let Some(uploads) = section("uploads", &UPLOADS, report) {
            set(&mut policy.per_copy, &uploads, "per_copy", |node| count(report, node, 1_000_000));
            set(&mut policy.connections, &uploads, "connections", |node| count(report, node, 1_000));
            set(&mut policy.waiting, &uploads, "waiting", |node| {
                report.whole(node, 0, 1_000).map(|value| value as u32)
            });
            set(&mut policy.upload_rate, &uploads, "rate", |node| upload_rate(node, report));
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
            let words = [("only", EdgeMode::Only), ("backstop", EdgeMode::Backstop)];
            set(&mut policy.edge_mode, &edge, "mode", |node| report.word(node, &words));
            let range = (Duration::from_secs(1), limits::DURATION.1);
            set(&mut policy.token_lifetime, &edge, "token_lifetime", |node| report.time(node, range));
        }
        if let Some(downloads) = section("downloads", &DOWNLOADS, report) {
            set(&mut policy.max_sources, &downloads, "max_sources", |node| count(report, node, 1_000));
            set(&mut policy.both_sides, &downloads, "both_sides", |node| {
                report.word(node, &[("true", true), ("false", false)])
            });
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
        };
        let mode = match self.edge_mode {
            EdgeMode::Only => "only",
            EdgeMode::Backstop => "backstop",
        };
        let rate = match self.upload_rate {
            UploadRate::Share(share) => units::show_share(share.get()),
            UploadRate::Fixed(Some(rate)) => rate.to_string(),
            UploadRate::Fixed(None) => "unlimited".to_owned(),
        };
        let connection_rate = self.connection_rate.map_or("unlimited".to_owned(), |rate| rate.to_string());
        let share = |share: Probability| Setting::Text(units::show_share(share.get()));
        let cache_size = self.cache_size.bytes().map_or("unlimited".to_owned(), units::show_size);
        let settings = [
            ("policy.selection.strategy", text(strategy)),
            ("policy.selection.max_returned", whole(self.max_returned)),
            ("policy.selection.diversity", Setting::Text(units::show_share(self.diversity.get()))),
            ("policy.uploads.per_copy", whole(self.per_copy)),
            ("policy.uploads.connections", whole(self.connections)),
            ("policy.uploads.waiting", whole(self.waiting)),
            ("policy.uploads.rate", Setting::Text(rate)),
            ("policy.uploads.connection_rate", Setting::Text(connection_rate)),
            ("policy.uploads.while_busy", share(self.while_busy)),
            ("policy.uploads.while_downloading", share(self.while_downloading)),
            ("policy.uploads.back_off", Setting::Text(units::show_time(self.back_off))),
            ("policy.cache.time", Setting::Text(units::show_time(self.cache_time))),
            ("policy.cache.size", Setting::Text(cache_size)),
            ("policy.edge.mode", text(mode)),
            ("policy.edge.token_lifetime", Setting::Text(units::show_time(self.token_lifetime))),
            ("policy.downloads.max_sources", whole(self.max_sources)),
            ("policy.downloads.both_sides", Setting::Flag(self.both_sides)),
        ];
        settings.into_iter().map(|(path, setting)| (path.to_owned(), setting)).collect()
    }
}

pub(super) fn set<T>(value: &mut T, fields: &Fields<'_>, key: &'static str, read: impl FnOnce(&Node) -> Option<T>) {
    if let Some(found) = fields.get(key).and_then(|node| read(node)) {
        *value = found;
    }
}

fn count(report: &mut Report, node: &Node, most: u64) -> Option<u32> {
    report.whole(node, 1, most).map(|value| value as u32)
}

fn cache_size(node: &Node, report: &mut Report) -> Option<CacheSize> {
    if matches!(&node.value, Value::Scalar { text, .. } if text.starts_with(char::is_alphabetic)) {
        return report.word_or(node, &[("unlimited", CacheSize::Unlimited)], "a size such as `1GiB`");
    }
    report.size(node, limits::SIZE).map(CacheSize::Bytes)
}

fn upload_rate(node: &Node, report: &mut Report) -> Option<UploadRate> {
    if matches!(&node.value, Value::Scalar { text, .. } if text.ends_with('%')) {
        let share = report.share(node)?;
        if share == Probability::ZERO {
            let finding = report.error(node.span, "an upload rate of 0% uploads nothing");
            finding.help("to switch uploads off, give the group `uploads: 0%`");
            return None;
        }
        return Some(UploadRate::Share(share));
    }
    if matches!(&node.value, Value::Scalar { text, .. } if text.parse::<f64>().is_ok()) {
        let finding = report.error(node.span, format!("{} has no unit", node.describe()));
        finding.help("write a share of the uplink as `80%`, or a rate as `2mbit`");
        return None;
    }
    report.bandwidth(node).map(|bandwidth| UploadRate::Fixed(bandwidth.mean()))
}
