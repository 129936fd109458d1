//! What a pipe promises, whatever arrives.

use std::time::Duration;

use peerbed_link::{
    Bandwidth, Burst, Counters, LinkSpec, Loss, Moment, Piece, Pipe, Probability, Queue, Rate, Service, Train,
};
use proptest::{collection::vec, prelude::*};

const SECOND: u64 = 1_000_000_000;

fn limited(bps: u64) -> LinkSpec {
    LinkSpec { bandwidth: Bandwidth::Limited(Rate::from_bps(bps).unwrap()), ..LinkSpec::TRANSPARENT }
}

/// How a link without a trace is served.
fn service(spec: &LinkSpec) -> Service {
    spec.bandwidth.mean().map_or(Service::Unlimited, Service::Rate)
}

fn pipe_of(spec: LinkSpec, seed: u64, stream: u64) -> Pipe {
    Pipe::new(spec, service(&spec), seed, stream)
}

fn share(value: f64) -> Probability {
    Probability::new(value).unwrap()
}

/// Everything that can happen to a pipe.
#[derive(Debug, Clone)]
enum Step {
    Offer { after: u64, train: Train, most: u64 },
    Update { after: u64, spec: LinkSpec },
}

fn any_train() -> impl Strategy<Value = Train> {
    prop_oneof![
        (40_u32..=1500).prop_map(Train::single),
        (2_u32..45, 500_u32..=1500)
            .prop_flat_map(|(segments, full)| { (41..=full).prop_map(move |last| Train::new(segments, full, last)) }),
    ]
}

fn any_loss() -> impl Strategy<Value = Loss> {
    prop_oneof![
        Just(Loss::None),
        (0.0..0.5).prop_map(|p| Loss::Random(share(p))),
        (0.0..0.5, 0.1..1.0, 0.0..=1.0, 0.0..0.1).prop_map(|(p, r, bad, good)| {
            Loss::GilbertElliott(Burst { p: share(p), r: share(r), loss_bad: share(bad), loss_good: share(good) })
        }),
    ]
}

fn any_spec() -> impl Strategy<Value = LinkSpec> {
    let bandwidth = prop_oneof![
        1 => Just(Bandwidth::Unlimited),
        4 => (1_000_u64..10_000_000_000).prop_map(|bps| Bandwidth::Limited(Rate::from_bps(bps).unwrap())),
    ];
    let queue = prop_oneof![
        (0_u64..1_000).prop_map(|ms| Queue::Time(Duration::from_millis(ms))),
        (0_u64..200_000).prop_map(Queue::Bytes),
    ];
    let millis = |most: u64| (0..most).prop_map(Duration::from_micros);
    let jitter = prop_oneof![Just(Duration::ZERO), millis(5_000)];
    (bandwidth, millis(200_000), jitter, any_loss(), queue)
        .prop_map(|(bandwidth, delay, jitter, loss, queue)| LinkSpec { bandwidth, delay, jitter, loss, queue })
}

fn any_offer() -> impl Strategy<Value = Step> {
    let after = prop_oneof![Just(0_u64), 0_u64..100_000, 0_u64..50_000_000];
    let most = prop_oneof![Just(u64::MAX), 0_u64..20_000];
    (after, any_train(), most).prop_map(|(after, train, most)| Step::Offer { after, train, most })
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let update = (0_u64..20_000_000, any_spec()).prop_map(|(after, spec)| Step::Update { after, spec });
    vec(prop_oneof![9 => any_offer(), 1 => update], 1..120)
}

/// A piece as its sender sees it.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    offer: usize,
    piece: Piece,
    bytes: u64,
}

#[derive(Debug)]
struct Outcome {
    sent: Vec<Sent>,
    pipe: Pipe,
    end: Moment,
    offered: (u64, u64),
}

fn run(spec: LinkSpec, seed: u64, steps: &[Step]) -> Outcome {
    let mut outcome = Outcome { sent: vec![], pipe: pipe_of(spec, seed, 7), end: Moment::default(), offered: (0, 0) };
    for (offer, step) in steps.iter().enumerate() {
        match step {
            Step::Offer { after, train, most } => {
                outcome.end = outcome.end.plus_nanos(*after);
                let mut pieces = vec![];
                outcome.pipe.offer(outcome.end, *train, *most, &mut pieces);
                outcome.offered.0 += u64::from(train.segments());
                outcome.offered.1 += train.bytes();
                outcome.sent.extend(pieces.into_iter().map(|piece| {
                    let bytes = train.slice(piece.segments.clone()).bytes();
                    Sent { offer, piece, bytes }
                }));
            }
            Step::Update { after, spec } => {
                outcome.end = outcome.end.plus_nanos(*after);
                let retimed = outcome.pipe.update(outcome.end, *spec, service(spec));
                for sent in &mut outcome.sent {
                    sent.piece.due = retimed.due(sent.piece.ticket).unwrap_or(sent.piece.due);
                }
            }
        }
    }
    outcome
}

proptest! {
    /// Whatever happens: nothing is forgotten or made up, nothing overtakes, nothing arrives before it was sent.
    #[test]
    fn conserves_packets_and_their_order(spec in any_spec(), seed: u64, steps in any_steps()) {
        let mut outcome = run(spec, seed, &steps);
        let now = outcome.pipe.counters(outcome.end);
        prop_assert_eq!((now.offered_packets, now.offered_bytes), outcome.offered);
        let waiting = outcome.pipe.waiting_packets();
        prop_assert_eq!(
            now.offered_packets,
            now.carried_packets + now.dropped_packets + now.lost_packets + waiting
        );
        let survived: u64 = outcome.sent.iter().map(|sent| sent.piece.segments.len() as u64).sum();
        prop_assert_eq!(survived, now.carried_packets + waiting);
        for pair in outcome.sent.windows(2) {
            prop_assert!(pair[0].piece.due <= pair[1].piece.due, "overtaken: {:?}", pair);
            prop_assert_eq!(pair[0].piece.ticket + 1, pair[1].piece.ticket);
            if pair[0].offer == pair[1].offer {
                prop_assert!(pair[0].piece.segments.end <= pair[1].piece.segments.start);
            }
        }
        let last = outcome.sent.last().map_or(outcome.end, |sent| sent.piece.due);
        let after = outcome.pipe.counters(outcome.end.max(last).plus_nanos(3_600 * SECOND));
        prop_assert_eq!(after.carried_packets, survived);
        prop_assert_eq!(after.carried_bytes, outcome.sent.iter().map(|sent| sent.bytes).sum::<u64>());
    }

    /// In any window a limited link hands over no more than its rate allows and one piece on top.
    #[test]
    fn never_exceeds_its_rate(bps in 1_000_u64..10_000_000_000, seed: u64, steps in vec(any_offer(), 1..120)) {
        let outcome = run(limited(bps), seed, &steps);
        for (first, a) in outcome.sent.iter().enumerate() {
            let mut bytes = 0;
            for b in &outcome.sent[first + 1..] {
                bytes += b.bytes;
                // The window opens when `a` has arrived whole; a nanosecond for rounding at each end.
                let allowed = u128::from(b.piece.due.since(a.piece.due) + 2) * u128::from(bps) / 8;
                prop_assert!(u128::from(bytes) * 1_000_000_000 <= allowed, "{bytes} bytes too early");
            }
        }
    }

    /// A link that always has something to send sends at its rate exactly.
    #[test]
    fn reaches_its_rate(bps in 1_000_u64..400_000_000_000, train in any_train(), trains in 1_u64..200) {
        let spec = LinkSpec { queue: Queue::Bytes(u64::MAX), ..limited(bps) };
        let mut pipe = pipe_of(spec, 1, 1);
        let mut pieces = vec![];
        for _ in 0..trains {
            pipe.offer(Moment::default(), train, u64::MAX, &mut pieces);
        }
        let ideal = u128::from(train.bytes() * trains) * 8_000_000_000 / u128::from(bps);
        prop_assert_eq!(u128::from(pieces.last().unwrap().due.nanos()), ideal);
    }

    /// The queue never holds more than its limit, or one packet that found the link idle.
    #[test]
    fn keeps_its_queue_limit(
        bps in 1_000_u64..1_000_000_000, limit in 0_u64..200_000, steps in vec(any_offer(), 1..120)
    ) {
        let spec = LinkSpec { queue: Queue::Bytes(limit), ..limited(bps) };
        let mut pipe = pipe_of(spec, 3, 1);
        let mut now = Moment::default();
        for step in steps {
            let Step::Offer { after, train, most } = step else { unreachable!("only offers are made") };
            now = now.plus_nanos(after);
            let (before, mut pieces) = (pipe.counters(now), vec![]);
            pipe.offer(now, train, most, &mut pieces);
            let room = limit.max(u64::from(train.segment_bytes(0))) + 1;
            if let Some(last) = pieces.last() {
                let waiting = u128::from(last.due.since(now)) * u128::from(bps) / 8_000_000_000;
                prop_assert!(waiting <= u128::from(room), "{waiting} bytes wait, {room} may");
            }
            if pipe.counters(now).dropped_packets > before.dropped_packets {
                let waiting = u128::from(pipe_end(&mut pipe, now)) * u128::from(bps) / 8_000_000_000;
                prop_assert!(waiting + u128::from(train.segment_bytes(0)) >= u128::from(limit), "dropped too early");
            }
        }
    }

    /// The same seed makes the same draws; another stream makes its own.
    #[test]
    fn draws_come_from_the_seed(spec in any_spec(), seed: u64, steps in any_steps()) {
        prop_assert_eq!(run(spec, seed, &steps).sent, run(spec, seed, &steps).sent);
    }

    /// Pieces are as small as asked for, and alone where every packet has its own delay.
    #[test]
    fn cuts_trains_to_size(spec in any_spec(), seed: u64, train in any_train(), most in 0_u64..20_000) {
        let mut pieces = vec![];
        pipe_of(spec, seed, 1).offer(Moment::default(), train, most, &mut pieces);
        for piece in pieces {
            let bytes = train.slice(piece.segments.clone()).bytes();
            prop_assert!(piece.segments.len() == 1 || (bytes <= most && spec.jitter.is_zero()));
        }
    }
}

/// Nanoseconds until everything accepted has been sent: where one more packet of an idle-sized probe would end, less it.
fn pipe_end(pipe: &mut Pipe, now: Moment) -> u64 {
    let mut pieces = vec![];
    let roomy = LinkSpec { queue: Queue::Bytes(u64::MAX), ..*pipe.spec() };
    let mut copy = pipe.clone();
    copy.update(now, roomy, service(&roomy));
    copy.offer(now, Train::single(0), u64::MAX, &mut pieces);
    pieces[0].due.since(now)
}

fn carry(spec: LinkSpec, seed: u64, packets: u32) -> (Counters, Vec<bool>) {
    let mut pipe = pipe_of(spec, seed, 1);
    let mut survived = Vec::new();
    for index in 0..packets {
        let mut pieces = vec![];
        pipe.offer(Moment::from_nanos(u64::from(index) * 1_000), Train::single(100), u64::MAX, &mut pieces);
        survived.push(!pieces.is_empty());
    }
    (pipe.counters(Moment::from_nanos(SECOND)), survived)
}

#[test]
fn random_loss_is_within_three_standard_deviations() {
    for percent in [0.1, 1.0, 5.0] {
        let (packets, p) = (400_000_u32, percent / 100.0);
        let (counters, _) =
            carry(LinkSpec { loss: Loss::Random(share(p)), ..LinkSpec::TRANSPARENT }, 20_121_001, packets);
        let deviation = (f64::from(packets) * p * (1.0 - p)).sqrt();
        let off = (counters.lost_packets as f64 - f64::from(packets) * p).abs();
        assert!(off <= 3.0 * deviation, "{percent} %: {} of {packets} lost", counters.lost_packets);
    }
}

#[test]
fn bursts_have_the_stationary_loss_and_the_mean_length() {
    // Stationary share of the bad state: p / (p + r); mean stay in it: 1 / r (Gilbert 1960).
    let (p, r) = (0.01, 0.2);
    let burst = Burst { p: share(p), r: share(r), loss_bad: Probability::ONE, loss_good: Probability::ZERO };
    let packets = 1_000_000;
    let spec = LinkSpec { loss: Loss::GilbertElliott(burst), ..LinkSpec::TRANSPARENT };
    let (counters, survived) = carry(spec, 42, packets);
    let loss = counters.lost_packets as f64 / f64::from(packets);
    let expected = p / (p + r);
    assert!((loss - expected).abs() < 0.03 * expected, "loss {loss}, expected {expected}");
    let bursts = survived.windows(2).filter(|pair| pair[0] && !pair[1]).count();
    let length = counters.lost_packets as f64 / bursts as f64;
    assert!((length - 1.0 / r).abs() < 0.03 / r, "bursts of {length}, expected {}", 1.0 / r);
}

#[test]
fn streams_draw_apart() {
    let spec = LinkSpec { loss: Loss::Random(share(0.5)), ..LinkSpec::TRANSPARENT };
    let losses = |stream| {
        let mut pieces = vec![];
        pipe_of(spec, 9, stream).offer(Moment::default(), Train::new(40, 100, 100), 0, &mut pieces);
        pieces
    };
    assert_ne!(losses(1), losses(2));
}

#[test]
fn recorded_draws_stay_the_same_for_ever() {
    // A change here makes every recorded seed mean something else.
    let spec = LinkSpec { loss: Loss::Random(share(0.5)), ..LinkSpec::TRANSPARENT };
    let mut pieces = vec![];
    pipe_of(spec, 20_121_001, 3).offer(Moment::default(), Train::new(16, 100, 100), 0, &mut pieces);
    let survivors: Vec<u32> = pieces.iter().map(|piece| piece.segments.start).collect();
    assert_eq!(survivors, [5, 7, 9, 10, 11, 13, 14]);
}

#[test]
fn a_faster_rate_lets_waiting_packets_leave_sooner() {
    let mut pipe = pipe_of(limited(1_000_000), 1, 1);
    let mut pieces = vec![];
    for _ in 0..4 {
        pipe.offer(Moment::default(), Train::single(1250), u64::MAX, &mut pieces);
    }
    let dues: Vec<u64> = pieces.iter().map(|piece| piece.due.nanos() / 1_000_000).collect();
    assert_eq!(dues, [10, 20, 30, 40]);
    // At 15 ms the second is half sent: 5 ms of work become 0.5 ms.
    let retimed = pipe.update(Moment::from_nanos(15_000_000), limited(10_000_000), service(&limited(10_000_000)));
    assert_eq!(retimed.due(pieces[0].ticket), None, "it has left");
    let dues: Vec<u64> = pieces[1..].iter().map(|p| retimed.due(p.ticket).unwrap().nanos() / 1_000).collect();
    assert_eq!(dues, [15_500, 16_500, 17_500]);
    pipe.offer(Moment::from_nanos(16_000_000), Train::single(1250), u64::MAX, &mut pieces);
    assert_eq!(pieces[4].due, Moment::from_nanos(18_500_000));
}

#[test]
fn a_shorter_delay_does_not_let_packets_overtake() {
    let delayed = |ms| LinkSpec { delay: Duration::from_millis(ms), ..LinkSpec::TRANSPARENT };
    let mut pipe = pipe_of(delayed(200), 1, 1);
    let mut pieces = vec![];
    pipe.offer(Moment::default(), Train::single(100), u64::MAX, &mut pieces);
    assert!(pipe.update(Moment::from_nanos(1), delayed(20), service(&delayed(20))).is_empty());
    pipe.offer(Moment::from_nanos(2), Train::single(100), u64::MAX, &mut pieces);
    pipe.offer(Moment::from_nanos(300_000_000), Train::single(100), u64::MAX, &mut pieces);
    let dues: Vec<u64> = pieces.iter().map(|piece| piece.due.nanos() / 1_000_000).collect();
    assert_eq!(dues, [200, 200, 320]);
}

#[test]
fn jitter_spreads_evenly_around_the_delay() {
    let spec = LinkSpec { delay: Duration::from_millis(20), jitter: Duration::from_millis(5), ..LinkSpec::TRANSPARENT };
    let mut pipe = pipe_of(spec, 5, 1);
    let (mut sum, mut least, mut most) = (0_u64, u64::MAX, 0);
    for index in 0..20_000_u64 {
        // Far enough apart that none waits behind the one before.
        let now = Moment::from_nanos(index * 100_000_000);
        let mut pieces = vec![];
        pipe.offer(now, Train::single(100), u64::MAX, &mut pieces);
        let delay = pieces[0].due.since(now);
        (sum, least, most) = (sum + delay, least.min(delay), most.max(delay));
    }
    assert!((sum / 20_000).abs_diff(20_000_000) < 80_000, "mean {} ns", sum / 20_000);
    assert!((15_000_000..15_100_000).contains(&least) && (24_900_000..=25_000_000).contains(&most));
}

#[test]
fn a_packet_longer_than_the_queue_passes_an_idle_link() {
    let mut pipe = pipe_of(LinkSpec { queue: Queue::Bytes(100), ..limited(1_000_000) }, 1, 1);
    let mut pieces = vec![];
    pipe.offer(Moment::default(), Train::new(3, 1500, 1500), u64::MAX, &mut pieces);
    assert_eq!(pieces.len(), 1);
    assert_eq!(pieces[0].segments, 0..1);
    assert_eq!(pipe.counters(Moment::default()).dropped_packets, 2);
}

#[test]
fn a_pipe_tells_until_when_it_holds_packets() {
    let mut pipe = pipe_of(LinkSpec::TRANSPARENT, 1, 1);
    let mut pieces = vec![];
    pipe.offer(Moment::from_nanos(5), Train::single(100), u64::MAX, &mut pieces);
    assert_eq!(pipe.held_until(), Moment::default(), "what passes at once is not held");
    pipe.update(Moment::from_nanos(6), limited(1_000_000), service(&limited(1_000_000)));
    pipe.offer(Moment::from_nanos(10), Train::single(1250), u64::MAX, &mut pieces);
    assert_eq!(pipe.held_until(), Moment::from_nanos(10_000_010));
    pipe.update(Moment::from_nanos(10), limited(500_000), service(&limited(500_000)));
    assert_eq!(pipe.held_until(), Moment::from_nanos(20_000_010));
}
