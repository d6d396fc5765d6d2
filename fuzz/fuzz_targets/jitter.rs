//! Histories of packets and polls, eight octets a step.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::media::jitter::fuzz_history(bytes));
