//! URLs of stream clients: any bytes are a URL that fits a request line, or a named fault.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::api::stream::url::fuzz_url(bytes));
