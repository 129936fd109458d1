//! Runs of a shipped experiment with events and counters that were drawn: as many as there would be, and no two alike.

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use peerbed::{
    engine::{EngineHealth, EngineReport, LedgerEntry, LinkSample, Sample},
    host::{CpuTimes, HostSample},
    record::RunRecord,
    results::{Ending, Identity, ResultsDir, RunOutcome},
};
use peerbed_contract::{
    ContentId, DownloadRecord, Event, EventKind, LoginRecord, NatClass, Role, RoleConfig, ScriptStep, SourceBytes,
    TerminalStatus, TransferRecord,
};
use peerbed_link::{Counters, Kind};
use peerbed_model::{Experiment, ExperimentFile, Plan, PlannedNode, Source, TopologyFile, experiment_name};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const REPEATS: u32 = 3;
const SECOND: u64 = 1_000_000_000;
const EPOCH: u64 = 77 * SECOND;

fn quick() -> Experiment {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let source = |path: &str| Source::from_bytes(path, fs::read(root.join(path)).expect("it is there")).expect("text");
    let file = ExperimentFile::parse(source("experiments/quick.yaml")).unwrap_or_else(|wrong| panic!("{wrong}"));
    let topology = TopologyFile::parse(source("topologies/three-isps.yaml")).unwrap_or_else(|wrong| panic!("{wrong}"));
    let name = experiment_name("quick").expect("a name");
    Experiment::resolve(name, file, topology).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// Makes results of every arm and three repeats below `root`; their directory.
pub(crate) fn results(root: &Path) -> PathBuf {
    let experiment = quick();
    let arms: Vec<&str> = experiment.arms().collect();
    let plan = |repeat, arm: &str| Arc::new(experiment.plan(arm, repeat, None).expect("a plan"));
    let plans: Vec<Arc<Plan>> = (0..REPEATS).flat_map(|repeat| arms.iter().map(move |arm| plan(repeat, arm))).collect();
    let outcomes: Vec<RunOutcome> = plans.iter().map(|plan| RunOutcome::of(Run::of(plan).record())).collect();
    let directory = ResultsDir::create(root, &plans, Identity::of(root)).expect("made");
    directory.finish(&outcomes, &Ending::Complete).expect("written").path
}

/// A run that is being made up.
struct Run<'a> {
    plan: &'a Arc<Plan>,
    rng: ChaCha8Rng,
    events: Vec<Event>,
    /// Content bytes by source, destination and object.
    crossed: BTreeMap<(usize, usize, ContentId), u64>,
}

impl<'a> Run<'a> {
    fn of(plan: &'a Arc<Plan>) -> Self {
        let seed = plan.seed ^ plan.arm.len() as u64;
        Self { plan, rng: ChaCha8Rng::seed_from_u64(seed), events: Vec::new(), crossed: BTreeMap::new() }
    }

    fn say(&mut self, node: &PlannedNode, t: u64, kind: EventKind) {
        self.events.push(Event { node: node.name.clone(), t, kind });
    }

    fn record(mut self) -> RunRecord {
        let plan = self.plan;
        let control = plan.nodes.iter().find(|node| node.role == Role::Control).expect("a control plane");
        for (index, node) in plan.nodes.iter().enumerate() {
            let RoleConfig::Peer(peer) = &node.config.role else { continue };
            let login = LoginRecord {
                guid: peer.guid,
                secondary: Vec::new(),
                address: (node.config.address, peer.port).into(),
                as_number: Some(node.config.as_number),
                region: Some(node.config.region.clone()),
                country: None,
                uploads: peer.uploads.enabled,
                nat: NatClass::None,
                version: "made up".to_owned(),
            };
            self.say(control, 1000, EventKind::Login(Box::new(login)));
            for step in &peer.script {
                self.download(index, step);
            }
        }
        self.transfers();
        let events = std::mem::take(&mut self.events);
        RunRecord {
            order: 0,
            plan: Arc::clone(plan),
            started: jiff::Timestamp::UNIX_EPOCH,
            epoch_ns: EPOCH,
            elapsed: plan.duration,
            setup: Duration::ZERO,
            teardown: Duration::ZERO,
            runtime: "none".to_owned(),
            runtime_details: BTreeMap::new(),
            engine: EngineReport {
                engine: "none".to_owned(),
                ends: "none".to_owned(),
                threads: 0,
                nice: 0,
                congestion_control: "none".to_owned(),
                offloads: String::new(),
            },
            events,
            acts: Vec::new(),
            exits: Vec::new(),
            samples: self.samples(),
            host: (0..=plan.duration.as_secs()).map(host).collect(),
            tick_late: vec![Duration::ZERO; plan.duration.as_secs() as usize + 1],
            faults: Vec::new(),
            interrupted: false,
        }
    }

    /// A download that ends in some way, with bytes from an edge and, but in the arm without, from three peers.
    fn download(&mut self, index: usize, step: &ScriptStep) {
        let plan = self.plan;
        let node = &plan.nodes[index];
        let RoleConfig::Peer(peer) = &node.config.role else { unreachable!("peers have scripts") };
        let object = peer.objects.iter().find(|object| object.id == step.content).expect("an object");
        let mut givers: Vec<usize> = (0..plan.nodes.len()).filter(|at| plan.nodes[*at].role == Role::Edge).collect();
        givers.truncate(1);
        if plan.arm != "edge-only" {
            let peers: Vec<usize> =
                (0..plan.nodes.len()).filter(|at| plan.nodes[*at].role == Role::Peer && *at != index).collect();
            givers.extend((0..3).map(|_| peers[self.rng.random_range(0..peers.len())]));
        }
        let mut sources: BTreeMap<IpAddr, SourceBytes> = BTreeMap::new();
        for giver in givers {
            let bytes = self.rng.random_range(1..object.size / 4);
            let PlannedNode { role, config, .. } = &plan.nodes[giver];
            let source = SourceBytes { address: config.address, role: *role, guid: None, bytes: 0, to: None };
            sources.entry(config.address).or_insert(source).bytes += bytes;
            *self.crossed.entry((giver, index, object.id.clone())).or_default() += bytes;
        }
        let of = |role| sources.values().filter(|source| source.role == role).map(|source| source.bytes).sum();
        let active = self.rng.random_range(SECOND..6 * SECOND);
        let status = match self.rng.random_range(0..5) {
            0 => TerminalStatus::Aborted,
            1 => TerminalStatus::Failed,
            _ => TerminalStatus::Completed,
        };
        let finished = DownloadRecord {
            download: step.download,
            guid: peer.guid,
            content: object.id.clone(),
            size: object.size,
            provider: object.provider.clone(),
            as_number: node.config.as_number,
            region: node.config.region.clone(),
            start_ns: step.at_ns,
            first_byte_ns: Some(step.at_ns + 20_000_000),
            end_ns: step.at_ns + active,
            active_ns: active,
            offline_ns: 0,
            status,
            pauses: 0,
            stalls: 0,
            edge_bytes: of(Role::Edge),
            peer_bytes: of(Role::Peer),
            wasted_bytes: 0,
            sources: sources.into_values().collect(),
            copies_registered: Some(self.rng.random_range(0..20)),
            peers_returned: Some(self.rng.random_range(0..10)),
            rejected_pieces: 0,
            failure: (status == TerminalStatus::Failed).then(|| "made up".to_owned()),
        };
        let started = EventKind::DownloadStarted { download: step.download, content: object.id.clone() };
        self.say(node, step.at_ns, started);
        self.say(node, step.at_ns + active, EventKind::DownloadFinished(Box::new(finished)));
    }

    /// What both sides of every pair say.
    fn transfers(&mut self) {
        let plan = self.plan;
        for ((from, to, content), bytes) in self.crossed.clone() {
            let (from, to) = (&plan.nodes[from], &plan.nodes[to]);
            for (who, remote, sent, received) in [(from, to, bytes, 0), (to, from, 0, bytes)] {
                let (remote, content) = (remote.config.address, content.clone());
                let record = TransferRecord { remote, local: None, content, sent, received, broken: false };
                self.say(who, plan.duration.as_nanos() as u64, EventKind::Transfer(record));
            }
        }
    }

    /// Counters, once a second, that rise by what is drawn.
    fn samples(&mut self) -> Vec<Sample> {
        let fabric = &self.plan.fabric;
        let mut access = vec![LinkSample::default(); fabric.nodes.len()];
        let mut links = vec![LinkSample::default(); fabric.links.len()];
        let (edge, peer) = (&fabric.nodes[0], fabric.nodes.last().expect("nodes"));
        let mut samples = Vec::new();
        for second in 0..=self.plan.duration.as_secs() {
            for link in access.iter_mut().chain(&mut links) {
                for counters in [&mut link.forward, &mut link.backward] {
                    self.carry(counters);
                }
            }
            samples.push(Sample {
                at_ns: EPOCH + second * SECOND,
                access: access.clone(),
                links: links.clone(),
                ledger: vec![LedgerEntry {
                    from: edge.as_number,
                    to: peer.as_number,
                    kind: Kind::Edge,
                    packets: second,
                    bytes: second * 1500,
                }],
                health: EngineHealth::default(),
            });
        }
        samples
    }

    fn carry(&mut self, counters: &mut Counters) {
        let bytes = self.rng.random_range(0..5_000_000);
        counters.offered_bytes += bytes;
        counters.carried_bytes += bytes;
        counters.offered_packets += bytes / 1500;
        counters.carried_packets += bytes / 1500;
    }
}

fn host(second: u64) -> HostSample {
    HostSample {
        at_ns: EPOCH + second * SECOND,
        cpu: CpuTimes {
            user_ms: 400 * second,
            system_ms: 100 * second,
            interrupt_ms: 50 * second,
            idle_ms: 1450 * second,
            steal_ms: 0,
        },
        memory_available_bytes: 1 << 30,
        load_1m: 0.5,
        runnable: 1,
        cores: 2,
        wall_offset_ns: 0,
        boot_offset_ns: 0,
        pressure: None,
    }
}
