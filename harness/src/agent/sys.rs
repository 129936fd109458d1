//! The agent's few system calls that no safe library offers: fork, unshare, TUN and packet-socket options.
#![expect(unsafe_code, reason = "system calls without a safe wrapper; each block says why it is sound")]

use std::{
    ffi::c_int,
    fs, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::{
    process::Pid,
    thread::{UnshareFlags, unshare_unsafe},
};

/// Put the calling thread (or, with one thread only, the process) into new namespaces.
pub(super) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    assert!(!flags.contains(UnshareFlags::FILES), "other threads rely on a shared table of descriptors");
    // SAFETY: the only danger is a separate table of descriptors, which was ruled out above.
    Ok(unsafe { unshare_unsafe(flags) }?)
}

/// Give the calling thread a table of descriptors of its own: a copy of the shared one as it is now. From then on it must
/// not close a descriptor for others, nor take one from them, by its number: [`super::passage`] is for that.
pub(super) fn own_descriptors() -> io::Result<()> {
    // SAFETY: what this thread owns or borrows until now has the same number in the copy.
    Ok(unsafe { unshare_unsafe(UnshareFlags::FILES) }?)
}

/// Which side of a [`fork`] this is.
pub(super) enum Forked {
    /// The new process.
    Child,
    /// The old one.
    Parent(Pid),
}

/// Fork a process that has one thread.
pub(super) fn fork() -> io::Result<Forked> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("the agent must begin before any other thread does"));
    }
    // SAFETY: with one thread no lock can be held by another at this moment, so the child may run any code.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(Pid::from_raw(pid).expect("a child's process id is positive"))),
    }
}

/// Offloads of a TUN device: the reader takes unfinished checksums and TCP super-packets.
pub(super) const TUN_TCP: libc::c_uint = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
/// The same, and UDP super-packets (Linux 6.2).
pub(super) const TUN_TCP_UDP: libc::c_uint = TUN_TCP | libc::TUN_F_USO4 | libc::TUN_F_USO6;

fn checked(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Make the descriptor of `/dev/net/tun` a TUN device in the calling thread's network namespace, with virtio headers and
/// this interface index.
pub(super) fn tun_create(tun: BorrowedFd<'_>, name: &str, index: u32) -> io::Result<()> {
    // SAFETY: an `ifreq` is plain data, for which zeros are a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the device's name is too long"));
    }
    for (to, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    // SAFETY: the call reads one `unsigned int` through the pointer, which outlives it.
    checked(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFINDEX, &raw const index) })?;
    // SAFETY: the call reads and writes one `ifreq` through the pointer, which outlives it.
    checked(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })
}

/// Choose the offloads of a TUN device.
pub(super) fn tun_offloads(tun: BorrowedFd<'_>, offloads: libc::c_uint) -> io::Result<()> {
    // SAFETY: the argument is a number, not a pointer.
    checked(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(offloads)) })
}

/// Let a TUN device stay when its descriptor closes; it then goes with its namespace.
pub(super) fn tun_persist(tun: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_ulong = 1;
    // SAFETY: the argument is a number, not a pointer.
    checked(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETPERSIST, on) })
}

/// Set a switch of a packet socket.
fn packet_switch(socket: BorrowedFd<'_>, option: c_int) -> io::Result<()> {
    let on: c_int = 1;
    let length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the call reads `length` bytes through the pointer to a `c_int` that outlives it.
    checked(unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, (&raw const on).cast(), length) })
}

/// A non-blocking packet socket for the IPv4 frames that come in on one interface of the calling thread's network
/// namespace, each with its virtio header; what is written goes out past all queueing disciplines.
pub(super) fn packet_socket(interface: u32) -> io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    // Protocol 0: nothing is received before the bind below.
    let socket =
        socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    for option in [libc::PACKET_VNET_HDR, libc::PACKET_IGNORE_OUTGOING, libc::PACKET_QDISC_BYPASS] {
        packet_switch(socket.as_fd(), option)?;
    }
    // SAFETY: a `sockaddr_ll` is plain data, for which zeros are a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as libc::c_ushort;
    address.sll_protocol = (libc::ETH_P_IP as u16).to_be();
    address.sll_ifindex = interface as c_int;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the call reads `length` bytes through the pointer to a `sockaddr_ll` that outlives it.
    checked(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
    Ok(socket)
}
