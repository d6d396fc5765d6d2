//! The value of a WWW-Authenticate line.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::sip::auth::fuzz_entry(bytes));
