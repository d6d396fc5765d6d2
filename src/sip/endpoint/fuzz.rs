//! The door for fuzzers: whole histories, as scripts of messages, commands and happenings.

use super::Endpoint;
use crate::id::SessionId;
use crate::sip::interface::{
    Command, EndpointSpec, Event, Flow, IdentityHeader, Input, Invite, Output, RegisterSpec,
    Reliable, Transport, TrunkSpec,
};
use crate::sip::message::{Message, Name};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Most steps of one script.
const STEPS_MAX: usize = 64;
/// Most outputs that one input may have.
const OUTPUTS_MAX: usize = 2_000;
/// Most bytes of a datagram.
const DATAGRAM_MAX: usize = 65_535;

/// Plays a script against an endpoint with an outgoing and an incoming session.
///
/// Steps are separated by NUL bytes. A step that begins with `!` is a happening (`HAPPENINGS`);
/// any other is a message from the trunk. In it `{via}`, `{from}`, `{to}`, `{call-id}`, `{cseq}`
/// and `{contact}` stand for the fields of the last request that we sent, and `{our-to}` for To of
/// our last response. A happening with a `2` behind its letter, or a message behind `@2`, is of the
/// second trunk, which registers. At the end all sessions are hung up, registrations are taken
/// back and time runs on: nothing may remain.
#[doc(hidden)]
pub fn fuzz_entry(bytes: &[u8]) {
    let mut script = Script::new();
    script.happen(b'n', 0);
    for step in bytes.split(|byte| *byte == 0).take(STEPS_MAX) {
        script.step(step);
    }
    script.finish();
}

/// The letters of happenings, and what they are.
#[cfg(test)]
const HAPPENINGS: &[(u8, &str)] = &[
    (b'w', "the next deadline passes"),
    (b'n', "a call of ours"),
    (b'N', "a call of ours without an offer"),
    (b'u', "the trunk cannot be reached"),
    (b'l', "the node is at its limits"),
    (b'L', "all is well again"),
    (b'D', "drain"),
    (b'g', "registrations are taken back"),
    (b'r', "ring"),
    (b'p', "early media"),
    (b'a', "answer"),
    (b'o', "answer an offer in a re-INVITE or UPDATE"),
    (b'k', "answer the callee's offer"),
    (b'x', "reject"),
    (b'f', "offer anew"),
    (b'd', "follow a redirection"),
    (b't', "transfer"),
    (b'T', "transfer to another session's peer"),
    (b'y', "take on a transfer"),
    (b'Y', "refuse a transfer"),
    (b'z', "the transfer rings"),
    (b'Z', "the transfer is answered"),
    (b'i', "a digit by INFO"),
    (b'c', "ask the caller for credentials"),
    (b'h', "hang up"),
];

struct Script {
    endpoint: Endpoint,
    now: Instant,
    deadline: Option<Instant>,
    sessions: BTreeSet<SessionId>,
    ended: BTreeSet<SessionId>,
    last_request: Vec<u8>,
    last_response: Vec<u8>,
    calls: u64,
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), 5060))
}

fn flow(trunk: usize) -> Flow {
    let (local, remote) = (address(1), address(if trunk == 0 { 2 } else { 3 }));
    Flow { transport: Transport::Udp, local, remote, connection: None }
}

/// Two trunks: one that is asked for everything, and one that registers.
fn spec() -> EndpointSpec {
    let listen = vec![(Transport::Udp, address(1)), (Transport::Tcp, address(1))];
    let plain = TrunkSpec {
        username: Some("u".to_owned()),
        password: Some("p".to_owned().into()),
        realm: Some("r".to_owned()),
        sources: vec![(address(2).ip(), 32)],
        session_timer: Some(Duration::from_secs(90)),
        identity: IdentityHeader::Preferred,
        take_refer: true,
        ..TrunkSpec::new("t", vec!["sip:10.0.0.2".to_owned(), "sip:10.0.0.2:5062".to_owned()])
    };
    let registering = TrunkSpec {
        name: "t2".to_owned(),
        proxies: vec!["sip:10.0.0.3".to_owned()],
        sources: vec![(address(3).ip(), 32)],
        register: Some(RegisterSpec {
            user: "u".to_owned(),
            expires: Duration::from_secs(60),
            gin: false,
        }),
        reliable: Reliable::Required,
        session_timer: None,
        identity: IdentityHeader::Asserted,
        take_refer: false,
        ..plain.clone()
    };
    EndpointSpec {
        trunks: vec![plain, registering],
        user_agent: "fuzz".to_owned(),
        sessions_max: 8,
        watch_headers: vec!["Subject".to_owned()],
        ..EndpointSpec::new(listen, [7; 32])
    }
}

impl Script {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a fuzzer needs some origin of time")]
        let now = Instant::now();
        Self {
            endpoint: Endpoint::new(now, spec()),
            now,
            deadline: None,
            sessions: BTreeSet::new(),
            ended: BTreeSet::new(),
            last_request: Vec::new(),
            last_response: Vec::new(),
            calls: 0,
        }
    }

    fn step(&mut self, step: &[u8]) {
        match step {
            [b'!', letter, second @ ..] => {
                self.happen(*letter, usize::from(second.first() == Some(&b'2')));
            }
            [b'@', b'2', datagram @ ..] => self.receive(datagram, 1),
            datagram => self.receive(datagram, 0),
        }
    }

    fn receive(&mut self, datagram: &[u8], trunk: usize) {
        let bytes = self.filled_in(datagram);
        self.feed(Input::Received { flow: flow(trunk), bytes: &bytes });
    }

    fn happen(&mut self, letter: u8, trunk: usize) {
        let load = |retry_after| Input::Command(Command::Load { retry_after });
        match letter {
            b'w' => self.wait(),
            b'n' => self.call(trunk, Some(b"v=0".to_vec())),
            b'N' => self.call(trunk, None),
            b'u' => self.feed(Input::Unreachable { flow: flow(trunk) }),
            b'l' => self.feed(load(Some(Duration::from_secs(5)))),
            b'L' => self.feed(load(None)),
            b'D' => self.feed(Input::Command(Command::Drain)),
            b'g' => self.feed(Input::Command(Command::Unregister)),
            letter => self.ask(letter),
        }
    }

    fn wait(&mut self) {
        if let Some(deadline) = self.deadline {
            self.now = self.now.max(deadline);
            self.feed(Input::Timeout);
        }
    }

    fn call(&mut self, trunk: usize, sdp: Option<Vec<u8>>) {
        self.calls += 1;
        let session = SessionId(self.calls);
        let (name, to) =
            if trunk == 0 { ("t", "sip:b@10.0.0.2") } else { ("t2", "sip:b@10.0.0.3") };
        let invite = Invite {
            sdp,
            identity: Some("+1".to_owned()),
            ..Invite::new(session, name, to, "a", Vec::new())
        };
        self.feed(Input::Command(Command::Invite(Box::new(invite))));
    }

    /// Asks the same of every session: what does not fit one must do nothing to it.
    fn ask(&mut self, letter: u8) {
        for session in self.sessions.clone() {
            let other = self.sessions.iter().copied().find(|other| *other != session);
            if let Some(command) = asked(letter, session, other) {
                self.feed(Input::Command(command));
            }
        }
    }

    fn feed(&mut self, input: Input<'_>) {
        self.endpoint.handle(self.now, input);
        for _ in 0..OUTPUTS_MAX {
            match self.endpoint.poll_output() {
                Output::Transmit { bytes, .. } => self.sent(bytes),
                Output::Event { session, event } => self.heard(session, &event),
                Output::Resolve { query, .. } => {
                    let targets = vec![(Transport::Udp, address(2))];
                    self.endpoint.handle(self.now, Input::Resolved { query, targets });
                }
                Output::Note(_) => {}
                Output::Timeout(at, _) => {
                    self.deadline = at;
                    return;
                }
            }
        }
        panic!("one input had more than {OUTPUTS_MAX} outputs");
    }

    fn sent(&mut self, bytes: Vec<u8>) {
        let message = Message::parse(&bytes).map(|message| message.is_request());
        assert!(message.is_ok(), "we sent what cannot be read");
        if message == Ok(true) {
            self.last_request = bytes;
        } else {
            self.last_response = bytes;
        }
    }

    fn heard(&mut self, session: SessionId, event: &Event) {
        assert!(!self.ended.contains(&session), "an event after the end");
        if matches!(event, Event::Ended(_)) {
            self.ended.insert(session);
            self.sessions.remove(&session);
        } else {
            self.sessions.insert(session);
        }
    }

    /// The datagram with the fields of our last request in place of their names.
    fn filled_in(&self, datagram: &[u8]) -> Vec<u8> {
        let datagram = datagram.get(..DATAGRAM_MAX).unwrap_or(datagram);
        let (Ok(text), Ok(request)) =
            (std::str::from_utf8(datagram), Message::parse(&self.last_request))
        else {
            return datagram.to_vec();
        };
        let fields = [
            ("{via}", Name::Via),
            ("{from}", Name::From),
            ("{to}", Name::To),
            ("{call-id}", Name::CallId),
            ("{cseq}", Name::CSeq),
            ("{contact}", Name::Contact),
        ];
        let mut text = text.to_owned();
        for (place, name) in fields {
            text = text.replacen(place, request.header(name).unwrap_or(""), 4);
        }
        let response = Message::parse(&self.last_response).ok();
        let our_to = response.as_ref().and_then(|response| response.header(Name::To));
        text = text.replacen("{our-to}", our_to.unwrap_or(""), 4);
        text.into_bytes()
    }

    /// Hangs up everywhere and lets time run: the tables must become empty.
    fn finish(mut self) {
        for _ in 0..3 {
            self.happen(b'g', 0);
            self.ask(b'h');
            let end = self.now + Duration::from_secs(200);
            for _ in 0..20_000 {
                match self.deadline.filter(|deadline| *deadline <= end) {
                    Some(_) => self.wait(),
                    None => break,
                }
            }
            self.now = end;
        }
        let stats = self.endpoint.stats();
        assert_eq!(stats, super::EndpointStats::default(), "something outlived the script");
    }
}

/// The command of a letter; none for letters that mean nothing.
fn asked(letter: u8, session: SessionId, replaces: Option<SessionId>) -> Option<Command> {
    let sdp = b"v=0".to_vec();
    let to = "sip:c@10.0.0.2".to_owned();
    let refer =
        |replaces| Command::Refer { session, to: to.clone(), replaces, headers: Vec::new() };
    Some(match letter {
        b'r' => Command::Ring(session),
        b'p' => Command::Progress { session, sdp },
        b'a' => Command::Answer { session, sdp },
        b'o' => Command::Reanswer { session, sdp },
        b'k' => Command::Acknowledge { session, sdp },
        b'x' => Command::Reject { session, code: 486, reason: String::new() },
        b'f' => Command::Reoffer { session, sdp },
        b'd' => Command::Redirect { session, to },
        b't' => refer(None),
        b'T' => refer(replaces),
        b'y' => Command::AnswerRefer { session, code: 202 },
        b'Y' => Command::AnswerRefer { session, code: 603 },
        b'z' => Command::NotifyRefer { session, code: 180 },
        b'Z' => Command::NotifyRefer { session, code: 200 },
        b'i' => Command::Info { session, digit: '5', duration_ms: 100 },
        b'c' => Command::Authenticate {
            session,
            realm: "r".to_owned(),
            username: "u".to_owned(),
            password: "p".to_owned().into(),
            algorithms: Vec::new(),
        },
        b'h' => Command::Hangup { session, reason: Some("Q.850;cause=16".to_owned()) },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Rng;

    fn corpus() -> Vec<Vec<u8>> {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/session");
        let mut files: Vec<_> =
            std::fs::read_dir(place).unwrap().map(|f| f.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    #[test]
    fn every_happening_is_in_the_corpus() {
        let corpus = corpus();
        for (letter, what) in HAPPENINGS {
            let there = corpus.iter().flat_map(|script| script.split(|byte| *byte == 0));
            let there = there.filter(|step| step.starts_with(&[b'!', *letter])).count();
            assert!(there > 0, "no script in which {what} (!{})", char::from(*letter));
        }
    }

    #[test]
    fn corpus_and_its_mutations_leave_nothing_behind() {
        let mut rng = Rng::from_seed([3; 32]);
        let corpus = corpus();
        assert!(corpus.len() >= 8);
        for script in &corpus {
            fuzz_entry(script);
            for _ in 0..40 {
                fuzz_entry(&mutated(script, &corpus, &mut rng));
            }
        }
    }

    /// Scripts with bytes changed, lost and doubled, and steps from other scripts put in.
    fn mutated(script: &[u8], corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
        let mut pick = |len: usize| usize::try_from(rng.below(len as u64)).unwrap();
        let mut bytes = script.to_vec();
        for _ in 0..=pick(4) {
            let at = pick(bytes.len());
            match pick(4) {
                0 => bytes[at] = u8::try_from(pick(256)).unwrap(),
                1 => _ = bytes.remove(at),
                2 => bytes.insert(at, bytes[at]),
                _ => {
                    let other = &corpus[pick(corpus.len())];
                    let steps: Vec<&[u8]> = other.split(|byte| *byte == 0).collect();
                    let step = steps[pick(steps.len())];
                    let edge = bytes[at..].iter().position(|byte| *byte == 0).map(|to| at + to);
                    let edge = edge.unwrap_or(bytes.len());
                    bytes.splice(edge..edge, [&[0], step].concat());
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        bytes
    }
}
