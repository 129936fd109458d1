//! Who may be returned, and that everybody who may has a turn.

use super::*;
use crate::nat::may_connect;

/// A peer of the population.
#[derive(Debug, Clone)]
struct One {
    uploads: bool,
    nat: NatClass,
    full: bool,
    other_content: bool,
}

fn one() -> impl proptest::strategy::Strategy<Value = One> {
    let nat = prop::sample::select(NatClass::ALL.to_vec());
    (prop::bool::weighted(0.8), nat, prop::bool::weighted(0.2), prop::bool::weighted(0.1))
        .prop_map(|(uploads, nat, full, other_content)| One { uploads, nat, full, other_content })
}

fn filters() -> impl proptest::strategy::Strategy<Value = Filters> {
    any::<[bool; 3]>().prop_map(|[uploads_on, free_slots, nat]| Filters { uploads_on, free_slots, nat })
}

/// Logs a peer in with what it is.
fn arrive_as(control: &mut ControlMachine, number: u8, one: &One) {
    accept(control, number.into(), number);
    let mut message = login(number, one.uploads);
    if let Message::Login { nat, .. } = &mut message {
        *nat = one.nat;
    }
    tell(control, number.into(), message);
    tell(control, number.into(), register(if one.other_content { "film" } else { "patch" }, true));
    if one.full {
        tell(control, number.into(), Message::Slots { free: 0 });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_eligible_peer_and_nobody_else_is_returned_within_a_bounded_number_of_queries(
        population in prop::collection::vec(one(), 1..60),
        asker_nat in prop::sample::select(NatClass::ALL.to_vec()),
        max in 1_u32..12,
        diversity in 0.01..=1.0_f64,
        strategy in strategy(),
        filters in filters(),
    ) {
        let selection = Selection { strategy, max_returned: max, diversity, rotation: true, filters };
        let generous = ControlLimits { queries_per_guid: 1e6, queries_per_address: 1e6, ..ControlLimits::default() };
        let mut control = control_with(selection.clone(), generous);
        for (index, one) in population.iter().enumerate() {
            arrive_as(&mut control, index as u8, one);
        }
        let asker = 200; // in the AS of those whose number leaves 2
        let me = One { uploads: true, nat: asker_nat, full: false, other_content: false };
        arrive_as(&mut control, asker, &me);
        let eligible: BTreeSet<u8> = (0_u8..)
            .zip(&population)
            .filter(|(number, one)| {
                !one.other_content
                    && (one.uploads || !filters.uploads_on)
                    && (!one.full || !filters.free_slots)
                    && (may_connect(asker_nat, one.nat) || !filters.nat)
                    && (strategy != Strategy::Local || number % 3 == asker % 3)
            })
            .map(|(number, _)| number)
            .collect();
        let fresh = match strategy {
            Strategy::Nested => select::diverse(&selection, max as usize),
            Strategy::Random | Strategy::Local => max as usize,
        };
        let mut seen = BTreeSet::new();
        for _ in 0..eligible.len().div_ceil(fresh).max(1) {
            let (peers, _) = answer(&tell(&mut control, asker.into(), query(asker, "patch")));
            prop_assert_eq!(peers.len(), eligible.len().min(max as usize));
            seen.extend(peers);
        }
        prop_assert_eq!(seen, eligible);
    }
}
