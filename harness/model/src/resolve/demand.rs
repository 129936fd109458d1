//! Who asks for what, and when: whether the workloads can be placed at all, and their draws.
//!
//! A peer asks for each object at most once, and never for one that it holds. Workloads of a fixed number of downloads are
//! placed first, then Poisson processes, which end when nothing is left to ask for; so whether a file can be placed does
//! not depend on the draws. Whoever the timeline adds does not ask before.

use std::collections::BTreeSet;

use crate::{
    diagnostic::{Report, Span},
    experiment::{Arrivals, Body, Workload},
    limits,
    resolve::timeline::Arrival,
    units,
};

mod draw;
mod presence;

use presence::{check_presence, check_time};

pub(crate) use draw::{Holders, Request, draw, user};

impl Arrivals {
    fn is_fixed(&self) -> bool {
        !matches!(self, Arrivals::Poisson { .. })
    }
}

/// Indexes of workloads in the order in which they are placed.
fn order(workloads: &[Workload]) -> impl Iterator<Item = usize> {
    let fixed = (0..workloads.len()).filter(|index| workloads[*index].arrivals.is_fixed());
    fixed.chain((0..workloads.len()).filter(|index| !workloads[*index].arrivals.is_fixed()))
}

/// How many peers of each group lack each object at the start, by content and group.
fn lacking(body: &Body) -> Vec<Vec<u64>> {
    let peers: Vec<u64> = body.groups.iter().map(|group| u64::from(group.peers.value)).collect();
    let mut lacking = vec![peers; body.content.len()];
    for (index, group) in body.groups.iter().enumerate() {
        for (content, copies) in &group.holds {
            lacking[*content][index] -= u64::from(*copies);
        }
    }
    lacking
}

/// How many different downloads are possible within both workloads; counted no further than `enough`.
fn pairs(lacking: &[Vec<u64>], one: &Workload, other: &Workload, enough: u64) -> u64 {
    let common = |one: &[usize], other: &[usize]| -> Vec<usize> {
        let other: BTreeSet<usize> = other.iter().copied().collect();
        one.iter().copied().filter(|index| other.contains(index)).collect()
    };
    let (groups, content) = (common(&one.groups, &other.groups), common(&one.content, &other.content));
    let mut found = 0;
    for content in content {
        found += groups.iter().map(|group| lacking[content][*group]).sum::<u64>();
        if found >= enough {
            return enough;
        }
    }
    found
}

/// Notes what cannot be placed whatever is drawn, and warns of what will run dry.
pub(crate) fn check(body: &Body, arrivals: &[Vec<Arrival>], workload_span: Span, report: &mut Report) {
    let lacking = lacking(body);
    let mut most = 0.0;
    let mut before: Vec<(&Workload, u64)> = Vec::new();
    for workload in order(&body.workloads).map(|index| &body.workloads[index]) {
        let possible = pairs(&lacking, workload, workload, u64::MAX);
        let taken: u64 =
            before.iter().map(|(other, count)| pairs(&lacking, workload, other, *count)).sum::<u64>().min(possible);
        let left = possible - taken;
        if left == 0 {
            let finding =
                report.error(workload.span, "this workload cannot be placed: there is nothing left to ask for");
            finding.help("every peer holds or has already asked for all of its content; add peers or content");
            continue;
        }
        let errors = report.errors();
        check_presence(body, arrivals, workload, report);
        if report.errors() > errors {
            continue;
        }
        let peers = || workload.groups.iter().map(|group| u64::from(body.groups[*group].peers.value)).sum::<u64>();
        let fixed = |count: u64, report: &mut Report| {
            if count > left {
                let message =
                    format!("this workload cannot be placed: {count} downloads, but only {left} are possible");
                report.error(workload.span, message).help(
                    "a peer asks for each object once, and not for what it holds; ask for less, or add peers or content",
                );
            }
            if count <= left {
                check_time(&lacking, arrivals, (workload, count), &before, report);
            }
            count
        };
        let count = match &workload.arrivals {
            Arrivals::At(moments) => fixed(moments.len() as u64, report),
            Arrivals::Burst { count, .. } => fixed(*count, report),
            Arrivals::Everyone { .. } => peers().min(left),
            Arrivals::Poisson { rate, length, daily, .. } => {
                let seconds = length.as_secs_f64();
                let mean = rate * seconds * daily.map_or(1.0, |daily| daily.mean(seconds));
                most += mean.min(left as f64) + 5.0 * mean.min(left as f64).sqrt();
                if mean > left as f64 {
                    let message = format!(
                        "about {mean:.0} downloads are asked for in {}, but only {left} are possible",
                        units::show_time(*length)
                    );
                    report.warning(workload.span, message).help(
                        "a peer asks for each object once, and not for what it holds; the arrivals end when all have asked",
                    );
                }
                continue;
            }
        };
        most += count as f64;
        before.push((workload, count));
    }
    if most > limits::DOWNLOADS as f64 {
        let message = format!("up to {most:.0} downloads are more than one run can have");
        report.error(workload_span, message).help(format!("at most {} are allowed", limits::DOWNLOADS));
    }
}
