//! Cutting super-packets: the segments that TCP or UDP segmentation offload would have made, alone or several together.
//!
//! A piece of several segments is a smaller super-packet. Checksums of the transport stay partial (the sum of the pseudo
//! header only, to be completed by whoever receives the frame), as in the frame that was cut.

use std::ops::Range;

use crate::{
    Malformed, Train,
    checksum::{add, fold},
};

// The virtio header (Virtual I/O Device specification 1.2, 5.1.6), in the machine's byte order as TUN and packet sockets
// use it.
const FLAGS: usize = 0;
const OFFLOAD: usize = 1;
const HEADER_LENGTH: usize = 2;
const SEGMENT_SIZE: usize = 4;
const CHECKSUM_START: usize = 6;
const CHECKSUM_OFFSET: usize = 8;
const NEEDS_CHECKSUM: u8 = 1;
const OFFLOAD_NONE: u8 = 0;
const OFFLOAD_TCP4: u8 = 1;
const OFFLOAD_TCP6: u8 = 4;
const OFFLOAD_UDP: u8 = 5;
const OFFLOAD_ECN: u8 = 0x80;

const TCP: u8 = 6;
const UDP: u8 = 17;
const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V4,
    V6,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

/// Where the parts of a super-packet are; offsets count from the start of its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    version: Version,
    transport: Transport,
    ip_at: usize,
    transport_at: usize,
    payload_at: usize,
    /// Bytes of payload of each segment but the last.
    size: usize,
    /// Bytes of the frame.
    end: usize,
}

impl Geometry {
    /// Read it from a frame whose IP header has been read and is as long as the frame says.
    pub(crate) fn parse(frame: &[u8], ip_at: usize) -> Result<Self, Malformed> {
        use Malformed::SuperPacket;
        let offload = frame[OFFLOAD];
        let (transport, version) = match (offload & !OFFLOAD_ECN, frame[ip_at] >> 4) {
            (OFFLOAD_TCP4, 4) => (Transport::Tcp, Version::V4),
            (OFFLOAD_TCP6, 6) => (Transport::Tcp, Version::V6),
            (OFFLOAD_UDP, 4) => (Transport::Udp, Version::V4),
            (OFFLOAD_UDP, 6) => (Transport::Udp, Version::V6),
            _ => return Err(Malformed::Offload(offload)),
        };
        if frame[FLAGS] & NEEDS_CHECKSUM == 0 {
            return Err(SuperPacket("its checksum is already complete"));
        }
        let size = usize::from(native(frame, SEGMENT_SIZE));
        let transport_at = super::VIRTIO_HEADER + usize::from(native(frame, CHECKSUM_START));
        let (protocol, checksum_offset, least) = match transport {
            Transport::Tcp => (TCP, 16, 20),
            Transport::Udp => (UDP, 6, 8),
        };
        if native(frame, CHECKSUM_OFFSET) != checksum_offset {
            return Err(SuperPacket("the checksum is not where its transport has it"));
        }
        match version {
            Version::V4 => {
                let fragment = u16::from_be_bytes([frame[ip_at + 6], frame[ip_at + 7]]) & 0x3fff;
                if frame[ip_at + 9] != protocol || fragment != 0 {
                    return Err(SuperPacket("the IP header names another transport, or a fragment"));
                }
                if transport_at != ip_at + usize::from(frame[ip_at] & 0x0f) * 4 {
                    return Err(SuperPacket("the checksum does not begin behind the IP header"));
                }
            }
            // Extension headers may stand between; only a packet without them names its transport here.
            Version::V6
                if transport_at < ip_at + 40 || (transport_at == ip_at + 40 && frame[ip_at + 6] != protocol) =>
            {
                return Err(SuperPacket("the checksum does not begin behind the IP header"));
            }
            Version::V6 => {}
        }
        let header = frame.get(transport_at..transport_at + least).ok_or(Malformed::Short)?;
        let payload_at = match transport {
            Transport::Tcp => transport_at + usize::from(header[12] >> 4) * 4,
            Transport::Udp => transport_at + 8,
        };
        if size == 0 || payload_at < transport_at + least || payload_at >= frame.len() {
            return Err(SuperPacket("no payload to cut"));
        }
        Ok(Self { version, transport, ip_at, transport_at, payload_at, size, end: frame.len() })
    }

    /// The packets that it stands for.
    pub fn train(&self) -> Train {
        let headers = self.payload_at - self.ip_at;
        let payload = self.end - self.payload_at;
        let segments = payload.div_ceil(self.size);
        let last = payload - (segments - 1) * self.size;
        // A frame is shorter than 64 KiB, so every one of these fits.
        Train::new(segments as u32, (headers + self.size) as u32, (headers + last) as u32)
    }

    /// Cut a non-empty range of segments out of the frame that this was read from. The piece comes with its own geometry,
    /// by which it can be cut further; none if it is a single segment and so an ordinary packet.
    pub fn cut(&self, frame: &[u8], segments: Range<u32>) -> (Vec<u8>, Option<Self>) {
        let count = self.train().segments();
        assert!(segments.start < segments.end && segments.end <= count, "{segments:?} of {count} segments");
        let from = self.payload_at + segments.start as usize * self.size;
        let to = (self.payload_at + segments.end as usize * self.size).min(self.end);
        let mut piece = Vec::with_capacity(self.payload_at + to - from);
        piece.extend_from_slice(&frame[..self.payload_at]);
        piece.extend_from_slice(&frame[from..to]);
        let single = segments.end - segments.start == 1;
        self.mend_virtio(&mut piece, single, segments.start > 0);
        self.mend_ip(&mut piece, segments.start);
        self.mend_transport(&mut piece, segments.start, segments.end == count);
        let geometry = (!single).then_some(Self { end: piece.len(), ..*self });
        (piece, geometry)
    }

    fn mend_virtio(&self, piece: &mut [u8], single: bool, later: bool) {
        let headers = (self.payload_at - super::VIRTIO_HEADER) as u16;
        piece[HEADER_LENGTH..HEADER_LENGTH + 2].copy_from_slice(&headers.to_ne_bytes());
        if single {
            piece[OFFLOAD] = OFFLOAD_NONE;
            piece[SEGMENT_SIZE..SEGMENT_SIZE + 2].fill(0);
        } else if later {
            // It says that the first segment has CWR set, which only the first of all has.
            piece[OFFLOAD] &= !OFFLOAD_ECN;
        }
    }

    fn mend_ip(&self, piece: &mut [u8], first: u32) {
        let at = self.ip_at;
        let length = piece.len() - at;
        match self.version {
            Version::V4 => {
                let id = u16::from_be_bytes([piece[at + 4], piece[at + 5]]).wrapping_add(first as u16);
                put(piece, at + 2, length as u16);
                put(piece, at + 4, id);
                put(piece, at + 10, 0);
                let checksum = !fold(add(0, &piece[at..self.transport_at]));
                put(piece, at + 10, checksum);
            }
            Version::V6 => put(piece, at + 4, (length - 40) as u16),
        }
    }

    fn mend_transport(&self, piece: &mut [u8], first: u32, ends: bool) {
        let at = self.transport_at;
        let length = piece.len() - at;
        let (addresses, protocol) = match self.version {
            Version::V4 => (self.ip_at + 12..self.ip_at + 20, self.protocol()),
            Version::V6 => (self.ip_at + 8..self.ip_at + 40, self.protocol()),
        };
        let pseudo = fold(add(length as u64 + u64::from(protocol), &piece[addresses]));
        match self.transport {
            Transport::Tcp => {
                put(piece, at + 16, pseudo);
                let sequence = u32::from_be_bytes([piece[at + 4], piece[at + 5], piece[at + 6], piece[at + 7]]);
                let sequence = sequence.wrapping_add(first.wrapping_mul(self.size as u32));
                piece[at + 4..at + 8].copy_from_slice(&sequence.to_be_bytes());
                if !ends {
                    piece[at + 13] &= !FIN_PSH;
                }
                if first > 0 {
                    piece[at + 13] &= !CWR;
                }
            }
            Transport::Udp => {
                put(piece, at + 4, length as u16);
                put(piece, at + 6, pseudo);
            }
        }
    }

    fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Tcp => TCP,
            Transport::Udp => UDP,
        }
    }
}

fn native(frame: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([frame[at], frame[at + 1]])
}

fn put(piece: &mut [u8], at: usize, value: u16) {
    piece[at..at + 2].copy_from_slice(&value.to_be_bytes());
}
