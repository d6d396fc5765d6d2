//! The port behind the API: what REST and the stream may ask of the running daemon.
//!
//! A bounded command queue with one-shot replies; the daemon owns the other end. A full queue
//! answers 503 `capacity_exceeded`. Tests put a small loop at the other end.

use crate::api::error::Problem;
use crate::api::stream::ask::StreamAsk;
use crate::app::agent::request::AgentRequest;
use crate::app::stream::wire::Stages;
use crate::app::stream::{StreamAttachment, StreamOptions};
use crate::app::transcribe::Transcribe;
use crate::call::control::Wish;
use crate::call::record::{CallRecord, CallType, Quality};
use crate::id::{CallId, InstanceId};
use crate::store::InstanceSettings;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A validated request for an outgoing call: audio is decoded, voices are known.
#[derive(Debug)]
pub struct NewCall {
    /// The id under which it will live.
    pub id: CallId,
    /// The line.
    pub instance: InstanceId,
    /// How the line's calls are made, as the store has it at this moment.
    pub settings: InstanceSettings,
    /// E.164 number, or the SIP URI when the key allows it.
    pub target: String,
    /// Extra `X-` header fields of the INVITE.
    pub headers: Vec<(String, String)>,
    /// Our number; default: the trunk's.
    pub from: Option<String>,
    /// Display name.
    pub from_name: Option<String>,
    /// What to do once answered.
    pub content: Content,
    /// What plays beneath, if the request says it.
    pub background: Option<BackgroundWish>,
    /// How long it may ring.
    pub ring_timeout: Duration,
    /// How long it may last after the answer.
    pub max_duration: Duration,
    /// Name of the API key that asks, for its limits; `None`: an API without keys.
    pub key: Option<String>,
    /// The user's own object.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Whether and how the caller's words are written down.
    pub transcribe: Option<Transcribe>,
    /// What is done with what is heard.
    pub hearing: crate::app::hearing::HearingWish,
}

/// What a request says of the background.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BackgroundWish {
    /// The name of the track; `None`: there shall be none.
    pub source: Option<String>,
    /// Its gain, instead of the configured one; -60 to 0 dB.
    pub gain_db: Option<f32>,
    /// How much quieter it is beneath speech, instead of the configured; 0 to 60 dB.
    pub duck_db: Option<f32>,
}

/// A text to be spoken.
#[derive(Debug, Clone, PartialEq)]
pub struct Spoken {
    /// 1 to 5000 characters.
    pub text: String,
    /// A known voice id.
    pub voice: String,
    /// How often it is said.
    pub repeat: u32,
    /// Whether the text is SSML.
    pub ssml: bool,
    /// 0.5 to 2.
    pub speed: f32,
}

/// What a call plays or does.
#[derive(Debug, Clone)]
pub enum Content {
    /// FIXED_TTS.
    Tts(Spoken),
    /// FIXED_AUDIO.
    Audio {
        /// Mono at 8 kHz, levelled, shared by all calls that play it.
        samples: Arc<[i16]>,
        /// How often it is played; 0: until the call ends.
        repeat: u32,
    },
    /// DYNAMIC_AGENT.
    Agent(Box<AgentRequest>),
    /// DYNAMIC_STREAM.
    Stream {
        /// Defaults for the client that attaches.
        options: Box<StreamOptions>,
        /// How long an answered call waits for its first client.
        wait: Duration,
        /// Where the client comes from, and what it is told.
        ask: Box<StreamAsk>,
    },
    /// A call that obeys TwiML.
    Twiml(Box<crate::app::twiml::TwimlRequest>),
    /// The other party of a call of this type: plays nothing of its own, and is joined with it.
    Party(CallType),
}

impl Content {
    /// The call type that the content belongs to.
    #[must_use]
    pub fn call_type(&self) -> CallType {
        match self {
            Self::Tts(_) => CallType::FixedTts,
            Self::Agent(_) => CallType::DynamicAgent,
            Self::Audio { .. } => CallType::FixedAudio,
            Self::Stream { .. } | Self::Twiml(_) => CallType::DynamicStream,
            Self::Party(of) => *of,
        }
    }
}

/// What became of a [`Command::Create`].
#[derive(Debug)]
pub enum Created {
    /// A new call (201).
    New(CallRecord),
    /// The single-active-call rule gave the call that is already there (200).
    Existing(CallRecord),
}

/// How a call sounds, and how long sound takes in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallStats {
    /// As in the call object; `None` without media.
    pub quality: Option<Quality>,
    /// How long a missing packet is waited for, at this moment; in milliseconds.
    pub hole_wait_ms: Option<u64>,
    /// How long sound stood where.
    pub stages: Option<Stages>,
}

/// What the API asks.
#[derive(Debug)]
pub enum Command {
    /// Make and queue a call.
    Create(Box<NewCall>, oneshot::Sender<Result<Created, Problem>>),
    /// The live snapshot of a call, if it is active.
    Live(CallId, oneshot::Sender<Option<CallRecord>>),
    /// How an active call sounds; `None`: it is not active.
    Stats(CallId, oneshot::Sender<Option<CallStats>>),
    /// Snapshots of all active calls of an instance (`None`: of all), oldest first.
    LiveOf(Option<InstanceId>, oneshot::Sender<Vec<CallRecord>>),
    /// End a call; `false`: there is no such active call.
    Terminate(CallId, oneshot::Sender<bool>),
    /// Attach a stream client; the answer carries its ends of the call's stream.
    Attach(CallId, StreamOptions, oneshot::Sender<Result<StreamAttachment, Problem>>),
    /// Replaces the metadata of an active call and gives its snapshot; `None`: it is not active.
    SetMetadata(
        CallId,
        serde_json::Map<String, serde_json::Value>,
        oneshot::Sender<Option<CallRecord>>,
    ),
    /// Grants a wish to an active call; the answer is its record after it, as far as it has got.
    Control(CallId, Box<Wish>, oneshot::Sender<Result<CallRecord, Problem>>),
    /// How the trunks are doing, by name.
    Trunks(oneshot::Sender<Vec<TrunkStatus>>),
    /// State for `/health/ready` and `/v1/admin/status`.
    Status(oneshot::Sender<Status>),
    /// Stop taking calls, end at the deadline.
    Drain,
}

/// How a trunk is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkStatus {
    /// Its name in the configuration.
    pub name: String,
    /// `up`, `down`, or `unknown` before the first answer to a ping.
    pub state: &'static str,
    /// Its registration, where it registers.
    pub registration: Option<RegistrationStatus>,
    /// Its gateways of which there is something to say.
    pub gateways: Vec<GatewayStatus>,
    /// Calls on it.
    pub active_calls: u64,
    /// Codecs in order of preference.
    pub codecs: Vec<String>,
}

/// Where a registration stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationStatus {
    /// `registering`, `registered`, `failed` or `unregistered`.
    pub state: &'static str,
    /// When it would expire, in milliseconds since the Unix epoch.
    pub expires_at: Option<i64>,
    /// When it is tried again.
    pub retry_at: Option<i64>,
    /// What the registrar said.
    pub detail: Option<String>,
}

/// How a gateway of a trunk is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayStatus {
    /// Its address.
    pub address: String,
    /// `quarantined`.
    pub state: &'static str,
    /// Until when, in milliseconds since the Unix epoch.
    pub until: Option<i64>,
}

/// How the daemon is doing.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Status {
    /// Whether new calls are taken.
    pub ready: bool,
    /// Why not, one line each.
    pub reasons: Vec<String>,
    /// Active calls by status name.
    pub calls: std::collections::BTreeMap<String, u64>,
    /// RTP ports in use.
    pub rtp_ports_used: u64,
    /// RTP ports free.
    pub rtp_ports_free: u64,
    /// Live SIP transactions.
    pub sip_transactions: u64,
    /// Live SIP dialogs.
    pub sip_dialogs: u64,
    /// Media legs.
    pub legs: u64,
    /// Open file descriptors of the process.
    pub open_fds: u64,
}

/// The API's end of the queue; cheap to clone.
#[derive(Debug, Clone)]
pub struct Gateway {
    commands: mpsc::Sender<Command>,
}

impl Gateway {
    /// Makes the port and the end that the daemon serves.
    #[must_use]
    pub fn new(capacity: usize) -> (Self, mpsc::Receiver<Command>) {
        let (commands, served) = mpsc::channel(capacity);
        (Self { commands }, served)
    }

    /// Tells something that has no answer.
    ///
    /// # Errors
    /// `capacity_exceeded` when the queue is full, `internal` when the daemon went away.
    pub fn tell(&self, command: Command) -> Result<(), Problem> {
        self.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Problem::capacity_exceeded("command queue full"),
            mpsc::error::TrySendError::Closed(_) => Problem::internal("the daemon is stopping"),
        })
    }

    /// Asks the daemon to take no more calls and stop; a second time not to wait for calls.
    pub fn drain(&self) {
        // A full queue: whoever asks again will be heard.
        let _ = self.commands.try_send(Command::Drain);
    }

    /// Asks one question and waits for its answer.
    ///
    /// # Errors
    /// `capacity_exceeded` when the queue is full, `internal` when the daemon went away.
    pub async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        self.tell(make(reply))?;
        answer.await.map_err(|_| Problem::internal("the daemon dropped the question"))
    }
}
