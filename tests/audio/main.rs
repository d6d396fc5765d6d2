//! Voice quality of the way from a source to the carrier's codec, scored by PESQ on real speech.
//!
//! ```text
//!  speech 16 kHz, −26 dBov ─> [24, 44.1, 48 kHz] ─> [lame] ─> our decoder ─> our resampler
//!                                                      ─> µ-law ─> 8 kHz ─> tests/audio/pesq.py
//! ```
//!
//! The speech is the five LibriVox files of Debian's `pocketsphinx-testdata`, at 16 kHz. Speech
//! recorded at higher rates is not packaged: those sources are the same files brought to 24, 44.1
//! and 48 kHz by rubato's FFT, so they hold nothing above 8 kHz and the score shows what the way
//! back costs. The floors are those of the product; an ideal resampler scores about 4.38.
//!
//! What loss and delay cost is `make sound`'s; `concealment` holds a small part of it to floors.
//!
//! `make test` sets `BELLWIRE_AUDIO_TESTS=1`: then a missing tool or file is a failure. Without
//! it the tests are skipped, and say so.

mod concealment;
mod level;
mod listener;
mod paced;
mod rig;
mod sound;
mod traces;

use bellwire::audio::codec::{Codec as _, g711::Pcmu};
use bellwire::audio::decode::{DecodeLimits, LiveDecoder, LiveFormat, LiveOutput};
use bellwire::audio::gain::TARGET_DBOV;
use bellwire::audio::prompt::prepare_prompt;
use bellwire::audio::rate::SampleRate;
use bellwire::audio::resample::Resampler;
use rig::{Rig, Speech, mean};

#[test]
fn pcm_streams_reach_the_carrier_as_well_as_can_be() {
    let Some(rig) = Rig::find() else { return };
    for (hz, floor) in [(16_000, 4.35), (24_000, 4.3), (44_100, 4.3), (48_000, 4.3)] {
        check(&rig, &format!("PCM {hz} Hz, live, 20 ms"), floor, |speech| {
            let source = speech.at(hz);
            let mut resampler = resampler(hz);
            let mut out = Vec::new();
            for chunk in source.chunks(hz as usize / 50) {
                resampler.process(chunk, &mut out);
            }
            resampler.flush(&mut out);
            out
        });
    }
}

#[test]
fn mp3_streams_reach_the_carrier_as_well_as_can_be() {
    let Some(rig) = Rig::find() else { return };
    for (hz, kbit, floor) in [(16_000, 64, 4.3), (24_000, 96, 4.3), (44_100, 128, 4.3)] {
        check(&rig, &format!("MP3 {hz} Hz {kbit} kbit/s, live, 700 octets"), floor, |speech| {
            let file = rig.mp3(&speech.at(hz), hz, kbit);
            let mut decoder = LiveDecoder::new(LiveFormat::Auto, SampleRate::HZ_16000);
            let mut resampler = resampler(hz);
            let mut out = Vec::new();
            let mut sink = |output: LiveOutput<'_>| match output {
                LiveOutput::Samples { rate, samples } => {
                    assert_eq!(rate.hz(), hz);
                    resampler.process(samples, &mut out);
                }
                LiveOutput::Event(_) => {}
            };
            file.chunks(700).for_each(|chunk| decoder.push(chunk, &mut sink));
            decoder.flush(&mut sink);
            resampler.flush(&mut out);
            out
        });
    }
}

#[test]
fn prompts_reach_the_carrier_as_well_as_can_be() {
    let Some(rig) = Rig::find() else { return };
    let limits = DecodeLimits::default();
    check(&rig, "WAV 16000 Hz, prompt at -20 dBov", 4.35, |speech| {
        let file = std::fs::read(rig.write(&speech.samples, 16_000)).expect("just written");
        prepare_prompt(&file, &limits, Some(TARGET_DBOV)).expect("a WAV").to_vec()
    });
    check(&rig, "MP3 44100 Hz 128 kbit/s, prompt at -20 dBov", 4.3, |speech| {
        let file = rig.mp3(&speech.at(44_100), 44_100, 128);
        prepare_prompt(&file, &limits, Some(TARGET_DBOV)).expect("an MP3").to_vec()
    });
}

#[test]
fn a_resampler_that_starts_anew_in_every_chunk_is_heard() {
    let Some(rig) = Rig::find() else { return };
    // The rig must see the fault that it is there to find.
    let worst = scores(&rig, |speech| {
        let mut out = Vec::new();
        for chunk in speech.at(24_000).chunks(480) {
            let mut resampler = resampler(24_000);
            resampler.process(chunk, &mut out);
            resampler.flush(&mut out);
        }
        out
    });
    assert!(mean(&worst) < 4.25, "{worst:?}");
}

fn resampler(hz: u32) -> Resampler {
    let from = SampleRate::new(hz).expect("not zero");
    Resampler::aligned(from, SampleRate::HZ_8000).expect("in range")
}

/// Sends all speech through `path`, and demands a mean score of `floor` at least.
#[expect(clippy::print_stdout, reason = "--nocapture shows the scores")]
fn check(rig: &Rig, what: &str, floor: f32, path: impl Fn(&Speech) -> Vec<i16>) {
    let scores = scores(rig, path);
    println!("{what}: mean {:.3} of {scores:?}", mean(&scores));
    assert!(mean(&scores) >= floor, "{what}: mean {} below {floor}: {scores:?}", mean(&scores));
}

/// The scores of all speech, sent through `path` and then µ-law.
fn scores(rig: &Rig, path: impl Fn(&Speech) -> Vec<i16>) -> Vec<f32> {
    let heard = |speech| {
        let mut heard = path(speech);
        let mut payload = vec![0; heard.len()];
        Pcmu.encode(&heard, &mut payload);
        Pcmu.decode(&payload, &mut heard);
        heard
    };
    let heard: Vec<Vec<i16>> = rig.speech.iter().map(heard).collect();
    let pairs: Vec<_> =
        rig.speech.iter().zip(&heard).map(|(speech, heard)| (&*speech.samples, &**heard)).collect();
    rig.score(&pairs)
}
