//! The door for fuzzers.

/// Feeds bytes to an endpoint with running sessions.
pub fn fuzz_entry(_bytes: &[u8]) {}
