//! What all calls share: the media pool, the voices, the store, and plain values of the
//! configuration.

use super::agents::AgentDesk;
use super::call_driver::{AppLeg, agent_leg, prompt_leg};
use crate::api::gateway::{Content, Spoken};
use crate::app::prompt::{PromptSpec, Source};
use crate::app::transcribe::Transcribe;
use crate::audio::codec::{CodecId, SampleRate};
use crate::call::destination::Destinations;
use crate::call::record::CallRecord;
use crate::id::CallId;
use crate::media::worker::{LegHandle, LegSetup, MediaError, MediaPool};
use crate::sdp::LocalMedia;
use crate::sip::interface::Command;
use crate::speech::tts::{SpeakRequest, Speech, Tts};
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Sample rate of the carrier legs, in Hz: G.711.
pub(super) const RATE: u32 = 8000;

/// How long an ended call waits for its row to be on disk.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// What a call must know of its trunk.
#[derive(Debug, Clone)]
pub(super) struct TrunkFacts {
    /// Codecs in order of preference.
    pub codecs: Vec<CodecId>,
    /// Our number.
    pub caller_id: Option<String>,
    /// Further numbers that may be shown.
    pub caller_ids: Vec<String>,
    /// Host part of the Request-URI of numbers.
    pub domain: String,
    /// Which numbers may be dialled.
    pub destinations: Destinations,
}

impl TrunkFacts {
    /// Whether a call of a line with this number may show `from`.
    ///
    /// Without any number configured the carrier is the only judge.
    pub(super) fn may_show(&self, line: Option<&str>, from: &str) -> bool {
        let mut own = self.caller_id.as_deref().into_iter().chain(line);
        let mut listed = self.caller_ids.iter().map(String::as_str);
        let free = own.clone().next().is_none() && self.caller_ids.is_empty();
        free || own.any(|number| number == from) || listed.any(|number| number == from)
    }
}

/// Shared by the switchboard and all calls.
pub(super) struct Parts {
    /// The media threads.
    pub media: MediaPool,
    /// To the SIP task.
    pub sip: mpsc::Sender<Command>,
    /// The voices.
    pub tts: Tts,
    /// Agents, and who writes words down.
    pub agents: AgentDesk,
    /// The store.
    pub store: Store,
    /// Trunks by name.
    pub trunks: BTreeMap<String, TrunkFacts>,
    /// The trunk of instances that name none: the first of the configuration.
    pub default_trunk: Option<String>,
    /// Written into SDP instead of the sockets' address.
    pub public_address: Option<IpAddr>,
    /// Audio per packet that we send and ask for.
    pub ptime: Duration,
    /// No RTP and RTCP for this long ends a call; zero: never.
    pub quiet_after: Duration,
    /// Defaults of streams.
    pub stream: StreamDefaults,
    /// Trunks that answer no OPTIONS.
    pub trunks_down: TrunksDown,
    /// Draws SSRCs, session ids and the like.
    pub seeds: Mutex<crate::time::Rng>,
}

/// The trunks that answer no OPTIONS, shared with the API.
pub(super) type TrunksDown = Arc<Mutex<BTreeSet<String>>>;

/// What streams get unless they ask otherwise.
#[derive(Debug, Clone)]
pub(super) struct StreamDefaults {
    /// How much a client may send ahead.
    pub buffer: Duration,
    /// Queue share of `xoff`, and of `xon`.
    pub water: (f64, f64),
    /// How long a call goes on without its client.
    pub linger: Duration,
    /// Rate of headerless audio by instance, and for all others.
    pub rates: BTreeMap<String, u32>,
}

impl Parts {
    /// Opens a media leg and describes it.
    pub(super) fn open_leg(
        &self,
        codec: Option<CodecId>,
        codecs: &[CodecId],
    ) -> Result<(LegHandle, LocalMedia), MediaError> {
        let seed = self.seed();
        let setup = LegSetup {
            codecs: codec.into_iter().chain(codecs.iter().copied()).collect(),
            rate: SampleRate::new(RATE).unwrap_or(SampleRate::HZ_8000),
            // RFC 7022: a short-term persistent random name says nothing about us.
            cname: format!("{:012x}", self.seed() & 0xffff_ffff_ffff),
            seed,
        };
        let (leg, ports) = self.media.open(setup)?;
        let local = LocalMedia {
            address: self.public_address.unwrap_or(ports.rtp.ip()),
            rtp_port: ports.rtp.port(),
            rtcp_port: ports.rtcp.port(),
            codecs: codecs.to_vec(),
            own_order: false,
            telephone_event: true,
            ptime: self.ptime,
            session_id: self.seed() >> 2,
            session_version: 1,
            direction: crate::sdp::Direction::BOTH,
            rtcp_mux: false,
            srtp: crate::sdp::SrtpPolicy::Off,
        };
        Ok((leg, local))
    }

    /// Remembers whether a trunk answers.
    pub(super) fn note_trunk(&self, trunk: &str, up: bool) {
        let mut down = self.trunks_down.lock().unwrap_or_else(PoisonError::into_inner);
        if up {
            down.remove(trunk);
        } else {
            down.insert(trunk.to_owned());
        }
    }

    /// Whether there are trunks and none answers.
    pub(super) fn all_trunks_down(&self) -> bool {
        let down = self.trunks_down.lock().unwrap_or_else(PoisonError::into_inner);
        !down.is_empty() && down.len() == self.trunks.len()
    }

    /// A fresh random number.
    pub(super) fn seed(&self) -> u64 {
        self.seeds.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// Starts the application leg of a prompt or an agent; `None` for content that has its own.
    pub(super) fn start_content(
        &self,
        content: &Content,
        transcribe: Option<&Transcribe>,
        record: &CallRecord,
    ) -> Result<Option<AppLeg>, String> {
        let (source, repeat) = match content {
            Content::Tts(spoken) => (Source::Speech(self.speak(spoken)?), 1),
            Content::Audio { samples, repeat } => (Source::Samples(samples.clone()), *repeat),
            Content::Stream { .. } => return Ok(None),
            Content::Agent(request) => {
                let agent = self.agents.agent(request, transcribe, record);
                let agent = agent.map_err(|problem| problem.detail)?;
                return Ok(Some(agent_leg(agent, self.agents.parts.clone())));
            }
        };
        let transcribe = transcribe.cloned().map(|wanted| (wanted, self.agents.parts.stt.clone()));
        Ok(Some(prompt_leg(PromptSpec { source, repeat, sample_rate: RATE, transcribe })))
    }

    fn speak(&self, spoken: &Spoken) -> Result<Speech, String> {
        self.tts.speak(speak_request(spoken)).map_err(|error| error.to_string())
    }

    /// Hands a record to the store; what cannot be written is counted there.
    pub(super) fn store_call(&self, record: &CallRecord) {
        if let Err(error) = self.store.put_call(record.clone()) {
            tracing::warn!(call_id = %record.id, %error, "call record not stored");
        }
    }

    /// Waits a little until the call's last row is on disk, so that a reader finds it.
    pub(super) async fn settle_store(&self, call: &CallId) {
        match tokio::time::timeout(SETTLE_MAX, self.store.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(call_id = %call, %error, "call record not on disk"),
            Err(_) => tracing::warn!(call_id = %call, "the store is slow"),
        }
    }
}

/// What the voices are asked for.
pub(super) fn speak_request(spoken: &Spoken) -> SpeakRequest {
    SpeakRequest {
        voice: spoken.voice.clone(),
        text: spoken.text.clone(),
        ssml: spoken.ssml,
        speed: spoken.speed,
        repeat: spoken.repeat,
        live: false,
    }
}
