//! Whether a well-formed message can be served, and the status that says why not.
//!
//! Owns the checks that need nothing but the message and what we are able to do (RFC 3261 §8.2).
//! Does not know dialogs or transactions, so 481, 482 and 491 are not found here; a user agent
//! server serves Max-Forwards 0 (§16.3 asks proxies only), so neither is 483.

use super::headers::{HeaderError, MediaType};
use super::uri::{Scheme, Uri, UriError};
use super::write::MessageWriter;
use super::{Message, Method, Name, StartLine};
use std::fmt;

/// What the element serves; everything else is refused.
#[derive(Debug, Clone, Copy)]
pub struct Capabilities<'c> {
    /// Methods, as Allow tells them.
    pub methods: &'c [Method<'c>],
    /// Option tags that Require may name, as Supported tells them.
    pub extensions: &'c [&'c str],
    /// Body types of INVITE, UPDATE and PRACK, as Accept tells them; `type/subtype`.
    pub bodies: &'c [&'c str],
    /// Most bytes of body: beyond it 513.
    pub body_max: usize,
}

/// A status to refuse a request with. As `Display`: the reason phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// 400 to 599.
    pub code: u16,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A header field is missing, repeated or malformed.
    Header(HeaderError),
    /// The Request-URI is malformed.
    RequestUri(UriError),
    /// The Request-URI has header components, which it may not (RFC 3261 §19.1.1).
    UriHeaders,
    /// The method of CSeq is another one than that of the request.
    CSeqMethod,
    /// The code says it all.
    Plain,
}

impl Refusal {
    const fn plain(code: u16) -> Self {
        Self { code, fault: Fault::Plain }
    }

    /// Adds the field that the code calls for: Allow, Unsupported, Accept, Accept-Encoding.
    pub fn explain(
        &self,
        request: &Message<'_>,
        able: &Capabilities<'_>,
        response: &mut MessageWriter<'_>,
    ) {
        match self.code {
            405 | 501 => {
                response.header(Name::Allow, joined(able.methods.iter()));
            }
            406 | 415 => {
                response.header(Name::Accept, joined(able.bodies.iter()));
                if foreign_encoding(request) {
                    response.header(Name::AcceptEncoding, "identity");
                }
            }
            420 => {
                for tag in unsupported(request, able) {
                    response.header(Name::Unsupported, tag);
                }
            }
            _ => {}
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(super::reason_phrase(self.code))?;
        match self.fault {
            Fault::Header(error) => write!(f, " - {error}"),
            Fault::RequestUri(error) => write!(f, " - {error}"),
            Fault::UriHeaders => f.write_str(" - header fields in the Request-URI"),
            Fault::CSeqMethod => f.write_str(" - CSeq names another method"),
            Fault::Plain => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Self { code: 400, fault: Fault::Header(error) }
    }
}

/// Checks a message that parsed.
///
/// A response is checked only for what is needed to match it: on `Err` it is to be dropped. An ACK
/// that is refused gets no answer either. Cost: reads every field it names, no allocation.
///
/// # Errors
/// [`Refusal`], the first that applies in the order 505, 400, 501/405, 400/416 (Request-URI), 420,
/// 513, 415, 406.
pub fn validate(message: &Message<'_>, able: &Capabilities<'_>) -> Result<(), Refusal> {
    let StartLine::Request { method, uri, version } = message.start_line() else {
        return check_routing(message);
    };
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(Refusal::plain(505));
    }
    check_routing(message)?;
    if message.cseq()?.method != method {
        return Err(Refusal { code: 400, fault: Fault::CSeqMethod });
    }
    check_singles(message)?;
    if !able.methods.contains(&method) {
        return Err(Refusal::plain(if method.known().is_some() { 405 } else { 501 }));
    }
    check_request_uri(uri)?;
    check_addresses(message, method)?;
    let hop_only = matches!(method, Method::Ack | Method::Cancel);
    if !hop_only && unsupported(message, able).next().is_some() {
        return Err(Refusal::plain(420));
    }
    check_body(message, method, able)
}

/// The fields without which a message belongs nowhere.
fn check_routing(message: &Message<'_>) -> Result<(), Refusal> {
    message.via()?;
    for via in message.vias() {
        via?;
    }
    message.from()?;
    message.to()?;
    message.call_id()?;
    message.cseq()?;
    Ok(())
}

/// Fields that may be missing, but not doubled or malformed.
fn check_singles(message: &Message<'_>) -> Result<(), Refusal> {
    let optional = |result: Result<(), HeaderError>| match result {
        Err(HeaderError::Missing(_)) | Ok(()) => Ok(()),
        Err(error) => Err(error),
    };
    optional(message.max_forwards().map(|_| ()))?;
    optional(message.content_type().map(|_| ()))?;
    optional(message.seconds(Name::Expires).map(|_| ()))?;
    if message.count(Name::ContentLength) > 1 {
        return Err(HeaderError::Repeated(Name::ContentLength).into());
    }
    Ok(())
}

fn check_request_uri(text: &str) -> Result<(), Refusal> {
    let uri =
        Uri::parse(text).map_err(|error| Refusal { code: 400, fault: Fault::RequestUri(error) })?;
    match uri.scheme {
        Scheme::Other(_) => Err(Refusal::plain(416)),
        Scheme::Sip | Scheme::Sips | Scheme::Tel if uri.headers.is_some() => {
            Err(Refusal { code: 400, fault: Fault::UriHeaders })
        }
        Scheme::Sip | Scheme::Sips | Scheme::Tel => Ok(()),
    }
}

/// Fields that dialogs will be made of.
fn check_addresses(message: &Message<'_>, method: Method<'_>) -> Result<(), Refusal> {
    if message.contact_is_any() && method != Method::Register {
        return Err(HeaderError::Malformed(Name::Contact).into());
    }
    let all = message.contacts().chain(message.routes()).chain(message.record_routes());
    for address in all {
        address?;
    }
    Ok(())
}

fn check_body(
    message: &Message<'_>,
    method: Method<'_>,
    able: &Capabilities<'_>,
) -> Result<(), Refusal> {
    if message.body().len() > able.body_max {
        return Err(Refusal::plain(513));
    }
    if !matches!(method, Method::Invite | Method::Update | Method::Prack) {
        return Ok(());
    }
    if !message.body().is_empty() {
        let kind = message.content_type()?;
        let served = able.bodies.iter().filter_map(|text| MediaType::parse(text));
        let known = served.into_iter().any(|t| kind.is(t.kind, t.subtype));
        let optional = message.header(Name::ContentDisposition).and_then(disposition_handling);
        let skippable = optional.is_some_and(|h| h.eq_ignore_ascii_case("optional"));
        if foreign_encoding(message) || (!known && !skippable) {
            return Err(Refusal::plain(415));
        }
    }
    if method == Method::Invite && !accepts_sdp(message) {
        return Err(Refusal::plain(406));
    }
    Ok(())
}

fn disposition_handling(value: &str) -> Option<&str> {
    let params = value.get(value.find(';')?..)?;
    super::Params::parse(params)?.get("handling")
}

fn foreign_encoding(message: &Message<'_>) -> bool {
    message.headers(Name::ContentEncoding).any(|coding| !coding.eq_ignore_ascii_case("identity"))
}

/// Whether an answer in SDP would be understood: yes if Accept is missing (RFC 3261 §20.1).
fn accepts_sdp(message: &Message<'_>) -> bool {
    let mut ranges = message.headers(Name::Accept).filter_map(MediaType::parse).peekable();
    ranges.peek().is_none()
        || ranges.any(|r| r.is("application", "sdp") || r.is("application", "*") || (r.kind == "*"))
}

/// Option tags of Require that we lack.
fn unsupported<'a>(
    message: &Message<'a>,
    able: &Capabilities<'_>,
) -> impl Iterator<Item = &'a str> {
    let required = message.headers(Name::Require);
    required.filter(|tag| !able.extensions.iter().any(|known| known.eq_ignore_ascii_case(tag)))
}

fn joined<T: fmt::Display>(items: impl Iterator<Item = T> + Clone) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        for (i, item) in items.clone().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            item.fmt(f)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABLE: Capabilities<'_> = Capabilities {
        methods: &[Method::Invite, Method::Ack, Method::Bye, Method::Cancel],
        extensions: &["timer"],
        bodies: &["application/sdp"],
        body_max: 8,
    };

    fn request(line: &str, method: &str, more: &str) -> String {
        format!(
            "{line}\r\nVia: SIP/2.0/UDP a\r\nFrom: <sip:a@b>\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\n\
             CSeq: 1 {method}\r\n{more}\r\n"
        )
    }

    fn code_of(text: &str) -> Option<u16> {
        let message = Message::parse(text.as_bytes()).unwrap();
        validate(&message, &ABLE).err().map(|refusal| refusal.code)
    }

    #[test]
    fn requests_are_refused_with_the_right_status() {
        let cases: &[(&str, &str, &str, Option<u16>)] = &[
            ("INVITE sip:a SIP/2.0", "INVITE", "", None),
            ("INVITE tel:+1 SIP/2.0", "INVITE", "", None),
            ("INVITE sip:a SIP/3.0", "INVITE", "", Some(505)),
            ("INVITE sip:a SIP/2.0", "BYE", "", Some(400)),
            ("INVITE sip:a?b=c SIP/2.0", "INVITE", "", Some(400)),
            ("INVITE urn:x SIP/2.0", "INVITE", "", Some(416)),
            ("INVITE nonsense SIP/2.0", "INVITE", "", Some(400)),
            ("OPTIONS sip:a SIP/2.0", "OPTIONS", "", Some(405)),
            ("FOO sip:a SIP/2.0", "FOO", "", Some(501)),
            ("INVITE sip:a SIP/2.0", "INVITE", "Require: timer\r\n", None),
            ("INVITE sip:a SIP/2.0", "INVITE", "Require: timer, 100rel\r\n", Some(420)),
            ("ACK sip:a SIP/2.0", "ACK", "Require: 100rel\r\n", None),
            ("CANCEL sip:a SIP/2.0", "CANCEL", "Require: 100rel\r\n", None),
            ("INVITE sip:a SIP/2.0", "INVITE", "Max-Forwards: 0\r\n", None),
            ("INVITE sip:a SIP/2.0", "INVITE", "Max-Forwards: 256\r\n", Some(400)),
            ("INVITE sip:a SIP/2.0", "INVITE", "Expires: soon\r\n", Some(400)),
            ("INVITE sip:a SIP/2.0", "INVITE", "l: 0\r\nl: 0\r\n", Some(400)),
            ("INVITE sip:a SIP/2.0", "INVITE", "Contact: *\r\n", Some(400)),
            ("INVITE sip:a SIP/2.0", "INVITE", "Route: sip:a;;\r\n", Some(400)),
            ("INVITE sip:a SIP/2.0", "INVITE", "To: <sip:e@f>\r\n", Some(400)),
            ("INVITE sip:a SIP/2.0", "INVITE", "Via: x\r\n", Some(400)),
            ("INVITE sip:a SIP/2.0", "INVITE", "Accept: text/*\r\n", Some(406)),
            ("INVITE sip:a SIP/2.0", "INVITE", "Accept: text/*, */*;q=0.1\r\n", None),
            ("INVITE sip:a SIP/2.0", "INVITE", "\r\nbody", Some(400)),
            ("INVITE sip:a SIP/2.0", "INVITE", "c: application/SDP\r\n\r\nbody", None),
            ("INVITE sip:a SIP/2.0", "INVITE", "c: application/sdp\r\n\r\n123456789", Some(513)),
            ("INVITE sip:a SIP/2.0", "INVITE", "c: text/plain\r\n\r\nbody", Some(415)),
            (
                "INVITE sip:a SIP/2.0",
                "INVITE",
                "c: text/plain\r\nContent-Disposition: x;handling=optional\r\n\r\nbody",
                None,
            ),
            ("INVITE sip:a SIP/2.0", "INVITE", "e: gzip\r\nc: application/sdp\r\n\r\nx", Some(415)),
            ("BYE sip:a SIP/2.0", "BYE", "c: text/plain\r\n\r\nbody", None),
        ];
        for (line, method, more, want) in cases {
            assert_eq!(code_of(&request(line, method, more)), *want, "{line} {more}");
        }
    }

    #[test]
    fn responses_need_what_matches_them() {
        assert_eq!(code_of(&request("SIP/2.0 200 OK", "FOO", "Require: x\r\n")), None);
        assert_eq!(code_of("SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n"), Some(400));
    }

    #[test]
    fn a_refusal_explains_itself() {
        let cases: &[(String, &str)] = &[
            (request("OPTIONS sip:a SIP/2.0", "OPTIONS", ""), "Allow: INVITE, ACK, BYE, CANCEL"),
            (
                request("INVITE sip:a SIP/2.0", "INVITE", "Require: timer, x\r\nRequire: y\r\n"),
                "Unsupported: x\r\nUnsupported: y",
            ),
            (
                request("INVITE sip:a SIP/2.0", "INVITE", "e: br\r\nc: a/b\r\n\r\nx"),
                "Accept: application/sdp\r\nAccept-Encoding: identity",
            ),
            (
                request("INVITE sip:a SIP/2.0", "INVITE", "From: x\r\n"),
                "SIP/2.0 400 Bad Request - From is there more than once",
            ),
        ];
        for (text, want) in cases {
            let message = Message::parse(text.as_bytes()).unwrap();
            let refusal = validate(&message, &ABLE).unwrap_err();
            let mut out = Vec::new();
            let mut writer = MessageWriter::response(&mut out, refusal.code, refusal);
            refusal.explain(&message, &ABLE, &mut writer);
            writer.finish().unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(out.contains(want), "{out}");
        }
    }
}
