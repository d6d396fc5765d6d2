//! A session description, as offer and as answer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::sdp::fuzz_entry(bytes));
