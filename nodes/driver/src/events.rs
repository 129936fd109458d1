//! Events on their way out: the loop hands them over and never waits; a thread writes them to standard output.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use peerbed_contract::Event;
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, error::TryRecvError, unbounded_channel},
    oneshot,
};

use crate::commands::{CommandSender, Told};

/// More lines than this unread by the harness are a broken contract.
const MAX_WAITING: usize = 100_000;
/// How long the last lines may take to be read by the harness.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Takes events from the loop.
#[derive(Debug, Clone)]
pub struct EventSender {
    lines: UnboundedSender<String>,
    waiting: Arc<AtomicUsize>,
}

/// Gives the lines to whoever writes them.
#[derive(Debug)]
pub struct EventReceiver {
    lines: UnboundedReceiver<String>,
    waiting: Arc<AtomicUsize>,
}

/// The lines that were said can no longer be delivered.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Nobody reads any more.
    #[error("standard output was closed")]
    Closed,
    /// The reader is too slow.
    #[error("{MAX_WAITING} lines of standard output wait to be read")]
    Unread,
}

/// A queue of events.
pub fn event_queue() -> (EventSender, EventReceiver) {
    let (sender, lines) = unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    (EventSender { lines: sender, waiting: Arc::clone(&waiting) }, EventReceiver { lines, waiting })
}

impl EventSender {
    /// Hands an event over.
    pub(crate) fn send(&self, event: &Event) -> Result<(), EventError> {
        let mut line = serde_json::to_string(event).expect("an event has only strings, numbers and lists");
        line.push('\n');
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            return Err(EventError::Unread);
        }
        self.lines.send(line).map_err(|_| EventError::Closed)
    }
}

impl EventReceiver {
    /// The next line with its end; nothing after the last.
    pub async fn next(&mut self) -> Option<String> {
        let line = self.lines.recv().await;
        self.waiting.fetch_sub(usize::from(line.is_some()), Ordering::Relaxed);
        line
    }

    fn write_all(mut self, mut to: impl Write) -> io::Result<()> {
        let mut flushed = true;
        loop {
            let line = match self.lines.try_recv() {
                Ok(line) => Some(line),
                Err(TryRecvError::Empty) if flushed => self.lines.blocking_recv(),
                Err(TryRecvError::Empty) => {
                    to.flush()?;
                    flushed = true;
                    continue;
                }
                Err(TryRecvError::Disconnected) => None,
            };
            let Some(line) = line else { return to.flush() };
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            to.write_all(line.as_bytes())?;
            flushed = false;
        }
    }
}

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    done: oneshot::Receiver<io::Result<()>>,
}

impl Writer {
    /// Starts writing to standard output; `broken` is told when that fails.
    pub(crate) fn start(events: EventReceiver, broken: CommandSender) -> io::Result<Self> {
        let (sender, done) = oneshot::channel();
        thread::Builder::new().name("events".to_owned()).stack_size(64 * 1024).spawn(move || {
            // Standard output flushes at each line; what has gathered is written at once instead.
            let written = events.write_all(io::BufWriter::new(RawStdout));
            if let Err(error) = &written {
                broken.send(Told::OutputLost(error.to_string()));
            }
            // Nobody waits for the result when the node has given up already.
            let _ = sender.send(written);
        })?;
        Ok(Self { done })
    }

    /// Waits until everything was written; the senders must be gone.
    pub(crate) async fn finish(self) -> io::Result<()> {
        match tokio::time::timeout(LAST_WORDS, self.done).await {
            Ok(Ok(written)) => written,
            Ok(Err(_)) => Err(io::Error::other("the thread that writes events ended early")),
            Err(elapsed) => Err(elapsed.into()),
        }
    }
}

/// Standard output without the line buffer of the standard library.
struct RawStdout;

impl Write for RawStdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::write(rustix::stdio::stdout(), bytes))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use peerbed_contract::EventKind;

    use super::*;

    fn event(t: u64) -> Event {
        Event { node: "edge-0".parse().unwrap(), t, kind: EventKind::Started }
    }

    #[test]
    fn lines_come_in_order_and_whole() {
        let (sender, receiver) = event_queue();
        (0..1000).for_each(|t| sender.send(&event(t)).unwrap());
        drop(sender);
        let mut written = Vec::new();
        receiver.write_all(&mut written).unwrap();
        let lines: Vec<Event> =
            std::str::from_utf8(&written).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, (0..1000).map(event).collect::<Vec<_>>());
    }

    #[test]
    fn a_harness_that_does_not_read_is_noticed() {
        let (sender, receiver) = event_queue();
        (0..MAX_WAITING as u64).for_each(|t| sender.send(&event(t)).unwrap());
        assert!(matches!(sender.send(&event(0)), Err(EventError::Unread)));
        drop(receiver);
    }
}
