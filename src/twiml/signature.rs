//! `X-Twilio-Signature`: who asks, said in a header field of the request.
//!
//! The code is HMAC-SHA1 under the account's auth token over the whole URL, followed by each
//! parameter of a POST, sorted by name, its name and value without anything between them; in base64.
//! A GET and a WebSocket handshake have no parameters: there the URL with its query is all.
//!
//! Source: Twilio, "Webhooks security".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// The name of the header field.
pub const HEADER: &str = "x-twilio-signature";

/// The value of the header field. Cost: O(parameters × log).
#[must_use]
pub fn sign(token: &str, url: &str, parameters: &[(String, String)]) -> String {
    let mut sorted: Vec<&(String, String)> = parameters.iter().collect();
    sorted.sort();
    // The library's own check refuses no key: any length is one.
    let Ok(mut code) = Hmac::<Sha1>::new_from_slice(token.as_bytes()) else { return String::new() };
    code.update(url.as_bytes());
    for (name, value) in sorted {
        code.update(name.as_bytes());
        code.update(value.as_bytes());
    }
    STANDARD.encode(code.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Twilio's "Webhooks security" page, as its libraries test it.
    #[test]
    fn the_example_of_the_vendor_comes_out() {
        let parameters = [
            ("Digits", "1234"),
            ("To", "+18005551212"),
            ("From", "+14158675309"),
            ("Caller", "+14158675309"),
            ("CallSid", "CA1234567890ABCDE"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        assert_eq!(sign("12345", url, &parameters), "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
    }
}
