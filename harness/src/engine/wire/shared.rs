//! What the engine's threads share: the network, the ports, the inboxes, the counts.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use peerbed_link::{Frame, Framing, Geometry, Moment, Retimed, Train};
use rustix::event::{EventfdFlags, eventfd};

use super::{
    Port, WireError,
    drops::Drops,
    network::{Network, NodeIndex, PipeIndex, RouteIndex},
    record::Record,
    seats::Seats,
};

/// A frame under way.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) frame: Vec<u8>,
    pub(super) train: Train,
    pub(super) geometry: Option<Geometry>,
    pub(super) source: NodeIndex,
    pub(super) destination: NodeIndex,
    pub(super) route: RouteIndex,
    /// The next stage of the route that it enters.
    pub(super) stage: u32,
    /// Pieces cut from it are at most this long, in wire bytes, so that no link hands over more than about a millisecond
    /// of the slowest link's time at once.
    pub(super) most: u64,
    /// The pipe it is in and its ticket there.
    pub(super) place: Option<(PipeIndex, u64)>,
}

/// What one thread or the engine's face tells a thread.
#[derive(Debug)]
pub(super) enum Message {
    /// A packet for a node of the thread, with the moment at which it enters its next stage.
    Parcel(Moment, Parcel),
    /// A pipe was changed while packets waited in it.
    Retimed(PipeIndex, Arc<Retimed>),
    /// End.
    Stop,
}

/// Messages for one thread.
#[derive(Debug)]
pub(super) struct Inbox {
    messages: Mutex<Vec<Message>>,
    /// The thread is about to wait or waits, and wants to be woken.
    asleep: AtomicBool,
    bell: OwnedFd,
}

impl Inbox {
    fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { messages: Mutex::new(Vec::new()), asleep: AtomicBool::new(false), bell })
    }

    /// Leave a message without waking the thread; [`Inbox::ring`] must follow.
    pub(super) fn push(&self, message: Message) {
        lock(&self.messages).push(message);
    }

    /// Wake the thread if it sleeps.
    pub(super) fn ring(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            // It can only fail when the counter is full, and then the thread is awake already.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    /// Take all messages; `empty` is filled.
    pub(super) fn take(&self, empty: &mut Vec<Message>) {
        self.asleep.store(false, Ordering::Relaxed);
        std::mem::swap(empty, &mut *lock(&self.messages));
    }

    /// Announce that the thread is about to wait; false if there are messages after all.
    pub(super) fn may_sleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        lock(&self.messages).is_empty()
    }

    /// Readable when the thread was woken.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Make the bell silent again.
    pub(super) fn silence(&self) {
        // Nothing to read means that it was silent.
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
    }
}

/// A port and what was lost at it.
#[derive(Debug)]
pub(super) struct Mouth {
    pub(super) fd: OwnedFd,
    drops: Drops,
    /// The node's device is being moved, so that nothing can reach it.
    moving: AtomicBool,
}

impl Mouth {
    fn new(port: Port) -> Self {
        let (fd, drops) = Drops::of(port);
        Self { fd, drops, moving: AtomicBool::new(false) }
    }

    /// The node's device leaves its namespace: until it has arrived in another, what is sent to it is lost, as it is on
    /// the way to a host that is being started.
    pub(super) fn departs(&self) {
        self.moving.store(true, Ordering::Relaxed);
    }

    /// It has arrived; there are its statistics, if it has any.
    pub(super) fn arrived(&self, statistics: Option<OwnedFd>) {
        if let Some(statistics) = statistics {
            self.drops.moved(statistics);
        }
        self.moving.store(false, Ordering::Relaxed);
    }

    /// Whether it is on its way.
    pub(super) fn is_moving(&self) -> bool {
        self.moving.load(Ordering::Relaxed)
    }
}

/// Which of so many threads a node belongs to. Of as many neighbours as there are threads, each has one; which one it has is
/// drawn for each such row of neighbours, so that nodes that do the same, and were declared in turn with others, do not
/// all come to the same thread.
fn share(node: usize, threads: usize) -> usize {
    // The finalizer of MurmurHash3 (A. Appleby), which spreads every bit over all.
    let mut row = (node / threads) as u32;
    for (shift, factor) in [(16, 0x85eb_ca6b), (13, 0xc2b2_ae35)] {
        row = (row ^ (row >> shift)).wrapping_mul(factor);
    }
    (node + (row ^ (row >> 16)) as usize) % threads
}

/// What the threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) network: Network,
    pub(super) framing: Framing,
    /// One for each host, in the fabric's order.
    pub(super) mouths: Vec<Mouth>,
    pub(super) seats: Seats,
    /// One for each thread.
    pub(super) inboxes: Vec<Inbox>,
    records: Vec<Mutex<Record>>,
    /// Bytes of all frames that wait anywhere, and how many there may be.
    buffered: AtomicU64,
    buffer_cap: u64,
    broken: OnceLock<String>,
}

impl Shared {
    pub(super) fn new(network: Network, framing: Framing, ports: Vec<Port>, threads: u32) -> Result<Self, WireError> {
        let inboxes: io::Result<Vec<Inbox>> = (0..threads).map(|_| Inbox::new()).collect();
        Ok(Self {
            seats: Seats::new(ports.len(), network.attachments()),
            network,
            framing,
            mouths: ports.into_iter().map(Mouth::new).collect(),
            inboxes: inboxes.map_err(|source| WireError::Kernel { what: "make an eventfd", source })?,
            records: (0..threads).map(|_| Mutex::new(Record::new())).collect(),
            buffered: AtomicU64::new(0),
            buffer_cap: buffer_cap(),
            broken: OnceLock::new(),
        })
    }

    /// The thread that carries packets to this node and reads those from it.
    pub(super) fn thread_of(&self, node: NodeIndex) -> usize {
        share(node.0 as usize, self.inboxes.len())
    }

    /// One thread's counts.
    pub(super) fn record(&self, thread: usize) -> MutexGuard<'_, Record> {
        lock(&self.records[thread])
    }

    /// Every thread's counts.
    pub(super) fn records(&self) -> Vec<MutexGuard<'_, Record>> {
        self.records.iter().map(lock).collect()
    }

    /// Account for a frame that is to wait; false if there is no room for it.
    pub(super) fn reserve(&self, bytes: usize) -> bool {
        let before = self.buffered.fetch_add(bytes as u64, Ordering::Relaxed);
        if before + bytes as u64 > self.buffer_cap {
            self.release(bytes);
            return false;
        }
        true
    }

    /// A frame no longer waits.
    pub(super) fn release(&self, bytes: usize) {
        self.buffered.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    /// Packets lost since the start between the nodes' kernels and the engine.
    pub(super) fn drops(&self) -> u64 {
        let read = |mouth: &Mouth| {
            mouth.drops.read(&mouth.fd).unwrap_or_else(|error| {
                self.break_down(format!("the engine cannot read what was dropped at a link end: {error}"));
                0
            })
        };
        self.mouths.iter().map(read).sum()
    }

    /// The network can no longer be trusted; the first reason stays.
    pub(super) fn break_down(&self, why: String) {
        // A later reason is a consequence of the first.
        let _ = self.broken.set(why);
    }

    /// Why the network cannot be trusted.
    pub(super) fn broken(&self) -> Option<&str> {
        self.broken.get().map(String::as_str)
    }

    /// A packet that its source's kernel handed over, ready for its first stage; none if nobody is to get it.
    pub(super) fn address(&self, source: NodeIndex, parsed: Frame) -> Option<Parcel> {
        let destination = self.network.node_at(parsed.destination)?;
        let route = self.network.route(source, destination)?;
        let most = match parsed.geometry {
            Some(_) => self.network.slowest(source, destination, route) / 8 / 1000,
            None => u64::MAX,
        };
        Some(Parcel {
            frame: Vec::new(),
            train: parsed.train,
            geometry: parsed.geometry,
            source,
            destination,
            route,
            stage: 0,
            most,
            place: None,
        })
    }
}

/// A quarter of the machine's memory, between 64 MiB and 2 GiB.
fn buffer_cap() -> u64 {
    let system = rustix::system::sysinfo();
    let memory = (system.totalram as u64).saturating_mul(u64::from(system.mem_unit));
    (memory / 4).clamp(64 << 20, 2 << 30)
}

/// A thread that panicked has marked the engine broken; what it left may be read.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_have_different_threads() {
        for threads in 1..=8 {
            for row in 0..100 {
                let mut seen: Vec<usize> = (0..threads).map(|at| share(row * threads + at, threads)).collect();
                seen.sort_unstable();
                assert_eq!(seen, (0..threads).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn threads_have_as_many_nodes_whichever_are_looked_at() {
        for threads in 1..=8 {
            for step in 1..=8 {
                let mut counts = vec![0_usize; threads];
                (0..2048).for_each(|number| counts[share(number * step, threads)] += 1);
                let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                assert!(most - least <= least / 2, "{threads} threads, step {step}: {counts:?}");
            }
        }
    }
}
