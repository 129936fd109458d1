//! A database node: it keeps which peers registered a copy of what, and offers them to the connection nodes that ask.
//!
//! Its state is soft: what came over a connection node goes with it, and all of it with the process or a wipe. Each time it
//! begins without state it has another incarnation number, by which connection nodes notice the loss.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
};

use peerbed_contract::{ControlConfig, EventKind, NodeConfig, NodePolicy, Order, Selection};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::registry::{Directory, Registry};
use crate::{ConnId, Input, Machine, Message, Output, PROTOCOL_VERSION, Time};

/// The most peers of one answer that are looked at.
const OFFERED_MAX: u32 = 2_000;

/// The state machine of a database node.
#[derive(Debug)]
pub(super) struct DatabaseNode {
    allowed: BTreeSet<IpAddr>,
    selection: Selection,
    contents_per_peer: u32,
    directory: Directory,
    registry: Registry,
    incarnation: u64,
    /// Connections, and whether they have said what they are.
    conns: BTreeMap<ConnId, bool>,
    strangers: u64,
    too_many: u64,
    rng: ChaCha8Rng,
    outputs: VecDeque<Output>,
    stopping: bool,
}

impl DatabaseNode {
    pub(super) fn new(node: &NodeConfig, config: &ControlConfig, connection_nodes: &[IpAddr]) -> Self {
        Self {
            allowed: connection_nodes.iter().map(IpAddr::to_canonical).collect(),
            selection: config.selection.clone(),
            contents_per_peer: config.limits.contents_per_peer,
            directory: Directory::new(config.directory.clone()),
            registry: Registry::default(),
            incarnation: 0,
            conns: BTreeMap::new(),
            strangers: 0,
            too_many: 0,
            rng: ChaCha8Rng::seed_from_u64(node.seed),
            outputs: VecDeque::new(),
            stopping: false,
        }
    }

    fn send(&mut self, conn: ConnId, message: Message) {
        self.outputs.push_back(Output::Send { conn, message });
    }

    fn notice(&mut self, message: String) {
        self.outputs.push_back(Output::Event(EventKind::Notice { message }));
    }

    fn accept(&mut self, conn: ConnId, from: IpAddr) {
        if self.stopping || !self.allowed.contains(&from.to_canonical()) {
            self.strangers += u64::from(!self.stopping);
            self.outputs.push_back(Output::Close { conn });
            return;
        }
        self.conns.insert(conn, false);
    }

    fn dismiss(&mut self, conn: ConnId, reason: &str) {
        self.send(conn, Message::Refused { query: None, reason: reason.to_owned(), renew: false });
        self.outputs.push_back(Output::Close { conn });
        self.closed(conn);
    }

    fn closed(&mut self, conn: ConnId) {
        if self.conns.remove(&conn).is_some() {
            self.registry.forget_owner(conn);
        }
    }

    fn message(&mut self, now: Time, conn: ConnId, message: Message) {
        let Some(&attached) = self.conns.get(&conn) else { return };
        match message {
            Message::Attach { version } if version == PROTOCOL_VERSION => {
                self.registry.forget_owner(conn);
                self.conns.insert(conn, true);
                self.send(conn, Message::Attached { incarnation: self.incarnation });
            }
            Message::Attach { .. } => self.dismiss(conn, "this database node speaks another version"),
            _ if !attached => self.dismiss(conn, "the first message attaches a connection node"),
            Message::Put { profile, content, complete } => {
                let fits =
                    self.registry.put(&self.directory, conn, profile, (content, complete), self.contents_per_peer);
                self.too_many += u64::from(!fits);
            }
            Message::Withdraw { guid, content } => self.registry.withdraw(conn, guid, &content),
            Message::Forget { guid } => self.registry.forget(conn, guid),
            Message::Free { guid, free } => self.registry.free(conn, guid, free),
            Message::Lookup { lookup, content, asker, near, rest } => {
                let bounds = (near.min(OFFERED_MAX), rest.min(OFFERED_MAX));
                let about = (&content, &asker);
                let peers = self.registry.offer(&self.directory, &self.selection, about, bounds, &mut self.rng);
                let copies = self.registry.complete_copies(&content, asker.peer.guid);
                self.send(conn, Message::Found { lookup, peers, copies });
            }
            Message::Returned { content, asker, peers } => {
                for (owner, to) in self.registry.returned(now, &content, &peers) {
                    self.send(owner, Message::Deliver { to, peer: asker.clone(), content: content.clone() });
                }
            }
            _ => self.dismiss(conn, "a database node takes no such message"),
        }
    }

    fn order(&mut self, now: Time, order: Order) {
        match order {
            Order::Wipe => self.wipe(now),
            Order::Policy(policy) => match *policy {
                NodePolicy::Control(policy) => {
                    self.selection = policy.selection;
                    self.contents_per_peer = policy.limits.contents_per_peer;
                }
                NodePolicy::Edge(_) | NodePolicy::Peer(_) => {
                    self.notice("a database node has no use for the policy of another role".to_owned());
                }
            },
            Order::Outage { .. } | Order::Move(_) => {
                self.notice(format!("a database node has no use for the order `{}`", order.word()));
            }
        }
    }

    fn wipe(&mut self, now: Time) {
        let (peers, copies) = self.registry.size();
        self.notice(format!("the registry was wiped: {copies} copies of {peers} peers are forgotten"));
        self.registry = Registry::default();
        self.incarnation = now.max(self.incarnation + 1);
        let attached: Vec<ConnId> =
            self.conns.iter().filter(|(_, attached)| **attached).map(|(conn, _)| *conn).collect();
        for conn in attached {
            self.send(conn, Message::Attached { incarnation: self.incarnation });
        }
    }

    fn stop(&mut self) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        let (peers, copies) = self.registry.size();
        self.notice(format!("{copies} copies of {peers} peers were registered"));
        for (limit, count) in [("connections of strangers", self.strangers), ("contents per peer", self.too_many)] {
            if count > 0 {
                self.outputs.push_back(Output::Event(EventKind::Refusals { limit: limit.to_owned(), count }));
            }
        }
        for conn in std::mem::take(&mut self.conns).into_keys() {
            self.outputs.push_back(Output::Close { conn });
        }
        self.outputs.push_back(Output::Finished);
    }
}

impl Machine for DatabaseNode {
    fn handle(&mut self, now: Time, input: Input) {
        match input {
            Input::Start => self.incarnation = now.max(self.incarnation + 1),
            Input::Accepted { conn, from } => self.accept(conn, from.address.ip()),
            Input::Closed { conn, .. } => self.closed(conn),
            Input::Message { conn, message } => self.message(now, conn, message),
            Input::Order(order) => self.order(now, order),
            Input::Stop => self.stop(),
            // It dials nobody, carries no content and has no timers.
            _ => {}
        }
    }

    fn poll(&mut self, _now: Time) -> Output {
        self.outputs.pop_front().unwrap_or(Output::Idle { until: None })
    }
}
