//! One set of cases over every network engine, against loopback servers that speak the documented
//! shapes with hostile timing.

mod peer;

use super::session::Limits;
use super::*;
use crate::audio::codec::g711::decode_ulaw;
use peer::{Peer, VENDORS, Vendor, refuse};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);
/// All frames of all vendors are full after this. Units: ms.
const WHOLE_MS: u64 = 240;

/// The sample at a position: every 20 ms another, the same after µ-law.
fn sample_at(position: u64) -> i16 {
    decode_ulaw(1 + u8::try_from(position / 160 % 100).unwrap())
}

fn sound(from: u64, to: u64) -> Vec<i16> {
    (from..to).map(sample_at).collect()
}

fn quick() -> Limits {
    Limits {
        stall: PATIENCE,
        send: PATIENCE,
        linger: PATIENCE,
        back_off: vec![Duration::from_millis(1); 4],
        ..Limits::default()
    }
}

/// A transcribed call and the server's listener.
struct Rig {
    vendor: Vendor,
    listener: TcpListener,
    input: SttInput,
    events: mpsc::Receiver<SttEvent>,
    position: u64,
}

impl Rig {
    async fn new(vendor: Vendor, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut spec = vendor.spec();
        spec.url = Some(format!("ws://{}", listener.local_addr().unwrap()));
        let stt = Stt::with_limits(SttSpec { engines: vec![spec] }, limits);
        let request = SttRequest {
            partials: true,
            language: Some("en-US".to_owned()),
            ..SttRequest::default()
        };
        let (input, events) = stt.open(request).unwrap();
        Self { vendor, listener, input, events, position: 4000 }
    }

    async fn accept(&self) -> Peer {
        Peer::accept(&self.listener, self.vendor).await
    }

    fn push_ms(&mut self, ms: u64) {
        let end = self.position + ms * 8;
        while self.position < end {
            let next = end.min(self.position + 160);
            self.input.push(self.position, &sound(self.position, next));
            self.position = next;
        }
    }

    async fn event(&mut self) -> Option<SttEvent> {
        tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("an event")
    }

    /// The next event that `wanted` knows.
    async fn find<T>(&mut self, wanted: impl Fn(&SttEvent) -> Option<T>) -> T {
        loop {
            let event = self.event().await.unwrap_or_else(|| panic!("{:?}: the end", self.vendor));
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    }

    async fn words(&mut self) -> Transcript {
        self.find(|event| match event {
            SttEvent::Transcript(words) => Some(words.clone()),
            _ => None,
        })
        .await
    }

    async fn final_words(&mut self) -> Transcript {
        loop {
            let words = self.words().await;
            if words.is_final {
                return words;
            }
        }
    }

    async fn ready(&mut self) {
        self.find(|event| matches!(event, SttEvent::Ready).then_some(())).await;
    }

    async fn reconnecting(&mut self) -> String {
        self.find(|event| match event {
            SttEvent::Reconnecting(reason) => Some(reason.clone()),
            _ => None,
        })
        .await
    }

    async fn unavailable(&mut self) -> String {
        self.find(|event| match event {
            SttEvent::Unavailable(reason) => Some(reason.clone()),
            _ => None,
        })
        .await
    }

    /// A whole utterance on this connection, from its `from`-th sample on, and its final.
    async fn utterance(&mut self, peer: &mut Peer, text: &str, from: u64) -> Transcript {
        peer.partial("so far", from, from + 1600).await;
        peer.last(text, from, from + 3200).await;
        let words = self.final_words().await;
        assert_eq!(&*words.text, text, "{:?}", self.vendor);
        words
    }
}

#[tokio::test]
async fn a_dialogue_has_its_words_at_their_places() {
    for vendor in VENDORS {
        let mut rig = Rig::new(vendor, quick()).await;
        rig.push_ms(4 * WHOLE_MS);
        let mut peer = rig.accept().await;
        assert_eq!(rig.event().await, Some(SttEvent::Ready), "{vendor:?}");
        peer.hear(7680).await;
        assert_eq!(peer.audio, sound(4000, 4000 + 7680), "{vendor:?}");
        peer.check_handshake();
        peer.partial("hello", 800, 2400).await;
        let partial = rig.words().await;
        assert_eq!((&*partial.text, partial.is_final), ("hello", false), "{vendor:?}");
        assert!(partial.end > partial.start && partial.end <= rig.position, "{partial:?}");
        peer.last("hello there", 800, 4000).await;
        let last = rig.final_words().await;
        assert_eq!((&*last.text, last.id), ("hello there", partial.id), "{vendor:?}");
        assert_eq!((last.start, last.end), (4800, 8000), "{vendor:?}");
        assert_eq!((last.language.as_deref(), last.constrained), (Some("en-US"), false));
        for word in &*last.words {
            assert!((4800..=8000).contains(&word.start) && word.start <= word.end, "{word:?}");
        }
        if vendor.ends_turns() {
            let turn = rig.find(|event| match event {
                SttEvent::TurnEnd { position, confidence } => Some((*position, *confidence)),
                _ => None,
            });
            assert_eq!(turn.await, (8000, 0.75), "{vendor:?}");
        }
        let next = rig.utterance(&mut peer, "and so on", 4000).await;
        assert_eq!((next.id, next.start, next.end), (last.id + 1, 8000, 11_200), "{vendor:?}");
        assert_eq!(rig.input.dropped(), 0);
    }
}

#[tokio::test]
async fn the_same_partial_is_told_once() {
    for vendor in VENDORS {
        let mut rig = Rig::new(vendor, quick()).await;
        let mut peer = rig.accept().await;
        rig.push_ms(WHOLE_MS);
        peer.hear(1920).await;
        peer.partial("hello", 0, 800).await;
        peer.partial("hello", 0, 800).await;
        peer.last("hello there", 0, 1600).await;
        let all = [rig.words().await, rig.words().await];
        let finals: Vec<bool> = all.iter().map(|words| words.is_final).collect();
        assert_eq!(finals, [false, true], "{vendor:?}");
    }
}

#[tokio::test]
async fn a_slow_first_byte_loses_nothing() {
    for vendor in VENDORS {
        let mut rig = Rig::new(vendor, quick()).await;
        let (tcp, _) = rig.listener.accept().await.unwrap();
        rig.push_ms(12 * WHOLE_MS);
        let mut peer = Peer::upgrade(tcp, vendor).await;
        peer.hear(12 * 1920).await;
        assert_eq!(peer.audio, sound(4000, 4000 + 12 * 1920), "{vendor:?}");
        let words = rig.utterance(&mut peer, "late but whole", 16_000).await;
        assert_eq!((words.start, words.end), (20_000, 23_200), "{vendor:?}");
        assert_eq!(rig.input.dropped(), 0);
    }
}

#[tokio::test]
async fn split_and_large_messages_are_whole() {
    for vendor in VENDORS {
        let mut rig = Rig::new(vendor, quick()).await;
        let mut peer = rig.accept().await;
        rig.push_ms(4 * WHOLE_MS);
        peer.hear(7680).await;
        peer.splits = true;
        peer.last("grüße 😀 aus köln", 800, 4000).await;
        assert_eq!(&*rig.final_words().await.text, "grüße 😀 aus köln", "{vendor:?}");
        peer.splits = false;
        peer.padding = 1 << 20;
        let words = rig.utterance(&mut peer, "a large one", 4000).await;
        assert_eq!((words.start, words.end), (8000, 11_200), "{vendor:?}");
    }
}

#[tokio::test]
async fn unknown_messages_are_ignored() {
    for vendor in VENDORS {
        let mut rig = Rig::new(vendor, quick()).await;
        let mut peer = rig.accept().await;
        rig.push_ms(4 * WHOLE_MS);
        peer.hear(7680).await;
        for text in
            ["{\"type\":\"Novel\",\"x\":[1,{}]}", "{\"novel\":1}", "[]", "not JSON", "", "\"x\""]
        {
            peer.say(text).await;
        }
        peer.send(Message::Binary(vec![0; 100].into())).await;
        peer.send(Message::Ping(vec![1].into())).await;
        rig.utterance(&mut peer, "still here", 800).await;
    }
}

#[tokio::test]
async fn a_silent_engine_is_left_and_another_try_made() {
    // Side by side: each waits for its own silence.
    let mut all = tokio::task::JoinSet::new();
    for vendor in VENDORS {
        all.spawn(async move { silence_is_left(vendor).await });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
}

async fn silence_is_left(vendor: Vendor) {
    let limits = Limits { stall: Duration::from_secs(2), ..quick() };
    let mut rig = Rig::new(vendor, limits).await;
    let silent = Peer::accept_silent(&rig.listener, vendor).await;
    rig.push_ms(6000);
    let reason = rig.reconnecting().await;
    assert!(reason.contains("said nothing for 2000 ms"), "{vendor:?}: {reason}");
    let mut peer = rig.accept().await;
    rig.ready().await;
    peer.hear(1920).await;
    let words = rig.utterance(&mut peer, "back again", 0).await;
    // The last 2 s of the 6 were replayed.
    assert_eq!(words.start, 4000 + 32_000, "{vendor:?}");
    drop(silent);
}

#[tokio::test]
async fn a_busy_engine_is_asked_again_when_it_says() {
    for vendor in VENDORS {
        let mut rig = Rig::new(vendor, quick()).await;
        refuse(&rig.listener, "429 Too Many Requests", "Retry-After: 0\r\n").await;
        assert!(rig.reconnecting().await.contains("429"), "{vendor:?}");
        refuse(&rig.listener, "503 Service Unavailable", "").await;
        let mut peer = rig.accept().await;
        rig.push_ms(4 * WHOLE_MS);
        peer.hear(7680).await;
        rig.utterance(&mut peer, "at last", 800).await;
    }
    let limits = Limits { retry_after_max: Duration::from_secs(30), ..quick() };
    let mut rig = Rig::new(Vendor::Deepgram, limits).await;
    refuse(&rig.listener, "429 Too Many Requests", "Retry-After: 31\r\n").await;
    assert!(rig.unavailable().await.contains("not before 31 s"));
    assert_eq!(rig.event().await, None);
}

#[tokio::test]
async fn a_refusal_is_final_and_no_key_is_shown() {
    for vendor in VENDORS {
        for status in ["401 Unauthorized", "403 Forbidden", "400 Bad Request", "404 Not Found"] {
            let mut rig = Rig::new(vendor, quick()).await;
            refuse(&rig.listener, status, "").await;
            let event = rig.event().await;
            let Some(SttEvent::Unavailable(reason)) = &event else { panic!("{event:?}") };
            assert!(reason.contains(&status[..3]) && !reason.contains("k3y"), "{reason}");
            assert_eq!(rig.event().await, None, "{vendor:?}");
            rig.push_ms(1000);
            assert_eq!(rig.input.dropped(), 8000, "nobody takes it");
        }
    }
}

#[tokio::test]
async fn tries_are_bounded() {
    let mut rig = Rig::new(Vendor::Vosk, quick()).await;
    for _ in 0..4 {
        refuse(&rig.listener, "500 Oops", "").await;
        rig.reconnecting().await;
    }
    refuse(&rig.listener, "500 Oops", "").await;
    assert!(rig.unavailable().await.contains("(5 tries)"));
    assert_eq!(rig.event().await, None);
}

#[tokio::test]
async fn an_error_in_the_middle_is_a_new_connection() {
    for vendor in VENDORS {
        let mut rig = Rig::new(vendor, quick()).await;
        let mut peer = rig.accept().await;
        rig.push_ms(12 * WHOLE_MS);
        peer.hear(12 * 1920).await;
        let told = rig.utterance(&mut peer, "before it", 800).await;
        peer.fail().await;
        let reason = rig.reconnecting().await;
        assert!(reason.contains("out of order"), "{vendor:?}: {reason}");
        let mut peer = rig.accept().await;
        rig.ready().await;
        peer.hear(1920).await;
        let words = rig.utterance(&mut peer, "after it", 0).await;
        assert_eq!((told.id, words.id), (0, 1), "{vendor:?}");
        assert_eq!(words.start, 4000 + 12 * 1920 - 16_000, "{vendor:?}");
    }
}

#[tokio::test]
async fn a_refused_setup_is_final() {
    let mut rig = Rig::new(Vendor::OpenAi, quick()).await;
    let mut peer = rig.accept().await;
    let error = "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\
                 \"event_id\":\"setup\",\"message\":\"no such model\"}}";
    peer.say(error).await;
    assert!(rig.unavailable().await.contains("no such model"));
}

#[tokio::test]
async fn a_vanished_engine_hears_the_last_two_seconds_again() {
    for vendor in VENDORS {
        let mut rig = Rig::new(vendor, quick()).await;
        let mut peer = rig.accept().await;
        rig.push_ms(12 * WHOLE_MS);
        peer.hear(12 * 1920).await;
        drop(peer);
        rig.reconnecting().await;
        let mut peer = rig.accept().await;
        rig.ready().await;
        rig.push_ms(WHOLE_MS);
        peer.hear(16_000 + 1280).await;
        let from = 4000 + 12 * 1920 - 16_000;
        let heard = peer.audio.len() as u64;
        assert_eq!(peer.audio, sound(from, from + heard), "{vendor:?}");
        let words = rig.utterance(&mut peer, "once", 8000).await;
        assert_eq!((words.start, words.end), (from + 8000, from + 11_200), "{vendor:?}");
    }
}

#[tokio::test]
async fn told_words_are_not_told_again_after_a_loss() {
    for vendor in VENDORS {
        let mut rig = Rig::new(vendor, quick()).await;
        let mut peer = rig.accept().await;
        rig.push_ms(12 * WHOLE_MS);
        peer.hear(12 * 1920).await;
        // Final up to 0.4 s before the loss.
        let told = rig.utterance(&mut peer, "said and done", 12 * 1920 - 6400).await;
        drop(peer);
        rig.reconnecting().await;
        let mut peer = rig.accept().await;
        rig.ready().await;
        rig.push_ms(4 * WHOLE_MS);
        peer.hear(3200 + 4 * 1920 - 640).await;
        let heard = peer.audio.len() as u64;
        assert_eq!(peer.audio, sound(told.end, told.end + heard), "{vendor:?}: nothing twice");
        let next = rig.utterance(&mut peer, "something else", 3200).await;
        assert_eq!((next.start, next.end), (told.end + 3200, told.end + 6400), "{vendor:?}");
        assert_eq!(next.id, told.id + 1, "{vendor:?}");
    }
}

#[tokio::test]
async fn what_was_half_heard_long_before_a_loss_is_not_lost() {
    for vendor in VENDORS {
        let mut rig = Rig::new(vendor, quick()).await;
        let mut peer = rig.accept().await;
        rig.push_ms(4 * WHOLE_MS);
        peer.hear(4 * 1920).await;
        peer.partial("a long story", 800, 7200).await;
        let partial = rig.words().await;
        rig.push_ms(20 * WHOLE_MS);
        peer.hear(24 * 1920).await;
        drop(peer);
        let saved = rig.words().await;
        assert_eq!((&*saved.text, saved.is_final), ("a long story", true), "{vendor:?}");
        assert_eq!(saved.id, partial.id, "{vendor:?}");
        rig.reconnecting().await;
    }
}

#[tokio::test]
async fn an_engine_that_never_reads_costs_no_memory_and_no_time() {
    for vendor in VENDORS {
        let limits = Limits { send: Duration::from_millis(500), ..quick() };
        let mut rig = Rig::new(vendor, limits).await;
        let (tcp, _) = rig.listener.accept().await.unwrap();
        let stuck = tokio_tungstenite::accept_async(tcp).await.unwrap();
        let mut pushed = 0_u64;
        while rig.input.dropped() == 0 {
            // The kernel takes some megabytes before the socket is full.
            assert!(pushed < 6 * 3600, "nothing is ever dropped");
            rig.push_ms(1000);
            pushed += 1;
            tokio::task::yield_now().await;
        }
        let before = rig.input.dropped();
        rig.push_ms(60_000);
        assert!(rig.input.dropped() - before > 40 * 8000, "{vendor:?}: 10 s are kept");
        assert!(rig.reconnecting().await.contains("did not go on"), "{vendor:?}");
        drop(stuck);
    }
}

#[tokio::test]
async fn a_final_is_asked_for() {
    for vendor in VENDORS {
        let mut rig = Rig::new(vendor, quick()).await;
        let mut peer = rig.accept().await;
        rig.push_ms(1000);
        peer.hear(8000 - 640).await;
        peer.partial("please", 800, 4000).await;
        rig.words().await;
        rig.input.finalise();
        peer.hear_text(vendor.finalise()).await;
        assert!(peer.audio.len() >= 8000, "{vendor:?}: all of it was sent before");
        assert_eq!(peer.audio[..8000], sound(4000, 12_000));
        peer.last("please now", 800, 4800).await;
        let words = rig.final_words().await;
        assert_eq!(
            (&*words.text, words.start, words.end),
            ("please now", 4800, 8800),
            "{vendor:?}"
        );
        // What was filled up does not move what follows.
        rig.push_ms(4 * WHOLE_MS);
        peer.hear(8000 + 4 * 1920 - 640).await;
        let padded = peer.audio.iter().skip(8000).take_while(|sample| **sample == 0).count();
        let words = rig.utterance(&mut peer, "next", 8000 + padded as u64 + 800).await;
        assert_eq!(words.start, 12_000 + 800, "{vendor:?}");
    }
}

#[tokio::test]
async fn the_end_is_polite_and_the_last_words_are_waited_for() {
    for vendor in VENDORS {
        let mut rig = Rig::new(vendor, quick()).await;
        let mut peer = rig.accept().await;
        rig.push_ms(1000);
        rig.ready().await;
        let Rig { input, mut events, .. } = rig;
        drop(input);
        peer.hear_last(vendor.goodbye()).await;
        assert_eq!(peer.audio[..8000], sound(4000, 12_000), "{vendor:?}");
        peer.last("goodbye then", 800, 4800).await;
        peer.send(Message::Close(None)).await;
        let mut said = Vec::new();
        while let Some(event) = tokio::time::timeout(PATIENCE, events.recv()).await.unwrap() {
            if let SttEvent::Transcript(words) = event {
                said.push((words.text.to_string(), words.is_final));
            }
        }
        assert_eq!(said.last(), Some(&("goodbye then".to_owned(), true)), "{vendor:?}");
    }
}

#[tokio::test]
async fn words_without_a_final_are_final_at_the_end() {
    for vendor in VENDORS {
        let mut rig = Rig::new(vendor, quick()).await;
        let mut peer = rig.accept().await;
        rig.push_ms(WHOLE_MS);
        peer.hear(1920).await;
        peer.partial("cut off", 0, 1600).await;
        let partial = rig.words().await;
        let Rig { input, mut events, .. } = rig;
        drop(input);
        peer.hear_last(vendor.goodbye()).await;
        drop(peer);
        let event = tokio::time::timeout(PATIENCE, events.recv()).await.unwrap();
        let Some(SttEvent::Transcript(last)) = event else { panic!("{vendor:?}: {event:?}") };
        assert_eq!((&*last.text, last.is_final, last.id), ("cut off", true, partial.id));
        assert_eq!(events.recv().await, None, "{vendor:?}");
    }
}

#[tokio::test]
async fn a_session_without_goodbye_ends_when_nothing_is_owed() {
    let rig = Rig::new(Vendor::OpenAi, quick()).await;
    let mut peer = rig.accept().await;
    let Rig { input, mut events, .. } = rig;
    assert_eq!(events.recv().await, Some(SttEvent::Ready));
    drop(input);
    peer.closed().await;
    assert_eq!(tokio::time::timeout(PATIENCE, events.recv()).await.unwrap(), None);
}

#[tokio::test]
async fn a_line_without_audio_is_kept_alive() {
    let limits = Limits { keep_alive: Duration::from_millis(20), ..quick() };
    let mut rig = Rig::new(Vendor::Deepgram, limits).await;
    let mut peer = rig.accept().await;
    for _ in 0..3 {
        peer.hear_text("{\"type\":\"KeepAlive\"}").await;
    }
    rig.push_ms(WHOLE_MS);
    peer.hear_past("{\"type\":\"KeepAlive\"}", 1920).await;
    assert_eq!(peer.audio, sound(4000, 5920));
}

#[tokio::test]
async fn a_call_that_ends_while_connecting_leaves_no_task() {
    let rig = Rig::new(Vendor::Vosk, quick()).await;
    let (tcp, _) = rig.listener.accept().await.unwrap();
    let Rig { input, mut events, .. } = rig;
    drop(input);
    assert_eq!(tokio::time::timeout(PATIENCE, events.recv()).await.unwrap(), None);
    drop(tcp);
}

#[tokio::test]
async fn engines_are_found_counted_and_refused_by_name() {
    let none = Stt::new(SttSpec::default());
    assert!(!none.is_configured());
    assert_eq!(none.open(SttRequest::default()).err(), Some(SttUnavailable::NoEngine));
    let mut small = SttEngineSpec::new("small", SttEngineKind::Vosk);
    small.max_parallel = 1;
    small.language = Some("de-DE".to_owned());
    let stt = Stt::new(SttSpec { engines: vec![small, Vendor::Deepgram.spec()] });
    assert_eq!(stt.names(), ["small", "test"]);
    let ask = |engine: &str, language: &str, rate| SttRequest {
        engine: Some(engine.to_owned()),
        language: Some(language.to_owned()),
        rate,
        ..SttRequest::default()
    };
    let unknown = stt.open(ask("x", "de", 8000)).err().unwrap().to_string();
    assert_eq!(unknown, "there is no STT engine \"x\"; there are small, test");
    for wrong in [ask("small", "en-US", 8000), ask("small", "de", 11_025)] {
        let refused = stt.open(wrong).err().unwrap();
        assert!(matches!(refused, SttUnavailable::Unsuited { .. }), "{refused}");
    }
    let first = stt.open(ask("small", "de-AT", 8000)).unwrap();
    let busy = stt.open(SttRequest::default()).err().unwrap();
    assert_eq!(busy, SttUnavailable::Busy { name: "small".into(), max: 1 });
    let (input, mut events) = first;
    drop(input);
    while events.recv().await.is_some() {}
    // The seat is free when the task has ended, which is soon after.
    while stt.open(SttRequest::default()).is_err() {
        tokio::task::yield_now().await;
    }
}
