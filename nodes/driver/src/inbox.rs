//! The queue of inputs between the connections' tasks and the loop that feeds the machine.

use std::{cell::RefCell, collections::VecDeque};

use peerbed_proto::Input;
use tokio::sync::Notify;

/// Producers wait for room beyond this many inputs.
const LIMIT: usize = 256;

/// Inputs in the order in which they happened. One thread owns it.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    queue: RefCell<VecDeque<Input>>,
    arrived: Notify,
    taken: Notify,
}

impl Inbox {
    /// Adds an input. Byte counts are added to the latest input when they belong to the same bytes.
    pub(crate) fn push(&self, input: Input) {
        let mut queue = self.queue.borrow_mut();
        if queue.back_mut().is_none_or(|last| !merge(last, &input)) {
            queue.push_back(input);
        }
        self.arrived.notify_one();
    }

    /// The oldest input, if there is one.
    pub(crate) fn try_pop(&self) -> Option<Input> {
        let input = self.queue.borrow_mut().pop_front()?;
        self.taken.notify_waiters();
        Some(input)
    }

    /// The oldest input.
    pub(crate) async fn pop(&self) -> Input {
        loop {
            if let Some(input) = self.try_pop() {
                return input;
            }
            self.arrived.notified().await;
        }
    }

    /// Waits until the loop has caught up; whoever produces inputs from a socket calls this before each read or write.
    pub(crate) async fn room(&self) {
        while self.queue.borrow().len() >= LIMIT {
            self.taken.notified().await;
        }
    }
}

fn merge(last: &mut Input, next: &Input) -> bool {
    match (last, next) {
        (
            Input::PieceData { conn, request, bytes },
            Input::PieceData { conn: conn2, request: request2, bytes: more },
        )
        | (
            Input::PieceSent { conn, request, bytes },
            Input::PieceSent { conn: conn2, request: request2, bytes: more },
        ) if conn == conn2 && request == request2 => bytes.checked_add(*more).is_some_and(|sum| {
            *bytes = sum;
            true
        }),
        (
            Input::HttpSent { conn, content, bytes, .. },
            Input::HttpSent { conn: conn2, content: content2, bytes: more, .. },
        ) if conn == conn2 && content == content2 => {
            *bytes += more;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use peerbed_proto::{ConnId, RequestId};

    use super::*;

    fn data(request: u32, bytes: u32) -> Input {
        Input::PieceData { conn: ConnId(2), request: RequestId(request), bytes }
    }

    #[tokio::test]
    async fn counts_of_the_same_request_are_added_but_never_past_another_input() {
        let inbox = Inbox::default();
        for input in [data(1, 5), data(1, 6), data(2, 1), data(1, 2), Input::Timer, data(1, 3), data(1, 4)] {
            inbox.push(input);
        }
        for expected in [data(1, 11), data(2, 1), data(1, 2), Input::Timer, data(1, 7)] {
            assert_eq!(inbox.pop().await, expected);
        }
    }

    #[tokio::test]
    async fn producers_wait_while_it_is_full() {
        let inbox = Inbox::default();
        for _ in 0..LIMIT {
            inbox.push(Input::Timer);
        }
        let mut room = Box::pin(inbox.room());
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(room.as_mut().poll(cx))).await.is_pending());
        inbox.pop().await;
        room.await;
    }
}
