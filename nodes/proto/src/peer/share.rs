//! How much the edge may give while peers deliver.
//!
//! *First*: as much as it can. *Deficit*: what peers lack of a target rate. *Backstop*, the default, is a rule of its own:
//!
//! A peer does not know its downlink, but it can compare. The edge *fills* first: it delivers as fast as it can beside the
//! peers, and the best total is noted. Once the total no longer grows and peers carry at least [`PEERS_COUNT_FROM`] of it,
//! the edge *yields*: step by step, [`YIELD_STEP`] of the best total each, its rate is lowered to nothing. Where the peers
//! take over what the edge leaves, the total stays, and the edge ends up idle. When the total falls below the best by more
//! than [`TOLERANCE`], the edge was needed: it fills again at once, and waits [`FILL_LONGER`] times as long before it next tries to yield.
//! While idle, it fills for a moment every [`PROBE_EVERY`] to learn whether the downlink has more to give by now.
//!
//! So a download is slower than with a greedy edge by a few hundredths at most, for fractions of a second, and the edge's
//! bytes are those that peers could not have delivered in the same time.

use peerbed_contract::EdgeMode;

use super::{
    params::{MILLISECOND, SECOND, TICK},
    rate::Bucket,
};
use crate::Time;

/// The share of the total from which peers are worth yielding to.
pub(super) const PEERS_COUNT_FROM: f64 = 0.25;
/// How much of the best total the edge gives up in one step.
pub(super) const YIELD_STEP: f64 = 0.15;
/// How far the total may fall below the best before the edge fills again. Less than a step, so that a step for which
/// nobody stands in is noticed.
pub(super) const TOLERANCE: f64 = 0.07;
/// How long the edge fills before it first tries to yield.
pub(super) const FILL_FIRST: Time = 500 * MILLISECOND;
/// How many times longer it fills after each failure to yield.
pub(super) const FILL_LONGER: u64 = 4;
/// The longest that it fills after yielding failed again and again.
pub(super) const FILL_LAST: Time = 16 * SECOND;
/// How often an idle edge fills for [`FILL_FIRST`] to learn the best total anew.
pub(super) const PROBE_EVERY: Time = 10 * SECOND;
/// Looks at the total between two steps: one for the step to show, two to measure.
const LOOKS_PER_STEP: u32 = 3;

#[derive(Debug)]
enum Mode {
    /// The edge delivers as fast as it can.
    Fill { since: Time },
    /// The edge keeps to its bucket; idle since, when that is empty.
    Yield { bucket: Bucket, looks: u32, idle_since: Option<Time> },
    /// The edge delivers as fast as it can, whatever peers do.
    First,
    /// The edge keeps to a bucket that fills with what peers lack of the target, bytes a second.
    Deficit { bucket: Bucket, target: f64 },
}

/// Bytes a second of one look.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    edge: f64,
    peers: f64,
}

impl Look {
    fn total(self) -> f64 {
        self.edge + self.peers
    }

    fn mean(self, other: Self) -> Self {
        Self { edge: f64::midpoint(self.edge, other.edge), peers: f64::midpoint(self.peers, other.peers) }
    }
}

/// The rule's state for one download.
#[derive(Debug)]
pub(super) struct EdgeShare {
    rule: (EdgeMode, Option<u64>),
    mode: Mode,
    /// The highest total of the present or last filling, bytes a second.
    best: f64,
    /// How long the present filling lasts at least.
    fill_for: Time,
    last: Look,
    before: Option<f64>,
    looked: Time,
    edge_bytes: u64,
    peer_bytes: u64,
}

impl EdgeShare {
    /// From `now` on by this rule; `target` in bits a second is that of [`EdgeMode::Deficit`].
    pub(super) fn new(now: Time, rule: EdgeMode, target: Option<u64>) -> Self {
        let mode = match (rule, target) {
            (EdgeMode::First | EdgeMode::Only, _) | (EdgeMode::Deficit, None) => Mode::First,
            (EdgeMode::Backstop, _) => Mode::Fill { since: now },
            (EdgeMode::Deficit, Some(bits)) => {
                let target = bits as f64 / 8.0;
                // An object is begun at once, before it is known what peers give.
                let depth = target * TICK as f64 / 1e9;
                Mode::Deficit { bucket: Bucket::new(target, depth), target }
            }
        };
        Self {
            rule: (rule, target),
            mode,
            best: 0.0,
            fill_for: FILL_FIRST,
            last: Look::default(),
            before: None,
            looked: now,
            edge_bytes: 0,
            peer_bytes: 0,
        }
    }

    /// By another rule from now on.
    pub(super) fn set_rule(&mut self, now: Time, rule: EdgeMode, target: Option<u64>) {
        if self.rule != (rule, target) {
            *self = Self::new(now, rule, target);
        }
    }

    /// After a pause nothing that was learnt holds any more.
    pub(super) fn begin_again(&mut self, now: Time) {
        let (rule, target) = self.rule;
        *self = Self::new(now, rule, target);
    }

    /// Content bytes came from the edge.
    pub(super) fn edge_gave(&mut self, bytes: u32) {
        self.edge_bytes += u64::from(bytes);
    }

    /// Content bytes came from a peer.
    pub(super) fn peer_gave(&mut self, bytes: u32) {
        self.peer_bytes += u64::from(bytes);
    }

    /// Whether the edge also stands in for peers that would be late.
    pub(super) fn is_backstop(&self) -> bool {
        self.rule.0 == EdgeMode::Backstop
    }

    /// Whether the edge may be asked for so many bytes now; counts them if so.
    pub(super) fn may_ask(&mut self, now: Time, bytes: u32) -> bool {
        match &mut self.mode {
            Mode::Fill { .. } | Mode::First => true,
            Mode::Yield { bucket, .. } | Mode::Deficit { bucket, .. } => {
                bucket.rate() > 0.0 && bucket.take(now, f64::from(bytes)).is_ok()
            }
        }
    }

    /// What the edge gives at present, if it gives `full` when nothing holds it back; bytes a second.
    pub(super) fn edge_rate(&self, full: f64) -> f64 {
        match &self.mode {
            Mode::Fill { .. } | Mode::First => full,
            Mode::Yield { bucket, .. } => bucket.rate(),
            Mode::Deficit { bucket, .. } => bucket.rate().min(full),
        }
    }

    /// Takes a look; called every [`TICK`].
    pub(super) fn look(&mut self, now: Time) {
        let span = now.saturating_sub(self.looked);
        if span < TICK / 2 {
            return;
        }
        let per_second = 1e9 / span as f64;
        let look = Look { edge: self.edge_bytes as f64 * per_second, peers: self.peer_bytes as f64 * per_second };
        (self.looked, self.edge_bytes, self.peer_bytes) = (now, 0, 0);
        let mean = look.mean(self.last);
        let was = self.before.replace(self.last.total());
        self.last = look;
        match &mut self.mode {
            Mode::First => {}
            Mode::Deficit { bucket, target } => bucket.set_rate(now, (*target - mean.peers).max(0.0)),
            Mode::Fill { since } => {
                if now.saturating_sub(*since) >= FILL_FIRST / 2 {
                    self.best = self.best.max(mean.total());
                }
                let growing = was.is_none_or(|was| mean.total() > was * (1.0 + YIELD_STEP));
                let long_enough = now.saturating_sub(*since) >= self.fill_for;
                if long_enough && !growing && mean.peers >= PEERS_COUNT_FROM * mean.total() && mean.total() > 0.0 {
                    self.step_down(now, mean.edge);
                }
            }
            Mode::Yield { bucket, looks, idle_since } => {
                *looks += 1;
                let missed = look.total() < (1.0 - 2.0 * TOLERANCE) * self.best;
                if missed || (*looks > 1 && mean.total() < (1.0 - TOLERANCE) * self.best) {
                    self.fill(now, (self.fill_for * FILL_LONGER).min(FILL_LAST));
                } else if let Some(since) = *idle_since {
                    if now.saturating_sub(since) >= PROBE_EVERY {
                        self.fill(now, FILL_FIRST);
                    }
                } else if *looks >= LOOKS_PER_STEP {
                    let rate = bucket.rate();
                    self.step_down(now, rate);
                }
            }
        }
    }

    fn fill(&mut self, now: Time, fill_for: Time) {
        self.mode = Mode::Fill { since: now };
        self.best = 0.0;
        self.fill_for = fill_for;
    }

    fn step_down(&mut self, now: Time, edge_rate: f64) {
        let rate = edge_rate - YIELD_STEP * self.best;
        let idle = rate < YIELD_STEP / 4.0 * self.best;
        if idle {
            self.fill_for = FILL_FIRST;
        }
        let rate = if idle { 0.0 } else { rate };
        // Deep enough for a piece at least: `take` asks for no more than the depth.
        let bucket = Bucket::new(rate, rate * TICK as f64 / 1e9);
        self.mode = Mode::Yield { bucket, looks: 0, idle_since: idle.then_some(now) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the backstop rule against a downlink of `down` that the edge may fill and peers that can give `peers` (MB/s);
    /// gives the edge's share of the bytes and the total against `down`, after the first two seconds.
    fn play(down: f64, peers: f64, seconds: u64) -> (f64, f64) {
        play_rule(EdgeShare::new(0, EdgeMode::Backstop, None), down, peers, seconds)
    }

    fn play_rule(mut share: EdgeShare, down: f64, peers: f64, seconds: u64) -> (f64, f64) {
        let (mut edge_sum, mut total) = (0.0, 0.0);
        let step = 10 * MILLISECOND;
        let mut debt = 0.0;
        for tick in 1..=seconds * 100 {
            let now = tick * step;
            let capacity = down * 1e4; // bytes in 10 ms
            // What both could get of the downlink in fair halves, the edge only what it was allowed to ask for.
            let mut asked: f64 = debt;
            while asked < capacity && share.may_ask(now, 65_536) {
                asked += 65_536.0;
            }
            let peer_can = (peers * 1e4).min(capacity);
            let edge = asked.min((capacity - peer_can).max(capacity / 4.0));
            let from_peers = peer_can.min(capacity - edge);
            debt = asked - edge;
            share.edge_gave(edge as u32);
            share.peer_gave(from_peers as u32);
            if tick % 25 == 0 {
                share.look(now);
            }
            if now > 2 * SECOND {
                edge_sum += edge;
                total += edge + from_peers;
            }
        }
        let time = (seconds - 2) as f64;
        (edge_sum / total, total / (down * 1e6 * time))
    }

    #[test]
    fn the_edge_becomes_idle_when_peers_fill_the_downlink() {
        let (edge, filled) = play(6.0, 10.0, 30);
        assert!(edge < 0.05, "{edge}");
        assert!(filled > 0.99, "{filled}");
    }

    #[test]
    fn the_edge_gives_what_peers_cannot() {
        for peers in [2.0, 3.5, 5.0] {
            let (edge, filled) = play(6.0, peers, 30);
            assert!(filled > 0.97, "peers {peers}: {filled}");
            assert!((edge - (1.0 - peers / 6.0)).abs() < 0.1, "peers {peers}: {edge}");
        }
    }

    #[test]
    fn a_deficit_is_what_peers_lack_of_the_target() {
        for (peers, edge_bytes) in [(0.0, 4.0), (1.5, 2.5), (3.0, 1.0), (5.0, 0.0)] {
            let rule = EdgeShare::new(0, EdgeMode::Deficit, Some(32_000_000));
            let (edge, filled) = play_rule(rule, 6.0, peers, 30);
            let given = edge * filled * 6.0;
            assert!((given - edge_bytes).abs() < 0.1, "peers {peers} MB/s: the edge gave {given} MB/s");
        }
    }

    #[test]
    fn an_edge_that_comes_first_is_never_held_back() {
        let mut share = EdgeShare::new(0, EdgeMode::First, None);
        for tick in 1..100 {
            share.peer_gave(1_000_000);
            share.look(tick * TICK);
            assert!(share.may_ask(tick * TICK, 65_536));
        }
    }

    #[test]
    fn few_bytes_of_peers_change_nothing() {
        let (_, filled) = play(6.0, 0.5, 30);
        assert!(filled > 0.9999, "{filled}");
    }
}
