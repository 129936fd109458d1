//! One run that another harness carries: what the one that compares asks of `peerbed carry` of another version, and what that does.
//!
//! The order is a line on standard input, which stays open: its end means that whoever asked is gone. The record comes as it is kept for
//! `--resume`, and is believed only if it is of the very plan that was asked for.

use std::{
    fs::{self, File},
    io::{self, BufRead, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use peerbed_model::Plan;
use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

use crate::{
    engine::EngineOptions,
    record::RunRecord,
    results::{keep_record, load_record},
    run::{Interrupt, execute, progress::Progress},
    runtime::{Chosen, Kind, NodeFiles, Runtime},
    status::Status,
};

/// The version of orders.
const VERSION: u32 = 1;
/// The hidden command.
const COMMAND: &str = "carry";
/// Its record is kept there, beside the configuration of its nodes: the one that stays is written by whoever asked.
const RECORD: &str = "record";
/// What another harness says goes there, beside the logs of its nodes.
const LOG: &str = "harness.log";
/// How long a run may take beyond its duration, and what each node may add to that.
const MOST_AROUND: Duration = Duration::from_mins(3);
const A_NODE: Duration = Duration::from_millis(500);
/// How long a harness may take to end once nobody asks it any more.
const TO_END: Duration = Duration::from_secs(30);
/// How much of that is told.
const TOLD: usize = 2_000;

/// What is to be carried.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    version: u32,
    plan: Arc<Plan>,
    runtime: Kind,
    engine: EngineOptions,
    configs: PathBuf,
    logs: PathBuf,
    /// Where its record goes, as in a directory of results, until whoever asked has read it.
    into: PathBuf,
}

/// A harness that did not carry a run: that is as if its nodes had died.
#[derive(Debug, thiserror::Error)]
#[error("the harness {} did not carry the run ({status}); the end of {}: {said}", program.display(), log.display())]
pub(crate) struct NotCarried {
    program: PathBuf,
    status: String,
    log: PathBuf,
    said: String,
}

impl Order {
    /// To carry a plan as this runtime would.
    pub(crate) fn of(plan: &Arc<Plan>, runtime: &Chosen, files: &NodeFiles) -> Self {
        Self {
            version: VERSION,
            plan: Arc::clone(plan),
            runtime: runtime.kind(),
            engine: runtime.options().clone(),
            configs: files.configs.clone(),
            logs: files.logs.clone(),
            into: files.configs.join(RECORD),
        }
    }
}

/// Has another harness carry it; none if the user wanted no more.
pub(crate) async fn carried_by(
    order: &Order,
    program: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<RunRecord>> {
    let log = order.logs.join(LOG);
    let said = File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
    let mut command = Command::new(program);
    // Its nodes are those beside it.
    // A terminal's Ctrl-C is for this program, which ends that one by the end of its input.
    command.process_group(0);
    command.arg(COMMAND).env_remove("PEERBED_NODES").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(said);
    let mut child = tokio::process::Command::from(command)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    let mut asking = child.stdin.take().context("a child has the standard input that it was given")?;
    let most = MOST_AROUND + order.plan.duration + A_NODE * order.plan.nodes.len() as u32;
    let ended = tokio::select! {
        // One that ended before it was asked says why itself.
        ended = async { (asking.write_all(&line).await, child.wait().await) } => Some(ended),
        () = tokio::time::sleep(most) => None,
        () = interrupt.wait() => None,
    };
    drop(asking);
    let late = ended.is_none() && !interrupt.asked();
    let (asked, status) = match ended {
        Some(ended) => ended,
        None => (Ok(()), ended_or_killed(&mut child).await),
    };
    let status = status.with_context(|| format!("cannot wait for {}", program.display()))?;
    let wanted_no_more = interrupt.asked() || status.code() == Some(i32::from(Status::Interrupted.code()));
    if wanted_no_more && !status.success() && !late {
        return Ok(None);
    }
    let record = match (status.success(), asked) {
        _ if late => Err(format!("it took longer than {} s", most.as_secs())),
        (true, Ok(())) => load_record(&order.into, &order.plan)
            .and_then(|record| record.ok_or_else(|| "it kept no record".to_owned())),
        (true, Err(error)) => Err(error.to_string()),
        (false, _) => Err(status.to_string()),
    };
    match record {
        Ok(record) => {
            fs::remove_dir_all(&order.into).with_context(|| format!("cannot remove {}", order.into.display()))?;
            Ok(Some(record))
        }
        Err(status) => {
            let said = end_of(&log).unwrap_or_else(|error| error.to_string());
            Err(NotCarried { program: program.to_owned(), status, log, said }.into())
        }
    }
}

/// Waits for a harness that was told to end; one that does not is killed with all that it started.
async fn ended_or_killed(child: &mut tokio::process::Child) -> io::Result<ExitStatus> {
    if let Ok(ended) = tokio::time::timeout(TO_END, child.wait()).await {
        return ended;
    }
    if let Some(group) = child.id().and_then(|id| Pid::from_raw(id as i32)) {
        kill_process_group(group, Signal::KILL)?;
    }
    child.wait().await
}

/// The last of what a harness said.
fn end_of(log: &Path) -> io::Result<String> {
    let bytes = fs::read(log)?;
    let from = bytes.len().saturating_sub(TOLD);
    Ok(String::from_utf8_lossy(&bytes[from..]).trim().replace('\n', "; "))
}

/// `peerbed carry`: carries the order on standard input.
pub(crate) fn main() -> anyhow::Result<ExitCode> {
    let mut input = io::stdin().lock();
    let mut line = String::new();
    input.read_line(&mut line).context("cannot read an order from standard input")?;
    let order: Order = serde_json::from_str(&line).context("this version does not understand the order")?;
    if order.version != VERSION {
        bail!("orders of version {} are not understood, only those of {VERSION}", order.version);
    }
    drop(input);
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let interrupt = tokio.block_on(async { Interrupt::listen() })?;
    thread::spawn(|| {
        // Nothing more is ever said: it ends when whoever asked is gone, or wants no more.
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        if let Err(error) = kill_process(getpid(), Signal::TERM) {
            tracing::error!(%error, "this run cannot be ended");
        }
    });
    let files = NodeFiles { configs: order.configs, logs: order.logs };
    let carried = tokio.block_on(async {
        let runtime = Chosen::of(order.runtime, order.engine).await?;
        execute(order.plan, &runtime, &files, &mut Progress::new(1, true), &interrupt).await
    })?;
    match carried {
        Some(record) if !record.interrupted => {
            keep_record(&order.into, &record)?;
            Ok(Status::Good.into())
        }
        _ => Ok(Status::Interrupted.into()),
    }
}
