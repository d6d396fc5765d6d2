//! Digits in INFO bodies: `application/dtmf-relay` and `application/dtmf`.
//!
//! Neither was ever a standard; both are what deployed gateways send.

use crate::sip::message::Message;

/// What an INFO request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Info {
    /// A key was pressed.
    Digit {
        /// One of `0-9*#A-D`.
        digit: char,
        /// As stated, else 0.
        duration_ms: u32,
    },
    /// Nothing: used as a keep-alive.
    Empty,
    /// A digit type whose body says no digit.
    Malformed,
    /// Some other body.
    Foreign,
}

pub(super) fn parse_info(message: &Message<'_>) -> Info {
    if message.body().is_empty() {
        return Info::Empty;
    }
    let Ok(kind) = message.content_type() else { return Info::Foreign };
    let body = std::str::from_utf8(message.body()).unwrap_or("");
    if kind.is("application", "dtmf-relay") {
        let Some(digit) = field(body, "Signal").and_then(digit) else { return Info::Malformed };
        let duration = field(body, "Duration").and_then(|text| text.parse().ok());
        Info::Digit { digit, duration_ms: duration.unwrap_or(0) }
    } else if kind.is("application", "dtmf") {
        let text = field(body, "Signal").unwrap_or(body.trim());
        digit(text).map_or(Info::Malformed, |digit| Info::Digit { digit, duration_ms: 0 })
    } else {
        Info::Foreign
    }
}

/// The body of `application/dtmf-relay` for a key; `None` if there is no such key.
pub(super) fn relay(key: char, duration_ms: u32) -> Option<Vec<u8>> {
    let mut text = [0; 4];
    let key = digit(key.encode_utf8(&mut text))?;
    Some(format!("Signal={key}\r\nDuration={duration_ms}\r\n").into_bytes())
}

/// The value of a `name=value` line.
fn field<'b>(body: &'b str, name: &str) -> Option<&'b str> {
    body.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A key by its letter, or by its number in RFC 4733 (10 to 15).
fn digit(text: &str) -> Option<char> {
    match text {
        "10" => Some('*'),
        "11" => Some('#'),
        "12" => Some('A'),
        "13" => Some('B'),
        "14" => Some('C'),
        "15" => Some('D'),
        _ => {
            let mut letters = text.chars();
            let letter = letters.next()?.to_ascii_uppercase();
            let known = matches!(letter, '0'..='9' | '*' | '#' | 'A'..='D');
            (known && letters.next().is_none()).then_some(letter)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_both_kinds_are_read() {
        let cases = [
            ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", Some(('5', 160))),
            ("application/DTMF-Relay", "Signal= *\nDuration = 80", Some(('*', 80))),
            ("application/dtmf-relay", "Signal=11", Some(('#', 0))),
            ("application/dtmf-relay", "Signal=d\r\nDuration=x", Some(('D', 0))),
            ("application/dtmf-relay", "Duration=160", None),
            ("application/dtmf-relay", "Signal=55", None),
            ("application/dtmf-relay", "Signal=", None),
            ("application/dtmf", "9\r\n", Some(('9', 0))),
            ("application/dtmf", "16", None),
        ];
        for (kind, body, expected) in cases {
            let text = format!(
                "INFO sip:a@b SIP/2.0\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let info = parse_info(&Message::parse(text.as_bytes()).unwrap());
            let expected = expected
                .map_or(Info::Malformed, |(digit, duration_ms)| Info::Digit { digit, duration_ms });
            assert_eq!(info, expected, "{kind} {body:?}");
        }
    }

    #[test]
    fn other_bodies_are_foreign_and_none_is_a_keep_alive() {
        let parse = |text: &str| parse_info(&Message::parse(text.as_bytes()).unwrap());
        assert_eq!(parse("INFO sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n"), Info::Empty);
        let foreign = "INFO sip:a@b SIP/2.0\r\nContent-Type: text/plain\r\n\r\nhello";
        assert_eq!(parse(foreign), Info::Foreign);
        assert_eq!(parse("INFO sip:a@b SIP/2.0\r\n\r\nhello"), Info::Foreign);
    }
}
