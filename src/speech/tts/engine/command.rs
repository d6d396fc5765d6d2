//! Any program of this machine: the text on its standard input, sound from its standard output.
//!
//! ```text
//!  espeak-ng --stdout -v {voice} -s {wpm}            a WAV
//!  piper --output_raw --model {voice}.onnx           raw samples, `rate` says which
//!  flite -voice {voice} -f /dev/stdin -o /dev/stdout
//! ```
//!
//! Owns the process: no shell is in between, the text is never an argument, the environment
//! holds no secrets of ours, and the process dies with its children when nobody listens any more. Bounded in time
//! and sound by [`Sink`], in complaints here.

use super::{EngineError, Saying, Sentence, Sink, TtsEngine};
use crate::audio::decode::LiveFormat;
use crate::speech::tts::spec::TtsEngineSpec;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;

/// Words per minute that many programs speak at 1.0.
const WPM: f32 = 175.0;
/// How much of its complaints is kept.
const STDERR_MAX: usize = 2048;
/// How long it may take to end after its last sound.
const EXIT_MAX: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 2000 });
/// How often that is looked at.
const EXIT_LOOK: Duration = Duration::from_millis(5);
/// What it may know of our environment.
const ENVIRONMENT: [&str; 9] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "ESPEAK_DATA_PATH",
    "XDG_DATA_DIRS",
];

/// The engine.
pub(super) struct Command {
    command: Vec<String>,
    rate: Option<u32>,
}

impl Command {
    pub(super) fn new(spec: &TtsEngineSpec) -> Self {
        Self { command: spec.command.clone(), rate: spec.rate }
    }

    fn arguments(&self, say: &Sentence) -> Vec<String> {
        let wpm = format!("{:.0}", WPM * say.speed);
        let speed = format!("{:.2}", say.speed);
        let rate = self.rate.map(|rate| rate.to_string()).unwrap_or_default();
        let fill = |part: &String| {
            part.replace("{language}", &say.language)
                .replace("{wpm}", &wpm)
                .replace("{speed}", &speed)
                .replace("{rate}", &rate)
                // Last: nothing in a voice's name is filled in again.
                .replace("{voice}", &say.voice)
        };
        self.command.iter().map(fill).collect()
    }
}

impl TtsEngine for Command {
    fn synthesise<'a>(&'a self, say: &'a Sentence, out: &'a mut Sink) -> Saying<'a> {
        Box::pin(async move {
            let arguments = self.arguments(say);
            let program = arguments.first().cloned().unwrap_or_default();
            // A fork takes milliseconds; the guard travels with the child from its first moment.
            let started = tokio::task::spawn_blocking(move || start(&arguments));
            let started = out.wait(started).await?;
            let failed = |error: String| EngineError::Failed(format!("{program}: {error}"));
            let mut running = started
                .map_err(|error| failed(error.to_string()))?
                .map_err(|error| failed(error.to_string()))?;
            match self.rate {
                Some(rate) => out.format(LiveFormat::PcmS16Le, rate)?,
                None => out.format(LiveFormat::Wav, 16_000)?,
            }
            let said = running.converse(say.text.as_str(), out).await;
            // What it complained of explains a sound that is none.
            let status = match &said {
                Ok(()) => running.ended(out).await?,
                Err(_) => None,
            };
            match (said, status) {
                (Ok(()), None | Some(0)) => Ok(()),
                (Ok(()), Some(code)) => {
                    Err(failed(format!("exit status {code}: {}", running.complaint())))
                }
                (Err(EngineError::Failed(why)), _) => {
                    Err(failed(format!("{why} {}", running.complaint())))
                }
                (Err(error), _) => Err(error),
            }
        })
    }
}

/// A process that does not outlive its use.
struct Running {
    child: Option<Child>,
    stdin: Option<pipe::Sender>,
    stdout: pipe::Receiver,
    stderr: Option<pipe::Receiver>,
    complaint: Vec<u8>,
}

/// A child that is killed and reaped when dropped.
struct Guard(Option<Child>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(child) = self.0.take() {
            end(child);
        }
    }
}

/// Kills it with all that it started, and reaps it, wherever this runs.
fn end(mut child: Child) {
    // Not reaped yet, so the group is still its own.
    let leader = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(leader) = leader {
        let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    if !matches!(child.try_wait(), Ok(Some(_))) {
        // It is dying; somebody must wait for it, but not a thread of the runtime.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || child.wait())),
            Err(_) => drop(child.wait()),
        }
    }
}

fn start(arguments: &[String]) -> std::io::Result<Running> {
    let Some((program, arguments)) = arguments.split_first() else {
        return Err(std::io::Error::other("no command is configured"));
    };
    let known = ENVIRONMENT.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
    let child = std::process::Command::new(program)
        .args(arguments)
        .process_group(0)
        .env_clear()
        .envs(known)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut guard = Guard(Some(child));
    let missing = || std::io::Error::other("a pipe is missing");
    let child = guard.0.as_mut().ok_or_else(missing)?;
    let stdin = pipe::Sender::from_owned_fd(child.stdin.take().ok_or_else(missing)?.into())?;
    let stdout = pipe::Receiver::from_owned_fd(child.stdout.take().ok_or_else(missing)?.into())?;
    let stderr = pipe::Receiver::from_owned_fd(child.stderr.take().ok_or_else(missing)?.into())?;
    Ok(Running {
        child: guard.0.take(),
        stdin: Some(stdin),
        stdout,
        stderr: Some(stderr),
        complaint: Vec::new(),
    })
}

impl Running {
    /// Writes the text, takes the sound and the complaints, until the sound ends.
    async fn converse(&mut self, text: &str, out: &mut Sink) -> Result<(), EngineError> {
        let line = format!("{text}\n");
        let mut rest = line.as_bytes();
        let mut sound = vec![0; 16 * 1024];
        let mut complaint = [0; 512];
        loop {
            let step = async {
                tokio::select! {
                    read = self.stdout.read(&mut sound) => Step::Sound(read),
                    wrote = write(&mut self.stdin, rest) => Step::Wrote(wrote),
                    read = read(&mut self.stderr, &mut complaint) => Step::Complaint(read),
                }
            };
            match out.wait(step).await? {
                Step::Sound(Ok(0)) => return out.audio_end(),
                Step::Sound(Ok(count)) => out.audio(sound.get(..count).unwrap_or_default())?,
                Step::Sound(Err(error)) => return Err(EngineError::Failed(error.to_string())),
                Step::Wrote(Ok(count)) if count < rest.len() => {
                    rest = rest.get(count..).unwrap_or_default();
                }
                // All is written, or it reads no further: its exit status tells which.
                Step::Wrote(_) => self.stdin = None,
                Step::Complaint(Ok(count)) if count > 0 => {
                    let room = STDERR_MAX.saturating_sub(self.complaint.len());
                    self.complaint.extend(complaint.iter().take(count.min(room)));
                }
                Step::Complaint(_) => self.stderr = None,
            }
        }
    }

    /// Waits for its end after its last sound; `None` when it had to be killed.
    async fn ended(&mut self, out: &mut Sink) -> Result<Option<i32>, EngineError> {
        self.stdin = None;
        let mut looks = EXIT_MAX.as_millis() / EXIT_LOOK.as_millis();
        while let Some(child) = &mut self.child {
            match child.try_wait() {
                Ok(Some(status)) => {
                    self.child = None;
                    self.last_words();
                    return Ok(Some(status.code().unwrap_or(-1)));
                }
                Ok(None) if looks > 0 => out.wait(tokio::time::sleep(EXIT_LOOK)).await?,
                Ok(None) | Err(_) => return Ok(None),
            }
            looks -= 1;
        }
        Ok(None)
    }

    /// Takes the complaints that were written before it ended.
    fn last_words(&mut self) {
        let Some(stderr) = &self.stderr else { return };
        let mut rest = [0; STDERR_MAX];
        if let Ok(count) = stderr.try_read(&mut rest) {
            let room = STDERR_MAX.saturating_sub(self.complaint.len());
            self.complaint.extend(rest.iter().take(count.min(room)));
        }
    }

    fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.complaint);
        let text = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
        text.take(200).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            end(child);
        }
    }
}

enum Step {
    Sound(std::io::Result<usize>),
    Wrote(std::io::Result<usize>),
    Complaint(std::io::Result<usize>),
}

async fn write(to: &mut Option<pipe::Sender>, octets: &[u8]) -> std::io::Result<usize> {
    match to {
        Some(to) => to.write(octets).await,
        None => std::future::pending().await,
    }
}

async fn read(from: &mut Option<pipe::Receiver>, octets: &mut [u8]) -> std::io::Result<usize> {
    match from {
        Some(from) => from.read(octets).await,
        None => std::future::pending().await,
    }
}
