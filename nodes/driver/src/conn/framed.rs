//! A framed connection, to a control plane or between peers: reads, hashes, writes and closes in order.

use std::{io, rc::Rc};

use peerbed_proto::{Input, Message, RequestId};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{LINGER, Link, SCRATCH, mark::Mark, outgoing::Outgoing};
use crate::{
    codec::{CodecError, Decoded, Decoder},
    inbox::Inbox,
    sockets,
};

/// Why a connection ended before its machine closed it.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("content bytes for request {} came, which is not expected", .0.0)]
    Unexpected(RequestId),
    #[error("more bytes came for request {} than its piece has", .0.0)]
    Excess(RequestId),
    #[error("the stream ended inside a frame or a part")]
    Truncated,
    #[error("it was aborted by this side")]
    Aborted,
}

/// How a connection ended.
enum End {
    /// The remote closed after its last message.
    Remote,
    /// The machine closed it and everything was written.
    Ordered,
}

/// Carries a connection until it ends, and says so unless the machine closed it.
pub(crate) async fn run(mut stream: TcpStream, link: Rc<Link>, inbox: Rc<Inbox>) {
    let mut task =
        Framed { link: &link, inbox: &inbox, decoder: Decoder::default(), mark: Mark::new(), out: Outgoing::default() };
    match task.carry(&stream).await {
        Ok(End::Remote) => {
            let clean = !task.out.in_part();
            inbox.push(Input::Closed { conn: link.id, clean });
        }
        Ok(End::Ordered) => farewell(&mut stream).await,
        Err(error) => {
            tracing::debug!(conn = link.id.0, %error, "a connection broke");
            sockets::reset_on_close(&stream);
            if matches!(error, Broken::Codec(_) | Broken::Unexpected(_) | Broken::Excess(_)) {
                inbox.push(Input::Garbled { conn: link.id });
            }
            inbox.push(Input::Closed { conn: link.id, clean: false });
        }
    }
}

struct Framed<'a> {
    link: &'a Link,
    inbox: &'a Inbox,
    decoder: Decoder,
    mark: Mark,
    out: Outgoing,
}

impl Framed<'_> {
    async fn carry(&mut self, stream: &TcpStream) -> Result<End, Broken> {
        let mut broken_write = None;
        let mut deadline = None;
        let mut read_ended = false;
        loop {
            self.inbox.room().await;
            if self.link.is_aborted() {
                return Err(Broken::Aborted);
            }
            let writes = broken_write.is_none() && self.out.refill(self.link);
            if self.link.is_closing() {
                if !writes {
                    return Ok(End::Ordered);
                }
                deadline.get_or_insert_with(|| tokio::time::Instant::now() + LINGER);
            }
            tokio::select! {
                ready = stream.readable(), if !read_ended => {
                    ready?;
                    match self.read(stream) {
                        Ok(0) if self.link.is_closing() => read_ended = true,
                        Ok(0) => return self.remote_end(broken_write),
                        Ok(_) => tokio::task::yield_now().await,
                        Err(Broken::Socket(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
                ready = stream.writable(), if writes => {
                    ready?;
                    match self.out.write(stream, self.link.id, self.inbox) {
                        Ok(()) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        // What the remote sent before it broke off is still there to be read.
                        Err(error) => broken_write = Some(error),
                    }
                }
                () = self.link.changed() => {}
                () = self.mark.overdue() => self.mark.clear(stream)?,
                () = expire(deadline) => return Err(Broken::Aborted),
            }
        }
    }

    fn remote_end(&self, broken_write: Option<io::Error>) -> Result<End, Broken> {
        match broken_write {
            Some(error) => Err(error.into()),
            None if self.decoder.at_boundary() => Ok(End::Remote),
            None => Err(Broken::Truncated),
        }
    }

    /// Reads once, without waiting; gives the number of bytes. After the machine's close they mean nothing any more.
    fn read(&mut self, stream: &TcpStream) -> Result<usize, Broken> {
        SCRATCH.with_borrow_mut(|scratch| {
            let length = stream.try_read(scratch)?;
            if self.link.is_closing() {
                return Ok(length);
            }
            let mut input = &scratch[..length];
            while let Some(decoded) = self.decoder.next(&mut input)? {
                match decoded {
                    Decoded::Message(message) => self.message(message),
                    Decoded::Content { request, bytes } => self.content(request, bytes)?,
                }
            }
            self.mark.set(stream, self.decoder.part_left(), length < scratch.len())?;
            Ok(length)
        })
    }

    fn message(&mut self, message: Message) {
        if let Message::Cancelled { request } = message {
            self.link.expected.borrow_mut().remove(&request);
        }
        self.inbox.push(Input::Message { conn: self.link.id, message });
    }

    fn content(&mut self, request: RequestId, bytes: &[u8]) -> Result<(), Broken> {
        let conn = self.link.id;
        let mut expected = self.link.expected.borrow_mut();
        let piece = expected.get_mut(&request).ok_or(Broken::Unexpected(request))?;
        let end = piece.take(bytes).map_err(|_| Broken::Excess(request))?;
        self.inbox.push(Input::PieceData { conn, request, bytes: bytes.len() as u32 });
        if let Some(hash) = end {
            expected.remove(&request);
            self.inbox.push(Input::PieceEnd { conn, request, hash });
        }
        Ok(())
    }
}

async fn expire(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Says that nothing more will be sent and waits until the remote has read everything and closed too. A socket that is
/// closed with bytes unread would reset the connection and take from the remote what it had not read yet.
async fn farewell(stream: &mut TcpStream) {
    if stream.shutdown().await.is_err() {
        return; // the remote has gone already
    }
    let mut late = 0;
    let drained = tokio::time::timeout(LINGER, async {
        loop {
            stream.readable().await?;
            match SCRATCH.with_borrow_mut(|scratch| stream.try_read(scratch)) {
                Ok(0) => return Ok(()),
                Ok(length) => late += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err::<(), io::Error>(error),
            }
        }
    })
    .await;
    tracing::trace!(late, ended = ?drained, "a connection was closed");
    if !matches!(drained, Ok(Ok(()))) {
        sockets::reset_on_close(stream);
    }
}

#[cfg(test)]
mod tests;
