//! The conversation: who may speak, when a turn is over, what was heard, when to close.
//!
//! ```text
//!            VoiceStarted/Stopped ┌─────────┐ Ask, Confirm, Abandon
//!  caller ── Transcript, Digit ──>│ hearing │──────────────────────> brain
//!                                 │ asking  │<── Say, Expect, Done ──
//!  sound  <── Speak, Duck, Cut ───│ speaking│
//!         ─── PlayStarted/Ended ─>│ ending  │── Line, Times, Close ─> leg
//!                                 └─────────┘
//!   Idle ─Answered─> Greeting ─person─> Talking ──────────> Closing ─played out─> Closed
//!                       └──machine──> Mailbox ──message left──┘
//! ```
//!
//! One input, then all that follows from it at that time; deadlines are a table of [`Timer`]s.
//! What is told ([`State`]) is derived from who sounds and who is waited for. Does not know audio,
//! engines, brains or why somebody called.

mod asking;
mod ending;
mod hearing;
mod speaking;
#[cfg(test)]
mod tests;

use super::caller::Caller;
use super::collect::{KEY_WAIT, Keys};
use super::endpoint;
use super::interface::{
    Closing, Expect, Input, Output, Prompt, State, TurnId, TurnSpec, UtteranceId,
};
use super::latency::Stopwatch;
use super::ledger::Ledger;
use super::lines::LineLog;
use super::mouth::Mouth;
use super::words::{self, Lists};
use asking::Asked;
use hearing::Barge;
use speaking::Resume;
use std::collections::VecDeque;
use std::time::Duration;

/// Outputs that may wait to be drained; with more waiting, inputs are ignored.
const OUTPUTS_MAX: usize = 4096;
/// Most that may follow from one input at one time; the rest follows a millisecond later.
const STEPS_MAX: usize = 256;
/// An utterance whose first packet takes longer is given up.
const START_WAIT: Duration = Duration::from_secs(15);
/// An utterance that should have ended so long ago has ended.
const END_WAIT: Duration = Duration::from_secs(3);
/// An utterance that was cut and does not come back within this was not heard.
const CUT_WAIT: Duration = Duration::from_secs(2);
/// Least pause between two things that the agent says into a silence.
const REPROMPT_PAUSE: Duration = Duration::from_secs(1);

/// Where the call stands, and what is only known there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Idle,
    /// Who answered is being found out; at `until` when it is quiet, at `latest` in any case.
    Greeting {
        until: Duration,
        latest: Duration,
    },
    Talking,
    /// A mailbox, and how often the message was begun.
    Mailbox {
        since: Duration,
        messages: u8,
    },
    Closing(Closing),
    Closed,
}

/// What the silence is counted from.
#[derive(Debug, Default)]
struct Silence {
    since: Duration,
    reprompts: usize,
    no_answers: u32,
}

/// Everything that happens by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    /// The longest conversation.
    End,
    /// Its last words.
    WrapUp,
    /// What was to be said is out.
    PlayedOut,
    /// Nobody knows who answered; a person, then.
    Greeting,
    /// The mailbox's greeting is over.
    Mailbox,
    /// An utterance hangs.
    Stalled,
    /// A cut utterance did not come back.
    CutLost,
    /// The voice over ours was nothing.
    Restore,
    /// The voice over ours is meant.
    BargeIn,
    /// No more keys come.
    Keys,
    /// The caller is done.
    TurnEnd,
    /// The brain is slow.
    Filler,
    /// Nobody says anything.
    Silence,
}

impl Timer {
    /// In the order in which they go off when several are due.
    const ALL: [Self; 13] = [
        Self::End,
        Self::WrapUp,
        Self::PlayedOut,
        Self::Greeting,
        Self::Mailbox,
        Self::Stalled,
        Self::CutLost,
        Self::Restore,
        Self::BargeIn,
        Self::Keys,
        Self::TurnEnd,
        Self::Filler,
        Self::Silence,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::WrapUp => "wrap-up",
            Self::PlayedOut => "played out",
            Self::Greeting => "greeting",
            Self::Mailbox => "mailbox",
            Self::Stalled => "stalled utterance",
            Self::CutLost => "lost cut",
            Self::Restore => "restore",
            Self::BargeIn => "barge-in",
            Self::Keys => "keys",
            Self::TurnEnd => "turn end",
            Self::Filler => "filler",
            Self::Silence => "silence",
        }
    }
}

/// The turns of one conversation. See the module's picture.
///
/// Cost: some microseconds an input; memory is bounded whatever comes in.
#[derive(Debug)]
pub struct TurnCore {
    spec: TurnSpec,
    lists: &'static Lists,
    now: Duration,
    outputs: VecDeque<Output>,
    told: State,
    phase: Phase,
    answered: Duration,
    /// The newest exchange and the newest utterance; 0: none yet.
    turn: TurnId,
    utterance: UtteranceId,
    /// Turns that the brain was really asked.
    turns: u32,
    caller: Caller,
    keys: Keys,
    mouth: Mouth,
    ledger: Ledger,
    lines: LineLog,
    asked: Option<Asked>,
    /// The answer that was let go for the last words, until it is heard.
    leaving: Option<(TurnId, Stopwatch)>,
    /// What is waited for; while a turn is in flight, its own counts.
    expect: Expect,
    /// What is waited for when nothing is said about it.
    anything: Expect,
    silence: Silence,
    barge: Option<Barge>,
    resume: Option<Resume>,
    resumes: u8,
    speculations: u8,
    /// Nobody transcribes.
    wordless: bool,
    brain_failures: u8,
    voice_failures: u8,
    /// The agent's newest sentence was a question.
    questioned: bool,
    /// [`Output::Close`] was told: only lines follow.
    over: bool,
}

impl TurnCore {
    /// A conversation that has not begun.
    pub fn new(spec: TurnSpec) -> Self {
        Self {
            lists: words::lists(&spec.language),
            ledger: Ledger::new(spec.network_delay),
            spec,
            now: Duration::ZERO,
            outputs: VecDeque::new(),
            told: State::Idle,
            phase: Phase::Idle,
            answered: Duration::ZERO,
            turn: TurnId(0),
            utterance: UtteranceId(0),
            turns: 0,
            caller: Caller::default(),
            keys: Keys::default(),
            mouth: Mouth::default(),
            lines: LineLog::default(),
            asked: None,
            leaving: None,
            expect: Expect::default(),
            anything: Expect::default(),
            silence: Silence::default(),
            barge: None,
            resume: None,
            resumes: 0,
            speculations: 0,
            wordless: false,
            brain_failures: 0,
            voice_failures: 0,
            questioned: false,
            over: false,
        }
    }

    /// Takes an input and decides all that follows from it. A `now` before an earlier one counts
    /// as that one. Drain [`Self::poll_output`] afterwards.
    pub fn handle(&mut self, now: Duration, input: Input) {
        self.now = self.now.max(now);
        if self.outputs.len() >= OUTPUTS_MAX {
            return;
        }
        match self.phase {
            Phase::Idle => self.before_answer(input),
            Phase::Closed => self.after_close(&input),
            Phase::Greeting { .. } | Phase::Talking | Phase::Mailbox { .. } | Phase::Closing(_) => {
                self.take(input);
            }
        }
        for _ in 0..STEPS_MAX {
            if !self.step() {
                break;
            }
        }
        self.tell_lines();
        self.tell_state();
    }

    /// The next thing to do; [`Output::Timeout`] when there is no more. Its time is never past.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let due = Timer::ALL.into_iter().filter_map(|timer| Some((self.due(timer)?, timer)));
        match due.min_by_key(|&(at, _)| at) {
            Some((at, timer)) => {
                let soon = self.now + Duration::from_millis(1);
                Output::Timeout(Some(at.max(soon)), timer.name())
            }
            None => Output::Timeout(None, "input"),
        }
    }

    /// Where the conversation stands.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Idle => State::Idle,
            Phase::Greeting { .. } => State::Greeting,
            Phase::Mailbox { .. } => State::Voicemail,
            Phase::Closing(_) => State::Closing,
            Phase::Closed => State::Closed,
            Phase::Talking if self.mouth.speaks() => match self.barge {
                Some(_) => State::Interrupted,
                None => State::AgentSpeaking,
            },
            Phase::Talking if self.caller.stretch.is_some() || self.caller.speaks() => {
                State::CallerSpeaking
            }
            Phase::Talking if self.agent_busy() => State::Thinking,
            Phase::Talking => State::Listening,
        }
    }

    /// What was said and heard so far, utterance by utterance.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Before anybody answered only the state of the engines counts, and orders to end.
    fn before_answer(&mut self, input: Input) {
        match input {
            Input::Answered => self.answered(),
            Input::TranscriptionLost => self.wordless = true,
            Input::Close(why) => self.begin_closing(why, None),
            Input::VoiceStarted { .. }
            | Input::VoiceStopped { .. }
            | Input::Transcript { .. }
            | Input::EngineTurnEnd { .. }
            | Input::Digit(_)
            | Input::Answerer(_)
            | Input::Token(_)
            | Input::Say { .. }
            | Input::Expect(..)
            | Input::Done(_)
            | Input::Failed { .. }
            | Input::Synthesis { .. }
            | Input::SynthesisFailed { .. }
            | Input::PlayStarted(_)
            | Input::PlayEnded(_)
            | Input::PlayCut { .. }
            | Input::Timeout => (),
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Answered | Input::Timeout => (),
            Input::VoiceStarted { at, level } => self.voice_started(at, level),
            Input::VoiceStopped { at } => self.voice_stopped(at),
            Input::Transcript { text, is_final, ended, confidence, constrained } => {
                let text = text.as_str();
                let words = super::caller::Words { text, is_final, ended, confidence, constrained };
                self.transcript(words);
            }
            Input::EngineTurnEnd { confidence } => self.engine_turn_end(confidence),
            Input::TranscriptionLost => self.wordless = true,
            Input::Digit(key) => self.digit(key),
            Input::Answerer(verdict) => self.answerer(verdict),
            Input::Token(turn) => self.token(turn),
            Input::Say { turn, text, interruptible } => self.say(turn, &text, interruptible),
            Input::Expect(turn, expect) => self.expects(turn, expect),
            Input::Done(turn) => self.done(turn),
            Input::Failed { turn, detail, fatal } => self.failed(turn, detail, fatal),
            Input::Close(why) => self.begin_closing(why, None),
            Input::Synthesis { utterance, length, complete, words } => {
                self.synthesis(utterance, length, complete, &words);
            }
            Input::SynthesisFailed { utterance, detail } => {
                self.synthesis_failed(utterance, detail);
            }
            Input::PlayStarted(utterance) => self.play_started(utterance),
            Input::PlayEnded(utterance) => self.play_ended(utterance),
            Input::PlayCut { utterance, played } => self.play_cut(utterance, played),
        }
    }

    /// One thing that follows by itself; `false`: nothing does.
    fn step(&mut self) -> bool {
        if self.release_held() || self.take_kept_key() || self.finish_turn() || self.speculate() {
            return true;
        }
        let now = self.now;
        let due = |timer: &Timer| self.due(*timer).is_some_and(|at| at <= now);
        let Some(timer) = Timer::ALL.into_iter().find(due) else { return false };
        self.fire(timer);
        true
    }

    /// When a timer goes off as things stand.
    fn due(&self, timer: Timer) -> Option<Duration> {
        let spec = &self.spec;
        let live = !matches!(self.phase, Phase::Idle | Phase::Closed);
        let talking = self.phase == Phase::Talking;
        match timer {
            Timer::End => live.then(|| self.answered + spec.max_duration),
            Timer::WrapUp => {
                let open = matches!(self.phase, Phase::Talking | Phase::Greeting { .. });
                let early = spec.max_duration.saturating_sub(spec.wrap_up_before);
                (open && spec.wrap_up.is_some()).then(|| self.answered + early)
            }
            Timer::PlayedOut => {
                let out = matches!(self.phase, Phase::Closing(_)) && !self.mouth.is_busy();
                out.then(|| self.mouth.last_sound + spec.network_delay)
            }
            Timer::Greeting => self.greeting_due(),
            Timer::Mailbox => self.mailbox_due(),
            Timer::Stalled => live.then(|| self.stalled_due()).flatten(),
            Timer::CutLost => {
                let cut = self.mouth.oldest_cut().filter(|_| live);
                cut.map(|(_, at)| at + CUT_WAIT)
            }
            Timer::Restore => {
                self.barge.and_then(|barge| barge.stopped).map(|at| at + spec.restore)
            }
            Timer::BargeIn => self.barge_in_due(),
            Timer::Keys => self.keys.collecting().then(|| self.keys.last + KEY_WAIT),
            Timer::TurnEnd => talking.then(|| self.turn_end_due()).flatten(),
            Timer::Filler => talking.then(|| self.filler_due()).flatten(),
            Timer::Silence => talking.then(|| self.silence_due()).flatten(),
        }
    }

    /// Does what a timer is for. After it, the timer must not be due at the same time.
    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::End => self.end(),
            Timer::WrapUp => self.wrap_up(),
            Timer::PlayedOut => self.close(),
            Timer::Greeting => self.start_talking(),
            Timer::Mailbox => self.leave_message(),
            Timer::Stalled => self.stalled(),
            Timer::CutLost => {
                if let Some((utterance, _)) = self.mouth.oldest_cut() {
                    self.play_cut(utterance, Duration::ZERO);
                }
            }
            Timer::Restore => self.restore(),
            Timer::BargeIn => self.interrupt(),
            Timer::Keys => self.keys_out(),
            Timer::TurnEnd => self.end_of_turn(),
            Timer::Filler => self.say_filler(),
            Timer::Silence => self.silent(),
        }
    }

    /// What counts as an answer at the moment.
    fn expected(&self) -> &Expect {
        match &self.asked {
            Some(asked) if !asked.speculative => asked.expect.as_ref().unwrap_or(&self.anything),
            Some(_) | None => &self.expect,
        }
    }

    /// Whether it is the agent's turn: it speaks, will speak, or thinks.
    fn agent_busy(&self) -> bool {
        self.mouth.is_busy() || self.asked.as_ref().is_some_and(|asked| !asked.speculative)
    }

    /// How finished the caller's words look.
    fn looks(&self) -> endpoint::Looks {
        let stretch = self.caller.stretch.as_ref();
        let text = stretch.map(super::caller::Stretch::text).unwrap_or_default();
        let engine_end = stretch.is_some_and(|stretch| stretch.engine_end);
        let hint = endpoint::Hint { text: &text, engine_end, asked: self.questioned };
        endpoint::looks(hint, self.expected(), self.lists)
    }

    fn silence_due(&self) -> Option<Duration> {
        let quiet = !self.agent_busy() && self.asked.is_none() && !self.caller.speaks();
        if !quiet || self.caller.stretch.is_some() || self.keys.collecting() {
            return None;
        }
        let since = self.silence.since;
        if let Some(timeout) = self.expect.timeout {
            return Some(since + timeout);
        }
        let reprompt = self.spec.reprompts.get(self.silence.reprompts).map(|(after, _)| *after);
        let floor = match self.silence.reprompts {
            0 => Duration::ZERO,
            _ => self.mouth.last_sound + REPROMPT_PAUSE,
        };
        let next = [reprompt, self.spec.give_up].into_iter().flatten().min()?;
        Some((since + next).max(floor))
    }

    /// Nobody said anything: tell the brain, ask again, or give up.
    fn silent(&mut self) {
        if self.expect.timeout.is_some() {
            return self.no_answer();
        }
        let reprompt = self.spec.reprompts.get(self.silence.reprompts).cloned();
        match (reprompt, self.spec.give_up) {
            (Some((after, text)), give_up) if give_up.is_none_or(|give_up| after <= give_up) => {
                self.silence.reprompts += 1;
                self.speak(&text, self.turn_so_far(), speaking::Manner::REPROMPT);
            }
            (Some(_) | None, _) => self.begin_closing(Closing::Silence, None),
        }
    }

    fn no_answer(&mut self) {
        self.silence.no_answers = self.silence.no_answers.saturating_add(1);
        self.ask(Prompt::NoAnswer(self.silence.no_answers), false);
    }

    /// The exchange that something belongs to which nobody was asked for.
    fn turn_so_far(&self) -> TurnId {
        self.turn.max(TurnId(1))
    }

    fn next_turn(&mut self) -> TurnId {
        self.turn.0 += 1;
        self.turn
    }

    fn tell(&mut self, output: Output) {
        let line = matches!(output, Output::Line(_));
        if line || !self.over {
            self.over |= matches!(output, Output::Close(_));
            self.outputs.push_back(output);
        }
    }

    /// Tells the lines that are settled, with nothing before them still open.
    fn tell_lines(&mut self) {
        let waiting = self.asked.as_ref().and_then(|asked| asked.line.as_ref());
        let open =
            [self.mouth.open_since(), self.caller.open_since(), waiting.map(|line| line.started)];
        let open = open.into_iter().flatten().min();
        let open = open.filter(|_| self.phase != Phase::Closed);
        while let Some(line) = self.lines.next(open) {
            self.tell(Output::Line(line));
        }
    }

    fn tell_state(&mut self) {
        let state = self.state();
        if state != self.told {
            self.told = state;
            self.tell(Output::State(state));
        }
    }
}
