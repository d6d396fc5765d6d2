//! The one place that splits a message into lines and finds where its head and body end.
//!
//! ```text
//!  start line CRLF | name : value CRLF [WS value CRLF]... | CRLF | body (Content-Length)
//! ```
//!
//! Both the parser and the stream framer use it, so they cannot disagree about an end.

use super::lex;
use super::{Name, ParseError};
use memchr::memchr2;

/// Byte range of a line, without its CR LF.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawLine {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Where the next line begins.
    pub(super) next: usize,
}

/// A header field line: where its name and value stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawHeader {
    pub(super) name: Name,
    pub(super) name_start: usize,
    pub(super) name_end: usize,
    pub(super) value_start: usize,
    pub(super) value_end: usize,
}

/// Where the parts of a message are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// The start line.
    pub(super) start_line: RawLine,
    /// Where the body begins.
    pub(super) body_start: usize,
    /// What Content-Length says.
    pub(super) content_length: Option<usize>,
}

/// Walks a head and shows each header line to `visit`; `Err` lines are those without a name.
///
/// # Errors
/// [`ParseError::Truncated`] if the blank line is missing, [`ParseError::BareLineBreak`], a bad or
/// contradicting Content-Length, or what `visit` returns.
pub(super) fn scan_head(
    bytes: &[u8],
    mut visit: impl FnMut(Result<RawHeader, RawLine>) -> Result<(), ParseError>,
) -> Result<Head, ParseError> {
    let start_line = line_at(bytes, 0)?;
    let mut content_length = None;
    let mut at = start_line.next;
    loop {
        let line = line_at(bytes, at)?;
        at = line.next;
        if line.start == line.end {
            return Ok(Head { start_line, body_start: at, content_length });
        }
        let header = header_of(bytes, line);
        if let Ok(header) = header
            && header.name == Name::ContentLength
        {
            let value = bytes.get(header.value_start..header.value_end).and_then(decimal);
            let value = value.ok_or(ParseError::ContentLength)?;
            if content_length.is_some_and(|known| known != value) {
                return Err(ParseError::ContentLength);
            }
            content_length = Some(value);
        }
        visit(header)?;
    }
}

/// Finds the line that begins at `from`, folded lines joined.
#[expect(clippy::inline_always, reason = "once per line of every message: measured")]
#[inline(always)]
fn line_at(bytes: &[u8], from: usize) -> Result<RawLine, ParseError> {
    let mut search = from;
    loop {
        let rest = bytes.get(search..).ok_or(ParseError::Truncated)?;
        let end = search + memchr2(b'\r', b'\n', rest).ok_or(ParseError::Truncated)?;
        let next = end + 2;
        match bytes.get(end..) {
            Some([b'\r', b'\n', b' ' | b'\t', ..]) if end > from => search = next + 1,
            Some([b'\r', b'\n', ..]) => return Ok(RawLine { start: from, end, next }),
            Some([b'\r']) => return Err(ParseError::Truncated),
            _ => return Err(ParseError::BareLineBreak),
        }
    }
}

/// Splits `name : value`; gives the line back if there is no such form.
#[expect(clippy::inline_always, reason = "once per line of every message: measured")]
#[inline(always)]
fn header_of(bytes: &[u8], line: RawLine) -> Result<RawHeader, RawLine> {
    let text = bytes.get(line.start..line.end).unwrap_or_default();
    // Names are short: a plain loop is done before a vector search has begun.
    let colon = text.iter().position(|b| *b == b':').ok_or(line)?;
    let mut name = text.get(..colon).unwrap_or_default();
    while let [shorter @ .., b' ' | b'\t'] = name {
        name = shorter;
    }
    let id = Name::find(name);
    // A known name needs no look at its letters.
    if id == Name::Other && (name.is_empty() || lex::Class::TOKEN.run(name) != name.len()) {
        return Err(line);
    }
    let mut value = text.get(colon + 1..).unwrap_or_default();
    let name_end = line.start + name.len();
    while let [first, rest @ ..] = value
        && lex::is_lws(*first)
    {
        value = rest;
    }
    let value_start = line.end - value.len();
    while let [rest @ .., last] = value
        && lex::is_lws(*last)
    {
        value = rest;
    }
    let value_end = value_start + value.len();
    Ok(RawHeader { name: id, name_start: line.start, name_end, value_start, value_end })
}

/// One to ten decimal digits; nothing else.
pub(super) fn decimal(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 10 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits
        .iter()
        .try_fold(0_usize, |sum, digit| sum.checked_mul(10)?.checked_add(usize::from(digit - b'0')))
}

/// Whether what is there of the first line keeps to CR LF.
///
/// # Errors
/// [`ParseError::BareLineBreak`].
pub(super) fn check_start_line(bytes: &[u8]) -> Result<(), ParseError> {
    match line_at(bytes, 0) {
        Err(ParseError::BareLineBreak) => Err(ParseError::BareLineBreak),
        Ok(_) | Err(_) => Ok(()),
    }
}
