//! The agent in a container: made, started, heard and seen out.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    io::{AsyncWriteExt, DuplexStream},
    task::JoinHandle,
};

use super::sentry::{Posts, Sentry};
use crate::{
    agent::probe::Inside,
    docker::{
        AgentBody, AgentOrders, AgentTask, DockerError, Engine, Heard, OWN_PROGRAM, Piece, Program, RunId, Voice,
    },
    runtime::{
        Programs, RuntimeError,
        client::{Carriage, Ending, Killed},
    },
};

/// How long the agent may take to remove a thousand containers.
const END_WITHIN: Duration = Duration::from_mins(3);
/// How long the engine may take to remove an agent that was killed.
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// How long the last words of an agent that is gone may take.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(2);
/// What to say when containers could not be removed.
const LEFT: &str = "containers may be left, which the next run and `peerbed clean --partial` remove";
/// What may wait of what the agent says.
const WAITING: usize = 1 << 16;
/// Variables that programs of ours read, and a door for tests.
const VARIABLES: [&str; 3] = ["RUST_LOG", "RUST_BACKTRACE", "PEERBED_TEST_RATE_PERCENT"];

/// What agents in containers are made from.
#[derive(Debug)]
pub(crate) struct Ship {
    pub(super) engine: Engine,
    rootless: bool,
    /// The harness's own program.
    program: PathBuf,
    /// Those of the nodes.
    programs: Programs,
    /// The name of its image, once it was made.
    image: OnceLock<String>,
    posts: Posts,
}

impl Ship {
    pub(super) fn new(engine: Engine, rootless: bool, program: PathBuf, programs: Programs) -> Self {
        Self { engine, rootless, program, programs, image: OnceLock::new(), posts: Posts::new() }
    }

    /// The same with other programs of the nodes.
    pub(super) fn running(&self, programs: Programs) -> Self {
        Self::new(self.engine.clone(), self.rootless, self.program.clone(), programs)
    }

    /// The programs of the nodes.
    pub(super) fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Wait until nothing is left of agents that were given up before they ran.
    pub(in crate::runtime) async fn settle(&self) {
        self.posts.empty().await;
    }

    /// The gate: the harness's own program.
    pub(super) fn gate(&self) -> Result<Program, DockerError> {
        Program::read("peerbed", &self.program)
    }

    /// The image with the harness's program and those of the nodes; made if it is not there, or no longer.
    pub(super) async fn image(&self) -> Result<String, DockerError> {
        if let Some(name) = self.image.get()
            && self.engine.has_image(name).await?
        {
            return Ok(name.clone());
        }
        let mut all = vec![self.gate()?];
        for (name, path) in self.programs.present() {
            all.push(Program::read(name, &path)?);
        }
        let name = self.engine.own_image(&all).await?;
        // If it is known already, it is this one.
        let _ = self.image.set(name.clone());
        Ok(name)
    }

    /// Start the agent of a run.
    pub(in crate::runtime) async fn launch(
        self: &Arc<Self>,
        run: &RunId,
        log: &Path,
    ) -> Result<Carriage, RuntimeError> {
        let errors = OpenOptions::new().append(true).create(true).open(log).map_err(RuntimeError::file(log))?;
        let Started { heard, voice, exited, gone } = self.begin(run, AgentTask::Serve).await?;
        let (stdout, ours) = tokio::io::duplex(WAITING);
        let listener = tokio::spawn(pass_on(heard, ours, errors));
        let last = LastWords { ship: Arc::clone(self), run: run.clone(), log: log.to_owned(), listener };
        let end = move |killed| -> Ending { Box::pin(last.see_out(exited, gone, killed)) };
        Ok(Carriage { stdin: voice, stdout: Box::pin(stdout), end: Box::new(end), end_within: END_WITHIN })
    }

    /// What an agent may do in a container of this engine.
    pub(crate) async fn look(self: &Arc<Self>, congestion_control: &str) -> Result<Inside, RuntimeError> {
        let Started { mut heard, gone, .. } =
            self.begin(&RunId::new(), AgentTask::Look(congestion_control.to_owned())).await?;
        let (mut said, mut complaints) = (Vec::new(), Vec::new());
        while let Some(piece) = heard.next().await {
            match piece? {
                Piece::Output(bytes) => said.extend(bytes),
                Piece::Errors(bytes) => complaints.extend(bytes),
            }
        }
        // Its end is only for the engine to clear up after it.
        let _ = gone.await;
        serde_json::from_slice(&said).map_err(|_| {
            let words = String::from_utf8_lossy(&complaints);
            RuntimeError::Gone(format!("it could not tell what it may do: {}", words.trim()))
        })
    }

    /// Start an agent's container.
    async fn begin(self: &Arc<Self>, run: &RunId, task: AgentTask) -> Result<Started, RuntimeError> {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map_err(RuntimeError::Start)?;
        let orders = AgentOrders {
            run: run.clone(),
            boot_id: boot_id.trim().to_owned(),
            endpoint: self.engine.endpoint().clone(),
            harness_pid: std::process::id(),
            proc: AgentOrders::proc_of(self.rootless),
        };
        let image = self.image().await?;
        let body = AgentBody {
            orders: &orders,
            task,
            image: &image,
            program: OWN_PROGRAM,
            tun: Path::new("/dev/net/tun").exists(),
            environment: &environment(),
        };
        let sentry = Sentry::post(&self.program, &self.engine, run, &self.posts).map_err(RuntimeError::Start)?;
        let name = self.engine.create_agent(&body).await?;
        let attached = self.engine.attach(&name).await?;
        let exited = tokio::spawn({
            let (engine, name) = (self.engine.clone(), name.clone());
            async move { engine.exited(&name).await }
        });
        let gone = tokio::spawn({
            let (engine, name) = (self.engine.clone(), name.clone());
            async move { engine.gone(&name).await }
        });
        self.engine.start(&name).await?;
        sentry.relieve().await;
        Ok(Started { heard: attached.heard, voice: attached.voice, exited, gone })
    }

    /// The process of a run's agent.
    pub(super) async fn agent_pid(&self, run: &RunId) -> Result<u32, RuntimeError> {
        let pid = self.engine.pid(&run.agent()).await?;
        pid.ok_or_else(|| RuntimeError::Gone("its container does not run".to_owned()))
    }
}

/// An agent's container that was started.
struct Started {
    heard: Heard,
    voice: Voice,
    /// The end of its first process, after which somebody may start it again.
    exited: Awaited,
    /// The end of the container.
    gone: Awaited,
}

/// The variables that are handed on to programs in containers.
pub(super) fn environment() -> Vec<(String, String)> {
    VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
}

/// Pass on what the agent says: its messages to the client, its complaints to its log.
async fn pass_on(mut heard: Heard, mut to: DuplexStream, mut log: File) {
    loop {
        let piece = match heard.next().await {
            None => return,
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return tracing::warn!(%error, "the agent is no longer heard"),
        };
        match piece {
            // The client has gone; the agent is seen out all the same.
            Piece::Output(bytes) => drop(to.write_all(&bytes).await),
            Piece::Errors(bytes) => {
                if let Err(error) = log.write_all(&bytes) {
                    tracing::warn!(%error, "the agent's log cannot be written");
                }
            }
        }
    }
}

/// What is done when an agent ends.
struct LastWords {
    ship: Arc<Ship>,
    run: RunId,
    log: PathBuf,
    /// Passes on what it says.
    listener: JoinHandle<()>,
}

type Awaited = JoinHandle<Result<i64, DockerError>>;

impl LastWords {
    async fn see_out(mut self, mut exited: Awaited, gone: Awaited, mut killed: Killed) -> Result<(), String> {
        let ended = tokio::select! {
            ended = &mut exited => Some(ended),
            () = killed.wanted() => None,
        };
        // The agent removes everything; what it could not, because it was killed itself, goes now. So does the agent if
        // somebody started it again: it knows nothing of the run.
        let removed = self.ship.engine.remove_run(&self.run).await;
        let gone = tokio::time::timeout(GONE_WITHIN, gone).await;
        // The engine closes the stream with the container; for one that was started again, it may forget to.
        if tokio::time::timeout(LAST_WORDS_WITHIN, &mut self.listener).await.is_err() {
            self.listener.abort();
        }
        let Ok(gone) = gone else {
            return Err(format!("the engine does not remove its container; {LEFT}"));
        };
        let log = self.log.display();
        match (removed, ended.unwrap_or(gone)) {
            (Err(error), _) => Err(format!("{error}; {LEFT}")),
            (Ok(_), Ok(Ok(0))) => Ok(()),
            (Ok(_), Ok(Ok(code))) => Err(format!("exit code {code}; its log is {log}")),
            (Ok(_), Ok(Err(error))) => Err(format!("{error}; its log is {log}")),
            (Ok(_), Err(error)) => Err(error.to_string()),
        }
    }
}
