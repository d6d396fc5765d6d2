//! What a request may name as the other party, and say to it: the same in REST and on the stream.
//!
//! Owns the first look at a number, a SIP URI and a header field of the user's own. Whether they
//! may be dialled is the trunk's to say; the SIP layer parses URIs whole.

/// Longest SIP URI, in octets.
const SIP_URI_MAX: usize = 256;
/// Most header fields of the user's own.
pub const HEADERS_MAX: usize = 32;
/// Longest value of one, in octets.
pub const HEADER_VALUE_MAX: usize = 256;

/// What is wrong with a SIP URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SipUriFault {
    /// It has the scheme `sips:`.
    Secure,
    /// It is none that can be called.
    Malformed,
}

/// Whether this is an E.164 number: a plus sign and 7 to 15 digits, the first of which is not 0.
#[must_use]
pub fn is_e164(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else { return false };
    (7..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Whether this is meant as a SIP URI.
#[must_use]
pub fn is_sip(text: &str) -> bool {
    text.starts_with("sip:") || text.starts_with("sips:")
}

/// Looks at a SIP URI.
///
/// # Errors
/// [`SipUriFault`].
pub fn check_sip_uri(text: &str) -> Result<(), SipUriFault> {
    if text.starts_with("sips:") {
        return Err(SipUriFault::Secure);
    }
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"' | b'\\');
    let rest = text.strip_prefix("sip:").unwrap_or_default();
    if rest.is_empty() || text.len() > SIP_URI_MAX || !text.bytes().all(plain) {
        return Err(SipUriFault::Malformed);
    }
    Ok(())
}

/// Whether a header field may be written into an INVITE or REFER: a name that begins with `X-`,
/// and a value in one line.
#[must_use]
pub fn is_own_header(name: &str, value: &str) -> bool {
    name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"))
        && (3..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && value.len() <= HEADER_VALUE_MAX
        && !value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_uris_are_told_apart() {
        for (text, number, sip, uri) in [
            ("+14155550123", true, false, Err(SipUriFault::Malformed)),
            ("+04155550123", false, false, Err(SipUriFault::Malformed)),
            ("14155550123", false, false, Err(SipUriFault::Malformed)),
            ("sip:desk@pbx.example", false, true, Ok(())),
            ("sips:desk@pbx.example", false, true, Err(SipUriFault::Secure)),
            ("sip:", false, true, Err(SipUriFault::Malformed)),
            ("sip:a@b>\r\nX: y", false, true, Err(SipUriFault::Malformed)),
        ] {
            assert_eq!((is_e164(text), is_sip(text)), (number, sip), "{text}");
            assert_eq!(check_sip_uri(text), uri, "{text}");
        }
        assert!(check_sip_uri(&format!("sip:{}", "a".repeat(SIP_URI_MAX))).is_err());
    }

    #[test]
    fn header_fields_are_the_users_own_and_in_one_line() {
        for (name, value, good) in [
            ("X-Ref", "7", true),
            ("x-a", "", true),
            ("X-", "7", false),
            ("Route", "7", false),
            ("X-A:B", "7", false),
            ("X-Ref", "a\r\nRoute: b", false),
        ] {
            assert_eq!(is_own_header(name, value), good, "{name}: {value:?}");
        }
        assert!(!is_own_header("X-Ref", &"a".repeat(HEADER_VALUE_MAX + 1)));
    }
}
