//! What a node's binary says beside its events. A stream that cannot be written (closed, full) never makes it panic, so
//! nothing else here prints.

use std::{
    fmt::Display,
    io::{self, Write},
};

/// Prints on standard output. Whoever closes the other end has read enough: that is no error.
pub(crate) fn say(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.to_string().as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints a line on standard error. Where that cannot be written there is nobody to tell.
pub(crate) fn complain(line: impl Display) {
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}
