//! One direction of one link: its loss, its queue, its rate, its delay.
//!
//! Packets go in as [`Train`]s with the moment of their arrival and come out as [`Piece`]s with the moment at which they
//! reach the far end. The pipe holds no packets, only what it must know of those that wait for its rate; the caller keeps
//! them until they are due. Arrivals should come in order; one that comes late is queued behind those before it.

use std::{collections::VecDeque, ops::Range};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::{Bandwidth, Counters, LinkSpec, Loss, Moment, Rate, Train};

/// Consecutive packets of a train that survived and reach the far end together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Which packets of the train.
    pub segments: Range<u32>,
    /// When the last of them reaches the far end.
    pub due: Moment,
    /// Its number on this pipe, by which [`Retimed`] speaks of it.
    pub ticket: u64,
}

/// What a change of a pipe did to pieces that still waited for its rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retimed {
    first: u64,
    dues: Vec<Moment>,
}

impl Retimed {
    /// The new moment of the piece with this ticket; none if it was not waiting.
    pub fn due(&self, ticket: u64) -> Option<Moment> {
        self.dues.get(usize::try_from(ticket.checked_sub(self.first)?).ok()?).copied()
    }

    /// Whether nothing waited.
    pub fn is_empty(&self) -> bool {
        self.dues.is_empty()
    }
}

/// A piece that has not left the queue.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    departs: Moment,
    due: Moment,
    /// The drawn share of the jitter, −1 to 1.
    swing: f64,
    segments: u32,
    bytes: u64,
}

/// One direction of one link.
#[derive(Debug, Clone)]
pub struct Pipe {
    spec: LinkSpec,
    limit: Option<u64>,
    draws: ChaCha8Rng,
    /// The state of the Gilbert–Elliott model.
    bad: bool,
    queue: VecDeque<Waiting>,
    /// The ticket of the queue's front.
    first: u64,
    /// When everything accepted so far has been sent, and the fraction of a nanosecond on top, in units of one by the
    /// rate in bit/s: without it the rate of a fast link would be wrong by the rounding of every packet.
    free_at: Moment,
    fraction: u64,
    /// When the last piece that left the queue reaches the far end; nothing overtakes it.
    departed_due: Moment,
    /// When the last packet that was not passed on at once reaches the far end.
    held_until: Moment,
    counters: Counters,
}

impl Pipe {
    /// An empty pipe. Its random draws are the `stream`-th of the generator with this seed, so that every direction of
    /// every link has its own and none depends on another's traffic.
    pub fn new(spec: LinkSpec, seed: u64, stream: u64) -> Self {
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        draws.set_stream(stream);
        Self {
            spec,
            limit: spec.queue_bytes(),
            draws,
            bad: false,
            queue: VecDeque::new(),
            first: 0,
            free_at: Moment::default(),
            fraction: 0,
            departed_due: Moment::default(),
            held_until: Moment::default(),
            counters: Counters::default(),
        }
    }

    /// A train arrives; what survives is appended to `pieces`, none larger than `most` bytes unless it is one packet.
    ///
    /// Each packet first passes the loss model, then finds room in the queue or is dropped. The queue's limit counts what
    /// has not been sent yet; an idle link takes a packet of any length.
    pub fn offer(&mut self, now: Moment, train: Train, most: u64, pieces: &mut Vec<Piece>) {
        self.settle(now);
        let most = if self.spec.jitter.is_zero() { most } else { 0 };
        let mut backlog = self.backlog(now);
        let mut run: Option<(u32, u64)> = None;
        for index in 0..train.segments() {
            let bytes = u64::from(train.segment_bytes(index));
            self.counters.offered_packets += 1;
            self.counters.offered_bytes += bytes;
            let survives = if self.loses() {
                self.counters.lost_packets += 1;
                false
            } else if backlog > 0 && self.limit.is_some_and(|limit| backlog + bytes > limit) {
                self.counters.dropped_packets += 1;
                false
            } else {
                true
            };
            match run {
                Some((start, carried)) if !survives || carried + bytes > most => {
                    pieces.push(self.accept(now, start..index, carried));
                    run = survives.then_some((index, bytes));
                }
                Some((_, ref mut carried)) => *carried += bytes,
                None => run = survives.then_some((index, bytes)),
            }
            if survives && self.limit.is_some() {
                backlog += bytes;
            }
        }
        if let Some((start, carried)) = run {
            pieces.push(self.accept(now, start..train.segments(), carried));
        }
    }

    /// Change the link. What waits in the queue is kept and leaves at the new rate with the new delay; what has left the
    /// queue is not touched. Packets are still not reordered.
    pub fn update(&mut self, now: Moment, spec: LinkSpec) -> Retimed {
        self.settle(now);
        let (old, new) = (self.spec.bandwidth, spec.bandwidth);
        self.spec = spec;
        self.limit = spec.queue_bytes();
        if !matches!(spec.loss, Loss::GilbertElliott(_)) {
            self.bad = false;
        }
        let mut after = self.departed_due;
        let mut dues = Vec::with_capacity(self.queue.len());
        for waiting in &mut self.queue {
            let ahead = waiting.departs.since(now);
            waiting.departs = now.plus_nanos(rescale(ahead, old, new));
            waiting.due = arrival(&spec, waiting.departs, waiting.swing).max(after);
            after = waiting.due;
            dues.push(waiting.due);
        }
        self.held_until = self.held_until.max(after);
        self.free_at = self.queue.back().map_or(now, |waiting| waiting.departs);
        self.fraction = 0;
        Retimed { first: self.first, dues }
    }

    /// What it counted until `now`.
    pub fn counters(&mut self, now: Moment) -> Counters {
        self.settle(now);
        self.counters
    }

    /// Packets that have not been sent by the last moment that the pipe was told.
    pub fn waiting_packets(&self) -> u64 {
        self.queue.iter().map(|waiting| u64::from(waiting.segments)).sum()
    }

    /// When the last packet that was not passed on at once reaches the far end. While that is ahead, or not long past, a
    /// packet that passes at once could still overtake another in the caller's hands.
    pub fn held_until(&self) -> Moment {
        self.held_until
    }

    /// What it is now.
    pub fn spec(&self) -> &LinkSpec {
        &self.spec
    }

    /// Forget what has left the queue by `now`.
    fn settle(&mut self, now: Moment) {
        while let Some(waiting) = self.queue.front().filter(|waiting| waiting.departs <= now) {
            self.counters.carried_packets += u64::from(waiting.segments);
            self.counters.carried_bytes += waiting.bytes;
            self.departed_due = waiting.due;
            self.first += 1;
            self.queue.pop_front();
        }
    }

    /// Bytes not yet sent at `now`, a packet that is being sent counting with its rest.
    fn backlog(&self, now: Moment) -> u64 {
        match self.spec.bandwidth {
            Bandwidth::Unlimited => 0,
            Bandwidth::Limited(rate) => {
                let bits = u128::from(self.free_at.since(now)) * u128::from(rate.bps());
                bits.div_ceil(8_000_000_000) as u64
            }
        }
    }

    fn accept(&mut self, now: Moment, segments: Range<u32>, bytes: u64) -> Piece {
        let departs = match self.spec.bandwidth {
            Bandwidth::Unlimited => now.max(self.queue.back().map_or(now, |last| last.departs)),
            Bandwidth::Limited(rate) => self.send(now, rate, bytes),
        };
        let swing = if self.spec.jitter.is_zero() { 0.0 } else { self.draw().mul_add(2.0, -1.0) };
        let before = self.queue.back().map_or(self.departed_due, |last| last.due);
        let due = arrival(&self.spec, departs, swing).max(before);
        if due > now {
            self.held_until = due;
        }
        let ticket = self.first + self.queue.len() as u64;
        self.queue.push_back(Waiting { departs, due, swing, segments: segments.end - segments.start, bytes });
        Piece { segments, due, ticket }
    }

    fn send(&mut self, now: Moment, rate: Rate, bytes: u64) -> Moment {
        if self.free_at < now {
            self.free_at = now;
            self.fraction = 0;
        }
        let bits = u128::from(bytes) * 8_000_000_000 + u128::from(self.fraction);
        let rate = u128::from(rate.bps());
        self.free_at = self.free_at.plus_nanos((bits / rate) as u64);
        self.fraction = (bits % rate) as u64;
        self.free_at
    }

    fn loses(&mut self) -> bool {
        match self.spec.loss {
            Loss::None => false,
            Loss::Random(share) => self.draw() < share.get(),
            Loss::GilbertElliott(burst) => {
                let turns = self.draw() < if self.bad { burst.r } else { burst.p }.get();
                self.bad ^= turns;
                self.draw() < if self.bad { burst.loss_bad } else { burst.loss_good }.get()
            }
        }
    }

    /// Evenly from 0 up to, not including, 1. Written out so that recorded draws do not depend on a library's choices.
    fn draw(&mut self) -> f64 {
        (self.draws.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// When a packet that left the queue reaches the far end, if nothing is before it.
fn arrival(spec: &LinkSpec, departs: Moment, swing: f64) -> Moment {
    if swing == 0.0 {
        return departs.plus(spec.delay);
    }
    // `as` saturates: a swing below zero delay is none.
    departs.plus_nanos((spec.delay.as_nanos() as f64 + swing * spec.jitter.as_nanos() as f64) as u64)
}

/// How long what took `nanos` at the old rate takes at the new one.
fn rescale(nanos: u64, old: Bandwidth, new: Bandwidth) -> u64 {
    match (old, new) {
        (_, Bandwidth::Unlimited) => 0,
        (Bandwidth::Unlimited, Bandwidth::Limited(_)) => nanos,
        (Bandwidth::Limited(old), Bandwidth::Limited(new)) => {
            u64::try_from(u128::from(nanos) * u128::from(old.bps()) / u128::from(new.bps())).unwrap_or(u64::MAX)
        }
    }
}
