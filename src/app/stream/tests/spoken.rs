//! Texts that are said and files that are played, in the order of what the client sends.

use super::*;
use crate::speech::tts::{Speech, SpeechPiece, SpeechWriter, TtsError};

/// A call whose texts are spoken by the test.
async fn spoken() -> (Rig, Arc<Mutex<Vec<(String, SpeechWriter)>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let writers = Arc::clone(&said);
    let speak = move |voice: Option<&str>, text: &str| {
        if voice == Some("nobody") {
            let (voice, known) = ("nobody".to_owned(), vec!["somebody".to_owned()]);
            return Err(TtsError::UnknownVoice { voice, known });
        }
        let (writer, speech) = Speech::pipe();
        writers.lock().unwrap().push((text.to_owned(), writer));
        Ok(speech)
    };
    let spec = StreamSpec { speak: Some(Arc::new(speak)), ..spec() };
    (Rig::answered_with(spec).await, said)
}

fn piece(samples: Vec<i16>) -> SpeechPiece {
    SpeechPiece { samples: samples.into(), words: Vec::new() }
}

#[tokio::test(start_paused = true)]
async fn a_text_is_an_utterance_and_what_follows_waits_behind_it() {
    let (mut rig, said) = spoken().await;
    let mut client = rig.attach("protocol=native&rate=8000").await;
    client.told();
    client.pcm(&ramp(0, 320));
    client.text(r#"{"type":"say","id":"hello","text":"Hello.","voiceId":"somebody"}"#);
    client.text(r#"{"type":"utterance","id":"after"}"#);
    client.pcm(&ramp(1000, 160));
    client.text(r#"{"type":"utterance_end"}"#);
    client.text(r#"{"type":"mark","name":"m"}"#);
    client.text(r#"{"type":"ping","id":1}"#);
    rig.beats(2).await;
    assert_eq!(client.brief(), ["ack hello", "pong 1", "playback started"]);
    let (text, writer) = said.lock().unwrap().pop().unwrap();
    assert_eq!(text, "Hello.");
    assert!(writer.push(piece(ramp(500, 160))));
    rig.beats(5).await;
    assert!(writer.push(piece(ramp(660, 160))));
    writer.finish();
    rig.beats(10).await;
    let expected = [ramp(0, 320), ramp(500, 320), ramp(1000, 160)].concat();
    assert_eq!(rig.leg.sent, expected);
    assert_eq!(
        client.brief(),
        [
            "playback completed",
            "playback started hello",
            "ack after",
            "playback completed hello",
            "playback started after",
            "playback completed after",
            "mark m",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_clear_takes_what_is_being_said_and_what_waits() {
    let (mut rig, said) = spoken().await;
    let mut client = rig.attach("protocol=native&rate=8000").await;
    client.told();
    client.text(r#"{"type":"say","id":"long","text":"A long story."}"#);
    client.text(r#"{"type":"utterance","id":"after"}"#);
    client.pcm(&ramp(0, 1600));
    client.text(r#"{"type":"mark","name":"m"}"#);
    rig.beats(1).await;
    assert!(said.lock().unwrap()[0].1.push(piece(ramp(0, 3200))));
    rig.beats(5).await;
    client.text(r#"{"type":"clear","id":"c"}"#);
    rig.beats(2).await;
    let told = client.told();
    let briefs: Vec<String> = told.iter().map(brief).collect();
    assert_eq!(
        briefs,
        [
            "ack long",
            "playback started long",
            "ack after",
            "playback cleared long",
            "mark m cleared",
            "playback cleared after",
            "ack c",
        ]
    );
    let cleared = &told[3];
    let heard = cleared["played_ms"].as_u64().unwrap();
    assert_eq!(heard, rig.leg.sent.len() as u64 / 8);
    assert_eq!(heard + cleared["discarded_ms"].as_u64().unwrap(), 400);
    assert_eq!((&told[5]["played_ms"], &told[5]["discarded_ms"]), (&0.into(), &200.into()));
    assert!(said.lock().unwrap()[0].1.is_closed(), "it is not spoken any further");
    client.pcm(&ramp(0, 160));
    rig.beats(3).await;
    assert_eq!(rig.leg.sent[rig.leg.sent.len() - 160..], ramp(0, 160));
}

#[tokio::test(start_paused = true)]
async fn a_voice_that_is_unknown_or_fails_is_told_by_id() {
    let (mut rig, said) = spoken().await;
    let mut client = rig.attach("protocol=native&rate=8000").await;
    client.told();
    client.text(r#"{"type":"say","id":1,"text":"x","voice_id":"nobody"}"#);
    client.text(r#"{"type":"say","id":2,"text":" "}"#);
    client.text(r#"{"type":"say","id":3,"text":"y"}"#);
    rig.beats(1).await;
    assert_eq!(client.brief(), ["error unknown_voice 1", "error invalid_field 2", "ack 3"]);
    said.lock().unwrap().pop().unwrap().1.fail("no more breath".to_owned());
    rig.beats(1).await;
    assert_eq!(client.brief(), ["error say_failed 3", "playback completed 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_is_played_and_one_that_is_none_is_refused() {
    use base64::Engine as _;
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&rate=8000").await;
    client.told();
    let samples: Vec<i16> = (0..1600).map(|n| if n % 20 < 10 { 8000 } else { -8000 }).collect();
    let file = base64::engine::general_purpose::STANDARD.encode(wav(&samples));
    client.text(&format!(r#"{{"type":"play","id":"p","audioBase64":"{file}"}}"#));
    client.text(r#"{"type":"play","id":"q","audioBase64":"AAAA"}"#);
    rig.beats(50).await;
    assert_eq!(rig.leg.sent.len(), 1600);
    assert!(rig.leg.sent.iter().filter(|sample| sample.unsigned_abs() > 1000).count() > 1000);
    let briefs = client.brief();
    assert!(briefs.contains(&"playback completed p".to_owned()), "{briefs:?}");
    assert!(briefs.contains(&"error audio_undecodable q".to_owned()), "{briefs:?}");
}

/// A file of 16 bits at 8 kHz.
fn wav(samples: &[i16]) -> Vec<u8> {
    let length = u32::try_from(2 * samples.len()).unwrap();
    let mut file = b"RIFF".to_vec();
    file.extend((length + 36).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data");
    file.extend(length.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}
