//! Clocks that disagree: five minutes of a caller who counts 200 ppm faster or slower than we do.

use crate::chart::{Axis, COLORS, Panel, Series};
use crate::material::FRAME;
use crate::network::Random;
use crate::paced::paced_over_time;
use crate::receiver::{Heard, asap};
use crate::report::Report;
use crate::score::Scorer;
use anyhow::{Context as _, Result};
use bellwire::media::pace::PaceSpec;

/// 20 ms packets of five minutes.
const PACKETS: usize = 15_000;
/// Where the first packet stands, so that a fast caller's never come before they are sent.
const BASE_US: f64 = 100_000.0;
const JITTER_US: f64 = 3_000.0;
const PPM: [f64; 3] = [-200.0, 0.0, 200.0];
/// Samples between two points of the curves.
const POINT_EVERY: usize = 250;

/// Writes the table and the picture, and holds the promises.
pub fn report(report: &mut Report, scorer: &mut Scorer, sequences: &[Vec<i16>]) -> Result<()> {
    report.section(
        "Drift",
        "Five minutes with 3 ms of jitter; PESQ of the last sequence. A fast caller has sent 60 ms \
         more than we have played by then: in `paced` pitch periods are taken out or put in.",
    );
    report.row(
        ["caller's clock", "receiver", "PESQ", "concealed", "delay, mean", "at the end"].iter(),
    );
    report.rule(6);
    let (talk, last) = talk(sequences).context("no speech")?;
    let mut series = Vec::new();
    for (at, ppm) in PPM.into_iter().enumerate() {
        let fates = fates(ppm);
        let name = format!("{ppm:+.0} ppm");
        let heard = paced_over_time(&talk, &fates, PaceSpec::default());
        row(report, scorer, (&name, "`paced`"), &heard, &talk[last.clone()])?;
        let points = heard.delays_ms.iter().enumerate().step_by(POINT_EVERY);
        let points = points.map(|(n, delay)| (n as f64 * 0.02, *delay)).collect();
        series.push(Series { name: name.clone(), color: COLORS[at], points });
        let (low, high) = (heard.delay_ms(), heard.delays_ms.last().copied().unwrap_or(f64::MAX));
        report.promise(high < low + 20.0, format!("paced at {name}: delay does not grow"));
        let heard = asap(&talk, &fates);
        row(report, scorer, (&name, "`asap`"), &heard, &talk[last.clone()])?;
        report.promise(heard.samples.len() == talk.len(), format!("asap at {name}: every sample"));
    }
    let panel = Panel {
        title: "paced: delay".to_owned(),
        x: Axis { name: "seconds", from: 0.0, to: 300.0, step: 60.0 },
        y: Axis { name: "ms", from: 0.0, to: 80.0, step: 20.0 },
        series,
    };
    report.picture("drift", &[panel])
}

fn row(
    report: &mut Report,
    scorer: &mut Scorer,
    (clock, receiver): (&str, &str),
    heard: &Heard,
    last: &[i16],
) -> Result<()> {
    let original = scorer.original(last)?;
    scorer.add(&original, find(last, &heard.samples))?;
    let pesq = scorer.score()?.first().copied().context("no score")?;
    let cells = [
        clock.to_owned(),
        receiver.to_owned(),
        format!("{pesq:.3}"),
        format!("{:.2} %", heard.concealed_percent()),
        format!("{:.1} ms", heard.delay_ms()),
        format!("{:.1} ms", heard.delays_ms.last().copied().unwrap_or_default()),
    ];
    report.row(cells.iter());
    Ok(())
}

/// Five minutes of the sequences, and where the last whole one stands in it.
fn talk(sequences: &[Vec<i16>]) -> Option<(Vec<i16>, std::ops::Range<usize>)> {
    let mut talk: Vec<i16> = Vec::new();
    let mut last = None;
    for sequence in sequences.iter().cycle() {
        let next = talk.len()..talk.len() + sequence.len();
        if sequence.is_empty() || next.end > PACKETS * FRAME {
            break;
        }
        talk.extend_from_slice(sequence);
        last = Some(next);
    }
    talk.resize(PACKETS * FRAME, 0);
    last.map(|last| (talk, last))
}

fn fates(ppm: f64) -> Vec<Option<u64>> {
    let mut random = Random::new(7);
    let late = |n: usize| {
        let drifted = BASE_US - n as f64 * 20_000.0 * ppm / 1e6;
        Some((drifted + random.exponential(JITTER_US)) as u64)
    };
    (0..PACKETS).map(late).collect()
}

/// The part of what was heard that resembles the sequence best.
fn find<'a>(sequence: &[i16], heard: &'a [i16]) -> &'a [i16] {
    let probe = &sequence[..sequence.len().min(12_000)];
    let likeness = |from: usize| -> f64 {
        let pairs = probe.iter().zip(&heard[from..]).step_by(4);
        pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    // In the last minute; the same speech comes at most once in it.
    let (least, most) =
        (heard.len().saturating_sub(480_000), heard.len().saturating_sub(probe.len()));
    let coarse = (least..most).step_by(8).max_by(|a, b| likeness(*a).total_cmp(&likeness(*b)));
    let from = coarse.unwrap_or(0);
    &heard[from..(from + sequence.len()).min(heard.len())]
}
