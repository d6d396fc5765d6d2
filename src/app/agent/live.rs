//! Speech-to-speech brains: the caller's sound in, the agent's sound out, over one WebSocket.
//!
//! ```text
//!  LiveInput ──> task ── codec: JSON, G.711 straight through ──> server
//!  LiveOutput <── task <── codec: ledger of what came per item ──┘
//! ```
//!
//! Two protocols: OpenAI's Realtime (`openai-realtime`) and GPT-Live (`gpt-live`). Owns the
//! connection and the clamping of truncations to what was received. Plays nothing and does not
//! know what was heard: the leg says so. A session cannot be taken up again by another
//! connection, so a broken one is fatal.

mod codec;
mod gpt_live;
mod ledger;
mod realtime;
mod task;

pub use codec::fuzz_live;

use super::interface::{BrainContext, ToolCall};
use crate::speech::key::ApiKey;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::mpsc;

/// Inputs that may wait, five seconds of sound; one more is refused by the queue, and the gap in
/// positions becomes silence.
pub const INPUTS_MAX: usize = 256;
/// Outputs that may wait; the connection is read no further then.
pub const OUTPUTS_MAX: usize = 256;

/// Which protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveKind {
    /// OpenAI Realtime: responses made of items, which can be truncated.
    Realtime,
    /// GPT-Live: one continuous stream each way, at the pace of speech. It has no truncation, and
    /// calls tools through a second model (`delegate`).
    GptLive,
}

/// Which G.711 goes over the wire; the one of the leg costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Law {
    /// µ-law.
    #[default]
    Mu,
    /// A-law.
    A,
}

/// Where a speech model is and how it talks.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveSpec {
    /// Which protocol.
    pub kind: LiveKind,
    /// ws or wss, without the model.
    pub url: String,
    /// Bearer token, if the server wants one.
    pub key: Option<ApiKey>,
    /// The model, unless the call names another.
    pub model: String,
    /// The server's name of a voice; `None`: its default.
    pub voice: Option<String>,
    /// The leg's law.
    pub law: Law,
    /// Realtime: the model that writes down what the caller says; `None`: nobody does.
    pub transcription: Option<String>,
    /// Realtime: silence that ends the caller's turn.
    pub silence: Duration,
    /// GPT-Live: the model that calls tools; `None`: there are no tools.
    pub delegate: Option<String>,
    /// Whether the agent has the first word.
    pub first_word: bool,
    /// Realtime: whether the caller's voice ends an answer that is being made.
    pub interruptible: bool,
    /// From opening the connection to a session that is ready.
    pub ready: Duration,
    /// Between two events while an answer is made.
    pub idle: Duration,
}

impl LiveSpec {
    /// The vendor's server, model and defaults.
    #[must_use]
    pub fn new(kind: LiveKind) -> Self {
        let (url, model) = match kind {
            LiveKind::Realtime => ("wss://api.openai.com/v1/realtime", "gpt-realtime"),
            LiveKind::GptLive => ("wss://api.openai.com/v1/live/sessions", "gpt-live-1"),
        };
        Self {
            kind,
            url: url.to_owned(),
            key: None,
            model: model.to_owned(),
            voice: None,
            law: Law::Mu,
            transcription: Some("gpt-4o-mini-transcribe".to_owned()),
            silence: Duration::from_millis(500),
            delegate: None,
            first_word: true,
            interruptible: true,
            ready: Duration::from_secs(10),
            idle: Duration::from_secs(10),
        }
    }
}

/// What a speech brain is told.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveInput {
    /// The caller's sound, 8 kHz.
    Audio {
        /// Of the first sample, on the capture clock.
        position: u64,
        /// Any number.
        samples: Vec<i16>,
    },
    /// The caller heard no more of an item than this; its later sound is dropped.
    Truncate {
        /// [`LiveOutput::Audio`]'s item.
        item: String,
        /// Clamped to what was received of it.
        audio_end_ms: u64,
    },
    /// A tool's answer.
    ToolResult {
        /// [`ToolCall::id`].
        id: String,
        /// JSON for the model.
        result: Value,
    },
    /// Keys that the caller pressed.
    Digits(String),
    /// Say this; the model does, more or less word for word. What must be exact is spoken by a
    /// speech engine instead.
    Say(String),
    /// The call is over.
    Stop,
}

/// What a speech brain gives. Positions are of the capture clock.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveOutput {
    /// The session is ready.
    Ready,
    /// The agent's sound, 8 kHz.
    Audio {
        /// What it belongs to.
        item: String,
        /// To be played in order.
        samples: Vec<i16>,
    },
    /// An item's sound is complete.
    ItemDone {
        /// Which.
        item: String,
    },
    /// The server hears the caller begin.
    SpeechStarted {
        /// Where.
        position: u64,
    },
    /// The server heard the caller end.
    SpeechStopped {
        /// Where.
        position: u64,
    },
    /// What the caller says, as the server understands it; replaces the last that was not final.
    CallerText {
        /// All of the turn so far.
        text: String,
        /// It will not change.
        is_final: bool,
    },
    /// The words of an item; replaces the last of the item.
    AgentText {
        /// Which.
        item: String,
        /// All of it so far.
        text: String,
        /// It will not change.
        is_final: bool,
    },
    /// A tool is asked for.
    Tool(ToolCall),
    /// The agent has said what it wants to say.
    TurnDone,
    /// What it cost since the last such output.
    Usage {
        /// Tokens in.
        input: u64,
        /// Tokens out.
        output: u64,
        /// Seconds of a session that is paid by time.
        seconds: f64,
    },
    /// Something failed; `fatal`: nothing more will come.
    Failed {
        /// For the log.
        detail: String,
        /// See above.
        fatal: bool,
    },
}

/// A speech brain at work.
pub struct LiveHandle {
    /// To it.
    pub inputs: mpsc::Sender<LiveInput>,
    /// From it.
    pub outputs: mpsc::Receiver<LiveOutput>,
    /// Its task; ends after [`LiveInput::Stop`], a fatal failure, or when `inputs` is dropped.
    pub task: tokio::task::JoinHandle<()>,
}

/// Connects a call to a speech model.
#[must_use]
pub fn spawn(spec: LiveSpec, context: BrainContext) -> LiveHandle {
    let (inputs, asked) = mpsc::channel(INPUTS_MAX);
    let (tell, outputs) = mpsc::channel(OUTPUTS_MAX);
    let task = tokio::spawn(task::run(spec, context, asked, tell));
    LiveHandle { inputs, outputs, task }
}

#[cfg(test)]
mod tests;
