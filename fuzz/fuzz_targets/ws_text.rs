//! Text messages of a stream client.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::app::stream::wire::fuzz_ws_text(bytes));
