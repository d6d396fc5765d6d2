//! Random orders of events against one session, and what must hold after each of them.
//!
//! The model knows what is owed: answers to the peer's requests, ACKs in both directions, the end.

use super::{Ask, Effect, Failure, Input, Policy, Purpose, Reason, Session, Tag};
use crate::sip::interface::{Event, Flow, Transport};
use crate::sip::message::{Message, Method};
use crate::sip::transaction::table::{ServerId, ServerKey, ServerTable};
use crate::time::Rng;
use proptest::prelude::{ProptestConfig, any, proptest};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const T1: Duration = Duration::from_millis(500);
const SDP: &str = "v=0";

/// What the model keeps of one history.
struct Model {
    session: Session,
    rng: Rng,
    now: Instant,
    servers: ServerTable<()>,
    minted: u64,
    cseq: u32,
    /// Requests of the peer without a final answer: method and CSeq number.
    open: BTreeMap<ServerId, (Method<'static>, u32)>,
    answered: BTreeSet<ServerId>,
    /// The 2xx whose ACK the peer owes: transaction, CSeq number, and since when.
    owed: Option<(ServerId, u32, Instant)>,
    /// Requests of ours without a final answer: method and CSeq number.
    ours: BTreeMap<Tag, (Method<'static>, u32)>,
    past: Vec<(Tag, Method<'static>, u32)>,
    last_cseq: u32,
    leaving: bool,
    ended: usize,
    trace: Vec<String>,
}

impl Model {
    fn new(outgoing: bool, choice: u16) -> Self {
        #[expect(clippy::disallowed_methods, reason = "tests need some origin of time")]
        let now = Instant::now();
        let policy = Policy {
            session_timer: (!choice.is_multiple_of(3)).then_some(Duration::from_secs(90)),
            take_refer: choice.is_multiple_of(2),
            ..Policy::plain(T1)
        };
        let mut servers = ServerTable::new(T1, 10_000);
        let first = mint(&mut servers, 0);
        let session = if outgoing {
            Session::outgoing(policy, "sip:b@h".to_owned(), true)
        } else {
            let text = request("INVITE", 1, "Supported: timer\r\n", SDP).replace(";tag=ours", "");
            let message = Message::parse(text.as_bytes()).unwrap();
            Session::incoming(now, policy, first, &message, "ours").unwrap()
        };
        let mut model = Self {
            session,
            rng: Rng::from_seed([3; 32]),
            now,
            servers,
            minted: 0,
            cseq: 1,
            open: BTreeMap::new(),
            answered: BTreeSet::new(),
            owed: None,
            ours: BTreeMap::new(),
            past: Vec::new(),
            last_cseq: 1,
            leaving: false,
            ended: 0,
            trace: Vec::new(),
        };
        model.begin(outgoing, first, choice);
        model
    }

    /// Brings the session to where it stands.
    fn begin(&mut self, outgoing: bool, first: ServerId, choice: u16) {
        if outgoing {
            self.session.describe(Some(SDP.into()));
            let timer = ["", "Session-Expires: 90;refresher=uac\r\n"][usize::from(choice % 2)];
            let timer = format!(
                "Allow: INVITE{}\r\n{timer}",
                [", UPDATE", ""][usize::from(choice / 2 % 2)]
            );
            let ok = response(200, "INVITE", 1, "theirs", &timer, SDP);
            self.feed(Input::Accepted(&Message::parse(ok.as_bytes()).unwrap()));
        } else {
            self.open.insert(first, (Method::Invite, 1));
            self.feed(Input::Ask(Ask::Answer(SDP.into())));
            let ack = request("ACK", 1, "", "");
            self.ack(&ack, 1);
        }
    }

    fn feed(&mut self, input: Input<'_>) {
        self.trace.push(format!("{:?}", Brief(&input)));
        let effects = self.session.handle(self.now, &mut self.rng, input);
        for effect in effects {
            assert_eq!(self.ended, 0, "{effect:?} after the end; {:#?}", self.trace);
            self.check(effect);
        }
        assert_eq!(self.session.is_ended(), self.ended == 1, "{:#?}", self.trace);
        if let Some((at, why)) = self.session.deadline() {
            assert!(at < self.now + Duration::from_secs(100_000), "{why}");
        }
    }

    fn check(&mut self, effect: Effect) {
        self.trace.push(format!("    {effect:.120?}"));
        match effect {
            Effect::Reply { server, reply } if reply.code >= 200 => {
                let open = self.open.remove(&server);
                let Some((method, cseq)) = open else {
                    panic!("answered twice: {:#?}", self.trace)
                };
                self.answered.insert(server);
                if method == Method::Invite && reply.code < 300 {
                    assert!(self.owed.is_none(), "two 2xx at once: {:#?}", self.trace);
                    self.owed = Some((server, cseq, self.now));
                }
            }
            Effect::Reply { server, .. } => assert!(self.open.contains_key(&server)),
            Effect::RepeatOk { server } => {
                assert_eq!(self.owed.map(|(owed, ..)| owed), Some(server), "{:#?}", self.trace);
            }
            Effect::Ack { to_tag, request, of } => {
                // Only the fork that is dismissed has another tag than the session.
                assert!(to_tag == "theirs" || (to_tag == "other" && of.is_none()));
                assert!(request.to.ends_with(&format!("tag={to_tag}")));
                self.trace.push(format!("    ACK {to_tag} {}", request.cseq));
            }
            Effect::Request { purpose: Purpose::Bye, request } => {
                assert!(!self.leaving, "two BYEs: {:#?}", self.trace);
                self.leaving = true;
                self.may_leave();
                self.counted(request.cseq);
            }
            Effect::Request { purpose: Purpose::Stray, request } => {
                assert!(request.method == Method::Bye && request.to.ends_with("tag=other"));
            }
            Effect::Request { purpose: Purpose::InDialog(tag), request } => {
                assert!(!self.leaving, "{:#?}", self.trace);
                self.counted(request.cseq);
                if request.method == Method::Invite {
                    self.may_invite();
                }
                let known = self.ours.insert(tag, (request.method, request.cseq));
                assert!(known.is_none() && !self.past.iter().any(|(past, ..)| *past == tag));
            }
            Effect::Event(Event::Ended(_)) => self.ended += 1,
            Effect::Event(_) => {}
            Effect::Redial { .. } | Effect::Cancel { .. } => panic!("{:#?}", self.trace),
        }
    }

    /// No BYE while the peer owes the ACK to a 2xx.
    fn may_leave(&self) {
        let overdue = |at: Instant| self.now >= at + T1 * 64;
        assert!(self.owed.is_none_or(|(_, _, at)| overdue(at)), "BYE too early: {:#?}", self.trace);
    }

    /// No INVITE of ours while one is in progress in either direction.
    fn may_invite(&self) {
        let ours = self.ours.values().any(|(method, _)| *method == Method::Invite);
        let theirs = self.open.values().any(|(method, _)| *method == Method::Invite);
        assert!(!ours && !theirs && self.owed.is_none(), "INVITE too early: {:#?}", self.trace);
    }

    fn counted(&mut self, cseq: u32) {
        assert!(cseq > self.last_cseq || (self.last_cseq == 1 && cseq == 1));
        self.last_cseq = cseq;
    }

    /// A request of the peer; it must be answered at once unless the application is asked.
    fn ask(&mut self, method: &'static str, extra: &str, body: &str) {
        self.cseq += 1;
        let cseq = self.cseq;
        self.ask_as(method, cseq, extra, body);
    }

    fn ask_as(&mut self, method: &'static str, cseq: u32, extra: &str, body: &str) {
        self.minted += 1;
        let server = mint(&mut self.servers, self.minted);
        let text = request(method, cseq, extra, body);
        let message = Message::parse(text.as_bytes()).unwrap();
        self.open.insert(server, (Method::new(method), cseq));
        self.feed(Input::Request { server, message: &message });
        let waits = matches!(method, "INVITE" | "UPDATE" | "REFER");
        assert!(waits || self.answered.contains(&server), "{method} waits: {:#?}", self.trace);
    }

    fn ack(&mut self, text: &str, cseq: u32) {
        if self.owed.is_some_and(|(_, owed, _)| owed == cseq) {
            self.owed = None;
        }
        self.feed(Input::Ack(&Message::parse(text.as_bytes()).unwrap()));
    }

    /// The final answer to the request with this tag.
    fn answer(&mut self, (tag, method, cseq): (Tag, Method<'static>, u32), choice: u16) {
        let codes =
            [200, 200, 200, 202, 401, 405, 408, 422, 481, 486, 488, 491, 491, 500, 503, 603];
        let code = codes[usize::from(choice) % codes.len()];
        let extra = match choice / 16 % 4 {
            0 => "Retry-After: 2\r\nMin-SE: 120\r\n",
            1 => "Session-Expires: 90;refresher=uas\r\nRequire: timer\r\n",
            2 => "Session-Expires: 90;refresher=uac\r\nContact: <sip:moved@h>\r\n",
            _ => "",
        };
        let body = if (choice / 64).is_multiple_of(4) { "" } else { SDP };
        let text = response(code, method.as_str(), cseq, "theirs", extra, body);
        let before = self.acks();
        self.feed(Input::Response { tag, message: &Message::parse(text.as_bytes()).unwrap() });
        let wanted = usize::from(method == Method::Invite && code < 300);
        assert_eq!(self.acks() - before, wanted, "{:#?}", self.trace);
    }

    fn acks(&self) -> usize {
        self.trace.iter().filter(|line| line.starts_with("    ACK ")).count()
    }

    /// Lets time pass to the deadline, if it is not beyond `most`.
    fn wait(&mut self, most: Duration) {
        let end = self.now + most;
        if let Some((at, _)) = self.session.deadline().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.feed(Input::Timeout);
            if let Some((next, why)) = self.session.deadline() {
                assert!(next > self.now, "{why} comes again and again: {:#?}", self.trace);
            }
        } else {
            self.now = end;
        }
    }

    fn step(&mut self, op: u8, choice: u16) {
        let number = usize::from(choice);
        match op {
            0..20 => self.peer_asks(number, choice),
            20..30 => {
                let cseq = self.owed.map_or(self.cseq, |(_, cseq, _)| cseq);
                let cseq = if choice.is_multiple_of(5) { cseq - 1 } else { cseq };
                self.ack(&request("ACK", cseq, "", SDP), cseq);
            }
            30..60 => {
                let Some((&tag, &(method, cseq))) = self.ours.iter().nth(number % 3) else {
                    return;
                };
                self.ours.remove(&tag);
                self.past.push((tag, method, cseq));
                if choice.is_multiple_of(11) {
                    let failure = [Failure::TimedOut, Failure::Unreachable][number % 2];
                    return self.feed(Input::NoAnswer { tag, failure });
                }
                self.answer((tag, method, cseq), choice);
            }
            60..63 => {
                // A 2xx comes once more; refusals do not.
                let Some(past) = self.past.iter().rev().nth(number % 4).copied() else { return };
                if past.1 == Method::Invite {
                    self.answer(past, 0);
                }
            }
            63..66 => {
                let tag = ["theirs", "other"][number % 2];
                let ok = response(200, "INVITE", 1, tag, "", SDP);
                self.feed(Input::Accepted(&Message::parse(ok.as_bytes()).unwrap()));
            }
            66..70 => {
                let mut invites =
                    self.open.iter().filter(|(_, (method, _))| *method == Method::Invite);
                let Some((&server, _)) = invites.next_back() else { return };
                self.feed(Input::Cancel { server, reason: Reason::default() });
                assert!(self.answered.contains(&server), "487 is owed: {:#?}", self.trace);
            }
            70..110 => self.application_asks(number, choice),
            110..125 => self.wait(Duration::from_secs(u64::from(choice % 40))),
            125.. => self.feed(Input::Timeout),
        }
    }

    fn peer_asks(&mut self, number: usize, choice: u16) {
        let timers = [
            "",
            "Supported: timer\r\nSession-Expires: 90;refresher=uas\r\n",
            "Session-Expires: 90\r\n",
            "Supported: timer\r\nSession-Expires: 30\r\n",
            "Allow: UPDATE\r\n",
            "Allow: BYE\r\n",
        ];
        let extra = timers[number / 8 % timers.len()];
        let notify = "Event: refer\r\nContent-Type: message/sipfrag\r\nSubscription-State: ";
        match choice % 16 {
            0..4 => {
                self.ask("INVITE", extra, if (choice / 16).is_multiple_of(4) { "" } else { SDP });
            }
            4 | 5 => self.ask("UPDATE", extra, SDP),
            6 | 7 => self.ask("UPDATE", extra, ""),
            8 => self.ask("REFER", "Refer-To: <sip:c@h>\r\n", ""),
            9 => self.ask("NOTIFY", &format!("{notify}active\r\n"), "SIP/2.0 180 R\r\n"),
            10 => self.ask("NOTIFY", &format!("{notify}terminated\r\n"), "SIP/2.0 200 O\r\n"),
            11 => self.ask("INFO", "", ""),
            12 => self.ask("OPTIONS", "", ""),
            13 => {
                let cseq = self.cseq;
                self.ask_as("INFO", cseq, "", "");
            }
            14 => self.ask("MESSAGE", "", ""),
            _ if (choice / 16).is_multiple_of(8) => self.ask("BYE", "", ""),
            _ => {}
        }
    }

    fn application_asks(&mut self, number: usize, choice: u16) {
        let ask = match choice % 16 {
            0..4 => Ask::Reoffer(vec![b'v', b'=', b'0' + u8::try_from(number / 16 % 8).unwrap()]),
            4..8 => Ask::Reanswer(SDP.into()),
            8 => Ask::Reject { code: choice, reason: String::new() },
            9 => Ask::Refer { refer_to: "<sip:c@h>".to_owned(), headers: Vec::new() },
            10 => Ask::AnswerRefer([202, 603][number / 16 % 2]),
            11 => Ask::NotifyRefer([180, 200, 486][number / 16 % 3]),
            12 => Ask::Info { digit: '1', duration_ms: 100 },
            13 => Ask::Ring,
            14 => Ask::Answer(SDP.into()),
            _ if (choice / 16).is_multiple_of(8) => Ask::Hangup { reason: None },
            _ => return,
        };
        self.feed(Input::Ask(ask));
    }

    /// Hangs up and waits: everything must come to its end.
    fn finish(&mut self) {
        if self.ended == 0 {
            self.feed(Input::Ask(Ask::Hangup { reason: None }));
        }
        for _ in 0..1000 {
            if self.leaving && self.ended == 0 {
                self.feed(Input::Left);
            }
            if self.ended == 1 {
                break;
            }
            self.wait(Duration::from_secs(40));
        }
        assert_eq!(self.ended, 1, "it never ends: {:#?}", self.trace);
        assert!(self.open.is_empty(), "{:?} unanswered: {:#?}", self.open, self.trace);
    }
}

/// An input without its bytes.
struct Brief<'a>(&'a Input<'a>);

#[expect(clippy::match_same_arms, clippy::wildcard_enum_match_arm, reason = "a trace of a test")]
impl std::fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Input::Request { message, .. } | Input::Response { message, .. } => {
                write!(f, "{:?} {:?}", message.start_line(), message.cseq())
            }
            Input::Ack(message) | Input::Accepted(message) => {
                write!(f, "{:?} {:?}", message.start_line(), message.cseq())
            }
            other => write!(f, "{other:.80?}"),
        }
    }
}

fn mint(servers: &mut ServerTable<()>, number: u64) -> ServerId {
    let key = ServerKey::Branch {
        branch: number.to_string(),
        sent_by: String::new(),
        method: Method::Invite,
    };
    let place = "10.0.0.1:5060".parse().unwrap();
    let flow = Flow { transport: Transport::Udp, local: place, remote: place, connection: None };
    servers.start(key, None, flow, ()).unwrap()
}

fn request(method: &str, cseq: u32, extra: &str, body: &str) -> String {
    let kind = if body.is_empty() || extra.contains("Content-Type") {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "{method} sip:us@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:b@h>;tag=theirs\r\n\
         To: <sip:us@h>;tag=ours\r\nCall-ID: c\r\nCSeq: {cseq} {method}\r\nContact: <sip:b@h>\r\n\
         {extra}{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn response(code: u16, method: &str, cseq: u32, tag: &str, extra: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "SIP/2.0 {code} X\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:us@h>;tag=ours\r\n\
         To: <sip:b@h>;tag={tag}\r\nCall-ID: c\r\nCSeq: {cseq} {method}\r\n{extra}{kind}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_order_of_events_keeps_what_is_owed(
        outgoing in any::<bool>(),
        choice in any::<u16>(),
        steps in proptest::collection::vec((0_u8..128, any::<u16>()), 0..120),
    ) {
        let mut model = Model::new(outgoing, choice);
        for (op, choice) in steps {
            if model.ended > 0 {
                break;
            }
            model.step(op, choice);
        }
        model.finish();
    }
}
