//! Prompts beside a media leg that is stepped by hand, in virtual time.

use super::*;
use crate::app::fake::FakeLeg;
use crate::app::hearing::HearingWish;
use crate::call::record::BargeView;
use crate::turn::barge::{BargeWish, Mode};

struct Rig {
    leg: FakeLeg,
    control: mpsc::Sender<Control>,
    reports: mpsc::Receiver<Report>,
    task: JoinHandle<()>,
}

impl Rig {
    fn new(source: Source, repeat: u32) -> Self {
        Self::with(source, repeat, None)
    }

    fn with(source: Source, repeat: u32, amd: Option<AmdSpec>) -> Self {
        Self::wishing(source, repeat, HearingWish { amd, ..HearingWish::default() })
    }

    fn wishing(source: Source, repeat: u32, wish: HearingWish) -> Self {
        let (control, from_driver) = mpsc::channel(64);
        let (to_driver, reports) = mpsc::channel(64);
        let (hearing, amd) = (wish.of_prompt(HearingSpec::default()), wish.amd);
        let (sample_rate, transcribe) = (8000, None);
        let spec = PromptSpec { source, repeat, sample_rate, transcribe, hearing, amd };
        let mut task = PromptTask::new(spec, from_driver, to_driver);
        let (leg, line, ears) = FakeLeg::line();
        task.take_leg((line, ears));
        Self { leg, control, reports, task: tokio::spawn(task.run()) }
    }

    fn started(source: Source, repeat: u32) -> Self {
        let rig = Self::new(source, repeat);
        rig.control.try_send(Control::Start).ok().unwrap();
        rig
    }

    async fn beats(&mut self, beats: usize) {
        for _ in 0..beats {
            self.leg.beat().await;
        }
    }

    fn reports(&mut self) -> Vec<Report> {
        std::iter::from_fn(|| self.reports.try_recv().ok()).collect()
    }
}

fn piece(count: usize) -> SpeechPiece {
    SpeechPiece { samples: samples(count), words: Vec::new() }
}

fn samples(count: usize) -> Arc<[i16]> {
    (0..30_000_i16).cycle().take(count).collect()
}

#[tokio::test(start_paused = true)]
async fn a_prompt_plays_once_from_the_start_and_its_end_is_told() {
    let mut rig = Rig::new(Source::Samples(samples(40_000)), 1);
    rig.beats(20).await;
    assert!(rig.leg.sent.is_empty());
    rig.control.try_send(Control::Start).ok().unwrap();
    rig.beats(250).await;
    assert!(rig.reports().is_empty());
    rig.beats(3).await;
    assert_eq!(rig.leg.sent[..], samples(40_000)[..]);
    assert_eq!(rig.reports(), [Report::PlaybackDone { played_ms: 5000 }]);
    assert!(rig.leg.obeyed.contains(&Command::End { position: 40_000 }));
}

#[tokio::test(start_paused = true)]
async fn one_prompt_is_shared_by_all_calls() {
    let prompt = samples(40_000);
    let mut rigs: Vec<Rig> =
        (0..5).map(|_| Rig::started(Source::Samples(Arc::clone(&prompt)), 1)).collect();
    for rig in &mut rigs {
        rig.beats(2).await;
    }
    assert_eq!(Arc::strong_count(&prompt), 6);
}

#[tokio::test(start_paused = true)]
async fn it_repeats_as_often_as_told_or_for_ever() {
    let mut rig = Rig::started(Source::Samples(samples(300)), 3);
    rig.beats(20).await;
    assert_eq!(rig.leg.sent[..], samples(300).repeat(3)[..]);
    assert_eq!(rig.reports(), [Report::PlaybackDone { played_ms: 112 }]);

    let mut rig = Rig::started(Source::Samples(samples(300)), 0);
    rig.beats(500).await;
    assert!(rig.leg.sent.len() > 79_000);
    assert!(rig.reports().is_empty());
    rig.control
        .try_send(Control::Stop { reason: "completed", sip_code: None, duration_ms: 0 })
        .ok()
        .unwrap();
    rig.task.await.unwrap();
    assert!(rig.leg.is_closed());
}

#[tokio::test(start_paused = true)]
async fn nothing_to_play_is_done_at_once() {
    for repeat in [0, 1, 2] {
        let mut rig = Rig::started(Source::Samples(samples(0)), repeat);
        rig.beats(3).await;
        assert_eq!(rig.reports(), [Report::PlaybackDone { played_ms: 0 }]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_voice_is_heard_before_it_has_finished() {
    let (voice, speech) = Speech::pipe();
    let mut rig = Rig::started(Source::Speech(speech), 2);
    assert!(voice.push(piece(800)));
    rig.beats(10).await;
    assert_eq!(rig.leg.sent.len(), 800);
    assert!(voice.push(piece(400)));
    voice.finish();
    rig.beats(30).await;
    let round: Vec<i16> = samples(800).iter().chain(samples(400).iter()).copied().collect();
    assert_eq!(rig.leg.sent, round.repeat(2));
    assert_eq!(rig.reports(), [Report::PlaybackDone { played_ms: 300 }]);
}

#[tokio::test(start_paused = true)]
async fn a_fast_voice_waits_for_room() {
    let (voice, speech) = Speech::pipe();
    let mut rig = Rig::started(Source::Speech(speech), 1);
    let mut given = 0;
    for _ in 0..50 {
        while voice.waiting() < 4 * 8000 {
            assert!(voice.push(piece(8000)));
            given += 1;
        }
        rig.beats(1).await;
    }
    assert!(given <= 9, "{given} s were taken in 1 s");
}

#[tokio::test(start_paused = true)]
async fn a_voice_that_fails_fails_the_call() {
    let (voice, speech) = Speech::pipe();
    let mut rig = Rig::started(Source::Speech(speech), 1);
    voice.fail("no such voice".into());
    rig.beats(5).await;
    assert_eq!(rig.reports(), [Report::Failed { detail: "no such voice".into() }]);
}

#[tokio::test(start_paused = true)]
async fn events_of_the_leg_reach_the_call_and_digits_the_leg() {
    let mut rig = Rig::started(Source::Samples(samples(8000)), 0);
    rig.leg.events.push_back(Event::Dtmf {
        digit: b'7',
        duration_ms: 90,
        position: 0,
        inband: true,
    });
    rig.leg.events.push_back(Event::Quiet { silent: Duration::from_secs(5) });
    rig.control
        .try_send(Control::SendDtmf { digits: "5".repeat(40), duration_ms: None, gap_ms: None })
        .ok()
        .unwrap();
    rig.beats(5).await;
    let method = HeardBy::Inband;
    let digit = Report::Dtmf { digit: b'7', duration_ms: 90, method };
    assert_eq!(rig.reports(), [digit, Report::Quiet]);
    let sent = rig.leg.obeyed.iter().filter(|order| matches!(order, Command::Dtmf { .. }));
    assert_eq!(sent.count(), 2);
    rig.leg = FakeLeg::line().0;
    tokio::time::sleep(REFILL).await;
    assert!(matches!(rig.reports()[..], [Report::Failed { .. }]));
}

/// The caller says this, 20 ms at a time.
async fn hear(rig: &mut Rig, sound: &[i16]) {
    for frame in sound.chunks_exact(160) {
        rig.leg.hear(frame);
        rig.beats(1).await;
    }
}

fn judged(rig: &mut Rig) -> Vec<String> {
    let of = |report: Report| match report {
        Report::Answered(answerer) => Some(answerer.answered_by),
        Report::Ended { reason, .. } => Some(format!("{reason:?}")),
        Report::PlaybackDone { played_ms } => Some(format!("played {played_ms}")),
        _ => None,
    };
    rig.reports().into_iter().filter_map(of).collect()
}

fn amd(sync: bool, action: AmdAction) -> AmdSpec {
    AmdSpec { sync, action, machine: crate::turn::machine::MachineSpec::default() }
}

/// Somebody who says these sentences, and then listens.
fn voice(sentences: &[usize], then_ms: usize) -> Vec<i16> {
    let all = crate::audio::vad::tests::sentences();
    let mut sound = vec![0; 4_000];
    for sentence in sentences {
        sound.extend_from_slice(&all[*sentence]);
        sound.extend([0; 1_600]);
    }
    sound.extend(vec![0; then_ms * 8]);
    sound
}

#[tokio::test(start_paused = true)]
async fn a_prompt_waits_for_a_person() {
    let content = Source::Samples(samples(4_000));
    let mut rig = Rig::with(content, 1, Some(amd(true, AmdAction::LeaveMessage)));
    rig.control.try_send(Control::Start).ok().unwrap();
    // "Yes, please."
    let sound = voice(&[1], 1_500);
    hear(&mut rig, &sound[..16_000]).await;
    assert!(rig.leg.sent.is_empty() && rig.leg.is_listening());
    hear(&mut rig, &sound[16_000..]).await;
    assert_eq!(rig.leg.sent[..], samples(4_000)[..]);
    assert_eq!(judged(&mut rig), ["human", "played 500"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_begins_anew_behind_the_beep() {
    for sync in [true, false] {
        let content = Source::Samples(samples(80_000));
        let mut rig = Rig::with(content, 1, Some(amd(sync, AmdAction::LeaveMessage)));
        rig.control.try_send(Control::Start).ok().unwrap();
        hear(&mut rig, &voice(&[0, 3], 200)).await;
        assert_eq!(judged(&mut rig), ["machine"]);
        let before = rig.leg.sent.len();
        assert_eq!(before == 0, sync, "{before}");
        hear(&mut rig, &crate::audio::vad::tests::tones(&[1_000.0], -15.0, 3_200)).await;
        assert_eq!(rig.leg.sent.len(), before, "it is quiet while the greeting lasts");
        hear(&mut rig, &vec![0; 16_000]).await;
        let said = &rig.leg.sent[before..];
        assert!(said.len() > 12_000, "{}", said.len());
        assert_eq!(said[..12_000], samples(12_000)[..], "from its first sample");
        assert!(!rig.leg.is_listening(), "there is nothing more to hear");
        rig.beats(600).await;
        assert_eq!(rig.leg.sent[before..], samples(80_000)[..]);
        assert_eq!(judged(&mut rig).len(), 1, "played to its end");
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_may_end_the_call_or_not_matter() {
    for (action, wanted) in
        [(AmdAction::Hangup, vec!["machine", "AmdMachine"]), (AmdAction::Report, vec!["machine"])]
    {
        let content = Source::Samples(samples(160_000));
        let mut rig = Rig::with(content, 1, Some(amd(false, action)));
        rig.control.try_send(Control::Start).ok().unwrap();
        hear(&mut rig, &voice(&[0, 3], 0)).await;
        assert_eq!(judged(&mut rig), wanted);
        assert!(rig.leg.sent.len() > 16_000, "the first word was not held");
    }
}

/// What was told of voices and keys, and of the end.
fn interrupted(rig: &mut Rig) -> Vec<String> {
    let of = |report: Report| match report {
        Report::BargeIn(barge) => {
            let BargeView { by, action, position_ms, played_ms } = *barge;
            assert_eq!(position_ms.is_some(), by == "speech");
            Some(format!("{by} {action} {played_ms}"))
        }
        Report::PlaybackDone { played_ms } => Some(format!("played {played_ms}")),
        _ => None,
    };
    rig.reports().into_iter().filter_map(of).collect()
}

/// A prompt of 10 s that a voice or key does this to, a second of which has been played.
async fn playing(mode: Mode, more: BargeWish) -> Rig {
    let barge = BargeWish { mode: Some(mode), ..more };
    let wish = HearingWish { barge, ..HearingWish::default() };
    let mut rig = Rig::wishing(Source::Samples(samples(80_000)), 1, wish);
    rig.control.try_send(Control::Start).ok().unwrap();
    hear(&mut rig, &[0; 8_000]).await;
    assert!(rig.leg.sent.len() > 7_000, "{}", rig.leg.sent.len());
    rig
}

fn key() -> Event {
    Event::Dtmf { digit: b'5', duration_ms: 90, position: 0, inband: false }
}

/// Milliseconds that have left.
fn sent_ms(rig: &Rig) -> usize {
    rig.leg.sent.len() / 8
}

#[tokio::test(start_paused = true)]
async fn a_voice_or_key_ends_a_prompt_and_its_length_is_exact() {
    for by in ["speech", "dtmf"] {
        let mut rig = playing(Mode::Clear, BargeWish::default()).await;
        if by == "speech" {
            hear(&mut rig, &voice(&[0], 500)).await;
        } else {
            rig.leg.events.push_back(key());
            hear(&mut rig, &[0; 1_600]).await;
        }
        let sent = sent_ms(&rig);
        assert!(sent < 2_500, "{sent}");
        let wanted = [format!("{by} cleared {sent}"), format!("played {sent}")];
        assert_eq!(interrupted(&mut rig), wanted);
        rig.beats(100).await;
        assert_eq!((sent_ms(&rig), rig.reports()), (sent, vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_voice_that_is_only_told_stops_nothing() {
    let mut rig = playing(Mode::Notify, BargeWish::default()).await;
    let before = sent_ms(&rig);
    hear(&mut rig, &voice(&[0], 500)).await;
    rig.leg.events.push_back(key());
    hear(&mut rig, &vec![0; 60_000]).await;
    let told = interrupted(&mut rig);
    assert_eq!(told.len(), 3, "{told:?}");
    let at: usize = told[0].strip_prefix("speech notified ").unwrap().parse().unwrap();
    assert!((before..before + 1_000).contains(&at), "{told:?}");
    assert!(told[1].starts_with("dtmf notified ") && told[2] == "played 10000", "{told:?}");
    assert_eq!(rig.leg.sent[..], samples(80_000)[..]);
    // Where only keys count, a voice is not told either.
    let keys = BargeWish { on_speech: Some(false), ..BargeWish::default() };
    let mut rig = playing(Mode::Notify, keys).await;
    hear(&mut rig, &voice(&[0], 500)).await;
    assert_eq!(interrupted(&mut rig), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_waits_for_nobody_longer_than_its_time() {
    let wish = |confirm_late| BargeWish {
        decision: Some(Duration::from_secs(1)),
        confirm_late: Some(confirm_late),
        ..BargeWish::default()
    };
    // Nobody decides: it goes on, and nothing is lost.
    let mut rig = playing(Mode::Pause, wish(false)).await;
    hear(&mut rig, &voice(&[0], 0)[..12_000]).await;
    let paused = sent_ms(&rig);
    assert_eq!(interrupted(&mut rig), [""; 0]);
    hear(&mut rig, &[0; 1_600]).await;
    assert_eq!(sent_ms(&rig), paused, "it stands still");
    hear(&mut rig, &vec![0; 80_000]).await;
    let wanted = [format!("speech resumed {paused}"), "played 10000".to_owned()];
    assert_eq!(interrupted(&mut rig), wanted);
    assert_eq!(rig.leg.sent[..], samples(80_000)[..]);
    // Or it is over.
    let mut rig = playing(Mode::Pause, wish(true)).await;
    rig.leg.events.push_back(key());
    hear(&mut rig, &[0; 1_600]).await;
    let paused = sent_ms(&rig);
    assert_eq!(interrupted(&mut rig), [""; 0]);
    hear(&mut rig, &vec![0; 12_000]).await;
    let wanted = [format!("dtmf cleared {paused}"), format!("played {paused}")];
    assert_eq!(interrupted(&mut rig), wanted);
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_is_being_made_can_be_cut() {
    let (voice, speech) = Speech::pipe();
    let barge = BargeWish { mode: Some(Mode::Clear), ..BargeWish::default() };
    let wish = HearingWish { barge, ..HearingWish::default() };
    let mut rig = Rig::wishing(Source::Speech(speech), 3, wish);
    rig.control.try_send(Control::Start).ok().unwrap();
    assert!(voice.push(piece(16_000)));
    hear(&mut rig, &[0; 8_000]).await;
    rig.leg.events.push_back(key());
    hear(&mut rig, &[0; 800]).await;
    assert_eq!(interrupted(&mut rig).len(), 2);
    assert!(!voice.push(piece(800)), "nobody makes what nobody hears");
}

#[tokio::test(start_paused = true)]
async fn a_greeting_interrupts_nothing() {
    let barge = BargeWish { mode: Some(Mode::Clear), ..BargeWish::default() };
    let amd = Some(amd(false, AmdAction::LeaveMessage));
    let wish = HearingWish { amd, barge, after_hello: false };
    let mut rig = Rig::wishing(Source::Samples(samples(80_000)), 1, wish);
    rig.control.try_send(Control::Start).ok().unwrap();
    hear(&mut rig, &voice(&[0, 3], 200)).await;
    assert_eq!(interrupted(&mut rig), [""; 0]);
    hear(&mut rig, &crate::audio::vad::tests::tones(&[1_000.0], -15.0, 3_200)).await;
    let before = rig.leg.sent.len();
    hear(&mut rig, &vec![0; 100_000]).await;
    assert_eq!(rig.leg.sent[before..], samples(80_000)[..], "the message was left");
}

#[tokio::test(start_paused = true)]
async fn a_message_waits_for_the_beep_it_was_told_to_wait_for() {
    let mut amd = amd(true, AmdAction::LeaveMessage);
    (amd.machine.beep, amd.machine.beep_timeout) = (true, Duration::from_secs(20));
    let mut rig = Rig::with(Source::Samples(samples(8_000)), 1, Some(amd));
    rig.control.try_send(Control::Start).ok().unwrap();
    // Five seconds of silence are no beep.
    let greeting = voice(&[0, 3], 5_000);
    hear(&mut rig, &greeting).await;
    assert!(rig.leg.sent.is_empty());
    hear(&mut rig, &crate::audio::vad::tests::tones(&[1_000.0], -15.0, 3_200)).await;
    hear(&mut rig, &vec![0; 16_000]).await;
    assert_eq!(rig.leg.sent[..], samples(8_000)[..]);
    let beeps: Vec<u64> = rig
        .reports()
        .into_iter()
        .filter_map(|report| match report {
            Report::Beep { position_ms } => Some(position_ms),
            _ => None,
        })
        .collect();
    let end = greeting.len() as u64 / 8 + 400;
    assert!(beeps.len() == 1 && beeps[0].abs_diff(end) <= 10, "{beeps:?} for {end}");
}

#[tokio::test(start_paused = true)]
async fn a_prompt_may_wait_for_the_end_of_a_hello() {
    let wish = HearingWish { after_hello: true, ..HearingWish::default() };
    let mut rig = Rig::wishing(Source::Samples(samples(4_000)), 1, wish);
    rig.control.try_send(Control::Start).ok().unwrap();
    // "Hello?"
    let sound = voice(&[4], 1_000);
    let spoken = sound.iter().rposition(|sample| sample.abs() > 300).unwrap();
    let (said, rest) = sound.split_at(spoken / 160 * 160);
    hear(&mut rig, said).await;
    assert!(rig.leg.sent.is_empty() && rig.leg.is_listening());
    hear(&mut rig, &rest[..2_400]).await;
    assert!(rig.leg.sent.is_empty(), "300 ms are a pause");
    hear(&mut rig, rest).await;
    assert_eq!(rig.leg.sent[..], samples(4_000)[..]);
    assert!(!rig.leg.is_listening(), "there is nothing more to hear");
    // Nobody speaks, and no packet comes.
    let mut rig = Rig::wishing(Source::Samples(samples(4_000)), 1, wish);
    rig.control.try_send(Control::Start).ok().unwrap();
    rig.beats(149).await;
    assert!(rig.leg.sent.is_empty());
    rig.beats(30).await;
    assert_eq!(rig.leg.sent[..], samples(4_000)[..]);
}
