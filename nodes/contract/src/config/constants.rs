//! What a peer is told of the constants of its behaviour: its defences, how it picks pieces, how long it waits, and when an edge
//! in its backstop mode gives way to peers. No system has published its own; each has a default here.

use serde::{Deserialize, Serialize};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;

/// All of them. What is left out has its default.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Constants {
    /// Against those who break the rules or give nothing.
    pub defences: Defences,
    /// Which piece is asked for next, and how often.
    pub pieces: Pieces,
    /// How long it waits for others.
    pub waits: Waits,
    /// When the edge gives way to peers.
    pub backstop: Backstop,
}

/// What a peer does against those who break the rules or give nothing. Times are in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Defences {
    /// How long nothing is accepted from an address that is banned, and it is not dialled; 0: nobody is banned.
    pub ban_ns: u64,
    /// Every so many lesser offences of an address ban it.
    pub offences_to_ban: u32,
    /// Who sent a damaged piece is left, banned, and not used again by the download.
    pub drop_corrupt: bool,
    /// A source that owes bytes and gave none for so long gets no further requests, and its pieces may be asked elsewhere.
    pub stuck_ns: u64,
    /// A peer that owes bytes and gave none for so long is left.
    pub dead_ns: u64,
    /// An edge that owes bytes and gave none for so long is left for another; where there is no other, it has three times as long.
    pub edge_dead_ns: u64,
    /// A peer is left as well that gave less than [`Self::slow_bytes`] of what it owes in so long.
    pub slow_ns: u64,
    /// See [`Self::slow_ns`]; 0: none is too slow.
    pub slow_bytes: u64,
    /// A peer that was left so often for that is not used again by the download.
    pub stalls: u32,
    /// A downloader that takes nothing of what is sent to it for so long is dead.
    pub upload_dead_ns: u64,
    /// So is one that has not taken a part whole by then: it would hold its slot for ever.
    pub part_dead_ns: u64,
}

impl Default for Defences {
    fn default() -> Self {
        Self {
            ban_ns: 60 * SECOND,
            offences_to_ban: 3,
            drop_corrupt: true,
            stuck_ns: 3 * SECOND,
            dead_ns: 10 * SECOND,
            edge_dead_ns: 5 * SECOND,
            slow_ns: 10 * SECOND,
            // 1 kB a second: less than an eighth of what a peer with 100 kbit/s up gives each of eight.
            slow_bytes: 10_000,
            stalls: 2,
            upload_dead_ns: 30 * SECOND,
            part_dead_ns: 60 * SECOND,
        }
    }
}

/// Which piece is asked for next, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pieces {
    /// In which order.
    pub order: PieceOrder,
    /// Requests for one piece that may be under way in the end-game; 1: there is no end-game.
    pub duplicates: u8,
    /// How long new pieces are kept back, to be told to others together; nanoseconds.
    pub news_ns: u64,
    /// So many first pieces of a download are told at once all the same.
    pub news_at_once: u32,
}

impl Default for Pieces {
    fn default() -> Self {
        Self { order: PieceOrder::Rarest, duplicates: 3, news_ns: 400 * MILLISECOND, news_at_once: 16 }
    }
}

/// The order in which pieces are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PieceOrder {
    /// Those that the fewest connected peers have come first.
    Rarest,
    /// Any.
    Random,
    /// From the beginning to the end.
    InOrder,
}

/// How long a peer waits for others, and before it tries again; nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Waits {
    /// A dialled connection that is not open by then has failed.
    pub connect_ns: u64,
    /// So has one that is open and not greeted by then; likewise a login or an authorisation that is not answered.
    pub greeting_ns: u64,
    /// A query that the control plane has not answered by then means that the connection is dead.
    pub query_ns: u64,
    /// The first wait after a failure; it doubles with every further one.
    pub back_off_ns: u64,
    /// The longest wait after a failure.
    pub back_off_most_ns: u64,
    /// When a peer that had no slot may be asked again, unless it said it itself.
    pub busy_ns: u64,
    /// A downloader that asked for nothing for so long loses its upload slot.
    pub idle_ns: u64,
    /// How long what was received and sent may stay untold.
    pub report_ns: u64,
    /// An edge that takes so much longer than a round trip to authorise is loaded: a first piece is not asked of it at once.
    pub loaded_ns: u64,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            connect_ns: 5 * SECOND,
            greeting_ns: 5 * SECOND,
            query_ns: 10 * SECOND,
            back_off_ns: 500 * MILLISECOND,
            back_off_most_ns: 30 * SECOND,
            busy_ns: 5 * SECOND,
            idle_ns: 20 * SECOND,
            report_ns: 10 * SECOND,
            loaded_ns: 250 * MILLISECOND,
        }
    }
}

/// When the edge gives way to peers in [`EdgeMode::Backstop`](crate::EdgeMode::Backstop). Shares are of 1, times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backstop {
    /// The share of the total rate that peers must give.
    pub peers_from: f64,
    /// How much of the best total the edge gives up in one step.
    pub step: f64,
    /// How far the total may fall below the best before the edge fills again. Less than a step, so that a step for which
    /// nobody stands in is noticed.
    pub tolerance: f64,
    /// How long the edge fills before it first tries to yield.
    pub fill_ns: u64,
    /// The longest that it fills, after yielding failed again and again.
    pub fill_most_ns: u64,
    /// How often an idle edge fills for [`Self::fill_ns`] to learn the best total anew.
    pub probe_ns: u64,
}

impl Default for Backstop {
    fn default() -> Self {
        Self {
            peers_from: 0.25,
            step: 0.15,
            tolerance: 0.07,
            fill_ns: 500 * MILLISECOND,
            fill_most_ns: 16 * SECOND,
            probe_ns: 10 * SECOND,
        }
    }
}
