//! How much may be uploaded at a moment: the cap, and what is left of it while the link is used otherwise.
//!
//! While the user uses the link, and while a download is active, a lower cap may hold. When the user's use ends, the rate
//! begins with a tenth of the cap (or the lower cap, if that is more) and doubles after each [`Courtesy::back_off_ns`]
//! until it is the cap again. Without a cap there is nothing to double: then it comes back at once.

use peerbed_contract::{Courtesy, UploadPolicy};

use crate::Time;

/// The part of the cap with which the rate comes back.
const FIRST_SHARE: f64 = 0.1;

/// The limits, in bytes a second, and the state of the link.
#[derive(Debug)]
pub(super) struct Limit {
    cap: Option<f64>,
    busy: Option<f64>,
    downloading: Option<f64>,
    back_off: Time,
    /// The user uses the link.
    in_use: bool,
    /// When the user's last use ended, while the rate has not come back.
    idle_since: Option<Time>,
}

impl Limit {
    pub(super) fn new(policy: &UploadPolicy, courtesy: &Courtesy) -> Self {
        let bytes = |bits: Option<u64>| bits.map(|bits| bits as f64 / 8.0);
        Self {
            cap: bytes(policy.rate_bps),
            busy: bytes(courtesy.busy_rate_bps),
            downloading: bytes(courtesy.downloading_rate_bps),
            back_off: courtesy.back_off_ns,
            in_use: false,
            idle_since: None,
        }
    }

    /// Other limits from now on; how the link is used stays as it is.
    pub(super) fn set(&mut self, new: &Self) {
        let Self { cap, busy, downloading, back_off, .. } = *new;
        *self = Self { cap, busy, downloading, back_off, ..*self };
    }

    /// The user begins or ends to use the link.
    pub(super) fn use_link(&mut self, now: Time, in_use: bool) {
        if std::mem::replace(&mut self.in_use, in_use) != in_use {
            self.idle_since = (!in_use).then_some(now);
        }
    }

    /// The most that may be uploaded now; none: without limit.
    pub(super) fn at(&self, now: Time, downloading: bool) -> Option<f64> {
        let use_of_user = if self.in_use { self.busy } else { self.returning(now).map(|(rate, _)| rate) };
        let own = self.downloading.filter(|_| downloading);
        [self.cap, use_of_user, own].into_iter().flatten().reduce(f64::min)
    }

    /// When the rate next rises by itself.
    pub(super) fn next_rise(&self, now: Time) -> Option<Time> {
        self.returning(now).filter(|_| !self.in_use).map(|(_, until)| until)
    }

    /// The rate while it comes back, and until when it holds.
    fn returning(&self, now: Time) -> Option<(f64, Time)> {
        let (since, cap) = (self.idle_since?, self.cap?);
        let steps = now.saturating_sub(since).checked_div(self.back_off)?;
        let first = (cap * FIRST_SHARE).max(self.busy.unwrap_or(cap).min(cap));
        let rate = first * (steps.min(64) as f64).exp2();
        (rate < cap).then(|| (rate, since.saturating_add(self.back_off.saturating_mul(steps + 1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::params::SECOND;

    fn limit(rate: Option<u64>, busy: Option<u64>, downloading: Option<u64>, back_off: Time) -> Limit {
        let policy = UploadPolicy {
            enabled: true,
            per_copy: 1,
            connections: 1,
            waiting: 0,
            rate_bps: rate,
            connection_rate_bps: None,
        };
        Limit::new(&policy, &Courtesy { busy_rate_bps: busy, downloading_rate_bps: downloading, back_off_ns: back_off })
    }

    #[test]
    fn the_rate_stops_in_use_and_doubles_afterwards_up_to_the_cap() {
        let mut limit = limit(Some(8_000_000), Some(0), None, SECOND);
        assert_eq!(limit.at(0, false), Some(1e6));
        limit.use_link(0, true);
        assert_eq!((limit.at(SECOND, false), limit.next_rise(SECOND)), (Some(0.0), None));
        limit.use_link(5 * SECOND, false);
        let rates: Vec<_> = (5..11).map(|at| limit.at(at * SECOND, false).unwrap()).collect();
        assert_eq!(rates, [1e5, 2e5, 4e5, 8e5, 1e6, 1e6]);
        assert_eq!(limit.next_rise(5 * SECOND + 1), Some(6 * SECOND));
        assert_eq!(limit.next_rise(9 * SECOND), None);
    }

    #[test]
    fn it_begins_with_what_it_had_in_use_and_at_once_without_a_back_off() {
        let mut slow = limit(Some(8_000_000), Some(4_000_000), None, SECOND);
        slow.use_link(0, true);
        assert_eq!(slow.at(0, false), Some(5e5));
        slow.use_link(SECOND, false);
        assert_eq!((slow.at(SECOND, false), slow.at(2 * SECOND, false)), (Some(5e5), Some(1e6)));
        let mut at_once = limit(Some(8_000_000), Some(0), None, 0);
        at_once.use_link(0, true);
        at_once.use_link(SECOND, false);
        assert_eq!((at_once.at(SECOND, false), at_once.next_rise(SECOND)), (Some(1e6), None));
    }

    #[test]
    fn the_lowest_limit_holds_and_none_is_none() {
        let limit_of = |busy, downloading| {
            let mut limit = limit(None, busy, downloading, SECOND);
            limit.use_link(0, true);
            limit
        };
        assert_eq!(limit_of(Some(8_000), Some(4_000)).at(0, true), Some(500.0));
        assert_eq!(limit_of(Some(8_000), Some(4_000)).at(0, false), Some(1000.0));
        assert_eq!(limit_of(None, None).at(0, true), None);
    }
}
