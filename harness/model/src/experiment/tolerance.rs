//! `tolerance`: how far links may be from what was asked for.

use std::time::Duration;

use crate::{
    diagnostic::Report, experiment::policy::set, limits, plan::Tolerance, shape::experiment::TOLERANCE, yaml::Node,
};

impl Tolerance {
    /// Reads the map; what is missing or wrong has its default, and what is wrong is in the report.
    pub(crate) fn decode(node: &Node, report: &mut Report) -> Self {
        let mut tolerance = Self::default();
        let Some(fields) = report.map(node, &TOLERANCE) else { return tolerance };
        let times = (Duration::from_micros(1), limits::DELAY.1);
        set(&mut tolerance.rate, &fields, "rate", |node| report.share(node));
        set(&mut tolerance.round_trip, &fields, "round_trip", |node| report.time(node, times));
        set(&mut tolerance.round_trip_share, &fields, "round_trip_share", |node| report.share(node));
        set(&mut tolerance.loss_deviations, &fields, "loss_deviations", |node| report.number(node, 1.0, 100.0));
        set(&mut tolerance.queue, &fields, "queue", |node| report.share(node));
        tolerance
    }
}
