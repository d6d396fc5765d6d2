//! A SIP message: read, checked, rewritten and answered.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::sip::message::fuzz::message(bytes));
