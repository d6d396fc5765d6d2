//! The caller: voice, words and keys; whether they interrupt, and whether they are a turn.

use super::super::caller::{Meaning, Sounding, Stretch, Words};
use super::super::collect::{self, Pressed};
use super::super::endpoint;
use super::super::interface::{Line, Output, Said, Speaker};
use super::super::words::{contains, normal};
use super::{Phase, TurnCore};
use std::time::Duration;

/// A back-channel that goes on for so long is none.
const BACK_CHANNEL_MAX: Duration = Duration::from_secs(1);

/// The caller's voice while it is the agent's turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Barge {
    /// When it was told; its onset lies earlier, but until then it may have been a click.
    since: Duration,
    /// Its last sound, while it pauses.
    pub stopped: Option<Duration>,
}

impl TurnCore {
    pub(super) fn voice_started(&mut self, at: Duration, level: f32) {
        let at = at.min(self.now);
        if self.caller.voice.is_some() {
            return;
        }
        let ours = self.mouth.sounds_since.filter(|_| self.mouth.speaks());
        if self.caller.is_echo(at, level, ours, self.spec.echo_guard) {
            self.caller.voice = Some(Sounding { at, echo: true });
            return;
        }
        self.caller.began(at);
        if self.agent_busy() {
            self.consider_barge();
        } else {
            self.caller.learn_level(level);
        }
    }

    pub(super) fn voice_stopped(&mut self, at: Duration) {
        let at = at.min(self.now);
        if self.caller.ended(at)
            && let Some(barge) = &mut self.barge
        {
            barge.stopped = Some(at);
        }
    }

    pub(super) fn transcript(&mut self, words: Words<'_>) {
        self.wordless = false;
        if self.caller.voice.is_some_and(|voice| voice.echo) {
            if self.is_our_text(words.text) {
                return;
            }
            self.caller.is_real(Duration::ZERO);
        }
        match self.caller.hear(words, self.now) {
            Meaning::Nothing => (),
            Meaning::Late { partial, words } => self.correct(&partial, &words),
            Meaning::Words => {
                self.resume = None;
                self.recheck_speculation();
                self.interrupt_by_words();
            }
        }
    }

    pub(super) fn engine_turn_end(&mut self, confidence: f32) {
        let sure = confidence >= endpoint::ENGINE_SURE;
        if let Some(stretch) = self.caller.stretch.as_mut().filter(|_| sure) {
            stretch.engine_end = true;
        }
    }

    /// Whether these are words that the agent is saying.
    fn is_our_text(&self, text: &str) -> bool {
        let words = normal(text);
        self.mouth.live().any(|voice| contains(&normal(&voice.text), &words))
    }

    /// Whether the caller may take the word from the agent, as it stands.
    fn may_interrupt(&self) -> bool {
        let expect = self.expected();
        let by_voice = expect.speech || expect.wordless;
        // A cut drops all that is queued, so what may not be cut protects what stands before it.
        let open = !self.mouth.is_busy() || (self.spec.interruptible && !self.mouth.is_fixed());
        self.phase == Phase::Talking && by_voice && open
    }

    /// Turns the agent down until it is clear what the voice is.
    pub(super) fn consider_barge(&mut self) {
        if !self.may_interrupt() {
            return;
        }
        let since = self.now;
        self.barge.get_or_insert(Barge { since, stopped: None }).stopped = None;
        if self.mouth.speaks() && !self.mouth.ducked {
            self.mouth.ducked = true;
            self.tell(Output::Duck);
        }
    }

    pub(super) fn barge_in_due(&self) -> Option<Duration> {
        let barge = self.barge.filter(|_| self.caller.speaks())?;
        let text = self.caller.stretch.as_ref().map(Stretch::text).unwrap_or_default();
        let listening = !text.is_empty() && self.lists.real_words(&text) == 0;
        let floor = if listening { BACK_CHANNEL_MAX } else { Duration::ZERO };
        Some(barge.since + self.spec.barge_in.max(floor))
    }

    /// Words cut the agent off sooner than the voice alone; before it sounds, one is enough.
    fn interrupt_by_words(&mut self) {
        if !(self.agent_busy() && self.may_interrupt()) {
            return;
        }
        let text = self.caller.stretch.as_ref().map(Stretch::text).unwrap_or_default();
        let needed = if self.mouth.speaks() { self.spec.barge_in_words.max(1) } else { 1 };
        if self.lists.real_words(&text) >= needed {
            self.interrupt();
        }
    }

    /// The voice over the agent was a cough or a back-channel.
    pub(super) fn restore(&mut self) {
        self.barge = None;
        self.unduck();
    }

    pub(super) fn unduck(&mut self) {
        if std::mem::take(&mut self.mouth.ducked) {
            self.tell(Output::Restore);
        }
    }

    /// The caller has the word: what is being said is cut, what is thought of is dropped.
    pub(super) fn interrupt(&mut self) {
        self.expect = self.expected().clone();
        self.barge = None;
        self.silence.since = self.now;
        let cut = self.mouth.cut(self.now, true);
        if !cut.is_empty() {
            self.tell(Output::Cut);
        }
        let words = self.caller.stretch.as_ref().is_some_and(Stretch::is_something);
        if !words {
            self.remember_for_resume(cut);
        }
        self.abandon(true);
    }

    pub(super) fn turn_end_due(&self) -> Option<Duration> {
        let stretch = self.caller.stretch.as_ref()?;
        if self.caller.speaks() || self.keys.collecting() {
            return None;
        }
        let silence = endpoint::silence(self.looks(), &self.spec);
        let told = self.wordless || stretch.is_final();
        let transcript = if told { Duration::ZERO } else { self.spec.transcript_wait };
        Some(stretch.ended + silence.max(transcript))
    }

    /// The caller is silent for long enough: a turn, an aside, or nothing.
    pub(super) fn end_of_turn(&mut self) {
        let expect = self.expected().clone();
        let busy = self.agent_busy();
        let Some(stretch) = self.caller.settle() else { return };
        if busy || !self.answers(&stretch, &expect) {
            self.abandon_early();
            return self.aside(&stretch);
        }
        self.ask_about(stretch.said(), stretch.transcript_at, false);
    }

    fn abandon_early(&mut self) {
        if self.asked.as_ref().is_some_and(|asked| asked.speculative) {
            self.abandon(false);
        }
    }

    /// Something that is no turn: words are kept as a line, noise that cut the agent off by
    /// mistake is made up for.
    pub(super) fn aside(&mut self, stretch: &Stretch) {
        self.speculations = 0;
        if !stretch.is_something() {
            return self.resume_speech();
        }
        self.resume = None;
        // A timeout counts from our last word, whatever is said that is no answer.
        if !self.agent_busy() && self.expect.timeout.is_none() {
            self.silence.since = self.silence.since.max(stretch.ended);
            self.silence.reprompts = 0;
        }
        let said = stretch.said();
        self.lines.settle(Line {
            turn: self.turn_so_far(),
            speaker: Speaker::Caller,
            text: said.text,
            digits: said.digits,
            started: said.started,
            ended: said.ended,
            interrupted: false,
        });
    }

    pub(super) fn digit(&mut self, key: char) {
        let Some(key) = collect::key(key) else { return };
        if !matches!(self.phase, Phase::Talking) {
            return;
        }
        if self.takes_keys() && !self.keys.has_kept() {
            self.press(key);
        } else {
            self.keys.keep(key);
        }
    }

    /// Takes one of the keys that were pressed before they could count.
    pub(super) fn take_kept_key(&mut self) -> bool {
        if self.phase != Phase::Talking || !self.takes_keys() {
            return false;
        }
        let Some(key) = self.keys.kept() else { return false };
        self.press(key);
        true
    }

    /// Keys wait while something is said that cannot be cut off, and after the answer to one rule
    /// until it is known what the next one is.
    fn takes_keys(&self) -> bool {
        let fixed = self.mouth.is_fixed();
        let unknown = |asked: &super::Asked| {
            asked.by_rule && !asked.speculative && asked.expect.is_none() && !asked.done
        };
        !fixed && !self.asked.as_ref().is_some_and(unknown)
    }

    fn press(&mut self, key: char) {
        let now = self.now;
        let Some(rule) = self.expected().digits.clone() else {
            self.interrupt_by_key();
            let (started, ended) = (now, now);
            return self.keys_are_answer(&key.to_string(), (started, ended), false);
        };
        let pressed = self.keys.press(&rule, key, now);
        if pressed == Pressed::Ignored {
            return;
        }
        self.interrupt_by_key();
        match pressed {
            Pressed::Ignored | Pressed::Collecting => (),
            Pressed::Complete => self.rule_is_met(),
            Pressed::TooFew => self.too_few_keys(),
        }
    }

    fn interrupt_by_key(&mut self) {
        self.abandon_early();
        if self.agent_busy() {
            self.interrupt();
        }
        self.resume = None;
        self.silence.since = self.now;
    }

    /// No key came for a while: what there is counts if it is enough.
    pub(super) fn keys_out(&mut self) {
        let min = self.expected().digits.as_ref().map_or(1, |rule| rule.min);
        if self.keys.len() >= min {
            self.rule_is_met();
        } else {
            self.too_few_keys();
        }
    }

    fn rule_is_met(&mut self) {
        let collecting = self.keys.collecting();
        let times =
            if collecting { (self.keys.started, self.keys.last) } else { (self.now, self.now) };
        let digits = self.keys.take();
        self.keys_are_answer(&digits, times, true);
    }

    fn too_few_keys(&mut self) {
        let (started, ended) = (self.keys.started, self.keys.last);
        let digits = self.keys.take();
        self.aside(&Stretch::of_keys(digits, started, ended));
        if let Some(stretch) = self.caller.settle() {
            self.aside(&stretch);
        }
        self.no_answer();
    }

    /// Keys answer, with whatever was said before them.
    fn keys_are_answer(&mut self, digits: &str, times: (Duration, Duration), by_rule: bool) {
        let stretch = self.caller.settle();
        let at = stretch.as_ref().and_then(|stretch| stretch.transcript_at);
        let mut said =
            stretch.as_ref().map_or(Said { started: times.0, ..Said::default() }, Stretch::said);
        said.digits.push_str(digits);
        said.started = said.started.min(times.0);
        said.ended = said.ended.max(times.1);
        self.ask_about(said, at, by_rule);
    }
}
