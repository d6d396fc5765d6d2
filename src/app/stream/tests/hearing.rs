//! What the caller's voice and keys do to a stream, tones, and who answers, with sounds that were
//! made.

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
    let hum: Vec<i16> =
        (0..160_000_u32).map(|n| i16::try_from(n * 7_919 % 4_001).unwrap() - 2_000).collect();
    client.pcm(&hum);
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
    let wanted = ["playback paused u1", "speech started", "playback cleared u1"];
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
    speak(&mut rig, &mut client, 30).await;
    assert_eq!(pauses(&rig), [true]);
    client.text(r#"{"type":"barge_in","decision":"reject","id":"b"}"#);
    let told = briefs(&speak(&mut rig, &mut client, 1).await);
    assert_eq!(told, ["playback resumed u1", "ack b"]);
    let sent = rig.leg.sent.len();
    rig.beats(10).await;
    assert_eq!(pauses(&rig), [true, false]);
    assert_eq!(rig.leg.sent.len() - sent, 1_600, "it goes on");

    let (mut rig, mut client) = playing("barge_in=pause").await;
    speak(&mut rig, &mut client, 30).await;
    client.text(r#"{"type":"barge_in","decision":"confirm","id":"b"}"#);
    let told = briefs(&speak(&mut rig, &mut client, 3).await);
    assert_eq!(told, ["ack b", "playback cleared u1"]);
    client.text(r#"{"type":"barge_in","decision":"confirm","id":"c"}"#);
    rig.beats(40).await;
    assert_eq!(client.brief(), ["error conflict c"], "no second clear");
}

#[tokio::test(start_paused = true)]
async fn a_clear_decides_and_a_pause_takes_over() {
    let (mut rig, mut client) = playing("barge_in=pause").await;
    speak(&mut rig, &mut client, 30).await;
    client.text(r#"{"type":"clear","id":"c"}"#);
    rig.beats(40).await;
    assert_eq!(client.brief(), ["playback cleared u1", "ack c"]);
    assert_eq!(pauses(&rig), [true, false]);

    let (mut rig, mut client) = playing("barge_in=pause").await;
    speak(&mut rig, &mut client, 30).await;
    client.text(r#"{"type":"pause","id":"p"}"#);
    rig.beats(100).await;
    assert_eq!(client.brief(), ["ack p"]);
    assert_eq!(pauses(&rig), [true], "the client's own pause lasts");
}

#[tokio::test(start_paused = true)]
async fn the_other_modes_clear_tell_or_do_nothing() {
    let (mut rig, mut client) = playing("barge_in=clear").await;
    let told = speak(&mut rig, &mut client, 30).await;
    assert_eq!(briefs(&told), ["speech started", "playback cleared u1"]);
    let (mut rig, mut client) = playing("barge_in=notify").await;
    assert_eq!(briefs(&speak(&mut rig, &mut client, 30).await), ["speech started"]);
    let (mut rig, mut client) = playing("listen=none").await;
    assert_eq!(briefs(&speak(&mut rig, &mut client, 30).await), [""; 0]);
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
    assert_eq!(client.brief(), ["playback cleared u1"]);
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

#[tokio::test(start_paused = true)]
async fn tones_are_told_where_they_are_asked_for() {
    use crate::audio::progress::{Plan, ProgressTone, Signal};
    use crate::audio::rate::SampleRate;
    for (query, wanted) in [("tones=on&listen=none", 1), ("tones=off", 0)] {
        let mut rig = Rig::answered().await;
        let mut client = rig.attach(query).await;
        client.told();
        let mut tone = ProgressTone::new(Signal::Busy, Plan::America, SampleRate::HZ_8000);
        for _ in 0..150 {
            let mut frame = [0; 160];
            tone.fill(&mut frame);
            rig.leg.hear(&frame);
            rig.beats(1).await;
        }
        let told = client.told();
        assert_eq!(told.len(), wanted, "{told:?}");
        let reported = rig.reports();
        let tones: Vec<_> = reported.iter().filter(|r| matches!(r, Report::Tone(_))).collect();
        assert_eq!(tones.len(), wanted);
        if let Some(tone) = told.first() {
            assert_eq!((&tone["type"], &tone["kind"]), (&"tone".into(), &"busy".into()));
            assert!(tone["position_ms"].as_u64().unwrap() <= 40, "{tone}");
            assert!(tone["confidence"].as_f64().unwrap() > 0.5 && tone["reason"].is_string());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_told_who_answered() {
    use crate::turn::machine::{AmdAction, AmdSpec, MachineSpec};
    for (sentence, action, by, ends) in [
        (1, AmdAction::Hangup, "human", false),
        (3, AmdAction::Report, "machine", false),
        (3, AmdAction::Hangup, "machine", true),
    ] {
        let mut spec = spec();
        let machine = MachineSpec::default();
        spec.hearing.machine = Some(machine);
        spec.amd = Some(AmdSpec { sync: false, action, machine });
        let mut rig = Rig::with(spec);
        let mut client = rig.attach("protocol=native&listen=none").await;
        rig.event("answered");
        rig.start();
        rig.beats(1).await;
        client.told();
        let mut sound = sentences()[sentence].clone();
        sound.extend([0; 8_000]);
        for frame in sound.chunks_exact(160) {
            rig.leg.hear(frame);
            rig.beats(1).await;
        }
        let told = client.told();
        let verdict = told.iter().find(|told| told["event"] == "amd").unwrap();
        assert_eq!(verdict["type"], "call_event");
        assert_eq!(verdict["answered_by"], by, "{verdict}");
        assert!(verdict["confidence"].as_f64().unwrap() > 0.5 && verdict["reason"].is_string());
        let reports = rig.reports();
        let answered =
            |report: &Report| matches!(report, Report::Answered(of) if of.answered_by == by);
        assert!(reports.iter().any(answered), "{reports:?}");
        let ended = reports.iter().any(|report| matches!(report, Report::Ended { .. }));
        assert_eq!(ended, ends, "{by}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_told_of_the_beep_it_waits_for() {
    use crate::turn::machine::MachineSpec;
    let mut spec = spec();
    spec.hearing.machine = Some(MachineSpec { beep: true, ..MachineSpec::default() });
    let mut rig = Rig::with(spec);
    let mut client = rig.attach("protocol=native&listen=none").await;
    rig.event("answered");
    rig.start();
    rig.beats(1).await;
    client.told();
    let mut sound = sentences()[3].clone();
    sound.extend(vec![0; 32_000]);
    let end = sound.len() as u64 / 8 + 400;
    sound.extend(crate::audio::vad::tests::tones(&[1_000.0], -15.0, 3_200));
    sound.extend([0; 3_200]);
    for frame in sound.chunks_exact(160) {
        rig.leg.hear(frame);
        rig.beats(1).await;
    }
    let told = client.told();
    let amd: Vec<_> = told.iter().filter(|told| told["event"] == "amd").collect();
    assert_eq!(amd.len(), 3, "{told:?}");
    assert_eq!((&amd[0]["answered_by"], &amd[1]["detail"]), (&"machine".into(), &"beep".into()));
    let at = amd[1]["position_ms"].as_u64().unwrap();
    assert!(at.abs_diff(end) <= 20, "{at} for {end}");
    assert_eq!(amd[2]["detail"], "the greeting has ended: beep");
    let told = |report: &Report| *report == Report::Beep { position_ms: at };
    assert!(rig.reports().iter().any(told));
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_wait_for_the_end_of_a_hello() {
    let mut spec = spec();
    spec.hearing.after_hello = true;
    let mut rig = Rig::with(spec);
    let mut client = rig.attach("protocol=native&listen=none").await;
    client.pcm(&vec![1_000; 16_000]);
    rig.event("answered");
    rig.start();
    let hello = &sentences()[4];
    let spoken = hello.iter().rposition(|sample| sample.abs() > 300).unwrap();
    for frame in hello[..spoken].chunks_exact(160) {
        rig.leg.hear(frame);
        rig.beats(1).await;
    }
    assert!(rig.leg.sent.is_empty());
    for _ in 0..50 {
        rig.leg.hear(&[0; 160]);
        rig.beats(1).await;
    }
    assert!(rig.leg.sent.len() > 1_600, "{}", rig.leg.sent.len());
    assert!(!client.told().is_empty());
}
