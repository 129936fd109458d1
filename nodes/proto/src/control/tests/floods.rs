//! What is too much is refused, counted and told; it harms nobody else.

use super::*;

fn strict() -> ControlMachine {
    let selection = Selection {
        strategy: Strategy::Nested,
        max_returned: 4,
        diversity: 0.0,
        rotation: true,
        filters: Filters::default(),
    };
    let limits = ControlLimits {
        logins_per_guid: 0.2,
        logins_per_address: 1.0,
        queries_per_guid: 1.0,
        connections_per_address: 30,
        contents_per_peer: 3,
        usage_reports: 2,
        ..ControlLimits::default()
    };
    control_with(selection, limits)
}

/// What the machine tells at its end of refusals.
fn refusals(control: &mut ControlMachine) -> BTreeMap<String, u64> {
    control.handle(20, Input::Stop);
    let told = drain(control).into_iter().filter_map(|output| match output {
        Output::Event(EventKind::Refusals { limit, count }) => Some((limit, count)),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_flood_of_logins_from_one_address_is_refused_and_others_log_in() {
    let mut control = strict();
    let (mut welcomed, mut closed) = (0, 0);
    for attempt in 0_u8..60 {
        let conn = 1000 + u64::from(attempt);
        accept(&mut control, conn, 3);
        let at_once = drain(&mut control);
        if at_once.contains(&Output::Close { conn: ConnId(conn) }) {
            closed += 1;
            continue;
        }
        let outputs = tell(&mut control, conn, login(100 + attempt, true));
        match outputs.first() {
            Some(Output::Send { message: Message::Welcome, .. }) => welcomed += 1,
            _ => assert!(refused(&outputs).contains("too many logins per address"), "{outputs:?}"),
        }
    }
    // Ten at once are let in, thirty connections of one address are borne; a refused login ends its connection.
    assert_eq!((welcomed, closed), (10, 0));
    arrive(&mut control, 4, true);
    assert_eq!(refusals(&mut control), [("logins per address".to_owned(), 50)].into());
}

#[test]
fn idle_connections_of_one_address_are_bounded() {
    let mut control = strict();
    for number in 0..40 {
        accept(&mut control, 1000 + number, 3);
    }
    assert_eq!(drain(&mut control).len(), 10);
    arrive(&mut control, 4, true);
    assert_eq!(refusals(&mut control), [("connections per address".to_owned(), 10)].into());
}

#[test]
fn one_installation_cannot_log_in_again_and_again() {
    let mut control = strict();
    arrive(&mut control, 3, true);
    tell(&mut control, 3, login(3, true));
    let outputs = tell(&mut control, 3, login(3, true));
    assert!(refused(&outputs).contains("too many logins per GUID"), "{outputs:?}");
    assert_eq!(outputs.last(), Some(&Output::Close { conn: ConnId(3) }));
}

#[test]
fn a_flood_of_queries_is_refused_and_at_last_cut_off_while_others_are_answered() {
    let mut control = strict();
    arrive(&mut control, 3, true);
    arrive(&mut control, 4, true);
    tell(&mut control, 4, register("patch", true));
    let mut answered = 0;
    let mut sent = 0;
    loop {
        sent += 1;
        let outputs = tell(&mut control, 3, query(3, "patch"));
        match outputs.last() {
            Some(Output::Send { message: Message::Peers { .. }, .. }) => answered += 1,
            Some(Output::Close { conn: ConnId(3) }) => break,
            _ => assert!(refused(&outputs).contains("too many queries per GUID"), "{outputs:?}"),
        }
        assert!(sent < 1_000);
    }
    assert_eq!((answered, sent), (10, 110), "ten at once, and a hundred refusals are the end");
    arrive(&mut control, 5, true);
    assert_eq!(answer(&tell(&mut control, 5, query(5, "patch"))).0, [4]);
    let expected = [("queries per GUID".to_owned(), 100), ("refusals on one connection".to_owned(), 1)];
    assert_eq!(refusals(&mut control), expected.into());
}

#[test]
fn what_is_kept_of_a_peer_is_bounded() {
    let mut control = strict();
    arrive(&mut control, 3, true);
    for number in 0..5 {
        let outputs = tell(&mut control, 3, register(&format!("film-{number}"), true));
        assert_eq!(outputs.is_empty(), number < 3, "{outputs:?}");
    }
    assert_eq!(tell(&mut control, 3, register("film-0", false)), [], "what is registered may change");
    let told = refusals(&mut control);
    assert_eq!(told["contents per peer"], 2);
}
