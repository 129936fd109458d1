//! Peers behind NATs: what the NATs of the network let in, and whether peers find each other through them.

use peerbed_contract::NatClass::{self, Blocked, FullCone, None as Open, PortRestricted, Symmetric};
use peerbed_proto::nat::may_connect;

use crate::{
    net::{MS, Net, SECOND},
    world::{World, object},
};

/// The ports of a host behind a translation, as they look from outside: that at which it listens, and any other.
const LISTENING: u16 = 20_000;
const OTHER: u16 = 50_000;
/// That at which a host listens that has none.
const PLAIN: u16 = 7001;

impl Net {
    /// The port from which a dial is seen to come.
    pub(crate) fn seen_port(&self, stream: usize) -> u16 {
        let stream = &self.streams[stream];
        match self.hosts[stream.from].nat {
            FullCone | PortRestricted if stream.from_listener => LISTENING,
            Open | Blocked if stream.from_listener => PLAIN,
            // One for each remote.
            Symmetric => OTHER + stream.to as u16,
            _ => OTHER,
        }
    }

    /// Whether the NAT of the host that is dialled lets the dial in.
    pub(crate) fn lets_in(&self, stream: usize) -> bool {
        let (from, to, port) = (self.streams[stream].from, self.streams[stream].to, self.streams[stream].to_port);
        match self.hosts[to].nat {
            Open => true,
            FullCone => port == LISTENING,
            PortRestricted => port == LISTENING && self.has_dialled(to, from, self.seen_port(stream)),
            Symmetric | Blocked => false,
        }
    }

    /// Whether a host dials another at this port, from the port at which it listens.
    fn has_dialled(&self, host: usize, other: usize, port: u16) -> bool {
        self.crossing.get(&(host, other)).is_some_and(|&stream| {
            let stream = &self.streams[stream];
            !stream.dead && stream.to_port == port
        })
    }

    /// Two dials between listening ports become one connection.
    pub(crate) fn meets(&mut self, stream: usize) -> bool {
        let (from, to) = (self.streams[stream].from, self.streams[stream].to);
        if !self.streams[stream].from_listener {
            return false;
        }
        let Some(&other) = self.crossing.get(&(to, from)) else { return false };
        let (Some(conn), false) = (self.streams[other].from_conn, self.streams[other].dead) else { return false };
        if !self.hosts[to].conns.contains_key(&conn) || self.streams[other].to_conn.is_some() {
            return false;
        }
        self.streams[other].dead = true;
        self.streams[other ^ 1].dead = true;
        self.streams[stream].to_conn = Some(conn);
        self.streams[stream ^ 1].from_conn = Some(conn);
        self.hosts[to].conns.insert(conn, stream ^ 1);
        let back = self.now + self.hosts[from].delay + self.hosts[to].delay;
        for end in [stream, stream ^ 1] {
            self.plan(back, crate::agenda::Act::Connected { stream: end });
        }
        true
    }
}

/// Bytes that a downloader behind `asker` gets from a peer behind `holder` that has a copy, with an edge that is slow.
fn peer_bytes(asker: NatClass, holder: NatClass, both_sides: bool) -> u64 {
    let mut world = World::new(object(4, 65_536));
    world.edges = vec![2.0];
    world.seed_peer(10.0).config.nat = holder;
    world.downloader(5.0, 50.0, SECOND, vec![]).config.nat = asker;
    for peer in &mut world.peers {
        peer.config.both_sides = both_sides;
    }
    let outcome = World::run(world.build(), 60 * SECOND);
    assert!(!outcome.any_broken(), "{asker:?} and {holder:?}");
    outcome.completed(1).peer_bytes
}

#[test]
fn exactly_those_exchange_pieces_that_may_connect() {
    for asker in NatClass::ALL {
        for holder in NatClass::ALL {
            let bytes = peer_bytes(asker, holder, true);
            assert_eq!(bytes > 1_000_000, may_connect(asker, holder), "{asker:?} asks {holder:?}: {bytes} bytes");
            assert_eq!(bytes > 0, may_connect(asker, holder), "{asker:?} asks {holder:?}: {bytes} bytes");
        }
    }
}

#[test]
fn where_askers_alone_dial_only_open_ones_are_reached() {
    for asker in NatClass::ALL {
        for holder in NatClass::ALL {
            let reached = matches!(holder, Open | FullCone);
            assert_eq!(peer_bytes(asker, holder, false) > 0, reached, "{asker:?} asks {holder:?}");
        }
    }
}

#[test]
fn two_that_ask_each_other_have_one_connection_and_both_get_pieces() {
    for (one, other) in [(PortRestricted, PortRestricted), (PortRestricted, Blocked), (Open, Blocked), (Open, Open)] {
        for (first, second) in [(one, other), (other, one)] {
            for lag in [0, 1, 10, 400, 2500] {
                let mut world = World::new(object(6, 65_536));
                world.edges = vec![6.0];
                world.downloader(20.0, 50.0, SECOND, vec![]).config.nat = first;
                world.downloader(20.0, 50.0, SECOND + lag * MS, vec![]).config.nat = second;
                let outcome = World::run(world.build(), 60 * SECOND);
                let what = format!("{first:?} and {second:?}, {lag} ms apart");
                assert!(!outcome.any_broken(), "{what}");
                for download in [0, 1] {
                    assert!(outcome.completed(download).peer_bytes > 300_000, "{what}: {:?}", outcome.record(download));
                }
            }
        }
    }
}
