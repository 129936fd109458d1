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

use crate::{Counters, LinkSpec, Loss, Moment, Service, Train, trace::WORK_OF_BYTE};

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
    service: Service,
    limit: Option<u64>,
    draws: ChaCha8Rng,
    /// The state of the Gilbert–Elliott model.
    bad: bool,
    queue: VecDeque<Waiting>,
    /// The ticket of the queue's front.
    first: u64,
    /// How much will have been done when everything accepted so far has been sent, and when that is. The first is exact:
    /// without it the rate of a fast link would be wrong by the rounding of every packet.
    served: u128,
    free_at: Moment,
    /// When the last piece that left the queue reaches the far end; nothing overtakes it.
    departed_due: Moment,
    /// When the last packet that was not passed on at once reaches the far end.
    held_until: Moment,
    counters: Counters,
}

impl Pipe {
    /// An empty pipe whose queue is served so, as the specification has it ([`Service::of`]).
    /// Its random draws are the `stream`-th of the generator with this seed, so that every direction of every link has its
    /// own and none depends on another's traffic.
    pub fn new(spec: LinkSpec, service: Service, seed: u64, stream: u64) -> Self {
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        draws.set_stream(stream);
        Self {
            spec,
            service,
            limit: spec.queue_bytes(),
            draws,
            bad: false,
            queue: VecDeque::new(),
            first: 0,
            served: 0,
            free_at: Moment::default(),
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
        // What leaves together leaves with its last byte, which a trace may have wait for long.
        let together = self.spec.jitter.is_zero() && !matches!(self.service, Service::Trace(..));
        let most = if together { most } else { 0 };
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
    /// queue is not touched. Packets are still not reordered. A trace that the link follows already goes on.
    pub fn update(&mut self, now: Moment, spec: LinkSpec, service: Service) -> Retimed {
        let service = if spec.bandwidth == self.spec.bandwidth { self.service.clone() } else { service };
        self.transform(now, spec, service)
    }

    /// The trace that the link follows, if it does, begins at `begin`, which is not ahead.
    pub fn begin(&mut self, now: Moment, begin: Moment) -> Retimed {
        match self.service.clone() {
            Service::Trace(trace, _) => self.transform(now, self.spec, Service::Trace(trace, begin)),
            Service::Unlimited | Service::Rate(_) => Retimed { first: self.first, dues: Vec::new() },
        }
    }

    fn transform(&mut self, now: Moment, spec: LinkSpec, service: Service) -> Retimed {
        self.settle(now);
        let (old, done) = (std::mem::replace(&mut self.service, service), self.served);
        self.spec = spec;
        self.limit = spec.queue_bytes();
        if !matches!(spec.loss, Loss::GilbertElliott(_)) {
            self.bad = false;
        }
        // What waits was accepted without a gap, the last of it ending with `served`.
        let begun = self.service.work(now);
        let mut behind: u128 = self.queue.iter().map(|waiting| u128::from(waiting.bytes) * WORK_OF_BYTE).sum();
        let unsent = old != Service::Unlimited;
        let past = old.work(now);
        self.served = begun;
        let mut after = self.departed_due;
        let mut dues = Vec::with_capacity(self.queue.len());
        for waiting in &mut self.queue {
            behind -= u128::from(waiting.bytes) * WORK_OF_BYTE;
            let ahead = if unsent { done.saturating_sub(behind).saturating_sub(past) } else { 0 };
            self.served = begun + ahead;
            waiting.departs = self.service.when(self.served).max(now);
            waiting.due = arrival(&spec, waiting.departs, waiting.swing).max(after);
            after = waiting.due;
            dues.push(waiting.due);
        }
        self.held_until = self.held_until.max(after);
        self.free_at = self.queue.back().map_or(now, |waiting| waiting.departs);
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
        if self.free_at <= now || self.service == Service::Unlimited {
            return 0;
        }
        self.served.saturating_sub(self.service.work(now)).div_ceil(WORK_OF_BYTE) as u64
    }

    fn accept(&mut self, now: Moment, segments: Range<u32>, bytes: u64) -> Piece {
        let departs = match self.service {
            Service::Unlimited => now.max(self.queue.back().map_or(now, |last| last.departs)),
            Service::Rate(_) | Service::Trace(..) => self.send(now, bytes),
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

    /// Until when so many more bytes have been sent: behind what waits, or from now on.
    fn send(&mut self, now: Moment, bytes: u64) -> Moment {
        self.served = self.served.max(self.service.work(now)) + u128::from(bytes) * WORK_OF_BYTE;
        self.free_at = self.service.when(self.served).max(now);
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
