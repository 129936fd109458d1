//! The two kinds of device that end a node's link, from the engine's side: TUN, and a packet socket on a veth.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    net::sockopt,
};

use super::sys;
use crate::{
    engine::EndsChoice,
    netlink::{DEVICE, DEVICE_INDEX},
};

/// The file behind every TUN device.
pub(super) const TUN_FILE: &str = "/dev/net/tun";
/// What a packet socket may hold; the kernel grants less where `rmem_max` says so.
const PACKET_BUFFER: usize = 16 << 20;

/// Which kind of end the engine's ports have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// TUN devices.
    Tun,
    /// Packet sockets on veth pairs.
    Packet,
}

impl Ends {
    /// Make the choice that was left open.
    pub(super) fn choose(choice: EndsChoice) -> Self {
        match choice {
            EndsChoice::Tun => Ends::Tun,
            EndsChoice::Auto if open_tun().is_ok() => Ends::Tun,
            EndsChoice::Auto | EndsChoice::Packet => Ends::Packet,
        }
    }

    /// Its name in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Ends::Tun => "tun",
            Ends::Packet => "packet",
        }
    }
}

fn open_tun() -> io::Result<OwnedFd> {
    Ok(openat(CWD, TUN_FILE, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?)
}

/// Whether the device takes UDP super-packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UdpSegments(pub(super) bool);

/// A TUN device, from the engine's side.
#[derive(Debug)]
pub(super) struct Tun {
    /// Its other end.
    pub(super) fd: OwnedFd,
    /// The statistics of its namespace's devices; they tell what its queue drops.
    pub(super) statistics: OwnedFd,
    /// Whether it passes UDP super-packets on.
    pub(super) udp: UdpSegments,
}

/// Make the node's device in the calling thread's network namespace.
///
/// It is made persistent: closing the last descriptor of a TUN device waits tens of milliseconds for the device to go,
/// one after the other, while a namespace takes all its devices with it at once.
pub(super) fn tun() -> io::Result<Tun> {
    let tun = open_tun()?;
    sys::tun_create(tun.as_fd(), DEVICE, DEVICE_INDEX)?;
    let udp = sys::tun_offloads(tun.as_fd(), sys::TUN_TCP_UDP).is_ok();
    if !udp {
        sys::tun_offloads(tun.as_fd(), sys::TUN_TCP)?;
    }
    sys::tun_persist(tun.as_fd())?;
    Ok(Tun { fd: tun, statistics: statistics()?, udp: UdpSegments(udp) })
}

/// The statistics of the devices of the calling thread's network namespace.
pub(super) fn statistics() -> io::Result<OwnedFd> {
    Ok(openat(CWD, "/proc/thread-self/net/dev", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// A socket for what comes in on one interface of the calling thread's network namespace.
pub(super) fn packet(interface: u32) -> io::Result<OwnedFd> {
    let socket = sys::packet_socket(interface)?;
    // Beyond the machine's limit only with privilege in its first user namespace; else as much as the limit allows.
    if sockopt::set_socket_recv_buffer_size_force(&socket, PACKET_BUFFER).is_err() {
        sockopt::set_socket_recv_buffer_size(&socket, PACKET_BUFFER)?;
    }
    if sockopt::set_socket_send_buffer_size_force(&socket, PACKET_BUFFER).is_err() {
        sockopt::set_socket_send_buffer_size(&socket, PACKET_BUFFER)?;
    }
    Ok(socket)
}

/// Whether packet sockets of this kernel pass UDP super-packets on (they came with Linux 6.2).
pub(super) fn packet_udp_segments() -> UdpSegments {
    let uname = rustix::system::uname();
    UdpSegments(kernel_version(&uname.release().to_string_lossy()) >= Some((6, 2)))
}

/// Major and minor of a kernel's release, for example `6.8.0-45-generic`.
pub(crate) fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The offloads of the engine's ports, for reports.
pub(super) fn offloads(udp: UdpSegments) -> String {
    if udp.0 { "tso4 tso6 uso4 uso6".to_owned() } else { "tso4 tso6".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions_are_read() {
        assert_eq!(kernel_version("6.8.0-45-generic"), Some((6, 8)));
        assert_eq!(kernel_version("5.15.0"), Some((5, 15)));
        assert_eq!(kernel_version("6.18-rc1"), Some((6, 18)));
        assert_eq!(kernel_version("next"), None);
        assert!(kernel_version("next") < Some((6, 2)));
        assert!(kernel_version("5.15.0") < Some((6, 2)));
    }
}
