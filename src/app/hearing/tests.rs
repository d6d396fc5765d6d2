//! Whole conversations through a telephone with an echo, in virtual time. Figures are printed with
//! `--nocapture`.

#![expect(clippy::cast_possible_truncation, reason = "sounds are made of numbers")]

use super::*;
use crate::audio::echo::tests::{HYBRID, ROOM, echo, heard, talk};
use crate::turn::barge::Mode;

/// What is put out, with the milliseconds at which it was.
fn outputs(ours: &[f32], caller: &[i16], mode: Mode) -> Vec<(u64, Output)> {
    let spec =
        HearingSpec { barge: BargeSpec { mode, ..BargeSpec::default() }, ..HearingSpec::default() };
    let epoch = Instant::now();
    let mut hearing = Hearing::new(&spec, "en", SampleRate::HZ_8000, epoch);
    let mut outputs = Vec::new();
    let ours: Vec<i16> = ours.iter().map(|s| *s as i16).collect();
    let mut queued = 0;
    for (beat, came) in (0_u64..).zip(caller.chunks_exact(160)) {
        // A client that is up to a second ahead, and packets that come within 8 ms.
        let ahead = ours.len().min((beat as usize + 50) * 160);
        hearing.queued(queued as u64, &ours[queued..ahead]);
        queued = ahead;
        let now = epoch + Duration::from_millis(20 * (beat + 1) + (beat * 7) % 8);
        hearing.on_time(now, (beat + 1) * 160, true);
        hearing.take(beat * 160, came);
        while let Some(Heard::Barge(output)) = hearing.poll_output() {
            outputs.push((20 * beat + 20, output));
        }
    }
    outputs
}

fn count(outputs: &[(u64, Output)], wanted: Output) -> usize {
    outputs.iter().filter(|(_, output)| *output == wanted).count()
}

#[test]
fn an_echo_stops_nothing_at_any_level() {
    let ours = talk(0, 1, 30, -20.0);
    for (name, ways) in [("hybrid", HYBRID), ("room", ROOM)] {
        for db in [-6.0, -12.0, -20.0, -30.0] {
            for delay in [40, 120, 250] {
                let caller = heard(&[&echo(&ours, db, delay, ways)]);
                let outputs = outputs(&ours, &caller, Mode::Pause);
                println!("{name} {db} dB {delay} ms: {outputs:?}");
                assert_eq!(count(&outputs, Output::Pause), 0, "{name} {db} dB, {delay} ms");
            }
        }
    }
}

#[test]
fn a_voice_over_the_echo_is_heard() {
    // We speak on; after 3 s, and every 5 s, the caller says a sentence.
    let ours = talk(0, 2, 50, -20.0);
    let sentences = crate::audio::vad::tests::sentences();
    for (db, within_ms, least) in
        [(-60.0, 320, 9), (-30.0, 450, 9), (-20.0, 450, 9), (-12.0, 450, 9), (-6.0, 450, 8)]
    {
        let mut voice = vec![0.0; ours.len()];
        let mut begins = Vec::new();
        for (n, begin) in (24_000..360_000).step_by(40_000).enumerate() {
            let sentence = &sentences[(n * 3 + 1) % sentences.len()];
            begins.push(begin as u64 / 8);
            for (place, sample) in voice[begin..].iter_mut().zip(sentence) {
                *place = f32::from(*sample);
            }
        }
        let back = echo(&ours, db, 100, HYBRID);
        let outputs = outputs(&ours, &heard(&[&voice, &back]), Mode::Pause);
        let delays: Vec<Option<u64>> = begins
            .iter()
            .map(|begin| {
                let window = *begin..begin + 3_500;
                let found = outputs.iter().find(|o| window.contains(&o.0) && o.1 == Output::Pause);
                found.map(|o| o.0 - begin)
            })
            .collect();
        println!("echo {db} dB: {} voices, paused after {delays:?} ms", begins.len());
        let mut found: Vec<u64> = delays.into_iter().flatten().collect();
        found.sort_unstable();
        assert!(found.len() >= least, "{db} dB: {found:?}");
        assert!(found[found.len() / 2] <= within_ms, "{db} dB: {found:?}");
        assert_eq!(count(&outputs, Output::Pause), count(&outputs, Output::Release));
    }
}

#[test]
fn a_voice_alone_is_told_where_it_was() {
    let sentence = &crate::audio::vad::tests::sentences()[0];
    let mut caller = vec![0; 16_000];
    caller.extend_from_slice(sentence);
    caller.extend(vec![0; 16_000]);
    let silence = vec![0.0; caller.len()];
    let told = outputs(&silence, &caller, Mode::Notify);
    let [
        (at, Output::SpeechStarted { onset, decide_within: None }),
        (_, Output::SpeechStopped { onset: same, end }),
    ] = told[..]
    else {
        panic!("{told:?}")
    };
    println!("onset {onset:?}, told at {at} ms, end {end:?}");
    assert!((2_000..2_200).contains(&(onset.as_millis() as u64)) && onset == same);
    assert!(at < onset.as_millis() as u64 + 260, "{at}");
    let length = sentence.len() as u64 / 8 + 2_000;
    assert!(end.as_millis() as u64 <= length + 50, "{end:?}");
}

/// What is told of who answered and of tones, with the milliseconds at which it was.
fn told(caller: &[i16]) -> Vec<(u64, Heard)> {
    let spec = HearingSpec {
        tones: true,
        machine: Some(MachineSpec::default()),
        ..HearingSpec::default()
    };
    let epoch = Instant::now();
    let mut hearing = Hearing::new(&spec, "en", SampleRate::HZ_8000, epoch);
    hearing.answered(epoch);
    let mut told = Vec::new();
    for (beat, came) in (0_u64..).zip(caller.chunks_exact(160)) {
        hearing.on_time(epoch + Duration::from_millis(20 * (beat + 1)), 0, false);
        hearing.take(beat * 160, came);
        told.extend(std::iter::from_fn(|| hearing.poll_output()).map(|of| (20 * beat + 20, of)));
    }
    told
}

#[test]
fn people_and_machines_are_told_apart_by_their_sound() {
    use crate::audio::vad::tests::{sentences, tones};
    use crate::turn::machine::{AnsweredBy, Output};
    let sentences = sentences();
    let said = |parts: &[usize], gap: usize| {
        let mut samples = vec![0_i16; 4_000];
        for part in parts {
            samples.extend_from_slice(&sentences[*part]);
            samples.extend(vec![0; gap]);
        }
        samples
    };
    let verdict = |samples: &[i16]| {
        let told = told(samples);
        let of = |of: &(u64, Heard)| match of.1 {
            Heard::Machine(Output::Verdict(verdict)) => Some((of.0, verdict)),
            _ => None,
        };
        told.iter().filter_map(of).next_back()
    };
    let (mut right, mut all) = (0, 0);
    // "Hello?", "Yes, please.", "Ja, das passt.", "Wie bitte?", "Oui, merci beaucoup."
    for short in [4, 1, 7, 8, 10] {
        let found = verdict(&said(&[short], 16_000));
        println!("sentence {short}: {found:?}");
        right += usize::from(found.is_some_and(|of| of.1.by == AnsweredBy::Human));
        all += 1;
    }
    // Greetings that are read out.
    for long in [&[0, 3][..], &[2, 0], &[6, 6], &[9, 10], &[3, 5], &[5, 2]] {
        let found = verdict(&said(long, 2_400));
        println!("sentences {long:?}: {found:?}");
        right += usize::from(found.is_some_and(|of| of.1.by == AnsweredBy::Machine));
        all += 1;
    }
    println!("{right} of {all} right");
    assert!(right + 1 >= all, "{right} of {all}");
    // A beep behind a greeting begins the message.
    let mut mailbox = said(&[0, 3], 2_400);
    let greeting = mailbox.len() as u64 / 8;
    mailbox.extend(tones(&[1_000.0], -15.0, 3_200));
    mailbox.extend([0; 8_000]);
    let told = told(&mailbox);
    let ended = Heard::Machine(Output::GreetingEnded { by: "beep" });
    let at = told.iter().find(|of| of.1 == ended).map(|of| of.0);
    let late = at.map(|at| at.saturating_sub(greeting + 400));
    assert!(late.is_some_and(|late| late <= 120), "{told:?}");
}
