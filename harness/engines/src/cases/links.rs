//! What a link does to packets: rate, delay, jitter, loss, queue, changes, traces.

use std::time::Duration;

use peerbed::{agent::protocol::Request, engine::EngineChoice};
use peerbed_link::{Bandwidth, Burst, Duplex, Kind, LinkSpec, Loss, Probability, Queue, Trace, TraceId, Traced};

use super::{PAYLOAD_SHARE, delayed, engine, entry, fast, limited, share, some_delay, undisturbed};
use crate::{
    bed::{Bed, slowness},
    lab::{Lab, OPEN, address, fabric},
};

pub(super) fn a_flow_gets_the_rate_of_its_link(bed: Bed) {
    let ideal = fast() as f64 * PAYLOAD_SHARE;
    let (mut lab, bytes) = undisturbed(|| {
        let delay = some_delay(bed);
        let (forward, backward) = (LinkSpec { delay, ..limited(fast()) }, LinkSpec { delay, ..LinkSpec::TRANSPARENT });
        let mut lab = Lab::new(fabric(&[(1, OPEN), (2, OPEN)], forward, backward), bed, None);
        assert_eq!((lab.report.engine.as_str(), lab.report.congestion_control.as_str()), (engine(bed), "cubic"));
        lab.start_listener(1, "sink 1000 2000");
        lab.start(0, &format!("source {}", address(1)));
        let [bytes, nanos] = lab.numbers(1);
        lab.ended(0);
        let got = bytes * 8.0 / nanos * 1_000.0;
        println!("  {got:.3} of {ideal:.3} Mbit/s");
        let good = (0.99..1.01).contains(&(got / ideal));
        if good { Ok((lab, bytes)) } else { Err(format!("{got} Mbit/s, ideal {ideal}")) }
    });

    // What is under way when the flow ends still arrives.
    let sample = lab.sample_when(|sample| {
        let (up, link) = (sample.access[0].forward, sample.links[0].forward);
        up.offered_packets == link.carried_packets + link.dropped_packets
            && link.carried_packets == entry(sample, 1, 2).packets
    });
    let (link, down) = (sample.links[0].forward, sample.access[1].backward);
    let ledger = entry(&sample, 1, 2);
    assert_eq!((ledger.kind, ledger.packets, ledger.bytes), (Kind::Peer, down.carried_packets, down.carried_bytes));
    assert_eq!((link.carried_packets, link.carried_bytes), (down.offered_packets, down.offered_bytes));
    assert_eq!(link.lost_packets, 0);
    // Every segment counts with its own headers.
    assert!(ledger.bytes as f64 * PAYLOAD_SHARE >= bytes, "{ledger:?} for {bytes} bytes of payload");
    assert!(entry(&sample, 2, 1).packets > 100, "acknowledgements are counted too");
    assert_eq!(sample.health.overruns, 0);
}

pub(super) fn access_links_have_their_rates_both_ways(bed: Bed) {
    let (up, down) = (fast() / 2, fast() / 4);
    let mut wanted = vec![(0, 1, up), (1, 0, down)];
    undisturbed(|| {
        let nodes = [(1, Duplex { up: limited(up), down: limited(down) }), (2, OPEN)];
        let mut lab = Lab::new(fabric(&nodes, LinkSpec::TRANSPARENT, LinkSpec::TRANSPARENT), bed, None);
        while let Some(&(source, sink, rate)) = wanted.last() {
            lab.start_listener(sink, "sink 1000 2000");
            lab.start(source, &format!("source {}", address(sink)));
            let [bytes, nanos] = lab.numbers(sink);
            assert_eq!(lab.line(source), "sent");
            lab.ended(source);
            lab.ended(sink);
            let (got, ideal) = (bytes * 8.0 / nanos * 1_000.0, rate as f64 * PAYLOAD_SHARE);
            println!("  {got:.3} of {ideal:.3} Mbit/s");
            if !(0.99..1.01).contains(&(got / ideal)) {
                return Err(format!("{got} Mbit/s, ideal {ideal}"));
            }
            wanted.pop();
        }
        let access = lab.sample().access[0];
        // A sender that sees the queue as its own would not fill it.
        assert!(access.forward.dropped_packets > 0 && access.backward.dropped_packets > 0, "{access:?}");
        Ok(())
    });
}

pub(super) fn round_trips_take_the_sum_of_the_delays(bed: Bed) {
    let access = |up, down| Duplex { up: delayed(up), down: delayed(down) };
    let nodes = [(1, access(1, 2)), (2, access(3, 4)), (1, access(0, 0))];
    let mut lab = Lab::new(fabric(&nodes, delayed(10), delayed(20)), bed, None);
    lab.start_listener(1, "echo");
    lab.start(0, &format!("ping {} 60 2000", address(1)));
    let [answered, least, median, _] = lab.numbers(0);
    println!("  40 ms and {:.0} µs, median {:.0} µs", least / 1e3 - 40e3, median / 1e3 - 40e3);
    assert!(answered > 59.5 && near(least, 40.0), "{answered} answers, the first after {least} ns");
    assert!(median < 40e6 + 3e6 * slowness(), "median {median} ns");

    // Inside an AS no link between ASes is crossed.
    lab.start(2, &format!("ping {} 60 2000", address(1)));
    let [_, least, _, _] = lab.numbers(2);
    assert!(near(least, 37.0), "{least} ns to another AS");
    lab.kill(1);
    lab.ended(0);
    lab.start_listener(0, "echo");
    lab.ended(2);
    lab.start(2, &format!("ping {} 60 2000", address(0)));
    let [_, least, _, _] = lab.numbers(2);
    assert!(near(least, 3.0), "{least} ns inside the AS");
    let sample = lab.sample();
    assert_eq!(entry(&sample, 1, 1).packets, 120);
    assert_eq!(sample.health.overruns, 0);
}

/// Whether nanoseconds are so many milliseconds and hardly more.
fn near(nanos: f64, millis: f64) -> bool {
    (millis * 1e6..millis * 1e6 + 0.8e6 * slowness()).contains(&nanos)
}

pub(super) fn jitter_stays_between_its_bounds(bed: Bed) {
    // Of one direction: from 10 to 30 ms.
    let jittery = LinkSpec { jitter: Duration::from_millis(10), ..delayed(20) };
    let mut lab = Lab::new(fabric(&[(1, OPEN), (2, OPEN)], jittery, delayed(0)), bed, None);
    lab.start_listener(1, "echo");
    lab.start(0, &format!("ping {} 200 2000", address(1)));
    let [answered, least, median, most] = lab.numbers(0);
    println!("  {:.1}, {:.1}, {:.1} ms", least / 1e6, median / 1e6, most / 1e6);
    assert!(answered > 199.5, "{answered} answers of 200");
    // The chance that none of 200 draws is within 2 ms of an end is below 10⁻⁹.
    assert!((10e6..12e6 + 1e6 * slowness()).contains(&least), "the fastest took {least} ns");
    assert!(most >= 28e6, "the slowest took {most} ns");
    assert!((18e6..22e6 + 2e6 * slowness()).contains(&median), "median {median} ns");
    lab.kill(1);
    lab.ended(0);
}

/// Send datagrams over a link with this loss; what was lost of what was sent.
fn lose(bed: Bed, loss: Loss, segments: u32) -> (Lab, u64, u64) {
    const SENT: u64 = 20_000;
    let pause = (20.0 * f64::from(segments) * slowness()) as u32;
    let mut lab = Lab::new(fabric(&[(1, OPEN), (2, OPEN)], LinkSpec { loss, ..limited(400) }, delayed(0)), bed, None);
    lab.start_listener(1, "count");
    lab.start(0, &format!("blast {} {SENT} 400 {segments} {pause}", address(1)));
    assert_eq!(lab.line(0), "sent");
    // The counter waits until it has read what is there.
    let sample = lab.sample_when(|sample| {
        let link = sample.links[0].forward;
        link.offered_packets == SENT && entry(sample, 1, 2).packets + link.lost_packets == SENT
    });
    lab.say(1, "stop");
    // The program may be too slow for its socket's buffer, so only what it did read is judged.
    let (good, wrong) = lab.counts(1);
    let link = sample.links[0].forward;
    assert_eq!((wrong, link.dropped_packets, sample.health.overruns), (0, 0, 0));
    assert!(good > 1000 && good <= SENT - link.lost_packets, "{good} good datagrams");
    (lab, link.lost_packets, SENT)
}

pub(super) fn loss_is_what_was_asked_for(bed: Bed) {
    for (p, segments) in [(0.01, 4), (0.05, 40)] {
        let (_, lost, sent) = lose(bed, Loss::Random(share(p)), segments);
        let deviation = (sent as f64 * p * (1.0 - p)).sqrt();
        println!("  {lost} of {sent} lost, expected {} ± {deviation:.1}", sent as f64 * p);
        assert!((lost as f64 - sent as f64 * p).abs() <= 3.0 * deviation, "{lost} of {sent} lost");
    }
}

pub(super) fn bursts_are_lost_together(bed: Bed) {
    let burst = Burst { p: share(0.01), r: share(0.25), loss_bad: Probability::ONE, loss_good: Probability::ZERO };
    let (_, lost, sent) = lose(bed, Loss::GilbertElliott(burst), 40);
    if bed.engine == EngineChoice::Wire {
        // The draws come from the seed, so the same packets are lost wherever and whenever this runs.
        let (_, again, _) = lose(bed, Loss::GilbertElliott(burst), 4);
        assert_eq!(lost, again);
    }
    let expected = 0.01 / 0.26;
    assert!((lost as f64 / sent as f64 / expected - 1.0).abs() < 0.2, "{lost} of {sent} lost");
}

pub(super) fn flows_share_a_link_between_ases(bed: Bed) {
    let nodes = [(1, OPEN), (1, OPEN), (2, OPEN), (2, OPEN)];
    let delay = some_delay(bed);
    let (forward, backward) = (LinkSpec { delay, ..limited(fast() / 2) }, LinkSpec { delay, ..LinkSpec::TRANSPARENT });
    let mut lab = Lab::new(fabric(&nodes, forward, backward), bed, None);
    for sink in [2, 3] {
        lab.start_listener(sink, "sink 1500 3000");
    }
    for source in [0, 1] {
        lab.start(source, &format!("source {}", address(source + 2)));
    }
    let got = [2, 3].map(|sink| {
        let [bytes, nanos] = lab.numbers(sink);
        bytes * 8.0 / nanos * 1_000.0
    });
    let ideal = (fast() / 2) as f64 * PAYLOAD_SHARE;
    println!("  {:.3} and {:.3} of {ideal:.3} Mbit/s", got[0], got[1]);
    assert!((got[0] + got[1]) / ideal < 1.04 && (got[0] + got[1]) / ideal > 0.9, "{got:?}");
    assert!(got[0].min(got[1]) > 0.1 * ideal, "one flow starves: {got:?}");
}

pub(super) fn a_full_queue_drops_the_rest(bed: Bed) {
    // 100 datagrams of 1028 bytes come at once in front of a link that needs 8 ms for each; 20 of them find room behind
    // the first ones, which a link that had rested may send at once.
    let slow = LinkSpec { queue: Queue::Bytes(20 * 1028), ..limited(1) };
    let mut lab = Lab::new(fabric(&[(1, OPEN), (2, OPEN)], slow, LinkSpec::TRANSPARENT), bed, None);
    lab.start_listener(1, "count");
    lab.start(0, &format!("blast {} 100 1000 1 0", address(1)));
    assert_eq!(lab.line(0), "sent");
    // What left the link may not be at its destination yet.
    let sample = lab.sample_when(|sample| {
        let link = sample.links[0].forward;
        let all = link.offered_packets == 100 && link.carried_packets + link.dropped_packets == 100;
        all && entry(sample, 1, 2).packets == link.carried_packets
    });
    let link = sample.links[0].forward;
    // Some leave while the last ones come.
    let most = 24 + if slowness() > 1.0 { 20 } else { 6 };
    assert!((20..=most).contains(&link.carried_packets), "{link:?}");
    assert_eq!((link.offered_bytes, link.carried_bytes), (100 * 1028, link.carried_packets * 1028));
    assert_eq!(link.lost_packets, 0);
    lab.say(1, "stop");
    assert_eq!(lab.counts(1), (link.carried_packets, 0));
}

pub(super) fn a_link_changes_while_packets_wait(bed: Bed) {
    // 500 datagrams of 1028 bytes wait for 4 s in front of 1 Mbit/s, then the link becomes fast.
    let slow = LinkSpec { queue: Queue::Bytes(1 << 20), ..limited(1) };
    let delay = some_delay(bed) * 10;
    let fast = LinkSpec { delay, ..limited(40) };
    let fabric = fabric(&[(1, OPEN), (2, OPEN)], slow, delayed(0));
    let mut lab = Lab::with(fabric, vec![fast], bed, None);
    lab.start_listener(1, "count");
    lab.start(0, &format!("blast {} 500 1000 1 0", address(1)));
    assert_eq!(lab.line(0), "sent");
    let before = lab.sample_when(|sample| sample.links[0].forward.offered_packets == 500);
    assert!(before.links[0].forward.carried_packets < 130, "{:?}", before.links[0]);
    lab.set_link(fast, delayed(0));
    let after = lab.sample_when(|sample| entry(sample, 1, 2).packets == 500);
    let took = (after.at_ns - before.at_ns) / 1_000_000;
    // What waited takes 1028 bytes × 8 / 40 Mbit/s each, and the delay on top where that comes after the queue.
    println!("  the queue was empty after {took} ms");
    assert!((50..1000).contains(&took), "{took} ms");
    lab.say(1, "stop");
    assert_eq!(lab.counts(1), (500, 0));
    assert_eq!(after.links[0].forward.dropped_packets, 0);
}

pub(super) fn a_link_that_is_cut_carries_nothing(bed: Bed) {
    let (there, back) = (limited(40), delayed(0));
    let mut lab = Lab::with(fabric(&[(1, OPEN), (2, OPEN)], there, back), vec![there.cut(), back.cut()], bed, None);
    lab.start_listener(1, "count");
    let mut sent = 0;
    for (cut, lost) in [(false, 0), (true, 100), (false, 100)] {
        if cut {
            lab.set_link(there.cut(), back.cut());
        } else {
            lab.set_link(there, back);
        }
        lab.start(0, &format!("blast {} 100 1000 1 200", address(1)));
        assert_eq!(lab.line(0), "sent");
        lab.ended(0);
        sent += 100;
        // Each is counted where it went.
        lab.sample_when(|sample| {
            let link = sample.links[0].forward;
            (link.offered_packets, link.lost_packets) == (sent, lost) && entry(sample, 1, 2).packets == sent - lost
        });
    }
    lab.say(1, "stop");
    assert_eq!(lab.counts(1), (200, 0));
}

pub(super) fn a_link_follows_its_trace(bed: Bed) {
    // Nothing for half a second, then 8 Mbit/s: 100 datagrams of 1000 bytes take 0.1 s then. And once more from the start.
    const MS: u64 = 1_000_000;
    let trace = Trace::rates(&[(0, 0), (500 * MS, 8_000_000)], Some(700 * MS)).expect("a good trace");
    let traced = Traced { trace: TraceId::from_hash(1), mean: trace.mean(), peak: trace.peak() };
    let spec = LinkSpec { bandwidth: Bandwidth::Trace(traced), queue: Queue::Bytes(1 << 20), ..LinkSpec::TRANSPARENT };
    let mut fabric = fabric(&[(1, OPEN), (2, OPEN)], spec, LinkSpec::TRANSPARENT);
    let unknown = Traced { trace: TraceId::from_hash(2), ..traced };
    fabric.traces.insert(traced.trace, trace.clone());
    let mut lab = Lab::new(fabric, bed, None);
    lab.start_listener(1, "count");
    undisturbed(|| {
        let before = entry(&lab.sample(), 1, 2).packets;
        let begin = lab.begin();
        lab.start(0, &format!("blast {} 300 972 1 0", address(1)));
        assert_eq!(lab.line(0), "sent");
        // What was counted at any moment is what the trace has until then, but for one packet and what the engine was late.
        loop {
            let sample = lab.sample();
            let delivered = (entry(&sample, 1, 2).packets - before) * 1000;
            let had = |at: u64| trace.bytes_by(at.saturating_sub(begin));
            if delivered > had(sample.at_ns) + 1000 {
                return Err(format!(
                    "{delivered} bytes at {} ms, the trace has {}",
                    (sample.at_ns - begin) / MS,
                    had(sample.at_ns)
                ));
            }
            if delivered + 6000 < had(sample.at_ns - 5 * MS).min(300_000) {
                return Err(format!("only {delivered} bytes at {} ms", (sample.at_ns - begin) / MS));
            }
            if delivered == 300_000 {
                println!("  all of it after {} ms", (sample.at_ns - begin) / MS);
                return Ok(());
            }
        }
    });
    let strange = LinkSpec { bandwidth: Bandwidth::Trace(unknown), ..spec };
    let refused = lab.refusal(Request::SetLink { link: 0, forward: strange, backward: delayed(0) });
    assert!(refused.contains("there is no trace 0000000000000002"), "{refused}");
}
