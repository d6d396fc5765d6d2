//! The door for fuzzers: Identity header fields and chains of certificates.

use super::chain::{Anchors, Chain};
use super::{Claims, Examination, Party, Step};
use std::time::Duration;

/// Reads the first line as the value of Identity of a call from 12155551212 to 12355551212 at
/// 1443208345, and what follows as its certificate in PEM and as an authority's.
#[doc(hidden)]
pub fn fuzz_entry(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (field, pem) = text.split_once('\n').unwrap_or((&text, ""));
    let claims = Claims {
        fields: vec![field.to_owned()],
        callers: vec![Party::of_number("12155551212")],
        callees: vec![Party::of_number("12355551212"), Party::default()],
    };
    let now = Duration::from_secs(1_443_208_345);
    let (mut examination, step) = Examination::begin(now, claims, Duration::from_secs(60));
    let chain = Chain::from_pem(pem.as_bytes());
    let anchors = Anchors::from_pem(pem.as_bytes());
    if let Step::Fetch(url) = step {
        assert!(url.len() > 8 && !url.contains(char::is_whitespace));
        if let (Ok(chain), Ok(anchors)) = (&chain, &anchors) {
            let _ = examination.certificate(now, Ok(chain), anchors);
        }
    }
}
