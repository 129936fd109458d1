//! The commands of the program, one module each: arguments in, exit code out.

pub(crate) mod check;
pub(crate) mod clean;
pub(crate) mod ls;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod schema;

use std::io::{self, Write};

/// Prints on standard output. Whoever closes the other end has read enough: that is no error.
fn say(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
