//! How much content must have come before a connection is read: to wake a node for every packet costs more than to read it.

use std::{io, time::Duration};

use tokio::{net::TcpStream, time::Instant};

use crate::{sockets, sys};

/// Content is read in steps of about so many bytes.
const STEP: u32 = 16 * 1024;
/// What came is read after so long, however little it is.
const PATIENCE: Duration = Duration::from_millis(200);

/// The low-water mark of one connection's receive buffer (`SO_RCVLOWAT`).
#[derive(Debug)]
pub(super) struct Mark {
    bytes: u32,
    until: Instant,
}

impl Mark {
    /// As every socket begins: any byte is worth a read.
    pub(super) fn new() -> Self {
        Self { bytes: 1, until: Instant::now() }
    }

    /// After a read, which took everything that had come or not: `left` bytes of a part are still to come before anything else.
    pub(super) fn set(&mut self, stream: &TcpStream, left: u32, everything: bool) -> io::Result<()> {
        if everything {
            sockets::drained(stream);
        }
        self.put(stream, left.clamp(1, STEP))?;
        if self.bytes > 1 {
            self.until = Instant::now() + PATIENCE;
        }
        Ok(())
    }

    /// Waits until what has come is to be read although it is less than the mark; for ever, if any byte is read at once.
    pub(super) async fn overdue(&self) {
        if self.bytes > 1 {
            tokio::time::sleep_until(self.until).await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// Any byte is worth a read again; the kernel says at once if there are some.
    pub(super) fn clear(&mut self, stream: &TcpStream) -> io::Result<()> {
        self.put(stream, 1)
    }

    fn put(&mut self, stream: &TcpStream, bytes: u32) -> io::Result<()> {
        if bytes != self.bytes {
            sys::receive_mark(stream, bytes)?;
            self.bytes = bytes;
        }
        Ok(())
    }
}
