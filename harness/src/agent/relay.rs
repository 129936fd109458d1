//! Passes on what one node prints, and what it is told, without ever holding up the agent: a node that prints faster than
//! the harness reads waits in its own pipe, and one that does not read its input is refused more of it.

use std::os::fd::{AsFd, OwnedFd};

use peerbed_contract::NodeName;
use rustix::io::{Errno, ioctl_fionread};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::unix::pipe,
    sync::{mpsc, oneshot},
};

use super::{lines::Lines, protocol::Notice, spawn::Ended};
use crate::say::complain;

/// Lines that may wait for a node to read its input.
pub(super) const WAITING_LINES: usize = 64;
const CHUNK: usize = 4096;

/// A line for a node, and where to say how it went.
pub(super) type ToldLine = (String, oneshot::Sender<std::io::Result<()>>);

/// Pass on everything the node prints until it has ended, then its end: the last notice of this process.
pub(super) async fn listen(
    node: NodeName,
    stdout: OwnedFd,
    mut end: oneshot::Receiver<Ended>,
    notices: mpsc::Sender<Notice>,
) -> std::io::Result<()> {
    let mut stdout = pipe::Receiver::from_owned_fd(stdout)?;
    let (mut lines, mut ready, mut chunk) = (Lines::default(), Vec::new(), vec![0; CHUNK]);
    let mut open = true;
    let ended = loop {
        tokio::select! {
            read = stdout.read(&mut chunk), if open => {
                match read {
                    Ok(0) => open = false,
                    Ok(length) => lines.feed(&chunk[..length], &mut ready),
                    Err(error) => {
                        complain(format_args!("agent: node {node}: its output cannot be read: {error}"));
                        open = false;
                    }
                }
                pass_on(&node, &mut ready, &notices).await;
            }
            ended = &mut end => break ended,
        }
    };
    if open {
        // It has ended, so all that it printed is in the pipe now. Processes that it left behind may still write: what
        // they print after this moment is not the node's.
        let mut left = ioctl_fionread(&stdout)?;
        while left > 0 {
            match rustix::io::read(stdout.as_fd(), &mut chunk) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(length) => {
                    left = left.saturating_sub(length as u64);
                    lines.feed(&chunk[..length], &mut ready);
                    pass_on(&node, &mut ready, &notices).await;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    ready.extend(lines.finish());
    pass_on(&node, &mut ready, &notices).await;
    // Without an end the agent itself is ending, and nobody is left to be told.
    if let Ok(Ended { code, signal }) = ended {
        let _ = notices.send(Notice::Exited { node, code, signal }).await;
    }
    Ok(())
}

async fn pass_on(node: &NodeName, ready: &mut Vec<String>, notices: &mpsc::Sender<Notice>) {
    for line in ready.drain(..) {
        // Nobody reads any more only when the agent is ending.
        let _ = notices.send(Notice::Line { node: node.clone(), line }).await;
    }
}

/// Write lines to the node's standard input as far as it reads them.
pub(super) async fn tell(stdin: OwnedFd, mut lines: mpsc::Receiver<ToldLine>) -> std::io::Result<()> {
    let mut stdin = pipe::Sender::from_owned_fd(stdin)?;
    while let Some((mut line, answer)) = lines.recv().await {
        line.push('\n');
        let written = stdin.write_all(line.as_bytes()).await;
        // Whoever asked may be gone.
        let _ = answer.send(written);
    }
    Ok(())
}
