//! Figures of links: goodput, round-trip time, loss; each through two nodes of a real fabric, with the probes inside.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context, bail};
use peerbed_contract::{AsNumber, NodeName, Role};
use peerbed_link::{Bandwidth, Duplex, Fabric, FabricNode, LinkSpec, Loss, Probability, Queue, Rate};

use super::{Bench, Figure, within};
use crate::{
    agent::protocol::{Notice, Reply, Request, Spawn},
    engine::EngineOptions,
    probe::Report,
    runtime::{Notices, client::Client},
};

/// TCP payload of a 1500-byte packet with timestamps.
const PAYLOAD: f64 = 1448.0 / 1500.0;
const PORT: u16 = 5001;

/// Two nodes with one fabric between them; everything is on the first node's uplink, all else is transparent.
struct Pair {
    client: Client,
    notices: Notices,
    log: std::path::PathBuf,
}

fn address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, 0, 1 + node as u8)
}

fn name(node: usize) -> NodeName {
    format!("probe-{node}").parse().expect("a constant name is good")
}

impl Pair {
    async fn up(bench: &Bench, uplink: LinkSpec, seed: u64) -> anyhow::Result<Self> {
        let only_as = AsNumber::try_from(64_500).expect("a constant number is good");
        let node = |index| FabricNode {
            name: name(index),
            role: Role::Peer,
            as_number: only_as,
            address: address(index),
            access: Duplex { up: if index == 0 { uplink } else { LinkSpec::TRANSPARENT }, down: LinkSpec::TRANSPARENT },
        };
        let fabric = Fabric {
            seed,
            congestion_control: "cubic".to_owned(),
            nodes: vec![node(0), node(1)],
            links: Vec::new(),
            routes: Vec::new(),
        };
        let log = bench.scratch.path().join("probes.log");
        let (client, notices) = Client::start("/proc/self/exe".as_ref(), &log)?;
        let options = EngineOptions { ends: bench.ends, threads: None };
        match client.call(Request::Install { fabric: Box::new(fabric), options }).await? {
            Reply::Installed(_) => Ok(Self { client, notices, log }),
            other => bail!("the agent answered {other:?}"),
        }
    }

    async fn spawn(&self, node: usize, arguments: &[String]) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("cannot find this program")?.display().to_string();
        let argv = [program, "probe".to_owned()].into_iter().chain(arguments.iter().cloned()).collect();
        self.client.call(Request::Spawn(Spawn { node: name(node), argv, log: self.log.clone() })).await?;
        Ok(())
    }

    /// The next report of a node.
    async fn report(&mut self, node: usize) -> anyhow::Result<Report> {
        loop {
            let notice = tokio::time::timeout(Duration::from_mins(2), self.notices.next()).await;
            match notice.context("a probe said nothing for two minutes")?.context("the agent ended")? {
                Notice::Line { node: by, line } if by == name(node) => {
                    return serde_json::from_str(&line).with_context(|| format!("a probe printed `{line}`"));
                }
                Notice::Exited { node: by, code, .. } if code != Some(0) && by == name(node) => {
                    let log = std::fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string());
                    bail!("the probe on {by} ended with {code:?}:\n{log}");
                }
                Notice::Broken { message } => bail!(message),
                _ => {}
            }
        }
    }

    /// Runs a server on the second node and, when it is ready, a client on the first.
    async fn probes(&mut self, server: &[String], client: &[String]) -> anyhow::Result<()> {
        self.spawn(1, server).await?;
        match self.report(1).await? {
            Report::Ready => self.spawn(0, client).await,
            other => bail!("the server's first word was {other:?}"),
        }
    }

    async fn down(self) -> anyhow::Result<()> {
        Ok(self.client.end().await?)
    }
}

fn words(words: &[&dyn std::fmt::Display]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
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
            let mut pair = Pair::up(bench, uplink, u64::from(repeat)).await?;
            let to = format!("{}:{PORT}", address(1));
            let sink = words(&[&"sink", &to, &2_000, &window_ms]);
            pair.probes(&sink, &words(&[&"source", &to, &(window_ms + 3_000)])).await?;
            let Report::Window { bytes, nanos } = pair.report(1).await? else { bail!("the sink did not count") };
            pair.down().await?;
            let bps = bytes as f64 * 8.0 / (nanos as f64 / 1e9);
            measured.push((bps / (mbit as f64 * 1e6 * PAYLOAD) - 1.0) * 100.0);
        }
        figures.push(Figure {
            what: format!("goodput error at {mbit} Mbit/s"),
            unit: "%",
            measured,
            target: within(0.5),
        });
    }
    Ok(figures)
}

/// Median round trip of a UDP echo beyond the configured delay.
pub(super) async fn rtt(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for ms in [2_u64, 20, 200] {
        let mut measured = Vec::new();
        for repeat in 0..bench.repeats {
            let uplink = LinkSpec { delay: Duration::from_millis(ms), ..LinkSpec::TRANSPARENT };
            let mut pair = Pair::up(bench, uplink, u64::from(repeat)).await?;
            let to = format!("{}:{PORT}", address(1));
            let count = if ms >= 200 { 20 } else { 200 };
            pair.probes(&words(&[&"echo", &to]), &words(&[&"ping", &to, &count, &10_000])).await?;
            let Report::RoundTrips(trips) = pair.report(0).await? else { bail!("the ping did not measure") };
            pair.down().await?;
            let median = *trips.get(trips.len() / 2).context("no echo came back")?;
            measured.push((median as f64 - ms as f64 * 1e6) / 1e6);
        }
        let limit = (ms as f64 * 0.01).max(0.2);
        figures.push(Figure { what: format!("RTT added at {ms} ms"), unit: "ms", measured, target: within(limit) });
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
            let mut pair = Pair::up(bench, uplink, u64::from(repeat)).await?;
            let to = format!("{}:{PORT}", address(1));
            let blast = words(&[&"blast", &to, &PACKETS, &200, &10_000]);
            pair.probes(&words(&[&"count", &to]), &blast).await?;
            let Report::Datagrams(received) = pair.report(1).await? else { bail!("the counter did not count") };
            pair.down().await?;
            let n = f64::from(PACKETS);
            let lost = n - received as f64;
            measured.push((lost - n * share.get()) / (n * share.get() * (1.0 - share.get())).sqrt());
        }
        let what = format!("loss at {percent} %, from {PACKETS} packets");
        figures.push(Figure { what, unit: "σ", measured, target: within(3.0) });
    }
    Ok(figures)
}
