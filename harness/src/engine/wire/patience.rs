//! How long a thread may sleep before something is due.
//!
//! The kernel wakes a sleeper 50 to 100 µs after its time, and 200 to 300 µs after it when the processor was idle for long. So a thread wakes early and polls until the moment has come,
//! but only for a small share of its time: on a machine that is busy with many packets the nodes need the CPU more than
//! packets need those microseconds.

use peerbed_link::Moment;

/// How long before a due moment polling begins, nanoseconds,
const EARLY_NS: u64 = 150_000;
/// and how long after a sleep that was longer than this.
const LONG_EARLY_NS: u64 = 400_000;
const LONG_NS: u64 = 50_000_000;
/// One part in so many of the time may be spent polling.
const SHARE: u64 = 16;
/// The most polling time that can be saved up, nanoseconds.
const CREDIT_CAP_NS: u64 = 4_000_000;

/// What a thread may still spend on polling.
#[derive(Debug)]
pub(super) struct Patience {
    credit: u64,
    last: Moment,
    polling: bool,
    /// How long before the next due moment polling begins.
    early: u64,
}

impl Patience {
    pub(super) fn new(now: Moment) -> Self {
        Self { credit: CREDIT_CAP_NS, last: now, polling: false, early: EARLY_NS }
    }

    /// How many nanoseconds to sleep; none: until something comes in; zero: only look.
    pub(super) fn wait(&mut self, now: Moment, due: Option<Moment>) -> Option<u64> {
        let passed = now.since(self.last);
        self.last = now;
        if self.polling {
            self.credit = self.credit.saturating_sub(passed);
        }
        self.credit = (self.credit + passed / SHARE).min(CREDIT_CAP_NS);
        self.polling = false;
        let ahead = due?.since(now);
        if ahead > LONG_NS {
            self.early = LONG_EARLY_NS;
        } else if ahead == 0 || ahead > self.early {
            self.early = EARLY_NS;
        }
        if self.credit < ahead.min(self.early) {
            return Some(ahead);
        }
        self.polling = ahead > 0 && ahead <= self.early;
        Some(ahead.saturating_sub(self.early))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn sleeps_until_woken_when_nothing_is_due() {
        assert_eq!(Patience::new(Moment::default()).wait(Moment::from_nanos(MS), None), None);
    }

    #[test]
    fn wakes_early_then_polls() {
        let mut patience = Patience::new(Moment::default());
        let due = Some(Moment::from_nanos(10 * MS));
        assert_eq!(patience.wait(Moment::default(), due), Some(10 * MS - EARLY_NS));
        assert_eq!(patience.wait(Moment::from_nanos(10 * MS - EARLY_NS), due), Some(0));
        assert_eq!(patience.wait(Moment::from_nanos(10 * MS + 1), due), Some(0), "overdue");
    }

    #[test]
    fn wakes_earlier_from_a_long_sleep() {
        let mut patience = Patience::new(Moment::default());
        let due = Some(Moment::from_nanos(200 * MS));
        assert_eq!(patience.wait(Moment::default(), due), Some(200 * MS - LONG_EARLY_NS));
        assert_eq!(patience.wait(Moment::from_nanos(200 * MS - LONG_EARLY_NS + 1), due), Some(0));
        assert_eq!(patience.wait(Moment::from_nanos(200 * MS), due), Some(0), "due");
        // The next one is near again.
        let due = Some(Moment::from_nanos(201 * MS));
        assert_eq!(patience.wait(Moment::from_nanos(200 * MS), due), Some(MS - EARLY_NS));
    }

    #[test]
    fn polls_a_sixteenth_of_the_time_at_most() {
        let mut patience = Patience::new(Moment::default());
        let (mut now, mut polled) = (0, 0);
        // Something is always due in 100 µs; each look costs 1 µs.
        while now < 1_000 * MS {
            let due = (now / 100_000 + 1) * 100_000;
            while now < due {
                match patience.wait(Moment::from_nanos(now), Some(Moment::from_nanos(due))) {
                    Some(0) => {
                        polled += 1_000;
                        now += 1_000;
                    }
                    wait => now += wait.expect("something is due"),
                }
            }
        }
        assert!(polled <= 1_000 * MS / SHARE + CREDIT_CAP_NS + MS, "{polled} ns of 1 s");
        assert!(polled >= 1_000 * MS / SHARE / 2, "{polled} ns of 1 s");
    }
}
