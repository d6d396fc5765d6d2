//! Finds the end of a message, in a datagram and in a stream alike.
//!
//! Owns the decision where one message ends and the next begins, and nothing else. It reads lines
//! with the same scanner as [`super::Message::parse`], so the two cannot disagree.

use super::parse::skip_blank_lines;
use super::{ParseError, scan};
use memchr::memmem;

/// What carries the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// One datagram: the end of the bytes ends the message; Content-Length may be missing.
    Datagram,
    /// A byte stream: Content-Length must be there (RFC 3261 §18.3).
    Stream,
}

/// Bounds on foreign messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What carries the bytes.
    pub framing: Framing,
    /// Most bytes from the start line to the blank line; beyond 65,535 nothing is read anyway.
    pub head_max: usize,
    /// Most bytes of body.
    pub body_max: usize,
}

impl Limits {
    /// For datagrams: what IP allows.
    pub const DATAGRAM: Self =
        Self { framing: Framing::Datagram, head_max: 65_535, body_max: 65_535 };
    /// For streams: far above any call setup, small enough for thousands of connections.
    pub const STREAM: Self = Self { framing: Framing::Stream, head_max: 32_768, body_max: 65_536 };
}

/// What stands at the front of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// Not enough yet; ask again with more bytes. Never said of a datagram.
    Incomplete,
    /// A message of `len` bytes; in a datagram what follows it is surplus.
    Complete {
        /// Bytes to hand to [`super::Message::parse`] and to consume.
        len: usize,
    },
    /// CR LF (`len` 2) or a ping of two CR LF (`len` 4), to be answered with one (RFC 5626 §3.5.1).
    KeepAlive {
        /// Bytes to consume.
        len: usize,
    },
    /// The end cannot be found: a stream must be closed, a datagram dropped.
    Error(FrameError),
}

/// Why the end of a message cannot be found. The peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A message in a stream has no Content-Length.
    #[error("no Content-Length in a stream")]
    NoContentLength,
    /// The head is longer than the limit.
    #[error("head too long")]
    HeadTooLong,
    /// The body is longer than the limit: 513.
    #[error("body too long")]
    BodyTooLong,
    /// The head is broken so that its end, or that of the body, is uncertain.
    #[error(transparent)]
    Malformed(#[from] ParseError),
}

/// Looks at the front of `bytes` for a message or keep-alive.
///
/// Cost: one search for the blank line while the head is incomplete, then one walk over the head;
/// no allocation. A lone CR LF in a stream is told at once, so a ping that is cut in two looks like
/// two of them.
pub fn frame(bytes: &[u8], limits: &Limits) -> Frame {
    match limits.framing {
        Framing::Datagram => frame_datagram(bytes, limits),
        Framing::Stream => frame_stream(bytes, limits),
    }
}

fn frame_datagram(bytes: &[u8], limits: &Limits) -> Frame {
    let message = skip_blank_lines(bytes);
    let lead = bytes.len() - message.len();
    if message.is_empty() {
        return Frame::KeepAlive { len: lead };
    }
    let (head, content_length) = match head_of(message, limits) {
        Ok(found) => found,
        Err(error) => return Frame::Error(error),
    };
    let body = content_length.unwrap_or(message.len() - head);
    if body > limits.body_max {
        return Frame::Error(FrameError::BodyTooLong);
    }
    if body > message.len() - head {
        return Frame::Error(ParseError::BodyShort.into());
    }
    Frame::Complete { len: lead + head + body }
}

fn frame_stream(bytes: &[u8], limits: &Limits) -> Frame {
    match bytes {
        [] | [b'\r'] | [b'\r', b'\n', b'\r'] => return Frame::Incomplete,
        [b'\r', b'\n', b'\r', b'\n', ..] => return Frame::KeepAlive { len: 4 },
        [b'\r', b'\n', ..] => return Frame::KeepAlive { len: 2 },
        _ => {}
    }
    let (head, content_length) = match head_of(bytes, limits) {
        Ok(found) => found,
        Err(FrameError::Malformed(ParseError::Truncated)) => return Frame::Incomplete,
        Err(error) => return Frame::Error(error),
    };
    let Some(body) = content_length else {
        return Frame::Error(FrameError::NoContentLength);
    };
    if body > limits.body_max {
        return Frame::Error(FrameError::BodyTooLong);
    }
    if body > bytes.len() - head {
        return Frame::Incomplete;
    }
    Frame::Complete { len: head + body }
}

/// Length of the head with its blank line, and Content-Length.
fn head_of(bytes: &[u8], limits: &Limits) -> Result<(usize, Option<usize>), FrameError> {
    let head_max = limits.head_max.min(usize::from(u16::MAX));
    let searched = bytes.get(..head_max).unwrap_or(bytes);
    if memmem::find(searched, b"\r\n\r\n").is_none() {
        // A peer that ends lines with LF alone is told so by its first line, not by a time-out.
        scan::check_start_line(searched)?;
        let full = bytes.len() >= head_max;
        return Err(if full { FrameError::HeadTooLong } else { ParseError::Truncated.into() });
    }
    let head = scan::scan_head(searched, |_| Ok(()))?;
    Ok((head.body_start, head.content_length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_cut_by_content_length() {
        let first = "OPTIONS sip:a SIP/2.0\r\nl : 3\r\n\r\nabc";
        let cases: &[(&str, Frame)] = &[
            ("", Frame::Incomplete),
            ("\r", Frame::Incomplete),
            ("\r\n", Frame::KeepAlive { len: 2 }),
            ("\r\n\r", Frame::Incomplete),
            ("\r\n\r\nOPT", Frame::KeepAlive { len: 4 }),
            ("\r\nOPT", Frame::KeepAlive { len: 2 }),
            ("OPTIONS sip:a SIP/2.0\r\n", Frame::Incomplete),
            ("OPTIONS sip:a SIP/2.0\r\nl: 3\r\n\r\nab", Frame::Incomplete),
            (first, Frame::Complete { len: first.len() }),
            ("A sip:a SIP/2.0\r\n\r\n", Frame::Error(FrameError::NoContentLength)),
            ("A sip:a SIP/2.0\nl: 0\n\n", Frame::Error(ParseError::BareLineBreak.into())),
            ("\rA", Frame::Error(ParseError::BareLineBreak.into())),
            ("A a b\r\nl: 1\r\nl: 2\r\n\r\n", Frame::Error(ParseError::ContentLength.into())),
            ("A a b\r\nl: -1\r\n\r\n", Frame::Error(ParseError::ContentLength.into())),
            ("A a b\r\nx: y\nl: 1\r\n\r\n", Frame::Error(ParseError::BareLineBreak.into())),
            ("A a b\r\nl: 99999999\r\n\r\n", Frame::Error(FrameError::BodyTooLong)),
        ];
        for (text, want) in cases {
            assert_eq!(frame(text.as_bytes(), &Limits::STREAM), *want, "{text:?}");
        }
        let two = format!("{first}{first}");
        assert_eq!(frame(two.as_bytes(), &Limits::STREAM), Frame::Complete { len: first.len() });
    }

    #[test]
    fn datagrams_end_with_their_bytes() {
        let cases: &[(&str, Frame)] = &[
            ("", Frame::KeepAlive { len: 0 }),
            ("\r\n\r\n", Frame::KeepAlive { len: 4 }),
            ("A a b\r\n\r\nbody", Frame::Complete { len: 13 }),
            ("\r\nA a b\r\nl: 2\r\n\r\nbody", Frame::Complete { len: 19 }),
            ("A a b\r\nl: 9\r\n\r\nbody", Frame::Error(ParseError::BodyShort.into())),
            ("A a b\r\nl: 9\r\n", Frame::Error(ParseError::Truncated.into())),
        ];
        for (text, want) in cases {
            assert_eq!(frame(text.as_bytes(), &Limits::DATAGRAM), *want, "{text:?}");
        }
    }

    #[test]
    fn heads_without_an_end_stop_at_the_limit() {
        let limits = Limits { head_max: 64, ..Limits::STREAM };
        let long = format!("A sip:a SIP/2.0\r\nx: {}", "y".repeat(64));
        assert_eq!(frame(long.as_bytes(), &limits), Frame::Error(FrameError::HeadTooLong));
        assert_eq!(frame(&long.as_bytes()[..63], &limits), Frame::Incomplete);
    }
}
