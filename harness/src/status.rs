//! How `peerbed` ends: its documented exit codes.

use std::process::ExitCode;

/// The end of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// 0: done, and what was measured is valid and as expected.
    Good,
    /// 1: valid, but an expectation of the experiment was not met.
    Unmet,
    /// 2: wrong usage, bad input, or the machine lacks something.
    Usage,
    /// 4: what was measured cannot be trusted.
    Invalid,
    /// 130: ended early by Ctrl-C, SIGTERM or SIGHUP, whichever it was. Everything is taken down, and what was measured
    /// until then is kept. This holds for `run`, `up` and `bench`; the others have nothing to take down and die of the
    /// signal, and `exec` hands it to its program.
    Interrupted,
}

impl Status {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Status::Good => 0,
            Status::Unmet => 1,
            Status::Usage => 2,
            Status::Invalid => 4,
            Status::Interrupted => 130,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        status.code().into()
    }
}
