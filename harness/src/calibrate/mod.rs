//! Calibration: are links what the files say? Before a run, every distinct class of links in its plans is measured with
//! real traffic between real hosts, in a network that the same agent and engine make for it, and compared with what was
//! asked for. A run whose links are not right does not begin.

mod cache;
mod classes;
mod course;
mod stages;
mod table;
mod verdict;

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use jiff::Timestamp;
use peerbed_link::{Bandwidth, Trace, TraceId};
use peerbed_model::{Plan, Tolerance};
use serde::{Deserialize, Serialize};

use self::{
    cache::{Cache, Entry},
    stages::Stage,
};
pub use self::{
    classes::{Class, Place, classes},
    verdict::Finding,
};
use crate::{
    engine::EngineOptions,
    host::{HostSample, Machine},
    probe::field::Field,
    runtime::Launch,
};

/// What was found out about a class; none: not measured, for example because no flow can fill the link.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Median round trip of a small datagram on the idle link, out over it and back over one that does nothing.
    pub round_trip_ns: Option<u64>,
    /// The shortest one.
    pub least_round_trip_ns: Option<u64>,
    /// Bits a second of IP packets that came through while more were offered.
    pub flood_bps: Option<f64>,
    /// Payload bits a second of one TCP flow.
    pub flow_bps: Option<f64>,
    /// Datagrams sent slower than the link's rate, and how many of them did not come.
    pub trickled: Option<(u64, u64)>,
    /// What waited in front of the flooded link at most: time under way beyond the shortest, at the link's rate.
    pub queue_bytes: Option<f64>,
    /// Bits a second that should have been offered to flood the link and fill its queue, and the fewer that were: the sender
    /// was held up.
    pub underfed_bps: Option<(f64, f64)>,
    /// Of a link that follows a trace: bits a second that the trace had while it was flooded, and those that came through.
    pub traced_bps: Option<(f64, f64)>,
}

/// When links are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// Every class, now
    Always,
    /// Classes that were not measured on this machine, with this program, in the last 24 hours
    Cached,
    /// Not at all
    Never,
}

/// One class, calibrated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibrated {
    /// Where its links are.
    pub place: Place,
    /// Who has one.
    pub users: Vec<String>,
    /// When it was measured.
    pub at: Timestamp,
    /// Whether that was in an earlier calibration.
    pub cached: bool,
    /// How often it was measured; the last time counts.
    pub attempts: u32,
    /// What was measured.
    pub measured: Measured,
    /// What was compared.
    pub findings: Vec<Finding>,
    /// Why it may not be right; only said of one that was measured now and is not.
    pub likely_cause: Option<String>,
}

impl Calibrated {
    /// Whether everything that was compared is within its tolerance.
    pub fn good(&self) -> bool {
        self.findings.iter().all(|finding| finding.good)
    }
}

/// A number with three digits behind the point, of a small one more.
fn shown(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.1 { format!("{value:.6}") } else { format!("{value:.3}") }
}

/// What is not within tolerance, one sentence each: which link, asked, got, why.
pub fn complaints(calibrated: &[(Class, Calibrated)]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (class, of) in calibrated {
        for finding in of.findings.iter().filter(|finding| !finding.good) {
            let Finding { what, unit, asked, got, tolerance, .. } = finding;
            let cause =
                of.likely_cause.as_deref().unwrap_or("it was measured earlier: --calibrate always measures again");
            complaints.push(format!(
                "{class}: {what}: asked {} {unit}, got {} {unit}, allowed ± {}; {cause}",
                shown(*asked),
                shown(*got),
                shown(*tolerance),
            ));
        }
    }
    complaints
}

pub use self::table::{table, unmeasured};

/// A class that is not right is measured so often before it is believed: other programs can disturb, and a wrong link is
/// wrong each time.
const ATTEMPTS: u32 = 3;

/// What calibration works with.
pub(crate) struct Calibrator<'a> {
    /// What starts the runs' agents.
    pub(crate) launch: &'a Launch,
    /// How the runs' links are made.
    pub(crate) options: &'a EngineOptions,
    /// When to measure.
    pub(crate) when: When,
    /// What agent and probes complain of goes to this file.
    pub(crate) log: &'a Path,
}

impl Calibrator<'_> {
    /// Calibrates every class of these plans, which share one experiment. `progress` is told what is being done.
    pub(crate) async fn calibrate(
        &self,
        plans: &[&Plan],
        progress: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Vec<(Class, Calibrated)>> {
        if self.when == When::Never {
            return Ok(Vec::new());
        }
        // Arms may differ in what they tolerate and in their congestion control; those that do not are one.
        let alike = |a: &Plan, b: &Plan| {
            a.tolerance == b.tolerance && a.fabric.congestion_control == b.fabric.congestion_control
        };
        let mut all = Vec::new();
        for (at, first) in plans.iter().enumerate() {
            if plans[..at].iter().all(|earlier| !alike(earlier, first)) {
                let those: Vec<&Plan> = plans.iter().copied().filter(|plan| alike(plan, first)).collect();
                all.extend(self.calibrate_alike(first, &those, progress).await?);
            }
        }
        Ok(all)
    }

    /// Calibrates the classes of plans with the tolerance and the congestion control of the first.
    async fn calibrate_alike(
        &self,
        first: &Plan,
        plans: &[&Plan],
        progress: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Vec<(Class, Calibrated)>> {
        let classes = classes(plans.iter().copied());
        let tolerance = first.tolerance;
        let congestion_control = &first.fabric.congestion_control;
        let bench = self.bench(congestion_control)?;
        let traces = plans.iter().flat_map(|plan| plan.fabric.traces.clone()).collect();
        let mut cache = Cache::open();
        let now = Timestamp::now();
        let key = |class: &Class| format!("{bench} {}", class.key());
        let known = |class: &Class| cache.get(&key(class), now).filter(|_| self.when == When::Cached).cloned();
        let mut done: Vec<Option<Calibrated>> = Vec::new();
        for class in &classes {
            done.push(known(class).map(|entry| judged(class, entry, true, 1, &tolerance)));
        }
        for attempt in 1..=ATTEMPTS {
            let missing = |of: &Option<Calibrated>| of.as_ref().is_none_or(|of| !of.good());
            let wanted: Vec<usize> = (0..classes.len()).filter(|index| missing(&done[*index])).collect();
            if wanted.is_empty() {
                break;
            }
            let chosen: Vec<Class> = wanted.iter().map(|index| classes[*index].clone()).collect();
            let what = if attempt == 1 { "calibrating" } else { "calibrating again what was not right" };
            let (measured, cause) = self
                .measure(&chosen, &traces, congestion_control, &mut |stage| progress(&format!("{what}: {stage}")))
                .await
                .context("the links could not be calibrated")?;
            for (index, measured) in wanted.into_iter().zip(measured) {
                let entry = Entry { at: Timestamp::now(), measured };
                let class = &classes[index];
                let mut calibrated = judged(class, entry.clone(), false, attempt, &tolerance);
                if calibrated.good() {
                    cache.put(key(class), entry);
                } else {
                    calibrated.likely_cause = Some(cause.clone());
                }
                done[index] = Some(calibrated);
            }
        }
        cache.keep(now);
        Ok(classes.into_iter().zip(done).filter_map(|(class, of)| Some((class, of?))).collect())
    }

    /// What measurements depend on beside the class: this very program, the machine, where the agent runs, the engine's options.
    fn bench(&self, congestion_control: &str) -> anyhow::Result<String> {
        let program = std::fs::read("/proc/self/exe").context("cannot read this program")?;
        let machine = serde_json::to_string(&Machine::read()?)?;
        let options = serde_json::to_string(self.options)?;
        let mut hash = blake3::Hasher::new();
        let kind = self.launch.kind();
        for part in
            [&program[..], machine.as_bytes(), kind.as_bytes(), options.as_bytes(), congestion_control.as_bytes()]
        {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Ok(hash.finalize().to_hex()[..16].to_owned())
    }

    /// Measures classes in one network, and says what disturbed, if anything did.
    async fn measure(
        &self,
        classes: &[Class],
        traces: &BTreeMap<TraceId, Trace>,
        congestion_control: &str,
        progress: &mut dyn FnMut(&str),
    ) -> anyhow::Result<(Vec<Measured>, String)> {
        let fabric = stages::fabric(classes, traces, 1, congestion_control);
        let mut field = Field::up(self.launch, fabric, self.options.clone(), self.log).await?;
        field.sample().await?;
        let before = HostSample::read()?.cpu;
        let mut measured = vec![Measured::default(); classes.len()];
        for stage in Stage::ALL {
            let what = match stage {
                Stage::RoundTrips => "round trips",
                Stage::Flood => "rates and queues, by datagrams",
                Stage::Trickle => "loss",
                Stage::Flow => "rates, by TCP",
            };
            let groups = stages::groups(stage, classes);
            let total = groups.len();
            for (number, group) in (1..).zip(groups) {
                progress(&if total > 1 { format!("{what} ({number}/{total})") } else { what.to_owned() });
                let (indexes, exchanges): (Vec<_>, Vec<_>) = group.into_iter().unzip();
                let begin = field.begin().await?;
                let reports = field.carry_out(&exchanges).await?;
                for (index, reports) in indexes.into_iter().zip(&reports) {
                    let spec = &classes[index].spec;
                    let trace = match spec.bandwidth {
                        Bandwidth::Trace(follows) => traces.get(&follows.trace).map(|trace| (trace, begin)),
                        Bandwidth::Unlimited | Bandwidth::Limited(_) => None,
                    };
                    stages::take_in(stage, spec, trace, reports, &mut measured[index])
                        .with_context(|| classes[index].to_string())?;
                }
            }
        }
        let health = field.sample().await?.health;
        let after = HostSample::read()?.cpu;
        field.down().await?;
        let total = (after.total_ms() - before.total_ms()).max(1) as f64;
        let share = |before: u64, after: u64| after.saturating_sub(before) as f64 / total;
        let busy = 1.0 - share(before.idle_ms, after.idle_ms);
        let stolen = share(before.steal_ms, after.steal_ms);
        Ok((
            measured,
            verdict::likely_cause(health.late_p99_ns.map(|ns| ns as f64 / 1e6), health.overruns, busy, stolen),
        ))
    }
}

fn judged(class: &Class, entry: Entry, cached: bool, attempts: u32, tolerance: &Tolerance) -> Calibrated {
    let findings = verdict::findings(class, &entry.measured, tolerance);
    let Entry { at, measured } = entry;
    let (place, users) = (class.place, class.users.clone());
    Calibrated { place, users, at, cached, attempts, measured, findings, likely_cause: None }
}
