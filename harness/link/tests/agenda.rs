//! The agenda against a sorted list.

use peerbed_link::{Agenda, Moment};
use proptest::{collection::vec, prelude::*};

#[derive(Debug, Clone)]
enum Step {
    Push(u64),
    Pop(u64),
    /// Everything with this parity gets this moment.
    Retime(u64, u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..20).prop_map(Step::Push),
        3 => (0_u64..20).prop_map(Step::Pop),
        1 => (0_u64..2, 0_u64..20).prop_map(|(parity, due)| Step::Retime(parity, due)),
    ]
}

proptest! {
    #[test]
    fn hands_out_in_order_of_moment_then_entry(steps in vec(any_step(), 0..200)) {
        let mut agenda = Agenda::default();
        let mut model: Vec<(u64, u64)> = vec![];
        for (number, step) in (0_u64..).zip(steps) {
            match step {
                Step::Push(due) => {
                    agenda.push(Moment::from_nanos(due), number);
                    model.push((due, number));
                }
                Step::Pop(now) => {
                    model.sort_unstable();
                    let first = model.first().copied().filter(|(due, _)| *due <= now);
                    let expected = first.map(|(due, number)| (Moment::from_nanos(due), number));
                    prop_assert_eq!(agenda.pop_due(Moment::from_nanos(now)), expected);
                    if first.is_some() {
                        model.remove(0);
                    }
                }
                Step::Retime(parity, due) => {
                    agenda.retime(|number| (number % 2 == parity).then_some(Moment::from_nanos(due)));
                    for (old, number) in &mut model {
                        if *number % 2 == parity {
                            *old = due;
                        }
                    }
                }
            }
            prop_assert_eq!(agenda.len(), model.len());
            prop_assert_eq!(agenda.next_due(), model.iter().min().map(|(due, _)| Moment::from_nanos(*due)));
        }
    }
}
