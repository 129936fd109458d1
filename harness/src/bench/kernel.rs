//! Figures of the `tc` engine: what flows get of their rates, in both directions, and how long many shaped nodes take.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use peerbed_contract::{AsNumber, NatClass, Role};
use peerbed_link::{Bandwidth, Duplex, Fabric, FabricNode, LinkSpec, Queue, Rate};

use super::{
    Bench, Figure, at_most,
    links::{OPEN, PORT, address, exchange, name},
    nodes::rest,
    within,
};
use crate::{
    engine::{EndsChoice, EngineChoice, EngineOptions},
    probe::{
        Report, TCP_PAYLOAD,
        field::{Field, words},
    },
};

/// At most so much of its link's rate does a flow send.
const BEYOND: f64 = 1.01;
/// As many nodes as a laptop shall carry.
const CROWD: usize = 1000;

/// All of them.
pub(super) async fn figures(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let mut figures = goodput(bench).await?;
    figures.extend(setup(bench).await?);
    Ok(figures)
}

fn options() -> EngineOptions {
    EngineOptions { engine: EngineChoice::Tc, ends: EndsChoice::Auto, threads: None }
}

fn limited(mbit: u64) -> anyhow::Result<LinkSpec> {
    let bandwidth = Bandwidth::Limited(Rate::from_bps(mbit * 1_000_000)?);
    Ok(LinkSpec { bandwidth, queue: Queue::Time(Duration::from_millis(100)), ..LinkSpec::TRANSPARENT })
}

/// Goodput of one TCP flow against the payload share of the rate, per cent of difference.
async fn goodput(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for mbit in [1_u64, 10, 100, 500, 1000] {
        for (way, up) in [("up", true), ("down", false)] {
            let mut measured = Vec::new();
            for repeat in 0..bench.repeats {
                let mut access = [OPEN; 2];
                *(if up { &mut access[0].up } else { &mut access[1].down }) = limited(mbit)?;
                let window_ms: u64 = if mbit < 10 { 20_000 } else { 5_000 };
                let to = format!("{}:{PORT}", address(1));
                let sink = words(&[&"sink", &to, &2_000, &window_ms]);
                // Not to fill the queue before the end: what was lost would be made up for in the window.
                let pace = (mbit as f64 * 1e6 * TCP_PAYLOAD * BEYOND / 8.0).ceil() as u64;
                let source = words(&[&"source", &to, &(window_ms + 3_000), &pace]);
                let reports = exchange(bench, options(), &access, repeat, (sink, false), source).await?;
                let Some(Report::Window { bytes, nanos }) = reports.server else { bail!("the sink did not count") };
                let bps = bytes as f64 * 8.0 / (nanos as f64 / 1e9);
                measured.push((bps / (mbit as f64 * 1e6 * TCP_PAYLOAD) - 1.0) * 100.0);
            }
            let what = format!("tc: goodput error at {mbit} Mbit/s {way}");
            figures.push(Figure { what, unit: "%", measured, target: within(1.0) });
        }
    }
    Ok(figures)
}

/// From a fabric of many nodes, all of them shaped both ways, to one that stands, and back.
async fn setup(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let only_as = AsNumber::try_from(64_500).context("a constant number is good")?;
    let access = Duplex { up: limited(10)?, down: limited(50)? };
    let node = |index| FabricNode {
        name: name(index),
        role: Role::Peer,
        as_number: only_as,
        address: address(index).into(),
        access,
        nat: NatClass::None,
    };
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for repeat in 0..bench.repeats {
        let fabric = Fabric {
            places: Vec::new(),
            seed: u64::from(repeat),
            congestion_control: "cubic".to_owned(),
            nodes: (0..CROWD).map(node).collect(),
            links: Vec::new(),
            routes: Vec::new(),
            traces: BTreeMap::new(),
        };
        rest().await?;
        let began = Instant::now();
        let field = Field::up(&bench.launch, fabric, options(), &bench.scratch.path().join("probes.log")).await?;
        up.push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        field.down().await?;
        down.push(began.elapsed().as_secs_f64());
    }
    let what = |what: &str| format!("tc: {CROWD} nodes shaped both ways {what}");
    Ok(vec![
        Figure { what: what("set up"), unit: "s", measured: up, target: at_most(5.0) },
        Figure { what: what("torn down"), unit: "s", measured: down, target: at_most(5.0) },
    ])
}
