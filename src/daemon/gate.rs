//! Whom a trunk may call: the one gate that transfers, redirections and REFER targets pass, as
//! outgoing calls do.
//!
//! Owns the reading of a target: number, `sip:` or `tel:` URI. The rules are the trunk's.

use super::parts::Parts;
use crate::call::control::WishError;
use crate::sip::message::{Scheme, Uri};

/// Longest target, in octets.
const TARGET_MAX: usize = 512;

/// The Request-URI for a target that the trunk may dial.
///
/// `key` is the API key that the call belongs to, which may have rules of its own.
pub(super) fn target(
    parts: &Parts,
    trunk: &str,
    key: Option<&str>,
    to: &str,
) -> Result<String, WishError> {
    let uri = request_uri(parts, trunk, to)?;
    parts.may_dial(trunk, key, &uri).map_err(WishError::NotAllowed)?;
    Ok(uri)
}

/// The Request-URI for a target that the operator has listed.
pub(super) fn request_uri(parts: &Parts, trunk: &str, to: &str) -> Result<String, WishError> {
    let invalid = |why: &str| WishError::Invalid(format!("the target {why}"));
    if to.len() > TARGET_MAX {
        return Err(invalid("is too long"));
    }
    let terms = parts.terms();
    let facts = terms.trunks.get(trunk).ok_or_else(|| invalid("has no trunk"))?;
    let number = |number: &str| format!("sip:{number}@{}", facts.domain);
    if is_number(to) {
        return Ok(number(to));
    }
    let uri = Uri::parse(to).map_err(|_| invalid("is neither a number nor a SIP URI"))?;
    match uri.scheme {
        // Header components would be written into the INVITE.
        Scheme::Sip if uri.headers.is_none() => Ok(to.to_owned()),
        Scheme::Tel => {
            let bare: String = number_of(to).chars().filter(|c| !is_separator(*c)).collect();
            if is_number(&bare) { Ok(number(&bare)) } else { Err(invalid("is no global number")) }
        }
        Scheme::Sip | Scheme::Sips | Scheme::Other(_) => Err(invalid("must be a plain sip: URI")),
    }
}

/// The part of a target that tells the number, as it stands there.
pub(super) fn number_of(target: &str) -> &str {
    let rest = ["sips:", "sip:", "tel:"].iter().find_map(|scheme| target.strip_prefix(scheme));
    match rest {
        Some(rest) => rest.split(['@', ';', '?']).next().unwrap_or(rest),
        None => target,
    }
}

/// The number that a network would dial for a Request-URI: escapes and separators do not hide it.
pub(super) fn dialled(uri: &str) -> String {
    if is_number(uri) {
        return uri.to_owned();
    }
    let user = Uri::parse(uri).map(|uri| uri.user_unescaped().into_owned()).unwrap_or_default();
    let user = user.split(';').next().unwrap_or_default();
    user.chars().filter(|c| !is_separator(*c)).collect()
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (2..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Visual separators of RFC 3966 §3.
fn is_separator(c: char) -> bool {
    matches!(c, '-' | '.' | '(' | ')' | ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_seen_through_its_disguises() {
        for (uri, number) in [
            ("sip:+14155550123@carrier.example", "+14155550123"),
            ("sip:%2B1900-555-0123@carrier.example;user=phone", "+19005550123"),
            ("sip:+1(415)555.0123;phone-context=x@carrier.example", "+14155550123"),
            ("sip:carrier.example", ""),
            ("nonsense", ""),
        ] {
            assert_eq!(dialled(uri), number, "{uri}");
        }
        assert_eq!(number_of("tel:+1-415;ext=1"), "+1-415");
        assert!(is_number("+14155550123") && is_number("49") && !is_number("+1x"));
    }
}
