//! Was the machine up to it: engine lateness and overruns, the harness's own tick, stolen processor time, and counters that
//! are there, fit the plan and never go back.

use super::{Reasons, limits};
use crate::{
    engine::{Counters, Sample},
    record::RunRecord,
};

pub(super) fn check(record: &RunRecord, reasons: &mut Reasons) {
    reasons.add_all("faults of the counters", counters(record));
    engine(record, reasons);
    let tick_ms = record.tick_late_max().as_secs_f64() * 1e3;
    if tick_ms > limits::TICK_LATE_MAX_MS {
        reasons.add(format!(
            "the harness's own tick was {tick_ms:.0} ms late (limit {:.0} ms): the machine was overloaded",
            limits::TICK_LATE_MAX_MS
        ));
    }
    steal(record, reasons);
    clocks(record, reasons);
}

fn counters(record: &RunRecord) -> Vec<String> {
    let [first, .., _] = record.samples.as_slice() else {
        return vec!["there are no counters from the beginning and the end of the run".to_owned()];
    };
    let fabric = &record.plan.fabric;
    let fits = |sample: &Sample| {
        sample.access.len() == fabric.attachments().count() && sample.links.len() == fabric.links.len()
    };
    if !record.samples.iter().all(fits) {
        let (nodes, links) = (fabric.attachments().count(), fabric.links.len());
        let (access, between) = (first.access.len(), first.links.len());
        return vec![format!(
            "the counters are not of this plan: {nodes} nodes and {links} links were planned, {access} and {between} counted"
        )];
    }
    let mut sentences = Vec::new();
    for pair in record.samples.windows(2) {
        let links = |sample: &Sample| -> Vec<Counters> {
            sample.access.iter().chain(&sample.links).flat_map(|link| [link.forward, link.backward]).collect()
        };
        let back = links(&pair[0]).iter().zip(&links(&pair[1])).any(|(before, after)| went_back(before, after));
        if back || pair[1].at_ns <= pair[0].at_ns {
            let at = pair[1].at_ns.saturating_sub(record.epoch_ns) as f64 / 1e9;
            sentences.push(format!("counters went back at {at:.1} s"));
        }
    }
    sentences
}

fn went_back(before: &Counters, after: &Counters) -> bool {
    after.offered_packets < before.offered_packets
        || after.offered_bytes < before.offered_bytes
        || after.carried_packets < before.carried_packets
        || after.carried_bytes < before.carried_bytes
        || after.dropped_packets < before.dropped_packets
        || after.lost_packets < before.lost_packets
}

fn engine(record: &RunRecord, reasons: &mut Reasons) {
    let [first, later @ .., last] = record.samples.as_slice() else { return };
    let overruns = last.health.overruns.saturating_sub(first.health.overruns);
    if overruns > 0 {
        reasons.add(format!(
            "{overruns} packets were lost between the kernel and the link engine, which no link was asked to lose"
        ));
    }
    if later.iter().chain([last]).all(|sample| sample.health.released == 0) {
        reasons.add("the link engine released no packet".to_owned());
    }
}

fn steal(record: &RunRecord, reasons: &mut Reasons) {
    let [first, .., last] = record.host.as_slice() else {
        reasons.add("the host was not observed from the beginning to the end of the run".to_owned());
        return;
    };
    let total = last.cpu.total_ms().saturating_sub(first.cpu.total_ms());
    let stolen = last.cpu.steal_ms.saturating_sub(first.cpu.steal_ms);
    let share = stolen as f64 / total.max(1) as f64;
    if share > limits::STEAL_SHARE_MAX {
        reasons.add(format!(
            "the hypervisor took {:.0} % of the processor time (limit {:.0} %)",
            share * 100.0,
            limits::STEAL_SHARE_MAX * 100.0
        ));
    }
}

/// A machine that slept, or whose clock was set.
fn clocks(record: &RunRecord, reasons: &mut Reasons) {
    let mut sentences = Vec::new();
    for pair in record.host.windows(2) {
        let at = pair[1].at_ns.saturating_sub(record.epoch_ns) as f64 / 1e9;
        let slept_ms = (pair[1].boot_offset_ns - pair[0].boot_offset_ns) as f64 / 1e6;
        let set_ms = (pair[1].wall_offset_ns - pair[0].wall_offset_ns) as f64 / 1e6;
        if slept_ms > limits::CLOCK_STEP_MAX_MS {
            sentences.push(format!("the machine slept for {:.1} s, {at:.1} s into the run", slept_ms / 1e3));
        } else if set_ms.abs() > limits::CLOCK_STEP_MAX_MS {
            sentences.push(format!("the machine's clock was set by {:+.1} s, {at:.1} s into the run", set_ms / 1e3));
        }
    }
    reasons.add_all("steps of the clock", sentences);
}
