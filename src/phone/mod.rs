//! `bellwire phone`: a small SIP phone on the gateway's own cores.
//!
//! ```text
//!  SIP task ── events ──> phone ──> one task per call ── rings ──> media worker
//!                                        └─> WAV of what is heard
//! ```
//!
//! The far end of the demo, of a user's first try and of tests: it answers, rings, refuses, plays,
//! echoes, records, sends digits, hangs up and dials. Not a product feature: no registration, no
//! sound card.

mod call;
pub mod deeds;

use crate::audio::codec::CodecId;
use crate::id::SessionId;
use crate::media::worker::{MediaPool, MediaSpec, StartRule, ThreadWish};
use crate::net::sip::{SipEvent, SipQueues, SipSockets, SocketSpec};
use crate::sip::endpoint::{Endpoint, EndpointStats};
use crate::sip::interface::{Command, EndpointSpec, Event, Invite, Transport, TrunkSpec};
use call::PhoneCall;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How many calls the phone takes at once.
const CALLS_MAX: usize = 2000;

/// How a phone behaves; the same for all its calls.
#[derive(Debug, Clone)]
pub struct PhoneSpec {
    /// SIP sockets.
    pub listen: Vec<(Transport, SocketAddr)>,
    /// RTP ports; their address is that of the first SIP socket.
    pub rtp_ports: RangeInclusive<u16>,
    /// Codecs in order of preference.
    pub codecs: Vec<CodecId>,
    /// Ring for this long before answering.
    pub ring: Duration,
    /// Play this (8 kHz mono) as early media while ringing.
    pub early_media: Option<Arc<[i16]>>,
    /// Refuse with this status instead of answering.
    pub reject: Option<u16>,
    /// Write what is heard to this WAV file; from the second call on a number is put in its name.
    pub record: Option<PathBuf>,
    /// Play this (8 kHz mono) once after the answer.
    pub play: Option<Arc<[i16]>>,
    /// Send back what is heard.
    pub echo: bool,
    /// Send these digits a second after the answer.
    pub dtmf: Option<String>,
    /// What is done in the course of the call, one after the other.
    pub deeds: Vec<deeds::Deed>,
    /// Hang up this long after the answer.
    pub hangup_after: Option<Duration>,
    /// End after this many calls.
    pub count: Option<u64>,
    /// Dial this URI at once, instead of waiting for calls.
    pub call: Option<String>,
}

impl Default for PhoneSpec {
    /// Answers at once on a free loopback port and listens.
    fn default() -> Self {
        Self {
            listen: vec![(Transport::Udp, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))],
            rtp_ports: 30_000..=39_999,
            codecs: vec![CodecId::Pcmu, CodecId::Pcma],
            ring: Duration::ZERO,
            early_media: None,
            reject: None,
            record: None,
            play: None,
            echo: false,
            dtmf: None,
            deeds: Vec::new(),
            hangup_after: None,
            count: None,
            call: None,
        }
    }
}

/// What the phone tells its user.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum PhoneEvent {
    /// The sockets are open.
    Listening {
        /// The first SIP address.
        address: String,
    },
    /// A call is there.
    Calling {
        /// Number of the call, from 1.
        call: u64,
        /// From, or the URI that is dialled.
        peer: String,
    },
    /// Ringing or early media.
    Ringing {
        /// Number of the call.
        call: u64,
    },
    /// Both sides talk.
    Answered {
        /// Number of the call.
        call: u64,
        /// Codec name.
        codec: &'static str,
    },
    /// A digit was heard (RFC 4733).
    Digit {
        /// Number of the call.
        call: u64,
        /// The digit.
        digit: char,
    },
    /// The call is over.
    Ended {
        /// Number of the call.
        call: u64,
        /// How.
        cause: String,
        /// The last SIP status, if it was a refusal.
        code: Option<u16>,
        /// Milliseconds of audio that were heard.
        heard_ms: u64,
        /// The recording.
        recording: Option<String>,
        /// Media counters.
        media: Box<crate::media::interface::LegReport>,
    },
}

/// Why the phone does not work.
#[derive(Debug, thiserror::Error)]
pub enum PhoneError {
    /// SIP sockets.
    #[error(transparent)]
    Sip(#[from] crate::net::sip::SipError),
    /// RTP sockets and threads.
    #[error(transparent)]
    Media(#[from] crate::media::worker::MediaError),
    /// The system's random source.
    #[error("no random numbers: {0}")]
    Entropy(std::io::Error),
    /// No address to listen on was given.
    #[error("the phone needs an address to listen on")]
    NoAddress,
}

/// Runs the phone until `stop`, or until it had `count` calls.
///
/// Events go to `tell`, which must be quick. Calls that are up when it stops are hung up.
///
/// # Errors
/// [`PhoneError`] when sockets or threads cannot be had.
pub async fn run(
    spec: PhoneSpec,
    stop: CancellationToken,
    tell: impl Fn(PhoneEvent) + Send + Sync + 'static,
) -> Result<(), PhoneError> {
    let sockets = SipSockets::bind(&SocketSpec::new(spec.listen.clone())).await?;
    let address = sockets.addresses().first().ok_or(PhoneError::NoAddress)?.1;
    let media = MediaPool::start(media_spec(&spec, address.ip()))?;
    let seed = crate::net::entropy().map_err(PhoneError::Entropy)?;
    let endpoint = Endpoint::new(Instant::now(), endpoint_spec(&sockets, seed));
    let (commands, commanded) = mpsc::channel(1024);
    let (events, told) = mpsc::channel(4096);
    let (stats, _) = watch::channel(EndpointStats::default());
    let (_probe, probes) = mpsc::channel(1);
    let sip_stop = CancellationToken::new();
    let queues = SipQueues { commands: commanded, events, probes, stats };
    let sip = tokio::spawn(crate::net::sip::run(endpoint, sockets, queues, sip_stop.clone()));
    tell(PhoneEvent::Listening { address: address.to_string() });
    let phone = Phone {
        spec: Arc::new(spec),
        media: Arc::new(media),
        commands,
        seed: u64::from_le_bytes(seed[..8].try_into().unwrap_or_default()),
        calls: HashMap::new(),
        tasks: JoinSet::new(),
        begun: 0,
        ended: 0,
        tell: Arc::new(tell),
    };
    phone.run(told, address, stop).await;
    sip_stop.cancel();
    let _ = sip.await;
    Ok(())
}

fn media_spec(spec: &PhoneSpec, address: IpAddr) -> MediaSpec {
    let ms = Duration::from_millis;
    MediaSpec {
        address,
        ports: spec.rtp_ports.clone(),
        quarantine: ms(500),
        workers: 1,
        dscp: 0,
        jitter: crate::media::interface::JitterSpec {
            hole_wait: ms(40),
            hole_wait_min: ms(20),
            hole_wait_max: ms(80),
        },
        start: StartRule::default(),
        legs_max: CALLS_MAX,
        playout: Duration::from_secs(2),
        capture: Duration::from_secs(2),
        seed: 1,
        threads: ThreadWish::default(),
    }
}

fn endpoint_spec(sockets: &SipSockets, seed: [u8; 32]) -> EndpointSpec {
    let anybody = TrunkSpec {
        sources: vec![
            (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
        ],
        ..TrunkSpec::new("anybody", Vec::new())
    };
    EndpointSpec {
        trunks: vec![anybody],
        user_agent: concat!("bellwire-phone/", env!("CARGO_PKG_VERSION")).to_owned(),
        sessions_max: CALLS_MAX,
        setup_rate: 10_000,
        ..EndpointSpec::new(sockets.addresses().to_vec(), seed)
    }
}

/// What a call's task may tell the phone's user.
type Tell = Arc<dyn Fn(PhoneEvent) + Send + Sync>;

struct Phone {
    spec: Arc<PhoneSpec>,
    media: Arc<MediaPool>,
    commands: mpsc::Sender<Command>,
    seed: u64,
    calls: HashMap<SessionId, mpsc::Sender<Event>>,
    tasks: JoinSet<SessionId>,
    begun: u64,
    ended: u64,
    tell: Tell,
}

impl Phone {
    async fn run(
        mut self,
        mut events: mpsc::Receiver<SipEvent>,
        address: SocketAddr,
        stop: CancellationToken,
    ) {
        if let Some(uri) = self.spec.call.clone() {
            self.dial(&uri, address);
        }
        let mut stopping = false;
        loop {
            tokio::select! {
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.hang_up_all().await;
                }
                Some(event) = events.recv() => self.hear(event).await,
                Some(ended) = self.tasks.join_next() => {
                    if let Ok(session) = ended {
                        self.calls.remove(&session);
                    }
                    self.ended += 1;
                }
            }
            let enough = self.spec.count.is_some_and(|count| self.ended >= count);
            let dialled = self.spec.call.is_some() && self.begun > 0;
            if (stopping || enough || dialled) && self.tasks.is_empty() {
                // The answer to the last BYE must still go out.
                self.settle(&mut events).await;
                return;
            }
        }
    }

    async fn settle(&mut self, events: &mut mpsc::Receiver<SipEvent>) {
        let quiet = Duration::from_millis(300);
        while let Ok(Some(_)) = tokio::time::timeout(quiet, events.recv()).await {}
    }

    async fn hear(&mut self, event: SipEvent) {
        let SipEvent::Session(session, event) = event else { return };
        if let Event::Incoming(incoming) = event {
            let full = self.spec.count.is_some_and(|count| self.begun >= count);
            if full || self.tasks.len() >= CALLS_MAX {
                let reject = Command::Reject { session, code: 486, reason: String::new() };
                let _ = self.commands.send(reject).await;
                return;
            }
            let peer = incoming.from_user.clone();
            self.begin(session, peer, incoming.sdp, false);
        } else if let Some(call) = self.calls.get(&session) {
            let _ = call.try_send(event);
        }
    }

    fn begin(&mut self, session: SessionId, peer: String, offer: Option<Vec<u8>>, dialled: bool) {
        self.begun += 1;
        let number = self.begun;
        (self.tell)(PhoneEvent::Calling { call: number, peer });
        let (events, told) = mpsc::channel(64);
        let call = PhoneCall::new(
            number,
            session,
            Arc::clone(&self.spec),
            self.commands.clone(),
            Arc::clone(&self.tell),
        );
        let media = Arc::clone(&self.media);
        let seed = self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        self.calls.insert(session, events);
        self.tasks.spawn(async move {
            call.run(&media, seed, offer, dialled, told).await;
            session
        });
    }

    fn dial(&mut self, uri: &str, address: SocketAddr) {
        // The session's own task sends the INVITE once its media leg is open.
        let session = SessionId(1);
        self.begin(session, uri.to_owned(), None, true);
        tracing::debug!(%address, uri, "dialling");
    }

    async fn hang_up_all(&mut self) {
        for session in self.calls.keys().copied().collect::<Vec<_>>() {
            let _ = self.commands.send(Command::Hangup { session, reason: None }).await;
        }
    }
}

/// The INVITE of a phone that dials.
fn invite(session: SessionId, uri: &str, sdp: Vec<u8>) -> Command {
    Command::Invite(Box::new(Invite::new(session, "anybody", uri, "phone", sdp)))
}
