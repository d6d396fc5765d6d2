//! The carrier: an independent user agent written on the message layer only.
//!
//! It has no transactions and no timers: a test says what it sends. What it builds is text, so that
//! the tests do not share the writer of the code under test.

use crate::net::Packet;
use bellwire::sip::interface::{ConnectionId, Transport};
use bellwire::sip::message::{Message, Name, StartLine};
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// What the carrier has received.
#[derive(Default)]
pub struct Inbox {
    unread: VecDeque<Received>,
    seen: BTreeSet<String>,
    /// First lines of everything that came, copies included.
    pub history: Vec<String>,
}

impl Inbox {
    pub fn take(&mut self, packet: Packet) {
        let text = String::from_utf8(packet.bytes).expect("what we send is UTF-8");
        let received = Received {
            text,
            from: packet.from,
            to: packet.to,
            transport: packet.transport,
            connection: packet.connection,
        };
        self.history.push(format!("{} {}", received.first_line(), received.header(Name::CSeq)));
        self.unread.push_back(received);
    }

    /// The first unread message that begins so; copies of what was found before are dropped.
    pub fn find(&mut self, start: &str) -> Option<Received> {
        let seen = &self.seen;
        self.unread.retain(|message| !seen.contains(&message.text));
        let at = self.unread.iter().position(|message| message.text.starts_with(start))?;
        let found = self.unread.remove(at)?;
        self.seen.insert(found.text.clone());
        Some(found)
    }

    /// Forgets what has been: for runs of weeks.
    pub fn forget(&mut self) {
        self.seen.clear();
        self.history.clear();
    }

    /// Everything unread, copies included.
    pub fn drain(&mut self) -> Vec<Received> {
        self.unread.drain(..).collect()
    }

    /// How many messages whose first line and CSeq begin so have come, copies included.
    pub fn count(&self, start: &str) -> usize {
        self.history.iter().filter(|line| line.starts_with(start)).count()
    }
}

/// One message that the carrier received.
#[derive(Debug, Clone)]
pub struct Received {
    pub text: String,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub transport: Transport,
    pub connection: Option<ConnectionId>,
}

impl Received {
    pub fn message(&self) -> Message<'_> {
        Message::parse(self.text.as_bytes()).expect("what we send can be read")
    }

    pub fn first_line(&self) -> &str {
        self.text.lines().next().unwrap_or("")
    }

    pub fn header(&self, name: Name) -> String {
        self.message().header(name).unwrap_or("").to_owned()
    }

    pub fn uri(&self) -> String {
        match self.message().start_line() {
            StartLine::Request { uri, .. } => uri.to_owned(),
            StartLine::Response { .. } => panic!("a response has no URI"),
        }
    }

    pub fn branch(&self) -> String {
        self.message().via().expect("Via").branch.to_owned()
    }

    pub fn cseq(&self) -> u32 {
        self.message().cseq().expect("CSeq").number
    }

    pub fn to_tag(&self) -> String {
        self.message().to().expect("To").tag().unwrap_or("").to_owned()
    }

    /// A response to this request. Lines in `extra` end with CR LF.
    pub fn response(&self, status: &str, tag: &str, extra: &str, body: &str) -> String {
        let request = self.message();
        let mut text = format!("SIP/2.0 {status}\r\n");
        for via in request.values(Name::Via) {
            write!(text, "Via: {via};received={}\r\n", self.from.ip()).unwrap();
        }
        for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
            let value = self.header(name);
            let tagged = name == Name::To && !value.contains("tag=") && !tag.is_empty();
            let suffix = if tagged { format!(";tag={tag}") } else { String::new() };
            write!(text, "{name}: {value}{suffix}\r\n").unwrap();
        }
        end(&mut text, extra, body);
        text
    }

    pub fn simple(&self, status: &str) -> String {
        self.response(status, "carrier", "Contact: <sip:far@10.0.0.2>\r\n", "")
    }

    /// 200 with an answer, or any status with a description.
    pub fn with_sdp(&self, status: &str, tag: &str) -> String {
        self.response(status, tag, "Contact: <sip:far@10.0.0.2>\r\n", "v=0 answer")
    }
}

fn end(text: &mut String, extra: &str, body: &str) {
    text.push_str(extra);
    if !body.is_empty() {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    write!(text, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
}

/// One side of a dialog as the carrier keeps it, enough to send requests in it.
#[derive(Debug, Clone)]
pub struct Side {
    pub call_id: String,
    pub from: String,
    pub to: String,
    pub target: String,
    pub cseq: u32,
    branches: u32,
}

impl Side {
    /// The carrier is about to call us.
    pub fn caller(name: &str) -> Self {
        Self {
            call_id: format!("{name}@10.0.0.2"),
            from: format!("\"Far End\" <sip:+14155550199@10.0.0.2>;tag=far-{name}"),
            to: "<sip:+14155550100@10.0.0.1>".into(),
            target: "sip:+14155550100@10.0.0.1".into(),
            cseq: 1,
            branches: 0,
        }
    }

    /// The carrier has answered our INVITE with `tag`.
    pub fn callee(invite: &Received, tag: &str) -> Self {
        let message = invite.message();
        let contact = message.contacts().next().expect("Contact").expect("Contact");
        Self {
            call_id: invite.header(Name::CallId),
            from: format!("{};tag={tag}", invite.header(Name::To)),
            to: invite.header(Name::From),
            target: contact.uri.text.to_owned(),
            cseq: 100,
            branches: 0,
        }
    }

    /// Takes over what our first answer with a tag tells.
    pub fn confirm(&mut self, response: &Received) {
        self.to = response.header(Name::To);
        if let Some(Ok(contact)) = response.message().contacts().next() {
            contact.uri.text.clone_into(&mut self.target);
        }
    }

    /// A request with a new branch; CSeq is that of the side.
    pub fn request(&mut self, method: &str, extra: &str, body: &str) -> String {
        self.branches += 1;
        let branch = format!("z9hG4bK{}-{}-{}", self.call_id, self.cseq, self.branches);
        self.request_with(method, &branch.replace('@', "-"), extra, body)
    }

    pub fn request_with(&self, method: &str, branch: &str, extra: &str, body: &str) -> String {
        let Self { call_id, from, to, target, cseq, .. } = self;
        let mut text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch={branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\n"
        );
        if matches!(method, "INVITE" | "UPDATE") {
            text.push_str("Contact: <sip:far@10.0.0.2:5060>\r\n");
        }
        end(&mut text, extra, body);
        text
    }

    pub fn invite(&mut self) -> String {
        self.request("INVITE", "", "v=0 offer")
    }

    /// The next request in CSeq order.
    pub fn next(&mut self, method: &str) -> String {
        self.cseq += 1;
        self.request(method, "", "")
    }
}
