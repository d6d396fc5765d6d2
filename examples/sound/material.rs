//! The speech: Debian's `pocketsphinx-testdata` and `asterisk-core-sounds-en-wav`, at 8 kHz.
//!
//! Owns which recordings are heard and at what level; does not judge.

use anyhow::{Context as _, Result, ensure};
use bellwire::audio::gain::active_level;
use bellwire::audio::rate::SampleRate;
use bellwire::audio::resample::resample_whole;
use bellwire::audio::sample::{ratio_of_db, to_f32, to_i16};
use bellwire::audio::wav::Recording;
use std::path::Path;

/// Samples of a packet: 20 ms at 8 kHz.
pub const FRAME: usize = 160;
/// The level of all speech, as in the measurements that the floors come from.
const LEVEL_DBOV: f32 = -26.0;

const SPHINX: &str = "/usr/share/pocketsphinx/test/data";
const ASTERISK: &str = "/usr/share/asterisk/sounds/en";
/// Five sentences of a novel, two commands, two rows of digits, three prompts: 2.4 to 12 s each.
const RECORDINGS: [(&str, &str); 12] = [
    (SPHINX, "librivox/sense_and_sensibility_01_austen_64kb-0870.wav"),
    (SPHINX, "librivox/sense_and_sensibility_01_austen_64kb-0880.wav"),
    (SPHINX, "librivox/sense_and_sensibility_01_austen_64kb-0890.wav"),
    (SPHINX, "librivox/sense_and_sensibility_01_austen_64kb-0920.wav"),
    (SPHINX, "librivox/sense_and_sensibility_01_austen_64kb-0930.wav"),
    (SPHINX, "goforward.raw"),
    (SPHINX, "numbers.raw"),
    (SPHINX, "something.raw"),
    (SPHINX, "tidigits/dhd.2934z.raw"),
    (ASTERISK, "dir-intro.wav"),
    (ASTERISK, "dir-usingkeypad.wav"),
    (ASTERISK, "vm-newuser.wav"),
];

/// One recording.
pub struct Talk {
    /// At the rate it was recorded at.
    pub wide: Vec<i16>,
    /// Samples of `wide` per second.
    pub rate: SampleRate,
    /// At 8 kHz and −26 dBov, whole packets.
    pub samples: Vec<i16>,
}

/// The first `files` recordings.
pub fn recordings(files: usize) -> Result<Vec<Talk>> {
    RECORDINGS
        .iter()
        .take(files.max(1))
        .map(|(dir, name)| open(&Path::new(dir).join(name)))
        .collect()
}

/// Sequences of three recordings each, for what needs time to settle.
pub fn sequences(talks: &[Talk]) -> Vec<Vec<i16>> {
    talks
        .chunks(3)
        .map(|part| part.iter().flat_map(|talk| talk.samples.clone()).collect())
        .collect()
}

fn open(path: &Path) -> Result<Talk> {
    let (rate, samples) = read(path)?;
    let level = active_level(&samples, rate).context("a recording without speech")?;
    let gain = ratio_of_db(LEVEL_DBOV - level);
    let wide: Vec<f32> = samples.iter().map(|sample| sample * gain).collect();
    let narrow = resample_whole(&wide, rate, SampleRate::HZ_8000)?;
    let whole = narrow.len() / FRAME * FRAME;
    Ok(Talk {
        wide: wide.iter().map(|&sample| to_i16(sample)).collect(),
        rate,
        samples: narrow[..whole].iter().map(|&sample| to_i16(sample)).collect(),
    })
}

fn read(path: &Path) -> Result<(SampleRate, Vec<f32>)> {
    let lacking = || {
        let packages = "pocketsphinx-testdata asterisk-core-sounds-en-wav";
        format!("{}: apt-get install -y {packages}", path.display())
    };
    if path.extension().is_some_and(|extension| extension == "raw") {
        let octets = std::fs::read(path).with_context(lacking)?;
        let samples = octets.chunks_exact(2).map(|o| to_f32(i16::from_le_bytes([o[0], o[1]])));
        return Ok((SampleRate::HZ_16000, samples.collect()));
    }
    let recording = Recording::open(path).with_context(lacking)?;
    ensure!(recording.channels == 1, "{} is not mono", path.display());
    Ok((recording.rate, recording.samples.into_iter().map(to_f32).collect()))
}
