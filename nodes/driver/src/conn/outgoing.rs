//! The writing half of a framed connection: frames and generated content, as much as the socket takes.

use std::io;

use peerbed_contract::content;
use peerbed_proto::{ConnId, Input, Message, RequestId};
use tokio::net::TcpStream;

use super::{Link, Order, PartOrder, SCRATCH};
use crate::{codec, inbox::Inbox};

/// Frames are gathered into one write up to about so many bytes.
const GATHER: usize = 16 * 1024;

/// What is being written.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Encoded frames, of which `written` bytes have gone.
    frames: Vec<u8>,
    written: usize,
    /// The content that follows `frames`.
    part: Option<PartOrder>,
}

impl Outgoing {
    /// Takes orders from the link until there is something to write; false if there is nothing.
    pub(super) fn refill(&mut self, link: &Link) -> bool {
        while self.part.is_none() && self.frames.len() < GATHER {
            match link.next_order() {
                None => break,
                Some(Order::Frame(frame)) if self.frames.is_empty() => self.frames = frame,
                Some(Order::Frame(frame)) => self.frames.extend_from_slice(&frame),
                Some(Order::Part(part)) => {
                    let head = Message::Part { request: part.request, bytes: part.bytes };
                    codec::encode(&head, &mut self.frames).expect("two numbers fit into a frame");
                    self.part = Some(part);
                }
                Some(Order::Authorize { .. } | Order::Fetch { .. }) => {
                    tracing::error!(conn = link.id.0, "an order for an edge was given to a framed connection");
                }
            }
        }
        !self.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.part.is_none()
    }

    /// Whether content was ordered and has not gone whole.
    pub(super) fn in_part(&self) -> bool {
        self.part.is_some()
    }

    /// Writes once, without waiting, and reports the content bytes that went.
    pub(super) fn write(&mut self, stream: &TcpStream, conn: ConnId, inbox: &Inbox) -> io::Result<()> {
        let written = SCRATCH.with_borrow_mut(|scratch| stream.try_write(self.gather(scratch)))?;
        let framed = written.min(self.frames.len() - self.written);
        self.written += framed;
        if self.written == self.frames.len() {
            self.frames = Vec::new();
            self.written = 0;
        }
        let sent = (written - framed) as u32;
        if let Some(part) = &mut self.part
            && sent > 0
        {
            let request: RequestId = part.request;
            part.offset += u64::from(sent);
            part.bytes -= sent;
            inbox.push(Input::PieceSent { conn, request, bytes: sent });
            if part.bytes == 0 {
                self.part = None;
                inbox.push(Input::Writable { conn });
            }
        }
        Ok(())
    }

    /// Puts the next bytes to write into `scratch`. Content is generated anew if the socket does not take all of it.
    fn gather<'a>(&self, scratch: &'a mut [u8]) -> &'a [u8] {
        let frames = &self.frames[self.written..];
        let begin = frames.len().min(scratch.len());
        scratch[..begin].copy_from_slice(&frames[..begin]);
        let mut end = begin;
        if let Some(part) = &self.part
            && begin == frames.len()
        {
            end += (part.bytes as usize).min(scratch.len() - begin);
            let bytes = &mut scratch[begin..end];
            content::fill(part.key, part.offset, bytes);
            if part.corrupt {
                for byte in bytes {
                    *byte ^= 0xa5;
                }
            }
        }
        &scratch[..end]
    }
}
