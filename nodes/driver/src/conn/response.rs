//! Reading HTTP/1.1 responses from a stream of bytes, whatever the cuts. Called by the edge client.

use std::time::Duration;

/// The longest head of a response, in bytes.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// Why bytes are not a response that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResponseError {
    /// Not HTTP.
    #[error("not an HTTP response: {0}")]
    Malformed(#[from] httparse::Error),
    /// The head is too long.
    #[error("the head of a response has more than {MAX_HEAD} bytes")]
    LongHead,
    /// No length: such a body could end only with the connection, or is chunked, which this client does not read.
    #[error("a response of status {0} has no usable Content-Length")]
    NoLength(u16),
}

/// What the head of a response says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// The status.
    pub(super) status: u16,
    /// Bytes of the body.
    pub(super) length: u64,
    /// The first byte and the length of a `Content-Range`.
    pub(super) range: Option<(u64, u64)>,
    /// `Retry-After`, where it is a number of seconds.
    pub(super) retry_after: Option<Duration>,
}

/// Gathers the head of a response.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    partial: Vec<u8>,
}

impl HeadReader {
    /// Takes the head from the front of `input`; nothing when all of `input` was taken and more is needed.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<Option<Head>, ResponseError> {
        while !input.is_empty() {
            let before = self.partial.len();
            let taken = input.len().min(MAX_HEAD.saturating_sub(before));
            self.partial.extend_from_slice(&input[..taken]);
            let Some((head, length)) = parse(&self.partial)? else {
                if taken == 0 {
                    return Err(ResponseError::LongHead);
                }
                *input = &input[taken..];
                continue;
            };
            *input = &input[length - before..];
            self.partial = Vec::new();
            if !(100..200).contains(&head.status) {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    /// Whether nothing of a head has come.
    pub(super) fn is_empty(&self) -> bool {
        self.partial.is_empty()
    }
}

fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, ResponseError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = response.parse(bytes)? else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    let header = |name: &str| {
        let mut values = response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        values.next().and_then(|header| std::str::from_utf8(header.value).ok()).map(str::trim)
    };
    let bodiless = matches!(status, 100..200 | 204 | 304);
    let length = match header("content-length") {
        _ if bodiless => 0,
        Some(length) if header("transfer-encoding").is_none() => {
            length.parse().map_err(|_| ResponseError::NoLength(status))?
        }
        _ => return Err(ResponseError::NoLength(status)),
    };
    let head = Head {
        status,
        length,
        range: header("content-range").and_then(content_range),
        retry_after: header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs),
    };
    Ok(Some((head, end)))
}

/// `bytes 10-19/100` is `(10, 10)`.
fn content_range(value: &str) -> Option<(u64, u64)> {
    let (range, _size) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    Some((first, last.checked_sub(first)?.checked_add(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &[u8], cut: usize) -> Result<(Vec<Head>, usize), ResponseError> {
        let mut reader = HeadReader::default();
        let mut heads = Vec::new();
        let mut left = wire;
        while !left.is_empty() {
            let (mut chunk, rest) = left.split_at(left.len().min(cut));
            left = rest;
            while let Some(head) = reader.read(&mut chunk)? {
                heads.push(head);
            }
        }
        Ok((heads, reader.partial.len()))
    }

    #[test]
    fn heads_are_read_whatever_the_cuts() {
        let wire = b"HTTP/1.1 206 Partial Content\r\ncontent-length: 10\r\nContent-Range: bytes 10-19/100\r\n\r\n\
            HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: 3\r\n\r\nHTTP/1.1 2";
        for cut in 1..wire.len() {
            let (heads, left) = read(wire, cut).unwrap();
            assert_eq!(
                heads,
                [
                    Head { status: 206, length: 10, range: Some((10, 10)), retry_after: None },
                    Head { status: 503, length: 0, range: None, retry_after: Some(Duration::from_secs(3)) },
                ]
            );
            assert_eq!(left, 10);
        }
    }

    #[test]
    fn what_cannot_be_delimited_is_refused() {
        for wire in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        ] {
            assert!(matches!(read(wire.as_bytes(), 9), Err(ResponseError::NoLength(200))), "{wire}");
        }
        assert!(matches!(read(b"SMTP hello\r\n\r\n", 4), Err(ResponseError::Malformed(_))));
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(2 * MAX_HEAD));
        assert!(matches!(read(endless.as_bytes(), 1000), Err(ResponseError::LongHead)));
    }
}
