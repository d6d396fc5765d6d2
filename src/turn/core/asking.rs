//! Turns of the brain: asked, perhaps too early; confirmed or abandoned; answered.

use super::super::caller::Stretch;
use super::super::endpoint::Looks;
use super::super::interface::{Expect, Line, Output, Prompt, Said, Speaker, TurnId};
use super::super::latency::{Moment, Stopwatch};
use super::super::words::normal;
use super::speaking::Manner;
use super::{Closing, Phase, TurnCore};
use std::collections::VecDeque;
use std::time::Duration;

/// Sentences that may wait for the turn to be confirmed or for room; more are dropped.
const HELD_MAX: usize = 256;
/// Bytes of one sentence; the rest is dropped.
const SENTENCE_MAX: usize = 8 * 1024;
/// Phrases of one expectation; the rest is dropped.
const PHRASES_MAX: usize = 256;
/// Early questions in one turn of the caller: each may cost money.
const SPECULATIONS_MAX: u8 = 3;
/// Turns in a row that failed without a word, the first being asked again.
const BRAIN_FAILURES_MAX: u8 = 2;

/// A sentence that waits.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub text: String,
    pub interruptible: bool,
}

/// The turn that the brain works at, until its words are out.
#[derive(Debug)]
pub(super) struct Asked {
    pub turn: TurnId,
    pub prompt: Prompt,
    pub speculative: bool,
    /// The answer to a rule of keys: keys that follow belong to the next rule.
    pub by_rule: bool,
    /// When it was asked for good.
    pub confirmed: Duration,
    pub expect: Option<Expect>,
    pub done: bool,
    pub held: VecDeque<Held>,
    /// The brain has said something.
    pub said: bool,
    /// Some of the brain's words sounded.
    pub heard: bool,
    pub filled: bool,
    /// It was abandoned before, and only its known words are said again.
    pub resumed: bool,
    pub watch: Stopwatch,
    /// What the caller said, until it is sure that nothing will be added to it.
    pub line: Option<Line>,
}

impl Asked {
    fn new(turn: TurnId, prompt: Prompt, speculative: bool, now: Duration) -> Self {
        let ended = match &prompt {
            Prompt::Said(said) => Some(said.ended),
            Prompt::Begin | Prompt::NoAnswer(_) | Prompt::Voicemail => None,
        };
        Self {
            turn,
            prompt,
            speculative,
            by_rule: false,
            confirmed: now,
            expect: None,
            done: false,
            held: VecDeque::new(),
            said: false,
            heard: false,
            filled: false,
            resumed: false,
            watch: Stopwatch::new(ended),
            line: None,
        }
    }

    /// A turn whose words are known already and are said (again) by the core.
    pub(super) fn resumed(turn: TurnId, expect: Option<Expect>, now: Duration) -> Self {
        let mut asked = Self::new(turn, Prompt::Begin, false, now);
        asked.expect = expect;
        (asked.done, asked.said, asked.heard, asked.resumed) = (true, true, true, true);
        // Its times were told when it was cut.
        asked.watch.tell();
        asked
    }

    pub(super) fn said_before(&self) -> Option<&Said> {
        match &self.prompt {
            Prompt::Said(said) => Some(said),
            Prompt::Begin | Prompt::NoAnswer(_) | Prompt::Voicemail => None,
        }
    }
}

/// The caller's line of a turn.
fn line_of(turn: TurnId, said: &Said) -> Line {
    Line {
        turn,
        speaker: Speaker::Caller,
        text: said.text.clone(),
        digits: said.digits.clone(),
        started: said.started,
        ended: said.ended,
        interrupted: false,
    }
}

impl TurnCore {
    /// Asks the brain. Nothing may be in flight.
    pub(super) fn ask(&mut self, prompt: Prompt, speculative: bool) {
        if self.turns >= self.spec.max_turns {
            if let Prompt::Said(said) = &prompt {
                self.lines.settle(line_of(self.turn_so_far(), said));
            }
            let last_words = self.spec.wrap_up.clone();
            return self.begin_closing(Closing::MaxTurns, last_words);
        }
        let turn = self.next_turn();
        self.asked = Some(Asked::new(turn, prompt.clone(), speculative, self.now));
        self.tell(Output::Ask { turn, prompt, speculative });
        if !speculative {
            self.asked_for_good();
        }
    }

    /// Asks about what the caller said; a question that was asked early is confirmed.
    pub(super) fn ask_about(&mut self, said: Said, transcript_at: Option<Duration>, by_rule: bool) {
        self.speculations = 0;
        self.resumes = 0;
        self.resume = None;
        self.silence.no_answers = 0;
        let early = self.asked.as_ref().filter(|asked| asked.speculative);
        let same = early.and_then(Asked::said_before).is_some_and(|asked| {
            normal(&asked.text) == normal(&said.text) && asked.digits == said.digits
        });
        if same {
            self.confirm(said);
        } else {
            self.abandon(false);
            self.ask(Prompt::Said(said), false);
        }
        let Some(asked) = &mut self.asked else { return };
        asked.by_rule = by_rule;
        if let Some(at) = transcript_at {
            asked.watch.note(Moment::Transcript, at);
        }
    }

    fn confirm(&mut self, said: Said) {
        let Some(asked) = &mut self.asked else { return };
        asked.speculative = false;
        asked.watch.speech_ended(said.ended);
        asked.prompt = Prompt::Said(said);
        let turn = asked.turn;
        self.tell(Output::Confirm(turn));
        self.asked_for_good();
    }

    /// The brain's first words were asked for while it was unclear who answered.
    pub(super) fn confirm_begin(&mut self) {
        let Some(asked) = self.asked.as_mut().filter(|asked| asked.speculative) else { return };
        asked.speculative = false;
        let turn = asked.turn;
        self.tell(Output::Confirm(turn));
        self.asked_for_good();
    }

    fn asked_for_good(&mut self) {
        let now = self.now;
        self.turns += 1;
        self.silence.reprompts = 0;
        self.expect = Expect::default();
        let Some(asked) = &mut self.asked else { return };
        asked.confirmed = now;
        asked.watch.note(Moment::TurnEnded, now);
        asked.line = asked.said_before().map(|said| line_of(asked.turn, said));
    }

    /// Cancels the turn in flight. `merge`: when nothing of its answer was heard, what the caller
    /// said is put in front of what is being said.
    pub(super) fn abandon(&mut self, merge: bool) {
        let Some(mut asked) = self.asked.take() else { return };
        if !asked.resumed {
            self.tell(Output::Abandon(asked.turn));
        }
        self.tell_times(&mut asked);
        let Some(line) = asked.line.take() else { return };
        match (merge && !asked.heard, asked.said_before()) {
            (true, Some(said)) => {
                let stretch = || Stretch::new(said.started);
                self.caller.stretch.get_or_insert_with(stretch).prepend(said);
            }
            (true | false, _) => self.lines.settle(line),
        }
    }

    fn tell_times(&mut self, asked: &mut Asked) {
        if let Some(times) = asked.watch.tell() {
            self.tell(Output::Times(asked.turn, times));
        }
    }

    /// The turn in flight, if it is this one.
    fn in_flight(&mut self, turn: TurnId) -> Option<&mut Asked> {
        self.asked.as_mut().filter(|asked| asked.turn == turn)
    }

    pub(super) fn token(&mut self, turn: TurnId) {
        let now = self.now;
        if let Some(asked) = self.in_flight(turn) {
            asked.watch.note(Moment::FirstToken, now);
        }
    }

    pub(super) fn say(&mut self, turn: TurnId, text: &str, interruptible: bool) {
        let now = self.now;
        let text = text.trim();
        let text = &text[..text.floor_char_boundary(SENTENCE_MAX)];
        let Some(asked) = self.in_flight(turn) else { return };
        if asked.done || text.is_empty() || asked.held.len() >= HELD_MAX {
            return;
        }
        asked.watch.note(Moment::FirstSentence, now);
        asked.said = true;
        asked.held.push_back(Held { text: text.to_owned(), interruptible });
        self.brain_failures = 0;
    }

    /// Gives out one sentence that waits, if it may be said by now.
    pub(super) fn release_held(&mut self) -> bool {
        let unclear = self.barge.is_some() && !self.mouth.speaks();
        if unclear || !self.mouth.has_room() {
            return false;
        }
        let Some(asked) = self.asked.as_mut().filter(|asked| !asked.speculative) else {
            return false;
        };
        let turn = asked.turn;
        let Some(held) = asked.held.pop_front() else { return false };
        self.speak(&held.text, turn, Manner::brain(held.interruptible));
        true
    }

    pub(super) fn expects(&mut self, turn: TurnId, mut expect: Expect) {
        expect.phrases.truncate(PHRASES_MAX);
        if let Some(asked) = self.in_flight(turn) {
            asked.expect = Some(expect);
        } else if self.asked.is_none() && turn == self.turn {
            // The words were out sooner than this was known.
            self.expect = expect;
        }
    }

    pub(super) fn done(&mut self, turn: TurnId) {
        if let Some(asked) = self.in_flight(turn) {
            asked.done = true;
        }
    }

    pub(super) fn failed(&mut self, turn: TurnId, detail: String, fatal: bool) {
        let Some(asked) = self.in_flight(turn) else { return };
        if fatal {
            return self.fail(detail);
        }
        if asked.said && !asked.speculative {
            asked.done = true;
            return;
        }
        let Some(mut asked) = self.asked.take() else { return };
        self.tell_times(&mut asked);
        if asked.speculative {
            // Asked again when the turn is over.
            self.speculations = SPECULATIONS_MAX;
            return;
        }
        self.brain_failures += 1;
        if self.brain_failures >= BRAIN_FAILURES_MAX {
            if let Some(line) = asked.line.take() {
                self.lines.settle(line);
            }
            return self.fail(detail);
        }
        self.ask(asked.prompt, false);
    }

    /// Whether a stretch of the caller answers what is asked.
    pub(super) fn answers(&self, stretch: &Stretch, expect: &Expect) -> bool {
        let by_voice = expect.speech || expect.wordless;
        if !stretch.has_words() {
            let untold = expect.wordless || (self.wordless && expect.phrases.is_empty());
            let voice = by_voice && untold && stretch.is_voiced();
            return voice || !stretch.digits.is_empty();
        }
        let words = normal(&stretch.text());
        let holds = |phrase: &String| super::words::contains(&words, &normal(phrase));
        by_voice && (expect.phrases.is_empty() || expect.phrases.iter().any(holds))
    }

    /// Asks early when the words look complete though the silence is too short to be sure.
    pub(super) fn speculate(&mut self) -> bool {
        let free = self.spec.speculate && self.phase == Phase::Talking && self.asked.is_none();
        let quiet = !self.mouth.is_busy() && !self.caller.speaks() && !self.keys.collecting();
        let allowed = self.speculations < SPECULATIONS_MAX && self.turns < self.spec.max_turns;
        if !(free && quiet && allowed) {
            return false;
        }
        let Some(stretch) = self.caller.stretch.as_ref().filter(|s| s.has_words()) else {
            return false;
        };
        let ripe = match self.looks() {
            Looks::Complete => true,
            Looks::Open => stretch.is_final(),
            Looks::Dictated | Looks::Incomplete => false,
        };
        let early = self.turn_end_due().is_some_and(|at| at > self.now);
        if !(ripe && early && self.answers(stretch, &self.expect)) {
            return false;
        }
        let said = stretch.said();
        self.speculations += 1;
        self.ask(Prompt::Said(said), true);
        true
    }

    /// Drops a question that was asked early when its words have changed.
    pub(super) fn recheck_speculation(&mut self) {
        let Some(early) = self.asked.as_ref().filter(|asked| asked.speculative) else { return };
        let Some(said) = early.said_before() else { return };
        let text = self.caller.stretch.as_ref().map(Stretch::text).unwrap_or_default();
        if normal(&said.text) != normal(&text) {
            self.abandon(false);
        }
    }

    /// The final words differ from the partial ones that the brain was asked about: ask again,
    /// unless it answers already.
    pub(super) fn correct(&mut self, partial: &str, words: &str) {
        let Some(asked) = self.asked.as_ref().filter(|asked| !asked.speculative && !asked.heard)
        else {
            return;
        };
        let Some(said) = asked.said_before() else { return };
        let Some(front) = said.text.strip_suffix(partial) else { return };
        if words.is_empty() || normal(partial) == normal(words) || self.mouth.is_busy() {
            return;
        }
        let mut said = said.clone();
        said.text = super::super::caller::join(front.trim_end(), words);
        let by_rule = asked.by_rule;
        if let Some(asked) = &mut self.asked {
            asked.line = None;
        }
        self.abandon(false);
        self.ask_about(said, Some(self.now), by_rule);
    }

    /// The brain's turn is over when all is said and out.
    pub(super) fn finish_turn(&mut self) -> bool {
        let over = |asked: &Asked| {
            let out = !self.mouth.live().any(|voice| voice.turn == asked.turn);
            asked.done && !asked.speculative && asked.held.is_empty() && out
        };
        if !self.asked.as_ref().is_some_and(over) {
            return false;
        }
        let Some(mut asked) = self.asked.take() else { return false };
        self.tell_times(&mut asked);
        if let Some(line) = asked.line.take() {
            self.lines.settle(line);
        }
        self.expect = asked.expect.unwrap_or_default();
        if !asked.heard {
            self.silence.since = self.now;
        }
        if matches!(self.phase, Phase::Mailbox { .. }) {
            self.begin_closing(Closing::VoicemailLeft, None);
        }
        true
    }

    /// Notes the first sound of an answer.
    pub(super) fn answer_sounds(&mut self, turn: TurnId) {
        let now = self.now;
        self.note_leaving(turn, Moment::FirstRtp);
        let Some(mut asked) = self.asked.take() else { return };
        if asked.turn == turn {
            asked.heard = true;
            asked.watch.note(Moment::FirstRtp, now);
            self.tell_times(&mut asked);
            if let Some(line) = asked.line.take() {
                self.lines.settle(line);
            }
        }
        self.asked = Some(asked);
    }

    /// Lets the turn in flight go before the last words. `cancel`: the brain need not go on.
    pub(super) fn let_go(&mut self, cancel: bool) {
        let Some(mut asked) = self.asked.take() else { return };
        if (asked.speculative || cancel) && !asked.resumed {
            self.tell(Output::Abandon(asked.turn));
        }
        if let Some(line) = asked.line.take() {
            self.lines.settle(line);
        }
        if asked.speculative || cancel {
            return self.tell_times(&mut asked);
        }
        // Its words are still to be heard: their times are told then.
        self.leaving = Some((asked.turn, std::mem::take(&mut asked.watch)));
        while let Some(held) = asked.held.pop_front().filter(|_| self.mouth.has_room()) {
            self.speak(&held.text, asked.turn, Manner::brain(false));
        }
    }

    /// Notes a moment of the answer that is let go and still to be heard.
    pub(super) fn note_leaving(&mut self, turn: TurnId, moment: Moment) {
        let now = self.now;
        if let Some((of, watch)) = self.leaving.as_mut().filter(|(of, _)| *of == turn) {
            watch.note(moment, now);
            if moment == Moment::FirstRtp
                && let Some(times) = watch.tell()
            {
                let turn = *of;
                self.tell(Output::Times(turn, times));
            }
        }
    }

    pub(super) fn filler_due(&self) -> Option<Duration> {
        let asked = self.asked.as_ref().filter(|asked| !asked.speculative)?;
        let waited = !(asked.said || asked.done || asked.filled) && asked.said_before().is_some();
        let quiet = !self.mouth.is_busy() && !self.caller.speaks() && self.barge.is_none();
        let wanted = waited && quiet && self.spec.filler.is_some();
        wanted.then(|| asked.confirmed + self.spec.filler_after)
    }

    pub(super) fn say_filler(&mut self) {
        let Some(asked) = &mut self.asked else { return };
        asked.filled = true;
        let turn = asked.turn;
        if let Some(text) = self.spec.filler.clone() {
            self.speak(&text, turn, Manner::FILLER);
        }
    }
}
