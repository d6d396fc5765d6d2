//! A background beneath a prompt, from the file of the configuration to the ear of the caller.

use super::rig::{Daemon, NUMBER, Phone, read_wav, rms, tone_wav};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bellwire::audio::rate::SampleRate;
use bellwire::audio::wav::WavWriter;
use serde_json::{Value, json};
use std::path::Path;

/// The frequency of the background, and that of the prompt: both fit into 40 samples.
const BENEATH: f64 = 400.0;
const PROMPT: f64 = 1_000.0;

/// Half a second of a tone, two seconds of silence, half a second of the tone.
fn prompt(dir: &Path) -> String {
    let tone = read_wav(&tone_wav(dir, "tone.wav", PROMPT, 0.5));
    let path = dir.join("prompt.wav");
    let mut writer = WavWriter::create(&path, SampleRate::HZ_8000, 1).unwrap();
    writer.write(&[&tone[..], &vec![0; 16_000], &tone[..]].concat()).unwrap();
    writer.finish().unwrap();
    STANDARD.encode(std::fs::read(path).unwrap())
}

/// The amplitude at a frequency, of whole periods.
fn amplitude(samples: &[i16], hz: f64) -> f64 {
    let step = hz * std::f64::consts::TAU / 8_000.0;
    let part = |phase: fn(f64) -> f64| {
        let sum = samples.iter().enumerate().map(|(n, s)| f64::from(*s) * phase(n as f64 * step));
        2.0 * sum.sum::<f64>() / samples.len() as f64
    };
    part(f64::cos).hypot(part(f64::sin))
}

async fn call(daemon: &Daemon, audio: &str, background: Value) -> (u16, Value) {
    let body = json!({
        "instanceId": "inst_demo",
        "type": "FIXED_AUDIO",
        "target": { "phoneNumber": NUMBER },
        "audio": { "audioBase64": audio },
        "background": background,
    });
    daemon.post("/v1/calls", &body).await
}

/// What a caller hears of a prompt over the background of the configuration.
async fn heard(background: Value) -> Vec<i16> {
    let dir = tempfile::tempdir().unwrap();
    let recorded = dir.path().join("heard.wav");
    let track = tone_wav(dir.path(), "track.wav", BENEATH, 1.0);
    let phone = Phone::start(&["--ring", "0s", "--record", recorded.to_str().unwrap()]);
    let more = format!(
        "[playout]\nbackground = \"office\"\n[[background]]\nname = \"office\"\naudio = \"{}\"",
        track.display()
    );
    let daemon = Daemon::start(&phone.address, &more).await;
    let audio = prompt(dir.path());
    let (status, problem) = call(&daemon, &audio, json!("beach")).await;
    assert_eq!(status, 400, "{problem:#}");
    assert_eq!(problem["errors"][0]["pointer"], "/background", "{problem:#}");
    let (status, created) = call(&daemon, &audio, background).await;
    assert_eq!(status, 201, "{created:#}");
    let call = daemon.wait_for_end(created["id"].as_str().unwrap()).await;
    assert_eq!(call["end_reason"], "completed", "{call:#}");
    let played = call["quality"]["played_ms"].as_u64().unwrap();
    assert!((2_990..=3_040).contains(&played), "the background does not count: {played} ms");
    phone.wait_for("ended");
    read_wav(&recorded)
}

/// Where the prompt begins.
fn beginning(heard: &[i16]) -> usize {
    let loud = |frame: &[i16]| amplitude(frame, PROMPT) > 1_000.0;
    40 * heard.chunks_exact(40).position(loud).expect("the prompt")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_heard_over_a_background_that_makes_room_for_it() {
    let heard = heard(Value::Null).await;
    let start = beginning(&heard);
    let speech = &heard[start + 2_000..start + 3_600];
    let pause = &heard[start + 12_000..start + 16_000];
    assert!(amplitude(speech, PROMPT) > 3_000.0);
    // -20 dBov of a tone is an amplitude of 4634; 18 dB less, and 12 more beneath speech.
    let full = amplitude(pause, BENEATH);
    let ducked = amplitude(speech, BENEATH);
    assert!((500.0..680.0).contains(&full), "{full}");
    assert!((90.0..190.0).contains(&ducked), "{ducked}");
    // It goes round once in the pause, and nobody hears where.
    let levels: Vec<f64> = pause.chunks(400).map(rms).collect();
    let (least, most) = levels.iter().fold((f64::MAX, 0.0_f64), |(a, b), l| (a.min(*l), b.max(*l)));
    assert!(least > 0.5 * most, "{levels:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_want_none() {
    let heard = heard(json!("off")).await;
    let start = beginning(&heard);
    assert!(heard[start + 8_000..start + 16_000].iter().all(|sample| *sample == 0));
}
