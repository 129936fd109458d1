//! Content objects: what is downloaded, and the manifest that says how to check it.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::ContentId;

/// Why an object or a manifest was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// A manifest whose number of hashes is not the number of pieces.
    #[error("content `{content}`: {size} bytes in pieces of {piece_length} need {needed} hashes, {found} were given")]
    HashCount {
        /// The object.
        content: ContentId,
        /// Bytes.
        size: u64,
        /// Bytes a piece.
        piece_length: u32,
        /// Hashes needed.
        needed: u64,
        /// Hashes given.
        found: usize,
    },
}

/// One object that the content provider publishes.
///
/// Its bytes are synthetic: a generator keyed by `key` gives any range, so that nobody stores them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Its identity.
    pub id: ContentId,
    /// The customer whose content it is.
    pub provider: String,
    /// Bytes, at least 1.
    pub size: u64,
    /// Bytes of every piece but the last, at least 1.
    pub piece_length: u32,
    /// The key of the generator of its bytes.
    pub key: u64,
    /// Whether the provider lets peers distribute it.
    pub peers_allowed: bool,
}

/// The BLAKE3 hash of one piece; as text 43 characters of base64 without padding, for every download begins with all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PieceHash(pub [u8; 32]);

impl TryFrom<String> for PieceHash {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let hash = STANDARD_NO_PAD.decode(&text).ok().and_then(|bytes| bytes.try_into().ok());
        hash.map(Self).ok_or_else(|| format!("`{text}` is not a hash of 43 characters of base64"))
    }
}

impl From<PieceHash> for String {
    fn from(hash: PieceHash) -> Self {
        hash.to_string()
    }
}

impl fmt::Display for PieceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD_NO_PAD.encode(self.0))
    }
}

/// What an edge says of an object to whoever wants to download it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The object.
    pub content: ContentId,
    /// The customer whose content it is.
    pub provider: String,
    /// Bytes.
    pub size: u64,
    /// Bytes of every piece but the last.
    pub piece_length: u32,
    /// One BLAKE3 hash for each piece, in order.
    pub pieces: Vec<PieceHash>,
    /// Whether peers may distribute it.
    pub peers_allowed: bool,
}

impl Object {
    /// How many pieces it has.
    pub fn piece_count(&self) -> u32 {
        piece_count(self.size, self.piece_length)
    }

    /// The offset and length in bytes of piece `index`.
    pub fn piece_range(&self, index: u32) -> (u64, u32) {
        piece_range(self.size, self.piece_length, index)
    }
}

impl Manifest {
    /// How many pieces it has.
    pub fn piece_count(&self) -> u32 {
        piece_count(self.size, self.piece_length)
    }

    /// The offset and length in bytes of piece `index`.
    pub fn piece_range(&self, index: u32) -> (u64, u32) {
        piece_range(self.size, self.piece_length, index)
    }

    /// The manifest itself if it has one hash for every piece.
    pub fn checked(self) -> Result<Self, ObjectError> {
        let needed = self.size.div_ceil(u64::from(self.piece_length.max(1)));
        if self.size == 0 || self.piece_length == 0 || needed != self.pieces.len() as u64 {
            return Err(ObjectError::HashCount {
                content: self.content,
                size: self.size,
                piece_length: self.piece_length,
                needed,
                found: self.pieces.len(),
            });
        }
        Ok(self)
    }
}

fn piece_count(size: u64, piece_length: u32) -> u32 {
    size.div_ceil(u64::from(piece_length)) as u32
}

fn piece_range(size: u64, piece_length: u32, index: u32) -> (u64, u32) {
    let offset = u64::from(index) * u64::from(piece_length);
    (offset, size.saturating_sub(offset).min(u64::from(piece_length)) as u32)
}

/// `N` bytes from exactly `2 N` hexadecimal digits.
pub(crate) fn hex_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| (digits[at] as char).to_digit(16);
        *byte = (digit(0)? * 16 + digit(1)?) as u8;
    }
    Some(bytes)
}
