//! Files, texts and stream clients that are wrong in every way, beside a call that must not suffer.

use super::client::Client;
use super::exact::{check_exact, coded, framed, noise};
use super::rig::{Daemon, Phone, read_wav, tone};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bellwire::audio::codec::CodecId;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

const MP3: &[u8] = include_bytes!("../data/audio/stereo-44100-cbr.mp3");

/// A call beside the trouble: nothing of what it plays may be lost.
///
/// It must be the first call of a phone that records to `heard.wav` in `dir`.
struct Witness {
    /// Stays attached.
    _bot: Client,
    id: String,
    said: Vec<i16>,
}

impl Witness {
    async fn start(daemon: &Daemon, seconds: usize) -> Self {
        let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
        let mut bot = Client::attach(daemon, &id, "?rate=8000&listen=none").await;
        bot.event("answered").await;
        let said = noise(7, seconds * 8000);
        bot.send_audio(&framed(&said), 16_000).await;
        bot.send(json!({ "type": "hangup", "after": "playback" })).await;
        Self { _bot: bot, id, said }
    }

    async fn finish(self, daemon: &Daemon, phone: &Phone, dir: &Path) {
        let call = daemon.wait_for_end(&self.id).await;
        assert_eq!(call["quality"]["underruns"], 0, "{call:#}");
        phone.wait_for_end_of(1);
        let heard = read_wav(&dir.join("heard.wav"));
        check_exact("witness", CodecId::Pcmu, &coded(CodecId::Pcmu, &self.said), &heard);
    }
}

async fn start() -> (TempDir, Phone, Daemon) {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let phone = Phone::start(&["--ring", "0s", "--record", heard.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, "").await;
    (dir, phone, daemon)
}

/// A WAV that says this of itself; `told` is the size of its samples.
fn wav(tag: u16, rate: u32, bits: u16, channels: u16, samples: &[u8], told: u32) -> Vec<u8> {
    let block = bits.div_ceil(8) * channels;
    let mut file = b"RIFF\xFF\xFF\xFF\xFFWAVEfmt \x10\0\0\0".to_vec();
    file.extend(tag.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend((rate * u32::from(block)).to_le_bytes());
    file.extend(block.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend(told.to_le_bytes());
    file.extend(samples);
    file
}

/// Files that cannot be played, and the status and code that say so.
fn refused() -> Vec<(&'static str, Vec<u8>, u16, &'static str)> {
    let sound = [0x55; 16_000];
    let good = wav(1, 8000, 16, 1, &sound, 16_000);
    let bad = |name, file| (name, file, 400, "audio_undecodable");
    let huge = |name, file| (name, file, 413, "audio_too_large");
    vec![
        bad("WAV cut in its header", good[..30].to_vec()),
        bad("WAV without samples", good[..44].to_vec()),
        bad("WAV without channels", wav(1, 8000, 16, 0, &sound, 16_000)),
        bad("WAV of 1 Hz, which would last for hours", wav(1, 1, 16, 1, &sound, 16_000)),
        bad("WAV of an unknown codec", wav(0x55, 8000, 16, 1, &sound, 16_000)),
        bad("WAV of floats of 24 bits", wav(3, 8000, 24, 1, &sound, 16_000)),
        bad("WAV that is something else", b"RIFF\x10\0\0\0AVI LIST".to_vec()),
        bad("MP3 cut in its first frame", MP3[MP3.len() - 60..].to_vec()),
        bad("MP3 whose tag is longer than the file", b"ID3\x04\0\0\x7F\x7F\x7F\x7Fx".to_vec()),
        bad("MP3 that is all header", b"\xFF\xFB\x90\x64".repeat(1000)),
        bad("a picture", b"\x89PNG\r\n\x1A\n0000".to_vec()),
        bad("a text", b"{\"error\": \"no such voice\"}".to_vec()),
        bad("zeros", vec![0; 4000]),
        huge("WAV of 35 minutes", wav(7, 4000, 8, 1, &vec![0xFE; 8 << 20], u32::MAX)),
        huge("WAV of more octets than a body may have", wav(7, 8000, 8, 1, &vec![1; 13 << 20], 0)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_files_are_refused_by_name_beside_a_call() {
    let (dir, phone, daemon) = start().await;
    let witness = Witness::start(&daemon, 6).await;
    let create = async |base64: &str| -> (u16, Value) {
        let body = json!({
            "instanceId": "inst_demo", "type": "FIXED_AUDIO",
            "target": { "phoneNumber": super::rig::NUMBER }, "audio": { "audioBase64": base64 },
        });
        daemon.post("/v1/calls", &body).await
    };
    for (name, file, status, code) in refused() {
        let (answered, problem) = create(&STANDARD.encode(file)).await;
        assert_eq!((answered, problem["code"].as_str()), (status, Some(code)), "{name}: {problem}");
        assert_eq!(problem["status"], status, "{name}: {problem}");
    }
    for base64 in ["", "@@@@", "UklGRg=x", "data:audio/wav;base64,"] {
        let (status, problem) = create(base64).await;
        assert_eq!(
            (status, problem["code"].as_str()),
            (400, Some("audio_undecodable")),
            "{base64}"
        );
        assert_eq!(problem["errors"][0]["pointer"], "/audio/audioBase64", "{problem}");
    }
    // What lies about its length, or is cut off, plays as far as it goes.
    let sound = tone(8000, 500.0, 1.0).iter().flat_map(|s| s.to_le_bytes()).collect::<Vec<_>>();
    let liar = wav(1, 8000, 16, 1, &sound, 0x7000_0000);
    for (name, file, longest) in
        [("WAV that claims 32 hours", &liar[..], 1020), ("half an MP3", &MP3[..MP3.len() / 2], 600)]
    {
        let (status, call) = create(&STANDARD.encode(file)).await;
        assert_eq!(status, 201, "{name}: {call}");
        let call = daemon.wait_for_end(call["id"].as_str().unwrap()).await;
        assert_eq!(call["status"], "COMPLETED", "{name}: {call:#}");
        let played = call["quality"]["played_ms"].as_u64().unwrap();
        assert!((100..=longest).contains(&played), "{name}: {played} ms");
    }
    witness.finish(&daemon, &phone, dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_never_markup() {
    let (dir, phone, daemon) = start().await;
    let target = dir.path().join("written.wav");
    let relative = "bellwire-must-not-write-this.wav";
    let texts = [
        format!("<genfile file=\"{}\">Hello there.</genfile>", target.display()),
        format!("Hello. <genfile file='{}'/> <speed level='500'>you</speed>", target.display()),
        format!("<GENFILE FILE=\"{relative}\">Hello</GENFILE> <play file=\"/etc/hostname\"/>"),
        format!("&lt;genfile file=\"{}\"&gt;Hello&lt;/genfile&gt;", target.display()),
    ];
    for text in texts {
        let id = daemon.say(&text).await;
        let call = daemon.wait_for_end(&id).await;
        assert_eq!(call["status"], "COMPLETED", "{text}: {call:#}");
        assert!(call["quality"]["played_ms"].as_u64().unwrap() > 300, "{text}: {call:#}");
        phone.wait_for("ended");
        assert!(!target.exists() && !Path::new(relative).exists(), "{text} wrote a file");
    }
    let written = std::fs::read_dir(dir.path()).unwrap();
    let names: Vec<_> = written.map(|entry| entry.unwrap().file_name()).collect();
    let recording = |name: &std::ffi::OsString| name.to_string_lossy().starts_with("heard");
    assert!(names.iter().all(recording), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_delays_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let spoken = super::exact::wav(dir.path(), "spoken.wav", &noise(5, 64_000));
    let record = heard.to_str().unwrap();
    let phone = Phone::start(&["--ring", "0s", "--record", record, "--play", &spoken]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let query = "?rate=8000&out_rate=24000&listen=caller";
    let mut bot = Client::attach_narrow(&daemon, &id, query).await;
    let said = noise(6, 64_000);
    bot.send_audio(&framed(&said), 3200).await;
    bot.send(json!({ "type": "hangup", "after": "playback" })).await;
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["end_reason"], "completed", "{call:#}");
    assert_eq!(call["quality"]["underruns"], 0, "{call:#}");
    assert_eq!(call["quality"]["played_ms"], 8540, "{call:#}");
    phone.wait_for("ended");
    let expected = coded(CodecId::Pcmu, &said);
    check_exact("stalled", CodecId::Pcmu, &expected, &read_wav(&heard));
    drop(bot);
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_on_a_stream_is_told_and_stays_there() {
    let (dir, phone, daemon) = start().await;
    let witness = Witness::start(&daemon, 5).await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({ "waitMs": 60_000 })).await;
    let mut bot = Client::attach(&daemon, &id, "?rate=8000&listen=none").await;
    bot.event("answered").await;
    for text in [
        "",
        "{",
        "[]",
        "null",
        "\"mark\"",
        "{\"type\":5}",
        "{\"type\":\"mark\"}",
        "{\"type\":\"dtmf\",\"digits\":\"12x\"}",
        "{\"type\":\"configure\",\"rate\":7}",
        &format!("{}1{}", "[".repeat(5000), "]".repeat(5000)),
    ] {
        bot.send_text(text).await;
        let error = bot.next("error").await;
        assert_eq!(error["fatal"], false, "{text:.40}: {error}");
    }
    // One octet a message is still sound.
    bot.send(json!({ "type": "utterance", "id": "slow" })).await;
    bot.send_audio(&noise(8, 4000), 1).await;
    bot.send(json!({ "type": "utterance_end" })).await;
    let mut done = bot.next("playback").await;
    while done["state"] != "completed" {
        done = bot.next("playback").await;
    }
    assert_eq!(done["played_ms"], 500, "{done}");
    bot.send_text(&"x".repeat(300 * 1024)).await;
    assert_eq!(bot.closed().await, 1009);
    let mut bot = Client::attach_next(&daemon, &id, "?rate=8000&listen=none").await;
    bot.send_octets(&vec![1; 2 << 20], 2 << 20).await;
    assert_eq!(bot.closed().await, 1009);
    let mut bot = Client::attach_next(&daemon, &id, "?format=mp3&listen=none").await;
    let octets: Vec<u8> = noise(9, 100_000).iter().flat_map(|s| s.to_le_bytes()).collect();
    bot.send_octets(&octets, 4099).await;
    let warning = bot.next("warning").await;
    assert!(!warning["detail"].as_str().unwrap().is_empty(), "{warning}");
    bot.send(json!({ "type": "configure", "format": "pcm_s16le", "rate": 8000 })).await;
    bot.send_audio(&tone(8000, 440.0, 0.5), 320).await;
    bot.finish().await;
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["status"], "COMPLETED", "{call:#}");
    witness.finish(&daemon, &phone, dir.path()).await;
}
