//! RTCP compounds of any bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::rtp::fuzz_rtcp(bytes));
