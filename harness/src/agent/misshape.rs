//! A door for tests alone: makes the links other than they were asked for, to see that this is noticed.

use std::ffi::OsStr;

use peerbed_link::{Bandwidth, Fabric, Rate};

use crate::say::complain;

/// The environment variable with the percentage of its rate that every link really gets.
const RATE_PERCENT: &str = "PEERBED_TEST_RATE_PERCENT";

/// What to say against a run whose agent was started with it.
pub(crate) fn misshaped() -> Option<String> {
    std::env::var_os(RATE_PERCENT).map(|_| format!("{RATE_PERCENT} is set, so links are not what was asked for"))
}

/// Change the fabric as the environment asks for, and say so in the agent's log.
pub(super) fn misshape(fabric: &mut Fabric) {
    let Some(percent) = std::env::var_os(RATE_PERCENT) else { return };
    match percent_of(&percent) {
        Some(percent) => {
            complain(format_args!("agent: {RATE_PERCENT}: every link gets {percent} % of its rate"));
            scale(fabric, percent);
        }
        None => complain(format_args!("agent: {RATE_PERCENT} is ignored: it is not a number from 1 to 1000")),
    }
}

fn percent_of(text: &OsStr) -> Option<u64> {
    text.to_str()?.parse().ok().filter(|percent| (1..=1000).contains(percent))
}

fn scale(fabric: &mut Fabric, percent: u64) {
    let places = fabric.places.iter_mut().map(|place| &mut place.at);
    let nodes = fabric.nodes.iter_mut().chain(places).flat_map(|node| [&mut node.access.up, &mut node.access.down]);
    let links = fabric.links.iter_mut().flat_map(|link| [&mut link.forward, &mut link.backward]);
    for spec in nodes.chain(links) {
        if let Bandwidth::Limited(rate) = &mut spec.bandwidth {
            // A rate beyond what a link can have stays as it is.
            *rate = Rate::from_bps(rate.bps() / 100 * percent).unwrap_or(*rate);
        }
    }
    for trace in fabric.traces.values_mut() {
        *trace = trace.scaled(percent).unwrap_or_else(|_| trace.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limited_rate_is_scaled() {
        let mut fabric = crate::fixture::record("hybrid", 0).plan.fabric.clone();
        let rates = |fabric: &Fabric| -> Vec<u64> {
            let nodes = fabric.nodes.iter().flat_map(|node| [node.access.up, node.access.down]);
            let links = fabric.links.iter().flat_map(|link| [link.forward, link.backward]);
            let limited = nodes.chain(links).filter_map(|spec| match spec.bandwidth {
                Bandwidth::Limited(rate) => Some(rate.bps()),
                Bandwidth::Unlimited | Bandwidth::Trace(_) => None,
            });
            limited.collect()
        };
        let before = rates(&fabric);
        assert!(!before.is_empty());
        scale(&mut fabric, 97);
        assert_eq!(rates(&fabric), before.iter().map(|bps| bps / 100 * 97).collect::<Vec<_>>());
    }

    #[test]
    fn only_percentages_are_taken() {
        assert_eq!(percent_of("97".as_ref()), Some(97));
        for wrong in ["", "0", "1001", "-3", "97%", "x"] {
            assert_eq!(percent_of(wrong.as_ref()), None, "{wrong}");
        }
    }
}
