//! The API with a made-up daemon behind it, and a client that reads answers.

use bellwire::api::auth::{ConfigKey, hash_secret};
use bellwire::api::error::{Code, Problem};
use bellwire::api::gateway::{
    CallStats, Command, Content, Created, Gateway, GatewayStatus, NewCall, RegistrationStatus,
    Status, TrunkStatus,
};
use bellwire::api::rest::{
    AdminParts, ApiLimits, ApiParts, ApiState, CompatSpec, PeerAddr, TrunkState, admin_router,
    router,
};
use bellwire::api::types::{AudioProblem, Voice};
use bellwire::app::agent::request::AgentRequest;
use bellwire::app::stream::SeatError;
use bellwire::app::stream::wire::Stages;
use bellwire::call::control::Wish;
use bellwire::call::record::{
    CallRecord, CallStatus, Direction, EndReason, StreamState, TransferPhase, TransferView,
};
use bellwire::call::recording::{RecordChannels, RecordWish, RecordingState, RecordingView};
use bellwire::id::{CallId, RecordingId};
use bellwire::media::ledger::StageSpread;
use bellwire::store::{DeclaredInstance, Dedupe, InstanceSettings, Store};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc};

/// Secrets of the keys that the rig configures.
pub const ADMIN: &str = "admin-secret";
pub const ALPHA: &str = "alpha-secret";
pub const SIP: &str = "sip-secret";
pub const READER: &str = "reader-secret";
pub const HEARER: &str = "hearer-secret";

/// What the daemon's end of the gateway has seen and is to do.
#[derive(Default)]
pub struct Daemon {
    pub active: BTreeMap<CallId, CallRecord>,
    /// Create commands that arrived, answered or not.
    pub asked: usize,
    pub created: Vec<NewCall>,
    /// Wishes that were granted.
    pub wished: Vec<Wish>,
    pub ready: bool,
    pub draining: bool,
    /// Answers for numbers: what the daemon says to a call there.
    pub refusals: BTreeMap<String, Problem>,
}

pub struct Rig {
    pub state: ApiState,
    pub store: Store,
    pub daemon: Arc<Mutex<Daemon>>,
    /// Create commands are answered when there is a permit; plenty unless a test takes them.
    pub gate: Arc<Semaphore>,
    pub api: axum::Router,
    pub admin: axum::Router,
    pub dir: TempDir,
}

/// How a rig differs from the usual one.
pub struct Setup {
    pub keys: bool,
    pub strict: bool,
    pub limits: ApiLimits,
    pub compat: CompatSpec,
    /// A daemon that never answers, with a queue this long.
    pub deaf: Option<usize>,
}

impl Default for Setup {
    fn default() -> Self {
        let (limits, compat) = (ApiLimits::default(), CompatSpec::default());
        Self { keys: true, strict: true, limits, compat, deaf: None }
    }
}

impl Rig {
    pub async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("bellwire.db")).unwrap();
        declare_lines(&store).await;
        let daemon = Arc::new(Mutex::new(Daemon { ready: true, ..Daemon::default() }));
        let gate = Arc::new(Semaphore::new(1000));
        let (gateway, served) = Gateway::new(setup.deaf.unwrap_or(256));
        if setup.deaf.is_none() {
            tokio::spawn(serve(served, Arc::clone(&daemon), store.clone(), Arc::clone(&gate)));
        } else {
            std::mem::forget(served);
        }
        let parts = ApiParts {
            gateway,
            store: store.clone(),
            keys: if setup.keys { keys() } else { Vec::new() },
            voices: vec![Voice::plain("en-US-001", "en-US"), Voice::plain("de-DE-001", "de-DE")],
            decode_audio: Arc::new(decode),
            trunks: Arc::new(|name| match name {
                Some("carrier") => TrunkState::Up,
                Some("broken") => TrunkState::Down,
                Some(_) | None => TrunkState::Unknown,
            }),
            voice_engines: vec!["cloud".to_owned()],
            voice_sample: Arc::new(|voice| {
                Box::pin(
                    async move { Ok((voice == "en-US-001").then(|| Bytes::from_static(b"RIFF"))) },
                )
            }),
            check_agent: Arc::new(|agent, _| {
                if agent.is_none_or(AgentRequest::is_script) {
                    return Ok(());
                }
                let detail = "configure [[engine.llm]]";
                Err(Problem::new(Code::AgentEngineUnavailable, detail))
            }),
            check_speech: Arc::new(|spoken| {
                if spoken.ssml && !spoken.text.starts_with('<') {
                    let problem = Problem::new(Code::InvalidRequest, "SSML: no element");
                    return Err(problem.with_pointer("/tts/text", "ssml"));
                }
                Ok(())
            }),
            compat: setup.compat,
            recordings: dir.path().join("recordings"),
            strict: setup.strict,
            console: true,
            limits: setup.limits,
        };
        let state = ApiState::new(parts).await.unwrap();
        let metrics = Arc::new(|| "calls_active 0\n".to_owned());
        let admin = admin_router(AdminParts {
            api: state.clone(),
            metrics,
            reload: Arc::new(|| Ok(serde_json::json!({ "applied": [] }))),
        });
        Self { api: router(state.clone()), admin, state, store, daemon, gate, dir }
    }

    /// A request with the administrator's key.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.request(method, path).key(ADMIN).json(body).send().await
    }

    pub fn request(&self, method: &str, path: &str) -> Asked {
        let builder = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path)
            .extension(PeerAddr(SocketAddr::from(([127, 0, 0, 1], 40_000))));
        Asked { router: self.api.clone(), builder, body: Bytes::new() }
    }

    /// A request to the operators' listener, from this machine.
    pub fn operate(&self, method: &str, path: &str) -> Asked {
        Asked { router: self.admin.clone(), ..self.request(method, path) }
    }

    /// Has the daemon see a call answered.
    pub fn pick_up(&self, id: &str) {
        let id: CallId = id.parse().unwrap();
        self.daemon.lock().unwrap().active.get_mut(&id).unwrap().status = CallStatus::InProgress;
    }

    /// Has the daemon end a call the way that a callee's hang-up would.
    pub fn end(&self, id: &str) {
        let id: CallId = id.parse().unwrap();
        let mut record = self.daemon.lock().unwrap().active.remove(&id).unwrap();
        record.status = CallStatus::Completed;
        record.ended_at = Some(record.created_at + 1000);
        record.end_reason = Some(EndReason::CalleeHangup);
        self.store.put_call(record).unwrap();
    }

    /// Places a call that the daemon takes, and gives its id.
    pub async fn call(&self, instance: &str) -> String {
        let body = serde_json::json!({
            "instanceId": instance,
            "type": "DYNAMIC_STREAM",
            "target": {"phoneNumber": "+14155550123"},
        });
        let reply = self.ask("POST", "/v1/calls", Some(&body)).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.body["id"].as_str().unwrap().to_owned()
    }
}

pub struct Asked {
    router: axum::Router,
    builder: http::request::Builder,
    body: Bytes,
}

impl Asked {
    pub fn key(self, secret: &str) -> Self {
        self.header("authorization", &format!("Bearer {secret}"))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    pub fn peer(mut self, address: &str) -> Self {
        self.builder = self.builder.extension(PeerAddr(address.parse().unwrap()));
        self
    }

    pub fn json(self, body: Option<&Value>) -> Self {
        match body {
            Some(body) => self.bytes("application/json", body.to_string().into_bytes()),
            None => self,
        }
    }

    pub fn bytes(mut self, kind: &str, body: Vec<u8>) -> Self {
        self.body = body.into();
        self.header("content-type", kind)
    }

    pub async fn send(self) -> Reply {
        let request = self.builder.body(Full::new(self.body)).unwrap();
        let response = TowerToHyperService::new(self.router).call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Reply { status: parts.status, headers: parts.headers, body, bytes }
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Null when it is not JSON.
    pub body: Value,
    pub bytes: Bytes,
}

impl Reply {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// `pointer rule` of each wrong place.
    pub fn places(&self) -> Vec<String> {
        let errors = self.body["errors"].as_array().map_or(&[][..], Vec::as_slice);
        let place = |error: &Value| {
            format!("{} {}", error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap())
        };
        errors.iter().map(place).collect()
    }
}

/// The base64 of something that the rig's decoder takes for an MP3.
pub const MP3_BASE64: &str = "SUQzBAAAAAAA";

#[expect(clippy::needless_pass_by_value, reason = "the signature of the port")]
fn decode(bytes: Bytes) -> Result<Arc<[i16]>, AudioProblem> {
    if bytes.starts_with(b"LONG") {
        return Err(AudioProblem::TooLarge("the audio lasts longer than 10 minutes".into()));
    }
    assert!(!bytes.starts_with(b"PANIC"), "a decoder's bug");
    if !bytes.starts_with(b"ID3") {
        return Err(AudioProblem::Undecodable("neither MP3 nor WAV".into()));
    }
    Ok(Arc::from([0_i16; 160]))
}

fn keys() -> Vec<ConfigKey> {
    let key = |name: &str, secret: &str, scopes: &[&str], instances: &[&str]| ConfigKey {
        name: name.to_owned(),
        secret_sha256: hash_secret(secret),
        scopes: scopes.iter().map(ToString::to_string).collect(),
        instances: instances.iter().map(ToString::to_string).collect(),
    };
    vec![
        key("admin", ADMIN, &["admin"], &["*"]),
        key("sip", SIP, &["calls:read", "calls:write", "calls:sip"], &["*"]),
        key("alpha", ALPHA, &["calls:read", "calls:write", "stream"], &["inst_a"]),
        key("reader", READER, &["calls:read"], &["*"]),
        key("hearer", HEARER, &["recordings:read"], &["*"]),
    ]
}

async fn declare_lines(store: &Store) {
    let line = |id: &str, dedupe| {
        let settings = InstanceSettings {
            trunk: Some("carrier".into()),
            max_active_calls: 100,
            dedupe,
            ..InstanceSettings::default()
        };
        DeclaredInstance {
            id: id.parse().unwrap(),
            name: id.to_owned(),
            settings,
            metadata: serde_json::Map::new(),
        }
    };
    let lines = ["inst_a", "inst_b", "inst_abc123"].map(|id| line(id, Dedupe::Off)).into();
    store.declare_instances(lines, 1_700_000_000_000).await.unwrap();
}

async fn serve(
    mut commands: mpsc::Receiver<Command>,
    daemon: Arc<Mutex<Daemon>>,
    store: Store,
    gate: Arc<Semaphore>,
) {
    while let Some(command) = commands.recv().await {
        if let Command::Create(call, reply) = command {
            daemon.lock().unwrap().asked += 1;
            gate.acquire().await.unwrap().forget();
            let _ = reply.send(daemon.lock().unwrap().create(*call, &store));
            continue;
        }
        daemon.lock().unwrap().answer(command);
    }
}

impl Daemon {
    fn create(&mut self, call: NewCall, store: &Store) -> Result<Created, Problem> {
        if let Some(problem) = self.refusals.get(&call.target) {
            return Err(problem.clone());
        }
        let same = |active: &&CallRecord| match call.settings.dedupe {
            Dedupe::Instance => active.instance_id == call.instance,
            Dedupe::Target => {
                active.instance_id == call.instance && active.target_phone == call.target
            }
            Dedupe::Off => false,
        };
        if let Some(active) = self.active.values().find(same) {
            return Ok(Created::Existing(active.clone()));
        }
        let record = record(&call, self.created.len());
        store.put_call(record.clone()).unwrap();
        self.active.insert(record.id.clone(), record.clone());
        self.created.push(call);
        Ok(Created::New(record))
    }

    fn answer(&mut self, command: Command) {
        match command {
            Command::Create(..) => unreachable!("answered by the loop"),
            Command::Live(id, reply) => {
                let _ = reply.send(self.active.get(&id).cloned());
            }
            Command::Stats(id, reply) => {
                let stats = |call: &CallRecord| CallStats {
                    quality: call.quality.clone(),
                    hole_wait_ms: Some(20),
                    stages: Some(Stages::of(|_| StageSpread::default())),
                };
                let _ = reply.send(self.active.get(&id).map(stats));
            }
            Command::LiveOf(instance, reply) => {
                let of = |call: &&CallRecord| {
                    instance.as_ref().is_none_or(|instance| call.instance_id == *instance)
                };
                let _ = reply.send(self.active.values().filter(of).cloned().collect());
            }
            Command::Terminate(id, reply) => {
                let _ = reply.send(self.active.remove(&id).is_some());
            }
            Command::Attach(_, options, reply) => {
                let goes_on = options.place.resume().is_some();
                let refused = if goes_on { SeatError::ResumeOver } else { SeatError::Taken };
                let _ = reply.send(Err(refused.into()));
            }
            Command::SetMetadata(id, metadata, reply) => {
                let changed = self.active.get_mut(&id).map(|call| {
                    call.metadata = metadata;
                    call.clone()
                });
                let _ = reply.send(changed);
            }
            Command::Control(id, wish, reply) => {
                let _ = reply.send(self.control(&id, *wish));
            }
            Command::Trunks(reply) => {
                let _ = reply.send(vec![trunk()]);
            }
            Command::Status(reply) => {
                let reasons =
                    if self.ready { vec![] } else { vec!["trunk carrier is down".into()] };
                let _ = reply.send(Status { ready: self.ready, reasons, ..Status::default() });
            }
            Command::Drain => self.draining = true,
        }
    }
}

impl Daemon {
    /// Grants what its own state permits: a transfer takes an answered call.
    fn control(&mut self, id: &CallId, wish: Wish) -> Result<CallRecord, Problem> {
        let call = self.active.get_mut(id).expect("the API asks for active calls only");
        let answered = call.status == CallStatus::InProgress;
        let refused = |detail| Err(Problem::new(Code::Conflict, detail));
        match &wish {
            Wish::Answer | Wish::Ring | Wish::EarlyMedia(_) | Wish::Reject { .. } if answered => {
                return refused("it is answered");
            }
            Wish::Hold | Wish::Mute(..) | Wish::Transfer(_) | Wish::Bridge(_) if !answered => {
                return refused("it is not answered");
            }
            Wish::Transfer(wish) if wish.to.starts_with("+1900") => {
                return Err(Problem::new(
                    Code::DestinationNotAllowed,
                    "not among the destinations",
                ));
            }
            Wish::Record(_) if !answered => return refused("it is not answered"),
            Wish::Record(wish) => call.note_recording(recorded(id, wish)),
            Wish::Hold => call.hold.local = true,
            Wish::Mute(on, _) => call.mute.playout = *on,
            Wish::Answer => call.status = CallStatus::InProgress,
            Wish::Transfer(wish) => {
                call.transfer = Some(TransferView {
                    to: wish.to.clone(),
                    mode: wish.mode,
                    state: TransferPhase::Requested,
                    code: None,
                });
            }
            Wish::Bridge(wish) => {
                (call.bridged, call.bridged_with) = (true, Some(wish.with.clone()));
            }
            _ => {}
        }
        self.wished.push(wish);
        Ok(call.clone())
    }
}

fn trunk() -> TrunkStatus {
    TrunkStatus {
        name: "carrier".into(),
        state: "up",
        registration: Some(RegistrationStatus {
            state: "registered",
            expires_at: Some(1_767_323_045_000),
            retry_at: None,
            detail: None,
        }),
        gateways: vec![GatewayStatus {
            address: "192.0.2.1:5060".into(),
            state: "quarantined",
            until: None,
        }],
        active_calls: 2,
        codecs: vec!["PCMU".into()],
    }
}

/// A recording as its stream would tell it.
fn recorded(call: &CallId, wish: &RecordWish) -> RecordingView {
    let (state, channels) = match wish {
        RecordWish::Start(start) => (RecordingState::Recording, start.channels),
        RecordWish::Pause(_) => (RecordingState::Paused, RecordChannels::Stereo),
        RecordWish::Resume(_) => (RecordingState::Recording, RecordChannels::Stereo),
        RecordWish::Stop(_) => (RecordingState::Ready, RecordChannels::Stereo),
    };
    RecordingView {
        id: RecordingId::of_call(call, 1).unwrap(),
        state,
        channels,
        rate: 8000,
        started_at: 1_767_323_046_000,
        duration_ms: 0,
        octets: 0,
        reason: None,
    }
}

fn record(call: &NewCall, nth: usize) -> CallRecord {
    let stream = matches!(call.content, Content::Stream { .. });
    CallRecord {
        from: call.from.clone(),
        trunk: call.settings.trunk.clone(),
        queue_position: Some(1),
        stream: stream.then(StreamState::default),
        metadata: call.metadata.clone(),
        ..CallRecord::new(
            call.id.clone(),
            call.instance.clone(),
            call.content.call_type(),
            call.target.clone(),
            Direction::Outbound,
            1_767_323_045_000 + i64::try_from(nth).unwrap() * 1000,
        )
    }
}
