//! The daemon: builds every shell, starts them in order, drains and stops them in order.
//!
//! Start: configuration → store → voices → media threads → SIP sockets → switchboard → API → ready.
//! Stop: refuse new calls → wait for calls → hang up the rest → SIP → media → API → store.
//!
//! Owns nothing that decides: calls are decided in `call`, signalling in `sip`, sound in `media`.

mod agents;
mod bridging;
mod call_driver;
mod certificates;
mod control;
mod decision;
mod dialer;
mod gate;
mod gather;
mod health;
mod hearing;
mod identity;
mod inbound;
mod overload;
mod pair;
mod parts;
mod reception;
mod recordings;
mod reload;
mod second;
mod setup;
mod sign;
mod signalling;
mod sound;
mod switchboard;
mod tell;
mod trunks;
mod twiml;
mod verify;

use crate::api::error::{Code, Problem};
use crate::api::gateway::{Command, Gateway};
use crate::api::rest::{
    AdminParts, ApiLimits, ApiParts, ApiState, ServeLimits, TrunkState, admin_router, router, serve,
};
use crate::api::types::{AudioProblem, Voice};
use crate::audio::decode::DecodeError;
use crate::audio::prompt::prepare_prompt;
use crate::audio::rate::SampleRate;
use crate::call::toll::{Payer, TollGuard};
use crate::config::Config;
use crate::media::worker::{Footing, MediaPool};
use crate::observe::event::{self, Happening as _};
use crate::observe::metrics;
use crate::speech::stt::Stt;
use crate::speech::tts::{SentenceOutcome, Tts, TtsError};
use crate::store::{DeclaredInstance, Dedupe, InstanceSettings, Store, sha256};
use crate::time::Rng;
use agents::AgentDesk;
use anyhow::Context as _;
use gather::Gather;
use parts::{Parts, TrunksDown};
use reception::Reception;
pub use reload::Origin;
use reload::Reload;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use switchboard::{Switchboard, SwitchboardSpec};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Questions to the switchboard, commands to and events from the SIP task that may wait.
const QUEUE_MAX: usize = 4096;

/// How long the store may take for its last rows: 20,000 of them take a slow disk some seconds.
const STORE_MAX: Duration = Duration::from_secs(10);

/// How long work on other threads (a name server, a file) may go on when all else has ended: who asked
/// for it is gone.
const BLOCKING_MAX: Duration = Duration::from_secs(1);

/// What a stop may take beyond `limits.drain_timeout`: unanswered BYEs, last words to clients, rows.
const STOP_MAX: Duration = Duration::from_secs(10);

/// Runs the daemon on a runtime of its own until a signal or the API stops it.
///
/// # Errors
/// Whatever keeps it from starting, with the key or path to look at.
pub fn run_blocking(config: Config, origin: Origin) -> anyhow::Result<()> {
    let gather = Gather::default();
    let resting = gather.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_park(move || resting.rest())
        .build()?;
    let outcome = runtime.block_on(run(config, origin, &gather));
    runtime.shutdown_timeout(BLOCKING_MAX);
    outcome
}

/// What a configuration that is valid option by option says of streams and cannot be used: a line
/// for each, with its place. Empty: nothing. Opens and reads nothing.
#[must_use]
pub fn stream_faults(config: &Config) -> Vec<String> {
    dialer::faults(config)
}

/// Runs the daemon until a signal or the API stops it.
///
/// # Errors
/// Whatever keeps it from starting, with the key or path to look at.
async fn run(config: Config, origin: Origin, gather: &Gather) -> anyhow::Result<()> {
    let begun = Instant::now();
    let metrics = metrics::install();
    let mut rng = Rng::from_seed(crate::net::entropy().context("reading random numbers")?);
    let store = open_store(&config).await?;
    let agents = start_speech(&config);
    let routes = setup::routes(&config, &agents)?;
    let dial = dialer::DialDesk::new(&config)?;
    let verifier = setup::verifier(&config)?;
    let mut toll = setup::toll(&config);
    enter_used(&store, &mut toll).await.context("reading the minutes of this day")?;
    let media = start_media(&config, rng.next_u64())?;
    let signalling = signalling::start(&config, &mut rng).await?;
    let parts = Arc::new(Parts {
        media,
        sip: signalling.commands,
        default_trunk: config.trunk.first().map(|trunk| trunk.name.to_string()),
        public_address: config.node.public_address,
        sound: sound::Sound::load(&config)?,
        trunks_down: TrunksDown::default(),
        toll: Mutex::new(toll),
        key_destinations: setup::key_destinations(&config),
        overloaded: AtomicBool::new(false),
        seeds: Mutex::new(rng),
        tts: agents.parts.tts.clone(),
        recordings: recordings::start(&config)?,
        terms: Mutex::new(Arc::new(setup::terms(&config, agents, dial))),
        store: store.clone(),
    });
    gather.watch(&parts);
    let (renew, renewals) = mpsc::channel(1);
    let board = Switchboard::new(SwitchboardSpec {
        parts: Arc::clone(&parts),
        queue: setup::queue(&config),
        reception: Reception::new(routes, setup::decision_desk(&config, &parts), verifier),
        lines: setup::lines(&config),
        sip_stats: signalling.stats,
        drain_timeout: config.limits.drain_timeout,
        renewals,
    });
    let (gateway, commands) = Gateway::new(QUEUE_MAX);
    let drained = CancellationToken::new();
    let board = tokio::spawn(board.run(commands, signalling.events, drained.clone()));

    let api_stop = CancellationToken::new();
    let shared = Arc::clone(&parts);
    let reload = Reload::new(origin, config.clone(), signalling.tls, shared, renew);
    let hangups = tokio::spawn(reload.clone().at_hangup());
    let operators = (metrics, reload);
    let api = start_api(&config, &gateway, &parts, operators, &api_stop).await?;
    let health = tokio::spawn(health::watch(
        Arc::clone(&parts),
        gateway.clone(),
        signalling.probe,
        config.limits.overload_lateness.get(),
        signalling.sockets,
    ));
    tell_ready(&config, &signalling.addresses, &api, begun);

    wait_for_end(&gateway, &drained, config.limits.drain_timeout).await;
    crate::observe::notify::stopping();
    let calls_cut = board.await.context("the switchboard failed")? as u64;
    signalling.task.end().await?;
    health.abort();
    hangups.abort();
    parts.media.shutdown().await;
    stop_api(api, &api_stop).await;
    close_store(&store).await?;
    event::GatewayStopped { calls_cut }.report();
    Ok(())
}

async fn stop_api(api: ApiListeners, stop: &CancellationToken) {
    stop.cancel();
    for listener in api.tasks {
        let _ = listener.await;
    }
}

/// Writes what waits, and says so: rows that are lost here are lost for good.
async fn close_store(store: &Store) -> anyhow::Result<()> {
    let rows = store.stats().pending;
    if rows > 0 {
        crate::observe::notify::extend(STORE_MAX + Duration::from_secs(1));
        event::StoreClosing { rows }.report();
    }
    match tokio::time::timeout(STORE_MAX, store.close()).await {
        Ok(closed) => closed.context("closing the store"),
        Err(_) => anyhow::bail!(
            "the store did not take the last call records within {} s; {} are lost",
            STORE_MAX.as_secs(),
            store.stats().pending
        ),
    }
}

/// Enters the minutes that the day has seen before this start: a restart opens no second budget.
async fn enter_used(store: &Store, toll: &mut TollGuard) -> anyhow::Result<()> {
    let now = call_driver::now().unix_ms;
    for (trunk, key, used) in store.answered_since(TollGuard::midnight(now)).await? {
        let payers = [trunk.map(Payer::Trunk), key.map(Payer::Key)];
        for payer in payers.into_iter().flatten() {
            toll.enter(now, &payer, used);
        }
    }
    Ok(())
}

/// Starts voices and transcribers, and reports on what the voices do.
fn start_speech(config: &Config) -> AgentDesk {
    let tts = Tts::start(setup::tts(config));
    tts.observe(|sentence| {
        let engine = sentence.engine.as_str();
        if let Some(wait) = sentence.first_audio {
            event::SpeechStarted { engine, seconds: wait.as_secs_f64() }.report();
        }
        if let SentenceOutcome::Failed(detail) = &sentence.outcome {
            event::EngineFailed { engine, detail }.report();
        }
    });
    AgentDesk::new(config, tts, Stt::new(setup::stt(config)))
}

/// Waits for a signal or a drain by the API; a second signal does not wait for calls.
async fn wait_for_end(gateway: &Gateway, drained: &CancellationToken, timeout: Duration) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return drained.cancelled().await;
    };
    loop {
        tokio::select! {
            () = drained.cancelled() => return,
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        crate::observe::notify::extend(timeout + STOP_MAX);
        let status = gateway.ask(Command::Status).await.unwrap_or_default();
        let calls = status.calls.values().sum();
        event::GatewayDraining { calls, timeout_seconds: timeout.as_secs_f64() }.report();
        gateway.drain();
    }
}

async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let dir = &config.node.data_dir;
    std::fs::create_dir_all(&**dir)
        .with_context(|| format!("creating {} (node.data_dir)", dir.display()))?;
    let path = dir.join("bellwire.db");
    let store = Store::open(&path).with_context(|| format!("opening {}", path.display()))?;
    let now = call_driver::now().unix_ms;
    let mended = recordings::mended(&recordings::dir(config));
    let closed = store.close_open_rows(now, mended).await;
    let left_open = closed.context("closing records left open")?;
    if left_open > 0 {
        tracing::warn!(left_open, "closed the records of calls that a crash left open");
    }
    declare_instances(&store, config).await?;
    Ok(store)
}

/// Writes the lines of tenants down that the configuration has.
async fn declare_instances(store: &Store, config: &Config) -> anyhow::Result<()> {
    let now = call_driver::now().unix_ms;
    let declared = config.instance.iter().map(|instance| {
        let settings = InstanceSettings {
            trunk: Some(instance.trunk.to_string()),
            caller_id: None,
            max_active_calls: setup::active_max(config, instance),
            queue_limit: config.limits.max_queued,
            dedupe: match instance.dedupe {
                crate::config::Dedupe::Off => Dedupe::Off,
                crate::config::Dedupe::Instance => Dedupe::Instance,
                crate::config::Dedupe::Target => Dedupe::Target,
            },
            defaults: hearing::defaults(instance),
            // Of the file's lines the daemon itself knows it; secrets stay out of the store.
            stream: None,
        };
        let name = instance.name.clone().unwrap_or_else(|| instance.id.to_string());
        let metadata = instance.metadata.0.clone();
        DeclaredInstance { id: instance.id.clone(), name, settings, metadata }
    });
    store.declare_instances(declared.collect(), now).await.context("declaring instances")
}

struct ApiListeners {
    api: std::net::SocketAddr,
    admin: std::net::SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

async fn start_api(
    config: &Config,
    gateway: &Gateway,
    parts: &Arc<Parts>,
    (metrics, reload): (metrics::Handle, Reload),
    stop: &CancellationToken,
) -> anyhow::Result<ApiListeners> {
    let state = ApiState::new(ApiParts {
        gateway: gateway.clone(),
        store: parts.store.clone(),
        keys: config.api.key.iter().map(health::config_key).collect(),
        voices: parts.tts.voices().iter().map(api_voice).collect(),
        decode_audio: decoder(config),
        trunks: trunk_lookup(config, Arc::clone(&parts.trunks_down)),
        voice_engines: config.engine.tts.iter().map(|engine| engine.name.to_string()).collect(),
        voice_sample: voice_sample(&parts.tts),
        check_agent: check_agent(Arc::clone(parts)),
        check_speech: check_speech(parts.tts.clone()),
        compat: setup::compat(config),
        recordings: recordings::dir(config),
        strict: config.api.strict_requests,
        console: config.console.enabled,
        limits: ApiLimits {
            body_max: config.limits.max_body.as_usize(),
            create: setup::create_defaults(config),
            ..ApiLimits::default()
        },
    })
    .await?;
    let open = state.is_open();
    reload.attach(state.clone());
    let bind = async |address, key| {
        let listener = TcpListener::bind(address).await;
        listener.with_context(|| format!("listening on {address} ({key})"))
    };
    let api = bind(config.api.listen, "api.listen").await?;
    let admin = bind(config.api.admin_listen, "api.admin_listen").await?;
    let addresses = (api.local_addr()?, admin.local_addr()?);
    if open {
        event::ApiWithoutKeys { api: addresses.0 }.report();
    }
    let render = Arc::new(move || metrics.render());
    let operators = admin_router(AdminParts {
        api: state.clone(),
        metrics: render,
        reload: Arc::new(move || reload.run()),
    });
    let limits = ServeLimits::default();
    let tasks = vec![
        tokio::spawn(serve(api, router(state), limits, stop.clone().cancelled_owned())),
        tokio::spawn(serve(admin, operators, limits, stop.clone().cancelled_owned())),
    ];
    Ok(ApiListeners { api: addresses.0, admin: addresses.1, tasks })
}

/// Starts the media threads, and says on what they stand and what was refused to them.
fn start_media(config: &Config, seed: u64) -> anyhow::Result<MediaPool> {
    let media = MediaPool::start(setup::media(config, seed))
        .context("starting the media threads ([rtp] in the configuration)")?;
    let all: Vec<&Footing> = media.footings().collect();
    let count = |good: fn(&Footing) -> bool| all.iter().filter(|got| good(got)).count() as u64;
    event::MediaStarted {
        threads: all.len() as u64,
        backend: all.first().map_or("none", |got| got.backend.as_str()),
        pinned: count(|got| got.core.is_some()),
        realtime: count(|got| got.realtime),
    }
    .report();
    // Each once, however many threads it was refused to.
    let refused: BTreeSet<&String> = all.iter().flat_map(|got| &got.refused).collect();
    for detail in refused {
        event::MediaWishRefused { detail }.report();
    }
    drop(all);
    Ok(media)
}

fn tell_ready(
    config: &Config,
    sip: &[(crate::sip::interface::Transport, std::net::SocketAddr)],
    api: &ApiListeners,
    begun: Instant,
) {
    let sip: Vec<String> = sip
        .iter()
        .map(|(transport, address)| format!("{transport:?}:{address}").to_lowercase())
        .collect();
    event::build_info(&config.node.name);
    event::GatewayReady {
        api: api.api,
        admin: api.admin,
        sip: &sip.join(" "),
        after_seconds: begun.elapsed().as_secs_f64(),
    }
    .report();
    crate::observe::notify::ready();
}

fn api_voice(voice: &crate::speech::tts::voices::Voice) -> Voice {
    Voice {
        id: voice.id.clone(),
        name: voice.name.clone(),
        language: voice.language.clone(),
        engine: voice.engine.clone(),
        gender: voice.gender.clone(),
        sample_url: Some(format!("/v1/voices/{}/sample", voice.id)),
        native_rate: Some(voice.native_rate),
    }
}

/// Says whether an agent's call can be conducted.
fn check_agent(parts: Arc<Parts>) -> crate::api::rest::CheckAgent {
    Arc::new(move |request, transcribe| parts.terms().agents.check(request, transcribe))
}

/// Says whether a text can be spoken.
fn check_speech(tts: Tts) -> crate::api::rest::CheckSpeech {
    Arc::new(move |spoken| {
        tts.check(&parts::speak_request(spoken)).map_err(|error| {
            let detail = error.to_string();
            let (code, pointer, kind) = match error {
                TtsError::UnknownVoice { .. } | TtsError::NoEngine { .. } => {
                    (Code::UnknownVoice, "/tts/voiceId", "unknown")
                }
                TtsError::Ssml(_) => (Code::InvalidRequest, "/tts/text", "ssml"),
                TtsError::TooLong => (Code::InvalidRequest, "/tts/text", "length"),
                TtsError::NothingToSay => (Code::InvalidRequest, "/tts/text", "empty"),
                TtsError::Busy | TtsError::NoRuntime => return Problem::capacity_exceeded(detail),
            };
            Problem::new(code, detail).with_pointer(pointer, kind)
        })
    })
}

/// Speaks a sentence in a voice and writes it as WAV.
fn voice_sample(tts: &Tts) -> crate::api::rest::VoiceSample {
    let tts = tts.clone();
    Arc::new(move |voice| {
        let speech = tts.sample(&voice);
        Box::pin(async move {
            let mut speech = match speech {
                Ok(speech) => speech,
                Err(TtsError::UnknownVoice { .. }) => return Ok(None),
                Err(error) => return Err(Problem::capacity_exceeded(error.to_string())),
            };
            let mut samples = Vec::new();
            while let Some(piece) = speech.next().await {
                let piece = piece.map_err(Problem::capacity_exceeded)?;
                samples.extend_from_slice(&piece.samples);
            }
            let wav = crate::audio::wav::encode(&samples, SampleRate::HZ_8000);
            Ok(Some(wav.map_err(|error| Problem::internal(error.to_string()))?.into()))
        })
    })
}

/// Decodes uploaded audio; calls that play the same file share its samples while any of them lives.
fn decoder(config: &Config) -> crate::api::rest::DecodeAudio {
    let limits = setup::prompt_limits(config);
    let level = setup::prompt_level(config);
    let playing: Mutex<HashMap<[u8; 32], Weak<[i16]>>> = Mutex::default();
    Arc::new(move |bytes| {
        let key = sha256(&bytes);
        let lock = || playing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(samples) = lock().get(&key).and_then(Weak::upgrade) {
            return Ok(samples);
        }
        let samples =
            prepare_prompt(&bytes, &limits, level).map_err(|error| audio_problem(&error))?;
        let mut playing = lock();
        playing.retain(|_, samples| samples.strong_count() > 0);
        playing.insert(key, Arc::downgrade(&samples));
        Ok(samples)
    })
}

fn audio_problem(error: &DecodeError) -> AudioProblem {
    let text = error.to_string();
    match error {
        DecodeError::TooLong { .. } => AudioProblem::TooLarge(text),
        DecodeError::Empty
        | DecodeError::UnknownFormat { .. }
        | DecodeError::Unsupported { .. }
        | DecodeError::Corrupt { .. }
        | DecodeError::NoAudio => AudioProblem::Undecodable(text),
    }
}

/// Tells the API whether a trunk is there and answers; without a name, the first one.
fn trunk_lookup(config: &Config, down: TrunksDown) -> crate::api::rest::TrunkLookup {
    let names: Vec<String> = config.trunk.iter().map(|trunk| trunk.name.to_string()).collect();
    Arc::new(move |name| {
        let name = name.or_else(|| names.first().map(String::as_str));
        let known = name.filter(|name| names.iter().any(|known| known == name));
        let down = down.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            None => TrunkState::Unknown,
            Some(name) if down.contains(name) => TrunkState::Down,
            Some(_) => TrunkState::Up,
        }
    })
}

/// Open file descriptors of this process; 0 where the system does not tell.
fn open_descriptors() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::record::{CallRecord, CallType, Direction};

    fn put(store: &Store, tail: &str) {
        let id = crate::id::CallId::from_tail(tail).unwrap();
        let instance = "inst_a".parse().unwrap();
        let (kind, number) = (CallType::DynamicStream, "+14155550123".into());
        let record = CallRecord::new(id, instance, kind, number, Direction::Outbound, 1);
        store.put_call(record).unwrap();
    }

    /// The clock is not the machine's: it goes on when all wait, so that no test waits 10 s.
    #[tokio::test(start_paused = true)]
    async fn rows_that_the_disk_does_not_take_are_counted_and_do_not_hold_the_end_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bellwire.db");
        let store = Store::open(&path).unwrap();
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        put(&store, "a");
        put(&store, "b");
        let error = close_store(&store).await.unwrap_err().to_string();
        assert!(error.contains("within 10 s; 2 are lost"), "{error}");
    }

    #[tokio::test]
    async fn a_backlog_is_on_disk_when_the_store_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bellwire.db");
        let store = Store::open(&path).unwrap();
        for n in 0..500 {
            put(&store, &format!("{n:03}"));
        }
        close_store(&store).await.unwrap();
        assert_eq!(store.stats().pending, 0);
        let again = rusqlite::Connection::open(&path).unwrap();
        let rows = again.query_row("SELECT count(*) FROM calls", [], |row| row.get::<_, i64>(0));
        assert_eq!(rows.unwrap(), 500);
    }
}
