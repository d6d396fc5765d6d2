//! No splice clicks: at each, the band above the sound has no more power than beside it.
//!
//! The sound is a voice of harmonics below 1 kHz. What a step in the waveform adds lies above, where
//! there is next to nothing but the noise of G.711; a fade or a splice in phase adds little there.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "sound is made of numbers"
)]

use super::*;
use crate::audio::hurry::Hurry;
use std::f32::consts::TAU;

/// A click is heard when it stands so far out of what is beside it. Units: dB.
const HEARD_DB: f32 = 8.0;
/// What a step of the waveform, without a fade, has at least.
const STEP_DB: f32 = 15.0;
/// Above this is the band that is looked at. Units: Hz.
const BAND_HZ: f32 = 2_400.0;
/// Taps of the filter that leaves it.
const TAPS: usize = 63;
/// Samples of a stretch whose power is taken: 5 ms.
const WINDOW: usize = 40;

/// A voice: ten harmonics of a pitch that wanders about 100 Hz.
fn voice(samples: usize) -> Vec<i16> {
    let mut phase = 0.0_f32;
    let sample = |n: usize| {
        let pitch = 98.0 + 4.0 * (TAU * n as f32 / 16_000.0).sin();
        phase = (phase + pitch / 8_000.0).fract();
        let harmonics = (1..=9_u8).map(f32::from);
        let sum: f32 = harmonics.map(|k| (TAU * (k * phase + 0.13 * k * k)).cos() / k.sqrt()).sum();
        (sum * 2_500.0) as i16
    };
    (0..samples).map(sample).collect()
}

/// What is left of a sound above [`BAND_HZ`]: a windowed sinc, turned upside down.
fn above(sound: &[i16]) -> Vec<f32> {
    let middle = (TAPS / 2) as f32;
    let taps: Vec<f32> = (0..TAPS)
        .map(|n| {
            let (x, cut) = (n as f32 - middle, BAND_HZ / 8_000.0);
            let centre = n == TAPS / 2;
            let sinc = if centre { 2.0 * cut } else { (TAU * cut * x).sin() / (TAU / 2.0 * x) };
            let hann = 0.5 - 0.5 * (TAU * (n as f32 + 1.0) / (TAPS as f32 + 1.0)).cos();
            f32::from(u8::from(centre)) - sinc * hann
        })
        .collect();
    let reach = TAPS / 2;
    (0..sound.len())
        .map(|at| {
            let of = |n: usize| (at + n).checked_sub(reach).and_then(|i| sound.get(i));
            let products = taps.iter().enumerate();
            products.map(|(n, tap)| tap * of(n).map_or(0.0, |s| f32::from(*s))).sum()
        })
        .collect()
}

/// The most power of any stretch between these places.
fn most(band: &[f32], from: usize, to: usize) -> f32 {
    let stretches = band[from..to.min(band.len())].windows(WINDOW);
    let power = |stretch: &[f32]| stretch.iter().map(|s| s * s).sum::<f32>();
    stretches.map(power).fold(1.0, f32::max)
}

/// How far a splice stands out of the 200 ms of sound before it. Units: dB.
fn click_db(sound: &[i16], splice: usize) -> f32 {
    let band = above(sound);
    let before = most(&band, splice - 1_700, splice - 100);
    10.0 * (most(&band, splice - 80, splice + 120) / before).log10()
}

fn assert_no_click(what: &str, sound: &[i16], splices: &[usize]) {
    for splice in splices {
        let click = click_db(sound, *splice);
        println!("{what} at {splice}: {click:.1} dB");
        assert!(click < HEARD_DB, "{what} at {splice}: {click:.1} dB");
    }
}

/// A leg that plays a voice, and what it has sent.
struct Playing {
    rig: Rig,
    sent: Vec<i16>,
}

impl Playing {
    fn new() -> Self {
        let mut rig = Rig::agreed();
        rig.playout.push(&voice(12_000));
        let mut playing = Self { rig, sent: Vec::new() };
        playing.ticks(25);
        playing
    }

    fn ticks(&mut self, ticks: usize) {
        for _ in 0..ticks {
            let payload = self.rig.tick().unwrap().payload;
            self.sent.extend(self.rig.decoded(&payload));
        }
    }

    /// After a command: where it took effect.
    fn tell(&mut self, command: Command) -> usize {
        self.rig.tell(command);
        let at = self.sent.len();
        self.ticks(15);
        at
    }
}

#[test]
fn a_step_would_be_seen() {
    let mut clicks: Vec<f32> = (0..10)
        .map(|n| {
            let mut sound = voice(6_000);
            sound[4_000 + 13 * n..].fill(0);
            click_db(&sound, 4_000 + 13 * n)
        })
        .collect();
    clicks.sort_by(f32::total_cmp);
    println!("steps: {clicks:?} dB");
    assert!(clicks[1] > STEP_DB, "nine of ten: {clicks:?}");
}

#[test]
fn clears_pauses_mutes_and_tones_make_no_click() {
    for late in 0..4 {
        let mut clear = Playing::new();
        clear.ticks(late);
        let at = clear.tell(Command::Clear { up_to: 12_000, token: 1, fade: CLEAR_FADE });
        assert_no_click("clear", &clear.sent, &[at]);
        assert_eq!(clear.sent[at + 160..], [0; 14 * 160], "it took effect");

        let mut pause = Playing::new();
        pause.ticks(late);
        let paused = pause.tell(Command::Pause(true));
        let resumed = pause.tell(Command::Pause(false));
        assert_no_click("pause", &pause.sent, &[paused]);
        // Before the resumption it was silent: held against the voice before the pause.
        let band = above(&pause.sent);
        let usual = most(&band, paused - 1_700, paused - 100);
        let click = 10.0 * (most(&band, resumed - 80, resumed + 120) / usual).log10();
        assert!(click < HEARD_DB, "resume: {click:.1} dB");

        let mut mute = Playing::new();
        mute.ticks(late);
        let at = mute.tell(Command::Mute { playout: true, capture: false });
        assert_no_click("mute", &mute.sent, &[at]);

        let mut tone = Playing::new();
        tone.ticks(late);
        let ringback = crate::audio::progress::Tone {
            signal: crate::audio::progress::Signal::Ringback,
            plan: crate::audio::progress::Plan::Europe,
        };
        let begun = tone.tell(Command::Tone(Some(ringback)));
        let ended = tone.tell(Command::Tone(None));
        assert_no_click("tone", &tone.sent, &[begun, ended]);
    }
}

#[test]
fn a_ring_that_runs_dry_makes_no_click() {
    for length in [3_300, 3_350, 3_390, 3_437] {
        let mut rig = Rig::agreed();
        rig.playout.push(&voice(length));
        let mut playing = Playing { rig, sent: Vec::new() };
        playing.ticks(40);
        let last = playing.sent.iter().rposition(|sample| *sample != 0).unwrap();
        assert_no_click("underrun", &playing.sent, &[last]);
    }
}

#[test]
fn concealment_makes_no_click_at_either_end() {
    for (lost, first) in [(1, 30), (1, 33), (2, 31), (3, 35)] {
        let sound = voice(70 * 160);
        let mut rig = Rig::agreed();
        rig.tell(Command::Listen(true));
        let mut heard = Vec::new();
        for (n, frame) in sound.chunks_exact(160).enumerate() {
            if (first..first + lost).contains(&n) {
                rig.speak(false);
            } else {
                rig.say(frame);
            }
            rig.tick();
            heard.extend(rig.heard());
        }
        let made_up = heard.iter().any(|(header, _)| header.kind == FrameKind::Concealed);
        assert!(made_up, "{lost} lost from {first}");
        let sound: Vec<i16> = heard.into_iter().flat_map(|(_, samples)| samples).collect();
        let ends = [first, first + lost].map(|n| n * 160);
        assert_no_click(&format!("concealment of {lost}"), &sound, &ends);
    }
}

#[test]
fn what_catches_up_makes_no_click() {
    let sound = voice(24_000);
    let mut hurry = Hurry::new(SampleRate::HZ_8000);
    let (mut out, mut cuts) = (Vec::new(), Vec::new());
    for (n, piece) in sound.chunks(160).enumerate() {
        let excess = if n > 20 { 800 } else { 0 };
        hurry.pass(piece, excess, &mut out, |cut| cuts.push(cut.at));
    }
    hurry.settle(&mut out);
    assert!(cuts.len() > 10, "{cuts:?}");
    let band = above(&out);
    let usual = most(&band, 400, 2_800);
    // The end of the sound itself is a step.
    for cut in cuts.into_iter().filter(|cut| cut + 400 < out.len()) {
        let click = 10.0 * (most(&band, cut - 120, cut + 120) / usual).log10();
        assert!(click < HEARD_DB, "at {cut}: {click:.1} dB");
    }
}
