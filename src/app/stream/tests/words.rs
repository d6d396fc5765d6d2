//! What a client is told of the caller's words where nobody can write them down.

use super::*;
use crate::speech::stt::{Stt, SttEngineKind, SttEngineSpec, SttSpec};

/// The warnings among what came, by their code.
fn warnings(told: &[Value]) -> Vec<&str> {
    let warnings = told.iter().filter(|told| told["type"] == "warning");
    warnings.filter_map(|told| told["code"].as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn without_an_engine_a_client_is_told_why_there_are_no_words() {
    let mut rig = Rig::answered().await;
    for (query, status) in [("transcripts=final", "unavailable"), ("protocol=native", "off")] {
        let mut client = rig.attach(query).await;
        rig.beats(1).await;
        let told = client.told();
        let transcription = &told[0]["transcription"];
        assert_eq!((&told[0]["type"], &transcription["status"]), (&"start".into(), &status.into()));
        assert_eq!(transcription["reason"].is_string(), status == "unavailable");
        drop(client);
        rig.beats(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_cannot_be_reached_is_told_and_then_given_up() {
    // Nobody listens at the port, so that every attempt fails at once.
    let engine = SttEngineSpec {
        url: Some("ws://127.0.0.1:1".to_owned()),
        ..SttEngineSpec::new("vosk", SttEngineKind::Vosk)
    };
    let stt = Stt::new(SttSpec { engines: vec![engine] });
    let mut rig = Rig::answered_with(StreamSpec { stt, ..spec() }).await;
    let mut client = rig.attach("transcripts=final&listen=none").await;
    let mut told = client.told();
    assert_eq!(told[0]["transcription"]["status"], "available");
    assert_eq!(told[0]["transcription"]["engine"], "vosk");
    for _ in 0..3000 {
        rig.beats(1).await;
    }
    told.extend(client.told());
    let warnings = warnings(&told);
    let (last, before) = warnings.split_last().unwrap();
    assert_eq!(*last, "transcription_unavailable");
    assert!(before.iter().all(|code| ["transcription_interrupted", "no_audio"].contains(code)));
    assert!(before.contains(&"transcription_interrupted"), "{warnings:?}");
}
