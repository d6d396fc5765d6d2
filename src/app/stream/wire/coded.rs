//! Base64 as clients write it: the standard or the URL-safe alphabet, with padding or without.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const FOR_URLS: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// The octets; `None` for what is no base64. Cost: one pass and one allocation.
pub(in crate::app::stream) fn from_base64(text: &str) -> Option<Bytes> {
    let is_for_urls = text.bytes().any(|octet| matches!(octet, b'-' | b'_'));
    let engine = if is_for_urls { &FOR_URLS } else { &PLAIN };
    engine.decode(text).ok().map(Bytes::from)
}

/// Appends octets as base64 of the standard alphabet.
pub(in crate::app::stream) fn put_base64(octets: &[u8], text: &mut String) {
    base64::engine::general_purpose::STANDARD.encode_string(octets, text);
}
