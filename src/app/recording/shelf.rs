//! The files that are being written: what the thread of recordings holds.
//!
//! Owns their names and headers, and what is left of one that broke off. Does not read the clock and
//! does not wait for work: the thread does.

use super::{Broken, Job, Length, NewFile, Outcome, PART, file_of, part_of};
use crate::audio::wav::{self, WavWriter};
use crate::id::RecordingId;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::SystemTime;
use tokio::sync::oneshot;

/// Where samples go: a file, or what tests put in its place.
pub(super) trait Spool: Write + Seek {}

impl<T: Write + Seek> Spool for T {}

/// One file.
struct Open<S: Spool> {
    writer: WavWriter<BufWriter<S>>,
    /// Octets of a sample of all channels.
    place: u64,
    rate: u32,
    /// Samples of all channels that were written.
    written: u64,
    /// The header lags.
    dirty: bool,
    outcome: oneshot::Sender<Outcome>,
}

/// See the module.
pub(super) struct Shelf<S: Spool> {
    dir: PathBuf,
    create: fn(&Path) -> io::Result<S>,
    open: HashMap<RecordingId, Open<S>>,
}

/// Creates a file that was not there, for nobody else to read, and the directory if need be.
pub(super) fn create(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o750).create(dir)?;
    }
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o640).open(path)
}

impl<S: Spool> Shelf<S> {
    pub(super) fn new(dir: PathBuf, create: fn(&Path) -> io::Result<S>) -> Self {
        Self { dir, create, open: HashMap::new() }
    }

    /// Does one job.
    pub(super) fn take(&mut self, job: Job) {
        match job {
            Job::Open { file, outcome } => self.begin(&file, outcome),
            Job::Write { id, samples, waiting } => {
                waiting.fetch_sub(1, Ordering::Relaxed);
                self.write(&id, &samples);
            }
            Job::Close(id) => self.close(&id),
        }
    }

    fn begin(&mut self, file: &NewFile, outcome: oneshot::Sender<Outcome>) {
        let made = (self.create)(&part_of(&self.dir, &file.id)).and_then(|sink| {
            let mut writer = WavWriter::new(BufWriter::new(sink), file.rate, file.channels)?;
            // So that a disk that cannot be written is known at once.
            writer.checkpoint()?;
            Ok(writer)
        });
        let (place, rate) = (2 * u64::from(file.channels), file.rate.hz());
        match made {
            Ok(writer) => {
                let open = Open { writer, place, rate, written: 0, dirty: false, outcome };
                self.open.insert(file.id.clone(), open);
            }
            Err(error) => {
                // Whoever waits may be gone with its call.
                let _ = outcome.send(Err(Broken::new(in_words(&error))));
            }
        }
    }

    fn write(&mut self, id: &RecordingId, samples: &[i16]) {
        // One that broke off is told so, and what still comes is for nothing.
        let Some(open) = self.open.get_mut(id) else { return };
        open.written += samples.len() as u64;
        open.dirty = true;
        if let Err(error) = open.writer.write(samples) {
            self.give_up(id, &error);
        }
    }

    fn close(&mut self, id: &RecordingId) {
        let Some(open) = self.open.remove(id) else { return };
        let Open { writer, place, rate, written, outcome, .. } = open;
        let octets = written * 2;
        let length = Length { octets: octets + wav::HEADER, samples: octets / place, rate };
        let whole = writer
            .finish()
            .and_then(|()| fs::rename(part_of(&self.dir, id), file_of(&self.dir, id)));
        let told = match whole {
            Ok(()) => Ok(length),
            Err(error) => Err(Broken { reason: in_words(&error), kept: salvage(&self.dir, id) }),
        };
        let _ = outcome.send(told);
    }

    /// Ends what is still open.
    pub(super) fn close_all(&mut self) {
        let open: Vec<_> = self.open.keys().cloned().collect();
        for id in &open {
            self.close(id);
        }
    }

    /// Puts the headers right of what was written since the last time.
    pub(super) fn checkpoint(&mut self) {
        let mut broken = Vec::new();
        for (id, open) in self.open.iter_mut().filter(|(_, open)| open.dirty) {
            open.dirty = false;
            if let Err(error) = open.writer.checkpoint() {
                broken.push((id.clone(), error));
            }
        }
        for (id, error) in broken {
            self.give_up(&id, &error);
        }
    }

    /// The disk does not take it: keeps what is there.
    fn give_up(&mut self, id: &RecordingId, error: &io::Error) {
        let Some(Open { writer, outcome, .. }) = self.open.remove(id) else { return };
        drop(writer);
        let _ = outcome.send(Err(Broken { reason: in_words(error), kept: salvage(&self.dir, id) }));
    }

    /// Removes whole files that were last written before then.
    pub(super) fn remove_older(&self, then: Option<SystemTime>) {
        let Some(then) = then else { return };
        for (path, id) in files(&self.dir, "") {
            let written = fs::metadata(&path).and_then(|facts| facts.modified());
            if written.is_ok_and(|at| at < then)
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::warn!(recording_id = %id, %error, "an old recording cannot be removed");
            }
        }
    }
}

/// Makes a whole file of what was written, if there is any of it.
fn salvage(dir: &Path, id: &RecordingId) -> Option<Length> {
    let part = part_of(dir, id);
    let mended = OpenOptions::new().read(true).write(true).open(&part).and_then(|mut file| {
        let length = wav::mend(&mut file)?;
        file.set_len(length.octets)?;
        Ok(length)
    });
    match mended {
        Ok(length) if length.samples > 0 => {
            fs::rename(&part, file_of(dir, id)).is_ok().then_some(length)
        }
        // Nothing of it can be heard.
        Ok(_) | Err(_) => {
            let _ = fs::remove_file(&part);
            None
        }
    }
}

/// See [`super::mend`].
pub(super) fn mend(dir: &Path) -> HashMap<RecordingId, Length> {
    let left = files(dir, PART);
    left.into_iter().filter_map(|(_, id)| Some((id.clone(), salvage(dir, &id)?))).collect()
}

/// The files of recordings whose names end in `.wav` and this.
fn files(dir: &Path, ending: &str) -> Vec<(PathBuf, RecordingId)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let named = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let name = path.file_name()?.to_str()?;
        let id = name.strip_suffix(ending)?.strip_suffix(".wav")?.parse().ok()?;
        Some((path, id))
    });
    named.collect()
}

fn in_words(error: &io::Error) -> String {
    format!("the recording cannot be written: {error}")
}
