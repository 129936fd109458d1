//! What the nodes said and what happened to them, in order of arrival.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, mpsc};

use crate::agent::protocol::Notice;

/// So many notices may wait before those who can wait themselves do.
const MOST_WAITING: usize = 50_000;

/// The stream of notices of one deployment. It begins with what was said during the set-up (the `ready` lines) and ends
/// when the agent has ended.
///
/// Its length is not bounded: whoever reads it keeps every line anyway, and a bound would let a reader that waits for the
/// answer to a call block that very answer. Whoever only passes lines on can ask for room before
/// (`Notifier::room`).
#[derive(Debug)]
pub struct Notices {
    kept: VecDeque<Notice>,
    coming: mpsc::UnboundedReceiver<Notice>,
    queue: Arc<Queue>,
}

/// Adds to a stream of notices.
#[derive(Debug, Clone)]
pub(super) struct Notifier {
    to: mpsc::UnboundedSender<Notice>,
    queue: Arc<Queue>,
}

/// How full a stream is.
#[derive(Debug, Default)]
struct Queue {
    waiting: AtomicUsize,
    drained: Notify,
    /// Nobody is to be held up any more.
    open: AtomicBool,
}

/// A stream of notices, from both sides.
pub(super) fn stream() -> (Notifier, Notices) {
    let (to, coming) = mpsc::unbounded_channel();
    let queue = Arc::new(Queue::default());
    (Notifier { to, queue: Arc::clone(&queue) }, Notices { kept: VecDeque::new(), coming, queue })
}

impl Notifier {
    /// Add a notice. Nobody takes it any more once the deployment is being dropped.
    pub(super) fn send(&self, notice: Notice) {
        // Counted before it can be taken. What nobody takes needs no counting.
        self.queue.waiting.fetch_add(1, Ordering::Relaxed);
        let _ = self.to.send(notice);
    }

    /// Whether nobody listens any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.to.is_closed()
    }

    /// From now on there is always room: an engine does not remove a container that it cannot get rid of the last words of.
    pub(super) fn open(&self) {
        self.queue.open.store(true, Ordering::Relaxed);
        self.queue.drained.notify_waiters();
    }

    /// Wait until few enough notices wait, or nobody listens any more.
    pub(super) async fn room(&self) {
        loop {
            // Begun before the look, so that no news is missed.
            let drained = self.queue.drained.notified();
            if self.is_given_up()
                || self.queue.open.load(Ordering::Relaxed)
                || self.queue.waiting.load(Ordering::Relaxed) < MOST_WAITING
            {
                return;
            }
            drained.await;
        }
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.coming.close();
        self.queue.drained.notify_waiters();
    }
}

impl Notices {
    /// One less waits.
    fn taken(&self) {
        if self.queue.waiting.fetch_sub(1, Ordering::Relaxed) == MOST_WAITING {
            self.queue.drained.notify_waiters();
        }
    }

    /// The next notice; none after the last. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Notice> {
        if let Some(notice) = self.kept.pop_front() {
            return Some(notice);
        }
        let notice = self.coming.recv().await;
        if notice.is_some() {
            self.taken();
        }
        notice
    }

    /// A notice that has already come.
    pub fn try_next(&mut self) -> Option<Notice> {
        if let Some(notice) = self.kept.pop_front() {
            return Some(notice);
        }
        let notice = self.coming.try_recv().ok()?;
        self.taken();
        Some(notice)
    }

    /// Whether none has come that was not taken.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.coming.is_empty()
    }

    /// Put back what was read during the set-up, in front of everything.
    pub(super) fn put_back(&mut self, said: Vec<Notice>) {
        for notice in said.into_iter().rev() {
            self.kept.push_front(notice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice() -> Notice {
        Notice::Broken { message: String::new() }
    }

    #[tokio::test]
    async fn who_can_wait_waits_for_room() {
        let (notifier, mut notices) = stream();
        (0..MOST_WAITING).for_each(|_| notifier.send(notice()));
        let waiting = tokio::spawn({
            let notifier = notifier.clone();
            async move { notifier.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert_eq!(notices.next().await, Some(notice()));
        waiting.await.unwrap();
        // Nobody waits for somebody who has gone, nor once all is open.
        (0..2).for_each(|_| notifier.send(notice()));
        let waiting = tokio::spawn({
            let notifier = notifier.clone();
            async move { notifier.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        notifier.open();
        waiting.await.unwrap();
        let (notifier, notices) = stream();
        (0..MOST_WAITING).for_each(|_| notifier.send(notice()));
        let waiting = tokio::spawn(async move { notifier.room().await });
        tokio::task::yield_now().await;
        drop(notices);
        waiting.await.unwrap();
    }
}
