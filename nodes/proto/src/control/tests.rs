//! The control machine's rules, by example and by property.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
};

use peerbed_contract::{
    ContentId, ControlLimits, DirectoryEntry, EventKind, Filters, Guid, LoginRecord, NatClass, Offence, Prefix,
    ReAddPolicy, RoleConfig, Selection, SignedToken, Strategy, Token,
};
use proptest::{prelude::*, strategy::Strategy as _};

use super::*;
use crate::{
    ConnId, Endpoint, Message, PROGRAM_MAX, PROTOCOL_VERSION, PeerAddress, SECONDARY_MAX, USAGE_MAX, UsageEntry, token,
};

mod eligible;
mod floods;
mod logins;
mod nodes;
mod steps;

const SECRET: [u8; 32] = [5; 32];

fn control(strategy: Strategy, max_returned: u32, diversity: f64) -> ControlMachine {
    let selection = Selection { strategy, max_returned, diversity, rotation: true, filters: Filters::default() };
    // Nothing here comes nearer to the limits than a test of limits wants.
    let limits = ControlLimits {
        logins_per_guid: 1e6,
        logins_per_address: 1e6,
        queries_per_guid: 1e6,
        queries_per_address: 1e6,
        ..ControlLimits::default()
    };
    control_with(selection, limits)
}

fn control_with(selection: Selection, limits: ControlLimits) -> ControlMachine {
    let entry = |third: u8, length: u8, as_number: u32, region: &str| DirectoryEntry {
        prefix: Prefix { network: Ipv4Addr::new(10, 0, third, 0).into(), length },
        as_number: as_number.try_into().unwrap(),
        region: region.to_owned(),
        country: None,
    };
    let config = ControlConfig {
        port: 7000,
        verify_key: token::public_key(&SECRET),
        part: ControlPart::default(),
        selection,
        readd: ReAddPolicy::default(),
        limits,
        // The wide block comes first and must not hide the narrow ones.
        directory: vec![entry(0, 16, 9, "south"), entry(1, 24, 1, "north"), entry(2, 24, 2, "north")],
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

fn guid(number: u8) -> Guid {
    Guid::from_bytes([number; 16])
}

/// Peer `number` is at 10.0.(number mod 3 + 1).number.
fn ip(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, number % 3 + 1, number)
}

fn accept(control: &mut ControlMachine, conn: u64, number: u8) {
    let from = Endpoint { address: (ip(number), 50_000).into() };
    control.handle(0, Input::Accepted { conn: ConnId(conn), from });
}

fn tell(control: &mut ControlMachine, conn: u64, message: Message) -> Vec<Output> {
    control.handle(10, Input::Message { conn: ConnId(conn), message });
    drain(control).into_iter().filter(|output| !is_log(output)).collect()
}

/// Whether it is a line of the login log, of which most tests speak not.
fn is_log(output: &Output) -> bool {
    matches!(output, Output::Event(EventKind::Login(_) | EventKind::Logout { .. }))
}

fn drain(control: &mut ControlMachine) -> Vec<Output> {
    std::iter::from_fn(|| Some(control.poll(10)).filter(|output| !matches!(output, Output::Idle { .. }))).collect()
}

fn login(number: u8, uploads: bool) -> Message {
    // The address told is a lie; only the port counts.
    let listen = SocketAddr::from(([192, 0, 2, 1], 6000));
    Message::Login {
        version: PROTOCOL_VERSION,
        guid: guid(number),
        listen,
        uploads,
        secondary: vec![guid(200), guid(201)],
        program: "test 1".to_owned(),
        nat: NatClass::FullCone,
        lan: None,
    }
}

fn content(name: &str) -> ContentId {
    name.parse().unwrap()
}

fn register(name: &str, complete: bool) -> Message {
    Message::Register { content: content(name), complete }
}

fn granted(number: u8, name: &str, peers_allowed: bool, expires: Time) -> SignedToken {
    token::sign(
        &SECRET,
        Token {
            guid: guid(number),
            content: content(name),
            address: ip(number).into(),
            peers_allowed,
            expires,
            nonce: 1,
        },
    )
}

fn query(number: u8, name: &str) -> Message {
    Message::Query { query: 77, token: granted(number, name, true, 1_000) }
}

fn arrive(control: &mut ControlMachine, number: u8, uploads: bool) {
    accept(control, u64::from(number), number);
    let welcome = Output::Send { conn: ConnId(number.into()), message: Message::Welcome };
    assert_eq!(tell(control, number.into(), login(number, uploads)), [welcome]);
}

/// The GUIDs' numbers in the answer to a query, and its count of copies.
fn answer(outputs: &[Output]) -> (Vec<u8>, u32) {
    let Some(Output::Send { message: Message::Peers { query: 77, peers, copies }, .. }) = outputs.last() else {
        panic!("the last output is the answer: {outputs:?}");
    };
    (peers.iter().map(|peer| peer.guid.as_bytes()[0]).collect(), *copies)
}

fn refused(outputs: &[Output]) -> &str {
    match outputs.first() {
        Some(Output::Send { message: Message::Refused { reason, .. }, .. }) => reason,
        other => panic!("a refusal is expected, not {other:?}"),
    }
}

#[test]
fn a_query_introduces_both_sides_at_the_addresses_that_were_seen() {
    let mut control = control(Strategy::Nested, 40, 0.0);
    arrive(&mut control, 4, true);
    arrive(&mut control, 7, true);
    assert_eq!(tell(&mut control, 4, register("patch", true)), []);
    let at = |number| PeerAddress { guid: guid(number), address: (ip(number), 50_000).into(), nat: NatClass::FullCone };
    assert_eq!(
        tell(&mut control, 7, query(7, "patch")),
        [
            Output::Send { conn: ConnId(4), message: Message::Introduce { peer: at(7), content: content("patch") } },
            Output::Send { conn: ConnId(7), message: Message::Peers { query: 77, peers: vec![at(4)], copies: 1 } },
        ]
    );
}

#[test]
fn where_nobody_is_to_be_returned_the_answer_is_empty_and_still_counts_the_copies() {
    for strategy in [Strategy::Nested, Strategy::Local, Strategy::Random] {
        let mut control = control(strategy, 0, 1.0);
        for number in [4, 7] {
            arrive(&mut control, number, true);
        }
        tell(&mut control, 4, register("patch", true));
        // Nobody is introduced either.
        let empty = Message::Peers { query: 77, peers: vec![], copies: 1 };
        assert_eq!(tell(&mut control, 7, query(7, "patch")), [Output::Send { conn: ConnId(7), message: empty }]);
    }
}

fn set(control: &mut ControlMachine, selection: Selection, limits: ControlLimits) {
    let policy = peerbed_contract::ControlPolicy { selection, readd: ReAddPolicy::default(), limits };
    let policy = Box::new(peerbed_contract::NodePolicy::Control(policy));
    control.handle(10, Input::Order(peerbed_contract::Order::Policy(policy)));
    assert_eq!(drain(control), []);
}

#[test]
fn another_policy_holds_for_the_next_query() {
    let mut control = control(Strategy::Random, 40, 0.0);
    // Of these, 4 is in the AS of 7, the asker.
    for number in [4, 5, 6, 7] {
        arrive(&mut control, number, true);
        tell(&mut control, number.into(), register("patch", true));
    }
    let asked = |control: &mut ControlMachine| answer(&tell(control, 7, query(7, "patch"))).0;
    assert_eq!(asked(&mut control).len(), 3);
    let local = Selection {
        strategy: Strategy::Local,
        max_returned: 40,
        diversity: 0.0,
        rotation: true,
        filters: Filters::default(),
    };
    let limits = ControlLimits { queries_per_guid: 0.2, ..ControlLimits::default() };
    set(&mut control, local.clone(), limits);
    assert_eq!([asked(&mut control), asked(&mut control)], [[4], [4]]);
    assert!(refused(&tell(&mut control, 7, query(7, "patch"))).contains("too many queries per GUID"));
    set(&mut control, local, ControlLimits { contents_per_peer: 1, ..ControlLimits::default() });
    assert_eq!(asked(&mut control), [4], "another rate begins anew");
    assert!(refused(&tell(&mut control, 4, register("film", true))).contains("has registered 1 contents already"));
}

#[test]
fn partial_copies_are_returned_but_not_counted() {
    let mut control = control(Strategy::Nested, 40, 0.0);
    (1..=3).for_each(|number| arrive(&mut control, number, true));
    tell(&mut control, 1, register("patch", false));
    tell(&mut control, 2, register("patch", true));
    let (mut peers, copies) = answer(&tell(&mut control, 3, query(3, "patch")));
    peers.sort_unstable();
    assert_eq!((peers, copies), (vec![1, 2], 1));
    tell(&mut control, 1, register("patch", true));
    assert_eq!(answer(&tell(&mut control, 3, query(3, "patch"))).1, 2);
}

#[test]
fn nearer_peers_come_first_by_the_longest_prefix() {
    // 3 and 6 are in 10.0.1/24 (AS 1, north), 4 in 10.0.2/24 (AS 2, north), 5 in 10.0/16 (AS 9, south).
    let mut control = control(Strategy::Nested, 40, 0.0);
    for number in [3, 4, 5, 6] {
        arrive(&mut control, number, true);
        tell(&mut control, number.into(), register("patch", true));
    }
    assert_eq!(answer(&tell(&mut control, 6, query(6, "patch"))), (vec![3, 4, 5], 3));
}

#[test]
fn bad_tokens_are_refused_and_the_connection_stays() {
    let mut control = control(Strategy::Nested, 40, 0.0);
    arrive(&mut control, 1, true);
    arrive(&mut control, 2, true);
    tell(&mut control, 2, register("patch", true));
    let ask = |token| Message::Query { query: 77, token };
    let mut forged = granted(1, "film", true, 1_000);
    forged.token.content = content("patch");
    let mut missing = granted(1, "patch", true, 1_000);
    missing.signature.clear();
    // Peer 1's, as it would be shown by somebody who took it elsewhere.
    let mut replayed = granted(1, "patch", true, 1_000).token;
    replayed.address = ip(2).into();
    for (token, expected, stale) in [
        (missing, "a signature of 0 bytes", false),
        (granted(2, "patch", true, 1_000), "another installation", false),
        (granted(1, "patch", false, 1_000), "allows no peers", false),
        (granted(1, "patch", true, 10), "expired", true),
        (token::sign(&SECRET, replayed), "granted to the address 10.0.3.2", true),
        (forged, "not signed by the edge", false),
    ] {
        let outputs = tell(&mut control, 1, ask(token));
        assert!(refused(&outputs).contains(expected), "{outputs:?}");
        let told =
            matches!(&outputs[0], Output::Send { message: Message::Refused { renew, .. }, .. } if *renew == stale);
        assert!(told, "{outputs:?}");
        assert_eq!(outputs.len(), 1, "nobody is introduced and nothing is closed");
    }
    assert_eq!(answer(&tell(&mut control, 1, query(1, "patch"))).0, [2]);
}

#[test]
fn rotation_is_fair() {
    let mut control = control(Strategy::Nested, 4, 0.0);
    for number in 1..=12 {
        arrive(&mut control, 3 * number, true); // all in one AS
        tell(&mut control, (3 * number).into(), register("patch", true));
    }
    arrive(&mut control, 39, true);
    let mut counts = BTreeMap::<u8, u32>::new();
    for _ in 0..15 {
        for peer in answer(&tell(&mut control, 39, query(39, "patch"))).0 {
            *counts.entry(peer).or_default() += 1;
        }
    }
    assert_eq!(counts.len(), 12);
    assert!(counts.values().all(|count| *count == 5), "60 places over 12 peers: {counts:?}");
}

#[test]
fn usage_is_told_as_events_at_the_end() {
    let mut control = control(Strategy::Nested, 4, 0.0);
    arrive(&mut control, 1, true);
    let entry = |partner: Option<u8>, received, sent| UsageEntry {
        content: content("patch"),
        partner: partner.map(guid),
        received,
        sent,
    };
    for (factor, last) in [(1, false), (2, true)] {
        let entries = vec![entry(None, 100 * factor, 0), entry(Some(2), 10 * factor, 3)];
        assert_eq!(tell(&mut control, 1, Message::Usage { entries, last }), []);
    }
    control.handle(20, Input::Stop);
    let outputs = drain(&mut control);
    let [
        Output::Event(EventKind::Usage(edges)),
        Output::Event(EventKind::Usage(peer)),
        Output::Event(EventKind::Notice { message }),
        ..,
        Output::Finished,
    ] = outputs.as_slice()
    else {
        panic!("{outputs:?}");
    };
    assert_eq!((edges.guid, edges.partner, edges.received, edges.sent), (guid(1), None, 200, 0));
    assert_eq!((peer.partner, peer.received, peer.sent, peer.last), (Some(guid(2)), 20, 3, true));
    assert_eq!(peer.address, std::net::IpAddr::from(ip(1)));
    assert!(message.contains("200 bytes from edges and 20 bytes from peers"), "{message}");
}

#[test]
fn a_usage_report_that_is_too_long_ends_the_connection() {
    let mut control = control(Strategy::Nested, 4, 0.0);
    arrive(&mut control, 1, true);
    let entry = UsageEntry { content: content("patch"), partner: None, received: 1, sent: 0 };
    let outputs = tell(&mut control, 1, Message::Usage { entries: vec![entry; USAGE_MAX + 1], last: false });
    assert!(refused(&outputs).contains("at most 512 entries"), "{outputs:?}");
    assert!(outputs.contains(&Output::Close { conn: ConnId(1) }));
}

#[test]
fn who_sends_what_is_no_frame_is_shut_out_for_a_minute() {
    let mut control = control(Strategy::Nested, 4, 0.0);
    arrive(&mut control, 1, true);
    let conn = ConnId(1);
    control.handle(10, Input::Garbled { conn });
    control.handle(10, Input::Closed { conn, clean: false });
    let offence = EventKind::Offence { by: ip(1).into(), guid: Some(guid(1)), offence: Offence::Malformed, count: 1 };
    assert!(drain(&mut control).contains(&Output::Event(offence)));
    accept(&mut control, 3, 1);
    assert_eq!(drain(&mut control), [Output::Close { conn: ConnId(3) }]);
    arrive(&mut control, 2, true);
    let from = Endpoint { address: (ip(1), 50_000).into() };
    control.handle(ControlLimits::default().ban_ns + 11, Input::Accepted { conn: ConnId(5), from });
    assert_eq!(drain(&mut control), []);
}

fn strategy() -> impl proptest::strategy::Strategy<Value = Strategy> {
    prop::sample::select(vec![Strategy::Nested, Strategy::Random, Strategy::Local])
}
