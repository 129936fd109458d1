//! A graph of ASes and what is read off it: neighbours by relation, degrees, customer cones, the clique at the top. As large as the
//! Internet's.

use std::collections::VecDeque;

use super::shape::Shape;
use crate::topology::Relation;

/// ASes and the links between them; an AS is its index.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    /// By index, AS numbers in ascending order.
    pub(crate) numbers: Vec<u32>,
    /// Each pair of ASes once.
    pub(crate) links: Vec<Edge>,
    providers: Lists,
    customers: Lists,
    peers: Lists,
}

/// A link between two ASes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    /// The customer, or one of two peers.
    pub(crate) a: u32,
    /// The provider, or the other peer.
    pub(crate) b: u32,
    pub(crate) relation: Relation,
}

/// A list for each AS, all in one piece of memory.
#[derive(Debug, Clone)]
struct Lists {
    ends: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    fn new(count: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut ends = vec![0u32; count];
        pairs.clone().for_each(|(of, _)| ends[of as usize] += 1);
        let mut sum = 0;
        for end in &mut ends {
            // The beginning for now; it moves to the end as the list fills.
            sum += std::mem::replace(end, sum);
        }
        let mut items = vec![0; sum as usize];
        for (of, item) in pairs {
            let at = &mut ends[of as usize];
            items[*at as usize] = item;
            *at += 1;
        }
        Self { ends, items }
    }

    fn of(&self, index: usize) -> &[u32] {
        let begin = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.items[begin as usize..self.ends[index] as usize]
    }
}

impl Graph {
    /// A graph of ASes with these numbers.
    pub(crate) fn new(numbers: Vec<u32>, links: Vec<Edge>) -> Self {
        let count = numbers.len();
        let paid = || links.iter().filter(|link| link.relation == Relation::CustomerToProvider);
        let even = || links.iter().filter(|link| link.relation == Relation::Peers);
        let providers = Lists::new(count, paid().map(|link| (link.a, link.b)));
        let customers = Lists::new(count, paid().map(|link| (link.b, link.a)));
        let peers = Lists::new(count, even().flat_map(|link| [(link.a, link.b), (link.b, link.a)]));
        Self { numbers, links, providers, customers, peers }
    }

    /// How many ASes.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whom an AS pays.
    pub(crate) fn providers(&self, of: usize) -> &[u32] {
        self.providers.of(of)
    }

    /// Who pays an AS.
    pub(crate) fn customers(&self, of: usize) -> &[u32] {
        self.customers.of(of)
    }

    /// With whom an AS exchanges its own and its customers' packets.
    pub(crate) fn peers(&self, of: usize) -> &[u32] {
        self.peers.of(of)
    }

    /// One of all those, by its place below [`Self::degree`]: providers, then customers, then peers.
    pub(crate) fn neighbour(&self, of: usize, place: usize) -> usize {
        let (providers, customers) = (self.providers(of), self.customers(of));
        let found = match place {
            place if place < providers.len() => providers[place],
            place if place - providers.len() < customers.len() => customers[place - providers.len()],
            place => self.peers(of)[place - providers.len() - customers.len()],
        };
        found as usize
    }

    /// How many neighbours an AS has.
    pub(crate) fn degree(&self, of: usize) -> usize {
        self.providers(of).len() + self.customers(of).len() + self.peers(of).len()
    }

    /// How those of all ASes are distributed.
    pub(crate) fn shape(&self) -> Shape {
        Shape::of((0..self.len()).map(|index| self.degree(index)).collect())
    }

    /// The ASes that an AS reaches over links to customers alone, itself first (the customer cone of Luckie et al., "AS
    /// Relationships, Customer Cones, and Validation", IMC 2013, there the recursive one).
    pub(crate) fn cone(&self, of: usize) -> Vec<usize> {
        let mut seen = vec![false; self.len()];
        let mut cone = vec![of];
        seen[of] = true;
        let mut at = 0;
        while let Some(here) = cone.get(at).copied() {
            for &customer in self.customers(here) {
                if !std::mem::replace(&mut seen[customer as usize], true) {
                    cone.push(customer as usize);
                }
            }
            at += 1;
        }
        cone
    }

    /// The clique at the top: of the ASes that pay nobody and are paid, those with most customers first (then the lowest number),
    /// each that is a peer of all that were taken before. Empty if everybody who is paid pays somebody.
    pub(crate) fn clique(&self) -> Vec<usize> {
        let mut top: Vec<usize> = (0..self.len()).collect();
        top.retain(|index| self.providers(*index).is_empty() && !self.customers(*index).is_empty());
        top.sort_by_key(|index| (std::cmp::Reverse(self.customers(*index).len()), self.numbers[*index]));
        let mut clique: Vec<usize> = Vec::new();
        for index in top {
            let peers = self.peers(index);
            if clique.iter().all(|member| peers.contains(&(*member as u32))) {
                clique.push(index);
            }
        }
        clique
    }

    /// How many links to customers lead from these ASes to each; none where no way does.
    pub(crate) fn depths(&self, from: &[usize]) -> Vec<Option<u32>> {
        let mut depths = vec![None; self.len()];
        let mut queue: VecDeque<usize> = from.iter().copied().collect();
        for index in from {
            depths[*index] = Some(0);
        }
        while let Some(at) = queue.pop_front() {
            let next = depths[at].map(|depth| depth + 1);
            for &customer in self.customers(at) {
                let depth = &mut depths[customer as usize];
                if depth.is_none() {
                    *depth = next;
                    queue.push_back(customer as usize);
                }
            }
        }
        depths
    }

    /// The ASes that are kept, in ascending order, and the links between them.
    pub(crate) fn induced(&self, kept: &[usize]) -> Self {
        let place = |of: u32| kept.binary_search(&(of as usize)).ok().map(|place| place as u32);
        let mut links = Vec::new();
        for (a, &index) in kept.iter().enumerate() {
            let providers =
                self.providers(index).iter().filter_map(|&b| Some((place(b)?, Relation::CustomerToProvider)));
            let later = |b: &u32| *b as usize > index;
            let peers =
                self.peers(index).iter().filter(|b| later(b)).filter_map(|&b| Some((place(b)?, Relation::Peers)));
            links.extend(providers.chain(peers).map(|(b, relation)| Edge { a: a as u32, b, relation }));
        }
        Self::new(kept.iter().map(|index| self.numbers[*index]).collect(), links)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pays(a: u32, b: u32) -> Edge {
        Edge { a, b, relation: Relation::CustomerToProvider }
    }

    fn peers(a: u32, b: u32) -> Edge {
        Edge { a, b, relation: Relation::Peers }
    }

    /// 0 and 1 at the top, 2 and 3 below, 4 to 6 at the edge; 7 has nobody.
    fn small() -> Graph {
        let links = vec![
            peers(0, 1),
            pays(2, 0),
            pays(3, 0),
            pays(3, 1),
            peers(2, 3),
            pays(4, 2),
            pays(5, 2),
            pays(5, 3),
            pays(6, 1),
        ];
        Graph::new((10..18).collect(), links)
    }

    #[test]
    fn neighbours_are_found_by_their_relation() {
        let graph = small();
        assert_eq!((graph.providers(3), graph.customers(3), graph.peers(3)), (&[0, 1][..], &[5][..], &[2][..]));
        assert_eq!((graph.degree(3), graph.degree(7)), (4, 0));
        assert_eq!((0..4).map(|place| graph.neighbour(2, place)).collect::<Vec<_>>(), [0, 4, 5, 3]);
        assert_eq!(graph.cone(0), [0, 2, 3, 4, 5]);
        assert_eq!(graph.clique(), [0, 1]);
        assert_eq!(graph.depths(&[0, 1]), [Some(0), Some(0), Some(1), Some(1), Some(2), Some(2), Some(1), None]);
    }

    #[test]
    fn what_is_kept_keeps_its_links() {
        let kept = small().induced(&[0, 3, 5]);
        assert_eq!(kept.numbers, [10, 13, 15]);
        assert_eq!(kept.links, [pays(1, 0), pays(2, 1)]);
    }

    #[test]
    fn circles_of_providers_end() {
        let graph = Graph::new(vec![1, 2, 3], vec![pays(0, 1), pays(1, 2), pays(2, 0)]);
        assert_eq!(graph.cone(0).len(), 3);
        assert!(graph.clique().is_empty());
    }
}
