//! Writes requests and responses into a buffer that is used again and again.
//!
//! No value can start a line of its own: CR and LF are refused wherever they come from, and the
//! buffer is then left as it was. Content-Length is always written, always last and always true.

use super::lex;
use super::{Message, Method, Name, Rport, reason_phrase, unfold};
use memchr::memchr2;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;

/// Why a message was not written. Our own fault, or that of whoever gave the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// CR or LF in a value.
    #[error("CR or LF in a header value")]
    LineBreak,
    /// A method, Request-URI or status code that would not be one.
    #[error("bad start line")]
    StartLine,
    /// A header name that is no token.
    #[error("bad header name")]
    Name,
}

/// What a response says beyond what it copies from its request.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResponseSpec<'a> {
    /// 100 to 699.
    pub code: u16,
    /// The reason phrase; empty for the standard one.
    pub reason: &'a str,
    /// Tag for To, if the request's To has none.
    pub to_tag: Option<&'a str>,
    /// Where the request came from: goes into `received` and `rport` of the topmost Via.
    pub source: Option<SocketAddr>,
    /// Whether to copy Record-Route, as responses that make a dialog must (RFC 3261 §12.1.1).
    pub record_route: bool,
}

/// Appends one message to a buffer; ends with [`MessageWriter::finish`] or [`MessageWriter::body`].
///
/// Cost: allocates only when the buffer must grow. After an error nothing more is written and the
/// end gives the first error.
#[derive(Debug)]
pub struct MessageWriter<'b> {
    out: &'b mut Vec<u8>,
    start: usize,
    error: Option<WriteError>,
}

impl<'b> MessageWriter<'b> {
    /// Begins a request.
    pub fn request(out: &'b mut Vec<u8>, method: Method<'_>, uri: impl fmt::Display) -> Self {
        let mut writer = Self::new(out);
        let uri_start = writer.out.len() + method.as_str().len() + 1;
        writer.put(format_args!("{method} {uri}"));
        let uri = writer.out.get(uri_start..).unwrap_or_default();
        let bad_uri = uri.is_empty() || uri.iter().any(|b| *b <= b' ' || *b == 0x7f);
        if bad_uri || !method.is_token() {
            writer.fail(WriteError::StartLine);
        }
        writer.put(format_args!(" SIP/2.0"));
        writer.end_line();
        writer
    }

    /// Begins a response that copies nothing; see [`MessageWriter::respond`].
    pub fn response(out: &'b mut Vec<u8>, code: u16, reason: impl fmt::Display) -> Self {
        let mut writer = Self::new(out);
        writer.put(format_args!("SIP/2.0 {code} {reason}"));
        if !(100..700).contains(&code) {
            writer.fail(WriteError::StartLine);
        }
        writer.end_line();
        writer
    }

    /// Begins a response to `request`: Via, From, To, Call-ID, CSeq are copied as they stand
    /// (RFC 3261 §8.2.6.2); Timestamp into a 100.
    ///
    /// `received` is added if the source differs from sent-by or `rport` was asked for (RFC 3581).
    pub fn respond(out: &'b mut Vec<u8>, request: &Message<'_>, spec: &ResponseSpec<'_>) -> Self {
        let reason = if spec.reason.is_empty() { reason_phrase(spec.code) } else { spec.reason };
        let mut writer = Self::response(out, spec.code, reason);
        writer.copy_vias(request, spec.source);
        if spec.record_route {
            writer.echo(request, Name::RecordRoute);
        }
        writer.echo_first(request, Name::From, "");
        let tagged = request.to().is_ok_and(|to| to.tag().is_some());
        match spec.to_tag.filter(|_| !tagged) {
            Some(tag) => writer.echo_first(request, Name::To, format_args!(";tag={tag}")),
            None => writer.echo_first(request, Name::To, ""),
        }
        writer.echo_first(request, Name::CallId, "");
        writer.echo_first(request, Name::CSeq, "");
        if spec.code == 100 {
            writer.echo(request, Name::Timestamp);
        }
        writer
    }

    /// Writes a header line. [`Name::Other`] is an error: use [`MessageWriter::other`].
    pub fn header(&mut self, name: Name, value: impl fmt::Display) -> &mut Self {
        self.other(name.as_str(), value)
    }

    /// Writes a header line of any name; Content-Length is refused, it is written at the end.
    pub fn other(&mut self, name: &str, value: impl fmt::Display) -> &mut Self {
        if !lex::is_token(name) || Name::find(name.as_bytes()) == Name::ContentLength {
            self.fail(WriteError::Name);
        }
        self.put(format_args!("{name}: {value}"));
        self.end_line();
        self
    }

    /// Copies all lines of a field from another message, folds joined.
    pub fn echo(&mut self, from: &Message<'_>, name: Name) -> &mut Self {
        for value in from.values(name) {
            self.header(name, unfold(value));
        }
        self
    }

    /// Ends a message without a body.
    ///
    /// # Errors
    /// [`WriteError`]; the buffer is as it was before this message.
    pub fn finish(&mut self) -> Result<usize, WriteError> {
        self.end_with(b"")
    }

    /// Ends a message with a body; gives the length of the whole message.
    ///
    /// # Errors
    /// [`WriteError`]; the buffer is as it was before this message.
    pub fn body(&mut self, content_type: &str, body: &[u8]) -> Result<usize, WriteError> {
        self.header(Name::ContentType, content_type);
        self.end_with(body)
    }

    /// Ends a message whose Content-Type, if any, is written already.
    ///
    /// # Errors
    /// [`WriteError`]; the buffer is as it was before this message.
    pub fn end_with(&mut self, body: &[u8]) -> Result<usize, WriteError> {
        self.put(format_args!("Content-Length: {}", body.len()));
        self.end_line();
        self.end_line();
        self.out.extend_from_slice(body);
        match self.error {
            None => Ok(self.out.len() - self.start),
            Some(error) => {
                self.out.truncate(self.start);
                Err(error)
            }
        }
    }

    fn new(out: &'b mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start, error: None }
    }

    fn fail(&mut self, error: WriteError) {
        self.error.get_or_insert(error);
    }

    fn put(&mut self, text: fmt::Arguments<'_>) {
        if self.error.is_none() && LineGuard(self.out).write_fmt(text).is_err() {
            self.fail(WriteError::LineBreak);
        }
    }

    fn end_line(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }

    fn echo_first(&mut self, from: &Message<'_>, name: Name, suffix: impl fmt::Display) {
        if let Some(value) = from.header_unfolded(name) {
            self.header(name, format_args!("{value}{suffix}"));
        }
    }

    fn copy_vias(&mut self, request: &Message<'_>, source: Option<SocketAddr>) {
        for (i, value) in request.headers(Name::Via).enumerate() {
            match source.filter(|_| i == 0) {
                Some(source) => self.stamp_via(value, source),
                None => _ = self.header(Name::Via, unfold(value)),
            }
        }
    }

    /// Writes the topmost Via with what the source address tells.
    fn stamp_via(&mut self, value: &str, source: SocketAddr) {
        let Some(via) = super::Via::parse(value) else {
            self.header(Name::Via, unfold(value));
            return;
        };
        let address = source.ip().to_canonical();
        let sent_by = lex::split_at(value, value.find(';').unwrap_or(value.len())).0;
        let differs = via.host.ip().map(|ip| ip.to_canonical()) != Some(address);
        let asked = via.rport != Rport::Absent;
        self.put(format_args!("Via: {}", unfold(lex::trim(sent_by))));
        for (name, value) in via.params.iter() {
            match value {
                _ if name.eq_ignore_ascii_case("received") => {}
                _ if name.eq_ignore_ascii_case("rport") => {
                    self.put(format_args!(";rport={}", source.port()));
                }
                Some(value) => self.put(format_args!(";{name}={}", unfold(value))),
                None => self.put(format_args!(";{name}")),
            }
        }
        if differs || asked {
            self.put(format_args!(";received={address}"));
        }
        self.end_line();
    }
}

/// Passes text into the buffer and refuses CR and LF.
struct LineGuard<'b>(&'b mut Vec<u8>);

impl fmt::Write for LineGuard<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if memchr2(b'\r', b'\n', text.as_bytes()).is_some() {
            return Err(fmt::Error);
        }
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Writes a `quoted-string`: quotes around, `"` and `\` escaped, controls left out.
pub fn quoted(text: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        f.write_char('"')?;
        for letter in text.chars().filter(|c| !c.is_control()) {
            if matches!(letter, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(letter)?;
        }
        f.write_char('"')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::OwnedMessage;

    const REQUEST: &str = "INVITE sip:b@d SIP/2.0\r\n\
        Via: SIP / 2.0 / UDP  gw.example : 5070 ; rport ;branch=z9hG4bK1;received=1.2.3.4,\r\n \
        SIP/2.0/UDP second;branch=z9hG4bK2\r\n\
        Via: SIP/2.0/TCP third\r\nRecord-Route: <sip:p;lr>\r\n\
        f: \"A\"\r\n <sip:a@b>;tag=1\r\nt: <sip:b@d>\r\ni: id\r\nCSeq: 7 INVITE\r\n\
        Timestamp: 54\r\n\r\n";

    #[test]
    fn responses_copy_what_they_must() {
        let request = OwnedMessage::parse(REQUEST.as_bytes()).unwrap();
        let spec = ResponseSpec {
            code: 180,
            to_tag: Some("x"),
            source: Some("192.0.2.9:4000".parse().unwrap()),
            record_route: true,
            ..ResponseSpec::default()
        };
        let mut out = b"kept".to_vec();
        let len = MessageWriter::respond(&mut out, &request.view(), &spec)
            .header(Name::Server, "Bellwire")
            .finish()
            .unwrap();
        let want = "SIP/2.0 180 Ringing\r\n\
            Via: SIP / 2.0 / UDP  gw.example : 5070;rport=4000;branch=z9hG4bK1;\
            received=192.0.2.9\r\n\
            Via: SIP/2.0/UDP second;branch=z9hG4bK2\r\nVia: SIP/2.0/TCP third\r\n\
            Record-Route: <sip:p;lr>\r\n\
            From: \"A\" <sip:a@b>;tag=1\r\nTo: <sip:b@d>;tag=x\r\nCall-ID: id\r\n\
            CSeq: 7 INVITE\r\nServer: Bellwire\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&out), format!("kept{want}"));
        assert_eq!(len, want.len());
    }

    #[test]
    fn received_is_added_only_if_it_tells_something() {
        let cases: &[(&str, &str, &str)] = &[
            ("192.0.2.1;branch=b", "192.0.2.1:5060", ";branch=b"),
            ("192.0.2.1;branch=b", "[::ffff:192.0.2.1]:5060", ";branch=b"),
            ("192.0.2.1;branch=b;rport", "192.0.2.1:9", ";branch=b;rport=9;received=192.0.2.1"),
            ("host.example;branch=b", "192.0.2.1:5060", ";branch=b;received=192.0.2.1"),
            ("[2001:db8::1];branch=b", "[2001:db8::1]:5060", ";branch=b"),
            ("10.0.0.1", "[2001:db8::2]:5060", ";received=2001:db8::2"),
        ];
        for (sent_by, source, want) in cases {
            let text = format!("OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by}\r\n\r\n");
            let request = Message::parse(text.as_bytes()).unwrap();
            let source = Some(source.parse().unwrap());
            let spec = ResponseSpec { code: 200, source, ..ResponseSpec::default() };
            let mut out = Vec::new();
            MessageWriter::respond(&mut out, &request, &spec).finish().unwrap();
            let response = Message::parse(&out).unwrap();
            assert_eq!(response.via().unwrap().params.as_str(), *want, "{sent_by}");
        }
    }

    #[test]
    fn timestamp_and_an_old_tag_are_kept() {
        let tagged = REQUEST.replace("t: <sip:b@d>", "t: <sip:b@d>;tag=theirs");
        let request = Message::parse(tagged.as_bytes()).unwrap();
        let spec = ResponseSpec { code: 100, to_tag: Some("x"), ..ResponseSpec::default() };
        let mut out = Vec::new();
        MessageWriter::respond(&mut out, &request, &spec).finish().unwrap();
        let response = Message::parse(&out).unwrap();
        assert_eq!(response.to().unwrap().tag(), Some("theirs"));
        assert_eq!(response.header(Name::Timestamp), Some("54"));
        assert_eq!(response.count(Name::RecordRoute), 0);
    }

    #[test]
    fn nothing_can_be_injected() {
        type Write = fn(&mut Vec<u8>) -> Result<usize, WriteError>;
        let cases: &[(Write, WriteError)] = &[
            (
                |out| MessageWriter::request(out, Method::Bye, "sip:a\r\nX: y").finish(),
                WriteError::LineBreak,
            ),
            (
                |out| MessageWriter::request(out, Method::Bye, "sip:a b").finish(),
                WriteError::StartLine,
            ),
            (|out| MessageWriter::request(out, Method::Bye, "").finish(), WriteError::StartLine),
            (
                |out| MessageWriter::request(out, Method::Other("A B"), "sip:a").finish(),
                WriteError::StartLine,
            ),
            (|out| MessageWriter::response(out, 99, "x").finish(), WriteError::StartLine),
            (|out| MessageWriter::response(out, 200, "x\n").finish(), WriteError::LineBreak),
            (
                |out| MessageWriter::response(out, 200, "").header(Name::Subject, "a\rb").finish(),
                WriteError::LineBreak,
            ),
            (
                |out| MessageWriter::response(out, 200, "").other("X Y", "a").finish(),
                WriteError::Name,
            ),
            (
                |out| MessageWriter::response(out, 200, "").other("l", "5").finish(),
                WriteError::Name,
            ),
            (|out| MessageWriter::response(out, 200, "").body("a\r\n", b""), WriteError::LineBreak),
        ];
        for (i, (write, want)) in cases.iter().enumerate() {
            let mut out = b"before".to_vec();
            assert_eq!(write(&mut out), Err(*want), "case {i}");
            assert_eq!(out, b"before", "case {i}");
        }
    }

    #[test]
    fn bodies_get_their_length() {
        let mut out = Vec::new();
        let mut writer = MessageWriter::request(&mut out, Method::Invite, "sip:a@b");
        writer.header(Name::Subject, quoted("a\"\\\n\u{7f}b"));
        writer.body("application/sdp", b"v=0\r\n").unwrap();
        let message = Message::parse(&out).unwrap();
        assert_eq!(message.header(Name::Subject), Some(r#""a\"\\b""#));
        assert_eq!(message.body(), b"v=0\r\n");
        assert!(message.has_body("application", "sdp"));
    }
}
