//! New ids and secrets: the one place of the API where entropy and the clock become names.
//!
//! Ids are time-ordered (UUID version 7 as 32 hex digits behind the prefix), so that a list by id
//! is a list by age. Secrets are 256 bits of the system's generator.

use crate::id::{CallId, IdError, InstanceId, KeyId};
use std::fmt::Write as _;

fn tail() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

fn made<T>(id: Result<T, IdError>) -> T {
    id.expect("32 hex digits are a valid tail")
}

/// A new call's id.
#[must_use]
pub fn call_id() -> CallId {
    made(CallId::from_tail(&tail()))
}

/// A new instance's id.
#[must_use]
pub fn instance_id() -> InstanceId {
    made(InstanceId::from_tail(&tail()))
}

/// A new key's public name.
#[must_use]
pub fn key_id() -> KeyId {
    made(KeyId::from_tail(&tail()))
}

/// A name for one request.
#[must_use]
pub fn request_id() -> String {
    format!("req_{}", tail())
}

/// 256 random bits in lower-case hex behind `prefix`.
#[must_use]
pub fn secret(prefix: &str) -> String {
    let mut text = String::with_capacity(prefix.len() + 64);
    text.push_str(prefix);
    for byte in rand::random::<[u8; 32]>() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// 256 random bits as they are.
#[must_use]
pub fn octets() -> [u8; 32] {
    rand::random()
}

/// Fills memory with bits of the system's generator: keys of media, for one.
pub fn fill(octets: &mut [u8]) {
    rand::fill(octets);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_by_time_and_secrets_differ() {
        let ids: Vec<_> = (0..100).map(|_| call_id()).collect();
        assert!(ids.is_sorted());
        let (one, two) = (secret("bw_"), secret("bw_"));
        assert!(one.len() == 67 && one.starts_with("bw_") && one != two);
    }
}
