//! What a level that the telephone cannot carry costs, and what of that is won back.

use super::rig::{Rig, mean};
use super::{check, scores};
use bellwire::audio::agc::StreamLevel;
use bellwire::audio::gain::{TARGET_DBOV, normalise};
use bellwire::audio::rate::SampleRate;
use bellwire::audio::resample::resample_whole;
use bellwire::audio::sample::{ratio_of_db, to_f32, to_i16};

const RATE: SampleRate = SampleRate::HZ_8000;
/// The level of the rig's speech.
const SPEECH_DBOV: f32 = -26.0;

/// Speech at 8 kHz and this active level, as a decoder of floating point gives it: not clipped.
fn at(samples: &[i16], dbov: f32) -> Vec<f32> {
    let gain = ratio_of_db(dbov - SPEECH_DBOV);
    let samples: Vec<f32> = samples.iter().map(|&sample| to_f32(sample) * gain).collect();
    resample_whole(&samples, SampleRate::HZ_16000, RATE).expect("in range")
}

fn pcm(samples: &[f32]) -> Vec<i16> {
    samples.iter().map(|&sample| to_i16(sample)).collect()
}

#[test]
fn prompts_of_any_level_are_brought_to_one_that_the_telephone_carries() {
    let Some(rig) = Rig::find() else { return };
    // What G.711 makes of it as it is, at most, and what it must be worth as a prompt.
    for (dbov, untouched, floor) in [(-46.0, 4.1, 4.38), (-36.0, 4.38, 4.39), (-8.0, 3.4, 4.39)] {
        let plain = scores(&rig, |speech| pcm(&at(&speech.samples, dbov)));
        assert!(mean(&plain) < untouched, "{dbov} dBov untouched: {plain:?}");
        check(
            &rig,
            &format!("{dbov} dBov ({:.3} untouched), prompt", mean(&plain)),
            floor,
            |speech| normalise(&at(&speech.samples, dbov), RATE, TARGET_DBOV),
        );
    }
}

#[test]
fn streams_that_ask_for_it_are_brought_there_slowly() {
    let Some(rig) = Rig::find() else { return };
    for (dbov, gain) in [(-46.0, 0.3), (-36.0, 0.03)] {
        let plain = mean(&scores(&rig, |speech| pcm(&at(&speech.samples, dbov))));
        let name = format!("{dbov} dBov ({plain:.3} untouched), stream with agc, from 5 s on");
        check(&rig, &name, plain + gain, |speech| {
            let samples = pcm(&at(&speech.samples, dbov));
            let mut level = StreamLevel::new(RATE, Some(TARGET_DBOV));
            let mut out = Vec::new();
            // What comes before has found the level; its last samples come with the next.
            let lead: Vec<i16> = samples.iter().copied().cycle().take(5 * 8_000).collect();
            level.process(&lead, &mut out);
            level.drain(&mut out);
            out.clear();
            samples.chunks(160).for_each(|chunk| level.process(chunk, &mut out));
            level.drain(&mut out);
            out
        });
    }
}
