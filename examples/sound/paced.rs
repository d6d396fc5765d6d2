//! Our receive path as a person hears it: the listener of the audio tests.

use super::receiver::Heard;
use bellwire::media::pace::PaceSpec;

#[path = "../../tests/audio/listener.rs"]
mod listener;

/// Plays the packets to somebody at an even pace; a delay for every 20 ms.
pub fn paced(samples: &[i16], fates: &[Option<u64>], spec: PaceSpec) -> Heard {
    let late = |fate: &Option<u64>| fate.map(|us| u32::try_from(us).unwrap_or(u32::MAX));
    let fates: Vec<Option<u32>> = fates.iter().map(late).collect();
    let heard = listener::paced(samples, &fates, spec);
    let concealed = heard.concealed / 100.0 * heard.samples.len() as f64;
    Heard { samples: heard.samples, concealed: concealed as u64, delays_ms: heard.delays_ms }
}
