//! Is a class of links what it should be? What was asked for, what was measured, and how far apart they may be.

use peerbed_model::Tolerance;
use serde::Serialize;

use super::{Class, Measured, course};
use crate::probe::TCP_PAYLOAD;

/// One quantity of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// `round trip`, `rate (datagrams)`, `rate (TCP)`, `rate (trace)`, `loss`, `queue`; `offered (datagrams)` if that was too little.
    pub what: &'static str,
    /// The unit of the numbers.
    pub unit: &'static str,
    /// What the link should do.
    pub asked: f64,
    /// What it did.
    pub got: f64,
    /// How far `got` may be from `asked`.
    pub tolerance: f64,
    /// Whether it is within.
    pub good: bool,
}

/// Two full packets in the time that the shortest flood takes, bit/s.
const TRACE_SLACK_BPS: f64 = 2.0 * 1500.0 * 8.0;
/// Kernel and processes may make a queue look so much longer or shorter: two packets,
const QUEUE_SLACK_BYTES: f64 = 3000.0;
/// and what the link carries while timers are late.
const QUEUE_SLACK_SECONDS: f64 = 0.002;

impl Finding {
    fn new(what: &'static str, unit: &'static str, asked: f64, got: f64, tolerance: f64) -> Self {
        let good = (got - asked).abs() <= tolerance;
        Self { what, unit, asked, got, tolerance, good }
    }
}

/// Judges what was measured; what could not be measured is left out.
pub(super) fn findings(class: &Class, measured: &Measured, tolerance: &Tolerance) -> Vec<Finding> {
    let spec = &class.spec;
    let mut findings = Vec::new();
    if let Some(median) = measured.round_trip_ns {
        findings.push(round_trip(class, median, tolerance));
    }
    if let Some((had, got)) = measured.traced_bps {
        // Over seconds: a packet at either end may be cut by a delivery.
        let allowed = (had * tolerance.rate.get()).max(TRACE_SLACK_BPS);
        findings.push(Finding::new("rate (trace)", "Mbit/s", had / 1e6, got / 1e6, allowed / 1e6));
    }
    if let Some(rate) = course::bps(spec).filter(|_| !course::traced(spec)) {
        let mbps = |bps: f64| bps / 1e6;
        let mut of = |what, ideal: f64, got: Option<f64>| {
            let got =
                got.map(|got| Finding::new(what, "Mbit/s", mbps(ideal), mbps(got), mbps(ideal) * tolerance.rate.get()));
            findings.extend(got);
        };
        of("rate (datagrams)", rate, measured.flood_bps);
        of("rate (TCP)", rate * TCP_PAYLOAD, measured.flow_bps);
    }
    if let Some((sent, lost)) = measured.trickled {
        let (share, stretch) = course::loss(spec);
        let deviation = (share * (1.0 - share) * stretch / sent.max(1) as f64).sqrt();
        let percent = 100.0;
        let allowed = tolerance.loss_deviations * deviation * percent;
        // Very long bursts can show any loss within seconds.
        if allowed < share.max(1.0 - share) * percent {
            let got = lost as f64 / sent.max(1) as f64 * percent;
            findings.push(Finding::new("loss", "%", share * percent, got, allowed));
        }
    }
    if let Some((planned, offered)) = measured.underfed_bps {
        // Rate or queue could not be measured: that is no reason to believe in them.
        findings.push(Finding::new("offered (datagrams)", "Mbit/s", planned / 1e6, offered / 1e6, 0.0));
    }
    if let (Some(asked), Some(got)) = (spec.queue_bytes(), measured.queue_bytes) {
        let late = course::bps(spec).unwrap_or(0.0) / 8.0 * QUEUE_SLACK_SECONDS;
        let allowed = asked as f64 * tolerance.queue.get() + QUEUE_SLACK_BYTES + late;
        findings.push(Finding::new("queue", "kB", asked as f64 / 1e3, got / 1e3, allowed / 1e3));
    }
    findings
}

fn round_trip(class: &Class, median_ns: u64, tolerance: &Tolerance) -> Finding {
    /// An IP packet of a ping: 4 bytes of payload.
    const PING_BITS: f64 = 32.0 * 8.0;
    let spec = &class.spec;
    let ms = |seconds: f64| seconds * 1e3;
    let sending = course::bps(spec).map_or(0.0, |rate| PING_BITS / rate);
    let asked = spec.delay.as_secs_f64() + sending;
    // The median of n draws from an even spread of ± j has a deviation of j / √n; four of them are allowed.
    let spread = 4.0 * spec.jitter.as_secs_f64() / f64::from(course::round_trips(spec).unwrap_or(1)).sqrt();
    let allowed = (asked * tolerance.round_trip_share.get()).max(tolerance.round_trip.as_secs_f64()) + spread;
    Finding::new("round trip", "ms", ms(asked), median_ns as f64 / 1e6, ms(allowed))
}

/// Why a link may not be what it should be, as far as it can be told from here.
pub(super) fn likely_cause(late_p99_ms: Option<f64>, overruns: u64, busy: f64, stolen: f64) -> String {
    if overruns > 0 {
        return format!(
            "{overruns} packets were lost between kernel and engine: the receive buffer is too small or the machine too slow"
        );
    }
    if late_p99_ms.is_some_and(|ms| ms > 1.0) || busy > 0.9 || stolen > 0.02 {
        let late =
            late_p99_ms.map_or(String::new(), |ms| format!("engine late by {ms:.1} ms at the 99th percentile, "));
        return format!(
            "the machine is overloaded ({late}processors {:.0} % busy, {:.0} % of their time taken by the hypervisor): end other \
             programs, or run a smaller experiment",
            busy * 100.0,
            stolen * 100.0
        );
    }
    "the machine was not overloaded, so the engine is at fault or the processor's clock is: please report it".to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use peerbed_link::{Bandwidth, Burst, LinkSpec, Loss, Probability, Queue, Rate, TraceId, Traced};

    use super::*;
    use crate::calibrate::Place;

    fn class(change: impl FnOnce(&mut LinkSpec)) -> Class {
        let mut spec = LinkSpec {
            bandwidth: Bandwidth::Limited(Rate::from_bps(10_000_000).unwrap()),
            delay: Duration::from_millis(20),
            queue: Queue::Time(Duration::from_millis(100)),
            ..LinkSpec::TRANSPARENT
        };
        change(&mut spec);
        Class { place: Place::Up, spec, users: vec!["homes".to_owned()] }
    }

    fn exact() -> Measured {
        Measured {
            round_trip_ns: Some(20_200_000),
            least_round_trip_ns: Some(20_100_000),
            flood_bps: Some(10e6),
            flow_bps: Some(10e6 * TCP_PAYLOAD),
            trickled: Some((7500, 0)),
            queue_bytes: Some(125_000.0),
            underfed_bps: None,
            traced_bps: None,
        }
    }

    /// The quantities that are wrong.
    fn wrong(class: &Class, change: impl FnOnce(&mut Measured)) -> Vec<&'static str> {
        let mut measured = exact();
        change(&mut measured);
        let findings = findings(class, &measured, &Tolerance::default());
        findings.iter().filter(|finding| !finding.good).map(|finding| finding.what).collect()
    }

    #[test]
    fn an_exact_link_is_good() {
        assert_eq!(wrong(&class(|_| ()), |_| ()), [""; 0]);
        assert_eq!(findings(&class(|_| ()), &exact(), &Tolerance::default()).len(), 5);
    }

    #[test]
    fn each_quantity_can_be_wrong() {
        let class = class(|_| ());
        assert_eq!(wrong(&class, |measured| measured.round_trip_ns = Some(20_600_000)), ["round trip"]);
        assert_eq!(wrong(&class, |measured| measured.round_trip_ns = Some(19_400_000)), ["round trip"]);
        assert_eq!(wrong(&class, |measured| measured.flood_bps = Some(10.3e6)), ["rate (datagrams)"]);
        assert_eq!(wrong(&class, |measured| measured.flow_bps = Some(9.4e6)), ["rate (TCP)"]);
        assert_eq!(wrong(&class, |measured| measured.trickled = Some((7500, 1))), ["loss"]);
        assert_eq!(wrong(&class, |measured| measured.queue_bytes = Some(60_000.0)), ["queue"]);
        assert_eq!(wrong(&class, |measured| measured.underfed_bps = Some((2e7, 1e7))), ["offered (datagrams)"]);
    }

    #[test]
    fn a_trace_has_a_finding_of_its_own() {
        let rate = |mbit: u64| Rate::from_bps(mbit * 1_000_000).unwrap();
        let traced = Traced { trace: TraceId::from_hash(1), mean: rate(10), peak: rate(30) };
        let class = class(|spec| spec.bandwidth = Bandwidth::Trace(traced));
        for (got, good) in [(9.85e6, true), (10.15e6, true), (9.75e6, false), (10.25e6, false)] {
            let measured = Measured { traced_bps: Some((10e6, got)), ..Measured::default() };
            let found = findings(&class, &measured, &Tolerance::default());
            assert_eq!(found.iter().map(|f| (f.what, f.good)).collect::<Vec<_>>(), [("rate (trace)", good)]);
        }
    }

    #[test]
    fn losses_vary_as_chance_has_it() {
        let lossy = class(|spec| spec.loss = Loss::Random(Probability::new(0.01).unwrap()));
        for (lost, expected) in [(100, 0), (137, 0), (63, 0), (145, 1), (55, 1), (0, 1)] {
            let wrong = wrong(&lossy, |measured| measured.trickled = Some((10_000, lost)));
            assert_eq!(wrong.len(), expected, "{lost} of 10000: {wrong:?}");
        }
    }

    #[test]
    fn what_could_be_any_loss_is_not_judged() {
        let bursty = |p: f64, r: f64| {
            let share = |value| Probability::new(value).unwrap();
            let burst = Burst { p: share(p), r: share(r), loss_bad: share(1.0), loss_good: share(0.0) };
            class(|spec| spec.loss = Loss::GilbertElliott(burst))
        };
        let judged = |class: &Class| {
            let measured = Measured { trickled: Some((15_000, 0)), ..Measured::default() };
            findings(class, &measured, &Tolerance::default()).iter().map(|finding| finding.good).collect::<Vec<_>>()
        };
        assert_eq!(judged(&bursty(0.00001, 0.00001)), [false; 0]);
        assert_eq!(judged(&bursty(0.1, 0.1)), [false]);
    }

    #[test]
    fn who_disturbed_is_named() {
        let overload = "the machine is overloaded";
        for (late, overruns, busy, stolen, expected) in [
            (Some(0.2), 3, 0.3, 0.0, "3 packets were lost between kernel and engine"),
            (Some(1.5), 0, 0.3, 0.0, "the machine is overloaded (engine late by 1.5 ms"),
            (Some(0.2), 0, 0.95, 0.0, overload),
            (None, 0, 0.3, 0.12, "the machine is overloaded (processors 30 % busy"),
            (None, 0, 0.3, 0.0, "the machine was not overloaded"),
        ] {
            let cause = likely_cause(late, overruns, busy, stolen);
            assert!(cause.starts_with(expected), "{cause}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let open = class(|spec| spec.bandwidth = Bandwidth::Unlimited);
        let measured = Measured { round_trip_ns: Some(20_000_000), ..Measured::default() };
        let findings = findings(&open, &measured, &Tolerance::default());
        assert_eq!(findings.iter().map(|finding| finding.what).collect::<Vec<_>>(), ["round trip"]);
    }
}
