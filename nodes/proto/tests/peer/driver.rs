//! What stands for the driver: it hands inputs to machines, carries out their outputs, and reads what arrives.

use peerbed_proto::{ConnId, Input, Machine, Message, Output, RequestId};

use crate::{
    agenda::Act,
    edge::content_hash,
    net::{Expected, Net, Program, index_of},
    wire::{Ask, Chunk, Item, Stream, frame_size},
};

impl Net {
    /// A chunk reached its host.
    pub(crate) fn deliver(&mut self, stream: usize, chunk: &Chunk) {
        let host = self.streams[stream].to;
        let Some(conn) = self.streams[stream].to_conn.filter(|_| !self.streams[stream].lost) else { return };
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
            Item::Body { request, hash, .. } => {
                self.content_came(host, conn, *request, chunk.bytes as u32, *hash);
            }
            Item::Granted(_) if !chunk.last => self.input(host, Input::AnswerData { conn }),
            _ if !chunk.last => {}
            Item::Frame(message) => {
                if let Message::Cancelled { request } = message {
                    self.hosts[host].expected.remove(&(conn, *request));
                }
                self.input(host, Input::Message { conn, message: message.clone() });
            }
            Item::Raw => {
                self.input(host, Input::Garbled { conn });
                self.gone(stream ^ 1, false);
                let at = self.now + self.hosts[host].delay + self.hosts[self.streams[stream].from].delay;
                self.plan(at, Act::Gone { stream, clean: false });
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
        let Some(expected) = self.hosts[host].expected.get_mut(&(conn, request)) else { return };
        let hash = *expected.hash.get_or_insert(hash);
        expected.left = expected.left.saturating_sub(bytes);
        if expected.left == 0 {
            self.hosts[host].expected.remove(&(conn, request));
            self.input(host, Input::PieceEnd { conn, request, hash });
        }
    }

    fn answer_ask(&mut self, host: usize, conn: ConnId, ask: &Ask) {
        let now = self.now;
        let from = self.hosts[host].conns.get(&conn).map(|stream| self.hosts[self.streams[*stream].to].address);
        let (Some(from), Program::Edge(edge)) = (from, &mut self.hosts[host].program) else { return };
        let (item, bytes) = edge.answer(now, from, ask);
        self.push(host, conn, item, bytes);
    }

    /// Hands an input to a host's program and carries out what it wants.
    pub(crate) fn input(&mut self, host: usize, input: Input) {
        let now = self.now;
        if !self.hosts[host].alive {
            return;
        }
        match &mut self.hosts[host].program {
            Program::Peer(machine) => machine.handle(now, input),
            Program::Control(machine) => machine.handle(now, input),
            Program::Edge(_) => return,
        }
        loop {
            let output = match &mut self.hosts[host].program {
                Program::Peer(machine) => machine.poll(now),
                Program::Control(machine) => machine.poll(now),
                Program::Edge(_) => return,
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
            Output::Dial { conn, to, from_listener, .. } => {
                let peer = index_of(to.ip());
                let stream = self.streams.len();
                self.streams.push(Stream::new(host, Some(conn), peer, None));
                self.streams.push(Stream::new(peer, None, host, Some(conn)));
                self.hosts[host].conns.insert(conn, stream);
                self.streams[stream].to_port = to.port();
                self.streams[stream].lost = self.hosts[peer].address != to.ip();
                if from_listener {
                    self.streams[stream].from_listener = true;
                    self.crossing.insert((host, peer), stream);
                }
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
            Output::SendRaw { conn, bytes } => self.push(host, conn, Item::Raw, bytes.len() as u64),
            Output::ExpectPiece { conn, request, bytes } => {
                self.hosts[host].expected.insert((conn, request), Expected { left: bytes, hash: None });
            }
            Output::Authorize { conn, content, guid } => self.ask(host, conn, Ask::Authorize { content, guid }),
            Output::FetchPiece { conn, request, content, offset, bytes } => {
                self.hosts[host].expected.insert((conn, request), Expected { left: bytes, hash: None });
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
            Output::Listen { at } => self.hosts[host].address = at.ip(),
            Output::Event(event) => self.events.push((self.now, host, event)),
            Output::Finished => self.hosts[host].finished = true,
            Output::Remember { .. } | Output::Reply { .. } | Output::Idle { .. } => {}
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
