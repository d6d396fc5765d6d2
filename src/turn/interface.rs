//! What the turn core is told, what it wants done, and how it is tuned: the seam between `turn`
//! and the agent leg.
//!
//! Every time is a [`Duration`] since the agent leg began, on the one media clock of the call: the
//! leg brings positions of voice activity and transcripts to it before they come here.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One exchange: what the caller said (or did not say) and what the brain makes of it. Counts up
/// from 1; a number is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TurnId(pub u64);

/// One sentence or so on its way to the caller's ear. Counts up from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UtteranceId(pub u64);

/// Digits that end by count or by a finishing key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigitRule {
    /// Digits that count; empty: all of `0-9*#A-D` but the finishing key. ASCII.
    pub allowed: String,
    /// Fewer are no answer.
    pub min: usize,
    /// The answer is there at once when so many came; at most 32.
    pub max: usize,
    /// Ends the answer early and is no part of it, e.g. `#`.
    pub finish: Option<char>,
}

/// What the brain waits for after it has spoken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expect {
    /// Keys that answer; `None`: any key cuts in and is a turn by itself ([`Said::digits`]).
    pub digits: Option<DigitRule>,
    /// Whether speech answers.
    pub speech: bool,
    /// Whether speech answers by voice activity alone, when there is no transcript
    /// ([`Said::text`] is empty then).
    pub wordless: bool,
    /// Phrases that answer; a transcript that holds none of them is no answer. Empty: any text.
    pub phrases: Vec<String>,
    /// No answer within this long after our last word was heard: [`Prompt::NoAnswer`]. `None`:
    /// the re-prompts of [`TurnSpec`] apply.
    pub timeout: Option<Duration>,
    /// The caller dictates (a number, an address): pauses are waited out for longer.
    pub dictation: bool,
}

impl Default for Expect {
    /// Any speech or any key; silence is met with the re-prompts.
    fn default() -> Self {
        Self {
            digits: None,
            speech: true,
            wordless: false,
            phrases: Vec::new(),
            timeout: None,
            dictation: false,
        }
    }
}

/// What the caller said in one turn.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Said {
    /// The words, joined over pauses; empty when there were none or nobody transcribed them.
    pub text: String,
    /// Keys, in order.
    pub digits: String,
    /// When the caller began.
    pub started: Duration,
    /// When the caller's last sound ended.
    pub ended: Duration,
    /// The lowest confidence of the engine's parts, 0 to 1, when it tells.
    pub confidence: Option<f32>,
    /// The text was chosen from a phrase list: it may be wrong however sure it looks.
    pub constrained: bool,
}

/// What the brain is asked to answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Prompt {
    /// The call begins and the agent has the first word.
    Begin,
    /// The caller said something.
    Said(Said),
    /// Nobody answered within [`Expect::timeout`]; how often in a row.
    NoAnswer(u32),
    /// An answering machine took the call, and now is the time to speak (its beep was heard or its
    /// greeting ended). Only under [`VoicemailPolicy::Message`].
    Voicemail,
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The gateway's agent.
    Agent,
    /// The other party, whoever called whom.
    Caller,
}

/// One line of what really happened, in order of its first sound. For an agent's line `text` holds
/// only what was heard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The exchange that it belongs to.
    pub turn: TurnId,
    /// Who.
    pub speaker: Speaker,
    /// What was heard.
    pub text: String,
    /// Keys that were pressed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digits: String,
    /// First sound.
    pub started: Duration,
    /// Last sound.
    pub ended: Duration,
    /// The agent was cut off: more was to come.
    #[serde(default)]
    pub interrupted: bool,
}

/// When the parts of an answer were there. Differences from `speech_ended` are what the caller
/// feels. Absent: it did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TurnTimes {
    /// The caller's last sound.
    pub speech_ended: Option<Duration>,
    /// The core decided that the caller is done.
    pub turn_ended: Option<Duration>,
    /// The last transcript of the turn.
    pub transcript: Option<Duration>,
    /// The brain's first token.
    pub first_token: Option<Duration>,
    /// Its first sentence.
    pub first_sentence: Option<Duration>,
    /// The first samples of that sentence from the speech engine.
    pub first_audio: Option<Duration>,
    /// Their first RTP packet.
    pub first_rtp: Option<Duration>,
}

/// Timing of one word within an utterance, as an engine tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordTime {
    /// Bytes of the utterance's text up to and with this word.
    pub text_end: usize,
    /// When the word has been spoken, from the utterance's first sample.
    pub end: Duration,
}

/// What listening to the first seconds told about who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answerer {
    /// A short greeting: a person.
    Person,
    /// A long greeting, or the words of a mailbox.
    Machine,
    /// The beep after a mailbox's greeting.
    Beep,
}

/// Why the agent ends the call; the leg carries it out when [`Output::Close`] comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closing {
    /// The brain said goodbye, with its reason.
    HangUp(String),
    /// Hand over to this configured target.
    Transfer(String),
    /// Nobody said anything after the last re-prompt.
    Silence,
    /// Longest duration of the conversation.
    MaxDuration,
    /// Most turns.
    MaxTurns,
    /// Most cost, as the leg counts it.
    MaxCost,
    /// An answering machine under [`VoicemailPolicy::Hangup`].
    Machine,
    /// A message was left on an answering machine.
    VoicemailLeft,
    /// The brain or the speech engine failed for good; the failure sentence was said.
    Failed(String),
}

/// What happens. Inputs that make no sense in a state are ignored, never wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Both sides can be heard.
    Answered,
    /// The caller's voice began (backdated to its onset). `level` in dBov of active speech.
    VoiceStarted {
        /// Onset.
        at: Duration,
        /// Level, for the echo guard.
        level: f32,
    },
    /// The caller's voice ended (backdated to its last sound).
    VoiceStopped {
        /// Last sound.
        at: Duration,
    },
    /// A transcript of the caller. Partials replace one another until a final comes.
    Transcript {
        /// The words since the last final.
        text: String,
        /// They will not change.
        is_final: bool,
        /// Where in the call they end.
        ended: Duration,
        /// 0 to 1.
        confidence: Option<f32>,
        /// From a phrase list.
        constrained: bool,
    },
    /// The speech engine itself says that the turn is over.
    EngineTurnEnd {
        /// 0 to 1.
        confidence: f32,
    },
    /// There is no (more) transcription: turns end by voice activity alone.
    TranscriptionLost,
    /// A key.
    Digit(char),
    /// Who answered.
    Answerer(Answerer),
    /// The brain's first token of a turn came.
    Token(TurnId),
    /// The brain says a sentence. Ignored for a turn that was abandoned.
    Say {
        /// For this turn.
        turn: TurnId,
        /// Plain text as it is to be spoken and remembered.
        text: String,
        /// Whether the caller may cut it off.
        interruptible: bool,
    },
    /// What to wait for when this turn's words are out; the default otherwise.
    Expect(TurnId, Expect),
    /// The brain has said all of this turn.
    Done(TurnId),
    /// The brain failed in this turn; `fatal`: it will not do better.
    Failed {
        /// The turn.
        turn: TurnId,
        /// For the log.
        detail: String,
        /// Whether to close.
        fatal: bool,
    },
    /// End the call when what is said already is out. Later words are ignored.
    Close(Closing),
    /// The speech engine made the first samples of an utterance.
    Synthesis {
        /// Which.
        utterance: UtteranceId,
        /// Length so far.
        length: Duration,
        /// Nothing follows: `length` is final.
        complete: bool,
        /// Words with timing, those since the last such input.
        words: Vec<WordTime>,
    },
    /// The speech engine failed at an utterance. If it sounds already, what there is plays out and
    /// [`Input::PlayEnded`] comes; if not, nothing of it will ever play.
    SynthesisFailed {
        /// Which.
        utterance: UtteranceId,
        /// For the log.
        detail: String,
    },
    /// The first RTP packet of an utterance left.
    PlayStarted(UtteranceId),
    /// Its last packet left.
    PlayEnded(UtteranceId),
    /// It was cut after this much of it had left (zero: nothing).
    PlayCut {
        /// Which.
        utterance: UtteranceId,
        /// How much left.
        played: Duration,
    },
    /// [`Output::Timeout`] is due.
    Timeout,
}

/// What is to be done; drain until [`Output::Timeout`].
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Ask the brain. `speculative`: the caller may go on; tools must wait for [`Output::Confirm`].
    Ask {
        /// The new turn.
        turn: TurnId,
        /// What to answer.
        prompt: Prompt,
        /// See above.
        speculative: bool,
    },
    /// A speculative turn is the real one; its words are spoken now.
    Confirm(TurnId),
    /// Nothing of this turn is wanted any more: cancel its generation.
    Abandon(TurnId),
    /// Synthesise this and queue it behind what is queued; at most one voice ever sounds.
    Speak {
        /// A new utterance.
        utterance: UtteranceId,
        /// Its turn.
        turn: TurnId,
        /// The text.
        text: String,
    },
    /// Turn the agent down while it is unclear whether the caller interrupts.
    Duck,
    /// It was nothing: back to full level.
    Restore,
    /// Fade out, cancel all synthesis, drop everything queued. Each utterance that had been given
    /// to [`Output::Speak`] and not ended comes back as [`Input::PlayCut`]. What is spoken next is
    /// at full level, without a [`Output::Restore`].
    Cut,
    /// A line of the conversation is settled: for the transcript and the brain's history. What the
    /// caller said settles when its answer begins to sound, is complete, or the call ends; until
    /// then [`Prompt::Said`] holds it, and when the caller goes on meanwhile, the turn is abandoned
    /// and the next one holds all of it.
    Line(Line),
    /// The times of a turn are complete (its answer began, or it was abandoned).
    Times(TurnId, TurnTimes),
    /// The state changed; for events and tests.
    State(State),
    /// The caller cut the agent off.
    Interrupted {
        /// What was cut.
        utterance: UtteranceId,
        /// What was heard of it.
        heard: String,
    },
    /// What is to be said is out: do it. Once, and nothing but [`Output::Line`] follows.
    Close(Closing),
    /// Nothing more until then (`None`: until the next input), and why.
    Timeout(Option<Duration>, &'static str),
}

/// Where the conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not answered yet.
    Idle,
    /// Somebody answered; who, is being found out.
    Greeting,
    /// Nobody speaks.
    Listening,
    /// The caller speaks.
    CallerSpeaking,
    /// The brain thinks.
    Thinking,
    /// The agent speaks.
    AgentSpeaking,
    /// Both speak; the agent is turned down until it is clear who goes on.
    Interrupted,
    /// A mailbox answered; its greeting is waited out, or a message is left.
    Voicemail,
    /// Last words.
    Closing,
    /// Over.
    Closed,
}

/// What to do when an answering machine takes the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoicemailPolicy {
    /// End the call.
    Hangup,
    /// Wait for the beep and leave a message.
    Message,
    /// Talk to it as to a person.
    #[default]
    Continue,
}

/// How turns are taken. [`Default`] holds the product's defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnSpec {
    /// Whether the agent has the first word.
    pub agent_first: bool,
    /// Said before anything else and never cut off, e.g. that an automaton calls.
    pub disclosure: Option<String>,
    /// Said after it by the core itself, instead of asking the brain to [`Prompt::Begin`].
    pub greeting: Option<String>,
    /// Language of the lists (back-channels, fillers, trailing words), e.g. `en`.
    pub language: String,
    /// Shortest silence that ends a turn whose words are clearly complete.
    pub silence_min: Duration,
    /// Silence that ends a turn of which nothing is known.
    pub silence: Duration,
    /// Silence that ends a turn whose words are clearly incomplete, and the longest of all.
    pub silence_max: Duration,
    /// How long a final transcript is waited for after the voice ended.
    pub transcript_wait: Duration,
    /// Voice of the caller over ours that cuts us off.
    pub barge_in: Duration,
    /// As many transcribed words (no back-channels) cut us off sooner.
    pub barge_in_words: usize,
    /// Whether the agent can be cut off at all.
    pub interruptible: bool,
    /// Silence after a short voice that brings us back to full level.
    pub restore: Duration,
    /// Voice right after our first sound is taken for our echo.
    pub echo_guard: Duration,
    /// The time by which the caller hears us later than we send.
    pub network_delay: Duration,
    /// Whether the brain may be asked before the turn is surely over.
    pub speculate: bool,
    /// Said when the brain needs longer than `filler_after`, once a turn.
    pub filler: Option<String>,
    /// See above.
    pub filler_after: Duration,
    /// Silences, counted from the last sound, and what is said then; after the last, [`Self::give_up`].
    pub reprompts: Vec<(Duration, String)>,
    /// Silence after which the call is closed with [`Closing::Silence`]; `None`: never.
    pub give_up: Option<Duration>,
    /// Said when the brain or the speech engine failed for good.
    pub failure: String,
    /// Said when the longest duration is near.
    pub wrap_up: Option<String>,
    /// The longest conversation; the wrap-up is said `wrap_up_before` its end.
    pub max_duration: Duration,
    /// See above.
    pub wrap_up_before: Duration,
    /// Most turns of the brain.
    pub max_turns: u32,
    /// What to do with machines.
    pub voicemail: VoicemailPolicy,
    /// How long a machine's greeting is waited out for its beep.
    pub beep_wait: Duration,
}

impl Default for TurnSpec {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            agent_first: true,
            disclosure: None,
            greeting: None,
            language: "en".to_owned(),
            silence_min: ms(300),
            silence: ms(600),
            silence_max: ms(2500),
            transcript_wait: ms(700),
            barge_in: ms(300),
            barge_in_words: 2,
            interruptible: true,
            restore: ms(120),
            echo_guard: ms(200),
            network_delay: ms(60),
            speculate: true,
            filler: None,
            filler_after: ms(1200),
            reprompts: vec![
                (Duration::from_secs(8), "Are you still there?".to_owned()),
                (Duration::from_secs(16), "I cannot hear you.".to_owned()),
            ],
            give_up: Some(Duration::from_secs(24)),
            failure: "I am sorry, something went wrong. Goodbye.".to_owned(),
            wrap_up: Some("I am afraid our time is up. Goodbye.".to_owned()),
            max_duration: Duration::from_mins(15),
            wrap_up_before: Duration::from_secs(10),
            max_turns: 100,
            voicemail: VoicemailPolicy::Continue,
            beep_wait: Duration::from_secs(30),
        }
    }
}
