//! A SIP stream: the same messages however it is cut; the first byte says how.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::sip::message::fuzz::stream(bytes));
