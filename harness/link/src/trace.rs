//! What a link can carry over time where that is not one rate: a trace, and the service of a queue's head in general.
//!
//! Work is counted in billionths of a bit, so that a rate in bit/s times nanoseconds is exact.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Bandwidth, Moment, Rate};

/// Work of one byte.
pub(crate) const WORK_OF_BYTE: u128 = 8_000_000_000;
/// What one delivery of a packet-delivery trace carries, bytes of IP packets (the MTU of mahimahi's traces).
const DELIVERY_BYTES: u64 = 1500;
const NANOS_OF_MILLI: u64 = 1_000_000;
/// The peak of a packet-delivery trace is that of any such piece of it, milliseconds.
const PEAK_OVER_MS: u64 = 20;
/// The longest time in a trace: some 11 days.
const LONGEST_NS: u64 = 1_000_000 * 1_000_000_000;

/// By what a trace is known: a hash of what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceId(u64);

impl TraceId {
    /// The identity of the trace with this hash.
    pub const fn from_hash(hash: u64) -> Self {
        Self(hash)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for TraceId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let hash = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
        hash.map(Self).ok_or_else(|| format!("`{text}` is not the identity of a trace: sixteen hexadecimal digits"))
    }
}

impl TryFrom<String> for TraceId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<TraceId> for String {
    fn from(id: TraceId) -> Self {
        id.to_string()
    }
}

/// That a link follows a trace, with what there is to know without having it at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traced {
    /// Which.
    pub trace: TraceId,
    /// What it carries in the long run: on average where it is repeated, else the rate with which it ends.
    pub mean: Rate,
    /// The most that it carries.
    pub peak: Rate,
}

/// Why something is not a trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// Times that go back; the position of the later one.
    #[error("its times do not go on")]
    Order(usize),
    /// It begins later than at 0, nanoseconds.
    #[error("it does not begin at 0")]
    Start(u64),
    /// All of it happens at time 0, or it is repeated before its last change.
    #[error("it has no duration")]
    Duration,
    /// Longer than can be followed.
    #[error("it is longer than 1000000 s")]
    Long,
    /// What it carries is outside what a link may.
    #[error("it carries {0} bit/s on average or at its peak; a link carries 1 kbit/s to 400 Gbit/s")]
    Rate(u64),
    /// It ends with a rate of 0 that is never left.
    #[error("it ends with a rate of 0 for ever")]
    Dead,
}

/// How much a link can carry, over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Trace(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    course: Course,
    /// Work of one turn, and nanoseconds that it takes; none if it is not repeated.
    turn: Option<(u128, u64)>,
    mean: Rate,
    peak: Rate,
}

#[derive(Debug, PartialEq, Eq)]
enum Course {
    /// When deliveries happen, milliseconds, with how many have happened then.
    Deliveries(Vec<(u64, u64)>),
    /// From when on which rate holds (nanoseconds, bit/s), with the work until then.
    Rates(Vec<(u64, u64, u128)>),
}

/// A trace as it is written down.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Written {
    /// `4 5x2 9`: a delivery after 4 ms, two after 5, one after 9, and so on from there.
    Deliveries(String),
    Rates {
        /// From so many nanoseconds on so many bit/s.
        steps: Vec<(u64, u64)>,
        /// When it begins again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        repeats_after_ns: Option<u64>,
    },
}

impl Trace {
    /// A packet-delivery trace as mahimahi's: at each of these times, in milliseconds, 1500 bytes of IP packets can be
    /// delivered; after the last it begins again. What is not used of a delivery is lost.
    ///
    /// Format and meaning: mahimahi, `mm-link(1)` (Netravali et al., USENIX ATC 2015).
    pub fn deliveries(times_ms: impl IntoIterator<Item = u64>) -> Result<Self, TraceError> {
        Self::counted(times_ms.into_iter().map(|at| (at, 1)))
    }

    /// The same of times with how often each.
    fn counted(times_ms: impl Iterator<Item = (u64, u64)>) -> Result<Self, TraceError> {
        let mut counted: Vec<(u64, u64)> = Vec::new();
        for (index, (at, many)) in times_ms.enumerate() {
            let before = counted.last().map_or(0, |(_, count)| *count);
            // No more than a link may carry in the longest time.
            let count = before.checked_add(many).filter(|count| *count < 1 << 52).ok_or(TraceError::Rate(u64::MAX))?;
            match counted.last_mut() {
                Some((last, _)) if at < *last => return Err(TraceError::Order(index)),
                Some((last, all)) if at == *last => *all = count,
                _ => counted.push((at, count)),
            }
        }
        let (duration, count) = *counted.last().ok_or(TraceError::Empty)?;
        if duration > LONGEST_NS / NANOS_OF_MILLI {
            return Err(TraceError::Long);
        }
        if duration == 0 {
            return Err(TraceError::Duration);
        }
        let work = u128::from(count * DELIVERY_BYTES) * WORK_OF_BYTE;
        let turn = (work, duration * NANOS_OF_MILLI);
        let most = most_in(&counted, PEAK_OVER_MS.min(duration));
        let peak = rate(u128::from(most * DELIVERY_BYTES) * WORK_OF_BYTE, PEAK_OVER_MS.min(duration) * NANOS_OF_MILLI)?;
        let mean = rate(turn.0, turn.1)?;
        Ok(Self(Arc::new(Inner { course: Course::Deliveries(counted), turn: Some(turn), mean, peak: peak.max(mean) })))
    }

    /// A rate in bit/s from each of these times on, in nanoseconds, the first of which is 0; 0 bit/s is an outage. It
    /// begins again after `repeats_after`; without that its last rate holds for ever.
    pub fn rates(steps: &[(u64, u64)], repeats_after: Option<u64>) -> Result<Self, TraceError> {
        let (&(start, _), &(last, last_rate)) = steps.first().zip(steps.last()).ok_or(TraceError::Empty)?;
        if start != 0 {
            return Err(TraceError::Start(start));
        }
        if let Some(index) = (1..steps.len()).find(|index| steps[*index].0 <= steps[index - 1].0) {
            return Err(TraceError::Order(index));
        }
        if last.max(repeats_after.unwrap_or(0)) > LONGEST_NS {
            return Err(TraceError::Long);
        }
        if repeats_after.is_some_and(|end| end <= last) {
            return Err(TraceError::Duration);
        }
        if repeats_after.is_none() && last_rate == 0 {
            return Err(TraceError::Dead);
        }
        let mut done = 0_u128;
        let mut counted = Vec::with_capacity(steps.len());
        for (index, &(at, bps)) in steps.iter().enumerate() {
            counted.push((at, bps, done));
            let until = steps.get(index + 1).map(|next| next.0).or(repeats_after).unwrap_or(at);
            done += u128::from(bps) * u128::from(until - at);
        }
        let peak = steps.iter().map(|step| step.1).max().unwrap_or(last_rate);
        let mean = repeats_after.map_or_else(|| rate_of(last_rate), |end| rate(done, end))?;
        let turn = repeats_after.map(|end| (done, end));
        Ok(Self(Arc::new(Inner { course: Course::Rates(counted), turn, mean, peak: rate_of(peak)? })))
    }

    /// What it carries in the long run: on average where it is repeated, else the rate with which it ends.
    pub fn mean(&self) -> Rate {
        self.0.mean
    }

    /// The most that it carries, over 20 ms where it tells deliveries.
    pub fn peak(&self) -> Rate {
        self.0.peak
    }

    /// The most that it delivers at one moment, bytes.
    pub fn burst(&self) -> u64 {
        let Course::Deliveries(counted) = &self.0.course else { return 0 };
        let before = |index: usize| index.checked_sub(1).map_or(0, |index: usize| counted[index].1);
        let most = counted.iter().enumerate().map(|(index, (_, count))| count - before(index)).max();
        most.unwrap_or_default() * DELIVERY_BYTES
    }

    /// The same at a percentage of what it carries: for tests of what notices.
    pub fn scaled(&self, percent: u64) -> Result<Self, TraceError> {
        match &self.0.course {
            Course::Deliveries(counted) => {
                let mut before = 0;
                let slower = counted
                    .iter()
                    .map(|(at, count)| (at * 100 / percent.max(1), count - std::mem::replace(&mut before, *count)));
                Self::counted(slower)
            }
            Course::Rates(steps) => {
                let steps: Vec<(u64, u64)> = steps.iter().map(|(at, bps, _)| (*at, bps / 100 * percent)).collect();
                Self::rates(&steps, self.period())
            }
        }
    }

    /// Nanoseconds after which it begins again; none if it does not.
    pub fn period(&self) -> Option<u64> {
        self.0.turn.map(|(_, nanos)| nanos)
    }

    /// Bytes that could have been carried in the first `nanos` nanoseconds, rounded down.
    pub fn bytes_by(&self, nanos: u64) -> u64 {
        u64::try_from(self.work(nanos) / WORK_OF_BYTE).unwrap_or(u64::MAX)
    }

    /// What can have been done `nanos` after the beginning.
    fn work(&self, nanos: u64) -> u128 {
        let (turns, rest) = self.0.turn.map_or((0, nanos), |(_, period)| (nanos / period, nanos % period));
        let before = self.0.turn.map_or(0, |(work, _)| work * u128::from(turns));
        before
            + match &self.0.course {
                Course::Deliveries(counted) => {
                    let past = counted.partition_point(|(at, _)| at * NANOS_OF_MILLI <= rest);
                    let count = past.checked_sub(1).map_or(0, |index| counted[index].1);
                    u128::from(count * DELIVERY_BYTES) * WORK_OF_BYTE
                }
                Course::Rates(steps) => {
                    let (at, bps, done) = steps[steps.partition_point(|step| step.0 <= rest) - 1];
                    done + u128::from(bps) * u128::from(rest - at)
                }
            }
    }

    /// After how many nanoseconds so much can have been done, at the earliest.
    fn when(&self, work: u128) -> u64 {
        if work == 0 {
            return 0;
        }
        // What is done at the very end of a turn belongs to that turn.
        let (before, rest) = match self.0.turn {
            Some((turn, period)) => {
                let turns = (work - 1) / turn;
                (turns * u128::from(period), work - turns * turn)
            }
            None => (0, work),
        };
        let within = match &self.0.course {
            Course::Deliveries(counted) => {
                let wanted = rest.div_ceil(u128::from(DELIVERY_BYTES) * WORK_OF_BYTE);
                let index = counted.partition_point(|(_, count)| u128::from(*count) < wanted);
                u128::from(counted[index].0 * NANOS_OF_MILLI)
            }
            Course::Rates(steps) => {
                // The last step that begins with less done; a step without rate ends with as much as it began.
                let (at, bps, done) = steps[steps.partition_point(|step| step.2 < rest) - 1];
                u128::from(at) + (rest - done).div_ceil(u128::from(bps))
            }
        };
        u64::try_from(before + within).unwrap_or(u64::MAX)
    }
}

/// The most deliveries in any `window` milliseconds of a trace that is repeated.
fn most_in(counted: &[(u64, u64)], window: u64) -> u64 {
    let Some((duration, all)) = counted.last().copied() else { return 0 };
    // Over the turn, too.
    let twice: Vec<(u64, u64)> =
        counted.iter().copied().chain(counted.iter().map(|(at, count)| (at + duration, count + all))).collect();
    let before = |index: usize| index.checked_sub(1).map_or(0, |index| twice[index].1);
    let mut begin = 0;
    let within = twice.iter().map(|(at, count)| {
        while twice[begin].0 + window <= *at {
            begin += 1;
        }
        count - before(begin)
    });
    within.max().unwrap_or(0)
}

fn rate(work: u128, nanos: u64) -> Result<Rate, TraceError> {
    rate_of(u64::try_from(work / u128::from(nanos)).unwrap_or(u64::MAX))
}

fn rate_of(bps: u64) -> Result<Rate, TraceError> {
    Rate::from_bps(bps).map_err(|_| TraceError::Rate(bps))
}

impl From<Trace> for Written {
    fn from(trace: Trace) -> Self {
        match &trace.0.course {
            Course::Deliveries(counted) => {
                let mut before = 0;
                let word = |(at, count): &(u64, u64)| {
                    let many = count - std::mem::replace(&mut before, *count);
                    if many == 1 { at.to_string() } else { format!("{at}x{many}") }
                };
                Written::Deliveries(counted.iter().map(word).collect::<Vec<_>>().join(" "))
            }
            Course::Rates(steps) => Written::Rates {
                steps: steps.iter().map(|(at, bps, _)| (*at, *bps)).collect(),
                repeats_after_ns: trace.period(),
            },
        }
    }
}

impl TryFrom<Written> for Trace {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        let bad = |error: TraceError| format!("not a trace: {error}");
        match written {
            Written::Rates { steps, repeats_after_ns } => Self::rates(&steps, repeats_after_ns).map_err(bad),
            Written::Deliveries(text) => {
                let read = |word: &str| {
                    let (at, many) = word.split_once('x').unwrap_or((word, "1"));
                    let parsed = at.parse().ok().zip(many.parse().ok());
                    parsed.ok_or_else(|| format!("not a trace: `{word}` is not `TIME` or `TIMExN`"))
                };
                let times: Vec<(u64, u64)> = text.split(' ').map(read).collect::<Result<_, _>>()?;
                Self::counted(times.into_iter()).map_err(bad)
            }
        }
    }
}

/// How the head of a queue is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// At once.
    Unlimited,
    /// At a rate.
    Rate(Rate),
    /// As a trace has it that begins at a moment.
    Trace(Trace, Moment),
}

impl Service {
    /// How a link is served that becomes so at a moment; a trace begins then. An error: the trace that is not there.
    pub fn of(bandwidth: Bandwidth, traces: &BTreeMap<TraceId, Trace>, since: Moment) -> Result<Self, TraceId> {
        Ok(match bandwidth {
            Bandwidth::Unlimited => Service::Unlimited,
            Bandwidth::Limited(rate) => Service::Rate(rate),
            Bandwidth::Trace(Traced { trace, .. }) => Service::Trace(traces.get(&trace).cloned().ok_or(trace)?, since),
        })
    }

    /// What can have been done until a moment; nothing without a limit.
    pub(crate) fn work(&self, now: Moment) -> u128 {
        match self {
            Service::Unlimited => 0,
            Service::Rate(rate) => u128::from(rate.bps()) * u128::from(now.nanos()),
            Service::Trace(trace, begin) => trace.work(now.since(*begin)),
        }
    }

    /// When so much can have been done.
    pub(crate) fn when(&self, work: u128) -> Moment {
        match self {
            Service::Unlimited => Moment::default(),
            Service::Rate(rate) => Moment::from_nanos(u64::try_from(work / u128::from(rate.bps())).unwrap_or(u64::MAX)),
            Service::Trace(trace, begin) => begin.plus_nanos(trace.when(work)),
        }
    }
}
