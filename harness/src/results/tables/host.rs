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
        Column::new("arm", Type::Text),
        Column::new("repeat", Type::Int),
        Column::new("t_s", Type::Float),
        Column::new("interval_s", Type::Float),
        Column::new("cpu_user_ms", Type::Int),
        Column::new("cpu_system_ms", Type::Int),
        Column::new("cpu_interrupt_ms", Type::Int),
        Column::new("cpu_idle_ms", Type::Int),
        Column::new("cpu_steal_ms", Type::Int),
        Column::new("memory_available_bytes", Type::Int),
        Column::new("load_1m", Type::Float),
        Column::new("runnable", Type::Int),
        Column::new("tick_late_ms", Type::Float),
        Column::maybe("pressure_cpu_us", Type::Int),
        Column::maybe("pressure_memory_us", Type::Int),
        Column::maybe("pressure_io_us", Type::Int),
        Column::maybe("engine_released_packets", Type::Int),
        Column::maybe("engine_late_p50_ns", Type::Int),
        Column::maybe("engine_late_p99_ns", Type::Int),
        Column::maybe("engine_late_max_ns", Type::Int),
        Column::maybe("engine_overruns_packets", Type::Int),
        Column::maybe("engine_strays_packets", Type::Int),
        Column::maybe("engine_nat_dropped_packets", Type::Int),
        Column::maybe("engine_missed_packets", Type::Int),
        Column::new("marks", Type::Text),
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
