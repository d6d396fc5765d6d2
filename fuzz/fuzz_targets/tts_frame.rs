//! Messages of speech engines behind WebSockets.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::speech::tts::fuzz_engine_frame(bytes));
