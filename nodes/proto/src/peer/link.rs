//! One connection to an edge or another peer: its phase, what is asked of it, what it asks for, and its bytes.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use fixedbitset::FixedBitSet;
use peerbed_contract::{ContentId, Defences, Guid};

use super::{
    params::{EDGE_AHEAD, PENDING_MAX, PIPELINE_MAX, PIPELINE_SLACK},
    rate::{Bucket, Meter, time_for},
};
use crate::{RequestId, Time};

/// Who is at the far end and who began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An edge, by its place in the configuration.
    Edge(usize),
    /// A peer that this one dialled for a download.
    Dialled,
    /// A peer that connected here, or was dialled so that it can ask.
    Accepted,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Dialled, not open yet.
    Dialling,
    /// Open, but the far end has not introduced itself (peers), or has not authorised the download (edges).
    Greeting,
    /// In use.
    Open,
    /// Being left: nothing new begins on it.
    Leaving,
}

/// One request that this peer has out.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) piece: u32,
    pub(super) bytes: u32,
    pub(super) received: u32,
    /// It counts as under way on the board; not so after it was cancelled or its source given up.
    pub(super) counted: bool,
}

impl Wanted {
    /// Bytes of it that have not come.
    pub(super) fn owed(&self) -> u32 {
        self.bytes.saturating_sub(self.received)
    }
}

/// What became of bytes that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Took {
    /// They were asked for.
    Asked,
    /// They are more than the request asked for.
    TooMuch,
    /// No such request is out.
    Unasked,
}

/// What this peer asks of the far end.
#[derive(Debug, Default)]
pub(super) struct Pull {
    /// What the far end offers; none: everything (an edge).
    pub(super) offers: Option<FixedBitSet>,
    pub(super) wanted: BTreeMap<RequestId, Wanted>,
    /// What the far end is fetching from an edge, as far as it said so.
    pub(super) fetching: FixedBitSet,
    /// It offered no open piece when the board had this many pieces reopened, and nothing new since.
    pub(super) fruitless: Option<u64>,
    next: u32,
    /// Bytes that it still owes.
    owed: u64,
    pub(super) meter: Meter,
    /// The shortest round trip seen.
    pub(super) rtt: Option<Time>,
    /// When the far end last gave a byte, or began to owe some.
    pub(super) heard: Time,
    /// Since when its progress is looked at, and the bytes that it has given since.
    progress: (Time, u64),
    /// More is asked for at once than the far end allows (an attacker's).
    pub(super) greedy: bool,
    /// When it is silent or slow for too long.
    defences: Defences,
    /// It refused a request: nothing is asked before this moment.
    pub(super) rest_until: Time,
    pub(super) refusals: u32,
}

impl Pull {
    /// Numbers a new request.
    pub(super) fn ask(&mut self, now: Time, piece: u32, bytes: u32) -> RequestId {
        if self.wanted.is_empty() {
            self.heard = now;
            self.progress = (now, 0);
            self.meter.begin(now);
        }
        let request = RequestId(self.next);
        self.next = self.next.wrapping_add(1);
        self.wanted.insert(request, Wanted { piece, bytes, received: 0, counted: true });
        self.owed += u64::from(bytes);
        request
    }

    /// Whether anything was ever asked for.
    pub(super) fn asked_any(&self) -> bool {
        self.next > 0
    }

    /// Ends a request.
    pub(super) fn end(&mut self, now: Time, request: RequestId) -> Option<Wanted> {
        let wanted = self.wanted.remove(&request)?;
        self.owed -= u64::from(wanted.owed());
        if self.wanted.is_empty() {
            self.meter.end(now);
        }
        Some(wanted)
    }

    /// Whether the far end offers the piece.
    pub(super) fn offers(&self, piece: u32) -> bool {
        self.offers.as_ref().is_none_or(|offers| offers.contains(piece as usize))
    }

    /// Whether the piece is already asked for here.
    pub(super) fn asks_for(&self, piece: u32) -> bool {
        self.wanted.values().any(|wanted| wanted.piece == piece)
    }

    /// Bytes of a request came; whether they are no more than were asked for.
    pub(super) fn took(&mut self, request: RequestId, bytes: u32) -> Took {
        let Some(wanted) = self.wanted.get_mut(&request) else { return Took::Unasked };
        let before = wanted.owed();
        wanted.received = wanted.received.saturating_add(bytes);
        self.owed -= u64::from(before - wanted.owed());
        if wanted.received > wanted.bytes { Took::TooMuch } else { Took::Asked }
    }

    /// It owes bytes and has been silent for too long to be given more.
    pub(super) fn is_stuck(&self, now: Time) -> bool {
        !self.wanted.is_empty() && now.saturating_sub(self.heard) >= self.defences.stuck_ns
    }

    /// Bytes came.
    pub(super) fn gave(&mut self, now: Time, bytes: u32) {
        self.meter.add(now, bytes);
        self.heard = now;
        self.progress.1 += u64::from(bytes);
    }

    /// When it is to be asked whether it crawls.
    pub(super) fn looked_at_by(&self) -> Option<Time> {
        (!self.wanted.is_empty()).then(|| self.progress.0.saturating_add(self.defences.slow_ns))
    }

    /// It owes bytes and gives next to nothing, however often; to be asked about regularly.
    pub(super) fn crawls(&mut self, now: Time) -> bool {
        let (since, given) = self.progress;
        if self.wanted.is_empty() || now.saturating_sub(since) < self.defences.slow_ns {
            return false;
        }
        self.progress = (now, 0);
        given < self.defences.slow_bytes.min(self.owed)
    }

    /// Whether it may be asked for one piece more: it owes nothing, or no more than arrives in two round trips and a
    /// little. So a pipe never runs dry, and what is asked for is chosen as late as that allows.
    ///
    /// An edge may owe two pieces while it is fast, or nothing is known of it: it is the one to begin with. A peer that has
    /// shown nothing yet gets one piece to show it.
    pub(super) fn has_room(&self, now: Time) -> bool {
        if self.greedy {
            return self.wanted.len() < 2 * PENDING_MAX;
        }
        if self.wanted.is_empty() {
            return true;
        }
        let rate = self.meter.rate(now);
        if self.offers.is_none() && self.wanted.len() < 2 {
            return rate.is_none_or(|rate| time_for(self.owed, rate) <= EDGE_AHEAD);
        }
        let Some(rate) = rate.filter(|_| self.wanted.len() < PIPELINE_MAX) else { return false };
        let cover = 2 * self.rtt.unwrap_or(0) + PIPELINE_SLACK;
        self.owed as f64 <= rate * cover as f64 / 1e9
    }

    /// When a piece of `bytes` asked for now would have come, from now; none while the rate is not known.
    pub(super) fn time_for_next(&self, now: Time, bytes: u32) -> Option<Time> {
        let rate = self.meter.rate(now)?;
        let wait = if self.wanted.is_empty() { self.rtt.unwrap_or(0) } else { 0 };
        Some(wait + time_for(self.owed + u64::from(bytes), rate))
    }

    /// A round trip was seen.
    pub(super) fn saw_rtt(&mut self, rtt: Time) {
        self.rtt = Some(self.rtt.map_or(rtt, |best| best.min(rtt)));
    }
}

/// A piece that the far end asked for.
#[derive(Debug, Clone)]
pub(super) struct Queued {
    pub(super) request: RequestId,
    pub(super) piece: u32,
    /// Bytes of it already ordered.
    pub(super) ordered: u32,
    /// When it was asked for.
    pub(super) since: Time,
}

/// What the far end asks of this peer.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "five independent facts, not one state")]
pub(super) struct Push {
    /// It may request: its token was good.
    pub(super) permitted: bool,
    /// A request of its was taken on, at any time.
    pub(super) asked: bool,
    /// It has an upload slot.
    pub(super) granted: bool,
    /// This peer told it which pieces it offers and announces new ones.
    pub(super) announced: bool,
    pub(super) queue: VecDeque<Queued>,
    /// A part is ordered and the connection has no room yet.
    pub(super) busy: bool,
    /// When that part was ordered.
    pub(super) ordered: Time,
    /// Bytes ordered and not yet handed to the connection.
    pub(super) unsent: u64,
    /// Its own rate, where connections have one.
    pub(super) bucket: Option<Bucket>,
    /// When it last asked for or was sent something.
    pub(super) used: Time,
}

/// Content bytes of a connection, for the accounting.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) received: u64,
}

/// A connection.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts, not one state")]
pub(super) struct Link {
    pub(super) remote: SocketAddr,
    pub(super) kind: Kind,
    pub(super) phase: Phase,
    /// When the phase began.
    pub(super) since: Time,
    pub(super) content: Option<ContentId>,
    pub(super) guid: Option<Guid>,
    /// The download that its bytes count for.
    pub(super) download: Option<u32>,
    /// It was dialled from the listening port, to which the far end may have dialled at the same time.
    pub(super) crossing: bool,
    /// The download wants more from it.
    pub(super) source: bool,
    pub(super) pull: Pull,
    pub(super) push: Push,
    pub(super) said_bye: bool,
    pub(super) heard_bye: bool,
    pub(super) tally: Tally,
}

impl Link {
    pub(super) fn new(remote: SocketAddr, kind: Kind, phase: Phase, now: Time, defences: &Defences) -> Self {
        Self {
            remote,
            kind,
            phase,
            since: now,
            content: None,
            guid: None,
            download: None,
            crossing: false,
            source: false,
            pull: Pull { defences: *defences, ..Pull::default() },
            push: Push::default(),
            said_bye: false,
            heard_bye: false,
            tally: Tally::default(),
        }
    }

    /// Whether an edge is at the far end.
    pub(super) fn is_edge(&self) -> bool {
        matches!(self.kind, Kind::Edge(_))
    }

    /// Goes on to a phase.
    pub(super) fn enter(&mut self, phase: Phase, now: Time) {
        self.phase = phase;
        self.since = now;
    }

    /// Whether requests may go out on it.
    pub(super) fn may_ask(&self, now: Time) -> bool {
        self.source
            && self.phase == Phase::Open
            && !self.heard_bye
            && self.pull.rest_until <= now
            && !self.pull.is_stuck(now)
    }
}
