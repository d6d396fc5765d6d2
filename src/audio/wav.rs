//! Recordings of 16-bit samples as WAV files: the one door to `hound`.
//!
//! For what we write ourselves (the phone's recording, tests, the demo), and for reading that
//! back. Foreign files go through [`super::decode`], which trusts nothing.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
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

/// Octets before the samples in a file of [`WavWriter`].
pub const HEADER: u64 = HEADER_OCTETS as u64;
const HEADER_OCTETS: usize = 44;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// All of it.
    pub octets: u64,
    /// Samples of one channel.
    pub samples: u64,
    /// Samples a second and channel.
    pub rate: u32,
}

/// Puts the sizes right in the header of a file of [`WavWriter`] that was not finished, by how long
/// it is, and says what it holds. What is less than a sample of all channels is to be cut off.
///
/// # Errors
/// What the file system says; `InvalidData` for what does not begin as such a file.
pub fn mend<F: Read + Write + Seek>(file: &mut F) -> io::Result<Length> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let mut header = [0; HEADER_OCTETS];
    let end = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut header).map_err(|_| bad())?;
    let of = |at: usize, octets: &[u8]| header.get(at..at + octets.len()) == Some(octets);
    let pcm16 = of(20, &[1, 0]) && of(34, &[16, 0]);
    let ours = of(0, b"RIFF") && of(8, b"WAVEfmt \x10\0\0\0") && pcm16 && of(36, b"data");
    let Some(&[channels, 0, r0, r1, r2, r3]) = header.get(22..28) else { return Err(bad()) };
    if !ours || !(1..=2).contains(&channels) {
        return Err(bad());
    }
    let place = 2 * u64::from(channels);
    let samples = (end - HEADER) / place;
    let octets = HEADER + samples * place;
    let size = |octets: u64| u32::try_from(octets).map(u32::to_le_bytes).map_err(|_| bad());
    for (at, octets) in [(4, octets - 8), (40, octets - HEADER)] {
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&size(octets)?)?;
    }
    file.flush()?;
    Ok(Length { octets, samples, rate: u32::from_le_bytes([r0, r1, r2, r3]) })
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
    fn what_was_cut_off_is_mended() {
        for (channels, cut, whole) in [(1_u16, 1, 799_u16), (2, 3, 399), (2, 0, 400)] {
            let mut file = Cursor::new(Vec::new());
            let mut writer =
                WavWriter::new(&mut file, SampleRate::HZ_16000, channels).expect("RAM");
            writer.write(&[7; 800]).expect("RAM");
            writer.finish().expect("RAM");
            let mut octets = file.into_inner();
            octets.truncate(octets.len() - cut);
            // As it stands before the first checkpoint.
            octets[4..8].copy_from_slice(&[36, 0, 0, 0]);
            octets[40..44].copy_from_slice(&[0; 4]);
            let mut file = Cursor::new(octets);
            let length = mend(&mut file).expect("our own");
            let octets = 44 + u64::from(channels) * 2 * u64::from(whole);
            assert_eq!(length, Length { octets, samples: whole.into(), rate: 16_000 });
            let read = Recording::read(&file.into_inner()[..]).expect("our own");
            assert_eq!(read.samples, vec![7; usize::from(channels * whole)]);
        }
        for bytes in [&b""[..], b"RIFF", &[0; 100]] {
            assert!(mend(&mut Cursor::new(bytes.to_vec())).is_err());
        }
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
