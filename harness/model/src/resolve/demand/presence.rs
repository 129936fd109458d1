//! Who is there when a workload asks: whether its downloads can be placed although the timeline adds some of its peers later.

use std::time::Duration;

use super::pairs;
use crate::{
    diagnostic::Report,
    experiment::{Arrivals, Body, Workload},
    resolve::timeline::Arrival,
    units,
};

impl Arrivals {
    /// The first and the last moment at which it may have anybody ask.
    fn span(&self) -> (Duration, Duration) {
        match self {
            Arrivals::Poisson { from, length, .. } => (*from, *from + *length),
            Arrivals::At(moments) => {
                (moments.iter().min().copied().unwrap_or_default(), moments.iter().max().copied().unwrap_or_default())
            }
            Arrivals::Burst { at, within, .. } | Arrivals::Everyone { at, within } => (*at, *at + *within),
        }
    }
}

/// How many peers of each group that surely are there by then lack each object, whoever of a group comes later.
fn lacking_at(lacking: &[Vec<u64>], arrivals: &[Vec<Arrival>], at: Duration) -> Vec<Vec<u64>> {
    let absent = |group: usize| -> u64 {
        let later = arrivals.get(group).into_iter().flatten().filter(|arrival| arrival.at > at);
        later.map(|arrival| u64::from(arrival.peers)).sum()
    };
    let there = |of_content: &Vec<u64>| {
        of_content.iter().enumerate().map(|(group, count)| count.saturating_sub(absent(group))).collect()
    };
    lacking.iter().map(there).collect()
}

/// When the first of all peers of these groups come, if nobody of them is there at the start.
fn nobody_before(body: &Body, arrivals: &[Vec<Arrival>], groups: &[usize]) -> Option<Duration> {
    let first = |group: &usize| {
        let come = arrivals.get(*group)?;
        let count: u32 = come.iter().map(|arrival| arrival.peers).sum();
        come.first().filter(|_| count >= body.groups[*group].peers.value).map(|arrival| arrival.at)
    };
    groups.iter().map(first).collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// Notes a workload that begins before anybody can ask, and warns of groups that come when it is over.
pub(super) fn check_presence(body: &Body, arrivals: &[Vec<Arrival>], workload: &Workload, report: &mut Report) {
    let (begin, end) = workload.arrivals.span();
    let everybody = matches!(workload.arrivals, Arrivals::Everyone { .. });
    let first = nobody_before(body, arrivals, &workload.groups);
    if let Some(first) = first.filter(|first| *first > if everybody { end } else { begin }) {
        let (begin, first) = (units::show_time(begin), units::show_time(first));
        let message = format!("this workload begins at {begin}, but nobody of its groups is there before {first}");
        let key = if matches!(workload.arrivals, Arrivals::Poisson { .. }) { "from" } else { "at" };
        report.error(workload.span, message).help(format!("begin it then: `{key}: {first}`, or add the peers earlier"));
        return;
    }
    // Where no group is named, nobody need ask.
    for group in workload.groups.iter().filter(|_| workload.groups.len() < body.groups.len()) {
        if let Some(first) = nobody_before(body, arrivals, &[*group]).filter(|first| *first > end) {
            let name = &body.groups[*group].name.value;
            let message =
                format!("`{name}` never asks: it comes at {}, when this workload is over", units::show_time(first));
            report.warning(workload.span, message).help("let the workload last longer, or name other groups");
        }
    }
}

/// Notes a workload of a fixed number of downloads that wants more before some moment than those who are there then can ask
/// for.
pub(super) fn check_time(
    lacking: &[Vec<u64>],
    arrivals: &[Vec<Arrival>],
    (workload, count): (&Workload, u64),
    before: &[(&Workload, u64)],
    report: &mut Report,
) {
    // Who comes later cannot ask before; who is there can also ask later.
    let (begin, _) = workload.arrivals.span();
    let mut come: Vec<Duration> = workload
        .groups
        .iter()
        .filter_map(|group| arrivals.get(*group))
        .flatten()
        .map(|arrival| arrival.at)
        .filter(|at| *at > begin)
        .collect();
    come.sort_unstable();
    come.dedup();
    let from = std::iter::once(begin).chain(come.iter().copied());
    for (from, until) in from.zip(&come) {
        let wanted = match &workload.arrivals {
            Arrivals::At(moments) => moments.iter().filter(|moment| *moment < until).count() as u64,
            // All of a burst may fall to its first moment.
            _ if from == begin => count,
            _ => 0,
        };
        let there = lacking_at(lacking, arrivals, from);
        let taken: u64 = before.iter().map(|(other, count)| pairs(&there, workload, other, *count)).sum();
        let possible = pairs(&there, workload, workload, u64::MAX);
        let left = possible - taken.min(possible);
        if wanted > left {
            let until = units::show_time(*until);
            let message = format!(
                "this workload cannot be placed: {wanted} downloads, but only {left} are surely possible before others \
                 come at {until}"
            );
            report.error(workload.span, message).help(
                "a peer asks for each object once, and not before it is there; ask for less or later, or add peers \
                 earlier",
            );
            break;
        }
    }
}
