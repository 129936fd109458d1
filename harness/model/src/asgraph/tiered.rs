//! A tiered graph of ASes from a seed.
//!
//! A clique of tier-1 ASes; transit ASes that pay two or three of them; stub ASes that pay one to three transit ASes. A provider is
//! chosen in proportion to its customers so far, plus one (preferential attachment: Price 1976; Barabási and Albert, "Emergence of
//! scaling in random networks", Science 1999), which gives few providers most of the customers. Who peers is chosen within regions,
//! likewise. So made are also the graphs of Elmokashfi, Kvalbein and Dovrolis ("On the scalability of BGP: the role of topology
//! growth", IEEE JSAC 2010); the numbers here are ours.

use std::{collections::BTreeSet, ops::Range};

use super::{
    draft::Draft,
    graph::{Edge, Graph},
};
use crate::{
    resolve::seeds::{Draws, Seeds},
    topology::Relation,
};

/// The first of the numbers that are given: private ones, 64512 to 65534 (RFC 6996).
const FIRST_NUMBER: u32 = 64_512;
/// Which share of the stubs has one, two and three providers.
const PROVIDERS: [f64; 3] = [0.45, 0.40, 0.15];
/// How often a provider of a stub is one of its region where there is one.
const NEAR: f64 = 0.8;

/// How many ASes of which kind. Whoever makes one has checked the numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tiers {
    pub(crate) tier1: usize,
    pub(crate) transit: usize,
    pub(crate) stubs: usize,
    pub(crate) regions: usize,
    /// How many of the pairs that could be peers are: of transit ASes of one region, and of the third of a region's stubs that
    /// have most people.
    pub(crate) peering: f64,
}

impl Tiers {
    /// Draws a graph.
    pub(crate) fn draw(&self, seeds: &Seeds) -> Draft {
        let Self { tier1, transit, stubs, regions, .. } = *self;
        let (first_stub, count) = (tier1 + transit, tier1 + transit + stubs);
        let mut region = Vec::with_capacity(count);
        for (what, number) in [("tier1", tier1), ("transit", transit), ("stub", stubs)] {
            // As many in each, give or take one.
            let mut all: Vec<usize> = (0..number).map(|index| index % regions).collect();
            shuffle(&mut all, &mut seeds.draws(&format!("graph/{what}/regions")));
            region.extend(all);
        }
        let mut growing = Growing { region, links: BTreeSet::new(), customers: vec![0; count] };
        for a in 0..tier1 {
            growing.links.extend((a + 1..tier1).map(|b| (a as u32, b as u32, Relation::Peers)));
        }
        growing.climb(Kind::Transit, tier1..first_stub, 0..tier1, seeds);
        growing.climb(Kind::Stub, first_stub..count, if transit == 0 { 0..tier1 } else { tier1..first_stub }, seeds);
        for here in 0..regions {
            let all = |range: Range<usize>| range.filter(|index| growing.region[*index] == here).collect();
            let mut populous: Vec<usize> = all(first_stub..count);
            populous.truncate(populous.len().div_ceil(3));
            let transits: Vec<usize> = all(tier1..first_stub);
            growing.peer(&transits, self.peering, &mut seeds.draws(&format!("graph/peers/transit/{here}")));
            growing.peer(&populous, self.peering, &mut seeds.draws(&format!("graph/peers/stub/{here}")));
        }
        let name = |index: usize| match index {
            index if index < tier1 => format!("tier1-{}", index + 1),
            index if index < first_stub => format!("transit-{}", index - tier1 + 1),
            index => format!("stub-{}", index - first_stub + 1),
        };
        let links = growing.links.into_iter().map(|(a, b, relation)| Edge { a, b, relation });
        let graph = Graph::new((0..count as u32).map(|index| FIRST_NUMBER + index).collect(), links.collect());
        let names = (0..count).map(name).collect();
        Draft { graph, names, regions: growing.region, people: (first_stub..count).collect() }
    }
}

/// A graph that is not whole yet.
struct Growing {
    region: Vec<usize>,
    links: BTreeSet<(u32, u32, Relation)>,
    /// By AS, how many customers it has.
    customers: Vec<u32>,
}

/// Who is looking for providers.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Transit,
    Stub,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Transit => "transit",
            Self::Stub => "stub",
        }
    }
}

impl Growing {
    /// Gives each of `below` providers among `above`, in an order that is drawn: stubs are numbered by their people, and those who
    /// come first have a part in who becomes large.
    fn climb(&mut self, kind: Kind, below: Range<usize>, above: Range<usize>, seeds: &Seeds) {
        // An urn has each provider once, and once more for each of its customers.
        let mut everywhere: Vec<usize> = above.clone().collect();
        let regions = self.region.iter().max().map_or(1, |most| most + 1);
        let mut near: Vec<Vec<usize>> = vec![Vec::new(); regions];
        above.clone().for_each(|index| near[self.region[index]].push(index));
        let number_near: Vec<usize> = near.iter().map(Vec::len).collect();
        let mut order: Vec<usize> = below.clone().collect();
        shuffle(&mut order, &mut seeds.draws(&format!("graph/{}/order", kind.word())));
        for index in order {
            let mut draws = seeds.draws(&format!("graph/{}/{}/providers", kind.word(), index - below.start));
            let (wanted, near_first) = match kind {
                Kind::Transit => (2 + draws.below(2), 0.0),
                Kind::Stub => (1 + draws.weighted(PROVIDERS.iter().copied()).unwrap_or_default(), NEAR),
            };
            let (wanted, here) = (wanted.min(above.len()), self.region[index]);
            let mut chosen: BTreeSet<usize> = BTreeSet::new();
            while chosen.len() < wanted {
                let left = chosen.iter().filter(|one| self.region[**one] == here).count() < number_near[here];
                let urn = if left && draws.unit() <= near_first { &near[here] } else { &everywhere };
                chosen.insert(urn[draws.below(urn.len())]);
            }
            for provider in chosen {
                self.links.insert((index as u32, provider as u32, Relation::CustomerToProvider));
                self.customers[provider] += 1;
                everywhere.push(provider);
                near[self.region[provider]].push(provider);
            }
        }
    }

    /// Makes this share of the pairs of some ASes peers, rounded: pairs are drawn without replacement, in proportion to the product
    /// of both ends' customers, plus one each (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006).
    fn peer(&mut self, among: &[usize], share: f64, draws: &mut Draws) {
        let weight = |index: usize| f64::from(self.customers[index] + 1);
        let mut pairs = Vec::new();
        for (at, &a) in among.iter().enumerate() {
            for &b in &among[at + 1..] {
                pairs.push((draws.exponential() / (weight(a) * weight(b)), a as u32, b as u32));
            }
        }
        let wanted = (share * pairs.len() as f64).round() as usize;
        pairs.sort_by(|one, other| one.0.total_cmp(&other.0).then_with(|| (one.1, one.2).cmp(&(other.1, other.2))));
        self.links.extend(pairs.into_iter().take(wanted).map(|(_, a, b)| (a, b, Relation::Peers)));
    }
}

/// Puts a list into an order that is drawn (Fisher and Yates).
pub(super) fn shuffle<T>(list: &mut [T], draws: &mut Draws) {
    for last in (1..list.len()).rev() {
        list.swap(last, draws.below(last + 1));
    }
}
