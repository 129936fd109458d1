//! Nodes inside the test's process, each on a thread with a runtime of its own, on loopback addresses and free ports.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of this")]

use std::{
    io::{BufRead, BufReader, Write},
    net::{IpAddr, SocketAddr, TcpListener},
    sync::mpsc,
    thread,
};

use peerbed_contract::{
    CachePolicy, Command, Constants, ContentId, ControlConfig, ControlLimits, ControlPart, EdgeConfig, EdgeLimits,
    EdgeMode, Event, EventKind, Filters, Guid, Misbehaviour, NatClass, NodeConfig, Object, Order, PeerConfig,
    ReAddPolicy, Requery, RoleConfig, ScriptStep, Selection, Storage, Strategy, Token, TransferRecord, UploadPolicy,
};
use peerbed_driver::{CommandSender, Node, Told, command_queue, event_queue, monotonic_ns};
use peerbed_proto::token;
use tokio::{runtime, task::LocalSet};

/// The secret of all edges in these tests.
pub const SECRET: [u8; 32] = [9; 32];

/// A node that runs.
pub struct Live {
    /// Where it listens.
    pub listen: SocketAddr,
    commands: CommandSender,
    events: mpsc::Receiver<Event>,
    seen: Vec<Event>,
    thread: thread::JoinHandle<()>,
}

impl Live {
    /// Binds and starts a node, and waits for its `ready` and `started`.
    pub fn start(config: NodeConfig) -> Self {
        let (commands, told) = command_queue();
        let (to_test, events) = mpsc::channel();
        let (bound, listen) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async move {
                let node = Node::bind(config).unwrap();
                bound.send(node.listen()).unwrap();
                let (said, mut lines) = event_queue();
                let reading = tokio::task::spawn_local(async move {
                    while let Some(line) = lines.next().await {
                        // A test that has seen enough no longer listens.
                        let _ = to_test.send(serde_json::from_str(&line).unwrap());
                    }
                });
                node.run(told, said).await.unwrap();
                reading.await.unwrap();
            });
        });
        let listen = listen.recv().unwrap();
        commands.send(Told::Command(Command::Start { epoch_ns: monotonic_ns() }));
        let mut live = Self { listen, commands, events, seen: Vec::new(), thread };
        live.wait_for(|kind| matches!(kind, EventKind::Started));
        let ready = EventKind::Ready { role: live.role(), listen, version: env!("CARGO_PKG_VERSION").to_owned() };
        assert_eq!(live.seen[0].kind, ready);
        live
    }

    fn role(&self) -> peerbed_contract::Role {
        match &self.seen[0].kind {
            EventKind::Ready { role, .. } => *role,
            other => panic!("the first event is {other:?}"),
        }
    }

    /// The first event from now on that fits.
    pub fn wait_for(&mut self, fits: impl Fn(&EventKind) -> bool) -> EventKind {
        loop {
            let event = self.events.recv_timeout(std::time::Duration::from_secs(20)).expect("an event that fits");
            self.seen.push(event.clone());
            if fits(&event.kind) {
                return event.kind;
            }
        }
    }

    /// Orders something of the node.
    pub fn order(&self, order: Order) {
        self.commands.send(Told::Command(Command::Order { order }));
    }

    /// Stops the node and gives all its events.
    pub fn stop(self) -> Vec<EventKind> {
        self.end(Told::Command(Command::Stop))
    }

    /// Ends the node's input and gives all its events.
    pub fn end(mut self, told: Told) -> Vec<EventKind> {
        self.commands.send(told);
        self.thread.join().unwrap();
        self.seen.extend(self.events.try_iter());
        assert_eq!(self.seen.last().map(|event| &event.kind), Some(&EventKind::Stopped));
        self.seen.into_iter().map(|event| event.kind).collect()
    }
}

/// The transfers among events.
pub fn transfers(events: &[EventKind]) -> Vec<TransferRecord> {
    let transfer = |event: &EventKind| match event {
        EventKind::Transfer(record) => Some(record.clone()),
        _ => None,
    };
    events.iter().filter_map(transfer).collect()
}

/// An object of these tests.
pub fn object(id: &str, size: u64) -> Object {
    Object {
        id: id.parse().unwrap(),
        provider: "A".to_owned(),
        size,
        piece_length: 256 * 1024,
        key: 0x1234_5678_9abc_def0 ^ size,
        peers_allowed: true,
    }
}

/// The object's bytes.
pub fn bytes(object: &Object) -> Vec<u8> {
    let mut bytes = vec![0; object.size as usize];
    peerbed_contract::content::fill(object.key, 0, &mut bytes);
    bytes
}

fn node(name: &str, address: &str, role: RoleConfig) -> NodeConfig {
    NodeConfig {
        name: name.parse().unwrap(),
        as_number: 64_500.try_into().unwrap(),
        region: "north".to_owned(),
        address: address.parse().unwrap(),
        seed: 1,
        role,
    }
}

/// An edge at `address` with these objects.
pub fn edge(address: &str, objects: &[Object]) -> NodeConfig {
    limited_edge(address, objects, EdgeLimits::default())
}

/// The same that serves no more than this.
pub fn limited_edge(address: &str, objects: &[Object], limits: EdgeLimits) -> NodeConfig {
    let role = EdgeConfig {
        port: 0,
        objects: objects.to_vec(),
        signing_key: SECRET,
        token_lifetime_ns: 3_600_000_000_000,
        limits,
    };
    node("edge-0", address, RoleConfig::Edge(role))
}

/// A control plane at `address`.
pub fn control(address: &str) -> NodeConfig {
    let role = ControlConfig {
        port: 0,
        verify_key: token::public_key(&SECRET),
        part: ControlPart::default(),
        selection: Selection {
            strategy: Strategy::Nested,
            max_returned: 40,
            diversity: 0.1,
            rotation: true,
            filters: Filters::default(),
        },
        readd: ReAddPolicy::default(),
        limits: ControlLimits::default(),
        directory: Vec::new(),
    };
    node("control-0", address, RoleConfig::Control(role))
}

/// A peer which nobody asks for anything.
pub fn peer(number: u8, edge: SocketAddr, control: Option<SocketAddr>, objects: &[Object]) -> PeerConfig {
    PeerConfig {
        guid: Guid::from_bytes([number; 16]),
        secondary: Vec::new(),
        nat: NatClass::None,
        lan: None,
        port: 0,
        control: control.into_iter().collect(),
        edges: vec![edge],
        verify_key: token::public_key(&SECRET),
        uploads: UploadPolicy {
            enabled: true,
            per_copy: 5,
            connections: 8,
            waiting: 32,
            rate_bps: None,
            connection_rate_bps: None,
        },
        cache: CachePolicy::UNLIMITED,
        courtesy: peerbed_contract::Courtesy::default(),
        habits: Vec::new(),
        edge_mode: EdgeMode::Backstop,
        edge_target_bps: None,
        both_sides: true,
        max_sources: 8,
        requery: Requery::default(),
        constants: Constants::default(),
        objects: objects.to_vec(),
        holds: Vec::new(),
        storage: Storage::Synthetic,
        script: Vec::new(),
        misbehaviour: Misbehaviour::default(),
    }
}

/// Asks for a download right after the start.
pub fn ask_for(peer: &mut PeerConfig, download: u32, object: &Object) {
    peer.script.push(ScriptStep { download, at_ns: 0, content: object.id.clone(), user: Vec::new() });
}

/// Starts a peer.
pub fn start_peer(address: &str, peer: PeerConfig) -> Live {
    let name = format!("peer-{}", peer.guid.as_bytes()[0]);
    Live::start(node(&name, address, RoleConfig::Peer(Box::new(peer))))
}

/// An edge that grants every download and serves no byte of it, so that everything comes from peers.
pub fn edge_that_only_authorises(object: &Object) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let manifest = serde_json::to_string(&peerbed_driver::manifest(object)).expect("plain values");
    let content = object.id.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let from = stream.peer_addr().expect("a connected socket").ip();
            let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
            while let Some(Ok(line)) = lines.next() {
                let Some(path) = line.strip_prefix("GET /objects/") else { continue };
                let answer = match path.split_once("?guid=") {
                    Some((_, query)) => authorization(&query[..32], from, &content, &manifest),
                    None => "HTTP/1.1 503 Closed\r\nretry-after: 600\r\ncontent-length: 0\r\n\r\n".to_owned(),
                };
                if stream.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    address
}

fn authorization(guid: &str, address: IpAddr, content: &ContentId, manifest: &str) -> String {
    let granted = Token {
        guid: guid.parse().expect("a GUID"),
        content: content.clone(),
        address,
        peers_allowed: true,
        expires: u64::MAX,
        nonce: 1,
    };
    let token = serde_json::to_string(&token::sign(&SECRET, granted)).expect("plain values");
    let body = format!("{{\"token\":{token},\"manifest\":{manifest}}}");
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
