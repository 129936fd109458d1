//! What the nodes said and what happened to them, in order of arrival.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::agent::protocol::Notice;

/// The stream of notices of one deployment. It begins with what was said during the set-up (the `ready` lines) and ends
/// when the agent has ended.
///
/// Its length is not bounded: whoever reads it keeps every line anyway, and a bound would let a reader that waits for the
/// answer to a call block that very answer.
#[derive(Debug)]
pub struct Notices {
    kept: VecDeque<Notice>,
    coming: mpsc::UnboundedReceiver<Notice>,
}

impl Notices {
    pub(super) fn new(coming: mpsc::UnboundedReceiver<Notice>) -> Self {
        Self { kept: VecDeque::new(), coming }
    }

    /// The next notice; none after the last. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Notice> {
        match self.kept.pop_front() {
            Some(notice) => Some(notice),
            None => self.coming.recv().await,
        }
    }

    /// A notice that has already come.
    pub fn try_next(&mut self) -> Option<Notice> {
        self.kept.pop_front().or_else(|| self.coming.try_recv().ok())
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
