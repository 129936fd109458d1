//! What a trace promises, and a pipe that follows one.

use std::collections::VecDeque;

use peerbed_link::{
    Bandwidth, LinkSpec, Moment, Piece, Pipe, Queue, Service, Trace, TraceError, TraceId, Traced, Train,
};
use proptest::{collection::vec, prelude::*};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

fn spec(trace: &Trace, queue: Queue) -> LinkSpec {
    let traced = Traced { trace: TraceId::from_hash(1), mean: trace.mean(), peak: trace.peak() };
    LinkSpec { bandwidth: Bandwidth::Trace(traced), queue, ..LinkSpec::TRANSPARENT }
}

fn pipe(trace: &Trace, queue: Queue, begin: u64) -> Pipe {
    Pipe::new(spec(trace, queue), Service::Trace(trace.clone(), Moment::from_nanos(begin)), 1, 1)
}

/// When packets of these lengths, each offered at its time, leave; none for one that was dropped.
fn carry(pipe: &mut Pipe, packets: &[(u64, u32)]) -> Vec<Option<u64>> {
    let mut left = Vec::new();
    for (at, bytes) in packets {
        let mut pieces: Vec<Piece> = vec![];
        pipe.offer(Moment::from_nanos(*at), Train::single(*bytes), u64::MAX, &mut pieces);
        left.push(pieces.first().map(|piece| piece.due.nanos()));
    }
    left
}

/// What mahimahi's link does, step by step: each delivery takes packets from the queue until 1500 bytes are gone; a packet
/// may be cut over deliveries; a delivery that finds nothing is lost. Packets that come at the time of a delivery miss it.
fn by_hand(times_ms: &[u64], packets: &[(u64, u32)]) -> Vec<u64> {
    let period = times_ms[times_ms.len() - 1];
    let mut left = vec![0; packets.len()];
    let mut coming: VecDeque<usize> = (0..packets.len()).collect();
    let mut queue: VecDeque<(usize, u32)> = VecDeque::new();
    for turn in 0.. {
        for at in times_ms.iter().map(|at| (turn * period + at) * MS) {
            while let Some(index) = coming.front().filter(|index| packets[**index].0 < at) {
                queue.push_back((*index, packets[*index].1));
                coming.pop_front();
            }
            let mut room = 1500;
            while room > 0
                && let Some((index, rest)) = queue.front_mut()
            {
                let taken = room.min(*rest);
                (room, *rest) = (room - taken, *rest - taken);
                if *rest == 0 {
                    left[*index] = at;
                    queue.pop_front();
                }
            }
        }
        if coming.is_empty() && queue.is_empty() {
            return left;
        }
    }
    unreachable!("turns have no end")
}

fn any_times() -> impl Strategy<Value = Vec<u64>> {
    (vec(0_u64..60, 1..40), 1_u64..80).prop_map(|(mut times, last)| {
        times.push(last);
        times.sort_unstable();
        times
    })
}

fn any_packets() -> impl Strategy<Value = Vec<(u64, u32)>> {
    vec((prop_oneof![Just(0), 0_u64..20 * MS], 20_u32..=1500), 1..80).prop_map(|gaps| {
        let mut at = 0;
        let packet = |(gap, bytes)| {
            at += gap;
            (at, bytes)
        };
        gaps.into_iter().map(packet).collect()
    })
}

fn any_rates() -> impl Strategy<Value = Trace> {
    let steps = vec((1_u64..50 * MS, prop_oneof![Just(0), 1_000_u64..1_000_000_000]), 1..20);
    (steps, any::<bool>()).prop_filter_map("it carries something", |(steps, repeats)| {
        let (mut at, mut from) = (0, Vec::new());
        for (lasts, bps) in steps {
            from.push((at, bps));
            at += lasts;
        }
        Trace::rates(&from, repeats.then_some(at)).ok()
    })
}

proptest! {
    /// A packet-delivery trace means what mahimahi makes of it, whenever packets come and however long they are.
    #[test]
    fn deliveries_are_mahimahis(times in any_times(), packets in any_packets(), begin in 0..3 * SECOND) {
        let trace = Trace::deliveries(times.iter().copied()).unwrap();
        let moved: Vec<(u64, u32)> = packets.iter().map(|(at, bytes)| (at + begin, *bytes)).collect();
        let left = carry(&mut pipe(&trace, Queue::Bytes(u64::MAX), begin), &moved);
        let expected: Vec<Option<u64>> = by_hand(&times, &packets).into_iter().map(|at| Some(at + begin)).collect();
        prop_assert_eq!(left, expected);
    }

    /// While something waits, exactly what the trace has is carried, and never more.
    #[test]
    fn rates_are_kept_exactly(trace in any_rates(), begin in 0..SECOND, packets in 1_usize..300) {
        let offered = vec![(begin, 1250_u32); packets];
        let left = carry(&mut pipe(&trace, Queue::Bytes(u64::MAX), begin), &offered);
        for (index, at) in left.into_iter().enumerate() {
            let (at, bytes) = (at.unwrap() - begin, (index as u64 + 1) * 1250);
            prop_assert!(trace.bytes_by(at) >= bytes, "{bytes} bytes left too early");
            prop_assert!(trace.bytes_by(at - 1) < bytes, "{bytes} bytes left too late");
        }
    }

    /// What is written down is read back the same.
    #[test]
    fn is_read_as_it_was_written(times in any_times(), rates in any_rates()) {
        for trace in [Trace::deliveries(times).unwrap(), rates] {
            let text = serde_json::to_string(&trace).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Trace>(&text).unwrap(), &trace, "{}", text);
        }
    }
}

#[test]
fn what_is_not_used_of_a_delivery_is_lost() {
    let trace = Trace::deliveries([10, 10, 20, 40]).unwrap();
    // Two small ones share one of the two deliveries at 10 ms; one that comes at 12 ms waits for 20.
    let packets = [(0, 700), (5 * MS, 800), (12 * MS, 1500), (12 * MS, 100)];
    let left = carry(&mut pipe(&trace, Queue::Bytes(u64::MAX), 0), &packets);
    assert_eq!(left, [10, 10, 20, 40].map(|ms| Some(ms * MS)));
    assert_eq!(trace.mean().bps(), 4 * 1500 * 8 * 1000 / 40);
    assert_eq!(trace.peak().bps(), 3 * 1500 * 8 * 1000 / 20, "those of 10 and 20 ms are within 20 ms");
}

#[test]
fn a_peak_may_be_across_the_turn() {
    // 3 deliveries in the last and 3 in the first milliseconds: 6 within 20 ms.
    let trace = Trace::deliveries([1, 2, 3, 500, 998, 999, 1000]).unwrap();
    assert_eq!(trace.peak().bps(), 6 * 1500 * 8 * 1000 / 20);
    assert_eq!((trace.burst(), Trace::deliveries([1, 4, 4, 4, 9]).unwrap().burst()), (1500, 4500));
    let half = Trace::deliveries([2, 4, 6, 1000, 1996, 1998, 2000]).unwrap();
    assert_eq!(trace.scaled(50).unwrap(), half);
}

#[test]
fn an_outage_holds_packets_and_a_full_queue_drops_them() {
    // 10 Mbit/s, then nothing for a second, then 1 Mbit/s for ever.
    let trace = Trace::rates(&[(0, 10_000_000), (SECOND, 0), (2 * SECOND, 1_000_000)], None).unwrap();
    let packets = vec![(SECOND, 1250); 5];
    let left = carry(&mut pipe(&trace, Queue::Bytes(3750), 0), &packets);
    let after = |ms: u64| Some(2 * SECOND + ms * MS);
    assert_eq!(left, [after(10), after(20), after(30), None, None]);
    assert_eq!((trace.mean().bps(), trace.peak().bps(), trace.period()), (1_000_000, 10_000_000, None));
}

#[test]
fn a_link_goes_over_to_a_trace_with_what_waits_in_it() {
    let trace = Trace::rates(&[(0, 0), (10 * MS, 10_000_000)], None).unwrap();
    let fixed = LinkSpec {
        bandwidth: Bandwidth::Limited(peerbed_link::Rate::from_bps(1_000_000).unwrap()),
        queue: Queue::Bytes(u64::MAX),
        ..LinkSpec::TRANSPARENT
    };
    let rate = Service::Rate(fixed.bandwidth.mean().unwrap());
    let mut pipe = Pipe::new(fixed, rate.clone(), 1, 1);
    let mut pieces = vec![];
    for _ in 0..3 {
        pipe.offer(Moment::default(), Train::single(1250), 0, &mut pieces);
    }
    // At 15 ms the second is half sent. The trace begins then, with 10 ms of nothing.
    let (now, traced) = (Moment::from_nanos(15 * MS), spec(&trace, fixed.queue));
    let retimed = pipe.update(now, traced, Service::Trace(trace.clone(), now));
    let dues: Vec<u64> = pieces[1..].iter().map(|p| retimed.due(p.ticket).unwrap().nanos() / 1_000).collect();
    assert_eq!(dues, [25_500, 26_500]);
    // A change of anything else leaves the trace where it is.
    let slower = LinkSpec { delay: std::time::Duration::from_millis(1), ..traced };
    let at = Moment::from_nanos(20 * MS);
    let retimed = pipe.update(at, slower, Service::Trace(trace, at));
    assert_eq!(retimed.due(pieces[2].ticket), Some(Moment::from_nanos(27_500_000)));
    // And back: at 26 ms the last one's half is left, which takes 5 ms at 1 Mbit/s.
    let retimed = pipe.update(Moment::from_nanos(26 * MS), fixed, rate);
    assert_eq!(retimed.due(pieces[2].ticket), Some(Moment::from_nanos(31 * MS)));
}

#[test]
fn a_trace_begins_when_it_is_told() {
    let trace = Trace::rates(&[(0, 8_000_000), (5 * MS, 0), (10 * MS, 8_000)], None).unwrap();
    let mut pipe = pipe(&trace, Queue::Bytes(u64::MAX), 0);
    let mut pieces = vec![];
    pipe.offer(Moment::from_nanos(6 * MS), Train::single(1000), 0, &mut pieces);
    assert_eq!(pieces[0].due, Moment::from_nanos(10 * MS + SECOND));
    let retimed = pipe.begin(Moment::from_nanos(7 * MS), Moment::from_nanos(6 * MS + MS / 2));
    assert_eq!(retimed.due(pieces[0].ticket), Some(Moment::from_nanos(8 * MS)));
}

#[test]
fn what_is_no_trace_is_refused() {
    let rates = |steps: &[(u64, u64)], repeats| Trace::rates(steps, repeats).unwrap_err();
    assert_eq!(Trace::deliveries([]).unwrap_err(), TraceError::Empty);
    assert_eq!(Trace::deliveries([0, 0]).unwrap_err(), TraceError::Duration);
    assert_eq!(Trace::deliveries([1, 3, 2]).unwrap_err(), TraceError::Order(2));
    assert_eq!(Trace::deliveries([u64::MAX]).unwrap_err(), TraceError::Long);
    assert_eq!(Trace::deliveries([1_000_000]).unwrap_err(), TraceError::Rate(12));
    assert_eq!(rates(&[], None), TraceError::Empty);
    assert_eq!(rates(&[(1, 1_000)], None), TraceError::Start(1));
    assert_eq!(rates(&[(0, 1_000), (0, 2_000)], None), TraceError::Order(1));
    assert_eq!(rates(&[(0, 1_000), (5, 2_000)], Some(5)), TraceError::Duration);
    assert_eq!(rates(&[(0, 1_000), (5, 0)], None), TraceError::Dead);
    assert_eq!(rates(&[(0, 1_000)], Some(u64::MAX)), TraceError::Long);
    assert_eq!(rates(&[(0, 0)], Some(5)), TraceError::Rate(0));
    assert_eq!(rates(&[(0, 999)], None), TraceError::Rate(999));
    for text in ["{\"deliveries\":\"\"}", "{\"deliveries\":\"1 x\"}", "{\"deliveries\":\"1 2x18446744073709551615\"}"] {
        assert!(serde_json::from_str::<Trace>(text).is_err(), "{text}");
    }
    assert!(serde_json::from_str::<TraceId>("\"12\"").is_err());
}
