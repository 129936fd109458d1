//! The one call of the engine that no safe wrapper has.

use std::{io, os::fd::BorrowedFd};

/// Packets that a packet socket dropped because its buffer was full, since this was last asked.
#[expect(unsafe_code, reason = "PACKET_STATISTICS has no safe wrapper")]
pub(super) fn packet_drops(socket: BorrowedFd<'_>) -> io::Result<u32> {
    use std::os::fd::AsRawFd;
    /// `struct tpacket_stats` of `linux/if_packet.h`.
    #[repr(C)]
    #[derive(Default)]
    struct Statistics {
        packets: u32,
        drops: u32,
    }
    let mut statistics = Statistics::default();
    let mut length = size_of::<Statistics>() as libc::socklen_t;
    // SAFETY: the pointer and length describe `statistics`, which outlives the call and may have any bits.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(statistics.drops) } else { Err(io::Error::last_os_error()) }
}
