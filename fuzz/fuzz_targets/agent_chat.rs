//! Lines as events of a chat completion.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::app::agent::chat::fuzz_chunk(bytes));
