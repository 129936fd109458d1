//! One machine handled by hand, with the rules that its driver relies on checked at every output.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use peerbed_contract::EventKind;
use peerbed_proto::{ConnId, Endpoint, Input, Machine, Message, Output, PeerMachine, Purpose, RequestId, Time};

use crate::net::address_of;

/// A request that the machine has out.
pub(crate) struct Asked {
    pub(crate) conn: ConnId,
    pub(crate) request: RequestId,
    pub(crate) bytes: u32,
    /// Where the piece begins in the object; of an edge's only.
    pub(crate) offset: Option<u64>,
}

/// A machine and what it has said.
pub(crate) struct Bench {
    machine: PeerMachine,
    pub(crate) now: Time,
    until: Option<Time>,
    pub(crate) open: Vec<ConnId>,
    /// Every dial and where to.
    pub(crate) dialled: Vec<(ConnId, SocketAddr)>,
    edges: BTreeSet<ConnId>,
    pub(crate) asked: Vec<Asked>,
    /// Connections with a part that has no room yet.
    pub(crate) parts: BTreeSet<ConnId>,
    /// Messages and parts by connection, in order.
    pub(crate) said: BTreeMap<ConnId, Vec<Output>>,
    accepted: u64,
    started: u32,
    ended: u32,
    pub(crate) finished: bool,
}

impl Bench {
    /// The machine, started.
    pub(crate) fn new(machine: PeerMachine) -> Self {
        let mut bench = Self {
            machine,
            now: 0,
            until: None,
            open: Vec::new(),
            dialled: Vec::new(),
            edges: BTreeSet::new(),
            asked: Vec::new(),
            parts: BTreeSet::new(),
            said: BTreeMap::new(),
            accepted: 1,
            started: 0,
            ended: 0,
            finished: false,
        };
        bench.feed(Input::Start);
        bench
    }

    /// A remote connects.
    pub(crate) fn accept(&mut self) -> ConnId {
        let conn = ConnId(self.accepted);
        self.accepted += 2;
        self.open.push(conn);
        let address = SocketAddr::new(address_of(20), 4000);
        self.feed(Input::Accepted { conn, from: Endpoint { address } });
        conn
    }

    /// Hands in a message and gives what the machine says on that connection in answer.
    pub(crate) fn tell(&mut self, conn: ConnId, message: Message) -> Vec<Output> {
        self.said.remove(&conn);
        self.feed(Input::Message { conn, message });
        self.said.remove(&conn).unwrap_or_default()
    }

    /// Hands in an input and carries out what follows.
    pub(crate) fn feed(&mut self, input: Input) {
        self.machine.handle(self.now, input);
        for step in 0.. {
            assert!(step < 10_000, "the machine never comes to rest");
            match self.machine.poll(self.now) {
                Output::Idle { until } => {
                    assert!(until.is_none_or(|until| until > self.now));
                    self.until = until;
                    return;
                }
                output => self.carry_out(output),
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        assert!(!self.finished, "nothing follows the end: {output:?}");
        match &output {
            Output::Dial { conn, purpose, to, .. } => {
                assert_eq!(conn.0 % 2, 0);
                self.dialled.push((*conn, *to));
                self.open.push(*conn);
                if *purpose == Purpose::Edge {
                    self.edges.insert(*conn);
                }
            }
            Output::Close { conn } => {
                self.open.retain(|open| open != conn);
                self.said.entry(*conn).or_default().push(output);
            }
            Output::Send { conn, .. } => {
                assert!(self.open.contains(conn), "sends on a closed connection");
                self.said.entry(*conn).or_default().push(output);
            }
            Output::SendPiece { conn, bytes, .. } => {
                assert!(self.open.contains(conn) && (1..=65_536).contains(bytes));
                assert!(self.parts.insert(*conn), "a part is outstanding already");
                self.said.entry(*conn).or_default().push(output);
            }
            &Output::ExpectPiece { conn, request, bytes } => {
                self.asked.push(Asked { conn, request, bytes, offset: None });
            }
            &Output::FetchPiece { conn, request, bytes, offset, .. } => {
                assert!(self.edges.contains(&conn));
                self.asked.push(Asked { conn, request, bytes, offset: Some(offset) });
            }
            Output::Event(EventKind::DownloadStarted { .. }) => self.started += 1,
            Output::Event(EventKind::DownloadFinished(_)) => self.ended += 1,
            Output::Finished => {
                assert_eq!(self.started, self.ended);
                assert!(self.open.is_empty(), "connections are left open at the end");
                self.finished = true;
            }
            _ => {}
        }
    }

    /// The connection has room for the next part.
    pub(crate) fn writable(&mut self, conn: ConnId) {
        self.parts.remove(&conn);
        self.feed(Input::Writable { conn });
    }

    /// Lets time pass, with a timer whenever the machine asked for one.
    pub(crate) fn wait(&mut self, end: Time) {
        while let Some(until) = self.until.filter(|until| *until <= end) {
            self.now = until;
            self.feed(Input::Timer);
        }
        self.now = end;
    }
}
