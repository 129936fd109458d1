//! Rewriting ports in frames, against packets that were written with the other port from the start.

use peerbed_contract::NatClass;
use peerbed_link::{Frame, Framing, Moment, Nat, VIRTIO_HEADER, translate};
use proptest::{collection::vec, prelude::*};

use crate::sending::{Sending, any_sending, complete, sending};

const NOW: Moment = Moment::from_nanos(1);

fn nat(class: NatClass, seed: u64) -> Nat {
    Nat::new(class, seed, 0)
}

/// A frame of one packet whose checksum is complete.
fn single(sending: &Sending, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; VIRTIO_HEADER];
    frame.extend(sending.ethernet());
    frame.extend(sending.packet(0, payload, 0x18, true));
    frame
}

fn source_port(frame: &[u8], sending: &Sending) -> u16 {
    let at = sending.framing.ip_offset() + sending.ip_length();
    u16::from_be_bytes([frame[at], frame[at + 1]])
}

/// Sends a frame through a translation, and tells the port that it leaves from.
fn out(nat: &mut Nat, frame: &mut [u8], sending: &Sending) -> u16 {
    assert!(translate::lets_out(nat, NOW, frame, sending.framing));
    source_port(frame, sending)
}

proptest! {
    /// Whether the checksum is complete or left to the device, alone or in a super-packet that is cut before or after.
    #[test]
    fn a_port_is_rewritten_as_if_the_sender_had_had_it(sending in any_sending(), seed: u64) {
        let mut nat = nat(NatClass::FullCone, seed);
        let payload = &sending.payload[..sending.payload.len().min(1400)];
        let mut frame = single(&sending, payload);
        let outside = out(&mut nat, &mut frame, &sending);
        let other = Sending { ports: (outside, sending.ports.1), ..sending.clone() };
        prop_assert_eq!(&frame, &single(&other, payload));

        let mut whole = sending.frame();
        prop_assert_eq!(out(&mut nat, &mut whole, &sending), outside, "one mapping");
        prop_assert_eq!(&whole, &other.frame());
        let geometry = Frame::parse(&whole, sending.framing).unwrap().geometry.unwrap();
        let (after, _) = geometry.cut(&whole, 0..1);
        let (mut before, _) = geometry.cut(&sending.frame(), 0..1);
        out(&mut nat, &mut before, &sending);
        prop_assert_eq!(complete(&before, sending.framing), complete(&after, sending.framing));
    }

    /// What comes back to the outside port reaches the inside one, with a checksum that is right again.
    #[test]
    fn an_answer_comes_back(sending in any_sending(), seed: u64) {
        let mut nat = nat(NatClass::Symmetric, seed);
        let mut frame = single(&sending, b"question");
        let outside = out(&mut nat, &mut frame, &sending);
        let answer = |port| {
            let (source, destination) = (sending.destination, sending.source);
            single(&Sending { source, destination, ports: (sending.ports.1, port), ..sending.clone() }, b"answer")
        };
        let mut frame = answer(outside);
        prop_assert!(translate::lets_in(&mut nat, NOW, &mut frame, sending.framing));
        prop_assert_eq!(frame, answer(sending.ports.0));
    }

    #[test]
    fn no_bytes_can_hurt(mut bytes in vec(any::<u8>(), 0..120), ethernet: bool) {
        let framing = if ethernet { Framing::Ethernet } else { Framing::Ip };
        let mut nat = nat(NatClass::PortRestricted, 1);
        translate::lets_in(&mut nat, NOW, &mut bytes, framing);
        translate::lets_out(&mut nat, NOW, &mut bytes, framing);
    }
}

#[test]
fn fragments_are_dropped_and_other_transports_pass() {
    let mut nat = nat(NatClass::PortRestricted, 1);
    let fragment = {
        let mut frame = single(&sending(), b"part");
        frame[VIRTIO_HEADER + 6] = 0x20;
        frame
    };
    let echo = {
        let mut frame = single(&sending(), b"echo");
        frame[VIRTIO_HEADER + 9] = 1;
        frame
    };
    for (frame, passes) in [(fragment, false), (echo, true)] {
        let mut same = frame.clone();
        assert_eq!(translate::lets_out(&mut nat, NOW, &mut same, Framing::Ip), passes);
        assert_eq!(translate::lets_in(&mut nat, NOW, &mut same, Framing::Ip), passes);
        assert_eq!(same, frame);
    }
}

#[test]
fn a_datagram_without_a_checksum_has_none_afterwards() {
    let plain = Sending { tcp: false, ..sending() };
    let mut frame = single(&plain, b"data");
    let sum_at = VIRTIO_HEADER + 20 + 6;
    frame[sum_at..sum_at + 2].fill(0);
    let outside = out(&mut nat(NatClass::FullCone, 3), &mut frame, &plain);
    assert_ne!(outside, plain.ports.0);
    assert_eq!(frame[sum_at..sum_at + 2], [0, 0]);
}
