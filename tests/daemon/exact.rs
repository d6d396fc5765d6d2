//! What must come through sample for sample: the caller to the stream, the stream to the caller.
//!
//! The sound is noise of full scale, so that every code of G.711 occurs and no stretch is like
//! another: a gap, a repeated frame or a fade cannot hide in it.

use super::client::Client;
use super::rig::{Daemon, Phone, read_wav};
use bellwire::audio::codec::g711::{Pcma, Pcmu};
use bellwire::audio::codec::{Codec, CodecId};
use bellwire::audio::rate::SampleRate;
use bellwire::audio::wav::WavWriter;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// Octets of 20 ms at 8 kHz.
const FRAME: usize = 320;

/// Noise of full scale that is never near silence; another `seed`, another noise.
pub fn noise(seed: u64, count: usize) -> Vec<i16> {
    let mut state = seed;
    let mut next = || {
        // Knuth's MMIX generator: its upper bits are noise enough.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [.., low, high] = state.to_le_bytes();
        i16::from_le_bytes([low, high])
    };
    std::iter::from_fn(|| Some(next())).filter(|s| s.unsigned_abs() > 200).take(count).collect()
}

/// What is left of samples after G.711.
#[allow(
    clippy::match_wildcard_for_single_variants,
    reason = "how many other codecs there are is up to the features"
)]
pub fn coded(codec: CodecId, samples: &[i16]) -> Vec<i16> {
    let (mut payload, mut out) = (vec![0; samples.len()], vec![0; samples.len()]);
    let mut through = |codec: &mut dyn Codec| {
        codec.encode(samples, &mut payload);
        codec.decode(&payload, &mut out);
    };
    match codec {
        CodecId::Pcmu => through(&mut Pcmu),
        CodecId::Pcma => through(&mut Pcma),
        other => panic!("{other:?} is not of G.711"),
    }
    out
}

/// The same with half a second of silence before it, in which both sides of a call come to agree,
/// and a little behind: sound that stops at full level would be let die away.
pub fn framed(samples: &[i16]) -> Vec<i16> {
    [&[0; 4000], samples, &[0; 320]].concat()
}

/// Demands silence, then exactly `expected`, then silence.
pub fn check_exact(what: &str, codec: CodecId, expected: &[i16], got: &[i16]) {
    let silence = coded(codec, &[0])[0];
    let quiet = |sample: &i16| *sample == silence;
    let begin = got.iter().position(|sample| !quiet(sample)).unwrap_or(got.len());
    let rest = &got[begin..];
    let same = expected.iter().zip(rest).take_while(|(a, b)| a == b).count();
    assert_eq!(
        same,
        expected.len(),
        "{what}: from {begin} on {same} of {} samples are right, then {:?} for {:?}",
        expected.len(),
        rest.get(same..).map(|rest| &rest[..rest.len().min(8)]),
        &expected[same..][..(expected.len() - same).min(8)],
    );
    let behind = &rest[same..];
    let sound = behind.iter().position(|sample| !quiet(sample));
    let all = behind.len();
    assert_eq!(sound, None, "{what}: {:?} of {all} follow", &behind[..all.min(50)]);
}

/// Writes samples with silence around them as a WAV of 8 kHz.
pub fn wav(dir: &Path, name: &str, samples: &[i16]) -> String {
    let path = dir.join(name);
    let mut writer = WavWriter::create(&path, SampleRate::HZ_8000, 1).unwrap();
    writer.write(&framed(samples)).unwrap();
    writer.finish().unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_comes_as_the_decoded_packets() {
    for (name, codec) in [("PCMU", CodecId::Pcmu), ("PCMA", CodecId::Pcma)] {
        let dir = tempfile::tempdir().unwrap();
        let spoken = noise(1, 24_000);
        let file = wav(dir.path(), "spoken.wav", &spoken);
        let phone = Phone::start(&["--ring", "1s", "--play", &file, "--hangup-after", "5s"]);
        let codecs = format!("trunk.carrier.codecs={name}");
        let daemon = Daemon::start_set(&phone.address, &codecs).await;
        let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
        let mut bot = Client::attach(&daemon, &id, "?out_rate=8000&listen=caller").await;
        bot.next("stop").await;
        let call = daemon.wait_for_end(&id).await;
        assert_eq!(call["quality"]["codec"], name, "{call:#}");
        let ended = phone.wait_for("ended");
        let sent = ended["media"]["tx_packets"].as_u64().unwrap();
        let came = bot.audio.len() as u64 / FRAME as u64;
        assert!(came <= sent, "{came} frames of {sent} packets");
        check_exact(name, codec, &coded(codec, &spoken), &bot.samples());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_may_be_had_in_either_law() {
    let dir = tempfile::tempdir().unwrap();
    let spoken = noise(2, 8000);
    let file = wav(dir.path(), "spoken.wav", &spoken);
    let phone = Phone::start(&["--ring", "1s", "--play", &file, "--hangup-after", "3s"]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let query = "?out_rate=8000&out_format=mulaw&listen=caller";
    let mut bot = Client::attach(&daemon, &id, query).await;
    bot.next("stop").await;
    let mut received = vec![0; bot.audio.len()];
    Pcmu.decode(&bot.audio, &mut received);
    check_exact("mulaw", CodecId::Pcmu, &coded(CodecId::Pcmu, &spoken), &received);
}

/// 600 frames that come in bursts, each later than all that one frame's jitter could explain.
#[tokio::test(flavor = "multi_thread")]
async fn bursts_are_played_without_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let phone = Phone::start(&["--ring", "0s", "--record", heard.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let query = "?rate=8000&out_rate=8000&listen=caller";
    let mut bot = Client::attach(&daemon, &id, query).await;
    // A phone that is heard listens.
    bot.hear(10 * FRAME).await;
    let spoken = noise(3, 96_000);
    let octets: Vec<u8> = spoken.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    // The pace belongs to the source that is played here: 400 ms of sound every 200 ms.
    let mut beat = tokio::time::interval(Duration::from_millis(200));
    for burst in octets.chunks(20 * FRAME) {
        beat.tick().await;
        bot.send_octets(burst, FRAME).await;
    }
    bot.send(json!({ "type": "mark", "name": "end" })).await;
    let mark = bot.next("mark").await;
    assert_eq!((&mark["played_ms"], &mark["cleared"]), (&json!(12_000), &json!(false)), "{mark}");
    bot.finish().await;
    phone.wait_for("ended");
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["quality"]["underruns"], 0, "{call:#}");
    assert_eq!(call["quality"]["played_ms"], 12_000, "{call:#}");
    let expected = coded(CodecId::Pcmu, &spoken);
    check_exact("bursts", CodecId::Pcmu, &expected, &read_wav(&heard));
}
