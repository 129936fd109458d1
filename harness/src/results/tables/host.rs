//! `host.parquet`: the machine and the link engine, about once a second.

use super::since_start_s;
use crate::{
    engine::EngineHealth,
    host::{HostSample, Pressure},
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
        Column::maybe("pressure_cpu_us", Type::Int),
        Column::maybe("pressure_memory_us", Type::Int),
        Column::maybe("pressure_io_us", Type::Int),
        Column::maybe("engine_released_packets", Type::Int),
        Column::maybe("engine_late_p50_ns", Type::Int),
        Column::maybe("engine_late_p99_ns", Type::Int),
        Column::maybe("engine_late_max_ns", Type::Int),
        Column::maybe("engine_overruns_packets", Type::Int),
        Column::maybe("engine_strays_packets", Type::Int),
    ],
};

pub(super) fn rows(outcome: &RunOutcome, rows: &mut Rows) {
    let record = outcome.record();
    let last = record.host.len().saturating_sub(2);
    for (at, pair) in record.host.windows(2).enumerate() {
        let (before, after) = (&pair[0], &pair[1]);
        // Host and engine are read one after the other in the same second; the last interval takes what follows it.
        let end = if at == last { u64::MAX } else { after.at_ns };
        let begin = if at == 0 { 0 } else { before.at_ns };
        let mut cells = vec![
            Cell::from(record.plan.arm.as_str()),
            record.plan.repeat.into(),
            since_start_s(outcome, after.at_ns).into(),
            (after.at_ns.saturating_sub(before.at_ns) as f64 / 1e9).into(),
        ];
        cells.extend(machine(before, after));
        cells.extend(engine(outcome, begin, end));
        rows.push(&cells);
    }
}

fn machine<'a>(before: &HostSample, after: &HostSample) -> [Cell<'a>; 10] {
    let (old, new) = (&before.cpu, &after.cpu);
    let stalled = |field: fn(&Pressure) -> u64| {
        let (old, new) = (before.pressure.as_ref()?, after.pressure.as_ref()?);
        Some(field(new).saturating_sub(field(old)))
    };
    [
        new.user_ms.saturating_sub(old.user_ms).into(),
        new.system_ms.saturating_sub(old.system_ms).into(),
        new.interrupt_ms.saturating_sub(old.interrupt_ms).into(),
        new.idle_ms.saturating_sub(old.idle_ms).into(),
        new.steal_ms.saturating_sub(old.steal_ms).into(),
        after.memory_available_bytes.into(),
        after.load_1m.into(),
        stalled(|pressure| pressure.cpu_us).into(),
        stalled(|pressure| pressure.memory_us).into(),
        stalled(|pressure| pressure.io_us).into(),
    ]
}

/// The engine's health in the samples read after `begin` and up to `end`: mostly one, and then it is that one.
fn engine<'a>(outcome: &RunOutcome, begin: u64, end: u64) -> [Cell<'a>; 6] {
    let samples = &outcome.record().samples;
    // The first sample only sets the counters' zero.
    let inside = || samples.windows(2).filter(|pair| (begin + 1..=end).contains(&pair[1].at_ns));
    if inside().next().is_none() {
        return [Cell::Null; 6];
    }
    let worst = |field: fn(&EngineHealth) -> u64| inside().map(|pair| field(&pair[1].health)).max();
    let rise = |field: fn(&EngineHealth) -> u64| -> u64 {
        inside().map(|pair| field(&pair[1].health).saturating_sub(field(&pair[0].health))).sum()
    };
    [
        inside().map(|pair| pair[1].health.released).sum::<u64>().into(),
        worst(|health| health.late_p50_ns).into(),
        worst(|health| health.late_p99_ns).into(),
        worst(|health| health.late_max_ns).into(),
        rise(|health| health.overruns).into(),
        rise(|health| health.strays).into(),
    ]
}
