//! The seam between a state machine and whoever drives it.

use std::net::SocketAddr;

use peerbed_contract::{ContentId, EventKind, Guid, Manifest, Order, SignedToken};
use serde::{Deserialize, Serialize};

use crate::Message;

/// Nanoseconds since the start of the run.
pub type Time = u64;

/// A connection, numbered by the machine when it dials and by the driver when it accepts; the two ranges are apart:
/// dialled connections are even, accepted ones odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl ConnId {
    /// Whether a remote opened it, and not this node.
    pub fn was_accepted(self) -> bool {
        self.0 % 2 == 1
    }
}

/// One request for one piece on one connection, numbered by the requester, unique among its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u32);

/// What a dialled connection is for; it decides the protocol spoken on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Framed messages with the control plane.
    Control,
    /// Framed messages with another peer.
    Peer,
    /// HTTP/1.1 with an edge; requests on one connection are answered in order.
    Edge,
}

/// The far end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it is.
    pub address: SocketAddr,
}

/// What happened, told to a machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The run begins; the first input.
    Start,
    /// The harness asks the node to finish; the machine ends what is under way and says [`Output::Finished`].
    Stop,
    /// The harness orders something; a machine that has no use for it says so in a notice.
    Order(Order),
    /// The time that [`Output::Idle`] named has come.
    Timer,
    /// A dialled connection is open.
    Connected {
        /// Which.
        conn: ConnId,
    },
    /// A remote connected to this node's listener.
    Accepted {
        /// Which.
        conn: ConnId,
        /// From where.
        from: Endpoint,
    },
    /// A connection failed to open or ended; no input follows for it.
    Closed {
        /// Which.
        conn: ConnId,
        /// Ended in good order (the remote closed after its last message) or broke.
        clean: bool,
    },
    /// A message arrived on a framed connection. Never a [`Message::Part`]: its bytes come as `PieceData`.
    Message {
        /// Which.
        conn: ConnId,
        /// What.
        message: Message,
    },
    /// What a remote sent on a framed connection is no frame, or content that was not asked for; `Closed` follows.
    Garbled {
        /// Which.
        conn: ConnId,
    },
    /// Bytes of a requested piece arrived, from a peer or an edge.
    PieceData {
        /// On which connection.
        conn: ConnId,
        /// Of which request.
        request: RequestId,
        /// How many came since the last such input of the request.
        bytes: u32,
    },
    /// All bytes of a requested piece arrived and its hash was computed by the driver.
    PieceEnd {
        /// On which connection.
        conn: ConnId,
        /// Of which request.
        request: RequestId,
        /// The BLAKE3 hash of what came.
        hash: [u8; 32],
    },
    /// Bytes that [`Output::SendPiece`] ordered were handed to the connection (the sender's accounting).
    PieceSent {
        /// On which connection.
        conn: ConnId,
        /// Of which request (the remote's number).
        request: RequestId,
        /// How many.
        bytes: u32,
    },
    /// The connection's outgoing queue has room again after an [`Output::SendPiece`]; sent when less than one chunk waits.
    Writable {
        /// Which.
        conn: ConnId,
    },
    /// Bytes of an edge's answer arrived that are no piece's, and more are to come.
    AnswerData {
        /// On which connection.
        conn: ConnId,
    },
    /// An edge answered [`Output::Authorize`].
    Authorized {
        /// On which connection.
        conn: ConnId,
        /// The manifest and the token, or why not.
        result: Result<(Manifest, SignedToken), Refusal>,
    },
    /// An edge refused or failed one piece request (HTTP status other than 206, broken body).
    EdgeRefused {
        /// On which connection.
        conn: ConnId,
        /// Which request.
        request: RequestId,
        /// The HTTP status, where there was one.
        status: Option<u16>,
        /// From `Retry-After`, nanoseconds.
        retry_after: Option<u64>,
    },
    /// An HTTP request arrived (edge machine only). Its connection's bookkeeping stays in the driver.
    Http {
        /// Which connection.
        conn: ConnId,
        /// From where.
        from: Endpoint,
        /// The request.
        request: HttpRequest,
    },
    /// Body bytes of an answer to `Http` were handed to the connection (edge machine only).
    HttpSent {
        /// Which connection.
        conn: ConnId,
        /// To where.
        to: Endpoint,
        /// Of what.
        content: ContentId,
        /// How many.
        bytes: u64,
    },
}

/// Why an edge did not authorise a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status, where the answer was not nonsense.
    pub status: Option<u16>,
    /// From `Retry-After`, nanoseconds.
    pub retry_after: Option<Time>,
    /// What it said.
    pub reason: String,
}

/// What a machine wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Open a connection; answered by `Connected` or `Closed`.
    Dial {
        /// The machine's number for it (even).
        conn: ConnId,
        /// To where.
        to: SocketAddr,
        /// The protocol spoken on it.
        purpose: Purpose,
        /// It leaves from the port at which the node listens, which others must know, instead of any free one.
        from_listener: bool,
    },
    /// Send a message on a framed connection, after everything that was ordered before on it.
    Send {
        /// On which connection.
        conn: ConnId,
        /// What.
        message: Message,
    },
    /// Send a part of a piece on a framed connection, after everything that was ordered before on it. The first part of a
    /// request is preceded by nothing: parts carry the request's number. At most one part is outstanding per connection:
    /// the next is ordered after `Writable`.
    SendPiece {
        /// On which connection.
        conn: ConnId,
        /// The remote's number.
        request: RequestId,
        /// Of which object.
        content: ContentId,
        /// Where the part begins in the object.
        offset: u64,
        /// Its bytes; at most 65536.
        bytes: u32,
        /// Damage the bytes (fault injection).
        corrupt: bool,
    },
    /// Send bytes as they are on a framed connection, after everything that was ordered before on it (fault injection).
    SendRaw {
        /// On which connection.
        conn: ConnId,
        /// What.
        bytes: Vec<u8>,
    },
    /// Expect the bytes of `request` on this framed connection (a [`Message::Request`] was just sent): the driver keeps a
    /// hasher for it until `PieceEnd`, or forgets it at [`Message::Cancelled`].
    ExpectPiece {
        /// On which connection.
        conn: ConnId,
        /// The number.
        request: RequestId,
        /// How many bytes make the piece.
        bytes: u32,
    },
    /// Ask an edge for a token and the manifest.
    Authorize {
        /// An edge connection.
        conn: ConnId,
        /// Of what.
        content: ContentId,
        /// For whom.
        guid: Guid,
    },
    /// Ask an edge for one piece by an HTTP range; answered by `PieceData`… `PieceEnd`, or `EdgeRefused`, or `Closed`.
    /// Several may be outstanding on a connection; they are answered in order. A driver that does not pipeline them on the
    /// wire keeps them queued and sends the next as soon as the one before has ended.
    FetchPiece {
        /// An edge connection.
        conn: ConnId,
        /// The number.
        request: RequestId,
        /// Of what.
        content: ContentId,
        /// Where it begins in the object.
        offset: u64,
        /// Its bytes.
        bytes: u32,
    },
    /// Answer an HTTP request (edge machine only).
    Reply {
        /// Which connection.
        conn: ConnId,
        /// With what.
        reply: HttpReply,
    },
    /// Close a connection after everything that was ordered before on it was written; no input follows for it.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// The secondary GUIDs of this installation's starts, newest first: the driver keeps them over the end of the process,
    /// as [`PeerConfig::secondary`](peerbed_contract::PeerConfig::secondary) of the next start.
    Remember {
        /// At most [`SECONDARY_MAX`](crate::SECONDARY_MAX).
        secondary: Vec<Guid>,
    },
    /// Listen at this address and no longer at that before; what is still open from there is dropped without a word.
    Listen {
        /// With the port.
        at: SocketAddr,
    },
    /// Print an event.
    Event(EventKind),
    /// Everything is done; the driver flushes, prints [`EventKind::Stopped`] and exits.
    Finished,
    /// Nothing to do before `until`; none: before the next input.
    Idle {
        /// When to hand in [`Input::Timer`].
        until: Option<Time>,
    },
}

/// An HTTP request as the edge machine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, without `?`; empty if none.
    pub query: String,
    /// The value of the `Range` header.
    pub range: Option<String>,
    /// The value of the `If-Range` header.
    pub if_range: Option<String>,
}

/// An HTTP answer as the edge machine gives it. `Content-Length`, `Date` and framing belong to the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpReply {
    /// Bytes of an object.
    Object {
        /// 200 or 206.
        status: u16,
        /// Further headers: name, value.
        headers: Vec<(&'static str, String)>,
        /// Which object.
        content: ContentId,
        /// Where the body begins in it.
        offset: u64,
        /// Its bytes.
        bytes: u64,
        /// `HEAD`: only the headers are sent.
        head_only: bool,
    },
    /// The manifest of an object as JSON; with a token, the object `{"token": …, "manifest": …}` instead. The driver has
    /// the piece hashes, or computes them before it answers.
    Manifest {
        /// Further headers; `Content-Type` is the driver's.
        headers: Vec<(&'static str, String)>,
        /// Which object.
        content: ContentId,
        /// The permission to download it, for an authorisation.
        token: Option<SignedToken>,
    },
    /// A short text or JSON.
    Text {
        /// The status.
        status: u16,
        /// Further headers, `Content-Type` among them.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
}

/// A state machine; see the crate's first page for the contract.
pub trait Machine {
    /// Takes in what happened at `now`.
    fn handle(&mut self, now: Time, input: Input);

    /// The next thing to do; [`Output::Idle`] when there is nothing.
    fn poll(&mut self, now: Time) -> Output;
}
