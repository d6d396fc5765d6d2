//! What a fallback voice says, and when; and the real programs of this machine.

use super::*;

async fn speak_with_spare(rig: &Rig, text: &str) -> (Vec<i16>, Option<String>) {
    let request = SpeakRequest { live: true, ..SpeakRequest::new("w", text) };
    let (samples, _, error) = listen(rig.tts.speak(request).unwrap()).await;
    (samples, error)
}

#[tokio::test]
async fn a_voice_that_fails_before_its_first_sound_is_replaced() {
    for behaviour in [Behaviour::Throttle, Behaviour::SilentStall, Behaviour::WrongContent] {
        let rig = Rig::new(Kind::OpenAi, behaviour).await;
        let (samples, error) = speak_with_spare(&rig, TEXT).await;
        assert_eq!(error, None, "{behaviour:?}");
        assert!(samples.len() > 4000, "Pico spoke");
        assert_eq!(rig.stats().fallbacks, 1);
        // What a fallback said is not kept for the voice.
        let (_, error) = speak_with_spare(&rig, TEXT).await;
        assert_eq!(error, None);
        assert_eq!(rig.stats().fallbacks, 2);
    }
}

#[tokio::test]
async fn once_heard_the_rest_of_the_sentence_is_lost_and_the_next_is_spoken_by_the_spare() {
    let rig = Rig::new(Kind::OpenAi, Behaviour::BreakMiddle).await;
    let two = format!("{TEXT} This second sentence is for the other voice.");
    let (samples, error) = speak_with_spare(&rig, &two).await;
    assert_eq!(error, None);
    let broken = sound().iter().zip(&samples).take_while(|(a, b)| a == b).count();
    assert!((1000..8000).contains(&broken), "{broken}");
    assert!(samples.len() > broken + 8000, "Pico spoke the second");
    // When nothing follows, the loss is told.
    let (samples, error) = speak_with_spare(&rig, TEXT).await;
    assert!(!samples.is_empty() && error.is_some());
}

#[tokio::test]
async fn prompts_leave_a_place_for_agents() {
    let rig = Rig::new(Kind::OpenAi, Behaviour::StallMiddle).await;
    let prompts: Vec<Speech> = (0..10)
        .map(|n| rig.tts.speak(SpeakRequest::new("v", &format!("Prompt number {n}."))).unwrap())
        .collect();
    until("six prompts are asked for", || rig.stats().sentences == 6).await;
    let mut live = rig.speak(TEXT);
    assert!(live.next().await.unwrap().is_ok(), "the agent does not wait for the prompts");
    drop(prompts);
}

#[tokio::test]
async fn an_engine_without_a_free_place_is_not_to_blame() {
    let rig = Rig::new(Kind::OpenAi, Behaviour::SilentStall).await;
    let host = rig.tts.host("x").unwrap();
    let all = host.places.acquire_many(8).await.unwrap();
    for _ in 0..4 {
        let (_, _, error) = listen(rig.speak(TEXT)).await;
        assert!(error.unwrap().contains("all its places are taken for 300 ms"));
    }
    assert_eq!((rig.stats().sentences, rig.stats().open), (0, None));
    drop(all);
}

#[tokio::test]
async fn espeak_speaks_if_it_is_there() {
    if std::process::Command::new("espeak-ng").arg("--version").output().is_err() {
        println!("skipped: espeak-ng is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut engine = TtsEngineSpec::new("espeak", TtsEngineKind::Command);
    engine.command =
        ["espeak-ng", "--stdout", "-v", "{voice}", "-s", "{wpm}"].map(String::from).into();
    engine.first_audio = Duration::from_secs(20);
    let tts = Tts::start(TtsSpec {
        voice_dir: dir.path().join("voices"),
        threads: 1,
        engines: vec![engine],
        voices: Vec::new(),
        level_dbov: Some(-20.0),
        rate: 8000,
        cache_bytes: 0,
    });
    let request =
        SpeakRequest::new("espeak:en-us", "The quick brown fox jumps over it. $(id) `id`");
    let (samples, _, error) = listen(tts.speak(request).unwrap()).await;
    assert_eq!(error, None);
    let floats: Vec<f32> = samples.iter().map(|&s| f32::from(s) / 32768.0).collect();
    let level = crate::audio::gain::active_level(&floats, SampleRate::HZ_8000).unwrap();
    assert!((level + 20.0).abs() < 4.0 && samples.len() > 12_000, "{level} {}", samples.len());
}
