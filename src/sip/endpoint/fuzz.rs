//! The door for fuzzers: a script of datagrams and happenings against running sessions.

use super::Endpoint;
use crate::id::SessionId;
use crate::sip::interface::{
    Command, EndpointSpec, Event, Flow, Input, Invite, Output, Transport, TrunkSpec,
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
/// Steps are separated by NUL bytes. A step that begins with `!` is a happening (`!w` the next
/// deadline passes, `!r` ring, `!p` early media, `!a` answer, `!o` answer an offer, `!x` reject,
/// `!h` hang up, `!u` unreachable, `!n` a new call, `!d` one without an offer, `!k` acknowledge an
/// offer, `!t` follow a redirection, `!O` an offer of ours, `!R` a transfer, `!T` take the peer's,
/// `!N` tell it, `!i` a digit); any other is a datagram from the trunk, in which `{via}`, `{from}`,
/// `{to}`, `{call-id}` and `{cseq}` stand for the fields of the last request that we sent, and
/// `{rack}` and `{us}` for RAck and To of our last reliable response. At the end all sessions are hung up and time runs on: nothing may remain.
#[doc(hidden)]
pub fn fuzz_entry(bytes: &[u8]) {
    let mut script = Script::new();
    script.call(Some(b"v=0".to_vec()));
    for step in bytes.split(|byte| *byte == 0).take(STEPS_MAX) {
        script.step(step);
    }
    script.finish();
}

struct Script {
    endpoint: Endpoint,
    now: Instant,
    deadline: Option<Instant>,
    sessions: BTreeSet<SessionId>,
    ended: BTreeSet<SessionId>,
    last_request: Vec<u8>,
    /// RAck for our last reliable response.
    last_rack: String,
    /// Its To.
    last_to: String,
    calls: u64,
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), 5060))
}

fn flow() -> Flow {
    let (local, remote) = (address(1), address(2));
    Flow { transport: Transport::Udp, local, remote, connection: None }
}

fn spec() -> EndpointSpec {
    let listen = vec![(Transport::Udp, address(1)), (Transport::Tcp, address(1))];
    EndpointSpec {
        trunks: vec![TrunkSpec {
            username: Some("u".to_owned()),
            password: Some("p".to_owned().into()),
            realm: Some("r".to_owned()),
            sources: vec![(address(2).ip(), 32)],
            session_timer: Some(Duration::from_secs(90)),
            take_refer: true,
            ..TrunkSpec::new("t", vec!["sip:10.0.0.2".to_owned()])
        }],
        user_agent: "fuzz".to_owned(),
        sessions_max: 8,
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
            last_rack: String::new(),
            last_to: String::new(),
            calls: 0,
        }
    }

    fn step(&mut self, step: &[u8]) {
        match step {
            [b'!', b'w', ..] => self.wait(),
            [b'!', b'n', ..] => self.call(Some(b"v=0".to_vec())),
            [b'!', b'd', ..] => self.call(None),
            [b'!', b'u', ..] => self.feed(Input::Unreachable { flow: flow() }),
            [b'!', letter, ..] => self.ask(*letter),
            datagram => {
                let bytes = self.filled_in(datagram);
                self.feed(Input::Received { flow: flow(), bytes: &bytes });
            }
        }
    }

    fn wait(&mut self) {
        if let Some(deadline) = self.deadline {
            self.now = self.now.max(deadline);
            self.feed(Input::Timeout);
        }
    }

    fn call(&mut self, sdp: Option<Vec<u8>>) {
        self.calls += 1;
        let session = SessionId(self.calls);
        let invite = Invite::new(session, "t", "sip:b@10.0.0.2", "a", Vec::new());
        self.feed(Input::Command(Command::Invite(Box::new(Invite { sdp, ..invite }))));
    }

    fn ask(&mut self, letter: u8) {
        for session in self.sessions.clone() {
            let sdp = b"v=0".to_vec();
            self.feed(Input::Command(match letter {
                b'r' => Command::Ring(session),
                b'p' => Command::Progress { session, sdp },
                b'a' => Command::Answer { session, sdp },
                b'o' => Command::Reanswer { session, sdp },
                b'k' => Command::Acknowledge { session, sdp },
                b't' => Command::Redirect { session, to: "sip:c@10.0.0.2".to_owned() },
                b'O' => Command::Reoffer { session, sdp },
                b'R' => {
                    let to = "sip:c@10.0.0.3".to_owned();
                    Command::Refer { session, to, replaces: Some(session), headers: Vec::new() }
                }
                b'T' => Command::AnswerRefer { session, code: 202 },
                b'N' => Command::NotifyRefer { session, code: 200 },
                b'i' => Command::Info { session, digit: '5', duration_ms: 100 },
                b'x' => Command::Reject { session, code: 486, reason: String::new() },
                _ => Command::Hangup { session, reason: Some("Q.850;cause=16".to_owned()) },
            }));
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
        } else if let Ok(response) = Message::parse(&bytes)
            && let (Some(rseq), Ok(cseq)) = (response.header(Name::RSeq), response.cseq())
        {
            self.last_rack = format!("{rseq} {} INVITE", cseq.number);
            response.header(Name::To).unwrap_or("").clone_into(&mut self.last_to);
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
        ];
        let mut text = text.to_owned();
        for (place, name) in fields {
            text = text.replacen(place, request.header(name).unwrap_or(""), 4);
        }
        let text = text.replacen("{rack}", &self.last_rack, 4);
        text.replacen("{us}", &self.last_to, 4).into_bytes()
    }

    /// Hangs up everywhere and lets time run: the tables must become empty.
    fn finish(mut self) {
        for _ in 0..3 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Rng;

    fn corpus() -> Vec<Vec<u8>> {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/sip_endpoint");
        let mut files: Vec<_> =
            std::fs::read_dir(place).unwrap().map(|f| f.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| std::fs::read(file).unwrap()).collect()
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
