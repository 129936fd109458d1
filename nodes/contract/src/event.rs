//! What a node says to the harness: one JSON object per line on its standard output.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{AsNumber, ContentId, Guid, NatClass, NodeName, Role};

/// A line on a node's standard output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Who speaks.
    pub node: NodeName,
    /// Nanoseconds since the start of the run; 0 before it.
    pub t: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// Every socket is bound; the node waits for the start.
    Ready {
        /// What it does.
        role: Role,
        /// Where it listens.
        listen: SocketAddr,
        /// The version of its program.
        version: String,
    },
    /// The start was received.
    Started,
    /// The user asked for a download.
    DownloadStarted {
        /// Its number in the plan.
        download: u32,
        /// What.
        content: ContentId,
    },
    /// The user paused it.
    DownloadPaused {
        /// Its number in the plan.
        download: u32,
    },
    /// The user resumed it.
    DownloadResumed {
        /// Its number in the plan.
        download: u32,
    },
    /// The first answer of the control plane.
    PeersReturned {
        /// The download it was asked for.
        download: u32,
        /// How many peers.
        returned: u32,
        /// Copies registered at that moment.
        copies: u32,
    },
    /// A piece failed its hash; its bytes were thrown away and its sender dropped.
    PieceRejected {
        /// The download.
        download: u32,
        /// The piece.
        piece: u32,
        /// Who sent it.
        from: IpAddr,
    },
    /// The machine of the peer went: downloads stand still, nothing is accepted.
    Offline {
        /// Its connections ended in good order.
        clean: bool,
    },
    /// It is back.
    Online,
    /// The peer has another address from now on; its connections from the one before are lost.
    Moved {
        /// The new address.
        address: IpAddr,
        /// Its AS.
        as_number: AsNumber,
        /// The region of the AS.
        region: String,
    },
    /// A peer told the control plane that its user switched uploads on or off.
    UploadsSwitched {
        /// Who.
        guid: Guid,
        /// To what.
        on: bool,
    },
    /// A copy was removed from the cache.
    CopyEvicted {
        /// Of what.
        content: ContentId,
        /// Which limit it was beyond.
        reason: Eviction,
    },
    /// What a peer reported of its transfers of one content with one partner (control plane only): totals since its start.
    Usage(Box<UsageRecord>),
    /// A remote broke the rules. Said at the first time for each address and kind, and at the stop for all further ones.
    Offence {
        /// Its address.
        by: IpAddr,
        /// Its installation, if it said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guid: Option<Guid>,
        /// What it did.
        offence: Offence,
        /// How often since the last such line.
        count: u32,
    },
    /// A download came to its end; printed exactly once for each [`EventKind::DownloadStarted`].
    DownloadFinished(Box<DownloadRecord>),
    /// All content bytes exchanged with one remote node for one content since the last such line for the pair.
    Transfer(TransferRecord),
    /// A peer logged in at this control plane.
    Login(Box<LoginRecord>),
    /// A login has ended: the peer left, was replaced by another login, or its connection broke.
    Logout {
        /// The installation.
        guid: Guid,
        /// The address of its login.
        address: SocketAddr,
    },
    /// A registry that was lost is whole again: every peer that this connection node asked to register again has done so or
    /// has gone.
    RegistryRebuilt {
        /// The database node, or the connection node's own address.
        database: SocketAddr,
        /// How many peers did.
        peers: u32,
        /// How many copies they registered.
        copies: u64,
        /// From the moment at which the loss was noticed to the last of them, in nanoseconds.
        took_ns: u64,
    },
    /// What this node of the control plane refused as too much, over the whole run; printed at the end, once for each reason.
    Refusals {
        /// Which limit.
        limit: String,
        /// How often.
        count: u64,
    },
    /// What this edge answered; printed once, when it is told to stop.
    Requests {
        /// Requests for content that it served.
        served: u64,
        /// Requests that it refused with 503, because of its limits or an outage.
        refused: u64,
    },
    /// How many messages this node of the control plane exchanged; printed once, when it is told to stop. A message is one
    /// frame, whatever its length.
    Messages {
        /// From peers.
        from_peers: u64,
        /// To peers.
        to_peers: u64,
        /// To other nodes of the control plane.
        among: u64,
    },
    /// Something that whoever reads the results should know, for example a lost control plane.
    Notice {
        /// One sentence.
        message: String,
    },
    /// The last line: everything was said, the node exits.
    Stopped,
}

/// Why a copy was removed from the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Eviction {
    /// It had been kept for as long as copies are.
    Time,
    /// The cache was larger than it may be, and it was used longest ago.
    Size,
}

/// What a peer claims of its transfers of one content with one partner, since its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Who reports.
    pub guid: Guid,
    /// The secondary GUID of the start, if it told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Guid>,
    /// Where its connection came from at last.
    pub address: IpAddr,
    /// What.
    pub content: ContentId,
    /// With whom; none: with edges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<Guid>,
    /// Content bytes that it says it received.
    pub received: u64,
    /// Content bytes that it says it sent.
    pub sent: u64,
    /// It said that nothing more would come.
    pub last: bool,
}

/// What a remote did against the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offence {
    /// It sent a piece that failed its hash.
    Corrupt,
    /// It owed bytes and gave none, or a trickle.
    Stall,
    /// It sent bytes that are no frames, or content that nobody asked for.
    Malformed,
    /// It said something that has no place there.
    Protocol,
    /// It asked for more at once than is allowed.
    Excess,
    /// It showed a token that is forged or somebody else's.
    Token,
}

/// How a download ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TerminalStatus {
    /// Every piece was received and verified.
    Completed,
    /// The user paused and never resumed.
    Paused,
    /// The user gave up.
    Aborted,
    /// The system could not deliver.
    Failed,
    /// The run ended first.
    Unfinished,
}

/// The whole record of one download.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DownloadRecord {
    /// Its number in the plan.
    pub download: u32,
    /// The downloader's installation.
    pub guid: Guid,
    /// What.
    pub content: ContentId,
    /// Bytes of the object.
    pub size: u64,
    /// The customer whose content it is.
    pub provider: String,
    /// The downloader's AS, at the end.
    pub as_number: AsNumber,
    /// The downloader's region, at the end.
    pub region: String,
    /// When the user asked, nanoseconds since the start of the run.
    pub start_ns: u64,
    /// When the first content byte arrived.
    pub first_byte_ns: Option<u64>,
    /// When it ended.
    pub end_ns: u64,
    /// Time between start and end that it was not paused, nanoseconds.
    pub active_ns: u64,
    /// Time between start and end that its machine was away, nanoseconds; part of neither active time nor pauses.
    #[serde(default)]
    pub offline_ns: u64,
    /// How it ended.
    pub status: TerminalStatus,
    /// How often the user paused.
    pub pauses: u32,
    /// How often no byte came for two seconds or more while active.
    pub stalls: u32,
    /// Content bytes that were verified and used, from edges.
    pub edge_bytes: u64,
    /// Content bytes that were verified and used, from peers.
    pub peer_bytes: u64,
    /// Content bytes that were received and not used: duplicates, failed hashes, bytes after an abort.
    pub wasted_bytes: u64,
    /// Used bytes by source, sorted by address.
    pub sources: Vec<SourceBytes>,
    /// Copies registered at the control plane when it first answered; none if it was not asked or did not answer.
    pub copies_registered: Option<u32>,
    /// Peers in that first answer.
    pub peers_returned: Option<u32>,
    /// Pieces that failed their hash.
    pub rejected_pieces: u32,
    /// Why it failed, for [`TerminalStatus::Failed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// One login, as the control plane logs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginRecord {
    /// The installation.
    pub guid: Guid,
    /// The secondary GUIDs of its starts, newest first: that of the present start, then at most four earlier ones. One
    /// installation's logins tell of one chain; copies of an installation and restored ones tell of several.
    pub secondary: Vec<Guid>,
    /// Its IP address as it was seen, and the port that it told, or behind a cone the one that was seen.
    pub address: SocketAddr,
    /// The AS of the address by the directory.
    pub as_number: Option<AsNumber>,
    /// The region of that AS.
    pub region: Option<String>,
    /// The country of that AS, where the directory knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Whether it uploads.
    pub uploads: bool,
    /// What it says stands between it and the network.
    pub nat: NatClass,
    /// The version of its program.
    pub version: String,
}

/// What one source gave to a download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceBytes {
    /// Its address.
    pub address: IpAddr,
    /// Edge or peer.
    pub role: Role,
    /// Its GUID, for a peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guid: Option<Guid>,
    /// Verified content bytes.
    pub bytes: u64,
    /// The downloader's AS when they came, where it is not that of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<AsNumber>,
}

/// Content bytes (payload only, wasted ones included) exchanged with one remote node for one content.
///
/// Sender and receiver count the same bytes: what the sender gave to its socket is what the receiver read from its own,
/// because a connection is ended only after what was sent has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferRecord {
    /// The remote node's address.
    pub remote: IpAddr,
    /// Its own address, for a node that may have several in its life; none: the one that it was configured with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<IpAddr>,
    /// What.
    pub content: ContentId,
    /// Bytes that this node sent to it.
    pub sent: u64,
    /// Bytes that this node received from it.
    pub received: u64,
    /// The connection broke (reset, peer died), so the two counts of this line's pair may differ.
    pub broken: bool,
}
