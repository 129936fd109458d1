//! A small graph from a large one: random walks, whose ASes are joined to the top by their providers, and of those the one whose degrees
//! are most like the large graph's.
//!
//! Sampling by random walks that now and then fly back to their beginning is from Leskovec and Faloutsos, "Sampling from large
//! graphs", KDD 2006, who compare samples with the whole by the same statistic. What is ours: each AS that a walk finds brings a way up to the clique at
//! the top with it, so that every two ASes of the sample have a valley-free path (Gao 2001); and the best of many walks is taken.
//! `docs/decisions/0006-sampling.md` has what else was tried.

use std::collections::BTreeSet;

use super::{graph::Graph, shape::Shape};
use crate::resolve::seeds::{Draws, Seeds};

/// How often a walk flies back: Leskovec and Faloutsos' probability and two that stay nearer to where they begin.
const FLY_BACK: [f64; 3] = [0.15, 0.5, 0.75];
/// So many walks of each.
const WALKS: usize = 32;
/// A walk that found nobody new for so many steps begins anew elsewhere.
const PATIENCE: usize = 200;

/// A graph with what all walks need.
#[derive(Debug)]
pub(crate) struct Sampler<'a> {
    graph: &'a Graph,
    shape: Shape,
    /// By AS, how many links it is down from the top; none where there is no way up.
    depths: Vec<Option<u32>>,
    /// Those that have one.
    joined: Vec<usize>,
    top: usize,
}

impl<'a> Sampler<'a> {
    /// Reads off a graph what its samples need.
    pub(crate) fn new(graph: &'a Graph) -> Self {
        let clique = graph.clique();
        let depths = graph.depths(&clique);
        let joined = (0..graph.len()).filter(|index| depths[*index].is_some()).collect();
        Self { graph, shape: graph.shape(), depths, joined, top: clique.len() }
    }

    /// How many ASes are in the clique at the top.
    pub(crate) fn top(&self) -> usize {
        self.top
    }

    /// How many ASes have a way up to it, themselves included: a sample has no others.
    pub(crate) fn joined(&self) -> usize {
        self.joined.len()
    }

    /// So many ASes, in ascending order, and how far the shape of their degrees is from the whole graph's. There are at least so many
    /// that have a way up, and at least one is wanted.
    pub(crate) fn sample(&self, count: usize, seeds: &Seeds) -> (Vec<usize>, f64) {
        let walks = FLY_BACK.iter().flat_map(|back| (0..WALKS).map(move |walk| (*back, walk)));
        let samples = walks.map(|(back, walk)| {
            let kept = self.walk(count, back, &mut seeds.draws(&format!("sample/{back}/{walk}")));
            let distance = self.graph.induced(&kept).shape().distance(&self.shape);
            (kept, distance)
        });
        // Of equals the first.
        samples.min_by(|one, other| one.1.total_cmp(&other.1)).expect("there is at least one walk")
    }

    /// The sample of one walk.
    fn walk(&self, count: usize, back: f64, draws: &mut Draws) -> Vec<usize> {
        let mut kept = BTreeSet::new();
        let (mut start, mut idle) = (self.joined[draws.below(self.joined.len())], 0);
        let mut here = start;
        while kept.len() < count {
            idle = if self.keep(here, count, &mut kept) { 0 } else { idle + 1 };
            if idle > PATIENCE {
                // The last few of a graph might never be found: a beginning is always new.
                let left: Vec<usize> = self.joined.iter().filter(|index| !kept.contains(*index)).copied().collect();
                (start, idle) = (left[draws.below(left.len())], 0);
                here = start;
            } else if draws.unit() <= back {
                here = start;
            } else {
                here = self.graph.neighbour(here, draws.below(self.graph.degree(here)));
            }
        }
        kept.into_iter().collect()
    }

    /// Keeps an AS and its way up; where there is no room for all of that, the upper part. Whether anybody is new.
    fn keep(&self, wanted: usize, count: usize, kept: &mut BTreeSet<usize>) -> bool {
        let mut way = Vec::new();
        let mut at = wanted;
        while let Some(depth) = self.depths[at].filter(|_| !kept.contains(&at)) {
            way.push(at);
            let up = |provider: &usize| depth.checked_sub(1).is_some_and(|up| self.depths[*provider] == Some(up));
            let providers = self.graph.providers(at).iter().map(|provider| *provider as usize).filter(up);
            // One that is kept already; else the one that most pay, as whoever comes next may pay it, too.
            let best = |provider: &usize| {
                (kept.contains(provider), self.graph.customers(*provider).len(), std::cmp::Reverse(*provider))
            };
            let Some(next) = providers.max_by_key(best) else { break };
            at = next;
        }
        let room = count - kept.len();
        let before = kept.len();
        kept.extend(way.into_iter().rev().take(room));
        kept.len() > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asgraph::tiered::Tiers;

    fn whole() -> Graph {
        Tiers { tier1: 5, transit: 90, stubs: 900, regions: 6, peering: 0.2 }.draw(&Seeds::of_topology(3)).graph
    }

    #[test]
    fn every_sample_is_joined_at_its_top() {
        let whole =
            Tiers { tier1: 5, transit: 20, stubs: 125, regions: 3, peering: 0.2 }.draw(&Seeds::of_topology(3)).graph;
        let sampler = Sampler::new(&whole);
        assert_eq!((sampler.top(), sampler.joined()), (5, 150));
        for count in [2, 7, 20, 60, 149, 150] {
            for walk in 0..10 {
                let kept = sampler.walk(count, 0.5, &mut Seeds::of_topology(1).draws(&format!("{walk}")));
                assert_eq!(kept.len(), count);
                let sample = whole.induced(&kept);
                // Whoever pays nobody is of the clique, and whoever is not has a way up to it.
                let top: Vec<usize> = (0..count).filter(|index| sample.providers(*index).is_empty()).collect();
                let peers = |a: &usize| top.iter().all(|b| a == b || sample.peers(*a).contains(&(*b as u32)));
                assert!(top.iter().all(|a| kept[*a] < 5 && peers(a)), "{count}: {top:?} of {kept:?}");
                assert!(sample.depths(&top).iter().all(Option::is_some), "{count}");
            }
        }
        let (kept, distance) = sampler.sample(150, &Seeds::of_topology(1));
        assert!(kept == (0..150).collect::<Vec<_>>() && distance < 1e-12, "the whole graph is like itself");
    }

    #[test]
    fn the_best_of_many_walks_is_like_the_whole() {
        let whole = whole();
        let sampler = Sampler::new(&whole);
        let (kept, distance) = sampler.sample(120, &Seeds::of_topology(1));
        assert_eq!((kept.clone(), distance), sampler.sample(120, &Seeds::of_topology(1)));
        assert_ne!(kept, sampler.sample(120, &Seeds::of_topology(2)).0);
        // Any ASes, without a thought about their links, are much less so.
        let any: Vec<usize> = (0..120).map(|index| index * 995 / 120).collect();
        let careless = whole.induced(&any).shape().distance(&whole.shape());
        assert!(distance < 0.15 && distance < careless / 2.0, "{distance} {careless}");
    }

    /// A sample of those who are found one by one, each with its way up.
    fn found(sampler: &Sampler<'_>, count: usize, mut next: impl FnMut() -> usize) -> f64 {
        let mut kept = BTreeSet::new();
        while kept.len() < count {
            sampler.keep(next(), count, &mut kept);
        }
        sampler.graph.induced(&kept.into_iter().collect::<Vec<_>>()).shape().distance(&sampler.shape)
    }

    #[test]
    fn the_trial_in_the_decision_is_what_comes_of_it() {
        use std::fmt::Write;
        fn median(mut distances: Vec<f64>) -> f64 {
            distances.sort_unstable_by(f64::total_cmp);
            distances[distances.len() / 2]
        }
        let mut table = String::new();
        for peering in [0.0, 0.2, 0.6] {
            let tiers = Tiers { tier1: 5, transit: 90, stubs: 900, regions: 6, peering };
            let whole = tiers.draw(&Seeds::of_topology(3)).graph;
            let sampler = Sampler::new(&whole);
            let ends: Vec<usize> = sampler.joined.iter().flat_map(|a| vec![*a; whole.degree(*a)]).collect();
            for count in [30, 60, 120] {
                let of_samples = |way: &dyn Fn(&mut Draws) -> f64| {
                    median((1..=21).map(|seed| way(&mut Seeds::of_topology(seed).draws("trial"))).collect())
                };
                let drawn = |from: &[usize]| {
                    of_samples(&|draws: &mut Draws| found(&sampler, count, || from[draws.below(from.len())]))
                };
                let mut medians = vec![drawn(&sampler.joined), drawn(&ends)];
                medians.extend(FLY_BACK.map(|back| {
                    of_samples(&|draws: &mut Draws| {
                        whole.induced(&sampler.walk(count, back, draws)).shape().distance(&sampler.shape)
                    })
                }));
                let best = median((1..=5).map(|seed| sampler.sample(count, &Seeds::of_topology(seed)).1).collect());
                assert!(medians[2..].iter().all(|median| best < *median), "{best} {medians:?}");
                medians.push(best);
                let medians: Vec<String> = medians.iter().map(|median| format!("{median:.2}")).collect();
                let _ = writeln!(table, "| {:.1} | {count} | {} |", whole.shape().mean(), medians.join(" | "));
            }
        }
        let decision = include_str!("../../../../docs/decisions/0006-sampling.md");
        assert!(decision.contains(&table), "{table}");
    }

    #[test]
    fn those_without_a_way_up_are_in_no_sample() {
        use crate::{asgraph::graph::Edge, topology::Relation};
        let pays = |a, b| Edge { a, b, relation: Relation::CustomerToProvider };
        let peers = |a, b| Edge { a, b, relation: Relation::Peers };
        // 5 and 6 know nobody but each other and a peer in between.
        let graph = Graph::new(
            (1..=7).collect(),
            vec![peers(0, 1), pays(2, 0), pays(3, 0), pays(4, 1), pays(5, 6), peers(4, 5)],
        );
        let sampler = Sampler::new(&graph);
        assert_eq!((sampler.top(), sampler.joined()), (2, 5));
        assert_eq!(sampler.sample(5, &Seeds::of_topology(1)).0, [0, 1, 2, 3, 4]);
    }
}
