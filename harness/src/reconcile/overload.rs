//! Was the machine up to the run, second by second: which signals were beyond their limits in each interval between two
//! samples of the host. `host.parquet` shows the marks; a run with too many marked seconds is not valid.

use super::{OVERLOADED, Reasons, limits};
use crate::{
    engine::{EngineHealth, Sample},
    host::{HostSample, Pressure},
    record::RunRecord,
};

/// One interval between two samples of the host: mostly a second.
#[derive(Debug)]
pub struct Interval<'a> {
    /// The host at its beginning.
    pub before: &'a HostSample,
    /// The host at its end.
    pub after: &'a HostSample,
    /// How late the tick was at which the later one was read, milliseconds.
    pub tick_late_ms: f64,
    /// The counters that were read in it, each with those before it: mostly one.
    samples: &'a [Sample],
}

impl<'a> Interval<'a> {
    /// All intervals of a run.
    pub fn all(record: &'a RunRecord) -> impl Iterator<Item = Self> {
        let last = record.host.len().saturating_sub(2);
        record.host.windows(2).enumerate().map(move |(at, pair)| {
            let (before, after) = (&pair[0], &pair[1]);
            // Host and engine are read one after the other in the same second; the last interval takes what follows it. The
            // first sample only sets the counters' zero.
            let begin = if at == 0 { 0 } else { before.at_ns };
            let end = if at == last { u64::MAX } else { after.at_ns };
            let from = record.samples.partition_point(|sample| sample.at_ns <= begin).max(1);
            let to = record.samples.partition_point(|sample| sample.at_ns <= end);
            let samples = if from < to { &record.samples[from - 1..to] } else { &[] };
            let tick_late_ms = record.tick_late.get(at + 1).map_or(0.0, |late| late.as_secs_f64() * 1e3);
            Self { before, after, tick_late_ms, samples }
        })
    }

    /// Its length, seconds.
    pub fn seconds(&self) -> f64 {
        self.after.at_ns.saturating_sub(self.before.at_ns) as f64 / 1e9
    }

    /// Whether the engine's counters were read in it.
    pub fn has_engine(&self) -> bool {
        !self.samples.is_empty()
    }

    /// Packets that the engine released.
    pub fn released(&self) -> u64 {
        self.samples.iter().skip(1).map(|sample| sample.health.released).sum()
    }

    /// The greatest of a figure of the engine's lateness.
    pub fn worst(&self, field: fn(&EngineHealth) -> Option<u64>) -> Option<u64> {
        self.samples.iter().skip(1).filter_map(|sample| field(&sample.health)).max()
    }

    /// How much a counter of the engine rose.
    pub fn rise(&self, field: fn(&EngineHealth) -> u64) -> u64 {
        self.samples.windows(2).map(|pair| field(&pair[1].health).saturating_sub(field(&pair[0].health))).sum()
    }

    /// Time in which some task waited for a resource, microseconds; none where the kernel doesn't tell.
    pub fn stalled_us(&self, field: fn(&Pressure) -> u64) -> Option<u64> {
        let (before, after) = (self.before.pressure.as_ref()?, self.after.pressure.as_ref()?);
        Some(field(after).saturating_sub(field(before)))
    }

    /// Processor time that was not idle, of all cores; none for a very short interval.
    pub fn busy_percent(&self) -> Option<f64> {
        self.share(|cpu| cpu.total_ms() - cpu.idle_ms)
    }

    /// The signals that were beyond their limits.
    pub fn marks(&self) -> impl Iterator<Item = &'static Signal> {
        SIGNALS.iter().filter(|signal| (signal.of)(self).is_some_and(|value| value > signal.limit))
    }

    /// Processor time of a kind as a percentage of all. None for an interval so short that the kernel's own counting, in
    /// hundredths of a second, would decide.
    fn share(&self, part: fn(&crate::host::CpuTimes) -> u64) -> Option<f64> {
        let total = self.after.cpu.total_ms().saturating_sub(self.before.cpu.total_ms());
        let part = part(&self.after.cpu).saturating_sub(part(&self.before.cpu));
        (self.seconds() >= SHORTEST_S && total > 0).then(|| part as f64 / total as f64 * 100.0)
    }

    fn pressure(&self, field: fn(&Pressure) -> u64) -> Option<f64> {
        let stalled = self.stalled_us(field)?;
        (self.seconds() >= SHORTEST_S).then(|| stalled as f64 / 1e4 / self.seconds())
    }
}

/// Shares of shorter intervals are not judged.
const SHORTEST_S: f64 = 0.5;

/// Something that shows an overload.
#[derive(Debug)]
pub struct Signal {
    /// Its word in `host.parquet`.
    pub word: &'static str,
    /// What it says, before "in 3 seconds".
    what: &'static str,
    unit: &'static str,
    limit: f64,
    of: fn(&Interval<'_>) -> Option<f64>,
}

/// All of them.
pub const SIGNALS: [Signal; 9] = [
    Signal {
        word: "engine-p99",
        what: "the link engine was late, 99th percentile,",
        unit: "ms",
        limit: limits::LATE_P99_MAX_MS,
        of: |interval| interval.worst(|health| health.late_p99_ns).map(|ns| ns as f64 / 1e6),
    },
    Signal {
        word: "engine-max",
        what: "the link engine was late with a packet",
        unit: "ms",
        limit: limits::LATE_MAX_MAX_MS,
        of: |interval| interval.worst(|health| health.late_max_ns).map(|ns| ns as f64 / 1e6),
    },
    Signal {
        word: "tick",
        what: "the harness's own tick was late",
        unit: "ms",
        limit: limits::TICK_LATE_MARK_MS,
        of: |interval| Some(interval.tick_late_ms),
    },
    Signal {
        word: "busy",
        what: "the processors were busy",
        unit: "%",
        limit: limits::BUSY_MAX_PERCENT,
        of: |interval| interval.busy_percent(),
    },
    Signal {
        word: "pressure-cpu",
        what: "something waited for a processor",
        unit: "%",
        limit: limits::PRESSURE_CPU_MAX_PERCENT,
        of: |interval| interval.pressure(|pressure| pressure.cpu_us),
    },
    Signal {
        word: "pressure-memory",
        what: "something waited for memory",
        unit: "%",
        limit: limits::PRESSURE_MEMORY_MAX_PERCENT,
        of: |interval| interval.pressure(|pressure| pressure.memory_us),
    },
    Signal {
        word: "steal",
        what: "the hypervisor took processor time",
        unit: "%",
        limit: limits::STEAL_MARK_PERCENT,
        of: |interval| interval.share(|cpu| cpu.steal_ms),
    },
    Signal {
        word: "interrupts",
        what: "interrupts took processor time",
        unit: "%",
        limit: limits::INTERRUPTS_MAX_PERCENT,
        of: |interval| interval.share(|cpu| cpu.interrupt_ms),
    },
    Signal {
        word: "runnable",
        what: "tasks were runnable for each core",
        unit: "",
        limit: limits::RUNNABLE_PER_CORE_MAX,
        of: |interval| Some(f64::from(interval.after.runnable) / f64::from(interval.after.cores.max(1))),
    },
];

impl Signal {
    /// Its limit with the unit.
    pub fn limit_text(&self) -> String {
        self.text(self.limit)
    }

    fn text(&self, value: f64) -> String {
        let rounded = (value * 10.0).round() / 10.0;
        format!("{rounded} {}", self.unit).trim_end().to_owned()
    }
}

pub(super) fn check(record: &RunRecord, reasons: &mut Reasons) {
    // Seconds of silence say nothing about the others.
    let intervals: Vec<_> = Interval::all(record).filter(|interval| interval.released() > 0).collect();
    let marked = intervals.iter().filter(|interval| interval.marks().next().is_some()).count();
    if marked as f64 <= intervals.len() as f64 * limits::MARKED_SECONDS_SHARE_MAX {
        return;
    }
    let findings = SIGNALS.iter().filter_map(|signal| {
        let over = intervals.iter().filter_map(|interval| (signal.of)(interval)).filter(|value| *value > signal.limit);
        let (count, worst) = over.fold((0, 0.0), |(count, worst), value| (count + 1, f64::max(worst, value)));
        let text =
            || format!("{} in {count} (up to {}, limit {})", signal.what, signal.text(worst), signal.limit_text());
        (count > 0).then(text)
    });
    reasons.add(format!(
        "{OVERLOADED} in {marked} of {} seconds (limit {:.0} %): {}",
        intervals.len(),
        limits::MARKED_SECONDS_SHARE_MAX * 100.0,
        findings.collect::<Vec<_>>().join("; ")
    ));
}
