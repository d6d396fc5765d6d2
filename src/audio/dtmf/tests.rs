//! Q.24 as a table: what must be taken, what must not, and speech.

#![allow(
    clippy::cast_possible_truncation,
    clippy::manual_midpoint,
    reason = "samples are made from small formulas"
)]

use super::*;
use crate::audio::codec::{CodecId, Way};
use crate::audio::tone::DigitTones;
use proptest::prelude::*;

const ALL: &[u8; 16] = b"0123456789*#ABCD";

/// How a run of digits sounds.
#[derive(Clone, Copy)]
struct Sound {
    rate: u32,
    tone_ms: f32,
    pause_ms: f32,
    low_dbm0: f32,
    twist_db: f32,
    off: (f32, f32),
    noise_db: Option<f32>,
    /// Milliseconds of silence in the middle of each.
    dropout_ms: f32,
}

const PLAIN: Sound = Sound {
    rate: 8_000,
    tone_ms: 40.0,
    pause_ms: 40.0,
    low_dbm0: -10.0,
    twist_db: 0.0,
    off: (0.0, 0.0),
    noise_db: None,
    dropout_ms: 0.0,
};

fn random(state: &mut u32) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    f32::from(u16::try_from(*state >> 16).unwrap()) / 32_768.0 - 1.0
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a test sound"
)]
fn make(sound: Sound, digits: &[u8], seed: u32) -> Vec<i16> {
    let rate = sound.rate as f32;
    let level = |dbm0: f32| 32_768.0 * 10f32.powf((dbm0 - 3.17) / 20.0);
    let (a, b) = (level(sound.low_dbm0), level(sound.low_dbm0 + sound.twist_db));
    let power = (a * a + b * b) / 2.0;
    let noise = sound.noise_db.map_or(0.0, |db| (3.0 * power / 10f32.powf(db / 10.0)).sqrt());
    let samples = |ms: f32| (ms * rate / 1000.0) as usize;
    let mut state = seed | 1;
    let mut out = Vec::new();
    for digit in digits {
        let (row, column) = crate::audio::tone::key_of(*digit).unwrap();
        let (low, high) =
            (LOW_HZ[row] * (1.0 + sound.off.0), HIGH_HZ[column] * (1.0 + sound.off.1));
        let (start, phase) = (samples(sound.pause_ms), (random(&mut state), random(&mut state)));
        // Pauses of odd lengths, so that hops fall anywhere.
        let odd = (random(&mut state).abs() * 60.0) as usize;
        for _ in 0..start + odd {
            out.push((noise * random(&mut state)) as i16);
        }
        let len = samples(sound.tone_ms);
        let hole = samples(sound.dropout_ms);
        for n in 0..len {
            let t = n as f32 / rate;
            let tone =
                a * (TAU * (low * t + phase.0)).sin() + b * (TAU * (high * t + phase.1)).sin();
            let dropped = n >= (len - hole) / 2 && n < (len + hole) / 2;
            let tone = if dropped { 0.0 } else { tone };
            out.push((tone + noise * random(&mut state)) as i16);
        }
    }
    for _ in 0..samples(60.0) {
        out.push((noise * random(&mut state)) as i16);
    }
    mu_law(&out)
}

fn mu_law(samples: &[i16]) -> Vec<i16> {
    let [mut coder, mut decoder] =
        [Way::Encode, Way::Decode].map(|way| CodecId::Pcmu.spec().codec(way));
    let (mut coded, mut out) = (vec![0; samples.len()], vec![0; samples.len()]);
    coder.encode(samples, &mut coded);
    decoder.decode(&coded, &mut out);
    out
}

fn heard(rate: u32, samples: &[i16]) -> Vec<HeardDigit> {
    let mut detector = DtmfDetector::new(SampleRate::new(rate).unwrap());
    let mut heard = Vec::new();
    for (n, chunk) in samples.chunks(160).enumerate() {
        detector.push(n as u64 * 160, chunk, &mut |digit| heard.push(digit));
    }
    heard
}

/// How many of 400 digits were heard right, two at a time; more or others count as none.
fn right(sound: Sound) -> usize {
    let mut right = 0;
    for seed in 1..=25 {
        for digit in ALL {
            let samples = make(sound, &[*digit, *digit], seed * 7919 + u32::from(*digit));
            let heard = heard(sound.rate, &samples);
            let digits: Vec<u8> = heard.iter().map(|heard| heard.digit).collect();
            right += usize::from(digits == [*digit, *digit]);
        }
    }
    right
}

#[test]
fn what_q_24_wants_taken_is_taken() {
    let rows = [
        ("plain", PLAIN),
        ("16 kHz", Sound { rate: 16_000, ..PLAIN }),
        ("loud", Sound { low_dbm0: -3.0, tone_ms: 60.0, ..PLAIN }),
        ("quiet", Sound { low_dbm0: -36.0, ..PLAIN }),
        ("very quiet", Sound { low_dbm0: -40.0, ..PLAIN }),
        ("low tone louder", Sound { twist_db: -8.5, ..PLAIN }),
        ("high tone louder", Sound { twist_db: 4.5, ..PLAIN }),
        ("both fast", Sound { off: (0.015, 0.015), ..PLAIN }),
        ("both slow", Sound { off: (-0.015, -0.015), ..PLAIN }),
        ("apart", Sound { off: (-0.015, 0.015), ..PLAIN }),
        ("towards", Sound { off: (0.015, -0.015), ..PLAIN }),
        ("noise 15 dB", Sound { noise_db: Some(15.0), ..PLAIN }),
        ("noise 12 dB", Sound { noise_db: Some(12.0), ..PLAIN }),
        ("off and in noise", Sound { off: (0.015, -0.015), noise_db: Some(20.0), ..PLAIN }),
        ("off at 16 kHz", Sound { off: (-0.015, 0.015), rate: 16_000, ..PLAIN }),
        ("long with a dropout", Sound { tone_ms: 100.0, dropout_ms: 10.0, ..PLAIN }),
        ("long", Sound { tone_ms: 500.0, ..PLAIN }),
    ];
    let found = rows.map(|(name, sound)| (name, right(sound)));
    println!("right of 400: {found:?}");
    assert!(found.iter().all(|(_, right)| *right == 400), "of 400 each: {found:?}");
}

#[test]
fn what_q_24_wants_left_is_left() {
    let rows = [
        ("short", Sound { tone_ms: 20.0, ..PLAIN }),
        ("a little longer", Sound { tone_ms: 23.0, ..PLAIN }),
        ("short at 16 kHz", Sound { tone_ms: 23.0, rate: 16_000, ..PLAIN }),
        ("too fast", Sound { off: (0.035, 0.035), tone_ms: 100.0, ..PLAIN }),
        ("too slow", Sound { off: (-0.035, -0.035), tone_ms: 100.0, ..PLAIN }),
        ("one too fast", Sound { off: (0.035, 0.0), tone_ms: 100.0, ..PLAIN }),
        ("the other", Sound { off: (0.0, -0.035), tone_ms: 100.0, ..PLAIN }),
        ("twisted", Sound { twist_db: -12.0, tone_ms: 100.0, ..PLAIN }),
        ("twisted the other way", Sound { twist_db: 8.0, tone_ms: 100.0, ..PLAIN }),
        ("too quiet", Sound { low_dbm0: -46.0, tone_ms: 100.0, ..PLAIN }),
        ("noisy", Sound { noise_db: Some(3.0), tone_ms: 100.0, ..PLAIN }),
    ];
    for (name, sound) in rows {
        for digit in ALL {
            let samples = make(sound, &[*digit], u32::from(*digit));
            assert_eq!(heard(sound.rate, &samples), [], "{name}: {}", char::from(*digit));
        }
    }
}

#[test]
fn a_digit_is_told_once_with_its_place_and_length() {
    for ms in [40_u64, 100, 1000] {
        let mut tones = DigitTones::new(SampleRate::HZ_8000);
        let length = Duration::from_millis(ms);
        tones.queue(b"73", length, Duration::from_millis(50)).unwrap();
        let mut samples = vec![0; 800];
        let start = samples.len() as u64;
        samples.resize(800 + 8 * 2 * (usize::try_from(ms).unwrap() + 50) + 400, 0);
        tones.fill(&mut samples[800..]);
        let heard = heard(8_000, &mu_law(&samples));
        assert_eq!(heard.iter().map(|h| h.digit).collect::<Vec<_>>(), b"73");
        assert!(heard[0].position.abs_diff(start) <= 80, "{heard:?}");
        for digit in heard {
            assert!(digit.samples.abs_diff(8 * ms) <= 110, "{ms} ms: {digit:?}");
        }
    }
}

#[test]
fn a_gap_in_the_sound_ends_a_digit() {
    let samples = make(Sound { tone_ms: 100.0, pause_ms: 0.0, ..PLAIN }, b"9", 1);
    let mut detector = DtmfDetector::new(SampleRate::HZ_8000);
    let mut heard = Vec::new();
    detector.push(0, &samples[..800], &mut |digit| heard.push(digit.digit));
    assert!(detector.is_sounding() && heard.is_empty());
    detector.push(99_000, &[0; 10], &mut |digit| heard.push(digit.digit));
    assert_eq!(heard, b"9");
    assert!(!detector.is_sounding());
}

#[test]
fn call_progress_tones_are_no_digits() {
    for pair in [(425.0, 425.0), (440.0, 480.0), (480.0, 620.0), (350.0, 440.0), (1100.0, 2100.0)] {
        let sample = |n: u16| {
            let t = f32::from(n) / 8000.0;
            let sum = (TAU * pair.0 * t).sin() + (TAU * pair.1 * t).sin();
            i16::try_from((6000.0 * sum) as i32).unwrap()
        };
        let samples: Vec<i16> = (0..16_000).map(sample).collect();
        assert_eq!(heard(8_000, &samples), [], "{pair:?}");
    }
}

/// Talk-off: sounds with formants whose pitch glides through everything, as in
/// voices, at three rates of speech; ten minutes.
#[test]
fn voices_are_no_digits() {
    let mut state = 12345;
    let mut detector = DtmfDetector::new(SampleRate::HZ_8000);
    let mut heard = Vec::new();
    let (mut phase, mut position) = (0.0_f32, 0_u64);
    for _ in 0..1500 {
        // A syllable: a pitch and its glide, two formants, 100 to 400 ms.
        let pitch = 150.0 + 70.0 * random(&mut state);
        let glide = 60.0 * random(&mut state);
        let first = 600.0 + 300.0 * random(&mut state);
        let second = 1500.0 + 500.0 * random(&mut state);
        let len = 2000 + i32::from((1200.0 * random(&mut state)) as i16);
        let samples: Vec<i16> = (0..len)
            .map(|n| {
                let t = f32::from(u16::try_from(n).unwrap()) / 8000.0;
                let hz = pitch + glide * t;
                phase = (phase + hz / 8000.0).fract();
                // Resonances of 80 Hz, as in a mouth, over what the voice itself has.
                let near = |f: f32, at: f32| 1.0 / (1.0 + ((f - at) / 40.0).powi(2)).sqrt();
                let harmonics = (1..20_u8).map(|k| {
                    let f = hz * f32::from(k);
                    let mouth = near(f, first) + 0.6 * near(f, second) + 0.3 * near(f, 2500.0);
                    (mouth + 0.3 / f32::from(k)) * (TAU * phase * f32::from(k)).sin()
                });
                (5000.0 * harmonics.sum::<f32>()) as i16
            })
            .collect();
        detector.push(position, &mu_law(&samples), &mut |digit| heard.push(digit));
        position += samples.len() as u64;
    }
    assert!(position > 8_000 * 300);
    assert_eq!(heard, []);
}

/// Recorded prompts of five languages where Debian's packages are installed: 8 kHz, mono.
pub(crate) fn prompts() -> impl Iterator<Item = (std::path::PathBuf, Vec<i16>)> {
    let root = std::path::Path::new("/usr/share/asterisk/sounds");
    let mut directories = vec![root.to_owned()];
    let mut files = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                directories.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|ext| ext == "wav") {
                files.push(path);
            }
        }
    }
    files.sort();
    files.into_iter().filter_map(|path| {
        let mut file = hound::WavReader::open(&path).ok()?;
        let spec = file.spec();
        let plain = spec.channels == 1 && spec.sample_rate == 8_000 && spec.bits_per_sample == 16;
        let samples = file.samples::<i16>().filter_map(Result::ok).collect();
        plain.then_some((path, samples))
    })
}

/// Talk-off on recordings: twenty minutes of each of five languages.
#[test]
fn recorded_prompts_are_no_digits() {
    let (mut seconds, mut wrong) = (0, Vec::new());
    for (path, samples) in prompts() {
        seconds += samples.len() / 8_000;
        let digits = heard(8_000, &mu_law(&samples));
        wrong.extend(digits.into_iter().map(|digit| (path.clone(), digit)));
    }
    println!("{seconds} s of prompts: {wrong:?}");
    assert!(wrong.is_empty(), "{wrong:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_samples_in_any_chunks_are_survived(
        samples in prop::collection::vec(any::<i16>(), 0..3000),
        chunk in 1_usize..500,
        position in any::<u64>(),
    ) {
        let mut detector = DtmfDetector::new(SampleRate::HZ_16000);
        let mut position = position;
        for piece in samples.chunks(chunk) {
            detector.push(position, piece, &mut |digit| assert!(ALL.contains(&digit.digit)));
            position = position.saturating_add(piece.len() as u64);
        }
    }
}
