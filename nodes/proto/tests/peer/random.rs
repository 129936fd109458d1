//! Whatever goes wrong: random faults in a network, and remotes that say anything at any moment.

use peerbed_contract::{
    Flood, Guid, Inflate, Misbehaviour, NatClass, SignedToken, Stall, TerminalStatus, Token, UserAct, UserMoment,
};
use peerbed_proto::{ConnId, Input, Message, PeerAddress, PieceMap, Refusal, RequestId, Time, token};
use proptest::prelude::*;

use crate::{
    agenda::Todo,
    bench::{Asked, Bench},
    edge::{SECRET, content_hash, manifest},
    net::{MS, SECOND, address_of},
    world::{World, content, object},
};

/// A fault at a peer or the control plane, in hundredths of the run.
#[derive(Debug, Clone)]
enum Fault {
    Kill(u8),
    Silence(u8),
    Revive(u8),
    Slow(u8),
    EdgeRefuses,
    EdgeServes,
}

fn fault() -> impl Strategy<Value = (u64, Fault)> {
    let host = 0..8_u8;
    let kind = prop_oneof![
        host.clone().prop_map(Fault::Kill),
        host.clone().prop_map(Fault::Silence),
        host.clone().prop_map(Fault::Revive),
        host.prop_map(Fault::Slow),
        Just(Fault::EdgeRefuses),
        Just(Fault::EdgeServes),
    ];
    (0..40_000_u64, kind)
}

fn misbehaviour() -> impl Strategy<Value = Misbehaviour> {
    let stall = proptest::option::of((0..9_000_u64).prop_map(|trickle_bps| Stall { trickle_bps }));
    let flood = (1..300_u32, 0..60_000_u64).prop_map(|(per_second, ms)| Flood { per_second, lasts_ns: ms * MS });
    let inflate = proptest::option::of((2..9_u32).prop_map(|factor| Inflate { factor }));
    (any::<bool>(), stall, inflate, proptest::option::of(flood), any::<bool>(), any::<bool>()).prop_map(
        |(corrupt, stall, inflate, flood, ignore_caps, malformed)| Misbehaviour {
            corrupt,
            stall,
            inflate,
            flood,
            ignore_caps,
            malformed,
        },
    )
}

fn user() -> impl Strategy<Value = Vec<UserMoment>> {
    let act = prop_oneof![
        3 => (100..20_000_u64).prop_map(|ms| UserAct::Pause { resume_after_ns: Some(ms * MS) }),
        1 => Just(UserAct::Pause { resume_after_ns: None }),
        1 => Just(UserAct::Abort),
    ];
    proptest::collection::vec((0..8_000_u64, act), 0..3).prop_map(|moments| {
        let mut moments: Vec<UserMoment> =
            moments.into_iter().map(|(ms, act)| UserMoment { after_active_ns: ms * MS, act }).collect();
        moments.sort_by_key(|moment| moment.after_active_ns);
        moments
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Every download ends, in the way that the user wants; the second edge always lives, so none fails.
    #[test]
    fn every_download_comes_to_its_end(
        seed in 0..1_000_u64,
        faults in proptest::collection::vec(fault(), 0..12),
        users in proptest::collection::vec(user(), 3),
        bad in proptest::collection::vec((3..8_usize, misbehaviour()), 0..4),
    ) {
        let mut world = World::new(object(12, 131_072));
        world.seed = seed;
        world.edges = vec![50.0, 50.0];
        for (index, user) in users.iter().enumerate() {
            world.downloader(8.0, 40.0, index as u64 * 2 * SECOND, user.clone());
        }
        for _ in 0..5 {
            world.seed_peer(6.0);
        }
        for (holder, misbehaviour) in bad {
            world.peers[holder].config.misbehaviour = misbehaviour;
        }
        let mut net = world.build();
        for (ms, fault) in &faults {
            // Never a downloader nor the second edge: 0 stands for the control plane, 1 and 2 for the first edge.
            let host = |number: u8| match number {
                0 => world.control_host(0),
                1 | 2 => World::edge_host(0),
                holder => world.peer_host(usize::from(holder)),
            };
            let todo = match *fault {
                Fault::Kill(number) => Todo::Kill(host(number)),
                Fault::Silence(number) => Todo::Silence(host(number)),
                Fault::Revive(number) => Todo::Revive(host(number)),
                // A slow edge is not left for another as long as it gives, so it must be able to serve three in time.
                Fault::Slow(number @ (1 | 2)) => Todo::Rate { host: host(number), up: 2.0, down: 40.0 },
                Fault::Slow(number) => Todo::Rate { host: host(number), up: 0.1, down: 40.0 },
                Fault::EdgeRefuses => Todo::Refuse { host: 0, status: 503, retry_after: None },
                Fault::EdgeServes => Todo::Serve(0),
            };
            net.at(ms * MS, todo);
        }
        let outcome = World::run(net, 200 * SECOND);
        for (download, user) in users.iter().enumerate() {
            let record = outcome.record(download as u32);
            match record.status {
                TerminalStatus::Completed => {}
                TerminalStatus::Aborted => prop_assert!(user.iter().any(|moment| moment.act == UserAct::Abort)),
                TerminalStatus::Paused => {
                    let terminal = UserAct::Pause { resume_after_ns: None };
                    prop_assert!(user.iter().any(|moment| moment.act == terminal));
                }
                TerminalStatus::Failed | TerminalStatus::Unfinished => prop_assert!(false, "{record:?}"),
            }
        }
    }
}

/// Something that a driver or a remote may hand in.
#[derive(Debug, Clone)]
enum Any {
    Accept,
    /// On the n-th connection.
    On(usize, Thing),
    Wait(u64),
    Stop,
}

#[derive(Debug, Clone)]
enum Thing {
    Connected,
    Closed(bool),
    Message(Message),
    Garbled,
    Data(u32, u32),
    Whole(u32),
    End(u32),
    Sent(u32),
    Writable,
    Granted(bool),
    Refused(u32, u16),
}

fn remote_guid() -> Guid {
    Guid::from_bytes([77; 16])
}

/// A token that was granted to a host.
fn good_token(guid: Guid, host: usize) -> SignedToken {
    let (content, address) = (content("patch"), address_of(host));
    token::sign(&SECRET, Token { guid, content, address, peers_allowed: true, expires: Time::MAX, nonce: 1 })
}

fn map() -> impl Strategy<Value = PieceMap> {
    prop_oneof![
        Just(PieceMap { pieces: 31, bits: vec![0xff, 0xff, 0xff, 0x7f] }),
        Just(PieceMap { pieces: 31, bits: vec![0xff, 0x0f, 0, 0] }),
        Just(PieceMap { pieces: 31, bits: vec![0xff; 4] }),
        (0..40_u32, proptest::collection::vec(any::<u8>(), 0..6)).prop_map(|(pieces, bits)| PieceMap { pieces, bits }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let request = (0..6_u32).prop_map(RequestId);
    let guid = prop_oneof![Just(remote_guid()), Just(Guid::from_bytes([1; 16]))];
    // Remotes connect from host 20; those that are dialled are any of six.
    let signed = prop_oneof![
        4 => Just(good_token(remote_guid(), 20)),
        2 => (3..9_usize).prop_map(|host| good_token(remote_guid(), host)),
        1 => Just(good_token(Guid::from_bytes([5; 16]), 20)),
    ];
    let addresses = proptest::collection::vec((3..9_usize, any::<u8>()), 0..5).prop_map(|peers| {
        let peer = |(host, byte): (usize, u8)| PeerAddress {
            guid: Guid::from_bytes([byte; 16]),
            address: std::net::SocketAddr::new(address_of(host), 7001),
            nat: NatClass::ALL[host % 5],
        };
        peers.into_iter().map(peer).collect::<Vec<_>>()
    });
    prop_oneof![
        4 => (0..3_u32, guid, signed.clone(), map()).prop_map(|(version, guid, token, have)| {
            Message::Hello { version: version.min(1), guid, token, have }
        }),
        3 => (map(), proptest::option::of(signed)).prop_map(|(have, token)| {
            Message::HelloBack { guid: remote_guid(), have, token }
        }),
        1 => proptest::option::of(0..5000_u32).prop_map(|retry_ms| Message::Busy { retry_ms }),
        2 => (0..40_u32).prop_map(|piece| Message::Have { piece }),
        2 => (0..40_u32).prop_map(|piece| Message::Fetching { piece }),
        4 => (request.clone(), 0..40_u32).prop_map(|(request, piece)| Message::Request { request, piece }),
        1 => request.clone().prop_map(|request| Message::Cancel { request }),
        2 => request.clone().prop_map(|request| Message::Cancelled { request }),
        1 => (request, 0..70_000_u32).prop_map(|(request, bytes)| Message::Part { request, bytes }),
        2 => Just(Message::Bye),
        1 => any::<u8>().prop_map(|byte| Message::Reach { guid: Guid::from_bytes([byte; 16]), content: content("patch") }),
        3 => Just(Message::Welcome),
        3 => (0..4_u32, addresses, 0..9_u32).prop_map(|(query, peers, copies)| Message::Peers { query, peers, copies }),
        1 => proptest::option::of(0..4_u32).prop_map(|query| Message::Refused { query, reason: "no".to_owned(), renew: true }),
        1 => Just(Message::Unregister { content: content("patch") }),
    ]
}

fn thing() -> impl Strategy<Value = Thing> {
    prop_oneof![
        6 => Just(Thing::Connected),
        1 => any::<bool>().prop_map(Thing::Closed),
        12 => message().prop_map(Thing::Message),
        1 => Just(Thing::Garbled),
        2 => (0..6_u32, 0..140_000_u32).prop_map(|(request, bytes)| Thing::Data(request, bytes)),
        6 => (0..40_u32).prop_map(Thing::Whole),
        2 => (0..6_u32).prop_map(Thing::End),
        2 => (0..70_000_u32).prop_map(Thing::Sent),
        2 => Just(Thing::Writable),
        4 => any::<bool>().prop_map(Thing::Granted),
        1 => (0..6_u32, 400..504_u16).prop_map(|(request, status)| Thing::Refused(request, status)),
    ]
}

fn anything() -> impl Strategy<Value = Any> {
    prop_oneof![
        2 => Just(Any::Accept),
        16 => (0..12_usize, thing()).prop_map(|(conn, thing)| Any::On(conn, thing)),
        3 => (0..8_000_u64).prop_map(Any::Wait),
        1 => Just(Any::Stop),
    ]
}

/// Hands one thing in.
fn hand_in(bench: &mut Bench, conn: ConnId, thing: Thing) {
    let wrong = [0xee; 32];
    let input = match thing {
        Thing::Connected => Input::Connected { conn },
        Thing::Closed(clean) => {
            bench.open.retain(|open| *open != conn);
            Input::Closed { conn, clean }
        }
        Thing::Message(message) => Input::Message { conn, message },
        Thing::Garbled => {
            bench.feed(Input::Garbled { conn });
            bench.open.retain(|open| *open != conn);
            Input::Closed { conn, clean: false }
        }
        Thing::Data(request, bytes) => Input::PieceData { conn, request: RequestId(request), bytes },
        Thing::Whole(number) => {
            if bench.asked.is_empty() {
                return;
            }
            let at = number as usize % bench.asked.len();
            let Asked { conn, request, bytes, offset } = bench.asked.remove(at);
            bench.feed(Input::PieceData { conn, request, bytes });
            let hash = content_hash(&content("patch"), offset.unwrap_or(u64::MAX), false);
            Input::PieceEnd { conn, request, hash }
        }
        Thing::End(request) => Input::PieceEnd { conn, request: RequestId(request), hash: wrong },
        Thing::Sent(bytes) => Input::PieceSent { conn, request: RequestId(0), bytes },
        Thing::Writable => {
            bench.parts.remove(&conn);
            Input::Writable { conn }
        }
        Thing::Granted(good) => {
            let granted = (manifest(&object(4, 131_072)), good_token(Guid::from_bytes([1; 16]), 2));
            let result = if good {
                Ok(granted)
            } else {
                Err(Refusal { status: None, retry_after: None, reason: "no".to_owned() })
            };
            Input::Authorized { conn, result }
        }
        Thing::Refused(request, status) => {
            let request = RequestId(request);
            Input::EdgeRefused { conn, request, status: Some(status), retry_after: None }
        }
    };
    bench.feed(input);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Nothing that remotes do makes the machine panic, talk on closed connections, or miss its end.
    #[test]
    fn a_machine_survives_anything(
        acts in proptest::collection::vec(anything(), 0..120),
        holds in any::<bool>(),
        own in prop_oneof![2 => Just(Misbehaviour::default()), 1 => misbehaviour()],
    ) {
        let mut world = World::new(object(4, 131_072));
        world.edges = vec![10.0, 10.0];
        world.downloader(5.0, 5.0, 10 * MS, vec![]).config.misbehaviour = own;
        if holds {
            world.peers[0].config.holds.push(content("patch"));
        }
        let machine = world.peer_machine(0);
        let mut bench = Bench::new(machine);
        bench.wait(20 * MS);
        for act in acts {
            match act {
                Any::Accept => {
                    bench.accept();
                }
                Any::On(at, thing) => {
                    if let Some(&conn) = bench.open.get(at % bench.open.len().max(1)) {
                        hand_in(&mut bench, conn, thing);
                    }
                }
                Any::Wait(ms) => bench.wait(bench.now + ms * MS),
                Any::Stop => bench.feed(Input::Stop),
            }
            if bench.finished {
                break;
            }
        }
        if !bench.finished {
            bench.feed(Input::Stop);
            bench.wait(bench.now + 6 * SECOND);
        }
        prop_assert!(bench.finished, "it did not finish within six seconds of the stop");
    }
}
