//! Receiving a datagram together with the moment at which the kernel got it, which no safe library offers.
#![expect(
    unsafe_code,
    reason = "a socket option and a system call without a safe wrapper; each block says why it is sound"
)]

use std::{
    io, mem,
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    time::Duration,
};

/// Ask the kernel to note when each datagram comes in. If no socket of the machine asked before, it begins to do so within
/// milliseconds; datagrams that come in before that get the time at which they were read.
pub(super) fn stamp_arrivals(socket: &UdpSocket) -> io::Result<()> {
    set(socket, libc::SO_TIMESTAMPNS, 1)
}

/// Wake who reads only when so many bytes are there, or the end.
pub(super) fn wake_for(socket: &TcpStream, bytes: u32) -> io::Result<()> {
    set(socket, libc::SO_RCVLOWAT, bytes as libc::c_int)
}

/// Send at most so many bytes a second, evenly.
pub(super) fn pace(socket: &TcpStream, bytes_per_second: u32) -> io::Result<()> {
    // The kernel reads the same bits as an unsigned number.
    set(socket, libc::SO_MAX_PACING_RATE, bytes_per_second.cast_signed())
}

fn set(socket: &impl AsRawFd, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the call reads `length` bytes through the pointer to a `c_int` that outlives it.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The next datagram's length, and when the kernel got it (`CLOCK_REALTIME`).
pub(super) fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, Duration)> {
    receive_from(socket, buffer).map(|(length, at, _)| (length, at))
}

/// The same, and whence it came, on a socket of IPv4.
pub(super) fn receive_from(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, Duration, SocketAddr)> {
    // In words, so that it is aligned for a `cmsghdr`.
    let mut control = [0_u64; 16];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: a `msghdr` is plain data, for which zeros are a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    // SAFETY: so is a `sockaddr_in`.
    let mut from: libc::sockaddr_in = unsafe { mem::zeroed() };
    message.msg_name = (&raw mut from).cast();
    message.msg_namelen = size_of_val(&from) as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the message points to `buffer`, `control` and `from` with their true lengths; all outlive the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    let Ok(length) = usize::try_from(length) else { return Err(io::Error::last_os_error()) };
    let sender = SocketAddr::from((Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr)), u16::from_be(from.sin_port)));
    // SAFETY: the kernel filled `control` in and set its length, so the macros stay within it; a header is followed by
    // its data, which for this type is a `timespec`, read without regard to alignment.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while let Some(&libc::cmsghdr { cmsg_level, cmsg_type, .. }) = header.as_ref() {
            if (cmsg_level, cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
                let stamp: libc::timespec = libc::CMSG_DATA(header).cast::<libc::timespec>().read_unaligned();
                return Ok((length, Duration::new(stamp.tv_sec as u64, stamp.tv_nsec as u32), sender));
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Err(io::Error::other("the kernel did not say when the datagram came"))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_datagram_comes_with_the_time_of_its_arrival() {
        let [from, to] = [(); 2].map(|()| UdpSocket::bind(("127.0.0.1", 0)).unwrap());
        stamp_arrivals(&to).unwrap();
        let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        // It is there at once, although it is asked for later; the first ones may come before the kernel has begun to note.
        let noted = (0..50).any(|_| {
            let before = now();
            from.send_to(b"hello", to.local_addr().unwrap()).unwrap();
            let after = now();
            std::thread::sleep(Duration::from_millis(20));
            let mut buffer = [0; 16];
            let (length, at, sender) = receive_from(&to, &mut buffer).unwrap();
            assert_eq!(sender, from.local_addr().unwrap());
            assert_eq!(&buffer[..length], b"hello");
            (before..=after + Duration::from_millis(10)).contains(&at)
        });
        assert!(noted, "all times are those of reading");
    }

    #[test]
    fn without_a_stamp_it_is_an_error() {
        let [from, to] = [(); 2].map(|()| UdpSocket::bind(("127.0.0.1", 0)).unwrap());
        from.send_to(b"hello", to.local_addr().unwrap()).unwrap();
        assert!(receive(&to, &mut [0; 16]).unwrap_err().to_string().contains("did not say"));
    }
}
