//! The Internet checksum (RFC 1071).

/// The one's complement sum of the 16-bit words of `bytes`, added to `sum`; not yet folded or inverted.
pub(crate) fn add(sum: u64, bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(2);
    let total = words.by_ref().map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).sum::<u64>();
    let odd = words.remainder().first().map_or(0, |byte| u64::from(*byte) << 8);
    sum + total + odd
}

/// A sum in 16 bits, carries added back.
pub(crate) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
