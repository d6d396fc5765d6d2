//! One set of cases for every engine, against servers on loopback that speak the shapes which the
//! vendors document, with hostile timing. Proof of conformance to documents, not to live vendors.

#![expect(clippy::disallowed_methods, reason = "servers and deadlines of a test")]

mod fallback;
mod server;

use super::*;
use server::{Behaviour, Kind, Seen, Server, TEXT, sound};
use std::time::Duration;

/// Everything that should not be obeyed or should not break a message.
const HOSTILE: &str = "Say <genfile file=\"/tmp/x\">one</genfile> <play file='/etc/passwd'/> \
    <break time=\"9s\"/> [[h@l@U]] {\"word\": 1} $(touch canary) `touch canary`; touch canary | cat \
    \\\"quote\\\" \u{0}\u{1}\u{7}\r\n\u{202e}two && done.";

struct Rig {
    dir: tempfile::TempDir,
    tts: Tts,
    seen: Seen,
    kind: Kind,
    _server: Option<Server>,
}

impl Rig {
    async fn new(kind: Kind, behaviour: Behaviour) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let seen = Seen::default();
        let (mut engine, server) = server::engine(kind, behaviour, dir.path(), &seen).await;
        engine.first_audio = Duration::from_millis(match behaviour {
            Behaviour::SilentStall => 300,
            _ => 20_000,
        });
        let voice = Voice::new("v", "x", "voice-1", "en-US");
        let spare = voices::pico_alias("spare", "en-GB");
        let with_spare = Voice { id: "w".into(), fallback: Some("spare".into()), ..voice.clone() };
        let tts = Tts::start(TtsSpec {
            voice_dir: dir.path().join("voices"),
            threads: 1,
            engines: vec![engine],
            voices: vec![voice, with_spare, spare],
            level_dbov: None,
            rate: 8000,
            cache_bytes: 1 << 20,
        });
        Self { dir, tts, seen, kind, _server: server }
    }

    fn speak(&self, text: &str) -> Speech {
        self.tts.speak(SpeakRequest { live: true, ..SpeakRequest::new("v", text) }).unwrap()
    }

    fn stats(&self) -> EngineStats {
        self.tts.stats().into_iter().find(|stats| stats.name == "x").unwrap()
    }
}

/// All samples, all words, and how it ended.
async fn listen(
    mut speech: Speech,
) -> (Vec<i16>, Vec<crate::turn::interface::WordTime>, Option<String>) {
    let (mut samples, mut words) = (Vec::new(), Vec::new());
    while let Some(piece) = speech.next().await {
        match piece {
            Ok(piece) => {
                samples.extend_from_slice(&piece.samples);
                words.extend(piece.words);
            }
            Err(detail) => return (samples, words, Some(detail)),
        }
    }
    (samples, words, None)
}

/// Polls until it is so, or fails.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let give_up = std::time::Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(std::time::Instant::now() < give_up, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn complete_and_in_order(kind: Kind) {
    let rig = Rig::new(kind, Behaviour::Speak).await;
    let (samples, words, error) = listen(rig.speak(TEXT)).await;
    assert_eq!(error, None);
    assert!(samples == sound());
    let last = words.last().unwrap();
    assert_eq!(last.text_end, TEXT.len(), "{words:?}");
    assert!(last.end == Duration::from_secs(1) || kind.tells_words(), "{words:?}");
    assert!(words.is_sorted_by_key(|word| (word.end, word.text_end)));
    if kind.tells_words() {
        let ends: Vec<usize> = words.iter().map(|word| word.text_end).collect();
        assert!(ends.contains(&5) && ends.contains(&10), "{words:?}");
        assert!(words[0].end < Duration::from_millis(200), "{words:?}");
    }
    // A second sentence, on what was left open by the first.
    let (samples, _, error) = listen(rig.speak("And one more, please.")).await;
    assert_eq!(error, None);
    assert!(samples == sound());
    assert_eq!(rig.stats().first_audios, 2);
    assert!(server::connections(kind, &rig.seen) <= 1, "the connection is used again");
    // What was complete is kept.
    let (again, _, _) = listen(rig.speak(TEXT)).await;
    assert!(again == sound());
    assert_eq!(rig.stats().sentences, 2);
}

async fn a_connection_that_died_is_replaced(kind: Kind) {
    let rig = Rig::new(kind, Behaviour::SpeakOnce).await;
    for text in [TEXT, "And one more, please.", "And a third one, too."] {
        let (samples, _, error) = listen(rig.speak(text)).await;
        assert_eq!(error, None);
        assert!(samples == sound());
        server::settle(kind, &rig.seen).await;
    }
    assert_eq!((rig.stats().failures, rig.stats().open), (0, None));
}

async fn we_send_what_is_documented(kind: Kind) {
    let rig = Rig::new(kind, Behaviour::Speak).await;
    let request = SpeakRequest { speed: 1.1, ..SpeakRequest::new("v", TEXT) };
    assert_eq!(listen(rig.tts.speak(request).unwrap()).await.2, None);
    server::check_request(kind, &rig.seen, rig.dir.path());
}

async fn slow_first_byte_is_waited_for(kind: Kind) {
    let rig = Rig::new(kind, Behaviour::SlowFirst).await;
    let (samples, _, error) = listen(rig.speak(TEXT)).await;
    assert_eq!(error, None);
    assert!(samples == sound());
    assert!(rig.stats().first_audio_ms >= 100);
}

async fn octets_may_be_cut_anywhere(kind: Kind) {
    let rig = Rig::new(kind, Behaviour::Splinters).await;
    let (samples, _, error) = listen(rig.speak(TEXT)).await;
    assert_eq!(error, None);
    assert!(samples == sound());
}

async fn silence_before_and_within_the_sound_is_an_error(kind: Kind) {
    let rig = Rig::new(kind, Behaviour::SilentStall).await;
    let (samples, _, error) = listen(rig.speak(TEXT)).await;
    assert!(samples.is_empty());
    assert!(error.unwrap().contains("no sound within 300 ms"));
    server::check_stopped(kind, &rig.seen, rig.dir.path()).await;
    let rig = Rig::new(kind, Behaviour::StallMiddle).await;
    let (samples, _, error) = listen(rig.speak(TEXT)).await;
    assert!(!samples.is_empty() && sound().starts_with(&samples));
    assert!(error.unwrap().contains("no further sound within 500 ms"));
    server::check_stopped(kind, &rig.seen, rig.dir.path()).await;
    assert_eq!(rig.stats().failures, 1);
}

async fn an_error_within_the_sound_is_told(kind: Kind) {
    let rig = Rig::new(kind, Behaviour::BreakMiddle).await;
    let (samples, _, error) = listen(rig.speak(TEXT)).await;
    assert!(!samples.is_empty() && sound().starts_with(&samples));
    let error = error.unwrap();
    assert!(error.starts_with("speech engine x: "), "{error}");
    assert_eq!(rig.stats().failures, 1);
    // What is not complete is not kept.
    let (_, _, error) = listen(rig.speak(TEXT)).await;
    assert!(error.is_some());
    assert_eq!(rig.stats().sentences, 2);
}

async fn a_half_closed_socket_is_an_error(kind: Kind) {
    let rig = Rig::new(kind, Behaviour::HalfClosed).await;
    let (samples, _, error) = listen(rig.speak(TEXT)).await;
    assert!(sound().starts_with(&samples));
    // A program that closes its output has said what it had to say.
    assert_eq!(error.is_some(), kind != Kind::Command);
}

async fn anything_but_sound_is_not_played(kind: Kind) {
    let rig = Rig::new(kind, Behaviour::WrongContent).await;
    let (samples, _, error) = listen(rig.speak(TEXT)).await;
    assert!(samples.is_empty(), "{} samples", samples.len());
    assert!(error.is_some());
}

async fn too_many_requests_open_the_breaker(kind: Kind) {
    let rig = Rig::new(kind, Behaviour::Throttle).await;
    let (samples, _, error) = listen(rig.speak(TEXT)).await;
    assert!(samples.is_empty());
    let error = error.unwrap();
    let opens = !matches!(kind, Kind::Command);
    assert!(!opens || error.contains("too many requests"), "{error}");
    let asked = rig.stats().sentences;
    let (_, _, error) = listen(rig.speak(TEXT)).await;
    let stats = rig.stats();
    assert_eq!(stats.sentences == asked, opens, "{stats:?}");
    assert_eq!(error.unwrap().contains("left alone for"), opens);
    assert_eq!(stats.refused_by_breaker, u64::from(opens));
}

async fn dropping_the_speech_stops_the_vendor(kind: Kind) {
    let rig = Rig::new(kind, Behaviour::StallMiddle).await;
    let mut speech = rig.speak(TEXT);
    assert!(speech.next().await.unwrap().is_ok());
    drop(speech);
    server::check_stopped(kind, &rig.seen, rig.dir.path()).await;
    until("counted as cancelled", || rig.stats().cancelled == 1).await;
    assert_eq!((rig.stats().failures, rig.stats().open), (0, None));
}

async fn dropping_the_speech_before_its_first_sound_stops_the_vendor(kind: Kind) {
    let rig = Rig::new(kind, Behaviour::StallMiddle).await;
    let engine = Rig::new(kind, Behaviour::SilentStall).await;
    drop(rig);
    let speech = engine.speak(TEXT);
    let seen = &engine.seen;
    until("the request arrives", || server::has_asked(kind, seen, engine.dir.path())).await;
    drop(speech);
    server::check_stopped(kind, seen, engine.dir.path()).await;
}

async fn markup_and_metacharacters_lose_their_power(kind: Kind) {
    let rig = Rig::new(kind, Behaviour::Speak).await;
    let (samples, _, error) = listen(rig.speak(HOSTILE)).await;
    assert_eq!(error, None);
    assert!(!samples.is_empty());
    let texts = server::texts(kind, &rig.seen, rig.dir.path());
    let said = texts.concat();
    let forbidden = ['<', '>', '[', ']', '{', '}', '&', '\\', '\0', '\u{1}', '\u{7}', '\r', '\n'];
    assert!(!said.contains(forbidden) && !said.contains('\u{202e}'), "{said:?}");
    for word in ["one", "two", "done", "quote"] {
        assert!(said.contains(word), "{said:?}");
    }
    assert!(!rig.dir.path().join("canary").exists() && !std::path::Path::new("canary").exists());
    assert_eq!(rig.kind, kind);
}

macro_rules! conformance {
    ($($engine:ident: $kind:expr,)*) => {$(
        mod $engine {
            use super::*;

            conformance!(@cases $kind,
                complete_and_in_order,
                we_send_what_is_documented,
                a_connection_that_died_is_replaced,
                slow_first_byte_is_waited_for,
                octets_may_be_cut_anywhere,
                silence_before_and_within_the_sound_is_an_error,
                an_error_within_the_sound_is_told,
                a_half_closed_socket_is_an_error,
                anything_but_sound_is_not_played,
                too_many_requests_open_the_breaker,
                dropping_the_speech_stops_the_vendor,
                dropping_the_speech_before_its_first_sound_stops_the_vendor,
                markup_and_metacharacters_lose_their_power,
            );
        }
    )*};
    (@cases $kind:expr, $($case:ident,)*) => {$(
        #[tokio::test]
        async fn $case() {
            super::$case($kind).await;
        }
    )*};
}

conformance! {
    openai: Kind::OpenAi,
    piper: Kind::Piper,
    command: Kind::Command,
    elevenlabs: Kind::ElevenLabs,
    cartesia: Kind::Cartesia,
    deepgram: Kind::Deepgram,
}
