#![expect(clippy::cast_precision_loss, reason = "a few seconds of samples")]

use super::*;
use std::time::Duration;

fn spec(dir: &std::path::Path) -> TtsSpec {
    TtsSpec {
        voice_dir: dir.join("voices"),
        threads: 1,
        engines: Vec::new(),
        voices: vec![voices::pico_alias("house", "en-GB")],
        level_dbov: Some(-20.0),
        rate: 8000,
        cache_bytes: 16 << 20,
    }
}

fn start(dir: &std::path::Path) -> Tts {
    Tts::start(spec(dir))
}

async fn collect(mut speech: Speech) -> Result<Vec<SpeechPiece>, String> {
    let mut all = Vec::new();
    while let Some(piece) = speech.next().await {
        all.push(piece?);
    }
    Ok(all)
}

fn say(tts: &Tts, voice: &str, text: &str) -> Result<Speech, TtsError> {
    tts.speak(SpeakRequest::new(voice, text))
}

fn samples(pieces: &[SpeechPiece]) -> Vec<i16> {
    pieces.iter().flat_map(|piece| piece.samples.iter().copied()).collect()
}

fn seconds(pieces: &[SpeechPiece]) -> f64 {
    samples(pieces).len() as f64 / 8000.0
}

#[tokio::test]
async fn every_voice_speaks_at_a_sound_level() {
    let dir = tempfile::tempdir().unwrap();
    let tts = start(dir.path());
    for voice in tts.voices() {
        let pieces = collect(say(&tts, &voice.id, "Radio 1, 2, 3. Hotel.").unwrap()).await.unwrap();
        let all = samples(&pieces);
        let rms =
            (all.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / all.len() as f64).sqrt();
        let dbov = 20.0 * (rms / 32768.0).log10();
        assert!((0.5..12.0).contains(&seconds(&pieces)), "{} {}", voice.id, seconds(&pieces));
        assert!((-27.0..-16.0).contains(&dbov), "{} at {dbov:.1} dBov", voice.id);
        assert!(collect(tts.sample(&voice.id).unwrap()).await.is_ok());
    }
}

#[tokio::test]
async fn markup_in_a_text_writes_no_file_and_plays_none() {
    let dir = tempfile::tempdir().unwrap();
    let tts = start(dir.path());
    let target = dir.path().join("written.wav");
    for tag in ["genfile", "usesig", "play"] {
        let text = format!(
            "Before <{tag} file=\"{0}\">hello there my friend</{tag}> \u{1}\u{0}after &lt;{tag} file=\"{0}\"/&gt; and on.",
            target.display()
        );
        let pieces = collect(say(&tts, "en-US-001", &text).unwrap()).await.unwrap();
        assert!(seconds(&pieces) > 2.0, "the words are still spoken");
        assert!(!target.exists(), "<{tag}> was obeyed");
    }
    // The tag works when it is let in, so the test above can fail.
    let resources = voices::pico("en-US").unwrap();
    let (analysis, signal) = voices::install(dir.path(), resources).unwrap();
    let mut engine = pico::PicoVoice::load(&analysis, &signal).unwrap();
    let raw = format!("<genfile file=\"{}\">hello</genfile>", target.display());
    let obeyed = text::PicoText::unchecked_for_test(&raw);
    engine.speak(&obeyed, |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert!(target.exists());
}

#[tokio::test]
async fn a_long_text_comes_sentence_by_sentence_and_can_be_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let tts = start(dir.path());
    let long = "This is one of a great many sentences in a long text. ".repeat(80);
    let mut speech = say(&tts, "en-US-001", &long).unwrap();
    let first = speech.next().await.unwrap().unwrap();
    assert!(first.samples.len() < 8000 * 8, "the first sound is one sentence");
    drop(speech);
    let next = say(&tts, "house", "And now for something else.").unwrap();
    assert!(seconds(&collect(next).await.unwrap()) > 0.5);
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while tts.shared.speeches.available_permits() < SPEECHES_MAX {
        assert!(std::time::Instant::now() < until, "the dropped text is still spoken");
        tokio::task::yield_now().await;
    }
    let voice = tts.find("en-US-001").unwrap();
    let key = key_of(SpeakRequest::new("en-US-001", &long), &voice, 1.0);
    assert!(tts.shared.cache().find(&key).is_none());
    assert!(tts.stats()[0].sentences < 20, "it works ahead of its listener, but not far");
}

#[tokio::test]
async fn the_same_text_is_made_once_and_repeats_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let tts = start(dir.path());
    let say = async |repeat| {
        let request = SpeakRequest::new("en-US-001", "Your code is ready.");
        collect(tts.speak(SpeakRequest { repeat, ..request }).unwrap()).await.unwrap()
    };
    let once = say(1).await;
    let again = say(1).await;
    assert!(Arc::ptr_eq(&once[0].samples, &again[0].samples), "from the cache");
    let thrice = say(3).await;
    assert_eq!(thrice.len(), 3 * once.len() + 2);
    let fresh = start(dir.path());
    let request =
        SpeakRequest { repeat: 3, ..SpeakRequest::new("en-US-001", "Your code is ready.") };
    assert_eq!(collect(fresh.speak(request).unwrap()).await.unwrap(), thrice);
    assert_eq!(fresh.stats()[0].sentences, 1);
}

#[tokio::test]
async fn calls_that_ask_for_the_same_words_share_their_making() {
    let dir = tempfile::tempdir().unwrap();
    let tts = start(dir.path());
    let text = "This is said to everybody. And it is made only once, as it should be.";
    let speeches: Vec<Speech> = (0..20).map(|_| say(&tts, "house", text).unwrap()).collect();
    let mut heard = Vec::new();
    for (number, speech) in speeches.into_iter().enumerate() {
        // Some hang up; the others hear all of it.
        if number % 3 != 0 {
            heard.push(samples(&collect(speech).await.unwrap()));
        }
    }
    assert!(heard.iter().all(|samples| *samples == heard[0] && samples.len() > 16_000));
    assert_eq!(tts.stats()[0].sentences, 2);
    assert!(tts.shared.making().is_empty());
    // When all have hung up it ends, and the next begins anew.
    drop(say(&tts, "house", "Nobody waits for this one.").unwrap());
    let next = collect(say(&tts, "house", "Nobody waits for this one.").unwrap()).await;
    assert!(seconds(&next.unwrap()) > 0.5);
    assert_eq!(say(&tts, "house", &"x ".repeat(40_000)).err(), Some(TtsError::TooLong));
}

#[tokio::test]
async fn the_ends_of_sentences_are_told_where_they_lie() {
    let dir = tempfile::tempdir().unwrap();
    let tts = start(dir.path());
    let text = "This is the first sentence & more. And this is the second one.";
    let pieces = collect(say(&tts, "en-US-001", text).unwrap()).await.unwrap();
    let words: Vec<_> = pieces.iter().flat_map(|piece| piece.words.clone()).collect();
    let ends: Vec<usize> = words.iter().map(|word| word.text_end).collect();
    assert_eq!(ends, [text.find(" And").unwrap(), text.len()]);
    let length = Duration::from_secs_f64(seconds(&pieces));
    assert!(words[0].end > Duration::from_millis(500) && words[0].end < words[1].end);
    assert!(words[1].end.abs_diff(length) < Duration::from_millis(1), "{words:?} {length:?}");
}

#[tokio::test]
async fn ssml_pauses_speaks_in_manners_and_is_never_heard() {
    let dir = tempfile::tempdir().unwrap();
    let tts = start(dir.path());
    let text = "<speak>Good morning &amp; welcome. <break time=\"2s\"/><prosody volume=\"x-soft\">\
        This part is whispered.</prosody></speak>";
    let request = SpeakRequest { ssml: true, ..SpeakRequest::new("en-US-001", text) };
    let pieces = collect(tts.speak(request.clone()).unwrap()).await.unwrap();
    let all = samples(&pieces);
    let silent = |window: &[i16]| window.iter().all(|sample| *sample == 0);
    let pause = all.windows(16_000).position(silent).expect("two seconds of silence");
    let peak = |samples: &[i16]| samples.iter().map(|s| s.unsigned_abs()).max().unwrap();
    assert!(peak(&all[pause + 16_000..]) < peak(&all[..pause]) / 2);
    let ends: Vec<usize> =
        pieces.iter().flat_map(|piece| &piece.words).map(|word| word.text_end).collect();
    assert!(text[..ends[0]].ends_with("welcome.") && *ends.last().unwrap() > ends[0], "{ends:?}");
    // The same as plain text is read out, markup and all that it says.
    let plain = SpeakRequest { ssml: false, ..request };
    let read = collect(tts.speak(plain).unwrap()).await.unwrap();
    assert!(samples(&read) != all);
    let bomb = "<!DOCTYPE x [<!ENTITY a \"b\">]><speak>&a;</speak>";
    let bomb = SpeakRequest { ssml: true, ..SpeakRequest::new("en-US-001", bomb) };
    assert!(matches!(tts.check(&bomb), Err(TtsError::Ssml(_))));
    assert!(matches!(tts.speak(bomb), Err(TtsError::Ssml(_))));
}

#[tokio::test]
async fn fallbacks_in_a_circle_end_and_every_sentence_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(dir.path());
    let mut dead = TtsEngineSpec::new("dead", TtsEngineKind::OpenAi);
    dead.url = Some("http://127.0.0.1:1".into());
    spec.engines.push(dead);
    for (id, next) in [("a", "b"), ("b", "c"), ("c", "a")] {
        let fallback = Some(next.to_owned());
        spec.voices.push(Voice { fallback, ..Voice::new(id, "dead", id, "en-US") });
    }
    let tts = Tts::start(spec);
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    tts.observe(move |report| listener.lock().unwrap().push(report.clone()));
    let error = collect(say(&tts, "a", "Hello there.").unwrap()).await.unwrap_err();
    assert!(error.starts_with("speech engine dead: "), "{error}");
    let error = collect(say(&tts, "a", "Hello again.").unwrap()).await.unwrap_err();
    assert!(error.contains("left alone"), "{error}");
    let told: Vec<SentenceReport> = told.lock().unwrap().clone();
    let voices: Vec<&str> = told.iter().map(|report| report.voice.as_str()).collect();
    assert_eq!(voices, ["a", "b", "c", "a", "b", "c"]);
    let failed = |report: &SentenceReport| matches!(report.outcome, SentenceOutcome::Failed(_));
    let skipped = |report: &SentenceReport| matches!(report.outcome, SentenceOutcome::Skipped(_));
    assert!(told[..3].iter().all(failed) && told[3..].iter().all(skipped), "{told:?}");
}

#[tokio::test]
async fn speed_and_loudness_follow_request_and_voice() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(dir.path());
    let house = spec.voices[0].clone();
    spec.voices.push(Voice { id: "fast".into(), speed: 1.5, ..house.clone() });
    spec.voices.push(Voice { id: "soft".into(), gain_db: -12.0, ..house });
    let tts = Tts::start(spec);
    let text = "The quick brown fox jumps over the lazy dog.";
    let plain = collect(say(&tts, "house", text).unwrap()).await.unwrap();
    let fast = collect(say(&tts, "fast", text).unwrap()).await.unwrap();
    let slow = SpeakRequest { speed: 0.5, ..SpeakRequest::new("house", text) };
    let slow = collect(tts.speak(slow).unwrap()).await.unwrap();
    assert!(seconds(&fast) < seconds(&plain) * 0.8, "{} {}", seconds(&fast), seconds(&plain));
    assert!(seconds(&slow) > seconds(&plain) * 1.5, "{} {}", seconds(&slow), seconds(&plain));
    let soft = collect(say(&tts, "soft", text).unwrap()).await.unwrap();
    let loud = |pieces: &[SpeechPiece]| samples(pieces).iter().map(|s| s.unsigned_abs()).max();
    assert!(loud(&soft).unwrap() < loud(&plain).unwrap() / 3);
}

#[tokio::test]
async fn bad_requests_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let tts = start(dir.path());
    let error = say(&tts, "xx", "Hello").err().unwrap();
    let TtsError::UnknownVoice { known, .. } = &error else { panic!("{error}") };
    assert!(known.contains(&"house".to_owned()) && error.to_string().contains("en-US-001"));
    for voice in ["pico:xx", "pico:", "nobody:en-US", "pico:../en-US", "pico:-f", "pico:a\nb"] {
        assert!(tts.find(voice).is_err(), "{voice}");
    }
    let stray = Voice::new("stray", "gone", "x", "en-US");
    let stray = Tts::start(TtsSpec { voices: vec![stray], ..spec(dir.path()) });
    let error = stray.check(&SpeakRequest::new("stray", "Hello.")).unwrap_err();
    assert!(error.to_string().contains("\"gone\", which is not configured"), "{error}");
    assert_eq!(tts.check(&SpeakRequest::new("house", "Hello.")), Ok(()));
    assert!(collect(say(&tts, "pico:de-DE", "Hallo.").unwrap()).await.is_ok());
    assert_eq!(say(&tts, "en-US-001", " \n.").err(), Some(TtsError::NothingToSay));
    let blocked = tempfile::NamedTempFile::new().unwrap();
    let spec = TtsSpec { voice_dir: blocked.path().to_owned(), ..spec(dir.path()) };
    let error = collect(say(&Tts::start(spec), "en-US-001", "Hello there.").unwrap()).await;
    let error = error.unwrap_err();
    assert!(error.starts_with("speech engine pico: voice files"), "{error}");
}

#[tokio::test]
async fn strange_texts_do_not_stop_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    let tts = start(dir.path());
    for text in ["a".repeat(5000), "😀🎉 你好".into(), "<<< &&& >>>".into(), "1".repeat(900)]
    {
        if let Ok(speech) = say(&tts, "de-DE-001", &text) {
            let _ = collect(speech).await;
        }
    }
    let next = collect(say(&tts, "de-DE-001", "Guten Tag.").unwrap()).await.unwrap();
    assert!(seconds(&next) > 0.3);
}

#[test]
fn without_a_runtime_nothing_is_spoken() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(say(&start(dir.path()), "house", "Hello.").err(), Some(TtsError::NoRuntime));
}
