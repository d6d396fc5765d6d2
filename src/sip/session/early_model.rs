//! Random orders of events against one session that does not stand yet, and what must hold after
//! each of them: offers and PRACKs in turn, every request answered once, one end.

use super::{Ask, Effect, Failure, Input, Policy, Purpose, Reason, Session, Tag};
use crate::sip::interface::{Event, Flow, Reliable, Transport};
use crate::sip::message::{Message, Method, Name};
use crate::sip::transaction::table::{ServerId, ServerKey, ServerTable};
use crate::time::Rng;
use proptest::prelude::{ProptestConfig, any, proptest};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const T1: Duration = Duration::from_millis(500);
const SDP: &str = "v=0\r\nm=audio 1 RTP/AVP 0\r\n";
const TAGS: [&str; 3] = ["a", "b", "c"];

/// What the model keeps of one history.
struct Model {
    session: Session,
    rng: Rng,
    now: Instant,
    servers: ServerTable<()>,
    minted: u64,
    /// The INVITE of the peer.
    first: ServerId,
    /// CSeq number of our INVITE, which grows by redirection.
    invite_cseq: u32,
    cseq: u32,
    /// Requests of the peer without a final answer.
    open: BTreeSet<ServerId>,
    /// The RSeq of our response that waits for its PRACK, and whether it has a description.
    waiting: Option<(u32, bool)>,
    last_rseq: Option<u32>,
    /// RSeqs that the forks have come to.
    rseqs: BTreeMap<&'static str, u32>,
    /// To tag and RAck of our PRACKs.
    pracks: BTreeSet<(String, String)>,
    /// Forks whose 2xx is in and unacknowledged, and since when.
    owed: BTreeMap<&'static str, Instant>,
    redirected: bool,
    /// The request that is being served is an UPDATE.
    updating: bool,
    /// The INVITE is out: neither refused nor answered.
    ringing: bool,
    answered: bool,
    leaving: bool,
    ended: usize,
    trace: Vec<String>,
}

impl Model {
    fn new(outgoing: bool, choice: u16) -> Self {
        #[expect(clippy::disallowed_methods, reason = "tests need some origin of time")]
        let now = Instant::now();
        let reliable = [Reliable::Supported, Reliable::Required][usize::from(choice % 2)];
        let policy = Policy { reliable, ..Policy::plain(T1) };
        let mut servers = ServerTable::new(T1, 10_000);
        let first = mint(&mut servers, 0);
        let offers = !choice.is_multiple_of(3);
        let session = if outgoing {
            Session::outgoing(policy, "sip:b@h".to_owned(), offers)
        } else {
            let extra = ["", "Supported: 100rel\r\n", "Require: 100rel\r\n"];
            let extra = extra[usize::from(choice / 4) % 3];
            let text = request("INVITE", 1, "a", extra, if offers { SDP } else { "" });
            let text = text.replace(";tag=ours", "");
            let message = Message::parse(text.as_bytes()).unwrap();
            Session::incoming(now, policy, first, &message, "ours").unwrap()
        };
        let open = if outgoing { BTreeSet::new() } else { BTreeSet::from([first]) };
        Self {
            session,
            rng: Rng::from_seed([5; 32]),
            now,
            servers,
            minted: 0,
            first,
            invite_cseq: 1,
            cseq: 1,
            open,
            waiting: None,
            last_rseq: None,
            rseqs: BTreeMap::new(),
            pracks: BTreeSet::new(),
            owed: BTreeMap::new(),
            redirected: false,
            updating: false,
            ringing: outgoing,
            answered: false,
            leaving: false,
            ended: 0,
            trace: Vec::new(),
        }
    }

    fn feed(&mut self, input: Input<'_>) {
        self.trace.push(format!("{input:.90?}"));
        for effect in self.session.handle(self.now, &mut self.rng, input) {
            assert_eq!(self.ended, 0, "{effect:?} after the end; {:#?}", self.trace);
            self.trace.push(format!("    {effect:.120?}"));
            self.check(effect);
        }
        assert_eq!(self.session.is_ended(), self.ended == 1, "{:#?}", self.trace);
        for (tag, since) in &self.owed {
            let patience = self.now <= *since + T1 * 32;
            assert!(patience, "the 2xx of {tag} has no ACK; {:#?}", self.trace);
        }
        if self.ended == 1 {
            assert!(self.open.is_empty(), "{:?} unanswered; {:#?}", self.open, self.trace);
        }
    }

    fn check(&mut self, effect: Effect) {
        match effect {
            Effect::Reply { server, reply } if reply.code >= 200 => {
                assert!(self.open.remove(&server), "answered twice; {:#?}", self.trace);
                if server == self.first {
                    let described = self.waiting.is_some_and(|(_, describes)| describes);
                    let early = reply.code < 300 && described;
                    assert!(!early, "a 2xx before the PRACK; {:#?}", self.trace);
                    self.answered = true;
                    self.waiting = None;
                }
            }
            Effect::Reply { server, reply } => {
                assert!(server == self.first && !self.answered, "{:#?}", self.trace);
                let rseq = reply.headers.iter().find(|(name, _)| *name == Name::RSeq);
                if let Some((_, rseq)) = rseq {
                    self.reliable(rseq.parse().unwrap(), reply.sdp.is_some());
                }
            }
            Effect::Request { purpose: Purpose::InDialog(_), request } => {
                assert_eq!(request.method, Method::Prack, "{:#?}", self.trace);
                let rack = request.headers.iter().find(|(name, _)| name == "RAck").unwrap();
                let fresh = self.pracks.insert((request.to.clone(), rack.1.clone()));
                assert!(fresh, "two PRACKs for one response; {:#?}", self.trace);
            }
            Effect::Request { purpose: Purpose::Bye, .. } => {
                assert!(!std::mem::replace(&mut self.leaving, true), "two BYEs");
                assert!(self.owed.is_empty(), "BYE before the ACK; {:#?}", self.trace);
            }
            Effect::Ack { to_tag, of, .. } => {
                assert_eq!(of, None::<Tag>);
                self.owed.remove(to_tag.as_str());
            }
            Effect::Redial { .. } => {
                assert!(std::mem::take(&mut self.redirected), "{:#?}", self.trace);
                self.ringing = true;
                self.invite_cseq += 1;
                self.rseqs.clear();
            }
            Effect::Cancel { .. } => assert!(self.ringing, "{:#?}", self.trace),
            Effect::Event(Event::Redirected { targets, .. }) => {
                assert!((1..=8).contains(&targets.len()));
                self.redirected = true;
            }
            // It proves that our answer has arrived.
            Effect::Event(Event::Reoffer { .. }) if self.updating => {
                self.waiting = self.waiting.filter(|(_, describes)| !describes);
            }
            Effect::Event(Event::Ended(_)) => self.ended += 1,
            Effect::Request { purpose: Purpose::Stray, .. }
            | Effect::RepeatOk { .. }
            | Effect::Event(_) => {}
        }
    }

    fn reliable(&mut self, rseq: u32, describes: bool) {
        let repeats = self.waiting == Some((rseq, describes));
        let next = self.last_rseq.is_none_or(|last| last + 1 == rseq);
        assert!(repeats || (self.waiting.is_none() && next), "{:#?}", self.trace);
        self.waiting = Some((rseq, describes));
        self.last_rseq = Some(rseq);
    }

    fn ask(&mut self, method: &'static str, tag: &str, extra: &str, body: &str) {
        self.minted += 1;
        self.cseq += 1;
        let server = mint(&mut self.servers, self.minted);
        self.open.insert(server);
        let text = request(method, self.cseq, tag, extra, body);
        let message = Message::parse(text.as_bytes()).unwrap();
        if method == "PRACK"
            && let Some((rseq, _)) = self.waiting
            && extra.starts_with(&format!("RAck: {rseq} 1 "))
        {
            self.waiting = None;
        }
        self.updating = method == "UPDATE";
        self.feed(Input::Request { server, message: &message });
    }

    fn peer(&mut self, number: usize) {
        let tag = TAGS[number % 3];
        let body = if (number / 3).is_multiple_of(2) { SDP } else { "" };
        match number / 8 % 8 {
            0..3 => {
                let rseq = self.waiting.map_or(number, |(rseq, _)| rseq as usize);
                let strange = usize::from((number / 64).is_multiple_of(5));
                let extra = format!("RAck: {} 1 INVITE\r\n", rseq + strange);
                self.ask("PRACK", tag, &extra, body);
            }
            3 | 4 => self.ask("UPDATE", tag, "", body),
            5 => self.ask("OPTIONS", tag, "", ""),
            6 => self.ask("INVITE", tag, "", body),
            _ if (number / 64).is_multiple_of(8) => self.ask("BYE", tag, "", ""),
            _ => self.ask("INFO", tag, "", ""),
        }
    }

    /// An answer to our INVITE.
    fn answer(&mut self, number: usize) {
        let tag = TAGS[number % 3];
        let body = if (number / 3).is_multiple_of(2) { SDP } else { "" };
        if !self.ringing && !self.answered {
            return;
        }
        match number / 8 % 16 {
            _ if self.answered => self.accepted(tag, body),
            0..5 => self.provisional(180, tag, "", body),
            5 => self.provisional(199, tag, "", ""),
            6..12 => {
                let last = self.rseqs.get(tag).copied().unwrap_or(0);
                let rseq = last + u32::from(!(number / 128).is_multiple_of(4));
                self.rseqs.insert(tag, rseq.max(1));
                let extra = format!("Require: 100rel\r\nRSeq: {}\r\n", rseq.max(1));
                self.provisional(183, tag, &extra, body);
            }
            12 => self.accepted(tag, body),
            13 => {
                let contacts = "Contact: <sip:x@h>, <sip:y@h>;q=0.5, <sip:b@h>\r\n";
                self.refused(302, contacts);
            }
            14 => self.refused([404, 486, 600][number % 3], ""),
            _ => {
                self.ringing = false;
                self.feed(Input::Failed([Failure::TimedOut, Failure::Unreachable][number % 2]));
            }
        }
    }

    fn provisional(&mut self, code: u16, tag: &str, extra: &str, body: &str) {
        let text = response(code, self.invite_cseq, tag, extra, body);
        self.feed(Input::Provisional(&Message::parse(text.as_bytes()).unwrap()));
    }

    fn accepted(&mut self, tag: &'static str, body: &str) {
        let text = response(200, self.invite_cseq, tag, "", body);
        self.answered = true;
        self.owed.entry(tag).or_insert(self.now);
        self.feed(Input::Accepted(&Message::parse(text.as_bytes()).unwrap()));
        self.ringing = false;
    }

    fn refused(&mut self, code: u16, extra: &str) {
        let text = response(code, self.invite_cseq, "a", extra, "");
        let message = Message::parse(text.as_bytes()).unwrap();
        self.ringing = false;
        self.feed(Input::Refused { code, reason: String::new(), message: Some(&message) });
    }

    fn application(&mut self, number: usize) {
        let sdp = || SDP.as_bytes().to_vec();
        let ask = match number % 16 {
            0 | 1 => Ask::Ring,
            2..4 => Ask::Progress(sdp()),
            4 if !self.answered => Ask::Answer(sdp()),
            5..8 => Ask::Acknowledge(sdp()),
            8..10 => Ask::Reanswer(sdp()),
            10 => Ask::Reject { code: 488, reason: String::new() },
            11 | 12 => Ask::Redirect(["sip:x@h", "sip:y@h", "sip:b@h"][number / 16 % 3].to_owned()),
            13 => Ask::Info { digit: '1', duration_ms: 100 },
            14 if (number / 16).is_multiple_of(4) => Ask::Hangup { reason: None },
            _ => return,
        };
        self.feed(Input::Ask(ask));
    }

    fn wait(&mut self, most: Duration) {
        let end = self.now + most;
        match self.session.deadline().filter(|(at, _)| *at <= end) {
            Some((at, _)) => {
                self.now = self.now.max(at);
                self.feed(Input::Timeout);
                if let Some((next, why)) = self.session.deadline() {
                    assert!(next > self.now, "{why} comes again and again; {:#?}", self.trace);
                }
            }
            None => self.now = end,
        }
    }

    /// Hangs up and waits: everything must come to its end.
    fn finish(&mut self) {
        if self.ended == 0 {
            self.feed(Input::Ask(Ask::Hangup { reason: None }));
        }
        for _ in 0..100 {
            if self.ended == 1 {
                return;
            }
            if self.leaving {
                self.feed(Input::Left);
            } else if self.ringing {
                self.ringing = false;
                self.feed(Input::Failed(Failure::Withdrawn));
            } else {
                self.wait(Duration::from_secs(40));
            }
        }
        panic!("it never ends: {:#?}", self.trace);
    }
}

fn mint(servers: &mut ServerTable<()>, number: u64) -> ServerId {
    let (branch, sent_by) = (number.to_string(), String::new());
    let key = ServerKey::Branch { branch, sent_by, method: Method::Invite };
    let place = "10.0.0.1:5060".parse().unwrap();
    let flow = Flow { transport: Transport::Udp, local: place, remote: place, connection: None };
    servers.start(key, None, flow, ()).unwrap()
}

fn request(method: &str, cseq: u32, tag: &str, extra: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:us@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\n\
         From: <sip:b@h>;tag={tag}\r\nTo: <sip:us@h>;tag=ours\r\nCall-ID: c\r\n\
         CSeq: {cseq} {method}\r\nContact: <sip:b@h>\r\n{extra}{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn response(code: u16, cseq: u32, tag: &str, extra: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "SIP/2.0 {code} X\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:us@h>;tag=ours\r\n\
         To: <sip:b@h>;tag={tag}\r\nCall-ID: c\r\nCSeq: {cseq} INVITE\r\n{extra}{kind}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_order_of_events_before_the_session_stands_keeps_what_is_owed(
        outgoing in any::<bool>(),
        choice in any::<u16>(),
        steps in proptest::collection::vec((0_u8..100, any::<u16>()), 0..60),
    ) {
        let mut model = Model::new(outgoing, choice);
        for (op, choice) in steps {
            let number = usize::from(choice);
            // What stands or leaves is another model's business.
            let stands = model.answered && (!outgoing || model.owed.is_empty());
            if model.ended > 0 || model.leaving || stands {
                break;
            }
            match op {
                0..40 if outgoing => model.answer(number),
                0..60 => model.peer(number),
                60..85 => model.application(number),
                85..95 => model.wait(Duration::from_secs(u64::from(choice % 40))),
                95 if !outgoing => {
                    let server = model.first;
                    model.feed(Input::Cancel { server, reason: Reason::default() });
                }
                _ => model.feed(Input::Timeout),
            }
        }
        model.finish();
    }
}
