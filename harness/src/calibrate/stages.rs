//! The stages of a calibration: a network in which every class has a link of its own, what each stage lets probes do there,
//! how many of them side by side, and what is taken from their reports.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use anyhow::bail;
use peerbed_contract::{AsNumber, NatClass, NodeName, Role};
use peerbed_link::{Duplex, Fabric, FabricLink, FabricNode, Heading, Hop, LinkSpec, Route, Trace, TraceId};

use super::{
    Class, Measured, Place,
    course::{self, Flow, bps, flood, flow, loss, round_trips, trickle, wait_ms},
};
use crate::probe::{
    Gauged, Report,
    field::{Exchange, Reports, words},
};

/// The first of the stages' ports.
const PORT: u16 = 5001;
/// What may be under way at once, all classes together, in units of what a Mbit/s of full datagrams costs.
const TOGETHER: f64 = 300.0;
/// The same amount of TCP costs less, as it crosses in super-packets.
const COST_OF_TCP: f64 = 0.7;
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
pub(super) fn fabric(
    classes: &[Class],
    traces: &BTreeMap<TraceId, Trace>,
    seed: u64,
    congestion_control: &str,
) -> Fabric {
    let number = |index: usize| AsNumber::try_from(64_512 + index as u32).expect("numbers for private use are good");
    let mut fabric = Fabric {
        places: Vec::new(),
        seed,
        congestion_control: congestion_control.to_owned(),
        nodes: Vec::new(),
        links: Vec::new(),
        routes: Vec::new(),
        traces: traces.clone(),
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
            let address = address(fabric.nodes.len()).into();
            fabric.nodes.push(FabricNode { name, role: Role::Peer, as_number, address, access, nat: NatClass::None });
        }
    }
    fabric
}

/// What a stage does to a class, and what it costs; none if nothing.
fn exchange(stage: Stage, index: usize, spec: &LinkSpec) -> Option<(Exchange, f64)> {
    if course::traced(spec) && stage != Stage::Flood {
        return None;
    }
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
            let Flow { warm, window, pace } = flow(spec)?;
            let sink = words(&[&"sink", &listen, &warm.as_millis(), &window.as_millis()]);
            let length = (warm + window + Duration::from_secs(2)).as_millis();
            let source = words(&[&"source", &listen, &length, &pace]);
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

/// What the flood of a link that follows a trace, begun at `begin`, got through, and what it should have.
fn take_in_traced(spec: &LinkSpec, trace: &Trace, begin: Duration, gauged: &Gauged) -> Option<(f64, f64)> {
    /// Fewer packets say little.
    const LEAST_BYTES: u64 = 30_000;
    let blast = flood(spec)?;
    if trace.burst() > spec.queue_bytes().unwrap_or_default() {
        // No queue holds what could leave at once.
        return None;
    }
    let (arrived, missing) = (gauged.datagrams, loss(spec).0);
    let bps = |bytes: u64, nanos: u64| bytes as f64 * 8.0 / (nanos.max(1) as f64 / 1e9);
    if arrived < 2 {
        // Nothing came while it was flooded: right only where the trace has nothing.
        let nanos = (blast.count as f64 / blast.per_second * 1e9) as u64;
        let had = trace.bytes_by(nanos);
        return (had >= LEAST_BYTES).then(|| (bps(had, nanos) * (1.0 - missing), 0.0));
    }
    // When the first and the last of them had left the queue. At that moment more may have been delivered, before or after.
    let left = |at: u64| Some(at.checked_sub(begin.as_nanos() as u64)?.saturating_sub(spec.delay.as_nanos() as u64));
    let (first, last) = (left(gauged.first_ns)?, left(gauged.first_ns + gauged.nanos)?);
    let had = trace.bytes_by(last).saturating_sub(trace.bytes_by(first));
    let passes = |bytes: u64| (bytes as f64 * (1.0 - missing)) as u64;
    let got = (arrived - 1) * blast.packet_bytes();
    let asked = got.clamp(passes(had.saturating_sub(trace.burst())), passes(had + trace.burst()));
    (had >= LEAST_BYTES).then(|| (bps(asked, gauged.nanos), bps(got, gauged.nanos)))
}

/// Puts what a stage's probes reported into what was measured of the class; `trace` is the one that it follows, if it does,
/// with when that began.
pub(super) fn take_in(
    stage: Stage,
    spec: &LinkSpec,
    trace: Option<(&Trace, Duration)>,
    reports: &Reports,
    into: &mut Measured,
) -> anyhow::Result<()> {
    match (stage, &reports.server, &reports.client) {
        (Stage::Flood, Some(Report::Gauged(gauged)), Report::Sent { datagrams, nanos }) if trace.is_some() => {
            let (Some(blast), Some((trace, begin))) = (flood(spec), trace) else { bail!("nothing was flooded") };
            into.traced_bps = take_in_traced(spec, trace, begin, gauged);
            // Where less was offered than the trace may have had at its peak, its rate was not measured.
            let offered = *datagrams as f64 / ((*nanos).max(1) as f64 / 1e9);
            if offered < blast.per_second * 0.9 {
                let bps = |per_second: f64| per_second * blast.packet_bytes() as f64 * 8.0;
                into.underfed_bps = Some((bps(blast.per_second), bps(offered)));
            }
        }
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
            }
            // What is sent beyond the rate is what can wait; a queue that is too long to be filled is not judged.
            let fills = |offered: f64, seconds: f64| {
                spec.queue_bytes().is_some_and(|queue| (offered - rate) * seconds / 8.0 > queue as f64 * 1.05)
            };
            let planned = blast.per_second * blast.packet_bytes() as f64 * 8.0 * (1.0 - lost);
            let to_be_filled = fills(planned, blast.count as f64 / blast.per_second);
            let filled = fills(offered, *nanos as f64 / 1e9);
            if filled && spec.jitter.is_zero() {
                let waited = (gauged.most_ns - gauged.least_ns) as f64 / 1e9;
                into.queue_bytes = Some(waited * rate / 8.0);
            }
            if offered <= rate * 1.05 || (to_be_filled && !filled) {
                into.underfed_bps = Some((planned, offered));
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
    use peerbed_link::{Bandwidth, Loss, Probability, Queue, Rate, Traced};

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
    fn a_link_that_was_cut_is_only_seen_to_lose_everything() {
        let cut = class(Place::Up, LinkSpec { loss: Loss::Random(Probability::ONE), ..spec(10.0) });
        let stages = Stage::ALL.map(|stage| groups(stage, std::slice::from_ref(&cut)).len());
        assert_eq!(stages, [0, 0, 1, 0]);
        let nothing = Gauged { datagrams: 0, first_ns: 0, nanos: 0, least_ns: 0, median_ns: 0, most_ns: 0 };
        let reports = Reports {
            server: Some(Report::Gauged(nothing)),
            client: Report::Sent { datagrams: 500, nanos: 1_000_000_000 },
        };
        let mut measured = Measured::default();
        take_in(Stage::Trickle, &cut.spec, None, &reports, &mut measured).unwrap();
        assert_eq!(measured, Measured { trickled: Some((500, 500)), ..Measured::default() });
    }

    #[test]
    fn stages_do_not_hear_each_other() {
        let ports: std::collections::BTreeSet<u16> = Stage::ALL.map(Stage::port).into();
        assert_eq!(ports.len(), Stage::ALL.len());
    }

    #[test]
    fn a_trace_is_measured_by_what_it_had_meanwhile() {
        const MS: u64 = 1_000_000;
        // 8 Mbit/s for a second, nothing for another, and so on.
        let trace = Trace::rates(&[(0, 8_000_000), (1000 * MS, 0)], Some(2000 * MS)).unwrap();
        let traced = Traced { trace: TraceId::from_hash(1), mean: trace.mean(), peak: trace.peak() };
        let bandwidth = Bandwidth::Trace(traced);
        let spec = LinkSpec { bandwidth, delay: Duration::from_millis(100), ..LinkSpec::TRANSPARENT };
        let class = class(Place::Up, spec);
        let stages = Stage::ALL.map(|stage| groups(stage, std::slice::from_ref(&class)).len());
        assert_eq!(stages, [0, 1, 0, 0]);
        let blast = flood(&spec).unwrap();
        assert!(blast.per_second * blast.packet_bytes() as f64 * 8.0 > 8e6 * 1.2, "{blast:?}");
        assert!((4.9..5.1).contains(&(blast.count as f64 / blast.per_second)), "{blast:?}");
        // They come from 0.5 s after its beginning on, 0.1 s after they have left, until 2.9 s after it.
        let begin = Duration::from_secs(1_000);
        let had = (600 + 800) * 1000;
        let datagrams = had / blast.packet_bytes() + 1;
        let first_ns = begin.as_nanos() as u64 + 500 * MS;
        let gauged = Gauged { datagrams, first_ns, nanos: 2400 * MS, least_ns: 0, median_ns: 0, most_ns: 0 };
        let take = |sent: u64| {
            let client = Report::Sent { datagrams: sent, nanos: 5_000_000_000 };
            let reports = Reports { server: Some(Report::Gauged(gauged)), client };
            let mut measured = Measured::default();
            take_in(Stage::Flood, &spec, Some((&trace, begin)), &reports, &mut measured).unwrap();
            measured
        };
        let whole = take(blast.count);
        let (asked, got) = whole.traced_bps.unwrap();
        assert!((asked - had as f64 * 8.0 / 2.4).abs() < 10.0 && (got - asked).abs() < 6_000.0, "{whole:?}");
        assert_eq!(whole.underfed_bps, None);
        assert!(take(blast.count / 2).underfed_bps.is_some());
    }

    #[test]
    fn every_class_has_a_link_and_an_as_of_its_own() {
        let classes = [class(Place::Up, spec(1.0)), class(Place::Between, spec(2.0)), class(Place::Down, spec(3.0))];
        let fabric = fabric(&classes, &BTreeMap::new(), 1, "cubic");
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
        let gauged = Gauged {
            datagrams: 101,
            first_ns: 0,
            nanos: 120_000_000,
            least_ns: 1_000,
            median_ns: 2_000,
            most_ns: 100_001_000,
        };
        let take = |sent_in: u64| {
            let mut measured = Measured::default();
            let reports = Reports {
                server: Some(Report::Gauged(gauged)),
                client: Report::Sent { datagrams: 200, nanos: sent_in },
            };
            take_in(Stage::Flood, &spec, None, &reports, &mut measured).unwrap();
            measured
        };
        let filled = take(100_000_000);
        assert!((filled.flood_bps.unwrap() - 10e6).abs() < 1.0, "{filled:?}");
        assert!((filled.queue_bytes.unwrap() - 125_000.0).abs() < 1e-6, "{filled:?}");
        let underfed = take(1_000_000_000);
        let (planned, offered) = underfed.underfed_bps.unwrap();
        assert!(planned > 11e6 && (offered - 2.4e6).abs() < 1.0, "{underfed:?}");
        assert_eq!(Measured { underfed_bps: None, ..underfed }, Measured::default());
        assert_eq!(filled.underfed_bps, None);
        // What was sent beyond the rate does not fill a longer queue.
        let spec = LinkSpec { queue: Queue::Time(Duration::from_millis(200)), ..spec };
        let mut measured = Measured::default();
        let client = Report::Sent { datagrams: 200, nanos: 100_000_000 };
        take_in(Stage::Flood, &spec, None, &Reports { server: Some(Report::Gauged(gauged)), client }, &mut measured)
            .unwrap();
        assert_eq!((measured.flood_bps.is_some(), measured.queue_bytes), (true, None));
    }
}
