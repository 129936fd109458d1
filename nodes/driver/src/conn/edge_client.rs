//! The HTTP/1.1 client of a peer on its connection to an edge.
//!
//! Requests are pipelined: each is written at once, and answered in order. A round trip between two pieces would halve
//! the speed of a short piece on a long path. Bodies are hashed where they are read and never stored.

use std::{collections::VecDeque, fmt::Write as _, io, net::SocketAddr, rc::Rc};

use peerbed_contract::{ContentId, Manifest, SignedToken};
use peerbed_proto::{Input, Refusal, RequestId};
use serde::Deserialize;
use tokio::net::TcpStream;

use super::{
    Expected, Link, Order, SCRATCH,
    mark::Mark,
    response::{Head, HeadReader, ResponseError},
};
use crate::{inbox::Inbox, sockets};

/// The longest manifest, and the longest body of an error that is read to its end, in bytes.
const MAX_TEXT: u64 = 32 << 20;

/// Why the connection ended before its machine closed it.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Response(#[from] ResponseError),
    #[error("a response came that nothing was asked for")]
    Unasked,
    #[error("a body of {0} bytes is not read")]
    LongBody(u64),
    #[error("it was aborted by this side")]
    Aborted,
}

/// A request whose response has not ended.
enum Waiting {
    Authorize { content: ContentId },
    Fetch { request: RequestId, offset: u64, bytes: u32 },
}

/// Where the client is in the present response.
enum Reading {
    Head(HeadReader),
    Piece { request: RequestId, piece: Expected },
    Text { waiting: Waiting, head: Head, body: Vec<u8> },
}

/// The body of an authorisation.
#[derive(Deserialize)]
struct Authorization {
    token: SignedToken,
    manifest: Manifest,
}

/// Carries a connection to the edge at `edge` until it ends, and says so unless the machine closed it.
pub(crate) async fn run(stream: TcpStream, edge: SocketAddr, link: Rc<Link>, inbox: Rc<Inbox>) {
    let mut client = Client {
        link: &link,
        inbox: &inbox,
        edge,
        outgoing: String::new(),
        written: 0,
        waiting: VecDeque::new(),
        reading: Reading::Head(HeadReader::default()),
        mark: Mark::new(),
    };
    let ended = client.carry(&stream).await;
    let clean = ended.is_ok() && client.is_idle();
    if let Err(error) = ended {
        tracing::debug!(conn = link.id.0, %edge, %error, "a connection to an edge broke");
    }
    if !clean {
        // Bytes under way are lost, and the edge must know it.
        sockets::reset_on_close(&stream);
    }
    if !link.is_closing() {
        inbox.push(Input::Closed { conn: link.id, clean });
    }
}

struct Client<'a> {
    link: &'a Link,
    inbox: &'a Inbox,
    edge: SocketAddr,
    outgoing: String,
    written: usize,
    waiting: VecDeque<Waiting>,
    reading: Reading,
    mark: Mark,
}

impl Client<'_> {
    /// Runs until the edge closes or the machine does.
    async fn carry(&mut self, stream: &TcpStream) -> Result<(), Broken> {
        loop {
            self.inbox.room().await;
            if self.link.is_aborted() {
                return Err(Broken::Aborted);
            }
            if self.link.is_closing() {
                return Ok(());
            }
            self.take_orders();
            tokio::select! {
                ready = stream.readable() => {
                    ready?;
                    match self.read(stream) {
                        Ok(0) => return Ok(()),
                        Ok(_) => tokio::task::yield_now().await,
                        Err(Broken::Socket(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
                ready = stream.writable(), if !self.outgoing.is_empty() => {
                    ready?;
                    self.write(stream)?;
                }
                () = self.link.changed() => {}
                () = self.mark.overdue() => self.mark.clear(stream)?,
            }
        }
    }

    /// Whether every response has ended.
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && matches!(&self.reading, Reading::Head(reader) if reader.is_empty())
    }

    fn take_orders(&mut self) {
        while let Some(order) = self.link.next_order() {
            let host = self.edge;
            let (line, waiting) = match order {
                Order::Authorize { content, guid } => {
                    (format!("GET /objects/{content}/authorize?guid={guid}"), Waiting::Authorize { content })
                }
                Order::Fetch { request, content, offset, bytes } => {
                    (format!("GET /objects/{content}"), Waiting::Fetch { request, offset, bytes })
                }
                Order::Frame(_) | Order::Part(_) => {
                    tracing::error!(conn = self.link.id.0, "a message was ordered on a connection to an edge");
                    continue;
                }
            };
            write!(self.outgoing, "{line} HTTP/1.1\r\nhost: {host}\r\n").expect("a string takes everything");
            if let Waiting::Fetch { offset, bytes, .. } = waiting {
                let last = offset + u64::from(bytes) - 1;
                write!(self.outgoing, "range: bytes={offset}-{last}\r\n").expect("a string takes everything");
            }
            self.outgoing.push_str("\r\n");
            self.waiting.push_back(waiting);
        }
    }

    fn write(&mut self, stream: &TcpStream) -> io::Result<()> {
        match stream.try_write(&self.outgoing.as_bytes()[self.written..]) {
            Ok(written) => self.written += written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if self.written == self.outgoing.len() {
            self.outgoing = String::new();
            self.written = 0;
        }
        Ok(())
    }

    fn read(&mut self, stream: &TcpStream) -> Result<usize, Broken> {
        SCRATCH.with_borrow_mut(|scratch| {
            let length = stream.try_read(scratch)?;
            let mut input = &scratch[..length];
            while !input.is_empty() {
                self.take(&mut input)?;
            }
            let left = if let Reading::Piece { piece, .. } = &self.reading { piece.left } else { 0 };
            self.mark.set(stream, left, length < scratch.len())?;
            Ok(length)
        })
    }

    /// Takes some bytes from the front of `input`.
    fn take(&mut self, input: &mut &[u8]) -> Result<(), Broken> {
        match &mut self.reading {
            Reading::Head(reader) => {
                if self.waiting.is_empty() {
                    return Err(Broken::Unasked);
                }
                if let Some(head) = reader.read(input)? {
                    self.begin(head)?;
                }
            }
            Reading::Piece { request, piece } => {
                let (conn, request) = (self.link.id, *request);
                let (bytes, rest) = input.split_at(input.len().min(piece.left as usize));
                *input = rest;
                let end = piece.take(bytes).expect("no more than is left was taken");
                self.inbox.push(Input::PieceData { conn, request, bytes: bytes.len() as u32 });
                if let Some(hash) = end {
                    self.reading = Reading::Head(HeadReader::default());
                    self.inbox.push(Input::PieceEnd { conn, request, hash });
                }
            }
            Reading::Text { head, body, .. } => {
                let (bytes, rest) = input.split_at(input.len().min(head.length as usize - body.len()));
                *input = rest;
                body.extend_from_slice(bytes);
                if body.len() as u64 == head.length {
                    self.end_text();
                } else {
                    self.inbox.push(Input::AnswerData { conn: self.link.id });
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, head: Head) -> Result<(), Broken> {
        let waiting = self.waiting.pop_front().ok_or(Broken::Unasked)?;
        if let Waiting::Fetch { request, offset, bytes } = waiting {
            let length = u64::from(bytes);
            let whole = head.status == 200 && offset == 0 && head.length == length;
            let part = head.status == 206 && head.range == Some((offset, length)) && head.length == length;
            if whole || part {
                self.reading = Reading::Piece { request, piece: Expected::new(bytes) };
                return Ok(());
            }
        }
        if head.length > MAX_TEXT {
            self.refuse(&waiting, &head, &[]);
            return Err(Broken::LongBody(head.length));
        }
        self.reading = Reading::Text { waiting, head, body: Vec::new() };
        self.end_text();
        Ok(())
    }

    /// Hands over a text if it has come whole.
    fn end_text(&mut self) {
        if !matches!(&self.reading, Reading::Text { head, body, .. } if head.length == body.len() as u64) {
            return;
        }
        let Reading::Text { waiting, head, body } =
            std::mem::replace(&mut self.reading, Reading::Head(HeadReader::default()))
        else {
            return;
        };
        match &waiting {
            Waiting::Authorize { content } if head.status == 200 => {
                let nonsense = |reason| Refusal { status: None, retry_after: None, reason };
                let result = authorization(content, &body).map_err(nonsense);
                self.inbox.push(Input::Authorized { conn: self.link.id, result });
            }
            _ => self.refuse(&waiting, &head, &body),
        }
    }

    fn refuse(&self, waiting: &Waiting, head: &Head, body: &[u8]) {
        let conn = self.link.id;
        let retry_after = head.retry_after.map(|delay| delay.as_nanos().try_into().unwrap_or(u64::MAX));
        self.inbox.push(match waiting {
            Waiting::Authorize { .. } => {
                let text = String::from_utf8_lossy(&body[..body.len().min(200)]);
                let reason = format!("HTTP status {}: {}", head.status, text.trim());
                Input::Authorized { conn, result: Err(Refusal { status: Some(head.status), retry_after, reason }) }
            }
            Waiting::Fetch { request, .. } => {
                Input::EdgeRefused { conn, request: *request, status: Some(head.status), retry_after }
            }
        });
    }
}

fn authorization(content: &ContentId, body: &[u8]) -> Result<(Manifest, SignedToken), String> {
    let Authorization { token, manifest } = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if manifest.content != *content || token.token.content != *content {
        return Err(format!("`{content}` was asked for, the answer is about `{}`", manifest.content));
    }
    Ok((manifest.checked().map_err(|error| error.to_string())?, token))
}

#[cfg(test)]
mod tests;
