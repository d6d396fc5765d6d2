//! Packets of any bytes against every SRTP suite, and sealed and opened again.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::rtp::fuzz_srtp(bytes));
