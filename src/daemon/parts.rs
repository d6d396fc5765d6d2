//! What all calls share: the media pool, the voices, the store, and plain values of the
//! configuration.

use super::agents::AgentDesk;
use super::call_driver::{AppLeg, agent_leg, now, prompt_leg};
use super::dialer::DialDesk;
use super::gate;
use super::identity::Vetting;
use super::sign::Signer;
use super::sound::Sound;
use super::twiml::TwimlDesk;
use crate::api::gateway::{Content, Spoken};
use crate::app::bridge::PaceSpec;
use crate::app::hearing::{HearingSpec, HearingWish};
use crate::app::prompt::{PromptSpec, Source};
use crate::app::recording::RecordingDesk;
use crate::app::stream::{LevelSpec, Speak};
use crate::app::transcribe::Transcribe;
use crate::audio::codec::{CodecId, SampleRate};
use crate::call::destination::Destinations;
use crate::call::record::CallRecord;
use crate::call::toll::{Payer, TollError, TollGuard};
use crate::config::{DtmfMode, RedirectMode, SrtpMode};
use crate::id::CallId;
use crate::media::interface::SendSpec;
use crate::media::worker::{LegHandle, LegSetup, MediaError, MediaPool};
use crate::sdp::{LocalMedia, SrtpPolicy};
use crate::sip::interface::{Command, network_holds};
use crate::speech::tts::{SpeakRequest, Speech, Tts};
use crate::store::Store;
use crate::turn::barge::BargeWish;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// The callee makes the offer.
    pub delayed_offer: bool,
    /// Our number is told to the network beside From.
    pub identity: bool,
    /// Which targets of a 3xx are followed.
    pub redirects: RedirectMode,
    /// Hosts of its proxies, in lower case.
    pub hosts: Vec<String>,
    /// Networks of its own elements.
    pub sources: Vec<(IpAddr, u8)>,
    /// How digits travel.
    pub dtmf: DtmfMode,
    /// Whether media is encrypted.
    pub srtp: SrtpMode,
    /// Written into SDP on this trunk.
    pub public_address: Option<IpAddr>,
    /// Longest call.
    pub longest: Option<Duration>,
    /// The far end may move calls by REFER and Replaces.
    pub refer: bool,
    /// Callers are verified.
    pub vetting: Option<Vetting>,
    /// Who signs outgoing calls.
    pub signer: Option<Signer>,
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
    /// The store.
    pub store: Store,
    /// Who writes recordings; `None`: nobody.
    pub recordings: Option<RecordingDesk>,
    /// What the configuration says of calls at this moment.
    pub terms: Mutex<Arc<Terms>>,
    /// The trunk of instances that name none: the first of the configuration.
    pub default_trunk: Option<String>,
    /// Written into SDP instead of the sockets' address.
    pub public_address: Option<IpAddr>,
    /// How sound is sent, and what plays beneath.
    pub sound: Sound,
    /// Trunks that answer no OPTIONS.
    pub trunks_down: TrunksDown,
    /// The guard against toll fraud.
    pub toll: Mutex<TollGuard>,
    /// Destinations of API keys that have their own.
    pub key_destinations: BTreeMap<String, Destinations>,
    /// The media threads are late: no new calls.
    pub overloaded: AtomicBool,
    /// Draws SSRCs, session ids and the like.
    pub seeds: Mutex<crate::time::Rng>,
}

/// What the configuration says of calls. A reload replaces it as a whole; a call keeps what it
/// began with, but for whom it may dial.
pub(super) struct Terms {
    /// Trunks by name.
    pub trunks: BTreeMap<String, TrunkFacts>,
    /// Audio per packet that we send and ask for.
    pub ptime: Duration,
    /// No RTP and RTCP for this long ends a call; zero: never.
    pub quiet_after: Duration,
    /// Defaults of streams.
    pub stream: StreamDefaults,
    /// How long sound waits in a bridge.
    pub pace: PaceSpec,
    /// Agents, and who writes words down.
    pub agents: AgentDesk,
    /// How stream clients are dialled.
    pub dial: DialDesk,
    /// What TwiML is obeyed with.
    pub twiml: TwimlDesk,
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
    /// How sound is timed.
    pub timing: crate::app::stream::Timing,
    /// How long a call goes on without its client.
    pub linger: Duration,
    /// What the ears are for.
    pub hearing: HearingSpec,
    /// Rate of headerless audio by instance, and for all others.
    pub rates: BTreeMap<String, u32>,
    /// Whether and how their sound is levelled, and instances that have it otherwise.
    pub level: LevelSpec,
    /// See `level`.
    pub agc: BTreeMap<String, bool>,
    /// What a voice or key does in the calls of an instance, where it says.
    pub barges: BTreeMap<String, BargeWish>,
}

impl StreamDefaults {
    /// What a voice or key does in an incoming call of an instance, where `asked` is silent.
    pub(super) fn barge_of(&self, instance: &str, asked: BargeWish) -> BargeWish {
        asked.or(self.barges.get(instance).copied().unwrap_or_default())
    }

    /// How the sound of an instance's streams is levelled.
    pub(super) fn level_of(&self, instance: &str) -> LevelSpec {
        LevelSpec { agc: self.agc.get(instance).copied().unwrap_or(self.level.agc), ..self.level }
    }
}

impl Parts {
    /// The terms of calls that begin now.
    pub(super) fn terms(&self) -> Arc<Terms> {
        Arc::clone(&self.terms.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Other terms for calls that begin later.
    pub(super) fn set_terms(&self, terms: Terms) {
        *self.terms.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(terms);
    }

    /// Opens a media leg for a call of this trunk and describes it.
    pub(super) fn open_leg(
        &self,
        terms: &Terms,
        trunk: Option<&str>,
        content: &Content,
        codecs: &[CodecId],
        send: SendSpec,
    ) -> Result<(LegHandle, LocalMedia), MediaError> {
        let facts = trunk.and_then(|trunk| terms.trunks.get(trunk));
        let seed = self.seed();
        let setup = LegSetup {
            codecs: codecs.to_vec(),
            rate: leg_rate(content, codecs),
            // RFC 7022: a short-term persistent random name says nothing about us.
            cname: format!("{:012x}", self.seed() & 0xffff_ffff_ffff),
            seed,
            send,
        };
        let (leg, ports) = self.media.open(setup)?;
        let dtmf = facts.map_or(DtmfMode::Auto, |facts| facts.dtmf);
        if dtmf == DtmfMode::Inband {
            leg.control.send(crate::media::interface::Command::DigitsInband(true));
        }
        let local = LocalMedia {
            address: facts
                .and_then(|facts| facts.public_address)
                .or(self.public_address)
                .unwrap_or(ports.rtp.ip()),
            rtp_port: ports.rtp.port(),
            rtcp_port: ports.rtcp.port(),
            codecs: codecs.to_vec(),
            own_order: false,
            telephone_event: dtmf != DtmfMode::Inband,
            comfort_noise: self.sound.sends_comfort_noise(),
            ptime: terms.ptime,
            session_id: self.seed() >> 2,
            session_version: 1,
            direction: crate::sdp::Direction::BOTH,
            rtcp_mux: false,
            srtp: match facts.map_or(SrtpMode::Off, |facts| facts.srtp) {
                SrtpMode::Off => SrtpPolicy::Off,
                SrtpMode::Preferred => SrtpPolicy::Preferred,
                SrtpMode::Required => SrtpPolicy::Required,
            },
        };
        Ok((leg, local))
    }

    /// Codecs of a trunk, in order of preference.
    pub(super) fn codecs(&self, trunk: &str) -> Vec<CodecId> {
        let terms = self.terms();
        terms.trunks.get(trunk).map(|facts| facts.codecs.clone()).unwrap_or_default()
    }

    /// Whether a trunk wants digits by SIP INFO, which a media leg cannot send.
    pub(super) fn keys_by_info(&self, trunk: Option<&str>) -> bool {
        let terms = self.terms();
        let facts = trunk.and_then(|trunk| terms.trunks.get(trunk));
        facts.is_some_and(|facts| facts.dtmf == DtmfMode::Info)
    }

    /// Whether a number or SIP URI may be dialled over a trunk by whoever holds this key: the one
    /// gate of requests, transfers, redirections and inbound REFER alike.
    ///
    /// # Errors
    /// Why not, in words.
    pub(super) fn may_dial(
        &self,
        trunk: &str,
        key: Option<&str>,
        target: &str,
    ) -> Result<(), String> {
        let terms = self.terms();
        let Some(facts) = terms.trunks.get(trunk) else {
            return Err(format!("there is no trunk {trunk}"));
        };
        let number: String =
            gate::dialled(target).chars().filter(|c| !c.is_control()).take(64).collect();
        if !facts.destinations.permits(&number) {
            return Err(format!(
                "{number} is not among the destinations that trunk {trunk} may dial; `allow` of \
                 the trunk lists them"
            ));
        }
        let own = key.and_then(|key| self.key_destinations.get(key));
        if own.is_some_and(|own| !own.permits(&number)) {
            return Err(format!(
                "{number} is not among the destinations that this key may call; `allow` of the \
                 key lists them"
            ));
        }
        Ok(())
    }

    /// Whether a target of a 3xx may be followed on this trunk.
    ///
    /// # Errors
    /// Why not, in words.
    pub(super) fn may_follow(
        &self,
        trunk: &str,
        key: Option<&str>,
        target: &str,
    ) -> Result<(), String> {
        self.may_dial(trunk, key, target)?;
        let terms = self.terms();
        let Some(facts) = terms.trunks.get(trunk) else { return Ok(()) };
        let uri = crate::sip::message::Uri::parse(target).map_err(|error| error.to_string())?;
        let host = uri.host.to_string().to_ascii_lowercase();
        let ours = facts.hosts.contains(&host)
            || uri
                .host
                .ip()
                .is_some_and(|ip| facts.sources.iter().any(|network| network_holds(*network, ip)));
        match facts.redirects {
            RedirectMode::Any => Ok(()),
            RedirectMode::Trunk if ours => Ok(()),
            RedirectMode::Trunk => {
                Err(format!("{host} is no host of trunk {trunk}; see `redirects` of the trunk"))
            }
            RedirectMode::Off => Err(format!("trunk {trunk} follows no redirections")),
        }
    }

    /// Enters a call on the accounts of those who pay for it.
    ///
    /// # Errors
    /// [`TollError`] of the first that may not.
    pub(super) fn admit_toll(
        &self,
        call: &CallId,
        trunk: &str,
        key: Option<&str>,
    ) -> Result<(), TollError> {
        let key = key.map(|key| Payer::Key(key.to_owned()));
        let payers: Vec<Payer> = [Payer::Trunk(trunk.to_owned())].into_iter().chain(key).collect();
        self.toll().admit(now(), call, &payers)
    }

    /// The guard against toll fraud.
    pub(super) fn toll(&self) -> MutexGuard<'_, TollGuard> {
        self.toll.lock().unwrap_or_else(PoisonError::into_inner)
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
        !down.is_empty() && down.len() == self.terms().trunks.len()
    }

    /// A fresh random number.
    pub(super) fn seed(&self) -> u64 {
        self.seeds.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// Starts the application leg of a prompt or an agent; `None` for content that has its own.
    pub(super) fn start_content(
        &self,
        terms: &Terms,
        content: &Content,
        transcribe: Option<&Transcribe>,
        wish: &HearingWish,
        record: &CallRecord,
    ) -> Result<Option<AppLeg>, String> {
        let (source, repeat) = match content {
            Content::Tts(spoken) => (Source::Speech(self.speak(spoken)?), 1),
            Content::Audio { samples, repeat } => (Source::Samples(samples.clone()), *repeat),
            Content::Stream { .. } | Content::Twiml(_) | Content::Party(_) => return Ok(None),
            Content::Agent(request) => {
                let keys_by_call = self.keys_by_info(record.trunk.as_deref());
                let agent = terms.agents.agent(request, transcribe, record, keys_by_call);
                let agent = agent.map_err(|problem| problem.detail)?;
                return Ok(Some(agent_leg(agent, terms.agents.parts.clone())));
            }
        };
        let transcribe = transcribe.cloned().map(|wanted| (wanted, terms.agents.parts.stt.clone()));
        let (hearing, amd) = (wish.of_prompt(terms.stream.hearing), wish.amd);
        let sample_rate = RATE;
        let prompt = PromptSpec { source, repeat, sample_rate, transcribe, hearing, amd };
        Ok(Some(prompt_leg(prompt)))
    }

    fn speak(&self, spoken: &Spoken) -> Result<Speech, String> {
        self.tts.speak(speak_request(spoken)).map_err(|error| error.to_string())
    }

    /// Who says texts for the clients of streams; without a voice named, the first.
    pub(super) fn speaker(&self) -> Speak {
        let tts = self.tts.clone();
        Arc::new(move |voice: Option<&str>, text: &str| {
            let first = || tts.voices().first().map(|voice| voice.id.clone());
            let voice = voice.map(str::to_owned).or_else(first).unwrap_or_default();
            tts.speak(SpeakRequest { live: true, ..SpeakRequest::new(&voice, text) })
        })
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

/// Rate of a leg's rings: a stream over a wideband codec gets all of it; prompts and agents are
/// made at 8 kHz.
pub(super) fn leg_rate(content: &Content, codecs: &[CodecId]) -> SampleRate {
    let wide = codecs.iter().any(|codec| codec.spec().sample_rate.hz() > RATE);
    match content {
        Content::Stream { .. } if wide => SampleRate::HZ_16000,
        Content::Stream { .. }
        | Content::Tts(_)
        | Content::Audio { .. }
        | Content::Agent(_)
        | Content::Twiml(_)
        | Content::Party(_) => SampleRate::HZ_8000,
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
