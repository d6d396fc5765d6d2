//! The token by which a client that lost its socket goes on where it stopped.
//!
//! A token is 128 bits of a digest over a secret that was drawn for the call: whoever knows one
//! conversation's token knows no other's. Owns its making, its text and its comparison, which takes
//! as long wherever the first difference is. Draws no randomness.

use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// Stands before the digits of a token.
const PREFIX: &str = "rsm_";
/// Octets of a token.
const LENGTH: usize = 16;

/// The pass to one conversation.
#[derive(Clone, Copy)]
pub struct Token([u8; LENGTH]);

/// What was given is no token at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no token")]
pub struct TokenError;

impl Token {
    /// The token of a call's `number`th conversation; `secret` was drawn for the call.
    #[must_use]
    pub fn draw(secret: &[u8; 32], number: u64) -> Self {
        let digest = Sha256::new()
            .chain_update(b"bellwire resume")
            .chain_update(secret)
            .chain_update(number.to_be_bytes())
            .finalize();
        let mut token = [0; LENGTH];
        for (octet, drawn) in token.iter_mut().zip(digest) {
            *octet = drawn;
        }
        Self(token)
    }

    /// Whether both are the same; the time does not depend on where they differ.
    #[must_use]
    pub fn fits(&self, other: &Self) -> bool {
        let mut difference = 0;
        for (a, b) in self.0.iter().zip(&other.0) {
            difference |= std::hint::black_box(a ^ b);
        }
        difference == 0
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.fits(other)
    }
}

impl Eq for Token {}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// A secret is not for logs.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let digits = text.strip_prefix(PREFIX).ok_or(TokenError)?.as_bytes();
        let mut token = [0; LENGTH];
        if digits.len() != 2 * LENGTH {
            return Err(TokenError);
        }
        for (octet, pair) in token.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| TokenError)?;
            if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(TokenError);
            }
            *octet = u8::from_str_radix(pair, 16).map_err(|_| TokenError)?;
        }
        Ok(Self(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_conversation_has_its_own_token_and_text_brings_it_back() {
        let token = Token::draw(&[1; 32], 1);
        assert_eq!(token.to_string().parse(), Ok(token));
        assert_eq!(token.to_string().len(), 36);
        assert_ne!(Token::draw(&[1; 32], 2), token);
        assert_ne!(Token::draw(&[2; 32], 1), token);
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let token = Token::draw(&[1; 32], 1).to_string();
        for bad in ["", "rsm_", "rsm_+1", &token[4..], &token[..35], &format!("{token}0")] {
            assert_eq!(bad.parse::<Token>(), Err(TokenError), "{bad}");
        }
        assert_eq!("rsm_é234567890123456789012345678901".parse::<Token>(), Err(TokenError));
        assert_eq!("rsm_+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1".parse::<Token>(), Err(TokenError));
    }
}
