//! The `tc` engine: the emulated network in the kernel, a router for each AS with the kernel's own shapers on its links.
//!
//! The agent makes routers and devices and hands them over. `program` says what a link becomes, `ways` where packets go, both
//! without the kernel; `render` turns them into messages; a `lane` is one direction of a link that stands. Packets cross
//! it as they would cross the wire, one by one, so that what the kernel counts is exact.

pub(crate) mod lane;
pub(crate) mod program;
pub(crate) mod render;
pub(crate) mod ways;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::Ipv4Addr,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use peerbed_contract::{AsNumber, NatClass, Role};
use peerbed_link::{Bandwidth, Fabric, Kind, LinkSpec, NotIpv4, Rate};

use self::{
    lane::{Lane, Reading},
    ways::Row,
};
use super::{EngineHealth, Lack, LedgerEntry, LinkSample, Sample};
use crate::{
    host::monotonic_ns,
    netlink::{Count, Netfilter, Netlink, NetlinkError, Watched},
};

/// The slowest link, bit/s. Its bucket is 26 ms of it, by which what waits leaves late when such a link becomes faster, too.
const SLOWEST: u64 = 1_000_000;
/// Where the kernel counts packets that it had no room for between two devices.
const SOFTNET: &str = "/proc/net/softnet_stat";

/// Why the engine cannot carry a network or do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TcError {
    /// Ways that meet and part again.
    #[error(
        "the tc engine cannot have the ways of this topology: what {at} sends to {to} goes over `{other}`, but what {from} \
         sends there through {at} over `{one}`, and a router knows only where a packet goes"
    )]
    Ways {
        /// Where they part.
        at: AsNumber,
        /// Where both go.
        to: AsNumber,
        /// One link.
        one: String,
        /// The other.
        other: String,
        /// Whose way it is.
        from: AsNumber,
    },
    /// A way over too many routers.
    #[error("the way from {from} to {to} crosses {hops} links, more than a packet's time to live lasts in the kernel")]
    Far {
        /// Where it begins.
        from: AsNumber,
        /// Where it ends.
        to: AsNumber,
        /// So many links.
        hops: usize,
    },
    /// A link that follows a trace.
    #[error("the tc engine cannot make a link follow a trace, which {0} directions of links of this plan do")]
    Traces(usize),
    /// Hosts behind address translation.
    #[error("the tc engine has no address translation, which {0} hosts of this plan are behind")]
    Nat(usize),
    /// Hosts that move.
    #[error("the tc engine cannot move a host to another address, of which this plan has {0}")]
    Places(usize),
    /// A rate that its buckets are too large for.
    #[error(
        "the tc engine cannot make a link of {0}: its buckets hold two full packets at least, too many below {SLOWEST} bit/s"
    )]
    Slow(Rate),
    /// A queue that a bucket outweighs.
    #[error(
        "the tc engine cannot have a queue of {queue} bytes on a link of {rate}: one that has rested sends {burst} bytes at once"
    )]
    Short {
        /// What may wait, bytes.
        queue: u64,
        /// The link's rate.
        rate: Rate,
        /// What its bucket holds, bytes.
        burst: u64,
    },
    /// A discipline is not there any more.
    #[error("device {device}: a queueing discipline is gone that the engine put there")]
    Gone {
        /// Which device.
        device: String,
    },
    /// The kernel has not what it needs.
    #[error("the tc engine needs what this kernel does not have:{}", list(.0))]
    Lacking(Vec<Lack>),
    /// An address of a family that it does not carry.
    #[error(transparent)]
    Family(#[from] NotIpv4),
    /// Two nodes with one address.
    #[error("two nodes have the address {0}")]
    Address(Ipv4Addr),
    /// No such link between ASes.
    #[error("there is no link number {0}")]
    Link(u32),
    /// No such node.
    #[error("there is no node number {0}")]
    Node(usize),
    /// What the machine had no room for cannot be known.
    #[error("{SOFTNET}, which counts what is dropped between devices: {0}")]
    Dropped(#[source] io::Error),
    /// The kernel refused something.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

fn list(lacks: &[Lack]) -> String {
    lacks.iter().fold(String::new(), |text, lack| text + "\n  " + &lack.to_string())
}

/// The router of an AS.
#[derive(Debug)]
pub(crate) struct Router {
    /// Its name in messages.
    pub(crate) name: String,
    /// Speaks to its namespace.
    pub(crate) netlink: Netlink,
    /// Counts there.
    pub(crate) netfilter: Netfilter,
    /// The device to which packets go that are for nobody.
    pub(crate) nowhere: u32,
}

/// A node's end of the network.
#[derive(Debug)]
pub(crate) struct Host {
    /// Its name.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) as_number: AsNumber,
    /// What it does.
    pub(crate) role: Role,
    /// Counts what it gets.
    pub(crate) netfilter: Netfilter,
    /// From it.
    pub(crate) up: Lane,
    /// To it.
    pub(crate) down: Lane,
}

/// A network that stands in the kernel.
#[derive(Debug)]
pub(crate) struct Tc {
    state: Mutex<State>,
    broken: OnceLock<String>,
}

#[derive(Debug)]
struct State {
    routers: Vec<Router>,
    hosts: Vec<Host>,
    /// From `a` to `b` and back.
    links: Vec<[Lane; 2]>,
    senders: Vec<(AsNumber, Role)>,
    /// What nodes got in namespaces that their devices have left, by AS pair and kind.
    before: BTreeMap<(AsNumber, AsNumber, Kind), Count>,
    /// What the machine had dropped between devices before.
    dropped: u64,
    delivered: u64,
}

impl Tc {
    /// The engine over these parts; `senders` are those that the hosts' counters tell apart.
    pub(crate) fn new(
        routers: Vec<Router>,
        hosts: Vec<Host>,
        links: Vec<[Lane; 2]>,
        senders: Vec<(AsNumber, Role)>,
    ) -> Result<Self, TcError> {
        let dropped = dropped_between_devices().map_err(TcError::Dropped)?;
        let state = State { routers, hosts, links, senders, before: BTreeMap::new(), dropped, delivered: 0 };
        Ok(Self { state: Mutex::new(state), broken: OnceLock::new() })
    }

    /// Change both directions of a link between ASes.
    pub(crate) fn set_link(&self, link: u32, forward: LinkSpec, backward: LinkSpec) -> Result<(), TcError> {
        let State { routers, links, .. } = &mut *self.state();
        let [there, back] = links.get_mut(link as usize).ok_or(TcError::Link(link))?;
        refuse([forward, backward])?;
        there.set(routers, forward)?;
        back.set(routers, backward)
    }

    /// Change both directions of a node's access link.
    pub(crate) fn set_access(&self, node: usize, up: LinkSpec, down: LinkSpec) -> Result<(), TcError> {
        let State { routers, hosts, .. } = &mut *self.state();
        let host = hosts.get_mut(node).ok_or(TcError::Node(node))?;
        refuse([up, down])?;
        host.up.set(routers, up)?;
        host.down.set(routers, down)
    }

    /// A node's device is in another namespace, where this counts what it gets.
    pub(crate) fn arrived(&self, node: usize, netfilter: Netfilter) {
        let State { hosts, before, senders, .. } = &mut *self.state();
        let mut old = std::mem::replace(&mut hosts[node].netfilter, netfilter);
        match old.read(&hosts[node].name) {
            Ok(counts) => {
                for (key, count) in got(&hosts[node], senders, &counts) {
                    add(before, key, count);
                }
            }
            Err(error) => self.break_down(&error.into()),
        }
    }

    /// Every counter now.
    pub(crate) fn sample(&self) -> Sample {
        let mut state = self.state();
        state.sample().unwrap_or_else(|error| {
            self.break_down(&error);
            state.nothing()
        })
    }

    /// Why the engine can no longer be trusted.
    pub(crate) fn broken(&self) -> Option<String> {
        self.broken.get().cloned()
    }

    fn break_down(&self, error: &TcError) {
        // A later reason is a consequence of the first.
        let _ = self.broken.set(format!("the kernel's counters cannot be read: {error}"));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn sample(&mut self) -> Result<Sample, TcError> {
        let readings: Vec<Reading> = self.routers.iter_mut().map(Reading::of).collect::<Result<_, _>>()?;
        let both = |one: &mut Lane, other: &mut Lane| {
            Ok::<_, TcError>(LinkSample { forward: one.read(&readings)?, backward: other.read(&readings)? })
        };
        let access = self.hosts.iter_mut().map(|host| both(&mut host.up, &mut host.down)).collect::<Result<_, _>>()?;
        let links = self.links.iter_mut().map(|[there, back]| both(there, back)).collect::<Result<_, _>>()?;
        let mut ledger = self.before.clone();
        for host in &mut self.hosts {
            let counts = host.netfilter.read(&host.name)?;
            for (key, count) in got(host, &self.senders, &counts) {
                add(&mut ledger, key, count);
            }
        }
        let delivered: u64 = ledger.values().map(|count| count.packets).sum();
        let strays = self.routers.iter().zip(&readings);
        let strays = strays.map(|(router, reading)| reading.passed(Watched::Output, router.nowhere).packets).sum();
        let health = EngineHealth {
            released: delivered.saturating_sub(std::mem::replace(&mut self.delivered, delivered)),
            overruns: dropped_between_devices().map_err(TcError::Dropped)?.saturating_sub(self.dropped),
            strays,
            ..EngineHealth::default()
        };
        let entry = |((from, to, kind), Count { packets, bytes })| LedgerEntry { from, to, kind, packets, bytes };
        let ledger = ledger.into_iter().filter(|(_, count)| count.packets > 0).map(entry).collect();
        Ok(Sample { at_ns: monotonic_ns(), access, links, ledger, health })
    }

    /// What is said where nothing can be read; the run is invalid then.
    fn nothing(&self) -> Sample {
        let none = LinkSample::default();
        Sample {
            at_ns: monotonic_ns(),
            access: vec![none; self.hosts.len()],
            links: vec![none; self.links.len()],
            ledger: Vec::new(),
            health: EngineHealth::default(),
        }
    }
}

/// What a host got, by AS pair and kind.
fn got<'a>(
    host: &'a Host,
    senders: &'a [(AsNumber, Role)],
    counts: &'a crate::netlink::Counts,
) -> impl Iterator<Item = ((AsNumber, AsNumber, Kind), Count)> + 'a {
    senders.iter().zip(0..).map(|((from, role), number)| {
        let kind = Kind::between(*role, host.role);
        ((*from, host.as_number, kind), counts.of(Watched::Source, number))
    })
}

fn add<K: Ord>(ledger: &mut BTreeMap<K, Count>, key: K, count: Count) {
    let entry = ledger.entry(key).or_default();
    entry.packets += count.packets;
    entry.bytes += count.bytes;
}

/// Why the engine cannot carry a network whose links will also be like `later`, on a kernel that lacks this; none: it can.
pub(crate) fn unfit(fabric: &Fabric, later: &[LinkSpec], lacks: &[Lack]) -> Option<TcError> {
    if let Err(error) = refuse(links(fabric, later)).and_then(|()| ways::Ways::of(fabric).map(drop)) {
        return Some(error);
    }
    let translated = fabric.nodes.iter().filter(|node| node.nat != NatClass::None).count();
    if translated > 0 {
        return Some(TcError::Nat(translated));
    }
    if !fabric.places.is_empty() {
        return Some(TcError::Places(fabric.places.len()));
    }
    let delays = has_delays(fabric, later);
    let needed: Vec<Lack> = lacks.iter().filter(|lack| delays || !lack.for_delays).cloned().collect();
    (!needed.is_empty()).then_some(TcError::Lacking(needed))
}

pub(crate) use program::wants_netem;

/// Whether any link of a network has what only `netem` can do, or will have it.
pub(crate) fn has_delays(fabric: &Fabric, later: &[LinkSpec]) -> bool {
    links(fabric, later).any(|spec| wants_netem(&spec))
}

/// What no discipline does: follow a trace, be slow, or have a queue that is shorter than its bucket.
fn refuse(specs: impl IntoIterator<Item = LinkSpec>) -> Result<(), TcError> {
    let mut traces = 0;
    for spec in specs {
        match spec.bandwidth {
            Bandwidth::Trace(_) => traces += 1,
            Bandwidth::Limited(rate) if rate.bps() < SLOWEST => return Err(TcError::Slow(rate)),
            Bandwidth::Limited(rate) => {
                let (queue, burst) = (spec.queue_bytes().unwrap_or_default(), program::burst(rate));
                if queue < burst {
                    return Err(TcError::Short { queue, rate, burst });
                }
            }
            Bandwidth::Unlimited => {}
        }
    }
    if traces == 0 { Ok(()) } else { Err(TcError::Traces(traces)) }
}

/// What the links of a network are and will be.
fn links(fabric: &Fabric, later: &[LinkSpec]) -> impl Iterator<Item = LinkSpec> {
    let access = fabric.nodes.iter().flat_map(|node| [node.access.up, node.access.down]);
    let links = fabric.links.iter().flat_map(|link| [link.forward, link.backward]);
    access.chain(links).chain(later.iter().copied())
}

/// How many routers a network has, each of which needs no more than a node.
pub(crate) fn routers(fabric: &Fabric) -> usize {
    let ases = fabric.nodes.iter().map(|node| node.as_number);
    let all: BTreeSet<_> = ases.chain(fabric.links.iter().flat_map(|link| [link.a, link.b])).collect();
    all.len()
}

/// Rows as a host's counters want them.
pub(crate) fn sources(rows: &[Row]) -> Vec<(Ipv4Addr, Ipv4Addr, u32)> {
    rows.iter().map(|row| (row.first, row.last, row.sender)).collect()
}

/// Packets that this machine had no room for on their way from one device to the next, since it started: the second column of
/// [`SOFTNET`], one row for each core.
fn dropped_between_devices() -> io::Result<u64> {
    dropped_in(&fs::read_to_string(SOFTNET)?)
}

fn dropped_in(text: &str) -> io::Result<u64> {
    let row = |line: &str| line.split_whitespace().nth(1).and_then(|number| u64::from_str_radix(number, 16).ok());
    let unknown = || io::Error::other("its second column is not what is known of it");
    text.lines().map(|line| row(line).ok_or_else(unknown)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_found_no_room_is_in_the_second_column() {
        let rows = "0000272d 00000000 00000001 00000000\n000034d9 0000001f 00000000 00000000\n\
                    000034d9 00000100 00000000 00000000\n";
        assert_eq!(dropped_in(rows).unwrap(), 0x11f);
        assert!(dropped_in("0000272d\n").is_err() && dropped_in("1 x\n").is_err());
        assert!(dropped_between_devices().is_ok());
    }
}
