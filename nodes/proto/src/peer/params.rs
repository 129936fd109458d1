//! The peer's constants: times, bounds and the parameters of its policies, each with the reason for its value.

use crate::Time;

/// One millisecond.
pub(super) const MILLISECOND: Time = 1_000_000;
/// One second.
pub(super) const SECOND: Time = 1_000 * MILLISECOND;

/// A dialled connection that is not open by then has failed.
pub(super) const CONNECT_TIMEOUT: Time = 5 * SECOND;
/// A connection that is open but has not been greeted (or a login, or an authorisation, not answered) by then has failed.
pub(super) const GREETING_TIMEOUT: Time = 5 * SECOND;
/// A query that the control plane has not answered by then means that the connection is dead.
pub(super) const QUERY_TIMEOUT: Time = 10 * SECOND;
/// How long a connection that is being left may take to drain before it is broken off.
pub(super) const DRAIN_TIMEOUT: Time = 5 * SECOND;

/// How long new pieces are kept back, to be told together.
pub(super) const HAVE_EVERY: Time = 400 * MILLISECOND;
/// So many first pieces of a content are told at once.
pub(super) const HAVE_AT_ONCE: u64 = 16;
/// How often a running download looks after its sources, and the span over which its rates are taken.
pub(super) const TICK: Time = 250 * MILLISECOND;
/// So long without a byte while active is a stall (a metric of the contract, not a policy).
pub(super) const STALL: Time = 2 * SECOND;
/// A source that owes bytes and gave none for so long gets no further requests, and its pieces may be asked elsewhere.
pub(super) const SOURCE_STUCK: Time = 3 * SECOND;
/// A peer that owes bytes and gave none for so long is left.
pub(super) const PEER_DEAD: Time = 10 * SECOND;
/// An edge that owes bytes and gave none for so long is left for the next.
pub(super) const EDGE_DEAD: Time = 5 * SECOND;

/// The most requests in flight to a source.
pub(super) const PIPELINE_MAX: usize = 32;
/// An edge may be asked for a second piece while it needs no longer than this for the first.
pub(super) const EDGE_AHEAD: Time = 300 * MILLISECOND;
/// What a pipeline covers beyond the round trip: scheduling delays of both hosts.
pub(super) const PIPELINE_SLACK: Time = 20 * MILLISECOND;
/// The most requests that a remote may have waiting here; more is an error of its.
pub(super) const PENDING_MAX: usize = 2 * PIPELINE_MAX;
/// Copies of one piece that may be under way at the same time in the end-game.
pub(super) const DUPLICATES_MAX: u8 = 3;
/// Connections from peers that may be open without having said anything yet, or being turned away.
pub(super) const GREETERS_MAX: usize = 256;
/// How long nothing is accepted from the address of who damages content or sends what is no frame.
pub(super) const BAN: Time = 60 * SECOND;
/// Every so many lesser offences of an address ban it as well.
pub(super) const OFFENCES_TO_BAN: u32 = 3;
/// Addresses and kinds of offences that are counted.
pub(super) const OFFENCES_MAX: usize = 1024;
/// A peer that has given less than [`CRAWL_BYTES`] of what it owes for so long crawls, and is left.
pub(super) const CRAWL_TIME: Time = 10 * SECOND;
/// 1 kB a second: less than an eighth of what a peer with 100 kbit/s up gives each of eight.
pub(super) const CRAWL_BYTES: u64 = 10_000;
/// A candidate that stalled or crawled so often is not used again by the download.
pub(super) const STALLS_MAX: u32 = 2;
/// A part that a downloader has not taken whole by then is not waited for: it would hold its slot for ever.
pub(super) const PART_DEAD: Time = 60 * SECOND;
/// Peers that may be being reached at the same time because they ask for a copy here.
pub(super) const REACHES_MAX: usize = 64;
/// Peers remembered per download.
pub(super) const CANDIDATES_MAX: usize = 256;
/// The control plane is asked again so soon after the first query, while more sources could be used; then after twice as
/// long each time, up to the policy's time. In a crowd that begins at one moment, the first answers have next to nobody.
pub(super) const REQUERY_FIRST: Time = SECOND;
/// How often the control plane is told of upload slots that were taken or became free, at most.
pub(super) const SLOTS_EVERY: Time = SECOND;
/// A downloader that asked for nothing for so long loses its upload slot.
pub(super) const UPLOAD_IDLE: Time = 20 * SECOND;
/// When a peer that had no slot may be asked again.
pub(super) const BUSY_RETRY: Time = 5 * SECOND;
/// How long what was received and sent may stay untold: a peer that is killed has reported all but this.
pub(super) const REPORT_EVERY: Time = 10 * SECOND;
/// Accounts by content and partner that are kept.
pub(super) const ACCOUNTS_MAX: usize = 4_096;

/// The largest part of a piece that is ordered at once.
pub(super) const PART_MAX: u32 = 65_536;
/// The smallest part, under a low upload rate.
pub(super) const PART_MIN: u32 = 4_096;

/// The first wait after a failure; it doubles with every further one.
pub(super) const BACKOFF_FIRST: Time = 500 * MILLISECOND;
/// The longest wait after a failure.
pub(super) const BACKOFF_LAST: Time = 30 * SECOND;
/// The most that `Retry-After` is believed.
pub(super) const RETRY_AFTER_MAX: Time = 600 * SECOND;
/// Refusals in a row, per edge, after which a download has failed.
pub(super) const REFUSALS_PER_EDGE: u32 = 6;
/// Damaged pieces per edge after which a download has failed.
pub(super) const BAD_PIECES_PER_EDGE: u32 = 3;
/// How long an edge that sent a damaged piece is avoided, if there is another.
pub(super) const BAD_EDGE_WAIT: Time = 30 * SECOND;
/// A downloader that takes nothing of what is being sent to it for so long is dead.
pub(super) const UPLOAD_DEAD: Time = 30 * SECOND;
/// A downloader that took nothing of what was ordered for so long makes room for those who wait.
pub(super) const SLOT_STALLED: Time = 2 * SECOND;
