//! Reading frames and cutting super-packets, against a segmentation written from the standards alone.

use std::net::IpAddr;

use peerbed_link::{Frame, Framing, Malformed, VIRTIO_HEADER};
use proptest::{collection::vec, prelude::*};

use crate::sending::{Sending, any_sending, complete, sending};

/// Cut a frame at random places, then its pieces, until only single packets are left.
fn shred(frame: &[u8], framing: Framing, choices: &mut impl Iterator<Item = usize>, out: &mut Vec<Vec<u8>>) {
    let parsed = Frame::parse(frame, framing).expect("a piece of a good frame is a good frame");
    let count = parsed.train.segments();
    let Some(geometry) = parsed.geometry else {
        assert_eq!((count, frame[1]), (1, 0), "an ordinary packet");
        return out.push(frame.to_vec());
    };
    // The kernel refuses a super-packet that hides a CWR, and would set one that the sender did not.
    if frame[1] & 0x7f != 5 {
        let transport = VIRTIO_HEADER + usize::from(u16::from_ne_bytes([frame[6], frame[7]]));
        assert_eq!(frame[1] & 0x80, frame[transport + 13] & 0x80, "ECN bit and CWR flag");
    }
    let middle = 1 + (choices.next().unwrap_or(0) % (count as usize - 1)) as u32;
    for range in [0..middle, middle..count] {
        let (piece, after) = geometry.cut(frame, range.clone());
        let again = Frame::parse(&piece, framing).expect("a piece of a good frame is a good frame");
        assert_eq!(again.train, parsed.train.slice(range));
        assert_eq!(again.geometry, after);
        shred(&piece, framing, choices, out);
    }
}

proptest! {
    #[test]
    fn segments_are_those_of_the_reference(sending in any_sending(), choices in vec(any::<usize>(), 0..64)) {
        let (frame, expected) = (sending.frame(), sending.segments());
        let parsed = Frame::parse(&frame, sending.framing).unwrap();
        prop_assert_eq!(parsed.train.segments() as usize, expected.len());
        prop_assert_eq!(parsed.train.bytes(), expected.iter().map(|packet| packet.len() as u64).sum::<u64>());
        let mut single = vec![];
        shred(&frame, sending.framing, &mut choices.into_iter(), &mut single);
        for (index, (piece, expected)) in single.iter().zip(&expected).enumerate() {
            prop_assert_eq!(&complete(piece, sending.framing), expected, "segment {}", index);
        }
        prop_assert_eq!(single.len(), expected.len());
    }

    /// Frames come from the nodes' kernels, but a node may write what it likes.
    #[test]
    fn no_bytes_can_hurt(bytes in vec(any::<u8>(), 0..200), ethernet: bool) {
        let framing = if ethernet { Framing::Ethernet } else { Framing::Ip };
        if let Ok(frame) = Frame::parse(&bytes, framing) {
            prop_assert!(frame.train.bytes() > 0);
        }
    }

    /// The same for frames that are nearly right, which get further.
    #[test]
    fn no_wrong_byte_can_hurt(
        sending in any_sending(),
        changes in vec((0_usize..100, any::<u8>()), 0..4),
        length in prop_oneof![Just(usize::MAX), 0_usize..200],
    ) {
        let mut frame = sending.frame();
        frame.truncate(length);
        for (at, byte) in changes {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        if let Ok(parsed) = Frame::parse(&frame, sending.framing)
            && let Some(geometry) = parsed.geometry
        {
            let count = parsed.train.segments();
            for range in [0..1, 0..count - 1, count - 1..count] {
                let (piece, _) = geometry.cut(&frame, range.clone());
                let again = Frame::parse(&piece, sending.framing).unwrap();
                prop_assert_eq!(again.train, parsed.train.slice(range));
            }
        }
    }
}

#[test]
fn an_ordinary_packet_counts_with_its_ip_bytes() {
    let mut frame = vec![0; VIRTIO_HEADER];
    frame.extend(Sending { payload: vec![1; 100], ..sending() }.packet(0, &[1; 100], 0x10, true));
    // Padding behind the packet is not part of it.
    frame.extend([0; 6]);
    let parsed = Frame::parse(&frame, Framing::Ip).unwrap();
    assert_eq!((parsed.train.segments(), parsed.train.bytes()), (1, 140));
    assert_eq!(parsed.source, IpAddr::from([10, 10, 10, 10]));
    assert_eq!(parsed.destination, IpAddr::from([11, 11, 11, 11]));
    assert_eq!(parsed.geometry, None);
}

#[test]
fn contradictions_are_refused() {
    let refused = |change: fn(&mut Vec<u8>)| {
        let mut frame = sending().frame();
        change(&mut frame);
        Frame::parse(&frame, Framing::Ip).unwrap_err()
    };
    assert_eq!(refused(|frame| frame.truncate(1000)), Malformed::Short);
    assert_eq!(refused(|frame| frame[1] = 3), Malformed::Offload(3));
    assert_eq!(refused(|frame| frame[1] = 4), Malformed::Offload(4));
    assert!(matches!(refused(|frame| frame[0] = 0), Malformed::SuperPacket(_)), "complete checksum");
    assert!(matches!(refused(|frame| frame[4..6].fill(0)), Malformed::SuperPacket(_)), "no segment size");
    assert!(matches!(refused(|frame| frame[6] = 24), Malformed::SuperPacket(_)), "checksum start");
    assert!(matches!(refused(|frame| frame[8] = 6), Malformed::SuperPacket(_)), "checksum offset");
    assert!(matches!(refused(|frame| frame.push(0)), Malformed::SuperPacket(_)), "too long");
    let fragment = |frame: &mut Vec<u8>| frame[VIRTIO_HEADER + 6] = 0x20;
    assert!(matches!(refused(fragment), Malformed::SuperPacket(_)), "fragment");
    assert_eq!(refused(|frame| frame[VIRTIO_HEADER] = 0x55), Malformed::NotIp);
    assert_eq!(Frame::parse(&sending().frame(), Framing::Ethernet).unwrap_err(), Malformed::NotIp);
}
