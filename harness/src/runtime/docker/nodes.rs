//! The nodes of a deployment, as containers: each is started, heard, told things and seen out. Knows which of them run.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use peerbed_contract::NodeName;
use tokio::{
    io::AsyncWriteExt,
    sync::{mpsc, oneshot, watch},
};

use crate::{
    agent::{
        Lines,
        protocol::{Notice, Request, Signal},
    },
    docker::{Engine, Happened, Heard, Limits, NodeBody, Piece, RunId, Voice, What},
    gate::Header,
    runtime::{RuntimeError, calls::done, client::Client, notices::Notifier},
};

/// Lines that may wait for a node to read its input.
const WAITING_LINES: usize = 64;

/// What a node's container is made from.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) node: NodeName,
    pub(super) address: IpAddr,
    pub(super) image: String,
    pub(super) gate: String,
    pub(super) argv: Vec<String>,
    pub(super) foreign: bool,
    pub(super) limits: Limits,
    pub(super) config: Vec<u8>,
    pub(super) log: PathBuf,
}

/// The nodes.
pub(super) struct Nodes {
    engine: Engine,
    run: RunId,
    client: Arc<Client>,
    known: Arc<Known>,
}

/// What is known of the nodes. Whoever listens to them has a share in it, but none in the client: the agent ends when the
/// deployment is dropped, and the listeners only after it.
struct Known {
    prepared: BTreeMap<NodeName, Prepared>,
    lives: Mutex<BTreeMap<NodeName, Life>>,
    /// The configurations of nodes that have moved.
    moved: Mutex<BTreeMap<NodeName, Vec<u8>>>,
    /// None when the agent has ended, so that the notices end as well.
    notify: Mutex<Option<Notifier>>,
}

/// A line for a node, and where to say how it went.
type Told = (String, oneshot::Sender<std::io::Result<()>>);

/// A container that runs, or is about to.
struct Life {
    lines: mpsc::Sender<Told>,
    /// Told what the engine says of its end.
    end: Option<oneshot::Sender<i32>>,
    /// Raised when the last notice of it has been given.
    over: watch::Receiver<bool>,
    paused: bool,
    killed: bool,
    out_of_memory: bool,
}

impl Nodes {
    pub(super) fn new(
        engine: Engine,
        run: RunId,
        client: Arc<Client>,
        prepared: Vec<Prepared>,
        notify: Notifier,
    ) -> Self {
        let prepared = prepared.into_iter().map(|one| (one.node.clone(), one)).collect();
        let known = Arc::new(Known {
            prepared,
            lives: Mutex::default(),
            moved: Mutex::default(),
            notify: Mutex::new(Some(notify)),
        });
        tokio::spawn(Arc::clone(&known).watch(engine.clone(), run.clone(), client.ended()));
        Self { engine, run, client, known }
    }

    /// Make a node's container; it does nothing before [`Nodes::begin`].
    pub(super) async fn create(&self, node: &NodeName) -> Result<(), RuntimeError> {
        let prepared = self.known.prepared(node)?;
        let environment = super::ship::environment();
        let body = NodeBody {
            run: &self.run,
            node,
            address: prepared.address,
            image: &prepared.image,
            gate: &prepared.gate,
            argv: &prepared.argv,
            foreign: prepared.foreign,
            limits: prepared.limits,
            environment: &environment,
        };
        self.engine.create_node(&body).await?;
        Ok(())
    }

    /// Start a node's container, give it its link and open its gate. Gives its process id, 0 if it has ended at once.
    pub(super) async fn begin(&self, node: &NodeName) -> Result<u32, RuntimeError> {
        let prepared = self.known.prepared(node)?;
        let container = self.run.node(node);
        let attached = self.engine.attach(&container).await?;
        let (lines, told) = mpsc::channel(WAITING_LINES);
        let (end, ended) = oneshot::channel();
        let (tell_over, over) = watch::channel(false);
        let life = Life { lines, end: Some(end), over, paused: false, killed: false, out_of_memory: false };
        self.known.lives().insert(node.clone(), life);
        tokio::spawn(Arc::clone(&self.known).listen(node.clone(), attached.heard, ended, tell_over));
        let begun = async {
            self.engine.start(&container).await?;
            // One that has ended already is told of by its last notice, as one that ends a moment later would be.
            let Some(pid) = self.engine.pid(&container).await? else { return Ok(0) };
            done("plug", self.client.call(Request::Plug { node: node.clone(), pid }).await?)?;
            let mut voice = attached.voice;
            let config = locked(&self.known.moved).get(node).unwrap_or(&prepared.config).clone();
            let header = Header { path: NodeBody::config().into(), bytes: config.len() as u64 };
            let opened = async {
                voice.write_all(&header.line()).await?;
                voice.write_all(&config).await?;
                voice.flush().await
            };
            let refused = |error| RuntimeError::Refused(format!("node {node}: its standard input: {error}"));
            opened.await.map_err(refused)?;
            tokio::spawn(tell(voice, told));
            Ok(pid)
        };
        let begun = begun.await;
        if begun.is_err() {
            // Nobody will hear of its end: it never began.
            self.known.lives().remove(node);
        }
        begun
    }

    /// The nodes are about to be removed: everything that they say is taken, however much.
    pub(super) fn about_to_go(&self) {
        self.known.open();
    }

    /// Start a node again, after its end or while it is dying.
    pub(super) async fn begin_again(&self, node: &NodeName) -> Result<u32, RuntimeError> {
        self.known.prepared(node)?;
        let dying = match self.known.lives().get(node) {
            None => None,
            Some(life) if life.killed => Some(life.over.clone()),
            Some(_) => return Err(RuntimeError::Refused(format!("node {node} runs already"))),
        };
        if let Some(mut over) = dying {
            // The channel closes when its listener is gone, which is an end as well.
            let _ = over.wait_for(|over| *over).await;
        }
        self.begin(node).await
    }

    /// From now on a node is started with this configuration.
    pub(super) fn settle(&self, node: &NodeName, config: Vec<u8>) {
        locked(&self.known.moved).insert(node.clone(), config);
    }

    /// Write a line to a node's standard input; the answer comes when it is written.
    pub(super) fn line(&self, node: &NodeName, line: &str) -> impl Future<Output = Result<(), RuntimeError>> + use<> {
        let sent = self.send(node, line);
        let node = node.clone();
        async move {
            match sent?.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(RuntimeError::Refused(format!("node {node}: its standard input: {error}"))),
                Err(_) => Err(not_running(&node)),
            }
        }
    }

    fn send(&self, node: &NodeName, line: &str) -> Result<oneshot::Receiver<std::io::Result<()>>, RuntimeError> {
        self.known.prepared(node)?;
        if line.contains('\n') {
            return Err(RuntimeError::Refused(format!("node {node}: what it is told has more than one line")));
        }
        let (answer, written) = oneshot::channel();
        let to = self.known.lives().get(node).map(|life| life.lines.clone()).ok_or_else(|| not_running(node))?;
        to.try_send((line.to_owned(), answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                RuntimeError::Refused(format!("node {node} does not read its standard input"))
            }
            mpsc::error::TrySendError::Closed(_) => not_running(node),
        })?;
        Ok(written)
    }

    /// Signal a node.
    pub(super) async fn signal(&self, node: &NodeName, signal: Signal) -> Result<(), RuntimeError> {
        self.known.prepared(node)?;
        let container = self.run.node(node);
        let paused = self.known.lives().get(node).map(|life| life.paused).ok_or_else(|| not_running(node))?;
        match signal {
            Signal::Kill => {
                self.known.change(node, |life| life.killed = true);
                if self.engine.kill(&container).await? { Ok(()) } else { Err(not_running(node)) }
            }
            Signal::Stop if paused => Ok(()),
            Signal::Stop => {
                self.engine.pause(&container).await?;
                self.known.change(node, |life| life.paused = true);
                Ok(())
            }
            Signal::Continue if !paused => Ok(()),
            Signal::Continue => {
                self.engine.unpause(&container).await?;
                self.known.change(node, |life| life.paused = false);
                Ok(())
            }
        }
    }
}

impl Known {
    fn lives(&self) -> MutexGuard<'_, BTreeMap<NodeName, Life>> {
        locked(&self.lives)
    }

    fn prepared(&self, node: &NodeName) -> Result<&Prepared, RuntimeError> {
        self.prepared.get(node).ok_or_else(|| RuntimeError::NoSuchNode(node.clone()))
    }

    fn change(&self, node: &NodeName, change: impl FnOnce(&mut Life)) {
        // One that has just ended has nothing to change.
        self.lives().get_mut(node).map(change);
    }

    /// Whether nobody listens any more.
    fn is_given_up(&self) -> bool {
        locked(&self.notify).as_ref().is_none_or(Notifier::is_given_up)
    }

    fn notify(&self, notice: Notice) {
        if let Some(notifier) = &*locked(&self.notify) {
            notifier.send(notice);
        }
    }

    /// Nobody who listens to a node is held up any more.
    fn open(&self) {
        if let Some(notifier) = &*locked(&self.notify) {
            notifier.open();
        }
    }

    /// Wait until what a node says can be taken: one that prints without end is held back by its own pipe.
    async fn room(&self) {
        let notifier = locked(&self.notify).clone();
        if let Some(notifier) = notifier {
            notifier.room().await;
        }
    }

    /// Pass on everything a node prints until it has ended, then its end.
    async fn listen(
        self: Arc<Self>,
        node: NodeName,
        mut heard: Heard,
        ended: oneshot::Receiver<i32>,
        over: watch::Sender<bool>,
    ) {
        let Some(prepared) = self.prepared.get(&node) else { return };
        let log = OpenOptions::new().append(true).create(true).open(&prepared.log);
        let mut log = log.inspect_err(|error| tracing::warn!(%node, %error, "its log cannot be written")).ok();
        let (mut lines, mut ready) = (Lines::default(), Vec::new());
        loop {
            if self.is_given_up() {
                // Nobody will ever hear it: the deployment was given up.
                return;
            }
            self.room().await;
            match heard.next().await {
                None => break,
                Some(Ok(Piece::Output(bytes))) => lines.feed(&bytes, &mut ready),
                Some(Ok(Piece::Errors(bytes))) => write(&mut log, &node, &bytes),
                Some(Err(error)) => {
                    self.notify(Notice::Broken { message: format!("node {node} is no longer heard: {error}") });
                    break;
                }
            }
            for line in ready.drain(..) {
                self.notify(Notice::Line { node: node.clone(), line });
            }
        }
        ready.extend(lines.finish());
        for line in ready {
            self.notify(Notice::Line { node: node.clone(), line });
        }
        // Without an end nobody watches any more, or it never began.
        if let Ok(exit_code) = ended.await {
            if self.lives().get(&node).is_some_and(|life| life.out_of_memory) {
                let limit = prepared.limits.memory_bytes >> 20;
                let words = format!("peerbed: its container wanted more memory than its limit of {limit} MiB\n");
                write(&mut log, &node, words.as_bytes());
            }
            self.lives().remove(&node);
            let (code, signal) = how(exit_code);
            self.notify(Notice::Exited { node, code, signal });
        }
        over.send_replace(true);
    }

    /// Take in what the engine says of the containers, as long as there is an agent.
    async fn watch(self: Arc<Self>, engine: Engine, run: RunId, mut agent: watch::Receiver<bool>) {
        let mut events = engine.events(&run);
        loop {
            let happened = tokio::select! {
                happened = events.next() => happened,
                _ = agent.wait_for(|ended| *ended) => break,
            };
            match happened {
                Ok(Happened { node: None, what: What::Paused }) => {
                    self.notify(Notice::Broken { message: "the agent's container was stopped by somebody".to_owned() });
                    give_up(&engine, &run).await;
                }
                Ok(Happened { node: Some(node), what }) => self.take(node, what),
                // The end of the agent is heard elsewhere.
                Ok(Happened { node: None, .. }) => {}
                Err(error) => {
                    self.notify(Notice::Broken { message: error.to_string() });
                    break;
                }
            }
        }
        // Whoever waits for an end will not be told any more.
        self.lives().clear();
        locked(&self.notify).take();
    }

    fn take(&self, node: NodeName, what: What) {
        let mut lives = self.lives();
        let Some(life) = lives.get_mut(&node) else { return };
        match what {
            What::Died { exit_code } => {
                // The listener may have gone with the deployment.
                let _ = life.end.take().map(|end| end.send(exit_code));
            }
            What::OutOfMemory => life.out_of_memory = true,
            What::Paused => {
                life.paused = true;
                self.notify(Notice::Frozen { node });
            }
            What::Unpaused => {
                life.paused = false;
                self.notify(Notice::Thawed { node });
            }
        }
    }
}

/// End an agent that stands still: what it has missed cannot be made up for, and until it goes on nothing would end.
async fn give_up(engine: &Engine, run: &RunId) {
    let agent = run.agent();
    // It may go on, or end, by itself in this moment.
    if let Err(error) = engine.unpause(&agent).await {
        tracing::debug!(%error, "the agent's container cannot go on");
    }
    if let Err(error) = engine.kill(&agent).await {
        tracing::warn!(%error, "the agent's container cannot be ended");
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half-changed where these locks are held, so a poisoned one is as good as any.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_running(node: &NodeName) -> RuntimeError {
    RuntimeError::Refused(format!("node {node} does not run"))
}

/// Write to a node's log; what cannot be written is said once.
fn write(log: &mut Option<std::fs::File>, node: &NodeName, bytes: &[u8]) {
    if let Some(file) = log
        && let Err(error) = file.write_all(bytes)
    {
        tracing::warn!(%node, %error, "its log cannot be written");
        *log = None;
    }
}

/// Write lines to a node as far as it reads them.
async fn tell(mut voice: Voice, mut told: mpsc::Receiver<Told>) {
    while let Some((mut line, answer)) = told.recv().await {
        line.push('\n');
        let written = async {
            voice.write_all(line.as_bytes()).await?;
            voice.flush().await
        };
        // Whoever asked may be gone.
        let _ = answer.send(written.await);
    }
}

/// The exit code or the signal behind an engine's exit code, which is 128 and its number for a signal.
fn how(exit_code: i32) -> (Option<i32>, Option<i32>) {
    const HIGHEST_SIGNAL: i32 = 64;
    match exit_code - 128 {
        signal @ 1..=HIGHEST_SIGNAL => (None, Some(signal)),
        _ => (Some(exit_code), None),
    }
}

#[cfg(test)]
mod tests {
    use super::how;

    #[test]
    fn signals_are_told_from_codes() {
        assert_eq!(how(0), (Some(0), None));
        assert_eq!(how(125), (Some(125), None));
        assert_eq!(how(137), (None, Some(9)));
        assert_eq!(how(255), (Some(255), None));
    }
}
