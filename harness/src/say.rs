//! What the program says to whoever started it. A stream that cannot be written (closed, full) never makes it panic, so
//! nothing else here prints.

use std::{
    fmt::Display,
    io::{self, Write},
};

use anyhow::Context;

/// Prints the result of a command on standard output. Whoever closes the other end has read enough: that is no error.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("standard output cannot be written"),
    }
}

/// Prints a line on standard error. Where that cannot be written there is nobody to tell, and work goes on. What it quotes from elsewhere
/// does not command a terminal.
pub(crate) fn complain(line: impl Display) {
    // In one piece: other processes may write to the same log.
    let _ = io::stderr().lock().write_all((harmless(&line.to_string()) + "\n").as_bytes());
}

/// What somebody else wrote, without what would command a terminal.
pub(crate) fn harmless(text: &str) -> String {
    let mut tamed = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' && c != '\t' { tamed.extend(c.escape_debug()) } else { tamed.push(c) }
    }
    tamed
}

/// So many of something: `1 arm`, `2 arms`.
pub(crate) fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// An error with its causes; those that its own text already gives are not said twice.
pub(crate) fn describe(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::ResultsError;

    #[test]
    fn every_cause_is_said_once() {
        let disk = || io::Error::from(io::ErrorKind::StorageFull);
        let with_its_cause = ResultsError::Io { path: "a/b".into(), source: disk() };
        let error = anyhow::Error::new(with_its_cause).context("cannot make a directory");
        assert_eq!(describe(&error), "cannot make a directory: a/b: no storage space");
        assert_eq!(describe(&anyhow::Error::new(disk()).context("one").context("two")), "two: one: no storage space");
        assert_eq!(describe(&anyhow::anyhow!("alone")), "alone");
    }
}
