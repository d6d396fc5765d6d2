//! The application leg of a call that obeys TwiML.
//!
//! ```text
//!  call driver ─ Control ─> leg { twiml::Machine } ─ Control ─> child: prompt | stream
//!  call driver <─ Report ──  │  ^                 <─ Report ──    │ holds the media leg
//!                            │  └── documents, files (net::http)
//!                            └───── callbacks: how the call is doing, told to its owner
//! ```
//!
//! Owns which child has the media leg: one verb's sound is one application leg of the usual kind,
//! which is given the media leg and asked for it back, as a bridge would. Fetches documents and
//! files, asks the call for what is the call's (answer, dial, keys). Decides nothing: the machine
//! does. Its digits come from whichever child has the leg.

mod callbacks;
mod child;
mod leg;
mod ringback;
mod web;

pub use callbacks::{CallbackEvent, StatusCallback, tell_status};
pub use child::{OpenStream, StreamChild};
pub use web::{Web, WebError};

use super::{Control, Report};
use crate::audio::rate::SampleRate;
use crate::speech::key::ApiKey;
use crate::speech::tts::Tts;
use crate::twiml::{Entry, Facts, Link};
use std::fmt;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Decodes an audio file to mono samples at the leg's rate; runs on the blocking threads.
pub type DecodeFile = Arc<dyn Fn(Vec<u8>) -> Result<Arc<[i16]>, String> + Send + Sync>;

/// The voice for what a document names: its voice, its language.
pub type ChooseVoice = Arc<dyn Fn(Option<&str>, Option<&str>) -> String + Send + Sync>;

/// Whose call it is, in the vendor's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// `AC…`.
    pub sid: String,
    /// Signs what its servers are asked.
    pub token: ApiKey,
    /// Whether SIP URIs may be dialled for it, and not numbers alone.
    pub sip_uris: bool,
}

/// What a call is to obey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwimlRequest {
    /// Whose call it is.
    pub account: Account,
    /// With what it begins.
    pub entry: Entry,
    /// Asked once, when a document cannot be had.
    pub fallback: Option<Link>,
    /// Keys that are pressed at the answer; `w` is half a second of silence.
    pub press: Option<String>,
    /// Who is told how the call is doing.
    pub callback: Option<StatusCallback>,
}

/// What the leg works with.
#[derive(Clone)]
pub struct TwimlParts {
    /// Asks other people's servers.
    pub web: Web,
    /// Speaks.
    pub tts: Tts,
    /// Decodes files.
    pub decode: DecodeFile,
    /// Chooses voices.
    pub voice: ChooseVoice,
    /// Opens streams.
    pub open_stream: OpenStream,
    /// What prompts listen for beside keys.
    pub hearing: super::hearing::HearingSpec,
}

impl fmt::Debug for TwimlParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwimlParts").finish_non_exhaustive()
    }
}

/// What the leg of one call must know from its start.
#[derive(Debug)]
pub struct TwimlSpec {
    /// What every request says of the call.
    pub facts: Facts,
    /// What it is to obey.
    pub request: TwimlRequest,
    /// What it works with.
    pub parts: TwimlParts,
    /// The rate of the media leg's rings.
    pub rate: SampleRate,
}

/// Starts the application leg of one call; it ends after [`Control::Stop`] or with its queue.
#[must_use]
pub fn spawn(
    spec: TwimlSpec,
    control: mpsc::Receiver<Control>,
    reports: mpsc::Sender<Report>,
) -> JoinHandle<()> {
    tokio::spawn(leg::run(spec, control, reports))
}

#[cfg(test)]
mod tests;
