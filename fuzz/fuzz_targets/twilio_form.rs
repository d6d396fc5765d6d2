//! Forms of Twilio's clients.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::twiml::fuzz_form(bytes));
