//! A graph of ASes that is to become a topology: who is called what, where it is, and where people live.

use std::cmp::Reverse;

use super::{graph::Graph, tiered::shuffle};
use crate::resolve::seeds::Seeds;

/// What is known before anything has a size.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) graph: Graph,
    /// By AS.
    pub(crate) names: Vec<String>,
    /// By AS, from 0; each has somebody.
    pub(crate) regions: Vec<usize>,
    /// The ASes where people live, the most populated first.
    pub(crate) people: Vec<usize>,
}

impl Draft {
    /// Draws regions and populations for a graph that has none; there are at least as many ASes as regions. The ASes with most
    /// customers are each in a region of its own, the others in that of one of their providers. People live where nobody is paid,
    /// in an order that is drawn.
    pub(crate) fn settle(graph: Graph, regions: usize, seeds: &Seeds) -> Self {
        let all = 0..graph.len();
        let mut large: Vec<usize> = all.clone().collect();
        large.sort_by_key(|index| (Reverse(graph.customers(*index).len()), *index));
        let mut region: Vec<Option<usize>> = vec![None; graph.len()];
        for (number, index) in large.into_iter().take(regions).enumerate() {
            region[index] = Some(number);
        }
        let depths = graph.depths(&graph.clique());
        let mut downwards: Vec<usize> = all.clone().collect();
        downwards.sort_by_key(|index| (depths[*index].unwrap_or(u32::MAX), *index));
        for index in downwards {
            if region[index].is_none() {
                let mut draws = seeds.draws(&format!("import/{}/region", graph.numbers[index]));
                let of_providers = graph.providers(index).iter().filter_map(|provider| region[*provider as usize]);
                let of_providers: Vec<usize> = of_providers.collect();
                region[index] = Some(match of_providers.len() {
                    0 => draws.below(regions),
                    number => of_providers[draws.below(number)],
                });
            }
        }
        let mut people: Vec<usize> = all.filter(|index| graph.customers(*index).is_empty()).collect();
        if people.is_empty() {
            people = (0..graph.len()).collect();
        }
        shuffle(&mut people, &mut seeds.draws("import/people"));
        let names = graph.numbers.iter().map(|number| format!("as{number}")).collect();
        Self { names, regions: region.into_iter().flatten().collect(), people, graph }
    }
}
