//! The calls into the C library that no safe crate offers: settings of the allocator, a signal's handler, and an option
//! of sockets.

use std::{ffi::c_int, io, os::fd::AsRawFd};

use tokio::net::TcpStream;

extern "C" fn nothing(_: c_int) {}

/// Lets a write beyond the user's limit of file sizes (`ulimit -f`), to a log that is, fail as one to a full disk does,
/// instead of ending the process without a word.
pub(crate) fn survive_large_files() -> io::Result<()> {
    let handler: extern "C" fn(c_int) = nothing;
    #[expect(unsafe_code, reason = "no safe library sets a handler before there is a runtime")]
    // SAFETY: a `sigaction` is plain data, for which zeros are a value; the call reads one through a pointer that outlives
    // it; and the handler, which does nothing, may run at any moment.
    let set = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGXFSZ, &raw const action, std::ptr::null_mut())
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes freed memory go back to the system, so that a node's memory is what it uses.
///
/// One arena serves all threads, the top of the heap is trimmed beyond 128 KiB, and larger blocks are mapped apart.
pub(crate) fn lean_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "mallopt has no safe wrapper")]
        // SAFETY: mallopt only sets parameters of the allocator; it is called before any other thread exists.
        let accepted = unsafe {
            [
                libc::mallopt(libc::M_ARENA_MAX, 1),
                libc::mallopt(libc::M_TRIM_THRESHOLD, 128 * 1024),
                libc::mallopt(libc::M_MMAP_THRESHOLD, 128 * 1024),
            ]
        };
        if accepted.contains(&0) {
            tracing::warn!("the allocator refused a setting; memory use may be higher");
        }
    }
}

/// Makes the socket readable only when so many bytes have come, or the end.
pub(crate) fn receive_mark(stream: &TcpStream, bytes: u32) -> io::Result<()> {
    let bytes = c_int::try_from(bytes).map_err(io::Error::other)?;
    let length = size_of::<c_int>() as libc::socklen_t;
    #[expect(unsafe_code, reason = "no safe library sets SO_RCVLOWAT")]
    // SAFETY: the descriptor is open as long as the stream is borrowed, and the call reads one number of the given size.
    let set = unsafe {
        libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, (&raw const bytes).cast(), length)
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
