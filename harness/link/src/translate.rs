//! Translation of frames: reads the ports of a packet, asks [`Nat`] about it, and rewrites the port.
//!
//! A checksum that is complete is mended (RFC 1624); one that the sender left to its device is the sum of the pseudo header
//! only, in which there are no ports. Fragments are dropped: only the first one has ports. Packets of other transports than
//! TCP and UDP have none and pass.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{
    Framing, Moment, Nat,
    checksum::fold,
    nat::{Passing, Signal, Transport},
};

const NEEDS_CHECKSUM: u8 = 1;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Where the ports of a packet are, and what they are.
#[derive(Debug, Clone, Copy)]
struct Ports {
    transport: Transport,
    at: usize,
    source: SocketAddr,
    destination: SocketAddr,
    signal: Signal,
}

/// What a packet has of ports.
enum Kind {
    Ported(Ports),
    /// Another transport.
    Portless,
    /// A fragment, or a header that is cut short.
    Unreadable,
}

/// Whether a frame that the host sent goes out; its source port is rewritten.
pub fn lets_out(nat: &mut Nat, now: Moment, bytes: &mut [u8], framing: Framing) -> bool {
    pass(bytes, framing, |ports| {
        let Ports { transport, source, destination: remote, signal, .. } = *ports;
        nat.outbound(now, Passing { transport, port: source.port(), remote, signal }).map(|port| (ports.at, port))
    })
}

/// Whether a frame for the host is let in; its destination port is rewritten.
pub fn lets_in(nat: &mut Nat, now: Moment, bytes: &mut [u8], framing: Framing) -> bool {
    pass(bytes, framing, |ports| {
        let Ports { transport, source: remote, destination, signal, .. } = *ports;
        nat.inbound(now, Passing { transport, port: destination.port(), remote, signal })
            .map(|port| (ports.at + 2, port))
    })
}

fn pass(bytes: &mut [u8], framing: Framing, ask: impl FnOnce(&Ports) -> Option<(usize, u16)>) -> bool {
    let ports = match read(bytes, framing.ip_offset()) {
        Kind::Portless => return true,
        Kind::Unreadable => return false,
        Kind::Ported(ports) => ports,
    };
    let Some((at, port)) = ask(&ports) else { return false };
    rewrite(bytes, &ports, at, port);
    true
}

fn read(bytes: &[u8], ip_at: usize) -> Kind {
    let Some(ip) = bytes.get(ip_at..) else { return Kind::Unreadable };
    let (protocol, header, addresses) = match (ip.first().map(|byte| byte >> 4), ip.len()) {
        (Some(4), 20..) => {
            if u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff != 0 {
                return Kind::Unreadable;
            }
            let address = |at: usize| IpAddr::V4(Ipv4Addr::from([ip[at], ip[at + 1], ip[at + 2], ip[at + 3]]));
            (ip[9], usize::from(ip[0] & 0x0f) * 4, (address(12), address(16)))
        }
        (Some(6), 40..) => {
            let address = |at: usize| {
                let mut octets = [0; 16];
                octets.copy_from_slice(&ip[at..at + 16]);
                IpAddr::V6(Ipv6Addr::from(octets))
            };
            (ip[6], 40, (address(8), address(24)))
        }
        _ => return Kind::Unreadable,
    };
    let (transport, least) = match protocol {
        6 => (Transport::Tcp, 20),
        17 => (Transport::Udp, 8),
        _ => return Kind::Portless,
    };
    let Some(head) = ip.get(header..header + least) else { return Kind::Unreadable };
    let signal = match transport {
        Transport::Tcp if head[13] & (FIN | RST) != 0 => Signal::Close,
        Transport::Tcp if head[13] & (SYN | ACK) == SYN => Signal::Open,
        Transport::Tcp | Transport::Udp => Signal::Nothing,
    };
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let (source, destination) = (SocketAddr::new(addresses.0, word(0)), SocketAddr::new(addresses.1, word(2)));
    Kind::Ported(Ports { transport, at: ip_at + header, source, destination, signal })
}

/// Writes a port and mends the checksum.
fn rewrite(bytes: &mut [u8], ports: &Ports, at: usize, port: u16) {
    let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    bytes[at..at + 2].copy_from_slice(&port.to_be_bytes());
    let sum_at = ports.at
        + match ports.transport {
            Transport::Tcp => 16,
            Transport::Udp => 6,
        };
    let sum = u16::from_be_bytes([bytes[sum_at], bytes[sum_at + 1]]);
    // Zero: a sender of UDP over IPv4 may do without.
    let none = ports.transport == Transport::Udp && sum == 0;
    if bytes[0] & NEEDS_CHECKSUM != 0 || none {
        return;
    }
    let mended = !fold(u64::from(!sum) + u64::from(!old) + u64::from(port));
    let mended = if mended == 0 && ports.transport == Transport::Udp { 0xffff } else { mended };
    bytes[sum_at..sum_at + 2].copy_from_slice(&mended.to_be_bytes());
}
