//! The edge: answers HTTP requests for objects, their manifests and authorisations, and counts what it served.
//!
//! Called by the driver, which speaks HTTP and produces the bytes.

mod load;
mod range;
mod routes;

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
};

use peerbed_contract::{
    ContentId, EdgeConfig, EventKind, Guid, NodeConfig, NodePolicy, Object, Order, Token, TransferRecord,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use self::load::Load;
use crate::{ConnId, HttpReply, HttpRequest, Input, Machine, Output, Time, token};

/// Nanoseconds of a second.
const SECOND: Time = 1_000_000_000;

/// The edge's state machine.
#[derive(Debug)]
pub struct EdgeMachine {
    objects: BTreeMap<ContentId, Object>,
    signing_key: [u8; 32],
    token_lifetime_ns: u64,
    nonces: ChaCha8Rng,
    conns: BTreeMap<ConnId, Served>,
    /// The end of the outage that was ordered last.
    out_until: Time,
    load: Load,
    outputs: VecDeque<Output>,
    stopping: bool,
}

/// What was served on one connection.
#[derive(Debug)]
struct Served {
    remote: IpAddr,
    sent: BTreeMap<ContentId, u64>,
    /// Body bytes that were promised and not yet handed to the socket, and of what.
    due: Option<(ContentId, u64)>,
}

impl EdgeMachine {
    /// The machine of the node `node` with the edge configuration `config`.
    pub fn new(node: &NodeConfig, config: &EdgeConfig) -> Self {
        Self {
            objects: config.objects.iter().map(|object| (object.id.clone(), object.clone())).collect(),
            signing_key: config.signing_key,
            token_lifetime_ns: config.token_lifetime_ns,
            nonces: ChaCha8Rng::seed_from_u64(node.seed),
            conns: BTreeMap::new(),
            out_until: 0,
            load: Load::new(config.limits),
            outputs: VecDeque::new(),
            stopping: false,
        }
    }

    fn order(&mut self, now: Time, order: Order) {
        let unused = match order {
            Order::Outage { for_ns } => {
                self.out_until = now.saturating_add(for_ns);
                return;
            }
            Order::Policy(policy) => match *policy {
                NodePolicy::Edge(policy) => {
                    self.token_lifetime_ns = policy.token_lifetime_ns;
                    return self.load.set(now, policy.limits);
                }
                NodePolicy::Control(_) | NodePolicy::Peer(_) => "the policy of another role".to_owned(),
            },
            Order::Wipe | Order::Move(_) => format!("the order `{}`", order.word()),
        };
        let message = format!("an edge has no use for {unused}");
        self.outputs.push_back(Output::Event(EventKind::Notice { message }));
    }

    fn answer(&mut self, now: Time, conn: ConnId, from: IpAddr, request: &HttpRequest) {
        if now < self.out_until {
            self.load.refused += 1;
            let reply = unavailable(self.out_until - now, "this edge is out of service");
            return self.outputs.push_back(Output::Reply { conn, reply });
        }
        let reply = match routes::route(request, &self.objects) {
            routes::Route::Reply(reply) => reply,
            routes::Route::Authorize { content, guid } => self.authorize(now, content, guid, from),
        };
        if let HttpReply::Object { content, bytes, head_only: false, .. } = &reply {
            let serving = self.conns.values().filter(|served| served.due.is_some()).count();
            if let Err(wait) = self.load.admit(now, serving) {
                let reply = unavailable(wait, "this edge serves as much as it can");
                return self.outputs.push_back(Output::Reply { conn, reply });
            }
            let Some(served) = self.conns.get_mut(&conn) else { return };
            served.due = Some((content.clone(), *bytes));
        }
        self.outputs.push_back(Output::Reply { conn, reply });
    }

    /// Grants a download of an object that this edge has (`routes` has looked).
    fn authorize(&mut self, now: Time, content: ContentId, guid: Guid, from: IpAddr) -> HttpReply {
        let peers_allowed = self.objects.get(&content).is_some_and(|object| object.peers_allowed);
        let granted = Token {
            guid,
            content: content.clone(),
            address: from.to_canonical(),
            peers_allowed,
            expires: now.saturating_add(self.token_lifetime_ns),
            nonce: self.nonces.next_u64(),
        };
        HttpReply::Manifest {
            headers: vec![("cache-control", "no-store".to_owned())],
            content,
            token: Some(token::sign(&self.signing_key, granted)),
        }
    }

    /// Says what was served on a connection that has ended.
    fn settle(&mut self, served: Served, clean: bool) {
        let Served { remote, mut sent, due } = served;
        // A body that never began still belongs to a broken line.
        let unfinished = due.map(|(content, _)| content);
        if let Some(content) = &unfinished {
            sent.entry(content.clone()).or_default();
        }
        for (content, bytes) in sent {
            let broken = !clean || unfinished.as_ref() == Some(&content);
            let record = TransferRecord { remote, local: None, content, sent: bytes, received: 0, broken };
            self.outputs.push_back(Output::Event(EventKind::Transfer(record)));
        }
    }

    fn stop(&mut self) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        for (conn, served) in std::mem::take(&mut self.conns) {
            self.outputs.push_back(Output::Close { conn });
            self.settle(served, true);
        }
        let Load { served, refused, .. } = self.load;
        self.outputs.push_back(Output::Event(EventKind::Requests { served, refused }));
        self.outputs.push_back(Output::Finished);
    }
}

/// 503, and when to come again: in whole seconds, rounded up, as `Retry-After` has no others.
fn unavailable(wait: Time, why: &str) -> HttpReply {
    let headers = vec![
        ("retry-after", wait.div_ceil(SECOND).to_string()),
        ("content-type", "text/plain; charset=utf-8".to_owned()),
        ("cache-control", "no-store".to_owned()),
    ];
    HttpReply::Text { status: 503, headers, body: format!("{why}, try again later\n") }
}

impl Machine for EdgeMachine {
    fn handle(&mut self, now: Time, input: Input) {
        match input {
            Input::Accepted { conn, .. } if self.stopping => self.outputs.push_back(Output::Close { conn }),
            Input::Accepted { conn, from } => {
                let remote = from.address.ip().to_canonical();
                self.conns.insert(conn, Served { remote, sent: BTreeMap::new(), due: None });
            }
            Input::Closed { conn, clean } => {
                if let Some(served) = self.conns.remove(&conn) {
                    self.settle(served, clean);
                }
            }
            Input::Http { conn, from, request } if self.conns.contains_key(&conn) => {
                self.answer(now, conn, from.address.ip(), &request);
            }
            Input::HttpSent { conn, content, bytes, .. } => {
                if let Some(served) = self.conns.get_mut(&conn) {
                    served.due = served.due.take().and_then(|(due, left)| match left.saturating_sub(bytes) {
                        0 => None,
                        left => Some((due, left)),
                    });
                    *served.sent.entry(content).or_default() += bytes;
                }
            }
            Input::Order(order) => self.order(now, order),
            Input::Stop => self.stop(),
            // An edge dials nobody, speaks no framed protocol and has no timers.
            Input::Http { .. }
            | Input::Start
            | Input::Timer
            | Input::Connected { .. }
            | Input::Message { .. }
            | Input::Garbled { .. }
            | Input::PieceData { .. }
            | Input::PieceEnd { .. }
            | Input::PieceSent { .. }
            | Input::Writable { .. }
            | Input::AnswerData { .. }
            | Input::Authorized { .. }
            | Input::EdgeRefused { .. } => {}
        }
    }

    fn poll(&mut self, _now: Time) -> Output {
        self.outputs.pop_front().unwrap_or(Output::Idle { until: None })
    }
}

#[cfg(test)]
mod tests;
