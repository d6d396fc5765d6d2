//! Octets as a message of the user's own brain.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::app::agent::harness::fuzz_harness(bytes));
