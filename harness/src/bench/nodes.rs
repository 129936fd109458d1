//! Figures of nodes: how fast many of them are ready and gone, how much memory a peer takes, how fast one download is.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use peerbed_contract::{Command, Event, EventKind, NodeName, Role, TerminalStatus};
use peerbed_model::{Experiment, ExperimentFile, Plan, Source, TopologyFile, experiment_name};
use tokio::time::Instant;

use super::{Bench, Figure, at_least, at_most};
use crate::{
    agent::protocol::Notice,
    engine::EngineOptions,
    host::{HostSample, monotonic_ns},
    runtime::{
        Deployment, NodeFiles, Notices, Runtime,
        netns::{Netns, NetnsDeployment},
    },
    say::complain,
};

/// Nodes on links that do nothing, so that only the nodes and the machine are measured.
const TOPOLOGY: &str = "
access:
  open: {up: unlimited, down: unlimited}
  medium: {up: unlimited, down: 200mbit}
  slow: {up: 1mbit, down: unlimited}
ases:
  - {name: isp, number: 64500, region: here, prefix: 10.0.0.0/16}
links: []
edges:
  - {as: isp, access: EDGE}
control:
  - {as: isp, access: open}
";

/// The plan of the first arm of an experiment that is written here.
pub(super) fn plan(name: &str, topology: &str, experiment: &str) -> anyhow::Result<Arc<Plan>> {
    let topology = TopologyFile::parse(source("topology", topology)?)?;
    let file = ExperimentFile::parse(source("experiment", experiment)?)?;
    let experiment = Experiment::resolve(experiment_name(name)?, file, topology)?;
    let arm = experiment.arms().next().context("an experiment has an arm")?.to_owned();
    Ok(Arc::new(experiment.plan(&arm, 0, None)?))
}

fn source(name: &str, text: &str) -> anyhow::Result<Source> {
    Ok(Source::from_bytes(format!("bench {name}"), text.as_bytes().to_vec())?)
}

/// Peers that only wait: the one download is asked for after everything was measured.
pub(super) fn idle_peers(peers: usize) -> anyhow::Result<Arc<Plan>> {
    let text = format!(
        "question: How fast are {peers} peers ready?\n\
         topology: bench\nseed: 1\nduration: 600s\n\
         content:\n  - {{id: one, size: 1MiB, provider: A}}\n\
         groups:\n  - {{name: idle, as: isp, peers: {peers}, access: open}}\n\
         workload:\n  arrivals: {{burst: 1, at: 599s, within: 0s}}\n\
         arms:\n  only: {{}}\n"
    );
    plan("bench-idle", &TOPOLOGY.replace("EDGE", "open"), &text)
}

/// One peer downloads an object from one that holds it; the edge's uplink is too slow to matter.
fn one_download(size: &str, access: &str) -> anyhow::Result<Arc<Plan>> {
    let text = format!(
        "question: How fast is one download from one peer?\n\
         topology: bench\nseed: 1\nduration: 120s\n\
         content:\n  - {{id: object, size: {size}, provider: A, piece: 1MiB}}\n\
         groups:\n  - {{name: seed, as: isp, peers: 1, access: open, holds: {{object: 1}}, uploads: 100%}}\n  \
         - {{name: leech, as: isp, peers: 1, access: {access}}}\n\
         workload:\n  groups: [leech]\n  arrivals: {{burst: 1, at: 1s, within: 0s}}\n\
         policy:\n  uploads: {{rate: unlimited}}\n\
         arms:\n  only: {{}}\n"
    );
    plan("bench-download", &TOPOLOGY.replace("EDGE", "slow"), &text)
}

struct Nodes {
    deployment: NetnsDeployment,
    notices: Notices,
    plan: Arc<Plan>,
    setup: Duration,
}

impl Nodes {
    async fn up(bench: &Bench, plan: Arc<Plan>) -> anyhow::Result<Self> {
        let options = EngineOptions::wire(bench.ends);
        let runtime = Netns::with(options);
        let files =
            NodeFiles { configs: bench.scratch.path().join("configs"), logs: bench.scratch.path().join("logs") };
        let began = Instant::now();
        let (deployment, notices) = runtime.up(&plan, &files, &mut |_| {}).await?;
        Ok(Self { deployment, notices, plan, setup: began.elapsed() })
    }

    /// Tells every node to begin.
    async fn start(&self) -> anyhow::Result<()> {
        let names: Vec<NodeName> = self.plan.nodes.iter().map(|node| node.name.clone()).collect();
        let start = Command::Start { epoch_ns: monotonic_ns() };
        match self.deployment.tell(&names, &start.to_line()).await.pop() {
            Some((node, error)) => bail!("{node} could not be started: {error}"),
            None => Ok(()),
        }
    }

    async fn event(&mut self) -> anyhow::Result<Event> {
        loop {
            match self.notices.next().await.context("the agent ended")? {
                Notice::Line { node, line } => {
                    return serde_json::from_str(&line).with_context(|| format!("{node} printed `{line}`"));
                }
                Notice::Exited { node, code, .. } => bail!("{node} ended with {code:?}"),
                Notice::Broken { message } => bail!(message),
                Notice::Progress { .. } | Notice::Frozen { .. } | Notice::Thawed { .. } => {}
            }
        }
    }

    /// Process ids of the peers.
    fn peers(&self) -> impl Iterator<Item = u32> {
        let pids = self.plan.nodes.iter().zip(&self.deployment.doors().pids);
        pids.filter(|(node, _)| node.role == Role::Peer).map(|(_, pid)| *pid)
    }

    async fn down(self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.deployment.down().await?;
        Ok(began.elapsed())
    }
}

/// Numbers of peers, and the seconds within which so many shall be ready.
const CROWDS: [(usize, f64); 3] = [(100, 2.0), (200, 4.0), (1000, 20.0)];

/// From declared to ready, and from the end to nothing left. The kernel goes on clearing away for a while what is gone,
/// so each crowd waits until the machine has come to rest: otherwise it would be charged for the one before it.
pub(super) async fn setup(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let (mut ready, mut gone) = ([const { Vec::new() }; CROWDS.len()], [const { Vec::new() }; CROWDS.len()]);
    for _ in 0..bench.repeats {
        for (crowd, (peers, _)) in CROWDS.into_iter().enumerate() {
            rest().await?;
            let nodes = Nodes::up(bench, idle_peers(peers)?).await?;
            ready[crowd].push(nodes.setup.as_secs_f64());
            gone[crowd].push(nodes.down().await?.as_secs_f64());
        }
    }
    let per_peer = |crowd: usize, repeat: usize| ready[crowd][repeat] / CROWDS[crowd].0 as f64;
    let last = CROWDS.len() - 1;
    let growth = (0..ready[0].len()).map(|repeat| per_peer(last, repeat) / per_peer(0, repeat)).collect();
    let mut figures = Vec::new();
    for (((peers, ready_within), ready), gone) in CROWDS.into_iter().zip(ready).zip(gone) {
        let what = format!("{peers} peers declared → ready");
        figures.push(Figure { what, unit: "s", measured: ready, target: at_most(ready_within) });
        let what = format!("{peers} peers torn down");
        figures.push(Figure { what, unit: "s", measured: gone, target: at_most(2.0) });
    }
    let what = "set-up time per peer, 1000 against 100".to_owned();
    figures.push(Figure { what, unit: "×", measured: growth, target: at_most(1.0) });
    Ok(figures)
}

/// Wait until the processors have been idle for most of a second; if that does not come, say so and go on.
pub(super) async fn rest() -> anyhow::Result<()> {
    const IDLE_AT_LEAST: f64 = 0.9;
    const PATIENCE: u32 = 20;
    let mut before = HostSample::read()?.cpu;
    for _ in 0..PATIENCE {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = HostSample::read()?.cpu;
        let idle =
            now.idle_ms.saturating_sub(before.idle_ms) as f64 / (now.total_ms() - before.total_ms()).max(1) as f64;
        if idle >= IDLE_AT_LEAST {
            return Ok(());
        }
        before = now;
    }
    complain(format_args!("the machine has other work to do, which the next figure includes"));
    Ok(())
}

/// Private memory of a process, MB.
fn private_mb(pid: u32) -> anyhow::Result<f64> {
    let program =
        std::fs::read_link(format!("/proc/{pid}/exe")).with_context(|| format!("cannot look at process {pid}"))?;
    if !program.ends_with("peer") {
        bail!("process {pid} is {}, not a peer", program.display());
    }
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kb: f64 = text
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok())
        .sum();
    Ok(kb * 1024.0 / 1e6)
}

/// Private memory per peer: the mean of many that are logged in and idle; the most of one while it downloads 64 MiB.
pub(super) async fn memory(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..bench.repeats {
        let mut nodes = Nodes::up(bench, idle_peers(50)?).await?;
        nodes.start().await?;
        let mut started = 0;
        while started < nodes.plan.nodes.len() {
            started += usize::from(matches!(nodes.event().await?.kind, EventKind::Started));
        }
        let each: Vec<f64> = nodes.peers().map(private_mb).collect::<anyhow::Result<_>>()?;
        idle.push(each.iter().sum::<f64>() / each.len() as f64);
        nodes.down().await?;

        let mut nodes = Nodes::up(bench, one_download("64MiB", "medium")?).await?;
        nodes.start().await?;
        let leech = nodes.peers().last().context("the plan has peers")?;
        let mut most: f64 = 0.0;
        let mut look = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                event = nodes.event() => if finished(&event?)?.is_some() { break },
                _ = look.tick() => most = most.max(private_mb(leech)?),
            }
        }
        busy.push(most);
        nodes.down().await?;
    }
    Ok(vec![
        Figure { what: "private memory of an idle peer".to_owned(), unit: "MB", measured: idle, target: at_most(2.5) },
        Figure { what: "… while it downloads 64 MiB".to_owned(), unit: "MB", measured: busy, target: at_most(8.0) },
    ])
}

/// The speed of a download that ended, in Gbit/s; none for other events.
fn finished(event: &Event) -> anyhow::Result<Option<f64>> {
    let EventKind::DownloadFinished(record) = &event.kind else { return Ok(None) };
    if record.status != TerminalStatus::Completed {
        bail!("the download ended as {:?}: {:?}", record.status, record.failure);
    }
    if record.peer_bytes * 10 < record.size * 9 {
        bail!("only {} of {} bytes came from the peer", record.peer_bytes, record.size);
    }
    Ok(Some(record.size as f64 * 8.0 / record.active_ns as f64))
}

/// One download of 1 GiB from one peer, every piece verified.
pub(super) async fn download(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let mut measured = Vec::new();
    for _ in 0..bench.repeats {
        let mut nodes = Nodes::up(bench, one_download("1GiB", "open")?).await?;
        nodes.start().await?;
        let speed = loop {
            if let Some(speed) = finished(&nodes.event().await?)? {
                break speed;
            }
        };
        measured.push(speed);
        nodes.down().await?;
    }
    let what = "download from one peer, unlimited link, verified".to_owned();
    Ok(vec![Figure { what, unit: "Gbit/s", measured, target: at_least(1.5) }])
}
