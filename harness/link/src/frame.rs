//! Reading what a device hands over: a virtio header, maybe an Ethernet header, an IP packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Geometry, Train};

/// Bytes of the virtio header that stands before every packet.
pub const VIRTIO_HEADER: usize = 10;
const ETHERNET_HEADER: usize = 14;

/// What stands between the virtio header and the IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Nothing: a TUN device.
    Ip,
    /// An Ethernet header: a packet socket.
    Ethernet,
}

impl Framing {
    /// Where the IP packet begins in a frame.
    pub const fn ip_offset(self) -> usize {
        match self {
            Framing::Ip => VIRTIO_HEADER,
            Framing::Ethernet => VIRTIO_HEADER + ETHERNET_HEADER,
        }
    }
}

/// Why a frame cannot be carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends inside a header, or before the end that its IP header announces.
    #[error("the packet is cut short")]
    Short,
    /// Neither IPv4 nor IPv6.
    #[error("not an IP packet")]
    NotIp,
    /// Its virtio header asks for a kind of offload that we did not offer.
    #[error("unknown offload {0:#04x}")]
    Offload(u8),
    /// A super-packet whose headers contradict each other.
    #[error("the headers of a super-packet contradict each other: {0}")]
    SuperPacket(&'static str),
}

/// What must be known of a frame to carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Where it says that it comes from.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// The packets that it stands for.
    pub train: Train,
    /// How to cut it; none for an ordinary packet.
    pub geometry: Option<Geometry>,
}

impl Frame {
    /// Read the headers of a frame.
    pub fn parse(frame: &[u8], framing: Framing) -> Result<Self, Malformed> {
        let offset = framing.ip_offset();
        let ip = frame.get(offset..).ok_or(Malformed::Short)?;
        let version = ip.first().ok_or(Malformed::Short)? >> 4;
        if framing == Framing::Ethernet {
            let known = match version {
                4 => [0x08, 0x00],
                _ => [0x86, 0xdd],
            };
            if frame[offset - 2..offset] != known {
                return Err(Malformed::NotIp);
            }
        }
        let (source, destination, length) = match version {
            4 => parse_v4(ip)?,
            6 => parse_v6(ip)?,
            _ => return Err(Malformed::NotIp),
        };
        if length > ip.len() {
            return Err(Malformed::Short);
        }
        if frame[1] == 0 {
            return Ok(Self { source, destination, train: Train::single(length as u32), geometry: None });
        }
        if length != ip.len() {
            return Err(Malformed::SuperPacket("more bytes than the IP header announces"));
        }
        let geometry = Geometry::parse(frame, offset)?;
        let train = geometry.train();
        Ok(Self { source, destination, train, geometry: (train.segments() > 1).then_some(geometry) })
    }
}

fn parse_v4(ip: &[u8]) -> Result<(IpAddr, IpAddr, usize), Malformed> {
    let header: &[u8; 20] = ip.first_chunk().ok_or(Malformed::Short)?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let header_length = usize::from(header[0] & 0x0f) * 4;
    if header_length < 20 || length < header_length {
        return Err(Malformed::Short);
    }
    let address = |at: usize| IpAddr::V4(Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]));
    Ok((address(12), address(16), length))
}

fn parse_v6(ip: &[u8]) -> Result<(IpAddr, IpAddr, usize), Malformed> {
    let header: &[u8; 40] = ip.first_chunk().ok_or(Malformed::Short)?;
    let length = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    let address = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&header[at..at + 16]);
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    Ok((address(8), address(24), length))
}
