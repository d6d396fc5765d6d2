//! A URI or name-addr.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::sip::message::fuzz::uri(bytes));
