//! From a graph to a topology file: populations, rates, delays, servers, and the text.
//!
//! *Populations* follow Zipf's law: the k-th of the ASes where people live has 1 ÷ k^s of what the first has. *Rates* follow what is
//! behind a link: so many peers are thought to be divided among all people, and a link has room for those in the customer cone of
//! its lower end, each with a rate, rounded up to 1, 2 or 5 times a power of ten, so that a topology has few classes of links to calibrate.
//! *Delays* follow the distance between the regions of both ends, which lie on a circle. *Edges* are where most people are.

use std::fmt::Write;

use peerbed_link::Rate;

use super::draft::Draft;
use crate::topology::Relation;

/// People, on average, in an AS where people live.
const PEOPLE: f64 = 1_000.0;
/// The least rate of a link between ASes: room for two of the fastest access links, in bits a second.
const LEAST: u64 = 50_000_000;
/// One way, between ASes of one region, and more for each region in between, in milliseconds.
const DELAY: (usize, usize) = (5, 20);
/// Addresses of each AS: a /17 of 10.0.0.0/8, room for 32 766 hosts in each of 512 ASes.
const PREFIX_LENGTH: u8 = 17;

/// Access links that every AS offers, the slowest first, and that of servers.
const ACCESS: &str = "\
access:
  dsl: {up: 1500kbit, down: 6mbit, delay: 8ms, jitter: 1ms, queue: 150ms}
  cable: {up: 3mbit, down: 12mbit, delay: 4ms, queue: 100ms}
  fibre: {up: 10mbit, down: 25mbit, delay: 2ms, queue: 50ms}
  server: {up: 100mbit, down: 100mbit, delay: 1ms}
";

/// How a graph becomes a topology.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dress {
    /// The exponent of the populations; 0: all are the same.
    pub(crate) zipf: f64,
    /// In which share of the ASes where people live there is an edge, rounded up; at least in one.
    pub(crate) edges: f64,
    /// How many peers there are to be, for the rates.
    pub(crate) peers: u32,
    /// The rate for each of them on links between ASes.
    pub(crate) rate: Rate,
}

impl Dress {
    /// The text of a topology file, beginning with these lines of comment.
    pub(crate) fn yaml(&self, draft: &Draft, head: &[String]) -> String {
        let Draft { graph, names, regions, people } = draft;
        let population = self.populations(draft);
        let mut text: String = head.iter().flat_map(|line| ["# ", line, "\n"]).collect();
        text += ACCESS;
        text += "ases:\n";
        for (index, name) in names.iter().enumerate() {
            let (number, region) = (graph.numbers[index], regions[index] + 1);
            let population = match population[index] {
                0 => String::new(),
                people => format!("population: {people}, "),
            };
            let prefix = format!("10.{}.{}.0/{PREFIX_LENGTH}", index >> 1, (index & 1) << 7);
            let _ = writeln!(
                text,
                "  - {{name: {name}, number: {number}, region: region-{region}, {population}prefix: {prefix}}}"
            );
        }
        text += "links:\n";
        let demand = self.demands(draft, &population);
        let most = regions.iter().max().map_or(1, |most| most + 1);
        for link in &graph.links {
            let (a, b) = (link.a as usize, link.b as usize);
            let (ends, demand) = match link.relation {
                Relation::CustomerToProvider => (format!("customer: {}, provider: {}", names[a], names[b]), demand[a]),
                Relation::Peers => (format!("peers: [{}, {}]", names[a], names[b]), demand[a].min(demand[b])),
            };
            let apart = regions[a].abs_diff(regions[b]);
            let delay = DELAY.0 + DELAY.1 * apart.min(most - apart);
            let _ = writeln!(text, "  - {{{ends}, rate: {}, delay: {delay}ms}}", show(ladder(demand)));
        }
        let edges = ((self.edges * people.len() as f64).ceil() as usize).clamp(1, people.len());
        // In the order of the ASes, not of their people.
        let mut edges = people[..edges].to_vec();
        edges.sort_unstable();
        let hubs = hubs(draft);
        for (key, ases) in [("edges", &edges), ("control", &hubs), ("database", &hubs)] {
            let _ = writeln!(text, "{key}:");
            for index in ases {
                let _ = writeln!(text, "  - {{as: {}, access: server}}", names[*index]);
            }
        }
        text
    }

    /// By AS; at least 1 where people live.
    fn populations(&self, draft: &Draft) -> Vec<u64> {
        let shares: Vec<f64> = (1..=draft.people.len()).map(|rank| libm::pow(rank as f64, -self.zipf)).collect();
        let total = PEOPLE * draft.people.len() as f64;
        let sum: f64 = shares.iter().sum();
        let mut population = vec![0; draft.graph.len()];
        for (index, share) in draft.people.iter().zip(shares) {
            population[*index] = (total * share / sum).round().max(1.0) as u64;
        }
        population
    }

    /// By AS, what its peers and those in its customer cone ask for together, in bits a second.
    fn demands(&self, draft: &Draft, population: &[u64]) -> Vec<f64> {
        let each = f64::from(self.peers) * self.rate.bps() as f64 / population.iter().sum::<u64>().max(1) as f64;
        let cone = |index| draft.graph.cone(index).into_iter().map(|index| population[index]).sum::<u64>();
        (0..draft.graph.len()).map(|index| cone(index) as f64 * each).collect()
    }
}

/// The AS of each region that has most customers, the first of several: where its part of the control plane is.
fn hubs(draft: &Draft) -> Vec<usize> {
    let regions = draft.regions.iter().max().map_or(1, |most| most + 1);
    let hub = |region: usize| {
        let here = (0..draft.graph.len()).filter(|index| draft.regions[*index] == region);
        here.max_by_key(|index| (draft.graph.customers(*index).len(), std::cmp::Reverse(*index)))
    };
    (0..regions).filter_map(hub).collect()
}

/// The next of 50, 100, 200, 500 Mbit/s, and so on.
fn ladder(demand: f64) -> u64 {
    let steps = (0..).flat_map(|power| [5, 10, 20].map(|step| step * LEAST / 5 * 10u64.pow(power)));
    steps.take_while(|step| *step <= MOST).find(|step| *step as f64 >= demand).unwrap_or(MOST)
}

/// The largest rate of a link, in bits a second.
const MOST: u64 = 200_000_000_000;

fn show(rate: u64) -> String {
    if rate.is_multiple_of(1_000_000_000) {
        format!("{}gbit", rate / 1_000_000_000)
    } else {
        format!("{}mbit", rate / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_on_a_ladder() {
        let rates =
            [0.0, 5e7, 5.1e7, 1.01e8, 2.5e8, 5e8, 6e8, 1.1e9, 3e9, 4e10, 1e30].map(|demand| show(ladder(demand)));
        let expected = [
            "50mbit", "50mbit", "100mbit", "200mbit", "500mbit", "500mbit", "1gbit", "2gbit", "5gbit", "50gbit",
            "200gbit",
        ];
        assert_eq!(rates, expected);
    }
}
