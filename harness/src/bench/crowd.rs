//! How near flash crowds come to the fluid bound of their distribution time: the same object for everybody at one moment,
//! and only an edge behind a narrow uplink has it.

use std::sync::Arc;

use anyhow::Context;
use peerbed_model::Plan;

use super::{Bench, Figure, Target, nodes};
use crate::{
    engine::EngineOptions,
    reconcile::overload::Interval,
    results::RunOutcome,
    run::{Interrupt, execute, progress::Progress},
    runtime::{NodeFiles, netns::Netns},
    say::complain,
};

const TOPOLOGY: &str = "
access:
  home: {up: UPkbit, down: DOWNkbit, delay: 8ms, queue: 100ms}
  origin: {up: EDGEkbit, down: 100mbit, delay: 5ms, queue: 100ms}
  core: {up: 100mbit, down: 100mbit, delay: 2ms}
ases:
  - {name: isp, number: 64500, region: north, prefix: 10.1.0.0/16}
edges:
  - {as: isp, access: origin}
control:
  - {as: isp, access: core}
";

/// One crowd.
#[derive(Clone, Copy)]
struct Crowd {
    peers: u32,
    /// Its links are so many times slower than 20 Mbit/s up for the edge, 10 up and 50 down for a peer.
    slower: u32,
    /// What the last completion may take against the bound.
    target: Target,
}

/// At full rates 200 peers would exchange 2 Gbit/s, which two cores do not carry: theirs take an eighth.
const CROWDS: [Crowd; 4] = [
    Crowd { peers: 10, slower: 1, target: NEAR },
    Crowd { peers: 30, slower: 1, target: NEAR },
    Crowd { peers: 50, slower: 1, target: NEAR },
    Crowd { peers: 200, slower: 8, target: (None, None) },
];

const NEAR: Target = (None, Some(1.15));

/// Tries for one measurement: other programs may disturb a run.
const TRIES: u32 = 3;

impl Crowd {
    fn named(self) -> String {
        match self.slower {
            1 => format!("crowd of {}", self.peers),
            slower => format!("crowd of {} on links {slower} times slower", self.peers),
        }
    }
}

fn plan(crowd: Crowd) -> anyhow::Result<Arc<Plan>> {
    let Crowd { peers, slower, .. } = crowd;
    let rate = |mbit: u32| (mbit * 1000 / slower).to_string();
    let topology = TOPOLOGY.replace("UP", &rate(10)).replace("DOWN", &rate(50)).replace("EDGE", &rate(20));
    let text = format!(
        "question: How long does a crowd of {peers} take?\n\
         topology: bench\nseed: 11\nduration: {}s\n\
         content:\n  - {{id: release, size: 32MiB, piece: 64KiB, provider: A}}\n\
         groups:\n  - {{name: crowd, as: isp, peers: {peers}, access: home}}\n\
         workload:\n  arrivals: {{burst: all, at: 1s, within: 0s}}\n\
         policy:\n  uploads: {{per_copy: 1000, rate: 100%}}\n\
         arms:\n  only: {{}}\n",
        45 * slower
    );
    nodes::plan("bench-crowd", &topology, &text)
}

/// What one crowd took.
#[derive(Default)]
struct Measured {
    last: Vec<f64>,
    spread: Vec<f64>,
    edge_share: Vec<f64>,
    idle: Vec<f64>,
}

impl Measured {
    fn add(&mut self, outcome: &RunOutcome) -> anyhow::Result<()> {
        let figure = |key| outcome.figures().get(key).with_context(|| format!("the run has no {key}"));
        self.last.push(figure("fluid_bound.last")?);
        self.spread.push((figure("fluid_bound.last")? - figure("fluid_bound.first")?) * figure("fluid_bound.seconds")?);
        self.edge_share.push(100.0 * (1.0 - figure("peer_efficiency.bytes")?));
        let busy: Vec<f64> = Interval::all(outcome.record()).filter_map(|interval| interval.busy_percent()).collect();
        self.idle.push(100.0 - busy.iter().sum::<f64>() / busy.len().max(1) as f64);
        Ok(())
    }
}

/// One crowd, made again if the run was disturbed; none if this machine is not up to it.
async fn measure(bench: &Bench, crowd: Crowd, interrupt: &Interrupt) -> anyhow::Result<Option<RunOutcome>> {
    let plan = plan(crowd)?;
    let runtime = Netns::with(EngineOptions::wire(bench.ends));
    for _ in 0..TRIES {
        let files =
            NodeFiles { configs: bench.scratch.path().join("configs"), logs: bench.scratch.path().join("logs") };
        let mut progress = Progress::new(1, true);
        let record = execute(Arc::clone(&plan), &runtime, &files, &mut progress, interrupt).await?;
        let outcome = RunOutcome::of(record.context("interrupted")?);
        if outcome.validity().reasons().is_empty() {
            return Ok(Some(outcome));
        }
        let reasons = outcome.validity().reasons().join("; ");
        complain(format_args!("{}: not valid, made again: {reasons}", crowd.named()));
    }
    complain(format_args!("{} is not measured: it was never valid", crowd.named()));
    Ok(None)
}

/// For each crowd: the last completion against the bound, the time between first and last, the edge's share of the bytes,
/// and what was left of the processors.
pub(super) async fn crowds(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let interrupt = Interrupt::listen()?;
    let mut figures = Vec::new();
    for crowd in CROWDS {
        let mut measured = Measured::default();
        // A slow crowd takes minutes, and is measured once.
        for _ in 0..if crowd.slower == 1 { bench.repeats } else { 1 } {
            nodes::rest().await?;
            let Some(outcome) = measure(bench, crowd, &interrupt).await? else { break };
            // A crowd that was not done in its time has no such figures; those of the others are not lost for that.
            if let Err(error) = measured.add(&outcome) {
                complain(format_args!("{} is not measured: {error}", crowd.named()));
                break;
            }
        }
        if measured.last.is_empty() {
            continue;
        }
        let Measured { last, spread, edge_share, idle } = measured;
        let nothing = (None, None);
        let name = crowd.named();
        let what = format!("{name}: last done / fluid bound");
        figures.push(Figure { what, unit: "×", measured: last, target: crowd.target });
        let what = format!("{name}: first to last done");
        figures.push(Figure { what, unit: "s", measured: spread, target: nothing });
        let what = format!("{name}: bytes from the edge");
        figures.push(Figure { what, unit: "%", measured: edge_share, target: nothing });
        let what = format!("{name}: processors idle");
        figures.push(Figure { what, unit: "%", measured: idle, target: nothing });
    }
    Ok(figures)
}
