//! Builds networks of edges, a control plane and peers, and checks what must hold after every run.

use std::{collections::BTreeMap, net::SocketAddr};

use peerbed_contract::{
    AsNumber, CachePolicy, Constants, ContentId, ControlConfig, ControlLimits, ControlPart, DatabaseAddress,
    DirectoryEntry, DownloadRecord, EdgeMode, EventKind, Filters, Guid, Misbehaviour, NatClass, NodeConfig, Object,
    PeerConfig, Place, Prefix, ReAddPolicy, Requery, Role, RoleConfig, ScriptStep, Selection, Storage, Strategy,
    TerminalStatus, UploadPolicy, UserMoment,
};
use peerbed_proto::{ControlMachine, PeerMachine, Time, token};

use crate::{
    agenda::Todo,
    edge::{Edge, SECRET},
    net::{MS, Net, Program, SECOND, address_of},
};

const CONTROL_PORT: u16 = 7000;
const PEER_PORT: u16 = 7001;
const EDGE_PORT: u16 = 80;

/// A peer to be.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) up: f64,
    pub(crate) down: f64,
    pub(crate) delay: Time,
    pub(crate) config: PeerConfig,
}

/// A network to be.
pub(crate) struct World {
    pub(crate) objects: Vec<Object>,
    /// Rate of each edge, Mbit/s.
    pub(crate) edges: Vec<f64>,
    pub(crate) control: bool,
    /// How many connection nodes.
    pub(crate) controls: usize,
    /// How many database nodes; all serve the one region.
    pub(crate) databases: usize,
    /// What all nodes of the control plane do.
    pub(crate) selection: Selection,
    pub(crate) readd: ReAddPolicy,
    pub(crate) peers: Vec<Peer>,
    pub(crate) seed: u64,
    pub(crate) token_lifetime: Time,
}

/// The object of most tests.
pub(crate) fn object(megabytes: u64, piece_length: u32) -> Object {
    Object {
        id: content("patch"),
        provider: "A".to_owned(),
        size: megabytes * 1_000_000 - 123,
        piece_length,
        key: 7,
        peers_allowed: true,
    }
}

pub(crate) fn content(name: &str) -> ContentId {
    name.parse().expect("a good name")
}

impl World {
    /// One edge, a control plane, no peers yet.
    pub(crate) fn new(object: Object) -> Self {
        let token_lifetime = 3600 * SECOND;
        Self {
            objects: vec![object],
            edges: vec![1000.0],
            control: true,
            controls: 1,
            databases: 0,
            selection: Selection {
                strategy: Strategy::Random,
                max_returned: 40,
                diversity: 0.1,
                rotation: true,
                filters: Filters::default(),
            },
            readd: ReAddPolicy::default(),
            peers: Vec::new(),
            seed: 1,
            token_lifetime,
        }
    }

    fn peer(&mut self, up: f64, down: f64) -> &mut Peer {
        let index = self.peers.len();
        let config = PeerConfig {
            guid: Guid::from_bytes([index as u8 + 1; 16]),
            port: PEER_PORT,
            secondary: Vec::new(),
            nat: NatClass::None,
            lan: None,
            control: Vec::new(),
            edges: Vec::new(),
            verify_key: token::public_key(&SECRET),
            uploads: UploadPolicy {
                enabled: true,
                per_copy: 1000,
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
            max_sources: 40,
            requery: Requery::default(),
            constants: Constants::default(),
            objects: Vec::new(),
            holds: Vec::new(),
            storage: Storage::Synthetic,
            script: Vec::new(),
            misbehaviour: Misbehaviour::default(),
        };
        self.peers.push(Peer { up, down, delay: 5 * MS, config });
        self.peers.last_mut().expect("just added")
    }

    /// A peer that holds the first object whole.
    pub(crate) fn seed_peer(&mut self, up: f64) -> &mut Peer {
        let id = self.objects[0].id.clone();
        let peer = self.peer(up, 50.0);
        peer.config.holds.push(id);
        peer
    }

    /// A peer that downloads the first object.
    pub(crate) fn downloader(&mut self, up: f64, down: f64, at: Time, user: Vec<UserMoment>) -> &mut Peer {
        let (content, download) = (self.objects[0].id.clone(), self.peers.len() as u32);
        let peer = self.peer(up, down);
        peer.config.script.push(ScriptStep { download, at_ns: at, content, user });
        peer
    }

    pub(crate) fn edge_host(index: usize) -> usize {
        index
    }

    pub(crate) fn control_host(&self, index: usize) -> usize {
        self.edges.len() + index
    }

    pub(crate) fn database_host(&self, index: usize) -> usize {
        self.edges.len() + self.controls + index
    }

    pub(crate) fn peer_host(&self, index: usize) -> usize {
        self.edges.len() + self.controls + self.databases + index
    }

    /// The network, started.
    pub(crate) fn build(&self) -> Net {
        let mut net = Net::default();
        for &rate in &self.edges {
            let mut edge = Edge::new(&self.objects);
            edge.lifetime = self.token_lifetime;
            net.add(Program::Edge(edge), rate, 1000.0, 5 * MS);
        }
        for index in 0..self.controls {
            net.add(Program::Control(Box::new(self.control_machine(index))), 1000.0, 1000.0, 5 * MS);
        }
        for index in 0..self.databases {
            net.add(Program::Control(Box::new(self.database_machine(index))), 1000.0, 1000.0, 5 * MS);
        }
        for (index, peer) in self.peers.iter().enumerate() {
            let machine = self.peer_machine(index);
            let host = net.add(Program::Peer(Box::new(machine)), peer.up, peer.down, peer.delay);
            net.hosts[host].nat = peer.config.nat;
            let NodeConfig { address, as_number, region, .. } = self.node("a-place", host, 0);
            let place = Place {
                address,
                as_number,
                region,
                lan: None,
                control: self.control_nodes(),
                edges: self.edge_addresses(),
                rate_bps: peer.config.uploads.rate_bps,
                courtesy: peer.config.courtesy,
                edge_target_bps: peer.config.edge_target_bps,
            };
            net.places.insert(host, place);
        }
        net.start();
        net
    }

    /// The machine of one peer.
    pub(crate) fn peer_machine(&self, index: usize) -> PeerMachine {
        let mut config = self.peers[index].config.clone();
        config.objects.clone_from(&self.objects);
        config.edges = self.edge_addresses();
        config.control = self.control_nodes();
        // Each begins with another, as planned peers do.
        let turn = if config.control.is_empty() { 0 } else { index % config.control.len() };
        config.control.rotate_left(turn);
        let node = self.node(&format!("peer-{index}"), self.peer_host(index), index as u64);
        PeerMachine::new(&node, &config)
    }

    fn edge_addresses(&self) -> Vec<SocketAddr> {
        (0..self.edges.len()).map(|edge| SocketAddr::new(address_of(edge), EDGE_PORT)).collect()
    }

    fn control_nodes(&self) -> Vec<SocketAddr> {
        let nodes = (0..self.controls).filter(|_| self.control);
        nodes.map(|index| SocketAddr::new(address_of(self.control_host(index)), CONTROL_PORT)).collect()
    }

    /// A fresh connection node, for the start and after a loss.
    pub(crate) fn control_machine(&self, index: usize) -> ControlMachine {
        let database = |index| DatabaseAddress {
            address: SocketAddr::new(address_of(self.database_host(index)), CONTROL_PORT),
            regions: vec!["north".to_owned()],
        };
        let part = ControlPart::Connection { databases: (0..self.databases).map(database).collect() };
        let name = format!("control-{index}");
        self.control_part(&name, self.control_host(index), 99 + 1000 * index as u64, part)
    }

    /// A fresh database node.
    pub(crate) fn database_machine(&self, index: usize) -> ControlMachine {
        let connection_nodes = (0..self.controls).map(|index| address_of(self.control_host(index))).collect();
        let part = ControlPart::Database { connection_nodes };
        let name = format!("database-{index}");
        self.control_part(&name, self.database_host(index), 98 + 1000 * index as u64, part)
    }

    fn control_part(&self, name: &str, host: usize, seed: u64, part: ControlPart) -> ControlMachine {
        let prefix = Prefix { network: [10, 0, 0, 0].into(), length: 8 };
        let as_number = AsNumber::try_from(64_500).expect("not 0");
        let config = ControlConfig {
            port: CONTROL_PORT,
            verify_key: token::public_key(&SECRET),
            part,
            selection: self.selection.clone(),
            readd: self.readd,
            limits: ControlLimits::default(),
            directory: vec![DirectoryEntry { prefix, as_number, region: "north".to_owned(), country: None }],
        };
        ControlMachine::new(&self.node(name, host, seed), &config)
    }

    fn node(&self, name: &str, host: usize, seed: u64) -> NodeConfig {
        NodeConfig {
            name: name.parse().expect("a good name"),
            as_number: AsNumber::try_from(64_500).expect("not 0"),
            region: "north".to_owned(),
            address: address_of(host),
            seed: self.seed * 1000 + seed,
            // Only the fields above are read from it here.
            role: RoleConfig::Control(ControlConfig {
                port: 1,
                verify_key: [0; 32],
                part: ControlPart::default(),
                selection: self.selection.clone(),
                readd: self.readd,
                limits: ControlLimits::default(),
                directory: Vec::new(),
            }),
        }
    }

    /// Runs for a while, stops every peer, and checks what must always hold.
    pub(crate) fn run(mut net: Net, until: Time) -> Outcome {
        for host in 0..net.hosts.len() {
            if matches!(net.hosts[host].program, Program::Peer(_)) {
                net.at(until, Todo::Stop(host));
            }
        }
        net.run_until(until + 20 * SECOND);
        let outcome = Outcome::new(net);
        outcome.check();
        outcome
    }
}

/// What a run gave.
pub(crate) struct Outcome {
    pub(crate) net: Net,
    pub(crate) records: BTreeMap<u32, DownloadRecord>,
}

impl Outcome {
    fn new(net: Net) -> Self {
        let mut records = BTreeMap::new();
        for (_, _, event) in &net.events {
            if let EventKind::DownloadFinished(record) = event {
                let again = records.insert(record.download, (**record).clone());
                assert!(again.is_none(), "download {} finished twice", record.download);
            }
        }
        Self { net, records }
    }

    pub(crate) fn record(&self, download: u32) -> &DownloadRecord {
        self.records.get(&download).unwrap_or_else(|| panic!("download {download} has no record"))
    }

    pub(crate) fn completed(&self, download: u32) -> &DownloadRecord {
        let record = self.record(download);
        assert_eq!(record.status, TerminalStatus::Completed, "{record:?}");
        record
    }

    pub(crate) fn events(&self, host: usize) -> Vec<&EventKind> {
        self.net.events.iter().filter(|(_, of, _)| *of == host).map(|(_, _, event)| event).collect()
    }

    pub(crate) fn any_broken(&self) -> bool {
        self.transfers().any(|(_, transfer)| transfer.broken)
    }

    fn transfers(&self) -> impl Iterator<Item = (usize, &peerbed_contract::TransferRecord)> {
        self.net.events.iter().filter_map(|(_, host, event)| match event {
            EventKind::Transfer(transfer) => Some((*host, transfer)),
            _ => None,
        })
    }

    /// Terminal states, records that add up, and transfers that reconcile.
    fn check(&self) {
        for (index, host) in self.net.hosts.iter().enumerate() {
            if matches!(host.program, Program::Peer(_)) && host.is_alive() {
                assert!(host.finished, "host {index} has not finished");
            }
        }
        for (_, host, event) in &self.net.events {
            if let EventKind::DownloadStarted { download, .. } = event
                && self.net.hosts[*host].is_alive()
            {
                self.record(*download);
            }
        }
        for record in self.records.values() {
            let used = record.edge_bytes + record.peer_bytes;
            let by_source = |role| record.sources.iter().filter(|s| s.role == role).map(|s| s.bytes).sum::<u64>();
            assert_eq!(by_source(Role::Edge), record.edge_bytes);
            assert_eq!(by_source(Role::Peer), record.peer_bytes);
            assert!(used <= record.size);
            if record.status == TerminalStatus::Completed {
                assert_eq!(used, record.size, "{record:?}");
            }
            assert!(record.start_ns <= record.end_ns && record.active_ns <= record.end_ns - record.start_ns);
        }
        self.check_receivers();
        self.check_pairs();
    }

    /// What a peer's connections received is what its downloads used and wasted.
    fn check_receivers(&self) {
        let mut sums: BTreeMap<(usize, &ContentId), (u64, u64)> = BTreeMap::new();
        for (host, transfer) in self.transfers() {
            sums.entry((host, &transfer.content)).or_default().0 += transfer.received;
        }
        for (_, host, event) in &self.net.events {
            if let EventKind::DownloadFinished(record) = event {
                let used = record.edge_bytes + record.peer_bytes + record.wasted_bytes;
                sums.entry((*host, &record.content)).or_default().1 += used;
            }
        }
        for ((host, content), (received, accounted)) in sums {
            if self.net.hosts[host].is_alive() {
                assert_eq!(received, accounted, "host {host}, `{content}`");
            }
        }
    }

    /// What one side sent the other received, where no connection between them broke.
    fn check_pairs(&self) {
        #[derive(Default, Debug)]
        struct Pair {
            sent: u64,
            received: u64,
            broken: bool,
        }
        let mut pairs: BTreeMap<(std::net::IpAddr, std::net::IpAddr, &ContentId), Pair> = BTreeMap::new();
        for (host, transfer) in self.transfers() {
            let (me, remote) = (transfer.local.unwrap_or(address_of(host)), transfer.remote);
            let out = pairs.entry((me, remote, &transfer.content)).or_default();
            out.sent += transfer.sent;
            out.broken |= transfer.broken;
            let back = pairs.entry((remote, me, &transfer.content)).or_default();
            back.received += transfer.received;
            back.broken |= transfer.broken;
        }
        for (index, host) in self.net.hosts.iter().enumerate() {
            if let Program::Edge(edge) = &host.program {
                for ((to, content), bytes) in &edge.sent {
                    pairs.entry((address_of(index), *to, content)).or_default().sent += bytes;
                }
            }
        }
        for ((from, to, content), pair) in pairs {
            let alive = [from, to]
                .iter()
                .all(|address| self.net.hosts.iter().any(|host| host.address == *address && host.is_alive()));
            if alive && !pair.broken && !self.net.lost.contains(&(from, to)) {
                assert_eq!(pair.sent, pair.received, "{from} to {to}, `{content}`: {pair:?}");
            }
            assert!(pair.sent >= pair.received || !alive || pair.broken, "{from} to {to}: {pair:?}");
        }
    }
}

/// The rate of a download in Mbit/s of its active time.
pub(crate) fn speed(record: &DownloadRecord) -> f64 {
    record.size as f64 * 8e3 / record.active_ns as f64
}

/// The share of its bytes that came from peers.
pub(crate) fn efficiency(record: &DownloadRecord) -> f64 {
    record.peer_bytes as f64 / (record.peer_bytes + record.edge_bytes) as f64
}
