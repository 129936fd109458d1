//! The connection to the control plane: login, registered copies, queries, reports; it comes back by itself.
//!
//! A peer is connected to one connection node at a time: the nearest that it reaches. When that is lost it tries the next
//! one of its list, round and round, each time after a longer wait; it stays where it was let in. Nothing waits for the
//! control plane: without it, downloads go on from the edge alone.

use std::{collections::BTreeMap, net::SocketAddr};

use peerbed_contract::{ContentId, EventKind, Guid, SignedToken, Waits};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{PeerMachine, Stage, edges::CROWD, params::MILLISECOND, rate::Backoff, standing::Standing};
use crate::{ConnId, Message, Output, PROGRAM_MAX, PROTOCOL_VERSION, Purpose, SECONDARY_MAX, Time, nat};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not connected; dialled at that moment.
    Away { until: Time },
    /// Dialled.
    Dialling { conn: ConnId, since: Time },
    /// `Login` was sent.
    LoggingIn { conn: ConnId, since: Time },
    /// Logged in.
    Up { conn: ConnId },
}

/// The connection and what must be told over it.
#[derive(Debug)]
pub(super) struct ControlLink {
    /// The connection nodes, the preferred one first.
    nodes: Vec<SocketAddr>,
    /// The one in use, or the next to be tried.
    at: usize,
    state: State,
    waits: Waits,
    backoff: Backoff,
    /// The waits after the control plane sent it away, which a login alone does not end: copies of one installation would
    /// else replace each other without end.
    sent_away: Backoff,
    /// It was told why its connection ends.
    told_off: bool,
    /// Since when it is logged in.
    up_since: Option<Time>,
    /// It was lost and this was said.
    lost: bool,
    /// What is registered, or will be at the next login: whole or in part.
    offered: BTreeMap<ContentId, bool>,
    pub(super) standing: Standing,
}

impl ControlLink {
    pub(super) fn new(nodes: Vec<SocketAddr>, waits: &Waits) -> Self {
        Self {
            nodes,
            at: 0,
            state: State::Away { until: 0 },
            waits: *waits,
            backoff: Backoff::new(waits),
            sent_away: Backoff::new(waits),
            told_off: false,
            up_since: None,
            lost: false,
            offered: BTreeMap::new(),
            standing: Standing::new(),
        }
    }

    /// Whether this is its connection.
    pub(super) fn is(&self, conn: ConnId) -> bool {
        self.conn() == Some(conn)
    }

    fn conn(&self) -> Option<ConnId> {
        match self.state {
            State::Away { .. } => None,
            State::Dialling { conn, .. } | State::LoggingIn { conn, .. } | State::Up { conn } => Some(conn),
        }
    }

    pub(super) fn up(&self) -> Option<ConnId> {
        if let State::Up { conn } = self.state { Some(conn) } else { None }
    }

    /// When it next has to do something by itself.
    pub(super) fn due(&self) -> Option<Time> {
        if self.nodes.is_empty() {
            return None;
        }
        match self.state {
            State::Away { until } => Some(until),
            State::Dialling { since, .. } => Some(since + self.waits.connect_ns),
            State::LoggingIn { since, .. } => Some(since + self.waits.greeting_ns),
            State::Up { .. } => self.standing.due(),
        }
    }
}

/// The version of the program, as logins tell it.
const PROGRAM: &str = concat!("peerbed ", env!("CARGO_PKG_VERSION"));
const _: () = assert!(PROGRAM.len() <= PROGRAM_MAX);

impl PeerMachine {
    /// Draws the secondary GUID of this start. It hangs on those of the starts before it, so that the same start of two
    /// copies of an installation is told apart by their later ones, and on the moment, so that a start from a restored copy
    /// is not that which it repeats.
    pub(super) fn draw_secondary(&mut self, now: Time) {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&now.to_le_bytes());
        if let Some(last) = self.me.secondary.first() {
            seed[16..].copy_from_slice(last.as_bytes());
        }
        let mut drawn = [0; 16];
        ChaCha8Rng::from_seed(seed).fill_bytes(&mut drawn);
        self.me.secondary.insert(0, Guid::from_bytes(drawn));
        self.me.secondary.truncate(SECONDARY_MAX);
        self.out.push_back(Output::Remember { secondary: self.me.secondary.clone() });
    }

    /// Dials when the time has come, and gives up what takes too long.
    pub(super) fn keep_control(&mut self, now: Time) {
        if self.stage != Stage::Running || self.control.up().is_some() || self.control.due().is_none_or(|due| due > now)
        {
            return;
        }
        if let Some(conn) = self.control.conn() {
            self.out.push_back(Output::Close { conn });
            return self.control_closed(now);
        }
        let Some(&to) = self.control.nodes.get(self.control.at) else { return };
        let conn = self.next_conn();
        // What is seen of it is where others reach this peer.
        let from_listener = nat::is_seen_port(self.config.nat);
        self.control.state = State::Dialling { conn, since: now };
        self.out.push_back(Output::Dial { conn, to, purpose: Purpose::Control, from_listener });
    }

    pub(super) fn control_connected(&mut self, now: Time, conn: ConnId) {
        self.control.state = State::LoggingIn { conn, since: now };
        let login = self.login();
        self.send(conn, login);
    }

    /// What this peer tells of itself.
    pub(super) fn login(&self) -> Message {
        Message::Login {
            version: PROTOCOL_VERSION,
            guid: self.me.guid,
            listen: self.me.listen,
            uploads: self.uploader.enabled(),
            secondary: self.me.secondary.clone(),
            program: PROGRAM.to_owned(),
            nat: self.config.nat,
            lan: self.config.lan.clone(),
        }
    }

    pub(super) fn control_closed(&mut self, now: Time) {
        let up_since = self.control.up_since.take();
        if up_since.is_some_and(|since| now.saturating_sub(since) >= self.control.waits.back_off_most_ns) {
            self.control.sent_away.reset();
        }
        let told_off = std::mem::take(&mut self.control.told_off) && up_since.is_some();
        let backoff = if told_off { &mut self.control.sent_away } else { &mut self.control.backoff };
        let wait = backoff.failed(&mut self.rng);
        let wait = if self.floods() { wait.min(100 * MILLISECOND) } else { wait };
        self.control.state = State::Away { until: now + wait };
        self.control.at = (self.control.at + 1) % self.control.nodes.len().max(1);
        for download in self.downloads.values_mut() {
            download.swarm.query = None;
            download.swarm.next_query = now;
        }
        if !std::mem::replace(&mut self.control.lost, true) {
            self.notice("the control plane is out of reach; downloads go on without it".to_owned());
        }
    }

    pub(super) fn control_message(&mut self, now: Time, message: Message) {
        match message {
            Message::Welcome => self.welcomed(now),
            Message::Peers { query, peers, copies } => {
                let asked =
                    |download: &&mut super::download::Download| download.swarm.query.is_some_and(|(q, _)| q == query);
                let Some(download) = self.downloads.values_mut().find(asked) else { return };
                download.swarm.query = None;
                download.edges.renewals.reset();
                let (number, returned) = (download.number, peers.len() as u32);
                if peers.len() < CROWD {
                    download.edges.spared = download.edges.spared.map(|_| now);
                }
                if download.swarm.answered.is_none() {
                    download.swarm.answered = Some((returned, copies));
                    self.event(EventKind::PeersReturned { download: number, returned, copies });
                }
                self.candidates_came(now, number, peers);
            }
            Message::Introduce { peer, content } => {
                self.introduced(now, &peer, content.clone());
                self.dial_victim(now, peer.address, peer.guid);
                self.invent(now, &content, peer.guid);
            }
            Message::ReAdd { within_ms } => self.readd_came(now, within_ms),
            Message::Refused { query: Some(query), reason, renew } => {
                let mut asked = Vec::new();
                for download in self.downloads.values_mut() {
                    if download.swarm.query.is_some_and(|(asked, _)| asked == query) {
                        download.swarm.query = None;
                        asked.push(download.number);
                    }
                }
                for number in asked.into_iter().filter(|_| renew) {
                    self.renew_grant(now, number);
                }
                self.notice(format!("the control plane refused a query: {reason}"));
            }
            Message::Refused { query: None, reason, .. } => {
                self.notice(format!("the control plane refused: {reason}"));
                self.control.told_off = true;
                if matches!(self.control.state, State::LoggingIn { .. }) {
                    self.drop_control(now);
                }
            }
            _ => {
                self.notice("the control plane sent a message that only peers send".to_owned());
                self.drop_control(now);
            }
        }
    }

    fn drop_control(&mut self, now: Time) {
        if let Some(conn) = self.control.conn() {
            self.out.push_back(Output::Close { conn });
            self.control_closed(now);
        }
    }

    fn welcomed(&mut self, now: Time) {
        let State::LoggingIn { conn, .. } = self.control.state else { return };
        self.control.state = State::Up { conn };
        self.control.up_since = Some(now);
        self.control.backoff.reset();
        self.plan_garbage(now);
        if std::mem::take(&mut self.control.lost) {
            self.notice("the control plane is back".to_owned());
        }
        self.control.standing = Standing::new();
        self.register_all(conn);
        self.accounts.tell_all(now);
        let running: Vec<u32> = self.downloads.keys().copied().collect();
        for number in running {
            self.keep_swarm(now, number);
        }
    }

    /// Registers everything that is offered; gives how many copies.
    pub(super) fn register_all(&mut self, conn: ConnId) -> u32 {
        let offered = self.control.offered.clone();
        let copies = offered.len() as u32;
        for (content, complete) in offered {
            self.send(conn, Message::Register { content, complete });
        }
        copies
    }

    /// Everything that is held and offered from the start.
    pub(super) fn offer_held(&mut self) {
        self.control.offered = self.uploader.offered().into_iter().filter(|(_, whole)| *whole).collect();
    }

    /// Says something, if the control plane is there; a login tells the rest.
    pub(super) fn tell_control(&mut self, message: Message) {
        if let Some(conn) = self.control.up() {
            self.send(conn, message);
        }
    }

    /// What is registered, or will be.
    pub(super) fn control_offered(&self) -> Vec<ContentId> {
        self.control.offered.keys().cloned().collect()
    }

    /// The machine is back: the preferred connection node is dialled first.
    pub(super) fn return_to_control(&mut self, now: Time) {
        self.control.at = 0;
        self.control.backoff.reset();
        self.control.lost = false;
        self.control.state = State::Away { until: now };
    }

    /// Other connection nodes are the nearest.
    pub(super) fn prefer_control(&mut self, nodes: Vec<SocketAddr>) {
        self.control.nodes = nodes;
        self.control.at = 0;
    }

    /// A copy may be asked for here, in whole or in part.
    pub(super) fn control_offer(&mut self, content: &ContentId, complete: bool) {
        if self.control.offered.get(content).is_some_and(|known| *known || !complete) {
            return;
        }
        self.control.offered.insert(content.clone(), complete);
        if let Some(conn) = self.control.up() {
            self.send(conn, Message::Register { content: content.clone(), complete });
        }
    }

    /// A copy is no longer offered.
    pub(super) fn control_withdraw(&mut self, content: &ContentId) {
        if self.control.offered.remove(content).is_some()
            && let Some(conn) = self.control.up()
        {
            self.send(conn, Message::Unregister { content: content.clone() });
        }
    }

    /// Asks for peers, when that was not done lately.
    pub(super) fn ask_for_peers(&mut self, now: Time, number: u32, token: &SignedToken) {
        let Some(conn) = self.control.up() else { return };
        let Some(download) = self.downloads.get_mut(&number) else { return };
        match download.swarm.query {
            Some((_, since)) if now.saturating_sub(since) >= self.control.waits.query_ns => self.drop_control(now),
            None if now >= download.swarm.next_query => {
                let query = self.next_query;
                self.next_query = self.next_query.wrapping_add(1);
                download.swarm.query = Some((query, now));
                let every = self.config.requery.every_ns;
                download.swarm.next_query = now.saturating_add(download.swarm.requery.min(every));
                download.swarm.requery = download.swarm.requery.saturating_mul(2).min(every);
                self.send(conn, Message::Query { query, token: token.clone() });
            }
            Some(_) | None => {}
        }
    }

    /// The end of the run.
    pub(super) fn leave_control(&mut self) {
        if let Some(conn) = self.control.conn() {
            self.out.push_back(Output::Close { conn });
        }
        self.control.state = State::Away { until: Time::MAX };
    }
}
