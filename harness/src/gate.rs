//! The gate: what a node's container begins with. It waits until the node's link is there, and then becomes the node's
//! program, in the same process.
//!
//! A container has its network namespace only from its start on, so a link can reach it only when it runs already. What opens
//! the gate is the node's configuration, which comes on standard input when the link stands: a `Header` on a line of its
//! own, then the configuration. Not a byte more is read, as what follows is for the program.

use std::{
    fs, io,
    os::{fd::AsFd, unix::process::CommandExt},
    path::PathBuf,
    process::{Command, ExitCode},
};

use serde::{Deserialize, Serialize};

use crate::say::complain;

/// What comes before a configuration.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    /// The file that it is to be in.
    pub(crate) path: PathBuf,
    /// Its length.
    pub(crate) bytes: u64,
}

impl Header {
    /// The line for it.
    pub(crate) fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("a path of ours is UTF-8");
        line.push(b'\n');
        line
    }
}

/// A header is shorter.
const LONGEST_HEADER: usize = 4096;
/// A configuration is smaller, as the nodes read no larger one.
const LARGEST: u64 = 64 << 20;
/// The program cannot be executed.
const NOT_EXECUTABLE: u8 = 126;
/// There is no such program.
const NOT_FOUND: u8 = 127;
/// The gate was not opened as it should be.
const NOT_OPENED: u8 = 125;

/// The hidden subcommand `gate`: the words behind it are the program and its arguments. Returns only if that is not to be.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(2);
    let Some(program) = words.next() else {
        complain("gate: there is no program to become");
        return ExitCode::from(NOT_OPENED);
    };
    match open() {
        Ok(true) => {}
        // The harness has gone; nobody wants this node any more.
        Ok(false) => return ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("gate: the configuration cannot be taken: {error}"));
            return ExitCode::from(NOT_OPENED);
        }
    }
    let error = Command::new(&program).args(words).exec();
    complain(format_args!("gate: `{}` cannot be executed: {error}", program.display()));
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE })
}

/// Wait for the configuration and put it in its place; false if the input ended before there was any.
fn open() -> io::Result<bool> {
    let mut input = Unbuffered;
    let Some(header) = header(&mut input)? else { return Ok(false) };
    let Header { path, bytes } = serde_json::from_slice(&header)?;
    if bytes > LARGEST {
        return Err(io::Error::other(format!("{bytes} bytes are too many")));
    }
    let mut config = vec![0; bytes as usize];
    io::Read::read_exact(&mut input, &mut config)?;
    fs::write(path, config)?;
    Ok(true)
}

/// The first line; none if there is nothing at all.
fn header(input: &mut impl io::Read) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        match input.read(&mut byte)? {
            0 if line.is_empty() => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if byte[0] == b'\n' => return Ok(Some(line)),
            _ if line.len() == LONGEST_HEADER => return Err(io::Error::other("it does not begin with a header")),
            _ => line.push(byte[0]),
        }
    }
}

/// Standard input, of which the library's own would read more than it was asked for.
struct Unbuffered;

impl io::Read for Unbuffered {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::read(io::stdin().as_fd(), &mut *into))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_ends_with_its_line() {
        let line = Header { path: "/x".into(), bytes: 3 }.line();
        let mut input = &[&line[..], b"abcrest"].concat()[..];
        let read: Header = serde_json::from_slice(&header(&mut input).unwrap().unwrap()).unwrap();
        assert_eq!((read.path, read.bytes, input), ("/x".into(), 3, &b"abcrest"[..]));
        assert!(header(&mut &b""[..]).unwrap().is_none());
        assert!(header(&mut &b"{"[..]).is_err());
        assert!(header(&mut io::repeat(b'x')).is_err());
    }
}
