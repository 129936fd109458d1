//! What peers report of their transfers: kept within bounds, and told as events now and then and at the stop.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use peerbed_contract::{ContentId, EventKind, Guid, UsageRecord};

use crate::{Time, UsageEntry, message::USAGE_MAX};

/// How often what is new is told.
const TELL_EVERY: Time = 10_000_000_000;
/// At most so many lines at once; the others follow at the next time, and at the stop.
const TELL_MAX: usize = 2_000;
/// Entries of one start of an installation.
const ENTRIES_PER_START: usize = 4_096;
/// A start of an installation: its GUID, and the secondary GUID of the start if it told one.
type Start = (Guid, Option<Guid>);

/// All reports.
#[derive(Debug)]
pub(super) struct Usage {
    /// Entries that are kept in all.
    most: usize,
    starts: BTreeMap<Start, Reporter>,
    entries: usize,
    /// Entries that found no room.
    dropped: u64,
    /// Entries that were not told since they changed.
    news: BTreeSet<(Start, ContentId, Option<Guid>)>,
    next_telling: Option<Time>,
}

#[derive(Debug)]
struct Reporter {
    address: IpAddr,
    last: bool,
    /// Received and sent, by content and partner.
    totals: BTreeMap<(ContentId, Option<Guid>), (u64, u64)>,
}

impl Usage {
    /// Nothing yet; at most `most` entries are kept.
    pub(super) fn new(most: usize) -> Self {
        Self { most, starts: BTreeMap::new(), entries: 0, dropped: 0, news: BTreeSet::new(), next_telling: None }
    }

    /// So many entries from now on; those that are kept stay.
    pub(super) fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// Takes a report in; false if it is longer than one may be.
    pub(super) fn take(
        &mut self,
        now: Time,
        start: Start,
        address: IpAddr,
        entries: Vec<UsageEntry>,
        last: bool,
    ) -> bool {
        if entries.len() > USAGE_MAX {
            return false;
        }
        if self.entries >= self.most && !self.starts.contains_key(&start) {
            self.dropped += entries.len() as u64;
            return true;
        }
        let fresh = || Reporter { address, last: false, totals: BTreeMap::new() };
        let reporter = self.starts.entry(start).or_insert_with(fresh);
        reporter.address = address;
        if last && !std::mem::replace(&mut reporter.last, true) {
            self.news.extend(reporter.totals.keys().map(|(content, partner)| (start, content.clone(), *partner)));
        }
        for UsageEntry { content, partner, received, sent } in entries {
            let key = (content, partner);
            let room = reporter.totals.len() < ENTRIES_PER_START && self.entries < self.most;
            if !room && !reporter.totals.contains_key(&key) {
                self.dropped += 1;
                continue;
            }
            self.entries += usize::from(!reporter.totals.contains_key(&key));
            let total = reporter.totals.entry(key.clone()).or_default();
            // Totals never fall: what is older comes late.
            *total = (total.0.max(received), total.1.max(sent));
            self.news.insert((start, key.0, key.1));
        }
        if !self.news.is_empty() {
            self.next_telling.get_or_insert(now + TELL_EVERY);
        }
        true
    }

    /// When something is to be told.
    pub(super) fn due(&self) -> Option<Time> {
        self.next_telling
    }

    /// What is to be told now.
    pub(super) fn tell(&mut self, now: Time) -> Vec<EventKind> {
        if self.next_telling.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let told = self.news_up_to(TELL_MAX);
        self.next_telling = (!self.news.is_empty()).then_some(now + TELL_EVERY);
        told
    }

    /// Everything that was not told yet.
    pub(super) fn tell_rest(&mut self) -> Vec<EventKind> {
        self.next_telling = None;
        self.news_up_to(usize::MAX)
    }

    fn news_up_to(&mut self, most: usize) -> Vec<EventKind> {
        let mut told = Vec::new();
        while told.len() < most
            && let Some((start, content, partner)) = self.news.pop_first()
        {
            let Some(reporter) = self.starts.get(&start) else { continue };
            let key = (content, partner);
            let (received, sent) = reporter.totals.get(&key).copied().unwrap_or_default();
            told.push(EventKind::Usage(Box::new(UsageRecord {
                guid: start.0,
                start: start.1,
                address: reporter.address,
                content: key.0,
                partner,
                received,
                sent,
                last: reporter.last,
            })));
        }
        told
    }

    /// One sentence about all of it.
    pub(super) fn summary(&self) -> String {
        let totals = || self.starts.values().flat_map(|reporter| &reporter.totals);
        let sum = |edges: bool| {
            let of = totals().filter(|((_, partner), _)| partner.is_none() == edges);
            of.fold(0_u64, |sum, (_, (received, _))| sum.saturating_add(*received))
        };
        let dropped = if self.dropped > 0 { format!("; {} found no room", self.dropped) } else { String::new() };
        format!(
            "{} usage reports told of {} bytes from edges and {} bytes from peers{dropped}",
            self.entries,
            sum(true),
            sum(false)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guid(number: u32) -> Guid {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Guid::from_bytes(bytes)
    }

    fn entry(content: &str, partner: u32, received: u64, sent: u64) -> UsageEntry {
        UsageEntry { content: content.parse().unwrap(), partner: (partner > 0).then(|| guid(partner)), received, sent }
    }

    fn take(usage: &mut Usage, now: Time, of: u32, entries: Vec<UsageEntry>, last: bool) -> bool {
        usage.take(now, (guid(of), None), [10, 0, 0, 1].into(), entries, last)
    }

    fn told(events: &[EventKind]) -> Vec<(u64, u64, bool)> {
        let totals = |event: &EventKind| match event {
            EventKind::Usage(record) => (record.received, record.sent, record.last),
            other => panic!("{other:?}"),
        };
        events.iter().map(totals).collect()
    }

    #[test]
    fn totals_are_told_once_a_period_and_at_the_stop() {
        let mut usage = Usage::new(200_000);
        assert_eq!(usage.due(), None);
        take(&mut usage, 5, 1, vec![entry("patch", 0, 10, 0)], false);
        // A report that was overtaken by a later one.
        take(&mut usage, 6, 1, vec![entry("patch", 0, 8, 0), entry("patch", 2, 0, 7)], false);
        assert_eq!(usage.due(), Some(TELL_EVERY + 5));
        assert_eq!(usage.tell(TELL_EVERY + 4), []);
        assert_eq!(told(&usage.tell(TELL_EVERY + 5)), [(10, 0, false), (0, 7, false)]);
        assert_eq!(usage.due(), None, "nothing is new");
        // That a report was the last one is news about all entries.
        take(&mut usage, TELL_EVERY + 6, 1, Vec::new(), true);
        assert_eq!(told(&usage.tell_rest()), [(10, 0, true), (0, 7, true)]);
        assert!(usage.summary().contains("2 usage reports told of 10 bytes from edges and 0 bytes from peers"));
    }

    #[test]
    fn memory_and_lines_are_bounded() {
        let mut usage = Usage::new(200_000);
        assert!(!take(&mut usage, 0, 1, vec![entry("patch", 1, 1, 1); USAGE_MAX + 1], false));
        for batch in 0..20_u32 {
            let entries = (1..=USAGE_MAX as u32).map(|number| entry("patch", batch * 1000 + number, 1, 0)).collect();
            take(&mut usage, 0, 1, entries, false);
        }
        assert_eq!(usage.entries, ENTRIES_PER_START.min(20 * USAGE_MAX));
        assert!(usage.dropped > 0 && usage.summary().contains("found no room"));
        assert_eq!(usage.tell(TELL_EVERY).len(), TELL_MAX);
        assert_eq!(usage.due(), Some(2 * TELL_EVERY));
        // Many installations cannot take more together than there is.
        for of in 2..100 {
            for batch in 0..20_u32 {
                let entries = (1..=USAGE_MAX as u32).map(|number| entry("film", batch * 1000 + number, 1, 0)).collect();
                take(&mut usage, 0, of, entries, false);
            }
        }
        assert_eq!(usage.entries, 200_000);
    }
}
