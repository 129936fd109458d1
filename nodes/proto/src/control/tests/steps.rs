//! Whatever peers do, in any order: answers agree with a simple model of who offers what.

use super::*;

/// What may happen to a control plane.
#[derive(Debug, Clone)]
enum Step {
    Arrive { number: u8, uploads: bool },
    Leave { number: u8 },
    Register { number: u8, complete: bool },
    Unregister { number: u8 },
    Query { number: u8 },
    Nonsense { number: u8 },
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    let number = 1_u8..20;
    let step = prop_oneof![
        (number.clone(), any::<bool>()).prop_map(|(number, uploads)| Step::Arrive { number, uploads }),
        number.clone().prop_map(|number| Step::Leave { number }),
        (number.clone(), any::<bool>()).prop_map(|(number, complete)| Step::Register { number, complete }),
        number.clone().prop_map(|number| Step::Unregister { number }),
        number.clone().prop_map(|number| Step::Query { number }),
        number.prop_map(|number| Step::Nonsense { number }),
    ];
    prop::collection::vec(step, 0..200)
}

/// What a reader of the rules expects: who is logged in on which connection, and who offers what.
#[derive(Default)]
struct Expected {
    conn: BTreeMap<u8, u64>,
    uploads: BTreeSet<u8>,
    copies: BTreeMap<u8, bool>,
}

impl Expected {
    fn leave(&mut self, number: u8) {
        self.conn.remove(&number);
        self.uploads.remove(&number);
        self.copies.remove(&number);
    }

    fn arrive(&mut self, number: u8, conn: u64, uploads: bool) {
        self.leave(number);
        self.conn.insert(number, conn);
        if uploads {
            self.uploads.insert(number);
        }
    }
}

proptest! {
    #[test]
    fn answers_keep_the_rules_whatever_happened_before(
        steps in steps(), max in 0_u32..8, diversity in 0.0..=1.0_f64, strategy in strategy(),
    ) {
        let mut control = control(strategy, max, diversity);
        let mut expected = Expected::default();
        let mut next = 1;
        for step in steps {
            match step {
                Step::Arrive { number, uploads } => {
                    let conn = next;
                    next += 2;
                    accept(&mut control, conn, number);
                    let outputs = tell(&mut control, conn, login(number, uploads));
                    let welcome = Output::Send { conn: ConnId(conn), message: Message::Welcome };
                    prop_assert_eq!(outputs.last(), Some(&welcome));
                    expected.arrive(number, conn, uploads);
                }
                Step::Leave { number } => {
                    if let Some(conn) = expected.conn.get(&number) {
                        control.handle(10, Input::Closed { conn: ConnId(*conn), clean: true });
                        expected.leave(number);
                    }
                }
                Step::Register { number, complete } => {
                    if let Some(conn) = expected.conn.get(&number) {
                        let outputs = tell(&mut control, *conn, register("patch", complete));
                        let uploads = expected.uploads.contains(&number);
                        prop_assert_eq!(outputs.is_empty(), uploads);
                        if uploads {
                            expected.copies.insert(number, complete);
                        }
                    }
                }
                Step::Unregister { number } => {
                    if let Some(conn) = expected.conn.get(&number) {
                        tell(&mut control, *conn, Message::Unregister { content: content("patch") });
                        expected.copies.remove(&number);
                    }
                }
                Step::Nonsense { number } => {
                    if let Some(conn) = expected.conn.get(&number) {
                        tell(&mut control, *conn, Message::Bye);
                        expected.leave(number);
                    }
                }
                Step::Query { number } => {
                    let Some(conn) = expected.conn.get(&number) else { continue };
                    let outputs = tell(&mut control, *conn, query(number, "patch"));
                    let (peers, copies) = answer(&outputs);
                    let others: BTreeMap<_, _> = expected.copies.iter().filter(|(peer, _)| **peer != number).collect();
                    // A third of the numbers share an AS.
                    let near = |peer: &&u8| strategy != Strategy::Local || **peer % 3 == number % 3;
                    let eligible = others.keys().filter(|peer| near(peer)).count();
                    let distinct: BTreeSet<_> = peers.iter().collect();
                    prop_assert_eq!(distinct.len(), peers.len(), "nobody is returned twice");
                    let offers = |peer: &&u8| others.contains_key(*peer) && near(peer);
                    prop_assert!(distinct.iter().all(offers), "only who offers a copy");
                    prop_assert_eq!(peers.len(), eligible.min(max as usize), "as many as there are");
                    prop_assert_eq!(copies as usize, others.values().filter(|complete| ***complete).count());
                    let introduced: BTreeSet<_> = outputs[..outputs.len() - 1].iter().map(|output| match output {
                        Output::Send { conn, message: Message::Introduce { peer, .. } } => {
                            assert_eq!(peer.guid, guid(number));
                            conn.0
                        }
                        other => panic!("{other:?}"),
                    }).collect();
                    let conns: BTreeSet<_> = peers.iter().map(|peer| expected.conn[peer]).collect();
                    prop_assert_eq!(introduced, conns, "each of them is told, on its present connection");
                }
            }
        }
    }
}
