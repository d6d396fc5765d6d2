//! How often the detector is right: 20 ms frames of speech in noise, after the manner of the table
//! that it is measured by (balanced accuracy, false positives, onset). Figures are printed with
//! `--nocapture`.

#![expect(
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "sounds are made of numbers"
)]

use super::tests::{listen, noise, sentences, telephone, voices};

/// A frame that is judged. Units: samples at 8 kHz.
const JUDGED: usize = 160;

/// Speech with pauses, and which frames of it are speech.
struct Material {
    samples: Vec<f32>,
    labels: Vec<bool>,
}

fn power(samples: &[f32]) -> f32 {
    samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32
}

/// Pieces of speech at −26 dBov while they sound, 1.2 s apart.
fn material(pieces: impl Iterator<Item = Vec<i16>>) -> Material {
    let (mut samples, mut labels) = (vec![0.0; 50 * JUDGED], vec![false; 50]);
    for piece in pieces {
        let mut piece: Vec<f32> = piece.iter().map(|s| f32::from(*s)).collect();
        piece.truncate(piece.len() / JUDGED * JUDGED);
        let loudest = piece.chunks(JUDGED).map(power).fold(0.0, f32::max);
        let loud: Vec<bool> = piece.chunks(JUDGED).map(|f| power(f) > loudest / 1_000.0).collect();
        let active: Vec<f32> = piece
            .chunks(JUDGED)
            .zip(&loud)
            .filter(|(_, loud)| **loud)
            .flat_map(|(frame, _)| frame.iter().copied())
            .collect();
        let gain = 32_768.0 * 10_f32.powf(-26.0 / 20.0) / power(&active).sqrt().max(1.0);
        samples.extend(piece.iter().map(|s| s * gain));
        samples.extend(std::iter::repeat_n(0.0, 60 * JUDGED));
        // Pauses of up to 200 ms are speech.
        let near = |at: usize| {
            let before = loud[at.saturating_sub(10)..=at].iter().any(|l| *l);
            before && loud[at..loud.len().min(at + 10)].iter().any(|l| *l)
        };
        labels.extend((0..loud.len()).map(|at| loud[at] || near(at)));
        labels.extend([false; 60]);
    }
    Material { samples, labels }
}

/// Other speech at once, of this level in dBov.
fn babble(pieces: &[Vec<i16>], length: usize, level: f32) -> Vec<f32> {
    let mut out = vec![0.0; length];
    for talker in 0..8 {
        let mut at = talker * 2_711;
        let mut piece = talker * 5;
        while at < length {
            for (place, sample) in out[at..].iter_mut().zip(&pieces[piece % pieces.len()]) {
                *place += f32::from(*sample);
            }
            at += pieces[piece % pieces.len()].len() + 1_200;
            piece += 3;
        }
    }
    let gain = 32_768.0 * 10_f32.powf(level / 20.0) / power(&out).sqrt();
    out.iter().map(|s| s * gain).collect()
}

struct Score {
    balanced: f32,
    false_positives: f32,
    onset_ms: i64,
}

fn score(material: &Material, disturbance: Option<&[f32]>) -> Score {
    let at = |n: usize| disturbance.map_or(0.0, |noise| noise[n]);
    let heard: Vec<i16> =
        material.samples.iter().enumerate().map(|(n, s)| telephone(s + at(n))).collect();
    let found = voices(&listen(&heard));
    let (mut hits, mut speech, mut wrong, mut pauses) = (0.0_f32, 0.0_f32, 0.0_f32, 0.0_f32);
    for (frame, label) in material.labels.iter().enumerate() {
        let middle = (frame * JUDGED + JUDGED / 2) as u64;
        let active = found.iter().any(|voice| (voice.0..voice.1).contains(&middle));
        if *label {
            (speech, hits) = (speech + 1.0, hits + f32::from(u8::from(active)));
        } else {
            (pauses, wrong) = (pauses + 1.0, wrong + f32::from(u8::from(active)));
        }
    }
    let mut onsets: Vec<i64> = (1..material.labels.len())
        .filter(|n| material.labels[*n] && !material.labels[n - 1])
        .filter_map(|n| {
            let begin = (n * JUDGED) as i64;
            let near = found.iter().map(|voice| voice.0 as i64 - begin);
            near.filter(|of| (-4_000..8_000).contains(of)).min_by_key(|of| of.abs())
        })
        .map(|samples| samples / 8)
        .collect();
    onsets.sort_unstable();
    let balanced = f32::midpoint(hits / speech, 1.0 - wrong / pauses);
    let onset_ms = onsets.get(onsets.len() / 2).copied().unwrap_or(i64::MAX);
    Score { balanced, false_positives: wrong / pauses, onset_ms }
}

/// Holds each kind of noise against the least balanced accuracy.
fn hold(name: &str, material: &Material, talkers: &[Vec<i16>], floors: [f32; 6]) {
    let length = material.samples.len();
    let rows: [(&str, Option<Vec<f32>>); 6] = [
        ("clean", None),
        ("pink 20 dB", Some(noise(length, -46.0, true, 3))),
        ("pink 10 dB", Some(noise(length, -36.0, true, 3))),
        ("pink 5 dB", Some(noise(length, -31.0, true, 3))),
        ("babble 15 dB", Some(babble(talkers, length, -41.0))),
        ("babble 8 dB", Some(babble(talkers, length, -34.0))),
    ];
    let seconds = length / 8_000;
    let share = material.labels.iter().filter(|l| **l).count() * 100 / material.labels.len();
    println!("{name}: {seconds} s, {share} % speech");
    let mut low = Vec::new();
    for ((noise, disturbance), floor) in rows.into_iter().zip(floors) {
        let Score { balanced, false_positives, onset_ms } = score(material, disturbance.as_deref());
        println!("  {noise}: {balanced:.3} ({false_positives:.2}), onset {onset_ms} ms");
        if balanced < floor || onset_ms.abs() > 250 {
            low.push((noise, balanced, onset_ms));
        }
    }
    assert!(low.is_empty(), "{name}: {low:?}");
}

#[test]
fn made_voices_are_found_in_noise() {
    let sentences = sentences();
    let material = material(sentences.iter().cloned());
    hold("Pico", &material, &sentences, [0.94, 0.92, 0.88, 0.83, 0.72, 0.70]);
}

#[test]
fn recorded_voices_are_found_in_noise() {
    let long = |samples: &Vec<i16>| (16_000..80_000).contains(&samples.len());
    let all: Vec<Vec<i16>> =
        crate::audio::dtmf::tests::prompts().map(|of| of.1).filter(long).collect();
    if all.len() < 200 {
        println!("the recorded prompts are not installed");
        return;
    }
    let step = all.len() / 40;
    let material = material(all.iter().step_by(step).cloned());
    let talkers: Vec<Vec<i16>> = all.iter().skip(step / 2).step_by(step).cloned().collect();
    hold("recorded", &material, &talkers, [0.93, 0.92, 0.90, 0.87, 0.90, 0.90]);
}
