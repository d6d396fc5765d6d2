//! RTP headers of any bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::rtp::fuzz_packet(bytes));
