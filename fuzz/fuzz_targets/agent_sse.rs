//! Octets as a stream of server-sent events, whole and cut.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::app::agent::chat::sse::fuzz_sse(bytes));
