//! A SIP task to test, and raw peers for it.

use super::super::*;
use crate::sip::interface::{EndCause, EndpointSpec, Invite, TrunkSpec};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How long a condition may take to come true.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const SDP: &[u8] = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\n\
    t=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// A running SIP task.
pub(super) struct Node {
    pub addresses: Vec<(Transport, SocketAddr)>,
    pub commands: mpsc::Sender<Command>,
    pub events: mpsc::Receiver<SipEvent>,
    pub stats: Arc<SocketStats>,
    pub tls: Option<crate::net::tls::Tls>,
    _probes: mpsc::Sender<tokio::sync::oneshot::Sender<()>>,
    _task: JoinSet<()>,
}

impl Node {
    /// Starts a node whose only trunk is all of loopback, with these gateways.
    pub(super) async fn start(spec: SocketSpec, gateways: &[String]) -> Self {
        Self::start_with_room(spec, gateways, [64, 1024]).await
    }

    /// The same with room for so many commands and events.
    pub(super) async fn start_with_room(
        spec: SocketSpec,
        gateways: &[String],
        [commands_max, events_max]: [usize; 2],
    ) -> Self {
        let sockets = SipSockets::bind(&spec).await.unwrap();
        let addresses = sockets.addresses().to_vec();
        let sources = vec![("127.0.0.0".parse().unwrap(), 8), ("::1".parse().unwrap(), 128)];
        let trunk = TrunkSpec { sources, ..TrunkSpec::new("peer", gateways.to_vec()) };
        let trunks = vec![trunk];
        let spec = EndpointSpec { trunks, ..EndpointSpec::new(addresses.clone(), [5; 32]) };
        let (stats, tls) = (sockets.stats(), sockets.tls());
        let endpoint = Endpoint::new(Instant::now(), spec);
        let (commands, commanded) = mpsc::channel(commands_max);
        let (events, told) = mpsc::channel(events_max);
        let (probes, probed) = mpsc::channel(1);
        let (table_stats, _) = tokio::sync::watch::channel(endpoint.stats());
        let queues = SipQueues { commands: commanded, events, probes: probed, stats: table_stats };
        let mut task = JoinSet::new();
        task.spawn(run(endpoint, sockets, queues, CancellationToken::new()));
        Self { addresses, commands, events: told, stats, tls, _probes: probes, _task: task }
    }

    /// Listens on free ports of IPv4.
    pub(super) async fn plain(limits: ConnectionLimits, gateways: &[String]) -> Self {
        let any = "127.0.0.1:0".parse().unwrap();
        let listen = vec![(Transport::Udp, any), (Transport::Tcp, any)];
        Self::start(SocketSpec { limits, ..SocketSpec::new(listen) }, gateways).await
    }

    pub(super) fn address(&self, transport: Transport) -> SocketAddr {
        self.addresses.iter().find(|(way, _)| *way == transport).unwrap().1
    }

    /// Calls the trunk's gateway.
    pub(super) async fn call(&self, id: u64) {
        let sdp = SDP.to_vec();
        let invite = Invite::new(SessionId(id), "peer", "sip:x@trunk.test", "us", sdp);
        self.commands.send(Command::Invite(Box::new(invite))).await.unwrap();
    }

    /// Waits for an event of a session that fits.
    pub(super) async fn session<T>(&mut self, fits: impl Fn(SessionId, &Event) -> Option<T>) -> T {
        let found = async {
            loop {
                if let SipEvent::Session(id, event) = self.events.recv().await.unwrap()
                    && let Some(found) = fits(id, &event)
                {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("the event did not come")
    }

    /// Waits for the end of a session.
    pub(super) async fn ended(&mut self, id: u64) -> EndCause {
        let end = |at: SessionId, event: &Event| match event {
            Event::Ended(ending) if at == SessionId(id) => Some(ending.cause),
            _ => None,
        };
        self.session(end).await
    }

    /// Waits until a count of the sockets is as wanted.
    pub(super) async fn until(&self, what: &str, fits: impl Fn(&SocketStats) -> bool) {
        let turned = async {
            while !fits(&self.stats) {
                tokio::task::yield_now().await;
            }
        };
        let stats = &self.stats;
        assert!(tokio::time::timeout(PATIENCE, turned).await.is_ok(), "{what}: {stats:?}");
    }
}

/// An OPTIONS request with a branch of its own.
pub(super) fn options(branch: &str, transport: &str) -> String {
    format!(
        "OPTIONS sip:x@node.test SIP/2.0\r\nVia: SIP/2.0/{transport} peer.test;branch=z9hG4bK{branch};rport\r\n\
         From: <sip:p@peer.test>;tag=1\r\nTo: <sip:x@node.test>\r\nCall-ID: c{branch}\r\n\
         CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

/// A peer on a byte stream.
pub(super) struct Raw<S> {
    pub stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next message; `None` at the end of the connection.
    pub(super) async fn hear(&mut self) -> Option<String> {
        use crate::sip::message::{Frame, Limits, frame};
        let heard = async {
            loop {
                match frame(&self.buffer, &Limits::STREAM) {
                    Frame::Complete { len } => {
                        let message: Vec<u8> = self.buffer.drain(..len).collect();
                        return Some(String::from_utf8(message).unwrap());
                    }
                    Frame::KeepAlive { len } => _ = self.buffer.drain(..len),
                    Frame::Incomplete | Frame::Error(_) => {
                        if !matches!(self.stream.read_buf(&mut self.buffer).await, Ok(1..)) {
                            return None;
                        }
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("nothing was heard")
    }

    /// Asks whether the node is there, and takes its answer.
    pub(super) async fn is_answered(&mut self, branch: &str, transport: &str) -> bool {
        self.say(&options(branch, transport)).await;
        let Some(answer) = self.hear().await else { return false };
        answer.starts_with("SIP/2.0 200 ") && answer.contains(&format!("branch=z9hG4bK{branch}"))
    }
}
