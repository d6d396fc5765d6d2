//! What the API's user asks of an agent: the `agent` section of a create request, checked for form.

use serde_json::Value;
use std::time::Duration;

/// The brain that is chosen by a playbook in the request.
pub const SCRIPT: &str = "script";

/// What to do when an answering machine takes the call, as a request says it.
pub const VOICEMAIL_WORDS: [&str; 3] = ["hangup", "message", "continue"];

/// The `agent` section.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AgentRequest {
    /// 1 to 64 sentences; empty only with a script.
    pub instructions: Vec<String>,
    /// `default`, `script`, or the name of an `[[engine.llm]]`.
    pub backend: Option<String>,
    /// Another model than the configured one.
    pub model: Option<String>,
    /// Another voice; known to be there.
    pub voice: Option<String>,
    /// BCP 47.
    pub language: Option<String>,
    /// Said by the agent before it listens, in the place of the brain's first words.
    pub greeting: Option<String>,
    /// Said before everything else and never cut off.
    pub disclosure: Option<String>,
    /// The tools that this call may use, of those that the configuration allows.
    pub tools: Option<Vec<String>>,
    /// Whether the agent has the first word.
    pub agent_first: bool,
    /// The playbook, not yet parsed.
    pub script: Option<Value>,
    /// JSON Schema of the wanted result.
    pub result_schema: Option<Value>,
    /// One of [`VOICEMAIL_WORDS`].
    pub voicemail: Option<String>,
    /// Longest conversation.
    pub max_duration: Option<Duration>,
    /// Most answers of the brain.
    pub max_turns: Option<u32>,
}

impl AgentRequest {
    /// Whether a playbook conducts the call.
    #[must_use]
    pub fn is_script(&self) -> bool {
        self.backend.as_deref() == Some(SCRIPT) || self.script.is_some()
    }
}
