//! What the endpoint says and hears: the seam between the SIP cores and their shells.
//!
//! Owns plain value types only. The machine behind them is [`crate::sip::endpoint::Endpoint`].

use crate::id::SessionId;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A transport protocol of RFC 3261 §18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams; the cores retransmit.
    Udp,
    /// A byte stream; the shell frames it with `message::frame`.
    Tcp,
    /// TLS over TCP.
    Tls,
}

/// One connection of a stream transport, numbered by the shell; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Where a message came from, or the way it is to take.
///
/// `connection` is `None` for UDP, and for a stream transport when the shell may pick or open one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The protocol.
    pub transport: Transport,
    /// Our own address: the listening socket that received, or is to send.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
    /// The stream connection, if it is known.
    pub connection: Option<ConnectionId>,
}

/// One thing that happens to the endpoint.
#[derive(Debug)]
pub enum Input<'a> {
    /// A whole message arrived (a datagram, or one framed message of a stream).
    Received {
        /// Where it came from.
        flow: Flow,
        /// The message, start line to end of body.
        bytes: &'a [u8],
    },
    /// A message could not be sent: ICMP unreachable, connection refused or lost.
    ///
    /// With a `connection`, that one is gone: what waits on it is sent again on a fresh one, once.
    /// Without, the peer cannot be reached at all. Tell it of every connection that closes.
    Unreachable {
        /// The way that failed.
        flow: Flow,
    },
    /// An answer to [`Output::Resolve`]; empty when nothing was found.
    Resolved {
        /// The number of the question.
        query: u64,
        /// Addresses in order of preference, with their transport.
        targets: Vec<(Transport, SocketAddr)>,
    },
    /// The application wants something.
    Command(Command),
    /// The deadline of the last [`Output::Timeout`] has passed.
    Timeout,
}

/// One thing that the endpoint wants done; drain until [`Output::Timeout`].
#[derive(Debug)]
pub enum Output {
    /// Send these bytes.
    Transmit {
        /// The way to take.
        flow: Flow,
        /// The whole message.
        bytes: Vec<u8>,
        /// The name that the peer's certificate must show, if a TLS connection has to be opened:
        /// the domain of the URI, not what it resolved to (RFC 5922 §4). `None`: its address.
        server_name: Option<Arc<str>>,
    },
    /// Look a host up; answer with [`Input::Resolved`]. Never asked for IP literals.
    Resolve {
        /// The number to answer with.
        query: u64,
        /// Host name.
        host: String,
        /// Port, if the URI named one.
        port: Option<u16>,
        /// Transport, if the URI named one.
        transport: Option<Transport>,
    },
    /// Something the application must know.
    Event {
        /// The session it happened to.
        session: SessionId,
        /// What happened.
        event: Event,
    },
    /// A fact for metrics and logs: nothing to act on.
    Note(Note),
    /// Nothing more to do until then (`None`: until the next input), and why.
    Timeout(Option<Instant>, &'static str),
}

/// What the application may ask of a session.
#[derive(Debug, Clone)]
pub enum Command {
    /// Start an outgoing INVITE session under the given, unused id, which is below 2^63: from
    /// there on the endpoint numbers the sessions that peers start. A used id is ignored.
    Invite(Box<Invite>),
    /// Send 180 Ringing (incoming, not yet answered).
    Ring(SessionId),
    /// Send 183 Session Progress with this description: early media. Reliably, if the peer and the
    /// trunk want it so (RFC 3262).
    Progress {
        /// The session.
        session: SessionId,
        /// The SDP answer.
        sdp: Vec<u8>,
    },
    /// Send 200 OK with this description.
    Answer {
        /// The session.
        session: SessionId,
        /// The SDP answer (or the offer, when the INVITE had none).
        sdp: Vec<u8>,
    },
    /// Refuse an incoming INVITE, or an offer in a re-INVITE, with this final status.
    Reject {
        /// The session.
        session: SessionId,
        /// 300 to 699.
        code: u16,
        /// The reason phrase; empty for the standard one.
        reason: String,
    },
    /// End the session the right way for its state: CANCEL, BYE, 487 or 480; never an error.
    Hangup {
        /// The session.
        session: SessionId,
        /// Value of a Reason header field (RFC 3326), e.g. `Q.850;cause=16`.
        reason: Option<String>,
    },
    /// Answer the offer of a re-INVITE or UPDATE.
    Reanswer {
        /// The session.
        session: SessionId,
        /// The SDP answer.
        sdp: Vec<u8>,
    },
    /// Answer the offer of [`Event::Offered`].
    Acknowledge {
        /// The session.
        session: SessionId,
        /// The SDP answer.
        sdp: Vec<u8>,
    },
    /// Offer a new description in a confirmed session (hold, resume, another codec or address);
    /// [`Event::Reoffered`] tells what became of it. A second one waits for the first; a newer one
    /// takes the place of one that waits, after glare too, and the event is then of the newer.
    Reoffer {
        /// The session.
        session: SessionId,
        /// The SDP offer.
        sdp: Vec<u8>,
    },
    /// Follow a redirection: send the INVITE to this target of [`Event::Redirected`].
    Redirect {
        /// The session.
        session: SessionId,
        /// The Request-URI.
        to: String,
    },
    /// Ask the peer of a confirmed session to call somebody else (RFC 3515);
    /// [`Event::Transfer`] tells how that goes.
    Refer {
        /// The session.
        session: SessionId,
        /// The URI to call.
        to: String,
        /// Attended: the session that the new call is to replace (RFC 3891).
        replaces: Option<SessionId>,
        /// Extra header fields, already checked.
        headers: Vec<(String, String)>,
    },
    /// Answer the REFER of [`Event::ReferAsked`]: 202 takes it on, 300 to 699 refuses.
    AnswerRefer {
        /// The session.
        session: SessionId,
        /// The status.
        code: u16,
    },
    /// Tell the peer whose REFER was taken on how it goes; from 200 on it is the last word.
    NotifyRefer {
        /// The session.
        session: SessionId,
        /// The status that the new call has got.
        code: u16,
    },
    /// Send a digit by INFO (`application/dtmf-relay`).
    Info {
        /// The session.
        session: SessionId,
        /// One of `0-9*#A-D`.
        digit: char,
        /// How long the key was held.
        duration_ms: u32,
    },
    /// Ask the caller of an incoming, unanswered session for credentials: [`Event::Authenticated`]
    /// when the INVITE has them; else it is challenged and the session ends (`Rejected`, 401).
    Authenticate {
        /// The session.
        session: SessionId,
        /// The realm.
        realm: String,
        /// The user that may call.
        username: String,
        /// The password.
        password: secrecy::SecretString,
        /// What the challenge offers, one line each, in this order; none: all of them.
        algorithms: Vec<DigestAlgorithm>,
    },
    /// The node is at its limits: new INVITEs get 503 with this Retry-After; `None`: all is well.
    Load {
        /// When to try again.
        retry_after: Option<Duration>,
    },
    /// Other header fields of INVITEs are told from here on; see [`EndpointSpec::watch_headers`].
    Watch(Vec<String>),
    /// Refuse new INVITEs, ours too, with 503 and answer OPTIONS with 503 from here on.
    Drain,
    /// Take all registrations back; [`Note::Registration`] tells when each is gone.
    Unregister,
}

/// An outgoing call.
#[derive(Debug, Clone)]
pub struct Invite {
    /// The id under which events will come.
    pub session: SessionId,
    /// Name of the trunk whose proxy, credentials and realm are used.
    pub trunk: String,
    /// The Request-URI and To, e.g. `sip:+14155550123@carrier.example`.
    pub to: String,
    /// The user part of From; empty for anonymous.
    pub from_user: String,
    /// The display name of From.
    pub from_display: Option<String>,
    /// Extra header fields, already checked: no CR or LF.
    pub headers: Vec<(String, String)>,
    /// The SDP offer; `None` lets the callee make it (delayed offer).
    pub sdp: Option<Vec<u8>>,
    /// Our number as the trunk's network is told it (P-Asserted-Identity or P-Preferred-Identity,
    /// as the trunk wants it); with an empty `from_user` it goes with `Privacy: id`.
    pub identity: Option<String>,
    /// Value of a Replaces header field (RFC 3891): the call takes the place of another one.
    pub replaces: Option<String>,
}

impl Invite {
    /// A call with an offer and nothing special.
    #[must_use]
    pub fn new(session: SessionId, trunk: &str, to: &str, from_user: &str, sdp: Vec<u8>) -> Self {
        Self {
            session,
            trunk: trunk.to_owned(),
            to: to.to_owned(),
            from_user: from_user.to_owned(),
            from_display: None,
            headers: Vec::new(),
            sdp: Some(sdp),
            identity: None,
            replaces: None,
        }
    }
}

/// Who the peer says is calling, and what the network says about that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerIdentity {
    /// URIs of P-Asserted-Identity (RFC 3325), e.g. `sip:+1555@carrier` and `tel:+1555`; at most 2.
    pub asserted: Vec<String>,
    /// URI of P-Preferred-Identity.
    pub preferred: Option<String>,
    /// From is anonymous, or Privacy asks for `id`, `user` or `header` (RFC 3323).
    pub anonymous: bool,
    /// URIs of Diversion (RFC 5806), newest first; at most 8.
    pub diversion: Vec<String>,
    /// URIs of History-Info (RFC 7044), oldest first; at most 8.
    pub history: Vec<String>,
    /// `verstat` of the From or P-Asserted-Identity number, e.g. `TN-Validation-Passed`.
    pub verstat: Option<String>,
    /// Identity header fields (RFC 8224) as they came; at most 4 of 4096 bytes.
    pub identity: Vec<String>,
    /// URIs of From, To and the request, as they came: what a PASSporT is held against.
    pub parties: Parties,
}

/// The URIs that an INVITE is from and for; none that has more than 512 letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parties {
    /// Of From, anonymous or not.
    pub from: Option<String>,
    /// Of To.
    pub to: Option<String>,
    /// The Request-URI.
    pub request: Option<String>,
}

/// An incoming call, as far as routing needs it.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The trunk whose `sources` matched.
    pub trunk: String,
    /// User part of the Request-URI (or the number of a tel: URI), unescaped.
    pub to_user: String,
    /// User part of From (or the number of a tel: URI), unescaped; empty when anonymous.
    pub from_user: String,
    /// Display name of From.
    pub from_display: Option<String>,
    /// Call-ID, for logs and the call object.
    pub sip_call_id: String,
    /// Header fields whose names begin with `X-`, in order; at most 32.
    pub headers: Vec<(String, String)>,
    /// Header fields named in [`EndpointSpec::watch_headers`], for routes that match on them.
    pub watched: Vec<(String, String)>,
    /// Who calls, as the network says.
    pub identity: PeerIdentity,
    /// The session whose place this call is to take (Replaces, RFC 3891); the application either
    /// answers it and hangs that one up, or refuses.
    pub replaces: Option<SessionId>,
    /// The SDP offer; `None` when the INVITE carried none (delayed offer).
    pub sdp: Option<Vec<u8>>,
    /// The peer's address.
    pub remote: SocketAddr,
}

/// What happened to a session. After [`Event::Ended`] nothing more comes for that id.
#[derive(Debug, Clone)]
pub enum Event {
    /// A new incoming INVITE from a known trunk; `100 Trying` is already out.
    Incoming(Box<Incoming>),
    /// The outgoing INVITE was sent for the first time; carries the Call-ID.
    Dialing {
        /// Call-ID of the dialog to be.
        sip_call_id: String,
    },
    /// A provisional answer above 100, with its description if it had one.
    Provisional {
        /// 101 to 199.
        code: u16,
        /// Answer SDP of early media.
        sdp: Option<Vec<u8>>,
        /// Which early dialog speaks, counted from 0: a forked call has several, and the media of
        /// the last one that spoke is heard. `u32::MAX`: one without an early dialog (no To tag,
        /// or beyond the 16 of an INVITE). 199 ends its early dialog.
        fork: u32,
    },
    /// The callee made the offer that our INVITE lacked, in a reliable 1xx or in the 2xx:
    /// [`Command::Acknowledge`] it, or hang up. [`Event::Answered`] follows the one in a 2xx.
    /// Forks may make several; each is acknowledged once, in order.
    Offered {
        /// The offer.
        sdp: Vec<u8>,
    },
    /// The callee names others to call instead (3xx): [`Command::Redirect`] to one of them, or
    /// hang up, which ends the session as refused. When a target fails, the others come again.
    Redirected {
        /// 300 to 399.
        code: u16,
        /// URIs in the order to be tried; at most 8.
        targets: Vec<String>,
    },
    /// The callee answered; the ACK is out.
    Answered {
        /// The answer of the dialog that is kept, from its 2xx or from a 1xx before; `None` after
        /// [`Event::Offered`], and when an offer of the callee ([`Event::Reoffer`]) was the last to
        /// be answered: that one counts.
        sdp: Option<Vec<u8>>,
    },
    /// The ACK for our 200 arrived: the incoming session is confirmed; once more after a
    /// re-INVITE without an offer, whose answer it brings.
    Confirmed {
        /// The answer to a delayed offer.
        sdp: Option<Vec<u8>>,
    },
    /// The peer offers a new description (re-INVITE, UPDATE, or PRACK to a reliable 1xx of ours):
    /// `Reanswer` or `Reject` it, before the session is answered too.
    Reoffer {
        /// The offer; `None` asks us to make one.
        sdp: Option<Vec<u8>>,
    },
    /// The peer sent a digit by INFO (`application/dtmf-relay` or `application/dtmf`).
    InfoDtmf {
        /// One of `0-9*#A-D`.
        digit: char,
        /// As stated, else 0.
        duration_ms: u32,
    },
    /// The peer answered, outside of 2xx and ACK, the offer that we made: in the PRACK to our
    /// reliable 1xx (incoming, delayed offer).
    Agreed {
        /// The answer.
        sdp: Vec<u8>,
    },
    /// What became of [`Command::Reoffer`]: the peer's answer, or the status that refused it (408
    /// without one) and left the session as it was. An answer also comes unasked, when a refresh
    /// that repeated our description has brought another answer than before.
    Reoffered(Result<Vec<u8>, u16>),
    /// The INVITE's credentials are right.
    Authenticated {
        /// The user.
        username: String,
    },
    /// The peer asks us to call somebody else: [`Command::AnswerRefer`].
    ReferAsked {
        /// The URI to call, without header components.
        to: String,
        /// The Replaces value that the new INVITE is to carry.
        replaces: Option<String>,
        /// Who asks (Referred-By), if it says so.
        referred_by: Option<String>,
    },
    /// How a transfer of ours goes.
    Transfer(TransferState),
    /// The session is over; its state is gone or only absorbs retransmissions.
    Ended(Ending),
}

/// How a transfer by REFER goes; after `Succeeded` or `Failed` nothing more comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferState {
    /// The peer takes it on.
    Accepted,
    /// The new call has got this provisional status.
    Progress {
        /// 100 to 199.
        code: u16,
    },
    /// The new call was answered. Our session goes on until somebody hangs up.
    Succeeded,
    /// The peer refused, the new call failed, or nothing was heard of it in time.
    Failed {
        /// The status; 408 when nothing was heard.
        code: u16,
        /// Its reason phrase.
        reason: String,
    },
}

/// How and by whom a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Who ended it.
    pub cause: EndCause,
    /// The final status that the INVITE got or gave, if it was not 2xx; of a session that stood, the
    /// 408 or 481 by which the peer ended it.
    pub code: Option<u16>,
    /// The reason phrase that came with it, or the text of a Reason header field.
    pub reason: String,
    /// The Q.850 cause of a Reason header field (RFC 3326, RFC 6432).
    pub q850: Option<u8>,
}

impl Ending {
    /// An ending without a reason.
    #[must_use]
    pub const fn new(cause: EndCause, code: Option<u16>) -> Self {
        Self { cause, code, reason: String::new(), q850: None }
    }
}

/// Who or what ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndCause {
    /// The peer sent BYE.
    PeerHangup,
    /// We sent BYE and it was answered (or given up).
    LocalHangup,
    /// The peer refused our INVITE (`code`).
    Refused,
    /// We refused the peer's INVITE; or our own before it was sent (`code` 400, 404 for an unknown
    /// trunk, 503 for limits and drain).
    Rejected,
    /// CANCEL, ours or the peer's, ended it before an answer.
    Canceled,
    /// No answer at all (timer B, F or H) or no way to the peer.
    Timeout,
    /// No proxy of the trunk could be reached or resolved.
    Unreachable,
    /// The peer broke the protocol so that the session cannot go on.
    Protocol,
}

/// A fact for metrics and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A message was dropped before any state was made; `why` is a stable snake_case label.
    Dropped {
        /// Where it came from.
        remote: SocketAddr,
        /// e.g. `unknown_source`, `malformed`, `stray_response`, `table_full`.
        why: &'static str,
    },
    /// The state of a trunk's gateway by OPTIONS ping changed.
    TrunkState {
        /// Trunk name.
        trunk: String,
        /// Whether it answers.
        up: bool,
    },
    /// The registration of a trunk changed.
    Registration {
        /// Trunk name.
        trunk: String,
        /// Where it stands.
        state: RegistrationState,
        /// Status or reason of a failure, in words.
        detail: String,
    },
    /// A gateway is left alone for a while: it answered 503, timed out or could not be reached.
    Quarantined {
        /// Trunk name.
        trunk: String,
        /// Its address.
        gateway: SocketAddr,
        /// For how long.
        length: Duration,
    },
    /// A source that sends what no trunk would send is dropped unread for a while.
    Banned {
        /// The address.
        source: IpAddr,
        /// For how long.
        length: Duration,
    },
}

/// Where the registration of a trunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationState {
    /// The first REGISTER, or one after a failure, is under way or waits for its turn.
    Registering,
    /// The registrar knows us for this long from now on, unless refreshed.
    Registered {
        /// What it granted.
        expires: Duration,
    },
    /// The registrar refuses or cannot be reached; tried again after this time.
    Failed {
        /// When the next attempt is.
        retry_in: Duration,
    },
    /// Taken back.
    Unregistered,
}

/// How the endpoint is set up; plain values, no `Config`.
#[derive(Debug, Clone)]
pub struct EndpointSpec {
    /// Listening sockets with concrete addresses, as peers are to see them (unless
    /// `public_address` is set); the first of a transport and address family sends to new peers.
    pub listen: Vec<(Transport, SocketAddr)>,
    /// The address written into Via and Contact; default: that of the flow's socket.
    pub public_address: Option<IpAddr>,
    /// The trunks, in configuration order; the first whose sources match an address owns it.
    pub trunks: Vec<TrunkSpec>,
    /// Value of User-Agent and Server.
    pub user_agent: String,
    /// Most sessions at once; beyond it INVITEs get 503 statelessly.
    pub sessions_max: usize,
    /// New INVITE sessions a second, both directions; beyond it 503.
    pub setup_rate: u32,
    /// Names of header fields that [`Incoming::watched`] shows, in any case; at most 32.
    pub watch_headers: Vec<String>,
    /// Messages from an unknown source, or wrong credentials, within a minute after which it is
    /// banned; 0: never.
    pub ban_after: u32,
    /// How long it is banned.
    pub ban_length: Duration,
    /// Seed of tags, branches, Call-IDs and nonces.
    pub seed: [u8; 32],
    /// T1 of RFC 3261 §17.1.1.1; 500 ms.
    pub t1: Duration,
}

impl EndpointSpec {
    /// An endpoint without trunks and with the limits of a small node.
    #[must_use]
    pub fn new(listen: Vec<(Transport, SocketAddr)>, seed: [u8; 32]) -> Self {
        Self {
            listen,
            public_address: None,
            trunks: Vec::new(),
            user_agent: "bellwire".to_owned(),
            sessions_max: 100,
            setup_rate: 100,
            watch_headers: Vec::new(),
            ban_after: 0,
            ban_length: Duration::ZERO,
            seed,
            t1: Duration::from_millis(500),
        }
    }
}

/// One carrier.
#[derive(Debug, Clone)]
pub struct TrunkSpec {
    /// Name, as in the configuration.
    pub name: String,
    /// Proxy URIs in order of preference, e.g. `sip:127.0.0.1:5090;transport=tcp`.
    pub proxies: Vec<String>,
    /// Digest user.
    pub username: Option<String>,
    /// Digest password.
    pub password: Option<secrecy::SecretString>,
    /// The only realm that is answered; `None`: the realm must equal the proxy's host.
    pub realm: Option<String>,
    /// Domain of From; default: our own address.
    pub from_domain: Option<String>,
    /// Networks that may send us requests: address and prefix length.
    pub sources: Vec<(IpAddr, u8)>,
    /// OPTIONS ping interval; `None`: no ping.
    pub ping: Option<Duration>,
    /// Every request to this trunk takes its first hop here, whatever its Request-URI.
    pub outbound_proxy: Option<String>,
    /// Registers with the proxy; `None`: the carrier knows us.
    pub register: Option<RegisterSpec>,
    /// Session-Expires that we ask for and grant (RFC 4028); `None`: none of our own.
    pub session_timer: Option<Duration>,
    /// Reliable provisional responses.
    pub reliable: Reliable,
    /// How our number is told to the network.
    pub identity: IdentityHeader,
    /// Written into Via and Contact on this trunk, instead of [`EndpointSpec::public_address`].
    pub public_address: Option<IpAddr>,
    /// Answer REFER with 603 at once, unless this is set; then [`Event::ReferAsked`] asks.
    pub take_refer: bool,
}

impl TrunkSpec {
    /// A trunk that takes calls from nowhere, pings nobody, registers nowhere.
    #[must_use]
    pub fn new(name: &str, proxies: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            proxies,
            username: None,
            password: None,
            realm: None,
            from_domain: None,
            sources: Vec::new(),
            ping: None,
            outbound_proxy: None,
            register: None,
            session_timer: None,
            reliable: Reliable::Supported,
            identity: IdentityHeader::None,
            public_address: None,
            take_refer: false,
        }
    }
}

/// Whether a network, given by its address and prefix length, holds an address.
#[must_use]
pub fn network_holds((network, prefix): (IpAddr, u8), address: IpAddr) -> bool {
    let same = |a: u128, b: u128, width: u32| {
        let shift = width - u32::from(prefix).min(width);
        prefix == 0 || (a >> shift) == (b >> shift)
    };
    match (address.to_canonical(), network.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// How we register with a trunk's proxy (RFC 3261 §10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterSpec {
    /// User part of the address of record, and of Contact unless `gin`.
    pub user: String,
    /// Lifetime asked for.
    pub expires: Duration,
    /// Registers all numbers of the account at once (RFC 6140).
    pub gin: bool,
}

/// Whether provisional responses are made reliable (RFC 3262).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reliable {
    /// Never offered; a peer that requires it gets 420.
    Off,
    /// Offered, and used when the peer requires it.
    Supported,
    /// Used whenever the peer supports it, and required of callees.
    Required,
}

/// A hash of digest authentication (RFC 7616 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// What every caller knows.
    Md5,
    /// What callers should know (RFC 8760).
    Sha256,
}

impl DigestAlgorithm {
    /// All of them, the one that most callers know on top.
    pub const ALL: [Self; 2] = [Self::Md5, Self::Sha256];
}

/// How our number is told to a trunk's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityHeader {
    /// By From alone.
    None,
    /// By P-Asserted-Identity (RFC 3325 §9.1): the trunk trusts us.
    Asserted,
    /// By P-Preferred-Identity (RFC 3325 §9.2).
    Preferred,
}
