//! The messages of framed connections: peer to control plane and peer to peer.
//!
//! The codec belongs to the driver. A frame is a `u32` length (big endian) and a postcard encoding of [`Message`]; the
//! bytes of a [`Message::Part`] follow its frame.

use std::net::SocketAddr;

use peerbed_contract::{ContentId, Guid, NatClass, SignedToken};
use serde::{Deserialize, Serialize};

use crate::machine::RequestId;

/// The version that both sides of a connection must speak.
pub const PROTOCOL_VERSION: u32 = 2;
/// The most secondary GUIDs that a peer tells: that of its present start and the four before it.
pub const SECONDARY_MAX: usize = 5;
/// The longest version of a program that a login may name, in bytes.
pub const PROGRAM_MAX: usize = 64;
/// The longest name of a local network that a login may tell, in bytes.
pub const LAN_MAX: usize = 63;

/// Where a peer is and who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerAddress {
    /// Its installation.
    pub guid: Guid,
    /// Where it accepts connections of peers, as it looks from outside.
    pub address: SocketAddr,
    /// What stands between it and the network.
    pub nat: NatClass,
}

/// The most entries of one usage report.
pub const USAGE_MAX: usize = 512;

/// What a peer received and sent of one content, from and to one partner, since its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageEntry {
    /// What.
    pub content: ContentId,
    /// With whom; none: with edges.
    pub partner: Option<Guid>,
    /// Content bytes received, whatever became of them.
    pub received: u64,
    /// Content bytes sent.
    pub sent: u64,
}

/// Which pieces somebody holds: one bit each, piece 0 in the lowest bit of the first byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceMap {
    /// How many pieces the object has.
    pub pieces: u32,
    /// The bits; every bit beyond `pieces` is 0.
    pub bits: Vec<u8>,
}

/// A peer as the control plane's nodes tell each other of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Who and where.
    pub peer: PeerAddress,
    /// The local network that it shares with others of its AS.
    pub lan: Option<String>,
    /// Whether it uploads.
    pub uploads: bool,
    /// Its free upload slots, as far as it told: few numbers, not exact.
    pub free: u32,
}

/// How near a peer is to one that asks; nearer is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Nearness {
    /// In the same local network.
    SameLan,
    /// In the same AS.
    SameAs,
    /// In the same region.
    SameRegion,
    /// Anywhere.
    World,
}

/// A peer that a database node offers for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// Who.
    pub peer: PeerAddress,
    /// How near it is to the asker.
    pub nearness: Nearness,
    /// When it was last returned to anybody, nanoseconds since the start of the run; 0 if never.
    pub last_returned: u64,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    // Peer to control plane.
    /// The first message of a peer: who it is and where it accepts peers.
    Login {
        /// [`PROTOCOL_VERSION`].
        version: u32,
        /// Its installation.
        guid: Guid,
        /// Where it accepts connections of peers.
        listen: SocketAddr,
        /// Whether it uploads.
        uploads: bool,
        /// The secondary GUIDs of its starts, newest first, at most [`SECONDARY_MAX`].
        secondary: Vec<Guid>,
        /// The version of its program, at most [`PROGRAM_MAX`] bytes.
        program: String,
        /// What stands between it and the network.
        nat: NatClass,
        /// The local network that it shares with others of its AS; at most [`LAN_MAX`] bytes.
        lan: Option<String>,
    },
    /// It holds a copy of this and may be asked for it.
    Register {
        /// What.
        content: ContentId,
        /// All of it, or only a part so far.
        complete: bool,
    },
    /// It no longer offers a copy of this.
    Unregister {
        /// What.
        content: ContentId,
    },
    /// It wants peers that have this.
    Query {
        /// Its number for the query.
        query: u32,
        /// The edge's permission.
        token: SignedToken,
    },
    /// What it received and sent, for accounting: totals since its start, of those entries that are new.
    Usage {
        /// At most [`USAGE_MAX`].
        entries: Vec<UsageEntry>,
        /// Nothing more will come.
        last: bool,
    },

    // Control plane to peer.
    /// The login was accepted.
    Welcome,
    /// The answer to a query; empty if nobody has a copy.
    Peers {
        /// The number of the query.
        query: u32,
        /// At most `max_returned`.
        peers: Vec<PeerAddress>,
        /// Copies registered now (complete ones, without the asker's own).
        copies: u32,
    },
    /// This peer was returned to another one, which will connect.
    Introduce {
        /// Who will connect.
        peer: PeerAddress,
        /// For what.
        content: ContentId,
    },
    /// Something was wrong with a message. With a control plane the connection stays open unless it was the login; between
    /// peers the sender closes.
    Refused {
        /// The number of the query, where it was one.
        query: Option<u32>,
        /// One sentence.
        reason: String,
        /// It was a token that has expired or was granted to another address: a new authorisation may mend it.
        renew: bool,
    },

    // Peer to peer. The dialling side speaks first.
    /// The first message of the dialling side.
    Hello {
        /// [`PROTOCOL_VERSION`].
        version: u32,
        /// Who it is.
        guid: Guid,
        /// The edge's permission, which names the content of this connection.
        token: SignedToken,
        /// Which pieces it offers; empty of bits when it does not upload.
        have: PieceMap,
    },
    /// The answer to `Hello`.
    HelloBack {
        /// Who it is.
        guid: Guid,
        /// Which pieces it offers.
        have: PieceMap,
        /// The edge's permission, when the answering side is downloading the same content too: with it, it may request
        /// pieces on this connection as the dialling side may.
        token: Option<SignedToken>,
    },
    /// No room now (or ever: `retry` is none); the sender closes.
    Busy {
        /// Ask again after so many milliseconds.
        retry_ms: Option<u32>,
    },
    /// The sender now holds this piece too, and offers it.
    Have {
        /// Its number.
        piece: u32,
    },
    /// Send this piece.
    Request {
        /// The requester's number.
        request: RequestId,
        /// Which.
        piece: u32,
    },
    /// Don't send, or stop sending, what this request asked for. Answered by [`Message::Cancelled`], unless its last byte
    /// was already sent.
    Cancel {
        /// The requester's number.
        request: RequestId,
    },
    /// The request has ended: no byte of it follows.
    Cancelled {
        /// The requester's number.
        request: RequestId,
    },
    /// So many content bytes of a request follow this frame.
    Part {
        /// The requester's number.
        request: RequestId,
        /// How many bytes, at most 65536.
        bytes: u32,
    },
    /// Nothing more will be sent on this connection in this direction; when both sides said so, it is closed.
    Bye,

    // Peer to control plane, later than the login.
    /// The user switched uploads on or off.
    Uploads {
        /// To what.
        on: bool,
    },
    /// The sender has asked an edge for this piece and will offer it when it has come: whoever can choose asks an edge for
    /// another one.
    Fetching {
        /// Its number.
        piece: u32,
    },

    // Further messages between peer and control plane.
    /// Control plane to peer: what was registered is lost; register again at a moment drawn within this time, then say
    /// [`Message::ReAdded`].
    ReAdd {
        /// Milliseconds.
        within_ms: u32,
    },
    /// Peer to control plane: everything is registered again.
    ReAdded {
        /// How many copies.
        copies: u32,
    },
    /// Peer to control plane: its free upload slots changed.
    Slots {
        /// How many, at most a few.
        free: u32,
    },

    // Connection node to database node.
    /// The first message of a connection node.
    Attach {
        /// [`PROTOCOL_VERSION`].
        version: u32,
    },
    /// A peer that is logged in here holds a copy.
    Put {
        /// Who.
        profile: Profile,
        /// Of what.
        content: ContentId,
        /// All of it, or only a part so far.
        complete: bool,
    },
    /// It no longer offers it.
    Withdraw {
        /// Who.
        guid: Guid,
        /// What.
        content: ContentId,
    },
    /// It has logged out.
    Forget {
        /// Who.
        guid: Guid,
    },
    /// Its free upload slots changed.
    Free {
        /// Who.
        guid: Guid,
        /// How many.
        free: u32,
    },
    /// Which peers have this, for one that asks?
    Lookup {
        /// The connection node's number for it.
        lookup: u32,
        /// Of what.
        content: ContentId,
        /// Who asks.
        asker: Profile,
        /// So many of the nearest.
        near: u32,
        /// So many of the rest, those that were not returned for longest.
        rest: u32,
    },
    /// These peers were returned to one that asked.
    Returned {
        /// For what.
        content: ContentId,
        /// Who asked.
        asker: PeerAddress,
        /// Who was returned.
        peers: Vec<Guid>,
    },

    // Database node to connection node.
    /// The connection node is attached; said again when the state was lost.
    Attached {
        /// Differs each time the database node began without any state.
        incarnation: u64,
    },
    /// The answer to `Lookup`.
    Found {
        /// Its number.
        lookup: u32,
        /// Some of the eligible peers.
        peers: Vec<Offered>,
        /// Copies registered here (complete ones, without the asker's own).
        copies: u32,
    },
    /// Tell a peer that is logged in there who will connect to it.
    Deliver {
        /// The peer.
        to: Guid,
        /// Who will connect.
        peer: PeerAddress,
        /// For what.
        content: ContentId,
    },

    // Peer to peer, before the greeting.
    /// The first message of a side that dialled because the other asks for its copy and could not reach it: the other may say
    /// its `Hello`.
    Reach {
        /// Who it is.
        guid: Guid,
        /// Of what it has a copy.
        content: ContentId,
    },
}
