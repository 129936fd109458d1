//! The harness's side of the agent: starts the process, numbers the calls, sorts replies from notices, awaits its end.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    future::Future,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::{mpsc, oneshot, watch},
};

use super::{Notices, RuntimeError};
use crate::agent::protocol::{Call, Notice, Reply, Request, Said};

/// How long the agent may take to remove everything before it is killed.
const END_WITHIN: Duration = Duration::from_secs(10);

/// A running agent. Dropping it closes the agent's standard input, so the agent removes everything and ends.
#[derive(Debug)]
pub struct Client {
    lines: Mutex<Option<mpsc::UnboundedSender<String>>>,
    pending: Arc<Mutex<Pending>>,
    ended: watch::Receiver<bool>,
    kill: watch::Sender<bool>,
}

/// Calls without an answer yet.
#[derive(Debug, Default)]
struct Pending {
    next: u64,
    open: BTreeMap<u64, oneshot::Sender<Reply>>,
    /// Why there will be no more answers.
    closed: Option<String>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half-changed where these locks are held, so a poisoned one is as good as any.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Client {
    /// Start `program agent`; its log is appended to `log`. The calling thread must outlive the agent.
    pub fn start(program: &Path, log: &Path) -> Result<(Self, Notices), RuntimeError> {
        let errors = OpenOptions::new().append(true).create(true).open(log).map_err(RuntimeError::file(log))?;
        let mut command = std::process::Command::new(program);
        // The agent makes a session of its own: Ctrl-C reaches the harness, which then ends the agent in good order.
        command.arg0("peerbed").arg("agent");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut child = Command::from(command).spawn().map_err(RuntimeError::Start)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both were asked for as pipes");
        };
        let (lines, outgoing) = mpsc::unbounded_channel();
        let (notify, notices) = mpsc::unbounded_channel();
        let (kill, killed) = watch::channel(false);
        let (tell_end, ended) = watch::channel(false);
        let pending = Arc::new(Mutex::new(Pending::default()));
        tokio::spawn(write(stdin, outgoing));
        let reader = tokio::spawn(read(stdout, Arc::clone(&pending), notify.clone()));
        tokio::spawn(
            Ending { log: log.to_owned(), pending: Arc::clone(&pending), notify, tell_end }.wait(child, reader, killed),
        );
        Ok((Self { lines: Mutex::new(Some(lines)), pending, ended, kill }, Notices::new(notices)))
    }

    /// Send a request now; the future gives its answer. A refusal is an error.
    pub fn call(&self, request: Request) -> impl Future<Output = Result<Reply, RuntimeError>> + use<> {
        let sent = self.send(request);
        let pending = Arc::clone(&self.pending);
        async move {
            match sent?.await {
                Ok(Reply::Failed { message }) => Err(RuntimeError::Refused(message)),
                Ok(reply) => Ok(reply),
                Err(_) => Err(locked(&pending).gone()),
            }
        }
    }

    fn send(&self, request: Request) -> Result<oneshot::Receiver<Reply>, RuntimeError> {
        let mut pending = locked(&self.pending);
        let lines = locked(&self.lines);
        let Some(lines) = lines.as_ref().filter(|_| pending.closed.is_none()) else { return Err(pending.gone()) };
        let id = pending.next;
        pending.next += 1;
        // Everything but a path can always be written.
        let written = serde_json::to_string(&Call { id, request });
        let refused = |error| RuntimeError::Refused(format!("{error}: use directories whose names are UTF-8"));
        let mut line = written.map_err(refused)?;
        line.push('\n');
        let (answer, answered) = oneshot::channel();
        pending.open.insert(id, answer);
        // When the writer has gone, the reader closes `pending`, which ends the call.
        let _ = lines.send(line);
        Ok(answered)
    }

    /// Close the agent's standard input and wait until the agent, and with it everything, is gone. May be repeated.
    pub async fn end(&self) -> Result<(), RuntimeError> {
        locked(&self.lines).take();
        let mut ended = self.ended.clone();
        if tokio::time::timeout(END_WITHIN, ended.wait_for(|ended| *ended)).await.is_ok() {
            return Ok(());
        }
        self.kill.send_replace(true);
        // The channel closes when the waiting task is gone, which is an end as well.
        let _ = ended.wait_for(|ended| *ended).await;
        Err(RuntimeError::Stuck(END_WITHIN))
    }
}

impl Pending {
    fn gone(&self) -> RuntimeError {
        RuntimeError::Gone(self.closed.clone().unwrap_or_else(|| "it was told to".to_owned()))
    }

    /// Only the first reason is the cause.
    fn close(&mut self, reason: &str) {
        self.closed.get_or_insert_with(|| reason.to_owned());
        self.open.clear();
    }
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::UnboundedReceiver<String>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(line.as_bytes()).await.is_err() {
            // The agent is going; its end is seen, and reported, by whoever waits for it.
            return;
        }
    }
}

async fn read(stdout: ChildStdout, pending: Arc<Mutex<Pending>>, notify: mpsc::UnboundedSender<Notice>) {
    let mut lines = BufReader::with_capacity(1 << 16, stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines.read_until(b'\n', &mut line).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => return locked(&pending).close(&format!("its output cannot be read: {error}")),
        }
        match serde_json::from_slice(&line) {
            Ok(Said::Reply { id, reply }) => {
                if let Some(answer) = locked(&pending).open.remove(&id) {
                    // Whoever asked may have stopped waiting.
                    let _ = answer.send(reply);
                }
            }
            Ok(Said::Notice(notice)) => {
                if let Notice::Broken { message } = &notice {
                    tracing::error!(%message, "the network broke");
                }
                // Nobody listens any more once the deployment is being dropped.
                let _ = notify.send(notice);
            }
            Err(error) => return locked(&pending).close(&format!("it said something that is not a message: {error}")),
        }
    }
}

/// Returns when the flag is raised; never, if whoever could raise it has gone.
async fn told_to_kill(killed: &mut watch::Receiver<bool>) {
    if killed.wait_for(|killed| *killed).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Sees the agent's process out.
struct Ending {
    log: PathBuf,
    pending: Arc<Mutex<Pending>>,
    notify: mpsc::UnboundedSender<Notice>,
    tell_end: watch::Sender<bool>,
}

impl Ending {
    async fn wait(self, mut child: Child, reader: tokio::task::JoinHandle<()>, mut killed: watch::Receiver<bool>) {
        let ended = tokio::select! {
            status = child.wait() => Some(status),
            () = told_to_kill(&mut killed) => None,
        };
        let status = if let Some(status) = ended {
            status
        } else {
            // It may have ended in this moment; then there is nothing to kill.
            let _ = child.start_kill();
            child.wait().await
        };
        // The last words come before the end. The reader ends with the agent's last descriptor of the pipe.
        if let Err(error) = reader.await {
            locked(&self.pending).close(&format!("its reader failed: {error}"));
        }
        let reason = match status {
            Ok(status) if status.success() => None,
            Ok(status) => Some(format!("{status}; its log is {}", self.log.display())),
            Err(error) => Some(error.to_string()),
        };
        locked(&self.pending).close(reason.as_deref().unwrap_or("it was told to"));
        if let Some(reason) = reason {
            let _ = self.notify.send(Notice::Broken { message: format!("the agent ended: {reason}") });
        }
        self.tell_end.send_replace(true);
    }
}
