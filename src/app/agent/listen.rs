//! The agent's ear: caller audio to voice activity and to a transcriber, all on one clock.
//!
//! ```text
//!  capture ring ─┬─> Vad ──────> VoiceStarted, VoiceStopped ─┐
//!                ├─> beep, judge > Answerer                  ├─> Input (Durations of the leg's clock)
//!                └─> SttInput ─> SttEvent ─> Transcript ─────┘
//! ```
//!
//! Owns the mapping from capture positions (samples of the caller's clock) to the leg's clock.
//! Does not decide what a voice means.

use crate::app::clock::Clock;
use crate::audio::beep::BeepDetector;
use crate::audio::rate::SampleRate;
use crate::audio::vad::{Vad, VadEvent};
use crate::media::ring::CaptureReader;
use crate::speech::stt::{SttEvent, SttInput};
use crate::turn::answerer::AnswererJudge;
use crate::turn::interface::Input;
use std::time::Duration;

/// The ear of one call.
pub(super) struct Ear {
    clock: Clock,
    vad: Vad,
    beep: BeepDetector,
    /// Who answered; only where it matters.
    judge: Option<AnswererJudge>,
    stt: Option<SttInput>,
    samples: Vec<i16>,
}

impl Ear {
    /// An ear; `language` is that of a mailbox, where it matters who answers.
    pub(super) fn new(rate: SampleRate, stt: Option<SttInput>, language: Option<&str>) -> Self {
        Self {
            clock: Clock::new(rate.hz()),
            vad: Vad::new(rate),
            beep: BeepDetector::new(rate),
            judge: language.map(|language| AnswererJudge::new(language, Duration::ZERO)),
            stt,
            samples: Vec::new(),
        }
    }

    /// Takes everything out of the capture ring and hands on what it means.
    ///
    /// Cost: 5 µs a frame while nobody speaks, 25 µs while somebody does.
    pub(super) fn take(
        &mut self,
        capture: &mut CaptureReader,
        now: Duration,
        mut tell: impl FnMut(Input),
    ) {
        loop {
            self.samples.clear();
            let Some(header) = capture.pop(&mut self.samples) else { return };
            let end = header.position + u64::from(header.samples);
            self.clock.arrived(end, now);
            if let Some(stt) = &mut self.stt {
                stt.push(header.position, &self.samples);
            }
            let clock = &self.clock;
            let mut judge = self.judge.as_mut();
            self.vad.push(header.position, &self.samples, &mut |event| match event {
                VadEvent::Started { position, level_dbov } => {
                    let at = clock.at(position);
                    if let Some(judge) = &mut judge {
                        judge.voice_started(at);
                    }
                    tell(Input::VoiceStarted { at, level: level_dbov });
                }
                VadEvent::Stopped { position } => {
                    let at = clock.at(position);
                    if let Some(judge) = &mut judge {
                        judge.voice_stopped(at);
                    }
                    tell(Input::VoiceStopped { at });
                }
            });
            if let Some(judge) = judge {
                let mut beeps = false;
                self.beep.push(header.position, &self.samples, &mut |_| beeps = true);
                let beep = beeps.then(|| judge.beep(now)).flatten();
                for verdict in judge.judge(now).into_iter().chain(beep) {
                    tell(Input::Answerer(verdict));
                }
            }
        }
    }

    /// Throws away what was heard before anybody was to listen.
    pub(super) fn skip(&mut self, capture: &mut CaptureReader, now: Duration) {
        loop {
            self.samples.clear();
            let Some(header) = capture.pop(&mut self.samples) else { return };
            self.clock.arrived(header.position + u64::from(header.samples), now);
        }
    }

    /// What the transcriber says, on the leg's clock.
    pub(super) fn translate(&mut self, now: Duration, event: &SttEvent) -> [Option<Input>; 2] {
        let verdict = match (event, &mut self.judge) {
            (SttEvent::Transcript(said), Some(judge)) => {
                judge.transcript(now, &said.text, said.is_final)
            }
            _ => None,
        };
        let input = match event {
            SttEvent::Transcript(said) => Some(Input::Transcript {
                text: said.text.to_string(),
                is_final: said.is_final,
                ended: self.clock.at(said.end),
                confidence: said.confidence,
                constrained: said.constrained,
            }),
            SttEvent::TurnEnd { confidence, .. } => {
                Some(Input::EngineTurnEnd { confidence: *confidence })
            }
            SttEvent::Unavailable(_) => Some(Input::TranscriptionLost),
            SttEvent::SpeechStarted(_)
            | SttEvent::SpeechEnded(_)
            | SttEvent::Ready
            | SttEvent::Reconnecting(_) => None,
        };
        [input, verdict.map(Input::Answerer)]
    }

    /// Judges who answered by the time alone.
    pub(super) fn judge(&mut self, now: Duration) -> Option<Input> {
        self.judge.as_mut()?.judge(now).map(Input::Answerer)
    }

    /// When [`Self::judge`] may know more.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.judge.as_ref()?.deadline()
    }

    /// The caller's voice ended: the transcriber may finish what it has.
    pub(super) fn finalise(&mut self) {
        if let Some(stt) = &mut self.stt {
            stt.finalise();
        }
    }

    /// What may be said next, for engines that choose from a list.
    pub(super) fn set_phrases(&mut self, phrases: &[String]) {
        if let Some(stt) = &mut self.stt {
            stt.set_phrases(phrases.to_vec());
        }
    }
}
