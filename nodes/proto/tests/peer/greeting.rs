//! How a remote is received: greetings, requests, and what closes its connection.

use peerbed_contract::{Guid, NatClass, SignedToken, Token, UserAct, UserMoment};
use peerbed_proto::{ConnId, Input, Message, Output, PROTOCOL_VERSION, PeerAddress, PieceMap, RequestId, token};

use crate::{
    bench::{Asked, Bench},
    edge::{SECRET, content_hash, manifest},
    net::{SECOND, address_of},
    world::{World, content, object},
};

const REMOTE: [u8; 16] = [77; 16];

/// The length of the last piece.
const LAST: u32 = 5_000;

/// A peer that holds an object of 31 pieces of 131 072 bytes, the last of them shorter.
fn holder() -> Bench {
    let mut world = World::new(object(4, 131_072));
    world.objects[0].size = 30 * 131_072 + u64::from(LAST);
    world.control = false;
    world.seed_peer(10.0);
    Bench::new(world.peer_machine(0))
}

fn granted() -> Token {
    let guid = Guid::from_bytes(REMOTE);
    let (content, address) = (content("patch"), address_of(20));
    Token { guid, content, address, peers_allowed: true, expires: 100 * SECOND, nonce: 1 }
}

fn hello(token: SignedToken) -> Message {
    hello_of(Guid::from_bytes(REMOTE), token)
}

fn hello_of(guid: Guid, token: SignedToken) -> Message {
    let have = PieceMap { pieces: 31, bits: vec![0; 4] };
    Message::Hello { version: PROTOCOL_VERSION, guid, token, have }
}

/// Another remote greets; gives its connection and the answer.
fn greets(bench: &mut Bench, number: u8) -> (ConnId, Vec<Output>) {
    let guid = Guid::from_bytes([number; 16]);
    let conn = bench.accept();
    (conn, bench.tell(conn, hello_of(guid, token::sign(&SECRET, Token { guid, ..granted() }))))
}

/// Greets and gives the connection.
pub(crate) fn greeted(bench: &mut Bench) -> ConnId {
    let conn = bench.accept();
    let answer = bench.tell(conn, hello(token::sign(&SECRET, granted())));
    let Some(Output::Send { message: Message::HelloBack { have, token: None, .. }, .. }) = answer.first() else {
        panic!("{answer:?}")
    };
    assert_eq!(have.bits, [0xff, 0xff, 0xff, 0x7f]);
    conn
}

fn request(request: u32, piece: u32) -> Message {
    Message::Request { request: RequestId(request), piece }
}

fn closed(conn: ConnId) -> Vec<Output> {
    vec![Output::Close { conn }]
}

fn says(conn: ConnId, message: Message) -> Output {
    Output::Send { conn, message }
}

/// What a peer that holds `patch` answers to a greeting with this token, two seconds after the start.
fn answer_to(signed: SignedToken) -> (ConnId, Vec<Output>) {
    let mut bench = holder();
    bench.wait(2 * SECOND);
    let conn = bench.accept();
    let answer = bench.tell(conn, hello(signed));
    (conn, answer)
}

#[test]
fn a_missing_forged_or_foreign_token_closes_the_connection() {
    let good = token::sign(&SECRET, granted());
    let tokens = [
        ("missing", SignedToken { signature: Vec::new(), ..good.clone() }),
        ("forged: another key", token::sign(&[1; 32], granted())),
        ("forged: changed", SignedToken { token: Token { nonce: 2, ..granted() }, ..good.clone() }),
        ("forged: another content", SignedToken { token: Token { content: content("film"), ..granted() }, ..good }),
        ("foreign: another GUID's", token::sign(&SECRET, Token { guid: Guid::from_bytes([1; 16]), ..granted() })),
        ("peers not allowed", token::sign(&SECRET, Token { peers_allowed: false, ..granted() })),
    ];
    for (what, token) in tokens {
        let (conn, answer) = answer_to(token);
        assert_eq!(answer, closed(conn), "{what}");
    }
    let (conn, answer) = answer_to(token::sign(&SECRET, granted()));
    assert!(matches!(answer[..], [Output::Send { message: Message::HelloBack { .. }, .. }]), "{conn:?} {answer:?}");
}

#[test]
fn who_shows_an_expired_or_replayed_token_is_told_to_authorise_anew() {
    let tokens = [
        ("expired", Token { expires: SECOND, ..granted() }),
        ("was granted to the address", Token { address: address_of(21), ..granted() }),
    ];
    for (what, granted) in tokens {
        let (conn, answer) = answer_to(token::sign(&SECRET, granted));
        let [
            Output::Send { message: Message::Refused { query: None, reason, renew: true }, .. },
            Output::Close { conn: of },
        ] = &answer[..]
        else {
            panic!("{what}: {answer:?}")
        };
        assert!(*of == conn && reason.contains(what), "{what}: {reason}");
    }
}

/// A downloader that holds its first piece and has dialled the remote; the connection, and the piece.
fn dialler() -> (Bench, ConnId, u32) {
    dialler_of(vec![])
}

/// The same for a user who acts.
fn dialler_of(user: Vec<UserMoment>) -> (Bench, ConnId, u32) {
    let mut world = World::new(object(4, 131_072));
    world.downloader(5.0, 5.0, 10, user);
    let mut bench = Bench::new(world.peer_machine(0));
    bench.wait(10);
    let (control, edge) = (bench.open[0], bench.open[1]);
    bench.feed(Input::Connected { conn: control });
    bench.tell(control, Message::Welcome);
    bench.feed(Input::Connected { conn: edge });
    let mine = Token { guid: Guid::from_bytes([1; 16]), address: address_of(2), ..granted() };
    let result = Ok((manifest(&world.objects[0]), token::sign(&SECRET, mine)));
    bench.feed(Input::Authorized { conn: edge, result });
    let Asked { conn, request, bytes, offset: Some(offset) } = bench.asked.remove(0) else { panic!("not of an edge") };
    bench.feed(Input::PieceData { conn, request, bytes });
    bench.feed(Input::PieceEnd { conn, request, hash: content_hash(&content("patch"), offset, false) });
    let address = std::net::SocketAddr::new(address_of(20), 7001);
    let peer = PeerAddress { guid: Guid::from_bytes(REMOTE), address, nat: NatClass::None };
    bench.tell(control, Message::Peers { query: 0, peers: vec![peer], copies: 1 });
    let dialled = *bench.open.last().expect("the remote is dialled");
    bench.feed(Input::Connected { conn: dialled });
    (bench, dialled, (offset / 131_072) as u32)
}

#[test]
fn who_answers_without_a_good_token_may_not_request() {
    let tokens = [
        ("good", Some(granted()), Some(true)),
        ("missing", None, Some(false)),
        ("expired", Some(Token { expires: 5, ..granted() }), Some(false)),
        ("replayed from elsewhere", Some(Token { address: address_of(21), ..granted() }), Some(false)),
        ("another content's", Some(Token { content: content("film"), ..granted() }), None),
        ("another GUID's", Some(Token { guid: Guid::from_bytes([5; 16]), ..granted() }), None),
    ];
    for (what, granted, may) in tokens {
        let (mut bench, conn, piece) = dialler();
        let token = granted.map(|granted| token::sign(&SECRET, granted));
        let have = PieceMap { pieces: 31, bits: vec![0xff, 0xff, 0xff, 0x7f] };
        let answer = bench.tell(conn, Message::HelloBack { guid: Guid::from_bytes(REMOTE), have, token });
        let Some(may) = may else {
            assert_eq!(answer, closed(conn), "{what}");
            continue;
        };
        let answer = bench.tell(conn, request(0, piece));
        assert_eq!(matches!(answer[..], [Output::SendPiece { .. }]), may, "{what}: {answer:?}");
        assert!(bench.open.contains(&conn), "{what}: the connection stays");
    }
}

#[test]
fn what_crosses_with_a_leaving_before_the_greeting_is_no_offence() {
    let act = UserAct::Pause { resume_after_ns: Some(60 * SECOND) };
    let (mut bench, conn, _) = dialler_of(vec![UserMoment { after_active_ns: SECOND, act }]);
    bench.wait(SECOND + SECOND / 2);
    let have = PieceMap { pieces: 31, bits: vec![0xff, 0xff, 0xff, 0x3f] };
    let token = Some(token::sign(&SECRET, granted()));
    let greeting = Message::HelloBack { guid: Guid::from_bytes(REMOTE), have, token };
    for message in [greeting, Message::Have { piece: 30 }, Message::Fetching { piece: 2 }, request(0, 3)] {
        assert_eq!(bench.tell(conn, message.clone()), [], "{message:?}");
    }
    assert_eq!(bench.tell(conn, Message::Bye), [Output::Close { conn }], "both have said so");
}

#[test]
fn content_that_is_not_held_is_refused_politely() {
    let mut bench = holder();
    let conn = bench.accept();
    let other = token::sign(&SECRET, Token { content: content("other"), ..granted() });
    let answer = bench.tell(conn, hello(other));
    assert_eq!(answer, [says(conn, Message::Busy { retry_ms: None }), Output::Close { conn }]);
}

#[test]
fn nonsense_closes_the_connection() {
    let nonsense = [
        Message::Welcome,
        Message::Have { piece: 31 },
        Message::Fetching { piece: 31 },
        request(1, 31),
        hello(token::sign(&SECRET, granted())),
        Message::Busy { retry_ms: None },
        Message::Login {
            version: 1,
            guid: Guid::from_bytes(REMOTE),
            listen: "10.0.0.1:1".parse().unwrap(),
            uploads: true,
            secondary: Vec::new(),
            program: String::new(),
            nat: NatClass::None,
            lan: None,
        },
    ];
    for message in nonsense {
        let mut bench = holder();
        let conn = greeted(&mut bench);
        assert_eq!(bench.tell(conn, message.clone()), closed(conn), "{message:?}");
    }
}

#[test]
fn a_request_before_the_greeting_closes_the_connection() {
    let mut bench = holder();
    let conn = bench.accept();
    assert_eq!(bench.tell(conn, request(0, 0)), closed(conn));
}

#[test]
fn too_many_requests_close_the_connection() {
    let mut bench = holder();
    let conn = greeted(&mut bench);
    let answers: Vec<Output> = (0..100).flat_map(|number| bench.tell(conn, request(number, number % 31))).collect();
    assert_eq!(answers.last(), Some(&Output::Close { conn }));
    // One part was ordered; nothing else may be before there is room.
    assert_eq!(answers.len(), 2);
}

#[test]
fn a_piece_is_sent_in_parts_one_at_a_time() {
    let mut bench = holder();
    let conn = greeted(&mut bench);
    let mut parts = bench.tell(conn, request(5, 30));
    for _ in 0..3 {
        bench.writable(conn);
        parts.extend(bench.said.remove(&conn).unwrap_or_default());
    }
    let part = |offset, bytes| Output::SendPiece {
        conn,
        request: RequestId(5),
        content: content("patch"),
        offset,
        bytes,
        corrupt: false,
    };
    assert_eq!(parts, [part(30 * 131_072, LAST)]);
    parts = bench.tell(conn, request(6, 2));
    bench.writable(conn);
    parts.extend(bench.said.remove(&conn).unwrap_or_default());
    let offsets: Vec<u64> = parts
        .iter()
        .map(|output| if let Output::SendPiece { offset, bytes: 65_536, .. } = output { *offset } else { 0 })
        .collect();
    assert_eq!(offsets, [2 * 131_072, 2 * 131_072 + 65_536]);
}

#[test]
fn so_many_are_served_or_wait_and_no_more() {
    let mut bench = holder();
    let mut conns = Vec::new();
    for number in 0..40 {
        let (conn, answer) = greets(&mut bench, 100 + number);
        assert!(matches!(answer[..], [Output::Send { message: Message::HelloBack { .. }, .. }]), "{answer:?}");
        conns.push(conn);
    }
    let (conn, answer) = greets(&mut bench, 140);
    assert_eq!(answer, [says(conn, Message::Busy { retry_ms: Some(5000) }), Output::Close { conn }]);
    bench.tell(conns[3], Message::Bye);
    let (_, answer) = greets(&mut bench, 140);
    assert!(matches!(answer[..], [Output::Send { message: Message::HelloBack { .. }, .. }]), "{answer:?}");
}

/// Connections on which a part has been ordered and has no room yet.
fn under_way(bench: &Bench, conns: &[ConnId]) -> Vec<usize> {
    conns.iter().enumerate().filter(|(_, conn)| bench.parts.contains(conn)).map(|(at, _)| at).collect()
}

#[test]
fn eight_are_served_at_a_time_and_after_a_piece_each_makes_room() {
    let mut bench = holder();
    let conns: Vec<ConnId> = (0..10).map(|number| greets(&mut bench, 100 + number).0).collect();
    for conn in &conns {
        bench.tell(*conn, request(1, 3));
        bench.tell(*conn, request(2, 4));
    }
    assert_eq!(under_way(&bench, &conns), [0, 1, 2, 3, 4, 5, 6, 7]);
    // A piece has two parts: with the second ordered, the next in line is served, and the first waits behind it.
    bench.writable(conns[5]);
    assert_eq!(under_way(&bench, &conns), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    bench.writable(conns[5]);
    assert_eq!(under_way(&bench, &conns), [0, 1, 2, 3, 4, 6, 7, 8]);
    bench.writable(conns[8]);
    bench.writable(conns[8]);
    assert_eq!(under_way(&bench, &conns), [0, 1, 2, 3, 4, 6, 7, 9]);
}

#[test]
fn one_that_takes_nothing_makes_room_for_those_who_wait() {
    let mut bench = holder();
    let conns: Vec<ConnId> = (0..9).map(|number| greets(&mut bench, 100 + number).0).collect();
    for conn in &conns[..8] {
        bench.tell(*conn, request(1, 3));
    }
    bench.wait(5 * SECOND);
    bench.tell(conns[8], request(1, 3));
    assert!(bench.parts.contains(&conns[8]), "nobody of the others has taken a byte for five seconds");
}

#[test]
fn a_copy_counts_downloaders_that_asked_for_something() {
    let mut world = World::new(object(4, 131_072));
    world.control = false;
    world.seed_peer(10.0).config.uploads.per_copy = 1;
    let mut bench = Bench::new(world.peer_machine(0));
    let busy = |conn, retry_ms| vec![says(conn, Message::Busy { retry_ms }), Output::Close { conn }];
    let (first, _) = greets(&mut bench, 100);
    // The only upload is reserved, but not used yet.
    let (second, answer) = greets(&mut bench, 101);
    assert_eq!(answer, busy(second, Some(5000)));
    bench.tell(first, Message::Bye);
    let (second, _) = greets(&mut bench, 101);
    bench.tell(second, request(0, 0));
    bench.tell(second, Message::Bye);
    let (third, answer) = greets(&mut bench, 102);
    assert_eq!(answer, busy(third, None));
    // Who was served before may come back for the rest.
    let (_, answer) = greets(&mut bench, 101);
    assert!(matches!(answer[..], [Output::Send { message: Message::HelloBack { .. }, .. }]), "{answer:?}");
}

#[test]
fn connections_take_turns() {
    let mut bench = holder();
    let (one, two) = (greeted(&mut bench), greeted(&mut bench));
    for conn in [one, two] {
        bench.tell(conn, request(0, 0));
        assert!(bench.parts.contains(&conn));
    }
    bench.writable(one);
    assert!(bench.parts.contains(&one) && bench.parts.contains(&two));
}

#[test]
fn a_cancelled_request_is_answered_unless_it_was_sent_whole() {
    let mut bench = holder();
    let conn = greeted(&mut bench);
    bench.tell(conn, request(1, 0));
    bench.tell(conn, request(2, 1));
    let cancel = |request| Message::Cancel { request: RequestId(request) };
    let cancelled = |request| says(conn, Message::Cancelled { request: RequestId(request) });
    assert_eq!(bench.tell(conn, cancel(2)), [cancelled(2)]);
    assert_eq!(bench.tell(conn, cancel(2)), []);
    // Half of the first is on its way: the rest is not sent.
    assert_eq!(bench.tell(conn, cancel(1)), [cancelled(1)]);
    bench.writable(conn);
    assert!(!bench.said.contains_key(&conn));
    // The last part of the shortest piece was ordered at once.
    bench.tell(conn, request(3, 30));
    assert_eq!(bench.tell(conn, cancel(3)), []);
}

#[test]
fn a_bye_is_answered_when_everything_was_handed_over() {
    let mut bench = holder();
    let conn = greeted(&mut bench);
    bench.tell(conn, request(1, 30));
    assert_eq!(bench.tell(conn, Message::Bye), []);
    bench.writable(conn);
    bench.feed(Input::PieceSent { conn, request: RequestId(1), bytes: LAST - 1 });
    assert!(!bench.said.contains_key(&conn));
    bench.feed(Input::PieceSent { conn, request: RequestId(1), bytes: 1 });
    assert_eq!(bench.said.remove(&conn), Some(vec![says(conn, Message::Bye), Output::Close { conn }]));
}

#[test]
fn a_silent_remote_loses_its_slot() {
    let mut bench = holder();
    let silent = bench.accept();
    let conn = greeted(&mut bench);
    bench.wait(6 * SECOND);
    assert!(!bench.open.contains(&silent));
    bench.wait(19 * SECOND);
    assert_eq!(bench.said.remove(&conn), None);
    bench.wait(21 * SECOND);
    assert_eq!(bench.said.remove(&conn), Some(vec![says(conn, Message::Bye)]));
    bench.wait(27 * SECOND);
    assert!(bench.open.is_empty());
}

#[test]
fn damage_is_ordered_where_the_fault_is_injected() {
    let mut world = World::new(object(4, 131_072));
    world.seed_peer(10.0).config.misbehaviour.corrupt = true;
    let mut bench = Bench::new(world.peer_machine(0));
    let conn = greeted(&mut bench);
    let answer = bench.tell(conn, request(1, 0));
    assert!(matches!(answer[..], [Output::SendPiece { corrupt: true, .. }]), "{answer:?}");
}
