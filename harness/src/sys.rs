//! The one thing that the program asks of the C library for its whole process.
#![expect(
    unsafe_code,
    reason = "no safe library sets a handler before there is a runtime; the block says why it is sound"
)]

use std::{ffi::c_int, io};

extern "C" fn nothing(_: c_int) {}

/// Let a write beyond the user's limit of file sizes (`ulimit -f`) fail as one to a full disk does, instead of ending the
/// process without a word.
///
/// A handler that does nothing rather than an ignored signal: programs that are started later would inherit the latter.
pub(crate) fn survive_large_files() -> io::Result<()> {
    // SAFETY: a `sigaction` is plain data, for which zeros are a value: no flags, no signals blocked meanwhile.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(c_int) = nothing;
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the call reads one `sigaction` through a pointer that outlives it, and the handler, which does nothing, may
    // run at any moment.
    let set = unsafe { libc::sigaction(libc::SIGXFSZ, &raw const action, std::ptr::null_mut()) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
