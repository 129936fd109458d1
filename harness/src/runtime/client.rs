//! The harness's side of the agent: numbers the calls, sorts replies from notices, awaits its end. How the agent was
//! started, and so what its streams are, is `launch`'s business.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::{mpsc, oneshot, watch},
};

use super::{
    Notices, RuntimeError,
    notices::{self, Notifier},
};
use crate::agent::protocol::{Call, Notice, Reply, Request, Said};

/// An agent that was just started: its streams, and its end.
pub(super) struct Carriage {
    /// Its standard input.
    pub(super) stdin: Pin<Box<dyn AsyncWrite + Send>>,
    /// Its standard output.
    pub(super) stdout: Pin<Box<dyn AsyncRead + Send>>,
    /// Waits for its end, and kills it if it is told to before.
    pub(super) end: Box<dyn FnOnce(Killed) -> Ending + Send>,
    /// How long it may take to remove everything before it is killed.
    pub(super) end_within: Duration,
}

/// Ends with the agent; if that was not in good order, with the reason.
pub(super) type Ending = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Tells when the agent is to be killed.
pub(super) struct Killed(watch::Receiver<bool>);

impl Killed {
    /// Returns when it is; never, if whoever could want it has gone.
    pub(super) async fn wanted(&mut self) {
        if self.0.wait_for(|killed| *killed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A running agent. Dropping it closes the agent's standard input, so the agent removes everything and ends.
pub struct Client {
    lines: Mutex<Option<mpsc::UnboundedSender<String>>>,
    pending: Arc<Mutex<Pending>>,
    ended: watch::Receiver<bool>,
    kill: watch::Sender<bool>,
    end_within: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("ended", &*self.ended.borrow()).finish_non_exhaustive()
    }
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
    /// Speak to an agent that was started. Others may add notices to its own; the stream ends when all of them are done.
    pub(super) fn over(carriage: Carriage) -> (Self, Notices, Notifier) {
        let Carriage { stdin, stdout, end, end_within } = carriage;
        let (lines, outgoing) = mpsc::unbounded_channel();
        let (notify, notices) = notices::stream();
        let (kill, killed) = watch::channel(false);
        let (tell_end, ended) = watch::channel(false);
        let pending = Arc::new(Mutex::new(Pending::default()));
        tokio::spawn(write(stdin, outgoing));
        let reader = tokio::spawn(read(stdout, Arc::clone(&pending), notify.clone()));
        tokio::spawn(see_out(end(Killed(killed)), reader, Arc::clone(&pending), notify.clone(), tell_end));
        let client = Self { lines: Mutex::new(Some(lines)), pending, ended, kill, end_within };
        (client, notices, notify)
    }

    /// Becomes true when the agent, and with it everything, is gone; also after the client was dropped.
    pub(super) fn ended(&self) -> watch::Receiver<bool> {
        self.ended.clone()
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
        if tokio::time::timeout(self.end_within, ended.wait_for(|ended| *ended)).await.is_ok() {
            return Ok(());
        }
        self.kill.send_replace(true);
        // The channel closes when the waiting task is gone, which is an end as well.
        let _ = ended.wait_for(|ended| *ended).await;
        Err(RuntimeError::Stuck(self.end_within))
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

async fn write(mut stdin: Pin<Box<dyn AsyncWrite + Send>>, mut lines: mpsc::UnboundedReceiver<String>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(line.as_bytes()).await.is_err() {
            // The agent is going; its end is seen, and reported, by whoever waits for it.
            return;
        }
    }
    // A stream that goes both ways is closed in this direction only by saying so. If that fails, the agent is gone.
    let _ = stdin.shutdown().await;
}

async fn read(stdout: Pin<Box<dyn AsyncRead + Send>>, pending: Arc<Mutex<Pending>>, notify: Notifier) {
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
                notify.send(notice);
            }
            Err(error) => return locked(&pending).close(&format!("it said something that is not a message: {error}")),
        }
    }
}

/// Sees the agent out.
async fn see_out(
    end: Ending,
    reader: tokio::task::JoinHandle<()>,
    pending: Arc<Mutex<Pending>>,
    notify: Notifier,
    tell_end: watch::Sender<bool>,
) {
    let ended = end.await;
    // The last words come before the end. The reader ends with the agent's last descriptor of the pipe.
    if let Err(error) = reader.await {
        locked(&pending).close(&format!("its reader failed: {error}"));
    }
    match ended {
        Ok(()) => locked(&pending).close("it was told to"),
        Err(reason) => {
            locked(&pending).close(&reason);
            notify.send(Notice::Broken { message: format!("the agent ended: {reason}") });
        }
    }
    tell_end.send_replace(true);
}
