//! Sound of the command line: files and pipes that are sent, files and pipes that are written.
//!
//! Owns the threads that read and write, and what a name means. What the writer cannot take
//! in time is dropped and counted: whoever feeds it must not wait for a pipe.

use crate::audio::rate::SampleRate;
use crate::audio::wav::WavWriter;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::JoinHandle;

/// Messages of 20 ms that may wait for the disk or a pipe: ten seconds.
const WAITING_MAX: usize = 500;

/// Octets that are read at once.
const CHUNK: usize = 8 * 1024;
/// Chunks that may be read ahead.
const AHEAD: usize = 4;

/// Reads a file, or standard input for `-`, on a thread of its own; the end is the channel's.
///
/// # Errors
/// What the file system says about opening; a later fault ends the sound and is the last item.
pub(super) fn source(name: &Path) -> io::Result<tokio::sync::mpsc::Receiver<io::Result<Vec<u8>>>> {
    let mut input: Box<dyn Read + Send> = match name.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(File::open(name)?),
    };
    let (chunks, read) = tokio::sync::mpsc::channel(AHEAD);
    // Ends with its reader or with the input. A read from a terminal cannot be called off, so
    // nobody waits for this thread.
    std::thread::spawn(move || {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match input.read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => {
                    chunk.truncate(count);
                    Ok(chunk)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            if chunks.blocking_send(read).is_err() || failed {
                return;
            }
        }
    });
    Ok(read)
}

/// Where sound goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Standard output, raw.
    Stdout,
    /// A WAV file.
    Wav(PathBuf),
    /// Raw samples, e.g. to a named pipe.
    Raw(PathBuf),
}

impl Target {
    /// `-`, a name that ends in `.wav`, or anything else.
    pub(super) fn named(name: &Path) -> Self {
        let wav = name.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("wav"));
        match name.to_str() {
            Some("-") => Self::Stdout,
            _ if wav => Self::Wav(name.to_owned()),
            _ => Self::Raw(name.to_owned()),
        }
    }
}

/// Takes octets; the empty piece is the end.
type Writer = Box<dyn FnMut(&[u8]) -> io::Result<()> + Send>;

/// Writes 16-bit samples on a thread of its own.
pub(super) struct Sink {
    frames: Option<SyncSender<Vec<u8>>>,
    writer: Option<JoinHandle<io::Result<()>>>,
    /// Octets that came.
    pub(super) octets: u64,
    /// Octets that found no room.
    pub(super) dropped: u64,
}

impl Sink {
    /// Opens the target for samples of this shape.
    ///
    /// # Errors
    /// What the file system says; a terminal is no place for samples.
    pub(super) fn open(target: &Target, rate: SampleRate, channels: u16) -> io::Result<Self> {
        let write: Writer = match target {
            Target::Stdout if io::stdout().is_terminal() => {
                let what = "samples are no reading matter: name a file, or a pipe behind |";
                return Err(io::Error::other(what));
            }
            Target::Stdout => raw(io::stdout()),
            // A named pipe is there already and must not be created.
            Target::Raw(path) => {
                raw(File::options().write(true).create(true).truncate(true).open(path)?)
            }
            Target::Wav(path) => {
                return Ok(Self::start(wav(WavWriter::create(path, rate, channels)?)));
            }
        };
        Ok(Self::start(write))
    }

    fn start(mut write: Writer) -> Self {
        let (frames, waiting) = mpsc::sync_channel::<Vec<u8>>(WAITING_MAX);
        let writer = std::thread::spawn(move || {
            while let Ok(frame) = waiting.recv() {
                write(&frame)?;
            }
            // The empty frame is the end.
            write(&[])
        });
        Self { frames: Some(frames), writer: Some(writer), octets: 0, dropped: 0 }
    }

    /// Takes octets; `false` once the writer is gone, as behind a closed pipe.
    pub(super) fn take(&mut self, octets: &[u8]) -> bool {
        self.octets += octets.len() as u64;
        if octets.is_empty() {
            return true;
        }
        let Some(frames) = &self.frames else { return false };
        match frames.try_send(octets.to_vec()) {
            Ok(()) => true,
            Err(TrySendError::Full(frame)) => {
                self.dropped += frame.len() as u64;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }

    /// Writes what waits and ends the file.
    ///
    /// # Errors
    /// What the file system said; a reader that went away is no error.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.frames = None;
        let written = self.writer.take().map(JoinHandle::join);
        match written {
            Some(Ok(Err(error))) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            Some(Err(_)) => Err(io::Error::other("the writer failed")),
            Some(Ok(_)) | None => Ok(()),
        }
    }
}

fn raw(mut to: impl Write + Send + 'static) -> Writer {
    Box::new(move |octets| to.write_all(octets).and_then(|()| to.flush()))
}

fn wav(writer: WavWriter<BufWriter<File>>) -> Writer {
    let mut writer = Some(writer);
    let mut odd: Option<u8> = None;
    Box::new(move |octets| {
        if octets.is_empty() {
            return writer.take().map_or(Ok(()), WavWriter::finish);
        }
        let mut samples = Vec::with_capacity(octets.len() / 2 + 1);
        for &octet in octets {
            match odd.take() {
                Some(low) => samples.push(i16::from_le_bytes([low, octet])),
                None => odd = Some(octet),
            }
        }
        writer.as_mut().map_or(Ok(()), |writer| writer.write(&samples))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::wav::Recording;

    #[tokio::test]
    async fn a_file_is_read_to_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("in.raw");
        let octets: Vec<u8> = (0..=250).cycle().take(CHUNK * 3 + 5).collect();
        std::fs::write(&path, &octets).unwrap();
        let mut chunks = source(&path).unwrap();
        let mut read = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            read.extend(chunk.unwrap());
        }
        assert_eq!(read, octets);
        assert!(source(Path::new("/nowhere/x")).is_err());
        let mut directory = source(directory.path()).unwrap();
        assert!(directory.recv().await.unwrap().is_err(), "a directory cannot be read");
    }

    #[test]
    fn a_wav_holds_what_was_taken_however_it_was_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.wav");
        let target = Target::named(&path);
        assert_eq!(target, Target::Wav(path.clone()));
        let mut sink = Sink::open(&target, SampleRate::HZ_8000, 1).unwrap();
        for part in [&[1_u8][..], &[0, 2], &[], &[0, 255, 255]] {
            assert!(sink.take(part));
        }
        assert_eq!((sink.octets, sink.dropped), (6, 0));
        sink.finish().unwrap();
        assert_eq!(Recording::open(&path).unwrap().samples, [1, 2, -1]);
    }

    #[test]
    fn raw_samples_go_to_any_other_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.raw");
        let mut sink = Sink::open(&Target::named(&path), SampleRate::HZ_8000, 1).unwrap();
        sink.take(&[1, 2, 3]);
        sink.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [1, 2, 3]);
        assert_eq!(Target::named(Path::new("-")), Target::Stdout);
        assert!(Sink::open(&Target::Raw("/nowhere/x".into()), SampleRate::HZ_8000, 1).is_err());
    }
}
