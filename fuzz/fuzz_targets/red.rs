//! Payloads of redundant audio data (RFC 2198) of any bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::rtp::fuzz_red(bytes));
