//! The thread of recordings against a directory, and the shelf against a disk that fails.

use super::*;
use crate::audio::wav::Recording;
use std::io::{Cursor, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt as _;

const RATE: SampleRate = SampleRate::HZ_8000;

fn id(text: &str) -> RecordingId {
    text.parse().unwrap()
}

fn spec(dir: &Path, keep: Duration) -> RecordingSpec {
    RecordingSpec { dir: dir.to_owned(), keep, longest: Duration::from_mins(1) }
}

async fn outcome(tape: &mut Tape) -> Outcome {
    std::future::poll_fn(|context| tape.poll_outcome(context)).await
}

/// Samples that tell their place.
fn ramp(from: i16, count: i16) -> Vec<i16> {
    (from..from + count).collect()
}

#[tokio::test]
async fn what_is_written_is_a_wav_when_the_tape_is_closed_or_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("recordings");
    let desk = RecordingDesk::start(spec(&place, Duration::ZERO)).unwrap();
    let mut stereo = desk.open(id("rec_a_1"), RATE, 2);
    let mono = desk.open(id("rec_b_1"), SampleRate::HZ_16000, 1);
    stereo.write(ramp(0, 100)).unwrap();
    stereo.write(ramp(100, 300)).unwrap();
    mono.write(ramp(5, 5)).unwrap();
    drop(mono);
    stereo.close();
    let told = outcome(&mut stereo).await.unwrap();
    assert_eq!(told, Length { octets: 44 + 800, samples: 200, rate: 8000 });
    let path = file_of(&place, &id("rec_a_1"));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), told.octets);
    let wav = Recording::open(&path).unwrap();
    assert_eq!((wav.rate, wav.channels, wav.samples), (RATE, 2, ramp(0, 400)));
    // It was closed before the other.
    let other = Recording::open(&file_of(&place, &id("rec_b_1"))).unwrap();
    assert_eq!((other.channels, other.samples), (1, ramp(5, 5)));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o007, 0);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("recordings");
    std::fs::write(&place, "a file stands there").unwrap();
    let desk = RecordingDesk::start(spec(&place, Duration::ZERO)).unwrap();
    let mut tape = desk.open(id("rec_a_1"), RATE, 1);
    let broken = outcome(&mut tape).await.unwrap_err();
    assert!(broken.reason.starts_with("the recording cannot be written: "), "{broken}");
    assert_eq!(broken.kept, None);
    // What comes behind is for nothing and harms nobody.
    tape.write(ramp(0, 9)).unwrap();
    tape.close();
}

#[tokio::test]
async fn the_header_is_right_between_checkpoints_also_without_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let (desk, mut thread) = ByHand::desk(dir.path(), Duration::from_mins(1));
    let tape = desk.open(id("rec_a_1"), RATE, 2);
    thread.step();
    let part = dir.path().join("rec_a_1.wav.part");
    assert_eq!(Recording::open(&part).unwrap().samples, [0; 0]);
    tape.write(ramp(0, 20_000)).unwrap();
    thread.step();
    thread.shelf.checkpoint();
    assert_eq!(Recording::open(&part).unwrap().samples, ramp(0, 20_000));
    // A crash: what the kernel has is there, the header lags, half a sample hangs over.
    tape.write(ramp(20_000, 5000)).unwrap();
    thread.step();
    std::mem::forget((thread, tape));
    let mut file = std::fs::OpenOptions::new().append(true).open(&part).unwrap();
    file.write_all(&[1, 2, 3]).unwrap();
    std::fs::write(dir.path().join("rec_b_1.wav.part"), "").unwrap();
    std::fs::write(dir.path().join("else.wav.part"), "").unwrap();
    let mended = mend(dir.path());
    let length = mended[&id("rec_a_1")];
    assert!(mended.len() == 1 && length.samples >= 10_000 && length.rate == 8000, "{mended:?}");
    let whole = file_of(dir.path(), &id("rec_a_1"));
    let samples = Recording::open(&whole).unwrap().samples;
    assert_eq!(samples.len() as u64, length.samples * 2);
    assert_eq!(samples[..20_000], ramp(0, 20_000));
    assert!(!part.exists() && !dir.path().join("rec_b_1.wav.part").exists());
    assert!(dir.path().join("else.wav.part").exists(), "not ours");
    assert!(mend(dir.path()).is_empty());
}

#[tokio::test]
async fn a_disk_that_does_not_keep_up_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let (desk, mut thread) = ByHand::desk(dir.path(), Duration::from_mins(1));
    let mut tape = desk.open(id("rec_a_1"), RATE, 1);
    for _ in 0..CHUNKS_MAX {
        tape.write(vec![1; 1600]).unwrap();
    }
    assert_eq!(tape.write(vec![2; 1600]), Err(TooSlow));
    thread.step();
    tape.write(vec![3; 1600]).unwrap();
    tape.close();
    thread.step();
    let length = outcome(&mut tape).await.unwrap();
    assert_eq!(length.samples, 1600 * (CHUNKS_MAX as u64 + 1));
    // Without a thread nothing comes of it.
    drop(thread);
    let mut lost = desk.open(id("rec_a_2"), RATE, 1);
    assert_eq!(outcome(&mut lost).await.unwrap_err().kept, None);
}

/// A disk that takes some octets and is full then.
struct Small(Cursor<Vec<u8>>, u64);

impl Write for Small {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.0.position() + octets.len() as u64 > self.1 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Small {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[tokio::test]
async fn a_disk_that_is_full_ends_its_recording_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::new(dir.path().to_owned(), |path| {
        let room = if path.ends_with("rec_a_1.wav.part") { 50_000 } else { 1 << 20 };
        Ok(Small(Cursor::default(), room))
    });
    let (jobs, taken) = channel();
    let desk = RecordingDesk { jobs, longest: Duration::from_mins(1) };
    let mut full = desk.open(id("rec_a_1"), RATE, 1);
    let mut other = desk.open(id("rec_b_1"), RATE, 1);
    for _ in 0..20 {
        full.write(vec![1; 1600]).unwrap();
        other.write(vec![1; 1600]).unwrap();
    }
    for job in taken.try_iter() {
        shelf.take(job);
    }
    shelf.checkpoint();
    let broken = outcome(&mut full).await.unwrap_err();
    assert!(broken.reason.contains("no storage space"), "{broken}");
    let pending = std::future::poll_fn(|context| Poll::Ready(other.poll_outcome(context))).await;
    assert!(pending.is_pending());
}

#[test]
fn old_files_are_removed_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path().to_owned(), shelf::create);
    for name in ["rec_a_1.wav", "rec_b_1.wav.part", "notes.wav", "rec_c_1.txt"] {
        std::fs::write(dir.path().join(name), "x").unwrap();
    }
    let there = || std::fs::read_dir(dir.path()).unwrap().count();
    shelf.remove_older(None);
    shelf.remove_older(SystemTime::now().checked_sub(Duration::from_hours(1)));
    assert_eq!(there(), 4);
    shelf.remove_older(SystemTime::now().checked_add(Duration::from_hours(1)));
    assert_eq!(there(), 3);
    assert!(!dir.path().join("rec_a_1.wav").exists());
}
