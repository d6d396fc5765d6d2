//! What the settings of `[jitter]` do to the score and to delay, for docs/tuning.md.

use crate::chart::{Axis, COLORS, Panel, Series};
use crate::network::Trace;
use crate::paced::paced;
use crate::receiver::{Heard, asap_with};
use crate::report::Report;
use crate::score::Scorer;
use crate::traces::{Outcome, outcome};
use anyhow::Result;
use bellwire::media::interface::JitterSpec;
use bellwire::media::pace::PaceSpec;
use std::time::Duration;

/// Waits that do not adapt, in ms.
const HOLE_WAITS_MS: [u64; 6] = [10, 20, 40, 60, 80, 120];
/// The paths on which waiting matters: what is missing is late on the second one only.
const HOLES: [Trace; 3] = [Trace::Mild, Trace::Reorder, Trace::Step];
/// The paths that a listener's buffer is for.
const PACED: [Trace; 4] = [Trace::Mild, Trace::Wifi, Trace::Lte, Trace::Step];
/// `paced_min`, `paced_start` and `paced_max`, in ms.
const BOUNDS_MS: [[u64; 3]; 6] =
    [[20, 40, 60], [20, 40, 100], [20, 40, 200], [20, 40, 400], [60, 80, 200], [120, 120, 200]];

type Receiver<'a> = dyn Fn(&[i16], &[Option<u64>]) -> Heard + 'a;

/// Writes the tables and the picture.
pub fn report(
    report: &mut Report,
    scorer: &mut Scorer,
    sequences: &[Vec<i16>],
    seeds: u64,
) -> Result<()> {
    let ms = Duration::from_millis;
    report.section(
        "Settings: hole_wait",
        "`asap`; PESQ, share concealed, delay added in the mean and at the 99th percentile. Above the \
         last row, `hole_wait_min` and `hole_wait_max` are the same: nothing adapts.",
    );
    head(report, "hole_wait", &HOLES);
    let mut fixed = Vec::new();
    for wait in HOLE_WAITS_MS {
        let same = ms(wait);
        let spec = JitterSpec { hole_wait: same, hole_wait_min: same, hole_wait_max: same };
        let heard: &Receiver<'_> = &|samples, fates| asap_with(samples, fates, spec);
        let outcomes = all(scorer, sequences, seeds, &HOLES, heard)?;
        row(report, &format!("{wait} ms"), &outcomes, added);
        fixed.push(outcomes);
    }
    let spec = JitterSpec { hole_wait: ms(40), hole_wait_min: ms(20), hole_wait_max: ms(80) };
    let heard: &Receiver<'_> = &|samples, fates| asap_with(samples, fates, spec);
    let adapting = all(scorer, sequences, seeds, &HOLES, heard)?;
    row(report, "40 ms, 20 to 80 (default)", &adapting, added);
    draw(report, &fixed, &adapting)?;
    report.section(
        "Settings: paced_min, paced_start, paced_max",
        "`paced`; PESQ, share concealed, delay in the mean.",
    );
    head(report, "bounds", &PACED);
    for [min, start, max] in BOUNDS_MS {
        let spec = PaceSpec { min: ms(min), start: ms(start), max: ms(max) };
        let heard: &Receiver<'_> = &|samples, fates| paced(samples, fates, spec);
        let outcomes = all(scorer, sequences, seeds, &PACED, heard)?;
        row(report, &format!("{min}, {start}, {max} ms"), &outcomes, whole);
    }
    Ok(())
}

fn all(
    scorer: &mut Scorer,
    sequences: &[Vec<i16>],
    seeds: u64,
    traces: &[Trace],
    receiver: &Receiver<'_>,
) -> Result<Vec<Outcome>> {
    traces.iter().map(|trace| outcome(scorer, sequences, seeds, *trace, receiver)).collect()
}

fn head(report: &mut Report, name: &str, traces: &[Trace]) {
    report.row(std::iter::once(name).chain(traces.iter().map(|trace| trace.name())));
    report.rule(1 + traces.len());
}

fn row(report: &mut Report, name: &str, outcomes: &[Outcome], delay: fn(&Outcome) -> String) {
    let cells = outcomes.iter().map(|outcome| {
        format!("{:.3} ({:.1} %), {}", outcome.pesq, outcome.concealed_percent, delay(outcome))
    });
    report.row(std::iter::once(name.to_owned()).chain(cells));
}

fn added(outcome: &Outcome) -> String {
    format!("+{:.2} ms ({:.0})", outcome.delay_ms, outcome.delay_p99_ms)
}

fn whole(outcome: &Outcome) -> String {
    format!("{:.0} ms", outcome.delay_ms)
}

fn draw(report: &mut Report, fixed: &[Vec<Outcome>], adapting: &[Outcome]) -> Result<()> {
    let point = |outcome: &Outcome| (outcome.delay_ms, outcome.pesq);
    let panels = HOLES.iter().enumerate().map(|(at, trace)| {
        let series = [
            ("10 to 120 ms", fixed.iter().map(|outcomes| point(&outcomes[at])).collect()),
            ("default", vec![point(&adapting[at])]),
        ];
        let series = series.into_iter().zip([COLORS[1], COLORS[0]]);
        Panel {
            title: trace.name().to_owned(),
            x: Axis { name: "added delay in ms", from: 0.0, to: 8.0, step: 2.0 },
            y: Axis { name: "PESQ", from: 3.0, to: 4.5, step: 0.5 },
            series: series
                .map(|((name, points), color)| Series { name: name.to_owned(), color, points })
                .collect(),
        }
    });
    report.picture("hole_wait", &panels.collect::<Vec<_>>())
}
