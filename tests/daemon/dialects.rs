//! Each dialect with a real call: the far end hears exactly what a vendor's client sent, the
//! client hears exactly what the far end said, and a clear is heard at once. How well speech is
//! heard and how soon a clear is are figures of `figures`.

use super::exact::{check_exact, coded, framed, noise, wav};
use super::rig::{Daemon, Phone, read_wav};
use super::vendors::{self, Bot, Vendor, twilio};
use bellwire::audio::codec::CodecId;
use serde_json::{Value, json};

/// What is sent behind a clear, so that its silence is recorded.
const SILENT_MS: usize = 400;

/// A whole call in a vendor's words.
async fn converse(vendor: Vendor) {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let (spoken, answer) = (noise(11, 4000), noise(12, 8000));
    let file = wav(dir.path(), "spoken.wav", &spoken);
    let phone =
        Phone::start(&["--ring", "1s", "--record", heard.to_str().unwrap(), "--play", &file]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let mut bot = Bot::attach(&daemon, &id, &vendor).await;
    let octets = 8000 * if vendor.law { 1 } else { 2 };
    bot.until("the caller", |bot| bot.audio.len() >= octets).await;
    bot.say(&vendor, &framed(&answer)).await;
    bot.send((vendor.mark)("answered")).await;
    bot.reached(&vendor, "answered").await;
    // Ten seconds that are cut after 400 ms.
    let loud = [8000_i16, -8000].repeat(40_000);
    bot.say(&vendor, &loud[..3200]).await;
    bot.send((vendor.mark)("cut")).await;
    bot.say(&vendor, &loud[3200..]).await;
    bot.reached(&vendor, "cut").await;
    bot.send((vendor.clear)()).await;
    bot.say(&vendor, &[0; 8 * SILENT_MS]).await;
    bot.send((vendor.mark)("silent")).await;
    bot.reached(&vendor, "silent").await;
    assert_eq!(daemon.delete(&format!("/v1/calls/{id}")).await, 204);
    bot.until("the close", |bot| bot.closed.is_some()).await;
    assert_eq!(bot.closed, Some(1000));
    phone.wait_for("ended");
    let call = daemon.wait_for_end(&id).await;
    let heard = read_wav(&heard);
    check(&vendor, &spoken, &answer, &bot, &heard);
    assert!(vendor.path.contains(call["stream"]["protocol"].as_str().unwrap()), "{call:#}");
}

fn check(vendor: &Vendor, spoken: &[i16], answer: &[i16], bot: &Bot, heard: &[i16]) {
    let codec = CodecId::Pcmu;
    check_exact(vendor.path, codec, &coded(codec, spoken), &bot.samples(vendor.law));
    let expected = coded(codec, answer);
    let begin = heard.iter().position(|sample| sample.unsigned_abs() > 100).unwrap();
    assert!(heard[begin..].starts_with(&expected), "{}: the answer is not exact", vendor.path);
    let behind = &heard[begin + expected.len()..];
    let loud: Vec<usize> =
        (0..behind.len()).filter(|at| behind[*at].unsigned_abs() > 4000).collect();
    // What was sent until the clear, one packet, and what a shared machine takes for the way of
    // the mark and of the clear.
    let ms = loud.len() / 8;
    assert!((400..=400 + 40 + 160).contains(&ms), "{}: {ms} ms were heard", vendor.path);
    let (first, last) = (loud[0], loud[loud.len() - 1]);
    assert_eq!(last - first + 1, loud.len(), "{}: one stretch, then silence", vendor.path);
    assert!(behind.len() - last > 4 * SILENT_MS, "{}: silence was recorded", vendor.path);
    // Where positions are told: what was played before, and this.
    let told = bot.texts.iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let marks = told.filter(|told| told["type"] == "mark" && told["name"] == "silent");
    let mark = marks.reduce(|_, later| later);
    if let Some(played) = mark.and_then(|mark| mark["played_ms"].as_u64()) {
        let heard = framed(answer).len() / 8 + ms + SILENT_MS;
        assert!(played.abs_diff(heard as u64) <= 20, "{played} ms told, {heard} ms heard");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_native_protocol() {
    converse(vendors::native()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twilio_media_streams() {
    converse(vendors::twilio()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn telnyx_media_streaming() {
    converse(vendors::telnyx()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plivo_audio_streaming() {
    converse(vendors::plivo()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vonage_websockets() {
    converse(vendors::vonage()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jambonz_listen() {
    converse(vendors::jambonz()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asterisk_websocket_channels() {
    converse(vendors::asterisk()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asterisk_with_json() {
    converse(vendors::asterisk_json()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipecat_frames() {
    converse(vendors::pipecat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn protocols_that_are_not_served_are_refused_before_the_upgrade() {
    let phone = Phone::start(&[]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let host = daemon.api.trim_start_matches("http://");
    for (path, status) in [
        ("stream/exotel", 501),
        ("stream?protocol=conversationrelay", 501),
        ("stream/openai", 501),
        ("stream/pigeon", 400),
        ("stream/twilio?protocol=twilio", 400),
        ("stream/twilio?format=alaw", 400),
        ("stream/a/b", 404),
    ] {
        let refused =
            tokio_tungstenite::connect_async(format!("ws://{host}/v1/calls/{id}/{path}")).await;
        let Err(tokio_tungstenite::tungstenite::Error::Http(answer)) = refused else {
            panic!("{path} was let in")
        };
        assert_eq!(answer.status(), status, "{path}");
        if status == 501 {
            let problem = String::from_utf8_lossy(answer.body().as_deref().unwrap_or_default());
            assert!(problem.contains("twilio, vonage, telnyx"), "{problem}");
        }
    }
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({ "protocol": "plivo" })).await;
    let bare = Vendor { path: "", ..twilio() };
    let mut bot = Bot::attach(&daemon, &id, &bare).await;
    bot.until("start", |bot| !bot.texts.is_empty()).await;
    assert!(bot.texts[0].contains(r#""streamId""#), "the create request chose: {:?}", bot.texts);
}
