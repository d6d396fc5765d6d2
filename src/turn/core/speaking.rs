//! The agent's voice: what is given out, what left, what was heard of it.

use super::super::interface::{
    Expect, Line, Output, Prompt, Speaker, TurnId, UtteranceId, WordTime,
};
use super::super::latency::Moment;
use super::super::mouth::{Source, Voice};
use super::asking::{Asked, Held};
use super::{END_WAIT, Phase, START_WAIT, TurnCore};
use std::time::Duration;

/// Utterances in a row that the engine failed at, after which it is given up.
const VOICE_FAILURES_MAX: u8 = 2;
/// Times in a row that the agent goes on after a noise had cut it off.
const RESUMES_MAX: u8 = 2;

/// Who says something, and whether it can be cut off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    source: Source,
    interruptible: bool,
}

impl Manner {
    pub(super) const FILLER: Self = Self { source: Source::Filler, interruptible: true };
    pub(super) const REPROMPT: Self = Self { source: Source::Reprompt, interruptible: true };
    pub(super) const GREETING: Self = Self { source: Source::Own, interruptible: true };
    /// The disclosure and last words.
    pub(super) const FIXED: Self = Self { source: Source::Own, interruptible: false };

    pub(super) const fn brain(interruptible: bool) -> Self {
        Self { source: Source::Brain, interruptible }
    }
}

/// What is said again when it turns out that only a noise had cut it off.
#[derive(Debug)]
pub(super) struct Resume {
    turn: TurnId,
    /// From the sentence that was cut on.
    sentences: Vec<(String, Manner)>,
    /// Of a brain's turn: what it expected, and what to ask again if it was not done.
    asked: Option<(Option<Expect>, Option<Prompt>)>,
}

impl TurnCore {
    /// Gives out a sentence behind those that are given out. Without room it is dropped.
    pub(super) fn speak(&mut self, text: &str, turn: TurnId, manner: Manner) {
        if text.trim().is_empty() || !self.mouth.has_room() {
            return;
        }
        self.utterance.0 += 1;
        let utterance = self.utterance;
        self.ledger.text(utterance, text);
        if manner.source != Source::Filler {
            self.questioned = text.trim_end().ends_with(['?', '？']);
        }
        self.mouth.push(Voice {
            utterance,
            turn,
            source: manner.source,
            text: text.to_owned(),
            interruptible: manner.interruptible,
            waits_since: self.now,
            sounds_since: None,
            cut: None,
            broken: false,
        });
        self.tell(Output::Speak { utterance, turn, text: text.to_owned() });
    }

    pub(super) fn synthesis(
        &mut self,
        utterance: UtteranceId,
        length: Duration,
        complete: bool,
        words: &[WordTime],
    ) {
        self.ledger.synthesised(utterance, length, complete, words);
        if complete {
            self.voice_failures = 0;
        }
        let now = self.now;
        let voice = self.mouth.live().find(|voice| voice.utterance == utterance);
        let Some(turn) = voice.filter(|v| v.source == Source::Brain).map(|v| v.turn) else {
            return;
        };
        self.note_leaving(turn, Moment::FirstAudio);
        if let Some(asked) = self.asked.as_mut().filter(|asked| asked.turn == turn) {
            asked.watch.note(Moment::FirstAudio, now);
        }
    }

    pub(super) fn synthesis_failed(&mut self, utterance: UtteranceId, detail: String) {
        if !self.mouth.broke(utterance, self.now) {
            return;
        }
        self.fell_silent();
        self.voice_failures = self.voice_failures.saturating_add(1);
        if self.voice_failures >= VOICE_FAILURES_MAX {
            self.fail(detail);
        }
    }

    pub(super) fn play_started(&mut self, utterance: UtteranceId) {
        let Some(voice) = self.mouth.start(utterance, self.now) else { return };
        if voice.source == Source::Brain {
            self.answer_sounds(voice.turn);
        }
        if !voice.interruptible {
            // It is not turned down either.
            self.restore();
        } else if self.caller.speaks() {
            self.consider_barge();
        } else if self.barge.is_some() && !self.mouth.ducked {
            self.mouth.ducked = true;
            self.tell(Output::Duck);
        }
    }

    pub(super) fn play_ended(&mut self, utterance: UtteranceId) {
        let now = self.now;
        let Some(voice) = self.mouth.take(utterance, now) else { return };
        let text = if voice.broken {
            self.ledger.synthesised_words(utterance)
        } else {
            voice.text.clone()
        };
        let started = voice.sounds_since.unwrap_or(now);
        self.mouth.last_sound = self.mouth.last_sound.max(now);
        self.settle_voice(&voice, text, started, now, voice.broken);
        if voice.source == Source::Brain && voice.cut.is_none() && voice.sounds_since.is_none() {
            self.answer_sounds(voice.turn);
        }
        if voice.source != Source::Reprompt && voice.cut.is_none() {
            self.silence.since = self.silence.since.max(now + self.spec.network_delay);
        }
        self.fell_silent();
    }

    pub(super) fn play_cut(&mut self, utterance: UtteranceId, played: Duration) {
        let now = self.now;
        let Some(voice) = self.mouth.take(utterance, now) else { return };
        if let Some(started) = voice.sounds_since {
            let heard = self.ledger.heard(utterance, played);
            if voice.cut.is_some_and(|(_, by_caller)| by_caller) {
                self.tell(Output::Interrupted { utterance, heard: heard.clone() });
            }
            let ended = now.min(started + played);
            self.settle_voice(&voice, heard, started, ended, true);
            self.silence.since = self.silence.since.max(ended);
        }
        self.fell_silent();
    }

    fn settle_voice(
        &mut self,
        voice: &Voice,
        text: String,
        started: Duration,
        ended: Duration,
        interrupted: bool,
    ) {
        if text.is_empty() {
            return;
        }
        let (turn, speaker, digits) = (voice.turn, Speaker::Agent, String::new());
        self.lines.settle(Line { turn, speaker, text, digits, started, ended, interrupted });
    }

    /// When nothing more is to be said, nothing is ducked, and what sounds is the caller.
    fn fell_silent(&mut self) {
        if self.mouth.is_busy() {
            return;
        }
        if self.asked.is_none() {
            self.barge = None;
        }
        self.unduck();
        self.caller.is_real(self.now);
    }

    pub(super) fn stalled_due(&self) -> Option<Duration> {
        let head = self.mouth.head()?;
        let Some(since) = head.sounds_since else { return Some(head.waits_since + START_WAIT) };
        let (length, complete) = self.ledger.length(head.utterance).unwrap_or_default();
        (complete || head.broken).then(|| since + length + END_WAIT)
    }

    /// The utterance that should sound does not: as if the engine had failed at it. One that
    /// should have ended has.
    pub(super) fn stalled(&mut self) {
        let Some(head) = self.mouth.head() else { return };
        let utterance = head.utterance;
        if head.sounds_since.is_none() {
            self.synthesis_failed(utterance, "no sound of an utterance in time".to_owned());
        } else {
            self.play_ended(utterance);
        }
    }

    /// Keeps what a voice without words has cut off, to say it again if it was only a noise.
    pub(super) fn remember_for_resume(&mut self, cut: Vec<Voice>) {
        self.resume = None;
        let mut turn = cut.first().map(|voice| voice.turn);
        if let Some(asked) = &self.asked {
            // An answer of which nothing was heard is asked for again with the caller's words.
            if !asked.heard && asked.said_before().is_some() {
                return;
            }
            turn = Some(asked.turn);
        }
        let Some(turn) = turn else { return };
        let manner = |v: &Voice| Manner { source: v.source, interruptible: v.interruptible };
        let mut sentences: Vec<_> = cut.into_iter().map(|v| (manner(&v), v.text)).collect();
        let asked = self.asked.as_mut().map(|asked| {
            let held = asked.held.drain(..);
            sentences.extend(
                held.map(|Held { text, interruptible }| (Manner::brain(interruptible), text)),
            );
            (asked.expect.clone(), (!asked.done).then(|| asked.prompt.clone()))
        });
        let sentences = sentences.into_iter().map(|(manner, text)| (text, manner)).collect();
        self.resume = Some(Resume { turn, sentences, asked });
    }

    /// Goes on where a noise had cut the agent off.
    pub(super) fn resume_speech(&mut self) {
        let Some(resume) = self.resume.take() else { return };
        if self.agent_busy() || self.phase != Phase::Talking || self.resumes >= RESUMES_MAX {
            return;
        }
        self.resumes += 1;
        match resume.asked {
            // The rest of the answer is lost with the brain's turn: it is asked once more.
            Some((_, Some(prompt))) => return self.ask(prompt, false),
            Some((expect, None)) => {
                self.asked = Some(Asked::resumed(resume.turn, expect, self.now));
            }
            None => (),
        }
        for (text, manner) in resume.sentences {
            self.speak(&text, resume.turn, manner);
        }
    }
}
