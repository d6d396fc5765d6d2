//! How a conversation begins and ends: who answered, the mailbox, last words.

use super::super::interface::{Answerer, Closing, Input, Output, Prompt, VoicemailPolicy};
use super::speaking::Manner;
use super::{Phase, TurnCore};
use std::time::Duration;

/// How long it is found out who answered before a person is assumed: a person says a name and
/// waits within 2 s, and nobody likes to wait for longer.
const GREETING_WAIT: Duration = Duration::from_millis(2_500);
/// The same while somebody speaks without a pause: the beginning of a mailbox's greeting, or a
/// person who is long-winded.
const GREETING_WAIT_MAX: Duration = Duration::from_secs(6);
/// This much silence after a mailbox's greeting is its end, beep or no beep.
const MAILBOX_SILENCE: Duration = Duration::from_secs(2);

impl TurnCore {
    pub(super) fn answered(&mut self) {
        let now = self.now;
        self.answered = now;
        self.silence.since = now;
        if self.spec.voicemail == VoicemailPolicy::Continue {
            return self.start_talking();
        }
        let (until, latest) = (now + GREETING_WAIT, now + GREETING_WAIT_MAX);
        self.phase = Phase::Greeting { until, latest };
        if self.spec.agent_first && self.spec.greeting.is_none() && self.spec.speculate {
            self.ask(Prompt::Begin, true);
        }
    }

    pub(super) fn greeting_due(&self) -> Option<Duration> {
        let Phase::Greeting { until, latest } = self.phase else { return None };
        if self.caller.speaks() {
            return Some(latest);
        }
        Some(until.max(self.caller.last_sound + self.spec.silence_min).min(latest))
    }

    /// A person answered, as far as can be told.
    pub(super) fn start_talking(&mut self) {
        self.phase = Phase::Talking;
        self.silence.since = self.now;
        if !self.spec.agent_first {
            if let Some(text) = self.spec.disclosure.clone() {
                let turn = self.next_turn();
                self.speak(&text, turn, Manner::FIXED);
            }
            return;
        }
        match self.spec.greeting.clone() {
            Some(greeting) => {
                let turn = self.next_turn();
                self.disclose();
                self.speak(&greeting, turn, Manner::GREETING);
            }
            None if self.asked.is_some() => {
                self.confirm_begin();
                self.disclose();
            }
            None => {
                self.ask(Prompt::Begin, false);
                self.disclose();
            }
        }
        // "Hello?" before our first word wants no answer of its own.
        if !self.caller.speaks()
            && let Some(stretch) = self.caller.settle()
        {
            self.aside(&stretch);
        }
    }

    fn disclose(&mut self) {
        if let Some(text) = self.spec.disclosure.clone() {
            self.speak(&text, self.turn, Manner::FIXED);
        }
    }

    pub(super) fn answerer(&mut self, verdict: Answerer) {
        let policy = self.spec.voicemail;
        if policy == VoicemailPolicy::Continue {
            return;
        }
        match (&self.phase, verdict) {
            (Phase::Greeting { .. } | Phase::Mailbox { messages: 0, .. }, Answerer::Person) => {
                self.start_talking();
            }
            (Phase::Mailbox { messages: 0, .. }, Answerer::Beep) => self.leave_message(),
            // It was a pause in the greeting: what was said so far is not recorded.
            (Phase::Mailbox { messages: 1, .. }, Answerer::Beep) => {
                self.cut_all();
                self.abandon(false);
                self.leave_message();
            }
            (Phase::Greeting { .. } | Phase::Talking, Answerer::Machine) => self.mailbox(),
            // A beep into a conversation is somebody's microwave oven.
            (Phase::Greeting { .. }, Answerer::Beep) => {
                self.mailbox();
                if matches!(self.phase, Phase::Mailbox { .. }) {
                    self.leave_message();
                }
            }
            (
                Phase::Idle
                | Phase::Talking
                | Phase::Mailbox { .. }
                | Phase::Closing(_)
                | Phase::Closed,
                Answerer::Person | Answerer::Machine | Answerer::Beep,
            ) => (),
        }
    }

    /// A machine answered.
    fn mailbox(&mut self) {
        self.cut_all();
        self.abandon(false);
        (self.barge, self.resume) = (None, None);
        self.keys.clear();
        match self.spec.voicemail {
            VoicemailPolicy::Hangup => self.begin_closing(Closing::Machine, None),
            VoicemailPolicy::Message | VoicemailPolicy::Continue => {
                self.phase = Phase::Mailbox { since: self.now, messages: 0 };
            }
        }
    }

    pub(super) fn mailbox_due(&self) -> Option<Duration> {
        let Phase::Mailbox { since, messages: 0 } = self.phase else { return None };
        let latest = since + self.spec.beep_wait;
        if self.caller.speaks() {
            return Some(latest);
        }
        Some(latest.min(since.max(self.caller.last_sound) + MAILBOX_SILENCE))
    }

    /// The mailbox listens.
    pub(super) fn leave_message(&mut self) {
        let Phase::Mailbox { since, messages } = self.phase else { return };
        self.phase = Phase::Mailbox { since, messages: messages + 1 };
        self.ask(Prompt::Voicemail, false);
        if let Some(stretch) = self.caller.settle().filter(super::super::caller::Stretch::has_words)
        {
            self.aside(&stretch);
        }
        if matches!(self.phase, Phase::Mailbox { .. }) {
            self.disclose();
        }
    }

    /// The brain or the speech engine does not work: say so, and end.
    pub(super) fn fail(&mut self, detail: String) {
        let to_a_person = matches!(self.phase, Phase::Greeting { .. } | Phase::Talking);
        let sentence = to_a_person.then(|| self.spec.failure.clone());
        self.begin_closing(Closing::Failed(detail), sentence);
    }

    /// Last words, at the expense of what is waiting to be said.
    pub(super) fn wrap_up(&mut self) {
        if self.mouth.live().nth(1).is_some() {
            self.cut_all();
        }
        let sentence = self.spec.wrap_up.clone();
        self.begin_closing(Closing::MaxDuration, sentence);
    }

    /// Closes when all that is given out, and this sentence, has left. The first reason counts.
    pub(super) fn begin_closing(&mut self, why: Closing, sentence: Option<String>) {
        if matches!(self.phase, Phase::Closing(_) | Phase::Closed) {
            return;
        }
        let cancel = match why {
            // The brain itself wants it, and may have more to tell than words.
            Closing::HangUp(_) | Closing::Transfer(_) => false,
            Closing::Silence
            | Closing::MaxDuration
            | Closing::MaxTurns
            | Closing::MaxCost
            | Closing::Machine
            | Closing::VoicemailLeft
            | Closing::Failed(_) => true,
        };
        self.resume = None;
        self.keys.clear();
        self.let_go(cancel);
        self.restore();
        self.phase = Phase::Closing(why);
        if let Some(sentence) = sentence {
            self.speak(&sentence, self.turn_so_far(), Manner::FIXED);
        }
    }

    /// The longest conversation is over, whatever is being said.
    pub(super) fn end(&mut self) {
        self.begin_closing(Closing::MaxDuration, None);
        self.cut_all();
        self.close();
    }

    fn cut_all(&mut self) {
        if !self.mouth.cut(self.now, false).is_empty() {
            self.tell(Output::Cut);
        }
    }

    /// Does what the call was to end with.
    pub(super) fn close(&mut self) {
        let Phase::Closing(why) = std::mem::replace(&mut self.phase, Phase::Closed) else {
            return;
        };
        self.caller.voice = None;
        if let Some(stretch) = self.caller.settle() {
            self.aside(&stretch);
        }
        if let Some((turn, mut watch)) = self.leaving.take()
            && let Some(times) = watch.tell()
        {
            self.tell(Output::Times(turn, times));
        }
        self.tell_lines();
        self.tell_state();
        self.tell(Output::Close(why));
    }

    /// After the end only utterances that had been cut come back.
    pub(super) fn after_close(&mut self, input: &Input) {
        match *input {
            Input::PlayEnded(utterance) => self.play_ended(utterance),
            Input::PlayCut { utterance, played } => self.play_cut(utterance, played),
            Input::Answered
            | Input::VoiceStarted { .. }
            | Input::VoiceStopped { .. }
            | Input::Transcript { .. }
            | Input::EngineTurnEnd { .. }
            | Input::TranscriptionLost
            | Input::Digit(_)
            | Input::Answerer(_)
            | Input::Token(_)
            | Input::Say { .. }
            | Input::Expect(..)
            | Input::Done(_)
            | Input::Failed { .. }
            | Input::Close(_)
            | Input::Synthesis { .. }
            | Input::SynthesisFailed { .. }
            | Input::PlayStarted(_)
            | Input::Timeout => (),
        }
    }
}
