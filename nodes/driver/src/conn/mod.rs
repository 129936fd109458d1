//! Connections: one task each, joined to the loop by a [`Link`] (orders in) and the inbox (inputs out).

pub(crate) mod edge_client;
pub(crate) mod framed;
pub(crate) mod http_server;
mod mark;
mod outgoing;
mod response;
mod watched;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use peerbed_contract::{ContentId, Guid};
use peerbed_proto::{ConnId, HttpReply, RequestId};
use tokio::sync::{Notify, oneshot};

/// Reads heads of responses for a fuzz target: how many there are before an error or the end.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_heads(bytes: &[u8], cut: usize) -> usize {
    let mut reader = response::HeadReader::default();
    let mut heads = 0;
    for mut chunk in bytes.chunks(cut.max(1)) {
        while let Ok(Some(_)) = reader.read(&mut chunk) {
            heads += 1;
        }
        if !chunk.is_empty() {
            break;
        }
    }
    heads
}

/// A connection whose remote leaves so much unread is broken.
const MAX_QUEUED: usize = 8 << 20;
/// How long a closed connection may take to write what was ordered before, and to hear that the remote closed too.
const LINGER: Duration = Duration::from_secs(30);

thread_local! {
    /// Every connection reads into and writes from this one buffer, which no task holds while it waits: a connection at
    /// rest costs no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 128 * 1024].into_boxed_slice());
}

/// What the loop wants of a connection, in order.
#[derive(Debug)]
pub(crate) enum Order {
    /// Write an encoded message.
    Frame(Vec<u8>),
    /// Write a part of a piece.
    Part(PartOrder),
    /// Ask an edge for a token and the manifest.
    Authorize {
        /// Of what.
        content: ContentId,
        /// For whom.
        guid: Guid,
    },
    /// Ask an edge for a range.
    Fetch {
        /// The machine's number.
        request: RequestId,
        /// Of what.
        content: ContentId,
        /// The first byte.
        offset: u64,
        /// How many.
        bytes: u32,
    },
}

/// Content bytes to write.
#[derive(Debug)]
pub(crate) struct PartOrder {
    /// The remote's number.
    pub(crate) request: RequestId,
    /// The key of the object.
    pub(crate) key: u64,
    /// The first byte.
    pub(crate) offset: u64,
    /// How many.
    pub(crate) bytes: u32,
    /// Damage them.
    pub(crate) corrupt: bool,
}

/// A piece whose bytes are expected on a framed connection.
#[derive(Debug)]
pub(crate) struct Expected {
    hasher: Box<blake3::Hasher>,
    left: u32,
}

impl Expected {
    /// Nothing of `bytes` has come yet.
    pub(crate) fn new(bytes: u32) -> Self {
        Self { hasher: Box::default(), left: bytes }
    }

    /// Takes in bytes; gives the hash with the last of them, or an error if there are too many.
    fn take(&mut self, bytes: &[u8]) -> Result<Option<[u8; 32]>, Excess> {
        self.left = self.left.checked_sub(bytes.len() as u32).ok_or(Excess)?;
        self.hasher.update(bytes);
        Ok((self.left == 0).then(|| *self.hasher.finalize().as_bytes()))
    }
}

/// More bytes came than a request asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Excess;

/// What the loop and a connection's task share.
#[derive(Debug)]
pub(crate) struct Link {
    /// The connection's number.
    pub(crate) id: ConnId,
    orders: RefCell<VecDeque<Order>>,
    queued: Cell<usize>,
    /// The machine closed the connection: no further order comes and no input is wanted.
    closing: Cell<bool>,
    /// The connection is to be torn down at once.
    aborted: Cell<bool>,
    wake: Notify,
    /// Pieces expected on a framed connection.
    pub(crate) expected: RefCell<BTreeMap<RequestId, Expected>>,
    /// The body of an HTTP answer is not wholly handed over.
    pub(crate) in_body: Cell<bool>,
    /// Where the answer to the present HTTP request goes.
    pub(crate) reply: RefCell<Option<oneshot::Sender<HttpReply>>>,
}

impl Link {
    /// A link without orders.
    pub(crate) fn new(id: ConnId) -> Self {
        Self {
            id,
            orders: RefCell::default(),
            queued: Cell::new(0),
            closing: Cell::new(false),
            aborted: Cell::new(false),
            wake: Notify::new(),
            expected: RefCell::default(),
            in_body: Cell::new(false),
            reply: RefCell::default(),
        }
    }

    /// Adds an order; false when the connection has too much waiting already.
    pub(crate) fn order(&self, order: Order) -> bool {
        let queued = self.queued.get() + order.weight();
        if queued > MAX_QUEUED {
            return false;
        }
        self.queued.set(queued);
        self.orders.borrow_mut().push_back(order);
        self.wake.notify_one();
        true
    }

    /// Orders the close, after everything ordered before.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.wake.notify_one();
    }

    /// Ends the connection now, with a reset.
    pub(crate) fn abort(&self) {
        self.closing.set(true);
        self.aborted.set(true);
        self.wake.notify_one();
    }

    fn next_order(&self) -> Option<Order> {
        let order = self.orders.borrow_mut().pop_front()?;
        self.queued.set(self.queued.get() - order.weight());
        Some(order)
    }

    /// Waits until the machine has closed the connection.
    pub(crate) async fn closed(&self) {
        while !self.is_closing() {
            self.changed().await;
        }
    }

    /// Waits for an order, a close or an abort that may have come since it was last called.
    async fn changed(&self) {
        self.wake.notified().await;
    }

    fn is_closing(&self) -> bool {
        self.closing.get()
    }

    fn is_aborted(&self) -> bool {
        self.aborted.get()
    }
}

impl Order {
    /// Its share of the limit, in bytes of memory.
    fn weight(&self) -> usize {
        const FIXED: usize = 64;
        match self {
            Order::Frame(frame) => FIXED + frame.len(),
            Order::Part(_) | Order::Authorize { .. } | Order::Fetch { .. } => FIXED,
        }
    }
}
