//! What a brain is: the seam between the agent leg (turns, speech, tools) and whoever decides
//! what is said.
//!
//! ```text
//!  agent leg ── BrainInput (64) ──> brain task ── BrainOutput (256) ──> agent leg
//! ```
//!
//! A brain never plays, hears or hangs up: it says sentences and asks for tools. It may take its
//! time, fail or talk nonsense; the leg goes on.

use crate::turn::interface::{Expect, Line, Prompt, TurnId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use tokio::sync::mpsc;

/// Inputs that may wait for a brain; a brain that lets more pile up has failed.
pub const INPUTS_MAX: usize = 64;
/// Outputs that may wait for the leg; the brain waits then.
pub const OUTPUTS_MAX: usize = 256;

/// A tool that a brain may ask for, as a model is told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolDecl {
    /// `hang_up`, `transfer`, …, or the name of an http tool.
    pub name: String,
    /// What it does, for a model.
    pub description: String,
    /// JSON Schema of its arguments, an object.
    pub parameters: Value,
}

/// What a brain knows about the call from its start.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BrainContext {
    /// The call's id, for logs and for the harness.
    pub call_id: String,
    /// Who called whom, e.g. `outbound`.
    pub direction: String,
    /// Our number, if any.
    pub from: Option<String>,
    /// Who calls, as the network says, if it says anything.
    pub identity: Option<Box<crate::call::identity::CallIdentity>>,
    /// The other party.
    pub to: String,
    /// From the create request, 1 to 64.
    pub instructions: Vec<String>,
    /// BCP 47.
    pub language: String,
    /// Allow-listed tools.
    pub tools: Vec<ToolDecl>,
    /// JSON Schema of the result that the caller wants, if any (`record_result` carries it).
    pub result_schema: Option<Value>,
    /// The user's own object.
    pub metadata: serde_json::Map<String, Value>,
    /// The model that the request asks for, instead of the configured one.
    pub model: Option<String>,
}

/// A tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The brain's own id for it; comes back with the result.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// Its arguments, not yet checked.
    pub arguments: Value,
}

/// What a brain is told.
#[derive(Debug, Clone, PartialEq)]
pub enum BrainInput {
    /// Answer this. `speculative`: the caller may go on speaking; begin, but no tools.
    Ask {
        /// The turn.
        turn: TurnId,
        /// What to answer.
        prompt: Prompt,
        /// See above.
        speculative: bool,
    },
    /// A speculative turn is the real one.
    Confirm(TurnId),
    /// Nothing of this turn is wanted any more.
    Abandon(TurnId),
    /// What really happened: the history is made of these and of nothing else.
    Line(Line),
    /// A tool's answer: JSON that a model can read; errors are `{"error": "…"}`.
    ToolResult {
        /// The turn in which it was asked for.
        turn: TurnId,
        /// [`ToolCall::id`].
        id: String,
        /// The answer.
        result: Value,
    },
    /// The call is over; finish within a second.
    Stop,
}

/// What a brain says.
#[derive(Debug, Clone, PartialEq)]
pub enum BrainOutput {
    /// The first token of a turn's answer arrived (for the latency record).
    Token(TurnId),
    /// Say a sentence (or a clause); in order.
    Say {
        /// For this turn.
        turn: TurnId,
        /// Plain text, markdown already stripped; whatever else it holds is spoken, not obeyed.
        text: String,
        /// Whether the caller may cut it off.
        interruptible: bool,
    },
    /// What to wait for after this turn's words; default [`Expect::default`].
    Expect(TurnId, Expect),
    /// Do something; the answer comes as [`BrainInput::ToolResult`].
    Tool(TurnId, ToolCall),
    /// All of this turn is said (after the last tool result was dealt with).
    Done(TurnId),
    /// This turn failed; `fatal`: later ones would, too.
    Failed {
        /// Which.
        turn: TurnId,
        /// For the log and the outcome.
        detail: String,
        /// See above.
        fatal: bool,
    },
    /// Tokens used, for the cost limit and the outcome.
    Usage {
        /// Prompt tokens.
        input: u64,
        /// Completion tokens.
        output: u64,
    },
    /// One or two sentences about the call, for the outcome.
    Summary(String),
}

/// A brain at work.
pub struct BrainHandle {
    /// To it.
    pub inputs: mpsc::Sender<BrainInput>,
    /// From it.
    pub outputs: mpsc::Receiver<BrainOutput>,
    /// Its task; ends after [`BrainInput::Stop`] or when `inputs` is dropped.
    pub task: tokio::task::JoinHandle<()>,
}

/// A generous bound on how long a brain may stop after [`BrainInput::Stop`].
pub const STOP_WITHIN: Duration = Duration::from_secs(1);
