//! The script brain: does what a playbook says, offline, and never anything else.
//!
//! ```text
//!  steps (JSON) ── parse: all faults at once ──> Playbook: flat operations
//!  BrainInput ──> Script (pure) ──> BrainOutput
//! ```
//!
//! `Playbook` owns what may be written, [`Script`] what it means. Neither hears nor speaks, and
//! an answer that was chosen from a phrase list is read back before anything depends on it.

mod grammar;
mod machine;
mod parse;
mod playbook;
mod words;

pub use grammar::{GrammarFault, compile};
pub use machine::Script;
pub use parse::{ScriptFault, fuzz_playbook};
pub use playbook::Playbook;

use super::interface::{BrainContext, BrainHandle, BrainInput, INPUTS_MAX, OUTPUTS_MAX};
use tokio::sync::mpsc;

/// Starts a playbook for one call.
#[must_use]
pub fn spawn(playbook: Playbook, context: &BrainContext) -> BrainHandle {
    let (inputs, mut asked) = mpsc::channel(INPUTS_MAX);
    let (tell, outputs) = mpsc::channel(OUTPUTS_MAX);
    let mut script = Script::new(playbook, context);
    let task = tokio::spawn(async move {
        while let Some(input) = asked.recv().await {
            if input == BrainInput::Stop {
                return;
            }
            for output in script.handle(&input) {
                if tell.send(output).await.is_err() {
                    return;
                }
            }
        }
    });
    BrainHandle { inputs, outputs, task }
}

#[cfg(test)]
mod tests;
