//! Messages of a client in Twilio's words.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::app::stream::dialect::fuzz::twilio(bytes));
