//! Conversations with a speech recogniser, one message a line.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::speech::stt::fuzz::fuzz_assemblyai(bytes));
