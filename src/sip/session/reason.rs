//! Reason header fields (RFC 3326): why the peer ends a call, in words and as a cause of Q.850.
//!
//! Reads them from BYE, CANCEL and final responses (RFC 6432). Does not write any: what we say is
//! the application's text.

use super::tame;
use crate::sip::message::{Message, Name, Params, reason_phrase, unfold, unquote};

/// Most values that are read; real messages have one or two.
const VALUES_MAX: usize = 8;

/// The largest cause that seven bits of Q.850 can name.
const CAUSE_MAX: u16 = 127;

/// What a peer says about an end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reason {
    /// Its words; empty if it has none.
    pub text: String,
    /// The cause of Q.850.
    pub q850: Option<u8>,
}

/// The Reason header fields of a message; the first text and the first cause count.
pub(in crate::sip) fn reason_header(message: &Message<'_>) -> Reason {
    let (mut text, mut implied, mut q850) = (String::new(), "", None);
    for value in message.headers(Name::Reason).take(VALUES_MAX) {
        let value = unfold(value);
        let at = value.find(';').unwrap_or(value.len());
        let (protocol, params) = value.split_at(at);
        let Some(params) = Params::parse(params) else { continue };
        let cause = params.get("cause").and_then(|cause| cause.parse::<u16>().ok());
        if text.is_empty() {
            text = params.get("text").map(|said| tame(&unquote(said))).unwrap_or_default();
        }
        let protocol = protocol.trim();
        if protocol.eq_ignore_ascii_case("Q.850") {
            //= RFC 3326 §2: the cause of Q.850, in decimal
            let known = cause.filter(|cause| *cause <= CAUSE_MAX);
            q850 = q850.or(known.and_then(|cause| u8::try_from(cause).ok()));
        } else if protocol.eq_ignore_ascii_case("SIP") && implied.is_empty() {
            implied = match cause {
                //= RFC 3326 §3.1: SIP with cause 200 in a CANCEL: another branch has answered
                Some(200) => "answered elsewhere",
                Some(code) => reason_phrase(code),
                None => "",
            };
        }
    }
    if text.is_empty() {
        implied.clone_into(&mut text);
    }
    Reason { text, q850 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(lines: &str) -> (String, Option<u8>) {
        let text = format!("BYE sip:a@b SIP/2.0\r\n{lines}\r\n");
        let Reason { text, q850 } = reason_header(&Message::parse(text.as_bytes()).unwrap());
        (text, q850)
    }

    #[test]
    fn reasons_are_read() {
        let cases: &[(&str, &str, Option<u8>)] = &[
            ("", "", None),
            ("Reason: Q.850;cause=16;text=\"bye\"\r\n", "bye", Some(16)),
            ("Reason: Q.850 ; cause = 17\r\n", "", Some(17)),
            ("Reason: q.850;text=\"a \\\"b\\\"\";cause=1\r\n", "a \"b\"", Some(1)),
            ("Reason: Q.850;cause=128\r\n", "", None),
            ("Reason: Q.850;cause=-1\r\n", "", None),
            ("Reason: Q.850;cause=999999999999\r\n", "", None),
            ("Reason: Q.850\r\n", "", None),
            ("Reason: Q.850;;cause=3\r\n", "", None),
            ("Reason: SIP;cause=200\r\n", "answered elsewhere", None),
            ("Reason: SIP;cause=200;text=\"picked up\"\r\n", "picked up", None),
            ("Reason: SIP;cause=486\r\n", "Busy Here", None),
            ("Reason: SIP;cause=600,Q.850;cause=17\r\n", "Busy Everywhere", Some(17)),
            ("Reason: SIP;cause=480\r\nReason: Q.850;cause=19;text=no\r\n", "no", Some(19)),
            ("Reason: Q.850;cause=16\r\nReason: Q.850;cause=17\r\n", "", Some(16)),
            ("Reason: X.int;reasoncode=0x00;add-info=050C\r\n", "", None),
            ("Reason: Q.850;cause=31;text=\"a,b;c\"\r\n", "a,b;c", Some(31)),
        ];
        for (lines, text, q850) in cases {
            assert_eq!(reason(lines), ((*text).to_owned(), *q850), "{lines}");
        }
    }

    #[test]
    fn long_and_numerous_reasons_are_cut() {
        let long = format!("Reason: Q.850;text=\"{}\"\r\n", "x".repeat(2000));
        assert_eq!(reason(&long).0.len(), super::super::REASON_MAX);
        let many = format!("{}Reason: Q.850;cause=16\r\n", "Reason: a;b=c\r\n".repeat(8));
        assert_eq!(reason(&many), (String::new(), None));
    }
}
