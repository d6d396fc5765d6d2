//! Application legs: what stands at the other end of a media leg's rings.
//!
//! ```text
//!  call driver ── Control ──> application leg task ── rings ──> media worker
//!  call driver <── Report ─── (prompt or stream)  <── events ──
//! ```
//!
//! One task per call owns the [`LegHandle`] once there is one, decodes and resamples on its own
//! side of the rings, and reports upward what the call must know. Does not decide what a call
//! does next: `call` does.

pub mod agent;
pub mod bridge;
mod clock;
mod fake;
pub mod hearing;
mod line;
pub mod playout;
pub mod prompt;
pub mod recording;
pub mod rehearsal;
pub mod stream;
pub mod transcribe;
pub mod twiml;

pub(crate) use line::dtmf_command;

use crate::call::control::{HeardBy, Wish, WishError};
use crate::call::outcome::{Outcome, Utterance};
use crate::call::record::{AnswererView, BargeView, EndReason, ToneView};
use crate::call::recording::{RecordWish, RecordingView};
use crate::media::worker::LegHandle;
use tokio::sync::oneshot;

/// What the call driver tells an application leg. The queue holds 64; a full queue ends the call.
pub enum Control {
    /// The media leg is there (ports are open; nothing flows yet), or is back from a bridge.
    Leg(Box<LegHandle>),
    /// Lend the media leg to a bridge: what is queued is thrown away, and nothing is played until
    /// the leg comes back. Dropping the sender says that there is no leg to be lent.
    Yield(oneshot::Sender<Result<Box<LegHandle>, WishError>>),
    /// What became of [`Report::Wish`].
    Granted {
        /// Its number.
        ticket: u64,
        /// Whether it was granted.
        result: Result<(), WishError>,
    },
    /// What became of [`Report::TransferWanted`], in words if it came to nothing.
    TransferOver(Result<(), String>),
    /// The call was answered (or early media may be played): start playing what is queued.
    Start,
    /// The node stops, and with it the call.
    Leaving,
    /// What is agreed with the carrier changed.
    Signalled {
        /// Of the dialog, once there is one.
        sip_call_id: Option<String>,
        /// Whether sound is encrypted on the wire; `None`: nothing is agreed.
        srtp: Option<bool>,
    },
    /// The call's state changed; a stream tells its client. `event` is a name of `call_event`.
    CallEvent {
        /// e.g. `ringing`, `answered`.
        event: &'static str,
        /// More about it, if any.
        detail: Option<String>,
    },
    /// A digit that this leg did not hear itself: it came by SIP INFO, or to a bridge.
    Dtmf {
        /// ASCII.
        digit: u8,
        /// As stated, else 0.
        duration_ms: u32,
        /// How it came.
        method: HeardBy,
    },
    /// A stream tells its client something that somebody else knows (an agent's words, its
    /// outcome).
    Tell(Box<stream::wire::Told>),
    /// A call that obeys TwiML goes on with this.
    Instruct(Box<crate::twiml::Entry>),
    /// Somebody else than the stream's client wishes something of the recording;
    /// [`Report::Recorded`] answers.
    Record {
        /// The call's number of it.
        ticket: u64,
        /// What.
        wish: RecordWish,
    },
    /// Send digits to the far end.
    SendDtmf {
        /// `0-9*#A-D`.
        digits: String,
        /// Length of each.
        duration_ms: Option<u64>,
        /// Pause between them.
        gap_ms: Option<u64>,
    },
    /// The call is over: flush what must be told, close the client, drop the leg, finish.
    Stop {
        /// The call's `end_reason` name.
        reason: &'static str,
        /// The last SIP status.
        sip_code: Option<u16>,
        /// Answer to end.
        duration_ms: u64,
    },
}

/// What an application leg tells the call driver. What is large is boxed: a queue has the memory of 32.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// All that was to be played has left (FIXED_* content, or `hangup{after:"playback"}`).
    PlaybackDone {
        /// Milliseconds that really left.
        played_ms: u64,
    },
    /// The client asks to hang up.
    HangupRequested {
        /// Its reason, for the log.
        reason: Option<String>,
    },
    /// A stream client attached.
    Attached {
        /// `cawme` or `native`.
        protocol: &'static str,
        /// Rate of the audio sent to it.
        rate: Option<u32>,
    },
    /// The stream client went away.
    Detached,
    /// Why it did: `client_closed`, `socket_lost`, `no_pong`, `slow_consumer`, `too_big`, `protocol`,
    /// `revoked` or `replaced`.
    Gone {
        /// Which of these.
        why: &'static str,
    },
    /// The stream client that we dial was not reached this time.
    DialFailed {
        /// Why, in words.
        detail: String,
        /// Attempts so far.
        tries: u32,
    },
    /// No client came in time, or none came back: the call ends with `stream_lost`.
    StreamLost {
        /// For the log and the call object.
        detail: String,
    },
    /// A digit from the caller.
    Dtmf {
        /// ASCII.
        digit: u8,
        /// How long.
        duration_ms: u32,
        /// How it came.
        method: HeardBy,
    },
    /// The client wishes something of the call; [`Control::Granted`] answers.
    Wish {
        /// The leg's own number of it.
        ticket: u64,
        /// What it wishes.
        wish: Box<Wish>,
    },
    /// The agent wants to hand the call over; [`Control::TransferOver`] answers.
    TransferWanted {
        /// The name of a configured target.
        target: String,
    },
    /// Who answered, as far as can be told; a later one replaces it.
    Answered(Box<AnswererView>),
    /// The beep that was waited for.
    Beep {
        /// Where it ended, in the other party's samples since the answer.
        position_ms: u64,
    },
    /// A voice or key came while a prompt was played.
    BargeIn(Box<BargeView>),
    /// The network said something in tones.
    Tone(Box<ToneView>),
    /// The stream's client tells something of its own.
    ClientEvent {
        /// Its name.
        name: String,
    },
    /// What became of [`Control::Record`].
    Recorded {
        /// Its number.
        ticket: u64,
        /// Whether it was granted.
        result: Result<(), WishError>,
    },
    /// How far a recording is.
    Recording(Box<RecordingView>),
    /// RTP began to flow from the peer.
    Flowing,
    /// Neither RTP nor RTCP for the configured time.
    Quiet,
    /// Whether an engine writes the caller's words down, by its name, or why not.
    Transcribing(Result<String, String>),
    /// Words that will not change.
    Said(Box<Utterance>),
    /// Where the conversation stands.
    Turn(crate::turn::interface::State),
    /// The agent was cut off.
    Interrupted {
        /// What was heard of what it was saying.
        heard: String,
    },
    /// The agent is done with the call.
    Ended {
        /// As what the call ends.
        reason: EndReason,
        /// In words.
        detail: Option<String>,
    },
    /// How an agent's call went; the last report.
    Outcome(Box<Outcome>),
    /// The leg cannot do its work (engine failed, audio unreadable); ends the call with `error`.
    Failed {
        /// For the log and the call object.
        detail: String,
    },
}
