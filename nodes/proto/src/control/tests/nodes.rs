//! Connection nodes and database nodes, message by message.

use peerbed_contract::{DatabaseAddress, Order};

use super::*;
use crate::{Nearness, Offered, Profile};

const DATABASES: [[u8; 4]; 2] = [[10, 0, 9, 7], [10, 0, 9, 8]];

fn machine(part: ControlPart) -> ControlMachine {
    let entry = |third: u8, as_number: u32, region: &str| DirectoryEntry {
        prefix: Prefix { network: Ipv4Addr::new(10, 0, third, 0).into(), length: 24 },
        as_number: as_number.try_into().unwrap(),
        region: region.to_owned(),
        country: None,
    };
    let selection = Selection {
        strategy: Strategy::Nested,
        max_returned: 4,
        diversity: 0.25,
        rotation: true,
        filters: Filters::default(),
    };
    let config = ControlConfig {
        port: 7000,
        verify_key: token::public_key(&SECRET),
        part,
        selection,
        readd: ReAddPolicy { enabled: true, within_ns: 3_000_000_000 },
        limits: ControlLimits::default(),
        directory: vec![entry(1, 1, "north"), entry(2, 2, "north"), entry(3, 3, "south")],
    };
    let node = NodeConfig {
        name: "control-0".parse().unwrap(),
        as_number: 9.try_into().unwrap(),
        region: "south".to_owned(),
        address: Ipv4Addr::new(10, 0, 9, 1).into(),
        seed: 11,
        role: RoleConfig::Control(config.clone()),
    };
    ControlMachine::new(&node, &config)
}

/// A connection node with a database node for each region, both attached (on connections 0 and 2).
fn connection() -> ControlMachine {
    let database = |address: [u8; 4], region: &str| DatabaseAddress {
        address: (address, 7000).into(),
        regions: vec![region.to_owned()],
    };
    let databases = vec![database(DATABASES[0], "north"), database(DATABASES[1], "south")];
    let mut control = machine(ControlPart::Connection { databases });
    control.handle(0, Input::Start);
    let dialled = drain(&mut control);
    assert_eq!(dialled.len(), 2);
    for conn in [0, 2] {
        control.handle(0, Input::Connected { conn: ConnId(conn) });
        assert_eq!(drain(&mut control), [says(conn, Message::Attach { version: PROTOCOL_VERSION })]);
        assert_eq!(tell(&mut control, conn, Message::Attached { incarnation: 1 }), []);
    }
    control
}

fn says(conn: u64, message: Message) -> Output {
    Output::Send { conn: ConnId(conn), message }
}

fn at(number: u8) -> PeerAddress {
    PeerAddress { guid: guid(number), address: (ip(number), 50_000).into(), nat: NatClass::FullCone }
}

fn profile(number: u8) -> Profile {
    Profile { peer: at(number), lan: None, uploads: true, free: 8 }
}

fn offered(number: u8, nearness: Nearness) -> Offered {
    Offered { peer: at(number), nearness, last_returned: 0 }
}

/// Peer `number` logs in on connection 2 · `number` + 1, which is odd.
fn peer(control: &mut ControlMachine, number: u8) -> u64 {
    let conn = 2 * u64::from(number) + 1;
    accept(control, conn, number);
    assert_eq!(tell(control, conn, login(number, true)), [says(conn, Message::Welcome)]);
    conn
}

#[test]
fn copies_go_to_the_database_node_of_the_peers_region() {
    let mut control = connection();
    // 10.0.1.3 is in the north, 10.0.3.5 in the south.
    for (number, database) in [(3, 0), (5, 2)] {
        let conn = peer(&mut control, number);
        let put = Message::Put { profile: profile(number), content: content("patch"), complete: true };
        assert_eq!(tell(&mut control, conn, register("patch", true)), [says(database, put)]);
        let free = Message::Free { guid: guid(number), free: 0 };
        assert_eq!(tell(&mut control, conn, Message::Slots { free: 0 }), [says(database, free)]);
        let withdraw = Message::Withdraw { guid: guid(number), content: content("patch") };
        let outputs = tell(&mut control, conn, Message::Unregister { content: content("patch") });
        assert_eq!(outputs, [says(database, withdraw)]);
        control.handle(10, Input::Closed { conn: ConnId(conn), clean: true });
        assert_eq!(drain(&mut control).last(), Some(&says(database, Message::Forget { guid: guid(number) })));
    }
}

#[test]
fn the_region_is_asked_first_and_then_the_others_for_what_is_missing() {
    let mut control = connection();
    let conn = peer(&mut control, 3);
    let lookup = |near, rest| Message::Lookup { lookup: 0, content: content("patch"), asker: profile(3), near, rest };
    assert_eq!(tell(&mut control, conn, query(3, "patch")), [says(0, lookup(4, 4))]);
    let peers = vec![offered(6, Nearness::SameAs), offered(4, Nearness::SameRegion)];
    let outputs = tell(&mut control, 0, Message::Found { lookup: 0, peers, copies: 7 });
    assert_eq!(outputs, [says(2, lookup(2, 1))], "two are missing, and one place is for the diversity share");
    let peers = [5, 8, 11].map(|number| offered(number, Nearness::World)).to_vec();
    let outputs = tell(&mut control, 2, Message::Found { lookup: 0, peers, copies: 3 });
    let (chosen, copies) = answer(&outputs);
    assert_eq!((&chosen[..2], chosen.len(), copies), (&[6, 4][..], 4, 10));
    let Output::Send { conn: ConnId(0), message: Message::Returned { asker, peers, .. } } = &outputs[0] else {
        panic!("{outputs:?}")
    };
    assert_eq!((asker, peers.as_slice()), (&at(3), &[guid(6), guid(4)][..]));
    assert!(matches!(&outputs[1], Output::Send { conn: ConnId(2), message: Message::Returned { peers, .. } }
        if peers.len() == 2));
    // Late and foreign answers change nothing.
    assert_eq!(tell(&mut control, 2, Message::Found { lookup: 0, peers: Vec::new(), copies: 3 }), []);
}

#[test]
fn where_nobody_is_to_be_returned_the_database_nodes_are_asked_for_their_copies_alone() {
    let mut control = connection();
    let selection = Selection {
        strategy: Strategy::Nested,
        max_returned: 0,
        diversity: 0.25,
        rotation: true,
        filters: Filters::default(),
    };
    set(&mut control, selection, ControlLimits::default());
    let conn = peer(&mut control, 3);
    let lookup = Message::Lookup { lookup: 0, content: content("patch"), asker: profile(3), near: 0, rest: 0 };
    assert_eq!(tell(&mut control, conn, query(3, "patch")), [says(0, lookup.clone())]);
    // What is given all the same is not passed on.
    let peers = vec![offered(6, Nearness::SameAs)];
    assert_eq!(tell(&mut control, 0, Message::Found { lookup: 0, peers, copies: 7 }), [says(2, lookup)]);
    let outputs = tell(&mut control, 2, Message::Found { lookup: 0, peers: Vec::new(), copies: 3 });
    assert_eq!(outputs, [says(conn, Message::Peers { query: 77, peers: vec![], copies: 10 })]);
}

#[test]
fn a_silent_or_lost_database_node_is_not_waited_for() {
    let mut control = connection();
    let conn = peer(&mut control, 3);
    tell(&mut control, conn, query(3, "patch"));
    let found = Message::Found { lookup: 0, peers: vec![offered(6, Nearness::SameAs)], copies: 1 };
    tell(&mut control, 0, found);
    assert_eq!(control.poll(10), Output::Idle { until: Some(10 + 2_000_000_000) });
    control.handle(10 + 2_000_000_000, Input::Timer);
    assert_eq!(answer(&drain(&mut control)), (vec![6], 1));
    // Another query while the asker's own database node goes: the other one is asked for everything.
    tell(&mut control, conn, query(3, "patch"));
    control.handle(20, Input::Closed { conn: ConnId(0), clean: false });
    let outputs = drain(&mut control);
    assert!(matches!(&outputs[0], Output::Event(EventKind::Notice { message }) if message.contains("out of reach")));
    let lookup = Message::Lookup { lookup: 1, content: content("patch"), asker: profile(3), near: 4, rest: 1 };
    assert_eq!(outputs[1], says(2, lookup));
    let outputs = tell(&mut control, 2, Message::Found { lookup: 1, peers: Vec::new(), copies: 0 });
    assert_eq!(answer(&outputs), (vec![], 0));
}

#[test]
fn after_a_loss_peers_register_again_and_the_time_is_told() {
    let mut control = connection();
    let (one, two, other) = (peer(&mut control, 3), peer(&mut control, 4), peer(&mut control, 5));
    control.handle(1_000, Input::Message { conn: ConnId(0), message: Message::Attached { incarnation: 2 } });
    let outputs = drain(&mut control);
    let again = Message::ReAdd { within_ms: 3_000 };
    assert_eq!(outputs[1..], [says(one, again.clone()), says(two, again)], "those of its region, not {other}");
    assert_eq!(tell(&mut control, one, Message::ReAdded { copies: 2 }), []);
    // One that goes is not waited for.
    control.handle(5_000, Input::Closed { conn: ConnId(two), clean: false });
    let rebuilt =
        EventKind::RegistryRebuilt { database: (DATABASES[0], 7000).into(), peers: 1, copies: 2, took_ns: 4_000 };
    assert_eq!(drain(&mut control).last(), Some(&Output::Event(rebuilt)));
    // The same incarnation again is no loss.
    assert_eq!(tell(&mut control, 0, Message::Attached { incarnation: 2 }), []);
}

#[test]
fn what_was_registered_before_the_database_node_was_reached_is_registered_again_at_once() {
    let databases = vec![DatabaseAddress { address: (DATABASES[0], 7000).into(), regions: vec!["north".to_owned()] }];
    let mut control = machine(ControlPart::Connection { databases });
    control.handle(0, Input::Start);
    drain(&mut control);
    let (one, _two) = (peer(&mut control, 3), peer(&mut control, 4));
    assert_eq!(tell(&mut control, one, register("patch", true)), []);
    control.handle(0, Input::Connected { conn: ConnId(0) });
    drain(&mut control);
    let outputs = tell(&mut control, 0, Message::Attached { incarnation: 1 });
    assert_eq!(outputs, [says(one, Message::ReAdd { within_ms: 0 })]);
}

fn database() -> ControlMachine {
    let connection_nodes = vec![ip(1).into(), ip(2).into()];
    let mut database = machine(ControlPart::Database { connection_nodes });
    database.handle(0, Input::Start);
    database
}

/// A connection node attaches on connection `number`.
fn attach(database: &mut ControlMachine, number: u8) {
    accept(database, number.into(), number);
    let outputs = tell(database, number.into(), Message::Attach { version: PROTOCOL_VERSION });
    assert_eq!(outputs, [says(number.into(), Message::Attached { incarnation: 1 })]);
}

fn put(database: &mut ControlMachine, conn: u64, number: u8) {
    let put = Message::Put { profile: profile(number), content: content("patch"), complete: true };
    assert_eq!(tell(database, conn, put), []);
}

/// The numbers of the peers that are offered to peer 3.
fn looked_up(database: &mut ControlMachine) -> Vec<u8> {
    let lookup = Message::Lookup { lookup: 5, content: content("patch"), asker: profile(3), near: 9, rest: 9 };
    let outputs = tell(database, 1, lookup);
    let [Output::Send { message: Message::Found { lookup: 5, peers, copies }, .. }] = outputs.as_slice() else {
        panic!("{outputs:?}")
    };
    assert_eq!(*copies as usize, peers.len());
    let mut numbers: Vec<u8> = peers.iter().map(|one| one.peer.guid.as_bytes()[0]).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_database_node_takes_its_connection_nodes_alone() {
    let mut database = database();
    accept(&mut database, 9, 9);
    assert_eq!(drain(&mut database), [Output::Close { conn: ConnId(9) }]);
    accept(&mut database, 1, 1);
    let outputs = tell(&mut database, 1, Message::Forget { guid: guid(1) });
    assert_eq!(outputs.last(), Some(&Output::Close { conn: ConnId(1) }), "it must say first what it is");
    accept(&mut database, 3, 1);
    let outputs = tell(&mut database, 3, Message::Attach { version: PROTOCOL_VERSION + 1 });
    assert_eq!(outputs.last(), Some(&Output::Close { conn: ConnId(3) }));
    attach(&mut database, 1);
    assert_eq!(tell(&mut database, 1, login(4, true)).last(), Some(&Output::Close { conn: ConnId(1) }));
}

#[test]
fn copies_go_with_their_connection_node_and_with_their_peer() {
    let mut database = database();
    attach(&mut database, 1);
    attach(&mut database, 2);
    for (conn, number) in [(1, 4), (1, 5), (2, 6), (2, 7), (1, 3)] {
        put(&mut database, conn, number);
    }
    assert_eq!(looked_up(&mut database), [4, 5, 6, 7], "not the asker");
    tell(&mut database, 2, Message::Forget { guid: guid(4) });
    tell(&mut database, 2, Message::Free { guid: guid(5), free: 0 });
    assert_eq!(looked_up(&mut database), [4, 5, 6, 7], "they are not that node's to forget");
    // Peer 4 has gone over to the other connection node; what the former one says is of no account.
    put(&mut database, 2, 4);
    tell(&mut database, 1, Message::Forget { guid: guid(4) });
    let returned = Message::Returned { content: content("patch"), asker: at(3), peers: vec![guid(4), guid(5)] };
    let deliver = |to: u8| Message::Deliver { to: guid(to), peer: at(3), content: content("patch") };
    assert_eq!(tell(&mut database, 1, returned), [says(2, deliver(4)), says(1, deliver(5))]);
    database.handle(10, Input::Closed { conn: ConnId(2), clean: false });
    assert_eq!(looked_up(&mut database), [5]);
}

#[test]
fn a_wiped_database_node_says_so() {
    let mut database = database();
    attach(&mut database, 1);
    put(&mut database, 1, 4);
    database.handle(77, Input::Order(Order::Wipe));
    let outputs = drain(&mut database);
    assert!(
        matches!(&outputs[0], Output::Event(EventKind::Notice { message }) if message.contains("1 copies of 1 peers"))
    );
    assert_eq!(outputs[1], says(1, Message::Attached { incarnation: 77 }));
    assert_eq!(looked_up(&mut database), [0_u8; 0]);
}

#[test]
fn messages_with_peers_and_among_nodes_are_counted_apart() {
    let count = |control: &mut ControlMachine| {
        control.handle(20, Input::Stop);
        let outputs = drain(control);
        let [.., Output::Event(EventKind::Messages { from_peers, to_peers, among }), Output::Finished] = outputs[..]
        else {
            panic!("{outputs:?}");
        };
        (from_peers, to_peers, among)
    };
    // Two attachments; a login, its welcome; a registration, which goes on to a database node.
    let mut control = connection();
    let conn = peer(&mut control, 3);
    assert_eq!(tell(&mut control, conn, register("patch", true)).len(), 1);
    assert_eq!(count(&mut control), (2, 1, 3));
    // To a database node nobody is a peer.
    let mut database = machine(ControlPart::Database { connection_nodes: vec![ip(1).into()] });
    database.handle(0, Input::Start);
    accept(&mut database, 1, 1);
    assert_eq!(tell(&mut database, 1, Message::Attach { version: PROTOCOL_VERSION }).len(), 1);
    assert_eq!(count(&mut database), (0, 0, 1));
}
