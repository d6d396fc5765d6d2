//! `application/x-www-form-urlencoded`, both ways: bodies of Twilio's REST, and what its webhooks
//! are asked with.
//!
//! Owns the escapes. Pairs keep their order and may repeat a name, as `StatusCallbackEvent` does.
//!
//! Source: WHATWG URL, "application/x-www-form-urlencoded".

/// Pairs of one form.
pub const PAIRS_MAX: usize = 256;

/// Says what is wrong with a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A name or value is no UTF-8 when its escapes are resolved.
    #[error("the form is not UTF-8")]
    Text,
    /// More than [`PAIRS_MAX`] pairs.
    #[error("the form has more than {PAIRS_MAX} fields")]
    TooMany,
}

/// Reads a form. Cost: O(octets).
///
/// # Errors
/// [`FormError`].
pub fn decode(octets: &[u8]) -> Result<Vec<(String, String)>, FormError> {
    let mut pairs = Vec::new();
    for pair in octets.split(|octet| *octet == b'&').filter(|pair| !pair.is_empty()) {
        if pairs.len() >= PAIRS_MAX {
            return Err(FormError::TooMany);
        }
        let at = pair.iter().position(|octet| *octet == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(at);
        pairs.push((unescape(name)?, unescape(value.get(1..).unwrap_or_default())?));
    }
    Ok(pairs)
}

fn unescape(text: &[u8]) -> Result<String, FormError> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&octet, behind)) = rest.split_first() {
        rest = behind;
        match octet {
            b'+' => plain.push(b' '),
            b'%' => match rest.get(..2).and_then(hex) {
                Some(octet) => {
                    plain.push(octet);
                    rest = rest.get(2..).unwrap_or_default();
                }
                // A sign that escapes nothing stands for itself.
                None => plain.push(b'%'),
            },
            octet => plain.push(octet),
        }
    }
    String::from_utf8(plain).map_err(|_| FormError::Text)
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let (high, low) = (digit(*digits.first()?)?, digit(*digits.get(1)?)?);
    u8::try_from(high * 16 + low).ok()
}

/// Writes a form.
#[must_use]
pub fn encode(pairs: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        escape(&mut text, name);
        text.push('=');
        escape(&mut text, value);
    }
    text
}

fn escape(text: &mut String, plain: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for octet in plain.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                text.push(char::from(octet));
            }
            b' ' => text.push('+'),
            octet => {
                text.push('%');
                for digit in [octet >> 4, octet & 15] {
                    text.push(char::from(DIGITS[usize::from(digit)]));
                }
            }
        }
    }
}

/// A URL with these parameters behind those that it has.
#[must_use]
pub fn with_query(url: &str, pairs: &[(String, String)]) -> String {
    let (head, fragment) = url.split_once('#').map_or((url, None), |(a, b)| (a, Some(b)));
    let sign = if head.contains('?') { '&' } else { '?' };
    let mut whole = format!("{head}{sign}{}", encode(pairs));
    if let Some(fragment) = fragment {
        whole.push('#');
        whole.push_str(fragment);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &[(&str, &str)]) -> Vec<(String, String)> {
        text.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn forms_are_read_as_libraries_write_them() {
        let read = decode(b"To=%2B14155550123&Url=http%3A%2F%2Fa%2F%3Fb%3Dc&A=x+y&A=&=v&B&&%zz=1%");
        let wanted = pairs(&[
            ("To", "+14155550123"),
            ("Url", "http://a/?b=c"),
            ("A", "x y"),
            ("A", ""),
            ("", "v"),
            ("B", ""),
            ("%zz", "1%"),
        ]);
        assert_eq!(read, Ok(wanted));
        assert_eq!(decode(b"a=%ff"), Err(FormError::Text));
        assert_eq!(decode(&b"a=1&".repeat(PAIRS_MAX + 1)), Err(FormError::TooMany));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let all = pairs(&[("Digits", "12#*"), ("a&b=c", "é +%\n"), ("", "")]);
        assert_eq!(encode(&all[..1]), "Digits=12%23*");
        assert_eq!(decode(encode(&all).as_bytes()), Ok(all.clone()));
        assert_eq!(with_query("http://h/p#f", &all[..1]), "http://h/p?Digits=12%23*#f");
        assert_eq!(with_query("http://h/p?x=1", &all[..1]), "http://h/p?x=1&Digits=12%23*");
    }
}
