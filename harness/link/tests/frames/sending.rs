//! Packets and super-packets, written from the standards alone.

use peerbed_link::{Framing, VIRTIO_HEADER};
use proptest::{collection::vec, prelude::*};

/// A TCP or UDP payload on its way from one host to another.
#[derive(Debug, Clone)]
pub(crate) struct Sending {
    pub(crate) framing: Framing,
    pub(crate) v6: bool,
    pub(crate) tcp: bool,
    /// Source, destination.
    pub(crate) ports: (u16, u16),
    pub(crate) source: [u8; 16],
    pub(crate) destination: [u8; 16],
    /// IPv4 options, a multiple of four bytes.
    pub(crate) ip_options: Vec<u8>,
    pub(crate) id: u16,
    pub(crate) sequence: u32,
    pub(crate) flags: u8,
    pub(crate) tcp_options: Vec<u8>,
    pub(crate) size: u16,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn any_sending() -> impl Strategy<Value = Sending> {
    let words = || (0_usize..=10).prop_flat_map(|words| vec(any::<u8>(), words * 4));
    let hosts = (any::<[u8; 16]>(), any::<[u8; 16]>());
    let kind =
        (prop_oneof![Just(Framing::Ip), Just(Framing::Ethernet)], any::<bool>(), any::<bool>(), any::<(u16, u16)>());
    let cut = (1_u16..1460).prop_flat_map(|size| {
        let most = (usize::from(size) * 44).min(60_000);
        (Just(size), vec(any::<u8>(), usize::from(size) + 1..=most.max(usize::from(size) + 1)))
    });
    let headers = (words(), any::<u16>(), any::<u32>(), any::<u8>(), words());
    (kind, hosts, headers, cut).prop_map(
        |((framing, v6, tcp, ports), (source, destination), headers, (size, payload))| {
            let (ip_options, id, sequence, flags, tcp_options) = headers;
            let ip_options = if v6 { vec![] } else { ip_options };
            Sending {
                framing,
                v6,
                tcp,
                ports,
                source,
                destination,
                ip_options,
                id,
                sequence,
                flags,
                tcp_options,
                size,
                payload,
            }
        },
    )
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

    pub(crate) fn ip_length(&self) -> usize {
        if self.v6 { 40 } else { 20 + self.ip_options.len() }
    }

    /// One IP packet with part of the payload. Its transport checksum is complete, or only begun.
    pub(crate) fn packet(&self, index: usize, payload: &[u8], flags: u8, complete: bool) -> Vec<u8> {
        let length = self.transport_length() + payload.len();
        let protocol = if self.tcp { 6 } else { 17 };
        let ports = [self.ports.0.to_be_bytes(), self.ports.1.to_be_bytes()].concat();
        let mut transport = if self.tcp {
            let sequence = self.sequence.wrapping_add((index * usize::from(self.size)) as u32);
            let mut header = ports;
            header.extend(sequence.to_be_bytes());
            header.extend([0, 0, 0, 99, ((20 + self.tcp_options.len()) / 4 * 16) as u8, flags, 1, 2, 0, 0, 0, 0]);
            header.extend(&self.tcp_options);
            header
        } else {
            let length = (length as u16).to_be_bytes();
            [&ports[..], &length, &[0, 0]].concat()
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

    pub(crate) fn ethernet(&self) -> Vec<u8> {
        let kind = if self.v6 { [0x86, 0xdd] } else { [0x08, 0x00] };
        match self.framing {
            Framing::Ip => vec![],
            Framing::Ethernet => [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1][..], &kind].concat(),
        }
    }

    /// What the kernel hands over: the whole payload behind one set of headers.
    pub(crate) fn frame(&self) -> Vec<u8> {
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
    pub(crate) fn segments(&self) -> Vec<Vec<u8>> {
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
pub(crate) fn complete(frame: &[u8], framing: Framing) -> Vec<u8> {
    let mut frame = frame.to_vec();
    assert_eq!(frame[0] & 1, 1, "the checksum is to be completed");
    let at = |offset: usize| usize::from(u16::from_ne_bytes([frame[offset], frame[offset + 1]]));
    let (start, field) = (VIRTIO_HEADER + at(6), VIRTIO_HEADER + at(6) + at(8));
    let checksum = !sum(&[&frame[start..]]);
    frame[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
    frame.split_off(framing.ip_offset())
}

pub(crate) fn sending() -> Sending {
    Sending {
        framing: Framing::Ip,
        v6: false,
        tcp: true,
        ports: (8080, 50_000),
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
