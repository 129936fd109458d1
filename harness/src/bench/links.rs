//! Figures of links: goodput, round-trip time, loss; each through two nodes of a real fabric, with the probes inside.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use anyhow::{Context, bail};
use peerbed_contract::{AsNumber, NatClass, NodeName, Role};
use peerbed_link::{Bandwidth, Duplex, Fabric, FabricNode, LinkSpec, Loss, Probability, Queue, Rate};

use super::{Bench, Figure, within};
use crate::{
    engine::EngineOptions,
    probe::{
        Report, TCP_PAYLOAD,
        field::{Exchange, Field, Reports, words},
    },
};

pub(super) const PORT: u16 = 5001;

/// Addresses for benchmarks (RFC 2544).
pub(super) fn address(node: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)) + node as u32)
}

pub(super) fn name(node: usize) -> NodeName {
    format!("probe-{node}").parse().expect("a constant name is good")
}

/// One exchange of probes between two nodes of the `wire` engine: everything is on the uplink of the first, which asks; all
/// else is transparent.
async fn measure(
    bench: &Bench,
    uplink: LinkSpec,
    seed: u32,
    serve: (Vec<String>, bool),
    ask: Vec<String>,
) -> anyhow::Result<Reports> {
    let access = Duplex { up: uplink, down: LinkSpec::TRANSPARENT };
    exchange(bench, EngineOptions::wire(bench.ends), &[access, OPEN], seed, serve, ask).await
}

/// An access link that does nothing.
pub(super) const OPEN: Duplex = Duplex { up: LinkSpec::TRANSPARENT, down: LinkSpec::TRANSPARENT };

/// One exchange of probes between two nodes with these access links, of which the first asks.
pub(super) async fn exchange(
    bench: &Bench,
    options: EngineOptions,
    access: &[Duplex; 2],
    seed: u32,
    (serve, endless): (Vec<String>, bool),
    ask: Vec<String>,
) -> anyhow::Result<Reports> {
    let only_as = AsNumber::try_from(64_500).expect("a constant number is good");
    let node = |index| FabricNode {
        name: name(index),
        role: Role::Peer,
        as_number: only_as,
        address: address(index).into(),
        access: access[index],
        nat: NatClass::None,
    };
    let fabric = Fabric {
        places: Vec::new(),
        seed: u64::from(seed),
        congestion_control: "cubic".to_owned(),
        nodes: vec![node(0), node(1)],
        links: Vec::new(),
        routes: Vec::new(),
        traces: BTreeMap::new(),
    };
    let mut field = Field::up(&bench.launch, fabric, options, &bench.scratch.path().join("probes.log")).await?;
    let exchange = Exchange { server: name(1), serve, endless, client: name(0), ask };
    let mut reports = field.carry_out(&[exchange]).await?;
    field.down().await?;
    reports.pop().context("the probes did not report")
}

/// Goodput of one TCP flow against the payload share of the rate, per cent of difference.
pub(super) async fn goodput(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for mbit in [1_u64, 10, 100, 500] {
        let mut measured = Vec::new();
        for repeat in 0..bench.repeats {
            let uplink = LinkSpec {
                bandwidth: Bandwidth::Limited(Rate::from_bps(mbit * 1_000_000)?),
                delay: Duration::from_millis(5),
                queue: Queue::Time(Duration::from_millis(100)),
                ..LinkSpec::TRANSPARENT
            };
            // Slow links need a longer window: one packet more or less must not show.
            let window_ms: u64 = if mbit < 10 { 20_000 } else { 5_000 };
            let to = format!("{}:{PORT}", address(1));
            let sink = words(&[&"sink", &to, &2_000, &window_ms]);
            let source = words(&[&"source", &to, &(window_ms + 3_000)]);
            let reports = measure(bench, uplink, repeat, (sink, false), source).await?;
            let Some(Report::Window { bytes, nanos }) = reports.server else { bail!("the sink did not count") };
            let bps = bytes as f64 * 8.0 / (nanos as f64 / 1e9);
            measured.push((bps / (mbit as f64 * 1e6 * TCP_PAYLOAD) - 1.0) * 100.0);
        }
        figures.push(Figure {
            what: format!("goodput error at {mbit} Mbit/s"),
            unit: "%",
            measured,
            target: within(0.1),
        });
    }
    Ok(figures)
}

/// Median round trip of a UDP echo beyond the configured delay and the time that its packet takes at the rate.
pub(super) async fn rtt(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    /// An IP packet of a ping: 4 bytes of payload.
    const PING_BYTES: u64 = 32;
    let mut figures = Vec::new();
    for (ms, mbit) in [(2_u64, None), (20, None), (200, None), (20, Some(1)), (20, Some(500))] {
        let mut measured = Vec::new();
        let rate = mbit.map(|mbit: u64| Rate::from_bps(mbit * 1_000_000)).transpose()?;
        let sending = rate.map_or(0, |rate| rate.nanos_for(PING_BYTES));
        for repeat in 0..bench.repeats {
            let bandwidth = rate.map_or(Bandwidth::Unlimited, Bandwidth::Limited);
            let uplink = LinkSpec { bandwidth, delay: Duration::from_millis(ms), ..LinkSpec::TRANSPARENT };
            let to = format!("{}:{PORT}", address(1));
            let count = if ms >= 200 { 20 } else { 200 };
            let (echo, ping) = (words(&[&"echo", &to]), words(&[&"ping", &to, &count, &10_000, &2_000]));
            let reports = measure(bench, uplink, repeat, (echo, true), ping).await?;
            let Report::RoundTrips(trips) = reports.client else { bail!("the ping did not measure") };
            let median = *trips.get(trips.len() / 2).context("no echo came back")?;
            measured.push((median as f64 - ms as f64 * 1e6 - sending as f64) / 1e6);
        }
        let at = mbit.map_or(String::new(), |mbit| format!(", {mbit} Mbit/s"));
        figures.push(Figure { what: format!("RTT added at {ms} ms{at}"), unit: "ms", measured, target: within(0.2) });
    }
    Ok(figures)
}

/// Random loss, in standard deviations from what was asked.
pub(super) async fn loss(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    const PACKETS: u32 = 100_000;
    let mut figures = Vec::new();
    for percent in [0.1, 1.0, 5.0] {
        let mut measured = Vec::new();
        for repeat in 0..bench.repeats {
            let share = Probability::new(percent / 100.0)?;
            let uplink = LinkSpec { loss: Loss::Random(share), ..LinkSpec::TRANSPARENT };
            let to = format!("{}:{PORT}", address(1));
            let (gauge, blast) = (words(&[&"gauge", &to, &2_000]), words(&[&"blast", &to, &PACKETS, &200, &10_000]));
            let reports = measure(bench, uplink, repeat, (gauge, false), blast).await?;
            let Some(Report::Gauged(gauged)) = reports.server else { bail!("the receiver did not count") };
            let n = f64::from(PACKETS);
            let lost = n - gauged.datagrams as f64;
            measured.push((lost - n * share.get()) / (n * share.get() * (1.0 - share.get())).sqrt());
        }
        let what = format!("loss at {percent} %, from {PACKETS} packets");
        figures.push(Figure { what, unit: "σ", measured, target: within(3.0) });
    }
    Ok(figures)
}
