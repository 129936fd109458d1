//! Which of the peers that have a copy are returned for a query. Called by the control machine.

use peerbed_contract::{AsNumber, Guid, Selection, Strategy};
use rand::{Rng, seq::SliceRandom};

/// Where somebody is; nothing is known of an address outside the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The AS.
    pub(super) as_number: AsNumber,
    /// The region of that AS.
    pub(super) region: String,
}

/// A peer that may be returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate<'a> {
    /// Who.
    pub(super) guid: Guid,
    /// Where.
    pub(super) place: Option<&'a Place>,
    /// The number of the latest answer that had it, 0 if none.
    pub(super) last_returned: u64,
}

/// How near a candidate is; nearer is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    SameAs,
    SameRegion,
    World,
}

fn nearness(asker: Option<&Place>, candidate: Option<&Place>) -> Nearness {
    match (asker, candidate) {
        (Some(asker), Some(other)) if asker.as_number == other.as_number => Nearness::SameAs,
        (Some(asker), Some(other)) if asker.region == other.region => Nearness::SameRegion,
        _ => Nearness::World,
    }
}

/// Chooses at most `max_returned` of `candidates`, the preferred ones first.
///
/// Nested: by nearness, within one distance those first that were not returned for longest (ties are drawn); then the
/// diversity share (rounded to the nearest number of peers) is drawn from all that remain. Random: all drawn.
pub(super) fn select(
    selection: &Selection,
    asker: Option<&Place>,
    mut candidates: Vec<Candidate<'_>>,
    rng: &mut impl Rng,
) -> Vec<Guid> {
    let wanted = candidates.len().min(selection.max_returned as usize);
    candidates.shuffle(rng);
    if selection.strategy == Strategy::Nested {
        let share = selection.diversity.clamp(0.0, 1.0);
        let diverse = (wanted as f64 * share).round() as usize;
        // A stable sort: what ties stays in the drawn order.
        candidates.sort_by_key(|candidate| (nearness(asker, candidate.place), candidate.last_returned));
        candidates[wanted - diverse..].shuffle(rng);
    }
    candidates.truncate(wanted);
    candidates.into_iter().map(|candidate| candidate.guid).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn place(as_number: u32, region: &str) -> Place {
        Place { as_number: as_number.try_into().unwrap(), region: region.to_owned() }
    }

    fn guid(number: u8) -> Guid {
        Guid::from_bytes([number; 16])
    }

    /// Peers 0–9 in AS 1 (north), 10–19 in AS 2 (north), 20–29 in AS 3 (south).
    fn selected(selection: &Selection, seed: u64) -> Vec<u8> {
        let places = [place(1, "north"), place(2, "north"), place(3, "south")];
        let candidates = (0..30)
            .map(|number| Candidate {
                guid: guid(number),
                place: Some(&places[usize::from(number) / 10]),
                last_returned: 0,
            })
            .collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let asker = place(1, "north");
        select(selection, Some(&asker), candidates, &mut rng).iter().map(|guid| guid.as_bytes()[0]).collect()
    }

    #[test]
    fn nested_takes_the_as_then_the_region_then_the_world() {
        let selection = Selection { strategy: Strategy::Nested, max_returned: 25, diversity: 0.0 };
        let chosen = selected(&selection, 1);
        assert!(chosen[..10].iter().all(|peer| *peer < 10), "{chosen:?}");
        assert!(chosen[10..20].iter().all(|peer| (10..20).contains(peer)), "{chosen:?}");
        assert!(chosen[20..].iter().all(|peer| (20..30).contains(peer)), "{chosen:?}");
        assert_eq!(chosen.len(), 25);
    }

    #[test]
    fn the_diversity_share_is_drawn_from_everywhere() {
        let selection = Selection { strategy: Strategy::Nested, max_returned: 10, diversity: 0.4 };
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
        let selection = Selection { strategy: Strategy::Random, max_returned: 3, diversity: 0.0 };
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
        let candidates = [(0, 7), (1, 3), (2, 5)]
            .map(|(number, last_returned)| Candidate { guid: guid(number), place: None, last_returned })
            .to_vec();
        let selection = Selection { strategy: Strategy::Nested, max_returned: 2, diversity: 0.0 };
        let chosen = select(&selection, None, candidates, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(chosen, [guid(1), guid(2)]);
    }
}
