//! The control plane: logins, registered copies, answers to peer queries, usage reports.
//!
//! Called by the driver. Everything it knows of a peer is soft state that ends with the peer's connection; a peer that
//! comes back logs in and registers again.

mod registry;
mod select;
mod usage;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use peerbed_contract::{
    ContentId, ControlConfig, EventKind, Guid, LoginRecord, NatClass, NodeConfig, Offence, Selection, SignedToken,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use self::{registry::Registry, usage::Usage};
use crate::{
    ConnId, Endpoint, Input, Machine, Message, Output, PROGRAM_MAX, PROTOCOL_VERSION, PeerAddress, SECONDARY_MAX, Time,
    USAGE_MAX, bans::Bans, token,
};

/// How long nothing is accepted from an address that sent what is no frame.
const BAN: Time = 60_000_000_000;

/// The control plane's state machine.
#[derive(Debug)]
pub struct ControlMachine {
    verify_key: [u8; 32],
    selection: Selection,
    registry: Registry,
    sessions: BTreeMap<ConnId, Session>,
    usage: Usage,
    rng: ChaCha8Rng,
    outputs: VecDeque<Output>,
    /// Addresses that sent what is no frame.
    bans: Bans,
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
    /// The secondary GUID of its start.
    start: Option<Guid>,
}

impl ControlMachine {
    /// The machine of the node `node` with the control configuration `config`.
    pub fn new(node: &NodeConfig, config: &ControlConfig) -> Self {
        Self {
            verify_key: config.verify_key,
            selection: config.selection.clone(),
            registry: Registry::new(config.directory.clone()),
            sessions: BTreeMap::new(),
            usage: Usage::default(),
            rng: ChaCha8Rng::seed_from_u64(node.seed),
            outputs: VecDeque::new(),
            bans: Bans::default(),
            stopping: false,
        }
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
        let guid = session.guid;
        self.bans.ban(now, by, BAN);
        self.outputs.push_back(Output::Event(EventKind::Offence { by, guid, offence: Offence::Malformed, count: 1 }));
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
        session.start = login.secondary.first().copied();
        // The address is the one that was seen, not the one that was told: nobody can direct peers to a third party.
        let listen = SocketAddr::new(session.from.address.ip().to_canonical(), login.listen.port());
        if let Some(other) = session.guid.replace(guid).filter(|other| *other != guid) {
            self.log_out(other);
        }
        let former = self.log_out(guid);
        self.registry.log_in(guid, conn, listen, login.uploads);
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
        self.outputs.extend(self.usage.tell_rest().into_iter().map(Output::Event));
        let message = format!("{} peers were logged in; {}", self.registry.logins().count(), self.usage.summary());
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
            Input::Accepted { conn, from } if self.bans.holds(now, from.address.ip()) => {
                self.outputs.push_back(Output::Close { conn });
            }
            Input::Accepted { conn, from } => {
                self.sessions.insert(conn, Session { from, guid: None, start: None });
            }
            Input::Closed { conn, .. } => self.forget(conn),
            Input::Message { conn, message } => self.message(now, conn, message),
            Input::Garbled { conn } => self.garbled(now, conn),
            Input::Stop => self.stop(),
            Input::Order(order) => {
                let message = format!("a control plane has no use for the order `{}`", order.word());
                self.outputs.push_back(Output::Event(EventKind::Notice { message }));
            }
            // A control plane dials nobody and carries no content; what is due is done after every input.
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
        self.outputs.extend(self.usage.tell(now).into_iter().map(Output::Event));
    }

    fn poll(&mut self, _now: Time) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| Output::Idle { until: self.usage.due() })
    }
}

#[cfg(test)]
mod tests;
