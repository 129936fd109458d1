//! In which ASes the peers of each group are, and how many of them in each.

use crate::{
    diagnostic::{Report, Spanned},
    experiment::{Group, decode::Place, homes::Homes},
    read::listed,
    topology::{As, Topology, decode::find_profile},
};

/// Where movers of these groups want to be.
pub(crate) fn destinations(groups: &[Group]) -> Vec<Place> {
    let moves = groups.iter().filter_map(|group| Some((group, group.users.moves.as_ref()?)));
    let places = moves.flat_map(|(group, moves)| {
        let access = moves.access.as_ref().unwrap_or(&group.access);
        moves.to.iter().map(|to| Place { at: Some(Homes::One(to.clone())), access: Some(access.clone()) })
    });
    places.collect()
}

/// Notes groups one of whose ASes, regions or access profiles does not exist, and those that nobody could be divided among.
pub(crate) fn check_places(
    names: Option<&[String]>,
    topology: Option<&Topology>,
    places: &[Place],
    report: &mut Report,
) {
    for place in places {
        let Some(at) = &place.at else { continue };
        if let Some(names) = names {
            for name in at.named().iter().filter(|name| !names.contains(&name.value)) {
                report.dangling("AS", &name.value, name.span, names.iter().map(String::as_str));
            }
        }
        let Some(topology) = topology else { continue };
        check_populations(at, topology, report);
        let Some(access) = &place.access else { continue };
        let lacking = |index: &usize| !topology.ases[*index].access.contains_key(&access.value);
        // The first that lacks it stands for all.
        if let Some(index) = at.ases(topology).into_iter().find(lacking) {
            find_profile(&topology.ases[index], access, report);
        }
    }
}

/// Notes what keeps peers from being divided.
fn check_populations(at: &Homes, topology: &Topology, report: &mut Report) {
    match at {
        Homes::One(_) => {}
        Homes::Several(names) => {
            let ases = at.ases(topology);
            let of = |populated: bool| {
                ases.iter().map(|index| &topology.ases[*index]).find(move |one| (one.population > 0) == populated)
            };
            if let (Some(some), Some(none)) = (of(true), of(false)) {
                let message = format!("`{}` has a population and `{}` none", some.name.value, none.name.value);
                report.error(names.span, message).help(
                    "peers are divided by the populations of the ASes, or evenly where none of them has one: give each \
                     a `population`, or name those alone that have one",
                );
            }
        }
        Homes::Populated { regions, span } => {
            let known = || topology.ases.iter().map(|one| one.region.as_str());
            let dangling = |region: &&Spanned<String>| !known().any(|known| known == region.value);
            let mut dangled = false;
            for region in regions.iter().flatten().filter(dangling) {
                report.dangling("region", &region.value, region.span, known());
                dangled = true;
            }
            if !dangled && at.ases(topology).is_empty() {
                let inhabited = topology.ases.iter().filter(|one| one.population > 0);
                let mut inhabited: Vec<&str> = inhabited.map(|one| one.region.as_str()).collect();
                inhabited.sort_unstable();
                let (message, help) = if inhabited.is_empty() {
                    let help = "give ASes of the topology a `population`, or name the ASes: `as: [isp-x, isp-y]`";
                    ("no AS of the topology has a population".to_owned(), help.to_owned())
                } else {
                    let regions = regions.iter().flatten().map(|region| region.value.as_str());
                    let message = format!("no AS of these regions has a population: {}", listed(regions));
                    (message, format!("there are people in: {}", listed(inhabited)))
                };
                report.error(*span, message).help(help);
            }
        }
    }
}

impl Homes {
    /// The names that it says itself.
    fn named(&self) -> &[Spanned<String>] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => &names.value,
            Self::Populated { .. } => &[],
        }
    }

    /// The indexes of its ASes: in the order in which they are named, or in that of the topology. Names that lead nowhere are
    /// left out.
    fn ases(&self, topology: &Topology) -> Vec<usize> {
        let position = |name: &Spanned<String>| topology.ases.iter().position(|one| one.name.value == name.value);
        match self {
            Self::One(_) | Self::Several(_) => self.named().iter().filter_map(position).collect(),
            Self::Populated { regions, .. } => {
                let chosen = |one: &As| {
                    let here = |regions: &Vec<Spanned<String>>| regions.iter().any(|region| region.value == one.region);
                    one.population > 0 && regions.as_ref().is_none_or(here)
                };
                (0..topology.ases.len()).filter(|index| chosen(&topology.ases[*index])).collect()
            }
        }
    }

    /// Its ASes, by index, each with the number of its peers; those that get none are left out. Peers are divided in proportion
    /// to populations, or evenly where no AS has one.
    pub(crate) fn divide(&self, peers: u32, topology: &Topology) -> Vec<(usize, u32)> {
        let ases = self.ases(topology);
        let mut weights: Vec<u64> = ases.iter().map(|index| topology.ases[*index].population).collect();
        if weights.iter().all(|weight| *weight == 0) {
            weights.fill(1);
        }
        let counts = by_largest_remainder(peers, &weights);
        ases.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect()
    }
}

/// Divides a number by weights, by the method of largest remainders (Hamilton's method of apportionment: M. L. Balinski and H. P.
/// Young, "Fair Representation", 1982): each gets its quota `number × weight ÷ sum` without the fraction, and those with the largest
/// fractions get one more until all are given; of equal fractions the earlier comes first. Exact, in whole numbers. Where all
/// weights are 0 nobody gets anything.
pub(crate) fn by_largest_remainder(number: u32, weights: &[u64]) -> Vec<u32> {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    if sum == 0 {
        return vec![0; weights.len()];
    }
    let quotas = weights.iter().map(|weight| u128::from(number) * u128::from(*weight));
    let (mut counts, rests): (Vec<u32>, Vec<u128>) = quotas.map(|quota| ((quota / sum) as u32, quota % sum)).unzip();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(rests[*index]));
    let left = number - counts.iter().sum::<u32>();
    order.into_iter().take(left as usize).for_each(|index| counts[index] += 1);
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_remainders_get_what_is_left() {
        // Quotas 4.7, 1.6, 1.55, 1.3 and 0.85: seven without fractions, and three more to those with .85, .7 and .6.
        assert_eq!(by_largest_remainder(10, &[470, 160, 155, 130, 85]), [5, 2, 1, 1, 1]);
        // Of equals the earlier.
        assert_eq!(by_largest_remainder(5, &[1, 1, 1]), [2, 2, 1]);
        assert_eq!(by_largest_remainder(2, &[1, 1, 1]), [1, 1, 0]);
        assert_eq!(by_largest_remainder(7, &[0, 3, 0]), [0, 7, 0]);
        assert_eq!(by_largest_remainder(7, &[0, 0]), [0, 0]);
    }

    proptest! {
        #[test]
        fn everyone_is_somewhere_and_no_share_is_off_by_one(
            weights in prop::collection::vec(0_u64..10_000_000_000, 1..512),
            number in 1_u32..20_000,
        ) {
            let sum: u64 = weights.iter().sum();
            prop_assume!(sum > 0);
            let counts = by_largest_remainder(number, &weights);
            prop_assert_eq!(counts.iter().sum::<u32>(), number);
            for (count, weight) in counts.iter().zip(&weights) {
                let exact = f64::from(number) * *weight as f64 / sum as f64;
                prop_assert!((f64::from(*count) - exact).abs() < 1.0 + 1e-6);
                prop_assert!(*weight > 0 || *count == 0);
            }
        }
    }
}
