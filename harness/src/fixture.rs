//! For tests: a small run in which everything is as it should be, to be measured, or damaged and then judged.
//!
//! Two ASes: AS 1 with `edge-0`, `control-0`, `peer-0` and `peer-1`, AS 2 with `edge-1` and `peer-2`. `patch` has 1 000 000
//! bytes in ten pieces, `film` twice as many.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use peerbed_contract::{
    AsNumber, ContentId, ControlConfig, DownloadRecord, EdgeConfig, EdgeMode, Event, EventKind, Guid, NodeConfig,
    NodeName, Object, PeerConfig, Role, RoleConfig, ScriptStep, Selection, SourceBytes, Storage, Strategy,
    TerminalStatus, TransferRecord, UploadPolicy,
};
use peerbed_link::{Bandwidth, Counters, Duplex, Fabric, FabricLink, FabricNode, Kind, LinkSpec, Rate};
use peerbed_model::{Plan, PlannedNode, Setting};

use crate::{
    engine::{EngineHealth, EngineReport, LedgerEntry, LinkSample, Sample},
    host::{CpuTimes, HostSample, Pressure},
    record::{NodeExit, RunRecord},
};

const MS: u64 = 1_000_000;
/// The start of every run on `CLOCK_MONOTONIC`.
pub(crate) const EPOCH: u64 = 5_000_000 * MS;
/// `(name, AS, role)`.
const NODES: [(&str, u32, Role); 6] = [
    ("edge-0", 1, Role::Edge),
    ("control-0", 1, Role::Control),
    ("peer-0", 1, Role::Peer),
    ("peer-1", 1, Role::Peer),
    ("edge-1", 2, Role::Edge),
    ("peer-2", 2, Role::Peer),
];

pub(crate) fn name(text: &str) -> NodeName {
    text.parse().expect("a name")
}

pub(crate) fn content(text: &str) -> ContentId {
    text.parse().expect("a name")
}

pub(crate) fn as_number(number: u32) -> AsNumber {
    number.try_into().expect("an AS number")
}

pub(crate) fn address(node: &str) -> Ipv4Addr {
    let index = NODES.iter().position(|(name, ..)| *name == node).expect("a node of the fixture");
    Ipv4Addr::new(10, 0, 0, index as u8 + 1)
}

fn role(node: &str) -> Role {
    NODES.iter().find(|(name, ..)| *name == node).expect("a node of the fixture").2
}

fn as_of(node: &str) -> u32 {
    NODES.iter().find(|(name, ..)| *name == node).expect("a node of the fixture").1
}

fn objects() -> Vec<Object> {
    let object = |id, size| Object {
        id: content(id),
        provider: "A".into(),
        size,
        piece_length: 100_000,
        key: 7,
        peers_allowed: true,
    };
    vec![object("patch", 1_000_000), object("film", 2_000_000)]
}

fn role_config(role: Role) -> RoleConfig {
    match role {
        Role::Edge => RoleConfig::Edge(EdgeConfig {
            port: 80,
            objects: objects(),
            signing_key: [1; 32],
            token_lifetime_ns: 60_000 * MS,
        }),
        Role::Control => RoleConfig::Control(ControlConfig {
            port: 700,
            verify_key: [2; 32],
            selection: Selection { strategy: Strategy::Nested, max_returned: 40, diversity: 0.1 },
            directory: Vec::new(),
        }),
        Role::Peer => RoleConfig::Peer(Box::new(PeerConfig {
            guid: Guid::from_bytes([9; 16]),
            port: 800,
            control: None,
            edges: vec![SocketAddr::from((address("edge-0"), 80))],
            verify_key: [2; 32],
            uploads: UploadPolicy { enabled: true, per_copy: 5, connections: 4, rate_bps: None },
            edge_mode: EdgeMode::Backstop,
            max_sources: 4,
            objects: objects(),
            holds: Vec::new(),
            storage: Storage::Synthetic,
            script: Vec::new(),
            corrupts: false,
        })),
    }
}

/// A run without any download: ten seconds, links of 100 Mbit/s without delay.
pub(crate) fn plan(arm: &str, repeat: u32) -> Plan {
    let limited = LinkSpec {
        bandwidth: Bandwidth::Limited(Rate::from_bps(100_000_000).expect("a rate")),
        ..LinkSpec::TRANSPARENT
    };
    let nodes = NODES.map(|(node, number, role)| FabricNode {
        name: name(node),
        role,
        as_number: as_number(number),
        address: address(node),
        access: Duplex { up: limited, down: limited },
    });
    let planned = NODES.map(|(node, number, role)| PlannedNode {
        name: name(node),
        role,
        group: if role == Role::Peer { "homes" } else { "servers" }.into(),
        command: Vec::new(),
        config: NodeConfig {
            name: name(node),
            as_number: as_number(number),
            region: "north".into(),
            address: IpAddr::V4(address(node)),
            seed: 3,
            role: role_config(role),
        },
    });
    let link =
        FabricLink { name: "one~two".into(), a: as_number(1), b: as_number(2), forward: limited, backward: limited };
    Plan {
        experiment: "small".into(),
        question: "Does it work?".into(),
        arm: arm.into(),
        repeat,
        seed: 11 + u64::from(repeat),
        duration: Duration::from_secs(10),
        fabric: Fabric {
            seed: 5,
            congestion_control: "cubic".into(),
            nodes: nodes.to_vec(),
            links: vec![link],
            routes: Vec::new(),
        },
        as_names: BTreeMap::from([(as_number(1), "one".into()), (as_number(2), "two".into())]),
        nodes: planned.to_vec(),
        timeline: Vec::new(),
        expect: Vec::new(),
        parameters: BTreeMap::from([("policy.uploads.per_copy".into(), Setting::Number(5.0))]),
    }
}

/// One download as the fixture tells it; bytes by the name of their source.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) number: u32,
    pub(crate) peer: &'static str,
    pub(crate) content: &'static str,
    pub(crate) start_ms: u64,
    pub(crate) active_ms: u64,
    pub(crate) paused_ms: u64,
    pub(crate) pauses: u32,
    pub(crate) stalls: u32,
    pub(crate) status: TerminalStatus,
    pub(crate) sources: &'static [(&'static str, u64)],
    pub(crate) wasted: u64,
    pub(crate) answer: Option<(u32, u32)>,
}

/// What the clean run downloads.
pub(crate) const TOLD: [Told; 4] = [
    Told {
        number: 0,
        peer: "peer-0",
        content: "patch",
        start_ms: 1000,
        active_ms: 2000,
        paused_ms: 0,
        pauses: 0,
        stalls: 0,
        status: TerminalStatus::Completed,
        sources: &[("edge-0", 400_000), ("peer-1", 600_000)],
        wasted: 0,
        answer: Some((1, 1)),
    },
    Told {
        number: 1,
        peer: "peer-2",
        content: "patch",
        start_ms: 2000,
        active_ms: 4000,
        paused_ms: 1000,
        pauses: 1,
        stalls: 2,
        status: TerminalStatus::Completed,
        sources: &[("edge-1", 250_000), ("peer-0", 50_000), ("peer-1", 700_000)],
        wasted: 0,
        answer: Some((3, 2)),
    },
    Told {
        number: 2,
        peer: "peer-0",
        content: "film",
        start_ms: 4000,
        active_ms: 1000,
        paused_ms: 0,
        pauses: 1,
        stalls: 0,
        status: TerminalStatus::Paused,
        sources: &[("edge-0", 100_000)],
        wasted: 5_000,
        answer: None,
    },
    Told {
        number: 3,
        peer: "peer-2",
        content: "film",
        start_ms: 5000,
        active_ms: 3000,
        paused_ms: 0,
        pauses: 0,
        stalls: 1,
        status: TerminalStatus::Failed,
        sources: &[],
        wasted: 0,
        answer: None,
    },
];

/// The clean run of [`TOLD`].
pub(crate) fn record(arm: &str, repeat: u32) -> RunRecord {
    record_of(plan(arm, repeat), &TOLD)
}

/// A clean run of these downloads: everything that is said of them agrees.
pub(crate) fn record_of(mut plan: Plan, told: &[Told]) -> RunRecord {
    let mut events = Vec::new();
    let mut say = |node: &str, ms: u64, kind| events.push(Event { node: name(node), t: ms * MS, kind });
    let mut bytes: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for told in told {
        let node = plan.nodes.iter_mut().find(|node| node.name.as_str() == told.peer).expect("a node of the fixture");
        if let RoleConfig::Peer(peer) = &mut node.config.role {
            peer.script.push(step(told));
        }
        let started = EventKind::DownloadStarted { download: told.number, content: content(told.content) };
        say(told.peer, told.start_ms, started);
        let end = told.start_ms + told.active_ms + told.paused_ms;
        say(told.peer, end, EventKind::DownloadFinished(Box::new(finished(told))));
        for (index, (source, used)) in told.sources.iter().enumerate() {
            let crossed = used + if index == 0 { told.wasted } else { 0 };
            *bytes.entry((source, told.peer)).or_default() += crossed;
            say(source, end, transfer(told.peer, told.content, crossed, 0));
            say(told.peer, end, transfer(source, told.content, 0, crossed));
        }
    }
    for (node, ..) in NODES {
        say(node, 9_990, EventKind::Stopped);
    }
    let exit = |(node, ..): &(&str, u32, Role)| NodeExit {
        node: name(node),
        t: 9_995 * MS,
        code: Some(0),
        signal: None,
        planned: true,
    };
    RunRecord {
        plan: Arc::new(plan),
        started: jiff::Timestamp::UNIX_EPOCH,
        epoch_ns: EPOCH,
        elapsed: Duration::from_secs(10),
        setup: Duration::from_millis(300),
        teardown: Duration::from_millis(80),
        runtime: "netns".into(),
        engine: EngineReport {
            engine: "wire".into(),
            ends: "tun".into(),
            threads: 2,
            nice: 0,
            congestion_control: "cubic".into(),
            offloads: "tso4".into(),
        },
        events,
        exits: NODES.iter().map(exit).collect(),
        samples: samples(&bytes),
        host: (0..=10).map(host).collect(),
        tick_late_max: Duration::from_millis(3),
        faults: Vec::new(),
        interrupted: false,
    }
}

fn step(told: &Told) -> ScriptStep {
    ScriptStep { download: told.number, at_ns: told.start_ms * MS, content: content(told.content), user: Vec::new() }
}

pub(crate) fn transfer(remote: &str, what: &str, sent: u64, received: u64) -> EventKind {
    EventKind::Transfer(TransferRecord {
        remote: IpAddr::V4(address(remote)),
        content: content(what),
        sent,
        received,
        broken: false,
    })
}

fn finished(told: &Told) -> DownloadRecord {
    let of = |wanted: Role| told.sources.iter().filter(|(node, _)| role(node) == wanted).map(|(_, bytes)| bytes).sum();
    let source = |(node, bytes): &(&str, u64)| SourceBytes {
        address: IpAddr::V4(address(node)),
        role: role(node),
        guid: None,
        bytes: *bytes,
    };
    let size = objects().into_iter().find(|object| object.id == content(told.content)).expect("an object").size;
    DownloadRecord {
        download: told.number,
        guid: Guid::from_bytes([9; 16]),
        content: content(told.content),
        size,
        provider: "A".into(),
        as_number: as_number(as_of(told.peer)),
        region: "north".into(),
        start_ns: told.start_ms * MS,
        first_byte_ns: (!told.sources.is_empty()).then_some((told.start_ms + 100) * MS),
        end_ns: (told.start_ms + told.active_ms + told.paused_ms) * MS,
        active_ns: told.active_ms * MS,
        status: told.status,
        pauses: told.pauses,
        stalls: told.stalls,
        edge_bytes: of(Role::Edge),
        peer_bytes: of(Role::Peer),
        wasted_bytes: told.wasted,
        sources: told.sources.iter().map(source).collect(),
        copies_registered: told.answer.map(|(copies, _)| copies),
        peers_returned: told.answer.map(|(_, returned)| returned),
        rejected_pieces: 0,
        failure: (told.status == TerminalStatus::Failed).then(|| "no edge answered".to_owned()),
    }
}

/// Counters at the start, each second, and 20 ms after the tenth: what crossed was on the wire with 5 % more bytes, evenly
/// from the third to the seventh second, but the edges sent all of theirs in the fourth.
fn samples(bytes: &BTreeMap<(&str, &str), u64>) -> Vec<Sample> {
    let mut moments: Vec<u64> = (0..=10).map(|second| second * 1000).collect();
    moments.push(10_020);
    moments.into_iter().map(|ms| sample(bytes, ms)).collect()
}

fn sample(bytes: &BTreeMap<(&str, &str), u64>, ms: u64) -> Sample {
    let mut access = vec![LinkSample::default(); NODES.len()];
    let mut links = vec![LinkSample::default()];
    let mut ledger: BTreeMap<(AsNumber, AsNumber, Kind), u64> = BTreeMap::new();
    let index = |node: &str| NODES.iter().position(|(name, ..)| *name == node).expect("a node of the fixture");
    let mut cross = |from: &str, to: &str, wire: u64| {
        carry(&mut access[index(from)].forward, wire);
        carry(&mut access[index(to)].backward, wire);
        match as_of(from).cmp(&as_of(to)) {
            std::cmp::Ordering::Less => carry(&mut links[0].forward, wire),
            std::cmp::Ordering::Greater => carry(&mut links[0].backward, wire),
            std::cmp::Ordering::Equal => {}
        }
        let kind = Kind::between(role(from), role(to));
        *ledger.entry((as_number(as_of(from)), as_number(as_of(to)), kind)).or_default() += wire;
    };
    for ((from, to), count) in bytes {
        let whole = count * 105 / 100;
        let share = match role(from) {
            Role::Edge => {
                if ms >= 4000 {
                    5
                } else {
                    0
                }
            }
            _ => (ms / 1000).saturating_sub(2).min(5),
        };
        cross(from, to, whole / 5 * share);
    }
    cross("peer-2", "control-0", 400 * (ms / 1000).min(10));
    Sample {
        at_ns: EPOCH + ms * MS,
        access,
        links,
        ledger: ledger
            .into_iter()
            .filter(|(_, bytes)| *bytes > 0)
            .map(|((from, to, kind), bytes)| LedgerEntry { from, to, kind, packets: bytes.div_ceil(1500), bytes })
            .collect(),
        health: EngineHealth {
            released: 100,
            late_p50_ns: 40_000,
            late_p99_ns: 300_000,
            late_max_ns: 900_000,
            overruns: 0,
            strays: 0,
        },
    }
}

fn carry(counters: &mut Counters, wire: u64) {
    counters.offered_bytes += wire;
    counters.carried_bytes += wire;
    counters.offered_packets += wire.div_ceil(1500);
    counters.carried_packets += wire.div_ceil(1500);
}

fn host(second: u64) -> HostSample {
    HostSample {
        at_ns: EPOCH + second * 1000 * MS + MS,
        cpu: CpuTimes {
            user_ms: 500 * second,
            system_ms: 300 * second,
            interrupt_ms: 100 * second,
            idle_ms: 1100 * second,
            steal_ms: 0,
        },
        memory_available_bytes: 8 << 30,
        load_1m: 0.5,
        pressure: Some(Pressure { cpu_us: 1000 * second, memory_us: 0, io_us: 0 }),
    }
}

/// The first event that `pick` takes, to be changed.
pub(crate) fn change<T>(record: &mut RunRecord, pick: impl FnMut(&mut Event) -> Option<T>) -> T {
    record.events.iter_mut().find_map(pick).expect("the fixture has such an event")
}
