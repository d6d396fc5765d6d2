//! The speech, the tools and the scorer of every test that tells how good a voice sounds.
//!
//! Knows no path that a voice may take: `tests/audio` sends it through our decoders and
//! resamplers, `tests/daemon` through whole calls. Does not judge: the tests own their floors.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bellwire::audio::gain::active_level;
use bellwire::audio::rate::SampleRate;
use bellwire::audio::resample::resample_whole;
use bellwire::audio::sample::{ratio_of_db, to_f32, to_i16};
use bellwire::audio::wav::{Recording, WavWriter};

const SPEECH: &str = "/usr/share/pocketsphinx/test/data/librivox";
/// The level of the speech, as in the measurements that the floors come from.
const LEVEL_DBOV: f32 = -26.0;

/// The mean of some scores.
pub fn mean(scores: &[f32]) -> f32 {
    let count = u16::try_from(scores.len()).expect("a few files");
    scores.iter().sum::<f32>() / f32::from(count)
}

/// One recording at 16 kHz.
pub struct Speech {
    /// At −26 dBov.
    pub samples: Vec<i16>,
}

impl Speech {
    fn open(path: &Path) -> Self {
        let recording = Recording::open(path).expect("a 16-bit WAV");
        let rate = SampleRate::HZ_16000;
        assert_eq!((recording.rate, recording.channels), (rate, 1), "{}", path.display());
        let samples: Vec<f32> = recording.samples.into_iter().map(to_f32).collect();
        let gain = ratio_of_db(LEVEL_DBOV - active_level(&samples, rate).expect("speech"));
        Self { samples: samples.into_iter().map(|sample| to_i16(sample * gain)).collect() }
    }

    /// The stand-in for a source of this rate.
    pub fn at(&self, hz: u32) -> Vec<i16> {
        let samples: Vec<f32> = self.samples.iter().map(|&sample| to_f32(sample)).collect();
        let to = SampleRate::new(hz).expect("not zero");
        let samples = resample_whole(&samples, SampleRate::HZ_16000, to).expect("in range");
        samples.into_iter().map(to_i16).collect()
    }
}

/// The speech, the tools, and a place for files.
pub struct Rig {
    python: PathBuf,
    /// The five recordings.
    pub speech: Vec<Speech>,
    dir: tempfile::TempDir,
    files: std::cell::Cell<u32>,
}

impl Rig {
    /// Finds what the tests need; `None` where it is missing and that may be.
    pub fn find() -> Option<Self> {
        match Self::try_find() {
            Ok(rig) => Some(rig),
            Err(missing) if std::env::var_os("BELLWIRE_AUDIO_TESTS").is_some_and(|v| v == "1") => {
                panic!("{missing}")
            }
            Err(missing) => {
                // The test harness swallows what a passing test prints, but not this.
                let notice = format!("\nSKIPPED, voice quality was not tested: {missing}\n");
                std::io::stderr().write_all(notice.as_bytes()).expect("a terminal");
                None
            }
        }
    }

    fn try_find() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join(".venv/bin/python");
        if !python.exists() {
            return Err("there is no .venv: run tests/audio/setup.sh".into());
        }
        if Command::new("lame").arg("--version").output().is_err() {
            return Err("there is no lame: run apt-get install -y lame".into());
        }
        let mut files: Vec<PathBuf> = std::fs::read_dir(SPEECH)
            .map_err(|_| "there is no speech: run apt-get install -y pocketsphinx-testdata")?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ext| ext == "wav"))
            .collect();
        files.sort();
        assert_eq!(files.len(), 5, "{SPEECH} holds other files than it did");
        let speech = files.iter().map(|path| Speech::open(path)).collect();
        let dir = tempfile::tempdir().map_err(|why| why.to_string())?;
        Ok(Self { python, speech, dir, files: 0.into() })
    }

    /// The scores of what was heard at 8 kHz, each beside the original at 16 kHz.
    pub fn score(&self, pairs: &[(&[i16], &[i16])]) -> Vec<f32> {
        let mut command = Command::new(&self.python);
        // -P: the script has the name of the package, and must not stand in its way.
        command.arg("-P").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio/pesq.py"));
        for (original, heard) in pairs {
            command.arg(self.write(original, 16_000)).arg(self.write(heard, 8_000));
        }
        let done = command.output().expect("python starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let printed = String::from_utf8(done.stdout).expect("numbers");
        let scores: Vec<f32> = printed.lines().map(|l| l.parse().expect("a score")).collect();
        assert_eq!(scores.len(), pairs.len());
        scores
    }

    fn next_file(&self, extension: &str) -> PathBuf {
        self.files.set(self.files.get() + 1);
        self.dir.path().join(format!("{}.{extension}", self.files.get()))
    }

    /// Writes a WAV, and says where.
    pub fn write(&self, samples: &[i16], hz: u32) -> PathBuf {
        let path = self.next_file("wav");
        let rate = SampleRate::new(hz).expect("not zero");
        let mut writer = WavWriter::create(&path, rate, 1).expect("a file");
        writer.write(samples).expect("room");
        writer.finish().expect("room");
        path
    }

    /// Encodes by a foreign encoder, in its own process.
    pub fn mp3(&self, samples: &[i16], hz: u32, kbit: u32) -> Vec<u8> {
        let (wav, mp3) = (self.write(samples, hz), self.next_file("mp3"));
        let kilohertz = f64::from(hz) / 1_000.0;
        let done = Command::new("lame")
            .args(["--quiet", "-m", "m", "-b", &kbit.to_string()])
            .args(["--resample", &kilohertz.to_string()])
            .args([&wav, &mp3])
            .status();
        assert!(done.is_ok_and(|status| status.success()), "lame failed");
        std::fs::read(mp3).expect("just written")
    }
}
