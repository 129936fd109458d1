//! A peer and a control plane that hear anything: the bytes are frames, each after a byte that says on which of four connections,
//! and how much time passes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerbed_contract::{NodeConfig, Role, RoleConfig};
use peerbed_driver::codec::{Decoded, Decoder};
use peerbed_proto::{ConnId, ControlMachine, Endpoint, Input, Machine, Output, PeerMachine};

const PEER: &str = include_str!("../peer.json");
const CONTROL: &str = include_str!("../control.json");

fn config(text: &str, role: Role) -> NodeConfig {
    peerbed_driver::parse(std::path::Path::new("fuzz"), text, role).expect("a good configuration")
}

fn play(machine: &mut dyn Machine, data: &[u8]) {
    let mut now = 0;
    let feed = |machine: &mut dyn Machine, now: u64, input: Input| {
        machine.handle(now, input);
        for step in 0.. {
            assert!(step < 100_000, "the machine never comes to rest");
            if let Output::Idle { until } = machine.poll(now) {
                assert!(until.is_none_or(|until| until > now), "it wants to be woken in the past");
                break;
            }
        }
    };
    feed(machine, now, Input::Start);
    for number in 0..4_u8 {
        let from = Endpoint { address: ([10, 0, 0, number + 1], 4000).into() };
        feed(machine, now, Input::Accepted { conn: ConnId(u64::from(number) * 2 + 1), from });
    }
    let mut decoders: Vec<Decoder> = (0..4).map(|_| Decoder::default()).collect();
    let mut rest = data;
    while let [head, length, tail @ ..] = rest {
        let (chunk, next) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = next;
        let at = usize::from(head % 4);
        let conn = ConnId(at as u64 * 2 + 1);
        now += u64::from(head / 4) * 100_000_000;
        feed(machine, now, Input::Timer);
        let mut input = chunk;
        loop {
            match decoders[at].next(&mut input) {
                Ok(Some(Decoded::Message(message))) => feed(machine, now, Input::Message { conn, message }),
                Ok(Some(Decoded::Content { request, bytes })) => {
                    feed(machine, now, Input::PieceData { conn, request, bytes: bytes.len() as u32 });
                }
                Ok(None) => break,
                Err(_) => {
                    feed(machine, now, Input::Garbled { conn });
                    feed(machine, now, Input::Closed { conn, clean: false });
                    decoders[at] = Decoder::default();
                    break;
                }
            }
        }
    }
    feed(machine, now, Input::Stop);
    feed(machine, now + 20_000_000_000, Input::Timer);
}

fuzz_target!(|data: &[u8]| {
    let (peer, control) = (config(PEER, Role::Peer), config(CONTROL, Role::Control));
    if let RoleConfig::Peer(role) = &peer.role {
        play(&mut PeerMachine::new(&peer, role), data);
    }
    if let RoleConfig::Control(role) = &control.role {
        play(&mut ControlMachine::new(&control, role), data);
    }
});
