//! Doors for fuzz targets to readers that nobody else outside calls. Called by `fuzz/`.

use crate::conn::read_heads;

/// Reads heads of HTTP responses from bytes that come in pieces of `cut`; tells how many there were before an error or the end.
pub fn http_responses(bytes: &[u8], cut: usize) -> usize {
    read_heads(bytes, cut)
}
