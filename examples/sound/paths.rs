//! What resampling costs: every rate that clients send and get, and two ways not to do it.

use crate::material::Talk;
use crate::receiver::mu_law;
use crate::report::Report;
use crate::score::{Scorer, mean};
use anyhow::Result;
use bellwire::audio::rate::SampleRate;
use bellwire::audio::resample::{Resampler, resample_whole};
use bellwire::audio::sample::{to_f32, to_i16};
use std::f64::consts::TAU;

/// Rates of clients, in Hz.
const RATES: [u32; 7] = [11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
/// The tables' floor for what comes from 16 kHz and more.
const FLOOR: f64 = 4.3;

/// Writes the table, and holds the promises.
pub fn report(report: &mut Report, scorer: &mut Scorer, talks: &[Talk]) -> Result<()> {
    report.section(
        "Resampling",
        "To 8 kHz in chunks of 20 ms, then µ-law; PESQ of what was recorded at 16 kHz. Gain of a \
         tone of 3.4 kHz, the loudest alias of tones from 4.6 kHz on, and delay.",
    );
    report.row(["path", "PESQ", "3.4 kHz", "alias", "delay"].iter());
    report.rule(5);
    let talks: Vec<&Talk> = talks.iter().filter(|talk| talk.rate == SampleRate::HZ_16000).collect();
    let ideal = score(scorer, &talks, |wide| whole(wide, 16_000, 8_000))?;
    report.row(
        [
            "none (ideal filter)".to_owned(),
            format!("{ideal:.3}"),
            "0.0 dB".into(),
            "-".into(),
            "-".into(),
        ]
        .iter(),
    );
    for hz in RATES {
        let pesq = score(scorer, &talks, |wide| down(&whole(wide, 16_000, hz)?, hz))?;
        let (gain, alias) = (level(&down(&tone(3_400.0, hz), hz)?), alias(hz)?);
        let delay = Resampler::new(rate(hz)?, SampleRate::HZ_8000)?.delay() as f64 / 8.0;
        let cells = [
            format!("{hz} Hz to 8 kHz"),
            format!("{pesq:.3}"),
            format!("{gain:.1} dB"),
            format!("{alias:.0} dB"),
            format!("{delay:.1} ms"),
        ];
        report.row(cells.iter());
        if hz >= 16_000 {
            report.promise(pesq >= FLOOR, format!("from {hz} Hz: {pesq:.3}, floor {FLOOR}"));
            report.promise(gain >= -0.5 && alias <= -60.0, format!("from {hz} Hz: flat, no alias"));
        }
    }
    for hz in RATES {
        let pesq = score(scorer, &talks, |wide| {
            let narrow = whole(wide, 16_000, 8_000)?;
            down(&stream(&mu_law(&narrow), 8_000, hz)?, hz)
        })?;
        let cells = [format!("8 kHz to {hz} Hz and back"), format!("{pesq:.3}")];
        report.row(cells.iter().map(String::as_str).chain(["-", "-", "-"]));
    }
    not_like_this(report, scorer, &talks)
}

/// What users of other gateways hear.
fn not_like_this(report: &mut Report, scorer: &mut Scorer, talks: &[&Talk]) -> Result<()> {
    for hz in [16_000, 24_000, 48_000] {
        let pesq = score(scorer, talks, |wide| Ok(linear(&whole(wide, 16_000, hz)?, hz)))?;
        let cells = [format!("{hz} Hz, linear interpolation"), format!("{pesq:.3}")];
        report.row(cells.iter().map(String::as_str).chain(["-", "-", "-"]));
    }
    let pesq = score(scorer, talks, |wide| {
        let mut out = Vec::new();
        for chunk in whole(wide, 16_000, 24_000)?.chunks(480) {
            out.extend(down(chunk, 24_000)?);
        }
        Ok(out)
    })?;
    let cells =
        ["24000 Hz, a filter that begins anew every 20 ms".to_owned(), format!("{pesq:.3}")];
    report.row(cells.iter().map(String::as_str).chain(["-", "-", "-"]));
    Ok(())
}

fn score(
    scorer: &mut Scorer,
    talks: &[&Talk],
    path: impl Fn(&[i16]) -> Result<Vec<i16>>,
) -> Result<f64> {
    for talk in talks {
        let original = scorer.original_at(&talk.wide, talk.rate)?;
        scorer.add(&original, &mu_law(&path(&talk.wide)?))?;
    }
    Ok(mean(&scorer.score()?))
}

fn rate(hz: u32) -> Result<SampleRate> {
    SampleRate::new(hz).ok_or_else(|| anyhow::anyhow!("no rate"))
}

fn whole(samples: &[i16], from: u32, to: u32) -> Result<Vec<i16>> {
    let samples: Vec<f32> = samples.iter().map(|&sample| to_f32(sample)).collect();
    let out = resample_whole(&samples, rate(from)?, rate(to)?)?;
    Ok(out.into_iter().map(to_i16).collect())
}

fn down(samples: &[i16], from: u32) -> Result<Vec<i16>> {
    stream(samples, from, 8_000)
}

fn stream(samples: &[i16], from: u32, to: u32) -> Result<Vec<i16>> {
    let mut resampler = Resampler::aligned(rate(from)?, rate(to)?)?;
    let mut out = Vec::new();
    for chunk in samples.chunks(from as usize / 50) {
        resampler.process(chunk, &mut out);
    }
    resampler.flush(&mut out);
    Ok(out)
}

fn linear(samples: &[i16], from: u32) -> Vec<i16> {
    let step = f64::from(from) / 8_000.0;
    let at = |n: usize| {
        let place = n as f64 * step;
        let (a, b) =
            (samples[place as usize], samples[(place as usize + 1).min(samples.len() - 1)]);
        (f64::from(a) + (f64::from(b) - f64::from(a)) * place.fract()) as i16
    };
    (0..(samples.len() as f64 / step) as usize).map(at).collect()
}

/// A second of a tone at −12 dBov.
fn tone(hz: f64, rate: u32) -> Vec<i16> {
    let step = TAU * hz / f64::from(rate);
    (0..rate).map(|n| (8_192.0 * 2f64.sqrt() * (step * f64::from(n)).sin()) as i16).collect()
}

/// Level against that of [`tone`], in dB, without the ends.
fn level(samples: &[i16]) -> f64 {
    let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
    let power: f64 = middle.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    10.0 * (power / middle.len() as f64 / 8_192f64.powi(2)).max(1e-12).log10()
}

fn alias(hz: u32) -> Result<f64> {
    let top = f64::from(hz) / 2.0 - 300.0;
    let tones = (0..).map(|n| 4_600.0 + 370.0 * f64::from(n)).take_while(|tone| *tone < top);
    let levels =
        tones.map(|at| Ok(level(&down(&tone(at, hz), hz)?))).collect::<Result<Vec<_>>>()?;
    Ok(levels.into_iter().fold(-120.0, f64::max))
}
