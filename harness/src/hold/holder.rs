//! The holder's process: brings a deployment up, tells whoever started it, and holds it until it is told to end.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use anyhow::{Context, bail};
use peerbed_contract::{Command, NodeName};
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    process::setsid,
    time::{ClockId, clock_gettime},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    Order, Said,
    process::ProcessId,
    state::{Held, HeldNode, State, StateDir},
};
use crate::{
    agent::protocol::Notice,
    runtime::{Chosen, ChosenDeployment, Deployment, Notices, Runtime},
    say::{complain, describe},
    status::Status,
};

/// The hidden subcommand `hold`.
pub(crate) fn main() -> anyhow::Result<ExitCode> {
    // Away from the terminal: its signals and its end do not concern the holder. It fails only for the leader of a
    // group, which is away from it already.
    let _ = setsid();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let outcome = tokio.block_on(hold());
    if let Err(error) = &outcome {
        // Whoever started it may have gone; the log has it as well.
        let _ = say(&Said::Failed { message: describe(error) });
    }
    outcome.map(|()| Status::Good.into())
}

fn say(said: &Said) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, said)?;
    out.write_all(b"\n")?;
    out.flush()
}

async fn hold() -> anyhow::Result<()> {
    let mut ends = Ends::listen()?;
    let order: Order = serde_json::from_reader(io::stdin().lock()).context("the order cannot be read")?;
    let dir = StateDir::open()?;
    let Some(_lock) = dir.lock()? else { bail!(ALREADY_UP) };
    dir.clear()?;
    let this = ProcessId::of(std::process::id()).context("/proc does not show this process")?;
    let Order { mut plan, runtime, options, idle } = order;
    // Nobody carries it out here, so whoever it adds is there at once.
    plan.timeline.clear();
    let (experiment, arm) = (plan.experiment.clone(), plan.arm.clone());
    let mut state = State { experiment, arm, holder: this, held: None };
    dir.write(&state)?;
    let runtime = Chosen::of(runtime, options).await?;
    let files = dir.files();
    let mut alone = false;
    let mut progress = |step| alone |= say(&Said::Progress(step)).is_err();
    let brought_up = tokio::select! {
        brought_up = runtime.up(&plan, &files, &mut progress) => Some(brought_up?),
        () = ends.any() => None,
    };
    let Some((deployment, notices)) = brought_up else {
        // Dropping the half-made deployment told the agent to end.
        runtime.settle().await;
        dir.clear()?;
        bail!("it was told to end before everything was ready");
    };
    let names: Vec<NodeName> = plan.nodes.iter().map(|node| node.name.clone()).collect();
    if !idle {
        start(&deployment, &names).await?;
    }
    let events = File::create(dir.events()).with_context(|| dir.events().display().to_string())?;
    state.held = Some(held(&plan, &deployment)?);
    dir.write(&state)?;
    if alone || say(&Said::Ready).is_err() {
        deployment.down().await?;
        dir.clear()?;
        bail!("whoever started it went away before everything was ready");
    }
    let nothing = openat(CWD, "/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdout(nothing)?;
    let outcome = listen(notices, events, &mut ends).await;
    deployment.down().await?;
    dir.clear()?;
    outcome
}

/// The words for a second `up`.
pub(crate) const ALREADY_UP: &str = "an experiment is up already; end it with `peerbed down`";

/// Start every node's script now.
async fn start(deployment: &ChosenDeployment, names: &[NodeName]) -> anyhow::Result<()> {
    let now = clock_gettime(ClockId::Monotonic);
    let epoch_ns = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
    let untold = deployment.tell(names, &Command::Start { epoch_ns }.to_line()).await;
    match untold.into_iter().next() {
        None => Ok(()),
        Some((node, error)) => Err(error).with_context(|| format!("node {node} could not be started")),
    }
}

fn held(plan: &peerbed_model::Plan, deployment: &ChosenDeployment) -> anyhow::Result<Held> {
    let doors = deployment.doors();
    let agent = ProcessId::of(doors.installed.agent_pid).context("the agent has ended")?;
    let numbers = doors.installed.namespaces.iter().zip(&doors.pids);
    let nodes = plan.nodes.iter().zip(numbers).map(|(node, (namespace, pid))| HeldNode {
        name: node.name.clone(),
        role: node.role,
        as_number: node.config.as_number,
        address: node.config.address,
        namespace: *namespace,
        pid: *pid,
    });
    Ok(Held { agent, container: doors.container.clone(), nodes: nodes.collect() })
}

/// Write down what the nodes say until it is time to end.
async fn listen(mut notices: Notices, events: File, ends: &mut Ends) -> anyhow::Result<()> {
    let mut events = BufWriter::new(events);
    loop {
        let notice = tokio::select! {
            notice = notices.next() => notice,
            () = ends.any() => return Ok(events.flush()?),
        };
        match notice {
            Some(Notice::Line { line, .. }) => writeln!(events, "{line}")?,
            Some(Notice::Exited { node, code, signal }) => {
                complain(format_args!("node {node} ended: code {code:?}, signal {signal:?}"));
            }
            Some(Notice::Broken { message }) => complain(message),
            Some(Notice::Progress { .. } | Notice::Frozen { .. } | Notice::Thawed { .. }) => {}
            None => bail!("the agent has ended"),
        }
        if notices.is_empty() {
            events.flush()?;
        }
    }
}

/// The signals that end a holder.
struct Ends([Signal; 3]);

impl Ends {
    fn listen() -> io::Result<Self> {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let [a, b, c] = kinds.map(signal);
        Ok(Self([a?, b?, c?]))
    }

    async fn any(&mut self) {
        let [a, b, c] = &mut self.0;
        tokio::select! {
            _ = a.recv() => {}
            _ = b.recv() => {}
            _ = c.recv() => {}
        }
    }
}
