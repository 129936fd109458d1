//! Figures of the engine under load: many pairs of nodes, each with a TCP flow of its own through a link of its own.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail};
use peerbed_contract::{AsNumber, Role};
use peerbed_link::{Bandwidth, Duplex, Fabric, FabricNode, LinkSpec, Queue, Rate};

use super::{
    Bench, Figure, at_least, at_most,
    links::{PORT, address, name},
    within,
};
use crate::{
    engine::EngineOptions,
    host::HostSample,
    probe::{
        Report, TCP_PAYLOAD,
        field::{Exchange, Field, words},
    },
    reconcile::limits::LATE_P99_MAX_MS,
    say::complain,
};

const MBIT: u64 = 5;
const DELAY: Duration = Duration::from_millis(20);
/// Until every flow is steady, and how long it is measured then.
const SKIP: Duration = Duration::from_secs(4);
const WINDOW: Duration = Duration::from_secs(6);
/// Bytes that a sink reads at once: the engine is to be loaded, not the machine with the waking of sinks for every packet.
const AT_ONCE: u32 = 32 << 10;
/// How many pairs at once.
const CROWDS: [usize; 3] = [50, 100, 200];
/// Flows further from their rate than this show that the engine has come to its end, per cent.
const ERROR_MOST: f64 = 0.5;
/// Beyond those that keep up, each crowd is so many times the one before, up to a number that fits any limit of descriptors.
const GROWTH: f64 = 1.25;
const PAIRS_MOST: usize = 2000;

/// What one crowd did.
#[derive(Debug)]
struct Carried {
    /// Each flow's goodput against its ideal, per cent.
    errors: Vec<f64>,
    /// Jain's fairness index of the goodputs.
    fairness: f64,
    /// Of all packets in the window, the engine's lateness, 99th percentile.
    late_p99_ms: f64,
    /// All flows together.
    goodput_gbps: f64,
    /// Cores that were busy, the probes' own work included.
    cores: f64,
}

impl Carried {
    /// The error of the flow that is furthest from its rate, with its sign.
    fn worst(&self) -> f64 {
        self.errors.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(f64::INFINITY)
    }

    fn kept_up(&self) -> bool {
        self.late_p99_ms <= LATE_P99_MAX_MS && self.worst().abs() <= ERROR_MOST
    }
}

/// How many pairs the engine carries.
#[derive(Debug, Default)]
struct Reach {
    /// So many, at least.
    pairs: usize,
    goodput_gbps: f64,
    cores: f64,
    /// So many are too many.
    too_many: Option<usize>,
}

impl Reach {
    fn told(&mut self, pairs: usize, carried: &Carried) {
        if carried.kept_up() {
            *self = Self { pairs, goodput_gbps: carried.goodput_gbps, cores: carried.cores, too_many: self.too_many };
            return;
        }
        self.too_many = Some(self.too_many.map_or(pairs, |known| known.min(pairs)));
        complain(format_args!(
            "{pairs} pairs are too many: engine late by {:.2} ms, worst flow {:+.2} %",
            carried.late_p99_ms,
            carried.worst()
        ));
    }

    fn next(&self) -> Option<usize> {
        let next = (self.pairs as f64 * GROWTH) as usize;
        (self.pairs > 0 && next <= PAIRS_MOST && self.too_many.is_none_or(|too_many| next < too_many)).then_some(next)
    }
}

/// R. Jain, D. Chiu, W. Hawe: A Quantitative Measure of Fairness (1984): 1 if all are equal, 1/n if one has everything.
fn jain(values: &[f64]) -> f64 {
    let (sum, squares) = values.iter().fold((0.0, 0.0), |(sum, squares), value| (sum + value, squares + value * value));
    sum * sum / (values.len() as f64 * squares)
}

async fn carry(bench: &Bench, pairs: usize) -> anyhow::Result<Carried> {
    try_carry(bench, pairs).await.with_context(|| format!("{pairs} pairs"))
}

async fn try_carry(bench: &Bench, pairs: usize) -> anyhow::Result<Carried> {
    let uplink = LinkSpec {
        bandwidth: Bandwidth::Limited(Rate::from_bps(MBIT * 1_000_000)?),
        delay: DELAY,
        queue: Queue::Time(Duration::from_millis(100)),
        ..LinkSpec::TRANSPARENT
    };
    let only_as = AsNumber::try_from(64_500).expect("a constant number is good");
    let node = |index: usize| FabricNode {
        name: name(index),
        role: Role::Peer,
        as_number: only_as,
        address: address(index).into(),
        // Even ones send, odd ones receive.
        access: Duplex {
            up: if index.is_multiple_of(2) { uplink } else { LinkSpec::TRANSPARENT },
            down: LinkSpec::TRANSPARENT,
        },
    };
    let fabric = Fabric {
        seed: 1,
        congestion_control: "cubic".to_owned(),
        nodes: (0..2 * pairs).map(node).collect(),
        links: Vec::new(),
        routes: Vec::new(),
        traces: BTreeMap::new(),
    };
    let options = EngineOptions::wire(bench.ends);
    let mut field = Field::up(&bench.launch, fabric, options, &bench.scratch.path().join("probes.log")).await?;
    let exchange = |pair: usize| {
        let to = format!("{}:{PORT}", address(2 * pair + 1));
        let length = SKIP + WINDOW + Duration::from_secs(2);
        Exchange {
            server: name(2 * pair + 1),
            serve: words(&[&"sink", &to, &SKIP.as_millis(), &WINDOW.as_millis(), &AT_ONCE]),
            endless: false,
            client: name(2 * pair),
            ask: words(&[&"source", &to, &length.as_millis()]),
        }
    };
    let exchanges: Vec<Exchange> = (0..pairs).map(exchange).collect();
    let gauge = field.gauge();
    let steady = async {
        tokio::time::sleep(SKIP).await;
        // The engine tells how late it was since it was asked before.
        gauge.read().await?;
        let before = HostSample::read()?;
        tokio::time::sleep(WINDOW).await;
        anyhow::Ok((before, HostSample::read()?, gauge.read().await?.health))
    };
    let (reports, (before, after, health)) = tokio::try_join!(field.carry_out(&exchanges), steady)?;
    field.down().await?;
    if health.overruns > 0 {
        complain(format_args!("{pairs} pairs: {} packets were lost between kernel and engine", health.overruns));
    }
    let bps = |report: Option<Report>| match report {
        Some(Report::Window { bytes, nanos }) => Ok(bytes as f64 * 8.0 / (nanos.max(1) as f64 / 1e9)),
        other => bail!("a sink said {other:?}"),
    };
    let goodputs: Vec<f64> = reports.into_iter().map(|reports| bps(reports.server)).collect::<Result<_, _>>()?;
    let ideal = MBIT as f64 * 1e6 * TCP_PAYLOAD;
    let busy = (after.cpu.total_ms() - after.cpu.idle_ms) - (before.cpu.total_ms() - before.cpu.idle_ms);
    Ok(Carried {
        errors: goodputs.iter().map(|bps| (bps / ideal - 1.0) * 100.0).collect(),
        fairness: jain(&goodputs),
        late_p99_ms: health.late_p99_ns.unwrap_or_default() as f64 / 1e6,
        goodput_gbps: goodputs.iter().sum::<f64>() / 1e9,
        cores: busy as f64 * 1e6 / (after.at_ns - before.at_ns) as f64,
    })
}

/// Flows side by side, and where the engine does not keep up any more.
pub(super) async fn pairs(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let (mut known, mut most) = (CROWDS.map(|_| Vec::new()), Vec::new());
    for _ in 0..bench.repeats {
        let mut reach = Reach::default();
        for (pairs, carried) in CROWDS.into_iter().zip(&mut known) {
            let now = carry(bench, pairs).await?;
            reach.told(pairs, &now);
            carried.push(now);
        }
        while let Some(pairs) = reach.next() {
            reach.told(pairs, &carry(bench, pairs).await?);
        }
        most.push(reach);
    }
    let mut figures = Vec::new();
    for (pairs, carried) in CROWDS.into_iter().zip(&known) {
        let mut add = |what: &str, unit, target, of: fn(&Carried) -> f64| {
            let what = format!("{pairs} pairs at {MBIT} Mbit/s: {what}");
            figures.push(Figure { what, unit, measured: carried.iter().map(of).collect(), target });
        };
        add("worst flow's error", "%", within(ERROR_MOST), Carried::worst);
        add("fairness (Jain)", "", at_least(0.9999), |carried| carried.fairness);
        add("engine late, p99", "ms", at_most(1.0), |carried| carried.late_p99_ms);
    }
    let mut add = |what: &str, unit, of: fn(&Reach) -> f64| {
        figures.push(Figure {
            what: what.to_owned(),
            unit,
            measured: most.iter().map(of).collect(),
            target: (None, None),
        });
    };
    add("most pairs that keep their rate and time", "", |reach| reach.pairs as f64);
    add("… goodput of all together", "Gbit/s", |reach| reach.goodput_gbps);
    add("… cores it took, probes included", "", |reach| reach.cores);
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fairness_is_one_for_equals_and_least_for_a_single_winner() {
        assert!((jain(&[3.0; 7]) - 1.0).abs() < 1e-12);
        assert!((jain(&[1.0, 0.0, 0.0, 0.0]) - 0.25).abs() < 1e-12);
        assert!((jain(&[1.0, 2.0, 3.0]) - 36.0 / 42.0).abs() < 1e-12);
    }

    #[test]
    fn the_reach_is_searched_beyond_the_last_that_kept_up() {
        let next = |pairs, too_many| Reach { pairs, too_many, ..Reach::default() }.next();
        assert_eq!(next(0, Some(50)), None);
        assert_eq!(next(200, None), Some(250));
        assert_eq!(next(100, Some(200)), Some(125));
        assert_eq!(next(156, Some(200)), Some(195));
        assert_eq!(next(195, Some(200)), None);
        assert_eq!(next(1999, None), None);
    }

    #[test]
    fn one_bad_flow_is_not_lost_in_the_mean() {
        let carried = |errors: &[f64], late_p99_ms| Carried {
            errors: errors.to_vec(),
            fairness: 1.0,
            late_p99_ms,
            goodput_gbps: 1.0,
            cores: 1.0,
        };
        assert!(carried(&[0.1, -0.4], 5.0).kept_up());
        assert!(!carried(&[0.1, -0.6], 5.0).kept_up());
        assert!(!carried(&[0.1, -0.4], 5.1).kept_up());
        assert!((carried(&[0.1, -0.6, 0.3], 0.0).worst() + 0.6).abs() < 1e-12);
    }
}
