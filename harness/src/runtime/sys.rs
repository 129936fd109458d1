//! The runtime's one system call that no safe library offers.
#![expect(unsafe_code, reason = "code between fork and exec; the block says why it is sound")]

use std::{os::unix::process::CommandExt, process::Command};

use rustix::process::{Signal, set_parent_process_death_signal};

/// Let the kernel kill the command's process when this one ends, by whatever.
pub(super) fn die_with_this_process(command: &mut Command) {
    // SAFETY: between fork and exec this makes one system call and neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
}
