//! The one call into the C library that no safe crate offers: settings of the allocator.

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
