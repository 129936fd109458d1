//! What one thread of the engine counts: the ledger, how late packets were released, what was lost, what address
//! translation dropped.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use peerbed_contract::AsNumber;
use peerbed_link::Kind;

use crate::engine::{EngineHealth, LedgerEntry, Missed, NatDrops};

/// From which AS to which, of which kind.
pub(super) type Heading = (AsNumber, AsNumber, Kind);

/// Lateness beyond this is recorded as this: one minute.
const LATENESS_CAP_NS: u64 = 60_000_000_000;

/// Counts of one thread.
#[derive(Debug)]
pub(super) struct Record {
    ledger: BTreeMap<Heading, Carried>,
    /// Lateness in nanoseconds of what was released since the last sample.
    late: Histogram<u64>,
    overruns: u64,
    strays: u64,
    nat: NatDrops,
    missed: Missed,
}

#[derive(Debug, Clone, Copy, Default)]
struct Carried {
    packets: u64,
    bytes: u64,
}

impl Record {
    pub(super) fn new() -> Self {
        Self {
            ledger: BTreeMap::new(),
            late: lateness(),
            overruns: 0,
            strays: 0,
            nat: NatDrops::default(),
            missed: Missed::default(),
        }
    }

    /// Packets were handed to their destination's kernel.
    pub(super) fn delivered(&mut self, heading: Heading, packets: u32, bytes: u64) {
        let carried = self.ledger.entry(heading).or_default();
        carried.packets += u64::from(packets);
        carried.bytes += bytes;
    }

    /// Packets were released so many nanoseconds after their time.
    pub(super) fn released(&mut self, packets: u32, late: u64) {
        let late = late.clamp(1, LATENESS_CAP_NS);
        self.late.record_n(late, u64::from(packets)).expect("clamped to the bounds");
    }

    /// Packets were lost between kernel and engine.
    pub(super) fn overran(&mut self, packets: u64) {
        self.overruns += packets;
    }

    /// Address translation kept packets that a node sent.
    pub(super) fn kept_inside(&mut self, packets: u32) {
        self.nat.out_packets += u64::from(packets);
    }

    /// Address translation kept packets from their destination.
    pub(super) fn kept_outside(&mut self, packets: u32, bytes: u64) {
        self.nat.in_packets += u64::from(packets);
        self.nat.in_bytes += bytes;
    }

    /// Packets came to a place where nobody was.
    pub(super) fn missed(&mut self, packets: u32, bytes: u64) {
        self.missed.packets += u64::from(packets);
        self.missed.bytes += bytes;
    }

    /// Packets were sent from an address that their host no longer has.
    pub(super) fn stale(&mut self, packets: u32) {
        self.missed.stale_packets += u64::from(packets);
    }

    /// A packet was for no node.
    pub(super) fn strayed(&mut self) {
        self.strays += 1;
    }
}

/// The counts of all threads together; lateness begins anew.
pub(super) fn gather<'a>(records: impl Iterator<Item = &'a mut Record>) -> (Vec<LedgerEntry>, EngineHealth) {
    let mut ledger: BTreeMap<Heading, Carried> = BTreeMap::new();
    let mut late = lateness();
    let mut health = EngineHealth::default();
    for record in records {
        for (heading, carried) in &record.ledger {
            let sum = ledger.entry(*heading).or_default();
            sum.packets += carried.packets;
            sum.bytes += carried.bytes;
        }
        late.add(&record.late).expect("all have the same bounds");
        record.late.reset();
        health.overruns += record.overruns;
        health.strays += record.strays;
        health.nat += record.nat;
        health.missed += record.missed;
    }
    health.released = late.len();
    health.late_p50_ns = Some(late.value_at_quantile(0.5));
    health.late_p99_ns = Some(late.value_at_quantile(0.99));
    health.late_max_ns = Some(late.max());
    let entries = ledger.into_iter().map(|((from, to, kind), Carried { packets, bytes })| LedgerEntry {
        from,
        to,
        kind,
        packets,
        bytes,
    });
    (entries.collect(), health)
}

fn lateness() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENESS_CAP_NS, 2).expect("the bounds are valid")
}
