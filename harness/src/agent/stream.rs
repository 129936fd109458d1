//! The agent's ends of its two streams: calls in, replies and notices out.

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::unix::pipe,
    sync::mpsc,
};

use super::{
    protocol::{Notice, Said},
    serve::Event,
};
use crate::say::complain;

/// Read calls until their end, which is the agent's.
pub(super) async fn calls(calls: pipe::Receiver, events: mpsc::UnboundedSender<Event>) {
    let mut lines = BufReader::with_capacity(1 << 16, calls);
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines.read_until(b'\n', &mut line).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                complain(format_args!("agent: calls cannot be read: {error}"));
                break;
            }
        }
        match serde_json::from_slice(&line) {
            Ok(call) => drop(events.send(Event::Call(Box::new(call)))),
            Err(error) => {
                complain(format_args!("agent: this is not a call: {error}"));
                break;
            }
        }
    }
    let _ = events.send(Event::Over);
}

/// Write replies and notices; what is urgent goes first.
pub(super) async fn said(
    mut to: pipe::Sender,
    mut urgent: mpsc::UnboundedReceiver<Said>,
    mut notices: mpsc::Receiver<Notice>,
    events: mpsc::UnboundedSender<Event>,
) {
    const AT_ONCE: usize = 1 << 16;
    let mut text = Vec::new();
    loop {
        let mut next = tokio::select! {
            biased;
            Some(said) = urgent.recv() => Some(said),
            Some(notice) = notices.recv() => Some(Said::Notice(notice)),
            else => return,
        };
        while let Some(said) = next {
            serde_json::to_writer(&mut text, &said).expect("a message has only plain values");
            text.push(b'\n');
            let mut more = || urgent.try_recv().ok().or_else(|| notices.try_recv().ok().map(Said::Notice));
            next = Some(()).filter(|()| text.len() < AT_ONCE).and_then(|()| more());
        }
        if to.write_all(&text).await.is_err() {
            // The harness does not listen any more, so it has gone.
            let _ = events.send(Event::Over);
            return;
        }
        text.clear();
    }
}
