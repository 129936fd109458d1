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
    let tick_ms = record.tick_late_max.as_secs_f64() * 1e3;
    if tick_ms > limits::TICK_LATE_MAX_MS {
        reasons.add(format!(
            "the harness's own tick was {tick_ms:.0} ms late (limit {:.0} ms): the machine was overloaded",
            limits::TICK_LATE_MAX_MS
        ));
    }
    steal(record, reasons);
}

fn counters(record: &RunRecord) -> Vec<String> {
    let [first, .., _] = record.samples.as_slice() else {
        return vec!["there are no counters from the beginning and the end of the run".to_owned()];
    };
    let fabric = &record.plan.fabric;
    let fits = |sample: &Sample| sample.access.len() == fabric.nodes.len() && sample.links.len() == fabric.links.len();
    if !record.samples.iter().all(fits) {
        let (nodes, links) = (fabric.nodes.len(), fabric.links.len());
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
    let busy: Vec<_> = later.iter().chain([last]).filter(|sample| sample.health.released > 0).collect();
    let ms = |sample: &&&Sample| sample.health.late_p99_ns as f64 / 1e6;
    let late = busy.iter().filter(|sample| ms(sample) > limits::LATE_P99_MAX_MS).count();
    if busy.is_empty() {
        reasons.add("the link engine released no packet".to_owned());
    } else if late as f64 > busy.len() as f64 * limits::LATE_SECONDS_SHARE_MAX {
        let worst = busy.iter().map(|sample| ms(&sample)).fold(0.0, f64::max);
        reasons.add(format!(
            "the link engine was late: in {late} of {} seconds the 99th percentile was over {} ms (worst {worst:.3} ms)",
            busy.len(),
            limits::LATE_P99_MAX_MS
        ));
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
