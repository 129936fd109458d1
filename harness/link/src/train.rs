//! Packets that arrive in one instant.

use std::ops::Range;

/// Packets that arrive back to back in one instant: a single packet, or the segments that an offloaded super-packet
/// stands for. All have the same length but for the last, which may be shorter. Lengths are bytes of IP packets, each
/// with its own headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Train {
    segments: u32,
    full: u32,
    last: u32,
}

impl Train {
    /// One packet.
    pub const fn single(bytes: u32) -> Self {
        Self { segments: 1, full: bytes, last: bytes }
    }

    /// `segments` packets (at least one) of `full` bytes, but for the last, which has `last`.
    pub const fn new(segments: u32, full: u32, last: u32) -> Self {
        assert!(segments > 0, "a train has at least one packet");
        Self { segments, full: if segments == 1 { last } else { full }, last }
    }

    /// How many packets it has.
    pub const fn segments(self) -> u32 {
        self.segments
    }

    /// Bytes of packet number `index`.
    pub const fn segment_bytes(self, index: u32) -> u32 {
        if index + 1 == self.segments { self.last } else { self.full }
    }

    /// Bytes of all packets.
    pub const fn bytes(self) -> u64 {
        (self.segments as u64 - 1) * self.full as u64 + self.last as u64
    }

    /// The packets of a non-empty range as a train of their own.
    #[must_use]
    pub fn slice(self, range: Range<u32>) -> Self {
        assert!(range.start < range.end && range.end <= self.segments, "{range:?} of {} packets", self.segments);
        Self::new(range.end - range.start, self.full, self.segment_bytes(range.end - 1))
    }
}
