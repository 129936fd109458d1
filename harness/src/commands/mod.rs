//! The commands of the program, one module each: arguments in, exit code out.

pub(crate) mod check;
pub(crate) mod clean;
pub(crate) mod down;
pub(crate) mod exec;
pub(crate) mod ls;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod up;

use std::io::{self, Write};

/// Prints on standard output. Whoever closes the other end has read enough: that is no error.
pub(crate) fn say(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
