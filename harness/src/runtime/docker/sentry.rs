//! The sentry: a process that stands by while an agent's container is made and started. Until the agent runs, nobody else would
//! remove the container if the harness were killed, or gave up.

use std::{
    io::{self, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{ExitCode, Stdio},
    sync::Arc,
};

use rustix::process::setsid;
use serde::{Deserialize, Serialize};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin, Command},
    sync::watch,
};

use crate::{
    docker::{Endpoint, Engine, RunId},
    say::complain,
};

/// What a sentry is told.
#[derive(Debug, Serialize, Deserialize)]
struct Orders {
    endpoint: Endpoint,
    run: RunId,
}

/// How many sentries are at work; their end can be awaited.
#[derive(Debug, Clone)]
pub(super) struct Posts(Arc<watch::Sender<usize>>);

impl Posts {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// Wait until no sentry is at work.
    pub(super) async fn empty(&self) {
        // The channel cannot close, as this has its sender.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// A sentry at its post. When it is dropped, or this process ends, it removes every container of the run.
pub(super) struct Sentry {
    posts: Posts,
    /// None once it was told to go.
    at_post: Option<(Child, ChildStdin)>,
}

impl Sentry {
    /// Post one: `program sentry ORDERS`.
    pub(super) fn post(program: &Path, engine: &Engine, run: &RunId, posts: &Posts) -> io::Result<Self> {
        let orders = Orders { endpoint: engine.endpoint().clone(), run: run.clone() };
        let mut command = std::process::Command::new(program);
        command.arg0("peerbed").arg("sentry").arg(serde_json::to_string(&orders)?);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = Command::from(command).spawn()?;
        let Some(stdin) = child.stdin.take() else { unreachable!("it was asked for as a pipe") };
        posts.0.send_modify(|count| *count += 1);
        Ok(Self { posts: posts.clone(), at_post: Some((child, stdin)) })
    }

    /// The agent is at work: the sentry goes.
    pub(super) async fn relieve(mut self) {
        if let Some((child, mut stdin)) = self.at_post.take() {
            // One that has gone by itself was of no use; the agent is there now.
            let _ = stdin.write_all(&[1]).await;
            self.posts.await_end(child, stdin);
        }
    }
}

impl Posts {
    fn await_end(&self, mut child: Child, stdin: ChildStdin) {
        drop(stdin);
        let posts = self.clone();
        tokio::spawn(async move {
            if let Err(error) = child.wait().await {
                tracing::warn!(%error, "a sentry cannot be awaited");
            }
            posts.0.send_modify(|count| *count -= 1);
        });
    }
}

impl Drop for Sentry {
    fn drop(&mut self) {
        if let Some((child, stdin)) = self.at_post.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            self.posts.await_end(child, stdin);
        }
    }
}

/// The hidden subcommand `sentry`.
pub fn main() -> ExitCode {
    // Away from the terminal: what ends the harness must not end this. It fails only for the first of a group.
    let _ = setsid();
    let mut told = Vec::new();
    // A word relieves it; the end without one is the harness's.
    if io::stdin().lock().read_to_end(&mut told).is_ok() && !told.is_empty() {
        return ExitCode::SUCCESS;
    }
    let remove = || -> Result<(), String> {
        let orders = std::env::args().nth(2).unwrap_or_default();
        let Orders { endpoint, run } = serde_json::from_str(&orders).map_err(|error| error.to_string())?;
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
        tokio.map_err(|error| error.to_string())?.block_on(async {
            let engine = Engine::connect(endpoint, "the harness").await.map_err(|error| error.to_string())?;
            engine.remove_run_and_stragglers(&run).await.map(drop).map_err(|error| error.to_string())
        })
    };
    match remove() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("containers of a run that was given up may be left: {error}"));
            ExitCode::FAILURE
        }
    }
}
