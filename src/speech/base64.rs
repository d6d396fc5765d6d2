//! Sound in JSON: the base64 of engines that wrap samples in text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Octets as standard base64 with padding.
#[must_use]
pub fn encode(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

/// The octets of standard base64; `None` when it is none.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_come_back_and_nonsense_does_not() {
        assert_eq!(decode(&encode(&[0, 255, 7])), Some(vec![0, 255, 7]));
        assert_eq!(decode("a_b"), None);
    }
}
