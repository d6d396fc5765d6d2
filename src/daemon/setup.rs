//! From the configuration to the plain values that shells and cores are made with.

use super::agents::AgentDesk;
use super::certificates::{CertificateDesk, by_https};
use super::decision::{Desk, Hook};
use super::dialer::{self, DialDesk};
use super::hearing;
use super::identity::Vetting;
use super::inbound::{Credentials, InboundAction, InboundRoute, Meets, nothing, silence};
use super::parts::{Parts, StreamDefaults, Terms, TrunkFacts};
use super::sign::Signer;
use super::twiml::TwimlDesk;
use super::verify::Verifier;
use crate::api::gateway::{Content, Spoken};
use crate::api::rest::{CompatAccount, CompatSpec};
use crate::api::types::CreateDefaults;
use crate::app::agent::request::AgentRequest;
use crate::app::bridge::PaceSpec;
use crate::app::stream::{Jitter, LevelSpec, Timing};
use crate::app::twiml::{Account, TwimlRequest};
use crate::audio::progress;
use crate::audio::prompt::prepare_prompt;
use crate::call::Plan;
use crate::call::control::{DialWish, PARTY_RINGS};
use crate::call::destination::Destinations;
use crate::call::queue::{CallQueue, Line, Pace};
use crate::call::toll::{Caps, Payer, TollGuard};
use crate::config::declare::Setting as _;
use crate::config::{
    Action, ApiKey as KeyConfig, AttestLevel, Config, HashName, IdentityMode, Instance, JitterMode,
    Name, OfferMode, ReliableMode, RingbackTone, Route, RtpBackend, StreamClient, SttEngine,
    SttKind, ThreadPriority, Trunk, TtsEngine, TtsKind, VerifyMode,
};
use crate::id::InstanceId;
use crate::media::interface::JitterSpec;
use crate::media::worker::{BackendWish, MediaSpec, StartRule, ThreadWish};
use crate::net::dns::ResolverSpec;
use crate::net::http::{HttpClient, Reach};
use crate::net::sip::{ConnectionLimits, SocketSpec};
use crate::net::tls::TlsSpec;
use crate::sip::interface::{
    DigestAlgorithm, EndpointSpec, IdentityHeader, RegisterSpec, Reliable, Transport, TrunkSpec,
};
use crate::sip::stir::Attestation;
use crate::sip::stir::chain::Anchors;
use crate::speech::key::ApiKey;
use crate::speech::stt::{SttEngineKind, SttEngineSpec, SttSpec};
use crate::speech::tts::voices::{Voice, pico_alias};
use crate::speech::tts::{TtsEngineKind, TtsEngineSpec, TtsSpec};
use crate::twiml::{Entry, Link, Method};
use anyhow::Context as _;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Legs beyond `limits.max_calls`, for calls that are still closing.
const SPARE_LEGS: usize = 64;

/// The endpoint's setup, with the addresses that were really bound.
pub(super) fn endpoint(
    config: &Config,
    listen: &[(Transport, SocketAddr)],
    seed: [u8; 32],
) -> EndpointSpec {
    let agent = || format!("bellwire/{}", env!("CARGO_PKG_VERSION"));
    EndpointSpec {
        public_address: config.node.public_address,
        trunks: config.trunk.iter().map(trunk).collect(),
        user_agent: config.sip.user_agent.clone().unwrap_or_else(agent),
        sessions_max: config.limits.max_calls as usize,
        setup_rate: config.limits.setup_rate,
        watch_headers: watched(config),
        ban_after: config.sip.ban_after,
        ban_length: config.sip.ban,
        t1: config.sip.t1,
        ..EndpointSpec::new(listen.to_vec(), seed)
    }
}

/// The SIP sockets' setup.
pub(super) fn sockets(config: &Config, listen: Vec<(Transport, SocketAddr)>) -> SocketSpec {
    let sip = &config.sip;
    let tls = tls(config);
    let spec = SocketSpec::new(listen);
    let limits = ConnectionLimits {
        total: sip.connections as usize,
        per_source: sip.connections_per_source as usize,
        ..spec.limits
    };
    let resolver = ResolverSpec { servers: sip.nameservers.clone(), ..spec.resolver };
    SocketSpec { listen: spec.listen, tls, limits, resolver }
}

/// The files of TLS, if there are any.
pub(super) fn tls(config: &Config) -> Option<TlsSpec> {
    let sip = &config.sip;
    let files = sip.tls_certificate.as_ref().zip(sip.tls_key.as_ref());
    files.map(|(certificate, key)| TlsSpec {
        certificate: certificate.clone(),
        key: key.clone(),
        ca: sip.tls_ca.clone(),
        require_client_certificate: sip.tls_require_client_certificate,
    })
}

/// The header fields that routes look at.
pub(super) fn watched(config: &Config) -> Vec<String> {
    let all = config.route.iter().flat_map(|route| &route.header);
    let names: BTreeSet<String> = all.map(|header| header.name.to_ascii_lowercase()).collect();
    names.into_iter().collect()
}

fn trunk(trunk: &Trunk) -> TrunkSpec {
    TrunkSpec {
        username: trunk.username.clone(),
        password: trunk.password.as_ref().map(crate::config::Secret::to_secret_string),
        realm: trunk.realm.clone(),
        from_domain: trunk.from_domain.clone(),
        sources: trunk.sources.iter().map(|source| (source.address, source.prefix)).collect(),
        ping: trunk.ping.get(),
        outbound_proxy: trunk.outbound_proxy.as_ref().map(ToString::to_string),
        register: registration(trunk),
        session_timer: trunk.session_timer.get(),
        reliable: match trunk.reliable {
            ReliableMode::Off => Reliable::Off,
            ReliableMode::Supported => Reliable::Supported,
            ReliableMode::Required => Reliable::Required,
        },
        identity: match trunk.identity {
            IdentityMode::None => IdentityHeader::None,
            IdentityMode::Asserted => IdentityHeader::Asserted,
            IdentityMode::Preferred => IdentityHeader::Preferred,
        },
        public_address: trunk.public_address,
        take_refer: trunk.refer,
        ..TrunkSpec::new(&trunk.name, trunk.proxy.iter().map(ToString::to_string).collect())
    }
}

fn registration(trunk: &Trunk) -> Option<RegisterSpec> {
    let user = trunk.register_user.clone().or_else(|| trunk.username.clone())?;
    let (expires, gin) = (trunk.expires, trunk.register_gin);
    trunk.register.then_some(RegisterSpec { user, expires, gin })
}

/// What calls must know of each trunk.
fn trunk_facts(config: &Config) -> BTreeMap<String, TrunkFacts> {
    let facts = |trunk: &Trunk| TrunkFacts {
        codecs: trunk.codecs.clone(),
        caller_id: trunk.caller_id.as_ref().map(ToString::to_string),
        caller_ids: trunk.caller_ids.iter().map(ToString::to_string).collect(),
        domain: proxy_domain(trunk),
        delayed_offer: trunk.offer == OfferMode::Delayed,
        identity: trunk.identity != IdentityMode::None,
        redirects: trunk.redirects,
        hosts: trunk.proxy.iter().filter_map(host_of).collect(),
        sources: trunk.sources.iter().map(|source| (source.address, source.prefix)).collect(),
        dtmf: trunk.dtmf,
        srtp: trunk.srtp,
        public_address: trunk.public_address,
        longest: trunk.max_duration.get(),
        refer: trunk.refer,
        vetting: vetting(trunk),
        signer: signer(trunk),
        destinations: Destinations {
            allow: trunk.allow.iter().map(ToString::to_string).collect(),
            deny: trunk.deny.iter().map(ToString::to_string).collect(),
        },
    };
    config.trunk.iter().map(|trunk| (trunk.name.to_string(), facts(trunk))).collect()
}

/// What a trunk asks of callers.
fn vetting(trunk: &Trunk) -> Option<Vetting> {
    match trunk.verify {
        VerifyMode::Off => None,
        VerifyMode::Note => Some(Vetting { least: None }),
        VerifyMode::Require => Some(Vetting { least: Some(attestation(trunk.attest_min)) }),
    }
}

/// Who signs a trunk's calls.
fn signer(trunk: &Trunk) -> Option<Signer> {
    trunk.sign_url.as_ref().map(|url| Signer {
        url: url.to_string(),
        secret: trunk.sign_secret.as_ref().map(|secret| ApiKey::new(secret.expose())),
        attest: attestation(trunk.sign_attest),
        timeout: trunk.sign_timeout,
        required: trunk.sign_required,
    })
}

fn attestation(level: AttestLevel) -> Attestation {
    match level {
        AttestLevel::A => Attestation::Full,
        AttestLevel::B => Attestation::Partial,
        AttestLevel::C => Attestation::Gateway,
    }
}

/// What callers are verified with, if any trunk verifies; starts the task that has certificates.
///
/// # Errors
/// The file of the authorities cannot be read.
pub(super) fn verifier(config: &Config) -> anyhow::Result<Option<Verifier>> {
    let identity = &config.sip.identity;
    let wanted = config.trunk.iter().any(|trunk| trunk.verify != VerifyMode::Off);
    let Some(path) = identity.trust_anchors.as_ref().filter(|_| wanted) else { return Ok(None) };
    let pem = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let anchors = Anchors::from_pem(&pem)
        .with_context(|| format!("{} (sip.identity.trust_anchors)", path.display()))?;
    let reach = if identity.allow_private { Reach::Secure } else { Reach::Public };
    Ok(Some(Verifier {
        anchors: Arc::new(anchors),
        desk: CertificateDesk::start(by_https(HttpClient::within(reach))),
        fresh: identity.fresh,
        timeout: identity.timeout,
    }))
}

/// The host of a proxy, in lower case.
fn host_of(proxy: &crate::config::SipUri) -> Option<String> {
    let text = proxy.to_string();
    let uri = crate::sip::message::Uri::parse(&text).ok()?;
    Some(uri.host.to_string().to_ascii_lowercase())
}

/// The accounts of the guard against toll fraud.
pub(super) fn toll(config: &Config) -> TollGuard {
    let some = |limit: u32| Some(limit).filter(|limit| *limit > 0);
    let minutes =
        |limit: u32| some(limit).map(|minutes| Duration::from_secs(u64::from(minutes) * 60));
    let trunk = |trunk: &Trunk| {
        // Calls at once and a second are paced by the queue.
        let caps = Caps { per_day: minutes(trunk.max_minutes_per_day), ..Caps::default() };
        (Payer::Trunk(trunk.name.to_string()), caps)
    };
    let key = |key: &KeyConfig| {
        let caps = Caps {
            calls: some(key.max_calls),
            per_second: some(key.max_cps),
            per_day: minutes(key.max_minutes_per_day),
        };
        (Payer::Key(key.name.to_string()), caps)
    };
    TollGuard::new(config.trunk.iter().map(trunk).chain(config.api.key.iter().map(key)))
}

/// The destinations of keys that have their own.
pub(super) fn key_destinations(config: &Config) -> BTreeMap<String, Destinations> {
    let narrow = config.api.key.iter().filter(|key| !key.allow.is_empty());
    let rules = |key: &KeyConfig| Destinations {
        allow: key.allow.iter().map(ToString::to_string).collect(),
        deny: Vec::new(),
    };
    narrow.map(|key| (key.name.to_string(), rules(key))).collect()
}

/// What answers of decision webhooks are read and carried out with.
pub(super) fn decision_desk(config: &Config, parts: &Parts) -> Desk {
    Desk {
        client: HttpClient::new(),
        voices: parts.tts.voices().iter().map(super::api_voice).collect(),
        engines: config.engine.tts.iter().map(|engine| engine.name.to_string()).collect(),
        defaults: create_defaults(config),
        limits: prompt_limits(config),
        level: prompt_level(config),
        longest: config.limits.max_duration,
    }
}

/// What a request for a call gets for what it does not say.
pub(super) fn create_defaults(config: &Config) -> CreateDefaults {
    CreateDefaults {
        ring_timeout: config.limits.ring_timeout,
        max_duration: config.limits.max_duration,
        stream_wait: config.limits.stream_wait,
        text_max: config.limits.max_text as usize,
        recording: config.recording.enabled,
    }
}

/// Interfaces of other vendors, and who may use them.
pub(super) fn compat(config: &Config) -> CompatSpec {
    let account = |account: &crate::config::CompatAccount| CompatAccount {
        sid: account.sid.to_string(),
        token: ApiKey::new(account.auth_token.expose()),
        instance: account.instance.clone(),
        key: account.key.as_ref().map(ToString::to_string),
    };
    let compat = &config.compat;
    CompatSpec {
        twilio: compat.twilio,
        telnyx: compat.telnyx,
        plivo: compat.plivo,
        accounts: compat.account.iter().map(account).collect(),
    }
}

/// Host and port of the first proxy, for the Request-URI of a number.
fn proxy_domain(trunk: &Trunk) -> String {
    let first = trunk.proxy.first().map(ToString::to_string).unwrap_or_default();
    let rest = first.strip_prefix("sips:").or_else(|| first.strip_prefix("sip:")).unwrap_or(&first);
    let host = rest.split([';', '?']).next().unwrap_or(rest);
    host.rsplit('@').next().unwrap_or(host).to_owned()
}

/// What calls get that begin from here on.
pub(super) fn terms(config: &Config, agents: AgentDesk, dial: DialDesk) -> Terms {
    Terms {
        trunks: trunk_facts(config),
        ptime: config.rtp.ptime,
        quiet_after: config.rtp.timeout.get().unwrap_or(Duration::ZERO),
        stream: stream_defaults(config),
        pace: pace(config),
        twiml: TwimlDesk::new(config, &agents.parts.tts),
        agents,
        dial,
    }
}

/// How long sound waits in a bridge of two calls.
fn pace(config: &Config) -> PaceSpec {
    let jitter = &config.jitter;
    PaceSpec { min: jitter.paced_min, start: jitter.paced_start, max: jitter.paced_max }
}

/// A call's two rings; what is longer waits in its application leg, where memory grows and shrinks.
/// An application leg that is held up for 320 ms is not heard: the one that it fills is filled again
/// when half is played, the other one is empty as long as it keeps up.
const PLAYOUT_RING: Duration = Duration::from_millis(640);
const CAPTURE_RING: Duration = Duration::from_millis(320);
/// How long the legs of calls wait for late packets.
pub(super) fn jitter(config: &Config) -> JitterSpec {
    JitterSpec {
        hole_wait: config.jitter.hole_wait,
        hole_wait_min: config.jitter.hole_wait_min,
        hole_wait_max: config.jitter.hole_wait_max,
    }
}

/// When sound that comes begins to play.
pub(super) fn start(config: &Config) -> StartRule {
    StartRule { enough: config.playout.start, enough_max: config.playout.start_max }
}

/// The media threads' setup.
pub(super) fn media(config: &Config, seed: u64) -> MediaSpec {
    let rtp = &config.rtp;
    MediaSpec {
        address: rtp.address,
        ports: rtp.ports.first..=rtp.ports.last,
        quarantine: rtp.quarantine,
        workers: rtp.workers as usize,
        dscp: rtp.dscp,
        jitter: jitter(config),
        start: start(config),
        legs_max: config.limits.max_calls as usize + SPARE_LEGS,
        playout: PLAYOUT_RING,
        capture: CAPTURE_RING,
        seed,
        threads: ThreadWish {
            backend: match rtp.backend {
                RtpBackend::Auto => BackendWish::Auto,
                RtpBackend::Epoll => BackendWish::Epoll,
                RtpBackend::IoUring => BackendWish::IoUring,
            },
            pin: rtp.pin,
            realtime: rtp.priority == ThreadPriority::Realtime,
        },
    }
}

/// The queue of outgoing calls, with the pace of the node and of each trunk.
pub(super) fn queue(config: &Config) -> CallQueue {
    let limits = &config.limits;
    let node = Pace { active_max: limits.max_calls as usize, per_second: limits.setup_rate };
    CallQueue::new(node, trunk_paces(config))
}

/// How the calls of each trunk are paced.
pub(super) fn trunk_paces(config: &Config) -> impl Iterator<Item = (String, Pace)> + '_ {
    let pace =
        |trunk: &Trunk| Pace { active_max: trunk.max_calls as usize, per_second: trunk.max_cps };
    config.trunk.iter().map(move |trunk| (trunk.name.to_string(), pace(trunk)))
}

/// Most active calls of an instance of the configuration: its own limit, or its trunk's.
pub(super) fn active_max(config: &Config, instance: &Instance) -> u32 {
    let trunk = config.trunk.iter().find(|trunk| trunk.name == instance.trunk);
    instance.max_active_calls.or(trunk.map(|trunk| trunk.max_calls)).unwrap_or(1)
}

/// Limits of the lines that inbound routes name.
pub(super) fn lines(config: &Config) -> BTreeMap<InstanceId, Line> {
    let line = |instance: &Instance| Line {
        trunk: instance.trunk.to_string(),
        active_max: active_max(config, instance) as usize,
        queue_max: config.limits.max_queued as usize,
    };
    config.instance.iter().map(|instance| (instance.id.clone(), line(instance))).collect()
}

/// How long an incoming call rings while its first documents are fetched.
const TWIML_RING: Duration = Duration::from_secs(30);

/// What streams get unless they ask otherwise.
fn stream_defaults(config: &Config) -> StreamDefaults {
    let rate = |instance: &Instance| (instance.id.to_string(), instance.default_rate);
    let agc = |instance: &Instance| Some((instance.id.to_string(), instance.agc?));
    StreamDefaults {
        buffer: config.playout.buffer,
        water: (config.playout.high_water, config.playout.low_water),
        timing: Timing {
            jitter: match config.jitter.mode {
                JitterMode::Asap => Jitter::Asap,
                JitterMode::Paced => Jitter::Paced,
            },
            pace: pace(config),
            live_lead: config.playout.live_lead,
            live_buffer: config.playout.live_buffer,
        },
        linger: Duration::from_secs(30),
        hearing: hearing::usual(config),
        rates: config.instance.iter().map(rate).collect(),
        level: stream_level(config),
        agc: config.instance.iter().filter_map(agc).collect(),
        barges: hearing::barges(config),
    }
}

fn stream_level(config: &Config) -> LevelSpec {
    let usual = LevelSpec::default();
    LevelSpec {
        agc: config.playout.agc,
        dc_block: config.playout.dc_block,
        target_dbov: prompt_level(config).unwrap_or(usual.target_dbov),
    }
}

/// The speech service's setup.
pub(super) fn tts(config: &Config) -> TtsSpec {
    #[expect(clippy::cast_possible_truncation, reason = "a level in dB needs no double")]
    let level_dbov = config.playout.level_dbov.get().map(|level| level as f32);
    TtsSpec {
        voice_dir: config.node.data_dir.join("voices"),
        threads: 2,
        engines: config.engine.tts.iter().map(tts_engine).collect(),
        voices: config.voice.iter().map(voice).collect(),
        level_dbov,
        rate: super::parts::RATE,
        cache_bytes: 64 << 20,
    }
}

fn tts_engine(engine: &TtsEngine) -> TtsEngineSpec {
    let kind = match engine.kind {
        TtsKind::Pico => TtsEngineKind::Pico,
        TtsKind::OpenAi => TtsEngineKind::OpenAi,
        TtsKind::Command => TtsEngineKind::Command,
        TtsKind::Piper => TtsEngineKind::Piper,
        TtsKind::ElevenLabs => TtsEngineKind::ElevenLabs,
        TtsKind::Cartesia => TtsEngineKind::Cartesia,
        TtsKind::Deepgram => TtsEngineKind::Deepgram,
    };
    TtsEngineSpec {
        url: engine.url.as_ref().map(ToString::to_string),
        key: engine.key.as_ref().map(|key| ApiKey::new(key.expose())),
        model: engine.model.clone(),
        command: engine.command.clone(),
        rate: engine.rate,
        first_audio: engine.first_audio,
        max_parallel: engine.max_parallel as usize,
        ..TtsEngineSpec::new(&engine.name, kind)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "speeds and gains need no double")]
fn voice(voice: &crate::config::Voice) -> Voice {
    Voice {
        id: voice.id.to_string(),
        name: voice.name.clone().unwrap_or_else(|| voice.id.to_string()),
        language: voice.language.clone().unwrap_or_else(|| language_of(&voice.voice)),
        engine: voice.engine.to_string(),
        engine_voice: voice.voice.clone(),
        gender: voice.gender.clone(),
        speed: voice.speed as f32,
        gain_db: voice.gain_db as f32,
        fallback: voice.fallback.as_ref().map(ToString::to_string),
        ..pico_alias(&voice.id, &voice.voice)
    }
}

/// The language that an engine's name for a voice begins with, e.g. `en_US-amy-medium`.
fn language_of(voice: &str) -> String {
    let tag = voice.replace('_', "-");
    let mut parts = tag.split('-');
    let letters = |part: &str, counts: &[usize]| {
        counts.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphabetic())
    };
    match (parts.next(), parts.next()) {
        (Some(language), Some(region)) if letters(language, &[2]) && letters(region, &[2]) => {
            format!("{}-{}", language.to_lowercase(), region.to_uppercase())
        }
        (Some(language), _) if letters(language, &[2]) => language.to_lowercase(),
        _ => "en".to_owned(),
    }
}

/// The transcription service's setup.
pub(super) fn stt(config: &Config) -> SttSpec {
    let engine = |engine: &SttEngine| {
        let kind = match engine.kind {
            SttKind::Vosk => SttEngineKind::Vosk,
            SttKind::Deepgram => SttEngineKind::Deepgram,
            SttKind::OpenAi => SttEngineKind::OpenAi,
            SttKind::AssemblyAi => SttEngineKind::AssemblyAi,
            #[cfg(feature = "sphinx")]
            SttKind::Sphinx => SttEngineKind::Sphinx,
            // Refused by the check of the configuration.
            #[cfg(not(feature = "sphinx"))]
            SttKind::Sphinx => return None,
        };
        Some(SttEngineSpec {
            url: engine.url.as_ref().map(ToString::to_string),
            key: engine.key.as_ref().map(|key| ApiKey::new(key.expose())),
            model: engine.model.clone(),
            language: engine.language.clone(),
            model_path: engine.model_path.clone(),
            linear_rate: engine.linear_rate,
            max_parallel: engine.max_parallel as usize,
            ..SttEngineSpec::new(&engine.name, kind)
        })
    };
    SttSpec { engines: config.engine.stt.iter().filter_map(engine).collect() }
}

/// Inbound routes in order; prompts are read and decoded here, once.
///
/// # Errors
/// A prompt that cannot be read or decoded, with its path.
pub(super) fn routes(config: &Config, agents: &AgentDesk) -> anyhow::Result<Vec<InboundRoute>> {
    let first = agents.parts.tts.voices().first();
    let voice = first.map(|voice| voice.id.clone()).unwrap_or_default();
    let routes = config.route.iter().enumerate().map(|(index, route)| {
        let made = inbound_route(config, route, &voice)?;
        if let Meets::Action(InboundAction { content: Content::Agent(request), .. }) = &made.meets {
            let checked = agents.check(Some(request), None);
            checked.map_err(|problem| anyhow::anyhow!("route[{index}]: {}", problem.in_words()))?;
        }
        Ok(made)
    });
    routes.collect()
}

fn inbound_route(config: &Config, route: &Route, voice: &str) -> anyhow::Result<InboundRoute> {
    let longest = config.limits.max_duration;
    let answer = Plan::Inbound {
        ring: route.ring,
        early_media: route.early_media,
        hangup_after: route.hangup_after,
        longest,
    };
    let (plan, content) = match route.action {
        Action::Webhook => return webhook_route(route),
        Action::Answer => (answer, silence()),
        Action::Play => (answer, play(config, route)?),
        Action::Say => (answer, say(route, voice)),
        Action::Stream => {
            let wait = config.limits.stream_wait;
            let zero = route.ring.is_zero();
            let ring = if zero { Duration::from_secs(60) } else { route.ring };
            let asks = Plan::Ask { timeout: ring, otherwise: 480, longest };
            let plan = if route.ask { asks } else { answer };
            let usual = StreamClient::stand_in();
            let client = route.stream.as_ref().unwrap_or(&usual);
            let (options, ask) = dialer::said(client, route.url.as_deref()).context("stream")?;
            (plan, Content::Stream { options: Box::new(options), wait, ask: Box::new(ask) })
        }
        Action::Ring => {
            let forever = route.ring.is_zero();
            let ring = if forever { Duration::from_secs(180) } else { route.ring };
            (Plan::RingOnly { ring }, silence())
        }
        Action::Dial => return dial_route(route, longest),
        Action::Reject => (Plan::Reject { code: route.sip_code }, silence()),
        Action::Agent => (answer, agent(route)?),
        Action::Twiml => {
            let content = twiml(config, route)?;
            // Long enough for the slowest document.
            let timeout = if route.ring.is_zero() { TWIML_RING } else { route.ring };
            (Plan::Ask { timeout, otherwise: 480, longest }, content)
        }
    };
    Ok(taken_by(route, Meets::Action(InboundAction::new(plan, content))))
}

fn dial_route(route: &Route, longest: Duration) -> anyhow::Result<InboundRoute> {
    let to = route.dial.clone().context("route action \"dial\" needs dial")?;
    let timeout = if route.ring.is_zero() { PARTY_RINGS } else { route.ring };
    let party = DialWish {
        to,
        from: route.dial_from.as_ref().map(ToString::to_string),
        trunk: route.dial_trunk.as_ref().map(ToString::to_string),
        timeout,
    };
    let ringback = route.ringback.map(|tone| match tone {
        RingbackTone::America => progress::Plan::America,
        RingbackTone::Europe => progress::Plan::Europe,
    });
    let plan = Plan::Dial { ringback, timeout, otherwise: route.sip_code, longest };
    let action = InboundAction { party: Some(party), ..InboundAction::new(plan, nothing()) };
    Ok(taken_by(route, Meets::Action(action)))
}

fn webhook_route(route: &Route) -> anyhow::Result<InboundRoute> {
    let url = route.url.as_ref().context("route action \"webhook\" needs a url")?;
    let hook = Hook {
        url: url.to_string(),
        timeout: route.timeout,
        secret: route.secret.as_ref().map(|secret| ApiKey::new(secret.expose())),
        sip_code: route.sip_code,
    };
    Ok(taken_by(route, Meets::Hook(hook)))
}

fn algorithm(hash: HashName) -> DigestAlgorithm {
    match hash {
        HashName::Md5 => DigestAlgorithm::Md5,
        HashName::Sha256 => DigestAlgorithm::Sha256,
    }
}

/// A route with what it is matched by.
fn taken_by(route: &Route, meets: Meets) -> InboundRoute {
    let instance = route.instance.clone().unwrap_or_else(InstanceId::nobody);
    let auth = route.auth.as_ref().map(|auth| Credentials {
        realm: auth.realm.clone(),
        username: auth.username.clone(),
        password: auth.password.clone(),
        algorithms: auth.algorithms.iter().map(|hash| algorithm(*hash)).collect(),
    });
    InboundRoute {
        trunk: route.trunk.as_ref().map(ToString::to_string),
        to: route.to.clone(),
        from: route.from.clone(),
        headers: route.header.iter().map(|h| (h.name.clone(), h.value.clone())).collect(),
        auth,
        instance,
        meets,
    }
}

fn play(config: &Config, route: &Route) -> anyhow::Result<Content> {
    let path = route.audio.as_deref().context("route action \"play\" needs audio")?;
    let samples = load_prompt(path, config)?;
    Ok(Content::Audio { samples, repeat: route.repeat })
}

fn say(route: &Route, voice: &str) -> Content {
    let voice = route.voice.as_ref().map_or_else(|| voice.to_owned(), ToString::to_string);
    // A spoken text is bounded: 0 means as long as anybody listens.
    let repeat = if route.repeat == 0 { 100 } else { route.repeat };
    let text = route.text.clone().unwrap_or_default();
    Content::Tts(Spoken { text, voice, repeat, ssml: false, speed: 1.0 })
}

/// The agent of a route; its playbook is read here, once.
fn agent(route: &Route) -> anyhow::Result<Content> {
    let script = match &route.script {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("reading {}", path.display()))?;
            let script = serde_json::from_str(&text);
            Some(script.with_context(|| format!("{} is not JSON", path.display()))?)
        }
    };
    Ok(Content::Agent(Box::new(AgentRequest {
        instructions: route.instructions.clone(),
        voice: route.voice.as_ref().map(ToString::to_string),
        agent_first: true,
        script,
        ..AgentRequest::default()
    })))
}

/// The TwiML of a route: where its first document comes from.
fn twiml(config: &Config, route: &Route) -> anyhow::Result<Content> {
    let url = route.url.as_ref().context("route action \"twiml\" needs a url")?;
    let named = |sid: &Name| config.compat.account.iter().find(|known| known.sid == *sid);
    let account = match &route.account {
        Some(sid) => named(sid),
        None => config.compat.account.first(),
    };
    let account = account.context("route action \"twiml\" needs a [[compat.account]]")?;
    let link = Link { url: url.to_string(), method: Method::Post };
    Ok(Content::Twiml(Box::new(TwimlRequest {
        account: Account {
            sid: account.sid.to_string(),
            token: ApiKey::new(account.auth_token.expose()),
            // The operator has named the URL, and the trunk says what may be dialled.
            sip_uris: true,
        },
        entry: Entry::Fetch(link),
        fallback: None,
        press: None,
        callback: None,
    })))
}

/// Reads and decodes a prompt file to 8 kHz mono at the configured level.
///
/// # Errors
/// The file cannot be read or decoded.
pub(super) fn load_prompt(path: &Path, config: &Config) -> anyhow::Result<Arc<[i16]>> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    prepare_prompt(&bytes, &prompt_limits(config), prompt_level(config))
        .with_context(|| format!("decoding {}", path.display()))
}

/// How much audio one prompt may hold.
pub(super) fn prompt_limits(config: &Config) -> crate::audio::decode::DecodeLimits {
    crate::audio::decode::DecodeLimits {
        duration_max: config.limits.max_audio,
        ..crate::audio::decode::DecodeLimits::default()
    }
}

/// The speech level of prompts in dBov, unless it is off.
#[expect(clippy::cast_possible_truncation, reason = "a level in dB needs no double")]
pub(super) fn prompt_level(config: &Config) -> Option<f32> {
    config.playout.level_dbov.get().map(|level| level as f32)
}
