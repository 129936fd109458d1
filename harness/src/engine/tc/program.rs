//! What one direction of a link becomes in the kernel: queueing disciplines as values, computed from its description.
//!
//! In the order in which packets meet them: `netem` (loss, then delay and jitter), then `tbf` (queue and rate). Both work on
//! IP bytes: every discipline has a size table that takes the Ethernet header off.

use std::time::Duration;

use peerbed_link::{Bandwidth, LinkSpec, Loss, Rate};

/// Bytes of the Ethernet header, which links do not count.
pub(crate) const ETHERNET: i32 = 14;
/// What a bucket holds: what its link carries in this time …
const BURST: Duration = Duration::from_millis(4);
/// … but room for two full frames at least; smaller buckets lose rate to the lateness of the kernel's timers.
const LEAST_BURST: u64 = 3200;
/// The smallest IP packet that is counted on, an acknowledgement without data: so many may be under way.
const SMALLEST: u64 = 40;
/// How fast a link without a limit is counted on to be, bit/s.
const FASTEST: u64 = 10_000_000_000;
/// Packets that may be under way beyond what was computed.
const SPARE: u64 = 1000;

/// The queueing disciplines of one direction of one link; none of them: packets pass at once.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Program {
    /// At the root, if there is any.
    pub(crate) netem: Option<Netem>,
    /// Its child, or the root without it.
    pub(crate) tbf: Option<Tbf>,
}

/// Loss, delay and jitter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Netem {
    /// Of every packet.
    pub(crate) delay: Duration,
    /// Evenly up or down, without reordering.
    pub(crate) jitter: Duration,
    /// Before all else.
    pub(crate) loss: Loss,
    /// Packets that may be under way, so many that none is ever refused.
    pub(crate) limit: u32,
    /// Of its random draws, on kernels that take one.
    pub(crate) seed: u64,
}

/// Rate and queue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tbf {
    /// Bytes a second.
    pub(crate) bytes_per_second: u64,
    /// Bytes that a rested link sends at once.
    pub(crate) burst: u32,
    /// Bytes that may wait.
    pub(crate) limit: u32,
}

impl Program {
    /// For a direction that has been like `before`: a discipline that is there stays, as packets may wait in it. Where some
    /// links of the network have delays, any link with a queue is ready to get one.
    pub(crate) fn of(spec: &LinkSpec, seed: u64, before: &Self, delays: bool) -> Self {
        let ready = delays && spec.bandwidth != Bandwidth::Unlimited;
        let netem = (before.netem.is_some() || ready || wants_netem(spec)).then(|| Netem {
            delay: spec.delay,
            jitter: spec.jitter,
            loss: spec.loss,
            limit: under_way(spec),
            seed,
        });
        let tbf = match spec.bandwidth {
            Bandwidth::Limited(rate) => Some(Tbf::of(rate, spec.queue_bytes().unwrap_or_default())),
            Bandwidth::Unlimited => before.tbf.map(|_| Tbf::open()),
            Bandwidth::Trace(_) => unreachable!("`refuse` comes first"),
        };
        Self { netem, tbf }
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.netem.is_none() && self.tbf.is_none()
    }

    /// Whether the same disciplines are there, so that one may become the other with packets in it.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (self.netem.is_some(), self.tbf.is_some()) == (other.netem.is_some(), other.tbf.is_some())
    }
}

/// What the bucket of a link holds, bytes.
pub(crate) fn burst(rate: Rate) -> u64 {
    let burst = u128::from(rate.bps().div_ceil(8)) * BURST.as_nanos() / 1_000_000_000;
    (burst as u64).max(LEAST_BURST)
}

impl Tbf {
    fn of(rate: Rate, queue_bytes: u64) -> Self {
        Self {
            bytes_per_second: rate.bps().div_ceil(8),
            burst: saturated(burst(rate)),
            limit: saturated(queue_bytes.max(1500)),
        }
    }

    /// As good as none.
    fn open() -> Self {
        Self { bytes_per_second: 400_000_000_000 / 8, burst: u32::MAX / 4, limit: u32::MAX / 4 }
    }
}

/// Whether the kernel needs `netem` for it.
pub(crate) fn wants_netem(spec: &LinkSpec) -> bool {
    !spec.delay.is_zero() || !spec.jitter.is_zero() || spec.loss != Loss::None
}

/// So many packets may be between the two ends of a link: what arrives at its rate during the longest delay, and what its queue
/// holds, all of it in the smallest packets. Nothing is reserved for them.
fn under_way(spec: &LinkSpec) -> u32 {
    let bps = spec.bandwidth.peak().map_or(FASTEST, Rate::bps);
    let longest = (spec.delay + spec.jitter).as_nanos();
    let bytes = u128::from(bps) * longest / 8_000_000_000 + u128::from(spec.queue_bytes().unwrap_or_default());
    saturated((bytes / u128::from(SMALLEST)).min(u128::from(u32::MAX)) as u64 + SPARE)
}

fn saturated(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use peerbed_link::{Probability, Queue};

    use super::*;

    fn limited(mbit: u64) -> LinkSpec {
        let rate = Rate::from_bps(mbit * 1_000_000).unwrap();
        LinkSpec { bandwidth: Bandwidth::Limited(rate), ..LinkSpec::TRANSPARENT }
    }

    fn of(spec: &LinkSpec) -> Program {
        Program::of(spec, 7, &Program::default(), false)
    }

    #[test]
    fn an_open_link_needs_nothing() {
        assert!(of(&LinkSpec::TRANSPARENT).is_empty());
    }

    #[test]
    fn rate_and_queue_are_a_bucket() {
        let program = of(&LinkSpec { queue: Queue::Time(Duration::from_millis(100)), ..limited(40) });
        assert_eq!(program.netem, None);
        assert_eq!(program.tbf, Some(Tbf { bytes_per_second: 5_000_000, burst: 20_000, limit: 500_000 }));
        // A slow link's bucket and queue have their least sizes.
        let slow = of(&LinkSpec { queue: Queue::Bytes(100), ..limited(1) }).tbf.unwrap();
        assert_eq!((slow.burst, slow.limit), (3200, 1500));
    }

    #[test]
    fn netem_has_room_for_everything_under_way() {
        let spec = LinkSpec {
            delay: Duration::from_millis(40),
            jitter: Duration::from_millis(10),
            loss: Loss::Random(Probability::new(0.01).unwrap()),
            queue: Queue::Bytes(400_000),
            ..limited(80)
        };
        // 500 kB in 50 ms, 400 kB that wait, in packets of 40 bytes.
        assert_eq!(of(&spec).netem.map(|netem| netem.limit), Some(22_500 + 1000));
        let open = LinkSpec { delay: Duration::from_millis(1), ..LinkSpec::TRANSPARENT };
        let program = of(&open);
        assert_eq!((program.netem.map(|netem| netem.limit), program.tbf), (Some(31_250 + 1000), None));
    }

    #[test]
    fn what_is_there_stays() {
        let before = of(&LinkSpec { delay: Duration::from_millis(40), ..limited(10) });
        let after = Program::of(&LinkSpec::TRANSPARENT, 7, &before, true);
        assert!(after.is_like(&before));
        assert_eq!(after.netem.map(|netem| (netem.delay, netem.loss)), Some((Duration::ZERO, Loss::None)));
        assert!(after.tbf.unwrap().bytes_per_second >= 50_000_000_000);
        assert!(!of(&limited(10)).is_like(&before));
        assert!(Program::of(&limited(10), 7, &Program::default(), true).is_like(&before));
        assert!(Program::of(&LinkSpec::TRANSPARENT, 7, &Program::default(), true).is_empty());
    }
}
