//! The `wire` engine: the emulated network as threads of the agent, over the file descriptors that end every node's link.
//!
//! Called by the agent, which makes the devices and hands over one descriptor per node.

mod clock;
mod drops;
mod network;
mod patience;
mod record;
mod seats;
mod shard;
mod shared;
mod sys;

use std::{
    io,
    os::fd::OwnedFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use peerbed_link::{Fabric, Framing, Heading, LinkSpec, Moment, Retimed, TraceId};

use self::{
    network::{Network, PipeIndex},
    shard::Shard,
    shared::{Message, Shared},
};
use super::Sample;

/// Timers of the engine's threads may be late by so many nanoseconds for the kernel's convenience; its default is 50 µs.
const TIMER_SLACK_NS: std::num::NonZeroU64 = std::num::NonZeroU64::MIN;
/// The nice value that the threads ask for. Processes without privilege are refused it.
const WANTED_NICE: i32 = -15;
/// Ports are closed by so many threads: closing one takes the kernel 10 to 20 ms, nearly all of it waiting.
const CLOSERS: usize = 64;

/// What a descriptor carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A TUN device: virtio header (10 bytes), IP packet.
    Tun,
    /// An `AF_PACKET` socket with `PACKET_VNET_HDR` on one end of a veth pair: virtio header, Ethernet header (14 bytes),
    /// IP packet. All nodes' devices have the same MAC address and no ARP, so frames pass unchanged.
    Packet,
}

/// The engine's end of one node's link; the descriptor is non-blocking.
#[derive(Debug)]
pub struct Port {
    /// The descriptor.
    pub fd: OwnedFd,
    /// What it carries.
    pub end: End,
    /// For a TUN device `/proc/thread-self/net/dev`, opened in its network namespace: only there is it told how many
    /// packets its queue dropped. A packet socket tells this itself.
    pub statistics: Option<OwnedFd>,
}

/// Why the engine could not start or do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The fabric has another number of nodes than there are ports.
    #[error("the network has {nodes} nodes but {ports} ports were given")]
    Ports {
        /// Nodes of the fabric.
        nodes: usize,
        /// Ports given.
        ports: usize,
    },
    /// TUN and packet ends cannot be mixed: their frames differ.
    #[error("node {0} has another kind of link end than the nodes before it")]
    MixedEnds(String),
    /// Two nodes with one address.
    #[error("nodes {0} and {1} have the same address {2}")]
    Address(String, String, std::net::IpAddr),
    /// A route over a link that does not exist.
    #[error("the route from {from} to {to} crosses link {link}, but there are only {links}")]
    Route {
        /// Where the route begins.
        from: peerbed_contract::AsNumber,
        /// Where it ends.
        to: peerbed_contract::AsNumber,
        /// The missing link.
        link: u32,
        /// How many there are.
        links: usize,
    },
    /// A link is to follow a trace that the network does not have.
    #[error("there is no trace {0}")]
    Trace(TraceId),
    /// No such link between ASes.
    #[error("there is no link number {0}")]
    Link(u32),
    /// No such node.
    #[error("there is no node number {0}")]
    Node(usize),
    /// A place that does not exist, or is another node's.
    #[error("node number {0} has no place number {1}")]
    Place(usize, usize),
    /// A place of nobody.
    #[error("the place {0} is kept for {1}, which is no node")]
    Homeless(String, String),
    /// The kernel refused something.
    #[error("the link engine could not {what}: {source}")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A running engine; dropping it stops and joins its threads and closes its ports.
#[derive(Debug)]
pub struct Wire {
    /// None only while it is dropped.
    shared: Option<Arc<Shared>>,
    threads: Vec<JoinHandle<()>>,
    nice: i32,
}

impl Wire {
    /// Start `threads` threads (at least one) that carry the fabric's packets between the ports, which are in the order
    /// of [`Fabric::nodes`].
    pub fn start(fabric: &Fabric, ports: Vec<Port>, threads: u32) -> Result<Self, WireError> {
        if fabric.nodes.len() != ports.len() {
            return Err(WireError::Ports { nodes: fabric.nodes.len(), ports: ports.len() });
        }
        let end = ports.first().map_or(End::Tun, |port| port.end);
        if let Some(odd) = ports.iter().position(|port| port.end != end) {
            return Err(WireError::MixedEnds(fabric.nodes[odd].name.to_string()));
        }
        let framing = match end {
            End::Tun => Framing::Ip,
            End::Packet => Framing::Ethernet,
        };
        let shared = Arc::new(Shared::new(Network::new(fabric, clock::now())?, framing, ports, threads.max(1))?);
        let mut wire = Self { shared: Some(Arc::clone(&shared)), threads: Vec::new(), nice: 0 };
        let (say, hear) = mpsc::channel();
        for number in 0..threads.max(1) as usize {
            let thread = Shard::new(Arc::clone(&shared), number)?;
            let (shared, say) = (Arc::clone(&shared), say.clone());
            let spawned =
                thread::Builder::new().name(format!("wire-{number}")).spawn(move || serve(thread, &shared, &say));
            wire.threads.push(spawned.map_err(|source| WireError::Kernel { what: "start a thread", source })?);
        }
        drop(say);
        // A thread that cannot begin hangs up instead.
        wire.nice = hear.iter().take(wire.threads.len()).max().unwrap_or(0);
        Ok(wire)
    }

    /// Change both directions of a link between ASes; what is queued or under way is kept.
    pub fn set_link(&self, link: u32, forward: LinkSpec, backward: LinkSpec) -> Result<(), WireError> {
        let pipe = |heading| self.shared().network.between(link, heading).ok_or(WireError::Link(link));
        let (there, back) = (pipe(Heading::Forward)?, pipe(Heading::Backward)?);
        self.update(there, forward)?;
        self.update(back, backward)
    }

    /// Change both directions of a node's access link; what is queued or under way is kept.
    pub fn set_access(&self, node: usize, up: LinkSpec, down: LinkSpec) -> Result<(), WireError> {
        let (uplink, downlink) = self.shared().network.access(node).ok_or(WireError::Node(node))?;
        self.update(uplink, up)?;
        self.update(downlink, down)
    }

    /// A node is from now on in a place of the fabric (by its index among them), or with none in its own. What is queued or under
    /// way to where it was finds nobody there.
    pub fn relocate(&self, node: usize, place: Option<usize>) -> Result<(), WireError> {
        let shared = self.shared();
        let to = match place {
            None => Some(node),
            Some(place) => shared.network.place(node, place),
        };
        shared.seats.change(node, to.ok_or(WireError::Place(node, place.unwrap_or_default()))?);
        Ok(())
    }

    /// A node's device is about to be moved into another namespace: what is sent to it meanwhile is lost and not counted.
    pub fn departs(&self, node: usize) {
        self.shared().mouths[node].departs();
    }

    /// The device has arrived (or is back), with [`Port::statistics`] of the namespace that it is in, if there are any.
    pub fn arrived(&self, node: usize, statistics: Option<OwnedFd>) {
        self.shared().mouths[node].arrived(statistics);
    }

    /// Every counter now.
    pub fn sample(&self) -> Sample {
        let shared = self.shared();
        let at = clock::now();
        let (access, links) = shared.network.counters(at);
        let mut records = shared.records();
        let (ledger, mut health) = record::gather(records.iter_mut().map(|record| &mut **record));
        drop(records);
        health.overruns += shared.drops();
        Sample { at_ns: at.nanos(), access, links, ledger, health }
    }

    /// Why the engine can no longer be trusted; none while all is well.
    pub fn broken(&self) -> Option<String> {
        self.shared().broken().map(str::to_owned)
    }

    /// How many threads it has.
    pub fn threads(&self) -> u32 {
        self.threads.len() as u32
    }

    /// The nice value that its threads got; only privileged processes get a negative one.
    pub fn nice(&self) -> i32 {
        self.nice
    }

    /// Traces that links follow begin at `at_ns` (`CLOCK_MONOTONIC`), which is not ahead; what is queued is kept.
    pub fn begin(&self, at_ns: u64) {
        let now = clock::now();
        let begin = Moment::from_nanos(at_ns).min(now);
        self.shared().network.begin(now, begin, |pipe, retimed| self.retimed(pipe, retimed));
        self.ring();
    }

    fn update(&self, pipe: PipeIndex, spec: LinkSpec) -> Result<(), WireError> {
        self.shared().network.update(pipe, clock::now(), spec, |retimed| self.retimed(pipe, retimed))?;
        self.ring();
        Ok(())
    }

    /// Leaves word with every thread, while the pipe is locked.
    fn retimed(&self, pipe: PipeIndex, retimed: Retimed) {
        let retimed = Arc::new(retimed);
        for inbox in &self.shared().inboxes {
            inbox.push(Message::Retimed(pipe, Arc::clone(&retimed)));
        }
    }

    fn ring(&self) {
        for inbox in &self.shared().inboxes {
            inbox.ring();
        }
    }

    fn shared(&self) -> &Shared {
        self.shared.as_ref().expect("it is there until the engine is dropped")
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let Some(shared) = self.shared.take() else { return };
        for inbox in &shared.inboxes {
            inbox.push(Message::Stop);
            inbox.ring();
        }
        for thread in self.threads.drain(..) {
            // A panic was caught and is told by `broken`.
            let _ = thread.join();
        }
        if let Some(shared) = Arc::into_inner(shared) {
            close(shared);
        }
    }
}

/// Close the ports, many at once.
fn close(shared: Shared) {
    let mut ports = shared.mouths;
    let each = ports.len().div_ceil(CLOSERS).max(1);
    thread::scope(|scope| {
        while !ports.is_empty() {
            let some = ports.split_off(ports.len().saturating_sub(each));
            scope.spawn(move || drop(some));
        }
    });
}

/// What one thread does from beginning to end.
fn serve(mut thread: Shard, shared: &Shared, say: &mpsc::Sender<i32>) {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        rustix::thread::set_current_timer_slack(Some(TIMER_SLACK_NS))?;
        // The listener waits for every thread, and nobody is hurt if it is gone.
        let _ = say.send(raise_priority());
        thread.run()
    }));
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => shared.break_down(format!("a thread of the link engine ended: {error}")),
        Err(_) => {
            shared.break_down("a thread of the link engine panicked; its message is in the agent's log".to_owned());
        }
    }
}

/// Ask for a high priority; the nice value that the thread has then.
fn raise_priority() -> i32 {
    // No process named: the calling thread. A refusal is no fault, the value in the result says what it runs at.
    let _ = rustix::process::setpriority_process(None, WANTED_NICE);
    rustix::process::getpriority_process(None).unwrap_or(0)
}

/// How many threads suit this machine.
pub fn suitable_threads() -> u32 {
    thread::available_parallelism().map_or(1, |cores| (cores.get() as u32).clamp(1, 8))
}
