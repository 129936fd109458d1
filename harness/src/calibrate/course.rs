//! How much of what it takes to measure a link: how many datagrams of which size and pace, for how long a flow, how many
//! echoes; and what is not tried, because it would say nothing.

use std::time::Duration;

use peerbed_link::{Bandwidth, LinkSpec, Loss};

use crate::probe::{TCP_PAYLOAD, field::words};

/// Bytes of an IP packet beside the payload of a datagram.
const UDP_HEADERS: u64 = 28;
/// The least datagram: room for the moment at which it was sent.
const LEAST_PAYLOAD: u64 = 8;
/// Links faster than this are not filled: the machine, not the link, could be what is measured. Mbit/s.
pub(super) const FILLED_UP_TO_MBPS: f64 = 500.0;
/// Links faster than this are not overfilled with single datagrams, for the same reason. Mbit/s.
pub(super) const FLOODED_UP_TO_MBPS: f64 = 150.0;
/// Of a link that loses more than this share, only the loss is measured.
const MOSTLY_LOST: f64 = 0.5;
/// Datagrams a second with which loss is measured, at most.
const LOSS_PER_SECOND: f64 = 2_500.0;
/// The link's rate in bit/s, that of a trace in the long run; none if it is not limited.
pub(super) fn bps(spec: &LinkSpec) -> Option<f64> {
    spec.bandwidth.mean().map(|rate| rate.bps() as f64)
}

/// Whether it follows a trace: of such a link only what it carries over time is measured.
pub(super) fn traced(spec: &LinkSpec) -> bool {
    matches!(spec.bandwidth, Bandwidth::Trace(_))
}

/// The share of packets that the link loses in the long run, and how much more the number of losses varies than if each
/// were drawn on its own.
pub(super) fn loss(spec: &LinkSpec) -> (f64, f64) {
    match spec.loss {
        Loss::None => (0.0, 1.0),
        Loss::Random(share) => (share.get(), 1.0),
        Loss::GilbertElliott(burst) => {
            let (p, r) = (burst.p.get(), burst.r.get());
            if p + r == 0.0 {
                return (burst.loss_good.get(), 1.0);
            }
            let bad = p / (p + r);
            // States of a two-state chain are correlated by 1 − p − r from step to step, which stretches the variance.
            let stretch = ((2.0 - p - r) / (p + r)).max(1.0);
            (bad * burst.loss_bad.get() + (1.0 - bad) * burst.loss_good.get(), stretch)
        }
    }
}

/// Datagrams of `payload` bytes, `per_second` of them, `count` in all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Blast {
    pub(super) count: u64,
    pub(super) payload: u64,
    pub(super) per_second: f64,
}

impl Blast {
    pub(super) fn packet_bytes(&self) -> u64 {
        self.payload + UDP_HEADERS
    }

    pub(super) fn ask(&self, to: &str) -> Vec<String> {
        words(&[&"blast", &to, &self.count, &self.payload, &(self.per_second.ceil() as u64)])
    }
}

/// How long a full queue takes to run empty, seconds.
fn queue_seconds(spec: &LinkSpec) -> f64 {
    bps(spec).map_or(0.0, |rate| spec.queue_bytes().unwrap_or(0) as f64 * 8.0 / rate)
}

/// Whether the queue lasts while a sender waits for its timer: otherwise the link stands idle through no fault of its own.
fn bridges_gaps(spec: &LinkSpec) -> bool {
    const GAP_SECONDS: f64 = 0.005;
    const PACKETS: u64 = 4;
    queue_seconds(spec) >= GAP_SECONDS && spec.queue_bytes().unwrap_or(0) >= PACKETS * 1500
}

/// How a class is flooded; none if it is not.
pub(super) fn flood(spec: &LinkSpec) -> Option<Blast> {
    /// The queue shall be full after so long.
    const FULL_AFTER: f64 = 0.8;
    const MOST_BEYOND: f64 = 3.0;
    const LONGEST: f64 = 5.0;
    /// The first and the last datagram may be late by different jitters, which shall not show.
    const JITTERS: f64 = 150.0;
    // Never less than what the link can carry, and with a trace for as long as there is patience.
    let peak = spec.bandwidth.peak().map(|rate| rate.bps() as f64);
    let rate = peak.filter(|rate| *rate <= FLOODED_UP_TO_MBPS * 1e6 && loss(spec).0 <= MOSTLY_LOST)?;
    let jitter = spec.jitter.as_secs_f64() * JITTERS;
    if jitter > LONGEST || !bridges_gaps(spec) {
        return None;
    }
    let waits = queue_seconds(spec);
    // A queue that takes long to fill is not filled, nor does anyone wait until it is empty again.
    let beyond = if waits * 1.25 > MOST_BEYOND * LONGEST { 0.0 } else { waits / FULL_AFTER };
    let beyond = if traced(spec) { 0.3 } else { beyond.clamp(0.3, MOST_BEYOND) };
    let least = if traced(spec) { LONGEST } else { 0.6 };
    let seconds = (waits / beyond * 1.25).max(jitter).clamp(least, LONGEST);
    let (lost, _) = loss(spec);
    let offered = rate * (1.0 + beyond) / (1.0 - lost);
    // At least fifty packets a second, however slow the link.
    let payload = (rate / 8.0 / 50.0) as u64;
    let payload = payload.saturating_sub(UDP_HEADERS).clamp(LEAST_PAYLOAD, 1500 - UDP_HEADERS);
    let per_second = (offered / 8.0 / (payload + UDP_HEADERS) as f64).max(1.0);
    Some(Blast { count: (per_second * seconds).ceil() as u64, payload, per_second })
}

/// How the loss of a class is measured.
pub(super) fn trickle(spec: &LinkSpec) -> Blast {
    let payload = LEAST_PAYLOAD;
    let half = bps(spec).map_or(f64::INFINITY, |rate| rate / 2.0 / 8.0 / (payload + UDP_HEADERS) as f64);
    let per_second = half.clamp(1.0, LOSS_PER_SECOND);
    let (share, stretch) = loss(spec);
    // Two hundred losses are counted to 7 %; but nobody waits longer than six seconds for them.
    let wanted = if share > 0.0 { 200.0 / share * stretch } else { 0.0 };
    let count = wanted.clamp(per_second * 0.6, per_second * 6.0);
    Blast { count: count.ceil() as u64, payload, per_second }
}

/// How a TCP flow is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Flow {
    /// It runs so long before it is measured.
    pub(super) warm: Duration,
    /// It is measured so long.
    pub(super) window: Duration,
    /// It sends at most so many bytes a second, evenly; 0: as TCP has it.
    pub(super) pace: u64,
}

/// The flow for a link; none if one flow cannot be expected to fill it.
pub(super) fn flow(spec: &LinkSpec) -> Option<Flow> {
    /// More than this beyond the link's rate is of no use, and less than this is within what timers may be late.
    const BEYOND: (f64, f64) = (0.01, 0.05);
    let rate = bps(spec).filter(|rate| *rate <= FILLED_UP_TO_MBPS * 1e6)?;
    let delay = spec.delay.as_secs_f64();
    let product = rate / 8.0 * delay;
    // After a loss cubic goes on with 0.7 of its window, so that less queue than 0.43 of the rest runs empty.
    let queue = spec.queue_bytes().unwrap_or(0) as f64;
    if spec.loss != Loss::None || !spec.jitter.is_zero() || queue < product / 2.0 || rate < 200e3 {
        return None;
    }
    if !bridges_gaps(spec) {
        return None;
    }
    // One packet more or less must not show.
    let window = (1500.0 * 8.0 / rate / 0.002).clamp(1.0, 10.0);
    let flow = |warm: f64, pace: u64| Flow {
        warm: Duration::from_secs_f64(warm),
        window: Duration::from_secs_f64(window),
        pace,
    };
    // What a flow loses when it fills the queue it makes up for later: more comes then than the link carries. So it is paced,
    // to grow for some round trips and not to fill the queue until the window is over.
    let warm = 1.0 + delay * 15.0;
    let beyond = (0.8 * queue_seconds(spec) / (warm + window + 0.5)).min(BEYOND.1);
    if beyond >= BEYOND.0 {
        return Some(flow(warm, (rate * TCP_PAYLOAD * (1.0 + beyond) / 8.0).ceil() as u64));
    }
    // A short queue is filled anyway. Slow start overshoots by as much as it holds, again and again, and each time recovers in
    // some round trips through the full queue; only then is the flow steady.
    Some(flow((1.0 + (delay + queue_seconds(spec)) * 15.0).min(10.0), 0))
}

/// How many round trips are measured; none if most would be lost.
pub(super) fn round_trips(spec: &LinkSpec) -> Option<u32> {
    let (lost, _) = loss(spec);
    let trip = spec.delay.as_secs_f64() + spec.jitter.as_secs_f64() + 0.005;
    // A lost one takes as long as one waits for it.
    let most = if lost > 0.0 { 20.0 } else { 50.0 };
    (lost <= MOSTLY_LOST).then(|| (1.0 / trip).clamp(5.0, most) as u32)
}

/// How long nothing may come over a link until nothing more will.
pub(super) fn wait_ms(spec: &LinkSpec) -> u64 {
    let longest = spec.delay.as_secs_f64() + spec.jitter.as_secs_f64() + queue_seconds(spec);
    // An outage of a trace may last as long as it is flooded.
    1_000 + (longest * 1e3) as u64 + if traced(spec) { 6_000 } else { 0 }
}

#[cfg(test)]
mod tests {
    use peerbed_link::{Burst, Probability, Queue, Rate};

    use super::*;

    fn spec(mbit: f64) -> LinkSpec {
        let rate = Rate::from_bps((mbit * 1e6) as u64).unwrap();
        LinkSpec { bandwidth: Bandwidth::Limited(rate), ..LinkSpec::TRANSPARENT }
    }

    #[test]
    fn a_flood_fills_the_queue_and_lasts_seconds() {
        for mbit in [0.001, 0.064, 1.0, 24.0, 150.0] {
            for queue in [6, 100, 2_000] {
                let spec = LinkSpec { queue: Queue::Time(Duration::from_millis(queue)), ..spec(mbit) };
                let Some(blast) = flood(&spec) else {
                    // The least queue in bytes is a long one on a slow link, and a short one is none on a fast link.
                    panic!("{mbit} Mbit/s, {queue} ms: not flooded");
                };
                let seconds = blast.count as f64 / blast.per_second;
                let offered = blast.per_second * blast.packet_bytes() as f64 * 8.0;
                assert!((0.5..7.0).contains(&seconds), "{mbit} Mbit/s, {queue} ms: {seconds} s");
                assert!(blast.packet_bytes() <= 1500 && blast.payload >= LEAST_PAYLOAD);
                assert!(offered >= mbit * 1e6 * 1.2, "{mbit} Mbit/s: offered {offered}");
                let excess = (offered - mbit * 1e6) * seconds / 8.0;
                assert!(
                    mbit < 0.01 || excess >= spec.queue_bytes().unwrap() as f64,
                    "{mbit} Mbit/s, {queue} ms: {excess}"
                );
            }
        }
        assert_eq!(flood(&spec(151.0)), None);
        assert_eq!(flood(&LinkSpec::TRANSPARENT), None);
    }

    #[test]
    fn a_trickle_leaves_half_of_the_link_empty_and_sees_losses() {
        let lossy = LinkSpec { loss: Loss::Random(Probability::new(0.05).unwrap()), ..spec(10.0) };
        let blast = trickle(&lossy);
        assert!(blast.per_second * blast.packet_bytes() as f64 * 8.0 <= 5e6);
        assert_eq!(blast.count, 4000);
        let slow = trickle(&spec(0.001));
        assert!(slow.per_second * slow.packet_bytes() as f64 * 8.0 <= 1000.0 && slow.count >= 1);
        assert!(trickle(&LinkSpec::TRANSPARENT).per_second <= LOSS_PER_SECOND);
    }

    #[test]
    fn what_would_say_nothing_is_not_tried() {
        let queue = |mbit: f64, queue: Queue| LinkSpec { queue, ..spec(mbit) };
        // A sender's timer is coarser than such queues.
        for short in [queue(10.0, Queue::Bytes(1500)), queue(100.0, Queue::Time(Duration::from_millis(1)))] {
            assert_eq!((flood(&short), flow(&short)), (None, None), "{short:?}");
        }
        let jittery = |ms: u64| flood(&LinkSpec { jitter: Duration::from_millis(ms), ..spec(10.0) });
        let seconds = |blast: Blast| blast.count as f64 / blast.per_second;
        assert!((4.4..4.6).contains(&seconds(jittery(30).unwrap())));
        assert_eq!(jittery(40), None);
        // One that takes minutes to fill is left nearly empty.
        let long = queue(10.0, Queue::Bytes(1 << 30));
        let blast = flood(&long).unwrap();
        assert!(blast.per_second * blast.packet_bytes() as f64 * 8.0 < 13.1e6 && seconds(blast) < 5.01, "{blast:?}");
        assert!(flow(&long).is_some_and(|flow| flow.pace > 0), "it does not fill the queue");
    }

    #[test]
    fn one_waits_as_long_as_the_link_may_take() {
        let slow = LinkSpec {
            delay: Duration::from_secs(10),
            jitter: Duration::from_secs(1),
            queue: Queue::Time(Duration::from_secs(4)),
            ..spec(10.0)
        };
        assert_eq!((wait_ms(&slow), round_trips(&slow)), (16_000, Some(5)));
        assert_eq!(wait_ms(&LinkSpec::TRANSPARENT), 1_000);
    }

    #[test]
    fn bursts_lose_their_share_with_more_variance() {
        let share = |value| Probability::new(value).unwrap();
        let burst = Burst { p: share(0.01), r: share(0.24), loss_bad: share(0.5), loss_good: share(0.0) };
        let (lost, stretch) = loss(&LinkSpec { loss: Loss::GilbertElliott(burst), ..spec(1.0) });
        assert!((lost - 0.02).abs() < 1e-12, "{lost}");
        assert!((stretch - 7.0).abs() < 1e-9, "{stretch}");
        assert_eq!(loss(&LinkSpec { loss: Loss::Random(share(0.3)), ..spec(1.0) }), (0.3, 1.0));
    }

    #[test]
    fn tcp_is_asked_only_where_it_can_fill_the_link() {
        let with = |change: fn(&mut LinkSpec)| {
            let mut spec = LinkSpec { delay: Duration::from_millis(20), ..spec(20.0) };
            change(&mut spec);
            flow(&spec)
        };
        let usual = with(|_| ()).unwrap();
        assert_eq!((usual.warm, usual.window), (Duration::from_millis(1300), Duration::from_secs(1)));
        // 20 Mbit/s and a queue of 100 ms, which is not full after 2.8 s.
        let beyond = usual.pace as f64 * 8.0 / (20e6 * TCP_PAYLOAD) - 1.0;
        assert!((0.02..0.03).contains(&beyond), "{beyond}");
        let short =
            with(|spec| (spec.queue, spec.delay) = (Queue::Time(Duration::from_millis(13)), Duration::ZERO)).unwrap();
        assert_eq!((short.pace, short.warm), (0, Duration::from_millis(1195)));
        assert_eq!(with(|spec| spec.loss = Loss::Random(Probability::new(0.01).unwrap())), None);
        assert_eq!(with(|spec| spec.jitter = Duration::from_millis(1)), None);
        assert_eq!(with(|spec| spec.delay = Duration::from_secs(1)), None, "the queue is too short");
        assert_eq!(flow(&spec(501.0)), None);
        assert_eq!(flow(&LinkSpec::TRANSPARENT), None);
        assert!(flow(&spec(1.0)).unwrap().window >= Duration::from_secs(6), "few packets need a long window");
    }
}
