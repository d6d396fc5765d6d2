//! What the caller's voice and keys do to a stream, with a voice that was made.

use super::*;
use crate::app::hearing::HearingSpec;
use crate::audio::vad::tests::sentences;
use crate::media::interface::{Command, Event};
use crate::turn::barge::{BargeSpec, Mode};

/// A call whose ears do this, with a client that plays 10 s.
async fn playing(query: &str) -> (Rig, Client) {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach(query).await;
    client.text(r#"{"type":"utterance","id":"u1"}"#);
    client.pcm(&[4000; 160_000]);
    client.text(r#"{"type":"utterance_end"}"#);
    rig.beats(50).await;
    let told = client.brief();
    assert_eq!(told.last().map(String::as_str), Some("playback started u1"), "{told:?}");
    (rig, client)
}

/// The caller says a sentence, or its first seconds; what the client is told meanwhile.
async fn speak(rig: &mut Rig, client: &mut Client, beats: usize) -> Vec<Value> {
    let mut told = Vec::new();
    let sentence = &sentences()[0];
    let silence = vec![0_i16; 160];
    for beat in 0..beats {
        let frame = sentence.get(beat * 160..beat * 160 + 160).unwrap_or(&silence);
        rig.leg.hear(frame);
        rig.beats(1).await;
        told.extend(client.told());
    }
    told
}

fn briefs(told: &[Value]) -> Vec<String> {
    told.iter().map(brief).collect()
}

fn pauses(rig: &Rig) -> Vec<bool> {
    let of = |command: &Command| match command {
        Command::Pause(paused) => Some(*paused),
        _ => None,
    };
    rig.leg.obeyed.iter().filter_map(of).collect()
}

#[tokio::test(start_paused = true)]
async fn a_voice_pauses_and_no_decision_clears() {
    let (mut rig, mut client) = playing("protocol=native&barge_in=pause&listen=none").await;
    let told = speak(&mut rig, &mut client, 50).await;
    let wanted =
        ["playback paused u1", "speech started", "playback cleared u1", "playback resumed"];
    assert_eq!(briefs(&told), wanted);
    let speech = &told[1];
    assert_eq!(speech["decision_deadline_ms"], 500);
    assert!(speech["position_ms"].as_u64().unwrap() < 200, "{speech}");
    assert_eq!(pauses(&rig), [true, false]);
    let told = speak(&mut rig, &mut client, 200).await;
    assert_eq!(briefs(&told).last().map(String::as_str), Some("speech stopped"));
    assert!(told.last().unwrap()["duration_ms"].as_u64().unwrap() > 1_000);
}

#[tokio::test(start_paused = true)]
async fn the_client_decides_in_time() {
    let (mut rig, mut client) = playing("barge_in=pause").await;
    speak(&mut rig, &mut client, 20).await;
    assert_eq!(pauses(&rig), [true]);
    client.text(r#"{"type":"barge_in","decision":"reject","id":"b"}"#);
    let told = briefs(&speak(&mut rig, &mut client, 1).await);
    assert_eq!(told, ["playback resumed u1", "ack b"]);
    let sent = rig.leg.sent.len();
    rig.beats(10).await;
    assert_eq!(pauses(&rig), [true, false]);
    assert_eq!(rig.leg.sent.len() - sent, 1_600, "it goes on");

    let (mut rig, mut client) = playing("barge_in=pause").await;
    speak(&mut rig, &mut client, 20).await;
    client.text(r#"{"type":"barge_in","decision":"confirm","id":"b"}"#);
    let told = briefs(&speak(&mut rig, &mut client, 3).await);
    assert_eq!(told, ["playback resumed u1", "ack b", "playback cleared u1"]);
    client.text(r#"{"type":"barge_in","decision":"confirm","id":"c"}"#);
    rig.beats(40).await;
    assert_eq!(client.brief(), ["error conflict c"], "no second clear");
}

#[tokio::test(start_paused = true)]
async fn a_clear_decides_and_a_pause_takes_over() {
    let (mut rig, mut client) = playing("barge_in=pause").await;
    speak(&mut rig, &mut client, 20).await;
    client.text(r#"{"type":"clear","id":"c"}"#);
    rig.beats(40).await;
    assert_eq!(client.brief(), ["playback resumed u1", "playback cleared u1", "ack c"]);
    assert_eq!(pauses(&rig), [true, false]);

    let (mut rig, mut client) = playing("barge_in=pause").await;
    speak(&mut rig, &mut client, 20).await;
    client.text(r#"{"type":"pause","id":"p"}"#);
    rig.beats(100).await;
    assert_eq!(client.brief(), ["ack p"]);
    assert_eq!(pauses(&rig), [true], "the client's own pause lasts");
}

#[tokio::test(start_paused = true)]
async fn the_other_modes_clear_tell_or_do_nothing() {
    let (mut rig, mut client) = playing("barge_in=clear").await;
    let told = speak(&mut rig, &mut client, 20).await;
    assert_eq!(briefs(&told), ["speech started", "playback cleared u1"]);
    let (mut rig, mut client) = playing("barge_in=notify").await;
    assert_eq!(briefs(&speak(&mut rig, &mut client, 20).await), ["speech started"]);
    let (mut rig, mut client) = playing("listen=none").await;
    assert_eq!(briefs(&speak(&mut rig, &mut client, 20).await), [""; 0]);
    assert!(!rig.leg.is_listening(), "nobody listens");
}

#[tokio::test(start_paused = true)]
async fn keys_stop_it_too() {
    let key = Event::Dtmf { digit: b'5', duration_ms: 90, position: 0, inband: false };
    let (mut rig, mut client) = playing("barge_in=pause").await;
    rig.leg.events.push_back(key);
    rig.beats(1).await;
    assert_eq!(client.brief(), ["dtmf 5", "playback paused u1", "barge_in"]);
    client.text(r#"{"type":"barge_in","decision":"confirm"}"#);
    rig.beats(2).await;
    assert_eq!(client.brief(), ["playback resumed u1", "playback cleared u1"]);
    let (mut rig, mut client) = playing("barge_in=clear").await;
    rig.leg.events.push_back(key);
    rig.beats(2).await;
    assert_eq!(client.brief(), ["dtmf 5", "playback cleared u1"]);
}

#[tokio::test(start_paused = true)]
async fn the_call_says_what_a_client_gets() {
    let mut spec = spec();
    spec.hearing = HearingSpec {
        barge: BargeSpec { mode: Mode::Clear, ..BargeSpec::default() },
        ..HearingSpec::default()
    };
    let mut rig = Rig::with(spec);
    rig.start();
    let mut client = rig.attach("protocol=native").await;
    rig.beats(1).await;
    let start = client.told().remove(0);
    assert_eq!((&start["type"], &start["barge_in"]), (&"start".into(), &"clear".into()));
}
