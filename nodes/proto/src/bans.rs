//! Addresses that nothing is accepted from for a while. Called by the peer and the control machine.

use std::{collections::BTreeMap, net::IpAddr};

use crate::Time;

/// More addresses than this are not remembered; the one whose time is over first makes room.
const BANS_MAX: usize = 1024;

/// Who is banned, and until when.
#[derive(Debug, Default)]
pub(crate) struct Bans {
    until: BTreeMap<IpAddr, Time>,
}

impl Bans {
    /// Bans an address for so long from now; never for less than it was already.
    pub(crate) fn ban(&mut self, now: Time, address: IpAddr, span: Time) {
        if self.until.len() >= BANS_MAX {
            self.until.retain(|_, until| *until > now);
        }
        if self.until.len() >= BANS_MAX
            && let Some(first) = self.until.iter().min_by_key(|(_, until)| **until).map(|(address, _)| *address)
        {
            self.until.remove(&first);
        }
        let until = self.until.entry(address.to_canonical()).or_default();
        *until = (*until).max(now.saturating_add(span));
    }

    /// Whether nothing is accepted from an address now.
    pub(crate) fn holds(&self, now: Time, address: IpAddr) -> bool {
        self.until.get(&address.to_canonical()).is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn a_ban_ends_and_is_never_shortened() {
        let mut bans = Bans::default();
        bans.ban(0, ip(1), 100);
        bans.ban(10, ip(1), 50);
        assert!(bans.holds(99, ip(1)) && !bans.holds(100, ip(1)) && !bans.holds(0, ip(2)));
        assert!(bans.holds(50, "::ffff:0.0.0.1".parse().unwrap()));
    }

    #[test]
    fn memory_is_bounded_and_the_latest_are_kept() {
        let mut bans = Bans::default();
        for number in 0..5_000 {
            bans.ban(u64::from(number), ip(number), 10_000);
        }
        assert_eq!(bans.until.len(), BANS_MAX);
        assert!(bans.holds(5_000, ip(4_999)) && !bans.holds(5_000, ip(0)));
    }
}
