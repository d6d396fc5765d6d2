//! One scenario played to one program, a beat at a time.
//!
//! Owns the caller's voice, the clock of the trial and what is collected. Decides nothing: the
//! script does.

use super::scenario::{Say, Scenario};
use super::script::{Beat, Deed, Script, Verdict};
use super::socket::{Sight, Watched};
use crate::app::Report;
use crate::app::rehearsal::{BEAT, Facts, RATE, Rehearsal, SAMPLES};
use crate::app::stream::{ClientSocket, SeatError, StreamOptions};
use crate::audio::decode::{DecodeLimits, decode_file_at};
use crate::audio::rate::SampleRate;
use crate::speech::tts::{SpeakRequest, Tts};
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// A sample beyond this is no silence.
const SILENT: u16 = 60;
/// How long the program may take to let go once it was told that the call is over.
const GOODBYE: Duration = Duration::from_secs(5);
/// Longest sound of a caller.
const SAY_MAX: Duration = Duration::from_secs(300);

/// What came of a trial.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Every expectation and rule.
    pub(super) verdicts: Vec<Verdict>,
    /// Since the answer.
    pub(super) lasted: Duration,
    /// Octets of sound that the program sent.
    pub(super) octets: usize,
    /// Messages that it sent.
    pub(super) messages: usize,
    /// Gaps of its sound, in words.
    pub(super) gaps: String,
    /// What the caller heard.
    pub(super) heard: Vec<i16>,
    /// What passed, in order: seconds since the answer, who, what.
    pub(super) log: Vec<(Duration, &'static str, String)>,
}

impl Outcome {
    /// Whether everything was as it should be.
    pub(super) fn passed(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.passed)
    }
}

/// Everything that the caller of a scenario says, by step, at the rate of the leg.
///
/// # Errors
/// Which step cannot be said, and why.
pub(super) async fn voices(
    scenario: &Scenario,
    directory: &Path,
    tts: &Tts,
) -> Result<Vec<Vec<i16>>, String> {
    let mut all = Vec::with_capacity(scenario.steps.len());
    for (number, step) in scenario.steps.iter().enumerate() {
        let samples = match &step.say {
            None => Ok(Vec::new()),
            Some(Say::Tone { hz, lasts }) => Ok(tone(*hz, (*lasts).min(SAY_MAX))),
            Some(Say::File(name)) => file(&directory.join(name)),
            Some(Say::Text(text)) => spoken(text, tts).await,
        };
        all.push(samples.map_err(|what| format!("step {}: {what}", number + 1))?);
    }
    Ok(all)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "minutes at 8 kHz, a quarter of full scale"
)]
fn tone(hz: f64, lasts: Duration) -> Vec<i16> {
    let count = (lasts.as_secs_f64() * f64::from(RATE)) as usize;
    let step = hz * std::f64::consts::TAU / f64::from(RATE);
    (0..count).map(|n| ((n as f64 * step).sin() * 8000.0) as i16).collect()
}

fn file(path: &Path) -> Result<Vec<i16>, String> {
    let named = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let bytes = std::fs::read(path).map_err(|error| named(&error))?;
    let limits = DecodeLimits { duration_max: SAY_MAX, ..DecodeLimits::default() };
    let decoded = decode_file_at(&bytes, SampleRate::HZ_8000, &limits);
    let decoded = decoded.map_err(|error| named(&error))?;
    Ok(decoded.samples.iter().map(|sample| to_i16(*sample)).collect())
}

#[expect(clippy::cast_possible_truncation, reason = "a float cast saturates")]
fn to_i16(sample: f32) -> i16 {
    (sample * 32_767.0) as i16
}

async fn spoken(text: &str, tts: &Tts) -> Result<Vec<i16>, String> {
    let request = SpeakRequest::new("en-US-001", text);
    let mut speech = tts.speak(request).map_err(|error| error.to_string())?;
    let mut samples = Vec::new();
    while let Some(piece) = speech.next().await {
        samples.extend_from_slice(&piece?.samples);
    }
    Ok(samples)
}

/// Plays a scenario to the program behind `socket`.
///
/// # Errors
/// The stream cannot be attached; never of a fresh rehearsal.
pub(super) async fn run<S: ClientSocket + 'static>(
    scenario: &Scenario,
    voices: Vec<Vec<i16>>,
    options: StreamOptions,
    socket: S,
) -> Result<Outcome, SeatError> {
    let (socket, sights) = Watched::new(socket);
    let facts = Facts {
        direction: scenario.call.direction(),
        from: scenario.call.from.clone(),
        to: scenario.call.to.clone(),
        parameters: scenario.call.parameters.clone(),
    };
    let rehearsal = Rehearsal::start(facts);
    rehearsal.attach(options, Box::new(socket))?;
    let mut trial = Trial::new(scenario, voices, rehearsal, sights);
    trial.play().await;
    Ok(trial.close().await)
}

struct Trial {
    script: Script,
    rehearsal: Rehearsal,
    sights: mpsc::Receiver<Sight>,
    voices: Vec<Vec<i16>>,
    /// What the caller still says.
    saying: VecDeque<i16>,
    hung_up: bool,
    outcome: Outcome,
}

impl Trial {
    fn new(
        scenario: &Scenario,
        voices: Vec<Vec<i16>>,
        rehearsal: Rehearsal,
        sights: mpsc::Receiver<Sight>,
    ) -> Self {
        let outcome = Outcome {
            verdicts: Vec::new(),
            lasted: Duration::ZERO,
            octets: 0,
            messages: 0,
            gaps: String::new(),
            heard: Vec::new(),
            log: Vec::new(),
        };
        let (script, saying, hung_up) = (Script::new(scenario), VecDeque::new(), false);
        Self { script, rehearsal, sights, voices, saying, hung_up, outcome }
    }

    /// The call from its first ring until the scenario is over.
    async fn play(&mut self) {
        for event in ["queued", "dialing", "ringing"] {
            self.rehearsal.call_event(event);
        }
        self.rehearsal.answer();
        let mut clock = tokio::time::interval(BEAT);
        // A trial that was held up catches up, as a carrier's clock goes on.
        clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while !self.script.is_over() && !self.hung_up {
            clock.tick().await;
            let beat = self.beat();
            for deed in self.script.on_beat(&beat) {
                self.act(deed);
            }
        }
    }

    /// One beat of the call.
    fn beat(&mut self) -> Beat {
        let mut frame = [0; SAMPLES];
        for (place, sample) in
            frame.iter_mut().zip(self.saying.drain(..SAMPLES.min(self.saying.len())))
        {
            *place = sample;
        }
        let sent = self.rehearsal.beat(&frame);
        let mut beat = Beat {
            sounds: sent.iter().any(|sample| sample.unsigned_abs() > SILENT),
            short: sent.len() < SAMPLES,
            speaks: !self.saying.is_empty(),
            ..Beat::default()
        };
        let fill = SAMPLES.saturating_sub(sent.len());
        self.outcome.heard.extend_from_slice(&sent);
        self.outcome.heard.extend(std::iter::repeat_n(0, fill));
        self.look(&mut beat);
        for report in self.rehearsal.reports() {
            let asks =
                matches!(report, Report::HangupRequested { .. } | Report::PlaybackDone { .. });
            beat.hangup |= asks;
            // Of a call that it asked to end.
            self.hung_up |= asks;
        }
        beat
    }

    /// Takes in what passed on the socket.
    fn look(&mut self, beat: &mut Beat) {
        let at = self.script.at();
        while let Ok(sight) = self.sights.try_recv() {
            let entry = match &sight {
                Sight::Said(value) => Some(("program", value.to_string())),
                Sight::Told(value) => Some(("gateway", value.to_string())),
                Sight::Gone(how) => Some(("gateway", how.clone())),
                Sight::Sound(_) => None,
            };
            self.outcome.log.extend(entry.map(|(who, what)| (at, who, what)));
            match sight {
                Sight::Said(value) => {
                    self.outcome.messages += 1;
                    beat.messages.push(value);
                }
                Sight::Sound(octets) => self.outcome.octets += octets,
                Sight::Told(value) => beat.told.push(value),
                Sight::Gone(_) => beat.gone = true,
            }
        }
    }

    fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Say(step) => {
                let voice = self.voices.get_mut(step).map(std::mem::take).unwrap_or_default();
                self.note(format!("says something of {} ms", voice.len() / 8));
                self.saying = voice.into();
            }
            Deed::Press(keys) => {
                self.note(format!("presses {keys}"));
                keys.bytes().for_each(|key| self.rehearsal.press(key));
            }
            Deed::Event(event) => self.rehearsal.call_event(event),
            Deed::HangUp => {
                self.note("hangs up".to_owned());
                self.hung_up = true;
            }
        }
    }

    fn note(&mut self, what: String) {
        self.outcome.log.push((self.script.at(), "caller", what));
    }

    /// Ends the call, and sees whether the program lets go.
    async fn close(mut self) -> Outcome {
        let reason = if self.hung_up { "callee_hangup" } else { "completed" };
        self.rehearsal.stop(reason, self.script.at());
        let ended = tokio::time::timeout(GOODBYE, async {
            while !self.rehearsal.is_over() {
                self.rehearsal.beat(&[0; SAMPLES]);
                tokio::time::sleep(BEAT).await;
            }
        });
        let ended = ended.await.is_ok();
        let mut beat = Beat::default();
        self.look(&mut beat);
        let mut outcome = self.outcome;
        outcome.verdicts = self.script.verdicts();
        outcome.verdicts.push(Verdict {
            title: "the stream is let go at the end of the call".to_owned(),
            passed: ended,
            detail: if ended { String::new() } else { "not within 5 s".to_owned() },
        });
        outcome.gaps = self.script.gap_words();
        outcome.lasted = self.script.at();
        outcome
    }
}
