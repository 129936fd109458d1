//! Which of the peers that have a copy are returned for a query. Called by the registry, which makes a short list, and by
//! the connection node, which chooses among the short lists of all registries.

use peerbed_contract::{AsNumber, Selection, Strategy};
use rand::{Rng, seq::SliceRandom};

use crate::{Nearness, Offered, Time};

/// Where somebody is; nothing is known of an address outside the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The AS.
    pub(super) as_number: AsNumber,
    /// The region of that AS.
    pub(super) region: String,
}

/// How near two peers are; names of local networks mean something only inside an AS.
pub(super) fn nearness(asker: (Option<&Place>, Option<&str>), other: (Option<&Place>, Option<&str>)) -> Nearness {
    match (asker.0, other.0) {
        (Some(here), Some(there)) if here.as_number == there.as_number => {
            if asker.1.is_some() && asker.1 == other.1 {
                Nearness::SameLan
            } else {
                Nearness::SameAs
            }
        }
        (Some(here), Some(there)) if here.region == there.region => Nearness::SameRegion,
        _ => Nearness::World,
    }
}

/// Chooses at most `max_returned` of `offered`, the preferred ones first. Among equals those come first that were not
/// returned for longest, and what ties is drawn; so whoever is eligible has its turn after a bounded number of answers.
///
/// Nested: by nearness; then the diversity share (rounded, but at least one place where somebody is left over) from all that
/// remain. Local: by nearness, nobody beyond the AS. Random: nearness does not count.
pub(super) fn select(selection: &Selection, mut offered: Vec<Offered>, rng: &mut impl Rng) -> Vec<Offered> {
    let turns = mix(selection, &mut offered, rng);
    if selection.strategy == Strategy::Local {
        offered.retain(|one| one.nearness <= Nearness::SameAs);
    }
    let wanted = offered.len().min(selection.max_returned as usize);
    // Stable sorts: what ties stays in the drawn order.
    match selection.strategy {
        Strategy::Random => offered.sort_by_key(turns),
        Strategy::Local => offered.sort_by_key(|one| (one.nearness, turns(one))),
        Strategy::Nested => {
            offered.sort_by_key(|one| (one.nearness, turns(one)));
            if offered.len() > wanted {
                let near = wanted - diverse(selection, wanted);
                mix(selection, &mut offered[near..], rng);
                offered[near..].sort_by_key(turns);
            }
        }
    }
    offered.truncate(wanted);
    offered
}

/// Brings peers into an order that prefers nobody, and gives by what they are then sorted among equals: when they were last
/// returned, or without rotation nothing. Without it nested and local answers have a fixed order.
fn mix(selection: &Selection, offered: &mut [Offered], rng: &mut impl Rng) -> fn(&Offered) -> Time {
    if !selection.rotation && selection.strategy != Strategy::Random {
        offered.sort_by_key(|one| one.peer.guid);
    } else {
        offered.shuffle(rng);
    }
    if selection.rotation { |one| one.last_returned } else { |_| 0 }
}

/// How many of `wanted` places are for the diversity share.
pub(super) fn diverse(selection: &Selection, wanted: usize) -> usize {
    let share = selection.diversity.clamp(0.0, 1.0);
    if selection.strategy != Strategy::Nested || share == 0.0 || wanted == 0 {
        return 0;
    }
    ((wanted as f64 * share).round() as usize).clamp(1, wanted)
}

/// The part of what a registry has that a choice among several registries may need: the `near` first in the order of the
/// strategy, and of the others the `rest` that were not returned for longest.
pub(super) fn short_list(
    selection: &Selection,
    mut offered: Vec<Offered>,
    near: usize,
    rest: usize,
    rng: &mut impl Rng,
) -> Vec<Offered> {
    if offered.len() <= near {
        return offered;
    }
    let turns = mix(selection, &mut offered, rng);
    if selection.strategy == Strategy::Random {
        offered.sort_by_key(turns);
        offered.truncate(near.saturating_add(rest));
        return offered;
    }
    offered.sort_by_key(|one| (one.nearness, turns(one)));
    mix(selection, &mut offered[near..], rng);
    offered[near..].sort_by_key(turns);
    offered.truncate(near.saturating_add(rest));
    offered
}

#[cfg(test)]
mod tests {
    use peerbed_contract::{Filters, Guid};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::PeerAddress;

    fn place(as_number: u32, region: &str) -> Place {
        Place { as_number: as_number.try_into().unwrap(), region: region.to_owned() }
    }

    fn offered(number: u8, nearness: Nearness, last_returned: u64) -> Offered {
        let peer = PeerAddress {
            guid: Guid::from_bytes([number; 16]),
            address: ([10, 0, 0, number], 1).into(),
            nat: peerbed_contract::NatClass::None,
        };
        Offered { peer, nearness, last_returned }
    }

    fn selection(strategy: Strategy, max_returned: u32, diversity: f64) -> Selection {
        Selection { strategy, max_returned, diversity, rotation: true, filters: Filters::default() }
    }

    fn numbers(offered: &[Offered]) -> Vec<u8> {
        offered.iter().map(|one| one.peer.guid.as_bytes()[0]).collect()
    }

    /// Peers 0–9 in the asker's AS, 10–19 in its region, 20–29 elsewhere.
    fn thirty() -> Vec<Offered> {
        let sets = [Nearness::SameAs, Nearness::SameRegion, Nearness::World];
        (0..30).map(|number| offered(number, sets[usize::from(number) / 10], 0)).collect()
    }

    fn selected(selection: &Selection, seed: u64) -> Vec<u8> {
        numbers(&select(selection, thirty(), &mut ChaCha8Rng::seed_from_u64(seed)))
    }

    #[test]
    fn sets_are_nested() {
        let (one, two, three) = (place(1, "north"), place(2, "north"), place(3, "south"));
        let of = |place, lan| (Some(place), lan);
        let asker = of(&one, Some("office"));
        assert_eq!(nearness(asker, of(&one, Some("office"))), Nearness::SameLan);
        assert_eq!(nearness(asker, of(&one, Some("cafe"))), Nearness::SameAs);
        assert_eq!(nearness(asker, of(&one, None)), Nearness::SameAs);
        assert_eq!(nearness(of(&one, None), of(&one, None)), Nearness::SameAs, "no name is no common network");
        assert_eq!(
            nearness(asker, of(&two, Some("office"))),
            Nearness::SameRegion,
            "another AS's network of that name"
        );
        assert_eq!(nearness(asker, of(&three, Some("office"))), Nearness::World);
        assert_eq!(nearness(asker, (None, Some("office"))), Nearness::World);
        assert_eq!(nearness((None, None), (None, None)), Nearness::World);
    }

    #[test]
    fn local_stays_in_the_as() {
        let mut peers = thirty();
        peers[3].nearness = Nearness::SameLan;
        let chosen = select(&selection(Strategy::Local, 20, 0.5), peers, &mut ChaCha8Rng::seed_from_u64(1));
        let chosen = numbers(&chosen);
        assert_eq!((chosen[0], chosen.len()), (3, 10));
        assert!(chosen.iter().all(|peer| *peer < 10), "{chosen:?}");
    }

    #[test]
    fn nested_takes_the_as_then_the_region_then_the_world() {
        let selection = selection(Strategy::Nested, 25, 0.0);
        let chosen = selected(&selection, 1);
        assert!(chosen[..10].iter().all(|peer| *peer < 10), "{chosen:?}");
        assert!(chosen[10..20].iter().all(|peer| (10..20).contains(peer)), "{chosen:?}");
        assert!(chosen[20..].iter().all(|peer| (20..30).contains(peer)), "{chosen:?}");
        assert_eq!(chosen.len(), 25);
    }

    #[test]
    fn the_diversity_share_is_drawn_from_everywhere() {
        let selection = selection(Strategy::Nested, 10, 0.4);
        let mut far = 0;
        for seed in 0..50 {
            let chosen = selected(&selection, seed);
            assert!(chosen[..6].iter().all(|peer| *peer < 10), "{chosen:?}");
            far += chosen[6..].iter().filter(|peer| **peer >= 10).count();
        }
        // 200 draws; 20 of the 24 that remain are outside the AS.
        assert!((140..=190).contains(&far), "{far} of 200");
    }

    #[test]
    fn random_prefers_nobody() {
        let selection = selection(Strategy::Random, 3, 0.0);
        let mut counts = [0_u32; 3];
        for seed in 0..400 {
            for peer in selected(&selection, seed) {
                counts[usize::from(peer) / 10] += 1;
            }
        }
        assert!(counts.iter().all(|count| (340..=460).contains(count)), "{counts:?} of 1200");
    }

    #[test]
    fn who_waited_longest_comes_first_among_equals() {
        for strategy in [Strategy::Nested, Strategy::Random, Strategy::Local] {
            let peers = [(0, 7), (1, 3), (2, 5)].map(|(number, last)| offered(number, Nearness::SameAs, last)).to_vec();
            let chosen = select(&selection(strategy, 2, 0.0), peers, &mut ChaCha8Rng::seed_from_u64(1));
            assert_eq!(numbers(&chosen), [1, 2], "{strategy:?}");
        }
    }

    #[test]
    fn without_rotation_answers_are_always_the_same_but_random_ones() {
        let peers = [(2, 7), (1, 9), (3, 0), (0, 5)];
        let peers = peers.map(|(number, last)| offered(number, Nearness::SameAs, last)).to_vec();
        let chosen = |strategy, seed| {
            let selection = Selection { rotation: false, ..selection(strategy, 2, 0.0) };
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let short = short_list(&selection, peers.clone(), 3, 1, &mut rng);
            numbers(&select(&selection, short, &mut rng))
        };
        for strategy in [Strategy::Nested, Strategy::Local] {
            assert!((0..20).all(|seed| chosen(strategy, seed) == [0, 1]), "{strategy:?}");
        }
        let random: std::collections::BTreeSet<_> = (0..200).map(|seed| chosen(Strategy::Random, seed)).collect();
        assert_eq!(random.len(), 12, "every pair in every order");
    }

    #[test]
    fn a_little_diversity_has_a_place_even_in_a_short_answer() {
        let far = |diversity| {
            let chosen = (0..40).map(|seed| selected(&selection(Strategy::Nested, 4, diversity), seed));
            chosen.filter(|chosen| chosen.iter().any(|peer| *peer >= 10)).count()
        };
        assert_eq!(far(0.0), 0);
        assert!(far(0.1) > 20, "{}", far(0.1));
    }

    #[test]
    fn a_choice_from_short_lists_is_one_from_everything() {
        // Two registries; the second is asked for what the first lacks and for the diversity share.
        for strategy in [Strategy::Nested, Strategy::Random, Strategy::Local] {
            let selection = selection(strategy, 8, 0.25);
            let all: Vec<Offered> = thirty()
                .into_iter()
                .enumerate()
                // Distinct marks: nothing is left to chance but who is diverse among those never returned.
                .map(|(index, one)| Offered { last_returned: (index as u64 * 7) % 31 + 1, ..one })
                .collect();
            let mut rng = ChaCha8Rng::seed_from_u64(5);
            let (mut one, two): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|one| one.nearness < Nearness::World);
            one = short_list(&selection, one, 8, 8, &mut rng);
            one.extend(short_list(&selection, two, 8, diverse(&selection, 8), &mut rng));
            let mut split = numbers(&select(&selection, one, &mut rng));
            let mut whole = numbers(&select(&selection, all, &mut rng));
            split.sort_unstable();
            whole.sort_unstable();
            assert_eq!(split, whole, "{strategy:?}");
        }
    }
}
