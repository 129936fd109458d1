//! The engine's clock.

use peerbed_link::Moment;

use crate::host::monotonic_ns;

/// `CLOCK_MONOTONIC` now.
pub(super) fn now() -> Moment {
    Moment::from_nanos(monotonic_ns())
}
