//! What a host's access network does with the ports of its packets, and with packets that nobody asked for.
//!
//! Each host has an address of its own, so only ports are translated. The terms are those of RFC 4787 (UDP) and RFC 5382
//! (TCP):
//!
//! | Class | Mapping | Filtering |
//! |---|---|---|
//! | full cone | endpoint-independent | endpoint-independent |
//! | port-restricted | endpoint-independent | address- and port-dependent |
//! | symmetric | address- and port-dependent | address- and port-dependent |
//! | blocked | none, ports stay | address- and port-dependent, and no TCP connection is begun from outside |
//!
//! Outside ports are drawn, never kept. What is not let in is dropped silently, as RFC 5382 (REQ-4) has it.
//! [`translate`](crate::translate) applies this to frames.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use peerbed_contract::NatClass;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::Moment;

/// A TCP connection of which both sides were heard and none closed is forgotten after so long without a packet from inside
/// (RFC 5382, REQ-5).
pub const TCP_ESTABLISHED: Duration = Duration::from_mins(124);
/// A TCP connection that is being opened or closed is forgotten after so long (RFC 5382, REQ-5).
pub const TCP_TRANSITORY: Duration = Duration::from_mins(4);
/// A UDP session is forgotten after so long without a packet from inside (RFC 4787, REQ-5, the least that it allows).
pub const UDP_SESSION: Duration = Duration::from_mins(2);
/// So many sessions of one host are remembered; beyond them nothing new goes out.
pub const SESSIONS_MAX: usize = 4096;

/// The lowest port that is drawn for the outside.
const LOWEST_PORT: u16 = 1024;

/// A transport that has ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What a packet says about its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It begins one: a SYN without ACK.
    Open,
    /// It ends one: FIN or RST.
    Close,
    /// Neither; every UDP packet.
    Nothing,
}

/// A packet as the translation sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passing {
    /// Its transport.
    pub transport: Transport,
    /// The host's port: the inside one on the way out, the outside one on the way in.
    pub port: u16,
    /// The other end.
    pub remote: SocketAddr,
    /// What it says.
    pub signal: Signal,
}

/// What a mapping is for. Mappings that depend on the endpoint have a remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    transport: Transport,
    inside: u16,
    remote: Option<SocketAddr>,
}

#[derive(Debug, Clone)]
struct Mapping {
    outside: u16,
    /// By remote.
    sessions: BTreeMap<SocketAddr, Session>,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    /// When the host last sent something.
    sent: Moment,
    /// The remote was heard since the connection was begun.
    answered: bool,
    /// One of both ended the connection.
    closing: bool,
}

impl Session {
    fn is_alive(self, transport: Transport, now: Moment) -> bool {
        let lasts = match transport {
            Transport::Udp => UDP_SESSION,
            Transport::Tcp if self.answered && !self.closing => TCP_ESTABLISHED,
            Transport::Tcp => TCP_TRANSITORY,
        };
        now < self.sent.plus(lasts)
    }
}

/// The translation in front of one host.
#[derive(Debug, Clone)]
pub struct Nat {
    class: NatClass,
    draws: ChaCha8Rng,
    mappings: BTreeMap<Key, Mapping>,
    /// Whose an outside port is.
    outside: BTreeMap<(Transport, u16), Key>,
    /// Sessions of all mappings.
    sessions: usize,
}

impl Nat {
    /// One that has seen nothing yet. The outside ports that it draws are the `stream`-th of the generator with this seed.
    pub fn new(class: NatClass, seed: u64, stream: u64) -> Self {
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        draws.set_stream(stream);
        Self { class, draws, mappings: BTreeMap::new(), outside: BTreeMap::new(), sessions: 0 }
    }

    /// The host sends a packet: the port that it leaves from; none if there is no room to remember it.
    pub fn outbound(&mut self, now: Moment, packet: Passing) -> Option<u16> {
        let Passing { transport, port, remote, signal } = packet;
        if self.class == NatClass::None {
            return Some(port);
        }
        let key = Key { transport, inside: port, remote: (self.class == NatClass::Symmetric).then_some(remote) };
        if let Some(mapping) = self.mappings.get_mut(&key)
            && let Some(session) = mapping.sessions.get_mut(&remote).filter(|session| session.is_alive(transport, now))
        {
            // A new connection may use the ports of an old one.
            let begins = signal == Signal::Open;
            session.sent = now;
            session.answered &= !begins;
            session.closing = (session.closing && !begins) || signal == Signal::Close;
            return Some(mapping.outside);
        }
        self.forget_mapping_if_dead(now, key);
        if self.sessions >= SESSIONS_MAX {
            self.forget_dead(now);
            if self.sessions >= SESSIONS_MAX {
                return None;
            }
        }
        let outside = match self.mappings.get(&key) {
            Some(mapping) => mapping.outside,
            None => self.open(key),
        };
        let session = Session { sent: now, answered: false, closing: signal == Signal::Close };
        let mapping = self.mappings.get_mut(&key).expect("it was there or has just been opened");
        if mapping.sessions.insert(remote, session).is_none() {
            self.sessions += 1;
        }
        Some(outside)
    }

    /// A packet comes for the host: the port that it goes to; none if it is not let in.
    pub fn inbound(&mut self, now: Moment, packet: Passing) -> Option<u16> {
        let Passing { transport, port, remote, signal } = packet;
        if self.class == NatClass::None {
            return Some(port);
        }
        let key = *self.outside.get(&(transport, port))?;
        let mapping = self.mappings.get_mut(&key)?;
        if let Some(session) = mapping.sessions.get_mut(&remote).filter(|session| session.is_alive(transport, now)) {
            if self.class == NatClass::Blocked && signal == Signal::Open {
                return None;
            }
            session.answered = true;
            session.closing |= signal == Signal::Close;
            return Some(key.inside);
        }
        let open_to_all = self.class == NatClass::FullCone;
        (open_to_all && mapping.sessions.values().any(|session| session.is_alive(transport, now))).then_some(key.inside)
    }

    /// How many sessions are remembered, forgotten ones that nobody looked at since included; at most [`SESSIONS_MAX`].
    pub fn sessions(&self) -> usize {
        self.sessions
    }

    /// Gives a new mapping an outside port.
    fn open(&mut self, key: Key) -> u16 {
        let outside = if self.class == NatClass::Blocked { key.inside } else { self.free_port(key.transport) };
        self.outside.insert((key.transport, outside), key);
        self.mappings.insert(key, Mapping { outside, sessions: BTreeMap::new() });
        outside
    }

    /// A drawn port, or the next behind it that is free: there are more than there can be mappings.
    fn free_port(&mut self, transport: Transport) -> u16 {
        let ports = u32::from(u16::MAX - LOWEST_PORT) + 1;
        let first = (self.draws.next_u64() % u64::from(ports)) as u32;
        let behind = (0..ports).map(|step| LOWEST_PORT + ((first + step) % ports) as u16);
        let mut free = behind.filter(|port| !self.outside.contains_key(&(transport, *port)));
        free.next().expect("fewer mappings than ports")
    }

    /// A mapping of which no session is left is given up with its port.
    fn forget_mapping_if_dead(&mut self, now: Moment, key: Key) {
        let alive = |mapping: &Mapping| mapping.sessions.values().any(|session| session.is_alive(key.transport, now));
        if self.mappings.get(&key).is_some_and(|mapping| !alive(mapping))
            && let Some(mapping) = self.mappings.remove(&key)
        {
            self.outside.remove(&(key.transport, mapping.outside));
            self.sessions -= mapping.sessions.len();
        }
    }

    fn forget_dead(&mut self, now: Moment) {
        for (key, mapping) in &mut self.mappings {
            mapping.sessions.retain(|_, session| session.is_alive(key.transport, now));
        }
        self.mappings.retain(|key, mapping| {
            let lives = !mapping.sessions.is_empty();
            if !lives {
                self.outside.remove(&(key.transport, mapping.outside));
            }
            lives
        });
        self.sessions = self.mappings.values().map(|mapping| mapping.sessions.len()).sum();
    }
}
