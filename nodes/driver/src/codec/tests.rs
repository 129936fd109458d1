//! The codec: round trips whatever the cuts, and garbage that must not hurt.

use peerbed_contract::{Guid, NatClass, SignedToken, Token};
use peerbed_proto::{Nearness, Offered, PeerAddress, PieceMap, Profile, UsageEntry};
use proptest::prelude::*;

use super::*;

fn guid() -> impl Strategy<Value = Guid> {
    any::<[u8; 16]>().prop_map(Guid::from_bytes)
}

/// An address as IP packets carry it; the scope of a link-local one means nothing to others and is not encoded.
fn address() -> impl Strategy<Value = std::net::SocketAddr> {
    (any::<std::net::IpAddr>(), any::<u16>()).prop_map(Into::into)
}

fn content() -> impl Strategy<Value = peerbed_contract::ContentId> {
    "[a-z0-9][a-zA-Z0-9._-]{0,62}".prop_map(|name| name.parse().unwrap())
}

fn token() -> impl Strategy<Value = SignedToken> {
    let token = (guid(), content(), any::<std::net::IpAddr>(), any::<bool>(), any::<u64>(), any::<u64>());
    (token, any::<Vec<u8>>()).prop_map(|((guid, content, address, peers_allowed, expires, nonce), signature)| {
        SignedToken { token: Token { guid, content, address, peers_allowed, expires, nonce }, signature }
    })
}

fn nat() -> impl Strategy<Value = NatClass> {
    prop::sample::select(NatClass::ALL.to_vec())
}

fn lan() -> impl Strategy<Value = Option<String>> {
    prop::option::of(".{0,9}")
}

fn profile() -> impl Strategy<Value = Profile> {
    (peer(), lan(), any::<bool>(), any::<u32>()).prop_map(|(peer, lan, uploads, free)| Profile {
        peer,
        lan,
        uploads,
        free,
    })
}

fn offered() -> impl Strategy<Value = Offered> {
    let nearness = [Nearness::SameLan, Nearness::SameAs, Nearness::SameRegion, Nearness::World];
    (peer(), prop::sample::select(nearness.to_vec()), any::<u64>())
        .prop_map(|(peer, nearness, last_returned)| Offered { peer, nearness, last_returned })
}

/// What the nodes of the control plane say to each other, and of lost registries.
fn between_nodes() -> impl Strategy<Value = Message> {
    prop_oneof![
        any::<u32>().prop_map(|within_ms| Message::ReAdd { within_ms }),
        any::<u32>().prop_map(|copies| Message::ReAdded { copies }),
        any::<u32>().prop_map(|free| Message::Slots { free }),
        any::<u32>().prop_map(|version| Message::Attach { version }),
        (profile(), content(), any::<bool>()).prop_map(|(profile, content, complete)| Message::Put {
            profile,
            content,
            complete
        }),
        (guid(), content()).prop_map(|(guid, content)| Message::Withdraw { guid, content }),
        guid().prop_map(|guid| Message::Forget { guid }),
        (guid(), any::<u32>()).prop_map(|(guid, free)| Message::Free { guid, free }),
        (any::<u32>(), content(), profile(), any::<u32>(), any::<u32>())
            .prop_map(|(lookup, content, asker, near, rest)| Message::Lookup { lookup, content, asker, near, rest }),
        (content(), peer(), prop::collection::vec(guid(), 0..50))
            .prop_map(|(content, asker, peers)| Message::Returned { content, asker, peers }),
        any::<u64>().prop_map(|incarnation| Message::Attached { incarnation }),
        (any::<u32>(), prop::collection::vec(offered(), 0..50), any::<u32>())
            .prop_map(|(lookup, peers, copies)| Message::Found { lookup, peers, copies }),
        (guid(), peer(), content()).prop_map(|(to, peer, content)| Message::Deliver { to, peer, content }),
    ]
}

fn have() -> impl Strategy<Value = PieceMap> {
    (any::<u32>(), any::<Vec<u8>>()).prop_map(|(pieces, bits)| PieceMap { pieces, bits })
}

fn peer() -> impl Strategy<Value = PeerAddress> {
    (guid(), address(), proptest::sample::select(NatClass::ALL.to_vec())).prop_map(|(guid, address, nat)| PeerAddress {
        guid,
        address,
        nat,
    })
}

fn usage() -> impl Strategy<Value = UsageEntry> {
    (content(), prop::option::of(guid()), any::<u64>(), any::<u64>())
        .prop_map(|(content, partner, received, sent)| UsageEntry { content, partner, received, sent })
}

fn message() -> impl Strategy<Value = Message> {
    let request = any::<u32>().prop_map(RequestId);
    prop_oneof![
        (any::<u32>(), guid(), address(), any::<bool>(), prop::collection::vec(guid(), 0..9), ".{0,99}", nat(), lan())
            .prop_map(|(version, guid, listen, uploads, secondary, program, nat, lan)| {
                Message::Login { version, guid, listen, uploads, secondary, program, nat, lan }
            }),
        (content(), any::<bool>()).prop_map(|(content, complete)| Message::Register { content, complete }),
        content().prop_map(|content| Message::Unregister { content }),
        (any::<u32>(), token()).prop_map(|(query, token)| Message::Query { query, token }),
        (prop::collection::vec(usage(), 0..9), any::<bool>())
            .prop_map(|(entries, last)| Message::Usage { entries, last }),
        Just(Message::Welcome),
        (any::<u32>(), prop::collection::vec(peer(), 0..50), any::<u32>())
            .prop_map(|(query, peers, copies)| Message::Peers { query, peers, copies }),
        (peer(), content()).prop_map(|(peer, content)| Message::Introduce { peer, content }),
        (any::<Option<u32>>(), ".{0,99}", any::<bool>()).prop_map(|(query, reason, renew)| Message::Refused {
            query,
            reason,
            renew
        }),
        (any::<u32>(), guid(), token(), have()).prop_map(|(version, guid, token, have)| Message::Hello {
            version,
            guid,
            token,
            have
        }),
        (guid(), have(), prop::option::of(token())).prop_map(|(guid, have, token)| Message::HelloBack {
            guid,
            have,
            token
        }),
        any::<Option<u32>>().prop_map(|retry_ms| Message::Busy { retry_ms }),
        any::<u32>().prop_map(|piece| Message::Have { piece }),
        any::<u32>().prop_map(|piece| Message::Fetching { piece }),
        (request.clone(), any::<u32>()).prop_map(|(request, piece)| Message::Request { request, piece }),
        request.clone().prop_map(|request| Message::Cancel { request }),
        request.prop_map(|request| Message::Cancelled { request }),
        Just(Message::Bye),
        (guid(), content()).prop_map(|(guid, content)| Message::Reach { guid, content }),
    ]
}

/// A message, or content bytes of a request.
#[derive(Debug, Clone, PartialEq)]
enum Sent {
    Message(Message),
    Content(RequestId, Vec<u8>),
}

fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let content = (any::<u32>(), prop::collection::vec(any::<u8>(), 1..3000));
    let item = prop_oneof![
        message().prop_map(Sent::Message),
        between_nodes().prop_map(Sent::Message),
        content.prop_map(|(request, bytes)| Sent::Content(RequestId(request), bytes)),
    ];
    prop::collection::vec(item, 0..20)
}

fn wire(items: &[Sent]) -> Vec<u8> {
    let mut wire = Vec::new();
    for item in items {
        match item {
            Sent::Message(message) => encode(message, &mut wire).unwrap(),
            Sent::Content(request, bytes) => {
                encode(&Message::Part { request: *request, bytes: bytes.len() as u32 }, &mut wire).unwrap();
                wire.extend_from_slice(bytes);
            }
        }
    }
    wire
}

/// Decodes `wire` read in pieces of the lengths in `cuts`, again and again; content of a part is joined.
fn read(wire: &[u8], cuts: &[usize]) -> Result<(Vec<Sent>, bool), CodecError> {
    let mut decoder = Decoder::default();
    let mut items: Vec<Sent> = Vec::new();
    let mut rest = wire;
    let mut joined = false;
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (mut chunk, after) = rest.split_at(rest.len().min(*cut));
        rest = after;
        while let Some(decoded) = decoder.next(&mut chunk)? {
            match (decoded, items.last_mut()) {
                (Decoded::Content { request, bytes }, Some(Sent::Content(last, all))) if joined && *last == request => {
                    all.extend_from_slice(bytes);
                }
                (Decoded::Content { request, bytes }, _) => items.push(Sent::Content(request, bytes.to_vec())),
                (Decoded::Message(message), _) => items.push(Sent::Message(message)),
            }
            joined = decoder.part.is_some();
        }
        assert!(chunk.is_empty(), "all input is taken");
    }
    Ok((items, decoder.at_boundary()))
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded_whatever_the_cuts(
        items in sent(), cuts in prop::collection::vec(1_usize..5000, 1..10),
    ) {
        let (decoded, boundary) = read(&wire(&items), &cuts).unwrap();
        prop_assert_eq!(decoded, items);
        prop_assert!(boundary);
    }

    #[test]
    fn a_stream_that_ends_too_early_is_not_at_a_boundary(items in sent(), missing in 1_usize..4) {
        let wire = wire(&items);
        prop_assume!(!wire.is_empty());
        let (_, boundary) = read(&wire[..wire.len() - missing], &[100]).unwrap();
        prop_assert!(!boundary);
    }

    #[test]
    fn garbage_is_refused_without_a_panic(garbage: Vec<u8>, cut in 1_usize..50) {
        let _ = read(&garbage, &[cut]);
    }

    #[test]
    fn garbage_in_a_frame_is_refused_without_a_panic(garbage: Vec<u8>, kind in 0_u8..20) {
        let mut wire = (garbage.len() as u32 + 1).to_be_bytes().to_vec();
        wire.push(kind);
        wire.extend(garbage);
        let _ = read(&wire, &[7]);
    }
}

#[test]
fn lengths_are_bounded_before_anything_is_kept() {
    let mut decoder = Decoder::default();
    let length = (MAX_FRAME as u32 + 1).to_be_bytes();
    assert!(matches!(decoder.next(&mut &length[..]), Err(CodecError::TooLong(_))));

    for bytes in [0, MAX_PART + 1] {
        let mut wire = Vec::new();
        encode(&Message::Part { request: RequestId(1), bytes }, &mut wire).unwrap();
        assert!(matches!(Decoder::default().next(&mut &wire[..]), Err(CodecError::PartLength(_))));
    }

    let long = Message::Refused { query: None, reason: "x".repeat(MAX_FRAME), renew: false };
    assert!(matches!(encode(&long, &mut Vec::new()), Err(CodecError::TooLong(_))));
}

#[test]
fn bytes_after_the_message_are_refused() {
    let mut wire = Vec::new();
    encode(&Message::Bye, &mut wire).unwrap();
    wire[3] += 1;
    wire.push(0);
    assert!(matches!(Decoder::default().next(&mut &wire[..]), Err(CodecError::Trailing(1))));
}

#[test]
fn a_frame_looks_as_documented() {
    let mut wire = Vec::new();
    encode(&Message::Have { piece: 300 }, &mut wire).unwrap();
    let mut login = Vec::new();
    encode(&Message::Part { request: RequestId(7), bytes: 65_536 }, &mut login).unwrap();
    // The variant's number, then the fields as variable-length integers.
    assert_eq!(wire, [0, 0, 0, 3, 12, 0xac, 0x02]);
    assert_eq!(login, [0, 0, 0, 5, 16, 7, 0x80, 0x80, 0x04]);
}
