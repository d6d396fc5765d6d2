//! `make sound`: what loss, delay, drift and resampling do to speech, in PESQ.
//!
//! ```text
//!  material ─> µ-law ─> network ─> receiver: ours, fixed buffers ─> score (PESQ) ─> report, chart
//!     └─────> resampling paths ───────────────────────────────────────┘
//! ```
//!
//! Writes `target/sound/report.md` and its pictures. The receive path is the product's own, from
//! datagrams to the capture ring, on a virtual clock; packets and delays come from seeds, so that
//! every run gives the same numbers. `SEEDS=` and `FILES=` make it shorter; the promises are held
//! to the full run only.

#![allow(
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a report talks to its reader, and its sounds and pictures are small"
)]

mod appendix;
mod chart;
mod drift;
mod loss;
mod material;
mod naive;
mod network;
mod paced;
mod paths;
mod receiver;
mod report;
mod score;
mod settings;
mod traces;

use anyhow::{Result, ensure};
use report::Report;
use score::{Scorer, mean};
use std::path::Path;

/// Patterns per recording, and recordings, of a full run.
const SEEDS: u64 = 2;
const FILES: usize = 12;

fn main() -> Result<()> {
    let seeds = of_environment("SEEDS", SEEDS)?.max(1);
    let files = usize::try_from(of_environment("FILES", FILES as u64)?)?;
    let full = seeds >= SEEDS && files >= FILES;
    let talks = material::recordings(files)?;
    let sequences = material::sequences(&talks);
    let mut scorer = Scorer::find()?;
    let preface = format!(
        "Written by `make sound`, from {} recordings and {seeds} seeds. PESQ is narrow-band P.862.\n\
         Packets that arrive all and on time score {:.3} by µ-law alone.",
        talks.len(),
        ceiling(&mut scorer, &talks)?
    );
    println!("{preface}");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/sound");
    let mut report = Report::new(directory, &preface)?;
    settings::report(&mut report, &mut scorer, &sequences, seeds)?;
    loss::report(&mut report, &mut scorer, &talks, seeds)?;
    traces::report(&mut report, &mut scorer, &sequences, seeds)?;
    drift::report(&mut report, &mut scorer, &sequences)?;
    paths::report(&mut report, &mut scorer, &talks)?;
    let (path, broken) = report.finish()?;
    println!("\n{}", path.display());
    for promise in &broken {
        println!("broken: {promise}");
    }
    ensure!(broken.is_empty() || !full, "{} promises were broken", broken.len());
    Ok(())
}

/// The score of speech that only µ-law has changed.
fn ceiling(scorer: &mut Scorer, talks: &[material::Talk]) -> Result<f64> {
    for talk in talks {
        let original = scorer.original(&talk.samples)?;
        scorer.add(&original, &receiver::mu_law(&talk.samples))?;
    }
    Ok(mean(&scorer.score()?))
}

fn of_environment(name: &str, usual: u64) -> Result<u64> {
    Ok(std::env::var(name).map_or(Ok(usual), |value| value.parse())?)
}
