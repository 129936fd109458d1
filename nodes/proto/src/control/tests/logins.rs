//! Logins: what they must be, what is logged of them, and what a second one means.

use super::*;

#[test]
fn a_login_must_come_first_and_speak_the_version() {
    let mut control = control(Strategy::Nested, 40, 0.0);
    accept(&mut control, 1, 1);
    let outputs = tell(&mut control, 1, register("patch", true));
    assert!(refused(&outputs).contains("first message"));
    assert_eq!(outputs.last(), Some(&Output::Close { conn: ConnId(1) }));

    accept(&mut control, 3, 3);
    let mut other = login(3, true);
    let Message::Login { version, .. } = &mut other else { unreachable!() };
    *version += 1;
    let outputs = tell(&mut control, 3, other);
    assert!(refused(&outputs).contains("version"));
    assert_eq!(outputs.last(), Some(&Output::Close { conn: ConnId(3) }));
}

#[test]
fn logins_and_logouts_are_logged_as_they_were_seen() {
    let mut control = control(Strategy::Nested, 40, 0.0);
    let log = |control: &mut ControlMachine, conn: u64, message: Message| {
        control.handle(10, Input::Message { conn: ConnId(conn), message });
        drain(control).into_iter().filter(is_log).collect::<Vec<_>>()
    };
    accept(&mut control, 1, 4);
    let address = (ip(4), 50_000).into();
    let login_of_4 = Output::Event(EventKind::Login(Box::new(LoginRecord {
        guid: guid(4),
        secondary: vec![guid(200), guid(201)],
        address,
        as_number: Some(2.try_into().unwrap()),
        region: Some("north".to_owned()),
        country: None,
        uploads: true,
        nat: NatClass::FullCone,
        version: "test 1".to_owned(),
    })));
    let logout_of_4 = Output::Event(EventKind::Logout { guid: guid(4), address });
    assert_eq!(log(&mut control, 1, login(4, true)), std::slice::from_ref(&login_of_4));
    // The same installation from elsewhere: the former login ends first.
    accept(&mut control, 3, 4);
    assert_eq!(log(&mut control, 3, login(4, true)), [logout_of_4.clone(), login_of_4]);
    control.handle(10, Input::Closed { conn: ConnId(1), clean: true });
    assert_eq!(drain(&mut control), [], "the former connection is no login any more");
    control.handle(10, Input::Closed { conn: ConnId(3), clean: false });
    assert_eq!(drain(&mut control), [logout_of_4]);
}

#[test]
fn a_login_that_tells_too_much_is_refused() {
    for (secondary, program) in [(SECONDARY_MAX + 1, 0), (0, PROGRAM_MAX + 1)] {
        let mut control = control(Strategy::Nested, 40, 0.0);
        accept(&mut control, 1, 1);
        let Message::Login { version, guid, listen, uploads, nat, lan, .. } = login(1, true) else { unreachable!() };
        let (secondary, program) = (vec![guid; secondary], "x".repeat(program));
        let outputs =
            tell(&mut control, 1, Message::Login { version, guid, listen, uploads, secondary, program, nat, lan });
        assert!(refused(&outputs).contains("at most 5 secondary GUIDs"));
        assert_eq!(outputs.last(), Some(&Output::Close { conn: ConnId(1) }));
    }
}

#[test]
fn a_message_between_peers_ends_the_connection() {
    let mut control = control(Strategy::Nested, 40, 0.0);
    arrive(&mut control, 1, true);
    let outputs = tell(&mut control, 1, Message::Have { piece: 3 });
    assert_eq!(outputs.last(), Some(&Output::Close { conn: ConnId(1) }));
    assert_eq!(tell(&mut control, 1, query(1, "patch")), [], "a closed connection is forgotten");
}

#[test]
fn a_second_login_of_a_guid_replaces_the_first() {
    let mut control = control(Strategy::Nested, 40, 0.0);
    arrive(&mut control, 1, true);
    tell(&mut control, 1, register("patch", true));
    arrive(&mut control, 2, true);
    accept(&mut control, 21, 21);
    let outputs = tell(&mut control, 21, login(1, true));
    assert!(refused(&outputs).contains("elsewhere"));
    assert_eq!(outputs[1], Output::Close { conn: ConnId(1) });
    assert_eq!(outputs[2], Output::Send { conn: ConnId(21), message: Message::Welcome });
    assert_eq!(answer(&tell(&mut control, 2, query(2, "patch"))), (vec![], 0), "the copies went with the login");
    // What is still under way on the former connection changes nothing.
    assert_eq!(tell(&mut control, 1, register("patch", true)), []);
    control.handle(10, Input::Closed { conn: ConnId(1), clean: true });
    tell(&mut control, 21, register("patch", true));
    assert_eq!(answer(&tell(&mut control, 2, query(2, "patch"))), (vec![1], 1));
}

#[test]
fn a_second_login_on_the_same_connection_begins_anew() {
    let mut control = control(Strategy::Nested, 40, 0.0);
    arrive(&mut control, 1, true);
    arrive(&mut control, 2, true);
    tell(&mut control, 1, register("patch", true));
    let welcome = [Output::Send { conn: ConnId(1), message: Message::Welcome }];
    assert_eq!(tell(&mut control, 1, login(1, true)), welcome, "the connection stays");
    assert_eq!(answer(&tell(&mut control, 2, query(2, "patch"))), (vec![], 0));
    tell(&mut control, 1, register("patch", true));
    assert_eq!(answer(&tell(&mut control, 2, query(2, "patch"))), (vec![1], 1));
    // Under another name the former one is gone.
    assert_eq!(tell(&mut control, 1, login(3, true)), welcome);
    assert_eq!(answer(&tell(&mut control, 2, query(2, "patch"))), (vec![], 0));
}
