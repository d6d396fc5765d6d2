//! Voice quality of what the far end of a call hears, scored by PESQ on real speech.
//!
//! ```text
//!  speech ─> WebSocket or REST ─> the daemon ─> G.711 in RTP ─> bellwire phone ─> WAV ─> PESQ
//! ```
//!
//! The speech, the tools, and when the tests may be skipped are those of `tests/audio`. All calls
//! of one daemon run at once. The floors are those of the product.

use super::client::Client;
use super::rig::{Daemon, Phone, read_wav};
use super::speech::{Rig, Speech, mean};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bellwire::audio::rate::SampleRate;
use bellwire::audio::resample::resample_whole;
use bellwire::audio::sample::{to_f32, to_i16};
use futures_util::future::join_all;
use serde_json::json;
use std::collections::HashMap;

/// Samples at 8 kHz that are compared to find where the speech begins.
const TEMPLATE: usize = 4000;
/// How far from the first sound the speech may begin, in samples.
const LEAD: usize = 1600;

/// How speech is brought to the daemon.
struct Way {
    name: &'static str,
    floor: f32,
    /// Rate of the source in Hz.
    hz: u32,
    /// Bit rate of an MP3; `None`: samples, or a WAV.
    kbit: Option<u32>,
    /// Query and octets of a message for a live stream; `None`: FIXED_AUDIO.
    stream: Option<(&'static str, usize)>,
}

const fn stream(
    name: &'static str,
    floor: f32,
    (hz, kbit): (u32, Option<u32>),
    how: (&'static str, usize),
) -> Way {
    Way { name, floor, hz, kbit, stream: Some(how) }
}

const fn file(name: &'static str, floor: f32, hz: u32, kbit: Option<u32>) -> Way {
    Way { name, floor, hz, kbit, stream: None }
}

/// Streams first: their calls wait for their client, so that all can be placed before one ends.
const WAYS: [Way; 6] = [
    stream("PCM 16 kHz, stream", 4.35, (16_000, None), ("?rate=16000&listen=none", 7001)),
    stream("PCM 24 kHz, stream", 4.3, (24_000, None), ("?rate=24000&listen=none", 1021)),
    stream("PCM 48 kHz, stream", 4.3, (48_000, None), ("?rate=48000&listen=none", 12_289)),
    stream("MP3 44.1 kHz, stream", 4.3, (44_100, Some(128)), ("?format=mp3&listen=none", 701)),
    file("WAV 16 kHz, FIXED_AUDIO", 4.35, 16_000, None),
    file("MP3 44.1 kHz, FIXED_AUDIO", 4.3, 44_100, Some(128)),
];

/// A call that carries one recording one way.
struct Placed<'a> {
    way: &'a Way,
    speech: &'a Speech,
    source: Vec<u8>,
    id: String,
    /// Its number at the phone.
    number: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_far_end_hears_speech_as_well_as_can_be() {
    let Some(rig) = Rig::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let phone = Phone::start(&["--ring", "0s", "--record", heard.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, "").await;
    let mut placed = Vec::new();
    for way in &WAYS {
        for speech in &rig.speech {
            placed.push(place(&rig, &daemon, &phone, way, speech).await);
        }
    }
    join_all(placed.iter().map(|call| talk(&daemon, call))).await;
    let mut recordings = HashMap::new();
    while recordings.len() < placed.len() {
        let ended = phone.wait_for("ended");
        assert_eq!(ended["media"]["rx_lost"], 0, "{ended}");
        let path = ended["recording"].as_str().unwrap().to_owned();
        recordings.insert(ended["call"].as_u64().unwrap(), path);
    }
    for call in &placed {
        let ended = daemon.wait_for_end(&call.id).await;
        assert_eq!(ended["status"], "COMPLETED", "{}: {ended:#}", call.way.name);
        assert_eq!(ended["quality"]["underruns"], 0, "{}: {ended:#}", call.way.name);
    }
    for way in &WAYS {
        let calls = placed.iter().filter(|call| std::ptr::eq(call.way, way));
        let pairs: Vec<_> = calls
            .map(|call| {
                let heard = read_wav(recordings[&call.number].as_ref());
                (&*call.speech.samples, aligned(&call.speech.samples, &heard))
            })
            .collect();
        let pairs: Vec<_> = pairs.iter().map(|(speech, heard)| (*speech, &**heard)).collect();
        let scores = rig.score(&pairs);
        println!("{}: mean {:.3} of {scores:?}", way.name, mean(&scores));
        assert!(mean(&scores) >= way.floor, "{} below {}: {scores:?}", way.name, way.floor);
    }
}

async fn place<'a>(
    rig: &Rig,
    daemon: &Daemon,
    phone: &Phone,
    way: &'a Way,
    speech: &'a Speech,
) -> Placed<'a> {
    let samples = speech.at(way.hz);
    let source = match (way.kbit, way.stream) {
        (Some(kbit), _) => rig.mp3(&samples, way.hz, kbit),
        (None, None) => std::fs::read(rig.write(&samples, way.hz)).unwrap(),
        (None, Some(_)) => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
    };
    let id = if way.stream.is_some() {
        daemon.create("DYNAMIC_STREAM", "stream", json!({ "waitMs": 60_000 })).await
    } else {
        let audio = json!({ "audioBase64": STANDARD.encode(&source) });
        daemon.create("FIXED_AUDIO", "audio", audio).await
    };
    let number = phone.wait_for("calling")["call"].as_u64().unwrap();
    Placed { way, speech, source, id, number }
}

/// Sends all of the recording, faster than it plays, and hangs up behind it.
async fn talk(daemon: &Daemon, call: &Placed<'_>) {
    let Some((query, chunk)) = call.way.stream else { return };
    let mut bot = Client::attach(daemon, &call.id, query).await;
    bot.send(json!({ "type": "utterance", "id": "speech" })).await;
    bot.send_octets(&call.source, chunk).await;
    bot.send(json!({ "type": "utterance_end" })).await;
    let stop = bot.finish().await;
    assert_eq!(stop["reason"], "completed", "{}: {stop}", call.way.name);
}

/// What was heard from the start of the speech on; it must not be shorter than the speech.
pub fn aligned(speech: &[i16], heard: &[i16]) -> Vec<i16> {
    let original: Vec<f32> = speech.iter().map(|&sample| to_f32(sample)).collect();
    let original = resample_whole(&original, SampleRate::HZ_16000, SampleRate::HZ_8000).unwrap();
    let original: Vec<i16> = original.into_iter().map(to_i16).collect();
    let energy = |from: &usize| -> i64 {
        original[*from..*from + TEMPLATE].iter().map(|&s| i64::from(s).pow(2)).sum()
    };
    let loudest = (0..original.len() - TEMPLATE).step_by(TEMPLATE / 4).max_by_key(energy).unwrap();
    let template = &original[loudest..loudest + TEMPLATE];
    // Silence of ours is exact, so the first sound is the first of the speech, or its lead-in.
    let first = heard.iter().position(|&sample| sample != 0).expect("a sound");
    let padded =
        [&vec![0; LEAD][..], &heard[first..], &vec![0; 2 * LEAD + original.len()]].concat();
    let likeness = |lag: &usize| -> i64 {
        let at = &padded[lag + loudest..][..TEMPLATE];
        template.iter().zip(at).map(|(&a, &b)| i64::from(a) * i64::from(b)).sum()
    };
    let lag = (0..2 * LEAD).max_by_key(likeness).unwrap();
    let length = (LEAD + heard.len() - first).saturating_sub(lag);
    assert!(length + 160 >= original.len(), "{length} of {} samples heard", original.len());
    padded[lag..lag + original.len()].to_vec()
}
