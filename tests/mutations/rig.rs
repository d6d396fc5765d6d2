//! Mutated messages against a running endpoint: it must neither fall nor grow deaf.
//!
//! Every message comes from a trunk's address, so nothing stops it at the door. Calls that mutants
//! manage to start are rung, answered, refused or hung up on, as chance has it.

use bellwire::id::SessionId;
use bellwire::sip::endpoint::{Endpoint, EndpointStats};
use bellwire::sip::interface::{
    Command, EndpointSpec, Event, Flow, Input, Output, Transport, TrunkSpec,
};
use bellwire::time::Rng;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One in so many messages is an OPTIONS that must be answered.
const PROBE_EVERY: u64 = 500;

/// What became of the messages.
#[derive(Debug, Default)]
pub struct Tally {
    /// Mutated messages.
    pub messages: u64,
    /// Those that had an answer or another message of ours at once.
    pub answered: u64,
    /// Those that were dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Those that had neither: absorbed, or an ACK.
    pub absorbed: u64,
    /// Sessions that they started.
    pub sessions: u64,
    /// OPTIONS between them, all answered.
    pub probes: u64,
    /// The longest processor time inside the endpoint for one message: what other programs on the
    /// machine take is not its fault.
    pub worst: Duration,
    /// Processor time inside the endpoint for all.
    pub total: Duration,
}

/// An endpoint under fire.
pub struct Range {
    endpoint: Endpoint,
    now: Instant,
    deadline: Option<Instant>,
    rng: Rng,
    corpus: Vec<Vec<u8>>,
    flow: Flow,
    /// Every session that a mutant began.
    begun: Vec<SessionId>,
    pub tally: Tally,
}

/// What one input brought.
#[derive(Default)]
struct Outcome {
    sent: Vec<Vec<u8>>,
    dropped: Option<&'static str>,
    began: Vec<SessionId>,
}

impl Range {
    /// With the corpus of the source tree.
    pub fn new(seed: [u8; 32]) -> Self {
        let now = Instant::now();
        let [local, remote]: [SocketAddr; 2] =
            ["10.0.0.1:5060", "10.0.0.2:5060"].map(|text| text.parse().unwrap());
        let trunk = TrunkSpec {
            sources: vec![(remote.ip(), 32)],
            take_refer: true,
            ..TrunkSpec::new("carrier", vec!["sip:10.0.0.2".to_owned()])
        };
        let spec = EndpointSpec {
            trunks: vec![trunk],
            sessions_max: 500,
            setup_rate: 200,
            ..EndpointSpec::new(vec![(Transport::Udp, local)], seed)
        };
        Self {
            endpoint: Endpoint::new(now, spec),
            now,
            deadline: None,
            rng: Rng::from_seed(seed),
            corpus: corpus(),
            flow: Flow { transport: Transport::Udp, local, remote, connection: None },
            begun: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Fires so many mutated messages.
    pub fn fire(&mut self, messages: u64) {
        for number in 0..messages {
            let message = self.mutant();
            let outcome = self.receive(&message, true);
            self.tally.messages += 1;
            match outcome.dropped {
                Some(why) => *self.tally.dropped.entry(why).or_default() += 1,
                None if outcome.sent.is_empty() => self.tally.absorbed += 1,
                None => self.tally.answered += 1,
            }
            for session in outcome.began {
                self.tally.sessions += 1;
                self.begun.push(session);
                self.play(session);
            }
            if number % PROBE_EVERY == 0 {
                self.probe(number);
            }
            self.pass(Duration::from_millis(2));
        }
    }

    /// Hangs up everywhere, lets time run, and gives what is left.
    pub fn settle(&mut self) -> EndpointStats {
        for session in std::mem::take(&mut self.begun) {
            self.feed(Input::Command(Command::Hangup { session, reason: None }), false);
        }
        self.pass(Duration::from_secs(200));
        self.endpoint.stats()
    }

    fn play(&mut self, session: SessionId) {
        let sdp = b"v=0".to_vec();
        let command = match self.rng.below(5) {
            0 => Command::Ring(session),
            1 | 2 => Command::Answer { session, sdp },
            3 => Command::Reject { session, code: 486, reason: String::new() },
            _ => Command::Hangup { session, reason: None },
        };
        self.feed(Input::Command(command), false);
        if self.rng.chance(700) {
            self.feed(Input::Command(Command::Hangup { session, reason: None }), false);
        }
    }

    fn probe(&mut self, number: u64) {
        let text = format!(
            "OPTIONS sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKprobe{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:probe@10.0.0.2>;tag=p\r\nTo: <sip:10.0.0.1>\r\n\
             Call-ID: probe{number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        let outcome = self.receive(text.as_bytes(), false);
        let answered = outcome.sent.iter().any(|bytes| bytes.starts_with(b"SIP/2.0 200"));
        assert!(answered, "OPTIONS {number} had no 200");
        self.tally.probes += 1;
    }

    fn receive(&mut self, bytes: &[u8], measured: bool) -> Outcome {
        self.feed(Input::Received { flow: self.flow, bytes }, measured)
    }

    fn feed(&mut self, input: Input<'_>, measured: bool) -> Outcome {
        let mut outcome = Outcome::default();
        let start = processor_time();
        self.endpoint.handle(self.now, input);
        self.deadline = loop {
            match self.endpoint.poll_output() {
                Output::Transmit { bytes, .. } => outcome.sent.push(bytes),
                Output::Event { session, event: Event::Incoming(_) } => outcome.began.push(session),
                Output::Note(bellwire::sip::interface::Note::Dropped { why, .. }) => {
                    outcome.dropped = Some(why);
                }
                Output::Event { .. } | Output::Note(_) | Output::Resolve { .. } => {}
                Output::Timeout(at, _) => break at,
            }
        };
        if measured {
            let took = processor_time().saturating_sub(start);
            self.tally.worst = self.tally.worst.max(took);
            self.tally.total += took;
        }
        outcome
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.deadline.filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.feed(Input::Timeout, false);
        }
        self.now = end;
    }

    fn pick(&mut self, below: usize) -> usize {
        usize::try_from(self.rng.below(below.max(1) as u64)).unwrap()
    }

    /// A message with some changes: one of the corpus, or more often one that fits what is going on.
    fn mutant(&mut self) -> Vec<u8> {
        let mut bytes = if self.rng.chance(300) {
            let at = self.pick(self.corpus.len());
            self.corpus[at].clone()
        } else {
            self.fitting()
        };
        for _ in 0..=self.pick(3) {
            if bytes.is_empty() {
                break;
            }
            if self.rng.chance(600) { self.spoil(&mut bytes) } else { self.mutate(&mut bytes) }
        }
        bytes
    }

    /// A request or response of one of the last calls, as a carrier would send it.
    fn fitting(&mut self) -> Vec<u8> {
        let methods = [
            "INVITE", "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "UPDATE", "REFER", "PRACK",
            "INFO",
        ];
        let method = methods[self.pick(methods.len())];
        let recent = u64::try_from(self.pick(40)).unwrap();
        let call = (self.tally.messages / 20 + 40).saturating_sub(recent);
        let start = if self.rng.chance(100) {
            format!("SIP/2.0 {} Said", 100 + self.pick(600))
        } else {
            format!("{method} sip:+14155550100@10.0.0.1 SIP/2.0")
        };
        let body = if matches!(method, "INVITE" | "UPDATE") { "v=0\r\n" } else { "" };
        let typed = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{start}\r\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKm{call};rport\r\n\
             Max-Forwards: 70\r\nFrom: \"Far\" <sip:far@10.0.0.2>;tag=f{call}\r\n\
             To: <sip:+14155550100@10.0.0.1>\r\nCall-ID: m{call}\r\nCSeq: {} {method}\r\n\
             Contact: <sip:far@10.0.0.2:5060;transport=udp>\r\nSupported: 100rel, timer\r\n\
             Session-Expires: 1800;refresher=uac\r\nRefer-To: <sip:a@b>\r\nRAck: 1 1 INVITE\r\n\
             {typed}Content-Length: {}\r\n\r\n{body}",
            1 + self.pick(3),
            body.len()
        )
        .into_bytes()
    }

    /// Changes one letter of a header field's value into another that may stand there.
    fn spoil(&mut self, bytes: &mut [u8]) {
        let letters = b"0123456789abcXYZ;,=:@<>\"%?&. -_\t";
        let at = self.pick(bytes.len());
        let letter = letters[self.pick(letters.len())];
        if !matches!(bytes[at], b'\r' | b'\n') {
            bytes[at] = letter;
        }
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.pick(bytes.len());
        let length = self.pick(24).min(bytes.len() - at);
        match self.pick(8) {
            0 => bytes[at] = u8::try_from(self.pick(256)).unwrap(),
            1 => bytes[at] ^= 1 << self.pick(8),
            2 => drop(bytes.drain(at..at + length)),
            3 => {
                let piece = bytes[at..at + length].to_vec();
                let times = self.pick(40);
                bytes.splice(at..at, piece.repeat(times));
            }
            4 => bytes.truncate(at),
            5 => {
                let words: [&[u8]; 10] = [
                    b"\r\n",
                    b"\n",
                    b"\0",
                    b"\xff",
                    b"\"",
                    b"<",
                    b"4294967296",
                    b"-1",
                    b"%00",
                    b";;",
                ];
                let word = words[self.pick(words.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            6 => {
                // Two lines change places.
                let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
                let (a, b) = (self.pick(lines.len()), self.pick(lines.len()));
                lines.swap(a, b);
                *bytes = lines.join(&b'\n');
            }
            _ => {
                // The tail of another message.
                let other = self.pick(self.corpus.len());
                let from = self.pick(self.corpus[other].len());
                bytes.truncate(at);
                bytes.extend_from_slice(&self.corpus[other][from..]);
            }
        }
    }
}

/// Processor time of this thread.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Messages of the torture tests, of our own data, and of the fuzz corpora.
fn corpus() -> Vec<Vec<u8>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut corpus = Vec::new();
    for directory in ["tests/data/rfc4475", "tests/data/rfc5118", "tests/data/sip"] {
        corpus.extend(read(&root.join(directory)));
    }
    for script in read(&root.join("fuzz/corpus/session")) {
        let steps = script
            .split(|byte| *byte == 0)
            .filter(|step| step.len() > 100 && !step.contains(&b'{'));
        corpus.extend(steps.map(<[u8]>::to_vec));
    }
    assert!(corpus.len() > 50, "the corpus was not found");
    corpus
}

fn read(directory: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}
