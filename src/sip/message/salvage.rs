//! What is left of a request that cannot be parsed, just enough to answer it with 400.

use super::{Message, Method, Name, lex};

/// Longest line, and most lines, that are worth an answer.
const LINE_MAX: usize = 2048;
const VIAS_MAX: usize = 32;

/// Rebuilds the answerable part of a malformed request: its method, Via, From, To, Call-ID, CSeq.
///
/// The clean copy is made in `scratch` (cleared first) and read from there; its Request-URI is a
/// placeholder and its body is empty. Lines that are not UTF-8 or hold controls are left out.
/// Returns `None` for responses, ACK, and requests without those fields: they get no answer
/// (RFC 3261 §8.2.6 needs them all). The caller limits the rate of such answers.
pub fn salvage<'s>(bytes: &[u8], scratch: &'s mut Vec<u8>) -> Option<Message<'s>> {
    scratch.clear();
    let bytes = super::parse::skip_blank_lines(bytes);
    let mut lines = logical_lines(bytes);
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let method = Method::new(first.split([' ', '\t']).next()?);
    if !method.is_token() || method == Method::Ack {
        return None;
    }
    scratch.extend_from_slice(method.as_str().as_bytes());
    scratch.extend_from_slice(b" sip:invalid SIP/2.0\r\n");
    let mut found = Found::default();
    for line in lines.take_while(|line| !line.is_empty()).take(super::LINES_MAX) {
        if let Some((name, value)) = clean_header(line)
            && found.wants(name)
        {
            scratch.extend_from_slice(name.as_str().as_bytes());
            scratch.extend_from_slice(b": ");
            scratch.extend(value.bytes().map(|b| if lex::is_lws(b) { b' ' } else { b }));
            scratch.extend_from_slice(b"\r\n");
        }
    }
    scratch.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    let message = Message::parse(scratch).ok()?;
    message.has_reply_headers().then_some(message)
}

impl Message<'_> {
    /// Whether a response can be built: a readable topmost Via, and From, To, Call-ID and CSeq.
    pub fn has_reply_headers(&self) -> bool {
        let there = |name| self.header(name).is_some_and(|value| !value.is_empty());
        self.via().is_ok()
            && [Name::From, Name::To, Name::CallId, Name::CSeq].map(there) == [true; 4]
    }
}

/// How many lines of each wanted field were taken: one each, and some Via.
#[derive(Default)]
struct Found {
    vias: usize,
    singles: [bool; 4],
}

impl Found {
    fn wants(&mut self, name: Name) -> bool {
        if name == Name::Via {
            self.vias += 1;
            return self.vias <= VIAS_MAX;
        }
        let names = [Name::From, Name::To, Name::CallId, Name::CSeq];
        let seen = self.singles.iter_mut().zip(names).find(|(_, n)| *n == name).map(|(s, _)| s);
        seen.is_some_and(|seen| !std::mem::replace(seen, true))
    }
}

/// Lines with any ending, folds left in: nothing is framed by them, so this may be lax.
fn logical_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut search = 0;
        let end = loop {
            let Some(step) = memchr::memchr(b'\n', text.get(search..)?) else { break text.len() };
            search += step + 1;
            if step == 0 || !matches!(text.get(search), Some(b' ' | b'\t')) {
                break search - 1;
            }
        };
        rest = text.get(end + 1..);
        let line = text.get(..end)?;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    })
}

fn clean_header(line: &[u8]) -> Option<(Name, &str)> {
    if line.len() > LINE_MAX {
        return None;
    }
    let text = std::str::from_utf8(line).ok()?;
    let (name, value) = text.split_once(':')?;
    let value = lex::trim(value);
    let control = |b: u8| (b < b' ' && !lex::is_lws(b)) || b == 0x7f;
    (!value.bytes().any(control)).then_some((Name::find(lex::trim(name).as_bytes()), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nf: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n\
                        Call-ID: x\r\nCSeq: 1 INVITE\r\n";

    #[test]
    fn malformed_requests_are_still_answerable() {
        let cases: &[(String, bool)] = &[
            (format!("INVITE  <sip:a@b>  SIP/2.0 \r\n{HEAD}\r\n"), true),
            (format!("INVITE sip:a SIP/2.0\n{}\n", HEAD.replace("\r\n", "\n")), true),
            (format!("INVITE sip:a SIP/2.0\r\nnonsense\r\n{HEAD}Content-Length: 9\r\n\r\nx"), true),
            (format!("INVITE sip:a SIP/2.0\r\n{HEAD}"), true),
            (format!("ACK sip:a SIP/2.0\r\n{HEAD}\r\n"), false),
            (format!("SIP/2.0 200 OK\r\n{HEAD}\r\n"), false),
            ("INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n\r\n".to_owned(), false),
            (format!("INVITE sip:a SIP/2.0\r\n\r\n{HEAD}\r\n"), false),
            (String::new(), false),
        ];
        let mut scratch = Vec::new();
        for (text, want) in cases {
            assert_eq!(salvage(text.as_bytes(), &mut scratch).is_some(), *want, "{text}");
        }
    }

    #[test]
    fn salvage_drops_what_cannot_be_echoed() {
        let mut bytes = b"INVITE sip:a SIP/2.0\r\nSubject: \xff\r\n".to_vec();
        bytes.extend_from_slice(HEAD.as_bytes());
        bytes.extend_from_slice(b"To: <sip:second@d>\r\nCSeq : 2\r\n \0\r\n\r\n");
        let mut scratch = Vec::new();
        let message = salvage(&bytes, &mut scratch).unwrap();
        assert_eq!(message.to().unwrap().uri.text, "sip:c@d");
        assert_eq!(message.cseq().unwrap().number, 1);
        assert_eq!(message.header(Name::Subject), None);
    }
}
