//! A network of machines in virtual time: it jumps from event to event and is the same every time.
//!
//! It does what the driver does over sockets, with the same rules at the end of connections: what was sent before a close
//! still arrives, and closing while bytes are on their way resets the connection for the sender.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
};

use peerbed_contract::EventKind;
use peerbed_proto::{ConnId, ControlMachine, Endpoint, Input, Machine, Message, Output, PeerMachine, RequestId, Time};

use crate::{
    edge::{Edge, content_hash},
    wire::{Ask, Chunk, Item, LinkEnd, Stream, frame_size},
};

/// One second.
pub const SECOND: Time = 1_000_000_000;
/// One millisecond.
pub const MS: Time = 1_000_000;

/// What a host runs.
pub enum Program {
    Peer(Box<PeerMachine>),
    Control(Box<ControlMachine>),
    Edge(Edge),
    /// A remote that says what the test wants.
    Rogue(Rogue),
}

/// A scripted remote: it answers every message with what its function gives.
pub struct Rogue {
    pub answer: Box<dyn FnMut(&Input) -> Vec<Message>>,
    pub heard: Vec<Input>,
}

/// A host.
pub struct Host {
    pub program: Program,
    pub address: IpAddr,
    up: LinkEnd,
    down: LinkEnd,
    delay: Time,
    alive: bool,
    /// It neither sends nor receives, and nobody is told.
    silent: bool,
    timer: u64,
    next_accepted: u64,
    /// Dialled or accepted connections and their outgoing streams.
    conns: BTreeMap<ConnId, usize>,
    /// Bytes still expected of requests, and the hash of what came so far.
    expected: BTreeMap<(ConnId, RequestId), (u32, Option<[u8; 32]>)>,
    pub finished: bool,
}

impl Host {
    /// Neither killed nor silenced.
    pub fn is_alive(&self) -> bool {
        self.alive && !self.silent
    }
}

#[derive(Debug)]
enum Act {
    Timer {
        host: usize,
        generation: u64,
    },
    Connect {
        stream: usize,
    },
    Connected {
        stream: usize,
    },
    UplinkDone {
        stream: usize,
        chunk: Chunk,
    },
    Arrive {
        stream: usize,
        chunk: Chunk,
    },
    DownlinkDone {
        stream: usize,
        chunk: Chunk,
    },
    Acknowledged {
        stream: usize,
        bytes: u64,
    },
    /// The host's end of a connection is gone.
    Gone {
        stream: usize,
        clean: bool,
    },
    Do(Box<Todo>),
}

/// Something that a test wants at a moment.
#[derive(Debug)]
pub enum Todo {
    Kill(usize),
    Silence(usize),
    Revive(usize),
    Rate { host: usize, up: f64, down: f64 },
    Refuse { host: usize, status: u16, retry_after: Option<Time> },
    Serve(usize),
    Stop(usize),
    Input(usize, Input),
}

struct Due {
    at: Time,
    order: u64,
    act: Act,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The network.
#[derive(Default)]
pub struct Net {
    pub now: Time,
    pub hosts: Vec<Host>,
    /// Streams come in pairs: `2 n` from the dialling side, `2 n + 1` back.
    streams: Vec<Stream>,
    due: BinaryHeap<Reverse<Due>>,
    order: u64,
    /// Everything that machines said.
    pub events: Vec<(Time, usize, EventKind)>,
}

impl Net {
    /// Adds a host with rates in Mbit/s and a delay to the middle of the network.
    pub fn add(&mut self, program: Program, up: f64, down: f64, delay: Time) -> usize {
        let index = self.hosts.len();
        self.hosts.push(Host {
            program,
            address: address_of(index),
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

    pub fn start(&mut self) {
        for host in 0..self.hosts.len() {
            self.input(host, Input::Start);
        }
    }

    /// Plans something.
    pub fn at(&mut self, at: Time, todo: Todo) {
        self.plan(at, Act::Do(Box::new(todo)));
    }

    fn plan(&mut self, at: Time, act: Act) {
        self.order += 1;
        self.due.push(Reverse(Due { at: at.max(self.now), order: self.order, act }));
    }

    /// Lets time pass.
    pub fn run_until(&mut self, end: Time) {
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
                self.deliver(stream, chunk);
                self.downlink_next(to);
            }
            Act::Acknowledged { stream, bytes } => {
                self.streams[stream].acknowledged(bytes);
                self.offer(stream);
            }
            Act::Gone { stream, clean } => self.gone(stream, clean),
            Act::Do(todo) => self.do_it(*todo),
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
            Todo::Input(host, input) => self.input(host, input),
        }
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
    fn gone(&mut self, stream: usize, clean: bool) {
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
        if self.hosts[to].silent || self.hosts[from].silent {
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
        let address = SocketAddr::new(self.hosts[from].address, 50_000);
        self.plan(back, Act::Connected { stream });
        self.input(to, Input::Accepted { conn, from: Endpoint { address } });
    }

    /// Lets a stream join its uplink's turns.
    fn offer(&mut self, stream: usize) {
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
            self.input(from, Input::PieceSent { conn, request: *request, bytes: bytes as u32 });
            if last {
                self.input(from, Input::Writable { conn });
            }
        }
        if let (Item::Body { .. }, Program::Edge(edge)) = (&*item, &mut self.hosts[from].program) {
            *edge.sent.entry(address_of(to)).or_default() += bytes;
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

    /// A chunk reached its host.
    fn deliver(&mut self, stream: usize, chunk: Chunk) {
        let host = self.streams[stream].to;
        let Some(conn) = self.streams[stream].to_conn else { return };
        if !self.hosts[host].alive || self.hosts[host].silent {
            return;
        }
        if !self.hosts[host].conns.contains_key(&conn) {
            // Closed here: bytes that still come make the sender's end break.
            if !matches!(&*chunk.item, Item::Fin) {
                let at = self.now + self.hosts[host].delay + self.hosts[self.streams[stream].from].delay;
                self.plan(at, Act::Gone { stream, clean: false });
            }
            return;
        }
        match &*chunk.item {
            Item::Part { request, content, offset, corrupt } => {
                let hash = content_hash(content, *offset, *corrupt);
                self.content_came(host, conn, *request, chunk.bytes as u32, hash);
            }
            Item::Body { request, hash } => {
                self.content_came(host, conn, *request, chunk.bytes as u32, *hash);
            }
            _ if !chunk.last => {}
            Item::Frame(message) => {
                if let Message::Cancelled { request } = message {
                    self.hosts[host].expected.remove(&(conn, *request));
                }
                self.input(host, Input::Message { conn, message: message.clone() });
            }
            Item::Ask(ask) => self.answer_ask(host, conn, ask),
            Item::Granted(result) => {
                let result = result.clone().map(|granted| *granted);
                self.input(host, Input::Authorized { conn, result });
            }
            Item::Refusal { request, status, retry_after } => {
                let (request, status, retry_after) = (*request, Some(*status), *retry_after);
                self.hosts[host].expected.remove(&(conn, request));
                self.input(host, Input::EdgeRefused { conn, request, status, retry_after });
            }
            Item::Fin => self.gone(stream ^ 1, true),
        }
    }

    fn content_came(&mut self, host: usize, conn: ConnId, request: RequestId, bytes: u32, hash: [u8; 32]) {
        self.input(host, Input::PieceData { conn, request, bytes });
        let Some((left, first)) = self.hosts[host].expected.get_mut(&(conn, request)) else { return };
        let hash = *first.get_or_insert(hash);
        *left = left.saturating_sub(bytes);
        if *left == 0 {
            self.hosts[host].expected.remove(&(conn, request));
            self.input(host, Input::PieceEnd { conn, request, hash });
        }
    }

    fn answer_ask(&mut self, host: usize, conn: ConnId, ask: &Ask) {
        let now = self.now;
        let Program::Edge(edge) = &mut self.hosts[host].program else { return };
        if let Some((item, bytes)) = edge.answer(now, ask) {
            let stream = self.hosts[host].conns[&conn];
            self.streams[stream].push(item, bytes);
            self.offer(stream);
        }
    }

    /// Hands an input to a host's program and carries out what it wants.
    pub fn input(&mut self, host: usize, input: Input) {
        let now = self.now;
        if !self.hosts[host].alive {
            return;
        }
        match &mut self.hosts[host].program {
            Program::Peer(machine) => machine.handle(now, input),
            Program::Control(machine) => machine.handle(now, input),
            Program::Edge(_) => return,
            Program::Rogue(rogue) => {
                let answers = (rogue.answer)(&input);
                let conn = match &input {
                    Input::Accepted { conn, .. } | Input::Message { conn, .. } => Some(*conn),
                    _ => None,
                };
                rogue.heard.push(input);
                for message in answers {
                    if let Some(conn) = conn {
                        self.output(host, Output::Send { conn, message });
                    }
                }
                return;
            }
        }
        loop {
            let output = match &mut self.hosts[host].program {
                Program::Peer(machine) => machine.poll(now),
                Program::Control(machine) => machine.poll(now),
                Program::Edge(_) | Program::Rogue(_) => return,
            };
            if let Output::Idle { until } = output {
                self.hosts[host].timer += 1;
                if let Some(until) = until {
                    assert!(until > now, "host {host} wants to be woken at {until}, it is {now}");
                    let generation = self.hosts[host].timer;
                    self.plan(until, Act::Timer { host, generation });
                }
                return;
            }
            self.output(host, output);
        }
    }

    fn output(&mut self, host: usize, output: Output) {
        match output {
            Output::Dial { conn, to, .. } => {
                let peer = index_of(to.ip());
                let stream = self.streams.len();
                self.streams.push(Stream::new(host, Some(conn), peer, None));
                self.streams.push(Stream::new(peer, None, host, Some(conn)));
                self.hosts[host].conns.insert(conn, stream);
                let at = self.now + self.hosts[host].delay + self.hosts[peer].delay;
                self.plan(at, Act::Connect { stream });
            }
            Output::Send { conn, message } => {
                let size = frame_size(&message);
                self.push(host, conn, Item::Frame(message), size);
            }
            Output::SendPiece { conn, request, content, offset, bytes, corrupt } => {
                assert!(bytes > 0 && bytes <= 65_536);
                self.push(host, conn, Item::Part { request, content, offset, corrupt }, u64::from(bytes));
            }
            Output::ExpectPiece { conn, request, bytes } => {
                self.hosts[host].expected.insert((conn, request), (bytes, None));
            }
            Output::Authorize { conn, content, guid } => self.ask(host, conn, Ask::Authorize { content, guid }),
            Output::FetchPiece { conn, request, content, offset, bytes } => {
                self.hosts[host].expected.insert((conn, request), (bytes, None));
                self.ask(host, conn, Ask::Range { request, content, offset, bytes });
            }
            Output::Close { conn } => {
                if let Some(stream) = self.hosts[host].conns.remove(&conn) {
                    self.hosts[host].expected.retain(|(of, _), _| *of != conn);
                    self.streams[stream].push(Item::Fin, 1);
                    if self.streams[stream].to_conn.is_none() {
                        self.streams[stream].dead = true; // Not open yet: the dial is given up.
                    }
                    self.offer(stream);
                }
            }
            Output::Event(event) => self.events.push((self.now, host, event)),
            Output::Finished => self.hosts[host].finished = true,
            Output::Reply { .. } | Output::Idle { .. } => {}
        }
    }

    fn push(&mut self, host: usize, conn: ConnId, item: Item, bytes: u64) {
        // A connection that just ended takes nothing any more, as with sockets.
        if let Some(&stream) = self.hosts[host].conns.get(&conn) {
            self.streams[stream].push(item, bytes);
            self.offer(stream);
        }
    }

    fn ask(&mut self, host: usize, conn: ConnId, ask: Ask) {
        // Pipelined, as the driver does it: each is sent at once and answered in order.
        self.push(host, conn, Item::Ask(ask), 200);
    }
}

/// The address of a host.
pub fn address_of(host: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, (host / 250) as u8, (host % 250) as u8 + 1))
}

fn index_of(address: IpAddr) -> usize {
    let IpAddr::V4(address) = address else { panic!("only IPv4 is used here") };
    let [_, _, high, low] = address.octets();
    usize::from(high) * 250 + usize::from(low) - 1
}
