//! Beeps of mailboxes, and what is none: other tones and speech.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "sounds are made of numbers"
)]

use super::*;
use crate::audio::vad::tests::{sentences, telephone, tones};

fn beeps(samples: &[i16]) -> Vec<Beep> {
    let mut detector = BeepDetector::new(SampleRate::HZ_8000);
    let mut beeps = Vec::new();
    for (n, packet) in samples.chunks(160).enumerate() {
        detector.push(n as u64 * 160, packet, &mut |beep| beeps.push(beep));
    }
    beeps
}

/// Half a second of silence on both sides.
fn between_silences(sound: &[i16]) -> Vec<i16> {
    let mut samples = vec![0; 4_003];
    samples.extend_from_slice(sound);
    samples.extend_from_slice(&[0; 4_000]);
    samples
}

#[test]
fn beeps_of_mailboxes_are_found() {
    for (hz, ms) in [
        (440.0, 250),
        (500.0, 300),
        (850.0, 500),
        (1_000.0, 130),
        (1_000.0, 600),
        (1_400.0, 400),
        (1_000.0, 1_900),
        (1_950.0, 200),
    ] {
        for level in [-12.0, -30.0] {
            let length = ms * 8;
            let heard = beeps(&between_silences(&tones(&[hz], level, length)));
            let [Beep { position, pitch_hz }] = heard[..] else {
                panic!("{hz} Hz {ms} ms: {heard:?}")
            };
            assert!((pitch_hz - hz).abs() < hz * 0.02, "{hz} Hz taken for {pitch_hz}");
            let end = (4_003 + length) as i64;
            assert!((position as i64 - end).abs() <= 80, "{hz} Hz ends at {end}, not {position}");
        }
    }
}

#[test]
fn other_tones_are_no_beeps() {
    for (name, hz, ms) in [
        ("too short", &[1_000.0][..], 60),
        ("too long", &[1_000.0], 2_500),
        ("too low", &[300.0], 400),
        ("fax", &[2_100.0], 500),
        ("ringing, Europe", &[425.0], 1_000),
        ("busy, Europe", &[425.0], 480),
        ("ringing, US", &[440.0, 480.0], 2_000),
        ("ringing, UK", &[400.0, 450.0], 400),
        ("dial, US", &[350.0, 440.0], 1_000),
        ("busy, US", &[480.0, 620.0], 500),
        ("key 1", &[697.0, 1_209.0], 200),
        ("key 5", &[770.0, 1_336.0], 200),
        ("key D", &[941.0, 1_633.0], 200),
    ] {
        let heard = beeps(&between_silences(&tones(hz, -15.0, ms * 8)));
        assert_eq!(heard, [], "{name}");
    }
}

#[test]
fn a_beep_stands_out_of_noise_and_follows_speech() {
    let mut samples = sentences().swap_remove(0);
    samples.extend_from_slice(&[0; 2_400]);
    let begins = samples.len();
    samples.extend(tones(&[1_000.0], -15.0, 4_000));
    samples.extend_from_slice(&[0; 4_000]);
    let mut state = 1_u32;
    for sample in &mut samples {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // About −55 dBov.
        *sample = telephone(f32::from(*sample) + (state >> 16) as f32 / 327.68 - 100.0);
    }
    let heard = beeps(&samples);
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!((heard[0].position as i64 - (begins as i64 + 4_000)).abs() < 80);
}

#[test]
fn speech_is_no_beep() {
    for sentence in sentences() {
        assert_eq!(beeps(&between_silences(&sentence)), []);
        // Nor are its pieces, between silences.
        for piece in sentence.chunks(1_600) {
            assert_eq!(beeps(&between_silences(piece)), []);
        }
    }
}

#[test]
fn rates_and_hostile_input_are_borne() {
    for hz in [8_000, 16_000, 24_000, 44_100, 48_000, 192_000, 1] {
        let rate = SampleRate::new(hz).unwrap();
        let mut detector = BeepDetector::new(rate);
        let mut heard = Vec::new();
        let tone = |n: u32| {
            let phase = n as f32 / hz as f32 * 1_000.0 * std::f32::consts::TAU;
            (9_000.0 * phase.sin()) as i16
        };
        let sound: Vec<i16> = (0..hz / 2).map(tone).chain((0..hz / 2).map(|_| 0)).collect();
        detector.push(0, &sound, &mut |beep| heard.push(beep));
        let known = (8_000..=48_000).contains(&hz);
        assert_eq!(heard.len(), usize::from(known), "{hz} Hz: {heard:?}");
        detector.push(u64::MAX - 5, &[i16::MIN; 4_000], &mut |_| ());
        detector.push(3, &[i16::MAX, i16::MIN].repeat(4_000), &mut |_| ());
    }
}
