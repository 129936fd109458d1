//! `peerbed up`: brings an experiment's nodes and network up and leaves them, held by a process in the background.

use std::{
    fs::OpenOptions,
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    process::{ExitCode, Stdio},
};

use anyhow::{Context, bail};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{ChildStdin, ChildStdout, Command},
};

use super::CarrierArgs;
use crate::{
    hold::{
        ALREADY_UP, Order, Said,
        state::{HeldNode, StateDir},
    },
    project::Project,
    run::{Interrupt, progress::Progress},
    runtime::Runtime,
    say::{counted, say},
    status::Status,
};

/// What to bring up.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// The experiment: a file in experiments/, without `.yaml`
    name: String,
    /// One of the scales that the file names, instead of the file as it stands
    #[arg(long, value_name = "NAME")]
    scale: Option<String>,
    /// The arm; the first one by default
    #[arg(long)]
    arm: Option<String>,
    /// Do not start the nodes: they wait and answer nobody; only the network is there, to try things in
    #[arg(long)]
    idle: bool,
    /// Another seed than the file's
    #[arg(long, value_parser = super::seed)]
    seed: Option<u64>,
    #[command(flatten)]
    carrier: CarrierArgs,
    /// Print the nodes as a JSON list: name, role, AS number, address, process
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

/// Brings it up; returns when every node is ready.
pub(crate) fn run(args: &UpArgs, project: &Project) -> anyhow::Result<ExitCode> {
    let experiment = project.load_at(&args.name, args.scale.as_deref())?;
    let arm = super::choose_arm(&experiment, args.arm.as_deref())?;
    let plan = experiment.plan(arm, 0, args.seed)?;
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    // From now on: whatever was begun is then ended in good order.
    let interrupt = tokio.block_on(async { Interrupt::listen() })?;
    let dir = StateDir::open()?;
    if dir.lock()?.is_none() {
        bail!(ALREADY_UP);
    }
    let options = match tokio.block_on(interrupt.unless(args.carrier.runtime_for(&args.name, &[&plan]))) {
        // The holder has a runtime of its own, made like this one.
        Some(runtime) => runtime?.options().clone(),
        None => return Ok(Status::Interrupted.into()),
    };
    let mut progress = Progress::new(1, args.quiet || args.json);
    progress.run(arm, 0, 1);
    let order = Order { plan, runtime: args.carrier.runtime, options, idle: args.idle };
    let outcome = tokio.block_on(hold(&dir, &order, &interrupt, &mut progress));
    progress.finish();
    match outcome? {
        Outcome::Ready => tell(args, &dir),
        Outcome::Interrupted => Ok(Status::Interrupted.into()),
    }
}

/// What came of starting a holder.
enum Outcome {
    /// Everything stands.
    Ready,
    /// The user wanted no more; nothing is left.
    Interrupted,
}

/// Start the holder and wait until it says that everything is ready.
async fn hold(
    dir: &StateDir,
    order: &Order,
    interrupt: &Interrupt,
    progress: &mut Progress,
) -> anyhow::Result<Outcome> {
    let path = dir.holder_log();
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    let log = log.with_context(|| path.display().to_string())?;
    let mut command = std::process::Command::new("/proc/self/exe");
    command.arg0("peerbed").arg("hold").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    let mut holder = Command::from(command).spawn().context("the holder cannot be started")?;
    let (Some(stdin), Some(stdout)) = (holder.stdin.take(), holder.stdout.take()) else {
        unreachable!("both were asked for as pipes");
    };
    let said = tokio::select! {
        said = listen(stdin, stdout, order, progress) => Some(said?),
        () = interrupt.wait() => None,
    };
    match said {
        Some(Said::Failed { message }) => {
            // It has said its last word and ends by itself.
            let _ = holder.wait().await;
            bail!(message);
        }
        Some(_) => Ok(Outcome::Ready),
        None => {
            progress.notice("interrupted: taking everything down");
            // Not yet awaited, its number is still its own. If it has just ended, there is nothing to tell.
            if let Some(pid) = holder.id().and_then(|pid| Pid::from_raw(pid as i32)) {
                let _ = kill_process(pid, Signal::TERM);
            }
            holder.wait().await.context("the holder cannot be awaited")?;
            Ok(Outcome::Interrupted)
        }
    }
}

/// Give the holder its order and hear it to its last word.
async fn listen(
    mut stdin: ChildStdin,
    stdout: ChildStdout,
    order: &Order,
    progress: &mut Progress,
) -> anyhow::Result<Said> {
    stdin.write_all(&serde_json::to_vec(order)?).await.context("the holder did not take its order")?;
    // The pipe's end is the order's end.
    drop(stdin);
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await.context("the holder cannot be heard")? {
        match serde_json::from_str(&line).with_context(|| format!("the holder said `{line}`"))? {
            Said::Progress(step) => progress.setup(step),
            last => return Ok(last),
        }
    }
    Ok(Said::Failed { message: "the holder ended before everything was ready".to_owned() })
}

fn tell(args: &UpArgs, dir: &StateDir) -> anyhow::Result<ExitCode> {
    let state = dir.read()?.and_then(|state| state.held.map(|held| (state.arm, held)));
    let Some((arm, held)) = state else { bail!("it ended right after it was ready; see `peerbed doctor`") };
    if args.json {
        say(&(serde_json::to_string_pretty(&held.nodes)? + "\n"))?;
        return Ok(Status::Good.into());
    }
    let width = held.nodes.iter().map(|node| node.name.as_str().len()).max().unwrap_or_default();
    let line =
        |node: &HeldNode| format!("{:width$}  {:<7}  {:<15}  {}\n", node.name, node.role, node.address, node.as_number);
    let table: String = held.nodes.iter().map(line).collect();
    let example = held.nodes.first().map_or("NODE", |node| node.name.as_str());
    say(&format!(
        "{table}\n`{}`, arm `{arm}`, is up: {}{}.\n  peerbed exec {example} -- ip address\n  peerbed down\nEvents and logs are in {} until `peerbed down`, which removes them.\n",
        args.name,
        counted(held.nodes.len(), "node"),
        if args.idle { ", waiting" } else { "" },
        dir.events().parent().unwrap_or(&dir.events()).display(),
    ))?;
    Ok(Status::Good.into())
}
