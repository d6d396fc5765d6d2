//! TwiML documents of other people's servers.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::twiml::fuzz_document(bytes));
