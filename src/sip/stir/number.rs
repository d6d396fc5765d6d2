//! Numbers and URIs in the one form in which they are compared.
//!
//! Owns RFC 8224 §8.3 and §8.5. Knows no numbering plan: a national number is compared as it
//! stands, so it is not equal to its E.164 form.

use crate::sip::message::{Scheme, Uri};

/// Most digits of a number, service codes with `*` and `#` included.
const DIGITS_MAX: usize = 64;

/// Somebody who calls or is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Party {
    number: Option<String>,
    uri: Option<String>,
}

impl Party {
    /// The party of a tel: or sip: URI; `None`: it is another URI or none at all.
    #[must_use]
    pub fn of_uri(text: &str) -> Option<Self> {
        let uri = Uri::parse(text).ok()?;
        let user = uri.user_unescaped();
        // A telephone-subscriber in a sip: URI has its parameters in the user part.
        let number = canonical(user.split(';').next().unwrap_or_default());
        match uri.scheme {
            Scheme::Tel => Some(Self { number, uri: None }),
            Scheme::Sip | Scheme::Sips => {
                //= RFC 8224 §8.5: a URI is compared by its user and host, without parameters
                let host = uri.host.to_string().to_ascii_lowercase();
                Some(Self { number, uri: Some(format!("sip:{user}@{host}")) })
            }
            Scheme::Other(_) => None,
        }
    }

    /// The party with this number; one without digits has none.
    #[must_use]
    pub fn of_number(text: &str) -> Self {
        Self { number: canonical(text), uri: None }
    }

    /// The number in canonical form.
    #[must_use]
    pub fn number(&self) -> Option<&str> {
        self.number.as_deref()
    }

    /// The URI in canonical form.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        self.uri.as_deref()
    }
}

/// A number in the form of `tn`: digits, `*` and `#` only; `None`: it is none.
//= RFC 8224 §8.3: the leading + and visual separators are dropped
#[must_use]
pub fn canonical(text: &str) -> Option<String> {
    let bare = text.strip_prefix('+').unwrap_or(text);
    let number: String =
        bare.chars().filter(|letter| !matches!(letter, '-' | '.' | '(' | ')' | ' ')).collect();
    let dialled = |byte: u8| byte.is_ascii_digit() || byte == b'*' || byte == b'#';
    let fits = (1..=DIGITS_MAX).contains(&number.len()) && number.bytes().all(dialled);
    fits.then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_uris_have_one_form() {
        for (text, number, uri) in [
            ("tel:+1-415-555.01(23)", Some("14155550123"), None),
            ("sip:+14155550123@H.Example;user=phone", Some("14155550123"), Some("@h.example")),
            ("sips:+1415;npdi;rn=2@h", Some("1415"), Some("sip:+1415;npdi;rn=2@h")),
            ("sip:%2b1415@h:5060", Some("1415"), Some("sip:+1415@h")),
            ("sip:*31%23@h", Some("*31#"), Some("sip:*31#@h")),
            ("sip:alice@H", None, Some("sip:alice@h")),
            ("sip:h", None, Some("sip:@h")),
        ] {
            let party = Party::of_uri(text).unwrap();
            assert_eq!(party.number(), number, "{text}");
            match uri {
                Some(uri) => assert!(party.uri().unwrap().ends_with(uri), "{text}: {party:?}"),
                None => assert_eq!(party.uri(), None),
            }
        }
        assert_eq!(Party::of_uri("https://x"), None);
        assert_eq!(Party::of_uri("nonsense"), None);
        for none in ["", "+", "++1", "1a", "anonymous", &"1".repeat(65)] {
            assert_eq!(canonical(none), None, "{none}");
        }
    }
}
