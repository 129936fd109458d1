//! A connection node's connections to the database nodes: dialled, attached, lost, dialled again after longer waits.

use std::{collections::BTreeSet, net::SocketAddr};

use peerbed_contract::{DatabaseAddress, Guid};
use rand_chacha::ChaCha8Rng;

use crate::{ConnId, Message, Output, PROTOCOL_VERSION, Purpose, Time, peer::rate::Backoff};

/// A dialled connection that is not attached by then has failed.
const ATTACH_TIMEOUT: Time = 5_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Away { until: Time },
    Dialling { conn: ConnId, since: Time },
    Up { conn: ConnId },
}

/// Peers that register again after a loss.
#[derive(Debug)]
pub(super) struct Recovery {
    /// When the loss was noticed; none at the first attachment, which is no loss.
    pub(super) since: Option<Time>,
    /// Who was asked and has not done so.
    pub(super) waiting: BTreeSet<Guid>,
    pub(super) peers: u32,
    pub(super) copies: u64,
}

/// One database node, as a connection node sees it.
#[derive(Debug)]
pub(super) struct Uplink {
    pub(super) address: SocketAddr,
    pub(super) regions: Vec<String>,
    state: State,
    backoff: Backoff,
    incarnation: Option<u64>,
    /// When the connection was lost that had been up.
    lost: Option<Time>,
    pub(super) recovery: Option<Recovery>,
}

/// What an attachment means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attachment {
    /// Nothing was attached before.
    First,
    /// What was registered there is lost, as was noticed at that moment.
    Lost { since: Time },
    /// Nothing changed.
    Known,
}

impl Uplink {
    pub(super) fn new(known: DatabaseAddress) -> Self {
        Self {
            address: known.address,
            regions: known.regions,
            state: State::Away { until: 0 },
            backoff: Backoff::default(),
            incarnation: None,
            lost: None,
            recovery: None,
        }
    }

    /// Whether this is its connection.
    pub(super) fn is(&self, conn: ConnId) -> bool {
        matches!(self.state, State::Dialling { conn: own, .. } | State::Up { conn: own } if own == conn)
    }

    /// The connection, when it is attached.
    pub(super) fn up(&self) -> Option<ConnId> {
        if let State::Up { conn } = self.state { Some(conn) } else { None }
    }

    /// The connection in any state.
    pub(super) fn conn(&self) -> Option<ConnId> {
        match self.state {
            State::Away { .. } => None,
            State::Dialling { conn, .. } | State::Up { conn } => Some(conn),
        }
    }

    /// When it has something to do by itself.
    pub(super) fn due(&self) -> Option<Time> {
        match self.state {
            State::Away { until } => Some(until),
            State::Dialling { since, .. } => Some(since + ATTACH_TIMEOUT),
            State::Up { .. } => None,
        }
    }

    /// Dials, or gives up what took too long; whether the number `conn` was used.
    pub(super) fn keep(
        &mut self,
        now: Time,
        next: ConnId,
        rng: &mut ChaCha8Rng,
        out: &mut impl Extend<Output>,
    ) -> bool {
        if self.due().is_none_or(|due| due > now) {
            return false;
        }
        if let State::Dialling { conn, .. } = self.state {
            out.extend([Output::Close { conn }]);
            self.closed(now, rng);
            return false;
        }
        self.state = State::Dialling { conn: next, since: now };
        out.extend([Output::Dial { conn: next, to: self.address, purpose: Purpose::Control, from_listener: false }]);
        true
    }

    /// The dialled connection is open.
    pub(super) fn connected(&self, out: &mut impl Extend<Output>) {
        if let State::Dialling { conn, .. } = self.state {
            out.extend([Output::Send { conn, message: Message::Attach { version: PROTOCOL_VERSION } }]);
        }
    }

    /// The connection is gone.
    pub(super) fn closed(&mut self, now: Time, rng: &mut ChaCha8Rng) {
        if self.up().is_some() {
            self.lost.get_or_insert(now);
        }
        self.state = State::Away { until: now + self.backoff.failed(rng) };
        self.recovery = None;
    }

    /// The database node said that this node is attached.
    pub(super) fn attached(&mut self, now: Time, incarnation: u64) -> Attachment {
        let before = self.incarnation.replace(incarnation);
        let was_up = self.up().is_some();
        if let State::Dialling { conn, .. } = self.state {
            self.state = State::Up { conn };
        }
        self.backoff.reset();
        let lost = self.lost.take();
        match before {
            None => Attachment::First,
            Some(before) if was_up && before == incarnation => Attachment::Known,
            // What had come over a connection went with it, whatever else was kept.
            Some(_) => Attachment::Lost { since: lost.unwrap_or(now) },
        }
    }
}
