//! The scorer: narrow-band PESQ (ITU-T P.862) by `tests/audio/pesq.py`.

use anyhow::{Context as _, Result, ensure};
use bellwire::audio::rate::SampleRate;
use bellwire::audio::wav::WavWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Pairs that one start of Python scores.
const BATCH: usize = 120;

/// Pairs of what was said and what was heard, which are scored together.
pub struct Scorer {
    python: PathBuf,
    script: PathBuf,
    dir: tempfile::TempDir,
    pairs: Vec<(PathBuf, PathBuf)>,
    files: usize,
}

impl Scorer {
    /// Finds Python and its environment.
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join(".venv/bin/python");
        ensure!(python.exists(), "there is no .venv: run tests/audio/setup.sh");
        let script = root.join("tests/audio/pesq.py");
        Ok(Self { python, script, dir: tempfile::tempdir()?, pairs: Vec::new(), files: 0 })
    }

    /// Writes what was said, to be scored against.
    pub fn original(&mut self, samples: &[i16]) -> Result<PathBuf> {
        self.original_at(samples, SampleRate::HZ_8000)
    }

    /// The same for samples of another rate.
    pub fn original_at(&mut self, samples: &[i16], rate: SampleRate) -> Result<PathBuf> {
        self.files += 1;
        let path = self.dir.path().join(format!("{}.wav", self.files));
        let mut writer = WavWriter::create(&path, rate, 1)?;
        writer.write(samples)?;
        writer.finish()?;
        Ok(path)
    }

    /// Adds a pair, and says which score will be its.
    pub fn add(&mut self, original: &Path, heard: &[i16]) -> Result<usize> {
        let heard = self.original(heard)?;
        self.pairs.push((original.to_owned(), heard));
        Ok(self.pairs.len() - 1)
    }

    /// The scores of all pairs so far, which are forgotten.
    pub fn score(&mut self) -> Result<Vec<f64>> {
        let mut scores = Vec::new();
        for batch in self.pairs.chunks(BATCH) {
            let mut command = Command::new(&self.python);
            // -P: the script has the name of the package, and must not stand in its way.
            command.arg("-P").arg(&self.script);
            for (original, heard) in batch {
                command.arg(original).arg(heard);
            }
            let done = command.output().context("python does not start")?;
            ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            for line in String::from_utf8(done.stdout)?.lines() {
                scores.push(line.parse::<f64>()?);
            }
        }
        ensure!(scores.len() == self.pairs.len(), "not every pair was scored");
        for (_, heard) in self.pairs.drain(..) {
            std::fs::remove_file(heard)?;
        }
        Ok(scores)
    }
}

/// The mean of some scores.
pub fn mean(scores: &[f64]) -> f64 {
    scores.iter().sum::<f64>() / scores.len().max(1) as f64
}

/// The least of some scores.
pub fn least(scores: &[f64]) -> f64 {
    scores.iter().copied().fold(f64::INFINITY, f64::min)
}
