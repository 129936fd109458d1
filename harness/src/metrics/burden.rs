//! What a run cost: messages of the control plane, processor time of the machine.

use peerbed_contract::EventKind;

use super::{Metric, RunView, Value};

pub(super) fn rows(view: &RunView<'_>) -> Vec<Metric> {
    vec![control_messages(view), cpu(view)]
}

/// Messages between peers and the control plane for each started download; undefined if no node of it told its count.
fn control_messages(view: &RunView<'_>) -> Metric {
    let told = view.record.events.iter().filter_map(|event| match event.kind {
        EventKind::Messages { from_peers, to_peers, .. } => Some(from_peers + to_peers),
        _ => None,
    });
    let told: Vec<u64> = told.collect();
    let started = view.downloads.values().filter(|download| download.started > 0).count();
    let of = if told.is_empty() { 0 } else { started };
    let value = Value::ratio(told.len() as u64, told.iter().sum::<u64>() as f64, of as f64);
    Metric::new("control_messages_per_download", value)
}

/// Processor seconds of the whole machine for each 10^9 content bytes that downloads used.
fn cpu(view: &RunView<'_>) -> Metric {
    let host = &view.record.host;
    let seconds = match (host.first(), host.last()) {
        (Some(first), Some(last)) => {
            let busy = |cpu: &crate::host::CpuTimes| cpu.user_ms + cpu.system_ms + cpu.interrupt_ms;
            busy(&last.cpu).saturating_sub(busy(&first.cpu)) as f64 / 1e3
        }
        _ => 0.0,
    };
    let bytes: u64 = view.records().map(|record| record.edge_bytes + record.peer_bytes).sum();
    let intervals = host.len().saturating_sub(1) as u64;
    // Without two samples nothing is known.
    let gigabytes = if intervals > 0 { bytes as f64 / 1e9 } else { 0.0 };
    Metric::new("cpu_s_per_gb", Value::ratio(intervals, seconds, gigabytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn messages_are_counted_by_download_and_processor_time_by_bytes() {
        let mut record = fixture::record("hybrid", 0);
        let value = |metric: Metric| metric.value.single();
        // 12 messages from peers and 8 to them, four downloads.
        assert_eq!(value(control_messages(&RunView::of(&record))), Some(5.0));
        // 0.9 s busy in each of ten seconds, 2.1 MB used.
        let expected = 9.0 / 0.0021;
        assert!(value(cpu(&RunView::of(&record))).is_some_and(|found| (found - expected).abs() < 1e-6));
        record.events.retain(|event| !matches!(event.kind, EventKind::Messages { .. }));
        assert_eq!(value(control_messages(&RunView::of(&record))), None, "nobody told");
        record.host.truncate(1);
        assert_eq!(value(cpu(&RunView::of(&record))), None);
    }
}
