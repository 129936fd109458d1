//! Downloads over loopback sockets, from an edge and from peers, and the accounts that must agree.

mod support;

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use peerbed_contract::{
    Command, DownloadRecord, EdgeLimits, EdgeMode, EventKind, Object, Order, PeerConfig, TerminalStatus,
};
use peerbed_driver::Told;
use support::{
    Live, ask_for, control, edge, edge_that_only_authorises, limited_edge, object, peer, start_peer, transfers,
};

const SIZE: u64 = 20_000_003;

fn finished(live: &mut Live) -> DownloadRecord {
    match live.wait_for(|kind| matches!(kind, EventKind::DownloadFinished(_))) {
        EventKind::DownloadFinished(record) => *record,
        other => unreachable!("{other:?}"),
    }
}

/// Checks that for every pair of nodes what one sent is what the other received, or, where either says that a connection
/// broke, no less; gives the sent bytes by (from, to).
fn reconcile(nodes: &[(IpAddr, Vec<EventKind>)]) -> BTreeMap<(IpAddr, IpAddr), u64> {
    let mut pairs = BTreeMap::<_, (u64, u64, bool)>::new();
    for (address, events) in nodes {
        for record in transfers(events) {
            let out = pairs.entry((*address, record.remote)).or_default();
            out.0 += record.sent;
            out.2 |= record.broken;
            let back = pairs.entry((record.remote, *address)).or_default();
            back.1 += record.received;
            back.2 |= record.broken;
        }
    }
    for (pair, (sent, received, broken)) in &pairs {
        assert!(sent == received || *broken && sent > received, "{pair:?}: {sent} sent, {received} received, {broken}");
    }
    pairs.retain(|_, (sent, _, _)| *sent > 0);
    pairs.into_iter().map(|(pair, (sent, _, _))| (pair, sent)).collect()
}

/// Asserts that no connection broke.
fn all_clean(nodes: &[(IpAddr, Vec<EventKind>)]) {
    for (address, events) in nodes {
        assert!(transfers(events).iter().all(|record| !record.broken), "{address}: {events:?}");
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An edge, a control plane and peers 11, 12, … that hold the object.
struct Swarm {
    object: Object,
    edge: SocketAddr,
    /// None where the edge only authorises and serves no byte.
    live_edge: Option<Live>,
    control: Live,
    seeds: Vec<(IpAddr, Live)>,
}

impl Swarm {
    fn new(size: u64, seeds: &[u8], change: impl Fn(&mut PeerConfig)) -> Self {
        let object = object("patch", size);
        let live = Live::start(edge("127.0.0.1", std::slice::from_ref(&object)));
        Self::around(object, live.listen, Some(live), seeds, change)
    }

    /// A swarm that gets everything from its peers.
    fn without_an_edge(size: u64, seeds: &[u8]) -> Self {
        let object = object("patch", size);
        let edge = edge_that_only_authorises(&object);
        Self::around(object, edge, None, seeds, |_| {})
    }

    fn around(
        object: Object,
        edge: SocketAddr,
        live_edge: Option<Live>,
        seeds: &[u8],
        change: impl Fn(&mut PeerConfig),
    ) -> Self {
        let control = Live::start(control("127.0.0.9"));
        let mut swarm = Self { object, edge, live_edge, control, seeds: Vec::new() };
        for number in seeds {
            let mut config = swarm.peer(*number);
            config.holds.push(swarm.object.id.clone());
            change(&mut config);
            let address = format!("127.0.0.{number}");
            swarm.seeds.push((ip(&address), start_peer(&address, config)));
        }
        swarm
    }

    fn peer(&self, number: u8) -> PeerConfig {
        peer(number, self.edge, Some(self.control.listen), std::slice::from_ref(&self.object))
    }

    /// Starts peer `number`, which asks for the object when the seeds have had time to register.
    fn asker(&self, number: u8) -> Live {
        let mut config = self.peer(number);
        ask_for(&mut config, u32::from(number), &self.object);
        config.script[0].at_ns = 300_000_000;
        start_peer(&format!("127.0.0.{number}"), config)
    }

    /// Stops all that is left; gives every node's events but the control plane's.
    fn stop(self, mut nodes: Vec<(IpAddr, Vec<EventKind>)>) -> Vec<(IpAddr, Vec<EventKind>)> {
        nodes.extend(self.seeds.into_iter().map(|(address, seed)| (address, seed.stop())));
        nodes.extend(self.live_edge.map(|edge| (ip("127.0.0.1"), edge.stop())));
        let told = self.control.stop();
        let report = |event: &EventKind| matches!(event, EventKind::Notice { message } if message.contains("usage"));
        assert!(told.iter().any(report), "{told:?}");
        nodes
    }
}

#[test]
fn from_the_edge_alone() {
    let patch = object("patch", SIZE);
    let edge = Live::start(edge("127.0.0.1", std::slice::from_ref(&patch)));
    let mut config = peer(2, edge.listen, None, std::slice::from_ref(&patch));
    config.edge_mode = EdgeMode::Only;
    ask_for(&mut config, 7, &patch);
    let mut asker = start_peer("127.0.0.2", config);
    let record = finished(&mut asker);
    assert_eq!((record.download, record.status), (7, TerminalStatus::Completed));
    assert_eq!((record.edge_bytes, record.peer_bytes, record.wasted_bytes), (SIZE, 0, 0));
    let nodes = [(ip("127.0.0.2"), asker.stop()), (ip("127.0.0.1"), edge.stop())];
    all_clean(&nodes);
    assert_eq!(reconcile(&nodes), [((ip("127.0.0.1"), ip("127.0.0.2")), SIZE)].into());
}

#[test]
fn from_peers_and_the_edge() {
    let swarm = Swarm::new(SIZE, &[11, 12], |_| {});
    let mut asker = swarm.asker(2);
    let record = finished(&mut asker);
    assert_eq!(record.status, TerminalStatus::Completed);
    assert_eq!(record.edge_bytes + record.peer_bytes, SIZE);
    assert_eq!((record.copies_registered, record.peers_returned), (Some(2), Some(2)));
    assert_eq!(record.rejected_pieces, 0);
    let nodes = swarm.stop(vec![(ip("127.0.0.2"), asker.stop())]);
    let sent: u64 = reconcile(&nodes).values().sum();
    assert!(sent >= SIZE + record.wasted_bytes, "{sent} {record:?}");
}

#[test]
fn damaged_pieces_are_fetched_elsewhere() {
    let swarm = Swarm::new(4 * SIZE, &[11], |seed| seed.misbehaviour.corrupt = true);
    let mut asker = swarm.asker(2);
    let record = finished(&mut asker);
    assert_eq!((record.status, record.edge_bytes, record.peer_bytes), (TerminalStatus::Completed, 4 * SIZE, 0));
    assert!(record.rejected_pieces > 0 && record.wasted_bytes > 0, "{record:?}");
    let asker = asker.stop();
    let rejected =
        |event: &EventKind| matches!(event, EventKind::PieceRejected { from, .. } if *from == ip("127.0.0.11"));
    assert!(asker.iter().any(rejected), "{asker:?}");
    reconcile(&swarm.stop(vec![(ip("127.0.0.2"), asker)]));
}

#[test]
fn who_has_downloaded_serves_those_who_come_later() {
    let mut swarm = Swarm::without_an_edge(SIZE, &[11]);
    let mut first = swarm.asker(2);
    assert_eq!(finished(&mut first).peer_bytes, SIZE);
    // The first holder leaves.
    let (address, seed) = swarm.seeds.remove(0);
    let mut nodes = vec![(address, seed.stop())];

    let mut later = [3, 4].map(|number| (number, swarm.asker(number)));
    for (_, asker) in &mut later {
        let record = finished(asker);
        assert_eq!((record.status, record.peer_bytes, record.edge_bytes), (TerminalStatus::Completed, SIZE, 0));
    }
    nodes.extend(later.map(|(number, asker)| (ip(&format!("127.0.0.{number}")), asker.stop())));
    nodes.push((ip("127.0.0.2"), first.stop()));
    reconcile(&swarm.stop(nodes));
}

#[test]
fn from_one_peer_alone() {
    let swarm = Swarm::without_an_edge(SIZE, &[11]);
    let mut asker = swarm.asker(2);
    let record = finished(&mut asker);
    assert_eq!((record.status, record.peer_bytes, record.wasted_bytes), (TerminalStatus::Completed, SIZE, 0));
    let nodes = swarm.stop(vec![(ip("127.0.0.2"), asker.stop())]);
    all_clean(&nodes);
    assert_eq!(reconcile(&nodes), [((ip("127.0.0.11"), ip("127.0.0.2")), SIZE)].into());
}

#[test]
fn a_stop_in_the_middle_is_accounted() {
    for (round, told) in [Told::Command(Command::Stop), Told::End, Told::Command(Command::Stop)].into_iter().enumerate()
    {
        // Far more than can be downloaded before the stop.
        let swarm = Swarm::new(200_000_000, &[11, 12], |_| {});
        let mut asker = swarm.asker(2);
        asker.wait_for(|kind| matches!(kind, EventKind::PeersReturned { .. }));
        thread::sleep(Duration::from_millis(37 * round as u64)); // any moment will do
        let events = asker.end(told);
        let record = events.iter().find_map(|event| match event {
            EventKind::DownloadFinished(record) => Some(record),
            _ => None,
        });
        assert_eq!(record.expect("every download has an end").status, TerminalStatus::Unfinished);
        reconcile(&swarm.stop(vec![(ip("127.0.0.2"), events)]));
    }
}

#[test]
fn nonsense_at_the_listener_of_a_peer_closes_only_its_own_connection() {
    let swarm = Swarm::without_an_edge(SIZE, &[11]);
    let listen = swarm.seeds[0].1.listen;
    let frames: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",              // a length beyond the limit
        &[0, 0, 0, 1, 99],                      // no such message
        &[0, 0, 0, 2, 12, 5],                   // a message that is not the first of a dialogue
        &[0, 0, 0, 3, 16, 1, 9, 1, 2, 3, 4],    // content that nobody asked for
        &[0, 0, 0, 5, 16, 1, 0xff, 0xff, 0x7f], // a part beyond the limit
    ];
    for frame in frames {
        let mut stream = TcpStream::connect(listen).unwrap();
        stream.write_all(frame).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let ended = stream.read_to_end(&mut Vec::new());
        let timed_out = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
        assert!(!ended.as_ref().is_err_and(timed_out), "{frame:?} was left open");
    }
    let mut asker = swarm.asker(2);
    assert_eq!(finished(&mut asker).peer_bytes, SIZE, "the seed still serves");
    reconcile(&swarm.stop(vec![(ip("127.0.0.2"), asker.stop())]));
}

#[test]
fn an_edge_that_is_out_of_service_is_waited_for() {
    let patch = object("patch", SIZE);
    let edge = Live::start(edge("127.0.0.1", std::slice::from_ref(&patch)));
    edge.order(Order::Outage { for_ns: 1_500_000_000 });
    let mut config = peer(2, edge.listen, None, std::slice::from_ref(&patch));
    config.edge_mode = EdgeMode::Only;
    ask_for(&mut config, 7, &patch);
    // The order is known to have been heard when a stranger is turned away.
    let mut stranger = TcpStream::connect(edge.listen).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\nhost: e\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stranger.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 2\r\n"), "{answer}");
    let mut asker = start_peer("127.0.0.2", config);
    let record = finished(&mut asker);
    assert_eq!((record.status, record.edge_bytes, record.wasted_bytes), (TerminalStatus::Completed, SIZE, 0));
    assert!(record.first_byte_ns.unwrap() > 1_000_000_000, "{record:?}");
    let nodes = [(ip("127.0.0.2"), asker.stop()), (ip("127.0.0.1"), edge.stop())];
    all_clean(&nodes);
    reconcile(&nodes);
}

#[test]
fn an_order_that_a_node_has_no_use_for_is_told() {
    let mut live = Live::start(control("127.0.0.9"));
    live.order(Order::Outage { for_ns: 1 });
    let told = live.wait_for(|kind| matches!(kind, EventKind::Notice { .. }));
    assert_eq!(told, EventKind::Notice { message: "a control plane has no use for the order `outage`".to_owned() });
    live.stop();
}

#[test]
fn everybody_completes_at_an_edge_that_is_overloaded() {
    let patch = object("patch", 3_000_000);
    let limits = EdgeLimits { requests: Some(1), ..EdgeLimits::default() };
    let edge = Live::start(limited_edge("127.0.0.1", std::slice::from_ref(&patch), limits));
    // Whoever takes a body without reading it keeps everybody else out.
    let mut holder = TcpStream::connect(edge.listen).unwrap();
    holder.write_all(b"GET /objects/patch HTTP/1.1\r\nhost: e\r\nconnection: close\r\n\r\n").unwrap();
    let mut first = [0];
    holder.read_exact(&mut first).unwrap();
    let ask = || {
        let mut stranger = TcpStream::connect(edge.listen).unwrap();
        let range = "GET /objects/patch HTTP/1.1\r\nhost: e\r\nrange: bytes=0-0\r\nconnection: close\r\n\r\n";
        stranger.write_all(range.as_bytes()).unwrap();
        let mut answer = String::new();
        stranger.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = ask();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    let mut askers: Vec<_> = (2..8)
        .map(|number| {
            let mut config = peer(number, edge.listen, None, std::slice::from_ref(&patch));
            config.edge_mode = EdgeMode::Only;
            ask_for(&mut config, number.into(), &patch);
            (ip(&format!("127.0.0.{number}")), start_peer(&format!("127.0.0.{number}"), config))
        })
        .collect();
    let mut rest = Vec::new();
    holder.read_to_end(&mut rest).unwrap();
    for (_, asker) in &mut askers {
        let record = finished(asker);
        assert_eq!((record.status, record.edge_bytes, record.wasted_bytes), (TerminalStatus::Completed, 3_000_000, 0));
    }
    let mut nodes: Vec<_> = askers.into_iter().map(|(address, asker)| (address, asker.stop())).collect();
    let events = edge.stop();
    let refused = events.iter().find_map(|event| match event {
        EventKind::Requests { refused, .. } => Some(*refused),
        _ => None,
    });
    assert!(refused.unwrap() > 1, "{events:?}");
    let mine: Vec<_> = events
        .into_iter()
        .filter(|event| !matches!(event, EventKind::Transfer(record) if record.remote == ip("127.0.0.1")))
        .collect();
    nodes.push((ip("127.0.0.1"), mine));
    all_clean(&nodes);
    reconcile(&nodes);
}
