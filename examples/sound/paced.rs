//! Our receive path as a person hears it: the listener of the audio tests.

use super::receiver::Heard;
use bellwire::media::pace::PaceSpec;

#[path = "../../tests/audio/listener.rs"]
mod listener;

/// Plays the packets to somebody at an even pace; the mean delay above the fastest packet there
/// could be is in place of each packet's.
pub fn paced(samples: &[i16], fates: &[Option<u64>], spec: PaceSpec) -> Heard {
    let (mut heard, mean_ms) = listen(samples, fates, spec);
    heard.delays_ms = vec![mean_ms];
    heard
}

/// The same, with how long the fastest packet of late waits, every 20 ms.
pub fn paced_over_time(samples: &[i16], fates: &[Option<u64>], spec: PaceSpec) -> Heard {
    listen(samples, fates, spec).0
}

fn listen(samples: &[i16], fates: &[Option<u64>], spec: PaceSpec) -> (Heard, f64) {
    let late = |fate: &Option<u64>| fate.map(|us| u32::try_from(us).unwrap_or(u32::MAX));
    let fates: Vec<Option<u32>> = fates.iter().map(late).collect();
    let heard = listener::paced(samples, &fates, spec);
    let concealed = heard.concealed / 100.0 * heard.samples.len() as f64;
    let (samples, delays_ms) = (heard.samples, heard.delays_ms);
    (Heard { samples, concealed: concealed as u64, delays_ms }, heard.delay_ms)
}
