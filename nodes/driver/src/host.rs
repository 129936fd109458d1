//! The connections of a node: carries out what the machine orders of them. Called by the loop in `node`.

use std::{collections::BTreeMap, net::SocketAddr, rc::Rc, time::Duration};

use peerbed_contract::{ContentId, Role};
use peerbed_proto::{ConnId, Endpoint, Input, Message, Output, Purpose};
use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    codec,
    conn::{Expected, Link, Order, PartOrder, edge_client, framed, http_server},
    inbox::Inbox,
    library::Library,
    sockets,
};

/// All connections of a node.
#[derive(Debug)]
pub(crate) struct Host {
    listen: SocketAddr,
    role: Role,
    library: Rc<Library>,
    inbox: Rc<Inbox>,
    links: BTreeMap<ConnId, Rc<Link>>,
    tasks: JoinSet<()>,
    /// The number of the next accepted connection; odd.
    next_accepted: u64,
}

impl Host {
    /// A host without connections that listens at `listen`.
    pub(crate) fn new(listen: SocketAddr, role: Role, library: Rc<Library>) -> Self {
        Self {
            listen,
            role,
            library,
            inbox: Rc::default(),
            links: BTreeMap::new(),
            tasks: JoinSet::new(),
            next_accepted: 1,
        }
    }

    /// The next input that still concerns the machine.
    pub(crate) async fn next_input(&mut self) -> Input {
        loop {
            let input = self.inbox.pop().await;
            self.reap();
            if self.concerns_machine(&input) {
                return input;
            }
        }
    }

    /// The next input that has happened already and still concerns the machine.
    pub(crate) fn queued_input(&mut self) -> Option<Input> {
        loop {
            let input = self.inbox.try_pop()?;
            if self.concerns_machine(&input) {
                return Some(input);
            }
        }
    }

    /// Not of a connection that the machine has closed. Forgets one that has ended.
    fn concerns_machine(&mut self, input: &Input) -> bool {
        match conn_of(input) {
            None => true,
            Some(conn) if matches!(input, Input::Closed { .. }) => self.links.remove(&conn).is_some(),
            Some(conn) => self.links.contains_key(&conn),
        }
    }

    /// Takes in a connection that the listener accepted; gives the input that tells the machine.
    pub(crate) fn accept(&mut self, stream: TcpStream, from: SocketAddr) -> Option<Input> {
        if let Err(error) = sockets::tune(&stream) {
            tracing::debug!(%from, %error, "a connection ended before it began");
            return None;
        }
        let conn = ConnId(self.next_accepted);
        self.next_accepted += 2;
        let link = self.link(conn);
        let inbox = Rc::clone(&self.inbox);
        let from = Endpoint { address: from };
        if self.role == Role::Edge {
            self.tasks.spawn_local(http_server::run(stream, from, link, inbox, Rc::clone(&self.library)));
        } else {
            self.tasks.spawn_local(framed::run(stream, link, inbox));
        }
        Some(Input::Accepted { conn, from })
    }

    /// The node listens elsewhere: nothing of what is still open can be said from there.
    pub(crate) fn move_to(&mut self, listen: SocketAddr) {
        self.listen = listen;
        self.links.clear();
        self.tasks.abort_all();
    }

    /// Carries out an output that concerns a connection.
    pub(crate) fn carry_out(&mut self, output: Output) {
        match output {
            Output::Dial { conn, to, purpose, from_listener } => self.dial(conn, to, purpose, from_listener),
            Output::Send { conn, message } => self.send(conn, &message),
            Output::SendPiece { conn, request, content, offset, bytes, corrupt } => {
                let Some(key) = self.key(conn, &content, offset, bytes) else { return };
                self.order(conn, Order::Part(PartOrder { request, key, offset, bytes, corrupt }));
            }
            Output::SendRaw { conn, bytes } => self.order(conn, Order::Frame(bytes)),
            Output::ExpectPiece { conn, request, bytes } => {
                if let Some(link) = self.links.get(&conn) {
                    link.expected.borrow_mut().insert(request, Expected::new(bytes));
                }
            }
            Output::Authorize { conn, content, guid } => self.order(conn, Order::Authorize { content, guid }),
            Output::FetchPiece { conn, request, content, offset, bytes } => {
                self.order(conn, Order::Fetch { request, content, offset, bytes });
            }
            Output::Reply { conn, reply } => {
                let waiting = self.links.get(&conn).and_then(|link| link.reply.borrow_mut().take());
                // A client that has gone no longer waits for its answer.
                if let Some(waiting) = waiting {
                    let _ = waiting.send(reply);
                }
            }
            Output::Close { conn } => {
                if let Some(link) = self.links.remove(&conn) {
                    link.reply.borrow_mut().take();
                    link.close();
                }
            }
            Output::Listen { .. }
            | Output::Remember { .. }
            | Output::Event(_)
            | Output::Finished
            | Output::Idle { .. } => {
                unreachable!("the loop keeps these to itself")
            }
        }
    }

    /// Closes what is still open and waits until everything was written, at most for `limit`.
    pub(crate) async fn finish(mut self, limit: Duration) {
        for link in self.links.values() {
            link.close();
        }
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                propagate(ended);
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::info!(open = self.tasks.len(), "connections were cut at the end");
        }
    }

    fn link(&mut self, conn: ConnId) -> Rc<Link> {
        let link = Rc::new(Link::new(conn));
        self.links.insert(conn, Rc::clone(&link));
        link
    }

    fn dial(&mut self, conn: ConnId, to: SocketAddr, purpose: Purpose, from_listener: bool) {
        assert!(conn.0.is_multiple_of(2), "dialled connections have even numbers, not {}", conn.0);
        let link = self.link(conn);
        let inbox = Rc::clone(&self.inbox);
        let local = SocketAddr::new(self.listen.ip(), if from_listener { self.listen.port() } else { 0 });
        self.tasks.spawn_local(async move {
            let dialled = tokio::select! {
                dialled = sockets::dial(local, to) => dialled,
                () = link.closed() => return,
            };
            match dialled {
                Ok(stream) => {
                    inbox.push(Input::Connected { conn });
                    match purpose {
                        Purpose::Edge => edge_client::run(stream, to, link, inbox).await,
                        Purpose::Control | Purpose::Peer => framed::run(stream, link, inbox).await,
                    }
                }
                Err(error) => {
                    tracing::debug!(conn = conn.0, %to, %error, "a dial failed");
                    inbox.push(Input::Closed { conn, clean: false });
                }
            }
        });
    }

    fn send(&mut self, conn: ConnId, message: &Message) {
        let mut frame = Vec::new();
        match codec::encode(message, &mut frame) {
            Ok(()) => self.order(conn, Order::Frame(frame)),
            Err(error) => {
                tracing::error!(conn = conn.0, %error, "a message cannot be sent");
                self.break_off(conn);
            }
        }
    }

    /// Orders for a connection that has just ended are dropped; the machine is about to hear of it.
    fn order(&mut self, conn: ConnId, order: Order) {
        if let Some(link) = self.links.get(&conn)
            && !link.order(order)
        {
            tracing::warn!(conn = conn.0, "the remote reads too slowly; the connection is cut");
            self.break_off(conn);
        }
    }

    /// The key of an object whose range is to be sent; a machine that orders the impossible loses the connection.
    fn key(&mut self, conn: ConnId, content: &ContentId, offset: u64, bytes: u32) -> Option<u64> {
        let object = self.library.object(content);
        let inside = |size| offset.checked_add(bytes.into()).is_some_and(|end| end <= size);
        let sendable = |size| inside(size) && (1..=codec::MAX_PART).contains(&bytes);
        let key = object.filter(|object| sendable(object.size)).map(|object| object.key);
        if key.is_none() {
            tracing::error!(conn = conn.0, %content, offset, bytes, "no such part of an object can be sent");
            self.break_off(conn);
        }
        key
    }

    /// Resets a connection and tells the machine.
    fn break_off(&mut self, conn: ConnId) {
        if let Some(link) = self.links.get(&conn) {
            link.abort();
        }
    }

    /// Forgets tasks that have ended.
    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            propagate(ended);
        }
    }
}

/// A panic of a connection's task is one of the node.
fn propagate(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

fn conn_of(input: &Input) -> Option<ConnId> {
    match input {
        Input::Connected { conn }
        | Input::Accepted { conn, .. }
        | Input::Closed { conn, .. }
        | Input::Message { conn, .. }
        | Input::Garbled { conn }
        | Input::PieceData { conn, .. }
        | Input::PieceEnd { conn, .. }
        | Input::PieceSent { conn, .. }
        | Input::Writable { conn }
        | Input::AnswerData { conn }
        | Input::Authorized { conn, .. }
        | Input::EdgeRefused { conn, .. }
        | Input::Http { conn, .. }
        | Input::HttpSent { conn, .. } => Some(*conn),
        Input::Start | Input::Stop | Input::Order(_) | Input::Timer => None,
    }
}
