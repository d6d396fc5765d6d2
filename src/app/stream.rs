//! The application leg of a DYNAMIC_STREAM call.
//!
//! ```text
//!            ┌───────────── one task per call ──────────────┐
//!  api ──────┼─ seat ──> socket ─> wire ─> session ─> inlet ┼─> playout ring ─> worker
//!  (upgrade) │             ▲                  │    (decode, │
//!            │             └──── outlet <─────┘   resample) │
//!            │                     ▲────────────────────────┼── capture ring <─ worker
//!            └──────── Control ──> │ ──> Report ────────────┘
//! ```
//!
//! `options` is what may be asked, `protocol` in whose words, `seat` who may sit down, `dialer` and
//! `dialling` when a client is fetched instead, `wire` the text messages, `dialect` how
//! else they may be written, `session` what they mean, `inlet` and `outlet` the two ways of sound,
//! `live` and `paced` how they catch up, `duplex` both sides on one clock, `recorder` what is kept of them, `outbox`, `kept` and
//! `resume` what a client that lost its socket goes on with, `task` the polling. One task lives from
//! the call's first moment to its end, whether a client is attached or not; playout never waits for
//! a socket.

mod budget;
mod client;
mod concealed;
pub mod dialect;
pub mod dialer;
mod dialling;
mod doubt;
mod duplex;
mod inlet;
mod kept;
mod level;
mod live;
pub mod options;
mod outbox;
mod outlet;
mod paced;
mod protocol;
mod recorder;
pub mod resume;
pub mod seat;
mod session;
mod signals;
mod task;
pub mod wire;

pub use level::LevelSpec;
pub use options::{Jitter, Protocol, QueryBlame, QueryProblem, SUBPROTOCOL, StreamOptions, Timing};
pub use seat::{ClientSocket, SeatError, Standing, StreamAttachment, StreamRights, StreamSeats};
pub use session::spoken::Speak;

use super::{Control, Report};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What the task of one call must know from its start.
#[derive(Clone)]
pub struct StreamSpec {
    /// The call, told to clients.
    pub call: crate::id::CallId,
    /// Its line.
    pub instance: crate::id::InstanceId,
    /// Who called whom.
    pub direction: crate::call::record::Direction,
    /// Our number or name, if any.
    pub from: Option<String>,
    /// Who calls, as the network says, if it says anything.
    pub identity: Option<Box<crate::call::identity::CallIdentity>>,
    /// What signalling says of the call so far.
    pub sip: wire::Sip,
    /// Whether sound is encrypted on the wire; `None`: nothing is agreed.
    pub srtp: Option<bool>,
    /// The other party.
    pub to: String,
    /// Defaults for the client, from the create request.
    pub options: StreamOptions,
    /// The user's parameters for the client, told in `start`.
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// The account of Twilio's REST that the call belongs to, told in that vendor's words.
    pub account: Option<String>,
    /// The leg's sample rate in Hz (8000 for G.711).
    pub sample_rate: u32,
    /// Rate in Hz of headerless audio unless stated (16000).
    pub default_rate: u32,
    /// How much audio may be queued unless stated (60 s).
    pub buffer: Duration,
    /// Filled to the first share of the queue, the client is told to stop; emptied to the second,
    /// to go on.
    pub water: (f64, f64),
    /// How sound is timed, both ways.
    pub timing: Timing,
    /// Whether and how its sound is levelled unless stated.
    pub level: LevelSpec,
    /// How long an answered call waits for its first client (10 s).
    pub wait: Duration,
    /// How long a call goes on after its client vanished (30 s).
    pub linger: Duration,
    /// Drawn for this call alone: what the tokens of its clients are made of.
    pub secret: [u8; 32],
    /// An agent conducts the call; clients only watch.
    pub observer: bool,
    /// Digits are the call's to send unless the client says how: the trunk takes them by INFO.
    pub keys_by_call: bool,
    /// What the ears are for, unless somebody asks otherwise.
    pub hearing: super::hearing::HearingSpec,
    /// What is done about who answers; its thresholds are in `hearing`.
    pub amd: Option<crate::turn::machine::AmdSpec>,
    /// How its client is dialled, where it does not come by itself.
    pub dial: Option<dialer::DialPlan>,
    /// Who says texts for the client, at 8 kHz; `None`: nobody.
    pub speak: Option<Speak>,
    /// Who may write the caller's words down.
    pub stt: crate::speech::stt::Stt,
    /// What the create request says about that.
    pub transcribe: Option<super::transcribe::Transcribe>,
    /// Who writes recordings; `None`: nobody.
    pub recordings: Option<super::recording::RecordingDesk>,
    /// What is recorded from the answer on.
    pub record: Option<crate::call::recording::RecordStart>,
}

/// Starts the application leg of one call; it ends after [`Control::Stop`] or with its queue.
///
/// The seats may be cloned and kept with the call; after the task ended they answer
/// [`SeatError::Ended`].
#[must_use]
pub fn spawn(
    spec: StreamSpec,
    control: mpsc::Receiver<Control>,
    reports: mpsc::Sender<Report>,
) -> (StreamSeats, JoinHandle<()>) {
    let (seats, task) = prepare(spec, control, reports);
    (seats, tokio::spawn(task))
}

/// What [`spawn`] spawns, for callers that own a set of tasks; call it within the runtime.
pub fn prepare(
    spec: StreamSpec,
    control: mpsc::Receiver<Control>,
    reports: mpsc::Sender<Report>,
) -> (StreamSeats, impl Future<Output = ()> + Send + 'static) {
    let (seats, seated) = StreamSeats::new();
    let dialled_seat = spec.dial.is_some().then(|| seats.keep()).flatten();
    (seats, task::StreamTask::new(spec, control, (seated, dialled_seat), reports))
}

/// What [`prepare`] makes, with a leg that is there from the start and has no handle.
pub(super) fn prepare_at(
    spec: StreamSpec,
    control: mpsc::Receiver<Control>,
    reports: mpsc::Sender<Report>,
    (line, ears): (super::line::Line, super::line::Ears),
) -> (StreamSeats, impl Future<Output = ()> + Send + 'static) {
    let (seats, seated) = StreamSeats::new();
    let mut task = task::StreamTask::new(spec, control, (seated, None), reports);
    task.take_line(line, ears);
    (seats, task)
}

#[cfg(test)]
mod tests;
