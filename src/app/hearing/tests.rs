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
    let mut hearing = Hearing::new(&spec, SampleRate::HZ_8000, epoch);
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
        outputs
            .extend(std::iter::from_fn(|| hearing.poll_output()).map(|out| (20 * beat + 20, out)));
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
        assert_eq!(count(&outputs, Output::Pause), count(&outputs, Output::Resume));
    }
}

#[test]
fn a_voice_alone_is_told_where_it_was() {
    let sentence = &crate::audio::vad::tests::sentences()[0];
    let mut caller = vec![0; 16_000];
    caller.extend_from_slice(sentence);
    caller.extend_from_slice(&[0; 16_000]);
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
