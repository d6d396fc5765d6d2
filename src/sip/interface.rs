//! What the endpoint says and hears: the seam between the SIP cores and their shells.
//!
//! Owns plain value types only. The machine behind them is [`crate::sip::endpoint::Endpoint`].

use crate::id::SessionId;
use std::net::{IpAddr, SocketAddr};
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
    /// Send 183 Session Progress with this description: early media.
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
    /// Refuse new INVITEs, ours too, with 503 and answer OPTIONS with 503 from here on.
    Drain,
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
    /// Extra header fields, already checked: `X-` names, no CR or LF.
    pub headers: Vec<(String, String)>,
    /// The SDP offer.
    pub sdp: Vec<u8>,
}

/// An incoming call, as far as routing needs it.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The trunk whose `sources` matched.
    pub trunk: String,
    /// User part of the Request-URI, unescaped.
    pub to_user: String,
    /// User part of From (or the number of a tel: URI), unescaped; empty when anonymous.
    pub from_user: String,
    /// Display name of From.
    pub from_display: Option<String>,
    /// Call-ID, for logs and the call object.
    pub sip_call_id: String,
    /// Header fields whose names begin with `X-`, in order; at most 32.
    pub headers: Vec<(String, String)>,
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
    },
    /// The callee answered; the ACK is out.
    Answered {
        /// The answer, unless an earlier reliable answer stands.
        sdp: Option<Vec<u8>>,
    },
    /// The ACK for our 200 arrived: the incoming session is confirmed; once more after a
    /// re-INVITE without an offer, whose answer it brings.
    Confirmed {
        /// The answer to a delayed offer.
        sdp: Option<Vec<u8>>,
    },
    /// The peer offers a new description (re-INVITE or UPDATE): `Reanswer` or `Reject` it.
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
    /// The session is over; its state is gone or only absorbs retransmissions.
    Ended(Ending),
}

/// How and by whom a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Who ended it.
    pub cause: EndCause,
    /// The final status that the INVITE got or gave, if it was not 2xx.
    pub code: Option<u16>,
    /// The reason phrase that came with it, or the text of a Reason header field.
    pub reason: String,
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
    /// Seed of tags, branches, Call-IDs and nonces.
    pub seed: [u8; 32],
    /// T1 of RFC 3261 §17.1.1.1; 500 ms.
    pub t1: Duration,
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
}
