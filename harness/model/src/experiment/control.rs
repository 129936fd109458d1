//! `policy.control` and `policy.selection.filters`: what the control plane bears, what becomes of a registry that was lost, and
//! who is left out of answers.

use std::{collections::BTreeMap, time::Duration};

use peerbed_contract::{ControlLimits, Filters, ReAddPolicy};

use crate::{
    diagnostic::Report,
    experiment::policy::set,
    limits,
    plan::Setting,
    shape::policy::{CONTROL, FILTERS},
    units,
    yaml::Node,
};

/// What the control plane bears, and what becomes of a registry that was lost.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct ControlPolicy {
    pub(crate) readd: ReAddPolicy,
    pub(crate) limits: ControlLimits,
}

const FLAGS: [(&str, bool); 2] = [("true", true), ("false", false)];

impl ControlPolicy {
    /// Reads the map; what is missing is as in another policy.
    pub(super) fn decode_over(mut policy: Self, node: &Node, report: &mut Report) -> Self {
        let Some(fields) = report.map(node, &CONTROL) else { return policy };
        set(&mut policy.readd.enabled, &fields, "readd", |node| report.word(node, &FLAGS));
        let range = (Duration::ZERO, limits::DURATION.1);
        set(&mut policy.readd.within_ns, &fields, "readd_within", |node| {
            report.time(node, range).map(|time| time.as_nanos() as u64)
        });
        let limits = &mut policy.limits;
        set(&mut limits.logins_per_guid, &fields, "logins_per_guid", |node| report.per_second(node));
        set(&mut limits.logins_per_address, &fields, "logins_per_address", |node| report.per_second(node));
        set(&mut limits.queries_per_guid, &fields, "queries_per_guid", |node| report.per_second(node));
        set(&mut limits.queries_per_address, &fields, "queries_per_address", |node| report.per_second(node));
        for (value, key) in [
            (&mut limits.connections_per_address, "connections_per_address"),
            (&mut limits.connections, "connections"),
            (&mut limits.contents_per_peer, "contents_per_peer"),
            (&mut limits.usage_reports, "usage_reports"),
        ] {
            set(value, &fields, key, |node| report.whole(node, 1, 10_000_000).map(|count| count as u32));
        }
        policy
    }

    /// Every value by its path.
    pub(super) fn parameters(&self) -> BTreeMap<String, Setting> {
        let often = |rate: f64| Setting::Text(format!("{rate}/s"));
        let whole = |count: u32| Setting::Number(f64::from(count));
        let limits = &self.limits;
        let settings = [
            ("readd", Setting::Flag(self.readd.enabled)),
            ("readd_within", Setting::Text(units::show_time(Duration::from_nanos(self.readd.within_ns)))),
            ("logins_per_guid", often(limits.logins_per_guid)),
            ("logins_per_address", often(limits.logins_per_address)),
            ("queries_per_guid", often(limits.queries_per_guid)),
            ("queries_per_address", often(limits.queries_per_address)),
            ("connections_per_address", whole(limits.connections_per_address)),
            ("connections", whole(limits.connections)),
            ("contents_per_peer", whole(limits.contents_per_peer)),
            ("usage_reports", whole(limits.usage_reports)),
        ];
        settings.into_iter().map(|(key, setting)| (format!("policy.control.{key}"), setting)).collect()
    }
}

/// Reads who is left out of answers.
pub(super) fn filters(mut filters: Filters, node: &Node, report: &mut Report) -> Filters {
    let Some(fields) = report.map(node, &FILTERS) else { return filters };
    set(&mut filters.uploads_on, &fields, "uploads_on", |node| report.word(node, &FLAGS));
    set(&mut filters.free_slots, &fields, "free_slots", |node| report.word(node, &FLAGS));
    set(&mut filters.nat, &fields, "nat", |node| report.word(node, &FLAGS));
    filters
}
