//! The one hash that the store's users need: of secrets and of requests.

use sha2::{Digest, Sha256};

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_known_answer_of_fips_180() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for (at, byte) in super::sha256(b"abc").iter().enumerate() {
            assert_eq!(format!("{byte:02x}"), known[2 * at..2 * at + 2]);
        }
    }
}
