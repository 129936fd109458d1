//! The translation of ports, against a history that is searched from the beginning for each packet.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use peerbed_contract::NatClass;
use peerbed_link::{
    Moment, Nat,
    nat::{Passing, SESSIONS_MAX, Signal, TCP_ESTABLISHED, TCP_TRANSITORY, Transport, UDP_SESSION},
};
use proptest::{collection::vec, prelude::*, sample::select};

/// A packet that leaves or comes, some time after the one before.
#[derive(Debug, Clone, Copy)]
struct Step {
    wait: Duration,
    transport: Transport,
    outward: bool,
    /// The inside port; one that comes goes to the outside port that this had last, or to one that nobody has.
    port: Option<u16>,
    remote: u16,
    signal: Signal,
}

fn remote(number: u16) -> SocketAddr {
    // Two hosts with two ports each.
    SocketAddr::from(([10, 0, 0, (number / 2) as u8 + 1], 4000 + number % 2))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let waits = [0, 1, 100, 119, 121, 239, 241, 7000, 7439, 7441].map(Duration::from_secs).to_vec();
    let signals = vec![Signal::Open, Signal::Close, Signal::Nothing, Signal::Nothing];
    let transports = vec![Transport::Tcp, Transport::Udp];
    let ports = vec![Some(5000), Some(5000), Some(5001), None];
    let step = (select(waits), select(transports), any::<bool>(), select(ports), 0_u16..4, select(signals));
    let step = step.prop_map(|(wait, transport, outward, port, remote, signal)| {
        let signal = if transport == Transport::Udp { Signal::Nothing } else { signal };
        // A host always has a port.
        let port = if outward { port.or(Some(5000)) } else { port };
        Step { wait, transport, outward, port, remote, signal }
    });
    vec(step, 0..60)
}

/// What was let out or in of one inside port and one remote.
#[derive(Debug, Clone, Copy)]
struct Past {
    at: Moment,
    outward: bool,
    signal: Signal,
}

/// Whether a session is remembered, by all that passed on it. A packet that leaves when it is not begins a new one.
fn alive(transport: Transport, passed: &[Past], now: Moment) -> bool {
    let mut begun: Option<(Moment, bool, bool)> = None;
    let lasts = |answered: bool, closing: bool| match transport {
        Transport::Udp => UDP_SESSION,
        Transport::Tcp if answered && !closing => TCP_ESTABLISHED,
        Transport::Tcp => TCP_TRANSITORY,
    };
    for past in passed {
        begun = begun.filter(|(sent, answered, closing)| past.at < sent.plus(lasts(*answered, *closing)));
        let closes = past.signal == Signal::Close;
        begun = match (begun, past.outward) {
            (Some(_), true) if past.signal == Signal::Open => Some((past.at, false, false)),
            (Some((_, answered, closing)), true) => Some((past.at, answered, closing || closes)),
            (None, true) => Some((past.at, false, closes)),
            (Some((sent, _, closing)), false) => Some((sent, true, closing || closes)),
            (None, false) => None,
        };
    }
    begun.is_some_and(|(sent, answered, closing)| now < sent.plus(lasts(answered, closing)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn mapping_and_filtering_are_those_of_the_class(
        class in select(NatClass::ALL.to_vec()),
        steps in steps(),
        seed: u64,
    ) {
        let mut nat = Nat::new(class, seed, 7);
        let mut now = Moment::default();
        let mut past: BTreeMap<(Transport, u16, u16), Vec<Past>> = BTreeMap::new();
        // The outside port that each (transport, inside port, remote) had last.
        let mut outside: BTreeMap<(Transport, u16, u16), u16> = BTreeMap::new();
        for Step { wait, transport, outward, port, remote: to, signal } in steps {
            now = now.plus(wait);
            let passing = |port| Passing { transport, port, remote: remote(to), signal };
            let lives = |past: &BTreeMap<(Transport, u16, u16), Vec<Past>>, inside: u16, to: u16| {
                past.get(&(transport, inside, to)).is_some_and(|passed| alive(transport, passed, now))
            };
            if outward {
                let inside = port.unwrap();
                let got = nat.outbound(now, passing(inside)).expect("there is room");
                match class {
                    NatClass::None | NatClass::Blocked => prop_assert_eq!(got, inside, "ports stay"),
                    NatClass::FullCone | NatClass::PortRestricted | NatClass::Symmetric => {
                        let symmetric = class == NatClass::Symmetric;
                        for other in 0..4 {
                            for near in [5000, 5001] {
                                let same = near == inside && (!symmetric || other == to);
                                let had = outside.get(&(transport, near, other)).filter(|_| lives(&past, near, other));
                                if let Some(had) = had {
                                    prop_assert_eq!(*had == got, same, "{} to {}", near, other);
                                }
                            }
                        }
                        prop_assert!(got >= 1024);
                    }
                }
                outside.insert((transport, inside, to), got);
                past.entry((transport, inside, to)).or_default().push(Past { at: now, outward, signal });
                continue;
            }
            // To the port that this remote knows, or else one that another remote was given.
            let known = port.and_then(|inside| {
                let own = outside.get(&(transport, inside, to));
                let any = (0..4).filter_map(|other| outside.get(&(transport, inside, other))).next_back();
                own.or(any).map(|outside| (inside, *outside))
            });
            let (inside, target) = known.unwrap_or((0, 999));
            let got = nat.inbound(now, passing(target));
            let mine = lives(&past, inside, to) && outside.get(&(transport, inside, to)) == Some(&target);
            let anybodys = (0..4).any(|other| {
                lives(&past, inside, other) && outside.get(&(transport, inside, other)) == Some(&target)
            });
            let expected = match class {
                NatClass::None => Some(target),
                NatClass::FullCone => anybodys.then_some(inside),
                NatClass::PortRestricted | NatClass::Symmetric => mine.then_some(inside),
                NatClass::Blocked => (mine && signal != Signal::Open).then_some(inside),
            };
            prop_assert_eq!(got, expected, "{:?} at {:?}", passing(target), now);
            if got.is_some() && mine {
                past.entry((transport, inside, to)).or_default().push(Past { at: now, outward, signal });
            }
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever comes and goes, a host's table has its bound, and a session that is remembered still works when it is full.
    #[test]
    fn the_table_is_bounded(class in select(NatClass::ALL[1..].to_vec()), seed: u64, extra in 1_usize..200) {
        let mut nat = Nat::new(class, seed, 0);
        let packet = |number: usize| Passing {
            transport: if number.is_multiple_of(2) { Transport::Tcp } else { Transport::Udp },
            port: 10_000 + (number / 16) as u16,
            remote: SocketAddr::from(([10, 1, (number >> 8) as u8, number as u8], 80)),
            signal: Signal::Nothing,
        };
        let start = Moment::from_nanos(1);
        let mut ports = std::collections::BTreeSet::new();
        for number in 0..SESSIONS_MAX {
            let port = nat.outbound(start, packet(number)).expect("there is room");
            ports.insert((packet(number).transport, port));
            // From outside nothing is remembered.
            nat.inbound(start, Passing { remote: SocketAddr::from(([10, 9, 9, 9], 9)), ..packet(number) });
        }
        let expected = if class == NatClass::Symmetric { SESSIONS_MAX } else { SESSIONS_MAX / 16 * 2 };
        prop_assert_eq!(ports.len(), expected, "no two mappings share a port");
        for number in SESSIONS_MAX..SESSIONS_MAX + extra {
            prop_assert_eq!(nat.outbound(start, packet(number)), None);
        }
        prop_assert_eq!(nat.sessions(), SESSIONS_MAX);
        prop_assert!(nat.outbound(start, packet(5)).is_some());
        // The UDP half is forgotten first.
        let later = start.plus(UDP_SESSION);
        for number in SESSIONS_MAX..SESSIONS_MAX + extra {
            prop_assert!(nat.outbound(later, packet(number)).is_some());
        }
        prop_assert_eq!(nat.sessions(), SESSIONS_MAX / 2 + extra);
    }
}

#[test]
fn two_behind_port_restrictions_meet_in_the_middle_and_a_symmetric_one_does_not() {
    let (a, b) = (SocketAddr::from(([10, 0, 0, 1], 0)), SocketAddr::from(([10, 0, 0, 2], 0)));
    let control = SocketAddr::from(([10, 0, 0, 3], 7000));
    let now = Moment::from_nanos(1);
    let syn = |port, remote| Passing { transport: Transport::Tcp, port, remote, signal: Signal::Open };
    for (other, met) in [(NatClass::PortRestricted, true), (NatClass::FullCone, true), (NatClass::Symmetric, false)] {
        let (mut one, mut two) = (Nat::new(NatClass::PortRestricted, 1, 0), Nat::new(other, 1, 1));
        // Both are known by the port from which they spoke to the control plane.
        let mapped = [&mut one, &mut two].map(|nat| nat.outbound(now, syn(7001, control)).unwrap());
        let (a, b) = (SocketAddr::new(a.ip(), mapped[0]), SocketAddr::new(b.ip(), mapped[1]));
        let there = one.outbound(now, syn(7001, b)).unwrap();
        let back = two.outbound(now, syn(7001, a)).unwrap();
        let comes = one.inbound(now, syn(there, SocketAddr::new(b.ip(), back)));
        assert_eq!(comes.is_some(), met, "{other:?}");
    }
}
