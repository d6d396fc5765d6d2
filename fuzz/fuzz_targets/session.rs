//! Whole histories: messages, commands, deadlines and broken ways against running sessions.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::sip::endpoint::fuzz_entry(bytes));
