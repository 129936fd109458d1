//! The run loop: one execution of one plan on a runtime, from the first namespace to the last.
//!
//! It decides nothing about the experiment (the plan has no choices left) and judges nothing (see `reconcile`).

pub(crate) mod estimate;
pub(crate) mod order;
mod orders;
pub(crate) mod progress;
mod watch;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use peerbed_contract::{Command, NodeName};
use peerbed_link::Kind;
use peerbed_model::{Act, Action, Plan};
use tokio::time::{Instant, sleep_until};

use crate::{
    agent::{
        misshaped,
        protocol::{Notice, Signal},
    },
    engine::Sample,
    host::{HostSample, monotonic_ns},
    record::{Carried, RunRecord},
    runtime::{Deployment, NodeFiles, Notices, Runtime, RuntimeError},
};
use orders::Orders;
use progress::{Progress, Tick};
use watch::{Reaction, Watch};

/// How long nodes may take to finish after they were told to stop.
const STOP_TIME: Duration = Duration::from_secs(15);
/// How long actions may take that are due right before the end.
const LAST_ACTIONS: Duration = Duration::from_secs(5);
/// How often counters and the host are read.
const TICK: Duration = Duration::from_secs(1);

/// Asks a run to end early; cheap to clone, never un-asks.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(tokio::sync::watch::Receiver<u32>);

impl Interrupt {
    /// Listens for Ctrl-C, SIGTERM and SIGHUP from now on. The first asks for an orderly end; the third ends the program at once
    /// (the kernel then removes everything, and what was measured is lost).
    pub(crate) fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupts = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
        let mut terminations = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        // `nohup` asks that the end of the terminal shall not be the end of the run.
        let hangups = (!ignored(SignalKind::hangup())).then(|| signal(SignalKind::hangup())).transpose();
        let mut hangups = hangups.context("cannot listen for SIGHUP")?;
        let (sender, receiver) = tokio::sync::watch::channel(0);
        tokio::spawn(async move {
            for count in 1.. {
                tokio::select! {
                    _ = interrupts.recv() => {}
                    _ = terminations.recv() => {}
                    () = received(&mut hangups) => {}
                }
                if count >= 3 {
                    std::process::exit(i32::from(crate::status::Status::Interrupted.code()));
                }
                if sender.send(count).is_err() {
                    break;
                }
            }
        });
        Ok(Self(receiver))
    }

    /// Whether an early end was asked for.
    pub(crate) fn asked(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// What comes of this work; none if an early end is asked for before.
    pub(crate) async fn unless<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.wait() => None,
        }
    }

    /// Waits until it is asked for.
    pub(crate) async fn wait(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|count| *count > 0).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Whether this process was started with a signal ignored.
fn ignored(signal: tokio::signal::unix::SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw_value() - 1) & 1 == 1)
}

/// The next signal; never, if it is not listened for.
async fn received(signals: &mut Option<tokio::signal::unix::Signal>) {
    match signals {
        Some(signals) => {
            signals.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Carries out one plan; none if the user wanted no more before it began.
pub(crate) async fn execute<R: Runtime>(
    plan: Arc<Plan>,
    runtime: &R,
    files: &NodeFiles,
    progress: &mut Progress,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<RunRecord>> {
    let before = Instant::now();
    let mut show = |step| progress.setup(step);
    let (deployment, notices) = tokio::select! {
        up = runtime.up(&plan, files, &mut show) => up?,
        () = interrupt.wait() => {
            runtime.settle().await;
            return Ok(None);
        }
    };
    let setup = before.elapsed();
    let outcome = RunLoop::new(plan, &deployment, notices, progress).run(interrupt).await;
    let after = Instant::now();
    let down = deployment.down().await;
    let measured = outcome?;
    down.context("the run was measured, but its network could not be removed")?;
    Ok(Some(RunRecord {
        setup,
        teardown: after.elapsed(),
        runtime: runtime.name().to_owned(),
        runtime_details: deployment.details(),
        engine: deployment.engine().clone(),
        ..measured
    }))
}

struct RunLoop<'a, D> {
    plan: Arc<Plan>,
    deployment: &'a D,
    notices: Notices,
    progress: &'a mut Progress,
    watch: Watch,
    epoch: Instant,
    epoch_ns: u64,
    acts: Vec<Carried>,
    orders: Orders,
    samples: Vec<Sample>,
    host: Vec<HostSample>,
    tick_late: Vec<Duration>,
}

impl<'a, D: Deployment> RunLoop<'a, D> {
    fn new(plan: Arc<Plan>, deployment: &'a D, notices: Notices, progress: &'a mut Progress) -> Self {
        Self {
            watch: Watch::new(plan.clone()),
            plan,
            deployment,
            notices,
            progress,
            epoch: Instant::now(),
            epoch_ns: monotonic_ns(),
            acts: Vec::new(),
            orders: Orders::default(),
            samples: Vec::new(),
            host: Vec::new(),
            tick_late: Vec::new(),
        }
    }

    async fn run(mut self, interrupt: &Interrupt) -> anyhow::Result<RunRecord> {
        let started = jiff::Timestamp::now();
        self.watch.faults.extend(misshaped());
        self.epoch = Instant::now();
        self.epoch_ns = monotonic_ns();
        if !self.plan.fabric.traces.is_empty() {
            self.deployment.begin(self.epoch_ns).await?;
        }
        self.read_counters(Duration::ZERO).await?;
        let names = [self.watch.alive(true), self.watch.alive(false)].concat();
        self.tell(&names, &Command::Start { epoch_ns: self.epoch_ns }).await;
        let interrupted = self.follow(interrupt).await?;
        self.progress.phase("stopping");
        self.watch.miss_the_late(self.epoch.elapsed());
        self.stop(true).await?;
        self.stop(false).await?;
        self.read_counters(Duration::ZERO).await?;
        Ok(RunRecord {
            elapsed: self.epoch.elapsed(),
            plan: self.plan,
            order: 0,
            started,
            epoch_ns: self.epoch_ns,
            setup: Duration::ZERO,
            teardown: Duration::ZERO,
            runtime: String::new(),
            runtime_details: BTreeMap::new(),
            engine: self.deployment.engine().clone(),
            events: self.watch.events,
            acts: self.acts,
            exits: self.watch.exits,
            samples: self.samples,
            host: self.host,
            tick_late: self.tick_late,
            faults: self.watch.faults,
            interrupted,
        })
    }

    /// From the start until every download has ended, the time is over, or the user wants no more.
    async fn follow(&mut self, interrupt: &Interrupt) -> anyhow::Result<bool> {
        let end = self.epoch + self.plan.duration;
        let actions = self.plan.timeline.clone();
        let mut actions = actions.iter().peekable();
        let mut tick = self.epoch + TICK;
        let mut interrupted = false;
        // What the timeline does is done beside everything else: ticks and lines do not wait for it, its next action does.
        let mut doing = None;
        while !self.watch.all_ended() {
            let action = actions.peek().map_or(end, |action| self.epoch + action.at);
            tokio::select! {
                done = async { doing.as_mut().expect("something is being done").await }, if doing.is_some() => {
                    doing = None;
                    self.done(done)?;
                }
                notice = self.notices.next() => self.take(notice).await?,
                () = sleep_until(tick) => {
                    self.read_counters(tick.elapsed()).await?;
                    self.show();
                    tick += TICK;
                    if tick < Instant::now() {
                        tick = Instant::now() + TICK;
                    }
                }
                () = sleep_until(action), if action < end && doing.is_none() => {
                    doing = actions.next().map(|action| Box::pin(self.act(action)));
                }
                // What is due by then is still carried out, unless that takes too long.
                () = sleep_until(end), if doing.is_none() && action >= end => break,
                () = sleep_until(end + LAST_ACTIONS) => break,
                () = interrupt.wait() => {
                    self.progress.notice("interrupted: ending this run and keeping what was measured");
                    interrupted = true;
                    break;
                }
            }
        }
        let left =
            actions.filter(|action| !self.plan.is_one_of_many_moves(&action.act)).map(|action| action.act.label());
        let left: Vec<String> = left.filter(|_| !interrupted).collect();
        if !left.is_empty() {
            self.progress.happened(&format!("every download has ended; not done any more: {}", left.join("; ")));
        }
        // Whom it starts is stopped like all others.
        if let Some(doing) = doing {
            self.done(doing.await)?;
        }
        Ok(interrupted)
    }

    /// Tells peers (`true`) or all others (`false`) to finish, and waits until they have.
    async fn stop(&mut self, peers: bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + STOP_TIME;
        let names = self.watch.alive(peers);
        for name in &names {
            self.watch.expect_exit(name);
            // A frozen node could not hear it.
            self.watch.expect_thawed(name, self.epoch.elapsed());
            self.signal(name, Signal::Continue).await;
        }
        self.tell(&names, &Command::Stop).await;
        while !self.watch.alive(peers).is_empty() {
            tokio::select! {
                notice = self.notices.next() => self.take(notice).await?,
                () = sleep_until(deadline) => {
                    for name in self.watch.alive(peers) {
                        let limit = STOP_TIME.as_secs();
                        self.watch.faults.push(format!("{name} did not end within {limit} s after it was told to stop"));
                        self.signal(&name, Signal::Kill).await;
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn take(&mut self, notice: Option<Notice>) -> anyhow::Result<()> {
        let Some(notice) = notice else {
            // The last that was heard of the agent is why it ended, and where its log is.
            bail!(self.watch.faults.pop().unwrap_or_else(|| "the agent ended during the run".to_owned()));
        };
        match notice {
            Notice::Line { node, line } => {
                if let Reaction::SendStart(node) = self.watch.line(&node, &line) {
                    self.start(node).await?;
                }
            }
            Notice::Exited { node, code, signal } => {
                let t = self.epoch.elapsed().as_nanos() as u64;
                self.watch.exited(&node, t, code, signal);
            }
            Notice::Frozen { node } => self.watch.frozen(&node, self.epoch.elapsed()),
            Notice::Thawed { node } => self.watch.thawed(&node, self.epoch.elapsed()),
            Notice::Broken { message } => self.watch.faults.push(message),
            Notice::Progress { .. } => {}
        }
        Ok(())
    }

    /// Starts a node that has become ready during the run.
    async fn start(&mut self, node: NodeName) -> anyhow::Result<()> {
        let (policy, place) = self.orders.ready(&node);
        let nodes = [node];
        if let Some(order) = policy {
            self.tell(&nodes, &Command::Order { order }).await;
        }
        self.tell(&nodes, &Command::Start { epoch_ns: self.epoch_ns }).await;
        if let Some((to, order)) = place {
            let act = Act::Move { nodes: nodes.to_vec(), to: vec![to] };
            let applied = self.deployment.apply(&act).await;
            applied.with_context(|| format!("the timeline's `{}` could not be carried out", act.label()))?;
            self.tell(&nodes, &Command::Order { order }).await;
        }
        Ok(())
    }

    /// Begins an action; gives its doing.
    fn act(&mut self, action: &Action) -> impl Future<Output = Result<Carried, anyhow::Error>> + use<'a, D> {
        let act = action.act.clone();
        for node in act.nodes() {
            match act {
                Act::Add { .. } | Act::Restart { .. } => self.watch.expect_ready(node, self.epoch.elapsed()),
                Act::Kill { .. } => self.watch.expect_exit(node),
                Act::Freeze { .. } => self.watch.expect_frozen(node),
                Act::Thaw { .. } => self.watch.expect_thawed(node, self.epoch.elapsed()),
                _ => {}
            }
        }
        let (doable, told) = self.orders.of(&act, &self.watch);
        let (deployment, epoch, at) = (self.deployment, self.epoch, action.at);
        let began_ns = epoch.elapsed().as_nanos() as u64;
        if !self.plan.is_one_of_many_moves(&act) {
            self.progress.happened(&format!("{:.1} s: {}", began_ns as f64 / 1e9, act.label()));
        }
        async move {
            let applied = deployment.apply(&doable).await;
            applied.with_context(|| format!("the timeline's `{}` could not be carried out", act.label()))?;
            for (nodes, order) in told {
                tell(deployment, &nodes, &Command::Order { order }).await;
            }
            Ok(Carried { at, began_ns, done_ns: epoch.elapsed().as_nanos() as u64, act })
        }
    }

    /// An action was carried out, or could not be.
    fn done(&mut self, done: anyhow::Result<Carried>) -> anyhow::Result<()> {
        self.acts.push(done?);
        Ok(())
    }

    async fn tell(&self, nodes: &[NodeName], command: &Command) {
        tell(self.deployment, nodes, command).await;
    }

    async fn signal(&mut self, node: &NodeName, signal: Signal) {
        if let Err(error) = self.deployment.signal(node, signal).await
            && !matches!(error, RuntimeError::Gone(_))
        {
            tracing::warn!(%node, %error, ?signal, "a node could not be signalled");
        }
    }

    async fn read_counters(&mut self, tick_late: Duration) -> anyhow::Result<()> {
        let asked = Instant::now();
        self.samples.push(self.deployment.sample().await?);
        // An agent that stands still does not answer, and does not know of packets that wait for it.
        self.tick_late.push(tick_late.max(asked.elapsed()));
        self.host.push(HostSample::read()?);
        Ok(())
    }

    fn show(&mut self) {
        let [.., before, now] = self.samples.as_slice() else { return };
        let seconds = (now.at_ns - before.at_ns) as f64 / 1e9;
        let bytes = |sample: &Sample, kind: Kind| -> u64 {
            sample.ledger.iter().filter(|entry| entry.kind == kind).map(|entry| entry.bytes).sum()
        };
        let mbps = |kind| (bytes(now, kind) - bytes(before, kind)) as f64 * 8.0 / seconds / 1e6;
        let tick = Tick {
            elapsed: self.epoch.elapsed(),
            ended: self.watch.ended(),
            active: self.watch.active(),
            planned: self.plan.downloads(),
            edge_mbps: mbps(Kind::Edge),
            peer_mbps: mbps(Kind::Peer),
        };
        self.progress.tick(tick, self.plan.duration);
    }
}

/// Writes a command to nodes. One that cannot hear it any more has ended, which its exit tells.
async fn tell(deployment: &impl Deployment, nodes: &[NodeName], command: &Command) {
    for (node, error) in deployment.tell(nodes, &command.to_line()).await {
        // The end of the agent is told once, not for every node.
        if !matches!(error, RuntimeError::Gone(_)) {
            tracing::warn!(%node, %error, ?command, "a node could not be told");
        }
    }
}
