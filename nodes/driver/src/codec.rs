//! Frames: a `u32` length (big endian), then the postcard encoding of one message; a part's bytes follow its frame.

use peerbed_proto::{Message, RequestId};

/// The longest encoding of a message, in bytes.
///
/// The longest that anybody needs is a greeting with the map of an object of 262 144 pieces, 32 kB; what remotes that have
/// not said who they are can make a node hold is bounded by this.
pub const MAX_FRAME: usize = 256 << 10;
/// The most content bytes that follow one [`Message::Part`].
pub const MAX_PART: u32 = 65_536;

const PREFIX: usize = 4;

/// Why bytes are not frames.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// A frame longer than [`MAX_FRAME`].
    #[error("a frame of {0} bytes, at most {MAX_FRAME} are allowed")]
    TooLong(usize),
    /// The frame is not a message.
    #[error("a frame of {length} bytes is not a message: {source}")]
    Malformed {
        /// Bytes of the frame.
        length: usize,
        /// What is wrong.
        source: postcard::Error,
    },
    /// Bytes after the message inside its frame.
    #[error("{0} bytes follow the message inside its frame")]
    Trailing(usize),
    /// A part of no bytes or of more than [`MAX_PART`].
    #[error("a part of {0} bytes, 1 to {MAX_PART} are allowed")]
    PartLength(u32),
}

/// Appends the frame of `message` to `buffer`.
pub fn encode(message: &Message, buffer: &mut Vec<u8>) -> Result<(), CodecError> {
    let encoding = postcard::to_allocvec(message).map_err(|source| CodecError::Malformed { length: 0, source })?;
    if encoding.len() > MAX_FRAME {
        return Err(CodecError::TooLong(encoding.len()));
    }
    buffer.extend_from_slice(&(encoding.len() as u32).to_be_bytes());
    buffer.extend_from_slice(&encoding);
    Ok(())
}

/// What a stream of bytes consists of.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A message; never a [`Message::Part`].
    Message(Message),
    /// Content bytes of a request.
    Content {
        /// The requester's number.
        request: RequestId,
        /// At least one byte.
        bytes: &'a [u8],
    },
}

/// Cuts a stream of bytes into messages and content, whatever the cuts between reads.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a frame whose rest has not come yet.
    partial: Vec<u8>,
    /// Content bytes still to come, and of which request.
    part: Option<(RequestId, u32)>,
}

impl Decoder {
    /// Takes the next thing from the front of `input`; nothing when all of `input` was taken and more is needed.
    ///
    /// After an error the stream is lost.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Decoded<'a>>, CodecError> {
        while !input.is_empty() {
            if let Some((request, left)) = self.part {
                let (bytes, rest) = input.split_at(input.len().min(left as usize));
                *input = rest;
                let left = left - bytes.len() as u32;
                self.part = (left > 0).then_some((request, left));
                return Ok(Some(Decoded::Content { request, bytes }));
            }
            match self.message(input)? {
                None => {}
                Some(Message::Part { request, bytes }) if (1..=MAX_PART).contains(&bytes) => {
                    self.part = Some((request, bytes));
                }
                Some(Message::Part { bytes, .. }) => return Err(CodecError::PartLength(bytes)),
                Some(message) => return Ok(Some(Decoded::Message(message))),
            }
        }
        Ok(None)
    }

    /// Whether the stream may end here: no frame and no part is incomplete.
    pub fn at_boundary(&self) -> bool {
        self.partial.is_empty() && self.part.is_none()
    }

    /// Content bytes that come before anything else can.
    pub fn part_left(&self) -> u32 {
        self.part.map_or(0, |(_, left)| left)
    }

    fn message(&mut self, input: &mut &[u8]) -> Result<Option<Message>, CodecError> {
        // The usual case: the whole frame is in the input.
        if self.partial.is_empty()
            && let Some((prefix, rest)) = input.split_first_chunk()
            && let length = frame_length(*prefix)?
            && let Some((frame, rest)) = rest.split_at_checked(length)
        {
            *input = rest;
            return decode(frame).map(Some);
        }
        self.take(PREFIX, input);
        let Some(prefix) = self.partial.first_chunk() else { return Ok(None) };
        let length = frame_length(*prefix)?;
        self.take(PREFIX + length, input);
        if self.partial.len() < PREFIX + length {
            return Ok(None);
        }
        let message = decode(&self.partial[PREFIX..]);
        self.partial = Vec::new();
        message.map(Some)
    }

    /// Moves bytes from `input` to `partial` until it has `length`.
    fn take(&mut self, length: usize, input: &mut &[u8]) {
        let missing = length.saturating_sub(self.partial.len()).min(input.len());
        let (taken, rest) = input.split_at(missing);
        self.partial.extend_from_slice(taken);
        *input = rest;
    }
}

fn frame_length(prefix: [u8; PREFIX]) -> Result<usize, CodecError> {
    let length = u32::from_be_bytes(prefix) as usize;
    if length > MAX_FRAME { Err(CodecError::TooLong(length)) } else { Ok(length) }
}

fn decode(frame: &[u8]) -> Result<Message, CodecError> {
    let (message, rest) =
        postcard::take_from_bytes(frame).map_err(|source| CodecError::Malformed { length: frame.len(), source })?;
    if rest.is_empty() { Ok(message) } else { Err(CodecError::Trailing(rest.len())) }
}

#[cfg(test)]
mod tests;
