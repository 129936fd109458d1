//! What a connection node bears: rates of logins and queries by GUID and by address, connections by address and in all;
//! and the count of what was refused. Memory is bounded: a bucket that is full again is as good as none.

use std::{collections::BTreeMap, net::IpAddr};

use peerbed_contract::{ControlLimits, EventKind, Guid};

use crate::{Output, Time, peer::rate::Bucket};

/// Buckets kept of a kind, before those that are full again are dropped.
const BUCKETS_MAX: usize = 65_536;

/// Buckets of one rate, by whom they limit.
#[derive(Debug)]
struct Buckets<K> {
    rate: f64,
    /// What may come at once, in nanoseconds of the rate.
    burst: Time,
    by: BTreeMap<K, (Bucket, Time)>,
}

impl<K: Ord + Copy> Buckets<K> {
    fn new(rate: f64, burst: Time) -> Self {
        Self { rate, burst, by: BTreeMap::new() }
    }

    /// Another rate or burst, which everybody begins anew with.
    fn set(&mut self, rate: f64, burst: Time) {
        if (rate.to_bits(), burst) != (self.rate.to_bits(), self.burst) {
            *self = Self::new(rate, burst);
        }
    }

    /// Takes one, if there is one.
    fn take(&mut self, now: Time, key: K) -> bool {
        if self.by.len() >= BUCKETS_MAX && !self.by.contains_key(&key) {
            // A bucket that nobody took from for so long is full; it holds one at least.
            let one = (1e9 / self.rate) as Time;
            let full_after = self.burst.max(one).saturating_add(1_000_000_000);
            self.by.retain(|_, (_, used)| now.saturating_sub(*used) < full_after);
            if self.by.len() >= BUCKETS_MAX {
                return false;
            }
        }
        // At least one at a time, however low the rate.
        let depth = (self.rate * self.burst as f64 / 1e9).max(1.0);
        let (bucket, used) = self.by.entry(key).or_insert_with(|| (Bucket::new(self.rate, depth), now));
        let taken = bucket.take(now, 1.0).is_ok();
        if taken {
            *used = now;
        }
        taken
    }
}

/// All limits and how often each was met.
#[derive(Debug)]
pub(super) struct Gate {
    limits: ControlLimits,
    logins_by_guid: Buckets<Guid>,
    logins_by_address: Buckets<IpAddr>,
    queries_by_guid: Buckets<Guid>,
    queries_by_address: Buckets<IpAddr>,
    connections: BTreeMap<IpAddr, u32>,
    open: u32,
    refused: BTreeMap<&'static str, u64>,
}

impl Gate {
    pub(super) fn new(limits: ControlLimits) -> Self {
        Self {
            logins_by_guid: Buckets::new(limits.logins_per_guid, limits.burst_ns),
            logins_by_address: Buckets::new(limits.logins_per_address, limits.burst_ns),
            queries_by_guid: Buckets::new(limits.queries_per_guid, limits.burst_ns),
            queries_by_address: Buckets::new(limits.queries_per_address, limits.burst_ns),
            connections: BTreeMap::new(),
            open: 0,
            refused: BTreeMap::new(),
            limits,
        }
    }

    /// Other limits from now on; who is beyond the new ones with what it has already keeps it. Where a rate changes, a
    /// burst of the new one may come at once.
    pub(super) fn set(&mut self, limits: ControlLimits) {
        self.logins_by_guid.set(limits.logins_per_guid, limits.burst_ns);
        self.logins_by_address.set(limits.logins_per_address, limits.burst_ns);
        self.queries_by_guid.set(limits.queries_per_guid, limits.burst_ns);
        self.queries_by_address.set(limits.queries_per_address, limits.burst_ns);
        self.limits = limits;
    }

    /// The limits themselves.
    pub(super) fn limits(&self) -> &ControlLimits {
        &self.limits
    }

    /// A connection was accepted; whether it may stay. One that may must be taken back by [`Self::closed`].
    pub(super) fn connection(&mut self, from: IpAddr) -> bool {
        let of_address = self.connections.get(&from).copied().unwrap_or(0);
        if self.open >= self.limits.connections {
            self.count("connections");
            return false;
        }
        if of_address >= self.limits.connections_per_address {
            self.count("connections per address");
            return false;
        }
        self.open += 1;
        self.connections.insert(from, of_address + 1);
        true
    }

    /// A connection is gone.
    pub(super) fn closed(&mut self, from: IpAddr) {
        self.open = self.open.saturating_sub(1);
        if let Some(count) = self.connections.get_mut(&from) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.connections.remove(&from);
            }
        }
    }

    /// Whether a login may be looked at; else which limit it is beyond. The address comes first, so that nobody uses up what a
    /// GUID may do faster than one address may.
    pub(super) fn login(&mut self, now: Time, from: IpAddr, guid: Guid) -> Result<(), &'static str> {
        let by_address = self.logins_by_address.take(now, from);
        let allowed = by_address && self.logins_by_guid.take(now, guid);
        self.judge(allowed, if by_address { "logins per GUID" } else { "logins per address" })
    }

    /// Whether a query may be looked at; else which limit it is beyond.
    pub(super) fn query(&mut self, now: Time, from: IpAddr, guid: Guid) -> Result<(), &'static str> {
        let by_address = self.queries_by_address.take(now, from);
        let allowed = by_address && self.queries_by_guid.take(now, guid);
        self.judge(allowed, if by_address { "queries per GUID" } else { "queries per address" })
    }

    fn judge(&mut self, allowed: bool, limit: &'static str) -> Result<(), &'static str> {
        if allowed {
            return Ok(());
        }
        self.count(limit);
        Err(limit)
    }

    /// Something was refused for another reason.
    pub(super) fn count(&mut self, limit: &'static str) {
        let count = self.refused.entry(limit).or_default();
        *count = count.saturating_add(1);
    }

    /// What was refused, by limit.
    pub(super) fn report(&self) -> impl Iterator<Item = Output> + '_ {
        self.refused
            .iter()
            .map(|(limit, count)| Output::Event(EventKind::Refusals { limit: (*limit).to_owned(), count: *count }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Time = 1_000_000_000;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn guid(number: u8) -> Guid {
        Guid::from_bytes([number; 16])
    }

    fn gate() -> Gate {
        let limits = ControlLimits {
            logins_per_guid: 1.0,
            logins_per_address: 2.0,
            queries_per_guid: 0.01,
            connections_per_address: 2,
            connections: 3,
            ..ControlLimits::default()
        };
        Gate::new(limits)
    }

    #[test]
    fn a_rate_holds_over_time_and_lets_ten_seconds_worth_come_at_once() {
        let mut gate = gate();
        let mut taken =
            |now, number: u8| (0..100).filter(|_| gate.login(now, address(1), guid(number)).is_ok()).count();
        assert_eq!(taken(0, 1), 10, "of one GUID");
        assert_eq!(taken(0, 2), 0, "twenty from the address, of which the refused ones of the other GUID took ten");
        assert_eq!(taken(5 * SECOND, 2), 10);
        assert_eq!(taken(5 * SECOND, 3), 0);
        assert_eq!(gate.login(5 * SECOND, address(2), guid(3)), Ok(()), "others are not harmed");
        assert_eq!(gate.login(5 * SECOND, address(1), guid(3)), Err("logins per address"));
        let told: u64 = gate.refused.values().sum();
        assert_eq!(told, 90 + 100 + 90 + 100 + 1);
        assert_eq!(gate.report().count(), 2);
    }

    #[test]
    fn the_lowest_rate_lets_one_pass() {
        let mut gate = gate();
        assert_eq!(gate.query(0, address(1), guid(1)), Ok(()));
        assert_eq!(gate.query(SECOND, address(1), guid(1)), Err("queries per GUID"));
        assert_eq!(gate.query(101 * SECOND, address(1), guid(1)), Ok(()));
    }

    #[test]
    fn connections_are_counted_by_address_and_in_all() {
        let mut gate = gate();
        assert!(gate.connection(address(1)) && gate.connection(address(1)));
        assert!(!gate.connection(address(1)), "two of one address");
        assert!(gate.connection(address(2)));
        assert!(!gate.connection(address(3)), "three in all");
        gate.closed(address(1));
        assert!(gate.connection(address(3)));
    }

    #[test]
    fn memory_is_bounded_and_buckets_come_back() {
        let mut buckets = Buckets::new(1.0, 10 * SECOND);
        for key in 0..BUCKETS_MAX as u32 {
            assert!(buckets.take(0, key));
        }
        assert!(!buckets.take(0, u32::MAX), "nobody new while everybody is busy");
        assert!(buckets.take(0, 5), "who is known goes on");
        assert!(buckets.take(22 * SECOND, u32::MAX));
        assert_eq!(buckets.by.len(), 1);
    }
}
