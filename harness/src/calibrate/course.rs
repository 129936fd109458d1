//! What is done to a class of links to measure it: which probes, for how long, how many side by side.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::bail;
use peerbed_contract::{AsNumber, NodeName, Role};
use peerbed_link::{Bandwidth, Duplex, Fabric, FabricLink, FabricNode, Heading, Hop, LinkSpec, Loss, Route};

use super::{Class, Measured, Place};
use crate::probe::{
    Report,
    field::{Exchange, Reports, words},
};

/// Bytes of an IP packet beside the payload of a datagram.
const UDP_HEADERS: u64 = 28;
/// The first of the stages' ports.
const PORT: u16 = 5001;
/// The least datagram: room for the moment at which it was sent.
const LEAST_PAYLOAD: u64 = 8;
/// Links faster than this are not filled: the machine, not the link, could be what is measured. Mbit/s.
pub(super) const FILLED_UP_TO_MBPS: f64 = 500.0;
/// Links faster than this are not overfilled with single datagrams, for the same reason. Mbit/s.
pub(super) const FLOODED_UP_TO_MBPS: f64 = 150.0;
/// Of a link that loses more than this share, only the loss is measured.
const MOSTLY_LOST: f64 = 0.5;
/// What may be under way at once, all classes together, in units of what a Mbit/s of full datagrams costs.
const TOGETHER: f64 = 300.0;
/// The same amount of TCP costs less, as it crosses in super-packets.
const COST_OF_TCP: f64 = 0.7;
/// Datagrams a second with which loss is measured, at most.
const LOSS_PER_SECOND: f64 = 2_500.0;
/// What a Mbit/s of full datagrams is in datagrams a second.
const DATAGRAMS_PER_MBIT: f64 = 1e6 / 8.0 / 1500.0;

/// One kind of measurement of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Round trips of an echo, on an idle link.
    RoundTrips,
    /// Datagrams, more than the link carries: its rate and its queue.
    Flood,
    /// Datagrams, fewer than the link carries: its loss.
    Trickle,
    /// One TCP flow.
    Flow,
}

impl Stage {
    pub(super) const ALL: [Stage; 4] = [Stage::RoundTrips, Stage::Flood, Stage::Trickle, Stage::Flow];

    /// Its own, as what one stage sent may arrive during the next one.
    fn port(self) -> u16 {
        PORT + self as u16
    }
}

/// The link's rate in bit/s; none if it is not limited.
pub(super) fn bps(spec: &LinkSpec) -> Option<f64> {
    match spec.bandwidth {
        Bandwidth::Limited(rate) => Some(rate.bps() as f64),
        Bandwidth::Unlimited => None,
    }
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

    fn ask(&self, to: &str) -> Vec<String> {
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
    let rate = bps(spec).filter(|rate| *rate <= FLOODED_UP_TO_MBPS * 1e6 && loss(spec).0 <= MOSTLY_LOST)?;
    let jitter = spec.jitter.as_secs_f64() * JITTERS;
    if jitter > LONGEST || !bridges_gaps(spec) {
        return None;
    }
    let waits = queue_seconds(spec);
    // A queue that takes long to fill is not filled, nor does anyone wait until it is empty again.
    let beyond = if waits * 1.25 > MOST_BEYOND * LONGEST { 0.0 } else { waits / FULL_AFTER };
    let beyond = beyond.clamp(0.3, MOST_BEYOND);
    let seconds = (waits / beyond * 1.25).max(jitter).clamp(0.6, LONGEST);
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

/// For how long a TCP flow runs before it is measured, and for how long it is; none if one flow cannot be expected to fill
/// the link.
pub(super) fn flow(spec: &LinkSpec) -> Option<(Duration, Duration)> {
    let rate = bps(spec).filter(|rate| *rate <= FILLED_UP_TO_MBPS * 1e6)?;
    let product = rate / 8.0 * spec.delay.as_secs_f64();
    // After a loss cubic goes on with 0.7 of its window, so that less queue than 0.43 of the rest runs empty.
    let queue = spec.queue_bytes().unwrap_or(0) as f64;
    if spec.loss != Loss::None || !spec.jitter.is_zero() || queue < product / 2.0 || rate < 200e3 {
        return None;
    }
    // Through a longer queue it is not steady within the time.
    if !bridges_gaps(spec) || queue_seconds(spec) > 5.0 {
        return None;
    }
    // Slow start overshoots by as much as the queue holds, again and again, and each time recovers in some round trips
    // through the full queue; only then is the flow steady.
    let full = spec.delay.as_secs_f64() + queue * 8.0 / rate;
    let warm = Duration::from_secs_f64((1.0 + full * 15.0).min(10.0));
    // One packet more or less must not show.
    let window = (1500.0 * 8.0 / rate / 0.002).clamp(1.0, 10.0);
    Some((warm, Duration::from_secs_f64(window)))
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
fn wait_ms(spec: &LinkSpec) -> u64 {
    let longest = spec.delay.as_secs_f64() + spec.jitter.as_secs_f64() + queue_seconds(spec);
    1_000 + (longest * 1e3) as u64
}

fn from(index: usize) -> NodeName {
    format!("from-{index}").parse().expect("a constant name is good")
}

fn to(index: usize) -> NodeName {
    format!("to-{index}").parse().expect("a constant name is good")
}

/// Addresses for benchmarks (RFC 2544), two for each class.
fn address(position: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)) + position as u32)
}

/// A network in which every class has a link of its own, with a host at either end and nothing else on the way.
pub(super) fn fabric(classes: &[Class], seed: u64, congestion_control: &str) -> Fabric {
    let number = |index: usize| AsNumber::try_from(64_512 + index as u32).expect("numbers for private use are good");
    let mut fabric = Fabric {
        seed,
        congestion_control: congestion_control.to_owned(),
        nodes: Vec::new(),
        links: Vec::new(),
        routes: Vec::new(),
    };
    let open = Duplex { up: LinkSpec::TRANSPARENT, down: LinkSpec::TRANSPARENT };
    for (index, class) in classes.iter().enumerate() {
        let near = number(2 * index);
        let (mut far, mut sender, mut receiver) = (near, open, open);
        match class.place {
            Place::Up => sender.up = class.spec,
            Place::Down => receiver.down = class.spec,
            Place::Between => {
                far = number(2 * index + 1);
                let link = fabric.links.len() as u32;
                let hop = |heading| vec![Hop { link, heading }];
                fabric.routes.push(Route { from: near, to: far, hops: hop(Heading::Forward) });
                fabric.routes.push(Route { from: far, to: near, hops: hop(Heading::Backward) });
                let (forward, backward) = (class.spec, LinkSpec::TRANSPARENT);
                fabric.links.push(FabricLink { name: format!("link-{index}"), a: near, b: far, forward, backward });
            }
        }
        let hosts = [(from(index), near, sender), (to(index), far, receiver)];
        for (name, as_number, access) in hosts {
            let address = address(fabric.nodes.len());
            fabric.nodes.push(FabricNode { name, role: Role::Peer, as_number, address, access });
        }
    }
    fabric
}

/// What a stage does to a class, and what it costs; none if nothing.
fn exchange(stage: Stage, index: usize, spec: &LinkSpec) -> Option<(Exchange, f64)> {
    let listen = format!("{}:{}", address(2 * index + 1), stage.port());
    let gauge = words(&[&"gauge", &listen, &wait_ms(spec)]);
    let (serve, ask, cost) = match stage {
        Stage::RoundTrips => {
            let ping = words(&[&"ping", &listen, &round_trips(spec)?, &5_000, &wait_ms(spec)]);
            (words(&[&"echo", &listen]), ping, 1.0)
        }
        Stage::Flood => {
            let blast = flood(spec)?;
            (gauge, blast.ask(&listen), blast.per_second / DATAGRAMS_PER_MBIT)
        }
        Stage::Trickle => {
            let blast = trickle(spec);
            (gauge, blast.ask(&listen), blast.per_second / DATAGRAMS_PER_MBIT)
        }
        Stage::Flow => {
            let (warm, window) = flow(spec)?;
            let sink = words(&[&"sink", &listen, &warm.as_millis(), &window.as_millis()]);
            let source = words(&[&"source", &listen, &(warm + window + Duration::from_secs(2)).as_millis()]);
            (sink, source, bps(spec)? / 1e6 * COST_OF_TCP)
        }
    };
    let endless = stage == Stage::RoundTrips;
    Some((Exchange { server: to(index), serve, endless, client: from(index), ask }, cost))
}

/// A stage of all classes, in groups that may be measured side by side: the classes' positions with what is done to them.
pub(super) fn groups(stage: Stage, classes: &[Class]) -> Vec<Vec<(usize, Exchange)>> {
    let mut groups: Vec<Vec<(usize, Exchange)>> = Vec::new();
    let mut together = 0.0;
    for (index, class) in classes.iter().enumerate() {
        let Some((exchange, cost)) = exchange(stage, index, &class.spec) else { continue };
        match groups.last_mut() {
            Some(group) if together + cost <= TOGETHER => {
                together += cost;
                group.push((index, exchange));
            }
            _ => {
                together = cost;
                groups.push(vec![(index, exchange)]);
            }
        }
    }
    groups
}

/// Puts what a stage's probes reported into what was measured of the class.
pub(super) fn take_in(stage: Stage, spec: &LinkSpec, reports: &Reports, into: &mut Measured) -> anyhow::Result<()> {
    match (stage, &reports.server, &reports.client) {
        (Stage::RoundTrips, None, Report::RoundTrips(trips)) => {
            if trips.is_empty() && loss(spec).0 == 0.0 {
                bail!("no echo came back over a link that loses nothing");
            }
            into.round_trip_ns = trips.get(trips.len() / 2).copied();
            into.least_round_trip_ns = trips.first().copied();
        }
        (Stage::Flood, Some(Report::Gauged(gauged)), Report::Sent { datagrams, nanos }) => {
            let (Some(blast), Some(rate)) = (flood(spec), bps(spec)) else { bail!("nothing was flooded") };
            let bits = |datagrams: u64| datagrams as f64 * blast.packet_bytes() as f64 * 8.0;
            let got = bits(gauged.datagrams.saturating_sub(1)) / (gauged.nanos.max(1) as f64 / 1e9);
            // What was not filled says nothing about the rate.
            let (lost, _) = loss(spec);
            let offered = bits(*datagrams) / ((*nanos).max(1) as f64 / 1e9) * (1.0 - lost);
            if offered > rate * 1.05 {
                into.flood_bps = Some(got);
                let waited = (gauged.most_ns - gauged.least_ns) as f64 / 1e9;
                // What was sent beyond the rate is what can have waited.
                let waiting = (offered - rate) * (*nanos as f64 / 1e9) / 8.0;
                let filled = spec.queue_bytes().is_some_and(|queue| waiting > queue as f64 * 1.05);
                into.queue_bytes = Some(waited * rate / 8.0).filter(|_| spec.jitter.is_zero() && filled);
            }
        }
        (Stage::Trickle, Some(Report::Gauged(gauged)), Report::Sent { datagrams, .. }) => {
            into.trickled = Some((*datagrams, datagrams.saturating_sub(gauged.datagrams)));
        }
        (Stage::Flow, Some(Report::Window { bytes, nanos }), _) => {
            into.flow_bps = Some(*bytes as f64 * 8.0 / ((*nanos).max(1) as f64 / 1e9));
        }
        other => bail!("the probes said {other:?}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use peerbed_link::{Burst, Probability, Queue, Rate};

    use super::*;
    use crate::probe::Gauged;

    fn spec(mbit: f64) -> LinkSpec {
        let rate = Rate::from_bps((mbit * 1e6) as u64).unwrap();
        LinkSpec { bandwidth: Bandwidth::Limited(rate), ..LinkSpec::TRANSPARENT }
    }

    fn class(place: Place, spec: LinkSpec) -> Class {
        Class { place, spec, users: vec!["x".to_owned()] }
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
    fn a_link_that_was_cut_is_only_seen_to_lose_everything() {
        let cut = class(Place::Up, LinkSpec { loss: Loss::Random(Probability::ONE), ..spec(10.0) });
        let stages = Stage::ALL.map(|stage| groups(stage, std::slice::from_ref(&cut)).len());
        assert_eq!(stages, [0, 0, 1, 0]);
        let nothing = Gauged { datagrams: 0, nanos: 0, least_ns: 0, median_ns: 0, most_ns: 0 };
        let reports = Reports {
            server: Some(Report::Gauged(nothing)),
            client: Report::Sent { datagrams: 500, nanos: 1_000_000_000 },
        };
        let mut measured = Measured::default();
        take_in(Stage::Trickle, &cut.spec, &reports, &mut measured).unwrap();
        assert_eq!(measured, Measured { trickled: Some((500, 500)), ..Measured::default() });
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
        assert_eq!(flow(&long), None);
    }

    #[test]
    fn stages_do_not_hear_each_other() {
        let ports: std::collections::BTreeSet<u16> = Stage::ALL.map(Stage::port).into();
        assert_eq!(ports.len(), Stage::ALL.len());
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
        assert_eq!(with(|_| ()), Some((Duration::from_millis(2800), Duration::from_secs(1))));
        assert_eq!(with(|spec| spec.loss = Loss::Random(Probability::new(0.01).unwrap())), None);
        assert_eq!(with(|spec| spec.jitter = Duration::from_millis(1)), None);
        assert_eq!(with(|spec| spec.delay = Duration::from_secs(1)), None, "the queue is too short");
        assert_eq!(flow(&spec(501.0)), None);
        assert_eq!(flow(&LinkSpec::TRANSPARENT), None);
        assert!(flow(&spec(1.0)).unwrap().1 >= Duration::from_secs(6), "few packets need a long window");
    }

    #[test]
    fn every_class_has_a_link_and_an_as_of_its_own() {
        let classes = [class(Place::Up, spec(1.0)), class(Place::Between, spec(2.0)), class(Place::Down, spec(3.0))];
        let fabric = fabric(&classes, 1, "cubic");
        let open = LinkSpec::TRANSPARENT;
        let accesses: Vec<_> = fabric.nodes.iter().map(|node| (node.access.up, node.access.down)).collect();
        assert_eq!(accesses[0], (spec(1.0), open));
        assert_eq!(accesses[1..5], [(open, open); 4]);
        assert_eq!(accesses[5], (open, spec(3.0)));
        assert_eq!(fabric.links.len(), 1);
        assert_eq!((fabric.links[0].forward, fabric.links[0].backward), (spec(2.0), open));
        assert_eq!((fabric.links[0].a, fabric.links[0].b), (fabric.nodes[2].as_number, fabric.nodes[3].as_number));
        assert_eq!(fabric.nodes[0].as_number, fabric.nodes[1].as_number);
        let addresses: std::collections::BTreeSet<_> = fabric.nodes.iter().map(|node| node.address).collect();
        assert_eq!(addresses.len(), 6);
    }

    #[test]
    fn no_more_is_under_way_than_the_machine_carries() {
        let classes: Vec<Class> = (0..20).map(|_| class(Place::Up, spec(100.0))).collect();
        for stage in Stage::ALL {
            let groups = groups(stage, &classes);
            let mut all: Vec<usize> = groups.iter().flatten().map(|(index, _)| *index).collect();
            all.sort_unstable();
            assert_eq!(all, (0..20).collect::<Vec<_>>(), "{stage:?}");
        }
        assert_eq!(groups(Stage::Flood, &classes).iter().map(Vec::len).max(), Some(2));
        assert_eq!(groups(Stage::RoundTrips, &classes).len(), 1);
        assert!(groups(Stage::Flow, &[class(Place::Up, LinkSpec::TRANSPARENT)]).is_empty());
    }

    #[test]
    fn a_flood_that_did_not_fill_the_link_says_nothing() {
        let spec = spec(10.0);
        let gauged =
            Gauged { datagrams: 101, nanos: 120_000_000, least_ns: 1_000, median_ns: 2_000, most_ns: 100_001_000 };
        let take = |sent_in: u64| {
            let mut measured = Measured::default();
            let reports = Reports {
                server: Some(Report::Gauged(gauged)),
                client: Report::Sent { datagrams: 200, nanos: sent_in },
            };
            take_in(Stage::Flood, &spec, &reports, &mut measured).unwrap();
            measured
        };
        let filled = take(100_000_000);
        assert!((filled.flood_bps.unwrap() - 10e6).abs() < 1.0, "{filled:?}");
        assert!((filled.queue_bytes.unwrap() - 125_000.0).abs() < 1e-6, "{filled:?}");
        assert_eq!(take(1_000_000_000), Measured::default());
        // What was sent beyond the rate does not fill a longer queue.
        let spec = LinkSpec { queue: Queue::Time(Duration::from_millis(200)), ..spec };
        let mut measured = Measured::default();
        let client = Report::Sent { datagrams: 200, nanos: 100_000_000 };
        take_in(Stage::Flood, &spec, &Reports { server: Some(Report::Gauged(gauged)), client }, &mut measured).unwrap();
        assert_eq!((measured.flood_bps.is_some(), measured.queue_bytes), (true, None));
    }
}
