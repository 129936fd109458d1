//! Small measures of time and rate: a source's goodput, a token bucket, a back-off.

use peerbed_contract::Waits;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::params::SECOND;
use crate::Time;

/// The age, in busy time, at which a byte counts half.
const HALF_LIFE_NS: f64 = 0.5e9;
/// Less measured time than this gives no rate.
const ENOUGH_NS: f64 = 50e6;

/// The goodput of one source over the time in which it owed something, older time counting less.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter {
    bytes: f64,
    busy_ns: f64,
    /// Since when the source has owed bytes without a mark; none while it owes nothing.
    since: Option<Time>,
}

impl Meter {
    /// The source owes bytes from now on.
    pub(super) fn begin(&mut self, now: Time) {
        self.since.get_or_insert(now);
    }

    /// The source owes nothing any more.
    pub(super) fn end(&mut self, now: Time) {
        self.add(now, 0);
        self.since = None;
    }

    /// Bytes came.
    pub(super) fn add(&mut self, now: Time, bytes: u32) {
        let (seen, busy_ns) = self.at(now);
        self.bytes = seen + f64::from(bytes);
        self.busy_ns = busy_ns;
        if self.since.is_some() {
            self.since = Some(now);
        }
    }

    /// Bytes a second; none before enough was seen. Falls while nothing comes.
    pub(super) fn rate(&self, now: Time) -> Option<f64> {
        let (seen, busy_ns) = self.at(now);
        (busy_ns >= ENOUGH_NS && seen > 0.0).then(|| seen / busy_ns * 1e9)
    }

    /// Bytes and busy time, both aged to `now`.
    fn at(&self, now: Time) -> (f64, f64) {
        let elapsed = self.since.map_or(0, |since| now.saturating_sub(since)) as f64;
        let keep = (-elapsed / HALF_LIFE_NS).exp2();
        (self.bytes * keep, self.busy_ns * keep + elapsed)
    }
}

/// Bytes that may be spent, filled at a steady rate.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    rate: f64,
    depth: f64,
    level: f64,
    filled: Time,
}

impl Bucket {
    /// A full bucket of `depth` bytes that fills with `rate` bytes a second.
    pub(crate) fn new(rate: f64, depth: f64) -> Self {
        Self { rate, depth, level: depth, filled: 0 }
    }

    /// The rate it fills with, bytes a second.
    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    /// Fills with another rate from now on.
    pub(super) fn set_rate(&mut self, now: Time, rate: f64) {
        self.fill(now);
        self.rate = rate;
    }

    /// Spends `bytes` if they are there; else says when they will be (never, if it does not fill).
    pub(crate) fn take(&mut self, now: Time, bytes: f64) -> Result<(), Option<Time>> {
        self.ready(now, bytes)?;
        self.spend(bytes);
        Ok(())
    }

    /// Whether `bytes` are there; else says when they will be (never, if it does not fill).
    pub(crate) fn ready(&mut self, now: Time, bytes: f64) -> Result<(), Option<Time>> {
        self.fill(now);
        let short = bytes.min(self.depth) - self.level;
        if short <= 0.0 {
            return Ok(());
        }
        Err((self.rate > 0.0).then(|| now + (short / self.rate * 1e9).ceil().min(3600e9) as Time + 1))
    }

    /// Spends what is there.
    pub(super) fn spend(&mut self, bytes: f64) {
        self.level -= bytes;
    }

    fn fill(&mut self, now: Time) {
        self.level = (self.level + self.rate * now.saturating_sub(self.filled) as f64 / 1e9).min(self.depth);
        self.filled = now;
    }
}

/// Exponential waits with a seeded jitter, so that many peers do not return in one moment.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    failures: u32,
    first: Time,
    most: Time,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(&Waits::default())
    }
}

impl Backoff {
    /// One that has not failed yet.
    pub(crate) fn new(waits: &Waits) -> Self {
        Self { failures: 0, first: waits.back_off_ns, most: waits.back_off_most_ns }
    }

    /// Counts a failure and gives how long to wait: half to all of the first wait, doubled per earlier failure.
    pub(crate) fn failed(&mut self, rng: &mut ChaCha8Rng) -> Time {
        let full = self.first.saturating_mul(1 << self.failures.min(16)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        full / 2 + rng.random_range(0..=full / 2)
    }

    /// The longest that it gives.
    pub(crate) fn most(&self) -> Time {
        self.most
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A time within a fifth of `time`, drawn, so that many peers do not act in one moment.
pub(super) fn about(time: Time, rng: &mut ChaCha8Rng) -> Time {
    time - time / 5 + rng.random_range(0..=2 * (time / 5))
}

/// `bytes` at `rate` bytes a second, in nanoseconds, at most an hour.
pub(super) fn time_for(bytes: u64, rate: f64) -> Time {
    (bytes as f64 / rate.max(1.0) * 1e9).min((3600 * SECOND) as f64) as Time
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::peer::params::MILLISECOND;

    #[test]
    fn a_steady_source_is_measured_exactly_and_a_silent_one_falls() {
        let mut meter = Meter::default();
        meter.begin(0);
        for step in 1..=40 {
            meter.add(step * 100 * MILLISECOND, 100_000);
        }
        let rate = meter.rate(4 * SECOND).unwrap();
        assert!((rate - 1e6).abs() < 5e4, "{rate}");
        assert!(meter.rate(8 * SECOND).unwrap() < 3e5);
    }

    #[test]
    fn time_without_anything_owed_does_not_count() {
        let mut meter = Meter::default();
        meter.begin(0);
        meter.add(SECOND, 1_000_000);
        meter.end(SECOND);
        assert!((meter.rate(100 * SECOND).unwrap() - 1e6).abs() < 1.0);
    }

    #[test]
    fn a_bucket_gives_its_rate() {
        let mut bucket = Bucket::new(1000.0, 100.0);
        let (mut now, mut spent) = (0, 0);
        while now < 10 * SECOND {
            match bucket.take(now, 50.0) {
                Ok(()) => spent += 50,
                Err(at) => now = at.unwrap(),
            }
        }
        assert!((10_000..=10_150).contains(&spent), "{spent}");
    }

    #[test]
    fn a_backoff_doubles_up_to_its_bound() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut backoff = Backoff::default();
        let waits: Vec<Time> = (0..12).map(|_| backoff.failed(&mut rng)).collect();
        for (index, wait) in waits.iter().enumerate() {
            let waits = Waits::default();
            let full = (waits.back_off_ns << index).min(waits.back_off_most_ns);
            assert!((full / 2..=full).contains(wait));
        }
    }
}
