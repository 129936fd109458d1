//! Pipes between hosts: what travels on them, and links that share their rate fairly among pipes.
//!
//! Each direction of a pipe is a stream of items with a window that opens from ten packets as bytes are acknowledged, so
//! that connections start slowly and none can flood a queue. Uplinks and downlinks serve their streams in turn.

use std::{collections::VecDeque, rc::Rc};

use peerbed_proto::{ConnId, Message, RequestId, Time};

/// The most bytes that are sent in one go.
pub(crate) const CHUNK: u64 = 8_192;
const FIRST_WINDOW: u64 = 14_600;
const LAST_WINDOW: u64 = 512 * 1024;

/// What travels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    Frame(Message),
    /// Bytes that are no frame.
    Raw,
    /// A part of a piece; the offset says of which.
    Part {
        request: RequestId,
        content: peerbed_contract::ContentId,
        offset: u64,
        corrupt: bool,
    },
    /// A client's HTTP request.
    Ask(Ask),
    /// An edge's answer to an authorisation.
    Granted(Result<Box<(peerbed_contract::Manifest, peerbed_contract::SignedToken)>, peerbed_proto::Refusal>),
    /// An edge's answer to a range: its bytes.
    Body {
        request: RequestId,
        content: peerbed_contract::ContentId,
        hash: [u8; 32],
    },
    /// An edge's refusal of a range.
    Refusal {
        request: RequestId,
        status: u16,
        retry_after: Option<Time>,
    },
    /// The sender's end of the stream.
    Fin,
}

/// An HTTP request of a peer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    Authorize { content: peerbed_contract::ContentId, guid: peerbed_contract::Guid },
    Range { request: RequestId, content: peerbed_contract::ContentId, offset: u64, bytes: u32 },
}

/// A piece of an item on its way.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) item: Rc<Item>,
    pub(crate) bytes: u64,
    pub(crate) last: bool,
}

/// One direction of a pipe.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// The connection's number at the receiver.
    pub(crate) to_conn: Option<ConnId>,
    pub(crate) from_conn: Option<ConnId>,
    pub(crate) queue: VecDeque<(Rc<Item>, u64)>,
    pub(crate) arrived: VecDeque<Chunk>,
    in_flight: u64,
    window: u64,
    pub(crate) dead: bool,
    /// An end of it has another address now: nothing arrives, and nobody is told.
    pub(crate) lost: bool,
    /// Of the dialling side's: the port dialled.
    pub(crate) to_port: u16,
    /// It was dialled from the port at which its host listens.
    pub(crate) from_listener: bool,
}

impl Stream {
    pub(crate) fn new(from: usize, from_conn: Option<ConnId>, to: usize, to_conn: Option<ConnId>) -> Self {
        Self {
            from,
            to,
            to_conn,
            from_conn,
            queue: VecDeque::new(),
            arrived: VecDeque::new(),
            lost: false,
            in_flight: 0,
            window: FIRST_WINDOW,
            dead: false,
            to_port: 0,
            from_listener: false,
        }
    }

    pub(crate) fn push(&mut self, item: Item, bytes: u64) {
        self.queue.push_back((Rc::new(item), bytes.max(1)));
    }

    /// The next chunk, if the window is open.
    pub(crate) fn next(&mut self) -> Option<Chunk> {
        let room = self.window.saturating_sub(self.in_flight);
        let (item, left) = self.queue.front_mut()?;
        let bytes = (*left).min(CHUNK).min(room);
        if bytes == 0 || self.dead {
            return None;
        }
        *left -= bytes;
        let chunk = Chunk { item: Rc::clone(item), bytes, last: *left == 0 };
        if chunk.last {
            self.queue.pop_front();
        }
        self.in_flight += bytes;
        Some(chunk)
    }

    pub(crate) fn can_send(&self) -> bool {
        !self.dead && !self.queue.is_empty() && self.in_flight < self.window
    }

    pub(crate) fn acknowledged(&mut self, bytes: u64) {
        self.in_flight -= bytes;
        self.window = (self.window + bytes).min(LAST_WINDOW);
    }
}

/// A host's link in one direction: it serves its streams in turn.
#[derive(Debug)]
pub(crate) struct LinkEnd {
    /// Bytes a second.
    pub(crate) rate: f64,
    pub(crate) busy: bool,
    pub(crate) turn: VecDeque<usize>,
}

impl LinkEnd {
    pub(crate) fn new(mbit: f64) -> Self {
        Self { rate: mbit * 125_000.0, busy: false, turn: VecDeque::new() }
    }

    pub(crate) fn time(&self, bytes: u64) -> Time {
        (bytes as f64 / self.rate * 1e9) as Time
    }

    pub(crate) fn join(&mut self, stream: usize) {
        if !self.turn.contains(&stream) {
            self.turn.push_back(stream);
        }
    }
}

/// The bytes that a frame takes.
pub(crate) fn frame_size(message: &Message) -> u64 {
    match message {
        Message::Hello { have, .. } => 180 + have.bits.len() as u64,
        Message::HelloBack { have, token, .. } => 30 + have.bits.len() as u64 + if token.is_some() { 120 } else { 0 },
        Message::Peers { peers, .. } => 12 + 24 * peers.len() as u64,
        Message::Query { .. } => 130,
        _ => 12,
    }
}
