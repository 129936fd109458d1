//! What an attacker's peer does that it must not, beyond what `upload` (damage, stalling, no limits) and `accounts`
//! (inflated reports) do: floods of the control plane, and bytes that are no frames.

use std::net::SocketAddr;

use peerbed_contract::{Guid, SignedToken, Token};
use rand::{Rng, RngExt};

use super::{
    PeerMachine, Stage,
    link::{Kind, Link, Phase},
    params::{MILLISECOND, SECOND},
};
use crate::{ConnId, Message, Output, Purpose, Time};

/// Messages of a flood go out so often.
const FLOOD_STEP: Time = 100 * MILLISECOND;
/// So long after each login the control plane is sent what is no frame.
const GARBAGE_AFTER: Time = 2 * SECOND;
/// Peers to which connections are made only to send them what is no frame, at the same time.
const VICTIMS_MAX: usize = 16;

/// When the next misdeed is due.
#[derive(Debug, Default)]
pub(super) struct Misdeeds {
    /// The next messages of a flood, and its end.
    flood: Option<(Time, Time)>,
    /// When the control plane is sent garbage.
    garbage: Option<Time>,
}

impl Misdeeds {
    /// When something is due.
    pub(super) fn due(&self) -> Option<Time> {
        self.flood.map(|(next, _)| next).into_iter().chain(self.garbage).min()
    }
}

impl PeerMachine {
    /// The run begins.
    pub(super) fn begin_misdeeds(&mut self, now: Time) {
        if let Some(flood) = self.config.misbehaviour.flood {
            self.misdeeds.flood = Some((now, now.saturating_add(flood.lasts_ns)));
        }
    }

    /// Whether it floods the control plane now, so that a lost connection is dialled again at once.
    pub(super) fn floods(&self) -> bool {
        self.misdeeds.flood.is_some()
    }

    /// The control plane let this peer in.
    pub(super) fn plan_garbage(&mut self, now: Time) {
        if self.config.misbehaviour.malformed {
            self.misdeeds.garbage = Some(now + GARBAGE_AFTER);
        }
    }

    /// Does what is due.
    pub(super) fn misbehave(&mut self, now: Time) {
        if self.stage != Stage::Running {
            self.misdeeds = Misdeeds::default();
            return;
        }
        if self.misdeeds.garbage.is_some_and(|at| at <= now) {
            self.misdeeds.garbage = None;
            if let Some(conn) = self.control.up() {
                self.send_garbage(conn);
            }
        }
        let (Some(flood), Some((next, end))) = (self.config.misbehaviour.flood, self.misdeeds.flood) else { return };
        if now >= end {
            self.misdeeds.flood = None;
        } else if now >= next {
            self.misdeeds.flood = Some((now + FLOOD_STEP, end));
            let messages = (u64::from(flood.per_second) * FLOOD_STEP / SECOND).max(1);
            if let Some(conn) = self.control.up() {
                (0..messages).for_each(|number| self.flood_one(conn, number));
            }
        }
    }

    fn flood_one(&mut self, conn: ConnId, number: u64) {
        let (guid, listen) = (self.me.guid, self.me.listen);
        let message = if number.is_multiple_of(2) {
            self.login()
        } else {
            let mut signature = vec![0; 64];
            self.rng.fill_bytes(&mut signature);
            let Some(object) = self.objects.keys().next() else { return };
            let (content, address) = (object.clone(), listen.ip());
            let token = Token { guid, content, address, peers_allowed: true, expires: u64::MAX, nonce: number };
            Message::Query { query: u32::MAX, token: SignedToken { token, signature } }
        };
        self.send(conn, message);
    }

    /// The control plane told of a peer that will connect: it is dialled first, to be sent what is no frame.
    pub(super) fn dial_victim(&mut self, now: Time, to: SocketAddr, guid: Guid) {
        let busy = self.links.values().filter(|link| link.kind == Kind::Dialled && link.content.is_none()).count();
        if !self.config.misbehaviour.malformed || busy >= VICTIMS_MAX || guid == self.me.guid {
            return;
        }
        let conn = self.next_conn();
        let link = Link::new(to, Kind::Dialled, Phase::Dialling, now, &self.config.constants.defences);
        self.links.insert(conn, link);
        self.out.push_back(Output::Dial { conn, to, purpose: Purpose::Peer, from_listener: false });
    }

    /// Sends bytes that break the rules of frames in one of several ways.
    pub(super) fn send_garbage(&mut self, conn: ConnId) {
        let bytes = match self.rng.random_range(0..6) {
            // A frame of nearly two gigabytes.
            0 => [&[0x7f, 0xff, 0xff, 0xff][..], &[0; 256]].concat(),
            // No message.
            1 => {
                let mut frame = vec![0; 4 + 64];
                self.rng.fill_bytes(&mut frame[4..]);
                frame[..5].copy_from_slice(&[0, 0, 0, 64, 0xff]);
                frame
            }
            // A message and more.
            2 => vec![0, 0, 0, 3, 5, 0, 0],
            // A part without bytes.
            3 => vec![0, 0, 0, 3, 16, 7, 0],
            // Content that nobody asked for.
            4 => [&[0, 0, 0, 5, 16, 7, 0x80, 0x80, 4][..], &[0xa5; 512]].concat(),
            // A long frame of which only the beginning comes.
            _ => [&[0, 3, 0, 0][..], &[0; 16 * 1024]].concat(),
        };
        self.out.push_back(Output::SendRaw { conn, bytes });
    }
}
