//! A network of machines in virtual time: it jumps from event to event and is the same every time.
//!
//! It does what the driver does over sockets, with the same rules at the end of connections: what was sent before a close
//! still arrives, and closing while bytes are on their way resets the connection for the sender.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
};

use peerbed_contract::{EventKind, NatClass, Order, Place};
use peerbed_proto::{ConnId, ControlMachine, Endpoint, Input, PeerMachine, RequestId, Time};

use crate::{
    agenda::{Act, Due, Todo},
    edge::Edge,
    wire::{Chunk, Item, LinkEnd, Stream},
};

/// One second.
pub(crate) const SECOND: Time = 1_000_000_000;
/// One millisecond.
pub(crate) const MS: Time = 1_000_000;

/// What a host runs.
pub(crate) enum Program {
    Peer(Box<PeerMachine>),
    Control(Box<ControlMachine>),
    Edge(Edge),
}

/// What is expected of one request.
pub(crate) struct Expected {
    pub(crate) left: u32,
    /// The hash of what came so far.
    pub(crate) hash: Option<[u8; 32]>,
}

/// A host.
pub(crate) struct Host {
    pub(crate) program: Program,
    pub(crate) address: IpAddr,
    pub(crate) nat: NatClass,
    up: LinkEnd,
    down: LinkEnd,
    pub(crate) delay: Time,
    pub(crate) alive: bool,
    /// It neither sends nor receives, and nobody is told.
    pub(crate) silent: bool,
    pub(crate) timer: u64,
    next_accepted: u64,
    /// Dialled or accepted connections and their outgoing streams.
    pub(crate) conns: BTreeMap<ConnId, usize>,
    /// Bytes still expected of requests, and the hash of what came so far.
    pub(crate) expected: BTreeMap<(ConnId, RequestId), Expected>,
    pub(crate) finished: bool,
}

impl Host {
    /// Neither killed nor silenced.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive && !self.silent
    }
}

/// The network.
#[derive(Default)]
pub(crate) struct Net {
    pub(crate) now: Time,
    pub(crate) hosts: Vec<Host>,
    /// Streams come in pairs: `2 n` from the dialling side, `2 n + 1` back.
    pub(crate) streams: Vec<Stream>,
    due: BinaryHeap<Reverse<Due>>,
    order: u64,
    /// Content bytes that peers handed to their connections, by host.
    pub(crate) sent: BTreeMap<usize, u64>,
    /// Dials under way from listening ports: by whom, to whom.
    pub(crate) crossing: BTreeMap<(usize, usize), usize>,
    /// What peers are told of where they are.
    pub(crate) places: BTreeMap<usize, Place>,
    /// From whom to whom something was lost in a silence; nothing repeats it here, though TCP would.
    pub(crate) lost: BTreeSet<(IpAddr, IpAddr)>,
    /// Everything that machines said.
    pub(crate) events: Vec<(Time, usize, EventKind)>,
}

impl Net {
    /// Adds a host with rates in Mbit/s and a delay to the middle of the network.
    pub(crate) fn add(&mut self, program: Program, up: f64, down: f64, delay: Time) -> usize {
        let index = self.hosts.len();
        self.hosts.push(Host {
            program,
            address: address_of(index),
            nat: NatClass::None,
            up: LinkEnd::new(up),
            down: LinkEnd::new(down),
            delay,
            alive: true,
            silent: false,
            timer: 0,
            next_accepted: 1,
            conns: BTreeMap::new(),
            expected: BTreeMap::new(),
            finished: false,
        });
        index
    }

    pub(crate) fn start(&mut self) {
        for host in 0..self.hosts.len() {
            self.input(host, Input::Start);
        }
    }

    /// Plans something.
    pub(crate) fn at(&mut self, at: Time, todo: Todo) {
        self.plan(at, Act::Do(todo));
    }

    pub(crate) fn plan(&mut self, at: Time, act: Act) {
        self.order += 1;
        self.due.push(Reverse(Due { at: at.max(self.now), order: self.order, act }));
    }

    /// Lets time pass.
    /// Orders something of a host now.
    pub(crate) fn order(&mut self, host: usize, order: Order) {
        self.input(host, Input::Order(order));
    }

    pub(crate) fn run_until(&mut self, end: Time) {
        while self.due.peek().is_some_and(|Reverse(due)| due.at <= end) {
            let Some(Reverse(due)) = self.due.pop() else { break };
            self.now = due.at;
            self.carry_out(due.act);
        }
        self.now = end;
    }

    fn carry_out(&mut self, act: Act) {
        match act {
            Act::Timer { host, generation } => {
                if self.hosts[host].timer == generation {
                    self.input(host, Input::Timer);
                }
            }
            Act::Connect { stream } => self.connect(stream),
            Act::Connected { stream } => {
                if let (false, Some(conn)) = (self.streams[stream].dead, self.streams[stream].from_conn) {
                    self.input(self.streams[stream].from, Input::Connected { conn });
                }
            }
            Act::UplinkDone { stream, chunk } => self.uplink_done(stream, chunk),
            Act::Arrive { stream, chunk } => {
                let to = self.streams[stream].to;
                if self.hosts[to].alive && !self.hosts[to].silent && !self.hosts[self.streams[stream].from].silent {
                    self.streams[stream].arrived.push_back(chunk);
                    self.hosts[to].down.join(stream);
                    self.downlink_next(to);
                } else {
                    self.lost.insert((self.hosts[self.streams[stream].from].address, self.hosts[to].address));
                }
            }
            Act::DownlinkDone { stream, chunk } => {
                let (to, from) = (self.streams[stream].to, self.streams[stream].from);
                self.hosts[to].down.busy = false;
                if !self.streams[stream].arrived.is_empty() {
                    self.hosts[to].down.join(stream);
                }
                let back = self.hosts[to].delay + self.hosts[from].delay;
                self.plan(self.now + back, Act::Acknowledged { stream, bytes: chunk.bytes });
                self.deliver(stream, &chunk);
                self.downlink_next(to);
            }
            Act::Acknowledged { stream, bytes } => {
                self.streams[stream].acknowledged(bytes);
                self.offer(stream);
            }
            Act::Gone { stream, clean } => self.gone(stream, clean),
            Act::Do(todo) => self.do_it(todo),
        }
    }

    fn do_it(&mut self, todo: Todo) {
        match todo {
            Todo::Kill(host) => {
                self.hosts[host].alive = false;
                let conns = std::mem::take(&mut self.hosts[host].conns);
                for stream in conns.into_values() {
                    self.reset(stream);
                }
            }
            Todo::Silence(host) => self.hosts[host].silent = true,
            Todo::Revive(host) => {
                self.hosts[host].silent = false;
                self.hosts[host].alive = true;
            }
            Todo::Rate { host, up, down } => {
                self.hosts[host].up.rate = up * 125_000.0;
                self.hosts[host].down.rate = down * 125_000.0;
            }
            Todo::Refuse { host, status, retry_after } => {
                if let Program::Edge(edge) = &mut self.hosts[host].program {
                    edge.refuse = Some((status, retry_after));
                }
            }
            Todo::Serve(host) => {
                if let Program::Edge(edge) = &mut self.hosts[host].program {
                    edge.refuse = None;
                }
            }
            Todo::Stop(host) => self.input(host, Input::Stop),
            Todo::Begin(host) => self.input(host, Input::Start),
            Todo::Move { host, to, as_number } => self.move_host(host, to, as_number),
            Todo::Wipe(host) => self.input(host, Input::Order(Order::Wipe)),
        }
    }

    /// Nothing that is under way to or from its old address arrives, and whoever dials that hears nothing.
    fn move_host(&mut self, host: usize, to: IpAddr, as_number: u32) {
        for stream in self.streams.iter_mut().filter(|stream| stream.from == host || stream.to == host) {
            (stream.dead, stream.lost) = (true, true);
        }
        let config = match &self.hosts[host].program {
            Program::Peer(_) => self.places[&host].clone(),
            _ => panic!("only peers move"),
        };
        let as_number = as_number.try_into().expect("not 0");
        let place = Place { address: to, as_number, ..config };
        self.input(host, Input::Order(Order::Move(Box::new(place))));
    }

    /// The sender's end of `stream` dies: the other end hears of it, nothing more travels.
    fn reset(&mut self, stream: usize) {
        let other = stream ^ 1;
        self.streams[stream].dead = true;
        self.streams[stream].queue.clear();
        let (one, two) = (self.streams[stream].from, self.streams[stream].to);
        let at = self.now + self.hosts[one].delay + self.hosts[two].delay;
        self.plan(at, Act::Gone { stream: other, clean: false });
    }

    /// The host that sends on `stream` learns that its connection is gone.
    pub(crate) fn gone(&mut self, stream: usize, clean: bool) {
        let Some(conn) = self.streams[stream].from_conn else { return };
        let host = self.streams[stream].from;
        self.streams[stream].dead = true;
        self.streams[stream].queue.clear();
        if self.hosts[host].silent {
            return;
        }
        if self.hosts[host].conns.remove(&conn).is_some() {
            self.hosts[host].expected.retain(|(of, _), _| *of != conn);
            self.input(host, Input::Closed { conn, clean });
        }
    }

    fn connect(&mut self, stream: usize) {
        let (from, to) = (self.streams[stream].from, self.streams[stream].to);
        let silent = self.hosts[to].silent || self.hosts[from].silent;
        if silent || self.streams[stream].dead || self.streams[stream].lost {
            return;
        }
        if !self.lets_in(stream) {
            // Dropped in silence; it is sent again.
            return self.plan(self.now + SECOND, Act::Connect { stream });
        }
        if self.meets(stream) {
            return;
        }
        let back = self.now + self.hosts[from].delay + self.hosts[to].delay;
        if !self.hosts[to].alive {
            return self.plan(back, Act::Gone { stream, clean: false });
        }
        let conn = ConnId(self.hosts[to].next_accepted);
        self.hosts[to].next_accepted += 2;
        self.streams[stream].to_conn = Some(conn);
        self.streams[stream ^ 1].from_conn = Some(conn);
        self.hosts[to].conns.insert(conn, stream ^ 1);
        let address = SocketAddr::new(self.hosts[from].address, self.seen_port(stream));
        self.plan(back, Act::Connected { stream });
        self.input(to, Input::Accepted { conn, from: Endpoint { address } });
    }

    /// Lets a stream join its uplink's turns.
    pub(crate) fn offer(&mut self, stream: usize) {
        if self.streams[stream].can_send() {
            let host = self.streams[stream].from;
            self.hosts[host].up.join(stream);
            self.uplink_next(host);
        }
    }

    fn uplink_next(&mut self, host: usize) {
        while !self.hosts[host].up.busy {
            let Some(stream) = self.hosts[host].up.turn.pop_front() else { return };
            if let Some(chunk) = self.streams[stream].next() {
                self.hosts[host].up.busy = true;
                let at = self.now + self.hosts[host].up.time(chunk.bytes);
                self.plan(at, Act::UplinkDone { stream, chunk });
            }
        }
    }

    fn uplink_done(&mut self, stream: usize, chunk: Chunk) {
        let (from, to) = (self.streams[stream].from, self.streams[stream].to);
        self.hosts[from].up.busy = false;
        if self.streams[stream].can_send() {
            self.hosts[from].up.join(stream);
        }
        let at = self.now + self.hosts[from].delay + self.hosts[to].delay;
        let (item, bytes, last) = (Rc::clone(&chunk.item), chunk.bytes, chunk.last);
        self.plan(at, Act::Arrive { stream, chunk });
        let conn = self.streams[stream].from_conn;
        if let (Item::Part { request, .. }, Some(conn), false) = (&*item, conn, self.streams[stream].dead) {
            *self.sent.entry(from).or_default() += bytes;
            self.input(from, Input::PieceSent { conn, request: *request, bytes: bytes as u32 });
            if last {
                self.input(from, Input::Writable { conn });
            }
        }
        let to_address = self.hosts[to].address;
        if let (Item::Body { content, .. }, Program::Edge(edge)) = (&*item, &mut self.hosts[from].program)
            && !self.streams[stream].lost
        {
            *edge.sent.entry((to_address, content.clone())).or_default() += bytes;
        }
        self.uplink_next(from);
    }

    fn downlink_next(&mut self, host: usize) {
        while !self.hosts[host].down.busy {
            let Some(stream) = self.hosts[host].down.turn.pop_front() else { return };
            if let Some(chunk) = self.streams[stream].arrived.pop_front() {
                self.hosts[host].down.busy = true;
                let at = self.now + self.hosts[host].down.time(chunk.bytes);
                self.plan(at, Act::DownlinkDone { stream, chunk });
            }
        }
    }
}

/// The address of a host.
pub(crate) fn address_of(host: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, (host / 250) as u8, (host % 250) as u8 + 1))
}

pub(crate) fn index_of(address: IpAddr) -> usize {
    let IpAddr::V4(address) = address else { panic!("only IPv4 is used here") };
    let [_, _, high, low] = address.octets();
    usize::from(high) * 250 + usize::from(low) - 1
}
