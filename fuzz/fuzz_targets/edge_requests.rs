//! HTTP requests as the edge's machine gets them: a method, a target and the headers `range` and `if-range`, a line each.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerbed_contract::{EdgeConfig, EdgeLimits, NodeConfig, Object, RoleConfig};
use peerbed_proto::{ConnId, EdgeMachine, Endpoint, HttpReply, HttpRequest, Input, Machine, Output};

const SIZE: u64 = 1000;

fn edge() -> EdgeMachine {
    let object = Object {
        id: "patch".parse().expect("a name"),
        provider: "A".to_owned(),
        size: SIZE,
        piece_length: 100,
        key: 7,
        peers_allowed: true,
    };
    let config = EdgeConfig { port: 80, objects: vec![object], signing_key: [3; 32], token_lifetime_ns: 1, limits: EdgeLimits::default() };
    let node = NodeConfig {
        name: "edge-0".parse().expect("a name"),
        as_number: 1.try_into().expect("not 0"),
        region: "north".to_owned(),
        address: [10, 0, 0, 1].into(),
        seed: 1,
        role: RoleConfig::Edge(config.clone()),
    };
    EdgeMachine::new(&node, &config)
}

fuzz_target!(|data: &str| {
    let mut edge = edge();
    let (conn, from) = (ConnId(1), Endpoint { address: ([10, 0, 0, 9], 4000).into() });
    edge.handle(0, Input::Accepted { conn, from });
    let mut lines = data.lines().map(str::to_owned);
    while let (Some(method), Some(target)) = (lines.next(), lines.next()) {
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let request = HttpRequest { method, path, query, range: lines.next(), if_range: lines.next() };
        edge.handle(0, Input::Http { conn, from, request });
        let Output::Reply { reply, .. } = edge.poll(0) else { panic!("every request is answered") };
        if let HttpReply::Object { offset, bytes, .. } = reply {
            assert!(offset + bytes <= SIZE);
        }
    }
});
