//! The fabric as the engine's threads need it: who has which address, over which pipes packets go, and the pipes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use peerbed_contract::{AsNumber, NatClass, Role};
use peerbed_link::{
    Counters, Fabric, FabricPlace, Heading, Kind, LinkSpec, Moment, Nat, Pipe, Rate, Retimed, Service, Trace, TraceId,
};

use super::{WireError, shared::Parcel};
use crate::engine::LinkSample;

/// A node's index among [`Fabric::attachments`]: a host, or a place of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeIndex(pub(super) u32);

/// One direction of one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PipeIndex(u32);

/// From which AS to which, and over which pipes between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RouteIndex(u32);

/// A pipe that several threads use.
#[derive(Debug)]
struct SharedPipe {
    pipe: Mutex<Pipe>,
    /// Its rate in bit/s (in the long run), the highest number if unlimited; apart, so that it can be read without the lock.
    bps: AtomicU64,
}

#[derive(Debug)]
struct Node {
    name: String,
    role: Role,
    as_index: u32,
    address: IpAddr,
    /// It is a place, or a host that has some.
    moves: bool,
}

/// The emulated network.
#[derive(Debug)]
pub(super) struct Network {
    nodes: Vec<Node>,
    ases: Vec<AsNumber>,
    by_address: HashMap<IpAddr, NodeIndex>,
    route_of: HashMap<(u32, u32), RouteIndex>,
    /// The inter-AS pipes of each route, in order.
    routes: Vec<Box<[PipeIndex]>>,
    /// Two for each node (up, down), then two for each link (forward, backward).
    pipes: Vec<SharedPipe>,
    links: usize,
    traces: BTreeMap<TraceId, Trace>,
    /// What stands in front of each node; none where its ports stay.
    nats: Vec<Option<Mutex<Nat>>>,
    /// Of each place, the index of the host that it is kept for.
    places: Vec<usize>,
}

impl Network {
    pub(super) fn new(fabric: &Fabric, now: Moment) -> Result<Self, WireError> {
        let numbers = fabric.attachments().map(|node| node.as_number);
        let numbers: BTreeSet<AsNumber> =
            numbers.chain(fabric.routes.iter().flat_map(|route| [route.from, route.to])).collect();
        let ases: Vec<AsNumber> = numbers.into_iter().collect();
        let as_index: BTreeMap<AsNumber, u32> = ases.iter().copied().zip(0..).collect();

        let mut by_address = HashMap::new();
        let mut nodes: Vec<Node> = Vec::new();
        for (node, index) in fabric.attachments().zip(0..) {
            if let Some(NodeIndex(other)) = by_address.insert(node.address, NodeIndex(index)) {
                let other = nodes[other as usize].name.clone();
                return Err(WireError::Address(other, node.name.to_string(), node.address));
            }
            nodes.push(Node {
                name: node.name.to_string(),
                role: node.role,
                as_index: as_index[&node.as_number],
                address: node.address,
                moves: false,
            });
        }

        // Numbered apart, so that a link's draws do not change with the number of nodes.
        let places = places(fabric)?;
        for at in places.iter().copied().chain(fabric.nodes.len()..nodes.len()) {
            nodes[at].moves = true;
        }
        let access = fabric.attachments().flat_map(|node| [node.access.up, node.access.down]).zip(0..);
        let between = fabric.links.iter().flat_map(|link| [link.forward, link.backward]).zip(1 << 32..);
        let pipes = access.chain(between).map(|(spec, stream)| {
            let service = Service::of(spec.bandwidth, &fabric.traces, now).map_err(WireError::Trace)?;
            let pipe = Mutex::new(Pipe::new(spec, service, fabric.seed, stream));
            Ok(SharedPipe { pipe, bps: AtomicU64::new(bps(&spec)) })
        });
        let mut network = Self {
            by_address,
            route_of: HashMap::new(),
            routes: Vec::new(),
            pipes: pipes.collect::<Result<_, WireError>>()?,
            links: fabric.links.len(),
            traces: fabric.traces.clone(),
            nats: nats(fabric),
            places,
            nodes,
            ases,
        };
        network.add_routes(fabric, &as_index)?;
        Ok(network)
    }

    fn add_routes(&mut self, fabric: &Fabric, as_index: &BTreeMap<AsNumber, u32>) -> Result<(), WireError> {
        let inside = self.ases.iter().map(|number| (*number, *number, [].as_slice()));
        let between = fabric.routes.iter().map(|route| (route.from, route.to, route.hops.as_slice()));
        let all: Vec<_> = inside.chain(between).collect();
        for (from, to, hops) in all {
            let mut pipes = Vec::with_capacity(hops.len());
            for hop in hops {
                let error = WireError::Route { from, to, link: hop.link, links: self.links };
                pipes.push(self.between(hop.link, hop.heading).ok_or(error)?);
            }
            self.route_of.insert((as_index[&from], as_index[&to]), RouteIndex(self.routes.len() as u32));
            self.routes.push(pipes.into());
        }
        Ok(())
    }

    /// Who has this address.
    pub(super) fn node_at(&self, address: IpAddr) -> Option<NodeIndex> {
        self.by_address.get(&address).copied()
    }

    /// How many hosts and places there are.
    pub(super) fn attachments(&self) -> usize {
        self.nodes.len()
    }

    /// The index of a place among the attachments, if it is this host's.
    pub(super) fn place(&self, host: usize, place: usize) -> Option<usize> {
        (self.places.get(place) == Some(&host)).then(|| self.nodes.len() - self.places.len() + place)
    }

    /// Whether a packet from this address is one that a host sent before it moved.
    pub(super) fn is_stale(&self, source: NodeIndex, address: IpAddr) -> bool {
        let node = &self.nodes[source.0 as usize];
        node.moves && node.address != address
    }

    /// How packets get from one node to another.
    pub(super) fn route(&self, from: NodeIndex, to: NodeIndex) -> Option<RouteIndex> {
        let ends = (self.nodes[from.0 as usize].as_index, self.nodes[to.0 as usize].as_index);
        self.route_of.get(&ends).copied()
    }

    /// The pipe that a packet enters next: its source's uplink, each inter-AS pipe of its route, its destination's
    /// downlink; none behind that.
    pub(super) fn stage(&self, parcel: &Parcel) -> Option<PipeIndex> {
        let hops = &self.routes[parcel.route.0 as usize];
        match parcel.stage as usize {
            0 => Some(up(parcel.source)),
            at if at <= hops.len() => Some(hops[at - 1]),
            at if at == hops.len() + 1 => Some(down(parcel.destination)),
            _ => None,
        }
    }

    /// The rate of the slowest pipe on the way, bit/s.
    pub(super) fn slowest(&self, from: NodeIndex, to: NodeIndex, route: RouteIndex) -> u64 {
        let hops = self.routes[route.0 as usize].iter().copied();
        let pipes = hops.chain([up(from), down(to)]);
        pipes.map(|pipe| self.shared(pipe).bps.load(Ordering::Relaxed)).min().unwrap_or(u64::MAX)
    }

    /// The pipe, locked. A thread that panicked while it held the lock has marked the engine broken, so the pipe may be
    /// used to the end.
    pub(super) fn lock(&self, pipe: PipeIndex) -> MutexGuard<'_, Pipe> {
        self.shared(pipe).pipe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Change a pipe; `tell` is called before the pipe can be used again, with what became of waiting packets.
    pub(super) fn update(
        &self,
        pipe: PipeIndex,
        now: Moment,
        spec: LinkSpec,
        tell: impl FnOnce(Retimed),
    ) -> Result<(), WireError> {
        let service = Service::of(spec.bandwidth, &self.traces, now).map_err(WireError::Trace)?;
        let mut locked = self.lock(pipe);
        let retimed = locked.update(now, spec, service);
        self.shared(pipe).bps.store(bps(&spec), Ordering::Relaxed);
        if !retimed.is_empty() {
            tell(retimed);
        }
        Ok(())
    }

    /// Every trace that a pipe follows begins at `begin`; `tell` is called as with an update.
    pub(super) fn begin(&self, now: Moment, begin: Moment, tell: impl Fn(PipeIndex, Retimed)) {
        for pipe in (0..self.pipes.len() as u32).map(PipeIndex) {
            let mut locked = self.lock(pipe);
            let retimed = locked.begin(now, begin);
            if !retimed.is_empty() {
                tell(pipe, retimed);
            }
        }
    }

    /// Both pipes of a node's access link.
    pub(super) fn access(&self, node: usize) -> Option<(PipeIndex, PipeIndex)> {
        let index = NodeIndex(u32::try_from(node).ok()?);
        (node < self.nodes.len()).then(|| (up(index), down(index)))
    }

    /// A pipe of a link between ASes.
    pub(super) fn between(&self, link: u32, heading: Heading) -> Option<PipeIndex> {
        let back = u32::from(heading == Heading::Backward);
        ((link as usize) < self.links).then(|| PipeIndex(2 * self.nodes.len() as u32 + 2 * link + back))
    }

    /// Counters of all access links, then of all links between ASes.
    pub(super) fn counters(&self, now: Moment) -> (Vec<LinkSample>, Vec<LinkSample>) {
        let read =
            |pipe: &SharedPipe| -> Counters { pipe.pipe.lock().unwrap_or_else(PoisonError::into_inner).counters(now) };
        let both = |pair: &[SharedPipe]| LinkSample { forward: read(&pair[0]), backward: read(&pair[1]) };
        let (access, between) = self.pipes.split_at(2 * self.nodes.len());
        (access.chunks_exact(2).map(both).collect(), between.chunks_exact(2).map(both).collect())
    }

    /// Under which heading bytes from one node to another are counted.
    pub(super) fn heading(&self, from: NodeIndex, to: NodeIndex) -> (AsNumber, AsNumber, Kind) {
        let (from, to) = (&self.nodes[from.0 as usize], &self.nodes[to.0 as usize]);
        (self.ases[from.as_index as usize], self.ases[to.as_index as usize], Kind::between(from.role, to.role))
    }

    /// The translation in front of a node, locked; none where its ports stay.
    pub(super) fn nat(&self, node: NodeIndex) -> Option<MutexGuard<'_, Nat>> {
        let nat = self.nats[node.0 as usize].as_ref()?;
        Some(nat.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A node's name.
    pub(super) fn name(&self, node: NodeIndex) -> &str {
        &self.nodes[node.0 as usize].name
    }

    fn shared(&self, pipe: PipeIndex) -> &SharedPipe {
        &self.pipes[pipe.0 as usize]
    }
}

/// Of each place, the index of its host.
fn places(fabric: &Fabric) -> Result<Vec<usize>, WireError> {
    let hosts: HashMap<&str, usize> = fabric.nodes.iter().map(|node| node.name.as_str()).zip(0..).collect();
    let host = |place: &FabricPlace| {
        let found = hosts.get(place.of.as_str()).copied();
        found.ok_or_else(|| WireError::Homeless(place.at.name.to_string(), place.of.to_string()))
    };
    fabric.places.iter().map(host).collect()
}

/// Their draws are numbered behind those of links, so that neither depends on the other.
fn nats(fabric: &Fabric) -> Vec<Option<Mutex<Nat>>> {
    let streams = fabric.attachments().zip(2 << 32..);
    let nat = |class, stream| (class != NatClass::None).then(|| Mutex::new(Nat::new(class, fabric.seed, stream)));
    streams.map(|(node, stream)| nat(node.nat, stream)).collect()
}

fn up(node: NodeIndex) -> PipeIndex {
    PipeIndex(2 * node.0)
}

fn down(node: NodeIndex) -> PipeIndex {
    PipeIndex(2 * node.0 + 1)
}

fn bps(spec: &LinkSpec) -> u64 {
    spec.bandwidth.mean().map_or(u64::MAX, Rate::bps)
}
