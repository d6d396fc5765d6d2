//! Wide band: tones that no codec of 8 kHz can carry, both ways.

use super::baresip::PhoneSpec;
use super::calls::{Tones, it_calls, we_call};
use super::programs::{Network, Setup, installed};

/// A call each way with a codec; which one it was, in our words.
async fn both_ways(trunk: &str, codecs: &'static str, name: &str) {
    let tones = Tones { phone: 5000.0, ours: 6000.0, rate: 16_000, least: 0.9 };
    let phone = PhoneSpec { codecs, rate: 16_000, hz: tones.phone, ..PhoneSpec::default() };
    let mut network = Network::start(&Setup { trunk, phone, ..Setup::default() }).await;
    let call = we_call(&network.daemon, &mut network.phone, tones).await;
    assert_eq!(call["quality"]["codec"], name, "{call:#}");
    let call = it_calls(&network.daemon, &mut network.phone, tones).await;
    assert_eq!(call["quality"]["codec"], name, "{call:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn g722_carries_a_wide_band_both_ways() {
    if installed() {
        both_ways("codecs = [\"G722\", \"PCMA\"]", "G722/16000/1,PCMA/8000/1", "G722").await;
    }
}

#[cfg(feature = "opus")]
#[tokio::test(flavor = "multi_thread")]
async fn opus_carries_a_wide_band_both_ways() {
    if installed() {
        both_ways("codecs = [\"OPUS\", \"PCMA\"]", "opus/48000/2,PCMA/8000/1", "opus").await;
    }
}
