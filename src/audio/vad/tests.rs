//! Speech of Pico as a telephone carries it, noise, and tones. Figures are printed with
//! `--nocapture`.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::large_stack_arrays,
    reason = "sounds are made of numbers"
)]

use super::*;
use crate::audio::codec::g711::{decode_ulaw, encode_ulaw};
use crate::audio::resample::resample_whole;
use crate::speech::tts::pico::PicoVoice;
use crate::speech::tts::text::{EngineText, PicoText};
use crate::time::Rng;
use std::ops::ControlFlow;
use std::path::Path;

const HZ: u64 = 8_000;

/// Sentences of three voices at 8 kHz through µ-law, at −20 dBov or so.
pub(crate) fn sentences() -> Vec<Vec<i16>> {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/pico");
    let voices: [(&str, &str, &str, &[&str]); 3] = [
        (
            "en-US",
            "en-US_ta.bin",
            "en-US_lh0_sg.bin",
            &[
                "Good morning, I would like to book a table for two.",
                "Yes, please.",
                "No, that is not what I said, and you know it very well.",
                "My number is four one five, five five five, zero one two three.",
                "Hello?",
                "Should we meet in the evening instead?",
            ],
        ),
        (
            "de-DE",
            "de-DE_ta.bin",
            "de-DE_gl0_sg.bin",
            &["Guten Tag, ich hätte gerne einen Termin.", "Ja, das passt.", "Wie bitte?"],
        ),
        (
            "fr-FR",
            "fr-FR_ta.bin",
            "fr-FR_nk0_sg.bin",
            &["Bonjour, je voudrais parler au médecin.", "Oui, merci beaucoup."],
        ),
    ];
    let mut spoken = Vec::new();
    for (language, analysis, signal, texts) in voices {
        let mut voice = PicoVoice::load(&assets.join(analysis), &assets.join(signal)).unwrap();
        for text in texts {
            let mut samples = Vec::new();
            let text = PicoText::new(&EngineText::clean(text, language).0, 100, 100);
            voice
                .speak(&text, |piece| {
                    samples.extend_from_slice(piece);
                    ControlFlow::Continue(())
                })
                .unwrap();
            let wide: Vec<f32> = samples.iter().map(|&s| f32::from(s) / 32_768.0).collect();
            let (from, to) = (SampleRate::HZ_16000, SampleRate::HZ_8000);
            let narrow = resample_whole(&wide, from, to).unwrap();
            spoken.push(narrow.iter().map(|s| telephone(s * 0.3 * 32_768.0)).collect());
        }
    }
    spoken
}

pub(crate) fn telephone(sample: f32) -> i16 {
    decode_ulaw(encode_ulaw(sample.clamp(-32_000.0, 32_000.0) as i16))
}

/// First and one past the last sample of 10 ms within 30 dB of the loudest.
fn bounds(speech: &[i16]) -> (u64, u64) {
    let levels: Vec<f32> = speech.chunks(80).map(mean_square_dbov).collect();
    let peak = levels.iter().copied().fold(-96.0, f32::max);
    let loud = |level: &f32| *level > peak - 30.0;
    let first = levels.iter().position(loud).unwrap();
    let last = levels.iter().rposition(loud).unwrap();
    (first as u64 * 80, (last as u64 + 1) * 80)
}

/// Noise of a level in dBov; pink falls by 3 dB an octave.
pub(crate) fn noise(samples: usize, level: f32, pink: bool, seed: u64) -> Vec<f32> {
    let mut rng = Rng::from_seed([u8::try_from(seed).unwrap(); 32]);
    let mut uniform = || (rng.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0;
    let mut b = [0.0_f32; 3];
    let mut out: Vec<f32> = (0..samples)
        .map(|_| {
            let white = uniform();
            if !pink {
                return white;
            }
            // Kellet's economy filter.
            b[0] = 0.997_65 * b[0] + white * 0.099_046;
            b[1] = 0.963 * b[1] + white * 0.296_516_4;
            b[2] = 0.57 * b[2] + white * 1.052_691_3;
            b[0] + b[1] + b[2] + white * 0.184_8
        })
        .collect();
    let power = out.iter().map(|s| s * s).sum::<f32>() / samples as f32;
    let gain = 32_768.0 * 10_f32.powf(level / 20.0) / power.sqrt();
    for sample in &mut out {
        *sample *= gain;
    }
    out
}

pub(crate) fn tones(hz: &[f32], level: f32, length: u64) -> Vec<i16> {
    let each = 32_768.0 * 10_f32.powf(level / 20.0) * (2.0 / hz.len() as f32).sqrt();
    let at = |n: u64| n as f32 / HZ as f32 * std::f32::consts::TAU;
    (0..length).map(|n| telephone(hz.iter().map(|hz| each * (at(n) * hz).sin()).sum())).collect()
}

pub(crate) fn listen(samples: &[i16]) -> Vec<VadEvent> {
    let mut vad = Vad::new(SampleRate::HZ_8000);
    let mut events = Vec::new();
    for (n, packet) in samples.chunks(160).enumerate() {
        vad.push(n as u64 * 160, packet, &mut |event| events.push(event));
    }
    events
}

/// Starts and stops in pairs; the last voice may go on.
pub(crate) fn voices(events: &[VadEvent]) -> Vec<(u64, u64)> {
    let mut voices = Vec::new();
    for event in events {
        match *event {
            VadEvent::Started { position, level_dbov } => {
                assert!((-60.0..0.0).contains(&level_dbov), "{level_dbov}");
                assert!(voices.last().is_none_or(|&(_, end)| end <= position));
                voices.push((position, u64::MAX));
            }
            VadEvent::Stopped { position } => {
                let last = voices.last_mut().expect("a start before the stop");
                assert_eq!(last.1, u64::MAX, "two stops");
                assert!(position > last.0);
                last.1 = position;
            }
        }
    }
    voices
}

/// A line with the sentences, 1.2 s apart, and noise if wanted; and where they truly are.
fn line(level: Option<(f32, bool)>) -> (Vec<i16>, Vec<(u64, u64)>) {
    let mut speech = vec![0_i16; 12_000];
    let mut truth = Vec::new();
    for sentence in sentences() {
        let (first, last) = bounds(&sentence);
        let at = speech.len() as u64;
        truth.push((at + first, at + last));
        speech.extend_from_slice(&sentence);
        speech.extend_from_slice(&[0; 9_600]);
    }
    if let Some((level, pink)) = level {
        let noise = noise(speech.len(), level, pink, 7);
        for (sample, noise) in speech.iter_mut().zip(noise) {
            *sample = telephone(f32::from(*sample) + noise);
        }
    }
    (speech, truth)
}

#[test]
fn speech_is_found_where_it_is() {
    for (name, level) in [
        ("clean", None),
        ("white -45", Some((-45.0, false))),
        ("pink -45", Some((-45.0, true))),
        ("pink -35", Some((-35.0, true))),
    ] {
        let (samples, truth) = line(level);
        let found = voices(&listen(&samples));
        let (mut onsets, mut ends) = (Vec::new(), Vec::new());
        for &(first, last) in &truth {
            let inside = |v: &&(u64, u64)| v.0 < last && v.1 > first;
            let within: Vec<&(u64, u64)> = found.iter().filter(inside).collect();
            assert!(!within.is_empty(), "{name}: nothing found at {first}");
            onsets.push((within[0].0 as i64 - first as i64) / 8);
            ends.push((within[within.len() - 1].1.min(last + 8_000) as i64 - last as i64) / 8);
        }
        let strays = found.iter().filter(|v| !truth.iter().any(|t| v.0 < t.1 && v.1 > t.0)).count();
        println!("{name}: onsets {onsets:?} ms, ends {ends:?} ms, strays {strays}");
        onsets.sort_unstable_by_key(|onset| onset.abs());
        assert!(onsets[onsets.len() / 2].abs() <= 60, "{name}: {onsets:?}");
        ends.sort_unstable_by_key(|end| end.abs());
        assert!(ends[ends.len() / 2].abs() <= 120, "{name}: {ends:?}");
        assert_eq!(strays, 0, "{name}");
    }
}

#[test]
fn noise_alone_is_no_voice() {
    for (level, pink) in [(-45.0, false), (-45.0, true), (-60.0, false), (-35.0, false)] {
        for seed in [1, 2] {
            let noise = noise(160_000, level, pink, seed);
            let samples: Vec<i16> = noise.into_iter().map(telephone).collect();
            assert_eq!(listen(&samples), [], "{level} dBov, pink {pink}, seed {seed}");
            // The same beginning suddenly.
            let mut sudden = vec![0; 16_000];
            sudden.extend_from_slice(&samples);
            assert_eq!(listen(&sudden), [], "sudden, {level} dBov, pink {pink}, seed {seed}");
        }
    }
}

#[test]
fn tones_are_no_voice() {
    for (name, hz) in [
        ("key 1", &[697.0, 1_209.0][..]),
        ("key 5", &[770.0, 1_336.0]),
        ("key #", &[941.0, 1_477.0]),
        ("beep", &[1_000.0]),
        ("ringing, Europe", &[425.0]),
        ("ringing, US", &[440.0, 480.0]),
        ("busy, US", &[480.0, 620.0]),
        ("fax", &[2_100.0]),
    ] {
        for length in [800, 1_600, 8_000, 16_000] {
            let mut samples = vec![0_i16; 8_000];
            for _ in 0..4 {
                samples.extend(tones(hz, -15.0, length));
                samples.extend_from_slice(&[0; 4_000]);
            }
            assert_eq!(listen(&samples), [], "{name} for {} ms", length / 8);
        }
    }
}

#[test]
fn gaps_and_jumps_are_borne() {
    let (samples, _) = line(None);
    let mut vad = Vad::new(SampleRate::HZ_8000);
    let mut events = Vec::new();
    let mut position = 1 << 40;
    for (n, packet) in samples.chunks(160).enumerate() {
        match n % 97 {
            13 => position += 160,
            29 => position += 80_000,
            53 => position -= 40_000,
            _ => (),
        }
        vad.push(position, packet, &mut |event| events.push(event));
        position += packet.len() as u64;
    }
    let (mut sounding, mut starts) = (false, 0);
    for event in &events {
        let started = matches!(event, VadEvent::Started { .. });
        assert_ne!(started, sounding, "{events:?}");
        sounding = started;
        starts += u32::from(started);
    }
    assert!(starts > 5, "{events:?}");
    // At the end of all positions nothing overflows.
    vad.push(u64::MAX - 10, &samples[..20_000], &mut |_| ());
    vad.push(0, &samples, &mut |_| ());
}

#[test]
fn a_small_gap_does_not_split_a_voice() {
    let sentence = &sentences()[0];
    let starts = |lossy: bool| {
        let mut vad = Vad::new(SampleRate::HZ_8000);
        let mut starts = 0;
        let mut sink = |event| starts += u32::from(matches!(event, VadEvent::Started { .. }));
        for (n, packet) in sentence.chunks(160).enumerate().filter(|(n, _)| !lossy || n % 10 != 9) {
            vad.push(n as u64 * 160, packet, &mut sink);
        }
        starts
    };
    assert_eq!(starts(true), starts(false));
}

#[test]
fn the_pause_that_a_voice_may_make_is_configurable() {
    let sentence = &sentences()[3];
    let count = |hangover| {
        let rate = SampleRate::HZ_8000;
        let mut vad = Vad::new(rate).with_hangover(rate, Duration::from_millis(hangover));
        let mut stops = 0;
        let mut sink = |event| stops += u32::from(matches!(event, VadEvent::Stopped { .. }));
        vad.push(0, sentence, &mut sink);
        vad.push(sentence.len() as u64, &[0; 24_000], &mut sink);
        stops
    };
    assert_eq!(count(1_500), 1);
    assert!(count(50) > 1, "the pauses between the digits");
}

#[test]
fn wide_band_speech_is_heard_alike() {
    let narrow = &sentences()[0];
    let wide: Vec<i16> = narrow.iter().flat_map(|&s| [s, s]).collect();
    let mut vad = Vad::new(SampleRate::HZ_16000);
    let mut starts = Vec::new();
    vad.push(0, &[0; 16_000], &mut |_| ());
    vad.push(16_000, &wide, &mut |event| starts.push(event));
    let [VadEvent::Started { position, .. }, ..] = starts[..] else { panic!("{starts:?}") };
    assert!((16_000..22_000).contains(&position), "{position}");
}

#[test]
fn a_crowd_raises_what_is_wanted_for_a_while() {
    let mut vad = Vad::new(SampleRate::HZ_8000);
    let frames = |vad: &mut Vad, voiced: bool, seconds: u64| {
        (0..seconds * 1_000 / FRAME_MS).for_each(|_| vad.note(voiced, voiced));
    };
    frames(&mut vad, true, 4);
    assert!(vad.crowd.abs() < f32::EPSILON, "4 s may be one talker");
    frames(&mut vad, true, 6);
    assert!(vad.crowd > 0.1);
    frames(&mut vad, true, 60);
    assert!(vad.crowd <= CROWD_MAX && BEGIN_SCORE_NOISY + vad.crowd < 1.0);
    frames(&mut vad, false, 10);
    assert!(vad.crowd.abs() < f32::EPSILON);
}
