//! The peer's bounds and the times that nobody need vary, each with the reason for its value. What an experiment may vary is in
//! its configuration (`Constants`).

use crate::Time;

/// One millisecond.
pub(super) const MILLISECOND: Time = 1_000_000;
/// One second.
pub(super) const SECOND: Time = 1_000 * MILLISECOND;

/// How long a connection that is being left may take to drain before it is broken off.
pub(super) const DRAIN_TIMEOUT: Time = 5 * SECOND;

/// How often a running download looks after its sources, and the span over which its rates are taken.
pub(super) const TICK: Time = 250 * MILLISECOND;
/// So long without a byte while active is a stall (a metric of the contract, not a policy).
pub(super) const STALL: Time = 2 * SECOND;

/// The most requests in flight to a source.
pub(super) const PIPELINE_MAX: usize = 32;
/// An edge may be asked for a second piece while it needs no longer than this for the first.
pub(super) const EDGE_AHEAD: Time = 300 * MILLISECOND;
/// What a pipeline covers beyond the round trip: scheduling delays of both hosts.
pub(super) const PIPELINE_SLACK: Time = 20 * MILLISECOND;
/// The most requests that a remote may have waiting here; more is an error of its.
pub(super) const PENDING_MAX: usize = 2 * PIPELINE_MAX;
/// Connections from peers that may be open without having said anything yet, or being turned away.
pub(super) const GREETERS_MAX: usize = 256;
/// Addresses and kinds of offences that are counted.
pub(super) const OFFENCES_MAX: usize = 1024;
/// Peers that may be being reached at the same time because they ask for a copy here.
pub(super) const REACHES_MAX: usize = 64;
/// Peers remembered per download.
pub(super) const CANDIDATES_MAX: usize = 256;
/// The control plane is asked again so soon after the first query, while more sources could be used; then after twice as
/// long each time, up to the policy's time. In a crowd that begins at one moment, the first answers have next to nobody.
pub(super) const REQUERY_FIRST: Time = SECOND;
/// How often the control plane is told of upload slots that were taken or became free, at most.
pub(super) const SLOTS_EVERY: Time = SECOND;
/// Accounts by content and partner that are kept.
pub(super) const ACCOUNTS_MAX: usize = 4_096;

/// The largest part of a piece that is ordered at once.
pub(super) const PART_MAX: u32 = 65_536;
/// The smallest part, under a low upload rate.
pub(super) const PART_MIN: u32 = 4_096;

/// The most that `Retry-After` is believed.
pub(super) const RETRY_AFTER_MAX: Time = 600 * SECOND;
/// Refusals in a row, per edge, after which a download has failed.
pub(super) const REFUSALS_PER_EDGE: u32 = 6;
/// Damaged pieces per edge after which a download has failed.
pub(super) const BAD_PIECES_PER_EDGE: u32 = 3;
/// How long an edge that sent a damaged piece is avoided, if there is another.
pub(super) const BAD_EDGE_WAIT: Time = 30 * SECOND;
/// A downloader that took nothing of what was ordered for so long makes room for those who wait.
pub(super) const SLOT_STALLED: Time = 2 * SECOND;
