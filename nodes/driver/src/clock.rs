//! The time of a run: nanoseconds of `CLOCK_MONOTONIC` since the moment that the start command named.

use std::time::Duration;

use peerbed_proto::Time;
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC` now.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A clock that counts from the start of the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    epoch_ns: u64,
}

impl Clock {
    /// A clock whose zero is `epoch_ns` of `CLOCK_MONOTONIC`.
    pub(crate) fn new(epoch_ns: u64) -> Self {
        Self { epoch_ns }
    }

    /// Now; 0 before the start.
    pub(crate) fn now(self) -> Time {
        monotonic_ns().saturating_sub(self.epoch_ns)
    }

    /// How long it is until `time`; nothing if it has passed.
    pub(crate) fn until(self, time: Time) -> Duration {
        Duration::from_nanos(self.epoch_ns.saturating_add(time).saturating_sub(monotonic_ns()))
    }
}
