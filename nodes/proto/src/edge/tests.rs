//! The edge machine's answers and its accounting.

use std::net::SocketAddr;

use peerbed_contract::{EdgeLimits, NodeName, RoleConfig};

use super::*;
use crate::Endpoint;

const SECRET: [u8; 32] = [3; 32];
const GUID: &str = "000102030405060708090a0b0c0d0e0f";

fn object(id: &str, size: u64) -> Object {
    Object {
        id: id.parse().unwrap(),
        provider: "A".to_owned(),
        size,
        piece_length: 16,
        key: 0xfeed,
        peers_allowed: id == "patch",
    }
}

fn edge() -> EdgeMachine {
    limited(EdgeLimits::default())
}

fn limited(limits: EdgeLimits) -> EdgeMachine {
    let config = EdgeConfig {
        port: 80,
        objects: vec![object("patch", 100), object("film", 1000)],
        signing_key: SECRET,
        token_lifetime_ns: 500,
        limits,
    };
    let node = NodeConfig {
        name: "edge-0".parse::<NodeName>().unwrap(),
        as_number: 1.try_into().unwrap(),
        region: "north".to_owned(),
        address: "10.0.0.1".parse().unwrap(),
        seed: 1,
        role: RoleConfig::Edge(config.clone()),
    };
    EdgeMachine::new(&node, &config)
}

const CONN: ConnId = ConnId(1);

fn client() -> Endpoint {
    Endpoint { address: SocketAddr::from(([10, 0, 0, 9], 4000)) }
}

fn drain(edge: &mut EdgeMachine) -> Vec<Output> {
    let mut outputs = Vec::new();
    loop {
        match edge.poll(0) {
            Output::Idle { until } => {
                assert_eq!(until, None);
                return outputs;
            }
            output => outputs.push(output),
        }
    }
}

fn request(method: &str, target: &str) -> HttpRequest {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        range: None,
        if_range: None,
    }
}

fn ask(edge: &mut EdgeMachine, request: HttpRequest) -> HttpReply {
    if !edge.conns.contains_key(&CONN) {
        edge.handle(0, Input::Accepted { conn: CONN, from: client() });
    }
    edge.handle(0, Input::Http { conn: CONN, from: client(), request });
    match drain(edge).as_slice() {
        [Output::Reply { conn: CONN, reply }] => reply.clone(),
        other => panic!("one reply expected, got {other:?}"),
    }
}

fn status(reply: &HttpReply) -> u16 {
    match reply {
        HttpReply::Object { status, .. } | HttpReply::Text { status, .. } => *status,
        HttpReply::Manifest { .. } => 200,
    }
}

fn header<'a>(reply: &'a HttpReply, wanted: &str) -> Option<&'a str> {
    let (HttpReply::Object { headers, .. } | HttpReply::Text { headers, .. } | HttpReply::Manifest { headers, .. }) =
        reply;
    headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str())
}

fn sent(edge: &mut EdgeMachine, content: &str, bytes: u64) {
    edge.handle(0, Input::HttpSent { conn: CONN, to: client(), content: content.parse().unwrap(), bytes });
    assert_eq!(drain(edge), []);
}

fn counted(served: u64, refused: u64) -> Output {
    Output::Event(EventKind::Requests { served, refused })
}

fn transfer(content: &str, sent: u64, broken: bool) -> Output {
    Output::Event(EventKind::Transfer(TransferRecord {
        remote: client().address.ip(),
        local: None,
        content: content.parse().unwrap(),
        sent,
        received: 0,
        broken,
    }))
}

#[test]
fn whole_objects_and_heads() {
    let mut edge = edge();
    let reply = ask(&mut edge, request("GET", "/objects/patch"));
    assert!(matches!(&reply, HttpReply::Object { status: 200, offset: 0, bytes: 100, head_only: false, .. }));
    assert_eq!(header(&reply, "accept-ranges"), Some("bytes"));
    assert_eq!(header(&reply, "etag"), Some("\"000000000000feed-64\""));
    assert_eq!(header(&reply, "content-range"), None);
    let reply = ask(&mut edge, HttpRequest { range: Some("bytes=0-1".into()), ..request("HEAD", "/objects/patch") });
    assert!(matches!(reply, HttpReply::Object { status: 200, offset: 0, bytes: 100, head_only: true, .. }));
}

#[test]
fn ranges_and_if_range() {
    let mut edge = edge();
    let ranged = HttpRequest { range: Some("bytes=-10".into()), ..request("GET", "/objects/patch") };
    let reply = ask(&mut edge, ranged.clone());
    assert!(matches!(&reply, HttpReply::Object { status: 206, offset: 90, bytes: 10, .. }));
    assert_eq!(header(&reply, "content-range"), Some("bytes 90-99/100"));

    let etag = header(&reply, "etag").unwrap().to_owned();
    let same = HttpRequest { if_range: Some(etag), ..ranged.clone() };
    assert_eq!(status(&ask(&mut edge, same)), 206);
    let other = HttpRequest { if_range: Some("\"old\"".into()), ..ranged };
    assert!(matches!(ask(&mut edge, other), HttpReply::Object { status: 200, offset: 0, bytes: 100, .. }));

    let beyond = HttpRequest { range: Some("bytes=100-".into()), ..request("GET", "/objects/patch") };
    let reply = ask(&mut edge, beyond);
    assert_eq!(status(&reply), 416);
    assert_eq!(header(&reply, "content-range"), Some("bytes */100"));
}

#[rstest::rstest]
#[case("GET", "/", 200)]
#[case("HEAD", "/", 200)]
#[case("POST", "/", 405)]
#[case("GET", "/objects", 404)]
#[case("GET", "/objects/", 404)]
#[case("GET", "/objects/nothing", 404)]
#[case("GET", "/objects/..%2f", 404)]
#[case("GET", "/objects/patch/", 404)]
#[case("GET", "/objects/patch/other", 404)]
#[case("DELETE", "/objects/patch", 405)]
#[case("POST", "/objects/patch/manifest", 405)]
#[case("GET", "/objects/patch/manifest", 200)]
#[case("GET", "/objects/patch/authorize", 400)]
#[case("GET", "/objects/nothing/authorize?guid=000102030405060708090a0b0c0d0e0f", 404)]
#[case("GET", "/objects/patch/authorize?guid=12", 400)]
#[case("GET", "/objects/patch/authorize?guid=000102030405060708090a0b0c0d0e0f", 200)]
#[case("POST", "/objects/patch/authorize?x=1&guid=000102030405060708090a0b0c0d0e0f", 200)]
#[case("PUT", "/objects/patch/authorize", 405)]
fn statuses(#[case] method: &str, #[case] target: &str, #[case] expected: u16) {
    let reply = ask(&mut edge(), request(method, target));
    assert_eq!(status(&reply), expected, "{reply:?}");
    if let HttpReply::Text { body, .. } = reply {
        assert!(body.ends_with('\n'), "{body:?} explains in a line");
    }
}

#[test]
fn an_authorisation_carries_a_valid_token_with_a_new_nonce() {
    let mut edge = edge();
    edge.handle(0, Input::Accepted { conn: CONN, from: client() });
    let mut nonces = Vec::new();
    for (content, peers_allowed) in [("patch", true), ("film", false)] {
        let request = request("GET", &format!("/objects/{content}/authorize?guid={GUID}"));
        edge.handle(1_000, Input::Http { conn: CONN, from: client(), request });
        let Output::Reply { reply: HttpReply::Manifest { content: named, token: Some(signed), .. }, .. } =
            edge.poll(1_000)
        else {
            panic!("an authorisation is a manifest with a token")
        };
        assert_eq!(named.as_str(), content);
        let granted = token::verify(&token::public_key(&SECRET), &signed, 1_499).unwrap();
        assert_eq!(granted.guid, GUID.parse().unwrap());
        assert_eq!((granted.content.as_str(), granted.peers_allowed), (content, peers_allowed));
        assert_eq!((granted.expires, granted.address), (1_500, client().address.ip()));
        nonces.push(granted.nonce);
        assert_eq!(drain(&mut edge), []);
    }
    assert_ne!(nonces[0], nonces[1]);
}

#[test]
fn a_connection_that_ends_is_accounted_by_content() {
    let mut edge = edge();
    ask(&mut edge, request("GET", "/objects/patch"));
    sent(&mut edge, "patch", 60);
    sent(&mut edge, "patch", 40);
    ask(&mut edge, HttpRequest { range: Some("bytes=0-9".into()), ..request("GET", "/objects/film") });
    sent(&mut edge, "film", 10);
    ask(&mut edge, request("HEAD", "/objects/film"));
    ask(&mut edge, request("GET", "/objects/film/manifest"));
    edge.handle(0, Input::Closed { conn: CONN, clean: true });
    assert_eq!(drain(&mut edge), [transfer("film", 10, false), transfer("patch", 100, false)]);
    edge.handle(0, Input::Stop);
    assert_eq!(drain(&mut edge), [counted(2, 0), Output::Finished], "nothing is counted twice");
}

#[test]
fn an_unfinished_body_is_broken_even_if_the_connection_ended_in_order() {
    let mut edge = edge();
    ask(&mut edge, request("GET", "/objects/patch"));
    sent(&mut edge, "patch", 60);
    edge.handle(0, Input::Closed { conn: CONN, clean: true });
    assert_eq!(drain(&mut edge), [transfer("patch", 60, true)]);
}

#[test]
fn stop_accounts_for_open_connections_and_closes_them() {
    let mut edge = edge();
    ask(&mut edge, request("GET", "/objects/patch"));
    sent(&mut edge, "patch", 100);
    edge.handle(0, Input::Stop);
    let last = [Output::Close { conn: CONN }, transfer("patch", 100, false), counted(1, 0), Output::Finished];
    assert_eq!(drain(&mut edge), last);
    edge.handle(0, Input::Stop);
    edge.handle(0, Input::Http { conn: CONN, from: client(), request: request("GET", "/") });
    assert_eq!(drain(&mut edge), []);
    edge.handle(0, Input::Accepted { conn: ConnId(3), from: client() });
    assert_eq!(drain(&mut edge), [Output::Close { conn: ConnId(3) }]);
}

#[test]
fn an_outage_refuses_everything_until_it_is_over() {
    let mut edge = edge();
    edge.handle(0, Input::Order(Order::Outage { for_ns: 2_500_000_000 }));
    for target in ["/", "/objects/patch", "/objects/patch/manifest", "/objects/none"] {
        let reply = ask(&mut edge, request("GET", target));
        assert_eq!((status(&reply), header(&reply, "retry-after")), (503, Some("3")), "{target}");
    }
    edge.handle(2_000_000_000, Input::Http { conn: CONN, from: client(), request: request("GET", "/") });
    let [Output::Reply { reply, .. }] = &drain(&mut edge)[..] else { panic!("one reply") };
    assert_eq!(header(reply, "retry-after"), Some("1"));
    edge.handle(2_500_000_000, Input::Http { conn: CONN, from: client(), request: request("GET", "/") });
    let [Output::Reply { reply, .. }] = &drain(&mut edge)[..] else { panic!("one reply") };
    assert_eq!(status(reply), 200);
}

#[test]
fn what_an_edge_serves_goes_on_in_an_outage() {
    let mut edge = edge();
    ask(&mut edge, request("GET", "/objects/patch"));
    edge.handle(0, Input::Order(Order::Outage { for_ns: 1 }));
    sent(&mut edge, "patch", 100);
    edge.handle(0, Input::Closed { conn: CONN, clean: true });
    assert_eq!(drain(&mut edge), [transfer("patch", 100, false)]);
}

#[test]
fn an_order_for_others_is_told() {
    let mut edge = edge();
    edge.handle(0, Input::Order(Order::Wipe));
    let message = "an edge has no use for the order `wipe`".to_owned();
    assert_eq!(drain(&mut edge), [Output::Event(EventKind::Notice { message })]);
}

fn set(edge: &mut EdgeMachine, now: Time, token_lifetime_ns: Time, limits: EdgeLimits) {
    let policy = peerbed_contract::EdgePolicy { token_lifetime_ns, limits };
    edge.handle(now, Input::Order(Order::Policy(Box::new(NodePolicy::Edge(policy)))));
    assert_eq!(drain(edge), []);
}

#[test]
fn another_policy_holds_for_what_is_asked_from_then_on() {
    let mut edge = edge();
    assert_eq!(on(&mut edge, 1, 0, "GET", "/objects/patch").0, 200);
    set(&mut edge, SECOND, SECOND, EdgeLimits { requests: Some(1), rate: Some(2.0), ..EdgeLimits::default() });
    assert_eq!(on(&mut edge, 3, SECOND, "GET", "/objects/patch").0, 503, "what is served already counts");
    sent(&mut edge, "patch", 100);
    let mut status = |now: Time| {
        let status = on(&mut edge, 3, now, "GET", "/objects/patch").0;
        edge.handle(
            now,
            Input::HttpSent { conn: ConnId(3), to: client(), content: "patch".parse().unwrap(), bytes: 100 },
        );
        status
    };
    assert_eq!([SECOND, SECOND, SECOND, 2 * SECOND].map(&mut status), [200, 200, 503, 200]);
    set(&mut edge, 2 * SECOND, 5 * SECOND, EdgeLimits::default());
    let reply = ask(&mut edge, request("GET", &format!("/objects/patch/authorize?guid={GUID}")));
    let HttpReply::Manifest { token: Some(token), .. } = reply else { panic!("{reply:?}") };
    assert_eq!(token.token.expires, 5 * SECOND, "asked at the beginning");
}

/// The status of the answer to a request on a connection of its own.
fn on(edge: &mut EdgeMachine, conn: u64, now: Time, method: &str, target: &str) -> (u16, Option<String>) {
    let conn = ConnId(conn);
    if !edge.conns.contains_key(&conn) {
        edge.handle(now, Input::Accepted { conn, from: client() });
    }
    edge.handle(now, Input::Http { conn, from: client(), request: request(method, target) });
    let [Output::Reply { reply, .. }] = &drain(edge)[..] else { panic!("one reply") };
    (status(reply), header(reply, "retry-after").map(str::to_owned))
}

#[test]
fn beyond_its_requests_an_edge_is_busy() {
    let limits = EdgeLimits { requests: Some(2), rate: None, retry_after_ns: 2_100_000_000 };
    let mut edge = limited(limits);
    let busy = (503, Some("3".to_owned()));
    let authorize = format!("/objects/patch/authorize?guid={GUID}");
    assert_eq!(on(&mut edge, 1, 0, "GET", "/objects/patch").0, 200);
    assert_eq!(on(&mut edge, 3, 0, "GET", "/objects/film").0, 200);
    assert_eq!(on(&mut edge, 5, 0, "GET", "/objects/patch"), busy);
    // What carries no content is not counted.
    for (method, target) in [("HEAD", "/objects/patch"), ("GET", "/"), ("GET", &authorize)] {
        assert_eq!(on(&mut edge, 5, 0, method, target).0, 200, "{method} {target}");
    }
    // Whoever has been served, or has gone, makes room.
    sent(&mut edge, "patch", 100);
    assert_eq!(on(&mut edge, 5, 0, "GET", "/objects/patch").0, 200);
    assert_eq!(on(&mut edge, 1, 0, "GET", "/objects/patch"), busy);
    edge.handle(0, Input::Closed { conn: ConnId(3), clean: false });
    drain(&mut edge);
    assert_eq!(on(&mut edge, 1, 0, "GET", "/objects/patch").0, 200);
    edge.handle(0, Input::Stop);
    assert!(drain(&mut edge).contains(&counted(4, 2)));
}

#[test]
fn beyond_its_rate_an_edge_is_busy() {
    let mut edge = limited(EdgeLimits { rate: Some(2.0), ..EdgeLimits::default() });
    let mut status = |now: Time| on(&mut edge, 1, now, "GET", "/objects/patch").0;
    assert_eq!([0, 0, 0].map(&mut status), [200, 200, 503]);
    assert_eq!([SECOND / 4, SECOND / 2, SECOND / 2].map(&mut status), [503, 200, 503]);
    // However long nobody comes, no more than a second's worth is saved.
    assert_eq!([100, 100, 100].map(|at| status(at * SECOND)), [200, 200, 503]);
}
