//! [`Message`]: the head of a message as ranges in a fixed table, and untyped access to it.

use super::lex;
use super::scan::{self, Head, RawHeader};
use super::{Method, Name, unfold};
use memchr::{memchr, memchr2, memrchr};
use std::borrow::Cow;

/// Most header lines a message may have; one more is [`ParseError::TooManyLines`].
pub const LINES_MAX: usize = 128;

/// Why bytes are not a SIP message. All are the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Nothing but CR LF: a keep-alive, to be ignored.
    #[error("empty message")]
    Empty,
    /// The blank line that ends the head is missing.
    #[error("the head has no end")]
    Truncated,
    /// The first line is neither a request line nor a status line.
    #[error("bad start line")]
    StartLine,
    /// A header line is not `name: value`, or its name is longer than 255 bytes.
    #[error("header line without a name")]
    HeaderLine,
    /// CR or LF stands alone in the head.
    #[error("bare CR or LF in the head")]
    BareLineBreak,
    /// The head is not UTF-8.
    #[error("the head is not UTF-8")]
    NotUtf8,
    /// More than [`LINES_MAX`] header lines.
    #[error("more than 128 header lines")]
    TooManyLines,
    /// The head is longer than 65,535 bytes.
    #[error("the head is longer than 65535 bytes")]
    HeadTooLong,
    /// Content-Length is no number, or two of them differ.
    #[error("bad Content-Length")]
    ContentLength,
    /// The body is shorter than Content-Length says.
    #[error("body shorter than Content-Length")]
    BodyShort,
}

/// The first line of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// `METHOD uri SIP/2.0`
    Request {
        /// The method.
        method: Method<'a>,
        /// The Request-URI as it stands; read it with [`super::Uri::parse`].
        uri: &'a str,
        /// The protocol, `SIP/2.0` in all that can be served.
        version: &'a str,
    },
    /// `SIP/2.0 code reason`
    Response {
        /// 100 to 699.
        code: u16,
        /// The reason phrase; may be empty.
        reason: &'a str,
    },
}

/// A range of the head; heads are at most 65,535 bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u16,
    end: u16,
}

impl Span {
    fn new(start: usize, end: usize) -> Result<Self, ParseError> {
        let narrow = |at| u16::try_from(at).map_err(|_| ParseError::HeadTooLong);
        Ok(Self { start: narrow(start)?, end: narrow(end)? })
    }

    fn of(self, head: &str) -> &str {
        head.get(usize::from(self.start)..usize::from(self.end)).unwrap_or("")
    }
}

#[derive(Debug, Clone, Copy)]
enum Start {
    Request { method: Span, uri: Span, version: Span },
    Response { code: u16, reason: Span },
}

/// A header line in eight bytes: the table of them is cleared for every message.
#[derive(Debug, Clone, Copy)]
struct Line {
    id: Name,
    name_len: u8,
    name_start: u16,
    value: Span,
}

const NO_LINE: Line =
    Line { id: Name::Other, name_len: 0, name_start: 0, value: Span { start: 0, end: 0 } };

/// Everything that is known about the head, without the bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    start: Start,
    lines: [Line; LINES_MAX],
    count: usize,
}

impl Layout {
    const EMPTY: Self = Self {
        start: Start::Response { code: 0, reason: Span { start: 0, end: 0 } },
        lines: [NO_LINE; LINES_MAX],
        count: 0,
    };
}

/// A message, borrowed from the bytes it was read from.
///
/// Cost: about 1.1 kB on the stack; copying the borrowed parts out is free.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    head: &'a str,
    body: &'a [u8],
    layout: Layout,
}

impl<'a> Message<'a> {
    /// Reads one message: a datagram, or what [`super::frame()`] delimited.
    ///
    /// Leading CR LF are skipped. Bytes beyond Content-Length are dropped; without that field the
    /// body is all that follows. Only the structure is checked: see [`super::validate()`] for more.
    /// Cost: one walk over the head, no allocation.
    ///
    /// # Errors
    /// [`ParseError`]; a request may still be worth an answer, see [`super::salvage()`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let bytes = skip_blank_lines(bytes);
        if bytes.is_empty() {
            return Err(ParseError::Empty);
        }
        // Filled in place: the table is too large to be moved about.
        let mut message = Self { head: "", body: &[], layout: Layout::EMPTY };
        let layout = &mut message.layout;
        let Head { start_line, body_start, content_length } = scan::scan_head(bytes, |header| {
            let slot = layout.lines.get_mut(layout.count).ok_or(ParseError::TooManyLines)?;
            *slot = Line::new(&header.map_err(|_| ParseError::HeaderLine)?)?;
            layout.count += 1;
            Ok(())
        })?;
        Span::new(0, body_start)?;
        let head = bytes.get(..body_start).unwrap_or_default();
        message.head = std::str::from_utf8(head).map_err(|_| ParseError::NotUtf8)?;
        layout.start = Start::parse(message.head.get(..start_line.end).unwrap_or(""))?;
        let rest = bytes.get(body_start..).unwrap_or_default();
        message.body = match content_length {
            Some(len) => rest.get(..len).ok_or(ParseError::BodyShort)?,
            None => rest,
        };
        Ok(message)
    }

    pub(super) fn from_parts(head: &'a str, body: &'a [u8], layout: &Layout) -> Self {
        Self { head, body, layout: *layout }
    }

    pub(super) fn parts(&self) -> (&'a str, &'a [u8], &Layout) {
        (self.head, self.body, &self.layout)
    }

    /// The first line.
    pub fn start_line(&self) -> StartLine<'a> {
        match self.layout.start {
            Start::Request { method, uri, version } => StartLine::Request {
                method: Method::new(method.of(self.head)),
                uri: uri.of(self.head),
                version: version.of(self.head),
            },
            Start::Response { code, reason } => {
                StartLine::Response { code, reason: reason.of(self.head) }
            }
        }
    }

    /// Whether this is a request.
    pub fn is_request(&self) -> bool {
        matches!(self.layout.start, Start::Request { .. })
    }

    /// The method of a request; `None` for a response (its CSeq tells).
    pub fn method(&self) -> Option<Method<'a>> {
        match self.start_line() {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        }
    }

    /// The status code of a response.
    pub fn code(&self) -> Option<u16> {
        match self.layout.start {
            Start::Request { .. } => None,
            Start::Response { code, .. } => Some(code),
        }
    }

    /// The body, as long as Content-Length says.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The value of the first line of that name, raw: it may hold folds (see [`unfold`]).
    pub fn header(&self, name: Name) -> Option<&'a str> {
        self.values(name).next()
    }

    /// The value of the first line of that name with folds joined.
    ///
    /// Cost: allocates only if the value is folded.
    pub fn header_unfolded(&self, name: Name) -> Option<Cow<'a, str>> {
        self.header(name).map(unfold)
    }

    /// How many lines have that name.
    pub fn count(&self, name: Name) -> usize {
        self.values(name).count()
    }

    /// The values of all lines of that name, one per line, raw.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &'a str> {
        let head = self.head;
        self.lines_raw()
            .iter()
            .filter(move |line| line.id == name && name != Name::Other)
            .map(move |line| line.value.of(head))
    }

    /// All values of that name: over lines and, for list fields, over commas; empty ones skipped.
    pub fn headers(&self, name: Name) -> Values<'_, 'a> {
        Values { lines: self.lines_raw().iter(), head: self.head, name, rest: None }
    }

    /// The value of the first line whose name is `name` in any case; meant for extension fields.
    pub fn other(&self, name: &str) -> Option<&'a str> {
        self.lines().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All header lines in order, as name and raw value.
    pub fn lines(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let head = self.head;
        self.lines_raw().iter().map(move |line| (line.name(head), line.value.of(head)))
    }

    /// Whether a list field (Supported, Require, Allow …) holds this token, in any case.
    pub fn lists(&self, name: Name, token: &str) -> bool {
        self.headers(name).any(|value| value.eq_ignore_ascii_case(token))
    }

    fn lines_raw(&self) -> &[Line] {
        self.layout.lines.get(..self.layout.count).unwrap_or_default()
    }
}

/// Walks the values of one field; made by [`Message::headers`].
#[derive(Debug, Clone)]
pub struct Values<'m, 'a> {
    lines: std::slice::Iter<'m, Line>,
    head: &'a str,
    name: Name,
    rest: Option<&'a str>,
}

impl<'a> Iterator for Values<'_, 'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            let text = match self.rest.take() {
                Some(text) => text,
                None if self.name == Name::Other => return None,
                None => self.lines.find(|line| line.id == self.name)?.value.of(self.head),
            };
            let value = if self.name.is_list() {
                let (value, rest) = lex::split_list(text);
                self.rest = rest;
                lex::trim(value)
            } else {
                text
            };
            if !value.is_empty() {
                return Some(value);
            }
        }
    }
}

impl Line {
    #[inline]
    fn new(raw: &RawHeader) -> Result<Self, ParseError> {
        let name_len = raw.name_end - raw.name_start;
        Ok(Self {
            id: raw.name,
            name_len: u8::try_from(name_len).map_err(|_| ParseError::HeaderLine)?,
            name_start: u16::try_from(raw.name_start).map_err(|_| ParseError::HeadTooLong)?,
            value: Span::new(raw.value_start, raw.value_end)?,
        })
    }

    fn name(self, head: &str) -> &str {
        let start = usize::from(self.name_start);
        head.get(start..start + usize::from(self.name_len)).unwrap_or("")
    }
}

impl Start {
    /// Reads the start line, which stands at the front of the head.
    fn parse(line: &str) -> Result<Self, ParseError> {
        let bytes = line.as_bytes();
        if memchr2(b'\r', b'\n', bytes).is_some() {
            return Err(ParseError::StartLine);
        }
        if let Some(rest) = line.get(..8).filter(|v| v.eq_ignore_ascii_case("SIP/2.0 ")) {
            return Self::parse_status(line, rest.len());
        }
        let method_end = memchr(b' ', bytes).ok_or(ParseError::StartLine)?;
        let version_start = memrchr(b' ', bytes).map_or(0, |at| at + 1);
        let (method, version) = (line.get(..method_end), line.get(version_start..));
        let named = method.is_some_and(lex::is_token);
        if !named || version_start <= method_end + 2 || !version.is_some_and(is_version) {
            return Err(ParseError::StartLine);
        }
        Ok(Self::Request {
            method: Span::new(0, method_end)?,
            uri: Span::new(method_end + 1, version_start - 1)?,
            version: Span::new(version_start, line.len())?,
        })
    }

    fn parse_status(line: &str, code_start: usize) -> Result<Self, ParseError> {
        let code_end = code_start + 3;
        let digits = line.as_bytes().get(code_start..code_end);
        let code = digits.and_then(scan::decimal).and_then(|code| u16::try_from(code).ok());
        let code = code.filter(|code| (100..700).contains(code)).ok_or(ParseError::StartLine)?;
        let reason_start = match line.as_bytes().get(code_end) {
            None => code_end,
            Some(b' ') => code_end + 1,
            Some(_) => return Err(ParseError::StartLine),
        };
        Ok(Self::Response { code, reason: Span::new(reason_start, line.len())? })
    }
}

/// `SIP/` digits `.` digits; which ones can be served is for validation to say.
fn is_version(text: &str) -> bool {
    if text == "SIP/2.0" {
        return true;
    }
    let (protocol, number) = lex::split_at(text, 4);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    protocol.eq_ignore_ascii_case("SIP/")
        && number.split_once('.').is_some_and(|(major, minor)| digits(major) && digits(minor))
}

pub(super) fn skip_blank_lines(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_lines_are_read() {
        let start = |line: &str| {
            let text = format!("{line}\r\n\r\n");
            Message::parse(text.as_bytes()).map(|message| format!("{:?}", message.start_line()))
        };
        let request = "Request { method: Invite, uri: \"sip:a b\", version: \"SIP/2.0\" }";
        assert_eq!(start("INVITE sip:a b SIP/2.0").as_deref(), Ok(request));
        let response = "Response { code: 486, reason: \"Busy Here\" }";
        assert_eq!(start("SIP/2.0 486 Busy Here").as_deref(), Ok(response));
        assert!(start("SIP/2.0 100").is_ok());
        for bad in [
            "INVITE",
            "INVITE sip:a",
            "INVITE  SIP/2.0",
            "IN(VITE sip:a SIP/2.0",
            " sip:a SIP/2.0",
            "INVITE sip:a SIP/2",
            "INVITE sip:a SIP/2.0 ",
            "INVITE sip:a HTTP/1.1",
            "SIP/2.0 99 x",
            "SIP/2.0 700 x",
            "SIP/2.0 2000 x",
            "SIP/2.0 20 x",
            "SIP/2.0  200 x",
            "INVITE sip:a\r\n SIP/2.0",
        ] {
            assert_eq!(start(bad), Err(ParseError::StartLine), "{bad}");
        }
    }

    #[test]
    fn broken_heads_are_refused() {
        let line = "A sip:a SIP/2.0\r\n";
        let many = format!("{line}{}\r\n", "x: y\r\n".repeat(LINES_MAX + 1));
        let long = format!("{line}x: {}\r\n\r\n", "y".repeat(65_536));
        let cases: &[(&str, ParseError)] = &[
            ("", ParseError::Empty),
            ("\r\n\r\n", ParseError::Empty),
            (line, ParseError::Truncated),
            ("A sip:a SIP/2.0\r\nx: y\r", ParseError::Truncated),
            ("A sip:a SIP/2.0\n\n", ParseError::BareLineBreak),
            ("A sip:a SIP/2.0\r\nx: a\rb\r\n\r\n", ParseError::BareLineBreak),
            ("A sip:a SIP/2.0\r\nnocolon\r\n\r\n", ParseError::HeaderLine),
            ("A sip:a SIP/2.0\r\n: x\r\n\r\n", ParseError::HeaderLine),
            ("A sip:a SIP/2.0\r\nx\r\n : y\r\n\r\n", ParseError::HeaderLine),
            ("A sip:a SIP/2.0\r\nl: \r\n\r\n", ParseError::ContentLength),
            ("A sip:a SIP/2.0\r\nl: 1x\r\n\r\n", ParseError::ContentLength),
            ("A sip:a SIP/2.0\r\nl: 3\r\n\r\nab", ParseError::BodyShort),
            (&many, ParseError::TooManyLines),
            (&long, ParseError::HeadTooLong),
        ];
        for (text, want) in cases {
            assert_eq!(Message::parse(text.as_bytes()).err(), Some(*want), "{text:.40?}");
        }
        let latin1 = b"A sip:a SIP/2.0\r\ns: \xfc\r\n\r\n";
        assert_eq!(Message::parse(latin1).err(), Some(ParseError::NotUtf8));
    }

    #[test]
    fn values_are_walked_over_lines_and_commas() {
        let text = "A sip:a SIP/2.0\r\nAllow: INVITE,, ACK\r\nk: timer\r\nALLOW:\r\nX-A: 1, 2\r\n\
                    Allow : BYE\r\nSubject: a, b\r\nX-a: 3\r\n\r\nbody";
        let message = Message::parse(text.as_bytes()).unwrap();
        let allowed: Vec<_> = message.headers(Name::Allow).collect();
        assert_eq!(allowed, ["INVITE", "ACK", "BYE"]);
        assert_eq!(message.count(Name::Allow), 3);
        assert_eq!(message.headers(Name::Subject).collect::<Vec<_>>(), ["a, b"]);
        assert!(message.lists(Name::Supported, "TIMER") && !message.lists(Name::Require, "timer"));
        assert_eq!(message.other("x-a"), Some("1, 2"));
        assert_eq!(message.header(Name::Other), None);
        assert_eq!(message.headers(Name::Other).count(), 0);
        assert_eq!(message.lines().count(), 7);
        assert_eq!(message.body(), b"body");
    }
}
