//! Tones of networks through µ-law and noise, and what is none. Figures are printed with
//! `--nocapture`.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "sounds are made of numbers"
)]

use super::*;
use crate::audio::vad::tests::{sentences, telephone};
use std::f32::consts::TAU;

/// Pitches and milliseconds; no pitch is silence.
type Part<'a> = (&'a [f32], u32);

fn noise(state: &mut u32, amplitude: f32) -> f32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    ((*state >> 8) as f32 / 8_388_608.0 - 1.0) * amplitude
}

/// Parts through µ-law, with noise of this amplitude, tones at this one.
fn sound(parts: &[Part<'_>], level: f32, hiss: f32) -> Vec<i16> {
    let mut state = 7;
    let mut out = Vec::new();
    for (hz, ms) in parts {
        let each = level / (hz.len().max(1) as f32).sqrt();
        for n in 0..ms * 8 {
            let t = n as f32 / 8_000.0;
            let tone: f32 = hz.iter().map(|hz| each * (TAU * (hz * t).fract()).sin()).sum();
            out.push(telephone(tone + noise(&mut state, hiss)));
        }
    }
    out
}

fn heard(rate: SampleRate, samples: &[i16]) -> Vec<HeardTone> {
    let mut detector = ProgressDetector::new(rate);
    let mut heard = Vec::new();
    for (n, frame) in samples.chunks(160).enumerate() {
        detector.push(n as u64 * 160, frame, &mut |tone| heard.push(tone));
    }
    heard
}

fn kinds(samples: &[i16]) -> Vec<ToneKind> {
    heard(SampleRate::HZ_8000, samples).iter().map(|tone| tone.kind).collect()
}

fn made(signal: Signal, plan: Plan, rate: SampleRate, seconds: usize) -> Vec<i16> {
    let mut tone = ProgressTone::new(signal, plan, rate);
    let mut samples = vec![0; rate.hz() as usize * seconds];
    tone.fill(&mut samples);
    samples.iter().map(|s| telephone(f32::from(*s))).collect()
}

#[test]
fn what_is_made_is_understood_at_both_rates() {
    for (signal, kind) in [
        (Signal::Ringback, ToneKind::Ringback),
        (Signal::Busy, ToneKind::Busy),
        (Signal::Reorder, ToneKind::Reorder),
        (Signal::SpecialInformation, ToneKind::SpecialInformation),
        (Signal::Dial, ToneKind::Dial),
    ] {
        for plan in [Plan::America, Plan::Europe] {
            for rate in [SampleRate::HZ_8000, SampleRate::HZ_16000] {
                let tones = heard(rate, &made(signal, plan, rate, 9));
                println!("{signal:?} {plan:?} {}: {tones:?}", rate.hz());
                let [tone] = tones[..] else { panic!("{signal:?} {plan:?}: {tones:?}") };
                assert_eq!(tone.kind, kind, "{signal:?} {plan:?}");
                assert!(tone.position <= u64::from(rate.hz()) / 25, "{tone:?}");
                assert!((0.5..=1.0).contains(&tone.confidence) && !tone.reason.is_empty());
            }
        }
    }
}

#[test]
fn tones_of_other_countries_and_of_fax() {
    let uk: &[Part<'_>] =
        &[(&[400.0, 450.0], 400), (&[], 200), (&[400.0, 450.0], 400), (&[], 2_000)];
    let uk_busy: &[Part<'_>] =
        &[(&[400.0], 375), (&[], 375), (&[400.0], 375), (&[], 375), (&[400.0], 375)];
    let cng: &[Part<'_>] = &[(&[], 500), (&[1_100.0], 500), (&[], 3_000), (&[1_100.0], 500)];
    let ced: &[Part<'_>] = &[(&[], 1_800), (&[2_100.0], 3_000)];
    for (name, parts, kind) in [
        ("ringing, UK", uk, ToneKind::Ringback),
        ("busy, UK", uk_busy, ToneKind::Busy),
        ("CNG", cng, ToneKind::FaxCalling),
        ("CED", ced, ToneKind::FaxAnswer),
    ] {
        for (level, hiss) in [(8_000.0, 10.0), (1_000.0, 15.0), (8_000.0, 200.0)] {
            let found = kinds(&sound(parts, level, hiss));
            assert_eq!(found, [kind], "{name} at {level} with {hiss}");
        }
    }
}

#[test]
fn phase_reversals_make_a_modem_of_a_fax() {
    for (modulated, off) in [(false, 0.0), (true, 0.0), (true, 10.0)] {
        let samples: Vec<i16> = (0..28_000_u32)
            .map(|n| {
                let t = n as f32 / 8_000.0;
                let turns = if (n / 3_600) % 2 == 1 { 0.5 } else { 0.0 };
                let am = if modulated { 1.0 + 0.2 * (TAU * 15.0 * t).sin() } else { 1.0 };
                telephone(6_000.0 * am * (TAU * (((2_100.0 + off) * t).fract() + turns)).sin())
            })
            .collect();
        let found = kinds(&samples);
        assert!(found.contains(&ToneKind::ModemAnswer), "{modulated} {off}: {found:?}");
        assert!(found.len() <= 2, "{found:?}");
    }
}

#[test]
fn a_tone_is_told_once_and_again_after_a_while() {
    let ring: Part<'_> = (&[440.0, 480.0], 2_000);
    let six = [ring, (&[], 4_000)].repeat(6);
    assert_eq!(kinds(&sound(&six, 5_000.0, 10.0)), [ToneKind::Ringback]);
    let later = [ring, (&[], 12_000), ring];
    assert_eq!(kinds(&sound(&later, 5_000.0, 10.0)), [ToneKind::Ringback; 2]);
}

#[test]
fn what_is_no_progress_tone() {
    let key: Part<'_> = (&[770.0, 1_336.0], 100);
    let beep: Part<'_> = (&[1_000.0], 600);
    let rows: [(&str, Vec<Part<'_>>); 5] = [
        ("keys", [key, (&[], 100)].repeat(20)),
        ("beep", vec![(&[], 1_000), beep, (&[], 2_000)]),
        ("a hum", vec![(&[50.0, 150.0], 5_000)]),
        ("a whistle", vec![(&[1_250.0], 3_000), (&[1_600.0], 3_000)]),
        ("short", [(&[425.0][..], 100), (&[][..], 500)].repeat(10)),
    ];
    for (name, parts) in rows {
        assert_eq!(kinds(&sound(&parts, 6_000.0, 15.0)), [], "{name}");
    }
    let mut speech = Vec::new();
    for sentence in sentences() {
        speech.extend_from_slice(&sentence);
        speech.extend_from_slice(&[0; 4_000]);
    }
    assert_eq!(kinds(&speech), []);
}

#[test]
fn recorded_prompts_are_no_progress_tones() {
    let mut seconds = 0;
    let mut wrong = Vec::new();
    for (path, samples) in crate::audio::dtmf::tests::prompts() {
        seconds += samples.len() / 8_000;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // Files that are tones.
        if ["beep", "ring", "tone", "ascending"].iter().any(|part| name.contains(part)) {
            continue;
        }
        wrong.extend(
            heard(SampleRate::HZ_8000, &samples).into_iter().map(|tone| (name.clone(), tone)),
        );
    }
    println!("{seconds} s of prompts: {wrong:?}");
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn gaps_and_any_samples_are_survived() {
    let mut detector = ProgressDetector::new(SampleRate::HZ_8000);
    let mut state = 3;
    let mut position = 1 << 40;
    for n in 0..2_000_usize {
        let samples: Vec<i16> = (0..n % 333).map(|_| noise(&mut state, 40_000.0) as i16).collect();
        detector.push(position, &samples, &mut |_| ());
        position =
            if n % 17 == 0 { position.wrapping_mul(3) } else { position + samples.len() as u64 };
    }
    detector.push(u64::MAX - 3, &[i16::MIN; 400], &mut |_| ());
}

#[test]
fn a_beep_sounds_once() {
    let mut beep = ProgressTone::new(Signal::Beep, Plan::Europe, SampleRate::HZ_8000);
    let mut samples = vec![0; 8_000];
    beep.fill(&mut samples);
    let (sound, rest) = samples.split_at(1_600);
    let crossings = sound.windows(2).filter(|pair| pair[0] <= 0 && pair[1] > 0).count();
    assert!((195..=201).contains(&crossings), "{crossings}");
    assert!(sound.iter().any(|sample| *sample > 3_000) && rest.iter().all(|sample| *sample == 0));
}
