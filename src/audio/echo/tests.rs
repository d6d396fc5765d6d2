//! Echoes that were made, of voices that were made, through µ-law. Figures are printed with
//! `--nocapture`.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "sounds are made of numbers"
)]

use super::*;
use crate::audio::vad::tests::{sentences, telephone};

/// Sentences one after the other, from the given one on, of this level in dBov while they sound.
pub(crate) fn talk(first: usize, step: usize, seconds: usize, level: f32) -> Vec<f32> {
    let all = sentences();
    let mut out = Vec::new();
    let mut at = first;
    while out.len() < seconds * 8_000 {
        out.extend(all[at % all.len()].iter().map(|s| f32::from(*s)));
        out.extend([0.0; 1_600]);
        at += step;
    }
    out.truncate(seconds * 8_000);
    let loud: Vec<f32> = out.iter().copied().filter(|s| s.abs() > 200.0).collect();
    let power = loud.iter().map(|s| s * s).sum::<f32>() / loud.len() as f32;
    let gain = 32_768.0 * 10_f32.powf(level / 20.0) / power.sqrt();
    out.iter().map(|s| s * gain).collect()
}

/// A sound that comes back after so many milliseconds, so much weaker, over some ways.
pub(crate) fn echo(of: &[f32], db: f32, delay_ms: usize, ways: &[(usize, f32)]) -> Vec<f32> {
    let power = ways.iter().map(|way| way.1 * way.1).sum::<f32>();
    let gain = 10_f32.powf(db / 20.0) / power.sqrt();
    let at = |n: usize, way: &(usize, f32)| {
        n.checked_sub(delay_ms * 8 + way.0).map_or(0.0, |n| of[n] * way.1)
    };
    (0..of.len()).map(|n| gain * ways.iter().map(|way| at(n, way)).sum::<f32>()).collect()
}

pub(crate) fn heard(sounds: &[&[f32]]) -> Vec<i16> {
    let mut state = 1_u32;
    let length = sounds[0].len();
    let mut line = |n: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 16) as f32 / 65_536.0 * 30.0 - 15.0;
        telephone(sounds.iter().map(|sound| sound[n]).sum::<f32>() + noise)
    };
    (0..length).map(&mut line).collect()
}

/// A gate whose beats of 20 ms bring both sounds.
struct Beats {
    gate: EchoGate,
    sent: SentSound,
    rate: u64,
    beat: u64,
}

impl Beats {
    fn new(rate: SampleRate) -> Self {
        let mut sent = SentSound::new(rate);
        sent.sent(Duration::ZERO, 0);
        Self { gate: EchoGate::new(rate), sent, rate: u64::from(rate.hz()), beat: 0 }
    }

    fn push(&mut self, came: &[i16], went: &[i16], sink: &mut impl FnMut(Likeness)) {
        let per_beat = self.rate / 50;
        self.sent.queue(self.beat * per_beat, went);
        let begin = Duration::from_millis(20 * self.beat);
        self.beat += 1;
        self.sent.sent(Duration::from_millis(20 * self.beat), self.beat * per_beat);
        self.gate.push(came, begin, &self.sent, sink);
    }
}

/// Of the 20 ms in which the caller's side has sound: all, those that are echo, those that are 6 dB
/// over it.
fn counts(caller: &[i16], sent: &[f32]) -> (usize, usize, usize) {
    let sent: Vec<i16> = sent.iter().map(|s| telephone(*s)).collect();
    let mut beats = Beats::new(SampleRate::HZ_8000);
    let (mut all, mut echoes, mut over) = (0, 0, 0);
    for (came, went) in caller.chunks(160).zip(sent.chunks(160)) {
        beats.push(came, went, &mut |like| {
            if gate_power(came) > 60.0 {
                all += 1;
                echoes += usize::from(like.is_echo);
                over += usize::from(like.is_echo && like.over_db >= 6.0);
            }
        });
    }
    (all, echoes, over)
}

fn gate_power(samples: &[i16]) -> f32 {
    let sum: f32 = samples.iter().map(|s| f32::from(*s) * f32::from(*s)).sum();
    (sum / samples.len() as f32).sqrt()
}

pub(crate) const ROOM: &[(usize, f32)] = &[(0, 1.0), (13, 0.6), (29, -0.4), (47, 0.25)];
pub(crate) const HYBRID: &[(usize, f32)] = &[(0, 1.0), (3, -0.3)];

#[test]
fn an_echo_is_told_whatever_its_level_and_its_way() {
    let ours = talk(0, 1, 20, -20.0);
    for (name, ways) in [("hybrid", HYBRID), ("room", ROOM)] {
        for db in [-6.0, -12.0, -20.0, -30.0] {
            for delay in [0, 40, 150, 290] {
                let back = echo(&ours, db, delay, ways);
                let (all, echoes, over) = counts(&heard(&[&back]), &ours);
                println!("{name} {db} dB {delay} ms: {echoes} of {all}, over {over}");
                assert!(echoes * 100 >= all * 80, "{name} {db} {delay}: {echoes} of {all}");
                assert!(over * 100 <= all * 8, "{name} {db} {delay}: {over} over");
            }
        }
    }
}

#[test]
fn another_voice_is_no_echo_and_one_over_an_echo_is_seen() {
    let (ours, other) = (talk(0, 2, 20, -20.0), talk(7, 3, 20, -20.0));
    let (all, echoes, _) = counts(&heard(&[&other]), &ours);
    println!("another voice: {echoes} of {all}");
    assert!(echoes * 100 <= all * 15, "{echoes} of {all}");
    for (db, least) in [(-6.0, 30), (-12.0, 50), (-20.0, 65), (-30.0, 80)] {
        let back = echo(&ours, db, 100, HYBRID);
        let (all, echoes, over) = counts(&heard(&[&other, &back]), &ours);
        let seen = all - echoes + over;
        println!("both, echo {db} dB: voice in {seen} of {all}");
        assert!(seen * 100 >= all * least, "{db}: {seen} of {all}");
    }
}

#[test]
fn silence_and_other_rates_are_borne() {
    let mut beats = Beats::new(SampleRate::HZ_16000);
    let mut likes = Vec::new();
    for _ in 0..10 {
        beats.push(&[0; 320], &[0; 320], &mut |like| likes.push(like));
    }
    assert_eq!(likes.len(), 10);
    assert!(likes.iter().all(|like| !like.is_echo && !like.is_sounding));
    // Wide-band: the same sound back after 60 ms.
    let ours = talk(0, 1, 4, -20.0);
    let wide: Vec<i16> = ours.iter().flat_map(|s| [*s as i16, *s as i16]).collect();
    let mut caller = vec![0; 16 * 60];
    caller.extend(wide.iter().map(|s| s / 4));
    let mut last = Vec::new();
    for (came, went) in caller.chunks_exact(320).zip(wide.chunks_exact(320)) {
        beats.push(came, went, &mut |like| last.push(like));
    }
    let echoes: Vec<&Likeness> = last.iter().filter(|like| like.is_echo).collect();
    assert!(echoes.len() * 2 > last.len(), "{} of {}", echoes.len(), last.len());
    assert!(echoes.iter().filter(|like| like.lag_ms == 60).count() * 10 > echoes.len() * 9);
    beats.gate.break_off();
    beats.gate.push(&[i16::MIN; 999], Duration::MAX, &beats.sent, &mut |_| ());
}
