//! Which brain a call has.

use super::chat::{self, ChatSpec};
use super::harness::{self, HarnessSpec};
use super::interface::{BrainContext, BrainHandle};
use super::script::{self, Playbook};
use crate::net::http::HttpClient;

/// A brain that answers in text; a speech-to-speech brain is [`super::live`]'s.
#[derive(Debug, Clone, PartialEq)]
pub enum BrainSpec {
    /// Does what a playbook says, offline.
    Script(Playbook),
    /// Asks a server with OpenAI's chat completions.
    Chat(ChatSpec),
    /// Asks the user's own server.
    Harness(HarnessSpec),
}

/// Starts a brain for one call.
#[must_use]
pub fn spawn(spec: BrainSpec, context: BrainContext, http: &HttpClient) -> BrainHandle {
    match spec {
        BrainSpec::Script(playbook) => script::spawn(playbook, &context),
        BrainSpec::Chat(spec) => chat::spawn(spec, context, http.clone()),
        BrainSpec::Harness(spec) => harness::spawn(spec, context),
    }
}
