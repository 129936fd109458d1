//! Figures of containers: how fast a hundred of them are ready and gone, against what the engine's own command line needs for
//! as many of the same image at the same time; and what the harness needs for more of them.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{process::Command, time::Instant};

use super::{Bench, Figure, at_most, nodes};
use crate::{
    docker::RunId,
    engine::EngineOptions,
    runtime::{
        Deployment, NodeFiles, Runtime,
        docker::{AT_ONCE, Docker},
    },
};

/// Peers of the smaller and of the larger crowd; with each come an edge and a control plane.
const FEW: usize = 18;
const MANY: usize = 98;
/// How much longer than the plain way it may take.
const AT_MOST: f64 = 1.3;

/// All of them.
pub(super) async fn containers(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let runtime = Docker::find(EngineOptions::wire(bench.ends)).await?;
    let image = runtime.image().await?;
    let (mut ready, mut gone, mut plain_ready, mut plain_gone) = (vec![], vec![], vec![], vec![]);
    let (mut small, mut large) = (vec![], vec![]);
    for repeat in 0..bench.repeats {
        let few = ours(bench, &runtime, FEW).await?;
        small.push(few.memory_mb);
        // They take turns at going first.
        for turn in 0..2 {
            nodes::rest().await?;
            if (repeat + turn).is_multiple_of(2) {
                let many = ours(bench, &runtime, MANY).await?;
                ready.push(many.ready.as_secs_f64());
                gone.push(many.gone.as_secs_f64());
                large.push(many.memory_mb);
            } else {
                let (up, down) = plain(&image, MANY + 2).await?;
                plain_ready.push(up.as_secs_f64());
                plain_gone.push(down.as_secs_f64());
            }
        }
    }
    let ratios = |ours: &[f64], plain: &[f64]| ours.iter().zip(plain).map(|(ours, plain)| ours / plain).collect();
    let ratio = |what: &str, measured: Vec<f64>| Figure {
        what: what.to_owned(),
        unit: "×",
        measured,
        target: at_most(AT_MOST),
    };
    let figure = |what: &str, unit, measured| Figure { what: what.to_owned(), unit, measured, target: (None, None) };
    Ok(vec![
        ratio("100 containers declared → ready, against docker run", ratios(&ready, &plain_ready)),
        ratio("100 containers torn down, against docker rm -f", ratios(&gone, &plain_gone)),
        figure("… declared → ready", "s", ready),
        figure("… plain parallel docker run", "s", plain_ready),
        figure("… torn down", "s", gone),
        figure("… plain parallel docker rm -f", "s", plain_gone),
        figure("memory of the harness with 20 containers", "MB", small),
        figure("… with 100 containers", "MB", large),
    ])
}

struct Measured {
    ready: Duration,
    gone: Duration,
    memory_mb: f64,
}

/// Bring up so many idle peers, and take them down.
async fn ours(bench: &Bench, runtime: &Docker, peers: usize) -> anyhow::Result<Measured> {
    let plan = nodes::idle_peers(peers)?;
    let files = NodeFiles { configs: bench.scratch.path().join("configs"), logs: bench.scratch.path().join("logs") };
    let began = Instant::now();
    let (deployment, _notices) = runtime.up(&plan, &files, &mut |_| {}).await?;
    let ready = began.elapsed();
    let memory_mb = own_memory_mb()?;
    let began = Instant::now();
    deployment.down().await?;
    Ok(Measured { ready, gone: began.elapsed(), memory_mb })
}

/// What this process has in memory now.
fn own_memory_mb() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kb.context("/proc/self/status has no VmRSS")? * 1024.0 / 1e6)
}

/// Start as many containers of the image by `docker run`, as many at once, and remove them by `docker rm -f`: each a process
/// that waits for its standard input, on no network, as the runtime's own are.
async fn plain(image: &str, count: usize) -> anyhow::Result<(Duration, Duration)> {
    let run = RunId::new();
    let names: Vec<String> = (0..count).map(|number| format!("peerbed-{run}-plain-{number}")).collect();
    // If this is interrupted, the next run finds and removes them.
    let label = run.filter();
    let start = |name: &String| {
        let words = ["run", "-d", "-i", "--network", "none", "--label", &label, "--name", name, image];
        docker(&[&words[..], &["/peerbed", "gate", "/peer"]].concat())
    };
    let began = Instant::now();
    let started: anyhow::Result<Vec<()>> =
        stream::iter(&names).map(start).buffer_unordered(AT_ONCE).try_collect().await;
    let up = began.elapsed();
    let began = Instant::now();
    // Whatever became of the start, nothing stays.
    let remove = |name: &String| docker(&["rm", "-f", name]);
    let removed: Vec<_> = stream::iter(&names).map(remove).buffer_unordered(AT_ONCE).collect().await;
    let down = began.elapsed();
    started?;
    removed.into_iter().collect::<anyhow::Result<Vec<()>>>()?;
    Ok((up, down))
}

/// Run the engine's own command line.
fn docker(words: &[&str]) -> impl Future<Output = anyhow::Result<()>> + use<> {
    let mut command = Command::new("docker");
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    let what = words[0].to_owned();
    async move {
        let output = command.output().await.context("the command `docker` is needed to compare with")?;
        if !output.status.success() {
            bail!("docker {what}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}
