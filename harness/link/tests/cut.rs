//! Reading frames and cutting super-packets, against a segmentation written from the standards alone.

use std::net::IpAddr;

use peerbed_link::{Frame, Framing, Malformed, VIRTIO_HEADER};
use proptest::{collection::vec, prelude::*};

/// A TCP or UDP payload on its way from one host to another.
#[derive(Debug, Clone)]
struct Sending {
    framing: Framing,
    v6: bool,
    tcp: bool,
    source: [u8; 16],
    destination: [u8; 16],
    /// IPv4 options, a multiple of four bytes.
    ip_options: Vec<u8>,
    id: u16,
    sequence: u32,
    flags: u8,
    tcp_options: Vec<u8>,
    size: u16,
    payload: Vec<u8>,
}

fn any_sending() -> impl Strategy<Value = Sending> {
    let words = || (0_usize..=10).prop_flat_map(|words| vec(any::<u8>(), words * 4));
    let hosts = (any::<[u8; 16]>(), any::<[u8; 16]>());
    let kind = (prop_oneof![Just(Framing::Ip), Just(Framing::Ethernet)], any::<bool>(), any::<bool>());
    let cut = (1_u16..1460).prop_flat_map(|size| {
        let most = (usize::from(size) * 44).min(60_000);
        (Just(size), vec(any::<u8>(), usize::from(size) + 1..=most.max(usize::from(size) + 1)))
    });
    let headers = (words(), any::<u16>(), any::<u32>(), any::<u8>(), words());
    (kind, hosts, headers, cut).prop_map(|((framing, v6, tcp), (source, destination), headers, (size, payload))| {
        let (ip_options, id, sequence, flags, tcp_options) = headers;
        let ip_options = if v6 { vec![] } else { ip_options };
        Sending { framing, v6, tcp, source, destination, ip_options, id, sequence, flags, tcp_options, size, payload }
    })
}

fn sum(parts: &[&[u8]]) -> u16 {
    // Every part has an even length but for the last.
    let mut sum: u32 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) * 256 + u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    sum as u16
}

impl Sending {
    fn addresses(&self) -> Vec<u8> {
        let length = if self.v6 { 16 } else { 4 };
        [&self.source[..length], &self.destination[..length]].concat()
    }

    fn transport_length(&self) -> usize {
        if self.tcp { 20 + self.tcp_options.len() } else { 8 }
    }

    fn ip_length(&self) -> usize {
        if self.v6 { 40 } else { 20 + self.ip_options.len() }
    }

    /// One IP packet with part of the payload. Its transport checksum is complete, or only begun.
    fn packet(&self, index: usize, payload: &[u8], flags: u8, complete: bool) -> Vec<u8> {
        let length = self.transport_length() + payload.len();
        let protocol = if self.tcp { 6 } else { 17 };
        let mut transport = if self.tcp {
            let sequence = self.sequence.wrapping_add((index * usize::from(self.size)) as u32);
            let mut header = vec![0x1f, 0x90, 0xc3, 0x50];
            header.extend(sequence.to_be_bytes());
            header.extend([0, 0, 0, 99, ((20 + self.tcp_options.len()) / 4 * 16) as u8, flags, 1, 2, 0, 0, 0, 0]);
            header.extend(&self.tcp_options);
            header
        } else {
            let length = (length as u16).to_be_bytes();
            vec![0x1f, 0x90, 0xc3, 0x50, length[0], length[1], 0, 0]
        };
        let checksum_at = if self.tcp { 16 } else { 6 };
        let pseudo = [&self.addresses()[..], &(length as u32).to_be_bytes(), &[0, 0, 0, protocol]].concat();
        let checksum = if complete { !sum(&[&pseudo, &transport, payload]) } else { sum(&[&pseudo]) };
        transport[checksum_at..checksum_at + 2].copy_from_slice(&checksum.to_be_bytes());

        let mut packet = if self.v6 {
            let length = (length as u16).to_be_bytes();
            let mut header = vec![0x60, 0x12, 0x34, 0x56, length[0], length[1], protocol, 64];
            header.extend(self.addresses());
            header
        } else {
            let total = ((self.ip_length() + length) as u16).to_be_bytes();
            let id = self.id.wrapping_add(index as u16).to_be_bytes();
            let words = (self.ip_length() / 4) as u8;
            let mut header = vec![0x40 | words, 0, total[0], total[1], id[0], id[1], 0x40, 0, 64, protocol, 0, 0];
            header.extend(self.addresses());
            header.extend(&self.ip_options);
            let checksum = !sum(&[&header]);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            header
        };
        packet.extend(transport);
        packet.extend(payload);
        packet
    }

    fn ethernet(&self) -> Vec<u8> {
        let kind = if self.v6 { [0x86, 0xdd] } else { [0x08, 0x00] };
        match self.framing {
            Framing::Ip => vec![],
            Framing::Ethernet => [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1][..], &kind].concat(),
        }
    }

    /// What the kernel hands over: the whole payload behind one set of headers.
    fn frame(&self) -> Vec<u8> {
        let ethernet = self.ethernet();
        let start = (ethernet.len() + self.ip_length()) as u16;
        let offload = match (self.tcp, self.v6) {
            (true, false) => 1,
            (true, true) => 4,
            (false, _) => 5,
        };
        let ecn = if self.tcp && self.flags & 0x80 != 0 { 0x80 } else { 0 };
        let mut frame = vec![1, offload | ecn];
        frame.extend((start + self.transport_length() as u16).to_ne_bytes());
        frame.extend(self.size.to_ne_bytes());
        frame.extend(start.to_ne_bytes());
        frame.extend(if self.tcp { 16_u16 } else { 6 }.to_ne_bytes());
        frame.extend(ethernet);
        frame.extend(self.packet(0, &self.payload, self.flags, false));
        frame
    }

    /// The packets that it stands for.
    fn segments(&self) -> Vec<Vec<u8>> {
        let chunks: Vec<&[u8]> = self.payload.chunks(usize::from(self.size)).collect();
        let last = chunks.len() - 1;
        let segments = chunks.iter().enumerate().map(|(index, payload)| {
            // FIN and PSH are for the last, CWR for the first (RFC 3168, 6.1.2).
            let not_last = if index < last { !0x09 } else { 0xff };
            let not_first = if index > 0 { !0x80 } else { 0xff };
            self.packet(index, payload, self.flags & not_last & not_first, true)
        });
        segments.collect()
    }
}

/// What the receiver's kernel does: complete the checksum from where the virtio header says.
fn complete(frame: &[u8], framing: Framing) -> Vec<u8> {
    let mut frame = frame.to_vec();
    assert_eq!(frame[0] & 1, 1, "the checksum is to be completed");
    let at = |offset: usize| usize::from(u16::from_ne_bytes([frame[offset], frame[offset + 1]]));
    let (start, field) = (VIRTIO_HEADER + at(6), VIRTIO_HEADER + at(6) + at(8));
    let checksum = !sum(&[&frame[start..]]);
    frame[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
    frame.split_off(framing.ip_offset())
}

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

fn sending() -> Sending {
    Sending {
        framing: Framing::Ip,
        v6: false,
        tcp: true,
        source: [10; 16],
        destination: [11; 16],
        ip_options: vec![],
        id: 1,
        sequence: 1,
        flags: 0x18,
        tcp_options: vec![],
        size: 1000,
        payload: vec![7; 2500],
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
