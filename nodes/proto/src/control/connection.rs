//! A connection node: its connections, to peers and to database nodes, and what comes over them.
//!
//! What it knows of a peer ends with the peer's connection. It keeps no copies in mind: they go to the database node that is
//! responsible for the peer's region, or, where there is none at all, into a registry of its own.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use peerbed_contract::{
    ContentId, ControlConfig, ControlPolicy, DatabaseAddress, EventKind, Guid, NodeConfig, NodePolicy, Offence, Order,
    ReAddPolicy, Selection, SignedToken,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{
    limits::Gate,
    peers::Presented,
    query::Pending,
    registry::{Directory, Registry},
    uplink::{Attachment, Recovery, Uplink},
    usage::Usage,
};
use crate::{
    ConnId, Endpoint, Input, Machine, Message, Output, PeerAddress, Profile, Time, USAGE_MAX, bans::Bans, token,
};

/// The owner of all copies in a connection node's own registry.
pub(super) const OWN: ConnId = ConnId(0);

/// The state machine of a connection node.
#[derive(Debug)]
pub(super) struct ConnectionNode {
    pub(super) verify_key: [u8; 32],
    pub(super) selection: Selection,
    pub(super) readd: ReAddPolicy,
    pub(super) directory: Directory,
    /// Where it listens.
    pub(super) me: SocketAddr,
    pub(super) gate: Gate,
    /// Its own copies; unused when there are database nodes.
    pub(super) registry: Registry,
    pub(super) recovery: Option<Recovery>,
    pub(super) uplinks: Vec<Uplink>,
    pub(super) sessions: BTreeMap<ConnId, Session>,
    pub(super) by_guid: BTreeMap<Guid, ConnId>,
    pub(super) pending: BTreeMap<u32, Pending>,
    pub(super) next_lookup: u32,
    pub(super) usage: Usage,
    /// Addresses that sent what is no frame.
    bans: Bans,
    pub(super) next_conn: u64,
    pub(super) rng: ChaCha8Rng,
    pub(super) outputs: VecDeque<Output>,
    pub(super) started: Option<Time>,
    pub(super) stopping: bool,
}

/// A connection and who logged in on it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) from: Endpoint,
    pub(super) login: Option<Login>,
    /// The secondary GUID of its start.
    pub(super) start: Option<Guid>,
    refusals: u32,
    /// Queries that are not answered yet.
    pub(super) queries: u32,
}

/// A peer that is logged in.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) profile: Profile,
    /// The database node that is responsible for it, by its place in the list.
    pub(super) home: usize,
    /// It registered something while that node was out of reach.
    pub(super) unplaced: bool,
}

impl ConnectionNode {
    pub(super) fn new(node: &NodeConfig, config: &ControlConfig, databases: &[DatabaseAddress]) -> Self {
        Self {
            verify_key: config.verify_key,
            selection: config.selection.clone(),
            readd: config.readd,
            directory: Directory::new(config.directory.clone()),
            me: SocketAddr::new(node.address, config.port),
            gate: Gate::new(config.limits),
            registry: Registry::default(),
            recovery: None,
            uplinks: databases.iter().cloned().map(Uplink::new).collect(),
            sessions: BTreeMap::new(),
            by_guid: BTreeMap::new(),
            pending: BTreeMap::new(),
            next_lookup: 0,
            usage: Usage::new(config.limits.usage_reports as usize),
            bans: Bans::default(),
            next_conn: 0,
            rng: ChaCha8Rng::seed_from_u64(node.seed),
            outputs: VecDeque::new(),
            started: None,
            stopping: false,
        }
    }

    pub(super) fn send(&mut self, conn: ConnId, message: Message) {
        self.outputs.push_back(Output::Send { conn, message });
    }

    fn event(&mut self, event: EventKind) {
        self.outputs.push_back(Output::Event(event));
    }

    fn notice(&mut self, message: String) {
        self.event(EventKind::Notice { message });
    }

    /// Refuses a message.
    pub(super) fn refuse(&mut self, conn: ConnId, query: Option<u32>, reason: impl Into<String>) {
        self.send(conn, Message::Refused { query, reason: reason.into(), renew: false });
        self.count_refusal(conn);
    }

    /// A connection on which too much was refused ends.
    fn count_refusal(&mut self, conn: ConnId) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.refusals += 1;
        if session.refusals >= self.gate.limits().refusals {
            self.gate.count("refusals on one connection");
            self.outputs.push_back(Output::Close { conn });
            self.forget(conn);
        }
    }

    /// Ends a connection from this side.
    pub(super) fn dismiss(&mut self, conn: ConnId, reason: impl Into<String>) {
        self.send(conn, Message::Refused { query: None, reason: reason.into(), renew: false });
        self.outputs.push_back(Output::Close { conn });
        self.forget(conn);
    }

    /// Drops what is known through a connection.
    fn forget(&mut self, conn: ConnId) {
        let Some(session) = self.sessions.get(&conn) else { return };
        let from = session.from.address.ip();
        if let Some(login) = &session.login {
            self.log_out(login.profile.peer.guid);
        }
        self.sessions.remove(&conn);
        self.gate.closed(from);
    }

    /// Drops a login, and says so; gives its connection.
    pub(super) fn log_out(&mut self, guid: Guid) -> Option<ConnId> {
        let conn = self.by_guid.remove(&guid)?;
        let login = self.sessions.get_mut(&conn)?.login.take()?;
        self.event(EventKind::Logout { guid, address: login.profile.peer.address });
        if self.uplinks.is_empty() {
            self.registry.forget(OWN, guid);
        } else {
            self.tell_home(login.home, Message::Forget { guid });
        }
        self.no_longer_awaited(login.home, guid);
        Some(conn)
    }

    /// Tells a database node something, if it is attached.
    pub(super) fn tell_home(&mut self, home: usize, message: Message) -> bool {
        let Some(conn) = self.uplinks.get(home).and_then(Uplink::up) else { return false };
        self.send(conn, message);
        true
    }

    fn message(&mut self, now: Time, conn: ConnId, message: Message) {
        let Some(session) = self.sessions.get(&conn) else { return };
        let guid = session.login.as_ref().map(|login| login.profile.peer.guid);
        match (guid, message) {
            (_, Message::Login { version, guid, listen, uploads, secondary, program, nat, lan }) => {
                self.login(now, conn, version, Presented { guid, listen, uploads, secondary, program, nat, lan });
            }
            (None, _) => self.dismiss(conn, "the first message is a login"),
            (Some(guid), Message::Register { content, complete }) => self.register(conn, guid, content, complete),
            (Some(guid), Message::Unregister { content }) => self.unregister(conn, guid, content),
            (Some(guid), Message::Uploads { on }) => self.switch_uploads(conn, guid, on),
            (Some(guid), Message::Slots { free }) => self.slots(conn, guid, free),
            (Some(guid), Message::ReAdded { copies }) => self.readded(conn, guid, copies),
            (Some(guid), Message::Query { query, token }) => self.query(now, conn, guid, query, &token),
            (Some(guid), Message::Usage { entries, last }) => {
                let (start, address) = (session.start, session.from.address.ip().to_canonical());
                if !self.usage.take(now, (guid, start), address, entries, last) {
                    self.dismiss(conn, format!("a usage report has at most {USAGE_MAX} entries"));
                }
            }
            (Some(_), other) => self.dismiss(conn, format!("a control plane takes no {}", kind(&other))),
        }
    }

    /// A remote cannot speak, or does not want to.
    fn garbled(&mut self, now: Time, conn: ConnId) {
        let Some(session) = self.sessions.get(&conn) else { return };
        let by = session.from.address.ip().to_canonical();
        let guid = session.login.as_ref().map(|login| login.profile.peer.guid);
        self.bans.ban(now, by, self.gate.limits().ban_ns);
        self.event(EventKind::Offence { by, guid, offence: Offence::Malformed, count: 1 });
    }

    fn query(&mut self, now: Time, conn: ConnId, guid: Guid, query: u32, signed: &SignedToken) {
        let Some(session) = self.sessions.get(&conn) else { return };
        if let Err(limit) = self.gate.query(now, session.from.address.ip().to_canonical(), guid) {
            return self.refuse(conn, Some(query), format!("too many {limit}, ask again later"));
        }
        let bearer = token::Bearer { guid, address: session.from.address.ip() };
        let token = match token::admit(&self.verify_key, signed, bearer, now) {
            Ok(token) => token,
            Err(error) => {
                let (reason, renew) = (error.to_string(), error.is_stale());
                self.send(conn, Message::Refused { query: Some(query), reason, renew });
                return self.count_refusal(conn);
            }
        };
        if !token.peers_allowed {
            return self.refuse(conn, Some(query), format!("the provider of `{}` allows no peers", token.content));
        }
        let content = token.content.clone();
        if !self.begin_query(now, conn, query, content) {
            self.gate.count("queries under way on one connection");
            self.refuse(conn, Some(query), "too many queries are under way, ask again later");
        }
    }

    /// Tells a peer who will connect to it.
    pub(super) fn introduce(&mut self, to: Guid, peer: PeerAddress, content: ContentId) {
        if let Some(conn) = self.by_guid.get(&to).copied() {
            self.send(conn, Message::Introduce { peer, content });
        }
    }

    fn uplink_of(&self, conn: ConnId) -> Option<usize> {
        self.uplinks.iter().position(|uplink| uplink.is(conn))
    }

    /// A message of a database node.
    fn database_message(&mut self, now: Time, index: usize, message: Message) {
        match message {
            Message::Attached { incarnation } => {
                let attachment = self.uplinks[index].attached(now, incarnation);
                let address = self.uplinks[index].address;
                match attachment {
                    Attachment::Known => {}
                    Attachment::First => self.place_the_unplaced(now, index),
                    Attachment::Lost { since } => {
                        self.notice(format!("what was registered at the database node {address} is lost"));
                        self.rebuild(index, since);
                    }
                }
            }
            Message::Found { lookup, peers, copies } => self.found(lookup, index, peers, copies),
            Message::Deliver { to, peer, content } => self.introduce(to, peer, content),
            other => {
                let address = self.uplinks[index].address;
                let reason = if let Message::Refused { reason, .. } = other { reason } else { "nonsense".to_owned() };
                self.notice(format!("the database node {address} said: {reason}"));
                if let Some(conn) = self.uplinks[index].conn() {
                    self.outputs.push_back(Output::Close { conn });
                }
                self.uplink_closed(now, index);
            }
        }
    }

    fn uplink_closed(&mut self, now: Time, index: usize) {
        let was_up = self.uplinks[index].up().is_some();
        self.uplinks[index].closed(now, &mut self.rng);
        if was_up {
            let address = self.uplinks[index].address;
            self.notice(format!("the database node {address} is out of reach"));
        }
        self.do_without(index);
    }

    fn order(&mut self, now: Time, order: Order) {
        match order {
            Order::Wipe => self.wipe(now),
            Order::Policy(policy) => match *policy {
                NodePolicy::Control(ControlPolicy { selection, readd, limits }) => {
                    (self.selection, self.readd) = (selection, readd);
                    self.gate.set(limits);
                    self.usage.set_most(limits.usage_reports as usize);
                }
                NodePolicy::Edge(_) | NodePolicy::Peer(_) => {
                    self.notice("a control plane has no use for the policy of another role".to_owned());
                }
            },
            Order::Outage { .. } | Order::Move(_) => {
                self.notice(format!("a control plane has no use for the order `{}`", order.word()));
            }
        }
    }

    /// Everything is forgotten, as if it had been lost; the connections stay.
    fn wipe(&mut self, now: Time) {
        if !self.uplinks.is_empty() {
            return self.notice("a connection node that has database nodes keeps no copies to forget".to_owned());
        }
        let (peers, copies) = self.registry.size();
        self.notice(format!("the registry was wiped: {copies} copies of {peers} peers are forgotten"));
        self.registry = Registry::default();
        self.rebuild(0, now);
    }

    fn stop(&mut self) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        self.outputs.extend(self.usage.tell_rest().into_iter().map(Output::Event));
        self.notice(format!("{} peers were logged in; {}", self.by_guid.len(), self.usage.summary()));
        self.outputs.extend(self.gate.report());
        let sessions = std::mem::take(&mut self.sessions).into_keys();
        for conn in sessions.chain(self.uplinks.iter().filter_map(Uplink::conn)) {
            self.outputs.push_back(Output::Close { conn });
        }
        self.outputs.push_back(Output::Finished);
    }

    /// Does what is due.
    fn advance(&mut self, now: Time) {
        if self.started.is_none() || self.stopping {
            return;
        }
        for uplink in &mut self.uplinks {
            if uplink.keep(now, ConnId(self.next_conn), &mut self.rng, &mut self.outputs) {
                self.next_conn += 2;
            }
        }
        self.expire_queries(now);
        self.conclude_recoveries(now);
    }

    /// Whether it began so short a time ago that nobody can have lost anything yet.
    pub(super) fn is_young(&self, now: Time) -> bool {
        self.started.is_none_or(|started| now.saturating_sub(started) < 2_000_000_000)
    }
}

/// The name of a message that has no place on a peer's connection to the control plane.
fn kind(message: &Message) -> &'static str {
    match message {
        Message::Welcome
        | Message::Peers { .. }
        | Message::Introduce { .. }
        | Message::Refused { .. }
        | Message::ReAdd { .. } => "message of a control plane",
        Message::Attach { .. }
        | Message::Put { .. }
        | Message::Withdraw { .. }
        | Message::Forget { .. }
        | Message::Free { .. }
        | Message::Lookup { .. }
        | Message::Returned { .. }
        | Message::Attached { .. }
        | Message::Found { .. }
        | Message::Deliver { .. } => "message between its nodes",
        _ => "message of a peer to a peer",
    }
}

impl Machine for ConnectionNode {
    fn handle(&mut self, now: Time, input: Input) {
        match input {
            Input::Start => self.started = Some(now),
            Input::Accepted { conn, from } => {
                let banned = self.bans.holds(now, from.address.ip());
                if self.stopping || banned || !self.gate.connection(from.address.ip().to_canonical()) {
                    self.outputs.push_back(Output::Close { conn });
                } else {
                    self.sessions.insert(conn, Session { from, login: None, start: None, refusals: 0, queries: 0 });
                }
            }
            Input::Connected { conn } => {
                if let Some(index) = self.uplink_of(conn) {
                    self.uplinks[index].connected(&mut self.outputs);
                }
            }
            Input::Closed { conn, .. } => match self.uplink_of(conn) {
                Some(index) => self.uplink_closed(now, index),
                None => self.forget(conn),
            },
            Input::Message { conn, message } => match self.uplink_of(conn) {
                Some(index) => self.database_message(now, index, message),
                None => self.message(now, conn, message),
            },
            Input::Garbled { conn } => self.garbled(now, conn),
            Input::Order(order) => self.order(now, order),
            Input::Stop => self.stop(),
            // What is due at a timer is done after every input; the others are of content, which it has none of.
            _ => {}
        }
        self.outputs.extend(self.usage.tell(now).into_iter().map(Output::Event));
        self.advance(now);
    }

    fn poll(&mut self, _now: Time) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| {
            let running = self.started.is_some() && !self.stopping;
            let uplinks = self.uplinks.iter().filter_map(Uplink::due);
            let queries = self.pending.values().map(|pending| pending.deadline);
            let due = uplinks.chain(queries).min().filter(|_| running);
            Output::Idle { until: due.into_iter().chain(self.usage.due()).min() }
        })
    }
}
