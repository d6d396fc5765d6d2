//! Closed loop with real engines: Pico speaks, G.711 carries, PocketSphinx listens.

use super::super::{Stt, SttEngineKind, SttInput, SttSpec};
use super::*;
use crate::audio::codec::g711::{decode_ulaw, encode_ulaw};
use crate::speech::tts::{SpeakRequest, Tts, TtsSpec};
use tokio::sync::mpsc::Receiver;

const PHRASES: [&str; 20] = [
    "I would like to cancel my appointment",
    "please call me back tomorrow morning",
    "the meeting starts at three o'clock",
    "yes that is correct thank you",
    "no I do not want that",
    "can you repeat the last question",
    "I need to speak with a person",
    "my order has not arrived yet",
    "please send the invoice by mail",
    "what are your opening hours today",
    "I want to change my address",
    "the weather is very nice today",
    "could you please hold the line",
    "I have lost my credit card",
    "when does the next train leave",
    "please connect me to the sales department",
    "how much does the ticket cost",
    "I will pay the bill on friday",
    "the package was damaged on arrival",
    "thank you very much for your help",
];

/// What is in no phrase.
const ELSE: [&str; 3] = [
    "Elephants drink an astonishing amount of water every single day.",
    "My grandmother bakes seven kinds of bread in her kitchen.",
    "Quantum computers remain rather difficult to program.",
];

/// What Pico says, as it arrives over µ-law at 8 kHz.
async fn spoken(voice: &str, texts: &[&str]) -> Vec<Vec<i16>> {
    let dir = tempfile::tempdir().unwrap();
    let tts = Tts::start(TtsSpec::built_in(dir.path().join("voices")));
    let mut all = Vec::new();
    for text in texts {
        let mut speech = tts.speak(SpeakRequest::new(voice, text)).unwrap();
        let mut samples = Vec::new();
        while let Some(piece) = speech.next().await {
            samples.extend_from_slice(&piece.unwrap().samples);
        }
        all.push(samples.iter().map(|sample| decode_ulaw(encode_ulaw(*sample))).collect());
    }
    all
}

fn engine() -> SttEngineSpec {
    SttEngineSpec::new("sphinx", SttEngineKind::Sphinx)
}

fn request(phrases: &[&str]) -> SttRequest {
    let phrases = phrases.iter().map(|phrase| (*phrase).to_owned()).collect();
    SttRequest { phrases, ..SttRequest::default() }
}

fn push(input: &mut SttInput, position: &mut u64, samples: &[i16]) {
    for packet in samples.chunks(160) {
        input.push(*position, packet);
        *position += packet.len() as u64;
    }
}

async fn final_words(events: &mut Receiver<SttEvent>) -> Transcript {
    loop {
        let event = tokio::time::timeout(Duration::from_secs(60), events.recv()).await.unwrap();
        match event.expect("a transcript") {
            SttEvent::Transcript(words) => return words,
            SttEvent::Unavailable(reason) => panic!("{reason}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn pico_speaks_twenty_phrases_and_all_are_understood() {
    for voice in ["en-US-001", "en-GB-001"] {
        understands(voice).await;
    }
}

async fn understands(voice: &'static str) {
    let utterances = spoken(voice, &PHRASES).await;
    let stt = Stt::new(SttSpec { engines: vec![engine()] });
    let (mut input, mut events) = stt.open(request(&PHRASES)).unwrap();
    let mut position = 100_000;
    let mut understood = Vec::new();
    for (n, samples) in utterances.iter().enumerate() {
        push(&mut input, &mut position, &[0; 4000]);
        let start = position;
        push(&mut input, &mut position, samples);
        // Half of them end by the gate, half when it is asked for.
        if n % 2 == 0 {
            push(&mut input, &mut position, &[0; 8000]);
        } else {
            input.finalise();
        }
        let words = final_words(&mut events).await;
        assert!(words.start >= start - 800 && words.end <= position, "{words:?} from {start}");
        assert_eq!((words.is_final, words.constrained, words.confidence), (true, true, None));
        assert_eq!(words.id, n as u64);
        understood.push(words.text.to_string());
    }
    assert_eq!(understood, PHRASES, "{voice}");
    drop(input);
    while events.recv().await.is_some() {}
}

#[tokio::test]
async fn speech_outside_the_list_is_labelled_and_lists_can_change() {
    let mut texts = ELSE.to_vec();
    texts.push(PHRASES[3]);
    let utterances = spoken("en-US-001", &texts).await;
    let stt = Stt::new(SttSpec { engines: vec![engine()] });
    let (mut input, mut events) = stt.open(request(&PHRASES[..3])).unwrap();
    let mut position = 0;
    let mut said = Vec::new();
    let mut note = |event: SttEvent| {
        if let SttEvent::Transcript(words) = &event {
            assert!(words.constrained && words.confidence.is_none(), "{words:?}");
            said.push(words.text.to_string());
        }
        matches!(event, SttEvent::SpeechEnded(_))
    };
    for samples in &utterances[..3] {
        push(&mut input, &mut position, &[0; 4000]);
        push(&mut input, &mut position, samples);
        push(&mut input, &mut position, &[0; 8000]);
        // The queue holds 10 s, and all of this is faster than speech.
        while !note(events.recv().await.unwrap()) {}
    }
    input.set_phrases(vec![PHRASES[3].to_owned(), PHRASES[4].to_owned()]);
    push(&mut input, &mut position, &utterances[3]);
    assert_eq!(input.dropped(), 0);
    drop(input);
    while let Some(event) = events.recv().await {
        note(event);
    }
    assert_eq!(said.last().map(String::as_str), Some(PHRASES[3]));
    let outside = &said[..said.len() - 1];
    // Three sentences about something else: most of them are heard as one of the list.
    println!("outside the list: {outside:?}");
    assert!(outside.iter().all(|text| PHRASES[..3].contains(&text.as_str())), "{outside:?}");
}

#[tokio::test]
async fn what_it_cannot_do_is_refused() {
    let refused = |spec: SttEngineSpec, request: SttRequest| {
        let stt = Stt::new(SttSpec { engines: vec![spec] });
        stt.open(request).err().expect("a refusal").to_string()
    };
    assert!(refused(engine(), request(&[])).contains("needs a list of phrases"));
    let unknown = refused(engine(), request(&["press 1 for Zwölf"]));
    assert!(unknown.contains("lacks \"1\", \"zwölf\""), "{unknown}");
    let german = SttRequest { language: Some("de-DE".into()), ..request(&["yes please"]) };
    assert!(refused(engine(), german).contains("knows en-US, not de-DE"));
    let mut lost = engine();
    lost.model_path = Some("/nonexistent/model".into());
    assert!(refused(lost, request(&["yes please"])).contains("cmudict-model.dict"));
    let stt = Stt::new(SttSpec { engines: vec![engine()] });
    let (mut input, mut events) = stt.open(request(&["yes please"])).unwrap();
    input.set_phrases(vec!["qwrtz".into()]);
    assert_eq!(events.recv().await, Some(SttEvent::Ready));
    let event = events.recv().await;
    assert!(matches!(&event, Some(SttEvent::Unavailable(reason)) if reason.contains("qwrtz")));
    assert_eq!(events.recv().await, None);
}

#[test]
fn a_broken_model_is_told_and_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("words.dict"), "yes Y EH S\nplease P L IY Z\n").unwrap();
    let mut spec = engine();
    spec.model_path = Some(dir.path().to_owned());
    let sphinx = Arc::new(Sphinx::start(&spec));
    let grammar = sphinx.grammar(&["Yes, please".to_owned()]).unwrap();
    for _ in 0..2 {
        let outcome = sphinx.pool.recognise(vec![0; 8000], 8000, Arc::clone(&grammar));
        assert!(outcome.blocking_recv().unwrap().unwrap_err().contains("cannot load"));
    }
}
