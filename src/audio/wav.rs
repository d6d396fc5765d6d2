//! Recordings of 16-bit samples as WAV files: the one door to `hound`.
//!
//! For what we write ourselves (the phone's recording, tests, the demo), and for reading that
//! back. Foreign files go through [`super::decode`], which trusts nothing.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::Path;

use super::rate::SampleRate;

/// Writes samples to a WAV as they come.
///
/// The header is right after every [`WavWriter::checkpoint`], and at the end.
pub struct WavWriter<W: Write + Seek> {
    inner: hound::WavWriter<W>,
}

impl<W: Write + Seek> std::fmt::Debug for WavWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WavWriter").field("samples", &self.inner.len()).finish_non_exhaustive()
    }
}

impl WavWriter<BufWriter<File>> {
    /// Creates a file, or empties it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(path: &Path, rate: SampleRate, channels: u16) -> io::Result<Self> {
        Self::new(BufWriter::new(File::create(path)?), rate, channels)
    }
}

impl<W: Write + Seek> WavWriter<W> {
    /// Writes to anything; `channels` is 1 or 2, samples of 2 take turns.
    ///
    /// # Errors
    /// What the sink says.
    pub fn new(sink: W, rate: SampleRate, channels: u16) -> io::Result<Self> {
        let spec = hound::WavSpec {
            channels,
            sample_rate: rate.hz(),
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        Ok(Self { inner: hound::WavWriter::new(sink, spec).map_err(to_io)? })
    }

    /// Appends samples.
    ///
    /// # Errors
    /// What the sink says, or that 4 GiB are full.
    pub fn write(&mut self, samples: &[i16]) -> io::Result<()> {
        samples.iter().try_for_each(|&sample| self.inner.write_sample(sample)).map_err(to_io)
    }

    /// Brings everything to the sink, so that what is there is a whole WAV.
    ///
    /// # Errors
    /// What the sink says.
    pub fn checkpoint(&mut self) -> io::Result<()> {
        self.inner.flush().map_err(to_io)
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// What the sink says, or that the last frame lacks a channel.
    pub fn finish(self) -> io::Result<()> {
        self.inner.finalize().map_err(to_io)
    }
}

/// A 16-bit WAV in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Rate of the samples.
    pub rate: SampleRate,
    /// Number of channels, whose samples take turns.
    pub channels: u16,
    /// The samples.
    pub samples: Vec<i16>,
}

impl Recording {
    /// Reads a file of 16-bit samples.
    ///
    /// # Errors
    /// What the file system says; `InvalidData` for anything else than such a WAV.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::read(io::BufReader::new(File::open(path)?))
    }

    /// Reads 16-bit samples from anything.
    ///
    /// # Errors
    /// What the source says; `InvalidData` for anything else than such a WAV.
    pub fn read(source: impl Read) -> io::Result<Self> {
        let reader = hound::WavReader::new(source).map_err(to_io)?;
        let spec = reader.spec();
        let rate = SampleRate::new(spec.sample_rate).ok_or(io::ErrorKind::InvalidData)?;
        if spec.bits_per_sample != 16 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let samples: Result<_, _> = reader.into_samples::<i16>().collect();
        Ok(Self { rate, channels: spec.channels, samples: samples.map_err(to_io)? })
    }
}

fn to_io(why: hound::Error) -> io::Error {
    match why {
        hound::Error::IoError(why) => why,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

/// A whole WAV file in memory, one channel.
///
/// # Errors
/// Only for more than 4 GiB of samples.
pub fn encode(samples: &[i16], rate: SampleRate) -> io::Result<Vec<u8>> {
    let mut file = io::Cursor::new(Vec::with_capacity(samples.len() * 2 + 44));
    let mut writer = WavWriter::new(&mut file, rate, 1)?;
    writer.write(samples)?;
    writer.finish()?;
    Ok(file.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for (channels, samples) in [(1, vec![1, -2, i16::MAX]), (2, vec![1, -1, i16::MIN, 7])] {
            let mut file = Vec::new();
            let mut writer =
                WavWriter::new(Cursor::new(&mut file), SampleRate::HZ_8000, channels).expect("RAM");
            writer.write(&samples).expect("RAM");
            writer.finish().expect("whole frames");
            let read = Recording::read(&file[..]).expect("our own");
            assert_eq!(read, Recording { rate: SampleRate::HZ_8000, channels, samples });
        }
    }

    #[test]
    fn a_checkpoint_leaves_a_whole_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("call.wav");
        let mut writer = WavWriter::create(&path, SampleRate::HZ_16000, 1).expect("a file");
        writer.write(&[5; 400]).expect("room");
        writer.checkpoint().expect("room");
        assert_eq!(Recording::open(&path).expect("a WAV").samples, [5; 400]);
        writer.write(&[6; 1]).expect("room");
        writer.finish().expect("room");
        assert_eq!(Recording::open(&path).expect("a WAV").samples.len(), 401);
    }

    #[test]
    fn what_is_no_such_wav_is_an_error() {
        let mut file = Vec::new();
        let writer = WavWriter::new(Cursor::new(&mut file), SampleRate::HZ_8000, 2).expect("RAM");
        writer.finish().expect("empty");
        for bytes in [&b""[..], b"ID3", &file[..20]] {
            assert!(Recording::read(bytes).is_err());
        }
        assert!(Recording::open(Path::new("/nonexistent.wav")).is_err());
    }
}
