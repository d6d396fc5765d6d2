//! The brain of any server that speaks OpenAI's chat completions: tokens in, sentences out.
//!
//! ```text
//!  BrainInput ──> task ── POST {url}/chat/completions, stream ──> server
//!                  │ <── exchange: sse ── wire: deltas ──────────┘
//!                  ├── text: sentences ──> Say
//!                  └── tool calls, when the turn is confirmed ──> Tool
//! ```
//!
//! Owns what the model is told: instructions in the system role, what was really said in the
//! other two, nothing that nobody heard. Does not decide whose turn it is, and runs no tool.

mod exchange;
mod history;
pub mod sse;
mod task;
mod wire;

pub use wire::fuzz_chunk;

use super::interface::{BrainContext, BrainHandle, INPUTS_MAX, OUTPUTS_MAX};
use crate::net::http::HttpClient;
use crate::speech::key::ApiKey;
use std::time::Duration;
use tokio::sync::mpsc;

/// Where a model is and how it is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatSpec {
    /// Up to and without `/chat/completions`, e.g. `https://api.openai.com/v1`.
    pub url: String,
    /// Bearer token, if the server wants one.
    pub key: Option<ApiKey>,
    /// The model, unless the call names another.
    pub model: String,
    /// Sampling temperature; `None`: the server's default.
    pub temperature: Option<f32>,
    /// Most tokens of one answer; `None`: the server's default.
    pub max_tokens: Option<u32>,
    /// From the request to the first token, a retry included.
    pub first_token: Duration,
    /// Between two tokens.
    pub idle: Duration,
    /// Whether to ask for a summary when the call is over.
    pub summary: bool,
}

impl Default for ChatSpec {
    /// OpenAI's server without a model; 10 s to the first token and between tokens.
    fn default() -> Self {
        Self {
            url: "https://api.openai.com/v1".to_owned(),
            key: None,
            model: String::new(),
            temperature: None,
            max_tokens: None,
            first_token: Duration::from_secs(10),
            idle: Duration::from_secs(10),
            summary: false,
        }
    }
}

/// Starts a chat brain for one call.
#[must_use]
pub fn spawn(spec: ChatSpec, context: BrainContext, http: HttpClient) -> BrainHandle {
    let (inputs, asked) = mpsc::channel(INPUTS_MAX);
    let (tell, outputs) = mpsc::channel(OUTPUTS_MAX);
    let task = tokio::spawn(task::Chat::new(spec, context, http, tell).run(asked));
    BrainHandle { inputs, outputs, task }
}

#[cfg(test)]
mod tests;
