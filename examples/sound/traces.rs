//! What delay buys: five paths, three kinds of receivers.

use crate::chart::{Axis, COLORS, Panel, Series};
use crate::material::FRAME;
use crate::network::Trace;
use crate::paced::paced;
use crate::receiver::{Heard, asap, fixed};
use crate::report::Report;
use crate::score::{Scorer, mean};
use anyhow::Result;
use bellwire::media::pace::PaceSpec;

/// Lengths of fixed buffers, in ms.
const FIXED_MS: [u64; 6] = [20, 40, 60, 100, 150, 200];
/// `asap` may add this much in the mean, in ms.
const ADDED_MAX_MS: f64 = 2.5;
/// The scores that `asap` with two-sided concealment must reach, by trace.
const FLOORS: [f64; 5] = [4.217, 4.228, 4.232, 4.200, 4.232];

/// Speech and what becomes of its packets, to what is heard.
type Receiver<'a> = dyn Fn(&[i16], &[Option<u64>]) -> Heard + 'a;

/// What one receiver made of one trace: means over sequences and seeds.
pub struct Outcome {
    pub pesq: f64,
    pub concealed_percent: f64,
    pub delay_ms: f64,
    pub delay_p99_ms: f64,
}

/// Plays a trace to a receiver.
pub fn outcome(
    scorer: &mut Scorer,
    sequences: &[Vec<i16>],
    seeds: u64,
    trace: Trace,
    receiver: impl Fn(&[i16], &[Option<u64>]) -> Heard,
) -> Result<Outcome> {
    let (mut concealed, mut delay, mut p99, mut runs) = (0.0, 0.0, 0.0, 0.0);
    for (number, sequence) in (0u64..).zip(sequences) {
        let original = scorer.original(sequence)?;
        for seed in 0..seeds {
            let fates = trace.draw(sequence.len() / FRAME, 100 * number + seed);
            let heard = receiver(sequence, &fates);
            concealed += heard.concealed_percent();
            delay += heard.delay_ms();
            p99 += heard.delay_p99_ms();
            runs += 1.0;
            scorer.add(&original, &heard.samples)?;
        }
    }
    Ok(Outcome {
        pesq: mean(&scorer.score()?),
        concealed_percent: concealed / runs,
        delay_ms: delay / runs,
        delay_p99_ms: p99 / runs,
    })
}

/// Writes the table and the picture, and holds the promises.
pub fn report(
    report: &mut Report,
    scorer: &mut Scorer,
    sequences: &[Vec<i16>],
    seeds: u64,
) -> Result<()> {
    report.section(
        "Delay",
        "PESQ, share concealed, mean delay above the fastest packet. Each path also loses 1 %. For \
         `asap`: what we add after arrival, and its 99th percentile.",
    );
    report.row(std::iter::once("receiver").chain(Trace::ALL.map(Trace::name)));
    report.rule(1 + Trace::ALL.len());
    let of = |scorer: &mut Scorer, receiver: &Receiver<'_>| {
        let outcomes =
            Trace::ALL.iter().map(|trace| outcome(scorer, sequences, seeds, *trace, receiver));
        outcomes.collect::<Result<Vec<_>>>()
    };
    let mut fixeds = Vec::new();
    for buffer in FIXED_MS {
        let outcomes = of(scorer, &|samples, fates| fixed(samples, fates, buffer))?;
        let cells =
            outcomes.iter().map(|o| format!("{:.3} ({:.1} %)", o.pesq, o.concealed_percent));
        report.row(std::iter::once(format!("fixed {buffer} ms + App. I")).chain(cells));
        fixeds.push(outcomes);
    }
    let paced = of(scorer, &|samples, fates| paced(samples, fates, PaceSpec::default()))?;
    let cells = paced
        .iter()
        .map(|o| format!("{:.3} ({:.1} %) at {:.0} ms", o.pesq, o.concealed_percent, o.delay_ms));
    report.row(std::iter::once("`paced`".to_owned()).chain(cells));
    let asap = of(scorer, &|samples, fates| asap(samples, fates))?;
    let cells = asap.iter().map(|o| {
        let (delay, p99) = (o.delay_ms, o.delay_p99_ms);
        format!("{:.3} ({:.1} %), +{delay:.2} ms ({p99:.0})", o.pesq, o.concealed_percent)
    });
    report.row(std::iter::once("`asap`".to_owned()).chain(cells));
    for ((trace, outcome), floor) in Trace::ALL.iter().zip(&asap).zip(FLOORS) {
        let (name, pesq, delay) = (trace.name(), outcome.pesq, outcome.delay_ms);
        report.promise(pesq >= floor, format!("asap on {name}: {pesq:.3}, floor {floor:.3}"));
        report.promise(
            delay <= ADDED_MAX_MS,
            format!("asap on {name}: {delay:.2} ms added, at most {ADDED_MAX_MS} ms"),
        );
    }
    draw(report, &fixeds, &paced, &asap)
}

fn draw(
    report: &mut Report,
    fixeds: &[Vec<Outcome>],
    paced: &[Outcome],
    asap: &[Outcome],
) -> Result<()> {
    let point = |outcome: &Outcome| (outcome.delay_ms, outcome.pesq);
    let panels = Trace::ALL.iter().enumerate().map(|(at, trace)| {
        let series = [
            ("fixed + App. I", fixeds.iter().map(|outcomes| point(&outcomes[at])).collect()),
            ("paced", vec![point(&paced[at])]),
            ("asap", vec![point(&asap[at])]),
        ];
        let series = series.into_iter().zip([COLORS[1], COLORS[2], COLORS[0]]);
        Panel {
            title: trace.name().to_owned(),
            x: Axis { name: "delay in ms", from: 0.0, to: 200.0, step: 50.0 },
            y: Axis { name: "PESQ", from: 1.0, to: 4.5, step: 0.5 },
            series: series
                .map(|((name, points), color)| Series { name: name.to_owned(), color, points })
                .collect(),
        }
    });
    report.picture("delay", &panels.collect::<Vec<_>>())
}
