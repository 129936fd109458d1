//! The control plane: logins, registered copies, answers to peer queries, usage reports.
//!
//! Called by the driver. Everything it knows of a peer is soft state that ends with the peer's connection; a peer that
//! comes back logs in and registers again.

mod registry;
mod select;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use peerbed_contract::{
    ContentId, ControlConfig, EventKind, Guid, LoginRecord, NatClass, NodeConfig, Selection, SignedToken,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use self::registry::Registry;
use crate::{
    ConnId, Endpoint, Input, Machine, Message, Output, PROGRAM_MAX, PROTOCOL_VERSION, PeerAddress, SECONDARY_MAX, Time,
    nat, token,
};

/// What one peer reported of one content, summed over its reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// Bytes from edges.
    pub edge_bytes: u64,
    /// Bytes from peers, by the peer's GUID.
    pub peer_bytes: BTreeMap<Guid, u64>,
    /// How many downloads it said were over.
    pub completed: u32,
}

/// The control plane's state machine.
#[derive(Debug)]
pub struct ControlMachine {
    verify_key: [u8; 32],
    selection: Selection,
    registry: Registry,
    sessions: BTreeMap<ConnId, Session>,
    usage: BTreeMap<(Guid, ContentId), UsageReport>,
    rng: ChaCha8Rng,
    outputs: VecDeque<Output>,
    stopping: bool,
}

/// What a login tells, beside the protocol's version.
struct Presented {
    guid: Guid,
    listen: SocketAddr,
    uploads: bool,
    secondary: Vec<Guid>,
    program: String,
    nat: NatClass,
}

/// A connection and who logged in on it.
#[derive(Debug)]
struct Session {
    from: Endpoint,
    guid: Option<Guid>,
}

impl ControlMachine {
    /// The machine of the node `node` with the control configuration `config`.
    pub fn new(node: &NodeConfig, config: &ControlConfig) -> Self {
        Self {
            verify_key: config.verify_key,
            selection: config.selection.clone(),
            registry: Registry::new(config.directory.clone()),
            sessions: BTreeMap::new(),
            usage: BTreeMap::new(),
            rng: ChaCha8Rng::seed_from_u64(node.seed),
            outputs: VecDeque::new(),
            stopping: false,
        }
    }

    /// What peers reported, by peer and content.
    pub fn usage(&self) -> &BTreeMap<(Guid, ContentId), UsageReport> {
        &self.usage
    }

    fn send(&mut self, conn: ConnId, message: Message) {
        self.outputs.push_back(Output::Send { conn, message });
    }

    fn refuse(&mut self, conn: ConnId, query: Option<u32>, reason: impl Into<String>) {
        self.send(conn, Message::Refused { query, reason: reason.into(), renew: false });
    }

    /// Ends a connection from this side.
    fn dismiss(&mut self, conn: ConnId, reason: impl Into<String>) {
        self.refuse(conn, None, reason);
        self.outputs.push_back(Output::Close { conn });
        self.forget(conn);
    }

    /// Drops what is known through a connection.
    fn forget(&mut self, conn: ConnId) {
        if let Some(Session { guid: Some(guid), .. }) = self.sessions.remove(&conn) {
            self.log_out(guid);
        }
    }

    /// Drops a login, and says so; gives its connection.
    fn log_out(&mut self, guid: Guid) -> Option<ConnId> {
        let address = self.registry.address(guid)?.address;
        self.outputs.push_back(Output::Event(EventKind::Logout { guid, address }));
        self.registry.log_out(guid)
    }

    fn message(&mut self, now: Time, conn: ConnId, message: Message) {
        let Some(session) = self.sessions.get(&conn) else { return };
        match (session.guid, message) {
            (_, Message::Login { version, guid, listen, uploads, secondary, program, nat }) => {
                self.login(conn, version, Presented { guid, listen, uploads, secondary, program, nat });
            }
            (None, _) => self.dismiss(conn, "the first message is a login"),
            (Some(guid), Message::Register { content, complete }) => {
                if !self.registry.register(guid, content, complete) {
                    self.refuse(conn, None, "a peer that does not upload registers no copies");
                }
            }
            (Some(guid), Message::Unregister { content }) => self.registry.unregister(guid, &content),
            (Some(guid), Message::Uploads { on }) => {
                if self.registry.switch_uploads(guid, on) {
                    self.outputs.push_back(Output::Event(EventKind::UploadsSwitched { guid, on }));
                }
            }
            (Some(guid), Message::Query { query, token }) => self.query(now, conn, guid, query, &token),
            (Some(guid), Message::Usage { content, edge_bytes, peers, completed }) => {
                let report = self.usage.entry((guid, content)).or_default();
                report.edge_bytes = report.edge_bytes.saturating_add(edge_bytes);
                report.completed += u32::from(completed);
                for (source, bytes) in peers {
                    let sum = report.peer_bytes.entry(source).or_default();
                    *sum = sum.saturating_add(bytes);
                }
            }
            (Some(_), other) => self.dismiss(conn, format!("a control plane takes no {}", kind(&other))),
        }
    }

    fn login(&mut self, conn: ConnId, version: u32, login: Presented) {
        if version != PROTOCOL_VERSION {
            let reason =
                format!("protocol version {version} was offered, this control plane speaks {PROTOCOL_VERSION}");
            return self.dismiss(conn, reason);
        }
        if login.secondary.len() > SECONDARY_MAX || login.program.len() > PROGRAM_MAX {
            let reason = format!(
                "a login tells at most {SECONDARY_MAX} secondary GUIDs and a program of at most {PROGRAM_MAX} bytes"
            );
            return self.dismiss(conn, reason);
        }
        let guid = login.guid;
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        // The address is the one that was seen, not the one that was told: nobody can direct peers to a third party.
        let seen = session.from.address;
        let port = if nat::is_seen_port(login.nat) { seen.port() } else { login.listen.port() };
        let listen = SocketAddr::new(seen.ip().to_canonical(), port);
        if let Some(other) = session.guid.replace(guid).filter(|other| *other != guid) {
            self.log_out(other);
        }
        let former = self.log_out(guid);
        self.registry.log_in(guid, conn, listen, login.uploads, login.nat);
        if let Some(former) = former.filter(|former| *former != conn) {
            // Its session is taken away first, so that closing it does not drop the new login.
            self.sessions.remove(&former);
            self.refuse(former, None, "this GUID logged in from elsewhere");
            self.outputs.push_back(Output::Close { conn: former });
        }
        let entry = self.registry.entry(listen.ip());
        self.outputs.push_back(Output::Event(EventKind::Login(Box::new(LoginRecord {
            guid,
            secondary: login.secondary,
            address: listen,
            as_number: entry.map(|entry| entry.as_number),
            region: entry.map(|entry| entry.region.clone()),
            country: entry.and_then(|entry| entry.country.clone()),
            uploads: login.uploads,
            nat: login.nat,
            version: login.program,
        }))));
        self.send(conn, Message::Welcome);
    }

    fn query(&mut self, now: Time, conn: ConnId, guid: Guid, query: u32, signed: &SignedToken) {
        let Some(session) = self.sessions.get(&conn) else { return };
        let bearer = token::Bearer { guid, address: session.from.address.ip() };
        let token = match token::admit(&self.verify_key, signed, bearer, now) {
            Ok(token) => token,
            Err(error) => {
                let (reason, renew) = (error.to_string(), error.is_stale());
                return self.send(conn, Message::Refused { query: Some(query), reason, renew });
            }
        };
        if !token.peers_allowed {
            return self.refuse(conn, Some(query), format!("the provider of `{}` allows no peers", token.content));
        }
        let copies = self.registry.complete_copies(&token.content, guid);
        let peers = self.registry.choose(&self.selection, &token.content, guid, &mut self.rng);
        self.introduce(guid, &token.content, &peers);
        self.send(conn, Message::Peers { query, peers, copies });
    }

    /// Tells the returned peers who will connect to them.
    fn introduce(&mut self, asker: Guid, content: &ContentId, returned: &[PeerAddress]) {
        let Some(peer) = self.registry.address(asker) else { return };
        for other in returned {
            if let Some(conn) = self.registry.login(other.guid).map(|login| login.conn) {
                self.send(conn, Message::Introduce { peer: peer.clone(), content: content.clone() });
            }
        }
    }

    fn stop(&mut self) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        let sum = |bytes: fn(&UsageReport) -> u64| self.usage.values().map(bytes).fold(0_u64, u64::saturating_add);
        let message = format!(
            "{} peers were logged in; {} usage reports told of {} bytes from edges and {} bytes from peers",
            self.registry.logins().count(),
            self.usage.len(),
            sum(|report| report.edge_bytes),
            sum(|report| report.peer_bytes.values().fold(0, |all, bytes| all.saturating_add(*bytes))),
        );
        self.outputs.push_back(Output::Event(EventKind::Notice { message }));
        for conn in std::mem::take(&mut self.sessions).into_keys() {
            self.outputs.push_back(Output::Close { conn });
        }
        self.outputs.push_back(Output::Finished);
    }
}

/// The name of a message that has no place on a control connection.
fn kind(message: &Message) -> &'static str {
    match message {
        Message::Welcome | Message::Peers { .. } | Message::Introduce { .. } | Message::Refused { .. } => {
            "message of a control plane"
        }
        _ => "message of a peer to a peer",
    }
}

impl Machine for ControlMachine {
    fn handle(&mut self, now: Time, input: Input) {
        match input {
            Input::Accepted { conn, .. } if self.stopping => self.outputs.push_back(Output::Close { conn }),
            Input::Accepted { conn, from } => {
                self.sessions.insert(conn, Session { from, guid: None });
            }
            Input::Closed { conn, .. } => self.forget(conn),
            Input::Message { conn, message } => self.message(now, conn, message),
            Input::Stop => self.stop(),
            Input::Order(order) => {
                let message = format!("a control plane has no use for the order `{}`", order.word());
                self.outputs.push_back(Output::Event(EventKind::Notice { message }));
            }
            // A control plane dials nobody, carries no content and has no timers.
            Input::Start
            | Input::Timer
            | Input::Connected { .. }
            | Input::PieceData { .. }
            | Input::PieceEnd { .. }
            | Input::PieceSent { .. }
            | Input::Writable { .. }
            | Input::Authorized { .. }
            | Input::EdgeRefused { .. }
            | Input::Http { .. }
            | Input::HttpSent { .. } => {}
        }
    }

    fn poll(&mut self, _now: Time) -> Output {
        self.outputs.pop_front().unwrap_or(Output::Idle { until: None })
    }
}

#[cfg(test)]
mod tests;
