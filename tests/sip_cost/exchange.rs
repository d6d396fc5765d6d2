//! Whole calls against the pure endpoint, with the time and the allocations that it took.
//!
//! The peer is text with fields put in: what it costs is not counted. Time is virtual, 1 ms a call,
//! so that the transactions of the last 32 s linger in the tables as they do at 1,000 calls a
//! second.

use super::count;
use bellwire::id::SessionId;
use bellwire::sip::endpoint::Endpoint;
use bellwire::sip::interface::{
    Command, EndpointSpec, Event, Flow, Input, Invite, Output, Transport, TrunkSpec,
};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The description that both sides send: of the size that carriers' have.
const SDP: &str = "v=0\r\no=- 53655765 2353687637 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\n\
                   t=0 0\r\nm=audio 20000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n\
                   a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n";

/// The endpoint, its peer, and the bill.
pub struct Exchange {
    endpoint: Endpoint,
    now: Instant,
    deadline: Option<Instant>,
    flow: Flow,
    calls: u64,
    sent: Vec<Vec<u8>>,
    heard: Vec<(SessionId, Event)>,
    /// Time inside the endpoint.
    pub spent: Duration,
    /// Allocations inside the endpoint.
    pub allocations: u64,
}

impl Exchange {
    pub fn new() -> Self {
        let now = Instant::now();
        let [local, remote]: [SocketAddr; 2] =
            ["10.0.0.1:5060", "10.0.0.2:5060"].map(|text| text.parse().unwrap());
        let trunk = TrunkSpec {
            sources: vec![(remote.ip(), 32)],
            ..TrunkSpec::new("carrier", vec!["sip:10.0.0.2".to_owned()])
        };
        let spec = EndpointSpec {
            trunks: vec![trunk],
            sessions_max: 100_000,
            setup_rate: 100_000,
            ..EndpointSpec::new(vec![(Transport::Udp, local)], [5; 32])
        };
        let flow = Flow { transport: Transport::Udp, local, remote, connection: None };
        let endpoint = Endpoint::new(now, spec);
        let (sent, heard) = (Vec::with_capacity(64), Vec::with_capacity(64));
        let (spent, allocations) = (Duration::ZERO, 0);
        Self { endpoint, now, deadline: None, flow, calls: 0, sent, heard, spent, allocations }
    }

    /// One input and its outputs, on the bill.
    fn feed(&mut self, input: Input<'_>) {
        let (start, before) = (Instant::now(), count::allocations());
        self.endpoint.handle(self.now, input);
        self.deadline = loop {
            match self.endpoint.poll_output() {
                Output::Transmit { bytes, .. } => self.sent.push(bytes),
                Output::Event { session, event } => self.heard.push((session, event)),
                Output::Resolve { .. } | Output::Note(_) => {}
                Output::Timeout(at, _) => break at,
            }
        };
        self.allocations += count::allocations() - before;
        self.spent += start.elapsed();
    }

    fn receive(&mut self, text: &str) {
        self.feed(Input::Received { flow: self.flow, bytes: text.as_bytes() });
    }

    /// The message that went out last, of all since the last look.
    fn last_sent(&mut self) -> String {
        let last = self.sent.pop().expect("a message");
        self.sent.clear();
        String::from_utf8(last).unwrap()
    }

    /// Lets time pass, and what was due in it happen.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.deadline.filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.feed(Input::Timeout);
        }
        self.now = end;
        self.sent.clear();
        self.heard.clear();
    }

    /// INVITE, 100, 180, 200, ACK: the peer calls us and is answered. Gives its side of the dialog.
    pub fn answered(&mut self) -> Dialog {
        self.calls += 1;
        let dialog = Dialog::caller(self.calls);
        self.receive(&dialog.request("INVITE", 1, SDP));
        let session = self.heard.pop().expect("an incoming call").0;
        self.feed(Input::Command(Command::Ring(session)));
        self.feed(Input::Command(Command::Answer { session, sdp: SDP.into() }));
        let dialog = Dialog { session, to: line(&self.last_sent(), "To: "), ..dialog };
        self.receive(&dialog.request("ACK", 1, ""));
        dialog
    }

    /// INVITE, 100, 180, 200, ACK: we call the peer, and it answers.
    pub fn dialled(&mut self) -> Dialog {
        self.calls += 1;
        let session = SessionId(self.calls);
        let invite = Invite::new(session, "carrier", "sip:+14155550123@10.0.0.2", "+1", SDP.into());
        self.feed(Input::Command(Command::Invite(Box::new(invite))));
        let invite = self.last_sent();
        self.receive(&response(&invite, "100 Trying", "", ""));
        self.receive(&response(&invite, "180 Ringing", ";tag=far", ""));
        self.receive(&response(&invite, "200 OK", ";tag=far", SDP));
        assert!(self.last_sent().starts_with("ACK "));
        Dialog {
            session,
            call_id: line(&invite, "Call-ID: "),
            from: format!("{};tag=far", line(&invite, "To: ")),
            to: line(&invite, "From: "),
        }
    }

    /// BYE of the peer, 200.
    pub fn bye(&mut self, dialog: &Dialog) {
        self.receive(&dialog.request("BYE", 2, ""));
        assert!(self.last_sent().starts_with("SIP/2.0 200"));
        self.heard.clear();
    }

    /// BYE of ours, 200.
    pub fn hang_up(&mut self, dialog: &Dialog) {
        let session = dialog.session;
        self.feed(Input::Command(Command::Hangup { session, reason: None }));
        let bye = self.last_sent();
        assert!(bye.starts_with("BYE "));
        self.receive(&response(&bye, "200 OK", "", ""));
        self.heard.clear();
    }

    /// A whole call of the peer.
    pub fn call_in(&mut self) {
        let dialog = self.answered();
        self.bye(&dialog);
        self.pass(Duration::from_millis(1));
    }

    /// A whole call of ours.
    pub fn call_out(&mut self) {
        let dialog = self.dialled();
        self.hang_up(&dialog);
        self.pass(Duration::from_millis(1));
    }

    /// OPTIONS, 200: one transaction without a session.
    pub fn options(&mut self) {
        self.calls += 1;
        let request = Dialog::caller(self.calls).request("OPTIONS", 1, "");
        self.receive(&request);
        assert!(self.last_sent().starts_with("SIP/2.0 200"));
        self.pass(Duration::from_millis(1));
    }

    /// Lets all transactions end.
    pub fn settle(&mut self) {
        self.pass(Duration::from_secs(100));
    }

    /// Forgets the bill.
    pub fn reset(&mut self) {
        (self.spent, self.allocations) = (Duration::ZERO, 0);
    }

    /// Sessions, dialogs, transactions and deadlines that there are.
    pub fn remains(&self) -> usize {
        let stats = self.endpoint.stats();
        stats.sessions + stats.dialogs + stats.transactions + stats.requests + stats.timers
    }
}

/// The peer's side of a dialog.
pub struct Dialog {
    session: SessionId,
    call_id: String,
    from: String,
    to: String,
}

impl Dialog {
    fn caller(number: u64) -> Self {
        Self {
            session: SessionId(0),
            call_id: format!("{number}@10.0.0.2"),
            from: format!("<sip:+14155550199@10.0.0.2>;tag=far{number}"),
            to: "<sip:+14155550100@10.0.0.1>".to_owned(),
        }
    }

    fn request(&self, method: &str, cseq: u32, sdp: &str) -> String {
        let Self { call_id, from, to, .. } = self;
        let branch = call_id.replace('@', "-");
        let typed = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} sip:+14155550100@10.0.0.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK{branch}-{cseq}-{method};rport\r\n\
             Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:far@10.0.0.2:5060>\r\n\
             Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\nSupported: timer, 100rel\r\n\
             User-Agent: carrier\r\n{typed}Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        )
    }
}

/// A response that echoes what it must; `tag` is put behind To.
fn response(request: &str, status: &str, tag: &str, sdp: &str) -> String {
    let [via, from, to, call_id, cseq] =
        ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "].map(|name| line(request, name));
    let typed = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "SIP/2.0 {status}\r\nVia: {via}\r\nFrom: {from}\r\nTo: {to}{tag}\r\nCall-ID: {call_id}\r\n\
         CSeq: {cseq}\r\nContact: <sip:far@10.0.0.2:5060>\r\n{typed}Content-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}

/// The value of a header field, by its name with the colon.
fn line(message: &str, name: &str) -> String {
    let found = message.lines().find_map(|line| line.strip_prefix(name));
    found.unwrap_or_else(|| panic!("no {name}in {message}")).to_owned()
}
