//! Voice quality of the way from a source to the carrier's codec, scored by PESQ on real speech.
//!
//! ```text
//!  speech 16 kHz, −26 dBov ─> [24, 44.1, 48 kHz] ─> [lame] ─> our decoder ─> our resampler
//!                                                      ─> µ-law ─> 8 kHz ─> tests/audio/pesq.py
//! ```
//!
//! The speech is the five LibriVox files of Debian's `pocketsphinx-testdata`, at 16 kHz. Speech
//! recorded at higher rates is not packaged: those sources are the same files brought to 24, 44.1
//! and 48 kHz by rubato's FFT, so they hold nothing above 8 kHz and the score shows what the way
//! back costs. The floors are those of the product; an ideal resampler scores about 4.38.
//!
//! `make test` sets `BELLWIRE_AUDIO_TESTS=1`: then a missing tool or file is a failure. Without
//! it the tests are skipped, and say so.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bellwire::audio::codec::{Codec as _, g711::Pcmu};
use bellwire::audio::decode::{DecodeLimits, LiveDecoder, LiveFormat, LiveOutput};
use bellwire::audio::gain::{TARGET_DBOV, active_level};
use bellwire::audio::prompt::prepare_prompt;
use bellwire::audio::rate::SampleRate;
use bellwire::audio::resample::{Resampler, resample_whole};
use bellwire::audio::sample::{ratio_of_db, to_f32, to_i16};
use bellwire::audio::wav::{Recording, WavWriter};

const SPEECH: &str = "/usr/share/pocketsphinx/test/data/librivox";
/// The level of the speech, as in the measurements that the floors come from.
const LEVEL_DBOV: f32 = -26.0;

#[test]
fn pcm_streams_reach_the_carrier_as_well_as_can_be() {
    let Some(rig) = Rig::find() else { return };
    for (hz, floor) in [(16_000, 4.35), (24_000, 4.3), (44_100, 4.3), (48_000, 4.3)] {
        rig.check(&format!("PCM {hz} Hz, live, 20 ms"), floor, |speech| {
            let source = speech.at(hz);
            let mut resampler = resampler(hz);
            let mut out = Vec::new();
            for chunk in source.chunks(hz as usize / 50) {
                resampler.process(chunk, &mut out);
            }
            resampler.flush(&mut out);
            out
        });
    }
}

#[test]
fn mp3_streams_reach_the_carrier_as_well_as_can_be() {
    let Some(rig) = Rig::find() else { return };
    for (hz, kbit, floor) in [(16_000, 64, 4.3), (24_000, 96, 4.3), (44_100, 128, 4.3)] {
        rig.check(&format!("MP3 {hz} Hz {kbit} kbit/s, live, 700 octets"), floor, |speech| {
            let file = rig.mp3(&speech.at(hz), hz, kbit);
            let mut decoder = LiveDecoder::new(LiveFormat::Auto, SampleRate::HZ_16000);
            let mut resampler = resampler(hz);
            let mut out = Vec::new();
            let mut sink = |output: LiveOutput<'_>| match output {
                LiveOutput::Samples { rate, samples } => {
                    assert_eq!(rate.hz(), hz);
                    resampler.process(samples, &mut out);
                }
                LiveOutput::Event(_) => {}
            };
            file.chunks(700).for_each(|chunk| decoder.push(chunk, &mut sink));
            decoder.flush(&mut sink);
            resampler.flush(&mut out);
            out
        });
    }
}

#[test]
fn prompts_reach_the_carrier_as_well_as_can_be() {
    let Some(rig) = Rig::find() else { return };
    let limits = DecodeLimits::default();
    rig.check("WAV 16000 Hz, prompt at -20 dBov", 4.35, |speech| {
        let file = std::fs::read(rig.write(&speech.samples, 16_000)).expect("just written");
        prepare_prompt(&file, &limits, Some(TARGET_DBOV)).expect("a WAV").to_vec()
    });
    rig.check("MP3 44100 Hz 128 kbit/s, prompt at -20 dBov", 4.3, |speech| {
        let file = rig.mp3(&speech.at(44_100), 44_100, 128);
        prepare_prompt(&file, &limits, Some(TARGET_DBOV)).expect("an MP3").to_vec()
    });
}

#[test]
fn a_resampler_that_starts_anew_in_every_chunk_is_heard() {
    let Some(rig) = Rig::find() else { return };
    // The rig must see the fault that it is there to find.
    let worst = rig.scores(|speech| {
        let mut out = Vec::new();
        for chunk in speech.at(24_000).chunks(480) {
            let mut resampler = resampler(24_000);
            resampler.process(chunk, &mut out);
            resampler.flush(&mut out);
        }
        out
    });
    assert!(mean(&worst) < 4.25, "{worst:?}");
}

fn resampler(hz: u32) -> Resampler {
    let from = SampleRate::new(hz).expect("not zero");
    Resampler::aligned(from, SampleRate::HZ_8000).expect("in range")
}

fn mean(scores: &[f32]) -> f32 {
    let count = u16::try_from(scores.len()).expect("a few files");
    scores.iter().sum::<f32>() / f32::from(count)
}

/// One recording at 16 kHz.
struct Speech {
    samples: Vec<i16>,
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
    fn at(&self, hz: u32) -> Vec<i16> {
        let samples: Vec<f32> = self.samples.iter().map(|&sample| to_f32(sample)).collect();
        let to = SampleRate::new(hz).expect("not zero");
        let samples = resample_whole(&samples, SampleRate::HZ_16000, to).expect("in range");
        samples.into_iter().map(to_i16).collect()
    }
}

/// The speech, the tools, and a place for files.
struct Rig {
    python: PathBuf,
    speech: Vec<Speech>,
    dir: tempfile::TempDir,
    files: std::cell::Cell<u32>,
}

impl Rig {
    /// Finds what the tests need; `None` where it is missing and that may be.
    fn find() -> Option<Self> {
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

    /// Sends all speech through `path`, and demands a mean score of `floor` at least.
    #[expect(clippy::print_stdout, reason = "--nocapture shows the scores")]
    fn check(&self, what: &str, floor: f32, path: impl Fn(&Speech) -> Vec<i16>) {
        let scores = self.scores(path);
        println!("{what}: mean {:.3} of {scores:?}", mean(&scores));
        assert!(mean(&scores) >= floor, "{what}: mean {} below {floor}: {scores:?}", mean(&scores));
    }

    /// The scores of all speech, sent through `path` and then µ-law.
    fn scores(&self, path: impl Fn(&Speech) -> Vec<i16>) -> Vec<f32> {
        let mut command = Command::new(&self.python);
        // -P: the script has the name of the package, and must not stand in its way.
        command.arg("-P").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio/pesq.py"));
        for speech in &self.speech {
            let mut heard = path(speech);
            let mut payload = vec![0; heard.len()];
            Pcmu.encode(&heard, &mut payload);
            Pcmu.decode(&payload, &mut heard);
            command.arg(self.write(&speech.samples, 16_000)).arg(self.write(&heard, 8_000));
        }
        let done = command.output().expect("python starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let printed = String::from_utf8(done.stdout).expect("numbers");
        let scores: Vec<f32> = printed.lines().map(|l| l.parse().expect("a score")).collect();
        assert_eq!(scores.len(), self.speech.len());
        scores
    }

    fn next_file(&self, extension: &str) -> PathBuf {
        self.files.set(self.files.get() + 1);
        self.dir.path().join(format!("{}.{extension}", self.files.get()))
    }

    fn write(&self, samples: &[i16], hz: u32) -> PathBuf {
        let path = self.next_file("wav");
        let rate = SampleRate::new(hz).expect("not zero");
        let mut writer = WavWriter::create(&path, rate, 1).expect("a file");
        writer.write(samples).expect("room");
        writer.finish().expect("room");
        path
    }

    /// Encodes by a foreign encoder, in its own process.
    fn mp3(&self, samples: &[i16], hz: u32, kbit: u32) -> Vec<u8> {
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
