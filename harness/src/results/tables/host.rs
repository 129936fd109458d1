//! `host.parquet`: the machine and the link engine, about once a second.

use super::since_start_s;
use crate::{
    reconcile::overload::Interval,
    results::{
        RunOutcome,
        columns::{Cell, Column, Rows, Table, Type},
    },
};

pub(super) const TABLE: Table = Table {
    file: "host.parquet",
    columns: &[
        Column::new("arm", Type::Text, "", "the arm"),
        Column::new("repeat", Type::Int, "", "the repeat, from 0"),
        Column::new("t_s", Type::Float, "s", "the end of the interval, seconds since the start of the run"),
        Column::new("interval_s", Type::Float, "s", "its length, seconds"),
        Column::new("cpu_user_ms", Type::Int, "ms", "processor time in user space"),
        Column::new("cpu_system_ms", Type::Int, "ms", "processor time in the kernel"),
        Column::new("cpu_interrupt_ms", Type::Int, "ms", "processor time in interrupts and soft interrupts"),
        Column::new("cpu_idle_ms", Type::Int, "ms", "processor time idle, waiting for disks included"),
        Column::new("cpu_steal_ms", Type::Int, "ms", "processor time taken by the hypervisor"),
        Column::new(
            "memory_available_bytes",
            Type::Int,
            "B",
            "memory that could be given out, at the end of the interval",
        ),
        Column::new("load_1m", Type::Float, "1", "load average of the last minute, at the end of the interval"),
        Column::new("runnable", Type::Int, "1", "tasks that ran or waited for a processor at the end of the interval"),
        Column::new(
            "tick_late_ms",
            Type::Float,
            "ms",
            "how late the harness's own tick was at its end, or how long the agent took to answer then, whichever is \
             more",
        ),
        Column::maybe(
            "pressure_cpu_us",
            Type::Int,
            "µs",
            "time in which some task waited for a processor; null where the kernel doesn't tell",
        ),
        Column::maybe("pressure_memory_us", Type::Int, "µs", "time in which some task waited for memory"),
        Column::maybe("pressure_io_us", Type::Int, "µs", "time in which some task waited for a disk"),
        Column::maybe("engine_released_packets", Type::Int, "packets", "packets that the link engine let go"),
        Column::maybe("engine_late_p50_ns", Type::Int, "ns", "how late they were, median"),
        Column::maybe("engine_late_p99_ns", Type::Int, "ns", "99th percentile"),
        Column::maybe("engine_late_max_ns", Type::Int, "ns", "the worst"),
        Column::maybe("engine_overruns_packets", Type::Int, "packets", "packets lost between kernel and engine"),
        Column::maybe("engine_strays_packets", Type::Int, "packets", "packets that were for no node"),
        Column::maybe(
            "engine_nat_dropped_packets",
            Type::Int,
            "packets",
            "packets that address translation dropped, both ways",
        ),
        Column::maybe(
            "engine_missed_packets",
            Type::Int,
            "packets",
            "packets that came to addresses which their hosts had left",
        ),
        Column::new(
            "marks",
            Type::Text,
            "",
            "what was beyond its limit in this interval, by the words of [Marked seconds](#marked-seconds), a space \
             between them",
        ),
    ],
};

pub(super) fn rows(outcome: &RunOutcome, rows: &mut Rows) {
    let record = outcome.record();
    for interval in Interval::all(record) {
        let marks: Vec<_> = interval.marks().map(|signal| signal.word).collect();
        let marks = marks.join(" ");
        let mut cells = vec![
            Cell::from(record.plan.arm.as_str()),
            record.plan.repeat.into(),
            since_start_s(outcome, interval.after.at_ns).into(),
            interval.seconds().into(),
        ];
        cells.extend(machine(&interval));
        cells.extend(engine(&interval));
        cells.push(marks.as_str().into());
        rows.push(&cells);
    }
}

fn machine<'a>(interval: &Interval<'_>) -> [Cell<'a>; 12] {
    let (old, new) = (&interval.before.cpu, &interval.after.cpu);
    [
        new.user_ms.saturating_sub(old.user_ms).into(),
        new.system_ms.saturating_sub(old.system_ms).into(),
        new.interrupt_ms.saturating_sub(old.interrupt_ms).into(),
        new.idle_ms.saturating_sub(old.idle_ms).into(),
        new.steal_ms.saturating_sub(old.steal_ms).into(),
        interval.after.memory_available_bytes.into(),
        interval.after.load_1m.into(),
        interval.after.runnable.into(),
        interval.tick_late_ms.into(),
        interval.stalled_us(|pressure| pressure.cpu_us).into(),
        interval.stalled_us(|pressure| pressure.memory_us).into(),
        interval.stalled_us(|pressure| pressure.io_us).into(),
    ]
}

/// The engine's health in the samples of the interval: mostly one, and then it is that one.
fn engine<'a>(interval: &Interval<'_>) -> [Cell<'a>; 8] {
    if !interval.has_engine() {
        return [Cell::Null; 8];
    }
    [
        interval.released().into(),
        interval.worst(|health| health.late_p50_ns).into(),
        interval.worst(|health| health.late_p99_ns).into(),
        interval.worst(|health| health.late_max_ns).into(),
        interval.rise(|health| health.overruns).into(),
        interval.rise(|health| health.strays).into(),
        interval.rise(|health| health.nat.packets()).into(),
        interval.rise(|health| health.missed.packets).into(),
    ]
}
