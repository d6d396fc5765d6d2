//! The paced jitter mode on five paths, beside what clocked buffers do on them.
//!
//! Figures of the others: NetEQ's default on the same five traces (concealed share and mean delay),
//! and a buffer that keeps every sound for as long as ours does on the average. Where the mean
//! delay is NetEQ's, the bounds of the delay are set so.

use super::listener::{FRAME, Heard, fixed, paced};
use super::rig::{Rig, mean};
use super::traces::Path;
use bellwire::media::pace::PaceSpec;
use std::time::Duration;

/// Bounds of the delay in milliseconds: least, at the start, most.
type Bounds = (u64, u64, u64);

/// A path, NetEQ's concealed percent and mean delay there, and bounds that make ours as long.
const ROWS: [(Path, f64, f64, Bounds); 5] = [
    (Path::Mild, 1.5, 35.0, (30, 30, 50)),
    (Path::Wifi, 2.5, 90.0, (84, 86, 88)),
    (Path::Lte, 4.4, 122.0, (117, 117, 118)),
    (Path::Reorder, 1.7, 73.0, (66, 66, 80)),
    (Path::Step, 1.4, 110.0, (82, 82, 200)),
];

fn spec((min, start, max): Bounds) -> PaceSpec {
    let ms = Duration::from_millis;
    PaceSpec { min: ms(min), start: ms(start), max: ms(max) }
}

/// Words of a steady voice with pauses between them: 15 s.
fn words() -> Vec<i16> {
    let sample = |n: u32| {
        let t = f64::from(n) / 8_000.0;
        let pitch = 110.0 + 15.0 * (t * 0.7).sin();
        let voice: f64 =
            (1..6).map(|k| (std::f64::consts::TAU * pitch * t * f64::from(k)).sin()).sum();
        #[expect(clippy::cast_possible_truncation, reason = "far from the limits")]
        let loud = (1_500.0 * voice) as i16;
        if n % 6_400 < 4_800 { loud } else { loud / 400 }
    };
    (0..15 * 8_000).map(sample).collect()
}

/// What the mean listener got.
fn average(heard: &[Heard]) -> (f64, f64) {
    let count = f64::from(u32::try_from(heard.len()).expect("a few"));
    let concealed = heard.iter().map(|heard| heard.concealed).sum::<f64>() / count;
    (concealed, heard.iter().map(|heard| heard.delay_ms).sum::<f64>() / count)
}

#[test]
fn at_neteqs_own_delay_less_is_concealed_than_by_neteq() {
    let sound = words();
    for (path, neteq, neteq_ms, bounds) in ROWS {
        let run = |spec, calls| {
            let call = |seed| paced(&sound, &path.packets(sound.len() / FRAME, seed), spec);
            average(&(1..=calls).map(call).collect::<Vec<_>>())
        };
        // So many calls lose 1 % on the average indeed.
        let (concealed, delay_ms) = run(spec(bounds), 32);
        let (by_default, default_ms) = run(PaceSpec::default(), 8);
        println!(
            "{}: {concealed:.2} % at {delay_ms:.0} ms (NetEQ {neteq} % at {neteq_ms}), \
             by default {by_default:.2} % at {default_ms:.0} ms",
            path.name()
        );
        assert!(concealed <= neteq, "{}: {concealed} %", path.name());
        assert!(delay_ms <= neteq_ms + 1.5, "{}: {delay_ms} ms", path.name());
        assert!(by_default <= neteq + 1.0, "{}: {by_default} %", path.name());
    }
}

#[test]
fn at_neteqs_own_delay_speech_sounds_as_from_a_fixed_buffer_of_that_delay_or_better() {
    let Some(rig) = Rig::find() else { return };
    let joined: Vec<_> = [[0, 2, 4], [3, 1, 2]]
        .iter()
        .map(|order| {
            let parts = order.iter().map(|at: &usize| &rig.speech[*at]);
            let (wide, narrow): (Vec<_>, Vec<_>) =
                parts.map(|speech| (speech.samples.clone(), speech.at(8_000))).unzip();
            (wide.concat(), narrow.concat())
        })
        .collect();
    for (path, _, _, bounds) in ROWS {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for call in 0..2 {
            for ((_, sound), file) in joined.iter().zip(1..) {
                let late = path.packets(sound.len() / FRAME, 2 * call + file);
                ours.push(paced(sound, &late, spec(bounds)));
                let delay_ms = ours.last().expect("just pushed").delay_ms;
                theirs.push(fixed(sound, &late, delay_ms));
            }
        }
        let score = |heard: &[Heard]| {
            let originals = joined.iter().map(|(wide, _)| &**wide).cycle();
            let pairs: Vec<_> = originals.zip(heard.iter().map(|heard| &*heard.samples)).collect();
            mean(&rig.score(&pairs))
        };
        let (ours, theirs) = (score(&ours), score(&theirs));
        println!("{}: PESQ {ours:.3}, fixed buffer {theirs:.3}", path.name());
        match path {
            // A buffer that was long enough from the start has nothing to adapt to.
            Path::Step => assert!(ours >= 3.0, "{ours}"),
            Path::Mild | Path::Wifi | Path::Lte | Path::Reorder => {
                assert!(ours >= theirs, "{}: {ours} below {theirs}", path.name());
            }
        }
    }
}
