//! The login log, as an analyst without the plan would use it: who was where when, GUID → address → AS. Beside the figures from
//! the truth stands what they are by the log, and how many bytes it puts in the wrong place.

use std::{collections::BTreeMap, net::IpAddr};

use peerbed_contract::{AsNumber, DownloadRecord, EventKind, Guid, LoginRecord, Role};

use super::{Metric, RunView, Value};

/// Every login in order of time.
fn logins<'a>(view: &RunView<'a>) -> impl Iterator<Item = (u64, &'a LoginRecord)> + use<'a> {
    view.record.events.iter().filter_map(|event| match &event.kind {
        EventKind::Login(login) => Some((event.t, &**login)),
        _ => None,
    })
}

/// The ASes of each GUID by its logins, in order of time.
type Log = BTreeMap<Guid, Vec<(u64, Option<AsNumber>)>>;

/// Where the log says that an installation was: by the latest login until then, else by its first one.
fn placed(log: &Log, guid: Guid, at: u64) -> Option<AsNumber> {
    let logins = log.get(&guid)?;
    let until = logins.iter().rev().find(|(t, _)| *t <= at);
    until.or(logins.first())?.1
}

pub(super) fn rows(view: &RunView<'_>) -> Vec<Metric> {
    let mut log = Log::new();
    for (t, login) in logins(view) {
        log.entry(login.guid).or_default().push((t, login.as_number));
    }
    for logins in log.values_mut() {
        logins.sort_by_key(|(t, _)| *t);
    }
    let truth: BTreeMap<IpAddr, AsNumber> =
        view.record.plan.addresses().into_iter().map(|(address, (_, at))| (address, at)).collect();
    let (mut inter, mut wrong) = (0, 0);
    for record in view.records() {
        let (one, other) = attribute(record, &log, &truth);
        inter += one;
        wrong += other;
    }
    let bytes = |name, number| Metric::new(name, Value::count(number));
    let moves = view.record.events.iter().filter(|event| matches!(event.kind, EventKind::Moved { .. })).count();
    let recoveries = view.record.events.iter().filter_map(|event| match event.kind {
        EventKind::RegistryRebuilt { took_ns, .. } => Some(took_ns as f64 / 1e6),
        _ => None,
    });
    let refused = view.record.events.iter().filter_map(|event| match event.kind {
        EventKind::Refusals { count, .. } => Some(count),
        _ => None,
    });
    vec![
        Metric::new("logins", Value::count(logins(view).count() as u64)),
        Metric::new("moves", Value::count(moves as u64)),
        bytes("bytes.inter_as_by_login", inter),
        bytes("bytes.misattributed", wrong),
        Metric::new("registry_recovery_ms", Value::distribution(recoveries, BTreeMap::new())),
        Metric::new("control_refusals", Value::count(refused.sum())),
    ]
}

/// Bytes that one download used from peers of other ASes by the log, and those of which the log says not what is true.
fn attribute(record: &DownloadRecord, log: &Log, truth: &BTreeMap<IpAddr, AsNumber>) -> (u64, u64) {
    let here = placed(log, record.guid, record.end_ns);
    let (mut inter, mut wrong) = (0, 0);
    for source in record.sources.iter().filter(|source| source.role == Role::Peer) {
        let there = source.guid.and_then(|guid| placed(log, guid, record.end_ns));
        let (Some(here), Some(there)) = (here, there) else {
            wrong += source.bytes;
            continue;
        };
        inter += if here == there { 0 } else { source.bytes };
        let right = here == source.to.unwrap_or(record.as_number)
            && truth.get(&source.address).is_none_or(|number| *number == there);
        wrong += if right { 0 } else { source.bytes };
    }
    (inter, wrong)
}

#[cfg(test)]
mod tests {
    use peerbed_contract::{NatClass, SourceBytes};

    use super::*;
    use crate::{fixture, record::RunRecord};

    fn guid(number: u8) -> Guid {
        Guid::from_bytes([number; 16])
    }

    fn number(value: u32) -> Option<AsNumber> {
        AsNumber::try_from(value).ok()
    }

    /// A run with this log: GUID, time and AS; one download of GUID 1 in its AS, 5 bytes of GUID 2 and 7 of GUID 3.
    fn figures(log: &[(u8, u64, u32)]) -> (u64, u64) {
        figures_of(log, None)
    }

    /// The same, where the downloader was in another AS when the bytes of GUID 3 came.
    fn figures_of(log: &[(u8, u64, u32)], then: Option<AsNumber>) -> (u64, u64) {
        let mut record: RunRecord = fixture::record("hybrid", 0);
        let home = fixture::change(&mut record, |event| match &mut event.kind {
            EventKind::DownloadFinished(finished) => {
                finished.guid = guid(1);
                finished.end_ns = 100;
                let source = |of: u8, bytes| SourceBytes {
                    address: [192, 0, 2, of].into(), // behind a translation: the plan does not know it
                    role: Role::Peer,
                    guid: Some(guid(of)),
                    bytes,
                    to: then.filter(|_| of == 3),
                };
                finished.sources = vec![source(2, 5), source(3, 7)];
                Some(finished.as_number)
            }
            _ => None,
        });
        let mut only_first = false;
        record.events.retain(|event| {
            let finished = matches!(event.kind, EventKind::DownloadFinished(_));
            let keep = !finished || !only_first;
            only_first |= finished;
            keep
        });
        let template = record.events[0].clone();
        for (of, t, as_number) in log {
            let login = LoginRecord {
                guid: guid(*of),
                secondary: Vec::new(),
                address: ([192, 0, 2, *of], 7001).into(),
                as_number: if *as_number == 0 { Some(home) } else { number(*as_number) },
                region: None,
                country: None,
                uploads: true,
                nat: NatClass::None,
                version: String::new(),
            };
            let mut event = template.clone();
            (event.t, event.kind) = (*t, EventKind::Login(Box::new(login)));
            record.events.push(event);
        }
        let rows = rows(&RunView::of(&record));
        let value = |name| match rows.iter().find(|row| row.name == name).map(|row| &row.value) {
            Some(Value::Count { value, .. }) => *value,
            other => panic!("{other:?}"),
        };
        (value("bytes.inter_as_by_login"), value("bytes.misattributed"))
    }

    #[test]
    fn bytes_are_put_where_the_latest_login_was() {
        assert_eq!(figures(&[(1, 0, 0), (2, 0, 0), (3, 0, 9)]), (7, 0));
        // GUID 3 moved before the download ended; GUID 2 after it.
        assert_eq!(figures(&[(1, 0, 0), (2, 0, 0), (2, 200, 9), (3, 0, 0), (3, 50, 9)]), (7, 0));
        // Who logged in only later was there already.
        assert_eq!(figures(&[(1, 0, 0), (2, 300, 9), (3, 0, 0)]), (5, 0));
    }

    #[test]
    fn what_came_before_the_downloader_moved_is_put_where_it_was_at_the_end() {
        // It came to AS 9 from AS 9, of which the log at the end says that it crossed from there.
        let log = [(1, 0, 9), (1, 50, 0), (2, 0, 0), (3, 0, 9)];
        assert_eq!(figures_of(&log, number(9)), (7, 7));
        assert_eq!(figures_of(&log, None), (7, 0));
    }

    #[test]
    fn what_the_log_does_not_know_or_has_wrong_is_counted() {
        assert_eq!(figures(&[(1, 0, 0), (2, 0, 0)]), (0, 7));
        assert_eq!(figures(&[(2, 0, 0), (3, 0, 0)]), (0, 12));
        assert_eq!(figures(&[(1, 0, 9), (2, 0, 0), (3, 0, 9)]), (5, 12), "a copy of the downloader is elsewhere");
    }
}
